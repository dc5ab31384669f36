"""Which cells of a raster are elevations: scale, unit, nodata declared and undeclared, and what no elevation on Earth can be."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CRSError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.crs import CityCRS

    Floats = NDArray[np.float64]

__all__ = ["HIGHEST", "LOWEST", "MANY_KINDS", "Rules", "Tally", "clean", "metric", "unit_factor"]

LOWEST, HIGHEST = -11_500.0, 9_000.0
"""Range of elevations [m]: below the Challenger Deep (-10 935 m), above Everest (8 849 m)."""
SENTINELS = (-9999.0, -32767.0, -32768.0, -99999.0, -999999.0, -9999999.0, 99999.0, 999999.0)
"""Values that programs write for "unknown" without saying so; none is an elevation on Earth [m]."""
_HUGE = 1.0e30  # FLT_MAX, the fill values of netCDF (9.97e36) and ESRI (-3.4e38): never measured
_TINY = 1.0e-25  # smaller than any rounding leaves: bytes that are no number
MANY_KINDS = 6
"""As many different impossible values are noise; marks for "unknown" are one or two."""
_FEET = {
    "ft": 0.3048,
    "foot": 0.3048,
    "feet": 0.3048,
    "international foot": 0.3048,
    "us-ft": 1200 / 3937,
    "ft-us": 1200 / 3937,
    "us survey foot": 1200 / 3937,
    "foot_us": 1200 / 3937,
    "us foot": 1200 / 3937,
    "survey foot": 1200 / 3937,
    "ftus": 1200 / 3937,
    "us_survey_foot": 1200 / 3937,
}
_UNITS = {
    "m": 1.0,
    "metre": 1.0,
    "meter": 1.0,
    "metres": 1.0,
    "meters": 1.0,
    "dm": 0.1,
    "decimetre": 0.1,
    "cm": 0.01,
    "centimetre": 0.01,
    "centimeter": 0.01,
    "centimeters": 0.01,
    "mm": 0.001,
    "millimetre": 0.001,
    "millimeter": 0.001,
    "km": 1000.0,
    "米": 1.0,
    "厘米": 0.01,
    **_FEET,
}


@dataclass(frozen=True)
class Rules:
    """How raw values of one band become metres."""

    nodata: float | None = None
    """Declared nodata, in raw values."""
    scale: float = 1.0
    offset: float = 0.0
    factor: float = 1.0
    """Metres per unit."""
    jump: float = np.inf
    """Difference between neighbours [m] that no terrain or building makes."""


@dataclass
class Tally:
    """What `clean` met, over all blocks."""

    known: int = 0
    declared: int = 0
    """Cells that hold the declared nodata."""
    sentinels: Counter[float] = field(default_factory=Counter)
    """Cells of each undeclared value that means unknown."""
    not_finite: int = 0
    absurd: int = 0
    """Cells outside of what an elevation can be."""
    kinds: set[float] = field(default_factory=set)
    """Some distinct values among those and the huge ones: many of them are noise, not a mark for unknown."""
    jumps: int = 0
    """Neighbours that differ by more than any terrain does."""
    absurd_low: float = np.inf
    absurd_high: float = -np.inf
    low: float = np.inf
    high: float = -np.inf
    written: int = 0
    """Known cells of the clean raster; other than `known` where it was resampled."""
    absent: int = 0
    """Cells of blocks that the file leaves out."""


def unit_factor(name: str | None) -> float | None:
    """Return metres per unit; None for a unit that is not known or not named.

    Examples
    --------
    >>> unit_factor("ft"), unit_factor("Metre"), unit_factor("furlong")
    (0.3048, 1.0, None)
    """
    return None if not name else _UNITS.get(name.strip().lower())


def clean(raw: NDArray[Any], rules: Rules, tally: Tally, hidden: NDArray[np.bool_] | None = None) -> Floats:
    """Return elevations [m], NaN where they are unknown, and count why.

    Parameters
    ----------
    raw
        Values as the file holds them, of any real type.
    hidden : shape of `raw`
        Cells that the file leaves out.
    """
    values = raw.astype(np.float64)
    unknown = np.zeros(raw.shape, bool) if hidden is None else hidden.copy()
    if rules.nodata is not None and not np.isnan(rules.nodata):
        mark = ~unknown & _equals(raw, values, rules.nodata)
        tally.declared += int(mark.sum())
        unknown |= mark
    elif rules.nodata is not None:
        mark = ~unknown & np.isnan(values)
        tally.declared += int(mark.sum())
        unknown |= mark
    strange = ~unknown & ~np.isfinite(values)
    tally.not_finite += int(strange.sum())
    unknown |= strange
    unknown |= _sentinels(values, unknown, tally)
    values[unknown] = np.nan
    metres = (values * rules.scale + rules.offset) * rules.factor
    return _plausible(metres, rules, tally)


def _equals(raw: NDArray[Any], values: Floats, nodata: float) -> NDArray[np.bool_]:
    """Return where a value is the declared one, in the precision of the file."""
    if raw.dtype == np.float32:
        with np.errstate(over="ignore"):
            return np.asarray(raw == np.float32(nodata), bool)
    return np.asarray(values == nodata, bool)


def _sentinels(values: Floats, unknown: NDArray[np.bool_], tally: Tally) -> NDArray[np.bool_]:
    found = ~unknown & (np.abs(np.where(unknown, 0.0, values)) >= _HUGE)
    if found.any():
        _remember(values[found], tally)
        for value in (np.inf, -np.inf):
            count = int((found & ((values > 0) == (value > 0))).sum())
            if count:
                tally.sentinels[float(np.sign(value)) * float(np.finfo(np.float32).max)] += count
    small = ~unknown & ~found & np.isin(values, SENTINELS)
    if small.any():
        kinds, counts = np.unique(values[small], return_counts=True)
        tally.sentinels.update(dict(zip(kinds.tolist(), counts.tolist(), strict=True)))
    return np.asarray(found | small, bool)


def _plausible(metres: Floats, rules: Rules, tally: Tally) -> Floats:
    known = np.isfinite(metres)
    absurd = known & ((metres < LOWEST) | (metres > HIGHEST) | ((metres != 0.0) & (np.abs(metres) < _TINY)))
    if absurd.any():
        _remember(metres[absurd], tally)
        tally.absurd += int(absurd.sum())
        tally.absurd_low = min(tally.absurd_low, float(metres[absurd].min()))
        tally.absurd_high = max(tally.absurd_high, float(metres[absurd].max()))
        metres[absurd] = np.nan
        known &= ~absurd
    if known.any():
        tally.jumps += sum(int((np.abs(np.diff(metres, axis=axis)) > rules.jump).sum()) for axis in (0, 1))
        tally.known += int(known.sum())
        tally.low, tally.high = min(tally.low, float(metres[known].min())), max(tally.high, float(metres[known].max()))
    return metres


def _remember(values: Floats, tally: Tally) -> None:
    if len(tally.kinds) < MANY_KINDS:
        tally.kinds.update(np.unique(values)[:MANY_KINDS].tolist())


def metric(crs: CityCRS) -> CityCRS:
    """Return the same system with heights counted in metres; itself where they are already, or unknown.

    Examples
    --------
    >>> from cim.crs import parse
    >>> metric(parse("EPSG:2263+6360")).vertical.axis_info[0].unit_name
    'metre'
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError as ProjError

    from cim.crs import CityCRS as Pair
    from cim.crs import parse

    if crs.vertical is None or crs.vertical_unit_factor == 1.0:
        return crs
    told = crs.vertical.to_json_dict()
    told.pop("id", None)
    told["name"] = told["name"].replace("(ftUS)", "").replace("(ft)", "").strip()
    for axis in told["coordinate_system"]["axis"]:
        axis["unit"] = "metre"
    try:
        return parse(Pair(crs.horizontal, CRS.from_json_dict(told)).joint())
    except ProjError as error:
        raise CRSError(crs.to_string(), "its heights cannot be turned into metres", "state the system with metric heights") from error
