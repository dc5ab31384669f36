"""A scenario held against its city: every step of the file and of every option is tried, and an ensemble is not run as one."""

from __future__ import annotations

from pathlib import Path

import pytest
import shapely

from cim.errors import UsageError
from cim.model import City, CityBuilder
from cim.scenario import Scenario, members, read_scenario
from cim.sim.run import check_scenario, run

CLOSED_ROAD = 'do = "close_road"\nid = "r1"\n'
MOVED_NOBODY = 'do = "move_building"\nid = "nobody"\ndx = 1.0\n'
DYKE = 'do = "change_terrain"\nid = "d"\narea = [[0, 0], [9, 0], [9, 9]]\nby = 1.0\n'
PIPE_OF_A_BUILDING = 'do = "change_pipe"\nid = "b"\ndiameter = 0.5\n'
PARK_ON_THE_DYKE = 'do = "change_land_use"\nid = "d"\nto = "park"\n'
CHECKS = """\
[checks.height_control]
plots = "city"
limit_datum = "ground"

[axes]
change = ["none", "dyke", "pipe"]
checks.height_control.limit = [20.0, 30.0]
"""


def option(name: str, *steps: str) -> str:
    return f'[[option]]\nname = "{name}"\n' + "".join(f"[[option.change]]\n{step}" for step in steps)


TEXT = "\n".join([
    'city = "district.cim"',
    *(f"[[change]]\n{step}" for step in (CLOSED_ROAD, MOVED_NOBODY)),
    option("dyke", DYKE, DYKE),
    option("pipe", PIPE_OF_A_BUILDING, PARK_ON_THE_DYKE),
    CHECKS,
])  # fmt: skip


def make_city(crs: str = "EPSG:28992") -> City:
    builder = CityBuilder(crs)
    builder.add_objects("Road", ["r1"], footprints=[shapely.LineString([(0, 0), (9, 0)])])
    builder.add_objects("Building", ["b"], footprints=[shapely.box(0, 0, 5, 5)], z_ground=[0.0], z_roof=[25.0])
    return builder.build()


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    (tmp_path / "district.cim").mkdir()
    path = tmp_path / "storm.toml"
    path.write_text(TEXT, encoding="utf-8")
    return read_scenario(path)


def test_every_step_that_cannot_be_made_is_named_with_its_option(scenario: Scenario) -> None:
    faults = check_scenario(scenario, make_city())
    expected = [
        ("change[1] move_building", "'nobody'"),
        ("option 'dyke' change[1] change_terrain", "the id 'd' is taken by a ReliefFeature"),
        ("option 'pipe' change[0] change_pipe", "expected a pipe"),
        ("option 'pipe' change[1] change_land_use", "'d'"),  # the other option made it, not this one
    ]
    assert len(faults) == len(expected)
    for fault, (where, words) in zip(faults, expected, strict=True):
        assert fault.startswith(f"{where}: ")
        assert words in fault


def test_a_city_in_degrees_is_a_fault_of_the_steps_that_need_metres(scenario: Scenario) -> None:
    faults = check_scenario(scenario, make_city("EPSG:4326"))
    assert sum("needs metres" in fault for fault in faults) == 4


def test_an_ensemble_is_not_run_as_if_it_were_one(scenario: Scenario, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"has axes \(change, checks.height_control.limit\): it is an ensemble"):
        run(scenario, tmp_path / "out", city=make_city())


def test_each_member_runs_by_itself(scenario: Scenario, tmp_path: Path) -> None:
    found = [one for one in members(scenario) if one.settings["change"] == "none"]
    counts = {}
    for one in found:
        single = Scenario(one.name, one.city, type(one.change)("x", one.change.steps[:1]), one.simulations, one.checks)
        (result,) = run(single, tmp_path / one.member, city=make_city())
        counts[one.settings["checks.height_control.limit"]] = result.counts()["fail"]  # type: ignore[union-attr]  # a check
    assert counts == {20.0: 1, 30.0: 0}
