"""Buildings make the trips that their rates say, zones hold them all, and what is not known is told."""

from __future__ import annotations

import json

import numpy as np
import pytest
import shapely

from cim.errors import ObjectNotFoundError, UsageError
from cim.model import City, CityBuilder, Column
from cim.model.road_network import RoadNetwork
from cim.sim.traffic import assign, road_network
from cim.sim.traffic.demand import Demand, Gate, demand_of
from cim.sim.traffic.demand_buildings import TripRate, trip_rates, trips_of_buildings
from cim.sim.traffic.demand_zones import costs_between, usual_zone_size, zones_of
from cim.sim.traffic.departures import fleet_of

RATES = {"residential": TripRate(0.4, 0.1), "office": TripRate(0.2, 1.0), "industrial": TripRate(0.1, 0.5)}
STEP = 200.0


def town(*, plots: bool = False) -> City:
    """Return a grid of 5 by 5 streets, 200 m apart, with houses in the west, offices in the east, and a cottage nobody knows."""
    builder = CityBuilder("EPSG:28992")
    builder_streets(builder)
    draw = np.random.default_rng(1)
    corner = np.stack(np.meshgrid(np.arange(20), np.arange(20)), axis=-1).reshape(-1, 2) * 40.0 + draw.uniform(5, 15, (400, 2))
    houses = [shapely.box(x, y, x + 10, y + 10) for x, y in corner]
    west = corner[:, 0] < 500
    keys = builder.add_objects("Building", [f"b{k}" for k in range(400)], footprints=houses)
    use = np.where(west, "residential", "office").astype(object)
    use[0] = "a cottage"
    storeys = np.full(400, 2.0)
    storeys[1] = np.nan
    builder.add_attributes(keys, "Building", {"usage": Column(use.tolist()), "storeys_above_ground": Column(storeys)})
    if plots:
        halves = [shapely.box(0, 0, 400, 800), shapely.box(400, 0, 800, 700)]
        builder.add_objects("LandUse", ["west", "east"], footprints=halves)
    return builder.build()


def builder_streets(builder: CityBuilder) -> None:
    """Add streets in both directions, and a lane that nobody can leave."""
    lines, ends = [], []
    for i in range(5):
        for j in range(5):
            for a, b in ((1, 0), (0, 1)):
                if i + a < 5 and j + b < 5:
                    lines.append(shapely.LineString([(i * STEP, j * STEP), ((i + a) * STEP, (j + b) * STEP)]))
                    ends.append((f"{i}{j}", f"{i + a}{j + b}"))
    lines.append(shapely.LineString([(400, 400), (410, 410)]))
    ends.append(("22", "trap"))
    keys = builder.add_objects("Road", [f"{a}_{b}" for a, b in ends], footprints=lines)
    told = json.dumps({"class": "secondary", "vertices": [0, 1]})
    way = ["both"] * (len(lines) - 1) + ["forward"]
    builder.add_links(keys, "road", [a for a, _ in ends], [b for _, b in ends], direction=way, length=[one.length for one in lines],
                      attributes=[told] * len(lines))  # fmt: skip


@pytest.fixture(scope="module")
def city() -> City:
    return town()


@pytest.fixture(scope="module")
def made(city: City) -> Demand:
    return demand_of(city, road_network(city), rates=RATES, mean_trip_length=400.0)


def test_trips_are_floor_area_times_rate(city: City) -> None:
    found = trips_of_buildings(city, RATES)
    rows = {one["object"]: one for one in found.table.to_pylist()}
    assert rows["b2"]["production"] == pytest.approx(2.0 * 0.4)  # two storeys of 100 m²
    assert rows["b19"]["attraction"] == pytest.approx(2.0 * 1.0)
    assert rows["b0"]["reason"] == "unknown_use"
    assert rows["b1"]["reason"] == "unknown_floor_area"
    assert rows["b1"]["production"] is None
    said = "\n".join(found.notes)
    assert "1 of 400 buildings make no trips, unknown_use: 200 m² of floor area" in said
    assert "1 of 400 buildings make no trips, unknown_floor_area" in said


def test_storeys_from_the_height_are_marked_and_can_be_refused() -> None:
    builder = CityBuilder("EPSG:28992")
    keys = builder.add_objects("Building", ["tall"], footprints=[shapely.box(0, 0, 10, 10)], z_ground=[0.0], z_roof=[9.2])
    builder.add_attributes(keys, "Building", {"usage": Column(["residential"])})
    city = builder.build()
    row = trips_of_buildings(city, RATES).table.to_pylist()[0]
    assert (row["floor_area"], row["floor_area_source"]) == (300.0, "assumed_storeys")
    assert trips_of_buildings(city, RATES).notes == ("storeys of 1 buildings are assumed, 3 m each",)
    assert trips_of_buildings(city, RATES, storey_height=None).table["reason"].to_pylist() == ["unknown_floor_area"]


def test_an_assumed_use_is_counted(city: City) -> None:
    found = trips_of_buildings(city, RATES, unknown_use="industrial")
    row = next(one for one in found.table.to_pylist() if one["object"] == "b0")
    assert (row["status"], row["use"], row["production"]) == ("assessed", "industrial", pytest.approx(2.0 * 0.1))
    assert found.notes[0] == "the use of 1 buildings is assumed: industrial"


def test_every_trip_of_a_building_is_in_its_zone(made: Demand) -> None:
    zones, buildings = made.zones.to_pandas().set_index("zone"), made.buildings.to_pandas()
    by_zone = buildings.groupby("zone")[["production", "attraction"]].sum()
    assert np.allclose(zones.loc[by_zone.index, ["generated_production", "generated_attraction"]], by_zone)
    assert buildings["production"].sum() == pytest.approx(zones["production"].sum())  # productions count
    listed = [one for row in made.zones["buildings"].to_pylist() for one in row]
    assert sorted(listed) == sorted(buildings.loc[buildings["zone"].notna(), "object"])


def test_trips_have_the_sums_of_their_zones_and_the_mean_length(made: Demand) -> None:
    nodes = made.zones["node"].to_numpy()
    for ends, name in ((made.matrix.origin, "production"), (made.matrix.destination, "attraction")):
        sums = np.bincount(ends, made.matrix.trips, made.network.nodes.num_rows)[nodes]
        assert np.abs(sums - made.zones[name].to_numpy()).max() <= 1e-9 * made.matrix.total
    assert made.distribution.mean_cost == pytest.approx(400.0, rel=1e-3)
    assert any("multiplied by" in one for one in made.notes)
    assert any("no gates are given" in one for one in made.notes)
    assert any("stay within their zone" in one for one in made.notes)


def test_the_trips_load_the_streets_and_nobody_passes_a_centroid(made: Demand) -> None:
    found = assign(made.network, made.matrix, gap=1e-6)
    assert found.unserved == 0.0
    kind = np.array(made.network.links["class"].to_pylist(), object)
    path_start = found.paths.start[:-1]
    assert (kind[found.paths.links[path_start]] == "connector").all()
    used = np.add.reduceat((kind[found.paths.links] == "connector").astype(int), path_start)
    assert (used == 2).all()  # out of one zone, into another
    assert found.flow[kind == "secondary"].sum() > 0
    rows = made.network.links.filter((np.asarray(kind) == "connector").tolist()).to_pylist()
    assert {one["object"] for one in rows} == {None}
    assert all("speed" in one["assumed"] for one in rows)


def test_no_zone_is_joined_to_a_lane_that_nobody_can_leave(made: Demand) -> None:
    trap = made.network.nodes["id"].to_pylist().index("trap")
    kind = np.array(made.network.links["class"].to_pylist(), object) == "connector"
    assert trap not in made.network.column("to_node")[kind]
    assert any("1 of 26 nodes cannot be reached" in one for one in made.notes)


def test_plots_of_the_city_are_zones_and_buildings_outside_are_told() -> None:
    city = town(plots=True)
    found = demand_of(city, road_network(city), rates=RATES, zones="LandUse", mean_trip_time=47.0)
    assert found.zones["object"].to_pylist() == ["west", "east"]
    assert found.distribution.mean_cost == pytest.approx(47.0, rel=1e-3)
    outside = found.buildings.filter([one == "outside_zones" for one in found.buildings["reason"].to_pylist()])
    assert outside.num_rows > 0
    assert any(f"{outside.num_rows} of 400 buildings make no trips, outside_zones" in one for one in found.notes)
    same = demand_of(city, road_network(city), rates=RATES, mean_trip_time=47.0,
                     zones={"west": shapely.box(0, 0, 400, 800), "east": shapely.box(400, 0, 800, 700)})  # fmt: skip
    assert np.array_equal(same.matrix.trips, found.matrix.trips)


def test_zones_take_their_ids_from_an_attribute_that_names_every_one() -> None:
    builder = CityBuilder("EPSG:28992")
    keys = builder.add_objects("LandUse", ["west", "east"], footprints=[shapely.box(0, 0, 400, 800), shapely.box(400, 0, 800, 700)])
    builder.add_attributes(keys, "LandUse", {"TAZ": Column([7, 101]), "same": Column([1, 1]), "some": Column([1, None])})
    plots = builder.build()
    places = np.array([[10.0, 10.0], [790.0, 10.0], [790.0, 790.0], [np.nan, np.nan]])
    found = zones_of(plots, places, "LandUse.TAZ", np.nan)
    assert (found.names, found.objects, found.zone.tolist()) == (("7", "101"), ("west", "east"), [0, 1, -1, -1])
    for name in ("same", "some"):
        with pytest.raises(UsageError, match=r"1 different values for 2 objects; expected one for each"):
            zones_of(plots, places, f"LandUse.{name}", np.nan)


@pytest.mark.parametrize(("width", "height", "size"), [(400, 300, 50.0), (4000, 2800, 250.0), (5e3, 5e3, 400.0), (1e5, 8e4, 1000.0)])
def test_the_size_of_zones_is_a_round_one_that_makes_about_two_hundred(width: float, height: float, size: float) -> None:
    draw = np.random.default_rng(3)
    places = draw.uniform(0, 1, (5000, 2)) * (width, height)
    places[:2] = np.array([[0.0, 0.0], [width, height]])
    assert usual_zone_size(np.concatenate([places, [[np.nan, np.nan]]])) == size
    found = len(zones_of(town(), places, None, size).names)
    assert size in {50.0, 1000.0} or 130 <= found <= 300  # neighbouring sizes lie a third and more apart


def test_a_chosen_size_of_zones_is_told_and_a_given_one_wins(city: City, made: Demand) -> None:
    assert "zones are squares of 50 m, chosen by the extent of the buildings; give zone_size= for others" in made.notes
    given = demand_of(city, road_network(city), rates=RATES, mean_trip_length=400.0, zone_size=250.0)
    assert given.zones.num_rows == 16
    assert not any("chosen" in one for one in given.notes)
    assert usual_zone_size(np.zeros((1, 2))) == usual_zone_size(np.zeros((0, 2))) == 50.0


def test_without_a_mean_cost_does_not_matter_and_that_is_told(city: City) -> None:
    found = demand_of(city, road_network(city), rates=RATES)
    production, attraction = (np.array(found.zones[one].to_pylist()) for one in ("production", "attraction"))
    trips = np.zeros((len(production), len(production)))
    place = np.argsort(found.zones["node"].to_numpy())
    first = found.zones["node"].to_numpy().min()
    trips[place[found.matrix.origin - first], place[found.matrix.destination - first]] = found.matrix.trips
    assert np.allclose(trips, production[:, None] * attraction / production.sum())
    assert any("how far people travel is not given" in one for one in found.notes)


def test_gates_keep_what_the_planner_states(city: City) -> None:
    gates = {"00": Gate(into=50.0, out=20.0), "44": Gate(out=30.0)}
    found = demand_of(city, road_network(city), rates=RATES, mean_trip_length=500.0, gates=gates, through={("00", "44"): 40.0})
    rows = {one["zone"]: one for one in found.zones.to_pylist()}
    assert (rows["gate 00"]["production"], rows["gate 00"]["attraction"], rows["gate 44"]["attraction"]) == (50.0, 20.0, 30.0)
    node = {name: one["node"] for name, one in rows.items()}
    pair = (found.matrix.origin == node["gate 00"]) & (found.matrix.destination == node["gate 44"])
    assert found.matrix.trips[pair].tolist() == [40.0]
    assert found.matrix.trips[found.matrix.origin == node["gate 00"]].sum() == pytest.approx(90.0)
    assert assign(found.network, found.matrix).unserved == 0.0


@pytest.mark.parametrize(("balance", "which"), [("productions", 0), ("attractions", 1), ("lesser", 0)])
def test_the_total_that_counts_is_kept(city: City, balance: str, which: int) -> None:
    found = demand_of(city, road_network(city), rates=RATES, mean_trip_length=400.0, balance=balance)  # type: ignore[arg-type]
    totals = [sum(found.zones[name].to_pylist()) for name in ("generated_production", "generated_attraction")]
    assert totals[0] < totals[1]
    assert found.matrix.total == pytest.approx(totals[which])


def test_an_option_has_the_same_trips_and_the_same_vehicles(city: City, made: Demand) -> None:
    base = road_network(city)
    links = np.array(base.links["object"].to_pylist(), object)
    option = base.without(np.flatnonzero(np.isin(links, ["11_21", "12_22"])))
    new_rows = np.random.default_rng(0).permutation(option.nodes.num_rows)  # a network read anew may list its nodes in another order
    moved = np.argsort(new_rows)
    shuffled = RoadNetwork.of(
        option.nodes["id"].take(new_rows).to_pylist(), moved[option.column("from_node")], moved[option.column("to_node")],
        free_flow_time=option.column("free_flow_time"), capacity=option.column("capacity"), length=option.column("length"),
    )  # fmt: skip
    found = made.on(shuffled)
    names = [np.array(one.network.nodes["id"].to_pylist(), object) for one in (made, found)]
    for end in ("origin", "destination"):
        assert (names[0][getattr(made.matrix, end)] == names[1][getattr(found.matrix, end)]).all()
    one, other = fleet_of(made.network, made.matrix, seed=2), fleet_of(found.network, found.matrix, seed=2)
    assert np.array_equal(one.fleet.departure, other.fleet.departure)
    assert (names[0][one.fleet.origin] == names[1][other.fleet.origin]).all()
    assert assign(found.network, found.matrix).unserved == 0.0


def test_an_option_without_junctions_tells_the_connectors_that_are_gone(made: Demand, city: City) -> None:
    base = road_network(city)
    keep = [k for k, one in enumerate(base.nodes["id"].to_pylist()) if one != made.connectors.node[0]]
    move = np.full(base.nodes.num_rows, -1)
    move[keep] = np.arange(len(keep))
    ends = [move[base.column(one)] for one in ("from_node", "to_node")]
    there = (ends[0] >= 0) & (ends[1] >= 0)
    less = RoadNetwork.of(base.nodes["id"].take(keep).to_pylist(), ends[0][there], ends[1][there], free_flow_time=20.0, capacity=900.0)
    assert any("connectors of zones have no junction" in one for one in made.on(less).notes)


def test_costs_are_those_of_a_slow_search_and_centroids_are_not_passed() -> None:
    import networkx

    draw = np.random.default_rng(4)
    ends = draw.integers(0, 15, (2, 70))
    through = np.arange(15) >= 4
    network = RoadNetwork.of([str(k) for k in range(15)], *ends, free_flow_time=draw.uniform(1, 9, 70), capacity=1.0, through=through)
    nodes = np.arange(6)
    found = costs_between(network, nodes, network.column("free_flow_time"))
    for one in nodes.tolist():
        for other in nodes.tolist():
            graph = networkx.MultiDiGraph()
            graph.add_nodes_from(range(15))
            graph.add_edges_from((a, z, {"weight": t}) for a, z, t in zip(*ends.tolist(), network.column("free_flow_time"), strict=True)
                                 if (through[a] or a == one) and (through[z] or z == other))  # fmt: skip
            if one != other:
                expected = networkx.shortest_path_length(graph, one, other, "weight") if networkx.has_path(graph, one, other) else np.inf
                assert found[one, other] == pytest.approx(expected)


def test_rates_of_a_set_are_told_with_their_source(city: City) -> None:
    found = demand_of(city, road_network(city), mean_trip_length=400.0, hour="pm", rates="suburban")
    assert found.notes[0] == "trip rates of the set 'suburban' for the pm peak are assumed; their sources stand in trip_rates.json"
    row = next(one for one in found.buildings.to_pylist() if one["object"] == "b19")
    assert row["production"] == pytest.approx(2 * trip_rates("pm", "suburban")["office"].production)


def test_faults_are_told_together(city: City) -> None:
    network = road_network(city)
    with pytest.raises(
        UsageError, match=r"(?s)4 faults.*give at most one of them.*1 gates are no nodes.*1 ends of through traffic.*negative"
    ):
        demand_of(
            city, network, mean_trip_length=1.0, mean_trip_time=1.0, gates={"nowhere": Gate(into=-1.0)}, through={("nowhere", "there"): 1.0}
        )
    with pytest.raises(UsageError, match="for another hour give rates="):
        demand_of(city, network, hour="noon", mean_trip_length=400.0)
    with pytest.raises(ObjectNotFoundError, match="holds no 'WaterBody'"):
        demand_of(city, network, zones="WaterBody", mean_trip_length=400.0)
    with pytest.raises(UsageError, match=r"no building of 400 makes trips.*no_rate_for_the_use"):
        demand_of(city, network, hour="noon", rates={"industrial": TripRate(1, 1)}, mean_trip_length=400.0)
    with pytest.raises(UsageError, match="trips do not balance"):
        demand_of(city, network, rates=RATES, gates={"00": Gate(into=1e6)}, mean_trip_length=400.0, balance="attractions")
    with pytest.raises(UsageError, match="if cost did not matter"):
        demand_of(city, network, rates=RATES, mean_trip_length=60_000.0)
