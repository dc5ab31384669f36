"""Bodies: buildings and building parts as plain columns, and which part belongs to which building."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.numeric import floats, numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Bodies", "areas", "building_tree", "polygons", "read_bodies"]

_PART = "BuildingPart"


@dataclass(frozen=True)
class Bodies:
    """Buildings or parts, each by itself, one row each; NaN and None are missing."""

    keys: Ints
    ids: NDArray[np.object_]
    footprints: NDArray[np.object_]
    """Valid polygons in the CRS of the city; None where there is none with an area."""
    storeys: Floats
    """Storeys above ground; below 1 counts as missing."""
    z_ground: Floats
    z_roof: Floats
    stated: Floats
    """The attribute height [m]; not positive counts as missing."""
    box: Floats
    """Shape (n, 4): xmin, ymin, xmax, ymax; NaN where nothing has a place."""
    repaired: int
    """Footprints that crossed themselves and were made valid."""

    def __len__(self) -> int:
        """Return the number of bodies."""
        return len(self.keys)

    @property
    def contradictory(self) -> Bools:
        """Which roofs are not above their ground, shape (n,)."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.z_roof <= self.z_ground, bool)

    @property
    def height(self) -> Floats:
        """Roof above ground [m]: z_roof - z_ground, else the attribute height; contradictory ones are missing."""
        rise = self.z_roof - self.z_ground
        return _positive(np.where(np.isfinite(rise), rise, self.stated))

    @property
    def top(self) -> Floats:
        """Elevation of the roof [m]: z_roof, else z_ground + height; contradictory ones are missing."""
        top = np.where(np.isfinite(self.z_roof), self.z_roof, self.z_ground + self.height)
        return np.where(self.contradictory, np.nan, top)


def read_bodies(city: City, keys: Ints) -> Bodies:
    """Return the columns of some objects of one or several classes."""
    names = ["id", "z_ground", "z_roof", "bbox"]
    core = city.core_rows(names, keys) if len(keys) else city.tables["objects"].slice(0, 0).select(names)
    footprints, repaired = polygons(city.footprints(keys)) if len(keys) else (np.empty(0, object), 0)
    storeys = numbers(city, "storeys_above_ground", keys)
    box = np.stack([floats(pc.struct_field(core["bbox"], name)) for name in ("xmin", "ymin", "xmax", "ymax")], axis=1)
    return Bodies(
        np.asarray(keys, np.int64), np.asarray(core["id"].to_pylist(), object), footprints, np.where(storeys >= 1, storeys, np.nan),
        floats(core["z_ground"]), floats(core["z_roof"]), _positive(numbers(city, "height", keys)), box, repaired,
    )  # fmt: skip


def building_tree(city: City, type: str) -> tuple[Ints, Ints, Ints]:
    """Return the keys of the buildings, those of their parts of any depth, and the row of the building of each part.

    A part belongs to the nearest object of class `type` above it. A part that has none, and lies in no other part, is a building itself.
    """
    table = city.tables.scan("objects", ["key", "type", "parent"])
    keys = np.asarray(table["key"].to_numpy(), np.int64)
    built = _flags(pc.equal(table["type"], type))
    part = _flags(pc.equal(table["type"], _PART))
    if type == _PART or not part.any():
        return keys[built], np.empty(0, np.int64), np.empty(0, np.int64)
    parent = _parent_rows(table, keys)
    if type == "Building":
        orphan = part & ~built[_climb(parent, built)]
        built = built | (orphan & ~_inside_another(parent, part))
        built = built | (part & ~built[_climb(parent, built)])  # parts whose parents run in a circle
    end = _climb(parent, built)
    mine = np.flatnonzero(part & ~built & built[end])
    roots = np.flatnonzero(built)
    return keys[roots], keys[mine], np.searchsorted(roots, end[mine]).astype(np.int64)


def _flags(column: Any) -> Bools:
    return np.asarray(pc.fill_null(column, fill_value=False).to_numpy(zero_copy_only=False) if len(column) else [], bool)


def _parent_rows(table: pa.Table, keys: Ints) -> Ints:
    """Return the row of the parent of each row; its own where there is none."""
    here = np.arange(len(keys))
    wanted = np.asarray(table["parent"].fill_null(-1).to_numpy(), np.int64)
    row = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[row] == wanted, row, here).astype(np.int64)


def _climb(parent: Ints, stop: Bools) -> Ints:
    """Return the nearest row at or above each row at which `stop` holds, else some row at which it does not; cycles end."""
    up = np.where(stop, np.arange(len(parent)), parent)
    for _ in range(len(parent).bit_length() + 1):  # each step doubles the levels that are climbed
        further = up[up]
        if np.array_equal(further, up):
            break
        up = further
    return up


def _inside_another(parent: Ints, part: Bools) -> Bools:
    """Say which rows have a part above them."""
    return np.asarray(part[_climb(parent, part)[parent]] & (parent != np.arange(len(parent))), bool)


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
    made[~(areas(made) > 0)] = None
    return made, int(bad.sum())


def areas(shapes: NDArray[Any]) -> Floats:
    """Return areas in squared map units, NaN for None."""
    import shapely

    return np.asarray(shapely.area(shapes), np.float64)
