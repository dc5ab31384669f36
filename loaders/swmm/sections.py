"""A SWMM input file as sections of rows, and what its numbers mean: units, counts and the columns of each section.

Source of the columns: US EPA, Storm Water Management Model User's Manual Version 5.2 (EPA/600/R-22/030), appendix D.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cim.errors import CorruptFileError
from cim.loaders.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["LINKS", "NODES", "Document", "Row", "decode", "parse"]

NODES = {"JUNCTIONS": 2, "OUTFALLS": 3, "DIVIDERS": 4, "STORAGE": 5}
"""Sections of nodes, and the fewest words of a row."""
LINKS = {"CONDUITS": 5, "PUMPS": 3, "ORIFICES": 5, "WEIRS": 5, "OUTLETS": 5}
"""Sections of links, and the fewest words of a row."""
_STARTS = {
    "OPTION": "OPTIONS", "SUBCATCH": "SUBCATCHMENTS", "JUNC": "JUNCTIONS", "OUTF": "OUTFALLS", "STORAGE": "STORAGE", "DIVIDER": "DIVIDERS",
    "CONDUIT": "CONDUITS", "PUMP": "PUMPS", "ORIFICE": "ORIFICES", "WEIR": "WEIRS", "OUTLET": "OUTLETS", "XSECT": "XSECTIONS",
    "COORDINATE": "COORDINATES", "VERTICES": "VERTICES", "POLYGON": "POLYGONS",
}  # fmt: skip
_US = frozenset({"CFS", "GPM", "MGD"})
_SI = frozenset({"CMS", "LPS", "MLD"})


@dataclass(frozen=True)
class Row:
    """One row of a section."""

    line: int
    """Number of its line in the file, from 1."""
    words: tuple[str, ...]
    comment: str = ""


@dataclass(frozen=True)
class Document:
    """The sections of a file, in order."""

    sections: dict[str, list[Row]] = field(default_factory=dict)
    encoding: str = "utf-8"

    def rows(self, name: str) -> list[Row]:
        """Return the rows of a section, none where it is missing."""
        return self.sections.get(name, [])

    def option(self, name: str, default: str) -> str:
        """Return the value of an option in capitals."""
        found = [row.words[1] for row in self.rows("OPTIONS") if len(row.words) > 1 and row.words[0].upper() == name]
        return (found[-1] if found else default).upper()

    @property
    def flow_units(self) -> str:
        """The unit of flow, which also says whether lengths are feet or metres; SWMM takes CFS where none is stated."""
        return self.option("FLOW_UNITS", "CFS")

    @property
    def is_metric(self) -> bool:
        """Whether lengths are metres, rather than feet."""
        return self.flow_units in _SI

    @property
    def has_known_units(self) -> bool:
        """Whether SWMM knows the unit of flow."""
        return self.flow_units in _US | _SI


def decode(data: bytes) -> tuple[str, str]:
    """Return the text of a file and its encoding: UTF-8 where it is that, else GB 18030, else Latin-1."""
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return data.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1"), "latin-1"


def parse(data: bytes, path: Path, limits: Limits) -> Document:
    """Return the sections of a file.

    Raises
    ------
    CorruptFileError
        If there is a row before the first section, or bytes that no text has.
    """
    if b"\0" in data:
        raise CorruptFileError(path, "holds NUL bytes: it is no text", "save it from SWMM as .inp")
    text, encoding = decode(data)
    lines = text.splitlines()
    limits.check("records", len(lines), path)
    sections: dict[str, list[Row]] = {}
    current: list[Row] | None = None
    for number, raw in enumerate(lines, 1):
        content, _, comment = raw.partition(";")
        words = content.split()
        if not words:
            continue
        if words[0].startswith("["):
            current = sections.setdefault(_full_name(words[0].strip("[]").upper()), [])
        elif current is None:
            raise CorruptFileError(path, f"line {number} stands before the first section", "save it from SWMM as .inp")
        else:
            current.append(Row(number, tuple(_unquoted(content) if '"' in content else words), comment.strip()))
    return Document(sections, encoding)


def _full_name(said: str) -> str:
    """Return the section a header means: SWMM compares its first letters only, so [OUTFALL] is [OUTFALLS]."""
    return next((full for start, full in _STARTS.items() if said.startswith(start)), said)


def _unquoted(content: str) -> list[str]:
    import shlex

    try:
        return shlex.split(content, posix=True)
    except ValueError:
        return content.split()
