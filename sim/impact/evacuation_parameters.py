"""Parameters of an evacuation on foot, with their sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from cim.sim.parameter_values import replaced

__all__ = ["WIDTH", "EvacuationParameters", "evacuation_parameters"]

WIDTH = 1.1
"""Least width of the outer door of a residential building [m]: GB 50016-2014, 5.5.30."""
_Metres = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_Places = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class EvacuationParameters(BaseModel):
    """How people leave.

    Notes
    -----
    - `speed`: 1.2 m/s for most people, 1.0 m/s where many are old (FHWA-RD-98-107, 2.2); 1.2 m/s is also the unimpeded speed in corridors
      of IMO MSC.1/Circ.1533, table 1.1.
    - `flow`: 1.3 persons/(m s), the greatest specific flow of corridors and doorways (same, table 1.2, after the SFPE Handbook).
    - `width`: 1.1 m, the least width of the outer door of a residential building (GB 50016-2014, 5.5.30); an assumption for all others.
    - `access_reach`: as for reach.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    objects: str | Sequence[str] = Field(default="Building", description="what is left: classes of objects, and ids")
    capacity: _Places | str | Mapping[str, _Places] = Field(
        default="capacity", description="places: a number for every shelter, numbers by id, or the attribute that states them"
    )
    people: Mapping[str, _Places] = Field(default={}, description="people by id of the object, before what the city says of them")
    width: _Metres | str | Mapping[str, _Metres] = Field(
        default=WIDTH,
        description="effective width of the exits, or of the narrowest place on the way, where the people of an object queue [m]: a "
        "number, numbers by id, or the attribute that states it",
    )
    speed: float = Field(default=1.2, gt=0, le=3, description="speed of walking [m/s]")
    flow: float = Field(default=1.3, gt=0, le=5, description="people that pass a metre of width in a second [1/(m s)]")
    area_per_person: _Metres | None = Field(
        default=None, description="where no capacity is stated: footprint / this [m²]; left out: such a shelter is a fault"
    )
    access_reach: float = Field(default=80.0, gt=0, description="greatest distance from an object or shelter to a road or path [m]")
    at: float | str = Field(default=0.0, description="when they leave [s since the start of the states of roads], or such as '90min'")


def evacuation_parameters(options: Mapping[str, Any]) -> EvacuationParameters:
    """Return parameters.

    Raises
    ------
    UsageError
        If a name is not known or a value makes no sense; the message lists every fault.
    """
    return replaced(EvacuationParameters, "evacuation", None, options)
