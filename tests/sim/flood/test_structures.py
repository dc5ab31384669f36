"""Pumps and breaches: what they did stands in the result, and one that could do nothing is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.results import Fields, compare
from cim.sim.flood import Breach, Pump, simulate
from cim.sim.flood.parameter_parts import BreachTable

SINGLE = 1e-6  # [m], [m³ per m³]: float32 of a few metres
LINE = [[41.0, 0.0], [41.0, 20.0]]


def dyke(*structures: Pump | Breach, crest: float = 3.0, deep: float = 2.0, **more: Any) -> Fields:
    """Run water behind a dyke over 10 × 40 cells of 2 m for four minutes."""
    ground = np.zeros((10, 40))
    ground[:, 20] = crest
    depth = np.zeros(ground.shape)
    depth[:, :20] = deep
    given: dict[str, Any] = {"initial_depth": depth, "until": "4min", "output_every": "1min", "threads": 1, **more}
    return simulate(ground, dx=2.0, structures=list(structures), **given)


# ---------------------------------------------------------------- the ground


@pytest.mark.parametrize("scheme", ["standard", "accurate", "screening"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_depth_and_ground_are_the_level_after_a_breach(scheme: str, precision: str) -> None:
    water = dyke(Breach(LINE, level=0.5, begin="1min", duration="30s"), scheme=scheme, precision=precision, until="1h", output_every="1h",
                 gauges={"crest": (41.0, 11.0)})  # fmt: skip
    last = water["water_depth"].values[-1] + water["ground_elevation"].values
    assert water["ground_elevation"].values[:, 20] == pytest.approx(0.5, abs=SINGLE)
    assert last[5, 20] == pytest.approx(water.to_pandas("gauges")["level"].iloc[-1], abs=SINGLE)
    assert last[5, 20] == pytest.approx(last[5, 19], abs=0.05)  # the water has come to rest; the old ground would be 2.5 m off
    assert (water["initial_ground_elevation"].values[:, 20] == 3.0).all()
    assert (water["ground_elevation"].values[:, :20] == 0.0).all()
    assert any("10 cells were washed away, by up to 2.50 m" in one for one in water.run.assumptions)


def test_ground_that_nothing_changes_is_told_once() -> None:
    water = dyke()
    assert "initial_ground_elevation" not in water.dataset
    assert "structures" not in water.tables
    assert not any("washed" in one for one in water.run.assumptions)


def test_a_branch_without_the_breach_of_its_base_knows_the_ground_that_is_gone(tmp_path: Path) -> None:
    dyke(Breach(LINE, level=1.0, begin="1min", duration="30s", name="north"), checkpoint=tmp_path / "base", keep_checkpoints=True)
    branch = dyke(branch_from=tmp_path / "base", branch_at="2min")
    assert branch["ground_elevation"].values[:, 20] == pytest.approx(1.0, abs=SINGLE)
    fallen: Any = branch.to_pandas("structures").set_index("structure").loc["north", "fallen"]
    assert fallen.tolist() == pytest.approx([0.0, 0.0, 2.0, 2.0, 2.0], abs=SINGLE)


def test_a_breach_on_its_way_has_the_ground_of_the_moment() -> None:
    water = dyke(Breach(LINE, level=0.0, begin="3min", duration="2min", name="north"))
    assert water["ground_elevation"].values[:, 20] == pytest.approx(1.5, abs=SINGLE)
    assert "north: the run ends when it has fallen by 50%" in water.run.assumptions


# ---------------------------------------------------------------- a breach that cannot be meant


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"level": 3.0}, "level=3 m is not below the ground of its 10 cells, 3 to 3 m: nothing would fall"),
        ({"level": 3200.0}, "nothing would fall"),
        ({"level": -101.0}, "101 m below the lowest ground of the domain"),
        ({"level": "low"}, "level='low'; expected an elevation"),
        ({"level": 1.0, "begin": "4min"}, "it begins 4 min after the start, the run ends after 4 min"),
        ({"level": 1.0, "begin": "5h"}, "it begins 5 h after the start, the run ends after 4 min"),
        ({"level": 1.0, "begin": "soon"}, "begin='soon'; expected a duration"),
        ({"level": 1.0, "begin": -5.0}, "begin=-5.0; expected a duration"),
        ({"level": 1.0, "begin": "2026-07-01T12:01"}, "is an instant, but the run has no start"),
        ({"level": 1.0, "duration": -60.0}, "duration -60.0; expected a finite one that is not negative"),
    ],
)
def test_a_breach_that_would_do_nothing_or_harm_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        dyke(Breach(LINE, name="north", **values))
    assert "north: " in str(caught.value)
    assert said in str(caught.value)


def test_all_faults_of_all_breaches_are_in_one_message() -> None:
    with pytest.raises(UsageError) as caught:
        dyke(Breach(LINE, level=9.0, begin="1d", duration="never"), Breach([[900.0, 0.0], [900.0, 1.0]], level=True))
    assert "flood: 5 faults" in str(caught.value)
    assert "breach 1: " in str(caught.value)
    assert "breach 2: " in str(caught.value)


@pytest.mark.parametrize("begin", ["2026-07-01T12:01", "2026-07-01T20:01+08:00", datetime(2026, 7, 1, 12, 1, tzinfo=UTC)])
def test_a_breach_begins_at_an_instant_as_after_a_duration(begin: Any) -> None:
    start = "2026-07-01T12:00"
    told, after = (dyke(Breach(LINE, level=1.0, begin=one), start=start) for one in (begin, "1min"))
    assert np.array_equal(told["water_depth"].values, after["water_depth"].values)
    assert BreachTable.model_validate({"where": LINE, "level": 1.0, "begin": begin}).begin
    with pytest.raises(UsageError, match="it begins 1 min before the start"):
        dyke(Breach(LINE, level=1.0, begin=begin), start="2026-07-01T12:02")


def test_the_record_tells_what_falls_and_a_pit() -> None:
    said = dyke(Breach(LINE, level=-1.0, begin="1min", name="north")).run.assumptions
    assert "north: 10 of 10 cells fall to -1 m, by up to 4.00 m, 1 min after the start" in said
    assert any("it digs a pit" in one for one in said)


# ---------------------------------------------------------------- pumps


def test_what_each_pump_has_moved_is_told_whether_it_leaves_or_stays() -> None:
    out = Pump((5.0, 9.0), 0.5, name="out")
    within = Pump((5.0, 15.0), [("0min", 0.2), ("2min", 0.2), ("3min", 0.0), ("4min", 0.0)], outlet=(71.0, 9.0), name="within")
    idle = Pump((61.0, 9.0), 0.5, on_depth=5.0)
    water = dyke(out, within, idle)
    table: Any = water.to_pandas("structures").set_index("structure")
    volume = {name: table.loc[name, "volume"].to_numpy() for name in ("out", "within", "pump")}
    assert volume["out"] == pytest.approx([0.0, 30.0, 60.0, 90.0, 120.0], rel=SINGLE)
    assert volume["within"] == pytest.approx([0.0, 12.0, 24.0, 30.0, 30.0], rel=SINGLE)
    assert (volume["pump"] == 0.0).all()
    assert table["to"].groupby(level=0).first().to_dict() == {"out": "outside", "within": "inside", "pump": "outside"}
    assert table["fallen"].isna().all()
    assert water.run.balance["pumped_out_m3"] == pytest.approx(volume["out"][-1], rel=1e-9)
    assert float(water["water_depth"][-1, :, 21:].sum()) * 4.0 == pytest.approx(volume["within"][-1], rel=1e-5)  # sum of float32


def test_pumps_keep_their_volumes_when_a_run_is_taken_up_and_in_branches(tmp_path: Path) -> None:
    first, second = Pump((5.0, 9.0), 0.5, name="first"), Pump((5.0, 15.0), 0.25, name="second")
    whole = dyke(first)
    dyke(first, checkpoint=tmp_path / "base", keep_checkpoints=True)
    again = dyke(first, checkpoint=tmp_path / "base", keep_checkpoints=True)
    assert again.tables["structures"].equals(whole.tables["structures"])
    other = dyke(second, branch_from=tmp_path / "base", branch_at="2min").to_pandas("structures").set_index("structure")["volume"]
    assert other["first"].tolist() == pytest.approx([0.0, 30.0, 60.0, 60.0, 60.0], rel=SINGLE)
    assert other["second"].tolist() == pytest.approx([0.0, 0.0, 0.0, 15.0, 30.0], rel=SINGLE)


def test_two_runs_are_compared_gauge_by_gauge_and_pump_by_pump() -> None:
    pumps = [Pump((5.0, 9.0), 0.5, name="a"), Pump((5.0, 15.0), 0.25, name="b")]
    looked = {"deep": (11.0, 11.0), "dry": (61.0, 11.0), "too": (71.0, 11.0)}  # two with the same level at all times
    base, option = dyke(*pumps, gauges=looked), dyke(pumps[0], gauges=looked)
    tables = compare(base, option).tables
    gauges = tables["gauges"].to_pandas().set_index("gauge")
    gauges = gauges[~gauges["change"].str.startswith("only")]  # output times: between them each run has steps of its own
    assert gauges.loc["deep", "level_difference"].iloc[-1] == pytest.approx(60.0 / (200 * 4.0), rel=0.01)  # 60 m³ more on 800 m²
    assert (gauges.loc[["dry", "too"], "change"] == "same").all()
    moved = tables["structures"].to_pandas().set_index("structure")
    assert (moved.loc["a", "volume_difference"].abs() < 1e-3).all()
    assert (moved.loc["b", "change"] == "only in base").all()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.floats(0.5, 9.5), st.floats(0.01, 2.0)), min_size=1, max_size=4))
def test_the_volumes_of_pumps_add_up_to_the_ledger(pumps: list[tuple[float, float]]) -> None:
    made = [Pump(shapely.Point(x, 5.0), capacity) for x, capacity in pumps]
    water = simulate(np.zeros((5, 5)), dx=2.0, until="1min", structures=made, initial_depth=0.5, precision="float64", threads=1)
    last = water.to_pandas("structures").groupby("structure")["volume"].last()
    assert last.size == len(pumps)
    assert last.sum() == pytest.approx(water.run.balance["pumped_out_m3"], rel=1e-9)
