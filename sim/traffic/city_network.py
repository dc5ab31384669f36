"""The road network of a city: its links as directed ones, each naming the road object it is a piece of, what is assumed marked.

Links come from the table `links` of the model, whatever file they were read from. Lanes, speed and capacity that no source states are those
of the link's class in ``road_classes.json``; which of them were assumed stands with every link, and how often in the notes.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model.road_network import RoadNetwork
from cim.scenario.network import closures, network_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cim.model import City

    Reals = NDArray[np.float64]

__all__ = ["RoadClass", "road_classes", "road_network"]

_SHUT = frozenset({"no", "private", "agricultural", "forestry", "emergency", "military"})
_MODES = ("motorcar", "motor_vehicle", "vehicle", "access")
"""Whose access counts for a car, the first that is stated (OpenStreetMap's hierarchy of modes)."""


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


def road_network(city: City, *, classes: Mapping[str, RoadClass] | None = None) -> RoadNetwork:
    """Return the links of a city that a car may use.

    A link of both directions becomes two. Their ids are ``object:from>to``: the same road keeps them in every option.

    Parameters
    ----------
    classes
        Values to assume instead of `road_classes`, by class.

    Raises
    ------
    UsageError
        If the city has no links of roads.
    """
    known = {**road_classes(), **(classes or {})}
    table = city.tables["links"].filter(pc.field("network") == "road")
    if not table.num_rows:
        msg = "traffic: the city has no road links; read a network (OpenStreetMap, centrelines) into it, or fuse one with it"
        raise UsageError(msg)
    told = [json.loads(one) if one else {} for one in table["attributes"].to_pylist()]
    kind = np.array([one.get("class") or "" for one in told], object)
    drivable, notes = _drivable(kind, told, known)
    rows = np.flatnonzero(drivable)
    way = np.array(table["direction"].to_pylist(), object)
    forward, backward = rows[way[rows] != "backward"], rows[way[rows] != "forward"]
    row = np.concatenate([forward, backward])
    back = np.concatenate([np.zeros(len(forward), bool), np.ones(len(backward), bool)])
    order = np.lexsort((back, row))
    row, back = row[order], back[order]
    free, closed = _open(city, table, row, back)
    row, back = row[free], back[free]
    ends = np.array([table["from_node"].to_pylist(), table["to_node"].to_pylist()], object)
    tail, head = np.where(back, ends[1][row], ends[0][row]), np.where(back, ends[0][row], ends[1][row])
    nodes, place = np.unique(np.concatenate([tail, head]).astype(str), return_inverse=True)
    lanes, speed, capacity, assumed, said = _supply([told[k] for k in row.tolist()], back, kind[row], way[row] == "both", known)
    length = np.asarray(table["length"].to_numpy(), float)[row]
    objects = city.ids(table["object"].to_numpy()[row])
    x, y = _places(city, nodes)
    ids = _unique([f"{owner}:{a}>{z}" for owner, a, z in zip(objects, tail.tolist(), head.tolist(), strict=True)])
    return RoadNetwork.of(
        nodes.tolist(), place[: len(row)], place[len(row) :], free_flow_time=length / speed, capacity=lanes * capacity, length=length,
        lanes=lanes, ids=ids, objects=objects, classes=kind[row].tolist(), assumed=assumed, x=x, y=y, crs=city.crs.to_string(),
        notes=[*notes, *closed, *said],
    )  # fmt: skip


def _drivable(kind: NDArray[Any], told: Sequence[Mapping[str, Any]], known: Mapping[str, RoadClass]) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which links a car may use, and how many not and why."""
    unknown = ~np.isin(kind, list(known))
    shut = np.array([_access(one.get("access")) in _SHUT for one in told], bool)
    notes = []
    if unknown.any():
        names = ", ".join(f"{count} {name or 'without a class'}" for name, count in Counter(kind[unknown].tolist()).most_common(5))
        notes.append(f"{int(unknown.sum())} links of classes that no car drives on, or that are not known, are left out ({names})")
    if (shut & ~unknown).any():
        notes.append(f"{int((shut & ~unknown).sum())} links that are closed to the public are left out")
    return ~unknown & ~shut, notes


def _access(said: Any) -> str:
    """Return what is said of a car, the most special word first."""
    if isinstance(said, dict):
        return next((str(said[mode]) for mode in _MODES if said.get(mode)), "")
    return str(said or "")


def _supply(
    told: Sequence[Mapping[str, Any]],
    back: NDArray[np.bool_],
    kind: NDArray[Any],
    shared: NDArray[np.bool_],
    known: Mapping[str, RoadClass],
) -> tuple[Reals, Reals, Reals, list[list[str]], list[str]]:
    """Return lanes, free speed [m/s] and capacity per lane of directed links, what of it is assumed, and the notes on that."""
    lanes, speed = np.full(len(told), np.nan), np.full(len(told), np.nan)
    for k, (one, backward) in enumerate(zip(told, back.tolist(), strict=True)):
        side = "backward" if backward else "forward"
        both = one.get("lanes")
        stated = one.get(f"lanes_{side}") or (both / 2 if both and shared[k] else both)
        lanes[k] = max(float(stated), 1.0) if stated else np.nan
        limit = one.get(f"speed_limit_{side}") or one.get("speed_limit")
        speed[k] = float(limit) if limit else np.nan
    default = [known[name] for name in kind.tolist()]
    no_lanes, no_speed = np.isnan(lanes), ~(speed > 0)
    lanes = np.where(no_lanes, [one.lanes for one in default], lanes)
    speed = np.where(no_speed, [one.speed for one in default], speed)
    capacity = np.array([one.capacity for one in default], float)
    assumed = [["capacity", *["lanes"] * a, *["speed"] * b] for a, b in zip(no_lanes.tolist(), no_speed.tolist(), strict=True)]
    notes = [f"capacity of {len(told)} links is assumed by class"]
    notes += [f"{name} of {int(missing.sum())} links {verb} assumed by class" for name, verb, missing in
              (("lanes", "are", no_lanes), ("free speed", "is", no_speed)) if missing.any()]  # fmt: skip
    return lanes, speed, capacity, assumed, notes


def _places(city: City, nodes: NDArray[Any]) -> tuple[Reals, Reals]:
    """Return where nodes lie [m], not a number where no road says it."""
    found = network_of(city, "road")
    at = np.searchsorted(found.names.astype(str), nodes)
    hit = at < len(found.names)
    hit[hit] = found.names[at[hit]] == nodes[hit]
    x, y = np.full((2, len(nodes)), np.nan)
    x[hit], y[hit] = found.places[at[hit]].T
    return x, y


def _open(city: City, table: pa.Table, row: NDArray[np.int64], back: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], list[str]]:
    """Return which directed links are not closed to cars for good, and what is to be told of closures."""
    keys = np.asarray(table["key"].to_numpy(), np.int64)
    shut: set[tuple[int, bool]] = set()
    timed = 0
    for one in closures(city):
        if one.classes and "car" not in one.classes:
            continue
        if one.start is not None or one.until is not None:
            timed += 1
            continue
        shut |= {(one.link, side) for side in (False, True) if one.direction in ("both", "backward" if side else "forward")}
    free = np.array([(key, side) not in shut for key, side in zip(keys[row].tolist(), back.tolist(), strict=True)], bool)
    notes = [f"{int((~free).sum())} directions of links that the city closes to cars for good are left out"] if not free.all() else []
    return free, notes + ([f"{timed} closures with a beginning or an end are not in the network"] if timed else [])


def _unique(ids: list[str]) -> list[str]:
    """Return ids with a number behind each that occurred before: two pieces of one road may join the same nodes."""
    seen: Counter[str] = Counter()
    made = []
    for one in ids:
        seen[one] += 1
        made.append(one if seen[one] == 1 else f"{one}#{seen[one]}")
    return made
