"""The simulator behind the section ``[flood]`` of a scenario file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CimError, ObjectNotFoundError, UsageError
from cim.sim.flood.parameters import FloodParameters
from cim.sim.flood.series_values import series_of_value

if TYPE_CHECKING:
    from pydantic import BaseModel

    from cim.model import City
    from cim.results import Fields
    from cim.sim.flood.plan import Options

__all__ = ["SIMULATOR", "Flood"]

_GROUND = ("resolution", "terrain", "buildings", "roofs", "roughness", "gaps", "largest_gap", "culverts", "underpasses", "decks",
           "clearance", "edge", "soil", "covers")  # fmt: skip


@dataclass(frozen=True)
class Flood:
    """The simulator, as its entry point names it."""

    name: str = "flood"
    title_en: str = "Flood (shallow water)"
    title_zh: str = "洪涝演进模拟"
    parameters: type[BaseModel] = FloodParameters
    resumes: bool = True
    """It takes ``checkpoint=``, a folder of its own."""

    @property
    def version(self) -> str:
        """Version of the method."""
        from cim.sim.flood.plan import VERSION

        return VERSION

    def run(self, city: City, **parameters: Any) -> Fields:
        """Return the water; see `prepare`."""
        return self.prepare(city, **parameters)()

    def prepare(self, city: City, *, checkpoint: Any = None, **parameters: Any) -> Callable[[], Fields]:
        """Check everything and return what runs it.

        Parameters
        ----------
        checkpoint
            Folder that a run with `checkpoint_every` or `keep_checkpoints` is kept in while it goes.
        **parameters
            Those of the section. ``rain`` may be a `Rain`, ``infiltration`` a law, ``area`` a polygon, ``roughness`` a field.

        Raises
        ------
        UsageError
            With every fault of the section, the ground and the forcing in one message.
        """
        from cim.results import Stopwatch
        from cim.sim.flood.plan import plan_of
        from cim.sim.flood.run_flood import run_plan

        clock = Stopwatch()
        faults: list[str] = []
        rich = _rich(parameters)
        asked = _read({name: value for name, value in parameters.items() if name not in rich}, rich, faults)
        forcing = _boundaries(asked, faults), _inflows(asked, city, faults), _structures(asked, city, faults)
        ground = _ground(asked, rich, faults)
        options = _options(asked, checkpoint)
        plan = plan_of(
            city, ground, _rain(asked, rich, faults), (asked.start, asked.until), forcing, (asked.initial_level, asked.initial_depth),
            (asked.gauges or {}, asked.sections or {}), options, faults,
        )  # fmt: skip
        return lambda: run_plan(plan, options, clock)


def _rich(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that no file can hold."""
    from cim.sim.flood.rain import Rain

    found = {name: parameters[name] for name in ("area", "roughness") if hasattr(parameters.get(name), "__array__") or
             hasattr(parameters.get(name), "geom_type")}  # fmt: skip
    if isinstance(parameters.get("rain"), Rain):
        found["rain"] = parameters["rain"]
    if hasattr(parameters.get("infiltration"), "step"):
        found["infiltration"] = parameters["infiltration"]
    return found


def _read(values: Mapping[str, Any], rich: Mapping[str, Any], faults: list[str]) -> FloodParameters:
    """Return the section; what is wrong with it is left out and told, where the rest can still be checked."""
    from cim.scenario.faults import Fault, draft_model, read_model

    given = {**({"rain": {"kind": "none"}} if "rain" in rich else {}), **values}
    told: list[Fault] = []
    read = read_model(FloodParameters, given, (), {}, told)
    faults += [str(fault) for fault in told]
    read = draft_model(FloodParameters, given) if read is None else read
    if isinstance(read, FloodParameters):
        return read
    msg = f"flood: {len(faults)} fault{'s' if len(faults) > 1 else ''}:\n  " + "\n  ".join(faults)
    raise UsageError(msg)


def _options(asked: FloodParameters, checkpoint: Any) -> Options:
    from cim.sim.flood.plan import Options

    kept = checkpoint if asked.checkpoint_every is not None or asked.keep_checkpoints else None
    return Options(
        asked.scheme, asked.precision, asked.output_every, asked.velocity, asked.wet_depth, asked.threads, kept, asked.checkpoint_every,
        asked.keep_checkpoints, asked.branch_from, asked.branch_at,
    )  # fmt: skip


def _rain(asked: FloodParameters, rich: Mapping[str, Any], faults: list[str]) -> Any:
    if "rain" in rich:
        return rich["rain"]
    try:
        return asked.rain.rain()
    except CimError as error:
        faults.append(str(error) if str(error).startswith("rain") else f"rain: {error}")
        return None


def _ground(asked: FloodParameters, rich: Mapping[str, Any], faults: list[str]) -> dict[str, Any]:
    """Return the options of `domain_from_city`."""
    import shapely

    from cim.sim.flood.parameter_parts import law_of

    area: Any = asked.area
    if isinstance(area, list) and isinstance(area[0], tuple):
        area = shapely.Polygon(area)
        if not area.is_valid:
            faults.append(f"area: {shapely.is_valid_reason(area)}; expected a ring that does not cross itself")
            area = None
    given = {"area": area, "infiltration": law_of(asked.infiltration), **{name: getattr(asked, name) for name in _GROUND}}
    return {**given, **{name: value for name, value in rich.items() if name != "rain"}}


def _named(part: Any, kind: str, number: int) -> str:
    return part.name or f"{kind} {number + 1}"


def _boundaries(asked: FloodParameters, faults: list[str]) -> list[Any]:
    from cim.sim.flood.boundary import Boundary

    made = []
    for number, one in enumerate(asked.boundary):
        name = _named(one, "boundary", number)
        before = len(faults)
        values = [series_of_value(value, unit, name, faults) for value, unit in ((one.discharge, "m³/s"), (one.level, "m"))]
        unit_discharge = _unit_discharge(one.unit_discharge, name, faults)
        if len(faults) == before:
            made.append(Boundary(one.where, one.kind, values[0], unit_discharge, values[1], one.depth, name))
    return made


def _unit_discharge(value: Any, name: str, faults: list[str]) -> Any:
    """Return the discharge per metre: `Boundary` reads its numbers as m³/s of a metre."""
    if isinstance(value, dict):
        faults.append(f"{name}: unit_discharge takes a number or pairs [m²/s], found a table; give discharge for a series with a unit")
        return None
    return series_of_value(value, "m³/s", name, faults)


def _inflows(asked: FloodParameters, city: City, faults: list[str]) -> list[Any]:
    from cim.sim.flood.boundary import Inflow

    made = []
    for number, one in enumerate(asked.inflow):
        name = _named(one, "inflow", number)
        where = _place(one.where, city, name, faults)
        discharge = series_of_value(one.discharge, "m³/s", name, faults)
        if where is not None and discharge is not None:
            made.append(Inflow(where, discharge, name))
    return made


def _structures(asked: FloodParameters, city: City, faults: list[str]) -> list[Any]:
    from cim.sim.flood.structures import Breach, Pump

    made: list[Any] = []
    for number, pump in enumerate(asked.pump):
        name = _named(pump, "pump", number)
        intake = _place(pump.intake, city, f"{name}, intake", faults)
        outlet = None if pump.outlet is None else _place(pump.outlet, city, f"{name}, outlet", faults)
        capacity = series_of_value(pump.capacity, "m³/s", name, faults)
        if intake is not None and capacity is not None and (outlet is None) == (pump.outlet is None):
            made.append(Pump(intake, capacity, outlet, pump.on_depth, pump.off_depth, name))
    for number, breach in enumerate(asked.breach):
        name = _named(breach, "breach", number)
        where = _place(breach.where, city, name, faults)
        if where is not None:
            made.append(Breach(where, breach.level, breach.begin, breach.duration, name))
    return made


def _place(where: Any, city: City, name: str, faults: list[str]) -> Any:
    """Return a place as a geometry; None, with a fault, where there is none."""
    import shapely

    if isinstance(where, str):
        try:
            shape = city.footprints(city.key_of([where]))[0]
        except ObjectNotFoundError as error:
            faults.append(f"{name}: {error}")
            return None
        if shape is None:
            faults.append(f"{name}: the object {where!r} has no footprint; give points [[x, y], …]")
        return shape
    points = np.asarray(where, float).reshape(-1, 2)
    if len(points) == 1:
        return shapely.Point(points[0])
    closed = len(points) > 3 and (points[0] == points[-1]).all()
    return shapely.Polygon(points) if closed else shapely.LineString(points)


SIMULATOR = Flood()
