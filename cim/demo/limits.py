"""What the plan allows on each plot of the demo district: most plots keep it, some do not, and some limits were never set."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cim.demo.features import Records

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.demo.district import District

    Reals = NDArray[np.float64]

__all__ = ["floor_area_ratio", "plot_records"]

_LADDER = np.array([6.0, 9.0, 12.0, 18.0, 24.0, 36.0, 50.0, 60.0, 80.0, 100.0, 120.0, 150.0, 180.0])
"""Heights that a plan sets [m]."""
_MARGIN = 0.8
"""Least distance of a limit from what stands there, so that what is measured from the air gives the verdict that is true [m]."""
_BROKEN = {"far": 5, "density": 3, "height": 4}
"""Plots that break each limit."""
_UNSET = {"far": 5, "density": 4, "height": 5}
"""Built-on plots without each limit."""


def floor_area_ratio(district: District) -> Reals:
    """Return storeys times footprint over plot area, shape (plots,)."""
    import shapely

    buildings = district.buildings
    floors = np.bincount(buildings.plot, buildings.storeys * shapely.area(buildings.shapes), len(district.plots))
    return np.asarray(floors / shapely.area(district.plots.shapes))


def plot_records(district: District, seed: int) -> Records:
    """Return the plots with the limits of the plan: ratios as ratios, the density in per cent."""
    import shapely

    random = np.random.default_rng([seed, 4])
    plots, buildings = district.plots, district.buildings
    area = shapely.area(plots.shapes)
    far = floor_area_ratio(district)
    density = 100 * np.bincount(buildings.plot, shapely.area(buildings.shapes), len(plots)) / area
    highest = np.zeros(len(plots))
    np.maximum.at(highest, buildings.plot, buildings.height)
    allowed = {
        "far": np.ceil(10 * (1.1 * far + 0.05)) / 10, "density": 5 * np.ceil((density + 1.0) / 5),
        "height": _LADDER[np.searchsorted(_LADDER, highest + _MARGIN)],
    }  # fmt: skip
    broken = {
        "far": np.floor(10 * 0.88 * far) / 10,
        "density": 5 * np.floor((density - 1.0) / 5),
        "height": _LADDER[np.searchsorted(_LADDER, highest - _MARGIN) - 1],
    }
    built = random.permutation(np.flatnonzero((plots.kinds != "park") & (density > 8.0)))
    start = 0
    for name, limit in allowed.items():
        hit = built[start : start + _BROKEN[name]]
        unset = built[start + _BROKEN[name] : start + _BROKEN[name] + _UNSET[name]]
        limit[hit], limit[unset] = broken[name][hit], np.nan
        start += _BROKEN[name] + _UNSET[name]
    green = np.select([plots.kinds == "park", plots.codes == "R2"], [65.0, 30.0], 20.0)
    return Records(
        plots.shapes,
        {
            "地块编号": plots.ids,
            "用地代码": plots.codes,
            "用地性质": plots.uses,
            "用地面积": np.round(area, 1),
            "容积率限值": np.round(allowed["far"], 1),
            "建筑密度限值": allowed["density"],
            "限高": allowed["height"],
            "绿地率限值": green,
        },
    )
