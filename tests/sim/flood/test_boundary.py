"""Sides of the domain: what a level and a discharge may be, and where the water of an inflow enters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.results import Fields
from cim.sim.flood import Boundary, simulate
from cim.sim.flood.kernels import GRAVITY, PAD
from cim.sim.flood.split import critical_level, lay_split

SCHEMES = ("standard", "accurate", "screening")
ROUNDED = {"float32": 1e-6, "float64": 1e-12}  # share of a volume: the bars of the ledger


def valley(*, bank: float = 3.0, ny: int = 21, nx: int = 40) -> Any:
    """Return ground that falls to the east by 1 %, with a channel of 5 cells between banks `bank` m higher."""
    ground = np.add.outer(np.where(np.abs(np.arange(ny) - ny // 2) <= 2, 0.0, bank), 0.01 * 2.0 * np.arange(nx)[::-1])
    return np.asarray(ground, float)


def river(discharge: Any = 6.0, *, ground: Any = None, **more: Any) -> Fields:
    given: dict[str, Any] = {"until": "2min", "output_every": "1min", "threads": 1, **more}
    sides = [Boundary("west", kind="inflow", discharge=discharge), Boundary("east")]
    return simulate(valley() if ground is None else ground, dx=2.0, **{"boundaries": sides, **given})


# ---------------------------------------------------------------- an inflow


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_an_inflow_enters_the_channel_and_leaves_the_banks_dry(scheme: str, precision: str) -> None:
    water = river(scheme=scheme, precision=precision)
    assert water.run.balance["boundary_in_m3"] == pytest.approx(6.0 * 120.0, rel=ROUNDED[precision])
    deepest = water["maximum_depth"].values
    bank = np.abs(np.arange(21) - 10) > 2
    assert (deepest[bank] == 0.0).all()
    assert (deepest[~bank, 0] > 0.1).all()
    assert any("west: its ground differs by 3.0 m" in one and "at least 5 of 21 cells" in one for one in water.run.assumptions)


def test_an_inflow_over_level_ground_is_the_same_everywhere() -> None:
    water = river(ground=valley(bank=0.0), precision="float64")
    depth = water["water_depth"].values[-1]
    assert (depth == depth[:1]).all()
    assert depth.max() > 0.0
    assert not any("ground differs" in one for one in water.run.assumptions)


def test_an_inflow_spreads_over_banks_that_stand_under_water() -> None:
    level = 4.5 + 0.78  # above the banks of the upper end
    water = river(2.0, initial_level=level, boundaries=[Boundary("west", kind="inflow", discharge=2.0)], until=1.0, velocity=True,
                  precision="float64")  # fmt: skip
    east = water["flow_velocity_x"].values[-1][:, 0]
    assert (east > 0).all()


def test_an_inflow_round_a_corner_is_one_discharge() -> None:
    ground = np.add.outer(np.abs(np.arange(20) - 3.0), np.abs(np.arange(30) - 2.0)) * 0.3
    corner = Boundary([[0.0, 10.0], [0.0, 40.0], [20.0, 40.0]], kind="inflow", discharge=[("0s", 0.0), ("30s", 4.0), ("60s", 4.0)])
    water = simulate(ground, dx=2.0, until="1min", boundaries=[corner], precision="float64", threads=1)
    assert water.run.balance["boundary_in_m3"] == pytest.approx(0.5 * 30.0 * 4.0 + 30.0 * 4.0, rel=ROUNDED["float64"])


@given(st.lists(st.floats(0.0, 9.0), min_size=1, max_size=40), st.floats(0.01, 500.0), st.floats(0.0, 1.0))
def test_the_shares_of_an_inflow_are_the_whole_and_none_is_above_the_level(heights: list[float], most: float, part: float) -> None:
    ground = np.array(heights)[:, None]
    split = lay_split([(np.arange(len(heights)), np.zeros(len(heights), int))], ground, 0.03, 2.0, most)
    discharge = most * part
    if split is None:
        assert np.ptp(ground) <= 1e-9
        return
    entering = split[0].unit_discharges(np.zeros((len(heights) + 2 * PAD, 1 + 2 * PAD)), discharge)
    assert entering.sum() * 2.0 == pytest.approx(discharge, rel=1e-12)  # rounding of sums
    assert (entering >= 0).all()
    above = ground[:, 0] - ground.min() > critical_level(ground[:, 0] - ground.min(), most, 2.0)
    assert (entering[above] == 0).all()


def test_the_critical_level_of_a_triangle_is_that_of_the_formula() -> None:
    slope, width = 0.1, 0.01  # a half V: Q = sqrt(g) * integral of (H - s y)^1.5 dy = sqrt(g) H^2.5 / (2.5 s)
    middles = np.asarray((np.arange(4000) + 0.5) * width * slope, np.float64)
    level = critical_level(middles, np.sqrt(GRAVITY) * 2.0**2.5 / (2.5 * slope), width)
    assert level == pytest.approx(2.0, abs=1e-4)  # midpoint rule over 2,000 cells


@pytest.mark.parametrize("values", [{"unit_discharge": 0.2}, {"discharge": 6.0, "depth": 0.1}])
def test_an_inflow_that_is_even_by_word_says_over_what_ground(values: dict[str, Any]) -> None:
    water = river(boundaries=[Boundary("west", kind="inflow", **values), Boundary("east")])
    assert any("enters evenly, though its ground differs by 3.0 m" in one for one in water.run.assumptions)
    assert (water["maximum_depth"].values[:, 0] > 0).all()


def test_a_run_with_a_divided_inflow_is_the_same_when_taken_up_and_on_more_threads(tmp_path: Any) -> None:
    whole = river()
    river(until="1min", checkpoint=tmp_path / "base", keep_checkpoints=True)
    branch = river(branch_from=tmp_path / "base", branch_at="1min")
    for name in ("water_depth", "maximum_depth"):
        assert np.array_equal(whole[name].values, branch[name].values)
        assert np.array_equal(whole[name].values, river(threads=2)[name].values)


# ---------------------------------------------------------------- a level


def stage(level: Any = None, **more: Any) -> Fields:
    return simulate(np.add.outer(np.zeros(5), np.linspace(2.0, 0.0, 10)), dx=2.0, until="1h", output_every="1h", rain=10.0, threads=1,
                    boundaries=[Boundary("east", kind="stage", level=level, **more)])  # fmt: skip


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (1000.0, "rises to 1000 m"),
        ([("0h", 0.5), ("1h", 210.0)], "rises to 210 m"),
        (-9999.0, "falls to -9999 m"),
        ([("0h", 0.5), ("30min", -999.0), ("1h", 0.5)], "falls to -999 m"),
    ],
)
def test_a_level_that_cannot_be_meant_is_refused(level: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        stage(level)


def test_a_depth_that_cannot_be_meant_is_refused() -> None:
    for depth in (1000.0, "deep", float("nan"), -1.0, True):
        with pytest.raises(UsageError, match="boundary east: depth="):
            stage(depth=depth)


def test_levels_below_the_ground_are_told() -> None:
    assert any("never above the ground of its 5 cells" in one for one in stage(-0.5).run.assumptions)
    falling = stage([("0h", 0.5), ("1h", -0.5)])
    assert any("falls to -0.5 m, below" in one and "at such times" in one for one in falling.run.assumptions)
    assert not any("boundary east" in one for one in stage(0.5).run.assumptions)


def test_water_at_the_start_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(UsageError, match="initial_level: up to 2100 m deep"):
        simulate(np.zeros((4, 4)), dx=2.0, until=1.0, initial_level=2100.0)
