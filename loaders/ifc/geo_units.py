"""Units of an IFC file that bear on its place: of length, of the map, of angles."""

from __future__ import annotations

import math
import re
from typing import Any

__all__ = ["FEET", "angle_unit", "length_unit", "named_unit", "unit_of_text"]

FEET = 0.3048
_PREFIX = {
    "EXA": 1e18, "PETA": 1e15, "TERA": 1e12, "GIGA": 1e9, "MEGA": 1e6, "KILO": 1e3, "HECTO": 1e2, "DECA": 1e1, "DECI": 1e-1,
    "CENTI": 1e-2, "MILLI": 1e-3, "MICRO": 1e-6, "NANO": 1e-9, "PICO": 1e-12, "FEMTO": 1e-15, "ATTO": 1e-18,
}  # fmt: skip
_TEXTS = {
    "m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0, "米": 1.0, "mm": 1e-3, "millimetre": 1e-3, "millimeter": 1e-3,
    "millimetres": 1e-3, "毫米": 1e-3, "cm": 1e-2, "centimetre": 1e-2, "km": 1e3, "kilometre": 1e3, "ft": FEET, "foot": FEET, "feet": FEET,
    "us survey foot": 1200 / 3937, "us-ft": 1200 / 3937, "ussurveyfoot": 1200 / 3937, "inch": 0.0254, "in": 0.0254,
}  # fmt: skip


def length_unit(model: Any) -> tuple[float, bool, str]:
    """Return metres per length unit of the project, whether the file states it, and its name."""
    for project in model.by_type("IfcProject"):
        for unit in getattr(project.UnitsInContext, "Units", None) or ():
            if getattr(unit, "UnitType", None) == "LENGTHUNIT":
                factor = named_unit(unit)
                if factor is not None:
                    return factor, True, _name(unit)
    return 1.0, False, "metre (assumed)"


def named_unit(unit: Any, *, kind: str = "LENGTHUNIT") -> float | None:
    """Return metres (radians) per unit of an IfcSIUnit or IfcConversionBasedUnit; None when it is missing or something else."""
    if unit is None or not hasattr(unit, "is_a") or getattr(unit, "UnitType", None) != kind:
        return None
    if unit.is_a("IfcSIUnit"):
        return _PREFIX.get(unit.Prefix or "", 1.0)
    factor = getattr(unit, "ConversionFactor", None)
    if factor is None:
        return None
    value = getattr(factor.ValueComponent, "wrappedValue", factor.ValueComponent)
    base = named_unit(factor.UnitComponent, kind=kind)
    if base is None or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0.0:
        return None
    return float(value) * base


def angle_unit(unit: Any) -> float | None:
    """Return radians per unit of a plane angle."""
    return named_unit(unit, kind="PLANEANGLEUNIT")


def unit_of_text(text: str | None) -> float | None:
    """Return metres per unit that a text names.

    Examples
    --------
    >>> unit_of_text("METRE"), unit_of_text("MilliMetre"), unit_of_text("parsec")
    (1.0, 0.001, None)
    """
    if not text:
        return None
    plain = re.sub(r"[._]", " ", text).strip().lower()
    return _TEXTS.get(plain, _TEXTS.get(plain.replace(" ", "")))


def _name(unit: Any) -> str:
    return f"{unit.Prefix or ''}{unit.Name}".lower() if unit.is_a("IfcSIUnit") else str(unit.Name)
