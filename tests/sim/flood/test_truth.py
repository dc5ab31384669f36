"""The truth itself: the exact solutions obey the laws they come from, agree with SWASHES, and the cases turn without changing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sim.flood import cases, exact, measures, published, references

Finder = Callable[..., Path]
DEPTH = st.floats(0.01, 20.0)
SPEED = st.floats(-6.0, 6.0)
S = np.linspace(-60.0, 60.0, 240_001)


def integral(values: exact.Reals) -> float:
    return float(np.trapezoid(values, S))


@given(DEPTH, SPEED, DEPTH, SPEED)
def test_a_riemann_solution_keeps_mass_and_momentum(hl: float, ul: float, hr: float, ur: float) -> None:
    h, u = exact.riemann(S, (hl, ul), (hr, ur))
    g, far = exact.GRAVITY, 60.0
    at_rest = {"mass": (hl + hr) * far, "momentum": (hl * ul + hr * ur) * far}
    came = {"mass": hl * ul - hr * ur, "momentum": hl * ul**2 + g * hl**2 / 2 - hr * ur**2 - g * hr**2 / 2}
    size = max(hl, hr) * 60.0
    assert integral(h) == pytest.approx(at_rest["mass"] + came["mass"], abs=1e-4 * size)  # jumps fall between points 5e-4 apart
    assert integral(h * u) == pytest.approx(at_rest["momentum"] + came["momentum"], abs=1e-3 * size * 20)


@given(DEPTH, SPEED, DEPTH, SPEED)
def test_a_riemann_solution_seen_in_a_mirror_is_the_mirrored_solution(hl: float, ul: float, hr: float, ur: float) -> None:
    s = np.linspace(-30, 30, 1001) + 0.0137  # off every front
    h, u = exact.riemann(s, (hl, ul), (hr, ur))
    other_h, other_u = exact.riemann(-s, (hr, -ur), (hl, -ul))
    near_front = np.abs(np.diff(h, prepend=h[0])) + np.abs(np.diff(h, append=h[-1])) > 1e-3
    assert np.allclose(h[~near_front], other_h[~near_front], atol=1e-6)
    assert np.allclose(u[~near_front & (h > 1e-9)], -other_u[~near_front & (h > 1e-9)], atol=1e-6)


@given(st.floats(0.5, 10.0), st.floats(0.01, 0.95))
def test_the_front_of_a_dam_break_on_water_obeys_rankine_and_hugoniot(upstream: float, share: float) -> None:
    still = upstream * share
    h, u = exact.middle_state((upstream, 0.0), (still, 0.0))
    speed = h * u / (h - still)
    push = exact.GRAVITY / 2 * (h**2 - still**2) + h * u**2
    assert push == pytest.approx(speed * h * u, rel=1e-9)
    assert u + 2 * np.sqrt(exact.GRAVITY * h) == pytest.approx(2 * np.sqrt(exact.GRAVITY * upstream), rel=1e-9)


def test_a_thin_layer_downstream_tends_to_the_dry_bed() -> None:
    x = np.linspace(-500, 500, 1001)
    dry = exact.dam_break(x, 30.0, 2.0, 0.0)[0]
    off = [measures.l1(exact.dam_break(x, 30.0, 2.0, film)[0], dry) for film in (1e-1, 1e-2, 1e-3, 1e-4)]
    assert off == sorted(off, reverse=True)
    assert off[-1] < 0.002  # a film of 0.1 mm holds back the tip


def test_two_streams_that_part_fast_leave_a_dry_gap() -> None:
    h, _ = exact.riemann(np.array([-20.0, 0.0, 20.0]), (1.0, -10.0), (1.0, 10.0))
    assert h[1] == 0.0
    assert h[0] == h[2] > 0.0


@pytest.mark.parametrize("held", [0.4, 0.9, 1.1, 1.5, 3.0])
def test_what_a_held_stage_lets_in_is_what_the_channel_gains(held: float) -> None:
    x, t = np.linspace(0, 400, 400_001), 30.0
    h, u = exact.bore(x, t, held, 1.0)
    assert np.trapezoid(h - 1.0, x) == pytest.approx(h[0] * u[0] * t, rel=1e-3)  # one point of the front


def test_a_bore_from_a_discharge_carries_that_discharge() -> None:
    depth, velocity, speed = exact.bore_from_discharge(2.5, 1.0)
    assert depth * velocity == pytest.approx(2.5, rel=1e-12)
    assert speed * (depth - 1.0) == pytest.approx(2.5, rel=1e-12)


def test_rain_on_a_plane_is_either_gone_or_still_there() -> None:
    length, rain, slope, n = 100.0, 60e-3 / 3600, 0.05, 0.03
    end = exact.time_of_equilibrium(length, rain, slope, n)
    x = np.linspace(0, length, 200_001)
    stored = np.trapezoid(exact.kinematic_depth(x, rain, slope, n), x)
    assert rain * length * end - exact.kinematic_outflow_volume(end, length, rain, slope, n) == pytest.approx(stored, rel=1e-6)
    assert exact.kinematic_outflow(end, length, rain, slope, n) == pytest.approx(rain * length, rel=1e-12)
    times = np.linspace(0, 2 * end, 200_001)
    summed = np.trapezoid(exact.kinematic_outflow(times, length, rain, slope, n), times)
    assert exact.kinematic_outflow_volume(times[-1], length, rain, slope, n) == pytest.approx(summed, rel=1e-6)


def test_swinging_water_keeps_its_volume_and_returns() -> None:
    x = np.linspace(-2, 2, 4001)
    period = 2 * np.pi / np.sqrt(exact.GRAVITY)
    volumes = [exact.thacker_planar(x, share * period)[0].sum() for share in (0.0, 0.2, 0.5, 0.7)]
    assert np.ptp(volumes) < 1e-4 * volumes[0]  # cells at the shoreline
    assert np.allclose(exact.thacker_planar(x, 0.0)[0], exact.thacker_planar(x, period)[0], atol=1e-12)
    east, north = np.meshgrid(x[::10], x[::10])
    round_period = 2 * np.pi / np.sqrt(8 * exact.GRAVITY * 0.1)
    totals = [exact.thacker_radial(east, north, share * round_period)[0].sum() for share in (0.0, 0.3, 0.5, 1.0)]
    assert np.ptp(totals) < 1e-4 * totals[0]


def test_the_velocity_of_swinging_water_moves_its_middle() -> None:
    x, step = np.linspace(-2, 2, 400_001), 1e-5
    before, after = (exact.thacker_planar(x, 0.3 + way)[0] for way in (-step, step))
    _, u, _ = exact.thacker_planar(x, 0.3)
    moved = ((after * x).sum() - (before * x).sum()) / (2 * step * after.sum())
    assert moved == pytest.approx(u[u != 0][0], rel=1e-5)


@pytest.mark.parametrize(("q", "downstream", "transcritical"), [(4.42, 2.0, False), (1.53, None, True), (0.18, 0.33, True)])
def test_the_head_over_the_bump_changes_only_in_the_jump(q: float, downstream: float | None, transcritical: bool) -> None:  # noqa: FBT001
    x = np.linspace(0, 25, 2501)
    h = exact.bump_steady(x, q, downstream, transcritical=transcritical)
    head = exact.bump(x) + h + q**2 / (2 * exact.GRAVITY * h**2)
    drops = np.flatnonzero(np.abs(np.diff(head)) > 1e-9)
    assert drops.size == (1 if transcritical and downstream is not None else 0)
    assert (np.diff(head)[drops] < 0).all()


def test_a_channel_made_for_its_depth_balances_forces() -> None:
    x, q, n, rain = np.linspace(0, 1000, 2001), 1.0, 0.033, 0.001
    bed = exact.channel_bed(exact.long_channel_slow, x, length=1000.0, q=q, n=n, rain=rain)
    h, flow = exact.long_channel_slow(x), q + rain * x
    left = np.gradient(flow**2 / h + exact.GRAVITY * h**2 / 2, x)
    right = -exact.GRAVITY * h * np.gradient(bed, x) - exact.GRAVITY * n**2 * flow**2 / h ** (7 / 3)
    assert np.allclose(left[5:-5], right[5:-5], atol=2e-5)  # differences over 0.5 m


SWASHES_FORMS: dict[str, Callable[[exact.Reals], exact.Reals]] = {
    "bump_subcritical": lambda x: exact.bump_steady(x, 4.42, 2.0),
    "bump_transcritical_noshock": lambda x: exact.bump_steady(x, 1.53, None, transcritical=True),
    "bump_transcritical_shock": lambda x: exact.bump_steady(x, 0.18, 0.33, transcritical=True),
    "mcd_long_subcritical_manning": exact.long_channel_slow,
    "mcd_long_supercritical_manning": exact.long_channel_fast,
    "mcd_rain_subcritical_manning": exact.long_channel_slow,
    "mcd_undulating_periodic_manning": exact.undulating_channel,
    "ritter": lambda x: exact.dam_break(x - 5.0, 6.0, 0.005, 0.0)[0],
    "stoker": lambda x: exact.dam_break(x - 5.0, 6.0, 0.005, 0.001)[0],
    "thacker_planar_1d": lambda x: exact.thacker_planar(x - 2.0, 10.0303)[0],
}


@pytest.mark.data
@pytest.mark.parametrize("name", SWASHES_FORMS)
def test_the_closed_forms_agree_with_swashes(name: str, shared_data: Finder) -> None:
    table = np.loadtxt(shared_data("flood", "swashes", f"{name}.txt"))
    off = np.abs(SWASHES_FORMS[name](table[:, 0]) - table[:, 1])
    assert np.sort(off)[-2] < 1e-6  # its figures have seven digits; one cell beside a jump may fall on the other side


@pytest.mark.data
def test_the_round_bowl_and_the_beach_agree_with_swashes(shared_data: Finder) -> None:
    table = np.loadtxt(shared_data("flood", "swashes", "thacker_radial_2d.txt"))
    depth, u, _, bed = exact.thacker_radial(table[:, 0] - 2.0, table[:, 1] - 2.0, 6.72855)
    assert np.abs(depth - table[:, 2]).max() < 1e-6
    assert np.abs(bed - table[:, 6]).max() < 1e-6
    assert np.abs(u - table[:, 3]).max() < 1e-4  # its time is rounded, at a moment of rest
    edge = np.loadtxt(shared_data("flood", "swashes", "inclined_plane_transient_left_boundary.csv"), delimiter=",", skiprows=1)
    assert exact.beach_at_rest(np.array([0.025]))[0] == pytest.approx(edge[0, 1], abs=1e-6)


@pytest.mark.data
def test_every_swashes_file_is_a_case(shared_data: Finder) -> None:
    files = {path.stem for path in shared_data("flood", "swashes").glob("*.txt")} - {"SOURCE"}
    assert files == set(references.SWASHES)


@pytest.mark.data
def test_the_usable_marks_of_malpasset_lie_above_the_ground_and_the_models_miss_them_by_metres(shared_data: Finder) -> None:
    marks = published.malpasset_marks(shared_data("flood", "malpasset").parent)
    assert len(marks.names) == 12 + 9
    assert {name: round(measures.mae(levels, marks.level), 2) for name, levels in marks.models.items()} == {
        "Valiani et al.": 2.51,
        "TELEMAC": 2.57,
    }


@pytest.mark.data
def test_the_reservoir_of_malpasset_holds_about_50_million_cubic_metres(shared_data: Finder) -> None:
    case = published.malpasset(shared_data("flood", "malpasset").parent)
    assert isinstance(case.depth, np.ndarray)
    x = np.broadcast_to(case.x, case.elevation.shape)
    assert case.depth[x < 5000].sum() * case.dx**2 == pytest.approx(52e6, rel=0.06)  # 48 to 55 million m³ are quoted for its filling


@pytest.mark.parametrize("flow", ["east", "west", "south", "north"])
def test_a_turned_case_comes_back_as_it_was(flow: str) -> None:
    array = np.arange(24.0).reshape(2, 3, 4)
    assert np.array_equal(cases.turn_back(cases.turn(array, flow), flow), array)


def test_a_turned_case_runs_where_it_should() -> None:
    falls_east = cases.strip(np.array([3.0, 2.0, 1.0]))
    edge = cases.Edge("west", "inflow", discharge=1.0)
    expected = {"east": "west", "west": "east", "south": "north", "north": "south"}
    assert {flow: cases.turn_edge(edge, flow).side for flow in expected} == expected
    assert cases.turn(falls_east, "south")[:, 0].tolist() == [3.0, 2.0, 1.0]  # row 0 is the northern one
    assert cases.turn(falls_east, "north")[:, 0].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(("flow", "grid"), [("east", (2.0, 0.5)), ("west", (-2.0, 0.5)), ("south", (-0.5, -2.0)), ("north", (-0.5, 2.0))])
def test_velocities_come_back_along_the_description(flow: str, grid: tuple[float, float]) -> None:
    """Describe 2 m/s along x and 0.5 m/s along y (against the rows)."""
    shape = (3, 4) if flow in {"east", "west"} else (4, 3)
    u, v = cases.turn_velocity_back(np.full(shape, grid[0]), np.full(shape, grid[1]), flow)
    assert np.all(u == 2.0)
    assert np.all(v == 0.5)


def test_cells_near_a_jump_are_left_out() -> None:
    fast = np.zeros(20, bool)
    fast[5:10] = True
    assert np.flatnonzero(~measures.away_from_jump(fast)).tolist() == [7, 8, 9, 10, 11, 12]


def test_an_arrival_is_read_between_rows_and_judged_against_its_record() -> None:
    times, depth = np.array([0.0, 60.0, 120.0]), np.array([0.0, 0.01, 0.03])
    assert measures.first_time(times, depth, 0.02) == pytest.approx(90.0)
    assert np.isnan(measures.first_time(times, depth, 0.5))
    assert [published.arrival_off(found, 600.0) for found in (530.0, 541.0, 600.0, 650.0)] == [10.0, 0.0, 0.0, 50.0]


def test_the_success_index_counts_cells_deep_in_both_of_those_deep_in_either() -> None:
    assert measures.critical_success([0.0, 0.2, 0.3, 0.05], [0.2, 0.2, 0.1, 0.0], 0.1) == pytest.approx(2 / 3)
    assert measures.critical_success([0.0], [0.0], 0.1) == 1.0
