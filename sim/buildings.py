"""What the planning checks and the inundation need of buildings, as columns: footprint, area, storeys, heights; nothing is guessed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.crs import is_web_mercator
from cim.errors import CRSError
from cim.model.numeric import number_column
from cim.sim.bodies import Bodies, areas, building_tree, polygons, read_bodies
from cim.sim.tops import Tops, tops_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.crs import CityCRS
    from cim.model import City

    Floats = NDArray[np.float64]

__all__ = ["Buildings", "area_factor", "crs_of", "crs_problem", "number_column", "polygons", "read_buildings", "require_measurable"]


@dataclass(frozen=True)
class Buildings:
    """Buildings with their parts as columns, one row each; NaN and None are missing.

    A BuildingPart that belongs to no building counts like a building.
    """

    keys: NDArray[np.int64]
    """Ascending."""
    ids: NDArray[np.object_]
    footprints: NDArray[np.object_]
    """Valid polygons in the CRS of the city, union of the building and its parts; None where there is none with an area."""
    area: Floats
    """Area of the footprint [m²]."""
    storeys: Floats
    """Storeys above ground that the building itself states; below 1 counts as missing, for files write 0 where they do not know."""
    height: Floats
    """Highest roof of the building and its parts above its ground [m]; see `cim.sim.tops`."""
    top: Floats
    """Elevation of that roof [m] in the height system of the city."""
    z_ground: Floats
    box: Floats
    """Shape (n, 4): xmin, ymin, xmax, ymax; NaN where nothing has a place."""
    repaired: int
    """Footprints that crossed themselves and were made valid for the area."""
    tops: Tops
    """How top and height are known, and what stands against them."""
    own: Bodies
    """The buildings without their parts, row by row."""
    parts: Bodies
    """Their parts of any depth."""
    owner: NDArray[np.int64]
    """Row of the building of each part."""

    def __len__(self) -> int:
        """Return the number of buildings."""
        return len(self.keys)


def read_buildings(city: City, type: str = "Building") -> Buildings:
    """Return the buildings of a city as columns; a city without any gives empty columns."""
    roots, part_keys, owner = building_tree(city, type)
    own, parts = read_bodies(city, roots), read_bodies(city, part_keys)
    footprints, factor = _joined(own, parts, owner), area_factor(city)
    tops = tops_of(own, parts, owner)
    box = own.box.copy()
    with np.errstate(invalid="ignore"):
        np.fmin.at(box[:, :2], owner, parts.box[:, :2])
        np.fmax.at(box[:, 2:], owner, parts.box[:, 2:])
    return Buildings(
        roots, own.ids, footprints, areas(footprints) * factor, own.storeys, tops.height, tops.top, own.z_ground, box,
        own.repaired + parts.repaired, tops, own, parts, owner,
    )  # fmt: skip


def _joined(own: Bodies, parts: Bodies, owner: NDArray[np.int64]) -> NDArray[np.object_]:
    """Return the union of each building and its parts; unknown where the building and one of its parts have no footprint."""
    import shapely

    joined = own.footprints.copy()
    if not len(parts):
        return joined
    blank = np.bincount(owner[shapely.is_missing(parts.footprints)], minlength=len(own)) > 0
    placed = ~shapely.is_missing(parts.footprints)
    inside = np.zeros(len(parts), bool)
    inside[placed] = shapely.covers(own.footprints[owner[placed]], parts.footprints[placed])
    grows = np.zeros(len(own), bool)
    grows[owner[placed & ~inside]] = True
    grows &= ~(blank & shapely.is_missing(own.footprints))
    rows, mine = np.flatnonzero(grows), placed & grows[owner]
    shapes = np.concatenate([own.footprints[rows], parts.footprints[mine]])
    group = np.concatenate([rows, owner[mine]])
    order = np.argsort(group, kind="stable")
    _, code = np.unique(group[order], return_inverse=True)
    collections = shapely.geometrycollections(shapes[order], indices=code.astype(np.intp))
    joined[rows] = shapely.union_all(collections[:, None], axis=1)
    return joined


def area_factor(city: City) -> float:
    """Return square metres per square unit of the map; NaN where the map does not count in lengths."""
    return float("nan") if crs_problem(city) else city.crs.linear_unit_factor**2


def crs_of(city: City) -> CityCRS | None:
    """Return the coordinate system of a city; a city made by hand may lack one, whatever its type says."""
    return city.crs


def crs_problem(city: City) -> str:
    """Return why lengths and areas cannot be measured in the city's coordinate system, ``""`` where they can."""
    crs = crs_of(city)
    if crs is None:
        return "the city states no coordinate system"
    if not crs.is_projected:
        return f"{crs.horizontal.name} is geographic: areas cannot be measured in degrees; transform the city to a projected system first"
    if is_web_mercator(crs):
        return f"{crs.horizontal.name} makes areas too large; transform the city to a system made for the place first"
    return ""


def require_measurable(city: City) -> None:
    """Refuse a city in which lengths and areas cannot be measured.

    Raises
    ------
    CRSError
        If its system is unknown, geographic or Web Mercator.
    """
    problem = crs_problem(city)
    if problem:
        raise CRSError(city.name or "city", problem)
