"""What changes have done to the terrain: the raster stays a file as it is, edits are objects of the city, put on it when it is read.

An edit is an object of class ReliefFeature whose footprint is the area and whose attributes ``terrain_edit…`` say what happens there.
So it is saved, compared and shown like every object, and no copy of a large raster is made. `cim.sim.terrain.read_terrain` puts the
edits on; whoever reads a raster otherwise calls `edited`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cim.errors import CRSMismatchError
from cim.model.coverages import Raster

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model import City

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

__all__ = ["COLUMNS", "EditedRaster", "TerrainEdit", "edited", "put_on", "terrain_edits"]

COLUMNS = ("terrain_edit", "terrain_edit_value", "terrain_edit_slope", "terrain_edit_only", "terrain_edit_order")
"""Attributes of class ReliefFeature that make an edit; value in m, slope as rise over run, order counts from 0."""


@dataclass(frozen=True)
class TerrainEdit:
    """One change of the ground."""

    id: str
    area: Any
    """Polygon in the CRS of the city."""
    kind: Literal["by", "to"]
    """Raise by, or bring to."""
    value: float
    """Metres to add, or the elevation [m]."""
    slope: float | None = None
    """Rise over run of the sides outside the area, until they meet the ground; None: they are vertical."""
    only: Literal["fill", "cut"] | None = None
    """Whether ground is only raised or only lowered."""


@dataclass(frozen=True)
class EditedRaster(Raster):
    """A raster on which edits have been put."""

    edits: tuple[str, ...] = ()
    """Ids of the edits it holds, in their order."""
    notes: tuple[str, ...] = ()
    """What each did, one sentence each: cells, volumes, and what it met."""


def terrain_edits(city: City) -> tuple[TerrainEdit, ...]:
    """Return the edits of the terrain that a city holds, in the order they were made."""
    if "ReliefFeature" not in city.attributes or COLUMNS[0] not in city.attributes.schema("ReliefFeature").names:
        return ()
    rows = city.attributes["ReliefFeature"].select(["object", *COLUMNS]).to_pylist()
    rows = sorted((row for row in rows if row[COLUMNS[0]] is not None), key=lambda row: (row[COLUMNS[4]], row["object"]))
    keys = [row["object"] for row in rows]
    shapes, ids = city.footprints(keys), city.ids(keys)
    return tuple(TerrainEdit(id, shape, *(row[name] for name in COLUMNS[:4])) for id, shape, row in zip(ids, shapes, rows, strict=True))


def edited(city: City, raster: Raster) -> Raster:
    """Return a raster of the bare ground with the edits that the city holds; those it has already are not put on again.

    Raises
    ------
    CRSMismatchError
        If an edit states an elevation and the raster is in another height system than the city.
    """
    edits = terrain_edits(city)
    held = raster.edits if isinstance(raster, EditedRaster) else ()
    new = [edit for edit in edits if edit.id not in held]
    if not new:
        return raster
    levels = [edit.id for edit in new if edit.kind == "to"]
    if levels and raster.crs.vertical is not None and city.crs.vertical is not None and not raster.crs.same_vertical(city.crs):
        reason = f"heights are in {raster.crs.vertical.name}, the elevation of the edit {levels[0]!r} in {city.crs.vertical.name}"
        raise CRSMismatchError(raster.name or "terrain", reason, "bring both to one height system first")
    return put_on(raster, new)


def put_on(raster: Raster, edits: Sequence[TerrainEdit]) -> EditedRaster:
    """Return a raster with edits, one after the other.

    A cell belongs to an area when its centre lies in it. An area narrower than a cell takes all cells it touches, so that a dyke has
    no holes; the notes say so.

    Parameters
    ----------
    edits
        In the horizontal system of the raster.

    Examples
    --------
    >>> import shapely
    >>> from cim.crs import parse
    >>> plain = Raster(np.zeros((1, 5)), 0.0, 1.0, 1.0, 1.0, parse("EPSG:28992"))
    >>> dyke = TerrainEdit("dyke", shapely.box(2, 0, 3, 1), "to", 1.0, slope=0.6)
    >>> put_on(plain, [dyke]).values.round(2).tolist()  # 0.5 m beyond the edge it is 0.3 m lower
    [[0.1, 0.7, 1.0, 0.7, 0.1]]
    """
    values = raster.values.copy()
    notes = [_put(raster, values, edit) for edit in edits]  # one after the other, each on what the last has left
    held: tuple[tuple[str, ...], tuple[str, ...]] = (raster.edits, raster.notes) if isinstance(raster, EditedRaster) else ((), ())
    parts = {field.name: getattr(raster, field.name) for field in fields(Raster)}
    ids = tuple(edit.id for edit in edits)
    return EditedRaster(**{**parts, "values": values}, edits=(*held[0], *ids), notes=(*held[1], *notes))


def _put(raster: Raster, values: Floats, edit: TerrainEdit) -> str:
    """Change the values in place and say what was done."""
    cells, distance, thin = _reached(raster, values, edit)
    old = values[cells]
    new = _level(old, distance, edit)
    if edit.only is not None:
        new = np.maximum(old, new) if edit.only == "fill" else np.minimum(old, new)  # unknown ground stays unknown
    values[cells] = new
    known = np.isfinite(old)
    step = np.where(known, new - np.where(known, old, 0.0), 0.0)
    size = raster.dx * raster.dy * (1.0 if raster.crs.is_local or not raster.crs.is_projected else raster.crs.linear_unit_factor**2)
    fill, cut = float(step[step > 0].sum()) * size, float(-step[step < 0].sum()) * size
    said = [f"terrain edit {edit.id!r}: {int((step != 0).sum())} cells changed, {fill:g} m³ filled, {cut:g} m³ cut"]
    said += ["its area is narrower than a cell and took all cells it touches"] if thin else []
    gained, still = int((~known & np.isfinite(new)).sum()), int((~known & ~np.isfinite(new)).sum())
    said += [f"{gained} cells of unknown ground got an elevation"] if gained else []
    said += [f"{still} cells of unknown ground stay unknown"] if still else []
    said += ["it touches no cell of this raster"] if not len(old) else []
    return "; ".join(said)


def _level(old: Floats, distance: Floats, edit: TerrainEdit) -> Floats:
    """Return the new elevation of cells from their distance to the area [m]."""
    fall = np.where(distance > 0, distance * (edit.slope or 0.0), 0.0)
    if edit.kind == "by":
        return np.asarray(old + np.sign(edit.value) * np.maximum(abs(edit.value) - fall, 0.0), float)
    inside = np.where(np.isfinite(old), old, edit.value)
    level = np.clip(inside, edit.value - fall, edit.value + fall)
    return np.where(np.isfinite(old) | (distance == 0), level, np.nan)


def _reached(raster: Raster, values: Floats, edit: TerrainEdit) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], Floats, bool]:
    """Return the cells that an edit may change (rows, columns), their distance from its area, and whether it is narrower than a cell."""
    import shapely

    west, south, east, north = edit.area.bounds
    x, y = raster.x, raster.y
    across = np.maximum(np.maximum(west - x, x - east), 0.0) - raster.dx  # a cell is reached a little before its centre is
    down = np.maximum(np.maximum(south - y, y - north), 0.0) - raster.dy
    if edit.slope is None:
        near = (across[None, :] <= 0) & (down[:, None] <= 0)
    else:
        rise = abs(edit.value) if edit.kind == "by" else np.where(np.isfinite(values), np.abs(values - edit.value), 0.0)
        near = np.hypot(np.maximum(across, 0.0)[None, :], np.maximum(down, 0.0)[:, None]) * edit.slope <= rise
    rows, columns = np.nonzero(near)
    shapely.prepare(edit.area)
    thin = bool(shapely.is_empty(shapely.buffer(edit.area, -0.5 * float(np.hypot(raster.dx, raster.dy)))))
    half = raster.dx / 2, raster.dy / 2
    if thin:
        box = shapely.box(x[columns] - half[0], y[rows] - half[1], x[columns] + half[0], y[rows] + half[1])
        inside = _share_a_part(edit.area, box)
    else:
        inside = shapely.contains_xy(edit.area, x[columns], y[rows])
    distance = np.zeros(len(rows))
    if edit.slope is not None:
        outer = np.flatnonzero(~inside)
        distance[outer] = shapely.distance(edit.area, shapely.points(x[columns[outer]], y[rows[outer]]))
        inside[:] = True
    return (rows[inside], columns[inside]), distance[inside], thin


def _share_a_part(area: Any, boxes: NDArray[Any]) -> Bools:
    """Say which boxes share more than an edge with the area."""
    import shapely

    found: Bools = shapely.intersects(area, boxes) & ~shapely.touches(area, boxes)
    return found
