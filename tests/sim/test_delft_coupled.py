"""A storm on a block of Delft in one command: a network derived from road areas, trips from floor area, water, closures, traffic, reach."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import shapely

import cim
from cim.loaders.build import build
from cim.model import City
from cim.model.link_lines import link_lines
from cim.results import Fields
from cim.scenario import read_scenario
from cim.sim.run import run
from tests.sim import coupled

pytestmark = [pytest.mark.data, pytest.mark.heavy]


@pytest.fixture(scope="module")
def folder(root: Path, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder as the example asks for it: its two files, and the data beside them."""
    found: Callable[..., Path] = request.getfixturevalue("shared_data")
    place = Path(tmp_path_factory.mktemp("delft"))
    (place / "delft").symlink_to(found("city", "delft"), target_is_directory=True)
    for name in ("delft_build.toml", "delft_storm.toml"):
        (place / name).write_text((root / "examples" / name).read_text(encoding="utf-8"), encoding="utf-8")
    cim.save(build(place / "delft_build.toml"), place / "delft.cim")
    return place


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, Fields]:
    found = run(folder / "delft_storm.toml", folder / "results")
    return {one.name: one for one in found}  # type: ignore[misc]  # fields all of them


@pytest.fixture(scope="module")
def linked(folder: Path) -> City:
    """Give the city as the scenario changes it: with its network."""
    return read_scenario(folder / "delft_storm.toml").change.apply(cim.open(folder / "delft.cim"))


def test_one_command_gives_water_roads_traffic_and_reach(results: dict[str, Fields], folder: Path) -> None:
    assert list(results) == ["flood", "impact", "roads", "traffic", "reach"]
    said = json.loads((folder / "results" / "run.json").read_text(encoding="utf-8"))
    assert any("centrelines of" in one["message"] and "assumed" in one["message"] for one in said["issues"])


def test_every_link_says_that_it_is_assumed(results: dict[str, Fields], linked: City) -> None:
    links = coupled.frame(results, "traffic", "links")
    roads = links[links["object"].notna()]
    assert len(roads) == 2 * linked.tables["links"].num_rows > 0
    assert roads["assumed"].str.contains("line").all()
    told = "\n".join(results["traffic"].run.assumptions)
    assert "the use of 160 buildings is assumed: residential" in told
    assert "storeys of 160 buildings are assumed" in told


def test_no_water_is_lost(results: dict[str, Fields]) -> None:
    water = results["flood"].run.balance
    came = water["rain_m3"] + water["initial_m3"] + water["inflow_m3"] + water["boundary_in_m3"]
    went = water["boundary_out_m3"] + water["infiltration_m3"] + water["stored_m3"]
    assert came == pytest.approx(went, rel=1e-4)  # single precision over some ten thousand steps
    assert water["rain_m3"] == pytest.approx(0.070 * 265.0 * 230.0, rel=0.01)  # 70 mm on the terrain; cells of 2 m overlap its edge


def test_no_vehicle_is_lost(results: dict[str, Fields]) -> None:
    coupled.vehicles_are_all_accounted_for(results)


def test_the_same_depth_closes_a_street_in_every_table(results: dict[str, Fields]) -> None:
    assert coupled.closures_are_the_same_in_every_table(results) >= 4  # the low quay, both of its stretches, both directions


def test_nobody_drives_into_the_water_and_nothing_is_cut_off_without_a_closed_street(results: dict[str, Fields]) -> None:
    coupled.nobody_enters_a_closed_link(results)
    assert coupled.cut_off_means_that_a_road_is_closed(results) > 0


def test_the_depth_of_a_link_is_the_greatest_of_the_cells_that_its_line_crosses(results: dict[str, Fields], linked: City) -> None:
    """Cells are found by intersecting their squares with the line, one by one; both numbers are the same single-precision value."""
    deepest = results["flood"]["maximum_depth"]
    half = abs(float(deepest.x[1] - deepest.x[0])) / 2
    x, y = np.meshgrid(deepest.x, deepest.y)
    squares = shapely.box(x - half, y - half, x + half, y + half).ravel()
    links = coupled.frame(results, "roads", "links").query("`class` == 'car' and status == 'assessed'").set_index("link")["maximum_depth"]
    lines, compared = link_lines(linked), 0
    for owner, line, one, other in zip(linked.ids(lines.object), lines.lines, lines.from_node, lines.to_node, strict=True):
        for link in (f"{owner}:{one}>{other}", f"{owner}:{other}>{one}"):
            if link in links:
                crossed = shapely.length(shapely.intersection(squares, line)) > 1e-6
                assert float(np.nanmax(deepest.to_numpy().ravel()[crossed])) == pytest.approx(links[link], abs=1e-6)
                compared += 1
    assert compared == len(links) >= 14


def test_what_lies_outside_the_terrain_is_not_assessed_and_said_to_be(results: dict[str, Fields]) -> None:
    links = coupled.frame(results, "roads", "links").query("`class` == 'car' and status == 'not_assessed'")
    assert len(links) == 4
    assert links["reason"].isin(["partly_unknown", "partly_outside_domain", "outside_domain"]).all()
    assert any("4 links" in one and "not assessed" in one for one in results["reach"].run.assumptions)
