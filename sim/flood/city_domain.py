"""A city as a place where water flows: terrain made fit for flow, buildings, roofs, roughness, infiltration, edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cim.errors import CimError, UsageError
from cim.results import Grid
from cim.sim.buildings import crs_of
from cim.sim.flood.city_ground import CityGround, city_ground
from cim.sim.flood.city_options import CityOptions, is_number
from cim.sim.flood.covers import CoveredGround, CoverTable, cover_cells, cover_table, green_ampt
from cim.sim.flood.domain import LARGEST_GAP, Edge, FlowDomain, law_on
from cim.sim.flood.elevation import crs_faults, refuse, value_faults
from cim.sim.flood.gaps import dilated
from cim.sim.flood.ground import resample
from cim.sim.terrain import Terrain, read_terrain

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.coverages import Raster

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Box = tuple[float, float, float, float]

__all__ = ["CLEARANCE", "domain_from_city"]

CLEARANCE = 4.5
"""Height of a way under what crosses it [m], where nothing says it: the least of most national rules for main roads."""


def domain_from_city(  # noqa: PLR0913  # each decision about the ground is the caller's
    city: City, *, resolution: float | None = None, area: Any = None, terrain: Terrain = None,
    buildings: Literal["raise", "wall", "ignore"] = "raise", roofs: Literal["gutter", "ground", "keep"] = "gutter",
    roughness: float | Literal["land_use"] | xarray.DataArray = "land_use", infiltration: Any = "land_use",
    gaps: Literal["fill", "wall"] = "fill", culverts: Literal["breach", "keep"] = "breach", underpasses: Literal["burn", "keep"] = "burn",
    decks: Literal["remove", "keep"] = "remove", edge: Edge | None = None, largest_gap: float = LARGEST_GAP, clearance: float = CLEARANCE,
    covers: Any = None, soil: str | None = None,
) -> FlowDomain:  # fmt: skip
    """Return a city, or a part of it, as a place where water flows.

    Parameters
    ----------
    resolution
        Size of a cell [m]; that of the terrain when left out.
    area
        The part: (xmin, ymin, xmax, ymax), a polygon in the CRS of the city, or the id of an object with a footprint; all of the terrain
        when left out. Cells whose centre lies outside are NaN.
    terrain
        A `Raster`, a field, or the id of an object; the only terrain of the city when left out.
    buildings
        ``"raise"`` by their height, ``"wall"`` (NaN), or ``"ignore"``.
    roofs
        Where rain on roofs arrives: ``"gutter"`` on the low side of the building, ``"ground"`` all around it, ``"keep"`` where it falls.
    roughness
        ``"land_use"``: Manning's n by the classes of the city and the table of covers; a number, or a field [s/m^(1/3)].
    infiltration
        ``"land_use"``: Green-Ampt by the same table; a law of `cim.sim.flood.infiltration`, or None. The parameters of a law are numbers,
        arrays like the cells of the area, or fields on them.
    gaps
        Terrain without elevation: ``"fill"`` (up to `largest_gap` [m²], under buildings, and waters) or ``"wall"``.
    culverts, underpasses, decks
        Whether what the model says of them is cut into the terrain, or taken off it; see `cim.sim.flood.channels`, `cim.sim.flood.decks`.
    edge
        ``"free"``: water leaves at the outer edge; ``"closed"``: it does not. Left out: free where `area` is given, else closed.
    clearance
        Height of an underpass that neither model nor terrain tells [m].
    covers
        Another table of covers: a JSON file or its content.
    soil
        Soil under everything, such as "sandy loam"; that of the table when left out.

    Raises
    ------
    UsageError
        With every fault of options, systems and terrain in one message.
    """
    given = dict(locals())
    given.pop("city")
    options = CityOptions(**given)
    ground, table, place, told = _prepared(city, options)
    inside = _inside(place, ground)
    levels = ground.crs.same_vertical(city.crs) and ground.crs.vertical is not None
    done = city_ground(city, ground, inside, told, options, levels=levels)
    covered = cover_cells(city, ground, table, done.roofs.cells if done.roofs else None) if _needs_covers(options) else None
    return _assembled(city, done, inside, covered, options)


# ---------------------------------------------------------------- inputs


def _prepared(city: City, options: CityOptions) -> tuple[Raster, CoverTable, Any, Bools]:
    """Return the terrain on the cells asked for, the table, the polygon of the domain, and the cells on which the terrain lies."""
    import shapely

    faults = options.faults() + crs_faults(crs_of(city), "the city")
    table, place, ground = cover_table(), None, None
    try:
        table = cover_table(options.covers)
        if options.soil is not None and str(options.soil) not in table.soils:
            faults.append(f"soil={options.soil!r}; expected one of {', '.join(table.soils)}")
    except CimError as error:
        faults.append(str(error))
    try:
        place = _polygon(city, options.area)
    except CimError as error:
        faults.append(str(error))
    try:
        ground = read_terrain(city, options.terrain)
        faults += crs_faults(ground.crs, f"the terrain {ground.name}".rstrip(), ground.unit) if ground.crs is not city.crs else []
        faults += value_faults(ground.values, f"the terrain {ground.name}".rstrip())
    except CimError as error:
        faults.append(str(error))
    if not (isinstance(options.roughness, str) or is_number(options.roughness)):
        try:
            _roughness_field(city, options.roughness)
        except CimError as error:
            faults.append(str(error))
    faults += _beside(place, ground, options.area)
    cut = None
    if ground is not None and not faults:
        place = shapely.box(*ground.bounds) if place is None else place
        try:
            cut = resample(ground, options.resolution, _box(place, ground, options))
        except CimError as error:
            faults.append(str(error))
    refuse(list(dict.fromkeys(faults)))
    if cut is None or ground is None:  # cannot be: without a terrain there is a fault
        msg = "flood: the city has no terrain"
        raise UsageError(msg)
    return cut, table, place, _inside(shapely.box(*ground.bounds), cut)


def _beside(place: Any, ground: Raster | None, area: Any) -> list[str]:
    """Return why an area has no ground, with its numbers as they were given."""
    if place is None or ground is None:
        return []
    west, south, east, north = place.bounds
    left, bottom, right, top = ground.bounds
    if west < right and east > left and south < top and north > bottom:
        return []
    given = " ".join(f"{one:.12g}" for one in place.bounds)
    named = f" of {area!r}" if isinstance(area, str) else ""
    has = f"{left:.12g} {bottom:.12g} to {right:.12g} {top:.12g}"
    degrees = max(abs(west), abs(east)) <= 180 and max(abs(south), abs(north)) <= 90
    ask = f"; these look like degrees: give metres of {ground.crs.horizontal.name}" if degrees and not ground.crs.is_local else ""
    return [f"the area{named}, {given}, lies beside the terrain, which covers {has}{ask}"]


def _box(place: Any, ground: Raster, options: CityOptions) -> Box:
    """Return what the grid covers: the area, and where water leaves at its edge a ring of cells around it."""
    west, south, east, north = place.bounds
    ring = (options.resolution or ground.dx) if options.free else 0.0
    return west - ring, south - ring, east + ring, north + ring


def _polygon(city: City, area: Any) -> Any:
    """Return the area of the domain as a polygon, None where all of the terrain is meant."""
    import shapely

    if area is None:
        return None
    if isinstance(area, str):
        shape = city.footprints(city.key_of([area]))[0]
    elif isinstance(area, shapely.Geometry):
        shape = area
    else:
        try:
            west, south, east, north = (float(one) for one in area)
        except (TypeError, ValueError) as error:
            msg = f"area={area!r}; expected xmin, ymin, xmax, ymax, a polygon, or the id of an object"
            raise UsageError(msg) from error
        if not (np.isfinite([west, south, east, north]).all() and west < east and south < north):
            msg = f"area={area!r} is not xmin, ymin, xmax, ymax"
            raise UsageError(msg)
        shape = shapely.box(west, south, east, north)
    if shape is None or shape.geom_type not in {"Polygon", "MultiPolygon"} or shape.is_empty or not shape.is_valid:
        said = "has no footprint" if shape is None else shapely.is_valid_reason(shape) if not shape.is_valid else f"is a {shape.geom_type}"
        msg = f"the area {said}; expected a valid polygon with an area"
        raise UsageError(msg)
    return shape


def _inside(place: Any, ground: Raster) -> Bools:
    """Return the cells whose centre lies in the area."""
    import shapely

    shapely.prepare(place)
    mask = np.zeros(ground.shape, bool)
    west, south, east, north = place.bounds
    if place.equals(shapely.box(*place.bounds)):
        mask |= ((ground.y >= south) & (ground.y <= north))[:, None] & ((ground.x >= west) & (ground.x <= east))
    for first in range(0, 0 if mask.any() else ground.shape[0], 256):  # bounds the memory
        x, y = np.meshgrid(ground.x, ground.y[first : first + 256])
        mask[first : first + 256] = shapely.intersects_xy(place, x, y)
    if not mask.any():
        box = f"{west:.12g} {south:.12g} to {east:.12g} {north:.12g}"
        refuse([f"the area, {box}, holds no middle of a cell of {ground.dx:g} m; give a larger area or a smaller resolution"])
    return mask


def _needs_covers(options: CityOptions) -> bool:
    return "land_use" in {one for one in (options.roughness, options.infiltration) if isinstance(one, str)}


# ---------------------------------------------------------------- the whole


def _assembled(city: City, done: CityGround, inside: Bools, covered: CoveredGround | None, options: CityOptions) -> FlowDomain:
    ground, notes = done.ground, list(done.notes)
    roughness, said = _roughness(city, ground, covered, options)
    law, more = _infiltration(covered, options)
    notes += [*(covered.notes if covered else ()), *said, *more]
    grid = Grid(ground.x_min, ground.y_max, ground.dx, ground.dy, ground.shape[1], ground.shape[0], ground.crs.to_string())
    if not isinstance(options.infiltration, str):
        law, wrong = law_on(law, _without_ring(grid) if options.free else grid, ring=options.free)
        refuse(wrong)
    open_edge = ~inside & dilated(np.isfinite(done.elevation)) if options.free else None
    how = "as asked" if options.edge else "the default of a part" if options.area is not None else "the default of a whole terrain"
    notes.append(f"the outer edge is {'free' if options.free else 'closed'} ({how})")
    vertical = None if ground.crs.vertical is None else str(ground.crs.vertical.name)
    pairs = None if done.drained is None or not len(done.drained.from_cell) else (done.drained.from_cell, done.drained.to_cell)
    standing = done.roofs
    return FlowDomain(
        done.elevation, grid, roughness, pairs, law, open_edge, standing.ids if standing else None, standing.pairs if standing else None,
        tuple(notes), vertical, covered.code if covered else None, covered.names if covered else (), done.open_ways, done.water,
    )  # fmt: skip


def _roughness(city: City, ground: Raster, covered: CoveredGround | None, options: CityOptions) -> tuple[float | Floats, list[str]]:
    if is_number(options.roughness):
        return float(options.roughness), [f"roughness is {float(options.roughness):g} s/m^(1/3) everywhere, as given"]
    if isinstance(options.roughness, str) and covered is not None:
        return covered.roughness, []
    field = _roughness_field(city, options.roughness)
    x, y = np.meshgrid(ground.x, ground.y)
    values = field.sample(x, y, method="nearest")
    missing = np.isnan(values) & np.isfinite(ground.values)
    default = cover_table(options.covers)
    number = default.covers[default.default].roughness
    said = [f"{int(missing.sum())} cells have no roughness in the field given: n = {number:g} assumed"] if missing.any() else []
    return np.where(np.isnan(values), number, values), said


def _roughness_field(city: City, given: Any) -> Raster:
    """Return a field of roughness as a raster; its unit is no length."""
    return read_terrain(city, given.assign_attrs(units="m") if hasattr(given, "assign_attrs") else given)


def _without_ring(grid: Grid) -> Grid:
    return Grid(grid.x_min + grid.dx, grid.y_max - grid.dy, grid.dx, grid.dy, grid.nx - 2, grid.ny - 2, grid.crs)


def _infiltration(covered: CoveredGround | None, options: CityOptions) -> tuple[Any, list[str]]:
    if not isinstance(options.infiltration, str):
        return options.infiltration, [] if options.infiltration is not None else ["no water seeps away"]
    if covered is None:  # cannot be: "land_use" asks for covers
        return None, []
    law, said = green_ampt(covered, options.soil)
    return law, [said]
