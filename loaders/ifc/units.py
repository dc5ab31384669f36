"""Units of an IFC project: what a number in a property set is measured in."""

from __future__ import annotations

from collections import Counter
from typing import Any

__all__ = ["Units"]

_PREFIX = {
    "EXA": ("E", 1e18), "PETA": ("P", 1e15), "TERA": ("T", 1e12), "GIGA": ("G", 1e9), "MEGA": ("M", 1e6), "KILO": ("k", 1e3),
    "HECTO": ("h", 1e2), "DECA": ("da", 1e1), "DECI": ("d", 1e-1), "CENTI": ("c", 1e-2), "MILLI": ("m", 1e-3), "MICRO": ("µ", 1e-6),
    "NANO": ("n", 1e-9), "PICO": ("p", 1e-12), "FEMTO": ("f", 1e-15), "ATTO": ("a", 1e-18),
}  # fmt: skip
_SI = {
    "METRE": ("m", 1), "SQUARE_METRE": ("m", 2), "CUBIC_METRE": ("m", 3), "GRAM": ("g", 1), "SECOND": ("s", 1), "AMPERE": ("A", 1),
    "KELVIN": ("K", 1), "DEGREE_CELSIUS": ("°C", 1), "MOLE": ("mol", 1), "CANDELA": ("cd", 1), "RADIAN": ("rad", 1), "STERADIAN": ("sr", 1),
    "HERTZ": ("Hz", 1), "NEWTON": ("N", 1), "PASCAL": ("Pa", 1), "JOULE": ("J", 1), "WATT": ("W", 1), "COULOMB": ("C", 1), "VOLT": ("V", 1),
    "FARAD": ("F", 1), "OHM": ("Ω", 1), "SIEMENS": ("S", 1), "WEBER": ("Wb", 1), "TESLA": ("T", 1), "HENRY": ("H", 1), "LUMEN": ("lm", 1),
    "LUX": ("lx", 1), "BECQUEREL": ("Bq", 1), "GRAY": ("Gy", 1), "SIEVERT": ("Sv", 1),
}  # fmt: skip
_POWER = {1: "", 2: "²", 3: "³"}
_MEASURES = {
    "IfcPositiveLengthMeasure": "LENGTHUNIT", "IfcNonNegativeLengthMeasure": "LENGTHUNIT", "IfcPositivePlaneAngleMeasure": "PLANEANGLEUNIT",
    "IfcThermodynamicTemperatureMeasure": "THERMODYNAMICTEMPERATUREUNIT",
}  # fmt: skip
_QUANTITIES = {
    "IfcQuantityLength": "LENGTHUNIT", "IfcQuantityArea": "AREAUNIT", "IfcQuantityVolume": "VOLUMEUNIT", "IfcQuantityWeight": "MASSUNIT",
    "IfcQuantityTime": "TIMEUNIT",
}  # fmt: skip


class Units:
    """The unit assignment of a model: symbol and factor to SI by unit type."""

    def __init__(self, model: Any) -> None:
        self._known: dict[str, tuple[str | None, float]] = {}
        self.assumed: Counter[str] = Counter()
        """Units that quantities were read in though the file states none, and how many."""
        for project in (*model.by_type("IfcProject"), *_contexts(model)):
            for unit in getattr(getattr(project, "UnitsInContext", None), "Units", None) or ():
                name = getattr(unit, "UnitType", None) or ("MONETARYUNIT" if unit.is_a("IfcMonetaryUnit") else None)
                if name and name not in self._known:
                    self._known[str(name)] = described(unit)

    def of_measure(self, measure: str) -> str | None:
        """Return the symbol for a measure type such as "IfcLengthMeasure", None for a number or a text."""
        name = _MEASURES.get(measure) or (measure[3:-7].upper() + "UNIT" if measure.endswith("Measure") else "")
        return self._known.get(name, (None, 1.0))[0]

    def of_quantity(self, kind: str) -> tuple[str | None, float]:
        """Return symbol and factor to SI for a quantity type such as "IfcQuantityArea"."""
        name = _QUANTITIES.get(kind, "")
        return self._known.get(name) or (self._derived(name) if name else (None, 1.0))

    def _derived(self, name: str) -> tuple[str | None, float]:
        power = {"LENGTHUNIT": 1, "AREAUNIT": 2, "VOLUMEUNIT": 3}.get(name)
        if power is None:
            return None, 1.0
        symbol = f"m{_POWER[power]}"
        self.assumed[symbol] += 1
        return symbol, 1.0


def _contexts(model: Any) -> tuple[Any, ...]:
    try:
        return tuple(model.by_type("IfcProjectLibrary"))
    except RuntimeError:  # the schema has no such entity
        return ()


def described(unit: Any) -> tuple[str | None, float]:
    """Return the symbol of a unit and its factor to SI."""
    if unit is None:
        return None, 1.0
    if unit.is_a("IfcSIUnit"):
        sign, factor = _PREFIX.get(unit.Prefix or "", ("", 1.0))
        symbol, power = _SI.get(unit.Name, (str(unit.Name).lower(), 1))
        scale = 1e-3 if symbol == "g" else 1.0
        return f"{sign}{symbol}{_POWER[power]}", factor**power * scale
    if unit.is_a("IfcConversionBasedUnit"):
        measure = unit.ConversionFactor
        value = getattr(getattr(measure, "ValueComponent", None), "wrappedValue", None)
        base = described(getattr(measure, "UnitComponent", None))[1]
        return str(unit.Name).lower(), float(value) * base if isinstance(value, int | float) else 1.0
    if unit.is_a("IfcDerivedUnit"):
        parts = [(described(one.Unit), one.Exponent) for one in unit.Elements]
        text = "·".join(f"{symbol}{'' if power == 1 else f'^{power}'}" for (symbol, _), power in parts)
        factor = 1.0
        for (_, one), power in parts:
            factor *= one**power
        return text, factor
    if unit.is_a("IfcMonetaryUnit"):
        return str(unit.Currency), 1.0
    return str(getattr(unit, "Name", "")) or None, 1.0
