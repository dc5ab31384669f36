"""Every threshold of the impact of water, with its source; the same model is the section ``[impact]`` of a scenario file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cim.sim.impact.curves import jrc_curves
from cim.sim.parameter_values import replaced

__all__ = ["ImpactParameters", "VehicleLimits", "impact_parameters"]


class VehicleLimits(BaseModel):
    """Up to where a vehicle stays on the road."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    depth: float = Field(gt=0, description="greatest depth in still water [m]")
    depth_velocity: float = Field(gt=0, description="greatest product of depth and velocity [m²/s]")
    velocity: float = Field(default=3.0, gt=0, description="greatest velocity [m/s]")


_VEHICLES = {
    "small_car": VehicleLimits(depth=0.3, depth_velocity=0.3),
    "large_car": VehicleLimits(depth=0.4, depth_velocity=0.45),
    "four_wheel_drive": VehicleLimits(depth=0.5, depth_velocity=0.6),
}


class ImpactParameters(BaseModel):
    """Thresholds of exposure, damage and people.

    Notes
    -----
    - `vehicles`: Shand, Cox, Blacka, Smith (2011), Australian Rainfall and Runoff, project 10, stage 2, draft stability criteria for
      stationary vehicles: small passenger, large passenger, large four-wheel drive.
    - `hazard_classes`: DEFRA and Environment Agency, FD2320/FD2321 and the supplementary note of 2008: caution below 0.75, danger for
      some to 1.25, for most to 2.0, for all above. `debris_depth`, `debris_velocity`: the debris factor of an urban area is 1 above
      0.25 m or 2 m/s, else 0 (same note).
    - The classes H1 to H6 of Australian Rainfall and Runoff 2019 stand in `cim.sim.impact.hazard`.
    - `threshold_height`: an assumed step of 0.15 m between the ground of the building (`z_ground`) and its ground floor, one step of a
      stair; measured levels come first.
    - `floor_area_per_person`: 41.76 m² of dwelling per person, households of China, population census of 2020. Replace it with that of
      the place; uses without a figure are not assessed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    wet_depth: float | None = Field(
        default=None, gt=0, description="depth from which a place counts as wet [m]; left out: that of the run, 0.05 unless it has another",
        examples=[0.05],
    )  # fmt: skip
    ring: float = Field(default=1.5, ge=1, le=20, description="reach of the cells outside a footprint that are looked at [cells]")
    unknown_share: float = Field(
        default=0.0, ge=0, lt=1, description="share of the cells of a place that may be unknown while it still counts as dry"
    )
    hazard_classes: tuple[float, float, float] = Field(
        default=(0.75, 1.25, 2.0), description="hazard ratings at which DEFRA's classes moderate, significant and extreme begin"
    )
    debris_depth: float = Field(default=0.25, ge=0, description="depth above which debris counts [m]")
    debris_velocity: float = Field(default=2.0, ge=0, description="velocity above which debris counts [m/s]")
    debris_factor: float = Field(default=1.0, ge=0, description="what debris adds to DEFRA's hazard rating")
    vehicles: Mapping[str, VehicleLimits] = Field(default=_VEHICLES, description="limits of each class of vehicle")
    threshold_height: float = Field(default=0.15, ge=0, description="assumed step from z_ground of a building to its ground floor [m]")
    door_reach: float = Field(
        default=0.5, gt=0, description="a door nearer than this to the outline leads outside, where the model does not say [m]"
    )
    floor_level: str = Field(default="ground_floor_level", description="attribute of a building: elevation of its ground floor [m]")
    floor_height: str = Field(default="threshold_height", description="attribute of a building: its ground floor above z_ground [m]")
    pipe_types: tuple[str, ...] = Field(default=("GenericOccupiedSpace",), description="classes of pipes and manholes")
    tunnels: Literal["not_assessed", "terrain"] = Field(
        default="not_assessed",
        description='roads in tunnels that the run does not name as open: "not_assessed", or "terrain" as if it had their ground',
    )
    deck_level: str = Field(default="deck_level", description="attribute of a road or bridge: elevation of its deck [m]")
    continent: str | None = Field(
        default=None,
        description="continent of the JRC damage curves, such as asia or europe; left out: no damage",
        examples=["asia"],
    )
    value_per_m2: Mapping[str, float] = Field(default={}, description="greatest damage by use [money per m²]; left out: fractions only")
    currency: str | None = Field(default=None, description="currency of value_per_m2, such as EUR or CNY", examples=["CNY"])
    price_year: int | None = Field(default=None, ge=1900, le=2200, description="year of the prices of value_per_m2", examples=[2020])
    damage_depth: Literal["floor", "ground"] = Field(
        default="floor", description='depth the curves are read at: above the ground "floor", or above the "ground" outside'
    )
    storey_height: float = Field(default=3.0, gt=1, le=10, description="assumed height of a storey [m], where no model states it")
    floor_area_per_person: Mapping[str, float] = Field(
        default={"residential": 41.76}, description="assumed floor area of one person by use [m²], where no population is stated"
    )
    uses: Mapping[str, str] = Field(default={}, description="further names of uses: the city's word = residential, commercial, …")

    @model_validator(mode="after")
    def _agree(self) -> ImpactParameters:
        if list(self.hazard_classes) != sorted(self.hazard_classes):
            msg = f"hazard_classes must rise (found {self.hazard_classes})"
            raise ValueError(msg)
        if self.value_per_m2 and (self.currency is None or self.price_year is None):
            msg = "value_per_m2 needs currency and price_year: money without them means nothing"
            raise ValueError(msg)
        if any(not value > 0 for value in (*self.value_per_m2.values(), *self.floor_area_per_person.values())):
            msg = "value_per_m2 and floor_area_per_person must be positive"
            raise ValueError(msg)
        if self.continent is not None:
            jrc_curves(self.continent)  # refused here, by `cim check` too, not when the damage is reckoned
        return self


def impact_parameters(given: ImpactParameters | None, options: Mapping[str, Any]) -> ImpactParameters:
    """Return parameters with some of them replaced.

    Raises
    ------
    UsageError
        If a name is not known or a value makes no sense; the message lists every fault.
    """
    return replaced(ImpactParameters, "impact", given, options)
