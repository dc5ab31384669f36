"""Depth-damage curves: what share of the greatest damage water of a depth does, by use."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import FormatError, InputError, UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

__all__ = ["DamageCurves", "jrc_curves", "read_curves"]

Points = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class DamageCurves:
    """Curves by use, straight between their points and constant beyond the last.

    Examples
    --------
    >>> own = DamageCurves("mine", "our claims of 2021", {"residential": ([0.0, 1.0, 3.0], [0.0, 0.2, 0.6])})
    >>> own.fraction("residential", [0.5, 2.0, 9.0]).round(9)
    array([0.1, 0.4, 0.6])
    """

    name: str
    source: str
    """Who states them."""
    points: Any
    """By use: depths [m] and fractions."""
    notes: tuple[str, ...] = ()
    """What was put in place of what."""

    def __post_init__(self) -> None:
        """Refuse what is no curve."""
        if not isinstance(self.points, Mapping):
            msg = f"damage curves {self.name!r} are a {type(self.points).__name__}; expected [depths, fractions] by use"
            raise UsageError(msg)
        faults = [f"{use}: {fault}" for use, one in self.points.items() for fault in _faults(one)]
        if faults or not self.points:
            msg = f"damage curves {self.name!r} cannot be used: {'; '.join(faults) or 'there are none'}"
            raise UsageError(msg)
        plain: dict[str, Points] = {use: (tuple(map(float, one[0])), tuple(map(float, one[1]))) for use, one in self.points.items()}
        object.__setattr__(self, "points", MappingProxyType(plain))

    def fraction(self, use: str, depth: ArrayLike) -> Floats:
        """Return the share of the greatest damage at depths [m]; NaN where a depth is not known.

        Raises
        ------
        UsageError
            If there is no curve for the use.
        """
        if use not in self.points:
            msg = f"damage curves {self.name!r} have none for {use!r}; they have {', '.join(self.points)}"
            raise UsageError(msg)
        depths, fractions = self.points[use]
        return np.asarray(np.interp(np.asarray(depth, float), depths, fractions), float)


def _faults(points: Any) -> list[str]:
    if not (isinstance(points, Sequence) and len(points) == 2 and len(points[0]) == len(points[1]) >= 2):
        return ["expected [depths, fractions], two or more of each"]
    try:
        depths, fractions = np.array(points[0], float), np.array(points[1], float)
    except (TypeError, ValueError):
        return ["depths and fractions must be numbers"]
    said = []
    if not (np.isfinite(depths).all() and (np.diff(depths) > 0).all() and depths[0] >= 0):
        said.append(f"depths must rise from 0 m or more (found {list(points[0])})")
    if not (np.isfinite(fractions).all() and (fractions >= 0).all() and (fractions <= 1).all() and (np.diff(fractions) >= 0).all()):
        said.append(f"fractions must lie between 0 and 1 and never fall (found {list(points[1])})")
    return said


@cache
def _jrc() -> dict[str, Any]:
    table: dict[str, Any] = json.loads(files("cim.sim.impact").joinpath("jrc_2017.json").read_text(encoding="utf-8"))
    return table


def jrc_curves(continent: str) -> DamageCurves:
    """Return the damage curves of buildings of the Joint Research Centre for one continent.

    Parameters
    ----------
    continent
        africa, asia, europe, north america, oceania, south america, or global. A use for which the report has no curve of the continent
        takes the global one; `DamageCurves.notes` says so.

    Raises
    ------
    UsageError
        If there is no such continent.

    References
    ----------
    .. [1] Huizinga, de Moel, Szewczyk (2017). Global flood depth-damage functions. JRC105688. doi 10.2760/16510.

    Examples
    --------
    >>> float(jrc_curves("Europe").fraction("residential", 1.0))
    0.4
    """
    table, wanted = _jrc(), continent.strip().lower().replace("_", " ")
    if wanted not in table["continents"]:
        msg = f"continent={continent!r}; expected one of {', '.join(sorted(table['continents']))}"
        raise UsageError(msg)
    own, world = table["continents"][wanted], table["continents"]["global"]
    lent = [use for use in world if use not in own]
    notes = tuple(f"{table['name']} has no {use} curve of {wanted}: the global one is taken" for use in lent)
    return DamageCurves(f"{table['name']}, {wanted}", table["source"], {**own, **{use: world[use] for use in lent}}, notes)


def read_curves(path: str | Path) -> DamageCurves:
    """Return curves of one's own: a JSON file with ``name``, ``source`` and ``curves`` (by use: [depths in m, fractions]).

    Raises
    ------
    InputError
        If the file cannot be read.
    FormatError
        If it is no such table.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "give the path of a table of damage curves") from error
    except ValueError as error:
        raise FormatError(path, f"is not JSON: {error}") from error
    missing = [one for one in ("name", "source", "curves") if not isinstance(content, dict) or one not in content]
    if missing:
        raise FormatError(path, f"has no {', '.join(missing)}; expected name, source and curves by use: [depths in m, fractions]")
    try:
        return DamageCurves(str(content["name"]), str(content["source"]), content["curves"])
    except UsageError as error:
        raise FormatError(path, str(error)) from error
