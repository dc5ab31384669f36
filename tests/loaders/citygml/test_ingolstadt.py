"""Three LoD3 buildings of Ingolstadt, judged by a slow count that shares nothing with the reader."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import cim
from cim.loaders import read
from cim.model import City
from cim.model.geometry import flatten, owner, ring_normals

FILES = ("4018148", "4018208", "4018265")
GML, BLDG = "{http://www.opengis.net/gml}", "{http://www.opengis.net/citygml/building/2.0}"
GEN = "{http://www.opengis.net/citygml/generics/2.0}"
pytestmark = pytest.mark.data


@pytest.fixture(params=FILES)
def file(request: pytest.FixtureRequest, shared_data: Callable[..., Path]) -> Path:
    return shared_data("city", "citygml_lod3", f"{request.param}.xml")


def _corners(ring: ElementTree.Element) -> list[tuple[float, ...]]:
    words = [float(word) for word in (ring.findtext(f"{GML}posList") or "").split()]
    points = [tuple(words[k : k + 3]) for k in range(0, len(words), 3)]
    assert points[0] == points[-1]
    return points[:-1]


def _area(points: list[tuple[float, ...]]) -> float:
    """Newell's method, corner by corner, from the first corner."""
    total = [0.0, 0.0, 0.0]
    local = [[a - b for a, b in zip(point, points[0], strict=True)] for point in points]
    for a, b in zip(local, local[1:] + local[:1], strict=True):
        total[0] += (a[1] - b[1]) * (a[2] + b[2])
        total[1] += (a[2] - b[2]) * (a[0] + b[0])
        total[2] += (a[0] - b[0]) * (a[1] + b[1])
    return math.hypot(*total) / 2


def _oracle(file: Path) -> tuple[int, float, Counter[str]]:
    """Return the polygons whose outer ring has three different corners, their area without holes, and the surfaces that have one."""
    root = ElementTree.parse(file).getroot()
    count, area = 0, 0.0
    sound = set()
    for polygon in root.iter(f"{GML}Polygon"):
        outer, *holes = (_corners(ring) for ring in polygon.iter(f"{GML}LinearRing"))
        if len(set(outer)) >= 3:
            count, area = count + 1, area + _area(outer) - sum(_area(hole) for hole in holes)
            sound.add(polygon)
    kinds: Counter[str] = Counter()
    for element in root.iter():
        name = element.tag.removeprefix(BLDG)
        if name in ("WallSurface", "RoofSurface", "GroundSurface", "OuterCeilingSurface", "OuterFloorSurface", "Window", "Door"):
            own = element.findall(f"./{BLDG}lod3MultiSurface//{GML}Polygon")
            kinds[name] += any(polygon in sound for polygon in own) or bool(element.findall(f"{BLDG}opening"))
    return count, area, kinds


def _surfaces(city: City) -> tuple[int, float]:
    flat = flatten(city.geometry_table())
    area = np.linalg.norm(ring_normals(flat), axis=1)
    ring_of_surface = owner(flat.surface_start)
    first = np.zeros(len(area), bool)
    first[flat.surface_start[:-1]] = True
    assert len(ring_of_surface) == len(area)
    return len(flat.surface_start) - 1, float(area[first].sum() - area[~first].sum())


def test_polygons_areas_and_surfaces_are_those_of_the_file(file: Path) -> None:
    city = read(file)
    polygons, area, kinds = _oracle(file)
    count, total = _surfaces(city)
    assert count == polygons
    assert total == pytest.approx(area, rel=1e-9)  # millimetres in metres of UTM: 1e-9 of 1e3 m² is far below one of them
    assert Counter(city.tables["surfaces"]["type"].to_pylist()) == +kinds


def test_the_building_stands_in_ingolstadt(file: Path) -> None:
    city = read(file)
    assert city.crs.to_string() == "EPSG:32632"
    assert city.types()["Building"] == 1
    root = ElementTree.parse(file).getroot()
    low, high = ([float(word) for word in (root.findtext(f".//{GML}{name}Corner") or "").split()] for name in ("lower", "upper"))
    west, south, east, north = city.bounds
    slack = 0.02  # the envelopes of these files are loose by up to this
    assert low[0] - slack <= west
    assert low[1] - slack <= south
    assert east <= high[0] + slack
    assert north <= high[1] + slack
    assert _degrees(city) == pytest.approx((11.43, 48.76), abs=0.02)


def _degrees(city: City) -> tuple[float, float]:
    from pyproj import Transformer

    west, south, east, north = city.bounds
    return Transformer.from_crs(city.crs.horizontal, "EPSG:4326", always_xy=True).transform((west + east) / 2, (south + north) / 2)


def test_every_object_of_the_file_is_there_with_its_attributes(file: Path) -> None:
    city = read(file)
    root = ElementTree.parse(file).getroot()
    assert city.types()["BuildingInstallation"] == sum(1 for _ in root.iter(f"{BLDG}BuildingInstallation"))
    height = float(root.findtext(f".//{BLDG}measuredHeight") or "nan")
    assert city[file.stem].attributes["height"] == height
    rows = [row for row in city.tables["properties"].to_pylist() if row["set"] == "generic"]
    kept = {(id, row["name"], row["value"]) for id, row in zip(city.ids([row["object"] for row in rows]), rows, strict=True)}
    kept |= {
        (values.get("id"), name, value)
        for values in map(json.loads, filter(None, city.tables["surfaces"]["attributes"].to_pylist()))
        for name, value in values.items()
        if name != "id"
    }
    stated = {
        (element.get(f"{GML}id"), one.get("name"), one.findtext(f"{GEN}value"))
        for element in root.iter()
        for one in element
        if one.tag in (f"{GEN}stringAttribute", f"{GEN}doubleAttribute", f"{GEN}dateAttribute")
    }
    empty = {id for id, *_ in stated - kept}
    assert kept <= stated
    lost = sum(issue["count"] for issue in city.tables["issues"].to_pylist() if "without surfaces of their own" in issue["message"])
    assert len(empty) <= lost


def test_windows_and_doors_are_openings_of_walls(file: Path) -> None:
    rows = read(file).tables["surfaces"].to_pylist()
    kind = {(row["geometry"], row["index"]): row["type"] for row in rows}
    for row in rows:
        if row["type"] in ("Window", "Door"):
            assert kind[row["geometry"], row["parent"]] in ("WallSurface", "RoofSurface")


def test_all_of_it_survives_the_store(file: Path, tmp_path: Path) -> None:
    city = read(file)
    cim.save(city, tmp_path / "store")
    again = cim.open(tmp_path / "store")
    for name in ("objects", "geometries", "surfaces", "properties", "appearances", "materials"):
        assert again.tables[name].num_rows == city.tables[name].num_rows
    assert again.geometry_table()["vertices"].to_pylist() == city.geometry_table()["vertices"].to_pylist()
    assert again.geometry_table()["semantics"].to_pylist() == city.geometry_table()["semantics"].to_pylist()
    assert again.tables["surfaces"].to_pylist() == city.tables["surfaces"].to_pylist()
