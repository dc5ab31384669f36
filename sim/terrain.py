"""The ground that a simulation stands on: a raster, an xarray field or an object of the city, brought to one kind and checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CRSError, CRSMismatchError, ObjectNotFoundError, UsageError
from cim.model.coverages import Raster, raster_ids, read_raster
from cim.scenario.terrain_edits import EditedRaster, edited
from cim.sim.buildings import crs_of, crs_problem

if TYPE_CHECKING:
    import xarray

    from cim.crs import CityCRS
    from cim.model import City

    Box = tuple[float, float, float, float]

__all__ = ["Terrain", "read_terrain"]

Terrain = Any
"""A `Raster`, an `xarray.DataArray` with the coordinates y and x, the id of an object that owns one, or None for the only one there is."""


def read_terrain(city: City, terrain: Terrain = None, bbox: Box | None = None) -> Raster:
    """Return the ground as a raster in the horizontal system of the city, with what changes have done to it.

    Edits of the terrain (`cim.scenario.terrain_edits`) are put on whatever raster is read, unless it holds them already. What each did
    stands in ``notes`` of the result, which is then an `EditedRaster`; a field names the edits it holds in its attribute
    ``terrain_edits``, a list of ids.

    Parameters
    ----------
    terrain
        A raster, a field, an id, or None for the only terrain of the city.
    bbox
        (xmin, ymin, xmax, ymax): the part to use.

    Raises
    ------
    UsageError
        If there is none, or several to choose from, or the values are not metres.
    CRSMismatchError
        If it is in another horizontal system than the city, or an edit states an elevation in another height system.
    CRSError
        If lengths cannot be measured in it.
    """
    if terrain is None or isinstance(terrain, str):
        raster = read_raster(city, _only(city) if terrain is None else terrain, bbox)
    else:
        raster = terrain if isinstance(terrain, Raster) else _from_field(terrain, city)
        raster = raster if bbox is None else raster.window(bbox)
    _check(raster, city)
    return edited(city, raster)


def _only(city: City) -> str:
    """Return the id of the one terrain of the city."""
    found = raster_ids(city, "terrain")
    if len(found) == 1:
        return found[0]
    if found:
        msg = f"the city holds {len(found)} terrains ({', '.join(found[:5])}); say which one: terrain="
        raise UsageError(msg)
    msg = "the city holds no terrain; read one together with it, or give terrain= (a raster, a field, an id)"
    raise ObjectNotFoundError(msg)


def _check(raster: Raster, city: City) -> None:
    where = raster.name or "terrain"
    crs = crs_of(city)
    if crs is not None and not raster.crs.same_horizontal(crs):
        reason = f"it is in {raster.crs.horizontal.name}, the city in {crs.horizontal.name}"
        raise CRSMismatchError(where, reason, "bring both to one coordinate system first")
    problem = "the city states no coordinate system" if crs is None else crs_problem(city)
    if problem:
        raise CRSError(where, problem)
    if raster.unit not in {"", "m"}:
        msg = f"{where} counts in {raster.unit!r}, expected elevations in m"
        raise UsageError(msg)


def _from_field(field: xarray.DataArray, city: City) -> Raster:
    """Return an xarray field with regular coordinates y and x as a raster; its attribute ``crs`` says where it lies."""
    if not hasattr(field, "dims") or set(field.dims) != {"y", "x"}:
        found = f"terrain is a {type(field).__name__} with dimensions {getattr(field, 'dims', None)}"
        msg = f"{found}; expected a Raster or a DataArray over y and x"
        raise UsageError(msg)
    plane = field.transpose("y", "x")
    if plane["y"].size > 1 and float(plane["y"][0]) < float(plane["y"][-1]):
        plane = plane.isel(y=slice(None, None, -1))
    x, y = np.asarray(plane["x"].values, float), np.asarray(plane["y"].values, float)
    dx, dy = _step(x, "x", field), _step(-y, "y", field)
    values = np.array(plane.values, float)
    values[~np.isfinite(values)] = np.nan
    return EditedRaster(
        values,
        float(x[0]) - dx / 2,
        float(y[0]) + dy / 2,
        dx,
        dy,
        _crs(field, city),
        str(field.attrs.get("units", "m")),
        "" if field.name is None else str(field.name),
        tuple(str(one) for one in field.attrs.get("terrain_edits", ())),
    )


def _crs(field: xarray.DataArray, city: City) -> CityCRS:
    from cim.crs import parse

    said = field.attrs.get("crs")
    if said is None:
        msg = f"{_shown(field)} states no coordinate system; set its attribute crs, such as {city.crs.to_string()!r}"
        raise UsageError(msg)
    return parse(said)


def _step(values: np.ndarray, name: str, field: xarray.DataArray) -> float:
    """Return the distance between cells, which must be the same everywhere."""
    if len(values) == 1:
        size = field.attrs.get(f"d{name}")
        if size is None:
            msg = f"the field has one cell along {name}; set its attribute d{name} to the size of a cell [m]"
            raise UsageError(msg)
        return float(size)
    steps = np.diff(values)
    step = float(values[-1] - values[0]) / (len(values) - 1)
    if not (step > 0 and np.allclose(steps, step, rtol=1e-6, atol=0)):  # coordinates of 4e7 m carry 7e-9 m of rounding
        msg = f"coordinate {name} is not regular: steps from {steps.min():g} to {steps.max():g}"
        raise UsageError(msg)
    return step


def _shown(field: xarray.DataArray) -> str:
    return f"the field {field.name!r}" if field.name is not None else "the terrain given"
