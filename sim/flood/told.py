"""What a run is told of itself because it is perhaps not meant: rain of no rain, jets of water, depths of no flood, times without zone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.results import Grid
    from cim.sim.flood.domain import FlowDomain

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

__all__ = ["STRONGEST_JET", "STRONG_JET", "deep_told", "jet_told", "outline", "rain_told"]

STRONG_JET = 50.0
"""Discharge per metre of width [m²/s] above which an inflow is told. Of the Amazon at Óbidos it is about 125: 250,000 m³/s on 2 km."""
STRONGEST_JET = 1000.0
"""Above this [m²/s] it is refused: the critical depth is 47 m."""
_LEAST_RAIN, _MOST_RAIN = 1e-3, 2.0
"""Depth of the rain of a whole run [m] outside which it is told. Most measured: 1.825 m in a day, 3.93 m in three (Réunion; WMO)."""
_DEEP = 20.0
"""Rise of the water [m] outside of waters above which it is told."""
_HOUR = 3600.0


def jet_told(label: str, discharge: float, width: float) -> tuple[list[str], list[str]]:
    """Return why a discharge cannot be meant for the width it enters over, and what is to be told of it.

    Parameters
    ----------
    discharge
        Highest [m³/s].
    width
        [m]

    Examples
    --------
    >>> jet_told("inflow", 5000.0, 8.0)[1][0][:64]
    'warning: inflow: up to 5000 m³/s over a width of 8 m, 625 m²/s: '
    """
    per_metre = discharge / width if width > 0 else 0.0
    found = f"{label}: up to {discharge:.6g} m³/s over a width of {width:g} m, {per_metre:.4g} m²/s"
    ask = "is it given in L/s, or meant for more cells?"
    if per_metre > STRONGEST_JET:
        return [f"{found}; expected at most {STRONGEST_JET:g} m²/s: {ask}"], []
    return [], [f"warning: {found}: more than {STRONG_JET:g} m²/s is a wall of water; {ask}"] if per_metre > STRONG_JET else []


def outline(cells: tuple[Ints, Ints], grid: Grid) -> float:
    """Return the length of the edge around cells [m]."""
    mask = np.zeros((grid.ny + 2, grid.nx + 2), np.int8)
    mask[cells[0] + 1, cells[1] + 1] = 1
    return float(np.abs(np.diff(mask, axis=0)).sum() + np.abs(np.diff(mask, axis=1)).sum()) * grid.dx


def rain_told(volume: float, domain: FlowDomain, until: float) -> list[str]:
    """Return a sentence on rain whose depth over the whole run is hardly meant.

    Parameters
    ----------
    volume
        That fell on the domain [m³].
    until
        Length of the run [s].
    """
    cells = int(domain.active.sum())
    if domain.rain_to is not None:  # roofs that are walls get rain, too
        cells += int(np.isnan(domain.elevation.reshape(-1)[domain.rain_to[0]]).sum())
    depth = volume / (cells * domain.grid.dx**2) if cells else 0.0
    said = f"the rain of the whole run ({until / _HOUR:.4g} h) totals {depth * 1e3:.4g} mm"
    if depth < _LEAST_RAIN:
        return [f"warning: {said}, less than {_LEAST_RAIN * 1e3:g} mm: is it given in m, or does it fall after the end?"]
    return [f"warning: {said}, more than {_MOST_RAIN * 1e3:,.0f} mm: is its unit right?"] if depth > _MOST_RAIN else []


def deep_told(deepest: NDArray[Any], before: NDArray[np.float64] | None, domain: FlowDomain) -> list[str]:
    """Return a sentence on water that rises far above where it began, outside of waters.

    Parameters
    ----------
    deepest : shape (ny, nx)
        Greatest depth [m], NaN where there is no ground.
    before : shape (ny, nx)
        Depth at the start [m].
    """
    rise = np.nan_to_num(deepest) - (0.0 if before is None else before)
    if domain.water is not None:
        rise = np.where(domain.water, 0.0, rise)
    deep = rise > _DEEP
    if not deep.any():
        return []
    row, column = np.unravel_index(int(np.argmax(rise)), rise.shape)
    where = f"({domain.grid.x[column]:.10g}, {domain.grid.y[row]:.10g})"
    found = f"{int(deep.sum())} cells that are no waters rise by more than {_DEEP:g} m, most by {rise[row, column]:.4g} m at {where}"
    return [f"warning: {found}: is a discharge or a level in another unit, or a pit in the terrain?"]
