"""Counts bring the trips nearer to those that made them, on roads that were not counted too, and what they cannot tell is told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest

from cim.errors import UsageError
from cim.loaders.sumo import closed_to, read_network
from cim.model.road_network import ODMatrix, RoadNetwork
from cim.sim.traffic import assign
from cim.sim.traffic.estimation import Estimate, Spread, estimate, geh
from tests.sim.traffic.counted import draw, fringe_trips, off
from tests.sim.traffic.networks import ANAHEIM, CHICAGO, trips

HELD_BACK = 0.75
"""Share of the counts held back with a GEH below 5, mean of five draws; the issue asks for it."""
TOTAL = 0.03
"""Relative error of all trips, in each draw (the issue)."""
NEARER = 0.20
"""By how much the trips of origins come nearer to the true ones, mean of five draws (the issue)."""


@pytest.fixture(scope="module")
def traffic(shared_data: Callable[..., Path]) -> Path:
    return shared_data("traffic")


def cross() -> RoadNetwork:
    """Return four zones joined to one junction, roads without congestion."""
    ends = [(k, 4) for k in range(4)] + [(4, k) for k in range(4)]
    tail, head = np.array(ends).T
    return RoadNetwork.of([*"abcd", "x"], tail, head, free_flow_time=60.0, capacity=1000.0, b=0.0, through=[False] * 4 + [True])


def counted(names: list[str], flow: list[float]) -> pa.Table:
    return pa.table({"link": names, "flow": flow})


def slow_likely(shares: np.ndarray, q: np.ndarray, spread: Spread, ends: np.ndarray, counts: np.ndarray, count_geh: float) -> np.ndarray:
    """Return the most likely trips by a general minimiser over all pairs, with the covariance written out cell by cell."""
    from scipy.optimize import minimize

    cells = range(len(q))
    covariance = np.array([[spread.total**2 + spread.origin**2 * (ends[0][i] == ends[0][j]) + spread.destination**2
                            * (ends[1][i] == ends[1][j]) + spread.cell**2 * (i == j) for j in cells] for i in cells])  # fmt: skip
    inverse, variance = np.linalg.inv(covariance), count_geh**2 * np.maximum(counts, 1.0)

    def cost(x: np.ndarray) -> float:
        return float(x @ inverse @ x + ((counts - shares @ (q * np.exp(x))) ** 2 / variance).sum())

    return np.asarray(q * np.exp(minimize(cost, np.zeros(len(q)), method="BFGS", options={"gtol": 1e-9, "maxiter": 5000}).x))


@pytest.mark.filterwarnings("ignore:Desired error not necessarily achieved")
def test_the_estimate_is_the_most_likely_one_by_a_slow_minimiser() -> None:
    pairs = [(a, z) for a in range(4) for z in range(4) if a != z]
    q = np.random.default_rng(2).uniform(50, 300, len(pairs))
    ends = np.array(pairs).T
    names, flow = ["a-x", "b-x", "x-c", "x-d"], np.array([500.0, 350.0, 900.0, 420.0])
    shares = np.array([ends[0] == 0, ends[0] == 1, ends[1] == 2, ends[1] == 3], float)
    spread = Spread(0.2, 0.3, 0.1, 0.4)
    found = estimate(cross(), ODMatrix(ends[0], ends[1], q), counted(names, flow.tolist()), held_back=0.0, spread=spread, count_geh=2.0)
    expected = slow_likely(shares, q, spread, ends, flow, 2.0)
    assert np.allclose(found.matrix.trips, expected, rtol=2e-3)  # steps end when they gain less than 1e-4 of the cost
    assert "no count was held back" in "\n".join(found.notes)


def test_counts_that_say_what_is_known_change_nothing() -> None:
    demand = trips((0, 1, 100.0), (1, 2, 50.0), (2, 3, 70.0), (3, 3, 5.0))
    counts = counted(["a-x", "x-c", "x-d", "x-a"], [100.0, 50.0, 70.0, 0.0])
    found = estimate(cross(), demand, counts, held_back=[False, False, True, False])
    assert any(one.startswith("1 counted links lie on no way") and one.endswith("change nothing: 'x-a'") for one in found.notes)
    assert found.matrix.trips.tolist() == pytest.approx([100.0, 50.0, 70.0, 5.0])
    assert found.held_back.counts == 1
    assert found.held_back.good == 1.0


def test_a_count_of_every_link_at_half_halves_all_trips_those_within_zones_too() -> None:
    demand = trips((0, 1, 100.0), (1, 2, 50.0), (2, 3, 70.0), (3, 0, 40.0), (3, 3, 8.0))
    flow = assign(cross(), demand).flow
    found = estimate(cross(), demand, counted(cross().links["id"].to_pylist(), (flow / 2).tolist()), held_back=0.0,
                     spread=Spread(1.0, 0.0, 0.0, 1e-3), count_geh=0.01)  # fmt: skip
    assert found.matrix.trips == pytest.approx([50.0, 25.0, 35.0, 20.0, 4.0], rel=1e-3)
    assert found.left_open["total"] < 1e-3


def test_variance_that_counts_leave_is_that_of_the_written_out_covariance() -> None:
    pairs = [(a, z) for a in range(4) for z in range(4) if a != z]
    ends, q = np.array(pairs).T, np.random.default_rng(2).uniform(50, 300, 12)
    spread, flow = Spread(0.2, 0.3, 0.1, 0.4), np.array([q[ends[0] == 0].sum(), q[ends[1] == 2].sum()])
    found = estimate(cross(), ODMatrix(ends[0], ends[1], q), counted(["a-x", "x-c"], flow.tolist()), held_back=0.0, spread=spread)
    same = (ends[0][:, None] == ends[0], ends[1][:, None] == ends[1])
    before = spread.total**2 + spread.origin**2 * same[0] + spread.destination**2 * same[1] + spread.cell**2 * np.eye(12)
    slope = np.array([ends[0] == 0, ends[1] == 2]) * q
    after = before - before @ slope.T @ np.linalg.inv(slope @ before @ slope.T + np.diag(flow)) @ slope @ before
    whole = q / q.sum()
    assert found.left_open["total"] == pytest.approx((whole @ after @ whole) / (whole @ before @ whole), rel=1e-6)
    of_origin = (ends[0] == np.arange(4)[:, None]) * q
    of_origin /= of_origin.sum(1, keepdims=True)
    expected = np.median(np.diag(of_origin @ after @ of_origin.T) / np.diag(of_origin @ before @ of_origin.T))
    assert found.left_open["origins"] == pytest.approx(expected, rel=1e-6)
    assert found.left_open["pairs"] == pytest.approx(np.mean(np.diag(after) / np.diag(before)), rel=1e-6)


def test_a_count_of_a_road_is_that_of_its_lanes_side_by_side() -> None:
    lanes = RoadNetwork.of(["a", "b"], [0, 0], [1, 1], ids=["l0", "l1"], objects=["road", "road"], free_flow_time=60.0, capacity=500.0)
    found = estimate(lanes, trips((0, 1, 300.0)), counted(["road"], [600.0]), held_back=0.0, count_geh=0.1, spread=Spread(1, 1, 1, 1))
    assert found.matrix.total == pytest.approx(600.0, rel=1e-3)


def test_faults_are_told_together() -> None:
    two = RoadNetwork.of(["a", "b", "c"], [0, 1], [1, 2], ids=["l0", "l1"], objects=["road", "road"], free_flow_time=60.0, capacity=500.0)
    said = ("7 faults", "1 counts name no link", "1 counts name a road of several links .first: 'road'.; name the link: 'l0', 'l1'",
            "2 counts are negative", "2 links are counted twice",
            "held_back=1.0", "all counts are held back", "count_geh is 0")  # fmt: skip
    with pytest.raises(UsageError, match="(?s)" + ".*".join(said)):
        estimate(two, trips((0, 2, 5.0)), counted(["l0", "l0", "nowhere", "road"], [1.0, 2.0, -1.0, np.nan]), held_back=1.0, count_geh=0.0)
    with pytest.raises(UsageError, match="no column 'flow'"):
        estimate(two, trips((0, 2, 5.0)), pa.table({"link": ["l0"]}))
    with pytest.raises(UsageError, match="all counts are held back"):
        estimate(two, trips((0, 2, 5.0)), counted(["l0"], [5.0]), held_back=[True])
    with pytest.raises(UsageError, match="the trips known beforehand are none"):
        estimate(two, trips((0, 0, 5.0)), counted(["l0"], [5.0]), held_back=0.0)
    with pytest.raises(UsageError, match="there are no counts"):
        estimate(two, trips((0, 2, 5.0)), counted([], []))
    with pytest.raises(UsageError, match="the trips cannot change"):
        estimate(two, trips((0, 2, 5.0)), counted(["l0"], [5.0]), held_back=0.0, spread=Spread(0.0, 0.0, 0.0, 0.0))


def test_geh_is_the_published_formula() -> None:
    assert geh([1200.0], [1000.0])[0] == pytest.approx((2 * 200**2 / 2200) ** 0.5)
    assert geh([0.0], [0.0])[0] == 0.0


def test_trips_of_a_town_come_nearer_to_the_true_ones(traffic: Path) -> None:
    network, true = ANAHEIM.read(traffic)
    given = draw(network, true, assign(network, true).flow, 0)
    found = estimate(network, given.prior, given.counts, held_back=given.held, assignments=2)
    assert found.held_back.good > found.held_back_before.good
    assert found.used.good > 0.9  # a fit, no proof: these counts were used
    assert abs(found.matrix.total / true.total - 1) < TOTAL < abs(given.prior.total / true.total - 1)
    assert off(found.matrix, true) < (1 - NEARER) * off(given.prior, true)
    assert any("under-determined" in one for one in found.notes)
    assert any("single pairs are not recovered" in one for one in found.notes)


def test_eighteen_counts_of_wildau_give_an_estimate_that_says_how_little_it_knows(traffic: Path) -> None:
    folder = traffic / "sumo_wildau_counts"
    lanes = read_network(folder / "net.net.xml.gz")
    network = lanes.without(lanes.rows_of([one for ids, _ in closed_to(lanes, ["car"]) for one in ids]))
    edges = list(ElementTree.parse(folder / "edgedata-file_Wildau.xml").iter("edge"))
    counts = counted([one.attrib["id"] for one in edges], [float(one.attrib["entered"]) for one in edges])
    assert counts.num_rows == 18
    guess = fringe_trips(network, 100.0, 0.8)  # nobody knows the trips: as many at every end of the town, spread accordingly wide
    found = estimate(network, guess, counts, spread=Spread(1.0, 0.7, 0.7, 1.0))
    assert found.notes[0].startswith(f"14 counts for {len(guess.trips)} pairs of zones: under-determined")
    assert any("of 4 counts held back" in one for one in found.notes)
    assert found.used.good == 1.0  # so few counts can always be met: this says nothing
    assert found.left_open["pairs"] > 0.3
    assert np.isfinite(found.matrix.trips).all()


@pytest.mark.heavy
def test_five_draws_of_chicago_meet_the_bars(traffic: Path) -> None:
    network, true = CHICAGO.read(traffic)
    flow = assign(network, true).flow

    def one(seed: int) -> tuple[Estimate, float, float]:
        given = draw(network, true, flow, seed)
        found = estimate(network, given.prior, given.counts, held_back=given.held)
        return found, found.matrix.total / true.total - 1, 1 - off(found.matrix, true) / off(given.prior, true)

    draws = [one(seed) for seed in range(5)]
    assert np.mean([found.held_back_before.good for found, _, _ in draws]) < 0.5  # the task is not an easy one
    assert np.mean([found.held_back.good for found, _, _ in draws]) >= HELD_BACK
    assert max(abs(total) for _, total, _ in draws) <= TOTAL
    assert np.mean([nearer for _, _, nearer in draws]) >= NEARER


def test_a_count_that_no_road_can_carry_is_told_with_its_link() -> None:
    demand = trips((0, 1, 100.0), (1, 2, 50.0), (2, 3, 70.0))
    names = ["a-x", "x-c", "x-d", "b-x", "c-x", "d-x", "x-a", "x-b"]
    flow = [1200.0, 1201.0, *[2000.0] * 5, 10.0]  # each link carries 1,000
    told = [one for one in estimate(cross(), demand, counted(names, flow), held_back=0.0).notes if "capacity" in one]
    assert len(told) == 1
    assert "6 counts are more than 1.2 times the capacity of their links, and are used nevertheless: 'x-c' 1,201 of 1,000 veh/h" in told[0]
    assert told[0].count("2,000 of 1,000") == 4  # the first five are named
    sane = estimate(cross(), demand, counted(names[:1], [1200.0]), held_back=0.0)
    assert not any("capacity" in one for one in sane.notes)


def test_lanes_side_by_side_carry_a_count_together() -> None:
    road = RoadNetwork.of(["a", "b"], [0, 0], [1, 1], ids=["one", "two"], objects=["r", "r"], free_flow_time=60.0, capacity=1000.0)
    for flow, many in ((2400.0, 0), (2401.0, 1)):
        found = estimate(road, trips((0, 1, 100.0)), counted(["r"], [flow]), held_back=0.0)
        assert sum("more than 1.2 times" in one for one in found.notes) == many
