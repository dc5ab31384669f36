"""A building without a place among known footprints: found by its shape, or honestly not found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

__all__ = ["Fit", "fit_outline", "place_by_footprints"]


@dataclass(frozen=True)
class Fit:
    """Where an outline fits, and how surely."""

    verdict: str
    """"found" | "ambiguous" | "unknown"."""
    candidate: int | None
    matrix: NDArray[np.float64] | None
    score: float
    margin: float
    offset: float
    reason: str
    alternatives: tuple[tuple[int, float], ...] = ()


def fit_outline(
    outline: Any, candidates: Sequence[Any], *, height: float | None = None, candidate_heights: Sequence[float | None] | None = None,
    rotation: float | None = None, near: tuple[float, float, float] | None = None,
) -> Fit:  # fmt: skip
    """Return which candidate the outline is, and the rigid motion that puts it there."""
    raise NotImplementedError


def place_by_footprints(city: City, known: City) -> City:
    """Return a city of unknown or coarse place moved onto the footprint it fits, or unmoved with the candidates named."""
    raise NotImplementedError
