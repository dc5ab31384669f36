"""A SUMO network (.net.xml) as links: every lane is one, its edge is the object, and what the lanes do not connect is banned.

Signals are those of the file, or of additional files, which win as they do in SUMO. A turn gives way to those that the request matrix of
its junction names. A vehicle leaves a lane no sooner than one headway after the one before: a reaction time, and the time that the vehicle
needs to clear its own length and gap at the speed of the turn.

Format: SUMO documentation, "SUMO Road Networks" and "Traffic Lights".
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from lxml import etree

from cim.errors import CorruptFileError
from cim.loaders.limits import Limits
from cim.loaders.sumo.signals import Program, greens, program_of
from cim.loaders.sumo.stream import Element, elements, number, text_of
from cim.model.road_network import BANNED, SIGNALS, YIELDS, RoadNetwork

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["REACTION", "SPACING", "closed_to", "read_network"]

REACTION = 1.5
"""Time between two vehicles that cross a stop line, beyond what the vehicle needs for its length [s]; set on the
three networks of Bologna with SUMO's own runs in view, beside `SPACING`: a calibration."""
SPACING = 6.5
"""Length of a vehicle and its gap at rest [m]: SUMO's passenger cars have 5 m and 1.5 m there (its default is 5 m and 2.5 m)."""
_NO_ROAD = {"internal", "crossing", "walkingarea", "connector"}
_ON_FOOT = {"pedestrian", "bicycle", "rail", "tram", "rail_urban", "rail_electric", "rail_fast", "ship", "subway", "cable_car", "aircraft"}
_AS = {
    "passenger": "car", "private": "car", "evehicle": "car", "hov": "car", "vip": "car", "custom1": "car", "custom2": "car",
    "army": "truck", "truck": "truck", "trailer": "truck", "delivery": "truck", "bus": "bus", "coach": "bus", "taxi": "taxi",
    "emergency": "emergency", "authority": "emergency", "motorcycle": "motorcycle", "moped": "motorcycle",
}  # fmt: skip


def vehicle_class(name: str) -> str:
    """Return the vehicle class of the toolkit for one of SUMO's; one that it does not know keeps its name."""
    return _AS.get(name, name)


@dataclass
class _Raw:
    """What a file says, as it was read."""

    nodes: dict[str, tuple[float, float]] = field(default_factory=dict)
    inner: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Length [m] and speed [m/s] of the lanes inside junctions."""
    lanes: list[tuple[str, str, int, str, str, float, float, str]] = field(default_factory=list)
    """Id, edge, index, nodes, length [m], speed [m/s], permission."""
    turns: list[_Turn] = field(default_factory=list)
    requests: dict[str, tuple[list[str], dict[int, str]]] = field(default_factory=dict)
    """Lanes inside each junction, and by their place the bits of those they give way to."""
    programs: dict[str, Program] = field(default_factory=dict)
    crs: str | None = None
    offset: tuple[float, float] = (0.0, 0.0)
    left_out: int = 0


@dataclass(frozen=True)
class _Turn:
    source: str
    target: str
    source_edge: str
    target_edge: str
    via: tuple[str, ...]
    signal: str
    place: int


def read_network(
    path: str | Path, additional: Iterable[str | Path] = (), *, reaction: float = REACTION, spacing: float = SPACING,
    limits: Limits | None = None,
) -> RoadNetwork:  # fmt: skip
    """Return a network with a link for every lane that vehicles may use.

    Links are named as the lanes, their object is the edge; their class is ``"allow bus"`` and the like where only some vehicles may use
    them (`closed_to` reads it). A lane is as long as it is and, in the mean of its turns, the lanes inside the junction.

    Parameters
    ----------
    path
        ``.net.xml``, plain or packed by gzip.
    additional
        Files with signal programs that replace those of the network; other elements in them are passed over.
    reaction, spacing
        Headway at the end of a lane is `reaction` [s] and `spacing` [m] over the speed of the turn.

    Raises
    ------
    FormatError, CorruptFileError, LimitError, UnsafeInputError
        If a file is no SUMO file, contradicts itself, is too large, or declares a DTD.
    """
    path, limits = Path(path), limits or Limits()
    raw = _Raw()
    known = {"edge": _edge, "junction": _junction, "connection": _connection, "tlLogic": _program, "location": _location}
    inner_turns: dict[str, str] = {}
    for element in elements(path, ("net",), limits):
        act = known.get(etree.QName(element).localname)
        if act is not None:
            act(element, raw, path, inner_turns)
    for one in additional:
        for element in elements(Path(one), ("additional", "add", "tlLogics", "net"), limits):
            if etree.QName(element).localname == "tlLogic":
                _program(element, raw, Path(one), inner_turns)
    raw.turns = [_through(turn, inner_turns, raw.inner) for turn in raw.turns]
    return _network(raw, path, reaction, spacing)


def closed_to(network: RoadNetwork, class_names: Sequence[str]) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Return which links are closed to which of some vehicle classes, as pairs of link ids and classes.

    SUMO's class ``ignoring`` may use every lane.
    """
    found: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, kind in zip(network.links["id"].to_pylist(), network.links["class"].to_pylist(), strict=True):
        if kind:
            barred = tuple(one for one in class_names if one != "ignoring" and not _may_use(kind, one))
            if barred:
                found[barred].append(name)
    return [(tuple(ids), classes) for classes, ids in found.items()]


def _may_use(permission: str, kind: str) -> bool:
    word, *names = permission.split()
    named = {vehicle_class(one) for one in names}
    return (kind in named or "all" in names) if word == "allow" else not (kind in named or "all" in names)


# ---------------------------------------------------------------- element by element


def _location(element: Element, raw: _Raw, path: Path, _: dict[str, str]) -> None:
    said = element.get("projParameter", "!")
    try:
        x, y = (float(one) for one in element.get("netOffset", "0,0").split(","))
    except ValueError as error:
        raise CorruptFileError(path, f"has netOffset={element.get('netOffset')!r}, expected two numbers", "write it again") from error
    if said not in ("!", "-", ""):
        raw.crs, raw.offset = said, (x, y)


def _edge(element: Element, raw: _Raw, path: Path, _: dict[str, str]) -> None:
    name, inside = text_of(element, "id", path), element.get("function", "normal") in _NO_ROAD
    for lane in element:
        if etree.QName(lane).localname != "lane":
            continue
        length, speed = number(lane, "length", path), number(lane, "speed", path)
        if not (length > 0 and speed > 0):
            raise CorruptFileError(
                path, f"has lane {lane.get('id')!r} of {length} m at {speed} m/s, expected more than 0", "write it again"
            )
        own = text_of(lane, "id", path)
        if inside:
            raw.inner[own] = (length, speed)
            continue
        allow, disallow = lane.get("allow"), lane.get("disallow")
        if (allow is not None and set(allow.split()) <= _ON_FOOT) or disallow == "all":
            raw.left_out += 1
            continue
        permission = f"allow {allow}" if allow not in (None, "all") else f"disallow {disallow}" if disallow else ""
        ends = text_of(element, "from", path), text_of(element, "to", path)
        raw.lanes.append((own, name, int(number(lane, "index", path)), *ends, length, speed, permission))


def _junction(element: Element, raw: _Raw, path: Path, _: dict[str, str]) -> None:
    if element.get("type") == "internal":
        return
    name = text_of(element, "id", path)
    raw.nodes[name] = (number(element, "x", path), number(element, "y", path))
    response = {int(number(one, "index", path)): one.get("response", "") for one in element if etree.QName(one).localname == "request"}
    raw.requests[name] = ((element.get("intLanes") or "").split(), response)


def _connection(element: Element, raw: _Raw, path: Path, inner_turns: dict[str, str]) -> None:
    source, target = text_of(element, "from", path), text_of(element, "to", path)
    lane, into = int(number(element, "fromLane", path)), int(number(element, "toLane", path))
    via = element.get("via")
    if source.startswith(":"):
        if via:
            inner_turns[f"{source}_{lane}"] = via
        return
    signal = element.get("tl", "")
    place = int(number(element, "linkIndex", path)) if signal else -1
    raw.turns.append(_Turn(f"{source}_{lane}", f"{target}_{into}", source, target, (via,) if via else (), signal, place))


def _program(element: Element, raw: _Raw, path: Path, _: dict[str, str]) -> None:
    raw.programs[text_of(element, "id", path)] = program_of(element, path)


def _through(turn: _Turn, onward: dict[str, str], inner: dict[str, tuple[float, float]]) -> _Turn:
    """Return a turn with all lanes that it passes inside the junction."""
    via = list(turn.via)
    while via and via[-1] in onward and onward[via[-1]] not in via:
        via.append(onward[via[-1]])
    known = tuple(one for one in via if one in inner)
    return _Turn(turn.source, turn.target, turn.source_edge, turn.target_edge, known, turn.signal, turn.place)


# ---------------------------------------------------------------- all together


def _network(raw: _Raw, path: Path, reaction: float, spacing: float) -> RoadNetwork:
    raw.lanes.sort(key=lambda lane: (lane[1], lane[2]))
    ids = [lane[0] for lane in raw.lanes]
    row = {name: k for k, name in enumerate(ids)}
    if len(row) < len(ids):
        raise CorruptFileError(path, f"names {len(ids) - len(row)} lanes twice", "write it again with netconvert")
    nodes = {name: k for k, name in enumerate(raw.nodes)}
    strange = sorted({end for lane in raw.lanes for end in lane[3:5]} - set(nodes))
    if strange:
        raise CorruptFileError(path, f"has edges that end at {len(strange)} junctions it lacks (first: {strange[0]})", "write it again")
    turns = [turn for turn in raw.turns if turn.source in row and turn.target in row]
    _follow(turns, raw, row, path)
    length, speed = (np.array([lane[k] for lane in raw.lanes]) for k in (5, 6))
    more, time, gap = _inside(turns, raw, row, speed, reaction, spacing)
    notes = [*_notes(raw, turns), f"lanes let go a vehicle every {reaction:g} s and {spacing:g} m over the speed of the turn"]
    signals, said = greens([(row[turn.source], row[turn.target], turn.signal, turn.place) for turn in turns], raw.programs)
    place = np.array(list(raw.nodes.values()), float).reshape(-1, 2) - np.array(raw.offset)
    made = RoadNetwork.of(
        list(raw.nodes), [nodes[lane[3]] for lane in raw.lanes], [nodes[lane[4]] for lane in raw.lanes], ids=ids,
        objects=[lane[1] for lane in raw.lanes], free_flow_time=length / speed + time, length=length + more, capacity=3600.0 / gap,
        lanes=1.0, classes=[lane[7] or None for lane in raw.lanes], assumed=[["capacity"]] * len(ids), x=place[:, 0], y=place[:, 1],
        crs=raw.crs,
    )  # fmt: skip
    banned, yields = _banned(turns, raw, row), _yields(turns, raw, row)
    return RoadNetwork(
        made.nodes, made.links, raw.crs, (*notes, *said), _rows(banned, BANNED), _rows(signals, SIGNALS), _rows(yields, YIELDS)
    )


def _rows(rows: Sequence[Sequence[float]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(schema)
    return pa.Table.from_arrays([pa.array(list(one), kind.type) for one, kind in zip(columns, schema, strict=True)], schema=schema)


def _follow(turns: list[_Turn], raw: _Raw, row: dict[str, int], path: Path) -> None:
    torn = [turn for turn in turns if raw.lanes[row[turn.source]][4] != raw.lanes[row[turn.target]][3]]
    if torn:
        reason = f"connects {len(torn)} pairs of lanes that do not meet (first: {torn[0].source} and {torn[0].target})"
        raise CorruptFileError(path, reason, "write it again with netconvert")


def _inside(
    turns: list[_Turn], raw: _Raw, row: dict[str, int], speed: np.ndarray, reaction: float, spacing: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return length [m] and time [s] that the turns out of each lane take in the mean, and the mean headway [s]."""
    count = len(raw.lanes)
    lane = np.array([row[turn.source] for turn in turns], np.int64)
    parts = [[raw.inner[one] for one in turn.via] for turn in turns]
    length = np.array([sum(one[0] for one in part) for part in parts], float)
    time = np.array([sum(one[0] / one[1] for one in part) for part in parts], float)
    pace = np.array([min((one[1] for one in part), default=np.inf) for part in parts], float)
    pace = np.minimum(pace, speed[lane]) if len(lane) else pace
    many = np.bincount(lane, minlength=count)
    mean = [np.bincount(lane, weights=one, minlength=count) / np.maximum(many, 1) for one in (length, time, reaction + spacing / pace)]
    return mean[0], mean[1], np.where(many > 0, mean[2], reaction + spacing / speed)


def _banned(turns: list[_Turn], raw: _Raw, row: dict[str, int]) -> list[tuple[int, int]]:
    """Return the turns from a lane into any lane of an edge that it is not connected to."""
    connected = {(turn.source, turn.target_edge) for turn in turns}
    leaving = defaultdict(list)
    for lane in raw.lanes:
        leaving[lane[3]].append((lane[1], row[lane[0]]))
    return [(row[lane[0]], target) for lane in raw.lanes for edge, target in leaving[lane[4]] if (lane[0], edge) not in connected]


def _yields(turns: list[_Turn], raw: _Raw, row: dict[str, int]) -> list[tuple[int, int, int, int]]:
    """Return who gives way to whom, by the request matrices."""
    by_lane = {one: turn for turn in turns for one in turn.via}
    made = []
    for lanes, responses in raw.requests.values():
        there = [by_lane.get(one) for one in lanes]
        for k, bits in responses.items():
            mine = there[k] if k < len(there) else None
            if mine is None:
                continue
            for j, bit in enumerate(reversed(bits)):
                other = there[j] if j < len(there) else None
                if bit == "1" and other is not None and other.source != mine.source:
                    made.append((row[mine.source], row[mine.target], row[other.source], row[other.target]))
    return sorted(set(made))


def _notes(raw: _Raw, turns: list[_Turn]) -> list[str]:
    notes = []
    if raw.left_out:
        notes.append(f"{raw.left_out} lanes for pedestrians, bicycles or rails, or for nobody, are left out")
    if len(turns) < len(raw.turns):
        notes.append(f"{len(raw.turns) - len(turns)} connections of lanes that are left out are left out too")
    restricted = sum(bool(lane[7]) for lane in raw.lanes)
    if restricted:
        notes.append(f"{restricted} lanes are for some vehicle classes only; close them to the others by `closed_to`")
    return notes
