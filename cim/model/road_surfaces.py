"""The part of a road that is driven on, where its geometry says so: surfaces of the class TrafficArea, but for walking and parking."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.footprints import polygons_of_surfaces, union_by_group
from cim.model.geometry import flatten
from cim.model.road_facts import NOT_FOR_CARS, class_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]
    Shapes = NDArray[np.object_]

__all__ = ["driven_areas"]

_DRIVEN = "TrafficArea"


def driven_areas(city: City, keys: Ints, shapes: Shapes) -> tuple[Shapes, int]:
    """Return the shapes of roads, of those with surfaces of the class TrafficArea only these seen from above, and how many have any.

    Parameters
    ----------
    keys, shapes : shape (n,)
        Roads, ascending, and their footprints.
    """
    import shapely

    table = city.geometry_table(keys=keys) if len(keys) and city.tables.rows("surfaces") else None
    if table is None or not table.num_rows:
        return shapes, 0
    surfaces = city.surface_table(table)
    surfaces = surfaces.filter(pc.equal(surfaces["type"], _DRIVEN))
    driven = np.array([not _walked(text) for text in surfaces["attributes"].to_pylist()], bool)
    surfaces = surfaces.filter(pa.array(driven))
    if not surfaces.num_rows:
        return shapes, 0
    flat = flatten(table)
    of = flat.geometry_of_surface
    said = table["semantics"].combine_chunks()
    stated = np.asarray(pc.is_valid(said).to_numpy(zero_copy_only=False), bool)[of]
    code = np.full(len(of), -1, np.int64)
    code[stated] = pc.list_flatten(said).to_numpy(zero_copy_only=False)
    geometry = np.asarray(table["key"].to_numpy(), np.int64)
    wide = int(max(code.max(initial=0), np.max(surfaces["index"].to_numpy()))) + 1
    wanted = np.asarray(surfaces["geometry"].to_numpy(), np.int64) * wide + np.asarray(surfaces["index"].to_numpy(), np.int64)
    picked = (code >= 0) & np.isin(geometry[of] * wide + code, wanted)
    parts, rows = polygons_of_surfaces(flat, picked)
    owner = np.asarray(table["object"].to_numpy(), np.int64)[of[rows]]
    groups, areas = union_by_group(parts, owner)
    made = shapes.copy()
    made[np.searchsorted(keys, groups)] = shapely.transform(areas, lambda xy: xy + np.asarray(city.origin, float)[:2])
    return made, len(groups)


def _walked(text: str | None) -> bool:
    """Return whether the attributes of a surface say that it is not for cars."""
    said = json.loads(text) if text else {}
    words = [str(one) for name in ("function", "usage", "class") for one in np.atleast_1d(said.get(name) or "").tolist()]
    return any(class_of(word) in NOT_FOR_CARS for word in words)
