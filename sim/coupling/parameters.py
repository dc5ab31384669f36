"""Every threshold of what water leaves of a road, with its source; the same model is the section ``[roads]`` of a scenario file.

The limits of vehicles are not here: they belong to the impact (`cim.sim.impact.parameters`), so that a road is closed in every table alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cim.errors import UsageError
from cim.scenario.network import VEHICLE_CLASSES
from cim.sim.impact.parameters import ImpactParameters, VehicleLimits
from cim.sim.parameter_values import Duration, Pairs, replaced

__all__ = ["RoadParameters", "road_parameters", "vehicle_limits"]

_CLASSES = {"car": "small_car", "taxi": "small_car", "bus": "large_car", "truck": "large_car", "emergency": "four_wheel_drive"}


class RoadParameters(BaseModel):
    """What water and rain do to speed, capacity and passage.

    Notes
    -----
    - `classes`: which limits hold for which class of vehicle; they are those of Shand et al. (2011), table 3, draft interim criteria for
      stationary vehicles (see `cim.sim.impact.parameters`). They are no limits of safe driving: in the tests of the University of New South
      Wales (2016) a car of 1.05 t was moved at 0.15 m and 1 m/s, half the product of a small car. Cars and taxis are small cars; an
      emergency vehicle is a large four-wheel drive, below the total head of 0.6 m that Kramer, Terheiden, Wieprecht (2016) give for
      emergency vehicles (0.3 m for cars). For buses and trucks in moving water no published limits were found: they take those of a large
      car, an assumption on the safe side, for they are heavier. In still water all heavy vehicles are stopped at 1.1 to 1.5 m, light ones
      at 0.7 to 0.9 m (Contreras-Jara et al. 2018, doi 10.1155/2018/2850546). Motorcycles, bicycles and pedestrians have none and are not
      assessed.
    - `speed_law`: Pregnolato, Ford, Wilkinson, Dawson (2017), see `cim.sim.coupling.speed`: of cars in still water, taken for every class
      that is assessed. `film_depth`: an assumption; the law says 86.9 km/h for a wet road, which is no statement on motorways in the rain.
    - `ponding_capacity`: no source was found for the capacity of a road under water. ``"diagram"``: jam spacing and backward wave stay, the
      speed falls, and with it the top of the triangular diagram, as the dynamic model has it; ``"speed"``: in the ratio of the speeds;
      ``"stays"``.
    - `rain_capacity`, `rain_intensity`: Highway Capacity Manual 2010, exhibit 10-15, as in FHWA-HOP-13-042, table 33: 2.01 %, 7.24 % and
      14.13 % less (1.17 to 3.43, 5.67 to 10.10, 10.72 to 17.67) up to 0.10 in/h, up to 0.25 in/h and above; of freeways. Agarwal et al.
      (2005) found 10 to 17 % above 0.25 in/h, Smith et al. (2004) 25 to 30 %, and 4 to 10 % below it. `rain_speed`: 4 % less (Smith et al.
      2004: 3 to 5 % whatever the intensity as the FHWA records it, 5.0 to 6.5 % in their abstract), above 0.25 in/h 5.5 % less (Agarwal et
      al. 2005: 4 to 7 %); of freeways.

    References
    ----------
    .. [1] FHWA-HOP-13-042, appendix A, ops.fhwa.dot.gov/publications/fhwahop13042/appa.htm.
    .. [2] Agarwal, Maze, Souleyrette (2005). Impacts of weather on urban freeway traffic flow characteristics and facility capacity,
       trid.trb.org/view/760690.
    .. [3] Smith, Byrne, Copperman, Hennessy, Goodall (2004). An investigation into the impact of rainfall on freeway traffic flow.
    .. [4] Kramer, Terheiden, Wieprecht (2016). Safety criteria for the trafficability of inundated roads in urban floodings,
       trid.trb.org/view/1412184.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    classes: Mapping[str, str] = Field(
        default=_CLASSES, description="vehicle class = name of its limits in `vehicles`; a class that is left out is not assessed"
    )
    vehicles: Mapping[str, VehicleLimits] | None = Field(
        default=None, description="limits by name; left out: those of the impact",
        examples=[{"small_car": {"depth": 0.3, "depth_velocity": 0.3}}],
    )  # fmt: skip
    tunnels: Literal["not_assessed", "terrain"] | None = Field(
        default=None, description="roads in tunnels that the run does not name as open, as in [impact]; left out: as there"
    )
    unknown_share: float | None = Field(
        default=None, ge=0, lt=1, description="share of a link that may be unknown while it counts as passable; left out: as in [impact]",
        examples=[0.05],
    )  # fmt: skip
    speed_law: Literal["pregnolato", "none"] = Field(default="pregnolato", description="greatest speed by depth, or none")
    film_depth: float = Field(default=0.01, ge=0, lt=0.3, description="depth from which the speed law holds [m]; below lies a wet film")
    ponding_capacity: Literal["diagram", "speed", "stays"] = Field(
        default="diagram", description="capacity under water: by the triangular diagram, by the ratio of speeds, or as it was"
    )
    rain: Literal["run", "none"] | float | Pairs = Field(
        default="run",
        description='rain on the roads [mm/h]: that of the "run", "none", a number, or pairs [time, mm/h] that hold until the next',
    )
    rain_intensity: tuple[float, float] = Field(
        default=(2.54, 6.35), description="intensities up to which rain is light and medium [mm/h]; above it is heavy"
    )
    rain_capacity: tuple[float, float, float] = Field(
        default=(0.9799, 0.9276, 0.8587), description="factors on the capacity in light, medium and heavy rain"
    )
    rain_speed: tuple[float, float, float] = Field(
        default=(0.96, 0.96, 0.945), description="factors on the free speed in light, medium and heavy rain"
    )
    dry_after: Duration = Field(
        default=0.0, description="time a road stays closed after the water has left, to be cleared; rounded up to the outputs of the run"
    )  # fmt: skip
    deck_level: str | None = Field(
        default=None, description="attribute of a road or bridge: elevation of its deck [m]; left out: as in [impact]",
        examples=["deck_level"],
    )  # fmt: skip

    @field_validator("rain")
    @classmethod
    def _no_negative_rain(cls, value: Any) -> Any:
        if isinstance(value, float) and not 0 <= value <= 1000:
            msg = f"rain is {value} mm/h; expected 0 to 1000"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _agree(self) -> RoadParameters:
        known = ", ".join(VEHICLE_CLASSES)
        told = [f"no vehicle class is called {name!r}; there are {known}" for name in self.classes if name not in VEHICLE_CLASSES]
        if not 0 <= self.rain_intensity[0] <= self.rain_intensity[1]:
            told.append(f"rain_intensity must rise (found {self.rain_intensity})")
        for name in ("rain_capacity", "rain_speed"):
            factors = getattr(self, name)
            if any(not 0 < one <= 1 for one in factors) or list(factors) != sorted(factors, reverse=True):
                told.append(f"{name} must lie above 0, be at most 1 and not rise with the rain (found {factors})")
        if told:
            raise ValueError("; ".join(told))
        return self


def road_parameters(given: RoadParameters | None, options: Mapping[str, Any]) -> RoadParameters:
    """Return parameters with some of them replaced.

    Raises
    ------
    UsageError
        If a name is not known or a value makes no sense; the message lists every fault.
    """
    return replaced(RoadParameters, "roads", given, options)


def vehicle_limits(asked: RoadParameters, impact: ImpactParameters | None) -> ImpactParameters:
    """Return the limits that hold: those of the impact, with what is stated for the roads instead.

    Raises
    ------
    UsageError
        If a class of vehicle names limits that nobody states.
    """
    base = ImpactParameters() if impact is None else impact
    said = {name: value for name in ("vehicles", "tunnels", "unknown_share", "deck_level") if (value := getattr(asked, name)) is not None}
    limits = base.model_copy(update=said)
    unknown = {name: one for name, one in asked.classes.items() if one not in limits.vehicles}
    if unknown:
        listed = ", ".join(f"{name} = {one}" for name, one in unknown.items())
        there = ", ".join(limits.vehicles)
        msg = f"roads: classes names limits that are not there: {listed}; expected one of {there}, or add it to vehicles"
        raise UsageError(msg)
    return limits
