"""The elements of a SUMO file one by one: checked as text, without DTD, bounded in size, each emptied when the next is asked for."""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from lxml import etree

from cim.errors import CorruptFileError, FormatError, InputError, LimitError, UnsafeInputError
from cim.loaders.citygml.text import check_text, utf8_blocks
from cim.loaders.limits import Limits

__all__ = ["Element", "elements", "number", "text_of"]

Element = etree._Element  # noqa: SLF001  # lxml has no public name for it
_LIMIT_WORDS = ("depth", "too long", "huge", "size limit", "too many", "memory")
_BLOCK = 1 << 20


def elements(path: Path, roots: tuple[str, ...], limits: Limits) -> Iterator[Element]:
    """Yield the children of the root element, in order; each is emptied afterwards.

    Parameters
    ----------
    roots
        Names that the root may have.

    Raises
    ------
    FormatError
        If the root has another name.
    CorruptFileError
        If the file is no well-formed XML.
    LimitError
        If it is larger, packs more densely, nests deeper or holds more elements than the limits allow.
    UnsafeInputError
        If it declares a DOCTYPE or entities.
    """
    with _plain(path, limits) as file:
        try:
            encoding = check_text(file)
        except UnsafeInputError as error:
            raise UnsafeInputError(path, error.reason, "remove the DOCTYPE; SUMO needs none") from error
        except InputError as error:
            raise type(error)(path, error.reason, error.remedy) from error
        try:
            yield from _children(utf8_blocks(file, encoding), path, roots, limits)
        except etree.XMLSyntaxError as error:
            raise _refused(path, error) from error


def _children(blocks: Iterator[bytes], path: Path, roots: tuple[str, ...], limits: Limits) -> Iterator[Element]:
    parser = etree.XMLPullParser(events=("start", "end"), encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False,
                                 huge_tree=False, remove_comments=True, remove_pis=True)  # fmt: skip
    depth = count = 0
    for block in blocks:
        if block:
            parser.feed(block)
        for event, found in parser.read_events():
            element = cast("Element", found)
            if event == "start":
                if depth == 0 and (name := etree.QName(element).localname) not in roots:
                    raise FormatError(path, f"has the root <{name[:40]}>, expected <{'> or <'.join(roots)}>", "give a file that SUMO reads")
                depth += 1
                if depth > limits.depth:
                    raise LimitError(path, f"nests deeper than {limits.depth} elements", "a SUMO file nests some five")
                continue
            depth -= 1
            if depth == 1:
                count += 1
                limits.check("records", count, path)
                yield element
                element.clear()
                _forget_before(element)
    parser.close()


def _forget_before(element: Element) -> None:
    """Take the elements before this one off the tree; the parser still stands at this one."""
    parent = element.getparent()
    while parent is not None and parent[0] is not element:
        parent.remove(parent[0])


@contextmanager
def _plain(path: Path, limits: Limits) -> Iterator[Path]:
    """Give the file itself or, packed by gzip, a copy that is unpacked as far as the limits allow."""
    limits.check("file_bytes", path.stat().st_size, path)
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    if not packed:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "plain.xml"
        try:
            with gzip.open(path, "rb") as source, copy.open("wb") as target:
                _unpack(cast("IO[bytes]", source), target, path, limits)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise CorruptFileError(path, f"is packed by gzip and cannot be unpacked: {error}", "get it again") from error
        yield copy


def _unpack(source: IO[bytes], target: IO[bytes], path: Path, limits: Limits) -> None:
    most = min(limits.expanded_bytes, max(int(limits.expansion_ratio * path.stat().st_size), _BLOCK))
    total = 0
    while block := source.read(_BLOCK):
        total += len(block)
        if total > most:
            raise LimitError(path, f"unpacks to more than {most:,} bytes", "unpack it yourself if the file is trusted")
        target.write(block)


def _refused(path: Path, error: etree.XMLSyntaxError) -> InputError:
    said = str(error.msg or error)[:200]
    if any(word in said.lower() for word in _LIMIT_WORDS):
        return LimitError(path, f"XML limit: {said}; elements nest too deep or one is too long", "a SUMO file nests some five levels")
    return CorruptFileError(path, f"is not well-formed XML: {said}", "the file is cut or damaged; get it again")


def text_of(element: Element, name: str, path: Path) -> str:
    """Return an attribute that must be there.

    Raises
    ------
    CorruptFileError
        If it is not.
    """
    value = element.get(name)
    if value is None:
        tag = etree.QName(element).localname
        raise CorruptFileError(
            path, f"has a <{tag}> {element.get('id', '')!r} without {name!r}, line {element.sourceline}", "write it again"
        )
    return str(value)


def number(element: Element, name: str, path: Path, default: float | None = None) -> float:
    """Return an attribute as a finite number, `default` where it is not there.

    Raises
    ------
    CorruptFileError
        If it is no finite number, or not there and has no default.
    """
    text = element.get(name)
    if text is None and default is not None:
        return default
    text = text_of(element, name, path)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        tag = etree.QName(element).localname
        raise CorruptFileError(path, f"has {name}={text[:40]!r} in <{tag}>, line {element.sourceline}, expected a number", "write it again")
    return value
