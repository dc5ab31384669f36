"""The rain on the roads in each interval: that of the run's ledger, a number, or a series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.sim.coupling.speed import rain_class

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.results import Fields
    from cim.sim.coupling.parameters import RoadParameters
    from cim.sim.coupling.water_along import Clock

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["rain_of"]

_NOISE = 1e-3  # mm/h; what is left of a sum over the domain in single precision is no rain


def rain_of(water: Fields, clock: Clock, parameters: RoadParameters) -> tuple[Ints, list[str]]:
    """Return the class of the rain in each interval (0 none to 3 heavy), and what was taken for granted.

    Raises
    ------
    UsageError
        If a series does not fit the run.
    """
    intensity, told = _intensity(water, clock, parameters.rain)
    classes = rain_class(np.where(intensity > _NOISE, intensity, 0.0), parameters)
    if not classes.any():
        return classes, told
    words = ", ".join(f"{name} in {int((classes == place).sum())}" for place, name in enumerate(("light", "medium", "heavy"), 1))
    return classes, [*told, f"rain: {words} of {len(classes)} intervals; factors of freeways, on every road but those in tunnels"]


def _intensity(water: Fields, clock: Clock, asked: Any) -> tuple[Floats, list[str]]:
    """Return the mean intensity of each interval [mm/h]."""
    none = np.zeros(len(clock))
    if asked == "none":
        return none, []
    if asked == "run":
        return _of_ledger(water, clock)
    if isinstance(asked, int | float):
        return none + float(asked), []
    return _of_series(asked, clock)


def _of_ledger(water: Fields, clock: Clock) -> tuple[Floats, list[str]]:
    """Return the rain on the domain between outputs, as a depth over all of it."""
    ledger = water.tables.get("ledger")
    if ledger is None or "rain" not in ledger.column_names or not clock.outputs or clock.start is None:
        return np.zeros(len(clock)), ['the run holds no ledger of its rain: the roads are taken as without rain; give rain= or "none"']
    stamps = ledger["time"].to_numpy().astype("datetime64[us]")
    times = (stamps - np.datetime64(clock.start.replace(tzinfo=None), "us")) / np.timedelta64(1, "s")
    volume = ledger["rain"].to_numpy()
    x, y = (water.dataset[name].values for name in ("x", "y"))
    field = water.dataset["ground_elevation" if "ground_elevation" in water.dataset.data_vars else "maximum_depth"].values
    area = float(np.isfinite(field).sum()) * abs(float(x[1] - x[0] if len(x) > 1 else 0.0) * float(y[1] - y[0] if len(y) > 1 else 0.0))
    if not area > 0:
        return np.zeros(len(clock)), ["the run has no cells to tell the intensity of its rain: the roads are taken as without rain"]
    fallen = np.interp(clock.end, times, volume) - np.interp(clock.begin, times, volume)
    mean = fallen / area / (clock.end - clock.begin) * 3.6e6
    return mean, ["the rain on the roads is the mean over the domain of the run in each interval"] if (mean > _NOISE).any() else []


def _of_series(pairs: Any, clock: Clock) -> tuple[Floats, list[str]]:
    from cim.sim.flood.series import Series

    until = float(clock.end[-1])
    if not np.isfinite(until):
        msg = "roads: rain is a series, but the water has no times; give one number [mm/h]"
        raise UsageError(msg)
    series = Series.of([tuple(row) for row in pairs], unit="mm/h", kind="m/s", how="step", outside="hold", name="rain")
    ready = series.prepare(clock.start, until)
    means = [ready.mean(begin, end) for begin, end in zip(clock.begin.tolist(), clock.end.tolist(), strict=True)]
    return np.array(means) * 3.6e6, list(series.notes)
