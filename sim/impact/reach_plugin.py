"""The section ``[reach]`` of a scenario file: who is reached in time on the roads and in the traffic that the same file makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from cim.errors import CimError, UsageError, faults_in
from cim.sim.buildings import require_measurable
from cim.sim.impact.parameters import impact_parameters
from cim.sim.impact.reach_parameters import ReachParameters, reach_parameters
from cim.sim.impact.reach_stations import read_stations
from cim.sim.impact.reach_targets import read_targets
from cim.sim.impact.reach_times import times_after
from cim.sim.impact.reachability import VERSION, reach
from cim.sim.impact.walking import walking_network
from cim.sim.traffic.city_network import road_network
from cim.sim.traffic.plugin import UNHEEDED

if TYPE_CHECKING:
    from pydantic import BaseModel

    from cim.model import City
    from cim.results import Fields

__all__ = ["SIMULATOR", "Reach"]


@dataclass(frozen=True)
class Reach:
    """The simulator, as its entry point names it."""

    name: str = "reach"
    version: str = VERSION
    title_en: str = "Reach of stations"
    title_zh: str = "救援可达性"
    parameters: type[BaseModel] = ReachParameters
    uses: Mapping[str, str] = field(default_factory=lambda: {"roads": "roads", "traffic": "traffic", "exposed": "impact"})
    """Results it reads where the scenario makes them: argument of `run`, and the section."""

    def run(
        self, city: City, *, roads: Fields | None = None, traffic: Fields | None = None, exposed: Fields | None = None, **parameters: Any
    ) -> Fields:  # fmt: skip
        """Return who is reached in time; see `cim.sim.impact.reach`."""
        return self.prepare(city, **parameters)(roads=roads, traffic=traffic, exposed=exposed)

    def beside(self, own: BaseModel, others: Mapping[str, BaseModel]) -> list[str]:
        """Return why the water of the same scenario would not count, or is over before the reach is looked at."""
        if "flood" not in others:
            return []
        if "roads" not in others:
            return [UNHEEDED]
        late = times_after(getattr(own, "times", None), getattr(others["flood"], "until", None))
        return (
            [f"looks at {', '.join(late)}, after the end of the water of [flood]: make that longer, or leave these times out"]
            if late
            else []
        )

    def prepare(self, city: City, **parameters: Any) -> Callable[..., Fields]:
        """Check parameters, stations, objects and network, and return what runs them.

        Raises
        ------
        UsageError
            With every fault in one message.
        """
        limits = reach_parameters(None, parameters)
        checks: list[Callable[[], object]] = [
            partial(require_measurable, city), partial(read_stations, city, limits.stations),
            partial(read_targets, city, limits.objects, impact_parameters(None, {})),
        ]  # fmt: skip
        checks += [partial(walking_network if one == "pedestrian" else road_network, city) for one in limits.classes]
        faults: list[str] = []
        for check in checks:
            try:
                check()
            except CimError as error:
                faults += faults_in(error)
        if faults:
            msg = f"reach: {len(faults)} fault{'s' if len(faults) > 1 else ''}:\n  " + "\n  ".join(dict.fromkeys(faults))
            raise UsageError(msg)
        given = {name: getattr(limits, name) for name in ReachParameters.model_fields}
        return partial(reach, city, **given)


SIMULATOR = Reach()
