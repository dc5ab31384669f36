"""The storm of the demo on streets, traffic and reach: what the tables say of one another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import cim
from cim.demo import Truth
from cim.demo.storm import storm_table, write_storm
from cim.demo.storm_traffic import closed_streets, dry_traffic
from cim.demo.trips import GATES, THROUGH, write_trips
from cim.model import City
from cim.results import Fields
from cim.sim.run import run
from tests.sim import coupled

pytestmark = pytest.mark.heavy

UNDERPASS, BRIDGE = "way/9000000012", "way/9000000017"  # Renmin Avenue under the boulevard, Bridge Road over the river


@pytest.fixture(scope="module")
def files(city: City, truth: Truth, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = Path(tmp_path_factory.mktemp("coupled"))
    cim.save(city, folder / "demo.cim")
    write_trips(city, folder)
    return write_storm(truth, folder, "demo.cim")


@pytest.fixture(scope="module")
def both(city: City, files: tuple[Path, Path]) -> tuple[dict[str, Fields], dict[str, Fields]]:
    made = [{one.name: one for one in run(file, file.with_suffix(""), city=city)} for file in files]
    return made[0], made[1]  # type: ignore[return-value]  # fields all of them


@pytest.fixture(scope="module")
def dry(city: City, files: tuple[Path, Path]) -> Fields:
    return dry_traffic(city, files[0])


@pytest.fixture(scope="module", params=["base", "option"])
def results(request: pytest.FixtureRequest, both: tuple[dict[str, Fields], dict[str, Fields]]) -> dict[str, Fields]:
    return both[0] if request.param == "base" else both[1]


def test_the_underpass_is_closed_before_any_other_street_and_the_bridge_stays_open(both: tuple[dict[str, Fields], ...]) -> None:
    base, option = (coupled.frame(one, "roads", "links") for one in both)
    cars = base[base["class"] == "car"].set_index("object")
    assert cars.loc[UNDERPASS, "closed_from"].max() < cars.drop(UNDERPASS)["closed_from"].min()
    for links in (base, option):
        bridge = links[(links["object"] == BRIDGE) & (links["class"].isin(coupled.LIMITS))]
        assert len(bridge) == 2 * len(coupled.LIMITS)
        assert (bridge["status"] == "assessed").all()
        assert (bridge["closed_minutes"] == 0).all()
        assert (bridge["deck_level"] > 5.0).all()  # m: the deck, not the river 2.6 m high


def test_vehicles_are_all_accounted_for(results: dict[str, Fields]) -> None:
    coupled.vehicles_are_all_accounted_for(results)


def test_the_same_depth_closes_a_street_in_every_table(results: dict[str, Fields]) -> None:
    assert coupled.closures_are_the_same_in_every_table(results) > 50
    streets = closed_streets(results, "car")
    passable = coupled.frame(results, "impact", "road_links")["passable_small_car"]
    assert len(streets) == (passable == "no").sum()


def test_nobody_drives_into_the_water(results: dict[str, Fields]) -> None:
    coupled.nobody_enters_a_closed_link(results)


def test_nothing_is_cut_off_while_its_streets_are_open(results: dict[str, Fields]) -> None:
    assert coupled.cut_off_means_that_a_road_is_closed(results) > 5


def test_base_option_and_the_dry_evening_have_the_same_trips(both: tuple[dict[str, Fields], ...], dry: Fields) -> None:
    known = dry.table("vehicles").select(["vehicle", "origin", "destination", "departure"])
    assert known.num_rows > 4000
    for one in both:
        assert one["traffic"].run.inputs["trips"] == dry.run.inputs["trips"]
        assert one["traffic"].table("vehicles").select(known.column_names).equals(known)
    assert dry.run.balance["arrived"] + dry.run.balance["travelling"] == known.num_rows  # on dry roads nobody is stranded


def test_the_table_tells_streets_cars_and_whom_nobody_reaches(
    city: City, both: tuple[dict[str, Fields], dict[str, Fields]], dry: Fields
) -> None:
    text = storm_table(city, *both, dry)
    rows = {line.strip().split("  ")[0]: [float(one.replace(",", "")) for one in line.split()[-3:]] for line in text.splitlines()[1:20]}
    stranded = next(values for what, values in rows.items() if "stranded" in what)
    assert stranded[:2] == [one["traffic"].table("vehicles")["cause"].to_pylist().count("no route")
                            + one["traffic"].table("vehicles")["cause"].to_pylist().count("origin closed") for one in both]  # fmt: skip
    assert stranded[0] > stranded[1] > 0
    cut = next(values for what, values in rows.items() if "cut off from" in what)
    assert cut[0] == both[0]["reach"].run.balance["fire, emergency: objects cut_off"] > cut[1] > 0
    late = next(values for what, values in rows.items() if "not reached in 8 min" in what)
    assert (late[0] >= cut[0], late[1] >= cut[1]) == (True, True)
    assert "the same" in text


def test_the_made_up_traffic_is_in_the_file_of_trips(files: tuple[Path, Path]) -> None:
    rows = np.loadtxt(files[0].with_name("trips.csv"), delimiter=",", skiprows=1, usecols=2)
    at_least = sum(THROUGH.values()) + sum(one.into + one.out for one in GATES.values())
    assert at_least <= rows.sum() < 2.0 * at_least
    assert (rows >= 0).all()
