"""What a run is told of itself because it is perhaps not meant: each mistake of a unit leaves a sentence in the record, or is refused."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import shapely
import xarray as xr

from cim.errors import UsageError
from cim.model import CityBuilder
from cim.results import Fields, Grid
from cim.sim.flood import Boundary, DesignStorm, Inflow, Pump, Rain, domain_from_city, simulate
from cim.sim.flood.parameters import FloodParameters
from cim.sim.flood.told import deep_told, jet_told, outline
from cim.sim.times import marked_instant, zone_is_assumed, zone_told
from tests.sim.flood.places import make_city, raster

FLAT = np.zeros((9, 9))
POND = {"pond": shapely.box(2, 2, 7, 7)}


def told(water: Fields, word: str = "warning: ") -> str:
    return " | ".join(one for one in water.run.assumptions if word in one)


def run(ground: Any = FLAT, *, until: Any = 1.0, **more: Any) -> Fields:
    given: dict[str, Any] = {"dx": 2.0, **more} if isinstance(ground, np.ndarray) else more
    return simulate(ground, until=until, threads=1, **given)


# ---------------------------------------------------------------- where


def field(x0: float, y0: float, size: float, crs: str = "EPSG:28992") -> xr.DataArray:
    steps = size * np.arange(4)
    return xr.DataArray(np.zeros((4, 4)), dims=("y", "x"), coords={"y": y0 + steps, "x": x0 + steps}, attrs={"crs": crs, "units": "m"})


def test_degrees_called_metres_are_refused_with_both_faults() -> None:
    with pytest.raises(UsageError) as caught:
        run(field(4.3, 52.0, 1e-5))
    said = str(caught.value)
    assert "2 faults" in said
    assert "cells are 1e-05 m wide; expected at least 0.001 m" in said
    assert "(4.3, 52) are degrees (longitude and latitude), not metres of Amersfoort / RD New" in said


def test_coordinates_far_from_where_the_system_is_used_are_refused() -> None:
    with pytest.raises(UsageError, match=r"lie .* m outside the area of use of Amersfoort / RD New"):
        run(field(500000.0, 3460000.0, 2.0))
    assert run(field(85000.0, 447000.0, 2.0))["water_depth"].size


def test_no_cell_is_smaller_than_a_millimetre() -> None:
    assert simulate(FLAT, dx=0.001, until=0.001, threads=1)["water_depth"].size
    with pytest.raises(UsageError, match=r"cells are 0.0009 m wide; expected at least 0.001 m"):
        simulate(FLAT, dx=0.0009, until=0.001)
    with pytest.raises(UsageError, match=r"cells are 0.0009 m wide; expected at least 0.001 m"):
        domain_from_city(make_city(), terrain=raster(FLAT), resolution=0.0009)


# ---------------------------------------------------------------- how much


def test_the_outline_counts_only_sides_without_a_neighbour() -> None:
    grid = Grid(0.0, 18.0, 2.0, 2.0, 9, 9, "local")
    assert outline((np.array([4]), np.array([4])), grid) == 8.0
    assert outline((np.array([0, 0, 1]), np.array([0, 1, 0])), grid) == 16.0  # eight sides of 2 m


def test_litres_taken_for_cubic_metres_are_told_and_worse_is_refused() -> None:
    inside = (9.0, 9.0)
    said = told(run(inflows=[Inflow(inside, 5000.0, name="main")], until=0.05))
    assert "warning: main: up to 5000 m³/s over a width of 8 m, 625 m²/s: more than 50 m²/s" in said
    assert not told(run(inflows=[Inflow(inside, 5.0)]))
    with pytest.raises(UsageError, match=r"main: up to 9000 m³/s over a width of 8 m, 1125 m²/s; expected at most 1000"):
        run(inflows=[Inflow(inside, 9000.0, name="main")])
    pump = Pump((3.0, 3.0), capacity=500.0, outlet=inside, name="station")
    assert "warning: station, outlet: up to 500 m³/s over a width of 8 m, 62.5 m²/s" in told(run(structures=[pump]))
    drawn = run(structures=[Pump((3.0, 3.0), capacity=9000.0, name="station")])  # an intake takes no more than is there
    assert "warning: station, intake: up to 9000 m³/s over a width of 8 m" in told(drawn)
    with pytest.raises(UsageError, match=r"station, outlet: up to 9000 m³/s"):
        run(structures=[Pump((3.0, 3.0), capacity=9000.0, outlet=inside, name="station")])
    river = Boundary("west", kind="inflow", discharge=1800.0, name="river")
    assert "warning: river: up to 1800 m³/s over a width of 18 m, 100 m²/s" in told(run(boundaries=[river], until=0.05))
    with pytest.raises(UsageError, match=r"river: .* 5000 m²/s; expected at most 1000"):
        run(boundaries=[Boundary("west", kind="inflow", unit_discharge=5000.0, name="river")])


def test_the_highest_discharge_of_a_series_counts() -> None:
    assert jet_told("a", 400.0, 8.0) == ([], [])
    series = [("0s", 1.0), ("0.5s", 500.0), ("1s", 1.0)]
    assert "up to 500 m³/s" in told(run(inflows=[Inflow((9.0, 9.0), series)]))


def test_water_that_rises_above_twenty_metres_is_told_but_for_waters() -> None:
    closed = np.full((5, 5), 30.0)
    closed[2, 2] = 0.0
    said = told(run(closed, inflows=[Inflow((5.0, 5.0), 100.0)], until=1.0))
    assert "1 cells that are no waters rise by more than 20 m, most by 25 m at (5, 5)" in said
    domain = domain_from_city(make_city(("WaterBody", POND, {})), terrain=raster(FLAT))
    assert domain.water is not None
    deep = np.where(domain.water, 30.0, 0.0)
    assert deep.any()
    assert deep_told(deep, None, domain) == []
    assert deep_told(deep + 21.0, None, domain)
    assert deep_told(deep + 21.0, np.full(deep.shape, 2.0), domain) == []


# ---------------------------------------------------------------- rain


def test_a_storm_in_metres_is_told_with_its_exact_depth() -> None:
    storm = DesignStorm.block(depth=0.06, duration="30min")
    assert storm.notes[0].endswith("0.06 mm)")
    assert storm.notes[1].startswith("warning: the storm totals 0.06 mm, less than 1 mm")
    assert not any("warning" in one for one in DesignStorm.block(depth=1.0, duration="30min").notes)
    said = told(run(rain=storm, until="30min"))
    assert "the storm totals 0.06 mm" in said
    assert "the rain of the whole run (0.5 h) totals 0.06 mm, less than 1 mm" in said


@pytest.mark.parametrize(("rate", "hours", "words"), [
    (0.06, 1, "totals 0.06 mm, less than 1 mm"), (2500.0, 1, "totals 2500 mm, more than 2,000 mm"), (60.0, 1, ""), (1.001, 1, ""),
])  # fmt: skip
def test_the_rain_of_a_whole_run_is_told_when_it_is_hardly_meant(rate: float, hours: float, words: str) -> None:
    said = told(run(rain=Rain.uniform(rate), until=f"{hours}h", boundaries=[Boundary("east")]), "rain of the whole run")
    assert (words in said) if words else not said


def test_no_rain_at_all_is_no_warning() -> None:
    assert not told(run())


# ---------------------------------------------------------------- waters


@pytest.mark.parametrize("given", [
    {}, {"edge": "free"}, {"edge": "closed"}, {"area": (1.0, 1.0, 8.0, 8.0)}, {"area": (1.0, 1.0, 8.0, 8.0), "edge": "closed"},
    {"initial_depth": 0.0}, {"initial_level": -1.0},
])  # fmt: skip
def test_waters_that_start_empty_are_told_whatever_the_edge_and_the_level(given: dict[str, Any]) -> None:
    city = make_city(("WaterBody", POND, {}))
    water = run(city, terrain=raster(FLAT), roughness=0.03, infiltration=None, until=0.1, **given)
    assert "1 water bodies (25 m²) start empty" in water.run.assumptions


def test_a_domain_made_before_tells_its_empty_waters_too_and_full_ones_are_not_told() -> None:
    city = make_city(("WaterBody", POND, {}))
    domain = domain_from_city(city, terrain=raster(FLAT), roughness=0.03, infiltration=None)
    assert "25 cells of water bodies (25 m²) start empty" in run(domain, until=0.1).run.assumptions
    for place, more in ((domain, {}), (city, {"terrain": raster(FLAT), "roughness": 0.03, "infiltration": None})):
        assert not told(run(place, until=0.1, initial_depth=0.5, **more), "start empty")


# ---------------------------------------------------------------- when


def test_a_start_without_zone_is_in_that_of_the_city_and_told() -> None:
    city = CityBuilder("EPSG:4549+5737", time_zone="Asia/Shanghai").build()
    said = ["start 2026-07-01T07:00 has no zone: read in that of the city, Asia/Shanghai (2026-06-30T23:00 UTC)"]
    assert zone_told("start", "2026-07-01T07:00", city.time_zone) == said
    assert zone_told("start", datetime(2026, 7, 1, 7), city.time_zone) == said  # noqa: DTZ001 - the case itself
    assert zone_told("start", "2026-07-01T07:00Z", "UTC") == zone_told("until", "6h", "UTC") == zone_told("until", 5.0, "UTC") == []
    assert told(run(start="2026-07-01T07:00"), "has no zone: read in that of the city, UTC (2026-07-01T07:00 UTC)")
    there = run(city, terrain=raster(FLAT), roughness=0.03, infiltration=None, start="2026-07-01T07:00", until=0.1)
    assert there.run.start == datetime(2026, 6, 30, 23, tzinfo=UTC)
    assert not told(run(start="2026-07-01T07:00:00+02:00"), "has no zone")


def test_the_section_remembers_that_a_zone_was_not_stated() -> None:
    values = {"until": "2026-07-01T08:00", "rain": {"kind": "none"}, "start": datetime(2026, 7, 1, 7)}  # noqa: DTZ001 - the case itself
    asked = pickle.loads(pickle.dumps(FloodParameters.model_validate(values))).model_dump()
    assert zone_is_assumed(asked["start"])
    assert zone_is_assumed(asked["until"])
    assert asked["start"] == datetime(2026, 7, 1, 7, tzinfo=UTC)
    assert asked["start"].isoformat() == "2026-07-01T07:00:00+00:00"
    stated = FloodParameters.model_validate({**values, "start": datetime(2026, 7, 1, 7, tzinfo=UTC)}).start
    assert not zone_is_assumed(stated)
    assert marked_instant("2026-07-01T07:00+02:00").utcoffset() == timedelta(0)
