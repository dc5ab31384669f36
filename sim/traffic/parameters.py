"""The section ``[traffic]`` of a scenario file: every parameter with its unit, default and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, model_validator

from cim.scenario.network import VehicleClass
from cim.sim.parameter_values import Duration, File, Instant, Until
from cim.sim.traffic.dynamic import JAM_SPACING, WAVE_SPEED, Behaviour

__all__ = ["GateTable", "ThroughTable", "TrafficParameters"]


class GateTable(BaseModel):
    """A place where traffic comes into the area and leaves it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    at: str | tuple[float, float] = Field(
        description="id of a node of the network, or a point [x, y] whose nearest node it is", examples=[[500010.0, 3460010.0]]
    )
    inbound: NonNegativeFloat = Field(default=0.0, description="vehicles that come in [veh/h]")
    outbound: NonNegativeFloat = Field(default=0.0, description="vehicles that leave [veh/h]")


class ThroughTable(BaseModel):
    """Traffic that only passes through the area."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    origin: str | tuple[float, float] = Field(
        description="where it comes in: id of a node, or a point [x, y] whose nearest node it is", examples=[[500010.0, 3460010.0]]
    )
    destination: str | tuple[float, float] = Field(description="where it leaves, likewise", examples=[[501200.0, 3460400.0]])
    trips: NonNegativeFloat = Field(description="vehicles [veh/h]", examples=[300.0])


class TrafficParameters(BaseModel):
    """Section ``[traffic]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    stand_ins: ClassVar[Mapping[str, Any]] = {"until": 3600.0}

    method: Literal["dynamic", "equilibrium"] = Field(
        default="dynamic",
        description='"dynamic": every vehicle, with queues in time; "equilibrium": flows of an hour at which nobody saves time elsewhere',
    )
    start: Instant | None = Field(
        default=None, description="first instant; without zone (+08:00) in that of the city; left out: that of the water, or 2000-01-01"
    )
    until: Until = Field(default="2h", description='length of a dynamic run, such as "3h", or its last instant')
    at: Until | None = Field(
        default=None,
        description="equilibrium: instant, or time after the start, whose state of the roads holds; left out: the start",
        examples=["45min"],
    )
    demand: File | None = Field(
        default=None, description="matrix of trips [veh/h], CSV or OMX; left out: from floor area and use of the buildings",
        examples=["trips.csv"],
    )  # fmt: skip
    demand_factor: PositiveFloat = Field(default=1.0, description="what all trips are multiplied by")
    departures: Duration = Field(default="1h", description="dynamic: how long after the start trips depart; evenly, so many as in an hour")
    hour: Literal["am", "pm"] = Field(default="am", description="hour whose trip rates count, where trips come from floor area")
    mean_trip_length: PositiveFloat | None = Field(
        default=None, description="mean length of trips from floor area [m]; left out: as the demand assumes", examples=[2500.0]
    )
    mean_trip_time: PositiveFloat | None = Field(
        default=None, description="mean time of these trips on empty roads [s], instead of their length", examples=[600.0]
    )
    rates: str = Field(default="dense", description='set of trip rates by use: "dense" or another one of trip_rates.json')
    unknown_use: str | None = Field(
        default=None, description="use that is assumed where the city says none; left out: such buildings make no trips",
        examples=["residential"],
    )  # fmt: skip
    zones: str | None = Field(
        default=None, description='class of the objects that are the zones, "LandUse.TAZ" if its attribute TAZ holds their ids; left out: '
        "a matrix names nodes, trips from floor area are gathered in squares", examples=["LandUse"],
    )  # fmt: skip
    zone_size: PositiveFloat | None = Field(
        default=None, description="width of the squares [m]; left out: 50 to 1000, so that the buildings' extent has about 200",
        examples=[250.0],
    )  # fmt: skip
    gate: tuple[GateTable, ...] = Field(default=(), description="where traffic enters and leaves the area; left out: nobody does")
    through: tuple[ThroughTable, ...] = Field(default=(), description="what only passes through the area, from one end to another")
    vehicle: VehicleClass = Field(default="car", description=f"class of the vehicles: {', '.join(get_args(VehicleClass))}")
    behaviour: Behaviour = Field(
        default="learn", description='"unaware": drivers wait before a closure; "learn": they turn round there; "informed": all know it'
    )
    closed: tuple[str, ...] = Field(default=(), description="ids of roads or links that are closed all the time", examples=[["r7"]])
    beyond: Literal["refuse", "hold"] = Field(
        default="refuse", description='when the traffic outlasts the water: "refuse", or "hold" the last state of the roads'
    )
    gap: float = Field(default=1e-6, gt=0, lt=1, description="equilibrium: relative gap at which it ends; 1e-4 leaves ghosts of 100 veh/h")
    output_every: Duration = Field(default="5min", description="dynamic: length of an interval of the results")
    table_every: Duration = Field(
        default="1min", description="dynamic: time after which drivers look at travel times again; long ones let queues lock each other"
    )
    jam_spacing: PositiveFloat = Field(default=JAM_SPACING, description="dynamic: way that a vehicle takes in a jammed lane [m]")
    wave_speed: PositiveFloat = Field(default=WAVE_SPEED, description="dynamic: speed of the backward wave [m/s]")
    vehicles: bool = Field(default=False, description="dynamic: whether every vehicle is listed in the result")
    seed: int = Field(default=1, ge=0, description="what the draw of departures starts from: the same in base and option")

    @model_validator(mode="after")
    def _agree(self) -> TrafficParameters:
        if self.method == "dynamic" and self.at is not None:
            msg = "at belongs to the equilibrium; a dynamic run reads the state of the roads all along"
            raise ValueError(msg)
        return self
