"""Lanes, free speed and capacity of the links of a city: what the links say, and by class what they do not.

Lanes, speed and capacity that nobody states are those of the class of the link in ``road_classes.json``. A link that ends at traffic
lights of which no programme is known lets through what its lanes do in the green: saturation flow times share of green, where that is less.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.numeric import floats

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Texts = NDArray[np.object_]

__all__ = ["GREEN", "SAID", "SATURATION", "Direction", "RoadClass", "Supply", "road_classes", "signalled", "supply"]

SATURATION = 1900.0
"""Vehicles [veh/h] that a lane lets through in the green: base saturation flow of HCM 2010, chapter 18, for passenger cars."""
GREEN = 0.45
"""Share of green: two phases alike in a cycle of 90 s, of which each loses 4 s (HCM 2010, chapter 18), are green for 0.456 of it."""
SAID: Mapping[str, pa.DataType] = {
    "class": pa.string(), "assumed": pa.list_(pa.string()),
    **{f"{name}{side}": pa.float64() for name in ("lanes", "speed_limit") for side in ("", "_forward", "_backward")},
    "lanes_both_ways": pa.float64(),
}  # fmt: skip
"""What is read of the JSON of links."""


@dataclass(frozen=True)
class RoadClass:
    """What is assumed of a link whose source does not say."""

    lanes: float
    """Per direction."""
    speed: float
    """Free speed [m/s]."""
    capacity: float
    """[veh/h] per lane."""


@cache
def road_classes() -> Mapping[str, RoadClass]:
    """Return the classes that are known, with their source in ``road_classes.json``.

    Examples
    --------
    >>> road_classes()["residential"].capacity
    600.0
    """
    table = json.loads(files(__package__).joinpath("road_classes.json").read_text(encoding="utf-8"))["classes"]
    return {name: RoadClass(float(one["lanes"]), one["speed"] / 3.6, float(one["capacity"])) for name, one in table.items()}


@dataclass(frozen=True)
class Direction:
    """Directed links, as pieces of the links of the city."""

    row: Ints
    """Row of the link in the table that is read."""
    back: Bools
    """Whether it goes against the link."""
    shared: Bools
    """Whether the link is open both ways."""


@dataclass(frozen=True)
class Supply:
    """What directed links carry."""

    lanes: Reals
    speed: Reals
    """[m/s]"""
    capacity: Reals
    """[veh/h] of all lanes."""
    assumed: list[list[str]]
    notes: list[str]


def supply(said: pa.Table, kind: Texts, way: Direction, lights: Bools, known: Mapping[str, RoadClass], green: float | None) -> Supply:
    """Return what directed links carry, what of it is assumed, and the notes on that.

    Parameters
    ----------
    said
        Columns of `SAID`, one row per link of the city.
    kind : shape (m,)
        Class of each directed link.
    lights : shape (m,)
        Where a directed link ends at traffic lights without a programme.
    green
        Share of green of these lights; None: they hold nobody up.
    """
    count = len(way.row)
    lanes, speed = _lanes(said, way), _either(said, "speed_limit", way)
    names, code = np.unique(kind.astype(str), return_inverse=True)
    default = np.array([(known[one].lanes, known[one].speed, known[one].capacity) for one in names.tolist()], float).reshape(-1, 3)[code]
    no_lanes, no_speed = ~(lanes > 0), ~(speed > 0)
    narrow = ~no_lanes & (lanes < 1)
    lanes, speed = np.where(no_lanes, default[:, 0], np.maximum(lanes, 1.0)), np.where(no_speed, default[:, 1], speed)
    capacity = lanes * default[:, 2]
    notes = [f"capacity of {count} links is assumed by class"]
    notes += [f"{name} of {int(missing.sum())} links {verb} assumed by class" for name, verb, missing in
              (("lanes", "are", no_lanes), ("free speed", "is", no_speed)) if missing.any()]  # fmt: skip
    if no_speed.any():
        used = np.unique(code[no_speed])
        values = ", ".join(f"{names[one] or 'no class'} {known[names[one]].speed * 3.6:.0f}" for one in used)
        notes.append(f"free speeds by class: {values} km/h")
    if narrow.any():
        notes.append(f"{int(narrow.sum())} links have one lane for both directions, which is counted in each")
    held = np.zeros(count, bool)
    if green is not None and lights.any():
        held = lights & (lanes * SATURATION * green < capacity)
        capacity = np.where(held, lanes * SATURATION * green, capacity)
        told = f"{int(lights.sum())} links end at traffic lights without a programme, assumed to be green {green:g} of the time"
        notes.append(f"{told}: with {SATURATION:g} veh/h per lane in the green that is the capacity of {int(held.sum())} of them")
    flags = {"capacity": np.ones(count, bool), "lanes": no_lanes | narrow, "signals": held, "speed": no_speed}
    return Supply(lanes, speed, capacity, _assumed(said, way, flags, notes), notes)


def _either(said: pa.Table, name: str, way: Direction) -> Reals:
    """Return what is said of the direction, else of the link."""
    whole, forward, backward = (floats(said[f"{name}{side}"])[way.row] for side in ("", "_forward", "_backward"))
    own = np.where(way.back, backward, forward)
    return np.asarray(np.where(own > 0, own, whole), float)


def _lanes(said: pa.Table, way: Direction) -> Reals:
    """Return lanes of the direction: as stated, else what the other direction leaves of all, else half of all."""
    whole, forward, backward, middle = (
        floats(said[name])[way.row] for name in ("lanes", "lanes_forward", "lanes_backward", "lanes_both_ways")
    )
    own, other = np.where(way.back, backward, forward), np.where(way.back, forward, backward)
    through = np.maximum(whole - np.nan_to_num(middle), 1.0)
    rest = np.where(other > 0, through - other, through / 2)
    return np.asarray(np.where(own > 0, own, np.where(way.shared, rest, whole)), float)


def _assumed(said: pa.Table, way: Direction, flags: Mapping[str, Bools], notes: list[str]) -> list[list[str]]:
    """Return what is assumed of each directed link, what its source marks included."""
    code = np.zeros(len(way.row), np.int64)
    for bit, flag in enumerate(flags.values()):
        code |= flag.astype(np.int64) << bit
    names = list(flags)
    told = {value: [name for bit, name in enumerate(names) if value >> bit & 1] for value in np.unique(code).tolist()}
    found = [told[value] for value in code.tolist()]
    marked = np.asarray(pc.fill_null(pc.list_value_length(said["assumed"]), 0).to_numpy())[way.row] > 0
    if marked.any():
        source = said["assumed"].to_pylist()
        for at in np.flatnonzero(marked).tolist():
            found[at] = sorted({*found[at], *source[int(way.row[at])]})
        notes.append(f"{int(marked.sum())} links have assumptions of their source, such as a derived centreline; they stand in `assumed`")
    return found


def signalled(attributes: pa.ChunkedArray, ends: tuple[Texts, Texts], way: Direction) -> Bools:
    """Return which directed links end at traffic lights, or have them on the way.

    Parameters
    ----------
    attributes
        JSON of the links of the city.
    ends
        Names of the first and last node of the links of the city.
    """
    here = np.asarray(pc.fill_null(pc.match_substring(attributes, '"highway=traffic_signals"'), False).to_numpy(), bool)
    between, last = np.zeros((2, len(here)), bool)
    first = np.zeros(len(here), bool)
    rows = np.flatnonzero(here)
    for row, text in zip(rows.tolist(), attributes.take(pa.array(rows)).to_pylist(), strict=True):
        controls: dict[str, Any] = json.loads(text).get("controls") or {}
        nodes = {node for node, what in controls.items() if what == "highway=traffic_signals"}
        first[row], last[row] = ends[0][row] in nodes, ends[1][row] in nodes
        between[row] = bool(nodes - {ends[0][row], ends[1][row]})
    return np.asarray(between[way.row] | np.where(way.back, first[way.row], last[way.row]))
