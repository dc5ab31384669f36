"""How far two numbers may lie apart and still count as the same."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Tolerance", "numbers_of", "within_noise"]

_UNITS = frozenset({"m", "m²", "m³", "m/s", "m²/s", "m³/s", "s"})
"""Units of measured quantities, for which the absolute tolerance holds; counts, persons and money have the relative one only."""
_DUST = 1e-9
"""What is no difference in any unit: the rounding of sums."""
_SHARE = 1e-6
"""Part of the absolute tolerance that holds for numbers without a unit, such as shares."""


@dataclass(frozen=True)
class Tolerance:
    """Two numbers are the same when they differ by no more than either part; words and whole numbers must be equal.

    Examples
    --------
    >>> Tolerance().same(np.array([1.0, 1.0]), np.array([1.0005, 1.002]), "m").tolist()
    [True, False]
    """

    relative: float = 1e-6
    """Share of the larger of the two."""
    absolute: float = 1e-3
    """In the unit of the column where that is m, m², m³, m/s, m²/s, m³/s or s; a millionth of it where the column has no unit."""

    def __post_init__(self) -> None:
        """Refuse what is no tolerance."""
        if not all(math.isfinite(one) and one >= 0 for one in (self.relative, self.absolute)):
            msg = f"tolerance relative {self.relative}, absolute {self.absolute}; expected two numbers of at least 0"
            raise UsageError(msg)

    def same(self, base: NDArray[np.float64], option: NDArray[np.float64], unit: str = "") -> NDArray[np.bool_]:
        """Return where two arrays of one shape and unit hold the same; two NaN are the same."""
        finite = np.isfinite(base) & np.isfinite(option)
        apart = np.abs(np.subtract(option, base, where=finite, out=np.full(base.shape, np.inf)))
        absolute = self.absolute * (1.0 if unit in _UNITS else _SHARE if unit in {"", "1"} else _DUST)
        allowed = np.maximum(self.relative * np.maximum(np.abs(base), np.abs(option)), absolute)
        return np.asarray((base == option) | (np.isnan(base) & np.isnan(option)) | (np.isfinite(apart) & (apart <= allowed)), bool)

    def __str__(self) -> str:
        """Return it in words."""
        units = "m, m², m³, m/s, m²/s, m³/s or s"
        return f"{self.relative:g} of the value, or {self.absolute:g} in {units} ({self.absolute * _SHARE:g} without a unit)"


def within_noise(columns: Mapping[str, Any] | pa.Table, name: str) -> np.ndarray:
    """Return where a difference of two runs is no larger than what both runs may be off; nowhere without a column that says it."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(numbers_of(columns[f"{name}_difference"])) <= numbers_of(columns[f"{name}_noise"]), bool)


def numbers_of(values: Any) -> np.ndarray:
    """Return a column as numbers, NaN where there is none."""
    return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), float)
