from __future__ import annotations

from pathlib import Path

import networkx
import numpy as np
import pytest
import shapely

from cim.demo import Truth, files
from cim.demo.osm import make_places, web_map
from cim.demo.streets import ways
from cim.loaders import fuse, read
from cim.loaders.fusion import find_shift, from_gcj02
from cim.model.reproject import to_crs


def test_ways_meet_in_shared_points_but_not_at_the_underpass() -> None:
    graph = networkx.Graph()
    for number, way in enumerate(ways()):
        shared = [tuple(np.round(point, 3)) for point in way.points[way.shared]]
        graph.add_edges_from((number, point) for point in shared)
    assert networkx.is_connected(graph)
    tunnel = next(way for way in ways() if way.kind == "tunnel")
    over = next(way for way in ways() if way.street.en == "Jianshe Boulevard")
    line, road = shapely.linestrings(tunnel.points), shapely.linestrings(over.points)
    assert shapely.intersects(line, road)
    crossing = shapely.intersection(line, road)
    assert shapely.distance(crossing, shapely.multipoints(tunnel.points[tunnel.shared])) > 30.0  # m


def test_the_reader_finds_roads_with_lanes_speeds_directions_and_structures(truth: Truth) -> None:
    assert truth.extract is not None, truth.left_out["sanhe.osm"]
    city = read(truth.folder / "sanhe.osm")
    assert len(city) == truth.extract.records == truth.records["sanhe.osm"]
    roads = city.table("Road")
    assert len(roads) == truth.extract.ways
    assert set(roads["speed_limit"].round(3)) == {round(value / 3.6, 3) for value in (30, 40, 60)}  # m/s
    assert (roads["one_way"] == True).sum() == 2  # noqa: E712 - the column may hold missing values
    assert (roads["bridge"] == "yes").sum() == (roads["tunnel"] == "yes").sum() == 1
    length = sum(city.tables["links"]["length"].to_pylist())
    assert length == pytest.approx(truth.extract.road_length, rel=1e-3)  # drawn on the map, measured on the ellipsoid


def test_the_alignment_check_names_the_datum_of_the_web_map_and_undoing_it_brings_the_points_home(truth: Truth, tmp_path: Path) -> None:
    assert truth.extract is not None, truth.left_out["sanhe.osm"]
    places = make_places(2026)
    files.write_web_map(web_map(places, 2026), tmp_path / "web.geojson")
    web = read(tmp_path / "web.geojson", mapping={"class": "GenericLogicalSpace", "id": "uid", "name": "title"})
    known = to_crs(read(truth.folder / "sanhe.osm"), "EPSG:4549")
    shift = find_shift(known, to_crs(web, "EPSG:4549"))
    assert shift.right_datum == "gcj02"
    home = to_crs(from_gcj02(web), "EPSG:4549")
    title = dict(zip(places.columns["名称"].tolist(), files.absolute(places.geometry).tolist(), strict=True))
    names = home.tables["objects"]["name"].to_pylist()
    away = shapely.distance(home.footprints(), np.array([title[name] for name in names], object))
    assert away.max() < 1.5  # m: four times the spread of the points, and the last digit of a millionth of a degree
    assert (fuse([known, web]).tables["matches"].to_pandas()["kind"] == "same").sum() == len(web)
