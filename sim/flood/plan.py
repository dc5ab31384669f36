"""What a flood needs, checked as a whole before anything is computed: every fault in one message."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from cim.errors import CimError, UsageError, faults_in
from cim.results import Grid, array_fingerprint, city_fingerprint
from cim.scenario.faults import near
from cim.sim.flood.boundary import Boundary, Inflow, drains, lay_boundaries, lay_inflows, series_of
from cim.sim.flood.case import Case
from cim.sim.flood.checkpoint import Checkpoint
from cim.sim.flood.elevation import is_number, on_grid
from cim.sim.flood.gauges import Watch, watch
from cim.sim.flood.identity import case_fingerprint, fingerprint_of
from cim.sim.flood.series import instant, seconds
from cim.sim.flood.solver import FILM
from cim.sim.flood.structures import Breach, Pump, lay_structures
from cim.sim.times import zone_told

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.sim.flood.domain import FlowDomain

    Floats = NDArray[np.float64]

__all__ = ["VERSION", "Options", "Plan", "length_of", "plan_of"]

VERSION = "4"
SCHEMES = ("standard", "accurate", "screening")
_FIRST_INSTANT = datetime(2000, 1, 1, tzinfo=UTC)
_MOST_BYTES = 16e9
_DEEPEST = 1000.0
"""No lake or reservoir of a flood is deeper [m]."""
_MOMENT = 1e-3
"""[s]"""


@dataclass(frozen=True)
class Options:
    """How a run is computed and kept."""

    scheme: str
    precision: str
    output_every: Any
    velocity: bool
    wet_depth: float
    threads: int | None
    checkpoint: str | Path | None
    checkpoint_every: Any
    keep_checkpoints: bool
    branch_from: str | Path | None
    branch_at: Any

    def faults(self) -> list[str]:
        """Return which options make no sense."""
        faults = []
        for name, known in (("scheme", SCHEMES), ("precision", ("float32", "float64"))):
            value = getattr(self, name)
            if not (isinstance(value, str) and value in known):
                faults.append(f"{name}={value!r}; expected {', '.join(map(repr, known))}")
        if not (is_number(self.wet_depth) and FILM < self.wet_depth < 100):
            faults.append(f"wet_depth={self.wet_depth!r}; expected metres above {FILM:g}, the film that is not looked at, and below 100")
        if self.threads is not None and not (is_number(self.threads) and int(self.threads) == self.threads >= 1):
            faults.append(f"threads={self.threads!r}; expected a whole number of at least 1")
        faults += [
            f"{name}={value!r}; expected True or False"
            for name in ("velocity", "keep_checkpoints")
            if not isinstance(value := getattr(self, name), bool | np.bool_)
        ]
        try:
            seconds(0.0 if self.checkpoint_every is None else self.checkpoint_every)
        except UsageError as error:
            faults.append(f"checkpoint_every: {error}")
        return faults + self._folder_faults()

    def _folder_faults(self) -> list[str]:
        given = {name: value for name in ("checkpoint", "branch_from") if (value := getattr(self, name)) is not None}
        faults = [
            f"{name}={value!r}; expected the path of a folder" for name, value in given.items() if not isinstance(value, str | PathLike)
        ]
        if (self.branch_from is None) != (self.branch_at is None):
            faults.append("branch_from and branch_at go together: the folder of the base run, and the time at which this one leaves it")
        if not faults and len(given) == 2 and len({Path(one).resolve() for one in given.values()}) == 1:
            faults.append("checkpoint and branch_from are the same folder; a branch needs a folder of its own")
        return faults


@dataclass(frozen=True)
class Plan:
    """A run that has been checked."""

    domain: FlowDomain
    case: Case
    start: datetime
    until: float
    times: Floats
    """Output times [s], from 0 to the end."""
    watch: Watch
    city: str | None
    """Hash of the city."""
    inputs: Mapping[str, str]
    notes: tuple[str, ...]
    said: Mapping[str, Any]
    """What was asked for, plain values."""


def plan_of(
    place: Any, ground: Mapping[str, Any], rain: Any, when: tuple[Any, Any], forcing: tuple[Any, Any, Any], initial: tuple[Any, Any],
    looks: tuple[Mapping[str, Any], Mapping[str, Any]], asked: Options, told: Sequence[str] = (),
) -> Plan:  # fmt: skip
    """Check everything and return the plan; `told` are faults that the caller has found already.

    Where the place itself is wrong, its bare elevation stands in for it while the rest is checked, so that all faults are told at once.

    Raises
    ------
    UsageError
        With every fault in one message.
    """
    strangers = _strangers(forcing, looks)
    faults = [*told, *asked.faults(), *strangers]
    if strangers:  # nothing more can be said of them
        _refuse(faults)
    zone = ZoneInfo(getattr(place, "time_zone", "UTC"))
    start, until, times = _clock(*when, asked.output_every, zone, faults)
    domain = _domain(place, ground, faults) or _stand_in(place, ground)
    rain = _rain(rain, faults)
    until = _MOMENT if until is None else until  # a fault is told already; the rest is checked all the same
    if domain is None:
        _refuse(faults + _faults_in_time(rain, forcing, None if when[0] is None else start.astimezone(zone), until))
        raise AssertionError
    known = np.isfinite(domain.elevation)
    begin = None if when[0] is None else start.astimezone(zone)  # it carries the zone of times that state none
    if rain is not None:
        faults += [f"rain: {one}".replace("rain: rain:", "rain:") for one in rain.faults(domain.grid, begin, until)]
    edges, wrong, told_of_edges = lay_boundaries(forcing[0], domain.grid, domain.elevation, domain.roughness, begin, until)
    faults += wrong
    sources, wrong, told_of_inflows = lay_inflows(forcing[1], domain.grid, known, begin, until)
    faults += wrong
    controls, wrong, told_of_structures = lay_structures(forcing[2], domain.grid, domain.elevation, begin, until)
    faults += wrong
    looking, wrong = watch(*looks, domain.grid, known)
    faults += wrong
    depth, told_of_water = _initial(*initial, place, domain, faults)
    size = len(times) * domain.elevation.size * 4.0 * (3 if np.any(asked.velocity) else 1)
    if size > _MOST_BYTES:
        faults.append(f"output: {len(times)} times of {domain.elevation.size:,} cells are {size / 1e9:.0f} GB; give a longer output_every")
    _refuse(faults)
    case = Case(
        domain.elevation, float(domain.grid.dx), domain.roughness, None if rain is None else rain.prepare(domain.grid, begin, until),
        domain.rain_to, domain.infiltration, edges, [*sources, *drains(domain.open_edge)], controls, depth, None, asked.scheme,
        asked.precision, float(asked.wet_depth),
    )  # fmt: skip
    from cim.model import City

    city = city_fingerprint(place) if isinstance(place, City) else None
    notes = [*domain.notes, *(() if rain is None else rain.notes), *told_of_edges, *told_of_inflows, *told_of_structures, *looking.notes]
    notes += told_of_water
    if depth is not None:
        notes.append(f"water at the start: {depth.sum() * domain.grid.dx**2:,.1f} m³ on {int((depth > 0).sum()):,} cells")
    notes += [*zone_told("start", when[0], zone.key), *zone_told("until", when[1], zone.key)]
    if when[0] is None:
        notes.append(f"no start given: the clock begins at {_FIRST_INSTANT.isoformat()}")
    inputs = {"elevation": array_fingerprint(domain.elevation), "forcing": case_fingerprint(case, forcing)}
    inputs |= {} if city is None else {"city": city}
    inputs |= {"looks": fingerprint_of([looking.gauges, looking.sections])} if looking.gauges or looking.sections else {}
    said = {"scheme": asked.scheme, "precision": asked.precision, "until": until, "output_every": float(np.diff(times)[0]),
            "wet_depth": float(asked.wet_depth), "gauges": sorted(looks[0]), "sections": sorted(looks[1]),
            **{name: _plain(value) for name, value in ground.items()}, "resolution": float(domain.grid.dx)}  # fmt: skip
    if asked.branch_from is not None:
        said |= {
            "branch_from": Checkpoint(Path(asked.branch_from)).said("fingerprint"),
            "branch_at": length_of(asked.branch_at, start.astimezone(zone)),
        }
    return Plan(domain, case, start, until, times, looking, city, inputs, tuple(notes), said)


def _strangers(forcing: tuple[Any, Any, Any], looks: tuple[Any, Any]) -> list[str]:
    """Return what stands where something else is expected."""
    wanted = (("boundaries", (Boundary,)), ("inflows", (Inflow,)), ("structures", (Pump, Breach)))
    faults = []
    for (name, kinds), given in zip(wanted, forcing, strict=True):
        said = " or ".join(f"{'an' if one is Inflow else 'a'} {one.__name__}" for one in kinds)
        if not isinstance(given, list | tuple):
            faults.append(f"{name} is a {type(given).__name__}; expected a list, of {said} each")
            continue
        faults += [
            f"{name}[{place}] is a {type(one).__name__}; expected {said}" for place, one in enumerate(given) if not isinstance(one, kinds)
        ]
    for name, one in zip(("gauges", "sections"), looks, strict=True):
        if not isinstance(one, Mapping):
            faults.append(f"{name} is a {type(one).__name__}; expected places by name, such as {{'bridge': (500120.0, 3460080.0)}}")
    return faults


def _refuse(faults: list[str]) -> None:
    if faults:
        listed = "\n  ".join(faults)
        msg = f"flood: {len(faults)} fault{'s' if len(faults) > 1 else ''}:\n  {listed}"
        raise UsageError(msg)


def _clock(start: Any, until: Any, every: Any, zone: ZoneInfo, faults: list[str]) -> tuple[datetime, float | None, Floats]:
    """Return the first instant, the length and the output times [s]."""
    first, length, times = _FIRST_INSTANT, None, np.zeros(1)
    try:
        first = _FIRST_INSTANT if start is None else instant(start, zone)
    except UsageError as error:
        faults.append(f"start: {error}")
    try:
        length = length_of(until, first.astimezone(zone))
        if start is None and not _is_duration(until):
            faults.append(f"until={until!r} is an instant, but the run has no start; give start=, or a duration")
        step = seconds(every)
        if not step > 0:
            faults.append(f"output_every={every!r}; expected a duration above 0")
        elif length / step > 1e6:
            faults.append(f"output_every={every!r} makes {length / step:,.0f} outputs; expected at most 1,000,000")
        else:
            times = np.append(np.arange(0.0, length - 1e-6, step), length)
    except UsageError as error:
        faults.append(f"until or output_every: {error}")
    return first, length, times


def _is_duration(value: Any) -> bool:
    try:
        seconds(value)
    except UsageError:
        return False
    return True


def length_of(until: Any, start: datetime) -> float:
    """Return the length of a run [s] from a duration or its last instant; one without zone is in that of the start."""
    try:
        length = seconds(until)
    except UsageError:
        try:
            length = (instant(until, start.tzinfo or "UTC") - start).total_seconds()
        except UsageError:
            msg = f'until={until!r}; expected a duration such as "6h", or an instant'
            raise UsageError(msg) from None
    if not length > 0:
        msg = f"until={until!r} is not after the start"
        raise UsageError(msg)
    return length


def _domain(place: Any, ground: Mapping[str, Any], faults: list[str]) -> FlowDomain | None:
    from cim.model import City
    from cim.sim.flood.city_domain import domain_from_city
    from cim.sim.flood.domain import FlowDomain

    if isinstance(place, FlowDomain):
        if ground:
            faults.append(f"{', '.join(sorted(ground))}: not for a domain that is made already")
        return place
    make: Any = domain_from_city if isinstance(place, City) else FlowDomain.from_elevation
    known = list(inspect.signature(make).parameters)[1:]
    unknown = [name for name in ground if name not in known]
    faults += [f"{name}= is not known{near(name, known)}" for name in unknown]
    try:
        return make(place, **{name: value for name, value in ground.items() if name not in unknown})  # type: ignore[no-any-return]
    except CimError as error:
        faults += faults_in(error)
    return None


def _stand_in(place: Any, ground: Mapping[str, Any]) -> FlowDomain | None:
    """Return the cells of a place that is no domain, where they can be told; unknown ones are walls."""
    from cim.model import City
    from cim.sim.flood.domain import FlowDomain
    from cim.sim.flood.elevation import HIGHEST, LOWEST, MARKS, as_grid
    from cim.sim.terrain import read_terrain

    try:
        if isinstance(place, City):
            bare = read_terrain(place, ground.get("terrain"))
            grid = Grid(bare.x_min, bare.y_max, bare.dx, bare.dx, bare.shape[1], bare.shape[0], bare.crs.to_string())
            return FlowDomain(np.asarray(bare.values, float), grid)
        values, grid, _ = as_grid(place, ground.get("dx"), ground.get("crs"))
        if values is None:
            return None
        heights = np.where((values > LOWEST) & (values < HIGHEST) & ~np.isin(values, MARKS), values, np.nan)
        return FlowDomain(heights, grid)
    except (CimError, TypeError):
        return None


def _faults_in_time(rain: Any, forcing: tuple[Any, Any, Any], start: datetime | None, until: float) -> list[str]:
    """Return the faults of series that show without a place: what is left to check where there is none."""
    from cim.sim.flood.rain import UniformRain

    nowhere = Grid(0.0, 1.0, 1.0, 1.0, 1, 1, "EPSG:3857")
    found = rain.faults(nowhere, start, until) if isinstance(getattr(rain, "source", None), UniformRain) else []
    series = [(one.level, "m", one.label) for one in forcing[0]]
    series += [(one.discharge, "m³/s", one.label) for one in (*forcing[0], *forcing[1])]
    series += [(one.capacity, "m³/s", one.label) for one in forcing[2] if isinstance(one, Pump)]
    return found + [fault for value, unit, label in series if value is not None for fault in series_of(value, unit, label, start, until)[1]]


def _rain(rain: Any, faults: list[str]) -> Any:
    from cim.sim.flood.rain import Rain

    if rain is None or isinstance(rain, Rain):
        return rain
    try:
        return Rain.uniform(rain)
    except UsageError as error:
        faults.append(f"rain: {error}")
        return None


def _initial(level: Any, depth: Any, place: Any, domain: FlowDomain, faults: list[str]) -> tuple[Floats | None, list[str]]:
    """Return the depth at the start, shape (ny, nx) [m], and what is to be told of it."""
    from cim.model import City
    from cim.sim.flood.waters import empty_waters, is_by_water, water_levels

    if level is not None and depth is not None:
        faults.append("initial_level and initial_depth: give one of them")
    if level is None and depth is None:
        return None, [] if faults else empty_waters(place if isinstance(place, City) else None, domain)
    if level is not None and is_by_water(level):
        levels, notes, wrong = water_levels(level, place, domain)
        faults += wrong
        lowest = float(np.nanmin(domain.elevation)) if domain.active.any() else 0.0
        return _laid(np.where(np.isnan(levels), lowest, levels), None, domain, faults), notes
    laid = _laid(level, depth, domain, faults)
    return laid, [] if faults else empty_waters(place if isinstance(place, City) else None, domain, wet=laid)


def _laid(level: Any, depth: Any, domain: FlowDomain, faults: list[str]) -> Floats | None:
    """Return the depth at the start of a level or a depth that holds everywhere, shape (ny, nx) [m]."""
    name, given = ("initial_level", level) if level is not None else ("initial_depth", depth)
    if domain.open_edge is not None and isinstance(given, np.ndarray) and given.shape == (domain.grid.ny - 2, domain.grid.nx - 2):
        given = np.pad(given, 1, mode="edge")  # the ring of open cells is not the caller's business
    values, wrong = on_grid(given, domain.grid, name, "m")
    if wrong:
        faults += wrong
        return None
    known = np.isfinite(domain.elevation)
    used = np.broadcast_to(values, domain.elevation.shape)
    if not np.isfinite(used[known]).all():
        faults.append(f"{name}: {int((~np.isfinite(used[known])).sum())} cells hold no number")
        return None
    if level is not None:
        filled = np.where(known, np.maximum(used - np.nan_to_num(domain.elevation), 0.0), 0.0)
        if filled.max() > _DEEPEST:
            ask = "is it in metres, and in the height system of the terrain?"
            faults.append(f"initial_level: up to {filled.max():g} m deep; expected at most {_DEEPEST:g} m: {ask}")
        return filled
    if (used[known] < 0).any():
        faults.append(f"initial_depth: {int((used[known] < 0).sum())} cells are below 0, the lowest {used[known].min():g} m")
    if (used[known] > _DEEPEST).any():
        faults.append(f"initial_depth: up to {used[known].max():g} m; expected at most {_DEEPEST:g} m: given in mm?")
    return np.where(known, used, 0.0)


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | bool | int | float) else f"<{type(value).__name__}>"
