"""Roads and their links: the water along the line, cell by cell, and which vehicles it lets pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.model.link_lines import link_lines
from cim.model.numeric import numbers
from cim.results.columns import column
from cim.sim.impact.hazard import passable
from cim.sim.impact.places import MEASURED, Places, line_places, measure, ring_places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.sim.impact.parameters import ImpactParameters, VehicleLimits
    from cim.sim.impact.water import Water

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Pieces", "read_areas", "read_links", "read_roads", "road_columns", "road_schema"]

_TYPES = ("Road", "Railway")
_LINES = (1, 5)
_AREAS = (3, 6)


@dataclass(frozen=True)
class Pieces:
    """Roads, or the links of roads, as columns."""

    ids: NDArray[np.object_]
    shapes: NDArray[np.object_]
    reason: NDArray[np.object_]
    """Why a piece cannot be assessed, None where it can."""
    place: NDArray[np.object_]
    """Which link of its road a piece is: number, first and last node."""
    length: Floats
    """Length of the link [m]: as its network states it, else of its line."""


def road_schema(limits: ImpactParameters, *, links: bool) -> pa.Schema:
    """Return the columns of a table of roads or of their links."""
    place = [column("place", pa.string(), en="link", zh="路段"), column("length", pa.float64(), unit="m", en="length", zh="长度")]
    return pa.schema(
        [
            pa.field("object", pa.string()),
            *(place if links else [column("shape", pa.string(), en="line or area", zh="线或面")]),
            *MEASURED,
            *(column(f"passable_{name}", pa.string(), en=f"passable, {name.replace('_', ' ')}", zh="可通行") for name in limits.vehicles),
            column("cells", pa.int64(), en="cells", zh="单元数"),
            column("unknown", pa.float64(), en="share not known", zh="未知比例"),
        ]
    )


def read_roads(city: City, water: Water, limits: ImpactParameters) -> tuple[Ints, Pieces]:
    """Return the keys of all roads, and the roads as pieces."""
    import shapely

    keys = np.sort(np.concatenate([np.empty(0, np.int64), *(city.keys(type) for type in _TYPES if type in city.types())]))
    shapes = city.footprints(keys) if len(keys) else np.empty(0, object)
    kind = shapely.get_type_id(shapes) if len(keys) else np.empty(0, np.int64)
    ids = np.asarray(city.ids(keys), object) if len(keys) else np.empty(0, object)
    reason = _crossing_reasons(city, keys, limits, _opened(ids, water))
    reason[~np.isin(kind, _LINES + _AREAS)] = "missing_footprint"
    return keys, Pieces(ids, shapes, reason, np.full(len(keys), "", object), np.full(len(keys), np.nan))


def read_areas(pieces: Pieces) -> Bools:
    """Return which pieces are areas, not lines."""
    import shapely

    return np.isin(shapely.get_type_id(pieces.shapes), _AREAS) if len(pieces.ids) else np.zeros(0, bool)


def _opened(ids: NDArray[np.object_], water: Water) -> Bools:
    """Return which ways the run has the ground of, although something stands on them."""
    return np.array([one in water.open_ways for one in ids.tolist()], bool)


def _crossing_reasons(city: City, keys: Ints, limits: ImpactParameters, opened: Bools) -> NDArray[np.object_]:
    """Return why the water on the terrain is not that on the road: it runs over or under it."""
    reason = np.full(len(keys), None, object)
    layer = numbers(city, "layer", keys) if len(keys) else np.empty(0)
    bridge, tunnel = _said(city, "bridge", keys), _said(city, "tunnel", keys)
    with np.errstate(invalid="ignore"):
        under = tunnel | ((layer < 0) & ~bridge)
        over = bridge | ((layer > 0) & ~tunnel)
    if limits.tunnels == "not_assessed":
        reason[under & ~opened] = "in_a_tunnel"
    reason[over] = "on_a_bridge"
    return reason


def _said(city: City, name: str, keys: Ints) -> Bools:
    """Return where a text attribute says something but "no"."""
    found = np.zeros(len(keys), bool)
    if not len(keys):
        return found
    types = np.asarray(city.core_rows(["type"], keys)["type"].to_pylist(), object)
    for type in dict.fromkeys(types.tolist()):
        if name in city.attributes.schema(type).names:
            mine = types == type
            values = [str(one).strip().lower() for one in city.column(type, name, keys[mine]).to_pylist()]
            found[mine] = ~np.isin(np.array(values, str), ["none", "no", "false", "0", "", "nan"])
    return found


def read_links(city: City, keys: Ints, roads: Pieces) -> Pieces:
    """Return the links of the roads, in the order of the roads; a road that is a line and has no links is one piece."""
    import shapely

    line = np.isin(shapely.get_type_id(roads.shapes), _LINES) if len(keys) else np.zeros(0, bool)
    found = link_lines(city, None)
    row = np.minimum(np.searchsorted(keys, found.object), max(len(keys) - 1, 0))
    mine = np.flatnonzero((keys[row] == found.object) & (line[row] | ~found.missing)) if len(keys) else np.empty(0, np.int64)
    mine = mine[np.argsort(row[mine], kind="stable")]
    row = row[mine]
    bare = np.flatnonzero(line & (np.bincount(row, minlength=len(keys)) == 0))
    number = np.arange(len(row)) - np.searchsorted(row, row) + 1
    ends = [["?" if one is None else one for one in side[mine].tolist()] for side in (found.from_node, found.to_node)]
    place = [f"{at}: {start} - {end}" for at, start, end in zip(number.tolist(), *ends, strict=True)]
    reason = roads.reason[row].copy()
    reason[found.missing[mine]] = "missing_line"
    every = np.concatenate([row, bare])
    order = np.argsort(every, kind="stable")
    length = np.concatenate([found.length[mine], np.full(len(bare), np.nan)])
    return Pieces(
        roads.ids[every][order], np.concatenate([found.lines[mine], roads.shapes[bare]])[order],
        np.concatenate([reason, roads.reason[bare]])[order], np.array([*place, *["1"] * len(bare)], object)[order], length[order],
    )  # fmt: skip


def road_columns(pieces: Pieces, water: Water, limits: ImpactParameters, roofs: Bools, *, areas: bool = False) -> dict[str, Any]:
    """Return the measured columns and what each class of vehicle can pass."""
    places = ring_places(pieces.shapes, np.zeros_like(roofs), water.place, 0.0) if areas else line_places(pieces.shapes, water.place)
    reason = np.where([one is None for one in pieces.reason], places.reason, pieces.reason)
    places = Places(places.count, places.row, places.cell, places.weight, places.beyond, reason)
    covered = places.under(roofs) & ~_opened(pieces.ids, water)[places.row]
    found = measure(places, water, limits, covered)
    for name, vehicle in limits.vehicles.items():
        found[f"passable_{name}"] = _passable(places, water, found, vehicle, covered, limits.unknown_share)
    return {"object": pieces.ids, "place": pieces.place, "length": pieces.length, **found}


def _passable(
    places: Places, water: Water, found: dict[str, Any], vehicle: VehicleLimits, covered: Bools, share: float
) -> NDArray[np.object_]:  # fmt: skip
    """Return "yes", "no" or "not_assessed": one known cell is enough for no, every cell must be known for yes."""
    depth, velocity, product = (places.at(one) for one in (water.depth, water.velocity, water.depth_velocity))
    depth[covered] = np.nan
    still = ~np.isnan(depth) & np.isnan(velocity)
    with np.errstate(invalid="ignore"):
        too_deep = (depth > vehicle.depth) | (product > vehicle.depth_velocity) | (velocity > vehicle.velocity)
        fine = passable(depth, np.where(still & (depth == 0), 0.0, velocity), np.where(still & (depth == 0), 0.0, product), vehicle)
    stopped = np.bincount(places.row, too_deep, places.count) > 0
    unsure = (np.bincount(places.row, ~fine & ~too_deep & ~np.isnan(depth), places.count) > 0) | (found["unknown"] > share) | places.beyond
    answer = np.where(stopped, "no", np.where(unsure, "not_assessed", "yes"))
    return np.where(found["status"] == "not_assessed", "not_assessed", answer).astype(object)
