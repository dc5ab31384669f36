"""Water that the ground takes: Green-Ampt, Horton, a constant rate, the curve number; parameters of one cell or of all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from cim.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    State = Mapping[str, Floats]

__all__ = ["Constant", "CurveNumber", "GreenAmpt", "Horton", "Infiltration"]

_MM = 1e-3
_MM_PER_HOUR = 1e-3 / 3600.0
_FASTEST = 5000.0
"""No soil of a city takes more [mm/h]: clean gravel."""
_SLOWEST = 1e-3
"""A soil whose fastest cell takes less than this [mm/h], 9 mm in a year, is sealed, or the number is in m/s."""
_EVERYWHERE = np.ones((1, 1), bool)


class Infiltration(Protocol):
    """What the solver asks of a law."""

    def faults(self, shape: tuple[int, int]) -> list[str]:
        """Return every reason why the law cannot run on a grid of this shape."""

    def start(self, shape: tuple[int, int]) -> dict[str, Floats]:
        """Return what the law remembers of each cell, at the start."""

    def step(self, depth: NDArray[Any], state: State, t: float, dt: float, rain_depth: float | Floats, active: Bools | None) -> float:
        """Lower the water and return what was taken [m], summed over all cells; parameters as `_Law.step`."""


class _Law(ABC):
    """What all laws share: what they remember at the start, and a step."""

    _at_start: ClassVar[dict[str, float]]
    """What is remembered of each cell, and its value at the start."""

    def start(self, shape: tuple[int, int]) -> dict[str, Floats]:
        """Return what is remembered of each cell, at the start; ``owed`` [m] is what a depth of few digits could not give."""
        return {name: np.full(shape, value) for name, value in self._at_start.items()}

    def step(
        self,
        depth: NDArray[Any],
        state: State,
        t: float,  # noqa: ARG002 - the protocol
        dt: float,
        rain_depth: float | Floats = 0.0,
        active: Bools | None = None,
    ) -> float:
        """Lower the water and return what was taken [m], summed over all cells.

        Parameters
        ----------
        depth : shape (ny, nx)
            Water on each cell, the rain of this step in it [m]; float32 or float64, lowered in place, never below 0.
        state
            From `start`; changed in place.
        t, dt
            Time and length of the step [s].
        rain_depth
            Rain of this step [m]: one number, or shape (ny, nx).
        active : shape (ny, nx)
            Cells of the domain; None: all whose depth is a number.

        Returns
        -------
        float
            Sum of old less new depth, as stored, in float64, always in the same order.
        """
        lost = np.zeros(depth.shape[0])
        self._lower(depth, rain_depth, _EVERYWHERE if active is None else active, float(dt), state, lost)
        return float(lost.sum())

    @abstractmethod
    def _lower(self, depth: NDArray[Any], rain: float | Floats, active: Bools, dt: float, state: State, lost: Floats) -> None:
        """Lower the water by the kernel of the law, which writes into `lost` what each row gave [m]."""


@dataclass(frozen=True, eq=False)
class GreenAmpt(_Law):
    """Green and Ampt: a sharp front moves down, drawn by suction.

    Notes
    -----
    Ponded, the cumulative infiltration F obeys F - S ln(1 + F / S) = K t with S = suction × deficit [1]_ [2]_; the capacity is
    f = K (1 + S / F). Each step solves it implicitly from the F reached, and the moment inside it when rain begins to pond, so that
    the result does not depend on the length of the steps. The capacity acts on all the water on a cell, whether it fell or flowed there.
    The pressure of the water above the ground is left out (small against the suction); the soil does not recover between rains.

    References
    ----------
    .. [1] Green, W. H., Ampt, G. A. (1911). Studies on soil physics. J. Agricultural Science 4(1), 1-24. doi:10.1017/S0021859600001441
    .. [2] Mein, R. G., Larson, C. L. (1973). Modeling infiltration during a steady rain. Water Resources Research 9(2), 384-394.
       doi:10.1029/WR009i002p00384
    """

    conductivity: ArrayLike
    """K, saturated [mm/h]; 0 where sealed."""
    suction: ArrayLike
    """At the front [mm]."""
    deficit: ArrayLike
    """Porosity less moisture at the start [-], 0 to 1."""
    _at_start: ClassVar[dict[str, float]] = {"infiltrated": 0.0, "owed": 0.0}
    """[m]"""

    def faults(self, shape: tuple[int, int]) -> list[str]:
        """Return every reason why the law cannot run on a grid of this shape."""
        return [
            *_speed_faults("Green-Ampt conductivity", self.conductivity, shape),
            *_faults("Green-Ampt suction", self.suction, shape, "mm", (0.0, 5000.0), least=0.5, meant="m"),
            *_faults("Green-Ampt deficit", self.deficit, shape, "(share of the soil)", (0.0, 1.0), meant="%"),
        ]

    @cached_property
    def _si(self) -> tuple[Floats, Floats]:
        front = np.asarray(self.suction, np.float64) * _MM * np.asarray(self.deficit, np.float64)
        return _plane(np.asarray(self.conductivity, np.float64) * _MM_PER_HOUR), _plane(front)

    def _lower(self, depth: NDArray[Any], rain: float | Floats, active: Bools, dt: float, state: State, lost: Floats) -> None:
        from cim.sim.flood.infiltration_kernels import green_ampt_rows

        if dt > 0.0:
            green_ampt_rows(depth, _plane(rain), active, *self._si, dt, state["infiltrated"], state["owed"], lost)


@dataclass(frozen=True, eq=False)
class Horton(_Law):
    """Horton: the capacity falls from f0 to fc as the soil fills.

    Notes
    -----
    f = fc + (f0 - fc) exp(-k t), F = fc t + (f0 - fc) / k (1 - exp(-k t)) [1]_. The time t counts only as far as the soil has taken water
    (time compression): where less water is there than the capacity, all of it infiltrates and t moves on to where F is what was taken,
    as SWMM does [2]_. Rain that begins to pond inside a step is followed exactly. The soil does not recover between rains.

    References
    ----------
    .. [1] Horton, R. E. (1941). An approach toward a physical interpretation of infiltration-capacity. Soil Sci. Soc. Am. Proc. 5, 399-417.
    .. [2] Rossman, L. A., Huber, W. C. (2016). SWMM Reference Manual, Volume I: Hydrology. EPA/600/R-15/162A, section 4.2.
    """

    f0: ArrayLike
    """Capacity of the dry soil [mm/h]."""
    fc: ArrayLike
    """Capacity in the end [mm/h], not above f0."""
    k: ArrayLike
    """Decay [1/h], above 0."""
    _at_start: ClassVar[dict[str, float]] = {"left": 1.0, "owed": 0.0}
    """The share exp(-k t) of f0 - fc, and [m]."""

    def faults(self, shape: tuple[int, int]) -> list[str]:
        """Return every reason why the law cannot run on a grid of this shape."""
        found = [
            *_speed_faults("Horton f0", self.f0, shape),
            *_faults("Horton fc", self.fc, shape, "mm/h", (0.0, _FASTEST), meant="m/s"),
            *_faults("Horton k", self.k, shape, "1/h", (1e-3, 1000.0), meant="1/s"),
        ]
        if not found and (np.asarray(self.fc, np.float64) > np.asarray(self.f0, np.float64)).any():
            count = int(np.count_nonzero(np.asarray(self.fc, np.float64) > np.asarray(self.f0, np.float64)))
            found.append(f"infiltration: Horton fc is above f0 in {count} cells; expected the capacity to fall: exchange them")
        return found

    @cached_property
    def _si(self) -> tuple[Floats, Floats, Floats]:
        first, last = (_plane(np.asarray(one, np.float64) * _MM_PER_HOUR) for one in (self.f0, self.fc))
        return first, last, _plane(np.asarray(self.k, np.float64) / 3600.0)

    def _lower(self, depth: NDArray[Any], rain: float | Floats, active: Bools, dt: float, state: State, lost: Floats) -> None:
        from cim.sim.flood.infiltration_kernels import horton_rows

        if dt > 0.0:
            horton_rows(depth, _plane(rain), active, *self._si, dt, state["left"], state["owed"], lost)


@dataclass(frozen=True, eq=False)
class Constant(_Law):
    """A constant rate, as long as there is water."""

    rate: ArrayLike
    """[mm/h]"""
    _at_start: ClassVar[dict[str, float]] = {"owed": 0.0}
    """[m]"""

    def faults(self, shape: tuple[int, int]) -> list[str]:
        """Return every reason why the law cannot run on a grid of this shape."""
        return _speed_faults("constant rate", self.rate, shape)

    @cached_property
    def _si(self) -> Floats:
        return _plane(np.asarray(self.rate, np.float64) * _MM_PER_HOUR)

    def _lower(self, depth: NDArray[Any], rain: float | Floats, active: Bools, dt: float, state: State, lost: Floats) -> None:  # noqa: ARG002
        from cim.sim.flood.infiltration_kernels import constant_rows

        constant_rows(depth, active, self._si, dt, state["owed"], lost)


@dataclass(frozen=True, eq=False)
class CurveNumber(_Law):
    """Curve number of the US Soil Conservation Service: a loss of the rain, by soil and cover.

    Notes
    -----
    With S = 25.4 (1000 / CN - 10) mm and Ia = initial_abstraction × S, rain P runs off by Q = (P - Ia)² / (P - Ia + S) once P > Ia [1]_.
    Each step takes the growth of P - Q from the rain that fell on the cell; where the water has already flowed away it comes from the next
    water there. Water that flows to a cell from elsewhere is not lost a second time: the law knows only rain.

    References
    ----------
    .. [1] USDA-NRCS (2004). National Engineering Handbook, Part 630 Hydrology, chapter 10 (equations 10-9 to 10-13).
    """

    cn: ArrayLike
    """Curve number, above 0 to 100 (sealed)."""
    initial_abstraction: ArrayLike = 0.2
    """Ia / S [-]."""
    _at_start: ClassVar[dict[str, float]] = {"rain": 0.0, "owed": 0.0}
    """[m]"""

    def faults(self, shape: tuple[int, int]) -> list[str]:
        """Return every reason why the law cannot run on a grid of this shape."""
        return [
            *_faults("curve number", self.cn, shape, "", (1.0, 100.0), meant="a share: multiply by 100"),
            *_faults("curve number initial abstraction", self.initial_abstraction, shape, "(share of S)", (0.0, 1.0), meant="mm"),
        ]

    @cached_property
    def _si(self) -> tuple[Floats, Floats]:
        retention = 25.4 * _MM * (1000.0 / np.asarray(self.cn, np.float64) - 10.0)
        return _plane(retention), _plane(self.initial_abstraction)

    def _lower(self, depth: NDArray[Any], rain: float | Floats, active: Bools, dt: float, state: State, lost: Floats) -> None:  # noqa: ARG002
        from cim.sim.flood.infiltration_kernels import curve_number_rows

        curve_number_rows(depth, _plane(rain), active, *self._si, state["rain"], state["owed"], lost)


def _plane(values: ArrayLike) -> Floats:
    """Return a parameter as the kernels take it: shape (ny, nx), or (1, 1)."""
    array = np.ascontiguousarray(values, np.float64)
    if array.ndim == 2:
        return array
    if array.size != 1:
        msg = f"a parameter of infiltration has shape {array.shape}; expected one number, or a value for every cell, (ny, nx)"
        raise UsageError(msg)
    return array.reshape(1, 1)


def _speed_faults(name: str, values: ArrayLike, shape: tuple[int, int]) -> list[str]:
    return _faults(name, values, shape, "mm/h", (0.0, _FASTEST), least=_SLOWEST, meant="m/s")


def _faults(
    name: str, values: ArrayLike, shape: tuple[int, int], unit: str, limits: tuple[float, float], *, least: float = 0.0, meant: str = ""
) -> list[str]:
    """Return what is wrong with a parameter: its shape, missing values, values out of range, the wrong unit."""
    array = np.asarray(values, np.float64)
    if array.size != 1 and array.shape != tuple(shape):
        return [f"infiltration: {name} has shape {array.shape}; expected one number or the shape of the grid, {tuple(shape)}"]
    bad = int(np.count_nonzero(~np.isfinite(array)))
    if bad:
        return [f"infiltration: {name} is missing in {bad} of {array.size} cells; give a value for each, 0 where nothing infiltrates"]
    low, high = float(array.min()), float(array.max())
    hint = f": given in {meant}?" if meant else ""
    if low < limits[0] or high > limits[1]:
        return [f"infiltration: {name} is {low:g} to {high:g} {unit}".rstrip() + f"; expected {limits[0]:g} to {limits[1]:g}{hint}"]
    if 0.0 < high < least:
        return [f"infiltration: {name} is {high:g} {unit} at most; expected at least {least:g} somewhere, or 0{hint}"]
    return []
