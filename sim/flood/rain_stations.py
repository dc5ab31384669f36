"""Rain between gauges: inverse distance or the nearest one, with stations that have no value left out, hour by hour, and counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cim.errors import UsageError
from cim.sim.flood.rain_base import PreparedRain, implausible
from cim.sim.flood.series import Series
from cim.sim.flood.series_units import scale_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.results import Grid

    Floats = NDArray[np.float64]

__all__ = ["Method", "StationRain", "interpolate", "station_rain"]

Method = Literal["idw", "nearest", "thiessen"]
_FAR = 100e3
"""Beyond this distance [m] a gauge says little of the rain on a city; all of them that far is a mistake of place."""


@dataclass(frozen=True, eq=False)
class StationRain:
    """Gauges with a step series each."""

    names: tuple[str, ...]
    places: Floats
    """Shape (stations, 2) [m], in `crs`."""
    series: tuple[Series, ...]
    crs: str | None
    method: Method = "idw"
    power: float = 2.0
    plausible: bool = True

    @property
    def notes(self) -> tuple[str, ...]:
        """What was taken for granted."""
        how = f"inverse distance to the power {self.power:g}" if self.method == "idw" else "the nearest station (Thiessen polygons)"
        lost = {name: int(np.count_nonzero(~np.isfinite(one.values))) for name, one in zip(self.names, self.series, strict=True)}
        gone = ", ".join(f"{name} {count}" for name, count in lost.items() if count)
        missing = (f"rain: missing values left out, the other stations stand in: {gone}",) if gone else ()
        said = dict.fromkeys(note for one in self.series for note in one.notes)
        return (f"rain between {len(self.names)} stations by {how}", *missing, *said)

    def scaled(self, factor: float) -> StationRain:
        """Return it with all rates multiplied."""
        return replace(self, series=tuple(one.times_factor(factor) for one in self.series))

    def faults(self, grid: Grid, start: datetime | None, until: float) -> list[str]:
        """Return every reason why it cannot drive a run."""
        found = [fault for one in self.series for fault in one.faults(start, until)]
        for name, one in zip(self.names, self.series, strict=True):
            known = one.values[np.isfinite(one.values)]
            found += (
                implausible(known.min(), known.max(), f"at station {name!r}", factor=one.factor) if self.plausible and known.size else []
            )
        return found + self._place_faults(grid) + ([] if found else self._nobody(start, until))

    def _place_faults(self, grid: Grid) -> list[str]:
        try:
            places = self._placed(grid)
        except UsageError as error:
            return [f"rain: {error}"]
        x_max, y_min = grid.x_min + grid.nx * grid.dx, grid.y_max - grid.ny * grid.dy
        beyond = np.hypot(
            np.maximum(0.0, np.maximum(grid.x_min - places[:, 0], places[:, 0] - x_max)),
            np.maximum(0.0, np.maximum(y_min - places[:, 1], places[:, 1] - grid.y_max)),
        )
        if not np.isfinite(beyond).all():
            return ["rain: a station has no finite place; give x and y of every one"]
        if beyond.min() > _FAR:
            at = f"{self.names[int(beyond.argmin())]!r} is {beyond.min() / 1e3:,.0f} km away"
            return [
                f"rain: no station lies within {_FAR / 1e3:.0f} km of the cells, the nearest, {at}; check their coordinates, or give crs="
            ]
        return []

    def _nobody(self, start: datetime | None, until: float) -> list[str]:
        """Return the times at which no station has a value."""
        breaks, _, known = self._on_clock(start, until)
        empty = ~known.any(axis=0)
        if not empty.any():
            return []
        first = float(breaks[:-1][empty][0])
        length = float(np.diff(breaks)[empty].sum())
        return [f"rain: no station has a value for {length:g} s of the run, first at {first:g} s; give values, or cut the run"]

    def _placed(self, grid: Grid) -> Floats:
        from cim.crs import parse, transform_points

        if self.crs is None or parse(self.crs).same_horizontal(parse(grid.crs)):
            return self.places
        moved = transform_points(self.places[:, 0], self.places[:, 1], None, parse(self.crs), parse(grid.crs))
        return np.column_stack([moved.x, moved.y])

    def _on_clock(self, start: datetime | None, until: float) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Return breaks that all stations share, and rates and whether they are known, shape (stations, intervals)."""
        ready = [one.prepare(start, until) for one in self.series]
        breaks = np.unique(np.concatenate([one.times for one in ready]))
        middle = 0.5 * (breaks[1:] + breaks[:-1])
        rates = np.array([one.values[np.searchsorted(one.times, middle, side="right") - 1] for one in ready])
        return breaks, rates, np.isfinite(rates)

    def prepare(self, grid: Grid, start: datetime | None, until: float) -> PreparedRain:
        """Return it on the clock and the cells of a run."""
        breaks, rates, known = self._on_clock(start, until)
        places, x, y = self._placed(grid), grid.x, grid.y
        last: dict[int, float | Floats] = {}

        def rate(index: int) -> float | Floats:
            if index not in last:
                last.clear()
                use = known[:, index]
                last[index] = interpolate(places[use], rates[use, index], x, y, method=self.method, power=self.power)
            return last[index]

        return PreparedRain(breaks, rate)


def interpolate(places: Floats, values: Floats, x: Floats, y: Floats, *, method: Method = "idw", power: float = 2.0) -> float | Floats:
    """Return values between stations on a grid, shape (y, x); one number where all stations have the same.

    Parameters
    ----------
    places : shape (stations, 2)
        Where the stations are.
    values : shape (stations,)
        What they measured; none missing.
    x, y : shape (nx,), (ny,)
        Middles of columns and rows.
    method
        ``"idw"``: sum of v / d^p over sum of 1 / d^p [1]_;
        ``"nearest"`` or ``"thiessen"``: the nearest station [2]_, the first of two as near.
    power
        p.

    References
    ----------
    .. [1] Shepard, D. (1968). A two-dimensional interpolation function for irregularly-spaced data. doi:10.1145/800186.810616
    .. [2] Thiessen, A. H. (1911). Precipitation averages for large areas. Monthly Weather Review 39, 1082-1084.

    Examples
    --------
    >>> interpolate(np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([0.0, 4.0]), np.array([0.0, 1.0, 2.0]), np.array([0.0]))
    array([[0., 2., 4.]])
    """
    if values.size == 1 or (values == values[0]).all():
        return float(values[0])
    return np.asarray(_kernel()(places, values, x, y, power / 2.0, method == "idw"))


@cache
def _kernel() -> Any:
    from cim.sim.flood.rain_kernels import between_stations

    return between_stations


def station_rain(
    table: Any,
    places: Mapping[str, tuple[float, float]],
    *,
    unit: str | None,
    crs: str | None = None,
    method: Method = "idw",
    power: float = 2.0,
    plausible: bool = True,
    **options: Any,
) -> StationRain:
    """Return rain from a table with one column per station; parameters as `Rain.stations`.

    Raises
    ------
    UsageError
        If a station has no place or no column, the method is unknown, or the unit is missing.
    """
    columns = {str(name): table[name] for name in table}
    faults = [f"station {name!r} has no place" for name in columns if name not in places]
    faults += [f"place {name!r} has no column" for name in places if name not in columns]
    faults += [] if method in ("idw", "nearest", "thiessen") else [f'method={method!r}; expected "idw", "nearest" or "thiessen"']
    faults += [] if power > 0.0 else [f"power={power!r}; expected above 0"]
    faults += [] if columns else ["the table has no stations; expected one column for each"]
    if faults:
        msg = f"rain: {len(faults)} faults in the stations: {'; '.join(faults)}"
        raise UsageError(msg)
    scale_of(unit, "m/s", "rain")
    made = {name: _station(name, column, unit, options) for name, column in columns.items()}
    at = np.array([places[name] for name in columns], np.float64).reshape(len(columns), 2)
    return StationRain(tuple(made), at, tuple(made.values()), crs, method, power, plausible)


def _station(name: str, column: Any, unit: str | None, options: Mapping[str, Any]) -> Series:
    """Return the rates of one station, NaN where missing: the others stand in for it."""
    said = {"gaps": "missing", **options}
    return Series.of(column, unit=unit, kind="m/s", how="step", name=f"rain at station {name!r}", **said)
