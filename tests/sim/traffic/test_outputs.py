from __future__ import annotations

import numpy as np
import pytest

from cim.model.road_network import ODMatrix, RoadNetwork
from cim.results import compare
from cim.sim.traffic.dynamic import DynamicRun, Fleet, LinkChange, load_fleet
from cim.sim.traffic.outputs import interval_table, loaded_links, origin_delay, total_delay, trip_table
from cim.sim.traffic.run_traffic import simulate


def chain(capacity: float = 900.0) -> RoadNetwork:
    """Return three roads one after the other: 30, 45 and 20 s, the last one a bottleneck."""
    return RoadNetwork.of(["a", "b", "c", "d"], [0, 1, 2], [1, 2, 3], free_flow_time=[30.0, 45.0, 20.0],
                          capacity=[1800.0, 1800.0, capacity], length=[500.0, 750.0, 300.0], objects=["r1", "r1", "r2"])  # fmt: skip


def loaded(network: RoadNetwork, many: int, spacing: float, until: float = 3600.0, changes: list[LinkChange] | None = None) -> DynamicRun:
    """Return a run of vehicles that set out at equal intervals [s] along the chain."""
    fleet = Fleet(np.asarray(np.arange(many) * spacing + 0.3, np.float64), np.zeros(many, np.int64), np.full(many, 3))
    return load_fleet(network, fleet, until=until, changes=changes or [])


def test_the_delay_on_roads_is_what_the_trips_took_beyond_empty_roads() -> None:
    network = chain()
    run = loaded(network, 300, 2.5)  # 1,440 veh/h into 900
    on_roads = float((run.arrival - run.started - 95.0).sum())
    assert on_roads > 30_000
    assert total_delay(run) == pytest.approx(on_roads, rel=1e-6)  # all arrived: exact but for the sums' rounding
    rows = interval_table(network, run, 300.0).to_pylist()
    assert sum(one["delay"] for one in rows) == pytest.approx(on_roads, rel=0.002)  # a negative remainder of an interval counts as none


def test_empty_roads_show_no_delay() -> None:
    network = chain()
    run = loaded(network, 40, 41.7)
    assert abs(total_delay(run)) < 1e-6 * 40 * 95.0
    table = loaded_links(network, run, np.zeros(3, bool), 300.0)
    assert table["travel_time"].to_pylist() == pytest.approx([30.0, 45.0, 20.0], rel=1e-6)


def test_the_queue_of_a_bottleneck_is_what_came_less_what_passed() -> None:
    network = chain()
    run = loaded(network, 300, 2.5)
    rows = {(one["link"], one["time"]): one for one in interval_table(network, run, 60.0).to_pylist()}
    # entered at 0.4 veh/s from the first arrival on, left at 0.25: fluid, so within two vehicles
    for minute in (240.0, 480.0):
        queue = sum(rows[link, minute]["queue"] for link in ("a-b", "b-c", "c-d") if (link, minute) in rows)
        # a few on the last road wait for their headway at its end
        assert queue == pytest.approx((0.4 - 0.25) * (minute + 60.0 - 75.0), abs=4.0)


def test_the_queue_is_what_entered_a_free_time_ago_less_what_left() -> None:
    network = chain()
    fleet = Fleet(np.linspace(0.3, 747.8, 300), np.zeros(300, np.int64), np.full(300, 3))
    run = load_fleet(network, fleet, until=2400.0, sample_every=0.5)
    free = network.column("free_flow_time")
    assert run.queue.max() > 50
    for k in range(200, len(run.times), 97):
        then = np.searchsorted(run.times, run.times[k] - free)
        cumulative = run.entered[then, np.arange(3)] - run.left[k]
        assert np.abs(run.queue[k] - cumulative).max() <= 1  # who passes in the half second between two counts


def test_the_greatest_flow_of_an_interval_stands_beside_the_mean_of_the_run() -> None:
    run = loaded(chain(), 90, 20.0, until=7000.0)  # 180 veh/h for half an hour, then nothing
    rows = loaded_links(chain(), run, np.zeros(3, bool), 600.0).to_pylist()
    assert [one["peak_flow"] for one in rows] == [180.0, 180.0, 180.0]
    assert rows[0]["flow"] == pytest.approx(90 / 7000.0 * 3600.0)
    assert [one["peak_time"] for one in rows] == [600.0, 600.0, 600.0]  # the first one begins with empty roads
    nobody = loaded(chain(), 1, 1.0, until=90.0)  # it is still on the last road
    last = loaded_links(chain(), nobody, np.zeros(3, bool), 600.0).to_pylist()[2]
    assert (last["peak_flow"], last["peak_time"]) == (0.0, None)
    tail = loaded(chain(), 4, 300.0, until=1030.0)  # the fourth crosses the end of the last road in a remainder of 130 s
    assert loaded_links(chain(), tail, np.zeros(3, bool), 300.0)["peak_flow"].to_pylist() == [12.0, 12.0, 12.0]


def test_the_balance_counts_whom_the_figures_call_stranded() -> None:
    result = simulate(chain(), demand=ODMatrix(np.array([0]), np.array([3]), np.array([600.0])), until="2h", closed=("r2",),
                      behaviour="unaware")  # fmt: skip
    told = {one["figure"]: one["value"] for one in result.tables["figures"].to_pylist()}
    balance = result.run.balance
    assert balance["stranded"] == told["stranded"] > 0
    assert balance["travelling"] + balance["waiting"] == told["not there yet at the end"]
    assert balance["unaccounted"] == 0


def test_every_vehicle_is_in_the_table_of_trips() -> None:
    network = chain()
    run = loaded(network, 50, 10.0, changes=[LinkChange(200.0, ["r2"], closed=True)])
    table = trip_table(run)
    assert sum(table["vehicles"].to_pylist()) == 50
    assert "arrived" in table["cause"].to_pylist()
    assert len(table) > 1


def test_a_run_on_a_network_counts_every_vehicle_and_says_what_it_took_for_granted() -> None:
    result = simulate(chain(), demand=ODMatrix(np.array([0]), np.array([3]), np.array([1200.0])), until="90min", closed=())
    balance = result.run.balance
    assert balance["unaccounted"] == 0.0
    assert balance["vehicles"] == balance["arrived"] + balance["travelling"] + balance["waiting"] + balance["stranded"] == 1200.0
    told = {one["figure"]: one["value"] for one in result.tables["figures"].to_pylist()}
    assert told["arrived"] == 1200.0
    assert told["stranded"] == 0.0
    assert result.run.seed == 1


def test_an_equilibrium_says_what_its_gap_leaves_open_and_a_comparison_paints_no_ghosts() -> None:
    two = RoadNetwork.of(["a", "b"], [0, 0], [1, 1], ids=["long", "short"], free_flow_time=[90.0, 60.0], capacity=1000.0, b=1.0,
                         power=1.0, length=1000.0)  # fmt: skip
    trips = ODMatrix(np.array([0]), np.array([1]), np.array([1000.0]))
    runs = [simulate(two, demand=trips, method="equilibrium", gap=gap) for gap in (1e-4, 1e-9)]
    flows = [dict(zip(run.tables["links"]["link"].to_pylist(), run.tables["links"]["flow"].to_pylist(), strict=True)) for run in runs]
    assert flows[1] == pytest.approx({"long": 200.0, "short": 800.0}, abs=1e-3)
    found = compare(*runs).table("links")
    assert found["change"].to_pylist() == ["same", "same"]
    assert "flow_noise" in found.column_names


def test_faults_of_parameters_network_and_trips_are_told_at_once() -> None:
    from cim.errors import UsageError

    with pytest.raises(UsageError, match="gap") as caught:
        simulate(chain(), demand=ODMatrix(np.array([0]), np.array([3]), np.array([10.0])), gap=-1.0, until="nonsense")
    assert "2 faults" in str(caught.value)
    with pytest.raises(UsageError, match="no link and no road has the id 'r9'"):
        simulate(chain(), demand=ODMatrix(np.array([0]), np.array([3]), np.array([10.0])), closed=("r9",))
    with pytest.raises(UsageError, match="no trips"):
        simulate(chain(), demand=ODMatrix(np.array([0]), np.array([3]), np.array([0.0])))
    with pytest.raises(UsageError, match="without a city"):
        simulate(chain())


def test_flow_that_the_equilibrium_does_not_settle_is_painted_as_no_difference() -> None:
    two = RoadNetwork.of(["a", "b"], [0, 0, 1], [1, 1, 0], ids=["one", "other", "back"], free_flow_time=60.0, capacity=1000.0, b=0.0,
                         length=1000.0)  # fmt: skip
    trips = ODMatrix(np.array([0]), np.array([1]), np.array([1000.0]))
    base = simulate(two, demand=trips, method="equilibrium").tables["links"]
    assert base["settled"].to_pylist() == [False, False, False]
    assert sum(base["flow"].to_pylist()) == 1000.0
    noise = base["flow_noise"].to_pylist()
    assert all(off >= flow for off, flow in zip(noise, base["flow"].to_pylist(), strict=True))


def test_an_end_before_the_start_is_refused_with_the_other_faults() -> None:
    from cim.errors import UsageError

    trips = ODMatrix(np.array([0]), np.array([3]), np.array([10.0]))
    with pytest.raises(UsageError, match="2 faults") as caught:
        simulate(chain(), demand=trips, start="2026-07-01T08:00Z", until="2026-07-01T07:00:00Z", closed=("r9",))
    assert "until is 2026-07-01" in str(caught.value)
    assert "3600 s before the start" in str(caught.value)


def test_vehicles_that_wait_before_their_first_road_are_in_the_figures() -> None:
    result = simulate(chain(300.0), demand=ODMatrix(np.array([0]), np.array([3]), np.array([3000.0])), until="1h")
    told = {one["figure"]: one for one in result.tables["figures"].to_pylist()}
    lost = told["time lost before the first road"]
    assert lost["value"] > 50.0
    waiting = {one["cause"]: one["vehicles"] for one in result.tables["trips"].to_pylist()}["waiting at the origin for space"]
    assert lost["note"].startswith(f"{waiting:,} vehicles")


@pytest.mark.parametrize(("every", "seconds"), [("90s", 90.0), ("30s", 30.0), ("100s", 100.0), ("5min", 300.0)])
def test_intervals_are_as_long_as_they_are_asked_for(every: str, seconds: float) -> None:
    result = simulate(chain(), demand=ODMatrix(np.array([0]), np.array([3]), np.array([600.0])), until="30min", output_every=every)
    begins = sorted(set(result.tables["intervals"]["time"].to_pylist()))
    assert np.allclose(np.diff(begins), seconds)


def test_two_runs_pair_what_became_of_their_vehicles_by_cause() -> None:
    trips = ODMatrix(np.array([0]), np.array([3]), np.array([600.0]))
    free, shut = simulate(chain(), demand=trips), simulate(chain(), demand=trips, closed=("r2",))
    rows = {one["cause_base"]: one for one in compare(free, shut).table("trips").to_pylist()}
    assert rows["arrived"]["cause_option"] == "arrived"
    assert rows["arrived"]["vehicles_difference"] == -600
    assert sum(one["vehicles_difference"] for one in rows.values()) == 0


def test_trips_of_a_demand_follow_an_option_that_closes_a_road_for_good() -> None:
    trips = ODMatrix.of(chain(), ["a"], ["d"], [600.0])
    other = RoadNetwork.of(["d", "c", "b", "a"], [3, 2, 1], [2, 1, 0], free_flow_time=30.0, capacity=1800.0, length=500.0)
    assert simulate(other, demand=trips, method="equilibrium").tables["links"]["flow"].to_pylist() == [600.0] * 3


def test_no_interval_is_faster_than_its_roads_allow_at_any_time_of_it() -> None:
    network = chain()
    slow = [LinkChange(120.0, ["b-c"], speed=2.0), LinkChange(330.0, ["b-c"], speed=750.0 / 45.0), LinkChange(450.0, ["b-c"], speed=1.0)]
    run = loaded(network, 40, 10.0, changes=slow)
    rows = {one["time"]: one["speed"] for one in interval_table(network, run, 60.0, slow).to_pylist() if one["link"] == "b-c"}
    allowed = {0.0: 750 / 45, 60.0: 750 / 45, 120.0: 2.0, 180.0: 2.0, 240.0: 2.0, 300.0: 750 / 45, 360.0: 750 / 45, 420.0: 750 / 45}
    assert all(speed <= allowed.get(time, 1.0) * (1 + 1e-9) for time, speed in rows.items())
    assert rows[180.0] == pytest.approx(2.0, rel=0.5)


def test_the_stranded_are_not_said_to_wait() -> None:
    network = chain()
    fleet = Fleet(np.arange(0.0, 100.0), np.repeat([0, 3], 50), np.repeat([3, 0], 50))
    long, short = (load_fleet(network, fleet, until=until) for until in (3600.0, 36000.0))
    assert origin_delay(long) == origin_delay(short)
    assert origin_delay(long)[1] == 0
    assert long.count()["stranded"] == 50
