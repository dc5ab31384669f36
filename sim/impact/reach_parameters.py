"""Parameters of reach, with their sources; the same model is the section ``[reach]`` of a scenario file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cim.errors import UsageError
from cim.scenario.network import VEHICLE_CLASSES
from cim.sim.parameter_values import replaced
from cim.sim.times import marked_instant, seconds

__all__ = ["ReachParameters", "reach_parameters"]

Station = str | tuple[float, float]


class ReachParameters(BaseModel):
    """What is reached, from where, and within which time.

    Notes
    -----
    - `within`: 8 min is a choice between standards, set it to that of the place. China: the fire brigade reaches the edge of its district
      within 5 min of the order (《城市消防站建设标准》 建标152, article 12; GB 51080-2015, 4.1.3). England: fire 10 min, ambulance 7 min
      (Green et al. 2017, NHESS 17, 1-16; Yu et al. 2020, Nature Sustainability).
    - `access_reach`: 80 m is half of the 160 m that GB 50016-2014, 7.1.1, allows between centre lines of roads for fire engines.
    - `walking_speed`: 1.2 m/s for most conditions, 1.0 m/s where many are old (FHWA-RD-98-107, 2.2, for the Highway Capacity Manual).
    - `turnout`: time between call and departure; 0, for standards count from the order or the departure.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stations: str | Sequence[Station] | Mapping[str, str | Sequence[Station]] = Field(
        description='where help comes from: a word ("fire", "hospital", 消防站 …), ids, points [x, y], several, or lists by service',
        examples=["fire", ["fire", "hospital"], {"fire": ["b12", "b77"]}],
    )  # fmt: skip
    within: float | str | Sequence[float | str] = Field(
        default="8min",
        description="time within which help must come, or several; the longest decides the status",
        examples=["8min", ["5min", "10min"]],
    )
    vehicle_class: str | Sequence[str] = Field(default="emergency", description=f"who drives: {', '.join(VEHICLE_CLASSES)}, or several")
    objects: str | Sequence[str] = Field(default="Building", description="what shall be reached: classes of objects, and ids")
    times: Sequence[float | str] | None = Field(
        default=None, description="instants or durations that are looked at; left out: whenever a road or the traffic changes"
    )
    access_reach: float = Field(default=80.0, gt=0, description="greatest distance from an object or a station to a road [m]")
    access_speed: float | None = Field(
        default=None, gt=0, description="speed from the road to the object [m/s]; left out: the way from the road is told, not counted"
    )
    turnout: float | str = Field(default=0.0, description='time from the call to the departure [s], or such as "1min"')
    walking_speed: float = Field(default=1.2, gt=0, le=3, description="speed of pedestrians [m/s]")

    @field_validator("within", "turnout")
    @classmethod
    def _durations(cls, given: Any) -> Any:
        limits = [seconds(one) for one in (given if isinstance(given, list | tuple) else [given])]
        if not limits:
            msg = 'within is empty; give a time such as "8min"'
            raise ValueError(msg)
        return given

    @field_validator("times")
    @classmethod
    def _times(cls, given: Any) -> Any:
        for one in given or ():
            try:
                seconds(one)
            except UsageError:
                marked_instant(one)
        return given

    @field_validator("vehicle_class")
    @classmethod
    def _classes(cls, given: Any) -> Any:
        unknown = [one for one in ([given] if isinstance(given, str) else given) if one not in VEHICLE_CLASSES]
        if unknown or not given:
            msg = f"vehicle_class {', '.join(map(repr, unknown)) or 'is empty'}; expected {', '.join(VEHICLE_CLASSES)}"
            raise ValueError(msg)
        return given

    @property
    def limits(self) -> list[float]:
        """Times within which help must come [s], rising."""
        given = self.within if isinstance(self.within, list | tuple) else [self.within]
        return sorted({seconds(one) for one in given})  # type: ignore[arg-type]

    @property
    def classes(self) -> list[str]:
        """Vehicle classes."""
        return [self.vehicle_class] if isinstance(self.vehicle_class, str) else list(dict.fromkeys(self.vehicle_class))


def reach_parameters(given: ReachParameters | None, options: Mapping[str, Any]) -> ReachParameters:
    """Return parameters with some of them replaced.

    Raises
    ------
    UsageError
        If a name is not known or a value makes no sense; the message lists every fault.
    """
    return replaced(ReachParameters, "reach", given, options)
