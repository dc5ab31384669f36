"""The footprints a mesh is cut by: polygons in the frame of the mesh, and what is wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.cutting.findings import gathered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]

__all__ = ["Footprints", "footprints_of"]

OVERLAP = 0.01
"""Footprints that share more than this are named [m²]."""


@dataclass(frozen=True)
class Footprints:
    """The polygons, and whose they are."""

    keys: Ints
    """Shape (p,): objects."""
    ids: list[str]
    shapes: NDArray[Any]
    """Shape (p,): valid polygons relative to the origin of the mesh; None where an object has none."""
    issues: list[dict[str, Any]] = field(default_factory=list)


def footprints_of(city: City, type: str, origin: NDArray[np.float64]) -> Footprints:
    """Return the footprints of a class; broken ones are repaired, missing ones and overlaps named."""
    import shapely

    keys = city.keys(type)
    ids = city.ids(keys)
    shapes = shapely.transform(city.footprints(keys), lambda xy: xy - origin[:2])
    issues: list[dict[str, Any]] = []
    polygonal = np.isin(shapely.get_type_id(shapes), (3, 6)) & ~shapely.is_empty(shapes)
    empty = [
        _issue("empty", keys[row], ids[row], f"{ids[row]} has no footprint with an area; it gets no part of the mesh")
        for row in np.flatnonzero(~polygonal).tolist()
    ]
    issues += gathered(empty, "objects have no footprint with an area; they get no part of the mesh")
    shapes[~polygonal] = None
    broken = polygonal & ~shapely.is_valid(shapes)
    repaired = [
        _issue("repaired", keys[row], ids[row], f"footprint of {ids[row]}: {shapely.is_valid_reason(shapes[row])}; made valid")
        for row in np.flatnonzero(broken).tolist()
    ]
    issues += gathered(repaired, "footprints are not valid; made valid")
    shapes[broken] = [_areas(shape) for shape in shapely.make_valid(shapes[broken])]
    return Footprints(keys, ids, shapes, issues + _overlaps(keys, ids, shapes))


def _areas(shape: Any) -> Any:
    """Return the polygons in what a repair gave."""
    import shapely

    parts = shapely.get_parts(shapely.get_parts(shape))
    kept = parts[shapely.get_type_id(parts) == 3]
    return shapely.multipolygons(kept) if len(kept) else None


def _overlaps(keys: Ints, ids: list[str], shapes: NDArray[Any]) -> list[dict[str, Any]]:
    """Return an issue for every pair of footprints that share ground: the first one gets it."""
    import shapely

    first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    pair = first < second
    first, second = first[pair], second[pair]
    shared = shapely.area(shapely.intersection(shapes[first], shapes[second]))
    found = [
        _issue("conflict", keys[b], ids[b], f"footprints of {ids[a]} and {ids[b]} share {area:.2f} m2; the mesh there goes to {ids[a]}")
        for a, b, area in zip(first.tolist(), second.tolist(), shared.tolist(), strict=True)
        if area > OVERLAP
    ]
    return gathered(found, "footprints share ground with another; the mesh there goes to the first of the two")


def _issue(code: str, key: int, record: str, message: str) -> dict[str, Any]:
    return {"code": code, "severity": "warning", "object": int(key), "record": record, "message": message}
