"""The section ``[roads]`` of a scenario file: what the roads can carry under the water of the flood that the same file runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cim.errors import UsageError
from cim.sim.coupling.parameters import RoadParameters, road_parameters
from cim.sim.coupling.state_of_roads import VERSION, road_state
from cim.sim.impact.parameters import ImpactParameters

if TYPE_CHECKING:
    from pydantic import BaseModel

    from cim.model import City
    from cim.results import Fields

__all__ = ["SIMULATOR", "Roads"]


@dataclass(frozen=True)
class Roads:
    """The simulator, as its entry point names it."""

    name: str = "roads"
    version: str = VERSION
    title_en: str = "Roads under water"
    title_zh: str = "积水道路通行能力"
    parameters: type[BaseModel] = RoadParameters
    needs: Mapping[str, str] = field(default_factory=lambda: {"water": "flood"})
    """Results it reads: argument of `run`, and the section that makes it."""
    uses: Mapping[str, str] = field(default_factory=lambda: {"impact": "impact"})
    """Results it reads where there are any: the limits of vehicles that the impact was reckoned with."""

    def run(self, city: City, *, water: Fields | None = None, impact: Fields | None = None, **parameters: Any) -> Fields:
        """Return what the roads can carry.

        Raises
        ------
        UsageError
            If there is no water.
        """
        if water is None:
            msg = "[roads] needs the water of a flood; add a section [flood] before it, or give water="
            raise UsageError(msg)
        network = parameters.pop("network", None)
        return road_state(city, water, network=network, parameters=road_parameters(None, parameters), limits=_limits_of(impact))


def _limits_of(impact: Fields | None) -> ImpactParameters | None:
    """Return the thresholds that an impact was reckoned with."""
    if impact is None:
        return None
    names = ("vehicles", "tunnels", "unknown_share", "wet_depth", "deck_level")
    return ImpactParameters.model_validate({name: impact.run.parameters[name] for name in names if name in impact.run.parameters})


SIMULATOR = Roads()
