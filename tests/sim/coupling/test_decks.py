"""Bridges over water stay open until it stands over their deck; roads over an underpass are not closed by the water below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from cim.model import City, CityBuilder, Column
from cim.model.coverages import Raster, write_raster
from cim.model.geometry import mesh_columns
from cim.results import Fields
from cim.sim import flood
from cim.sim.flood import Rain
from tests.sim.coupling.helpers import CRS, make_roads, make_water, of_class, state_of

BED, BANK, DECK = -4.0, 0.0, 1.0  # m
SPAN = {"r": shapely.LineString([(0.0, 5.0), (40.0, 5.0)])}  # over a river from x = 10 to x = 30
GROUND = np.where((np.arange(20) >= 5) & (np.arange(20) < 15), BED, BANK) * np.ones((5, 1))


def river(level: float) -> Fields:
    depth = np.maximum(level - GROUND, 0.0)
    return make_water(depth, ground=GROUND, velocity=0.1, series=np.array([depth * 0, depth]))


def car(city: City, water: Fields, **options: Any) -> dict[str, Any]:
    (row,) = of_class(state_of(city, water, **options), "links")
    return row


def slab(builder: CityBuilder, low: float, high: float, x: tuple[float, float], *, lod: str = "2") -> None:
    """Add a part of a bridge: a box with its faces drawn from outside."""
    y = (3.0, 7.0)
    corners = np.array([(a, b, c) for c in (low, high) for b in y for a in x], float)
    quads = np.array([[0, 2, 3, 1], [4, 5, 7, 6], [0, 1, 5, 4], [2, 6, 7, 3], [0, 4, 6, 2], [1, 3, 7, 5]])
    triangles = np.vstack([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    vertices, boundaries = mesh_columns(corners, triangles)
    keys = builder.add_objects("Bridge", [f"b{x}{low}"], footprints=[shapely.box(x[0], y[0], x[1], y[1])])
    builder.add_geometries(keys, lod=lod, role="mesh", type="MultiSurface", vertices=vertices, boundaries=boundaries)


def bridge(builder: CityBuilder) -> None:
    """Add a deck, a pier on its foot in the river, and an arch over it."""
    slab(builder, DECK - 0.5, DECK, (0.0, 40.0))
    slab(builder, BED, DECK - 0.5, (19.0, 21.0))
    slab(builder, BED, BED + 1.0, (17.0, 23.0))
    slab(builder, 9.0, 10.0, (8.0, 32.0))


def test_a_bridge_of_unknown_height_is_not_assessed_and_stays_free() -> None:
    city = make_roads(SPAN, attributes={"bridge": ["yes"]})
    result = state_of(city, river(-1.0))
    row = of_class(result, "links")[0]
    assert (row["status"], row["reason"], row["deck_level"]) == ("not_assessed", "on_a_bridge", None)
    assert result.table("states").num_rows == 0
    assert "1 links of 1 are not assessed and stay free: on_a_bridge" in result.run.assumptions


def test_a_link_that_says_bridge_itself_is_one_too() -> None:
    row = car(make_roads(SPAN, links={"r": ', "bridge": "yes"'}), river(-1.0))
    assert row["reason"] == "on_a_bridge"
    assert car(make_roads(SPAN, links={"r": ', "layer": -1'}), river(-1.0))["reason"] == "in_a_tunnel"


@pytest.mark.parametrize(("level", "closed"), [(-1.0, False), (DECK + 0.3, False), (DECK + 0.31, True)])
def test_a_stated_deck_is_closed_when_the_water_over_it_is_too_deep_for_a_car(level: float, closed: bool) -> None:  # noqa: FBT001
    row = car(make_roads(SPAN, attributes={"bridge": ["yes"], "deck_level": [DECK]}), river(level))
    assert (row["status"], row["deck_level"], row["deck_source"]) == ("assessed", DECK, "stated")
    assert (row["closed_minutes"] > 0) == closed
    assert row["maximum_depth"] == pytest.approx(max(level - DECK, 0.0), abs=1e-6)  # depths are kept to a micrometre


@pytest.mark.parametrize(("level", "closed"), [(-1.0, False), (DECK + 0.2, False), (DECK + 0.35, True)])
def test_the_deck_is_found_among_the_faces_of_a_bridge_not_its_arch_or_foot(level: float, closed: bool) -> None:  # noqa: FBT001
    row = car(make_roads(SPAN, attributes={"bridge": ["yes"]}, add=bridge), river(level))
    assert (row["status"], row["deck_level"], row["deck_source"]) == ("assessed", DECK, "model")
    assert (row["closed_minutes"] > 0) == closed


def test_a_block_model_does_not_tell_the_deck() -> None:
    city = make_roads(SPAN, attributes={"bridge": ["yes"]}, add=lambda builder: slab(builder, BED, 10.0, (0.0, 40.0), lod="1"))
    assert car(city, river(-1.0))["reason"] == "on_a_bridge"


def test_heights_that_cannot_be_compared_tell_no_deck() -> None:
    water = river(-1.0)
    water.dataset.attrs["vertical"] = "another"
    row = car(make_roads(SPAN, attributes={"bridge": ["yes"], "deck_level": [DECK]}), water)
    assert (row["status"], row["deck_source"]) == ("not_assessed", None)


def test_the_terrain_with_its_decks_tells_what_the_run_took_off(tmp_path: Path) -> None:
    def add(builder: CityBuilder) -> None:
        from cim.crs import parse

        values = np.full(GROUND.shape, BANK)  # the deck is level with the banks
        path = tmp_path / "terrain.tif"
        write_raster(Raster(values, 0.0, 10.0, 2.0, 2.0, parse(CRS)), path)
        keys = builder.add_objects("ReliefFeature", ["terrain"], footprints=[shapely.box(0, 0, 40, 10)])
        builder.add_coverage(int(keys[0]), kind="raster", path=str(path), format="GeoTIFF", box=(0, 0, 0, 40, 10, 0), crs=CRS, unit="m")

    row = car(make_roads(SPAN, attributes={"bridge": ["yes"]}, add=add), river(-1.0))
    assert (row["deck_level"], row["deck_source"], row["closed_minutes"]) == (BANK, "terrain", 0.0)
    assert car(make_roads(SPAN, attributes={"bridge": ["yes"]}, add=add), river(0.4))["closed_minutes"] == 10.0


# ---------------------------------------------------------------- underpasses

WAYS = {
    "over": shapely.LineString([(0.0, 21.0), (60.0, 21.0)]),
    "cut": shapely.LineString([(31.0, 14.0), (31.0, 28.0)]),
    "bridge": shapely.LineString([(0.0, 51.0), (60.0, 51.0)]),
}


def cut_ground() -> np.ndarray:
    """Return 30 by 30 cells of 2 m: a plain that leans a little, a cut under a road, a river under a bridge."""
    x, y = np.meshgrid(np.arange(30) * 2 + 1.0, 59.0 - np.arange(30) * 2)
    ground = 5.0 + 0.01 * np.abs(y - 21) + 0.01 * np.abs(x - 31)
    ground[(np.abs(x - 31) <= 4) & (np.abs(y - 21) <= 8)] -= 3.0
    ground[(x > 14) & (x < 26) & (y > 44)] -= 4.0
    return np.asarray(ground)


def crossing_city() -> City:
    return make_roads(WAYS, attributes={"bridge": [None, None, "yes"], "tunnel": [None, "yes", None], "deck_level": [None, None, 6.0],
                                        "width": [8.0, 8.0, 8.0]})  # fmt: skip


def test_water_in_the_cut_closes_the_underpass_and_not_the_road_over_it() -> None:
    ground = cut_ground()
    depth = np.maximum(4.9 - ground, 0.0)
    water = make_water(depth, ground=ground, series=np.array([depth * 0, depth]), open_ways=["cut"])
    links = {row["object"]: row for row in of_class(state_of(crossing_city(), water), "links")}
    assert (links["cut"]["status"], links["cut"]["closed_minutes"]) == ("assessed", 10.0)
    assert (links["over"]["status"], links["over"]["closed_minutes"], links["over"]["deck_source"]) == ("assessed", 0.0, "beside")
    assert links["over"]["deck_level"] == pytest.approx(5.17, abs=0.01)  # between the plain 16 m and 18 m beside the middle
    above = np.maximum(5.5 - ground, 0.0)
    high = make_water(above, ground=ground, series=np.array([above * 0, above]), open_ways=["cut"])
    assert {row["object"]: row for row in of_class(state_of(crossing_city(), high), "links")}["over"]["closed_minutes"] == 10.0


def test_a_tunnel_whose_ground_the_run_does_not_have_is_not_assessed() -> None:
    ground = cut_ground()
    row = {row["object"]: row for row in of_class(state_of(crossing_city(), make_water(ground * 0, ground=ground)), "links")}["cut"]
    assert (row["status"], row["reason"]) == ("not_assessed", "in_a_tunnel")


def test_in_a_cloudburst_the_underpass_closes_first_and_the_bridge_over_the_river_stays_open() -> None:
    domain = flood.FlowDomain.from_elevation(cut_ground(), dx=2.0, roughness=0.02, crs=CRS)
    run = flood.simulate(domain, rain=Rain.uniform(300.0), start="2026-07-01T07:00Z", until="40min", output_every="5min")  # mm/h
    parameters = {**run.run.parameters, "open_ways": ["cut"]}
    run = Fields(run.name, run.dataset.assign_attrs(vertical=make_water(np.zeros((2, 2))).dataset.attrs["vertical"]), run.tables,
                 type(run.run)("flood", "1", {}, parameters, start=run.run.start))  # fmt: skip
    result = state_of(crossing_city(), run, rain="run")
    links = {row["object"]: row for row in of_class(result, "links")}
    first = {name: row["closed_from"] for name, row in links.items()}
    assert first["cut"] is not None
    assert first["bridge"] is None
    assert all(other is None or first["cut"] <= other for other in first.values())
    assert any(row["cause"] == "rain" for row in of_class(result, "states") if row["object"] == "bridge")
    assert any("mean over the domain" in text for text in result.run.assumptions)


def test_a_track_that_says_tunnel_is_not_taken_for_a_dry_road() -> None:
    def add(builder: CityBuilder) -> None:
        keys = builder.add_objects("Track", ["t"], footprints=[SPAN["r"]])
        builder.add_attributes(keys, "Track", {"tunnel": Column(["yes"])})
        builder.add_links(keys, "road", ["p"], ["q"], direction="forward", length=[40.0], attributes=['{"class": "primary"}'])

    assert car(make_roads({}, add=add), river(-4.0))["reason"] == "in_a_tunnel"
