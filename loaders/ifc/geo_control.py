"""A model placed by points whose coordinates are known in both systems."""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.crs import CityCRS

__all__ = ["ControlFit", "fit_control_points"]

_SAME_SCALE = 0.01
_GROUND_SCALE = 0.001  # projections in use change lengths by less than 1 in 1000
_RESIDUAL = 0.5  # m: what points picked by hand on a building's corners are good to
_NEEDED = "control_points must be two or more rows of x, y, z in the project and east, north, height"


@dataclass(frozen=True)
class ControlFit:
    """A least-squares similarity through control points."""

    matrix: NDArray[np.float64]
    """Project coordinates [m] -> units of the system, shape (4, 4)."""
    anchor: tuple[float, float, float]
    """Middle of the points in the project [m]."""
    rotation: float
    """[rad], counter-clockwise."""
    scale: float
    residual: float
    """Largest distance left [m]."""
    reason: str
    said: tuple[tuple[str, str, str], ...]


def fit_control_points(rows: Sequence[Sequence[Any]], unit: float, crs: CityCRS) -> ControlFit:
    """Return the similarity that carries the points of the project to their known places.

    Parameters
    ----------
    rows : shape (n, 6), n >= 2
        x, y, z in the project (metres, or length units of the file: the distances tell), east, north, height in `crs`.
    unit
        Metres per length unit of the file.

    Raises
    ------
    UsageError
        If there are fewer than two points, they coincide, or no unit makes their distances agree.
    """
    points = _checked(rows)
    metres = crs.linear_unit_factor
    local = points[:, 0] + 1j * points[:, 1]
    known = (points[:, 3] + 1j * points[:, 4]) * metres
    spread = local - local.mean()
    power = float(np.vdot(spread, spread).real)
    if power < 1e-6 or float(np.ptp(points[:, 3]) + np.ptp(points[:, 4])) * metres < 1e-3:
        msg = f"{_NEEDED}; those given coincide"
        raise UsageError(msg)
    turn = complex(np.vdot(spread, known - known.mean())) / power
    factor = _factor_of(abs(turn), unit)
    local, turn = local * factor, turn / factor
    residual = np.abs(known - known.mean() - turn * (local - local.mean()))
    shift = complex(known.mean() - turn * local.mean())
    rise = float((points[:, 5] * crs.vertical_unit_factor - points[:, 2] * factor).mean())
    vertical = np.abs(points[:, 5] * crs.vertical_unit_factor - points[:, 2] * factor - rise)
    matrix = np.eye(4)
    matrix[:2, :2] = [[turn.real, -turn.imag], [turn.imag, turn.real]]
    matrix[:3, 3] = shift.real, shift.imag, rise
    matrix = np.diag([1 / metres, 1 / metres, 1.0 / crs.vertical_unit_factor, 1.0]) @ matrix
    worst = max(float(residual.max()), float(vertical.max()))
    counted = "metres" if factor == 1.0 else f"units of {factor:g} m"
    reason = f"{len(points)} control points in {counted}: largest residual {worst:.3f} m, scale {abs(turn):.6f}"
    anchor = (float(local.mean().real), float(local.mean().imag), float(points[:, 2].mean() * factor))
    return ControlFit(matrix, anchor, cmath.phase(turn), abs(turn), worst, reason, _said(worst, abs(turn), reason))


def _checked(rows: Sequence[Sequence[Any]]) -> NDArray[np.float64]:
    try:
        points = np.array([[float(value) for value in row] for row in rows], float)
    except (TypeError, ValueError) as error:
        msg = f"{_NEEDED}; {error}"
        raise UsageError(msg) from error
    if points.ndim != 2 or points.shape[0] < 2 or points.shape[1] != 6 or not np.isfinite(points).all():
        msg = f"{_NEEDED}, all finite; found shape {points.shape}"
        raise UsageError(msg)
    return points


def _factor_of(scale: float, unit: float) -> float:
    """Return metres per unit in which the project's coordinates were given."""
    for factor in (1.0, unit):
        if math.isfinite(scale) and abs(scale / factor - 1.0) < _SAME_SCALE:
            return factor
    expected = f"expected 1 (metres) or {unit:g} (the unit of the file)"
    msg = f"control_points do not fit: distances on the map are {scale:g} times those in the project, {expected}"
    raise UsageError(msg)


def _said(worst: float, scale: float, reason: str) -> tuple[tuple[str, str, str], ...]:
    said = [("crs", "info", f"placed by {reason}")]
    if worst > _RESIDUAL:
        said.append(("conflict", "warning", f"the control points do not fit each other: a residual of {worst:.2f} m is left"))
    if abs(scale - 1.0) > _GROUND_SCALE:
        said.append(("conflict", "warning", f"the control points ask for a scale of {scale:.5f}, more than any projection makes"))
    return tuple(said)
