"""The ground of a city made fit for flow: gaps filled, decks taken off, channels cut, buildings set upon it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.sim.cells import cells_inside
from cim.sim.flood.channels import breach_culverts, burn_underpasses, open_passages
from cim.sim.flood.crossings import Crossings, read_bridges, read_culverts, read_passages, read_underpasses
from cim.sim.flood.decks import deck_areas, remove_decks
from cim.sim.flood.gaps import fill_gaps
from cim.sim.flood.roofs import Drained, Roofs, drain_roofs, raise_buildings, read_roofs, wall_buildings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.coverages import Raster
    from cim.sim.flood.city_options import CityOptions

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

__all__ = ["CityGround", "city_ground"]


@dataclass(frozen=True)
class CityGround:
    """The ground fit for flow, without and with buildings."""

    ground: Raster
    elevation: Floats
    roofs: Roofs | None
    drained: Drained | None
    notes: list[str]
    open_ways: tuple[str, ...] = ()
    water: Bools | None = None
    """Cells of waters."""


def city_ground(city: City, ground: Raster, inside: Bools, told: Bools, options: CityOptions, *, levels: bool) -> CityGround:
    """Return the ground; `inside` are the cells of the domain, `told` those on which the terrain lies."""
    notes = [] if levels else ["elevations of objects are not used: the height systems of city and terrain differ or are unknown"]
    beyond = int((inside & ~told).sum())
    notes += [f"{beyond} cells of the area lie beyond the terrain: walls"] if beyond else []
    box = ground.bounds
    passages = read_passages(city, box)
    kept_open, said = open_passages(ground, passages)
    opened: set[str] = set(passages.ids.tolist())
    standing = read_roofs(city, ground, inside, kept_open)
    bridges = read_bridges(city, box) if options.decks == "remove" else None
    ground, more = _whole(city, ground, inside, told, standing, bridges, options, levels=levels)
    notes += said + more
    ground, cut, more = _opened(city, ground, options, opened, levels=levels)
    notes += more
    ground = replace(ground, values=np.where(inside, ground.values, np.nan))
    water = _waters(city, ground, levels=False)[0]
    if options.buildings == "ignore":
        return CityGround(ground, ground.values, None, None, [*notes, "buildings are ignored"], tuple(sorted(opened)), water)
    standing = _without(standing, cut)
    notes += standing.notes
    if options.buildings == "raise":
        elevation, said = raise_buildings(ground.values, standing, ground.dx)
    else:
        elevation, said = wall_buildings(ground.values, standing)
    way: Any = options.roofs
    drained = drain_roofs(ground.values, standing, way, ground.dx)
    notes += said + list(drained.notes if drained else ("rain on roofs stays where it falls",))
    return CityGround(ground, elevation, standing, drained, notes, tuple(sorted(opened)), water)


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
    city: City, ground: Raster, inside: Bools, told: Bools, standing: Roofs, bridges: Crossings | None, options: CityOptions, *,
    levels: bool,
) -> tuple[Raster, list[str]]:  # fmt: skip
    """Return the ground without gaps and decks; gaps are filled from ground that is no deck, so that decks lie between known sides."""
    deck = np.zeros(ground.shape, bool)
    if bridges is not None and len(bridges):
        deck.reshape(-1)[cells_inside(deck_areas(bridges, ground.dx), ground).cell] = True
    bare = replace(ground, values=np.where(deck, np.nan, ground.values))
    bare, notes = _filled(city, bare, inside & ~deck, told & ~deck, standing, options, levels=levels)
    ground = replace(ground, values=np.where(deck, ground.values, bare.values))
    if bridges is None or not len(bridges):
        return ground, notes
    values, said = remove_decks(ground, bridges)
    left = deck | np.isfinite(values)  # gaps elsewhere have been decided on
    ground, more = _filled(city, replace(ground, values=values), inside & left, told & left, standing, options, levels=levels)
    return ground, notes + said + more


def _filled(
    city: City, ground: Raster, inside: Bools, told: Bools, standing: Roofs, options: CityOptions, *, levels: bool
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
    city: City, ground: Raster, options: CityOptions, opened: set[str], *, levels: bool
) -> tuple[Raster, Bools, list[str]]:  # fmt: skip
    """Return the ground with culverts and underpasses, their cells, and what was done; ids of underpasses are added to `opened`."""
    cut = np.zeros(ground.shape, bool)
    notes: list[str] = []
    if options.culverts == "breach":
        found = read_culverts(city, ground.bounds, levels=levels)
        values, cells, said = breach_culverts(ground, found)
        ground, cut, notes = replace(ground, values=values), cut | cells, notes + said
    if options.underpasses == "burn":
        ways, said = read_underpasses(city, ground.bounds, levels=levels)
        values, cells, more = burn_underpasses(ground, ways, clearance=options.clearance, opened=opened)
        ground, cut, notes = replace(ground, values=values), cut | cells, notes + said + more
    return ground, cut, notes
