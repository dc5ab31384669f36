"""The rain of the section ``[flood]``: one table ``[flood.rain]`` per kind, each of which makes a `Rain`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cim.sim.flood.series_values import SeriesValue
from cim.sim.parameter_values import Duration, Files, Pairs

if TYPE_CHECKING:
    from cim.sim.flood.rain import Rain

__all__ = ["RainTable"]

_FACTOR = "all rates are multiplied by it, such as 1.2 for a climate to come"
_PLACE = 'city with a shipped storm formula 暴雨强度公式, with its zone behind a stroke: "Shenzhen", "深圳市/东部流域和水系"'
_FORMULA = "in place of a place: the numbers of the local document, q = factor A (1 + C lg P) / (t + b)^n [L/(s ha)]"
_YEARS = "return period [a]"
_FORMULAS: dict[str, float] = {"A": 2001, "C": 0.811, "b": 8, "n": 0.711}
_KIND = 'which formula of the place: "interval", "single", "general"; left out: the first it has'
_UNIT = 'unit of the values: "mm/h", "mm" (depth of each step), "mm/5min", "m/s", "in/h"'
_STEP = "how long each value holds; left out: found from the times"
_LABEL = "whether a time is the start or the end of the step its value stands for; left out: start"
_ZONE = "zone of times that do not say theirs, such as Asia/Shanghai; left out: that of the city, of grids UTC"
_PLAUSIBLE = "false lets rates pass that no rain has"
FormulaKind = Literal["interval", "single", "general"]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NoRain(_Table):
    """No rain: water comes from elsewhere."""

    kind: Literal["none"] = Field(default="none", description='"none": no rain falls')

    def rain(self) -> Rain | None:
        """Return None."""
        return None


class ChicagoRain(_Table):
    """A Chicago storm 芝加哥雨型 of a return period."""

    model_config = ConfigDict(json_schema_extra={"example": {"place": "Shenzhen", "return_period": 50.0, "duration": "1h"}})

    kind: Literal["chicago"] = Field(default="chicago", description='"chicago": a design storm with one peak, by the local formula')
    place: str | None = Field(default=None, description=_PLACE, examples=["Shenzhen"])
    formula: dict[str, float] | None = Field(default=None, description=_FORMULA, examples=[_FORMULAS])
    formula_kind: FormulaKind | None = Field(default=None, description=_KIND)
    return_period: float = Field(gt=0, description=_YEARS, examples=[50])
    duration: Duration = Field(description="length of the storm", examples=["2h"])
    peak: float | None = Field(default=None, ge=0, le=1, description="share of the time before the peak 雨峰系数; left out: 0.4, assumed")
    step: Duration = Field(default="5min", description="step of the hyetograph")
    begins: Duration = Field(default=0.0, description="dry time before the storm, after the start [s, or a text]")
    factor: float = Field(default=1.0, gt=0, description=_FACTOR)

    @model_validator(mode="after")
    def _makes_sense(self) -> ChicagoRain:
        self.rain()
        return self

    def rain(self) -> Rain:
        """Return the storm."""
        from cim.sim.flood.storms import DesignStorm

        return _scaled(
            DesignStorm.chicago(
                return_period=self.return_period, duration=self.duration, place=self.place, formula=self.formula, peak=self.peak,
                step=self.step, begins=self.begins, kind=self.formula_kind,
            ), self.factor,
        )  # fmt: skip


class BlockRain(_Table):
    """A storm of one rate, from a depth or a return period."""

    model_config = ConfigDict(json_schema_extra={"example": {"duration": "30min", "depth": 30.0}})

    kind: Literal["block"] = Field(default="block", description='"block": one rate for a time')
    duration: Duration = Field(description="length of the storm", examples=["30min"])
    depth: float | None = Field(default=None, gt=0, description="depth of the storm [mm]; left out: that of the formula", examples=[30.0])
    place: str | None = Field(default=None, description=_PLACE, examples=["Shenzhen"])
    formula: dict[str, float] | None = Field(default=None, description=_FORMULA, examples=[_FORMULAS])
    formula_kind: FormulaKind | None = Field(default=None, description=_KIND)
    return_period: float | None = Field(default=None, gt=0, description=_YEARS, examples=[50])
    begins: Duration = Field(default=0.0, description="dry time before the storm, after the start [s, or a text]")
    factor: float = Field(default=1.0, gt=0, description=_FACTOR)

    @model_validator(mode="after")
    def _makes_sense(self) -> BlockRain:
        self.rain()
        return self

    def rain(self) -> Rain:
        """Return the storm."""
        from cim.sim.flood.storms import DesignStorm

        return _scaled(
            DesignStorm.block(
                duration=self.duration, depth=self.depth, return_period=self.return_period, place=self.place, formula=self.formula,
                begins=self.begins, kind=self.formula_kind,
            ), self.factor,
        )  # fmt: skip


class ConstantRain(_Table):
    """The same rate all the time."""

    kind: Literal["constant"] = Field(default="constant", description='"constant": one rate from the start to the end')
    intensity: float = Field(ge=0, description="rate of the rain, in the unit below", examples=[60.0])
    unit: str = Field(default="mm/h", description='unit of the rate: "mm/h", "mm/min", "m/s", "in/h"')
    plausible: bool = Field(default=True, description=_PLAUSIBLE)
    factor: float = Field(default=1.0, gt=0, description=_FACTOR)

    def rain(self) -> Rain:
        """Return the rain."""
        from cim.sim.flood.rain import Rain

        return _scaled(Rain.uniform(self.intensity, unit=self.unit, plausible=self.plausible), self.factor)


class SeriesRain(_Table):
    """A hyetograph written here, the same everywhere."""

    kind: Literal["series"] = Field(default="series", description='"series": times and values written here, the same everywhere')
    values: Pairs = Field(description="pairs [time, value]", examples=[[["0min", 20.0], ["10min", 60.0], ["20min", 10.0]]])
    unit: str = Field(description=_UNIT, examples=["mm/h"])
    step: Duration | None = Field(default=None, description=_STEP, examples=["10min"])
    label: Literal["start", "end"] | None = Field(default=None, description=_LABEL)
    cumulative: bool = Field(default=False, description="whether each value is the depth since the beginning")
    time_unit: str | None = Field(default=None, description="unit of times that are numbers; left out: s", examples=["min"])
    time_zone: str | None = Field(default=None, description=_ZONE, examples=["Asia/Shanghai"])
    outside: Literal["refuse", "zero", "hold"] = Field(default="refuse", description="before the first and after the last time")
    gaps: Literal["refuse", "zero", "bridge"] = Field(default="refuse", description="where values are missing")
    plausible: bool = Field(default=True, description=_PLAUSIBLE)
    factor: float = Field(default=1.0, gt=0, description=_FACTOR)

    def rain(self) -> Rain:
        """Return the rain."""
        from cim.sim.flood.rain import Rain

        given = self.model_dump(exclude={"kind", "values", "factor"}, exclude_none=True)
        return _scaled(Rain.uniform([tuple(row) for row in self.values], **given), self.factor)


class FileRain(_Table):
    """Rain of a file: a series in text (CSV, SWMM), or fields in time (NetCDF, GeoTIFF)."""

    kind: Literal["file"] = Field(default="file", description='"file": a series in text, or fields in time in NetCDF or GeoTIFF')
    file: Files = Field(description="file, relative to this one; several GeoTIFFs are one per time", examples=["rain.csv"])
    unit: str | None = Field(default=None, description=f"{_UNIT}; left out: as the file says", examples=["mm/h"])
    column: str | None = Field(default=None, description="text: header of the values, where there are several", examples=["rain"])
    station: str | None = Field(default=None, description="text of SWMM: the station, where there are several", examples=["S1"])
    variable: str | None = Field(default=None, description="NetCDF: the variable, where there are several", examples=["rain"])
    times: list[str] | None = Field(default=None, description="GeoTIFF: the time of each band or file", examples=[["0min", "5min"]])
    crs: str | None = Field(default=None, description="fields: system of x and y; left out: as the file says", examples=["EPSG:4549"])
    step: Duration | None = Field(default=None, description=_STEP, examples=["5min"])
    label: Literal["start", "end"] | None = Field(default=None, description=_LABEL)
    cumulative: bool | None = Field(default=None, description="text: whether each value is the depth since the beginning")
    time_unit: str | None = Field(default=None, description="unit of times that are numbers; left out: as the file says", examples=["min"])
    time_zone: str | None = Field(default=None, description=_ZONE, examples=["Asia/Shanghai"])
    outside: Literal["refuse", "zero", "hold"] | None = Field(default=None, description="before the first and after the last time")
    gaps: Literal["refuse", "zero", "bridge"] | None = Field(default=None, description="times without a value")
    beyond: Literal["refuse", "zero"] | None = Field(default=None, description="fields: cells that no pixel covers")
    missing: Literal["refuse", "zero"] | None = Field(default=None, description="fields: pixels without a value")
    plausible: bool = Field(default=True, description=_PLAUSIBLE)
    factor: float = Field(default=1.0, gt=0, description=_FACTOR)

    def rain(self) -> Rain:
        """Return the rain."""
        from cim.errors import UsageError
        from cim.sim.flood.rain import Rain

        given = self.model_dump(exclude={"kind", "file", "factor"}, exclude_none=True)
        try:
            return _scaled(Rain.from_file(self.file, **given), self.factor)
        except TypeError as error:  # a key for text where the file holds fields, or the other way round
            msg = f"rain: {self.file} takes no such key: {error}"
            raise UsageError(msg) from error


class Station(_Table):
    """A rain gauge."""

    name: str = Field(min_length=1, description="name of the station", examples=["S1"])
    at: tuple[float, float] = Field(description="x and y [m] in the system of the city", examples=[[500010.0, 3460010.0]])
    rain: SeriesValue = Field(description='pairs, a file, or { file = "…", column = "…" }', examples=["S1.csv"])


class StationRain(_Table):
    """Rain between stations."""

    kind: Literal["stations"] = Field(default="stations", description='"stations": between rain gauges')
    unit: str = Field(description=_UNIT, examples=["mm/h"])
    method: Literal["idw", "nearest", "thiessen"] = Field(default="idw", description="inverse distance, or the nearest station")
    power: float = Field(default=2.0, gt=0, description="power of the inverse distance")
    station: tuple[Station, ...] = Field(min_length=1, description="the stations")
    plausible: bool = Field(default=True, description=_PLAUSIBLE)
    factor: float = Field(default=1.0, gt=0, description=_FACTOR)

    def rain(self) -> Rain:
        """Return the rain."""
        from cim.sim.flood.rain import Rain

        table = {one.name: _station_series(one, self.unit) for one in self.station}
        places = {one.name: one.at for one in self.station}
        made = Rain.stations(table, places, unit=self.unit, method=self.method, power=self.power, plausible=self.plausible)
        return _scaled(made, self.factor)


def _station_series(one: Station, unit: str) -> Any:
    from cim.sim.flood.series import Series

    said: dict[str, Any] = {"kind": "m/s", "how": "step", "name": f"station {one.name}", "gaps": "missing"}
    if isinstance(one.rain, str):
        return Series.read(one.rain, **{"unit": unit, **said})
    if isinstance(one.rain, dict):
        options = {"unit": unit, **said, **{key: value for key, value in one.rain.items() if key not in {"file", "values"}}}
        if one.rain.get("file") is not None:
            return Series.read(one.rain["file"], **options)
        return Series.of([tuple(row) for row in one.rain["values"]], **options)
    return Series.of(one.rain if isinstance(one.rain, float) else [tuple(row) for row in one.rain], **{"unit": unit, **said})


def _scaled(rain: Rain, factor: float) -> Rain:
    return rain if factor == 1.0 else rain.scaled(factor)


RainTable = Annotated[ChicagoRain | BlockRain | ConstantRain | SeriesRain | FileRain | StationRain | NoRain, Field(discriminator="kind")]
