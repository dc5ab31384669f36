"""Planning checks by plot: floor area ratio 容积率, building density 建筑密度, gross floor area 总建筑面积; and height control 控高.

Each gives one verdict per plot (or per building and plot, for heights). Whatever an answer needs and nobody states, makes the plot not
assessed, with a reason; a value equal to its limit passes. Rules, for all of them:

- a footprint that straddles two plots counts on each by the share of its area there; the height limit of a plot holds for every building
  that stands on it with more than a sliver (`overlap_tolerance`, or half of the footprint);
- floor area is footprint × storeys above ground, unless the building states its own (far_floor_area, gross_floor_area);
- covered area is the union of the footprints of buildings and their parts, not their sum;
- a building is as high as the highest of its parts; what a part adds to the floor area stands among the assumptions of the run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pydantic import Field, PositiveFloat

from cim.results import Stopwatch, Verdicts, judge
from cim.results.columns import column
from cim.sim.buildings import area_factor
from cim.sim.floor_area import FloorArea, covered_footprint_area, floor_areas, footprint_area, gross_floor_area
from cim.sim.height_control import HEIGHT_CONTROL, height_control
from cim.sim.plan_case import (
    RATIO_TOLERANCE,
    Limit,
    PlanCase,
    PlanningCheck,
    PlanParameters,
    finish,
    given,
    read_case,
    set_reason,
    upper_limits,
)
from cim.sim.plots import covered_area, overlap, plot_limits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Floats = NDArray[np.float64]

__all__ = [
    "DENSITY",
    "FAR",
    "GROSS_FLOOR_AREA",
    "HEIGHT_CONTROL",
    "covered_footprint_area",
    "density",
    "far",
    "floor_area_check",
    "footprint_area",
    "gross_floor_area",
    "height_control",
]

_FLOOR_AREA = column("floor_area", pa.float64(), unit="m²", en="floor area counted", zh="计容建筑面积")
_SITE = column("site_area", pa.float64(), unit="m²", en="site area", zh="用地面积")
_COVERED = column("covered_area", pa.float64(), unit="m²", en="covered area", zh="基底面积")
_PARTS = (
    "a stated floor area holds for a building with its BuildingParts; else a part counts with the storeys of its building on the footprint "
    "of the building, with its own storeys beside it, and its storeys above those of the building count on top; a part without a footprint "
    "adds nothing"
)
_HULL = 'the plot "city" is the convex hull of the footprints of the buildings: nobody stated a site'
_RULES = {
    "far": ("floor area = far_floor_area where stated, else footprint × storeys above ground; nothing is deducted", _PARTS),
    "gfa": ("floor area = gross_floor_area where stated, else footprint × storeys above ground", _PARTS),
    "density": ("covered area = union of the footprints of buildings and their parts cut to the plot; overlaps count once",),
}


class DensityParameters(PlanParameters):
    """Section ``[checks.density]``."""


class FarParameters(PlanParameters):
    """Section ``[checks.far]``."""

    storey_height: PositiveFloat | None = Field(
        default=None, description="assumed where storeys are missing but the height is known [m]; left out: no guess"
    )


class FloorAreaParameters(FarParameters):
    """Section ``[checks.gross_floor_area]``."""

    plots: str | list[str] | None = Field(default="city", description='ids of plots; "city": one plot for all')


def far(
    city: City, *, plots: Any = None, grid: float | None = None, limit: Limit = None, storey_height: float | None = None,
    overlap_tolerance: float = 0.1, type: str = "Building", clause: str | None = None,
) -> Verdicts:  # fmt: skip
    """Return the floor area ratio 容积率 of each plot against its limit.

    Parameters
    ----------
    plots, grid
        What limits hold for; see `cim.sim.plots.read_plots`.
    limit
        Highest ratio allowed: one for all plots, one by id, or what the plots carry as far_limit.
    storey_height
        Assumed where storeys are missing but the height is known [m]; no guess when left out.
    overlap_tolerance
        Overlap up to which a building whose storeys nobody knows is overlooked on a plot [m²].
    clause
        Printed with each verdict.

    Returns
    -------
    Verdicts
        One row per plot, with ``floor_area`` and ``site_area`` [m²].
    """
    asked, watch = given(locals()), Stopwatch()
    case = read_case(city, plots, grid, type, overlap_tolerance, site_needed=True)
    floors = floor_areas(city, case.buildings, "far_floor_area", storey_height, tolerance=overlap_tolerance)
    case = _on_pieces(city, case, floors, overlap_tolerance)
    _add_missing(case, floors)
    counted = _on_plots(case, floors)
    value, limits = counted / case.plots.area, upper_limits(plot_limits(case.plots, limit, "far_limit"))
    columns = {**_judged(case, value, limits, "1", clause), "floor_area": counted, "site_area": _site(case)}
    columns["assumption"] = _with_site(case, _assumption(case, floors, storey_height))
    balance, rules = _balance(case, floors.area), (*_RULES["far"], *_hull(case))
    return finish("far", city, case, columns, extra=[_FLOOR_AREA, _SITE], parameters=asked, balance=balance, assumptions=rules, watch=watch)


def density(
    city: City, *, plots: Any = None, grid: float | None = None, limit: Limit = None, overlap_tolerance: float = 0.1,
    type: str = "Building", clause: str | None = None,
) -> Verdicts:  # fmt: skip
    """Return the building density 建筑密度 of each plot against its limit: union of the footprints on it over its area.

    Parameters are those of `far`; `limit` is a share between 0 and 1 (0.3 for 30 %), or what the plots carry as density_limit.

    Returns
    -------
    Verdicts
        One row per plot, with ``covered_area`` and ``site_area`` [m²].
    """
    asked, watch = given(locals()), Stopwatch()
    case = read_case(city, plots, grid, type, overlap_tolerance, site_needed=True)
    union = covered_area(case.overlaps.pieces, case.overlaps.plot, len(case.plots)) * area_factor(city)
    covered = np.where(case.unknown, np.nan, union)
    value, limits = covered / case.plots.area, upper_limits(plot_limits(case.plots, limit, "density_limit"))
    percent = (limits > 1) & ~case.unknown  # a percentage taken for a share would let everything pass
    set_reason(case.reason, case.note, percent, "implausible_limit", "a density above 1 is no limit; give a share such as 0.3 for 30 %")
    columns = {**_judged(case, value, limits, "1", clause), "covered_area": covered, "site_area": _site(case)}
    if case.plots.whole:
        columns["assumption"] = _with_site(case, [None])
    balance, rules = _balance(case, case.buildings.area), (*_RULES["density"], *_hull(case))
    return finish(
        "density", city, case, columns, extra=[_COVERED, _SITE], parameters=asked, balance=balance, assumptions=rules, watch=watch
    )  # fmt: skip


def floor_area_check(
    city: City, *, plots: Any = "city", grid: float | None = None, limit: Limit = None, storey_height: float | None = None,
    overlap_tolerance: float = 0.1, type: str = "Building", clause: str | None = None,
) -> Verdicts:  # fmt: skip
    """Return the gross floor area 总建筑面积 of the city, or of each plot, against a limit [m²]; parameters as in `far`."""
    asked, watch = given(locals()), Stopwatch()
    case = read_case(city, None if grid is not None else plots, grid, type, overlap_tolerance, site_needed=False)
    floors = floor_areas(city, case.buildings, "gross_floor_area", storey_height, tolerance=overlap_tolerance)
    case = _on_pieces(city, case, floors, overlap_tolerance)
    _add_missing(case, floors)
    value, limits = _on_plots(case, floors), upper_limits(plot_limits(case.plots, limit, "gross_floor_area_limit"))
    columns = {**_judged(case, value, limits, "m²", clause), "assumption": _assumption(case, floors, storey_height)}
    balance = _balance(case, floors.area)
    return finish("gross_floor_area", city, case, columns, parameters=asked, balance=balance, assumptions=_RULES["gfa"], watch=watch)


def _judged(case: PlanCase, value: Floats, limits: Floats, unit: str, clause: str | None) -> dict[str, Any]:
    """Return the columns that every check by plot has."""
    judged = judge(value, limits, reason=case.reason, tolerance=np.where(np.isfinite(limits), limits, 0.0) * RATIO_TOLERANCE)
    return {
        "object": case.plots.ids, "value": value, "unit": unit, "limit": limits, "excess": judged.excess, "verdict": judged.verdict,
        "reason": judged.reason, "clause": clause, "note": case.note,
    }  # fmt: skip


def _add_missing(case: PlanCase, floors: FloorArea) -> None:
    """Note the plots on which a building stands whose floor area is unknown; a reason of place goes first."""
    lacks = floors.reason[case.overlaps.building]
    for code, words in (("missing_storeys", "storeys"), ("missing_height", "storeys and height")):  # the second outweighs the first
        pairs = np.flatnonzero(case.matters & (lacks == code))
        plot, first, count = np.unique(case.overlaps.plot[pairs], return_index=True, return_counts=True)
        for where, pair, number in zip(plot.tolist(), pairs[first].tolist(), count.tolist(), strict=True):  # only plots with a gap
            if case.reason[where] in {None, "missing_storeys"}:
                case.reason[where] = code
                case.note[where] = f"{number} buildings here lack {words}, the first is {case.buildings.ids[case.overlaps.building[pair]]}"


def _on_pieces(city: City, case: PlanCase, floors: FloorArea, tolerance: float) -> PlanCase:
    """Lay buildings and the pieces that their parts add over the plots, each for itself; without parts the case stays as it is."""
    if floors.pieces is case.buildings:
        return case
    over = overlap(city, floors.pieces, case.plots)
    return replace(case, buildings=floors.pieces, overlaps=over, matters=over.matters(tolerance))


def _on_plots(case: PlanCase, floors: FloorArea) -> Floats:
    """Return the floor area on each plot [m²]; slivers of buildings nobody knows count as nothing."""
    share = np.nan_to_num(floors.area[case.overlaps.building]) * case.overlaps.share
    return np.where(case.unknown, np.nan, case.by_plot(share))


def _assumption(case: PlanCase, floors: FloorArea, storey_height: float | None) -> list[str | None]:
    """Return, for each plot, what was assumed about its buildings."""
    assumed = case.by_plot((case.matters & floors.assumed[case.overlaps.building]).astype(float)).astype(int)
    return [
        f"storeys of {count} buildings = height / {storey_height:g} m, rounded, at least 1" if count else None for count in assumed.tolist()
    ]


def _hull(case: PlanCase) -> tuple[str, ...]:
    """Return what a run assumes about its site, where nobody stated one."""
    return (_HULL,) if case.plots.whole else ()


def _with_site(case: PlanCase, assumed: list[str | None]) -> list[str | None]:
    return ["; ".join(filter(None, (*_hull(case), one))) or None for one in assumed]


def _site(case: PlanCase) -> Floats:
    return np.where(case.reason == "unknown_crs", np.nan, case.plots.area)


def _balance(case: PlanCase, amount: Floats) -> dict[str, float]:
    """Return how much of the known amount of all buildings lies on plots, and how much beside them."""
    known = np.nan_to_num(amount)
    inside, total = float((known[case.overlaps.building] * case.overlaps.share).sum()), float(known.sum())
    return {"all_buildings_m2": total, "on_plots_m2": inside, "beside_plots_m2": total - inside}


FAR = PlanningCheck("far", "Floor area ratio", "容积率", FarParameters, far)
DENSITY = PlanningCheck("density", "Building density", "建筑密度", DensityParameters, density)
GROSS_FLOOR_AREA = PlanningCheck("gross_floor_area", "Gross floor area", "总建筑面积", FloorAreaParameters, floor_area_check)
