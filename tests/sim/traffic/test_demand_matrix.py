"""A matrix by the city's own zones is joined to its roads, and ids that mean nothing, or two things, are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely

import cim
from cim import cli
from cim.errors import ObjectNotFoundError, UsageError
from cim.loaders import read
from cim.loaders.matrices import write_omx
from cim.loaders.networks import read_matrix
from cim.model import City, CityBuilder, Column
from cim.model.combine import concat
from cim.model.road_network import ODMatrix, RoadNetwork
from cim.scenario import Change
from cim.sim.traffic import demand_of, road_network, simulate
from cim.sim.traffic.demand_buildings import TripRate
from cim.sim.traffic.demand_matrix import join_zones
from cim.sim.traffic.demand_zones import REACH, access_nodes, node_places
from tests.sim.traffic.test_demand import builder_streets

ZONES = {"west": (0, 0, 390, 800), "east": (410, 0, 800, 390), "park": (410, 410, 800, 800), "idle": (900, 0, 1000, 100)}
NUMBER = [7, 101, 12, 40]
LONG = "origin,destination,trips\n7,101,300\n101,12,40.5\n12,7,60\n7,7,5\n7,40,0\n"
TOTAL = 405.5


def town(*, far: bool = False, identifiers: dict[str, list[str]] | None = None) -> City:
    """Return 5 by 5 streets 200 m apart; houses in the west, a tower and a shed in the east, nothing in the park."""
    builder = CityBuilder("EPSG:28992")
    builder_streets(builder)
    homes = [shapely.box(x, y, x + 10, y + 10) for x in range(20, 380, 60) for y in range(20, 780, 60)]
    keys = builder.add_objects("Building", [f"h{k}" for k in range(len(homes))], footprints=homes)
    builder.add_attributes(keys, "Building", {"storeys_above_ground": Column([2.0] * len(homes))})
    pair = [shapely.box(610, 10, 630, 30), shapely.box(790, 380, 800, 390)]
    keys = builder.add_objects("Building", ["tower", "shed"], footprints=pair)
    builder.add_attributes(keys, "Building", {"storeys_above_ground": Column([40.0, np.nan])})
    boxes = [shapely.box(*one) for one in ZONES.values()]
    if far:
        boxes[2] = shapely.box(410, 1400, 800, 1700)
    keys = builder.add_objects("LandUse", list(ZONES), footprints=boxes, names=["甲", "乙", "丙", "丁"])
    for scheme, values in (identifiers or {}).items():
        builder.add_identifiers(keys, scheme, values, values)
    builder.add_attributes(keys, "LandUse", {"TAZ": Column(NUMBER), "even": Column([2, 2, 2, 2]), "share": Column([7.0, 101.0, 12.0, 0.5])})
    return builder.build()


@pytest.fixture(scope="module")
def city() -> City:
    return town()


def file(folder: Path, text: str = LONG) -> str:
    path = folder / "od.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def cells(network: RoadNetwork, made: ODMatrix) -> dict[tuple[str, str], float]:
    names = network.nodes["id"].to_pylist()
    return {(names[a], names[z]): t for a, z, t in zip(made.origin.tolist(), made.destination.tolist(), made.trips.tolist(), strict=True)}


def test_a_matrix_of_zones_loads_the_streets_between_them(city: City, tmp_path: Path) -> None:
    found = [simulate(city, demand=file(tmp_path), zones="LandUse.TAZ", method=method) for method in ("equilibrium", "dynamic")]
    for result in found:
        said = "\n".join(result.run.assumptions)
        assert "matrix: 406 veh/h between 3 zones, objects of LandUse by TAZ" in said
        assert "1 more zones have no trips in the matrix and are left out" in said
        assert "connectors of zones are assumed" in said
        assert "1 zones without a building near a road are joined to junctions within them or next to them, at most 1" in said
        links = result.table("links").to_pandas()
        assert links.loc[links["object"].notna(), "flow"].sum() > 300.0
    assert found[1].run.balance["vehicles"] == 400.0  # of a time of an hour: 400.5 leave their zones
    assert found[1].table("trips").to_pylist()[0]["cause"] == "arrived"


@pytest.mark.parametrize(
    ("names", "zones"),
    [(("west", "east", "park"), "LandUse"), (("甲", "乙", "丙"), "LandUse"), (("T7", "T101", "T12"), "LandUse"),
     (("7", "0101", "12"), "LandUse.TAZ"), (("west", "east", "park"), "LandUse.id"), (("T7", "T101", "T12"), "LandUse.register")],
)  # fmt: skip
def test_zones_are_named_by_id_identifier_name_or_an_attribute(names: tuple[str, ...], zones: str, tmp_path: Path) -> None:
    city = town(identifiers={"register": ["T7", "T101", "T12", "T40"]})
    text = LONG
    for number, name in zip(("7", "101", "12"), names, strict=True):
        text = text.replace(f"\n{number},", f"\n#{name},").replace(f",{number},", f",#{name},")
    network, made = join_zones(city, road_network(city), read_matrix(file(tmp_path, text.replace("#", ""))), zones)
    a, b, c = (f"zone:{one}" for one in names)
    assert cells(network, made) == {(a, b): 300.0, (b, c): 40.5, (c, a): 60.0, (a, a): 5.0}
    assert made.on(network).total == TOTAL  # it knows its nodes


def test_omx_of_zones_is_read_by_its_lookup(city: City, tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="OMX needs h5py: pip install 'cim-toolkit[traffic]'")
    path = tmp_path / "od.omx"
    three = RoadNetwork.of(["7", "101", "12"], [0, 1], [1, 2], free_flow_time=1.0, capacity=1.0)
    write_omx(ODMatrix.of(three, ["7", "12"], ["101", "7"], [80.0, 20.0]), three, path)
    run = simulate(city, demand=read_matrix(path, hours=2.0), zones="LandUse.TAZ", method="equilibrium").run
    assert run.balance["trips_veh_h"] == 50.0
    assert "trips are read as those of 2 h" in run.assumptions


def test_without_a_network_a_matrix_has_the_trips_that_it_has_with_one(tmp_path: Path) -> None:
    there = RoadNetwork.of(["12", "7", "40", "101"], [0, 1], [1, 2], free_flow_time=1.0, capacity=1.0)
    own = read_matrix(file(tmp_path))
    assert own.places is not None
    names = own.places[1]
    mine = {(names[a], names[z]): t for a, z, t in zip(own.origin.tolist(), own.destination.tolist(), own.trips.tolist(), strict=True)}
    assert mine == cells(there, read_matrix(file(tmp_path), there))
    assert sorted(names) == ["101", "12", "7"]  # 40 has none
    assert cells(there, own.on(there)) == mine


def test_trips_enter_where_the_floor_area_is_and_without_any_within_the_zone(city: City, tmp_path: Path) -> None:
    base = road_network(city)
    network, _ = join_zones(city, base, read_matrix(file(tmp_path)), "LandUse.TAZ")
    ends: dict[str, set[str]] = {name: set() for name in ("zone:7", "zone:101", "zone:12")}
    for one in network.links.filter([name == "connector" for name in network.links["class"].to_pylist()]).to_pylist():
        a, z = (network.nodes["id"][one[end]].as_py() for end in ("from_node", "to_node"))
        ends[a if a in ends else z].add(z if a in ends else a)
    assert "30" in ends["zone:101"]  # the junction at (600, 0), beside the tower
    assert len(ends["zone:101"]) == 2  # and the one beside the shed
    places, access = node_places(base), access_nodes(base)[0].tolist()
    park, names = shapely.box(*ZONES["park"]), base.nodes["id"].to_pylist()
    inner = park.point_on_surface()
    slow = sorted(access, key=lambda k: (park.distance(shapely.Point(places[k])), inner.distance(shapely.Point(places[k]))))
    assert park.distance(shapely.Point(places[slow[2]])) == 0.0  # three lie within it
    assert {round(inner.distance(shapely.Point(places[names.index(one)]))) for one in ends["zone:12"]} == {
        round(inner.distance(shapely.Point(places[k]))) for k in slow[:3]
    }


def test_ids_that_no_zone_has_are_refused_together_with_known_ones_and_the_attribute_that_has_them(city: City, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no LandUse has the id '7', '101', '12' of the matrix; there are 4, such as 'west', 'park', "
                       r"'east'; all of them stand in zones = \"LandUse.TAZ\" and zones = \"LandUse.share\"$"):  # fmt: skip
        simulate(city, demand=file(tmp_path), zones="LandUse")
    with pytest.raises(UsageError, match=r"no LandUse has the TAZ '8', '9' of the matrix; there are 4, such as '7', '12', '101'$"):
        simulate(city, demand=file(tmp_path, LONG + "8,9,1\n"), zones="LandUse.TAZ")
    with pytest.raises(UsageError, match="no column nothing in class LandUse"):
        simulate(city, demand=file(tmp_path), zones="LandUse.nothing")
    with pytest.raises(ObjectNotFoundError, match="holds no 'Zone'"):
        simulate(city, demand=file(tmp_path), zones="Zone")
    with pytest.raises(ObjectNotFoundError, match=r'no class \'TAZ\', it is an attribute: use zones = "LandUse.TAZ"$'):
        simulate(city, demand=file(tmp_path), zones="TAZ")
    with pytest.raises(ObjectNotFoundError, match="no zones '101', '7'; a matrix names nodes, unless zones= says"):
        simulate(city, demand=file(tmp_path))  # 12 is a junction


def test_one_number_that_stands_for_two_objects_is_refused(tmp_path: Path) -> None:
    numbers = town(identifiers={"FID": ["101", "12", "7", "0"], "TAZ_NO": ["7", "101", "12", "40"]})
    with pytest.raises(UsageError, match=r'FID and TAZ_NO of different objects; give zones = "LandUse.FID" or "LandUse.TAZ_NO"'):
        simulate(numbers, demand=file(tmp_path), zones="LandUse")
    network, made = join_zones(numbers, road_network(numbers), read_matrix(file(tmp_path)), "LandUse.TAZ_NO")
    at = network.nodes["x"].to_numpy()[made.origin[np.argmax(made.trips)]]
    assert at < 400.0  # zone 7 is the west
    with pytest.raises(UsageError, match=r"several objects of LandUse have the same even '2'; make one of them"):
        simulate(numbers, demand=file(tmp_path, "origin,destination,trips\n2,2,1\n"), zones="LandUse.even")
    with pytest.raises(UsageError, match=r"mean the same object of LandUse, by TAZ: '7', '007'"):
        simulate(numbers, demand=file(tmp_path, "origin,destination,trips\n7,007,1\n"), zones="LandUse.TAZ")


def test_numbers_of_records_do_not_fill_gaps_of_zone_numbers(tmp_path: Path) -> None:
    numbers = town(identifiers={"FID": ["1", "2", "3", "4"], "TAZ_NO": ["7", "101", "12", "40"]})
    with pytest.raises(UsageError, match=r"no LandUse has the TAZ_NO '1' of the matrix"):  # 1 is an external zone, not record 1
        simulate(numbers, demand=file(tmp_path, LONG + "1,7,10\n"), zones="LandUse")


def test_all_faults_of_zones_are_told_together(tmp_path: Path) -> None:
    text = LONG + "99,7,1\n"
    with pytest.raises(UsageError, match=rf"(?s)2 faults.*the TAZ '99'.*1 zones with trips have no place, .*{REACH:g} m: '12'"):
        simulate(town(far=True), demand=file(tmp_path, text), zones="LandUse.TAZ")
    near = simulate(town(far=True), demand=file(tmp_path, LONG.replace("12", "7")), zones="LandUse.TAZ", method="equilibrium")
    balance = near.run.balance
    assert balance["trips_veh_h"] + balance["within_zones_veh_h"] == TOTAL  # a zone without trips needs no road


def test_zones_beside_what_has_its_own_are_refused(city: City, tmp_path: Path) -> None:
    made = demand_of(city, road_network(city), rates={"residential": TripRate(1.0, 1.0)}, unknown_use="residential")
    with pytest.raises(UsageError, match="this demand has its own"):
        simulate(city, demand=made, zones="LandUse")
    with pytest.raises(UsageError, match="this is a network alone; give the city"):
        simulate(road_network(city), demand=file(tmp_path), zones="LandUse")
    with pytest.raises(UsageError, match="do not know the ids of their zones"):
        simulate(city, demand=ODMatrix(np.array([0]), np.array([1]), np.array([1.0])), zones="LandUse")
    with pytest.raises(UsageError, match="gate and through belong to trips from floor area"):
        simulate(city, demand=file(tmp_path), zones="LandUse.TAZ", gate=[{"at": "00", "inbound": 10.0}])


def test_a_road_that_an_option_closes_moves_no_zone(city: City, tmp_path: Path) -> None:
    option = Change("works").close_road("20_30").apply(city)
    base, closed = (simulate(one, demand=file(tmp_path), zones="LandUse.TAZ", method="equilibrium") for one in (city, option))
    assert base.run.inputs["trips"] == closed.run.inputs["trips"]
    ids = [{one for one in run.table("links")["link"].to_pylist() if one.startswith("zone:")} for run in (base, closed)]
    assert ids[0] == ids[1]


def test_the_command_runs_a_scenario_with_a_matrix_of_zones_of_a_shapefile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import geopandas

    boxes = [shapely.box(*one) for one in ZONES.values()]
    geopandas.GeoDataFrame({"TAZ": NUMBER}, geometry=boxes, crs="EPSG:28992").to_file(tmp_path / "zones.shp")
    layer = read(tmp_path / "zones.shp", mapping={"class": "GenericThematicSurface"})
    cim.save(concat([town(), layer]), tmp_path / "town.cim")
    file(tmp_path)
    asked = 'city = "town.cim"\n[traffic]\nmethod = "equilibrium"\ndemand = "od.csv"\nzones = "GenericThematicSurface{}"\n'
    (tmp_path / "od.toml").write_text(asked.format(".TAZ"), encoding="utf-8")
    assert cli.run(["run", str(tmp_path / "od.toml"), "-o", str(tmp_path / "run")]) == 0
    (tmp_path / "od.toml").write_text(asked.format(""), encoding="utf-8")
    capsys.readouterr()
    assert cli.run(["run", str(tmp_path / "od.toml"), "-o", str(tmp_path / "again")]) != 0
    assert 'zones = "GenericThematicSurface.TAZ"' in capsys.readouterr().err
