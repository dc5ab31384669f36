from __future__ import annotations

import numpy as np
import pytest
import shapely

from cim.sim.flood import Boundary, Breach, FlowDomain, Inflow, simulate
from tests.sim.flood.places import make_city, raster

SCHEMES = ("standard", "accurate", "screening")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_free_edge_lets_the_rain_out(scheme: str) -> None:
    ground = np.add.outer(np.zeros(20), np.linspace(5.0, 0.0, 60))
    water = simulate(ground, dx=2.0, edge="free", rain=60.0, until="40min", scheme=scheme, threads=1)
    balance = water.run.balance
    fallen = 0.06 * 40.0 / 60.0 * ground.size * 4.0
    assert balance["rain_m3"] == pytest.approx(fallen, rel=1e-6)
    assert balance["boundary_out_m3"] > 0.5 * fallen
    assert abs(balance["volume_error_relative"]) < 1e-6
    beside = simulate(ground, dx=2.0, rain=60.0, until="40min", scheme=scheme, threads=1, boundaries=[Boundary("east")])
    assert balance["boundary_out_m3"] == pytest.approx(beside.run.balance["boundary_out_m3"], rel=0.1)  # the sides leak a little more


def test_a_polygon_on_a_slope_drains_over_its_edge() -> None:
    ground = np.add.outer(np.zeros(30), np.linspace(6.0, 0.0, 30))
    inside = np.hypot(*np.meshgrid(np.arange(30) - 15, np.arange(30) - 15)) < 12
    from cim.sim.flood.gaps import dilated

    domain = FlowDomain.from_elevation(np.where(inside, ground, np.nan), 2.0, gaps="wall")
    from dataclasses import replace

    free = replace(domain, open_edge=dilated(inside) & ~inside)
    water = simulate(free, rain=60.0, until="30min", threads=1)
    assert water.run.balance["boundary_out_m3"] > 0.8 * water.run.balance["rain_m3"]
    assert simulate(domain, rain=60.0, until="30min", threads=1).run.balance["boundary_out_m3"] == 0.0


def test_maxima_and_arrival_know_the_first_moment() -> None:
    depth = np.where(np.arange(50) < 25, 2.0, 0.0) * np.ones((3, 1))
    water = simulate(np.zeros((3, 50)), dx=1.0, roughness=0.0, initial_depth=depth, until=3.0, threads=1)
    assert (water["maximum_depth"].values[:, :25] == 2.0).all()
    assert (water["arrival_time"].values[:, :25] == 0.0).all()
    assert (water["maximum_depth"].values >= water["water_depth"].values.max(axis=0)).all()


def test_films_count_in_the_largest_depth() -> None:
    water = simulate(np.zeros((4, 4)), dx=2.0, rain=3.0, until="10min", threads=1)
    assert water["maximum_depth"].values == pytest.approx(5e-4, rel=1e-5)


def test_a_gauge_on_a_breached_dyke_shows_the_level_of_the_water() -> None:
    ground = np.zeros((5, 40))
    ground[:, 20] = 3.0
    water_beside = np.where(ground > 0, 0.0, 1.0)
    breach = Breach([[20.5, 0.0], [20.5, 5.0]], level=0.0, begin=10.0, duration=10.0)
    water = simulate(ground, dx=1.0, until=300.0, structures=[breach], threads=1, gauges={"dyke": (20.5, 2.5)}, initial_depth=water_beside)
    last = water.to_pandas("gauges").iloc[-1]
    assert last["level"] == pytest.approx(39.0 / 40.0, abs=0.05)
    assert last["level"] == pytest.approx(last["depth"], abs=1e-6)


def test_water_poured_on_dry_ground_is_all_there() -> None:
    water = simulate(np.zeros((40, 40)), dx=2.0, inflows=[Inflow((41.0, 41.0), discharge=[(0.0, 0.0), (60.0, 2.0)])], until=60.0, threads=1)
    assert water.run.balance["stored_m3"] == pytest.approx(60.0, rel=1e-6)
    depth = water["water_depth"].values[-1]
    assert np.allclose(depth, depth[::-1, ::-1].T, atol=1e-5)  # across the diagonal through the cell


def test_a_part_of_a_city_drains_over_its_edge_and_its_roofs_rain_all_the_same() -> None:
    house = shapely.box(52, 50, 64, 62)
    city = make_city(("Building", {"house": house}, {"height": [9.0]}), z_ground=[4.0])
    slope = raster(np.add.outer(np.zeros(60), np.linspace(8.0, 2.0, 60)), 2.0)
    part = shapely.Point(60, 60).buffer(45.0)
    water = simulate(city, terrain=slope, area=part, infiltration=None, roughness=0.03, rain=60.0, until="30min", threads=1)
    cells = int(np.isfinite(water["ground_elevation"].values).sum())
    assert water.run.balance["rain_m3"] == pytest.approx(0.03 * cells * 4.0, rel=1e-6)  # roofs and all
    assert water.run.balance["boundary_out_m3"] > 0.8 * water.run.balance["rain_m3"]
    roof = water["water_depth"].sel(x=58.0, y=56.0, method="nearest")
    assert float(roof.max()) == 0.0
