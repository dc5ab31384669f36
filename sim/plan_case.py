"""What all planning checks share: their section of a scenario file, the buildings laid over the plots, and the table put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat

from cim.errors import UsageError
from cim.results import RunRecord, Stopwatch, Verdicts, city_fingerprint, table_fingerprint, verdicts_from
from cim.sim.buildings import Buildings, crs_of, crs_problem, read_buildings
from cim.sim.plots import Overlaps, Plots, overlap, read_plots

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Floats = NDArray[np.float64]
    Texts = NDArray[np.object_]

__all__ = [
    "RATIO_TOLERANCE",
    "Limit",
    "PlanCase",
    "PlanParameters",
    "PlanningCheck",
    "finish",
    "given",
    "read_case",
    "set_reason",
    "upper_limits",
]

Limit = float | Mapping[str, float] | None
RATIO_TOLERANCE = 1e-6
"""Share of the limit by which a ratio or an area may exceed it and still pass: coordinates of 4·10⁷ m carry 7·10⁻⁹ m of rounding, which
makes up to 10⁻⁷ of the area of a plot of a few square metres; nothing that is surveyed is that sharp."""


class PlanParameters(BaseModel):
    """What every planning check can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    plots: str | list[str] | None = Field(
        default=None, description='ids of plots; "city": one plot for all; left out: objects of class LandUse'
    )
    grid: PositiveFloat | None = Field(default=None, description="edge of square cells that take the place of plots [m]")
    limit: float | dict[str, float] | None = Field(
        default=None, description="one limit for all, or one by plot id; left out: what the plots carry"
    )
    overlap_tolerance: float = Field(default=0.1, ge=0, description="overlap up to which a footprint only grazes a plot [m²]")
    type: str = Field(default="Building", description="class of the objects that count as buildings")
    clause: str | None = Field(default=None, description="clause that sets the limit; printed with each verdict")


@dataclass(frozen=True)
class PlanningCheck:
    """One check: its names, its section of a scenario file, and the function that runs it."""

    name: str
    title_en: str
    title_zh: str
    parameters: type[BaseModel]
    function: Callable[..., Verdicts] = field(repr=False)
    version: str = "1"

    def run(self, city: City, **parameters: Any) -> Verdicts:
        """Return one verdict per plot, or per building and plot; the parameters are those of `function`."""
        return self.function(city, **parameters)


@dataclass(frozen=True)
class PlanCase:
    """What one run of a check looks at."""

    buildings: Buildings
    plots: Plots
    overlaps: Overlaps
    matters: NDArray[np.bool_]
    """Which pairs of plot and building are more than slivers."""
    reason: Texts
    """Shape (plots,): why a plot cannot be assessed, None where nothing is known to stand against it."""
    note: Texts
    """Shape (plots,): the same in words."""

    @property
    def unknown(self) -> NDArray[np.bool_]:
        """Which plots have a reason against them, shape (plots,)."""
        return np.array([one is not None for one in self.reason], bool)

    def by_plot(self, weights: Floats) -> Floats:
        """Return the sum over the buildings on each plot of one number per pair, shape (plots,)."""
        return np.bincount(self.overlaps.plot, weights, len(self.plots)).astype(float)


def read_case(city: City, plots: Any, grid: float | None, type: str, tolerance: float, *, site_needed: bool) -> PlanCase:
    """Read buildings and plots, lay one over the other and note what stands against an assessment.

    Raises
    ------
    UsageError
        If plots or tolerance make no sense.
    """
    if not tolerance >= 0:
        msg = f"overlap_tolerance={tolerance!r}; expected square metres, not below 0"
        raise UsageError(msg)
    buildings = read_buildings(city, type)
    chosen = read_plots(city, plots, grid, buildings)
    over = overlap(city, buildings, chosen)
    case = PlanCase(
        buildings, chosen, over, over.matters(tolerance), np.full(len(chosen), None, object), np.full(len(chosen), None, object)
    )
    if site_needed:
        set_reason(case.reason, case.note, ~np.isfinite(chosen.area), "missing_site", "the plot has no polygon with an area")
    if len(over.unplaced):
        words = f"{len(over.unplaced)} buildings that may stand here have no footprint, the first is {buildings.ids[over.unplaced[0]]}"
        set_reason(case.reason, case.note, over.maybe, "missing_footprint", words)
    if not len(buildings):  # an empty plot is one on which no building of the city stands; a city without any was not read whole
        set_reason(case.reason, case.note, np.ones(len(chosen), bool), "missing_buildings", f"the city holds no object of class {type}")
    problem = crs_problem(city) or chosen.problem
    if problem:
        set_reason(case.reason, case.note, np.ones(len(chosen), bool), "unknown_crs", problem)
    return case


def set_reason(reason: Texts, note: Texts, where: NDArray[np.bool_], code: str, words: str) -> None:
    """Write a reason and its words into some rows, over what stands there."""
    reason[where], note[where] = code, words


def upper_limits(limits: Floats) -> Floats:
    """Return limits with what cannot be one (negative, infinite) as missing."""
    return np.where(np.isfinite(limits) & (limits >= 0), limits, np.nan)


def given(local: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a check from the names at its beginning, as the record keeps them."""
    return {name: _plain(value) for name, value in local.items() if name != "city"}


def _plain(value: Any) -> Any:
    """Return plain values as they are; shapes and tables are kept by their hash among the inputs."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    return [str(one) for one in value] if isinstance(value, list | tuple) else f"<{type(value).__name__}>"


def finish(
    name: str, city: City, case: PlanCase, columns: Mapping[str, Any], *, extra: Sequence[pa.Field] = (), parameters: Mapping[str, Any],
    balance: Mapping[str, float], assumptions: tuple[str, ...], watch: Stopwatch, by_plot: bool = True,
) -> Verdicts:  # fmt: skip
    """Put the verdicts together, with the shapes of plots that are no objects of the city."""
    import shapely

    data = dict(columns)
    if by_plot and not case.plots.in_city and not case.plots.whole:
        data["footprint"] = shapely.to_wkb(case.plots.shapes, byte_order=1)
    if case.buildings.repaired:
        assumptions = (*assumptions, f"{case.buildings.repaired} footprints cross themselves and were made valid to measure them")
    run = RunRecord(name, "1", inputs=_inputs(city, case.plots), parameters=parameters, balance=balance, assumptions=assumptions)
    crs = crs_of(city)
    return verdicts_from(name, watch.stop(run), data, crs=None if crs is None else crs.to_string(), extra=extra)


def _inputs(city: City, plots: Plots) -> dict[str, str]:
    """Return the hashes of the city and of plots that do not belong to it."""
    import shapely

    made = {} if crs_of(city) is None else {"city": city_fingerprint(city)}
    if not plots.in_city and not plots.whole:
        shapes = pa.array(list(shapely.to_wkb(plots.shapes, byte_order=1)), pa.binary())
        made["plots"] = table_fingerprint(pa.table({"id": pa.array(plots.ids.tolist(), pa.string()), "shape": shapes, **plots.limits}))
    return made
