"""Nodes and links of a drainage network as columns in metres, checked row by row: every fault is named by its line."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CorruptFileError
from cim.loaders.swmm.sections import LINKS, NODES, Document, Row

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Reals = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Links", "Network", "Nodes", "network_of"]

FOOT = 0.3048
MOST_FAULTS = 20
_SLACK = 1e-6  # m that an end may lie below its node by rounding
MOST_HEIGHT = 20.0
"""Height of a closed section [m] above which it is no size but a slip, such as millimetres."""
_ROUND = frozenset({"CIRCULAR", "FORCE_MAIN", "FILLED_CIRCULAR"})
_CLOSED = frozenset({"RECT_CLOSED", "RECT_TRIANGULAR", "RECT_ROUND", "MODBASKETHANDLE", "HORIZ_ELLIPSE", "VERT_ELLIPSE", "ARCH",
                     "EGG", "HORSESHOE", "GOTHIC", "CATENARY", "SEMIELLIPTICAL", "BASKETHANDLE", "SEMICIRCULAR"})  # fmt: skip
_CODED = frozenset({"ARCH", "HORIZ_ELLIPSE", "VERT_ELLIPSE"})
"""Sections that may be named by a code of a standard size instead of their height and width."""
_KINDS = {
    "JUNCTIONS": "junction", "OUTFALLS": "outfall", "DIVIDERS": "divider", "STORAGE": "storage",
    "CONDUITS": "conduit", "PUMPS": "pump", "ORIFICES": "orifice", "WEIRS": "weir", "OUTLETS": "outlet",
}  # fmt: skip


@dataclass(frozen=True)
class Nodes:
    """Columns of nodes, shape (n,) each."""

    name: list[str]
    kind: list[str]
    invert: Reals
    """Elevation of the bottom [m]."""
    depth: Reals
    """From bottom to rim [m]; NaN where the file states none."""
    xy: Reals
    """Shape (n, 2), in the system of the map; NaN where the file gives no place."""
    row: list[Row]


@dataclass(frozen=True)
class Links:
    """Columns of links, shape (m,) each."""

    name: list[str]
    kind: list[str]
    start: Ints
    """Node at the upstream end, as drawn."""
    end: Ints
    length: Reals
    """Stated length [m]; NaN for pumps and the like."""
    roughness: Reals
    """Manning's n [s/m^(1/3)]."""
    shape: list[str | None]
    height: Reals
    """Full height of the section [m]; the diameter of a round one."""
    width: Reals
    barrels: Reals
    start_invert: Reals
    """Elevation of the inside bottom at the upstream end [m]."""
    end_invert: Reals
    row: list[Row]
    raised: NDArray[np.bool_]
    """Whether an end that is stated below the bottom of its node was brought up to it, as SWMM does."""
    coded: NDArray[np.bool_]
    """Whether the section is named by a code of a standard size; its size is not known."""
    oversized: NDArray[np.bool_]
    """Whether the stated height of a closed section is beyond `MOST_HEIGHT`; its size is not known."""

    @property
    def is_round(self) -> NDArray[np.bool_]:
        """Whether the section is a circle."""
        return np.asarray([shape in _ROUND for shape in self.shape], bool)

    @property
    def is_closed(self) -> NDArray[np.bool_]:
        """Whether the section is closed all round."""
        return np.asarray([shape in _ROUND | _CLOSED for shape in self.shape], bool)

    @property
    def is_box(self) -> NDArray[np.bool_]:
        """Whether the section is a closed rectangle."""
        return np.asarray([shape == "RECT_CLOSED" for shape in self.shape], bool)


@dataclass(frozen=True)
class Network:
    """What a file says about pipes."""

    nodes: Nodes
    links: Links
    bends: dict[str, list[tuple[float, float]]]
    """Points between the ends of a link, by its name."""


@dataclass
class _Faults:
    """What is wrong, by line."""

    said: list[tuple[int, str]] = field(default_factory=list)

    def add(self, row: Row, text: str) -> None:
        self.said.append((row.line, text))

    def number(self, row: Row, place: int, what: str, *, least: float = -math.inf, default: float | None = None) -> float:
        """Return a number of a row; one that is missing, no number, not finite or too small is a fault."""
        text = row.words[place] if place < len(row.words) else None
        if text is None or text == "*":
            if default is None:
                self.add(row, f"{row.words[0]} has no {what}")
                return math.nan
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < least:
            bound = "" if math.isinf(least) else f" of {least:g} or more"
            self.add(row, f"{what} of {row.words[0]} is {text[:40]!r}, expected a finite number{bound}")
            return math.nan
        return value

    def refuse(self, path: Path) -> None:
        if not self.said:
            return
        listed = "; ".join(f"line {line}: {text}" for line, text in sorted(self.said)[:MOST_FAULTS])
        more = f"; and {len(self.said) - MOST_FAULTS} more" if len(self.said) > MOST_FAULTS else ""
        raise CorruptFileError(
            path, f"{len(self.said)} rows cannot be used: {listed}{more}", "correct these lines, or export it from SWMM again"
        )


def network_of(document: Document, path: Path) -> Network:
    """Return the network of a document, lengths and elevations in metres.

    Raises
    ------
    CorruptFileError
        If a row cannot be used; the message names every line.
    """
    faults = _Faults()
    if not document.has_known_units:
        row = next(row for row in document.rows("OPTIONS") if row.words[0].upper() == "FLOW_UNITS")
        faults.add(row, f"FLOW_UNITS is {document.flow_units[:40]!r}, expected CFS, GPM, MGD, CMS, LPS or MLD; it also says feet or metres")
    metre = 1.0 if document.is_metric else FOOT
    nodes = _nodes(document, metre, faults)
    links = _links(document, nodes, metre, faults)
    bends: dict[str, list[tuple[float, float]]] = {}
    for row in document.rows("VERTICES"):
        bends.setdefault(row.words[0], []).append((faults.number(row, 1, "x"), faults.number(row, 2, "y")))
    faults.refuse(path)
    return Network(nodes, links, bends)


def _entries(document: Document, sections: dict[str, int], what: str, faults: _Faults) -> list[tuple[str, Row]]:
    """Return the rows of several sections; a name that occurs twice is a fault."""
    found, seen = [], set()
    for section, fewest in sections.items():
        for row in document.rows(section):
            if len(row.words) < fewest:
                faults.add(row, f"{row.words[0]} has {len(row.words)} words, a row of [{section}] has {fewest} at least")
            elif row.words[0] in seen:
                faults.add(row, f"{what} {row.words[0]} occurs twice")
            else:
                seen.add(row.words[0])
                found.append((section, row))
    return found


def _nodes(document: Document, metre: float, faults: _Faults) -> Nodes:
    entries = _entries(document, {**NODES, "OUTFALLS": 2, "DIVIDERS": 2, "STORAGE": 3}, "node", faults)
    place = {row.words[0]: (faults.number(row, 1, "x"), faults.number(row, 2, "y")) for row in document.rows("COORDINATES")}
    invert = np.array([faults.number(row, 1, "invert elevation") for _, row in entries]) * metre
    deep = {"JUNCTIONS", "STORAGE"}
    depth = [faults.number(row, 2, "maximum depth", least=0.0, default=0.0) if section in deep else math.nan for section, row in entries]
    known = np.array(depth) * metre
    known[known == 0.0] = np.nan  # SWMM: zero means up to the highest pipe, so the rim is not stated
    xy = np.array([place.get(row.words[0], (math.nan, math.nan)) for _, row in entries], float).reshape(-1, 2)
    return Nodes(
        [row.words[0] for _, row in entries], [_KINDS[section] for section, _ in entries], invert, known, xy, [r for _, r in entries]
    )


def _links(document: Document, nodes: Nodes, metre: float, faults: _Faults) -> Links:
    entries = _entries(document, LINKS, "link", faults)
    number = {name: index for index, name in enumerate(nodes.name)}
    ends = np.zeros((len(entries), 2), np.int64)
    for at, (_, row) in enumerate(entries):
        for side in (0, 1):
            node = row.words[1 + side]
            ends[at, side] = number.get(node, -1)
            if node not in number:
                faults.add(row, f"link {row.words[0]} names node {node!r}, which is not there")
        if row.words[1] == row.words[2]:
            faults.add(row, f"link {row.words[0]} leads from {row.words[1]} to itself")
    conduit = np.array([section == "CONDUITS" for section, _ in entries], bool)
    stated = np.full((len(entries), 4), np.nan)
    for at in np.flatnonzero(conduit).tolist():
        row = entries[at][1]
        length = faults.number(row, 3, "length", least=0.0)
        if length == 0.0:
            faults.add(row, f"length of {row.words[0]} is 0")
        stated[at] = (length, faults.number(row, 4, "roughness", least=0.0), faults.number(row, 5, "inlet offset", default=math.nan),
                       faults.number(row, 6, "outlet offset", default=math.nan))  # fmt: skip
    lengths, roughness, inlet, outlet = stated.T
    section, sizes, coded = _sections(document, {row.words[0]: at for at, (_, row) in enumerate(entries)}, len(entries), faults)
    sizes[:, :2] *= metre
    closed = np.array([shape in _ROUND | _CLOSED for shape in section], bool)
    oversized = closed & (sizes[:, 0] > MOST_HEIGHT)
    sizes[coded | oversized, :2] = np.nan
    absolute = document.option("LINK_OFFSETS", "DEPTH") == "ELEVATION"
    floors = [nodes.invert[ends[:, side]] if len(nodes.invert) else np.zeros(0) for side in (0, 1)]
    stated_ends = [_invert(floor, offset * metre, absolute, conduit) for floor, offset in zip(floors, (inlet, outlet), strict=True)]
    low = [conduit & (end < floor - _SLACK) for floor, end in zip(floors, stated_ends, strict=True)]
    inverts = [np.where(under, floor, end) for floor, end, under in zip(floors, stated_ends, low, strict=True)]
    return Links(
        [row.words[0] for _, row in entries], [_KINDS[name] for name, _ in entries], ends[:, 0], ends[:, 1], lengths * metre, roughness,
        section, sizes[:, 0], sizes[:, 1], sizes[:, 2], inverts[0], inverts[1], [row for _, row in entries], low[0] | low[1], coded,
        oversized,
    )  # fmt: skip


def _invert(node: Reals, offset: Reals, absolute: bool, conduit: NDArray[np.bool_]) -> Reals:  # noqa: FBT001
    """Return the elevation of the inside bottom of links at one end; an offset that is not given leaves it at the bottom of the node."""
    stated = offset if absolute else node + offset
    return np.where(conduit, np.where(np.isnan(offset), node, stated), np.nan)


def _sections(document: Document, number: dict[str, int], count: int, faults: _Faults) -> tuple[list[str | None], Reals, NDArray[np.bool_]]:
    """Return the shape of each link's section, its height, width and number of barrels, and whether a code stands for its size."""
    shapes: list[str | None] = [None] * count
    sizes, coded = np.full((count, 3), np.nan), np.zeros(count, bool)
    for row in document.rows("XSECTIONS"):
        at = number.get(row.words[0])
        if at is None or len(row.words) < 3:
            faults.add(row, f"section of {row.words[0]!r}: " + ("no such link" if at is None else "has no size"))
            continue
        shapes[at] = shape = row.words[1].upper()
        if shape in {"IRREGULAR", "STREET", "CUSTOM"}:
            continue
        high = faults.number(row, 2, "height", least=0.0)
        wide = high if shape in _ROUND else (faults.number(row, 3, "width", least=0.0, default=0.0) or math.nan)
        sizes[at] = high, wide, faults.number(row, 6, "number of barrels", least=0.0, default=1.0)
        code = faults.number(row, 4, "code of a standard size", default=0.0) if shape in _CODED else 0.0
        coded[at] = shape in _CODED and (code > 0 or math.isnan(wide))  # without a width SWMM takes the height for the code
    return shapes, sizes, coded
