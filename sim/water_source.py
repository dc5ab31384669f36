"""Where water comes from: the edge of the terrain, water bodies of the city, points, shapes or cells, brought to cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.sim.cells import edge_cells, touched_cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.coverages import Raster

    Bools = NDArray[np.bool_]

__all__ = ["said_source", "source_cells"]


def source_cells(city: City, source: Any, ground: Raster) -> Bools:
    """Return the cells from which water comes, shape (ny, nx).

    Parameters
    ----------
    source
        ``"edge"`` of the terrain; a class of the city such as ``"WaterBody"``; ids of objects; points (n, 2) in the CRS of the city;
        shapely geometries; or a mask of cells (ny, nx).

    Raises
    ------
    UsageError
        If it is nothing of that kind, or touches no cell.
    ObjectNotFoundError
        If an id is not there.
    """
    if isinstance(source, str) and source == "edge":
        return edge_cells(ground.shape)
    if isinstance(source, np.ndarray) and source.dtype == bool:
        if source.shape != ground.shape or not source.any():
            msg = f"the mask of source cells has shape {source.shape} with {source.sum()} cells; expected {ground.shape} and at least one"
            raise UsageError(msg)
        return source
    return touched_cells(_shapes(city, source), ground)


def _shapes(city: City, source: Any) -> Any:
    """Return the shapes of a source that is no set of cells."""
    import shapely

    if isinstance(source, str):
        return city.footprints(city.keys(source) if source in city.attributes else city.key_of([source]))
    given = [source] if isinstance(source, shapely.Geometry) else list(source)
    if given and all(isinstance(one, str) for one in given):
        return city.footprints(city.key_of(given))
    if given and all(isinstance(one, shapely.Geometry) for one in given):
        return given
    return shapely.points(_points(given, source))


def _points(given: list[Any], source: Any) -> NDArray[np.float64]:
    msg = f'source={source!r}; expected "edge", a class, ids, points [[x, y], …] or shapes'
    try:
        points = np.asarray(given, float)
    except (TypeError, ValueError) as error:
        raise UsageError(msg) from error
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise UsageError(msg)
    return points


def said_source(source: Any) -> Any:
    """Return what the record keeps of a source: text and points as they are; shapes and masks are kept by their hash."""
    if isinstance(source, str):
        return source
    plain = isinstance(source, list | tuple | np.ndarray) and not (isinstance(source, np.ndarray) and source.dtype == bool)
    listed = list(source) if plain else []
    if listed and all(isinstance(one, str) for one in listed):
        return listed
    if listed and all(isinstance(one, list | tuple | np.ndarray) for one in listed):
        return [[float(value) for value in one] for one in listed]
    return f"<{type(source).__name__}>"
