"""Height of the terrain under the corners of a mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CRSMismatchError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Floats = NDArray[np.float64]

__all__ = ["ground_under"]


def ground_under(terrain: City, city: City, xy: Floats) -> Floats:
    """Return the height of the terrain at places of the mesh [m], NaN where it is not known.

    Parameters
    ----------
    terrain
        City with rasters of the bare ground; where several hold a place the first that knows it counts.
    city
        Whose coordinate system the places are in.
    xy : shape (n, 2)
        Absolute east and north [m].

    Raises
    ------
    UsageError
        If the city has no raster of terrain.
    CRSMismatchError
        If the coordinate systems do not agree.
    """
    from cim.model.coverages import raster_ids, read_raster

    names = raster_ids(terrain, "terrain")
    if not names:
        kinds = ", ".join(raster_ids(terrain)) or "none at all"
        msg = f"the terrain {terrain.name!r} has no raster of the bare ground (rasters: {kinds}); read a DTM, not a DSM"
        raise UsageError(msg)
    height = np.full(len(xy), np.nan)
    for name in names:
        open_ = np.flatnonzero(np.isnan(height))
        if not len(open_):
            break
        low, high = xy[open_].min(axis=0) - 1.0, xy[open_].max(axis=0) + 1.0
        try:
            raster = read_raster(terrain, name, (float(low[0]), float(low[1]), float(high[0]), float(high[1])))
        except UsageError:  # this raster lies elsewhere
            continue
        reason = None
        if not raster.crs.same_horizontal(city.crs):
            reason = f"the raster {name!r} is in {raster.crs.to_string()}, the mesh in {city.crs.to_string()}"
        elif raster.crs.vertical is not None and city.crs.vertical is not None and not raster.crs.same_vertical(city.crs):
            reason = f"heights of {name!r} are in {raster.crs.to_string()}, those of the mesh in {city.crs.to_string()}"
        if reason is not None:
            raise CRSMismatchError(terrain.name or "terrain", reason, "bring both to one coordinate system first")
        height[open_] = raster.sample(xy[open_, 0], xy[open_, 1])
    return height
