"""The verb that moves a building: all that belongs to it goes along, and its heights follow the ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from cim.errors import CimError, UsageError
from cim.model.coverages import raster_ids, read_raster
from cim.model.numeric import number_column
from cim.scenario.buildings import BUILDINGS, building_of
from cim.scenario.edit import Fact, add_claims, move_boxes, set_footprints, set_values, shift
from cim.scenario.step import Step, named, require_metres, with_parts
from cim.scenario.terrain_edits import edited

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Keys = NDArray[np.int64]

__all__ = ["MoveBuilding"]

_ELEVATIONS = ("z_eaves", "z_roof_p50", "z_roof_p90", "z_ground_p10", "elevation")
"""Attributes that are elevations and go up and down with the building."""


class MoveBuilding(Step):
    """Move a building with all its parts; its heights follow the terrain, which is marked."""

    do: Literal["move_building"] = "move_building"
    dx: float | None = Field(default=None, allow_inf_nan=False, description="metres eastwards")
    dy: float | None = Field(default=None, allow_inf_nan=False, description="metres northwards")
    to: tuple[float, float] | None = Field(default=None, description="in place of dx and dy: where the middle of its footprint shall lie")
    dz: float | None = Field(
        default=None, allow_inf_nan=False, description="metres upwards; left out: as much as the terrain is higher there"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> MoveBuilding:
        if (self.to is None) == (self.dx is None and self.dy is None):
            msg = "give either dx and dy (metres east and north) or to (a point [x, y])"
            raise ValueError(msg)
        if self.to is not None and not np.isfinite(self.to).all():
            msg = f"to={self.to!r} is no point of finite numbers"
            raise ValueError(msg)
        return self

    def apply(self, city: City, method: str) -> City:
        """Return the city with the building in its new place.

        Raises
        ------
        UsageError
            If it is no building, or has no footprint.
        CRSError
            If the city does not count in metres.
        """
        require_metres(city, "moving a building")
        view = building_of(city, self.id)
        if view.footprint is None:
            msg = f"{self.id!r} has no footprint, so it cannot be moved; give it one first"
            raise UsageError(msg)
        keys = np.sort(with_parts(city, self.id))
        dx, dy = self._way(view.footprint)
        rise = _Rise(self.dz, "dz is given") if self.dz is not None else _rise(city, view.footprint, dx, dy)
        changed = _moved(city, keys, (dx, dy, rise.dz or 0.0), method)
        return changed.with_issues([self._told(view.key, rise, method), *_met(changed, view.key, keys, self.id, method),
                                    *_left(city, keys, self.id, method)])  # fmt: skip

    def _way(self, footprint: Any) -> tuple[float, float]:
        if self.to is None:
            return float(self.dx or 0.0), float(self.dy or 0.0)
        middle = footprint.centroid
        return self.to[0] - float(middle.x), self.to[1] - float(middle.y)

    def _told(self, key: int, rise: _Rise, method: str) -> dict[str, Any]:
        """Return the issue that says what became of the heights."""
        if rise.dz is None:
            message = f"{method}: {self.id!r} was moved and keeps its elevations: {rise.why}; give dz="
            return {"code": "assumed", "object": key, "message": message}
        message = f"{method}: {self.id!r} was moved and stands {rise.dz:+.3g} m from where its ground was: {rise.why}"
        return {"code": "assumed", "severity": "info", "object": key, "message": message}


@dataclass(frozen=True)
class _Rise:
    """How much higher the ground is."""

    dz: float | None
    """Metres; None where nobody knows."""
    why: str


def _rise(city: City, footprint: Any, dx: float, dy: float) -> _Rise:
    """Return how much higher the terrain is after a move: the mean at the corners of the footprint there, less that here."""
    import shapely

    ids = raster_ids(city, "terrain")
    if len(ids) != 1:
        return _Rise(None, "the city holds no terrain" if not ids else f"the city holds {len(ids)} terrains")
    corners = shapely.get_coordinates(footprint)
    means = []
    for place, points in (("here", corners), ("there", corners + np.array([dx, dy]))):
        (west, south), (east, north) = points.min(axis=0), points.max(axis=0)
        try:
            raster = read_raster(city, ids[0], (west, south, east, north))
            same = raster.crs.same_horizontal(city.crs) and raster.unit in {"", "m"}
            ground = edited(city, raster).sample(points[:, 0], points[:, 1]) if same else np.full(1, np.nan)
        except CimError as error:
            return _Rise(None, f"the terrain {place} is not known ({error})")
        if not np.isfinite(ground).all():
            return _Rise(None, f"the terrain {place} is not known" if same else "the terrain is in another system or no metres")
        means.append(float(ground.mean()))
    return _Rise(means[1] - means[0], f"terrain {ids[0]!r}, mean at its corners, {means[1]:.2f} m there and {means[0]:.2f} m here")


def _moved(city: City, keys: Keys, way: tuple[float, float, float], method: str) -> City:
    """Return the city with objects moved: geometry, footprints, boxes, elevations."""
    import shapely

    shapes = city.footprints(keys)
    there = ~shapely.is_missing(shapes)
    changed = shift(city, keys, way)
    moved = shapely.transform(shapes[there], lambda points: points + way[:2])
    changed = set_footprints(changed, keys[there], moved, boxes=False)
    for delta, names in zip(way, (("xmin", "xmax"), ("ymin", "ymax"), ("zmin", "zmax")), strict=True):
        changed = move_boxes(changed, keys, delta, names)
    types = np.asarray(city.core_rows(["type"], keys)["type"].to_pylist(), object)
    place = Fact("", "footprint", keys[there], shapely.to_wkt(moved).astype(object))
    changed = add_claims(changed, city, place, method, old=shapely.to_wkt(shapes[there]).tolist())
    for type in dict.fromkeys(types.tolist()) if way[2] else ():
        mine = keys[types == type]
        for name in ("z_ground", "z_roof", *_ELEVATIONS):
            old = number_column(city, type, name, mine) if name in _ELEVATIONS else _core(city, name, mine)
            known = np.isfinite(old)
            if known.any():
                fact = Fact(type, name, mine[known], old[known] + way[2])
                changed = add_claims(set_values(changed, fact), city, fact, method)
    return changed


def _core(city: City, name: str, keys: Keys) -> NDArray[np.float64]:
    from cim.model.numeric import numbers

    return numbers(city, name, keys)


def _met(city: City, key: int, keys: Keys, id: str, method: str) -> list[dict[str, Any]]:
    """Return an issue when the building now lies on others."""
    import shapely

    shape = city.footprints([key])[0]
    others = np.setdiff1d(city.keys(bbox=shape.bounds), keys)
    types = np.asarray(city.core_rows(["type"], others)["type"].to_pylist(), object)
    others = others[np.isin(types, ("Building", "BuildingPart"))]
    shapes = city.footprints(others)
    hit = shapely.area(shapely.intersection(shapely.make_valid(shapes), shapely.make_valid(shape))) > 0.1
    ids = city.ids(others[hit])
    if not ids:
        return []
    return [{"code": "conflict", "object": key, "count": len(ids), "message": f"{method}: {id!r} now lies on {named(ids)}"}]


def _left(city: City, keys: Keys, id: str, method: str) -> list[dict[str, Any]]:
    """Return an issue for what cannot move along: rasters and point clouds of the building, and a whole it is part of."""
    stay = np.isin(np.asarray(city.tables["coverages"]["object"].to_numpy(), np.int64), keys)
    told = [f"{int(stay.sum())} rasters or point clouds of it stay where they were"] if stay.any() else []
    wholes = [whole.id for whole in city.parents(id) if whole.type in BUILDINGS]
    told += [f"it is part of {wholes[0]!r}, which stays where it was"] if wholes else []
    return [{"code": "assumed", "object": int(city.key_of([id])[0]), "message": f"{method}: {id!r} was moved, but {one}"} for one in told]
