"""What the planning checks and the inundation need of buildings, as columns: footprint, area, storeys, heights; nothing is guessed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.crs import is_web_mercator
from cim.errors import CRSError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.crs import CityCRS
    from cim.model import City

    Floats = NDArray[np.float64]

__all__ = ["Buildings", "area_factor", "crs_of", "crs_problem", "number_column", "polygons", "read_buildings", "require_measurable"]


@dataclass(frozen=True)
class Buildings:
    """Buildings as columns, one row each; NaN and None are missing."""

    keys: NDArray[np.int64]
    ids: NDArray[np.object_]
    footprints: NDArray[np.object_]
    """Valid polygons in the CRS of the city; None where there is none with an area."""
    area: Floats
    """Area of the footprint [m²]."""
    storeys: Floats
    """Storeys above ground; below 1 counts as missing, for files write 0 where they do not know."""
    height: Floats
    """Roof above ground [m]: z_roof - z_ground, else the attribute height; not positive counts as missing."""
    top: Floats
    """Elevation of the roof [m] in the height system of the city: z_roof, else z_ground + height."""
    z_ground: Floats
    box: Floats
    """Shape (n, 4): xmin, ymin, xmax, ymax; NaN where nothing has a place."""
    repaired: int
    """Footprints that crossed themselves and were made valid for the area."""

    def __len__(self) -> int:
        """Return the number of buildings."""
        return len(self.keys)


def read_buildings(city: City, type: str = "Building") -> Buildings:
    """Return the buildings of a city as columns; a city without any gives empty columns."""
    keys = city.keys(type) if type in city.attributes else np.empty(0, np.int64)
    footprints, repaired = polygons(city.footprints(keys)) if len(keys) else (np.empty(0, object), 0)
    core = city.tables["objects"].take(pa.array(city.row_of_key(keys) if len(keys) else keys))
    z_ground, z_roof = _floats(core["z_ground"]), _floats(core["z_roof"])
    rise = z_roof - z_ground
    height = _positive(np.where(np.isfinite(rise), rise, number_column(city, type, "height", keys)))
    storeys = number_column(city, type, "storeys_above_ground", keys)
    box = np.stack([_floats(pc.struct_field(core["bbox"], name)) for name in ("xmin", "ymin", "xmax", "ymax")], axis=1)
    ids, area = np.asarray(core["id"].to_pylist(), object), _areas(footprints) * area_factor(city)
    top = np.where(np.isfinite(z_roof), z_roof, z_ground + height)
    return Buildings(keys, ids, footprints, area, np.where(storeys >= 1, storeys, np.nan), height, top, z_ground, box, repaired)


def number_column(city: City, type: str, name: str, keys: NDArray[np.int64]) -> Floats:
    """Return an attribute as numbers, NaN where it is missing, infinite or no number; all NaN where the class has no such attribute."""
    if not len(keys) or type not in city.attributes or name not in city.attributes.schema(type).names:
        return np.full(len(keys), np.nan)
    column = city.column(type, name, keys)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return np.full(len(keys), np.nan)
    return _floats(column)


def _floats(column: Any) -> Floats:
    values = np.array(column.cast(pa.float64()).to_numpy(), np.float64) if len(column) else np.empty(0)
    values[~np.isfinite(values)] = np.nan
    return values


def _positive(values: Floats) -> Floats:
    return np.where(values > 0, values, np.nan)


def polygons(shapes: NDArray[Any]) -> tuple[NDArray[np.object_], int]:
    """Return valid polygons, None for what has no area, and how many had to be made valid."""
    import shapely

    polygonal = np.isin(shapely.get_type_id(shapes), (3, 6, 7)) & ~shapely.is_missing(shapes)
    made = shapes.astype(object)
    made[~polygonal] = None
    bad = polygonal & ~shapely.is_valid(made)
    made[bad] = shapely.make_valid(made[bad], method="structure", keep_collapsed=False)
    made[~(_areas(made) > 0)] = None
    return made, int(bad.sum())


def _areas(shapes: NDArray[Any]) -> Floats:
    import shapely

    return np.asarray(shapely.area(shapes), np.float64)


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
