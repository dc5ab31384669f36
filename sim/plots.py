"""Plots and grid cells that limits hold for, and which share of which building stands on each.

A footprint that straddles two plots counts on each by the share of its area there. Everything is done for all pairs at once: a tree finds
the pairs that touch, then areas and unions are taken by plot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CRSMismatchError, LimitError, UsageError
from cim.sim.buildings import Buildings, area_factor, crs_of, number_column, polygons

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

    from cim.model import City

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Overlaps", "Plots", "overlap", "plot_limits", "read_plots"]

LIMIT_NAMES = ("far_limit", "density_limit", "height_limit")
_MAX_CELLS = 4_000_000


@dataclass(frozen=True)
class Plots:
    """Plots as columns, one row each."""

    ids: NDArray[np.object_]
    shapes: NDArray[np.object_]
    """Valid polygons in the CRS of the city; None where there is none with an area."""
    area: Floats
    """Site area [m²], NaN where unknown."""
    limits: Mapping[str, Floats] = field(default_factory=dict)
    """Limits that the plots carry themselves, by name, NaN where missing."""
    whole: bool = False
    """Whether this is the one plot on which every building stands: without a shape, its area that of the convex hull of the footprints."""
    in_city: bool = True
    """Whether the plots are objects of the city, which then knows their shapes."""
    problem: str = ""
    """Why nothing can be assessed on them, such as a missing coordinate system."""

    def __len__(self) -> int:
        """Return the number of plots."""
        return len(self.ids)


def read_plots(city: City, plots: Any, grid: float | None, buildings: Buildings) -> Plots:
    """Return the plots that the caller names.

    Parameters
    ----------
    plots
        None: the objects of class LandUse. ``"city"``: one plot under everything; its area is assumed to be that of the convex hull of
        the footprints of the buildings, which leaves out open ground at the rim and takes in whatever lies between them.
        Ids of objects; a shapely polygon (its id is ``"site"``); or a GeoDataFrame indexed by id, with columns named as the limits.
    grid
        Edge of square cells [m] instead of plots; they lie at whole multiples of it and cover every building.
    """
    import geopandas
    import shapely

    if plots is not None and grid is not None:
        msg = "plots and grid are both given; give one of them"
        raise UsageError(msg)
    if grid is not None:
        return _cells(city, grid, buildings)
    if isinstance(plots, str) and plots == "city":
        return Plots(np.array(["city"], object), np.array([None], object), _hull_area(city, buildings), whole=True, in_city=False)
    if isinstance(plots, geopandas.GeoDataFrame):
        return _from_frame(city, plots)
    if isinstance(plots, shapely.Geometry):
        return _from_shapes(city, np.array(["site"], object), np.array([plots], object), {})
    return _from_city(city, plots)


def _hull_area(city: City, buildings: Buildings) -> Floats:
    """Return the area of the convex hull of all footprints [m²], shape (1,); NaN where there is none."""
    import shapely

    there = buildings.footprints[~shapely.is_missing(buildings.footprints)]
    area = float(shapely.area(shapely.convex_hull(shapely.geometrycollections(there)))) * area_factor(city) if len(there) else 0.0
    return np.array([area if area > 0 else np.nan])


def _from_city(city: City, ids: Sequence[str] | None) -> Plots:
    if isinstance(ids, str):
        ids = [ids]
    keys = city.key_of(list(ids)) if ids is not None else city.keys("LandUse") if "LandUse" in city.attributes else np.empty(0, np.int64)
    if not len(keys):
        msg = "the city holds no LandUse 用地 objects; give plots= (ids, a polygon or a GeoDataFrame), plots='city', or grid="
        raise UsageError(msg)
    names = city.ids(keys)
    types = np.asarray(city.tables["objects"]["type"].take(city.row_of_key(keys)).to_pylist(), object)
    limits = {name: np.full(len(keys), np.nan) for name in LIMIT_NAMES}
    for type in dict.fromkeys(types.tolist()):
        mine = types == type
        for name in LIMIT_NAMES:
            limits[name][mine] = number_column(city, type, name, keys[mine])
    shapes, area = _sites(city, city.footprints(keys))
    return Plots(np.asarray(names, object), shapes, area, limits)


def _from_frame(city: City, frame: geopandas.GeoDataFrame) -> Plots:
    """Read plots from a GeoDataFrame in the CRS of the city."""
    from cim.crs import parse

    ids = np.asarray([str(one) for one in frame.index], object)
    if len(set(ids)) < len(ids):
        msg = f"the index of plots names {next(one for one in ids if list(ids).count(one) > 1)!r} twice; give each plot its own id"
        raise UsageError(msg)
    limits = {name: np.asarray(frame[name], float) if name in frame.columns else np.full(len(frame), np.nan) for name in LIMIT_NAMES}
    if frame.crs is None:
        nothing = np.full(len(frame), None, object)
        return Plots(ids, nothing, np.full(len(frame), np.nan), limits, in_city=False, problem="the plots state no coordinate system")
    crs, where = crs_of(city), "plots"
    if crs is not None and not parse(frame.crs).same_horizontal(crs):
        reason = f"they are in {frame.crs.name}, the city in {crs.horizontal.name}"
        raise CRSMismatchError(where, reason, "call plots.to_crs(city.crs.horizontal) first")
    return _from_shapes(city, ids, np.asarray(frame.geometry, object), limits)


def _from_shapes(city: City, ids: NDArray[np.object_], shapes: NDArray[Any], limits: Mapping[str, Floats]) -> Plots:
    valid, area = _sites(city, shapes)
    return Plots(ids, valid, area, limits, in_city=False)


def _sites(city: City, shapes: NDArray[Any]) -> tuple[NDArray[np.object_], Floats]:
    """Return valid polygons and their areas [m²]."""
    import shapely

    valid, _ = polygons(np.asarray(shapes, object))
    area = np.asarray(shapely.area(valid), float) * area_factor(city)
    return valid, np.where(area > 0, area, np.nan)


def _cells(city: City, size: float, buildings: Buildings) -> Plots:
    """Return the square cells that cover every building; ids name the south-west corner, so that they are the same in every run."""
    import shapely

    if not (np.isfinite(size) and size > 0):
        msg = f"grid={size!r}; expected the edge of a cell in metres, above 0"
        raise UsageError(msg)
    factor = area_factor(city) ** 0.5
    known = np.isfinite(buildings.box[:, 0])
    if not known.any() or not np.isfinite(factor):
        empty = np.array(["grid"], object)
        return Plots(
            empty, np.array([None], object), np.array([np.nan]), in_city=False, problem="" if np.isfinite(factor) else "no length is known"
        )
    step = size / factor
    low = np.floor(buildings.box[known, :2].min(axis=0) / step).astype(np.int64)
    high = np.ceil(buildings.box[known, 2:].max(axis=0) / step).astype(np.int64)
    count = np.maximum(high - low, 1)
    if count.prod() > _MAX_CELLS:
        where = f"grid={size:g}"
        raise LimitError(where, f"{count.prod():,} cells cover the extent of the buildings, above {_MAX_CELLS:,}", "give a larger grid")
    row, column = (one.reshape(-1) for one in np.meshgrid(np.arange(count[1]) + low[1], np.arange(count[0]) + low[0], indexing="ij"))
    ids = np.array([f"E{east}N{north}" for east, north in zip(column.tolist(), row.tolist(), strict=True)], object)
    shapes = shapely.box(column * step, row * step, (column + 1) * step, (row + 1) * step)
    return Plots(ids, shapes, np.full(len(ids), size * size), in_city=False)


def plot_limits(plots: Plots, limit: float | Mapping[str, float] | None, name: str) -> Floats:
    """Return the limit of each plot: one number for all, a mapping by id, or what the plots carry themselves under `name`.

    Raises
    ------
    UsageError
        If the mapping names a plot that is not there.
    """
    if limit is None:
        return plots.limits.get(name, np.full(len(plots), np.nan))
    if not isinstance(limit, Mapping):
        return np.full(len(plots), float(limit))
    strange = sorted(set(limit) - set(plots.ids.tolist()))
    if strange:
        msg = f"limit names {strange[0]!r}, which is none of the {len(plots)} plots"
        raise UsageError(msg)
    return np.array([limit.get(one, np.nan) for one in plots.ids.tolist()], float)


@dataclass(frozen=True)
class Overlaps:
    """Pairs of a plot and a building that stands on it, in the order of the plots, then of the buildings."""

    plot: Ints
    building: Ints
    area: Floats
    """Area of the footprint on the plot [m²]."""
    share: Floats
    """That over the whole footprint."""
    pieces: NDArray[np.object_]
    """The part of the footprint on the plot."""
    unplaced: Ints
    """Buildings without a usable footprint."""
    maybe: NDArray[np.bool_]
    """Shape (plots,): a building without a footprint stands there, or may."""

    def matters(self, tolerance: float) -> NDArray[np.bool_]:
        """Say which pairs are more than a sliver: above `tolerance` [m²], or at least half of the footprint."""
        return (self.area > tolerance) | (self.share >= 0.5)


def overlap(city: City, buildings: Buildings, plots: Plots) -> Overlaps:
    """Return which share of which building stands on which plot."""
    import shapely

    unplaced = np.flatnonzero(shapely.is_missing(buildings.footprints))
    if plots.whole:
        here = np.flatnonzero(~shapely.is_missing(buildings.footprints))
        maybe = np.array([len(unplaced) > 0])
        return Overlaps(
            np.zeros(len(here), np.int64), here, buildings.area[here], np.ones(len(here)), buildings.footprints[here], unplaced, maybe
        )
    plot, building = shapely.STRtree(buildings.footprints).query(plots.shapes, predicate="intersects")
    order = np.lexsort((building, plot))
    plot, building = plot[order].astype(np.int64), building[order].astype(np.int64)
    shapely.prepare(plots.shapes)
    inside = shapely.covers(plots.shapes[plot], buildings.footprints[building])
    pieces = buildings.footprints[building].copy()
    pieces[~inside] = shapely.intersection(pieces[~inside], plots.shapes[plot[~inside]])
    area = np.asarray(shapely.area(pieces), float) * area_factor(city)
    share = np.where(inside, 1.0, area / buildings.area[building])
    real = area > 0  # the others only touch
    return Overlaps(plot[real], building[real], area[real], share[real], pieces[real], unplaced, _maybe(plots, buildings.box[unplaced]))


def _maybe(plots: Plots, boxes: Floats) -> NDArray[np.bool_]:
    """Say on which plots a building of which only the box is known may stand; one without a box may stand anywhere."""
    import shapely

    placed = np.isfinite(boxes).all(axis=1)
    if (~placed).any():
        return np.ones(len(plots), bool)
    touched = np.zeros(len(plots), bool)
    if placed.any():
        touched[shapely.STRtree(plots.shapes).query(shapely.box(*boxes.T), predicate="intersects")[1]] = True
    return touched


def covered_area(pieces: NDArray[np.object_], group: Ints, groups: int) -> Floats:
    """Return the area of the union of the shapes of each group, in squared map units, shape (groups,); overlaps count once."""
    import shapely

    area = np.zeros(groups)
    if not len(pieces):
        return area
    present, code = np.unique(group, return_inverse=True)
    order = np.argsort(code, kind="stable")
    collections = shapely.geometrycollections(pieces[order], indices=code[order].astype(np.intp))
    area[present] = shapely.area(shapely.union_all(collections[:, None], axis=1))
    return area
