"""Units at the border: what a file calls its unit, and the same values in SI, which is all that the toolkit holds inside.

The spellings of the field (米, ㎡, US survey foot, 亩, L/(s·ha)) are a table here and cost nothing; for any other unit pint is
asked, which takes half a second to import. Nothing is guessed: a unit that nobody knows is an error which names near ones.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from cim.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    import pint
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Unit", "parse_unit", "quantity", "to_si"]

_DEGREE = math.pi / 180.0
_MILE = 1609.344
_MU = 2000.0 / 3.0  # 亩 [m²]: 15 to the hectare

# SI unit -> {unit: (factor to SI, other spellings)}. The first word of a line is how the unit is written by the toolkit. Spellings are
# compared without spaces, case, brackets and underscores, with ㎡, m² and ｍ２ made m2; so "square metre" stands as "squaremetre".
_TABLE: dict[str, dict[str, tuple[float, str]]] = {
    "": {
        "": (1.0, "1 - none number count dimensionless unitless ratio 无量纲 个 座 户 人 棵 株 根 辆 套 间 栋 幢 户数 pcs"),
        "storey": (1.0, "storeys story stories floor floors 层 楼层 levels level"),
        "%": (0.01, "percent pct percentage 百分比 百分之"),
        "‰": (0.001, "permille permil 千分之"),
    },
    "m": {
        "m": (1.0, "metre metres meter meters mtr 米 公尺 metri meters(m)"),
        "km": (1e3, "Km kilometre kilometres kilometer kilometers 公里 千米"),
        "dm": (0.1, "decimetre decimeter 分米"),
        "cm": (1e-2, "centimetre centimetres centimeter centimeters 厘米 公分"),
        "mm": (1e-3, "millimetre millimetres millimeter millimeters 毫米"),
        "µm": (1e-6, "um micrometre micrometer micron 微米"),
        "ft": (0.3048, "foot feet internationalfoot 英尺 ' footinternational"),
        "ftUS": (1200.0 / 3937.0, "us-ft usft ussurveyfoot ussurveyfeet footus surveyfoot ft-us sft"),
        "in": (0.0254, 'inch inches 英寸 "'),
        "yd": (0.9144, "yard yards 码"),
        "mi": (_MILE, "mile miles 英里"),
        "nmi": (1852.0, "nauticalmile nauticalmiles 海里"),
    },
    "m²": {
        "m²": (1.0, "sqm sq.m m^2 squaremetre squaremetres squaremeter squaremeters 平方米 平米 平方公尺"),
        "km²": (1e6, "sqkm squarekilometre squarekilometres squarekilometer squarekilometers 平方公里 平方千米"),
        "ha": (1e4, "Ha hectare hectares 公顷"),
        "cm²": (1e-4, "squarecentimetre squarecentimeter 平方厘米"),
        "mm²": (1e-6, "squaremillimetre squaremillimeter 平方毫米"),
        "亩": (_MU, "mu 市亩"),
        "万m²": (1e4, "万平方米 万平米 万平方"),
        "ft²": (0.3048**2, "sqft sq.ft squarefoot squarefeet 平方英尺"),
        "acre": (4046.8564224, "acres ac 英亩"),
    },
    "m³": {
        "m³": (1.0, "cbm cubicmetre cubicmetres cubicmeter cubicmeters 立方米 立方 方 立米"),
        "L": (1e-3, "l litre litres liter liters 升 公升"),
        "万m³": (1e4, "万立方米 万方"),
        "mm³": (1e-9, "cubicmillimetre cubicmillimeter"),
        "ft³": (0.3048**3, "cuft cubicfoot cubicfeet 立方英尺"),
    },
    "rad": {
        "rad": (1.0, "radian radians 弧度"),
        "°": (_DEGREE, "deg degree degrees 度 angulardegree"),
        "gon": (math.pi / 200.0, "grad grade gradian gradians"),
    },
    "s": {
        "s": (1.0, "sec secs second seconds 秒 秒钟"),
        "ms": (1e-3, "millisecond milliseconds 毫秒"),
        "min": (60.0, "mins minute minutes 分钟 分"),
        "h": (3600.0, "hr hrs hour hours 小时 时 钟头"),
        "d": (86400.0, "day days 天 日"),
    },
    "m/s": {
        "m/s": (1.0, "mps ms-1 m*s-1 metrepersecond metrespersecond meterspersecond 米/秒 米每秒"),
        "km/h": (1.0 / 3.6, "kmh kph kmph km/hr kmh-1 公里/小时 千米/小时 公里/时 千米/时 公里每小时 千米每小时 码/小时"),
        "mph": (_MILE / 3600.0, "mi/h mile/h milesperhour 英里/小时"),
        "kn": (1852.0 / 3600.0, "kt knot knots 节"),
        "mm/h": (1e-3 / 3600.0, "mm/hr mmh mmperhour mmh-1 毫米/小时 毫米/时 毫米每小时"),
        "mm/min": (1e-3 / 60.0, "毫米/分钟 毫米/分 毫米每分钟"),
        "mm/d": (1e-3 / 86400.0, "mm/day 毫米/天 毫米/日"),
        "L/(s·ha)": (1e-7, "l/s/ha l/(s*ha) l/(sha) l/s·ha lps/ha 升/秒/公顷 升/(秒·公顷)"),
    },
    "m³/s": {
        "m³/s": (1.0, "cms cumec cumecs m3s-1 m3*s-1 立方米/秒 立方米每秒"),
        "m³/h": (1.0 / 3600.0, "m3/hr cmh 立方米/小时 立方米/时"),
        "m³/d": (1.0 / 86400.0, "m3/day cmd 立方米/天 立方米/日"),
        "L/s": (1e-3, "lps litrespersecond literspersecond 升/秒"),
        "ft³/s": (0.3048**3, "cfs cuft/s"),
    },
    "1/s": {
        "1/s": (1.0, "s-1 hz hertz 赫兹 赫"),
        "veh/h": (1.0 / 3600.0, "vph vehicles/h vehicles/hour pcu/h pcuph 1/h h-1 辆/小时 辆/时 pcu/小时"),
        "veh/d": (1.0 / 86400.0, "vpd aadt adt vehicles/day pcu/d 1/d 辆/日 辆/天"),
    },
    "kg": {"kg": (1.0, "Kg kilogram kilograms 千克 公斤"), "g": (1e-3, "gram grams 克"), "t": (1e3, "tonne tonnes ton(metric) 吨")},
    "kg/m³": {
        "kg/m³": (1.0, "kgm-3 千克/立方米"),
        "mg/L": (1e-3, "毫克/升 g/m3"),
        "µg/m³": (1e-9, "ug/m3 微克/立方米"),
        "mg/m³": (1e-6, "毫克/立方米"),
    },
    "Pa": {
        "Pa": (1.0, "pascal 帕 帕斯卡"),
        "hPa": (100.0, "mbar millibar 百帕"),
        "kPa": (1e3, "千帕"),
        "MPa": (1e6, "兆帕"),
        "bar": (1e5, ""),
    },
    "W": {"W": (1.0, "watt watts 瓦"), "kW": (1e3, "千瓦"), "MW": (1e6, "兆瓦")},
    "J": {"J": (1.0, "joule 焦耳"), "kWh": (3.6e6, "千瓦时 度电"), "MJ": (1e6, "兆焦")},
    "1/m²": {"1/m²": (1.0, "m-2 点/平方米 pts/m2 points/m2 个/平方米"), "1/ha": (1e-4, "株/公顷 人/公顷")},
    "s/m^(1/3)": {"s/m^(1/3)": (1.0, "sm-1/3 s*m-1/3")},
    "dB": {"dB": (1.0, "db dba db(a) decibel decibels 分贝")},
    "K": {"K": (1.0, "kelvin 开"), "°C": (1.0, "degc celsius c 摄氏度 摄氏"), "°F": (5.0 / 9.0, "degf fahrenheit f 华氏度")},
}
# Kelvin at zero of the scale.
_OFFSETS = {"°C": 273.15, "°F": 459.67 * 5.0 / 9.0}
_MILLI_OR_MEGA = re.compile(r"m[A-Z]|M[a-z]{1,2}(?![a-z])")
# What is handed to pint: names with a one-digit power, multiplied and divided. Its parser also does arithmetic, which a file could abuse.
_ATOM = r"\(*[A-Za-zµ°Ω_]+(?:(?:\^|\*\*)?-?\d|[²³])?\)*"
_FOR_PINT = re.compile(rf"(?:1\s*/\s*)?{_ATOM}(?:(?:\s*[*/·]\s*|\s+){_ATOM}){{0,5}}")
_NOISE = re.compile(r"[\s_^]|\*\*")


@dataclass(frozen=True)
class Unit:
    """A unit and its way to SI: ``si_value = value * factor + offset``."""

    symbol: str
    """How the toolkit writes it: "m²", "km/h"; empty for pure numbers."""
    si: str
    """The SI unit it becomes, which also names its kind of quantity; empty for pure numbers."""
    factor: float
    """SI units in one."""
    offset: float = 0.0
    """SI value at zero; not 0 for °C and °F only."""


def parse_unit(text: str | None) -> Unit:
    """Return the unit that a text means, in any of the field's spellings.

    Parameters
    ----------
    text
        "m", "metre", "米", "US survey foot", "㎡", "平方米", "%", "degrees", "层", "L/(s·ha)", or anything pint reads. None and
        the empty text are the unit of pure numbers.

    Raises
    ------
    UsageError
        If nobody knows it; the message names near ones.

    Examples
    --------
    >>> parse_unit("平方米"), parse_unit("US survey foot").symbol
    (Unit(symbol='m²', si='m²', factor=1.0, offset=0.0), 'ftUS')
    >>> parse_unit("metrs")
    Traceback (most recent call last):
    cim.errors.UsageError: 'metrs' is no unit; did you mean metres, meters, metri?
    """
    key = _plain(text or "")
    known = _spellings()
    # "mW" must not become "MW": only where capitals cannot tell milli from mega does case not matter.
    folded = None if _MILLI_OR_MEGA.match(key) else known.get(key.casefold())
    found = known.get(key) or folded
    return found if found is not None else _from_pint(text or "")


def quantity(value: ArrayLike, unit: str) -> pint.Quantity[Any]:
    """Return a pint quantity, for arithmetic at the border.

    Examples
    --------
    >>> f"{quantity(3.0, '亩').to('hectare').magnitude:.1f}"
    '0.2'
    """
    import numpy as np

    known = parse_unit(unit)
    si = np.asarray(value, dtype=np.float64) * known.factor + known.offset
    made: pint.Quantity[Any] = _registry().Quantity(si[()], known.si or "dimensionless")
    return made


def to_si(values: ArrayLike, unit: str | Unit | None, target: str | None = None) -> tuple[NDArray[np.float64], str]:
    """Return values in SI, and in words what was done to them.

    Parameters
    ----------
    values
        Numbers; NaN stays NaN.
    unit
        Their unit.
    target
        The SI unit that is expected, "m²" for an area; None accepts any.

    Returns
    -------
    values
        A new array, in the same shape.
    conversion
        Such as "ft → m, × 0.3048"; "m" when nothing had to be done.

    Raises
    ------
    UsageError
        If the unit is unknown or measures another kind of quantity than `target`.

    Examples
    --------
    >>> to_si([3.0, 6.0], "英尺", "m")
    (array([0.9144, 1.8288]), 'ft → m, × 0.3048')
    >>> to_si([6], "层", "m")
    Traceback (most recent call last):
    cim.errors.UsageError: unit 'storey' counts storeys, expected m; a height of a storey must be assumed, and marked as assumed
    """
    import numpy as np

    given = unit if isinstance(unit, Unit) else parse_unit(unit)
    if target is not None:
        _same_kind(given, parse_unit(target))
    si = np.asarray(values, dtype=np.float64) * given.factor + given.offset
    return si, _words(given)


def _words(unit: Unit) -> str:
    if unit.factor == 1.0 and unit.offset == 0.0:
        return unit.symbol
    plus = f" + {unit.offset:.10g}" if unit.offset else ""
    return f"{unit.symbol} → {unit.si or '1'}, × {unit.factor:.10g}{plus}"


def _same_kind(given: Unit, wanted: Unit) -> None:
    if given.si == wanted.si:
        return
    if given.symbol == "storey":
        msg = f"unit 'storey' counts storeys, expected {wanted.si}; a height of a storey must be assumed, and marked as assumed"
        raise UsageError(msg)
    found = f"{given.symbol!r} ({given.si})" if given.symbol != given.si else repr(given.symbol or "1")
    expected = wanted.si or "a pure number"
    msg = f"unit {found} does not measure the same as {expected}; correct the unit of the field, or map it to another attribute"
    raise UsageError(msg)


def _plain(text: str) -> str:
    """Bring typography to one form: full width, superscripts and composed signs (㎡, ℃) to plain ones, no spaces, no brackets around."""
    plain = unicodedata.normalize("NFKC", text.strip())
    plain = _NOISE.sub("", plain).replace("⋅", "·").replace("•", "·").replace("μ", "µ").replace("’", "'").replace("″", '"')
    while len(plain) > 2 and (plain[0], plain[-1]) in {("(", ")"), ("[", "]"), ("{", "}")}:
        plain = plain[1:-1]
    return plain


@cache
def _spellings() -> dict[str, Unit]:
    """Every spelling, plain and in lower case; the first line that has a lower-case spelling keeps it."""
    known: dict[str, Unit] = {}
    for si, units in _TABLE.items():
        for symbol, (factor, spellings) in units.items():
            unit = Unit(symbol, si, factor, _OFFSETS.get(symbol, 0.0))
            for spelling in (symbol, *spellings.split()):
                key = _plain(spelling)
                known[key] = unit
                known.setdefault(key.casefold(), unit)
    return known


@cache
def _registry() -> pint.UnitRegistry[Any]:
    import pint

    registry: pint.UnitRegistry[Any] = pint.UnitRegistry()
    registry.define("storey = 1 * count")
    return registry


@cache
def _from_pint(text: str) -> Unit:
    """Ask pint; an SI unit that the table holds gets the table's name, so that it can be compared."""
    import pint

    registry = _registry()
    if len(text) > 60 or not _FOR_PINT.fullmatch(text.strip()):
        raise UsageError(_unknown(text))
    try:
        zero, base, two = (registry.Quantity(value, text).to_base_units() for value in (0.0, 1.0, 2.0))
    except (pint.errors.PintError, ValueError, TypeError, AttributeError, AssertionError, SyntaxError) as error:
        raise UsageError(_unknown(text)) from error
    offset = float(zero.magnitude)
    if not math.isclose(float(two.magnitude) - offset, 2.0 * (float(base.magnitude) - offset), rel_tol=1e-9):
        msg = f"{text!r} is a logarithmic unit, which has no factor to SI; convert the values first"
        raise UsageError(msg)
    for si in _TABLE:
        named = registry.Quantity(1.0, si or "dimensionless").to_base_units()
        if named.dimensionality == base.dimensionality and si != "rad":
            scale = float(named.magnitude)
            return Unit(text.strip(), si, (float(base.magnitude) - offset) / scale, offset / scale)
    return Unit(text.strip(), f"{base.units:~P}", float(base.magnitude) - offset, offset)


def _unknown(text: str) -> str:
    import difflib

    near = difflib.get_close_matches(_plain(text[:40]).casefold(), _spellings(), n=3, cutoff=0.6)
    hint = f"did you mean {', '.join(near)}?" if near else "write it as m, ft, m², %, km/h, mm/h or another unit that pint reads"
    shown = text if len(text) <= 40 else f"{text[:40]}…"
    return f"{shown!r} is no unit; {hint}"
