"""Height control 控高: the highest roof of building and parts against the limit of each plot they stand on, in one height system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from cim.errors import CimError, UsageError
from cim.results import Stopwatch, Verdicts, judge
from cim.results.columns import column
from cim.sim.buildings import crs_of
from cim.sim.plan_case import Limit, PlanCase, PlanningCheck, PlanParameters, finish, given, read_case, set_reason, upper_limits
from cim.sim.plots import plot_limits
from cim.sim.tops import first_of, unknown_vertical

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Texts = NDArray[np.object_]

__all__ = ["HEIGHT_CONTROL", "HEIGHT_TOLERANCE", "HeightParameters", "height_control", "vertical_crs"]

HEIGHT_TOLERANCE = 1e-6
"""Metres by which a height may exceed its limit and still pass: rounding of base + height, not leniency."""
_COLUMNS = [
    column("top_z", pa.float64(), unit="m", en="top elevation", zh="建筑顶标高"),
    column("height", pa.float64(), unit="m", en="height above ground", zh="建筑高度"),
    column("limit_stated", pa.float64(), unit="m", en="limit as stated", zh="原限值"),
]
_RULES = {
    True: "compared is the height above ground: z_roof - z_ground, else the attribute height; the highest of building and BuildingParts",
    False: "compared is the elevation of the roof: z_roof, else z_ground + height; the highest of building and BuildingParts",
}


class HeightParameters(PlanParameters):
    """Section ``[checks.height_control]``."""

    limit_datum: str | None = Field(
        default=None, description='"ground": limits are heights above ground; else their height system, such as "EPSG:5737"'
    )
    datum_shift: float | None = Field(
        default=None, description="height in the city's system minus height in the limits' system, where they differ [m]"
    )


def height_control(
    city: City, *, plots: Any = None, grid: float | None = None, limit: Limit = None, limit_datum: str | None = None,
    datum_shift: float | None = None, overlap_tolerance: float = 0.1, type: str = "Building", clause: str | None = None,
) -> Verdicts:  # fmt: skip
    """Return the height of each building against the limit 控高 of each plot it stands on.

    Parameters
    ----------
    plots, grid
        What limits hold for; when both are left out and `limit` is one number, it holds for every building.
    limit
        Highest height or elevation allowed [m]: one for all, one by plot, or what the plots carry as height_limit.
    limit_datum
        ``"ground"``: the limit is a height above ground. Else the height system of the limit, such as ``"EPSG:5737"``, in which the top of
        the building must stay below it. When left out nothing is assessed: 60 m above ground and 60 m above the sea are not the same.
    datum_shift
        Height in the city's system minus height in the limit's system [m], where the two differ; PROJ knows no operation between the
        Chinese height systems and would return the same number.
    overlap_tolerance
        Overlap up to which a footprint only grazes a plot [m²].

    Returns
    -------
    Verdicts
        One row per building and plot (column ``place``), with ``top_z``, ``height`` and ``limit_stated`` [m]. A building on no plot is not
        assessed.
    """
    asked, watch = given(locals()), Stopwatch()
    everywhere = plots is None and grid is None and isinstance(limit, float | int)
    case = read_case(city, "city" if everywhere else plots, grid, type, overlap_tolerance, site_needed=False)
    building, plot = _pairs(case)
    stated = upper_limits(np.append(plot_limits(case.plots, limit, "height_limit"), np.nan)[plot])
    limits, datum_reason, datum_note = _in_datum(city, stated, limit_datum, datum_shift)
    value = (case.buildings.height if limit_datum == "ground" else case.buildings.top)[building]
    reason, note = _reasons(plot, stated, datum_reason, datum_note)
    _heights(city, case, building, value, reason, note, datum=limit_datum not in {None, "ground"})
    if not case.plots.whole:
        _places_unknown(case, building, reason, note)
    judged = judge(value, limits, reason=reason, tolerance=HEIGHT_TOLERANCE)
    columns = {
        "object": case.buildings.ids[building], "place": _places(case, plot), "value": value, "unit": "m", "limit": limits,
        "excess": judged.excess, "verdict": judged.verdict, "reason": judged.reason, "clause": clause, "note": note,
        "top_z": case.buildings.top[building], "height": case.buildings.height[building], "limit_stated": stated,
    }  # fmt: skip
    rule = (_RULES[limit_datum == "ground"],)
    return finish(
        "height_control", city, case, columns, extra=_COLUMNS, parameters=asked, balance={}, assumptions=rule, watch=watch, by_plot=False
    )


def _pairs(case: PlanCase) -> tuple[Ints, Ints]:
    """Return building and plot of each row; the plot is -1 for a building that stands on none."""
    count = len(case.buildings)
    if case.plots.whole:
        return np.arange(count), np.zeros(count, np.int64)
    building, plot = case.overlaps.building[case.matters], case.overlaps.plot[case.matters]
    alone = np.setdiff1d(np.arange(count), building)
    building, plot = np.concatenate([building, alone]), np.concatenate([plot, np.full(len(alone), -1, np.int64)])
    order = np.lexsort((plot, building))
    return building[order], plot[order]


def _places(case: PlanCase, plot: Ints) -> list[str | None]:
    if case.plots.whole:
        return [None] * len(plot)
    ids = case.plots.ids.tolist()
    return [ids[one] if one >= 0 else None for one in plot.tolist()]


def _reasons(plot: Ints, stated: Floats, datum_reason: str | None, datum_note: str | None) -> tuple[Texts, Texts]:
    """Return why rows cannot be assessed, the strongest reason last, and the same in words."""
    reason, note = np.full(len(plot), None, object), np.full(len(plot), None, object)
    if datum_reason is not None:
        set_reason(reason, note, np.ones(len(plot), bool), datum_reason, datum_note or "")
    set_reason(reason, note, ~np.isfinite(stated), "missing_limit", "no limit is stated here")
    set_reason(reason, note, plot < 0, "no_plot", "the building stands on no plot")
    return reason, note


def _heights(city: City, case: PlanCase, building: Ints, value: Floats, reason: Texts, note: Texts, *, datum: bool) -> None:
    """Write why heights are unknown, naming the building or the part that is to blame."""
    own, parts, owner = case.buildings.own, case.buildings.parts, case.buildings.owner
    if datum:
        doubt = first_of(unknown_vertical(city, own), own.ids, unknown_vertical(city, parts), parts.ids, owner)
        _blame(doubt[building], reason, note, "unknown_vertical_datum", "the source of the heights of {!r} states no height system")
    set_reason(reason, note, ~np.isfinite(value), "missing_height", "the height of the roof is unknown")
    blank = ~np.isfinite(parts.top) & ~np.isfinite(parts.height)
    part = first_of(np.zeros(len(own), bool), own.ids, blank, parts.ids, owner)[building]
    part[np.isfinite(value)] = None
    _blame(part, reason, note, "missing_height", "the height of its part {!r} is unknown")
    _blame(case.buildings.tops.contradictory[building], reason, note, "contradictory_height", "the roof of {!r} is not above its ground")


def _blame(ids: Texts, reason: Texts, note: Texts, code: str, words: str) -> None:
    """Write a reason where an id is to blame for it; `words` has room for the id."""
    rows = np.flatnonzero(ids != None)  # noqa: E711  # element by element
    reason[rows] = code
    note[rows] = [words.format(one) for one in ids[rows].tolist()]


def _places_unknown(case: PlanCase, building: Ints, reason: Texts, note: Texts) -> None:
    set_reason(reason, note, np.isin(building, case.overlaps.unplaced), "missing_footprint", "without a footprint its plot is unknown")
    if (case.reason == "unknown_crs").any():
        set_reason(reason, note, np.ones(len(building), bool), "unknown_crs", str(case.note[0]))


def _in_datum(city: City, stated: Floats, datum: str | None, shift: float | None) -> tuple[Floats, str | None, str | None]:
    """Return the limits in the height system of the city, and why they cannot be compared (code and words), None where they can."""
    from cim.crs import CityCRS

    if datum == "ground":
        return stated, None, None
    if datum is None:
        return stated, "unknown_vertical_datum", 'state limit_datum: "ground", or the height system of the limits'
    wanted = vertical_crs(datum, "limit_datum")
    crs = crs_of(city)
    if crs is None or crs.vertical is None:
        return stated, "unknown_vertical_datum", "the height system of the city is unknown"
    if CityCRS(crs.horizontal, wanted).same_vertical(crs):
        return stated, None, None
    if shift is None:
        return stated, "vertical_datum_mismatch", f"limits are in {datum}, the city in {crs.vertical.name}; state datum_shift"
    return stated + shift, None, None


def vertical_crs(datum: str, parameter: str) -> Any:
    """Return the height system that a text names, alone ("EPSG:5737") or as part of another ("EPSG:4549+5737").

    Raises
    ------
    UsageError
        If it names none; `parameter` stands in the message.
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError as ProjError

    from cim.crs import parse

    try:
        crs = CRS.from_user_input(datum)
        vertical = crs if crs.is_vertical and not crs.is_compound else parse(datum).vertical
    except ProjError:
        vertical = _compound(datum, parse)
    except CimError:
        vertical = None
    if vertical is None:
        msg = f"{parameter} {datum!r} names no height system; expected one such as EPSG:5737"
        raise UsageError(msg)
    return vertical


def _compound(datum: str, parse: Any) -> Any:
    try:
        return parse(datum).vertical
    except CimError:
        return None


HEIGHT_CONTROL = PlanningCheck("height_control", "Height control", "控高", HeightParameters, height_control)
