"""The network of pedestrians: roads and paths of a city, both ways, at walking speed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model.link_json import said_by_links
from cim.model.link_lines import LinkLines, link_lines
from cim.model.road_network import RoadNetwork
from cim.scenario.network import closures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["FAMILIES", "walked_ids", "walking_network"]

FAMILIES = ("road", "path")
"""Networks of the table `links` that pedestrians walk on."""
_NO_WALKING = pa.array(["motorway", "motorway_link", "trunk", "trunk_link", "busway", "raceway"])
_SHUT = pa.array(["no", "private"])
_LANE = 1e9
"""Capacity of a path [persons/h]: no crowd is reckoned with, only a number above 0 is asked for."""


def walking_network(city: City, *, speed: float = 1.2) -> RoadNetwork:
    """Return the roads and paths of a city as pedestrians use them: both ways, whatever holds for cars.

    Motorways, trunk roads and what is closed to pedestrians for good are left out. Links have the ids ``object:from>to``.

    Parameters
    ----------
    speed
        Of walking [m/s].

    Raises
    ------
    UsageError
        If the city has no links that a pedestrian may use.
    """
    found = _walked(city)
    a, b = found.ends
    x, y = _places(found.lines, found.names)
    far = np.repeat(found.length, 2)
    notes = [*found.notes, f"pedestrians walk at {speed:g} m/s on roads and paths, both ways"]
    return RoadNetwork.of(
        found.names.tolist(), np.stack([a, b], axis=1).reshape(-1), np.stack([b, a], axis=1).reshape(-1), free_flow_time=far / speed,
        capacity=_LANE, length=far, b=0.0, ids=found.ids, objects=found.objects, x=x, y=y, crs=city.crs.to_string(), notes=notes,
    )  # fmt: skip


def walked_ids(city: City) -> dict[int, list[str]]:
    """Return the ids of the links of `walking_network`, both directions, by the key of the link of the city."""
    found = _walked(city)
    return {key: found.ids[2 * k : 2 * k + 2] for k, key in enumerate(found.key.tolist())}


class _Walked(NamedTuple):
    """Links that pedestrians use, one row each; `ids` and `objects` have two: there and back."""

    lines: list[LinkLines]
    key: Ints
    length: Floats
    names: NDArray[np.str_]
    """Of the nodes."""
    ends: tuple[Ints, Ints]
    """Rows of `names`."""
    ids: list[str]
    objects: list[str]
    notes: list[str]


def _walked(city: City) -> _Walked:
    lines = [link_lines(city, name) for name in FAMILIES]
    key, owner, length = (np.concatenate([getattr(one, name) for one in lines]) for name in ("key", "object", "length"))
    begin, end = (np.concatenate([getattr(one, side) for one in lines]) for side in ("from_node", "to_node"))
    shut, notes = _shut(city, key)
    named = np.array([a is not None and z is not None for a, z in zip(begin.tolist(), end.tolist(), strict=True)], bool)
    known = np.isfinite(length) & named
    if (~known & ~shut).any():
        notes.append(f"{int((~known & ~shut).sum())} links without a length or a node are left out")
    rows = np.flatnonzero(known & ~shut)
    if not len(rows):
        msg = "reach: the city has no roads or paths with a length that a pedestrian may use; read a network into it"
        raise UsageError(msg)
    names, place = np.unique(np.concatenate([begin[rows], end[rows]]).astype(str), return_inverse=True)
    a, b = np.split(place.reshape(-1), 2)
    tail, head = np.stack([a, b], axis=1).reshape(-1), np.stack([b, a], axis=1).reshape(-1)
    objects = np.repeat(np.array(city.ids(owner[rows]), object), 2).tolist()
    ids = _unique([f"{who}:{names[u]}>{names[v]}" for who, u, v in zip(objects, tail.tolist(), head.tolist(), strict=True)])
    return _Walked(lines, key[rows], length[rows], names, (a, b), ids, objects, notes)


def _shut(city: City, keys: Ints) -> tuple[Bools, list[str]]:
    """Return which links no pedestrian may use, and how many."""
    table = city.tables["links"]
    said = said_by_links(table["attributes"], {"class": pa.string(), "access": pa.struct([("foot", pa.string()), ("access", pa.string())])})
    foot, every = (pc.struct_field(said["access"], name) for name in ("foot", "access"))
    barred = pc.is_in(pc.coalesce(foot, every), value_set=_SHUT)
    fast = pc.and_(pc.is_in(said["class"], value_set=_NO_WALKING), pc.invert(pc.fill_null(pc.equal(foot, "yes"), fill_value=False)))
    gone = {one.link for one in closures(city) if not one.start and not one.until and (not one.classes or "pedestrian" in one.classes)}
    shut = np.asarray(pc.or_(barred, fast).to_numpy(), bool) | np.isin(table["key"].to_numpy(), list(gone))
    mine = shut[np.searchsorted(table["key"].to_numpy(), keys)]
    count = int(mine.sum())
    return mine, [f"{count} links that are motorways, or closed to pedestrians for good, are left out"] if count else []


def _places(found: list[LinkLines], names: NDArray[np.str_]) -> tuple[Floats, Floats]:
    """Return where nodes lie, from the first network that says it."""
    both = [one.places_of(names) for one in found]
    place = np.where(np.isfinite(both[0]), both[0], both[1])
    return place[:, 0], place[:, 1]


def _unique(ids: list[str]) -> list[str]:
    seen: Counter[str] = Counter()
    made = []
    for one in ids:
        seen[one] += 1
        made.append(one if seen[one] == 1 else f"{one}#{seen[one]}")
    return made
