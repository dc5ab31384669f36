"""Coverages in another coordinate system than the city: points are brought to the city, footprints to the raster.

A raster is not warped: its cells stay what was measured, and the footprints are looked up where they lie in its own system.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cim.crs import parse, transform_geometries, transform_points

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cim.crs import CityCRS
    from cim.model import City

    Reals = NDArray[np.float64]

__all__ = ["frame_of", "points_into_city", "shapes_into_frame"]


def frame_of(city: City, row: dict[str, Any]) -> CityCRS:
    """Return the coordinate system of a coverage; that of the city where it states none."""
    return parse(row["crs"]) if row["crs"] else city.crs


def points_into_city(city: City, row: dict[str, Any], x: Reals, y: Reals) -> tuple[Reals, Reals]:
    """Return coordinates of a coverage in the system of the city."""
    own = frame_of(city, row)
    if own.same_horizontal(city.crs) or not len(x):
        return x, y
    done = transform_points(x, y, None, own.without_vertical(), city.crs.without_vertical(), path=row["path"])
    return done.x, done.y


def shapes_into_frame(city: City, row: dict[str, Any], shapes: NDArray[Any], issues: list[dict[str, Any]]) -> NDArray[Any]:
    """Return footprints of the city in the system of a raster; the operation is told.

    Raises
    ------
    CRSError
        If no operation good enough is known.
    """
    own = frame_of(city, row)
    if own.same_horizontal(city.crs):
        return shapes
    there, done = transform_geometries(shapes, city.crs.without_vertical(), own.without_vertical(), path=row["path"])
    accuracy = "accuracy not stated" if done.accuracy is None else f"{done.accuracy:g} m"
    text = (
        f"{row['id']!r} is in {own.to_string()}, the city in {city.crs.to_string()}: footprints were looked up in it by {done.pipeline} "
        f"({accuracy})"
    )
    issues.append({"code": "crs", "severity": "info", "object": row["object"], "message": text})
    issues.extend({"code": "crs", "severity": "warning", "object": row["object"], "message": note} for note in done.notes)
    return there
