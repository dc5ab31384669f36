"""Boundaries, inflows, pumps, breaches and laws of infiltration as tables of the section ``[flood]``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from cim.sim.flood.series_values import SeriesValue
from cim.sim.parameter_values import Duration, Place, Until

if TYPE_CHECKING:
    from cim.sim.flood.infiltration import Infiltration

__all__ = ["BoundaryTable", "BreachTable", "InfiltrationValue", "InflowTable", "PumpTable", "law_of"]

_LINE = [[500000.0, 3460000.0], [500000.0, 3460040.0]]
_POINT = [500010.0, 3460010.0]
_FLOW = 'm³/s as a number, pairs [[time, m³/s], …], a file, or { file = "…", unit = "L/s", column = "…" }'
_SIDES = ("west", "east", "north", "south")


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _edge(value: Any) -> Any:
    points = value if isinstance(value, list | tuple) else []
    if value in _SIDES or (len(points) > 1 and all(isinstance(one, list | tuple) and len(one) == 2 for one in points)):
        return value
    msg = f"expected {', '.join(_SIDES)}, or a line along the edge [[x, y], [x, y], …]"
    raise ValueError(msg)


class BoundaryTable(_Table):
    """What happens at a side of the domain, or a part of one; sides without a boundary are walls."""

    where: Annotated[str | list[tuple[float, float]], BeforeValidator(_edge)] = Field(
        description='"west", "east", "north", "south", or a line along the edge [[x, y], …]', examples=["west"]
    )
    kind: Literal["free", "stage", "inflow", "closed"] = Field(
        default="free", description='"free": water leaves; "stage": a level; "inflow": a discharge; "closed": a wall'
    )
    discharge: SeriesValue | None = Field(default=None, description=f"of an inflow, over its length: {_FLOW}", examples=[20.0])
    unit_discharge: SeriesValue | None = Field(
        default=None, description="of an inflow, per metre of its length [m²/s]: a number or pairs", examples=[0.5]
    )
    level: SeriesValue | None = Field(
        default=None,
        description="of a stage: level of the water [m]; a number, pairs, or a file",
        examples=[[["0h", 1.2], ["6h", 2.1]]],
    )
    depth: float | None = Field(default=None, ge=0, description="of a stage: depth [m] in place of a level; of a fast inflow: its depth")
    name: str = Field(default="", description="what messages and the ledger call it")


class InflowTable(_Table):
    """Water poured in: a burst main, a stream, an overflowing manhole."""

    where: Place = Field(description="a point [x, y], points of a line or ring, or the id of an object", examples=[_POINT])
    discharge: SeriesValue = Field(description=_FLOW, examples=[[["0min", 0.4], ["30min", 0.0], ["2h", 0.0]]])
    name: str = Field(default="", description="what messages and the ledger call it")


class PumpTable(_Table):
    """A pump that runs while its intake is deep enough."""

    intake: Place = Field(description="a point [x, y], points, or the id of an object", examples=[_POINT])
    outlet: Place | None = Field(default=None, description="where its water goes; left out: out of the domain", examples=[_POINT])
    capacity: SeriesValue = Field(description=f"{_FLOW}; pairs that fall to 0 are a pump that fails", examples=[0.5])
    on_depth: float = Field(default=0.1, ge=0, description="depth at the intake at which it starts [m]")
    off_depth: float = Field(default=0.02, ge=0, description="depth at which it stops [m]")
    name: str = Field(default="", description="what messages call it")


class BreachTable(_Table):
    """Ground that is washed away: a dyke or a wall that falls to a level within a time."""

    where: Place = Field(description="points of a line or ring, or the id of an object", examples=[_LINE])
    level: float = Field(description="elevation to which it falls [m]; lower ground stays", examples=[3.2])
    begin: Until = Field(default=0.0, description="when it begins: after the start [s, or a text], or an instant", examples=["2h"])
    duration: Duration = Field(default=0.0, description="how long it takes [s, or a text]")
    name: str = Field(default="", description="what messages call it")


# ---------------------------------------------------------------- infiltration


class GreenAmptTable(_Table):
    """Green and Ampt, the same everywhere."""

    kind: Literal["green_ampt"] = Field(default="green_ampt", description='"green_ampt"')
    conductivity: float = Field(ge=0, description="saturated conductivity [mm/h]", examples=[10.9])
    suction: float = Field(ge=0, description="suction at the front [mm]", examples=[110.0])
    deficit: float = Field(ge=0, le=1, description="porosity less moisture at the start [-]", examples=[0.2])


class HortonTable(_Table):
    """Horton, the same everywhere."""

    kind: Literal["horton"] = Field(default="horton", description='"horton"')
    f0: float = Field(ge=0, description="capacity of the dry soil [mm/h]", examples=[76.0])
    fc: float = Field(ge=0, description="capacity in the end [mm/h]", examples=[2.5])
    k: float = Field(gt=0, description="decay [1/h]", examples=[4.0])


class ConstantTable(_Table):
    """A constant rate, the same everywhere."""

    kind: Literal["constant"] = Field(default="constant", description='"constant"')
    rate: float = Field(ge=0, description="rate [mm/h]", examples=[5.0])


class CurveNumberTable(_Table):
    """Curve number of the SCS, the same everywhere."""

    kind: Literal["curve_number"] = Field(default="curve_number", description='"curve_number"')
    cn: float = Field(ge=1, le=100, description="curve number, to 100 (sealed)", examples=[85.0])
    initial_abstraction: float = Field(default=0.2, ge=0, description="initial abstraction as a share of the storage [-]")


_LAWS = {"green_ampt": "GreenAmpt", "horton": "Horton", "constant": "Constant", "curve_number": "CurveNumber"}


def _which(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", "word")
    return kind if isinstance(kind, str) else None


InfiltrationValue = Annotated[
    Annotated[Literal["land_use", "none"], Tag("word")]
    | Annotated[GreenAmptTable, Tag("green_ampt")]
    | Annotated[HortonTable, Tag("horton")]
    | Annotated[ConstantTable, Tag("constant")]
    | Annotated[CurveNumberTable, Tag("curve_number")],
    Discriminator(_which),
]
"""A word, or a law with its numbers."""


def law_of(value: Any) -> Infiltration | Literal["land_use"] | None:
    """Return the law that a value of the section means."""
    from cim.sim.flood import infiltration

    if value == "none":
        return None
    if value == "land_use":
        return "land_use"
    law: Infiltration = getattr(infiltration, _LAWS[value.kind])(**value.model_dump(exclude={"kind"}))
    return law
