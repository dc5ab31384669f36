"""Rain on a flood run: uniform, gridded, between stations, or from a file; units, coverage and plausibility are checked before step 0."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cim.errors import UsageError
from cim.sim.flood.rain_base import PreparedRain, RainSource, implausible, refuse
from cim.sim.flood.rain_files import open_grid
from cim.sim.flood.rain_grid import grid_rain
from cim.sim.flood.rain_stations import Method, station_rain
from cim.sim.flood.series import Series
from cim.sim.times import seconds

if TYPE_CHECKING:
    import xarray

    from cim.results import Grid

__all__ = ["PreparedRain", "Rain", "UniformRain"]

_GRIDS = {".nc", ".nc4", ".cdf", ".netcdf", ".tif", ".tiff"}


@dataclass(frozen=True, eq=False)
class UniformRain:
    """The same rain on every cell."""

    series: Series
    plausible: bool = True

    @property
    def notes(self) -> tuple[str, ...]:
        """What was taken for granted."""
        return tuple(f"{self.series.name}: {note}" for note in self.series.notes)

    def scaled(self, factor: float) -> UniformRain:
        """Return it with all rates multiplied."""
        return replace(self, series=self.series.times_factor(factor))

    def faults(self, grid: Grid, start: datetime | None, until: float) -> list[str]:  # noqa: ARG002 - the same on every grid
        """Return every reason why it cannot drive a run."""
        found, values = self.series.faults(start, until), self.series.values
        known = values[np.isfinite(values)]
        if "missing" in (self.series.gaps, self.series.outside):
            found.append('rain: "missing" is for stations, which stand in for each other; say "zero", "bridge" or "hold"')
        return found + (implausible(known.min(), known.max(), factor=self.series.factor) if self.plausible and known.size else [])

    def prepare(self, grid: Grid, start: datetime | None, until: float) -> PreparedRain:  # noqa: ARG002 - the same on every grid
        """Return it on the clock of a run without faults."""
        ready = self.series.prepare(start, until)
        rates = ready.values.tolist()
        return PreparedRain(ready.times, rates.__getitem__)


@dataclass(frozen=True, eq=False)
class Rain:
    """Rain that a flood run can take: see `uniform`, `gridded`, `stations`, `from_file`, and `cim.sim.flood.storms.DesignStorm`."""

    source: RainSource
    """Where it comes from."""
    factor: float = 1.0
    """What `scaled` multiplied it by."""

    @classmethod
    def uniform(cls, rain: Any, *, unit: str | None = None, plausible: bool = True, **options: Any) -> Rain:
        """Return the same rain on every cell.

        Parameters
        ----------
        rain
            One number, a rate that never changes [mm/h unless `unit` says otherwise, which is noted]; or a series in any form that
            `Series.of` takes.
        unit
            "mm/h", "mm" (depth of each step), "mm/5min", "m/s", "in/h". A series must say it.
        plausible
            False lets rates pass that no rain has (tests of a solver): above 3,000 mm/h, or 0.01 mm/h at most.
        **options
            As `Series.of`: times, time_unit, time_zone, step, label, cumulative, outside, gaps.

        Raises
        ------
        UsageError
            As `Series.of`.

        Examples
        --------
        >>> from cim.results import Grid
        >>> place = Grid(0.0, 20.0, 10.0, 10.0, nx=3, ny=2, crs="EPSG:28992")
        >>> ready = Rain.uniform({"0min": 2.0, "5min": 1.0}, unit="mm", step="5min", outside="zero").prepare(place, None, 900.0)
        >>> ready.breaks, [round(ready.rate(i) * 3.6e6, 9) for i in range(3)]
        (array([  0., 300., 600., 900.]), [24.0, 12.0, 0.0])
        """
        bare = isinstance(rain, int | float | np.integer | np.floating) and unit is None
        series = Series.of(rain, unit="mm/h" if bare else unit, kind="m/s", **{"how": "step", "name": "rain", **options})
        if series.how != "step":
            msg = "rain: the series is linear; rain is constant between its times: make it with how='step'"
            raise UsageError(msg)
        notes = (f"{rain:g} taken as mm/h, the unit of a number without one",) if bare else ()
        return cls(UniformRain(replace(series, notes=(*notes, *series.notes)), plausible))

    @classmethod
    def gridded(
        cls, rain: xarray.DataArray, *, unit: str | None = None, crs: str | None = None, plausible: bool = True, **options: Any
    ) -> Rain:
        """Return rain from an array in time and place; a cell takes the pixel that its middle lies in, so that volumes of pixels are kept.

        Parameters
        ----------
        rain : dimensions time, y and x
            Rates or depths of steps, NaN where missing. Coordinates: times, and the middles of rows and columns, in any order.
        unit
            As `uniform`; None takes the attribute ``units``.
        crs
            System of x and y; None takes the attribute ``crs`` or the coordinate ``spatial_ref``, else that of the run, which is noted.
        plausible
            As `uniform`.
        **options
            step, label, time_unit, time_zone, gaps, and: ``outside`` for times ("refuse", "zero"), ``beyond`` for cells outside the pixels
            ("refuse", "zero"), ``missing`` for pixels without a value ("refuse", "zero").

        Raises
        ------
        UsageError
            If the array has no such form, or its unit is missing.
        """
        return cls(grid_rain(rain, unit=unit, crs=crs, plausible=plausible, **options))

    @classmethod
    def stations(
        cls,
        table: Any,
        places: Mapping[str, tuple[float, float]],
        *,
        unit: str | None = None,
        crs: str | None = None,
        method: Method = "idw",
        power: float = 2.0,
        plausible: bool = True,
        **options: Any,
    ) -> Rain:
        """Return rain between gauges.

        Parameters
        ----------
        table
            A pandas frame (index: time, one column per station, NaN where missing), or a mapping from station to a series.
        places
            East and north of each station, in `crs`.
        unit, plausible
            As `uniform`.
        crs
            None: that of the run.
        method
            ``"idw"`` (inverse distance), ``"nearest"`` or ``"thiessen"`` (the same).
        power
            Of the inverse distance.
        **options
            As `Series.of`. ``gaps="missing"`` (default): the other stations stand in, counted in the notes; ``outside="missing"`` the same
            before and after the record of a station.

        Raises
        ------
        UsageError
            If a station has no place, the method is unknown, or the unit is missing.
        """
        return cls(station_rain(table, places, unit=unit, crs=crs, method=method, power=power, plausible=plausible, **options))

    @classmethod
    def from_file(cls, path: str | Path | Sequence[str | Path], *, unit: str | None = None, **options: Any) -> Rain:
        """Return rain from a file.

        Parameters
        ----------
        path
            Text, which is uniform rain (CSV with headers in Chinese or English, two plain columns "seconds rate", rain file of SWMM);
            NetCDF or GeoTIFF with one band per time, which is gridded rain; or a list of GeoTIFFs, one per time.
        unit
            As `uniform`; may be left out where the file says it.
        **options
            Of text as `Series.read` (column, station, time_unit …); of grids as `gridded`, and ``variable`` (NetCDF), ``times`` (GeoTIFF).

        Raises
        ------
        InputError
            If the file cannot be read.
        UsageError
            If its unit is stated nowhere.
        """
        paths = [Path(one) for one in ([path] if isinstance(path, str | Path) else path)]
        if not paths:
            msg = "rain: an empty list of files; expected at least one"
            raise UsageError(msg)
        if len(paths) > 1 or paths[0].suffix.lower() in _GRIDS:
            grid = open_grid(paths, variable=options.pop("variable", None), times=options.pop("times", None))
            return cls.gridded(grid, unit=unit, **options)
        plausible = bool(options.pop("plausible", True))
        series = Series.read(paths[0], unit=unit, **{"kind": "m/s", "how": "step", "name": "rain", **options})
        return cls(UniformRain(series, plausible))

    @property
    def notes(self) -> tuple[str, ...]:
        """What was taken for granted, with counts; part of the assumptions of a run."""
        return (*self.source.notes, *((f"rain: all rates times {self.factor:g}",) if self.factor != 1.0 else ()))

    def scaled(self, factor: float) -> Self:
        """Return the rain with all rates multiplied: a change of climate, a member of an ensemble.

        Raises
        ------
        UsageError
            If the factor is not a finite number above 0.
        """
        if not (np.isfinite(factor) and factor > 0.0):
            msg = f"rain: factor {factor!r}; expected a finite number above 0"
            raise UsageError(msg)
        return replace(self, source=self.source.scaled(factor), factor=self.factor * factor)

    def faults(self, grid: Grid, start: datetime | None, until: float | str) -> list[str]:
        """Return every reason why the rain cannot drive a run on a grid from `start`, 0 to `until`; empty when it can."""
        return self.source.faults(grid, start, seconds(until))

    def prepare(self, grid: Grid, start: datetime | None, until: float | str) -> PreparedRain:
        """Return the rain on the clock and the cells of a run.

        Raises
        ------
        UsageError
            With every fault in one message.
        """
        refuse(self.faults(grid, start, until))
        return self.source.prepare(grid, start, seconds(until))
