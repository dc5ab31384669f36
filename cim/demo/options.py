"""The scenario pair of the demo district: the base as it is, and an option that raises, lowers and adds a building."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.demo.ground import elevation
from cim.demo.plan import ORIGIN

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from numpy.typing import NDArray

    from cim.demo.truth import Truth

__all__ = ["LEVELS", "Option", "choose_option", "option_changes", "write_scenarios"]

LEVELS = (4.4, 4.7, 5.2)
"""Water levels [m above the 1985 datum]: under the sill of the quay, over it, and far over it; the crest of the dyke is at 6.0."""
_STOREY = 3.2  # m, of what the option adds


@dataclass(frozen=True)
class Option:
    """What the option changes; every choice follows from the truth alone."""

    raised: str
    """Building that becomes higher: its plot then breaks the limit of the floor-area ratio, and it the height control."""
    raised_by: int
    """Storeys more."""
    lowered: str
    """Building over its height limit that is brought under it."""
    lowered_to: float
    """New height [m]."""
    added: Any
    """Footprint of a new building on a free spot, in EPSG:4549; its plot then breaks the limit of the floor-area ratio."""
    added_storeys: int
    added_ground: float
    """Elevation of its ground [m]."""
    added_plot: str


def choose_option(truth: Truth) -> Option:
    """Return the option of this district.

    Raises
    ------
    LookupError
        If no building or spot fits, which no seed that is tested makes happen.
    """
    raised, more = _to_raise(truth)
    lowered, height = _to_lower(truth)
    spot, plot, storeys = _to_add(truth, {_plot_of(truth, raised), _plot_of(truth, lowered)})
    west, south = np.min(np.asarray(spot.exterior.coords), axis=0) - ORIGIN
    return Option(raised, more, lowered, height, spot, storeys, round(float(elevation(west, south)), 2), plot)


def _plot_of(truth: Truth, id: str) -> str:
    return str(truth.plot[truth.ids == id][0])


def _area_of_plots(truth: Truth) -> NDArray[np.float64]:
    import shapely

    return np.asarray(shapely.area([truth.plots[plot] for plot in truth.plot.tolist()]))


def _limit(truth: Truth, name: str) -> NDArray[np.float64]:
    """Return the limit on the plot of each building."""
    return np.array([truth.limits[plot][name] for plot in truth.plot.tolist()])


def _keeps(truth: Truth) -> NDArray[np.bool_]:
    """Say which buildings stand on plots that keep all limits and miss none, shape (n,)."""
    far = np.array([truth.floor_area_ratio[plot] for plot in truth.plot.tolist()])
    highest = {plot: truth.height[truth.plot == plot].max() for plot in dict.fromkeys(truth.plot.tolist())}
    top = np.array([highest[plot] for plot in truth.plot.tolist()])
    clean = ~np.isin(truth.ids, [id for one in truth.defects for id in one.records])
    return np.asarray((far < _limit(truth, "far")) & (top < _limit(truth, "height")) & np.isfinite(_limit(truth, "density")) & clean)


def _to_raise(truth: Truth) -> tuple[str, int]:
    """Return a mid-rise building, and how many storeys more break both limits."""
    import shapely

    far = np.array([truth.floor_area_ratio[plot] for plot in truth.plot.tolist()])
    room = (_limit(truth, "far") - far) * _area_of_plots(truth)
    more = np.maximum(
        np.floor(room / shapely.area(truth.footprints)) + 1, np.ceil((_limit(truth, "height") - truth.height + 2.0) / _STOREY)
    )
    fits = _keeps(truth) & (truth.storeys >= 6) & (truth.storeys <= 18) & (more >= 2)
    chosen = np.flatnonzero(fits)[np.argmin(more[fits])]
    return str(truth.ids[chosen]), int(more[chosen]) + 1


def _to_lower(truth: Truth) -> tuple[str, float]:
    """Return a building that breaks its height limit, and the height that keeps it."""
    over = truth.height - _limit(truth, "height")
    clean = ~np.isin(truth.ids, [id for one in truth.defects for id in one.records])
    fits = (over > 0) & clean
    chosen = np.flatnonzero(fits)[np.argmax(over[fits])]
    return str(truth.ids[chosen]), float(_limit(truth, "height")[chosen] - 0.5)


def _to_add(truth: Truth, taken: set[str]) -> tuple[Any, str, int]:
    """Return a free spot for a slab, its plot, and the storeys that break the limit of the floor-area ratio there."""
    import shapely

    tree = shapely.STRtree(truth.footprints)
    keeps = _keeps(truth)
    for plot in dict.fromkeys(truth.plot[keeps & (truth.storeys >= 4)].tolist()):
        if plot in taken or truth.floor_area_ratio[plot] < 1.2:  # no house on the square of the library
            continue
        ground = shapely.buffer(truth.plots[plot], -5.0)
        west, south, east, north = shapely.bounds(ground)
        x, y = (one.reshape(-1) for one in np.meshgrid(np.arange(west + 18, east - 18, 3.0), np.arange(south + 8, north - 8, 3.0)))
        spots = shapely.box(np.round(x - 17, 1), np.round(y - 6.5, 1), np.round(x + 17, 1), np.round(y + 6.5, 1))
        free = shapely.contains(ground, spots)
        free[tree.query(spots, predicate="dwithin", distance=9.0)[0]] = False
        area = float(shapely.area(truth.plots[plot]))
        storeys = int(np.floor((truth.limits[plot]["far"] - truth.floor_area_ratio[plot]) * area / (34.0 * 13.0))) + 2
        if free.any() and storeys <= 14:
            return spots[np.flatnonzero(free)[len(np.flatnonzero(free)) // 2]], str(plot), storeys
    msg = "no plot of the demo district has a free spot for a new building"
    raise LookupError(msg)


_SCENARIO = """# Scenario 方案 of the demo district. Run it: cim run {file} -o runs/{file_stem}
city = "{city}"
name = "{name}"
outputs = ["geopackage", "excel"]
{changes}
# 静态淹没: still water that reaches the city from the river over the lowest way, at three levels above the 1985 datum
[inundation]
levels = [{levels}]
source = ["W-01"]

[checks.far]

[checks.density]

[checks.height_control]
limit_datum = "ground"
"""

_CHANGES = """
[[change]]  # breaks the height control 控高 and the floor-area ratio 容积率 of its plot
do = "raise_building"
id = "{raised}"
by = {by:.1f}
storeys = {storeys}

[[change]]  # brings a building under the height limit of its plot
do = "raise_building"
id = "{lowered}"
to = {to:.1f}
storeys = {lowered_storeys}

[[change]]  # a new house on plot {plot}
do = "add_building"
id = "NEW-01"
name = "新建住宅楼"
footprint = {ring}
height = {height:.1f}
storeys = {added_storeys}
z_ground = {ground:.2f}
"""


def option_changes(truth: Truth) -> str:
    """Return the steps of the option as a scenario file states them."""
    option = choose_option(truth)
    row = {id: int(np.flatnonzero(truth.ids == id)[0]) for id in (option.raised, option.lowered)}
    ring = [[round(float(x), 1), round(float(y), 1)] for x, y in list(option.added.exterior.coords)[:-1]]
    lower = option.lowered_to / truth.height[row[option.lowered]]
    return _CHANGES.format(
        raised=option.raised,
        by=option.raised_by * _STOREY,
        storeys=int(truth.storeys[row[option.raised]]) + option.raised_by,
        lowered=option.lowered,
        to=option.lowered_to,
        lowered_storeys=max(1, int(np.floor(truth.storeys[row[option.lowered]] * lower))),
        plot=option.added_plot,
        ring=ring,
        height=option.added_storeys * _STOREY,
        added_storeys=option.added_storeys,
        ground=option.added_ground,
    )


def write_scenarios(truth: Truth, folder: Path, city: str) -> tuple[Path, Path]:
    """Write ``base.toml`` and ``option.toml`` and return their paths.

    Parameters
    ----------
    city
        Path of the stored city, relative to the folder.
    """
    levels = ", ".join(f"{level:g}" for level in LEVELS)
    paths = []
    for stem, name, text in (("base", "现状 base", ""), ("option", "方案 A option A", option_changes(truth))):
        path = folder / f"{stem}.toml"
        content = _SCENARIO.format(file=path.name, file_stem=stem, city=city, name=name, changes=text, levels=levels)
        path.write_text(content, encoding="utf-8")
        paths.append(path)
    return paths[0], paths[1]
