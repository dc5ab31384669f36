"""The section ``[flood]`` of a scenario file: every parameter with its unit, default and meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PositiveFloat, model_validator

from cim.sim.flood.parameter_parts import BoundaryTable, BreachTable, InfiltrationValue, InflowTable, PumpTable
from cim.sim.flood.parameter_rain import RainTable
from cim.sim.parameter_values import Duration, File, Folder, Instant, Until
from cim.sim.times import TIME_TOLERANCE

__all__ = ["FloodParameters"]

_POINT = {"gate": [500010.0, 3460010.0]}
_LINE = {"weir": [[500000.0, 3460000.0], [500000.0, 3460040.0]]}


def _area(value: Any) -> Any:
    """Refuse what is no box, ring or id."""
    rows = value if isinstance(value, list | tuple) else []
    plain = [one for one in rows if isinstance(one, int | float) and not isinstance(one, bool)]
    pairs = [one for one in rows if isinstance(one, list | tuple) and len(one) == 2]
    if value is None or (isinstance(value, str) and value) or len(plain) == len(rows) == 4 or len(pairs) == len(rows) >= 3:
        return value
    msg = "expected [xmin, ymin, xmax, ymax], a ring [[x, y], …], or the id of an object"
    raise ValueError(msg)


def _level(value: Any) -> Any:
    """Refuse what is no level, nor levels by object and class."""
    for one in value.values() if isinstance(value, dict) and value else [value]:
        if one is not None and one != "water_level" and (isinstance(one, bool) or not isinstance(one, int | float)):
            msg = f'expected an elevation [m], {{ id or class = elevation, … }}, or "water_level", found {one!r}'
            raise ValueError(msg)
    return value


class FloodParameters(BaseModel):
    """Section ``[flood]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    stand_ins: ClassVar[Mapping[str, Any]] = {"until": TIME_TOLERANCE, "rain": {"kind": "none"}}
    """What stands for a key that is missing or wrong while the rest is checked; what has faults is not run."""

    start: Instant | None = Field(
        default=None, description="first instant; without zone, such as +08:00, in that of the city; left out: 2000-01-01"
    )
    until: Until = Field(description='length of the run, such as "6h", or its last instant', examples=["90min"])
    resolution: PositiveFloat | None = Field(default=None, description="size of a cell [m]; left out: that of the terrain", examples=[2.0])
    area: Annotated[str | list[float] | list[tuple[float, float]] | None, BeforeValidator(_area)] = Field(
        default=None, description="the part: [xmin, ymin, xmax, ymax] [m], a ring [[x, y], …], or the id of an object; left out: all",
        examples=[[500000.0, 3460000.0, 500200.0, 3460200.0]],
    )  # fmt: skip
    scheme: Literal["standard", "accurate", "screening"] = Field(
        default="standard", description='"standard": full shallow water; "accurate": second order, dearer; "screening": slow floods only'
    )
    precision: Literal["float32", "float64"] = Field(default="float32", description='"float32", or "float64" at twice the memory')
    output_every: Duration = Field(default="10min", description="time between two fields")
    velocity: bool = Field(default=False, description="whether the fields hold the velocity of every output time")
    wet_depth: PositiveFloat = Field(default=0.05, lt=100, description="depth from which a cell counts as flooded [m]")
    threads: int | None = Field(default=None, ge=1, description="threads; left out: all processors; the result is the same", examples=[2])
    initial_level: Annotated[float | str | dict[str, float | str] | None, BeforeValidator(_level)] = Field(
        default=None,
        description='water at the start: its elevation [m], { id or class = elevation, … }, or "water_level": what water bodies state',
        examples=[2.5],
    )
    initial_depth: float | None = Field(default=None, ge=0, description="water at the start: its depth [m]", examples=[0.1])
    checkpoint_every: Duration | None = Field(
        default=None, description="simulated time between two states on disk, from which a run that was stopped goes on", examples=["30min"]
    )
    keep_checkpoints: bool = Field(default=False, description="whether the states stay in checkpoints/flood of the run, for branches of it")
    branch_from: Folder | None = Field(
        default=None,
        description="checkpoints of another run of this place, which this one leaves",
        examples=["runs/base/checkpoints/flood"],
    )
    branch_at: Until | None = Field(default=None, description="when it leaves that run", examples=["1h"])
    terrain: str | None = Field(default=None, description="id of the object with the terrain; left out: the only one", examples=["dtm"])
    buildings: Literal["raise", "wall", "ignore"] = Field(
        default="raise", description='"raise": the ground under them is lifted; "wall": no water gets in; "ignore"'
    )
    roofs: Literal["gutter", "ground", "keep"] = Field(
        default="gutter", description='rain on a roof: "gutter": to one cell beside it; "ground": to all around it; "keep": stays'
    )
    roughness: float | Literal["land_use"] = Field(default="land_use", description='Manning\'s n [s/m^(1/3)], or "land_use": by cover')
    gaps: Literal["fill", "wall"] = Field(default="fill", description='ground without elevation: "fill" small gaps, or "wall"')
    largest_gap: float = Field(default=1000.0, ge=0, description="largest gap that is filled [m²]")
    culverts: Literal["breach", "keep"] = Field(default="breach", description='"breach": cut into the terrain; "keep": as it is')
    underpasses: Literal["burn", "keep"] = Field(default="burn", description='"burn": cut into the terrain; "keep": as it is')
    decks: Literal["remove", "keep"] = Field(default="remove", description='bridge decks: "remove": off the terrain; "keep"')
    clearance: PositiveFloat = Field(default=4.5, description="assumed height of an underpass that nothing tells [m]")
    edge: Literal["free", "closed"] | None = Field(
        default=None, description='outer edge: "free": water leaves; left out: free where an area is given, else closed'
    )
    soil: str | None = Field(default=None, description="soil under everything, such as sandy loam; left out: that of the table")
    covers: File | None = Field(default=None, description="another table of land covers, JSON", examples=["covers.json"])
    infiltration: InfiltrationValue = Field(
        default="land_use",
        description='"land_use": by cover and soil; "none"; or a table with kind = "green_ampt", "horton", "constant", "curve_number"',
    )
    gauges: dict[str, tuple[float, float]] | None = Field(default=None, description="points [x, y] to look at", examples=[_POINT])
    sections: dict[str, list[tuple[float, float]]] | None = Field(
        default=None, description="lines [[x, y], …] across which the flow is measured, positive to the right", examples=[_LINE]
    )
    rain: RainTable = Field(description="rain; each kind has keys of its own")
    boundary: tuple[BoundaryTable, ...] = Field(default=(), description="open sides of the domain, as many as there are")
    inflow: tuple[InflowTable, ...] = Field(default=(), description="water poured in")
    pump: tuple[PumpTable, ...] = Field(default=(), description="pumps")
    breach: tuple[BreachTable, ...] = Field(default=(), description="breaches")

    @model_validator(mode="after")
    def _agree(self) -> FloodParameters:
        if self.initial_level is not None and self.initial_depth is not None:
            msg = "initial_level and initial_depth: give one of them"
            raise ValueError(msg)
        if (self.branch_from is None) != (self.branch_at is None):
            msg = "branch_from and branch_at go together"
            raise ValueError(msg)
        return self
