"""Rain as a grid in time (radar, weather model): which pixel falls on which cell, and what the grid leaves open."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cim.errors import UsageError
from cim.sim.flood.rain_base import PreparedRain, implausible
from cim.sim.flood.series import Series
from cim.sim.flood.series_units import Scale, scale_of

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

    from cim.results import Grid

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Beyond", "GridRain", "grid_rain"]

Beyond = Literal["refuse", "zero"]


@dataclass(frozen=True, eq=False)
class GridRain:
    """Pixels in time; a cell of the run has the rain of the pixel that its middle lies in."""

    clock: Series
    """Step series of the number of the frame, whose times are those of the frames."""
    frames: Any
    """Shape (time, y, x); anything that numpy can take one frame of at a time."""
    scale: Scale
    step: Floats
    """Shape (time) [s]: length of each frame, for depths of steps."""
    x: Floats
    """Middle of the columns, rising."""
    y: Floats
    """Middle of the rows, falling."""
    flip: tuple[bool, bool]
    """Whether rows and columns are turned to get there."""
    crs: str | None
    beyond: Beyond = "refuse"
    """Cells outside the pixels: refuse, or dry."""
    missing: Beyond = "refuse"
    """Pixels without a value."""
    plausible: bool = True
    factor: float = 1.0

    @property
    def notes(self) -> tuple[str, ...]:
        """What was taken for granted."""
        near = f"gridded rain: {self.y.size} × {self.x.size} pixels, each cell takes the pixel of its middle"
        crs = () if self.crs else ("gridded rain: its coordinate system is not stated, taken as that of the run",)
        counts = self._counts
        dry = (f"gridded rain: {counts[0]} missing pixels taken as dry",) if counts[0] and self.missing == "zero" else ()
        return (near, *crs, *dry, *self.clock.notes)

    def scaled(self, factor: float) -> GridRain:
        """Return it with all rates multiplied."""
        return replace(self, factor=self.factor * factor)

    def frame(self, index: int) -> Floats:
        """Return one frame, shape (y, x) [m/s], row 0 in the north; NaN where missing."""
        raw = np.asarray(self.frames[index], np.float64)[:: -1 if self.flip[0] else 1, :: -1 if self.flip[1] else 1]
        length = float(self.step[index]) if self.scale.per_step else 1.0
        return raw * (self.scale.factor * self.factor / length)

    @cached_property
    def _counts(self) -> tuple[int, float, float]:
        """Return how many pixels are missing, and the smallest and largest rate; one pass over all frames."""
        missing, low, high = 0, np.inf, -np.inf
        for index in range(self.step.size):
            frame = self.frame(index)
            known = np.isfinite(frame)
            missing += int(frame.size - np.count_nonzero(known))
            low, high = (
                min(low, float(np.min(frame, where=known, initial=np.inf))),
                max(high, float(np.max(frame, where=known, initial=-np.inf))),
            )
        return missing, low, high

    def faults(self, grid: Grid, start: datetime | None, until: float) -> list[str]:
        """Return every reason why it cannot drive a run."""
        found = self.clock.faults(start, until)
        missing, low, high = self._counts
        if missing and self.missing == "refuse":
            found.append(f'rain: {missing} pixels in {self.step.size} frames have no value; give them, or say missing="zero"')
        if self.plausible and np.isfinite(high):
            found += implausible(low, high, factor=None if self.scale.per_step else self.scale.factor)
        if not np.isfinite(high):
            found.append("rain: no pixel has a value; expected rates in at least one frame")
        return found + self._place_faults(grid)

    def _place_faults(self, grid: Grid) -> list[str]:
        try:
            inside = self._pixels(grid)[0]
        except UsageError as error:
            return [f"rain: {error}"]
        outside = int(inside.size - np.count_nonzero(inside))
        if outside and (self.beyond == "refuse" or outside == inside.size):
            reach = (
                f"x {self.x[0]:.10g} to {self.x[-1]:.10g}, y {self.y[-1]:.10g} to {self.y[0]:.10g} (middles, {self.crs or 'no CRS stated'})"
            )
            remedy = 'give a larger grid or its crs=, or say beyond="zero"'
            return [f"rain: {outside} of {inside.size} cells lie outside the pixels, which reach {reach}; {remedy}"]
        return []

    def _pixels(self, grid: Grid) -> tuple[NDArray[np.bool_], Ints]:
        """Return which cells lie in a pixel, and the flat number of the pixel, shape (ny, nx)."""
        x, y = self._centres(grid)
        column, in_x = _bin(self.x, x)
        row, in_y = _bin(-self.y, -y)
        return in_x & in_y, row * self.x.size + column

    def _centres(self, grid: Grid) -> tuple[Floats, Floats]:
        """Return the middles of the cells in the system of the pixels."""
        from cim.crs import parse, transform_points

        x, y = grid.x[None, :], grid.y[:, None]
        if self.crs is None or parse(self.crs).same_horizontal(parse(grid.crs)):
            return x, y
        flat_x, flat_y = (part.reshape(-1) for part in np.broadcast_arrays(x, y))
        moved = transform_points(flat_x, flat_y, None, parse(grid.crs), parse(self.crs))
        return moved.x.reshape(grid.ny, grid.nx), moved.y.reshape(grid.ny, grid.nx)

    def prepare(self, grid: Grid, start: datetime | None, until: float) -> PreparedRain:
        """Return it on the clock and the cells of a run."""
        clock = self.clock.prepare(start, until)
        inside, pixel = self._pixels(grid)
        inside, pixel = np.broadcast_to(inside, (grid.ny, grid.nx)), np.broadcast_to(pixel, (grid.ny, grid.nx))
        last: dict[int, float | Floats] = {}

        def rate(index: int) -> float | Floats:
            number = int(clock.values[index]) - 1  # 0 is outside the frames: dry
            if number not in last:
                last.clear()
                last[number] = _on_cells(self.frame(number), inside, pixel) if number >= 0 else 0.0
            return last[number]

        return PreparedRain(clock.times, rate)


def _on_cells(frame: Floats, inside: NDArray[np.bool_], pixel: Ints) -> float | Floats:
    dry = np.nan_to_num(frame, nan=0.0, posinf=0.0, neginf=0.0)
    if not dry.any():
        return 0.0
    return np.where(inside, dry.reshape(-1)[np.where(inside, pixel, 0)], 0.0)


def _bin(middles: Floats, at: Floats) -> tuple[Ints, NDArray[np.bool_]]:
    """Return the number of the pixel along one axis, and whether there is one."""
    inner = 0.5 * (middles[1:] + middles[:-1])
    half_first, half_last = (middles[1] - middles[0]) / 2.0, (middles[-1] - middles[-2]) / 2.0
    slack = 1e-9 * max(abs(float(middles[0])), abs(float(middles[-1])), 1.0)
    inside = (at >= middles[0] - half_first - slack) & (at <= middles[-1] + half_last + slack)
    return np.searchsorted(inner, at, side="right").astype(np.int64), inside


def grid_rain(  # noqa: PLR0913 - all that a grid may leave open is stated here
    data: xarray.DataArray,
    *,
    unit: str | None = None,
    crs: str | None = None,
    step: float | str | None = None,
    label: Literal["start", "end"] | None = None,
    time_unit: str = "s",
    time_zone: str | None = None,
    outside: Literal["refuse", "zero", "hold"] = "refuse",
    gaps: Literal["refuse", "zero", "bridge"] = "refuse",
    beyond: Beyond = "refuse",
    missing: Beyond = "refuse",
    plausible: bool = True,
) -> GridRain:
    """Return rain from an array with the dimensions time, y and x; parameters as `Rain.gridded`.

    Raises
    ------
    UsageError
        If the array has no such form, or its unit is missing.
    """
    time, y, x = _dimensions(data)
    ordered = data.transpose(time, y, x)
    scale = scale_of(unit or data.attrs.get("units"), "m/s", "rain")
    times = np.asarray(ordered[time].values)
    clock = Series.of(
        np.arange(1.0, times.size + 1.0), unit="m", how="step", times=times, time_unit=time_unit, time_zone=time_zone or "UTC",
        step=step, label=label, outside="zero" if outside == "zero" else outside, gaps=gaps, name="rain",
    )  # fmt: skip
    east, north = (np.asarray(ordered[name].values, np.float64) for name in (x, y))
    flip = (_turned(north, y, falls=True), _turned(east, x, falls=False))
    if clock.origin is not None and time_zone is None:
        clock = replace(clock, notes=(*clock.notes, "rain: times of the grid without time zone are UTC, as the CF conventions have it"))
    length = np.diff(clock.times, append=np.nan) if clock.step is None else np.full(times.size, clock.step)
    if scale.per_step and not np.isfinite(length).all():
        clock = replace(clock, problems=(*clock.problems, "depths of steps need the length of the last step; give step="))
    ordered_crs = crs or data.attrs.get("crs") or _crs_of(data)
    return GridRain(
        clock, ordered, scale, length, east[::-1] if flip[1] else east, north[::-1] if flip[0] else north, flip,
        None if ordered_crs is None else str(ordered_crs), beyond, missing, plausible,
    )  # fmt: skip


def _crs_of(data: xarray.DataArray) -> str | None:
    reference = data.coords.get("spatial_ref")
    said = None if reference is None else reference.attrs.get("crs_wkt") or reference.attrs.get("spatial_ref")
    return None if said is None else str(said)


def _dimensions(data: xarray.DataArray) -> tuple[str, str, str]:
    """Return the names of time, north and east."""
    names = [str(name) for name in data.dims]
    wanted = (("time", "t", "valid_time"), ("y", "lat", "latitude", "north", "northing"), ("x", "lon", "longitude", "east", "easting"))
    found = [next((name for name in names if name.lower() in one), None) for one in wanted]
    if None in found or len(names) != 3:
        msg = f"rain: an array with the dimensions {', '.join(names)}; expected time, y and x"
        raise UsageError(msg)
    bare = [name for name in names if name not in data.coords]
    if bare:
        msg = f"rain: dimension {', '.join(bare)} has no coordinates; give the times, and the middles of rows and columns"
        raise UsageError(msg)
    return str(found[0]), str(found[1]), str(found[2])


def _turned(middles: Floats, name: str, *, falls: bool) -> bool:
    """Return whether an axis runs the other way."""
    steps = np.diff(middles)
    if middles.size < 2 or not ((steps > 0).all() or (steps < 0).all()):
        what = f"rain: coordinate {name} has {middles.size} values that neither only rise nor only fall"
        msg = f"{what}; expected the middles of at least two pixels"
        raise UsageError(msg)
    return bool(steps[0] > 0) is falls
