"""The section [flood]: what it reads, what it refuses, and that it means what `simulate` means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from pydantic import ValidationError

from cim.crs import parse
from cim.errors import UsageError
from cim.model import City, CityBuilder
from cim.model.coverages import Raster, write_raster
from cim.sim.flood import Boundary, Breach, GreenAmpt, Inflow, Pump, Rain, simulate
from cim.sim.flood.parameter_rain import ChicagoRain
from cim.sim.flood.parameters import FloodParameters
from cim.sim.flood.plugin import SIMULATOR
from cim.sim.flood.series_values import series_of_value

CRS = "EPSG:4549+5737"
NO_RAIN: dict[str, Any] = {"rain": {"kind": "none"}}
SHOWER: dict[str, Any] = {"rain": {"kind": "constant", "intensity": 60.0}}


@pytest.fixture
def city(tmp_path: Path) -> City:
    """Give a valley of 20 × 12 cells of 5 m that falls to the east, with a pond and a building."""
    ground = np.add.outer(np.abs(np.arange(12) - 5.5) * 0.2, np.linspace(4.0, 2.0, 20))
    path = write_raster(Raster(ground, 0.0, 60.0, 5.0, 5.0, parse(CRS)), tmp_path / "dem.tif")
    builder = CityBuilder(CRS)
    builder.add_objects("Building", ["b"], footprints=np.array([shapely.box(20, 10, 30, 20)], object))
    builder.add_objects("WaterBody", ["pond"], footprints=np.array([shapely.box(80, 25, 90, 35)], object))
    relief = builder.add_objects("ReliefFeature", ["dtm"])
    builder.add_coverage(int(relief[0]), kind="raster", path=str(path), format="GeoTIFF", unit="m", meta=json.dumps({"surface": "terrain"}))
    return builder.build()


def section(**values: Any) -> dict[str, Any]:
    return FloodParameters.model_validate({"until": "4min", "output_every": "2min", **values}).model_dump()


def faults_of(city: City, **values: Any) -> str:
    with pytest.raises(UsageError) as caught:
        SIMULATOR.run(city, **{"until": "4min", "output_every": "2min", **values})
    return str(caught.value)


# ---------------------------------------------------------------- the same as the function


def test_a_section_gives_the_water_that_the_function_gives(city: City) -> None:
    told = section(
        **SHOWER, velocity=True, initial_depth=0.02,
        infiltration={"kind": "green_ampt", "conductivity": 5.0, "suction": 90.0, "deficit": 0.2},
        boundary=[{"where": "east"}, {"where": [[0, 25], [0, 35]], "kind": "inflow", "discharge": [["0min", 0.0], ["4min", 0.5]]}],
        inflow=[{"where": "pond", "discharge": 0.1}], pump=[{"intake": [52.0, 32.0], "capacity": 0.05, "on_depth": 0.03}],
        breach=[{"where": [[50.0, 2.0], [50.0, 58.0]], "level": 2.5, "begin": "1min"}], gauges={"g": [92.0, 32.0]},
        sections={"s": [[60.0, 0.0], [60.0, 60.0]]},
    )  # fmt: skip
    made = SIMULATOR.run(city, **told)
    same = simulate(
        city, rain=Rain.uniform(60.0, unit="mm/h"), until=240.0, output_every=120.0, velocity=True, initial_depth=0.02,
        infiltration=GreenAmpt(5.0, 90.0, 0.2),
        boundaries=[Boundary("east"), Boundary([[0, 25], [0, 35]], "inflow", discharge=[("0min", 0.0), ("4min", 0.5)])],
        inflows=[Inflow(shapely.box(80, 25, 90, 35), 0.1)],
        structures=[Pump((52.0, 32.0), 0.05, on_depth=0.03, name="pump 1"),
                    Breach([[50.0, 2.0], [50.0, 58.0]], 2.5, begin="1min", name="breach 1")],
        gauges={"g": (92.0, 32.0)}, sections={"s": [[60.0, 0.0], [60.0, 60.0]]},
    )  # fmt: skip
    for name in same.dataset.data_vars:
        np.testing.assert_array_equal(made.dataset[name].values, same.dataset[name].values, err_msg=str(name))
    for name, table in same.tables.items():
        assert made.tables[name].equals(table), name
    assert made.run.balance["pumped_out_m3"] > 0
    assert made.run.balance["boundary_out_m3"] > 0
    assert made.run.balance["infiltration_m3"] > 0


def test_values_no_file_can_hold_are_taken_as_they_are(city: City) -> None:
    part = shapely.box(0, 10, 60, 50)
    made = SIMULATOR.run(city, until="2min", rain=Rain.uniform(30.0, unit="mm/h"), infiltration=GreenAmpt(5.0, 90.0, 0.2), area=part)
    same = simulate(city, until="2min", rain=Rain.uniform(30.0, unit="mm/h"), infiltration=GreenAmpt(5.0, 90.0, 0.2), area=part)
    np.testing.assert_array_equal(made["water_depth"].values, same["water_depth"].values)


def test_a_ring_and_its_box_are_the_same_area(city: City) -> None:
    box, ring = ({"area": area} for area in ([10.0, 10.0, 60.0, 50.0], [[10, 10], [60, 10], [60, 50], [10, 50]]))
    one, other = (SIMULATOR.run(city, **section(**SHOWER, **area)) for area in (box, ring))
    np.testing.assert_array_equal(one["maximum_depth"].values, other["maximum_depth"].values)


@pytest.mark.parametrize(
    "rain",
    [
        {"kind": "block", "depth": 4.0, "duration": "4min"},
        {"kind": "constant", "intensity": 1.0, "unit": "mm/min"},
        {"kind": "constant", "intensity": 30.0, "factor": 2.0},
        {"kind": "series", "values": [["0min", 60.0], ["2min", 60.0]], "unit": "mm/h"},
        {"kind": "series", "values": [[0, 2.0], [2, 2.0]], "unit": "mm", "step": "2min", "time_unit": "min"},
        {"kind": "file", "file": "rain.csv"},
        {"kind": "stations", "unit": "mm/h", "station": [{"name": "a", "at": [50.0, 30.0], "rain": [["0min", 60.0], ["2min", 60.0]]}]},
        {"kind": "stations", "unit": "mm/h", "station": [{"name": "a", "at": [50.0, 30.0], "rain": "rain.csv"}]},
    ],
    ids=lambda rain: rain["kind"],
)
def test_every_kind_of_rain_lets_four_millimetres_fall(rain: dict[str, Any], city: City, tmp_path: Path) -> None:
    (tmp_path / "rain.csv").write_text("time(min),rain(mm/h)\n0,60\n2,60\n", encoding="utf-8")
    told = FloodParameters.model_validate({"until": "4min", "rain": rain}, context={"folder": tmp_path}).model_dump()
    made = SIMULATOR.run(city, **told)
    assert made.run.balance["rain_m3"] == pytest.approx(0.004 * 100 * 60, rel=1e-6)  # 4 mm on 6,000 m², in float32


def test_a_storm_of_the_section_is_that_of_the_place() -> None:
    from cim.sim.flood import DesignStorm

    table = ChicagoRain(place="Shenzhen", return_period=100, duration="2h", peak=0.4, factor=1.5)
    storm = DesignStorm.chicago(place="Shenzhen", return_period=100, duration="2h", peak=0.4)
    rain = table.rain()
    assert isinstance(rain, DesignStorm)
    assert rain.total_depth == pytest.approx(1.5 * storm.total_depth, rel=1e-12)  # round-off


def test_a_series_says_its_unit_or_is_si(tmp_path: Path) -> None:
    faults: list[str] = []
    (tmp_path / "q.csv").write_text("time,Q(L/s),H(m)\n0,100\n3600,200\n".replace("100", "100,1").replace("200", "200,2"), encoding="utf-8")
    table = {"file": str(tmp_path / "q.csv"), "column": "Q"}
    assert series_of_value(2, "m³/s", "q", faults) == 2.0
    assert series_of_value([["0h", 1.0], ["1h", 2.0]], "m", "h", faults).values.tolist() == [1.0, 2.0]  # type: ignore[union-attr]
    assert series_of_value(table, "m³/s", "q", faults).values.tolist() == pytest.approx([0.1, 0.2])  # type: ignore[union-attr]
    assert series_of_value({"values": [[0, 100.0], [1, 200.0]], "unit": "L/s", "time_unit": "h"}, "m³/s", "q", faults).covers == (0, 3600)  # type: ignore[union-attr]
    assert faults == []
    assert series_of_value({**table, "column": "H"}, "m³/s", "q", faults) is None
    assert "expected flows (m3/s, L/s)" in faults[0]


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rain": {"kind": "chicago", "duration": "1h", "return_period": 5}}, "give one of the two"),
        ({"rain": {"kind": "chicago", "duration": "1h", "return_period": 5, "place": "Atlantis"}}, "no shipped storm formula"),
        ({"rain": {"kind": "chicago", "duration": "1 fortnight", "return_period": 5, "place": "Shenzhen"}}, "expected a finite one"),
        ({"rain": {"kind": "drizzle"}}, "'chicago', 'block'"),
        ({"rain": {"kind": "constant", "intensity": 3.0, "depth": 2.0}}, "Extra inputs"),
        ({"rain": {"kind": "file", "file": "none.csv"}}, "there is no file"),
        ({"until": "soon", **NO_RAIN}, "expected a duration"),
        ({**NO_RAIN, "area": [0.0, 1.0]}, "xmin, ymin, xmax, ymax"),
        ({**NO_RAIN, "boundary": [{"where": "up"}]}, "west, east, north, south"),
        ({**NO_RAIN, "inflow": [{"where": [1.0, 2.0], "discharge": [[0, 1.0], [2]]}]}, r"found \[2\]"),
        ({**NO_RAIN, "inflow": [{"where": [1.0, 2.0], "discharge": {"values": [[0, 1.0]], "units": "L/s"}}]}, "units"),
        ({**NO_RAIN, "inflow": [{"where": [1.0, 2.0, 3.0], "discharge": 1.0}]}, "expected a point"),
        ({**NO_RAIN, "infiltration": {"kind": "horton", "f0": 3.0}}, "fc"),
        ({**NO_RAIN, "infiltration": "sand"}, "'land_use' or 'none'"),
        ({**NO_RAIN, "initial_level": 1.0, "initial_depth": 1.0}, "one of them"),
        ({**NO_RAIN, "branch_at": "1h"}, "go together"),
        ({}, "Field required"),
    ],
)
def test_a_section_that_makes_no_sense_is_refused_when_it_is_read(values: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        FloodParameters.model_validate({"until": "1h", **values})


def test_every_fault_is_told_in_one_message(city: City) -> None:
    said = faults_of(
        city, scheem="standard", wet_depth=-1.0, rain={"kind": "constant", "intensity": 1e-6}, gauges={"g": [5000.0, 0.0]},
        boundary=[{"where": [[500.0, 0.0], [500.0, 9.0]]}], inflow=[{"where": "nobody", "discharge": 1.0}],
        pump=[{"intake": [52.0, 32.0], "capacity": [[0, 1.0], [60, float("nan")], [240, 1.0]]}],
        breach=[{"where": [[0.0, -50.0], [9.0, -50.0]], "level": 0.0}], sections={"s": [[0.0, -9.0], [9.0, -9.0]]},
    )  # fmt: skip
    assert said.startswith("flood: 9 faults:")
    for one in ("scheem: is not known; did you mean scheme?", "wet_depth: Input should be greater than 0", "wrong unit?", "gauge 'g'",
                "boundary 1: no cell of the domain's edge", "nobody", "pump 1: 1 of 3 values", "breach 1", "section 's'"):  # fmt: skip
        assert one in said, said


def test_faults_of_the_place_do_not_hide_those_of_the_forcing(city: City) -> None:
    with pytest.raises(UsageError) as caught:
        simulate(city, until="4min", roughnes=0.03, roughness=-1.0, gauges={"g": (5000.0, 0.0)}, rain=Rain.uniform(1e-6, unit="mm/h"))
    said = str(caught.value)
    assert said.startswith("flood: 4 faults:")
    assert "roughnes= is not known; did you mean roughness?" in said
    assert "expected Manning's n" in said
    assert "gauge 'g'" in said
    assert "wrong unit?" in said


def test_a_terrain_in_degrees_is_refused_together_with_the_series(city: City) -> None:
    ground = Raster(np.zeros((4, 4)), 113.0, 31.0, 1e-5, 1e-5, parse("EPSG:4326"))
    gap = Inflow((52.0, 32.0), [(0, 1.0), (60, float("nan")), (240, 1.0)])
    with pytest.raises(UsageError) as caught:
        simulate(city, terrain=ground, until="4min", rain=Rain.uniform(1e-6, unit="mm/h"), inflows=[gap])
    said = str(caught.value)
    assert said.startswith("flood: 3 faults:")
    assert "terrain: it is in WGS 84" in said
    assert "wrong unit?" in said
    assert "inflow: 1 of 3 values" in said


def test_unknown_ground_is_refused_together_with_the_rest() -> None:
    ground: Any = np.add.outer(np.zeros(8), np.linspace(2.0, 0.0, 8))
    ground[3, 4], ground[5, 1] = np.nan, -9999.0
    with pytest.raises(UsageError) as caught:
        simulate(ground, dx=2.0, until="4min", boundaries=[Boundary([[90.0, 0.0], [90.0, 9.0]])])
    said = str(caught.value)
    assert "NaN in 1 of 64 cells" in said
    assert "-9999" in said
    assert "no cell of the domain's edge lies there" in said
