from __future__ import annotations

from pathlib import Path

import shapely

import cim
from cim.demo import Truth
from cim.demo.options import choose_option, write_scenarios
from cim.model import City
from cim.results import Comparison, compare
from cim.scenario import read_scenario, validate
from cim.sim.height_control import height_control
from cim.sim.planning import far


def test_the_scenario_files_are_right_and_differ_in_their_changes_only(city: City, truth: Truth, tmp_path: Path) -> None:
    cim.save(city, tmp_path / "demo.cim")
    base, option = write_scenarios(truth, tmp_path, "demo.cim")
    assert validate(base) == validate(option) == []
    first, second = read_scenario(base), read_scenario(option)
    assert dict(first.checks) == dict(second.checks)
    assert dict(first.simulations) == dict(second.simulations)
    assert (len(first.change), len(second.change)) == (0, 3)


def test_the_new_building_stands_free_on_its_plot(truth: Truth) -> None:
    option = choose_option(truth)
    assert shapely.contains(truth.plots[option.added_plot], option.added)
    assert shapely.distance(truth.footprints, option.added).min() >= 9.0


def words(comparison: Comparison) -> dict[str, str]:
    table = comparison.changed()
    return dict(zip(table["object"].to_pylist(), table["change"].to_pylist(), strict=True))


def test_the_option_turns_the_verdicts_it_was_made_to_turn(city: City, truth: Truth, tmp_path: Path) -> None:
    cim.save(city, tmp_path / "demo.cim")
    _, file = write_scenarios(truth, tmp_path, "demo.cim")
    chosen = choose_option(truth)
    option = read_scenario(file).change.apply(city)
    heights = words(compare(height_control(city, limit_datum="ground"), height_control(option, limit_datum="ground")))
    assert heights[chosen.raised] == "pass -> fail"
    assert heights[chosen.lowered] == "fail -> pass"
    ratios = words(compare(far(city), far(option)))
    raised_on = str(truth.plot[truth.ids == chosen.raised][0])
    assert ratios[raised_on] == ratios[chosen.added_plot] == "pass -> fail"
