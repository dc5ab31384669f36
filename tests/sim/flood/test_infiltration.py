"""Infiltration laws against their closed forms, for any length of step and any number format of the water."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.sim.flood.infiltration import Constant, CurveNumber, GreenAmpt, Horton, Infiltration
from cim.sim.flood.infiltration_kernels import green_ampt_advance

ROUND_OFF = 1e-12
"""Relative: a thousand steps, each good to a few 1e-16."""
MM_H = 1e-3 / 3600.0
LAWS: list[Any] = [GreenAmpt(10.9, 110.1, 0.25), Horton(76.2, 12.7, 4.14), Constant(7.5), CurveNumber(80.0)]


def run(law: Infiltration, *, standing: float, rain: float, time: float, steps: int, dtype: Any = np.float64) -> tuple[float, float]:
    """Return what one cell took, and the water left on it [m]; the cell is closed, the rain steady [m/s]."""
    depth = np.full((2, 3), standing, dtype)
    state, taken, dt = law.start(depth.shape), 0.0, time / steps
    for index in range(steps):
        depth += dtype(rain * dt)
        taken += law.step(depth, state, index * dt, dt, rain * dt, None)
    return taken / depth.size, float(depth[0, 0])


def green_ampt_time(f: float, law: GreenAmpt, since: float = 0.0) -> float:
    """Return the time in which ponded F grows from `since` to f: the closed form, solved for t."""
    k, s = float(np.asarray(law.conductivity)) * MM_H, float(np.asarray(law.suction)) * 1e-3 * float(np.asarray(law.deficit))
    return (f - since - s * math.log((f + s) / (since + s))) / k


@pytest.mark.parametrize("steps", [1, 7, 1000])
def test_green_ampt_under_ponding_meets_its_implicit_form_for_any_step(steps: int) -> None:
    law = GreenAmpt(10.9, 110.1, 0.25)
    taken, _ = run(law, standing=5.0, rain=0.0, time=7200.0, steps=steps)
    assert green_ampt_time(taken, law) == pytest.approx(7200.0, rel=ROUND_OFF)


@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_green_ampt_ponds_when_mein_and_larson_say(steps: int) -> None:
    law, rain = GreenAmpt(10.9, 110.1, 0.25), 40.0 * MM_H
    k, s = 10.9 * MM_H, 0.1101 * 0.25
    ponding_depth = k * s / (rain - k)  # Mein & Larson 1973: F = S / (i / K - 1)
    ponding_time = ponding_depth / rain
    dry, left = run(law, standing=0.0, rain=rain, time=ponding_time * 0.999999, steps=steps)
    assert left <= 1e-15
    assert dry == pytest.approx(rain * ponding_time * 0.999999, rel=ROUND_OFF)
    taken, left = run(law, standing=0.0, rain=rain, time=7200.0, steps=steps)
    assert ponding_time + green_ampt_time(taken, law, ponding_depth) == pytest.approx(7200.0, rel=ROUND_OFF)
    assert taken + left == pytest.approx(rain * 7200.0, rel=ROUND_OFF)


def test_green_ampt_takes_all_of_a_rain_weaker_than_the_soil() -> None:
    taken, left = run(GreenAmpt(10.9, 110.1, 0.25), standing=0.0, rain=10.0 * MM_H, time=86400.0, steps=50)
    assert taken == pytest.approx(0.24, rel=ROUND_OFF)
    assert left <= 1e-15


def test_green_ampt_of_a_soil_without_suction_is_the_conductivity() -> None:
    taken, _ = run(GreenAmpt(36.0, 0.0, 0.3), standing=1.0, rain=0.0, time=3600.0, steps=10)
    assert taken == pytest.approx(0.036, rel=ROUND_OFF)


@given(
    infiltrated=st.floats(0.0, 10.0),
    front=st.floats(1e-6, 1.0),
    conducted=st.floats(1e-14, 10.0),
)
def test_the_green_ampt_step_solves_its_equation(infiltrated: float, front: float, conducted: float) -> None:
    y = green_ampt_advance(infiltrated, front, conducted)
    # The equation loses figures where y is small against the front; the bound is its own round-off.
    back = y - front * math.log1p(y / (infiltrated + front))
    assert back == pytest.approx(conducted, rel=1e-12, abs=4e-16 * (y + front * y / (infiltrated + front)))


def horton_depth(t: float, f0: float, fc: float, k: float) -> float:
    """Return the integral of the capacity [m] of rates [m/s]."""
    return fc * t + (f0 - fc) / k * -math.expm1(-k * t)


@pytest.mark.parametrize("steps", [1, 7, 1000])
def test_horton_under_ponding_meets_its_integral_for_any_step(steps: int) -> None:
    taken, _ = run(Horton(76.2, 12.7, 4.14), standing=5.0, rain=0.0, time=7200.0, steps=steps)
    assert taken == pytest.approx(horton_depth(7200.0, 76.2 * MM_H, 12.7 * MM_H, 4.14 / 3600.0), rel=ROUND_OFF)


@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
def test_horton_with_weak_rain_first_moves_its_clock_by_what_was_taken(steps: int) -> None:
    f0, fc, k, rain = 76.2 * MM_H, 12.7 * MM_H, 4.14 / 3600.0, 30.0 * MM_H
    clock = -math.log((rain - fc) / (f0 - fc)) / k  # capacity = rain
    ponding_time = horton_depth(clock, f0, fc, k) / rain
    taken, left = run(Horton(76.2, 12.7, 4.14), standing=0.0, rain=rain, time=7200.0, steps=steps)
    assert taken == pytest.approx(horton_depth(clock + 7200.0 - ponding_time, f0, fc, k), rel=ROUND_OFF)
    assert taken + left == pytest.approx(rain * 7200.0, rel=ROUND_OFF)


@pytest.mark.parametrize("law", [Horton(76.2, 12.7, 4.14), Horton(76.2, 0.0, 4.14), Horton(20.0, 20.0, 1.0)])
def test_horton_takes_what_is_there_and_no_more(law: Horton) -> None:
    taken, left = run(law, standing=0.0, rain=5.0 * MM_H, time=600.0, steps=13)
    assert taken == pytest.approx(5.0 * MM_H * 600.0, rel=ROUND_OFF)
    assert left == pytest.approx(0.0, abs=1e-17)


@pytest.mark.parametrize(("cn", "rain_mm"), [(60.0, 150.0), (80.0, 100.0), (98.0, 20.0), (80.0, 10.0), (100.0, 50.0)])
def test_the_curve_number_loses_what_the_equation_of_the_scs_says(cn: float, rain_mm: float) -> None:
    retention = 25400.0 / cn - 254.0
    initial = 0.2 * retention
    runoff = (rain_mm - initial) ** 2 / (rain_mm - initial + retention) if rain_mm > initial else 0.0
    taken, left = run(CurveNumber(cn), standing=0.0, rain=rain_mm * 1e-3 / 3600.0, time=3600.0, steps=60)
    assert left * 1e3 == pytest.approx(runoff, abs=1e-10)  # mm; retention by the rounded 254 and the exact 25.4 agree to the digit
    assert (taken + left) * 1e3 == pytest.approx(rain_mm, rel=ROUND_OFF)


def test_the_curve_number_takes_later_what_had_flowed_away() -> None:
    law, depth = CurveNumber(60.0), np.zeros((1, 1))
    state = law.start(depth.shape)
    assert law.step(depth, state, 0.0, 60.0, 0.01) == 0.0
    depth[0, 0] = 0.05
    assert law.step(depth, state, 60.0, 60.0, 0.0) == pytest.approx(0.01, rel=ROUND_OFF)


def test_a_constant_rate_takes_its_rate_and_stops_when_dry() -> None:
    assert run(Constant(36.0), standing=1.0, rain=0.0, time=3600.0, steps=7)[0] == pytest.approx(0.036, rel=ROUND_OFF)
    taken, left = run(Constant(36.0), standing=0.01, rain=0.0, time=3600.0, steps=7)
    assert taken == pytest.approx(0.01, rel=ROUND_OFF)
    assert left == 0.0


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_float32_water_loses_what_the_law_takes_even_in_steps_below_its_digits(law: Infiltration) -> None:
    # A step of 5 ms takes 1e-8 m and less; one digit of a float32 depth of 3 m is 2.4e-7 m.
    rain = 20.0 * MM_H
    exact, _ = run(law, standing=3.0, rain=rain, time=60.0, steps=1)
    depth = np.full((2, 3), 3.0, np.float32)
    state, taken = law.start(depth.shape), 0.0
    for index in range(12_000):
        taken += law.step(depth, state, index * 5e-3, 5e-3, rain * 5e-3, None)
    assert taken / depth.size == pytest.approx(exact, abs=2.4e-7)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_returned_is_what_the_water_lost_as_stored(law: Infiltration, dtype: Any) -> None:
    rng = np.random.default_rng(5)
    field = rng.gamma(0.5, 0.02, (40, 60)).astype(dtype)
    field[rng.random(field.shape) < 0.2] = 0.0
    depth = np.zeros((44, 64), dtype)[2:-2, 2:-2]  # rows with a halo: not contiguous
    depth[:] = field
    active = rng.random(field.shape) < 0.9
    depth[~active] = np.nan
    rain = rng.gamma(0.5, 1e-4, field.shape)
    state, taken = law.start(field.shape), 0.0
    for index in range(5):
        before = depth.copy()
        taken = law.step(depth, state, index * 30.0, 30.0, rain, active)
        lost = before[active].astype(np.float64) - depth[active].astype(np.float64)
        assert taken == pytest.approx(math.fsum(lost), rel=1e-14)  # the order of summation
        assert (depth[active] >= 0.0).all()
        assert (lost >= 0.0).all()
        assert np.isnan(depth[~active]).all()
    assert taken > 0.0


@pytest.mark.parametrize("law", LAWS, ids=lambda law: type(law).__name__)
def test_one_and_two_threads_give_the_same_bits(law: Infiltration) -> None:
    import numba

    rng = np.random.default_rng(6)
    field, results, most = rng.gamma(0.5, 0.02, (64, 50)), [], numba.get_num_threads()
    try:
        for threads in {1, min(2, numba.config.NUMBA_NUM_THREADS)}:
            numba.set_num_threads(threads)
            depth, state = field.copy(), law.start(field.shape)
            taken = [law.step(depth, state, 0.0, 10.0, 1e-5, None) for _ in range(4)]
            results.append((taken, depth.tobytes(), *(part.tobytes() for part in state.values())))
    finally:
        numba.set_num_threads(most)
    assert all(one == results[0] for one in results)


def test_parameters_may_differ_by_cell() -> None:
    rate = np.array([[0.0, 10.0], [20.0, 40.0]])
    depth, flat = np.ones((2, 2)), Constant(rate)
    flat.step(depth, flat.start((2, 2)), 0.0, 3600.0)
    np.testing.assert_allclose(1.0 - depth, rate * 1e-3, atol=1e-15)
    for law, single in (
        (Horton(rate + 1.0, rate, 3.0), lambda r: Horton(r + 1.0, r, 3.0)),
        (GreenAmpt(rate, 100.0, 0.3), lambda r: GreenAmpt(r, 100.0, 0.3)),
    ):
        depth = np.ones((2, 2))
        law.step(depth, law.start((2, 2)), 0.0, 600.0)
        for row, column in itertools.product(range(2), range(2)):
            alone, one = np.ones((1, 1)), single(rate[row, column])
            one.step(alone, one.start((1, 1)), 0.0, 600.0)
            assert depth[row, column] == alone[0, 0]


@settings(max_examples=60)
@given(
    law=st.sampled_from(LAWS[:3]),
    standing=st.floats(0.0, 0.05),
    rain=st.floats(0.0, 200.0),
    time=st.floats(1.0, 7200.0),
    steps=st.integers(2, 40),
)
def test_no_law_depends_on_the_length_of_its_steps(law: Infiltration, standing: float, rain: float, time: float, steps: int) -> None:
    once, left = run(law, standing=standing, rain=rain * MM_H, time=time, steps=1)
    often, left_often = run(law, standing=standing, rain=rain * MM_H, time=time, steps=steps)
    if isinstance(law, Constant):  # runs dry inside a step: the rain that falls afterwards is bounded by the rate too
        assert once >= often - 1e-15
        return
    assert often == pytest.approx(once, rel=1e-9, abs=1e-14)
    assert left_often == pytest.approx(left, rel=1e-9, abs=1e-13)


def test_every_fault_of_a_law_is_named() -> None:
    assert GreenAmpt(10.9, 110.1, 0.25).faults((3, 4)) == []
    assert Horton(76.2, 12.7, 4.14).faults((3, 4)) == []
    found = GreenAmpt(3e-6, 0.11, 25.0).faults((3, 4))
    assert [one.split(": ")[1].split(" is ")[0] for one in found] == [
        f"Green-Ampt {name}" for name in ("conductivity", "suction", "deficit")
    ]
    assert "given in m/s?" in found[0]
    assert "given in m?" in found[1]
    assert "given in %?" in found[2]
    assert "is -1 to -1 mm/h; expected 0 to 5000" in Constant(-1.0).faults((3, 4))[0]
    assert "missing in 1 of 12 cells" in Constant(np.where(np.arange(12).reshape(3, 4) == 5, np.nan, 1.0)).faults((3, 4))[0]
    assert "shape (2, 2); expected one number or the shape of the grid, (3, 4)" in Constant(np.ones((2, 2))).faults((3, 4))[0]
    assert "fc is above f0 in 1 cells" in Horton(10.0, 20.0, 2.0).faults((3, 4))[0]
    assert "multiply by 100" in CurveNumber(0.8).faults((3, 4))[0]
    assert "Horton k is 0 to 0 1/h" in Horton(10.0, 2.0, 0.0).faults((3, 4))[0]


def test_a_parameter_in_one_row_is_refused() -> None:
    with pytest.raises(UsageError, match=r"shape \(3,\); expected one number"):
        Constant(np.ones(3)).step(np.ones((2, 3)), Constant(1.0).start((2, 3)), 0.0, 1.0)
