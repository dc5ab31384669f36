"""Water that stands in the waters of a city when a flood begins: by object, by class, or at the level that the objects state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CimError
from cim.sim.flood.elevation import is_number

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.coverages import Raster
    from cim.sim.flood.domain import FlowDomain

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["STATED", "empty_waters", "is_by_water", "water_levels"]

STATED = "water_level"
"""Attribute of an object with the elevation of its water [m], and the word that asks for it."""
_CLASS = "WaterBody"
_SHOWN = 5


def is_by_water(given: Any) -> bool:
    """Say whether an initial level is told by objects and classes."""
    return isinstance(given, Mapping) or (isinstance(given, str) and given == STATED)


@dataclass
class _Told:
    """What was found on the way."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def water_levels(given: Any, city: Any, domain: FlowDomain) -> tuple[Floats, list[str], list[str]]:
    """Return the level of the water at the start on each cell, what a reader should know, and every fault.

    Parameters
    ----------
    given
        ``{id or class: level}``, each level a number [m] in the height system of the terrain, or ``"water_level"``: what the object states;
        this word alone means all water bodies. An id counts before its class.
    city
        The place; anything but a city is a fault.

    Returns
    -------
    levels : shape (ny, nx)
        [m], NaN where none is told; where two waters lie on a cell, the higher.
    notes, faults
        One sentence each.
    """
    from cim.model import City

    levels, told = np.full(domain.shape, np.nan), _Told()
    asked = {_CLASS: STATED} if isinstance(given, str) else dict(given)
    if not isinstance(city, City):
        return levels, [], ["initial_level: levels by object or class need a city; give a number or a field [m]"]
    if not asked:
        return levels, [], ['initial_level: an empty table; give {id or class: level [m]}, or "water_level"']
    ground = _ground(domain)
    level_of: dict[int, float] = {}
    for name in sorted(asked, key=lambda one: one not in city.types()):  # classes first: an id counts before its class
        level_of |= _levels_of(name, asked[name], city, ground, told)
    keys = np.array(list(level_of), np.int64)
    if len(keys):
        _lay(city, keys, np.array(list(level_of.values()), float), ground, levels, told)
    told.notes += empty_waters(city, domain, filled=keys)
    return levels, told.notes, told.faults


def _ground(domain: FlowDomain) -> Raster:
    from cim.crs import parse
    from cim.model.coverages import Raster

    grid = domain.grid
    return Raster(domain.elevation, grid.x_min, grid.y_max, grid.dx, grid.dy, parse(grid.crs))


def _levels_of(name: Any, level: Any, city: City, ground: Raster, told: _Told) -> dict[int, float]:
    """Return the level of each object that a name means, NaN where it states none."""
    from cim.model.numeric import number_column

    if not (is_number(level) or (isinstance(level, str) and level == STATED)):
        told.faults.append(f'initial_level of {name!r}: {level!r}; expected an elevation [m], or "{STATED}"')
        return {}
    try:
        is_class = isinstance(name, str) and name in city.types()
        keys = city.keys(name, bbox=ground.bounds) if is_class else city.key_of([name])
    except (CimError, TypeError) as error:
        told.faults.append(f"initial_level: {error}; the city has the classes {', '.join(city.types())}")
        return {}
    if is_number(level):
        return dict.fromkeys(keys.tolist(), float(level))
    if ground.crs.vertical is None or not ground.crs.same_vertical(city.crs):
        told.faults.append(f"initial_level of {name!r}: the height systems of city and terrain differ or are unknown; give the level [m]")
        return {}
    types = np.asarray(city.core_rows(["type"], keys)["type"].to_pylist(), object)
    values = np.full(len(keys), np.nan)
    for type_name in dict.fromkeys(types.tolist()):
        mine = types == type_name
        values[mine] = number_column(city, type_name, STATED, keys[mine])
        unit = city.unit(type_name, STATED) if np.isfinite(values[mine]).any() else "m"
        if unit not in {"m", ""}:
            told.faults.append(f"initial_level: {STATED} of {type_name} is in {unit!r}, expected m; convert it first")
    return dict(zip(keys.tolist(), values.tolist(), strict=True))


def _lay(city: City, keys: Ints, level: Floats, ground: Raster, levels: Floats, told: _Told) -> None:
    """Lay levels on the cells of objects, and tell which objects stay empty and why."""
    from cim.sim.cells import cells_inside

    shapes = _areas(city, keys)
    pairs = cells_inside(shapes, ground)
    known = np.isfinite(ground.values).reshape(-1)[pairs.cell]
    of, cell = pairs.shape[known], pairs.cell[known]
    has = np.bincount(of, minlength=len(keys)) > 0
    wets = level[of] > ground.values.reshape(-1)[cell]
    wet = np.bincount(of[wets], minlength=len(keys)) > 0
    np.fmax.at(levels.reshape(-1), cell[wets], level[of][wets])
    unstated = has & np.isnan(level)
    told.notes.append(f"water at the start in {int(wet.sum())} of {len(keys)} objects named by initial_level")
    for which, why in (
        (~has, "have no area on the ground of the domain"),
        (unstated, f"state no {STATED}: they stay empty"),
        (has & ~wet & ~unstated, "have a level that is not above their ground: they stay empty"),
    ):
        if which.any():
            told.notes.append(f"initial_level: {int(which.sum())} objects {why} ({_named(city, keys[which])})")
    if not wet.any():
        told.faults.append(f"initial_level: none of the {len(keys)} objects gets water: {'; '.join(told.notes[1:])}")


def _areas(city: City, keys: Ints) -> NDArray[Any]:
    """Return footprints that are areas, None for others."""
    import shapely

    shapes = city.footprints(keys)
    shapes[~np.isin(shapely.get_type_id(shapes), (3, 6))] = None
    return shapes


def _named(city: City, keys: Ints) -> str:
    ids: Sequence[str] = city.ids(keys[:_SHOWN])
    return ", ".join(ids) + (", …" if len(keys) > _SHOWN else "")


def empty_waters(city: City | None, domain: FlowDomain, *, filled: Ints | None = None, wet: Floats | None = None) -> list[str]:
    """Return a sentence on the water bodies of the domain that are dry at the start.

    Parameters
    ----------
    city
        None for a domain without one: then its cells of water are counted.
    filled
        Objects that have been dealt with.
    wet : shape (ny, nx)
        Depth at the start [m].
    """
    from cim.model.numeric import number_column
    from cim.sim.cells import cells_inside

    standing = np.zeros(domain.elevation.size, bool) if wet is None else wet.reshape(-1) > 0
    if city is None:
        dry = 0 if domain.water is None else int((domain.water & domain.active & ~standing.reshape(domain.shape)).sum())
        return [f"{dry} cells of water bodies ({dry * domain.grid.dx**2:,.0f} m²) start empty"] if dry else []
    ground = _ground(domain)
    keys = city.keys(_CLASS, bbox=ground.bounds) if _CLASS in city.types() else np.empty(0, np.int64)
    keys = keys if filled is None else keys[~np.isin(keys, filled)]
    if not len(keys):
        return []
    pairs = cells_inside(_areas(city, keys), ground)
    active = domain.active.reshape(-1)[pairs.cell]
    here = np.setdiff1d(pairs.shape[active], pairs.shape[active & standing[pairs.cell]])
    if not len(here):
        return []
    stated = int(np.isfinite(number_column(city, _CLASS, STATED, keys[here])).sum())
    area = len(np.unique(pairs.cell[active & np.isin(pairs.shape, here)])) * domain.grid.dx**2
    said = f"{len(here)} water bodies ({area:,.0f} m²) start empty"
    return [f'{said}, {stated} of them state a {STATED}: initial_level="{STATED}" fills these' if stated else said]
