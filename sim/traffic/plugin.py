"""The section ``[traffic]`` of a scenario file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from cim.sim.traffic.case import case_of, time_faults_beside
from cim.sim.traffic.parameters import TrafficParameters
from cim.sim.traffic.run_traffic import VERSION, run_case

if TYPE_CHECKING:
    from pydantic import BaseModel

    from cim.model import City
    from cim.results import Fields

__all__ = ["SIMULATOR", "UNHEEDED", "Traffic"]

UNHEEDED = "would not heed the water of [flood]: add a section [roads] between them, which says what the water leaves of the roads"


@dataclass(frozen=True)
class Traffic:
    """The simulator, as its entry point names it."""

    name: str = "traffic"
    version: str = VERSION
    title_en: str = "Traffic"
    title_zh: str = "交通模拟"
    parameters: type[BaseModel] = TrafficParameters
    uses: Mapping[str, str] = field(default_factory=lambda: {"roads": "roads"})
    """Results it reads where the scenario makes them: argument of `run`, and the section."""

    def run(self, city: City, *, roads: Fields | None = None, **parameters: Any) -> Fields:
        """Return the traffic; see `cim.sim.traffic.simulate`."""
        return self.prepare(city, **parameters)(roads=roads)

    def beside(self, own: BaseModel, others: Mapping[str, BaseModel]) -> list[str]:
        """Return what the traffic and the water of one scenario make no sense of together: roads that no one asks, other times."""
        if "flood" not in others:
            return []
        return time_faults_beside(own, others["flood"]) if "roads" in others else [UNHEEDED]

    def prepare(self, city: City, **parameters: Any) -> Callable[..., Fields]:
        """Check network, trips and parameters, and return what runs them.

        Raises
        ------
        UsageError
            With every fault in one message.
        """
        demand = parameters.pop("demand", None)
        return partial(run_case, case_of(city, demand, None, parameters))


SIMULATOR = Traffic()
