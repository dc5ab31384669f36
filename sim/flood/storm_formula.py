"""Chinese storm intensity formulas (暴雨强度公式): the depth that falls in the heaviest stretch of a duration, for a return period."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cim.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["FormulaKind", "StormFormula", "formula_of_place", "places"]

FormulaKind = Literal["interval", "single", "general"]

_PER_HECTARE = 167.0
"""L/(s·ha) in one mm/min as the published formulas round it; exactly it is 1000/6."""
_SHORTEST, _LONGEST = 5.0, 180.0
"""Durations [min] for which GB 50014 has the formulas fitted to the records."""


@dataclass(frozen=True)
class StormFormula:
    """i = A / (t + b)^n: mean intensity [mm/min] of the heaviest t minutes of a storm of one return period.

    Notes
    -----
    Published as q = 167 A₁ (1 + C lg P) / (t + b)^n [L/(s·ha)] (GB 50014-2021). The 167 only turns mm/min into L/(s·ha) and is
    rounded from 1000/6; depths are therefore taken from i = q / 167 [mm/min], as the official tables of depth are, not from q with the
    exact factor, which is 0.2 % more.
    """

    A: float
    """Intensity at (t + b) = 1 min [mm/min · min^n]."""
    b: float
    """[min]"""
    n: float
    return_period: float | None = None
    """[a]"""
    name: str = "storm formula"
    source: str = ""
    """Document that it comes from."""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse numbers that are no such formula."""
        found = [f"A={self.A!r}; expected above 0"] if not (math.isfinite(self.A) and self.A > 0.0) else []
        found += [f"b={self.b!r} min; expected 0 or more"] if not (math.isfinite(self.b) and self.b >= 0.0) else []
        found += (
            [f"n={self.n!r}; expected above 0 and not above 1, so that the depth grows with the duration"]
            if not 0.0 < self.n <= 1.0
            else []
        )
        found += ["b=0 and n=1: the depth does not grow with the duration"] if self.b == 0.0 and self.n == 1.0 else []
        if found:
            msg = f"{self.name}: {'; '.join(found)}"
            raise UsageError(msg)

    @classmethod
    def published(
        cls,
        *,
        A: float,  # noqa: N803 - the letters of the standard
        b: float,
        n: float,
        C: float = 0.0,  # noqa: N803
        return_period: float,
        factor: float = 1.0,
        name: str = "storm formula",
    ) -> StormFormula:
        """Return q = factor · A (1 + C lg P) / (t + b)^n [L/(s·ha)] for one return period.

        Parameters
        ----------
        A, C, b, n
            As published.
        return_period
            P [a].
        factor
            167 where the formula is written with it; 1 where A holds it already.

        Examples
        --------
        >>> beijing = StormFormula.published(A=2001, C=0.811, b=8, n=0.711, return_period=3)
        >>> round(float(beijing.flow_per_hectare(5.0)), 1)  # 2001 (1 + 0.811 lg 3) / 13^0.711
        448.0
        """
        _check_return_period(return_period, name)
        strength = factor * A * (1.0 + C * math.log10(return_period)) / _PER_HECTARE
        return cls(strength, b, n, return_period, name)

    def depth(self, minutes: ArrayLike) -> NDArray[np.float64]:
        """Return the depth of the heaviest stretch of a duration [mm]."""
        t = np.asarray(minutes, np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(t > 0.0, self.A * t / (t + self.b) ** self.n, 0.0)

    def flow_per_hectare(self, minutes: ArrayLike) -> NDArray[np.float64]:
        """Return q as published, with its 167 [L/(s·ha)]."""
        return np.asarray(_PER_HECTARE * self.A / (np.asarray(minutes, np.float64) + self.b) ** self.n)

    def duration_notes(self, minutes: float) -> tuple[str, ...]:
        """Return what to know of a duration: beyond what the formula was fitted to."""
        if _SHORTEST <= minutes <= _LONGEST:
            return ()
        return (f"{self.name}: a duration of {minutes:g} min is outside the {_SHORTEST:g} to {_LONGEST:g} min of such formulas",)


def _check_return_period(years: float, name: str) -> None:
    if not (math.isfinite(years) and years > 0.0):
        msg = f"{name}: return period {years!r} a; expected above 0"
        raise UsageError(msg)


@cache
def _shipped() -> dict[str, Any]:
    text = files("cim.sim.flood").joinpath("storm_places.json").read_text("utf-8")
    shipped: dict[str, Any] = json.loads(text)["places"]
    return shipped


def places() -> dict[str, tuple[str, ...]]:
    """Return the places whose formulas are shipped, and their zones.

    Examples
    --------
    >>> places()["广州市"]
    ('中心城区',)
    """
    return {city: tuple(one["zones"]) for city, one in _shipped().items()}


def formula_of_place(place: str, return_period: float, kind: FormulaKind | None = None) -> StormFormula:
    """Return the formula of a city for a return period.

    Parameters
    ----------
    place
        City in Chinese or English, with its zone behind a stroke: ``"Shenzhen"``, ``"深圳市/东部流域和水系"``, ``"Shenzhen/east"``.
        A city with several zones and none named gives the one of its centre, which is noted.
    return_period
        P [a].
    kind
        ``"interval"``: coefficients as functions of P over a range; ``"single"``: of one return period each; ``"general"``: one formula for
        all. None takes the first that the place has; at the limit between two ranges the upper one holds.

    Raises
    ------
    UsageError
        If the place, zone or kind is unknown, or the return period lies outside its formulas.

    Examples
    --------
    >>> round(float(formula_of_place("Shenzhen/west", 100).depth(180.0)), 1)  # official table: 220.739 mm
    220.5
    """
    city, zone, notes = _find(place)
    _check_return_period(return_period, place)
    given = _shipped()[city]["zones"][zone]
    wanted: FormulaKind = kind if kind is not None else next(one for one in _COEFFICIENTS if one in given)
    if wanted not in given:
        msg = f"{city}/{zone} has no formula of kind {wanted!r}; it has {', '.join(one for one in given if one != 'english')}"
        raise UsageError(msg)
    name = f"{city}/{zone}, P = {return_period:g} a"
    strength, b, n = _COEFFICIENTS[wanted](given[wanted], return_period, name)
    return StormFormula(strength, b, n, return_period, name, _shipped()[city]["document"], notes)


def _find(place: str) -> tuple[str, str, tuple[str, ...]]:
    """Return the city and zone of a name, and what was taken for granted."""
    said_city, _, said_zone = (part.strip() for part in place.partition("/"))
    known = _shipped()
    city = next((name for name, one in known.items() if _is(said_city, name, one["english"])), None)
    if city is None:
        listed = ", ".join(f"{name} ({one['english'][0].title()})" for name, one in known.items())
        msg = f"place {place!r} has no shipped storm formula; there are {listed}: give formula= with the numbers of the local document"
        raise UsageError(msg)
    zones = known[city]["zones"]
    if not said_zone:
        zone = known[city].get("default_zone", next(iter(zones)))
        others = f"{city} has {len(zones)} zones ({', '.join(zones)}); {zone} taken, say place='{city}/…' for another"
        return city, zone, (others,) if len(zones) > 1 else ()
    found = [name for name, one in zones.items() if _is(said_zone, name, one["english"])]
    if len(found) != 1:
        msg = f"zone {said_zone!r} of {city} is not known; there are {', '.join(zones)}"
        raise UsageError(msg)
    return city, found[0], ()


def _is(said: str, name: str, english: list[str]) -> bool:
    plain = said.casefold().removesuffix(" city")
    return plain in english or (len(said) > 1 and name.startswith(said))


def _of_interval(ranges: list[Mapping[str, Any]], years: float, name: str) -> tuple[float, float, float]:
    within = [one for one in ranges if one["from"] <= years <= one["to"]]
    if not within:
        msg = f"{name}: its formulas hold from {ranges[0]['from']:g} to {ranges[-1]['to']:g} a; choose one within, or give formula="
        raise UsageError(msg)
    strength, b, n = (p[0] + p[1] * math.log(years - p[2]) for p in (within[-1][key] for key in ("A", "b", "n")))
    return strength, b, n


def _of_single(table: Mapping[str, Mapping[str, float]], years: float, name: str) -> tuple[float, float, float]:
    found = table.get(f"{years:g}")
    if found is None:
        msg = f"{name}: single formulas are given for {', '.join(table)} a; choose one of these"
        raise UsageError(msg)
    return found["A"] / _PER_HECTARE, found["b"], found["n"]


def _of_general(given: Mapping[str, float], years: float, name: str) -> tuple[float, float, float]:
    made = StormFormula.published(**given, return_period=years, name=name)
    return made.A, made.b, made.n


_COEFFICIENTS: dict[FormulaKind, Callable[[Any, float, str], tuple[float, float, float]]] = {
    "interval": _of_interval,
    "single": _of_single,
    "general": _of_general,
}
