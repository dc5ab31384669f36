"""The members of a city model one by one: each is cleared when the next is asked for, so that memory is bounded by the largest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from lxml import etree

from cim.errors import CorruptFileError, FormatError, InputError, LimitError
from cim.loaders.citygml.tags import ADE, GML, Element, split
from cim.loaders.citygml.text import Encoding, utf8_blocks

__all__ = ["MEMBERS", "members"]

MEMBERS = frozenset({"cityObjectMember", "featureMember", "featureMembers", "member", "appearanceMember", "cityObjectMembers"})
_ROOTS = frozenset({"CityModel", "FeatureCollection"})
_LIMIT_WORDS = ("depth", "too long", "huge", "size limit", "too many", "memory")


def members(path: Path, encoding: Encoding) -> Iterator[Element]:
    """Yield the children of the root element, in order; each is emptied afterwards.

    Raises
    ------
    FormatError
        If the root is not that of a city model.
    CorruptFileError
        If the file is no well-formed XML.
    LimitError
        If an element nests deeper, or is longer, than the parser allows.
    """
    parser = etree.XMLPullParser(
        events=("end",), tag=[f"{{*}}{name}" for name in sorted(MEMBERS)], encoding="utf-8", resolve_entities=False, no_network=True,
        load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True,
    )  # fmt: skip
    root: Element | None = None
    done: Element | None = None
    try:
        for block in utf8_blocks(path, encoding):
            if not block:
                continue
            parser.feed(block)
            for _, found in parser.read_events():
                element = cast("Element", found)
                parent = element.getparent()
                if parent is None or parent.getparent() is not None:
                    continue
                if root is None:
                    root = parent
                    _check_root(root, path)
                yield from _before(root, element, done)
                yield element
                element.clear()  # it leaves the tree with the next one: the parser still stands at its end tag
                done = element
        closed = parser.close()
    except etree.XMLSyntaxError as error:
        raise _refused(path, error) from error
    if root is None:
        _check_root(closed, path)
    yield from _before(closed, None, done)


def _before(root: Element, last: Element | None, done: Element | None) -> Iterator[Element]:
    """Yield the children before `last`, all when it is None, and take them off the tree; `done` was yielded already."""
    while len(root) and root[0] is not last:
        first = root[0]
        if first is not done:
            yield first
        root.remove(first)


def _check_root(root: Element, path: Path) -> None:
    tag = split(str(root.tag))
    city = any(split(f"{{{space}}}x").module not in (GML, ADE, "xal") for space in root.nsmap.values() if space)
    if tag.local in _ROOTS and (city or tag.module not in (GML, ADE)):
        return
    reason = f"is GML, but not CityGML: its root is <{tag.local}> of {tag.namespace[:80] or 'no namespace'!r}, expected a CityModel"
    raise FormatError(path, reason, "convert plain GML features with ogr2ogr to GeoPackage and read that")


def _refused(path: Path, error: etree.XMLSyntaxError) -> InputError:
    said = str(error.msg or error)[:200]
    if any(word in said.lower() for word in _LIMIT_WORDS):
        reason = f"XML limit: {said}; elements nest too deep or one is too long"
        return LimitError(path, reason, "a city model nests some thirty levels; export it again")
    return CorruptFileError(path, f"is not well-formed XML: {said}", "the file is cut or damaged; get it again")
