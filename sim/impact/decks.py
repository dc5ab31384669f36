"""How high the decks of bridges lie: what the model states, else the faces of the bridge, else the terrain with its decks.

Water under a deck is no water on the road; water that stands above it is. A bridge of which none of the three is known is not assessed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from cim.errors import CimError
from cim.model.geometry import triangulate
from cim.model.numeric import numbers
from cim.sim.flood.decks import RAISED
from cim.sim.terrain import read_terrain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.sim.impact.places import Places
    from cim.sim.impact.road_pieces import Pieces
    from cim.sim.impact.water import Water

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Decks", "read_decks"]

_TYPES = ("Bridge", "BridgePart", "BridgeConstructiveElement")
_FLAT = 0.9
"""Vertical part of the unit normal of a face that one can drive on: up to 26 degrees."""
_LOW = 0.25
"""Share of the upper faces over and under the road that may belong to piers and their feet: the deck is looked for above it."""

_AROUND = 20.0
"""Margin around bridges in which the terrain is read [units of the map]."""


@dataclass(frozen=True)
class Decks:
    """The decks under the pieces of roads on bridges."""

    level: Floats
    """Of each pair of piece and cell: elevation of the deck [m]; NaN where the road is on the ground, or the deck not known."""
    source: NDArray[np.object_]
    """Of each piece: "stated", "model" or "terrain" of a bridge, "beside" over an underpass; None where it has none or nothing tells."""

    def notes(self) -> list[str]:
        """Name and count what was taken for the level of decks."""
        bridge = "on bridges: the level of the deck is"
        words = {
            "stated": f"{bridge} stated by the model; water below it does not count",
            "model": f"{bridge} read from the upper faces of the bridge; water below it does not count",
            "terrain": f"{bridge} taken from the terrain, which lies above the ground of the run; water below it does not count",
            "beside": "over an underpass: they lie on the straight line between the ground on both sides",
        }
        return [f"{count:,} pieces of road {said}" for name, said in words.items() if (count := int((self.source == name).sum()))]


def read_decks(city: City, pieces: Pieces, places: Places, water: Water, attribute: str) -> Decks:
    """Return the decks of pieces on bridges, where heights of city and water can be compared.

    Parameters
    ----------
    pieces
        Lines.
    attribute
        Of a road, or of the bridge that it lies on: elevation of the deck [m].
    """
    bridge = pieces.on_bridge
    level, source = np.full(len(places.row), np.nan), np.full(len(bridge), None, object)
    mine = np.flatnonzero(bridge[places.row])
    if not len(mine) or not water.comparable:
        return Decks(level, source)
    xy = _middles(pieces, places, mine)
    row = places.row[mine]
    for name, found in (
        ("stated", _stated(city, pieces, bridge, attribute)[row]),
        ("model", _modelled(city, xy, row)),
        ("terrain", _on_terrain(city, xy, row, water.ground, places.cell[mine])),
    ):
        filled = _filled(found, row)
        new = np.isnan(level[mine]) & ~np.isnan(filled)
        source[np.unique(row[new])] = name
        level[mine[new]] = filled[new]
    return Decks(level, source)


def _middles(pieces: Pieces, places: Places, pairs: Ints) -> Floats:
    """Return the middle of the way that each pair has in its cell."""
    import shapely

    along = np.cumsum(places.weight)
    start = along[np.searchsorted(places.row, places.row[pairs])] - places.weight[np.searchsorted(places.row, places.row[pairs])]
    distance = along[pairs] - places.weight[pairs] / 2 - start
    return np.asarray(shapely.get_coordinates(shapely.line_interpolate_point(pieces.shapes[places.row[pairs]], distance)), float)


def _stated(city: City, pieces: Pieces, bridge: Bools, attribute: str) -> Floats:
    """Return what roads, else the bridges that they lie on, state of their decks; NaN where nothing."""
    import shapely

    found = np.full(len(bridge), np.nan)
    at = np.flatnonzero(bridge)
    found[at] = numbers(city, attribute, city.key_of(pieces.ids[at].tolist()))
    keys = city.keys("Bridge") if "Bridge" in city.types() else np.empty(0, np.int64)
    if len(keys):
        levels, shapes = numbers(city, attribute, keys), city.footprints(keys)
        usable = ~np.isnan(levels) & ~shapely.is_missing(shapes)
        lines, bridges = shapely.STRtree(shapes[usable]).query(pieces.shapes[at], predicate="intersects")[:2]
        lowest = np.full(len(at), np.inf)
        np.minimum.at(lowest, lines, levels[usable][bridges])
        found[at] = np.where(np.isnan(found[at]) & np.isfinite(lowest), lowest, found[at])
    return found


def _modelled(city: City, xy: Floats, row: Ints) -> Floats:
    """Return the level of the upper face of a bridge at points, NaN where there is none.

    Over and under a road lie arches, piers and their feet too. The deck is the face that lies nearest to the lower quartile of all that is
    found along the piece.
    """
    import shapely

    corners = _upper_faces(city)
    found = np.full(len(xy), np.nan)
    if not len(corners):
        return found
    point, face = shapely.STRtree(shapely.polygons(corners[:, :, :2])).query(shapely.points(xy), predicate="intersects")
    if not len(point):
        return found
    z = _heights(corners[face], xy[point])
    order = np.lexsort((z, row[point]))
    ranked, owner = z[order], row[point][order]
    first = np.searchsorted(owner, row[point])
    count = np.searchsorted(owner, row[point], side="right") - first
    middle = ranked[first + np.floor(_LOW * (count - 1)).astype(np.int64)]
    nearest = np.lexsort((np.abs(z - middle), point))
    best = nearest[np.concatenate([[True], point[nearest][1:] != point[nearest][:-1]])]
    found[point[best]] = z[best]
    return found


def _upper_faces(city: City) -> Floats:
    """Return the triangles of bridges that face upward and are nearly level, shape (n, 3, 3), absolute; of the finest LoD from 2 on."""
    keys = [city.keys(type) for type in _TYPES if type in city.types()]
    none = np.empty((0, 3, 3))
    if not keys:
        return none
    table = city.geometry_table(keys=np.sort(np.concatenate(keys)))
    table = table.filter(pc.and_(pc.is_in(table["type"], value_set=_SURFACES), pc.greater_equal(table["lod"], "2")))
    if not table.num_rows:
        return none
    owner, lod = table["object"].to_numpy(), np.array(table["lod"].to_pylist(), str)
    finest = {one: max(lod[owner == one]) for one in np.unique(owner).tolist()}
    table = table.filter(np.array([finest[one] == level for one, level in zip(owner.tolist(), lod.tolist(), strict=True)], bool))
    mesh = triangulate(table)
    corners = np.asarray(mesh.points, float)[mesh.triangles] + np.asarray(city.origin, float)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    size = np.linalg.norm(normal, axis=1)
    return np.asarray(corners[normal[:, 2] > _FLAT * np.maximum(size, 1e-12)], float)


def _surfaces() -> Any:
    import pyarrow as pa

    return pa.array(["MultiSurface", "CompositeSurface", "Solid", "MultiSolid", "CompositeSolid"])


_SURFACES = _surfaces()


def _heights(corners: Floats, xy: Floats) -> Floats:
    """Return the height of the plane of each triangle at a point."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    away = ((xy - corners[:, 0, :2]) * normal[:, :2]).sum(axis=1)
    return np.asarray(corners[:, 0, 2] - away / normal[:, 2], float)


def _on_terrain(city: City, xy: Floats, row: Ints, ground: Floats, cell: Ints) -> Floats:
    """Return the terrain where it lies clearly above the ground of the run: the deck that the run took off; NaN elsewhere.

    It must do so over half of a piece: on a steep bank fine and coarse cells differ too.
    """
    box = (*(xy.min(axis=0) - _AROUND).tolist(), *(xy.max(axis=0) + _AROUND).tolist())
    try:
        terrain = read_terrain(city, bbox=box)
    except CimError:
        return np.full(len(xy), np.nan)
    z = np.asarray(terrain.sample(xy[:, 0], xy[:, 1]), float)
    below = np.where(cell >= 0, ground[np.maximum(cell, 0)], np.nan)
    with np.errstate(invalid="ignore"):
        high = z - below > RAISED
    size = int(row.max(initial=-1)) + 1
    enough = np.bincount(row[high], minlength=size) * 2 >= np.bincount(row, minlength=size)
    return np.where(high & enough[row], z, np.nan)


def _filled(level: Floats, row: Ints) -> Floats:
    """Return levels with gaps along a piece bridged in a straight line from pair to pair, the ends held."""
    out = level.copy()
    for one in np.unique(row[~np.isnan(level)]).tolist():  # bridges are few
        at = np.flatnonzero(row == one)
        known = ~np.isnan(level[at])
        out[at] = np.interp(np.arange(len(at)), np.flatnonzero(known), level[at][known])
    return out
