"""A city as a place where water flows: terrain made fit for flow, buildings, roofs, roughness, infiltration, edges."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cim.errors import CimError, UsageError
from cim.results import Grid
from cim.sim.buildings import crs_of
from cim.sim.cells import cells_inside
from cim.sim.flood import repairs
from cim.sim.flood.covers import CoveredGround, CoverTable, cover_cells, cover_table, green_ampt
from cim.sim.flood.crossings import Crossings, read_bridges, read_culverts, read_passages, read_underpasses
from cim.sim.flood.domain import LARGEST_GAP, Edge, FlowDomain
from cim.sim.flood.elevation import crs_faults, option_faults, refuse, value_faults
from cim.sim.flood.gaps import dilated, fill_gaps
from cim.sim.flood.ground import resample
from cim.sim.flood.roofs import Drained, Roofs, drain_roofs, raise_buildings, read_roofs, wall_buildings
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


@dataclass(frozen=True)
class _Options:
    """What the caller asked for."""

    resolution: float | None
    area: Any
    terrain: Terrain
    buildings: str
    roofs: str
    roughness: Any
    infiltration: Any
    gaps: str
    culverts: str
    underpasses: str
    decks: str
    edge: Edge | None
    largest_gap: float
    clearance: float
    covers: Any
    soil: str | None

    @property
    def free(self) -> bool:
        """Whether water leaves at the outer edge."""
        return (self.edge or ("closed" if self.area is None else "free")) == "free"

    def faults(self) -> list[str]:
        """Return which options make no sense."""
        known = {
            "buildings": (self.buildings, ("raise", "wall", "ignore")),
            "roofs": (self.roofs, ("gutter", "ground", "keep")),
            "gaps": (self.gaps, ("fill", "wall")),
            "culverts": (self.culverts, ("breach", "keep")),
            "underpasses": (self.underpasses, ("burn", "keep")),
            "decks": (self.decks, ("remove", "keep")),
        }
        faults = option_faults(known)
        if self.edge not in {None, "free", "closed"}:
            faults.append(f"edge={self.edge!r}; expected 'free', 'closed' or None")
        for name in ("resolution", "largest_gap", "clearance"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value >= 0 and (value > 0 or name == "largest_gap")):
                faults.append(f"{name}={value!r}; expected a number above 0")
        if isinstance(self.roughness, str) and self.roughness != "land_use":
            faults.append(f"roughness={self.roughness!r}; expected 'land_use', a number [s/m^(1/3)] or a field")
        if _is_number(self.roughness) and not 0 < self.roughness <= 1:
            faults.append(f"roughness={self.roughness!r}; expected Manning's n above 0 and at most 1 s/m^(1/3)")
        if isinstance(self.infiltration, str) and self.infiltration != "land_use":
            faults.append(f"infiltration={self.infiltration!r}; expected 'land_use', None or a law")
        return faults


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
        ``"land_use"``: Green-Ampt by the same table; a law of `cim.sim.flood.infiltration`, or None.
    gaps
        Terrain without elevation: ``"fill"`` (up to `largest_gap` [m²], under buildings, and waters) or ``"wall"``.
    culverts, underpasses, decks
        Whether what the model says of them is cut into the terrain, or taken off it; see `cim.sim.flood.repairs`.
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
    options = _Options(**given)
    ground, table, place, told = _prepared(city, options)
    inside = _inside(place, ground)
    levels = ground.crs.same_vertical(city.crs) and ground.crs.vertical is not None
    done = _repaired(city, ground, inside, told, options, levels=levels)
    covered = cover_cells(city, ground, table, done.roofs.cells if done.roofs else None) if _needs_covers(options) else None
    return _assembled(city, done, inside, covered, options)


# ---------------------------------------------------------------- inputs


def _prepared(city: City, options: _Options) -> tuple[Raster, CoverTable, Any, Bools]:
    """Return the terrain on the cells asked for, the table, the polygon of the domain, and the cells on which the terrain lies."""
    import shapely

    faults = options.faults() + crs_faults(crs_of(city), "the city")
    table, place, ground = cover_table(), None, None
    try:
        table = cover_table(options.covers)
        if options.soil is not None and options.soil not in table.soils:
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
    if not (isinstance(options.roughness, str) or _is_number(options.roughness)):
        try:
            _roughness_field(city, options.roughness)
        except CimError as error:
            faults.append(str(error))
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


def _box(place: Any, ground: Raster, options: _Options) -> Box:
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
        refuse([f"the area holds no cell of {ground.dx:g} m; give a larger area or a smaller resolution"])
    return mask


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))


def _needs_covers(options: _Options) -> bool:
    return "land_use" in {one for one in (options.roughness, options.infiltration) if isinstance(one, str)}


# ---------------------------------------------------------------- the ground


@dataclass(frozen=True)
class _Repaired:
    """The ground fit for flow, without and with buildings."""

    ground: Raster
    elevation: Floats
    roofs: Roofs | None
    drained: Drained | None
    notes: list[str]
    open_ways: tuple[str, ...] = ()


def _repaired(city: City, ground: Raster, inside: Bools, told: Bools, options: _Options, *, levels: bool) -> _Repaired:
    """Return the ground; `inside` are the cells of the domain, `told` those on which the terrain lies."""
    notes = [] if levels else ["elevations of objects are not used: the height systems of city and terrain differ or are unknown"]
    beyond = int((inside & ~told).sum())
    notes += [f"{beyond} cells of the area lie beyond the terrain: walls"] if beyond else []
    box = ground.bounds
    passages = read_passages(city, box)
    kept_open, said = repairs.open_passages(ground, passages)
    opened: set[str] = set(passages.ids.tolist())
    standing = read_roofs(city, ground, inside, kept_open)
    bridges = read_bridges(city, box) if options.decks == "remove" else None
    ground, more = _whole(city, ground, inside, told, standing, bridges, options, levels=levels)
    notes += said + more
    ground, cut, more = _opened(city, ground, options, opened, levels=levels)
    notes += more
    ground = replace(ground, values=np.where(inside, ground.values, np.nan))
    if options.buildings == "ignore":
        return _Repaired(ground, ground.values, None, None, [*notes, "buildings are ignored"], tuple(sorted(opened)))
    standing = _without(standing, cut)
    notes += standing.notes
    if options.buildings == "raise":
        elevation, said = raise_buildings(ground.values, standing, ground.dx)
    else:
        elevation, said = wall_buildings(ground.values, standing)
    way: Any = options.roofs
    drained = drain_roofs(ground.values, standing, way, ground.dx)
    notes += said + list(drained.notes if drained else ("rain on roofs stays where it falls",))
    return _Repaired(ground, elevation, standing, drained, notes, tuple(sorted(opened)))


def _without(standing: Roofs, cut: Bools) -> Roofs:
    """Return the buildings without the cells of channels and ways below them."""
    taken = int((standing.cells & cut).sum())
    if not taken:
        return standing
    kept = ~cut.reshape(-1)[standing.pairs.cell]
    pairs = replace(standing.pairs, shape=standing.pairs.shape[kept], cell=standing.pairs.cell[kept])
    said = f"{taken} cells of buildings stay open for culverts and underpasses below them"
    return replace(standing, owner=np.where(cut, -1, standing.owner).astype(np.int32), pairs=pairs, notes=(*standing.notes, said))


def _whole(
    city: City, ground: Raster, inside: Bools, told: Bools, standing: Roofs, bridges: Crossings | None, options: _Options, *, levels: bool
) -> tuple[Raster, list[str]]:  # fmt: skip
    """Return the ground without gaps and decks; gaps are filled from ground that is no deck, so that decks lie between known sides."""
    deck = np.zeros(ground.shape, bool)
    if bridges is not None and len(bridges):
        deck.reshape(-1)[cells_inside(repairs.deck_areas(bridges, ground.dx), ground).cell] = True
    bare = replace(ground, values=np.where(deck, np.nan, ground.values))
    bare, notes = _filled(city, bare, inside & ~deck, told & ~deck, standing, options, levels=levels)
    ground = replace(ground, values=np.where(deck, ground.values, bare.values))
    if bridges is None or not len(bridges):
        return ground, notes
    values, said = repairs.remove_decks(ground, bridges)
    left = deck | np.isfinite(values)  # gaps elsewhere have been decided on
    ground, more = _filled(city, replace(ground, values=values), inside & left, told & left, standing, options, levels=levels)
    return ground, notes + said + more


def _filled(
    city: City, ground: Raster, inside: Bools, told: Bools, standing: Roofs, options: _Options, *, levels: bool
) -> tuple[Raster, list[str]]:  # fmt: skip
    unknown = int((np.isnan(ground.values) & inside & told).sum())
    if not unknown:
        return ground, []
    if options.gaps == "wall":
        return ground, [f"{unknown} cells without elevation are walls"]
    water, level = _waters(city, ground, levels=levels)
    done = fill_gaps(
        ground.values, told, buildings=standing.cells, water=water, water_level=level, cell=ground.dx, largest=options.largest_gap
    )  # what lies beside the domain helps to fill gaps at its rim
    return replace(ground, values=done.elevation), list(done.notes)


def _waters(city: City, ground: Raster, *, levels: bool) -> tuple[Bools, Floats]:
    """Return the cells of waters and the level that the model states for them."""
    import shapely

    from cim.model.numeric import numbers

    water, level = np.zeros(ground.shape, bool), np.full(ground.shape, np.nan)
    keys = city.keys("WaterBody", bbox=ground.bounds) if "WaterBody" in city.types() else np.empty(0, np.int64)
    if not len(keys):
        return water, level
    shapes = city.footprints(keys)
    shapes[~np.isin(shapely.get_type_id(shapes), (3, 6))] = None
    pairs = cells_inside(shapes, ground)
    water.reshape(-1)[pairs.cell] = True
    if levels:
        stated, low = numbers(city, "water_level", keys), numbers(city, "z_ground", keys)
        level.reshape(-1)[pairs.cell] = np.where(np.isfinite(stated), stated, low)[pairs.shape]
    return water, level


def _opened(
    city: City, ground: Raster, options: _Options, opened: set[str], *, levels: bool
) -> tuple[Raster, Bools, list[str]]:  # fmt: skip
    """Return the ground with culverts and underpasses, their cells, and what was done; ids of underpasses are added to `opened`."""
    cut = np.zeros(ground.shape, bool)
    notes: list[str] = []
    if options.culverts == "breach":
        found = read_culverts(city, ground.bounds, levels=levels)
        values, cells, said = repairs.breach_culverts(ground, found)
        ground, cut, notes = replace(ground, values=values), cut | cells, notes + said
    if options.underpasses == "burn":
        ways, said = read_underpasses(city, ground.bounds, levels=levels)
        values, cells, more = repairs.burn_underpasses(ground, ways, clearance=options.clearance, opened=opened)
        ground, cut, notes = replace(ground, values=values), cut | cells, notes + said + more
    return ground, cut, notes


# ---------------------------------------------------------------- the whole


def _assembled(city: City, done: _Repaired, inside: Bools, covered: CoveredGround | None, options: _Options) -> FlowDomain:
    ground, notes = done.ground, list(done.notes)
    roughness, said = _roughness(city, ground, covered, options)
    law, more = _infiltration(covered, options)
    notes += [*(covered.notes if covered else ()), *said, *more]
    grid = Grid(ground.x_min, ground.y_max, ground.dx, ground.dy, ground.shape[1], ground.shape[0], ground.crs.to_string())
    open_edge = ~inside & dilated(np.isfinite(done.elevation)) if options.free else None
    how = "as asked" if options.edge else "the default of a part" if options.area is not None else "the default of a whole terrain"
    notes.append(f"the outer edge is {'free' if options.free else 'closed'} ({how})")
    vertical = None if ground.crs.vertical is None else str(ground.crs.vertical.name)
    pairs = None if done.drained is None or not len(done.drained.from_cell) else (done.drained.from_cell, done.drained.to_cell)
    standing = done.roofs
    return FlowDomain(
        done.elevation, grid, roughness, pairs, law, open_edge, standing.ids if standing else None, standing.pairs if standing else None,
        tuple(notes), vertical, covered.code if covered else None, covered.names if covered else (), done.open_ways,
    )  # fmt: skip


def _roughness(city: City, ground: Raster, covered: CoveredGround | None, options: _Options) -> tuple[float | Floats, list[str]]:
    if _is_number(options.roughness):
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


def _infiltration(covered: CoveredGround | None, options: _Options) -> tuple[Any, list[str]]:
    if not isinstance(options.infiltration, str):
        return options.infiltration, [] if options.infiltration is not None else ["no water seeps away"]
    if covered is None:  # cannot be: "land_use" asks for covers
        return None, []
    law, said = green_ampt(covered, options.soil)
    return law, [said]
