"""The figures of docs/validation.md about readers, placing, single buildings and semantics; `make_validation.py` prints them as tables."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import shapely

from cim.errors import InputError
from cim.loaders import classify, fuse, read, singulate
from cim.loaders.cutting import singulation_report
from cim.loaders.face_labels import LABELS
from cim.model.geometry import flatten

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Reals = NDArray[np.float64]

Row = tuple[str, str, str]
BUILDING, USED = 6, (1, 2, 6, 9)  # classes of points: building; other, ground, building, water
NEAR = 1.0  # m, within which a point says what a triangle is


def sources(data: Path) -> Iterator[Row]:
    """Yield what readers find in real files, beside what other programs count there."""
    city = data / "city"
    osm = read(city / "osm" / "Helsinki.osm.pbf")
    yield "OpenStreetMap, Helsinki: building areas", "446 (osmium's area assembler)", f"{osm.types()['Building']}"
    tiles = read(next(path for path in sorted((city / "tiles3d").rglob("tileset.json")) if (path.parent / "ll.b3dm").is_file()))
    yield "3D Tiles, sample city: features", "40", f"{sum(tiles.types().values())}"
    duplex = read(city / "ifc_buildings" / "Duplex_A.ifc").types()
    yield "IFC, Duplex: storeys, spaces", "4, 21", f"{duplex['BuildingStorey']}, {duplex['BuildingRoom']}"
    poles = read(city / "strijps" / "OMG_KS_BGT-Paal.ifc")
    yield (
        "IFC, Strijp-S: poles and zero point, from 8 templates",
        "1,051, 8",
        f"{poles.types()['CityFurniture']:,}, {poles.tables['templates'].num_rows}",
    )
    houses = [read(path) for path in sorted((city / "citygml_lod3").glob("*.xml"))]
    yield "CityGML, Ingolstadt: buildings with LoD 3", "3", f"{sum('3' in set(one.geometry_table()['lod'].to_pylist()) for one in houses)}"
    drains = data / "flood" / "swmm" / "utrecht_tuindorp_original.inp"
    found = len(read(drains, crs="EPSG:28992+5709").tables["links"])
    yield "SWMM, Utrecht Tuindorp: links of the network", f"{_rows_in(drains)} lines in the file", f"{found}"


def _rows_in(path: Path) -> int:
    """Return how many lines of a SWMM file describe a conduit, pump, orifice, weir or outlet, by a reading of four lines."""
    section, count = "", 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        section = line.strip().upper() if line.startswith("[") else section
        count += bool(line.strip()) and line[0] not in ";[" and section in {"[CONDUITS]", "[PUMPS]", "[ORIFICES]", "[WEIRS]", "[OUTLETS]"}
    return count


def places(data: Path) -> Iterator[Row]:
    """Yield where IFC models land, and what is said about files that are traps."""
    folder = data / "city" / "delft"
    truth = json.loads((folder / "derived_truth.json").read_text(encoding="utf-8"))
    base = [read(folder / "bgt_pand.sqlite"), read(folder / "delft_3dfier_v1.0.city.json")]
    names = ("A, IFC4 with a map conversion", "B, the same in millimetres", "C, IFC2X3 with latitude and longitude only")
    for name, row in zip(names, truth, strict=True):
        model = read(folder / row["file"])
        if name.startswith("C"):
            off, sure = _off(model, row), float(_fact(model, "uncertainty"))
            yield f"{name}: distance of the stated place from the true one", f"≤ {sure:.1f} m, the stated uncertainty", f"{off:.2f} m"
        plot = base[0][row["true_bgt_gml_id"]].footprint
        city = fuse([*base, model], crs="EPSG:7415")
        merged = city[row["true_bgt_gml_id"]]
        shape = _moved_footprint(city, row)
        yield f"{name}: IoU with the true footprint", "≥ 0.9" if name.startswith("C") else "≥ 0.95", f"{_iou(shape, plot):.4f}"
        known = {"gml:id", "bag", "ifc_guid"} <= set(merged.identifiers)
        yield f"{name}: one object with three identifiers", "yes, of 160", f"{'yes' if known else 'no'}, of {city.types()['Building']}"
    yield from _traps(data / "city" / "ifc_georef")


def _moved_footprint(city: City, row: dict[str, Any]) -> Any:
    """Return the footprint that the model brought, as it lies after fusion: that of its lowest storey's floor slabs or rooms."""
    merged = city[row["true_bgt_gml_id"]]
    shapes = [one.footprint for one in merged.children("BuildingStorey") if one.footprint is not None]
    return shapely.union_all(shapes) if shapes else merged.footprint


def _off(model: City, row: dict[str, Any]) -> float:
    """Return how far the project's origin lies from where it should [m], in the system of the model."""
    from cim.crs import parse, transform_points

    matrix = np.array(json.loads(_fact(model, "matrix")))
    true = transform_points([row["origin"][0]], [row["origin"][1]], None, parse("EPSG:28992"), model.crs)
    return float(math.hypot(matrix[0, 3] - true.x[0], matrix[1, 3] - true.y[0]))


def _fact(city: City, name: str) -> str:
    rows = city.tables["properties"].to_pylist()
    return str(next(row["value"] for row in rows if row["set"] == "georeference" and row["name"] == name))


def _iou(left: Any, right: Any) -> float:
    return float(shapely.area(shapely.intersection(left, right)) / shapely.area(shapely.union(left, right)))


def _traps(folder: Path) -> Iterator[Row]:
    expected = {
        "georef-utm.ifc": ("map conversion with Scale=1000 on a project in millimetres", "agreed"),
        "georef-rigid-operation.ifc": ("rigid operation in degrees", "stated once"),
        "IBS_SC_B_Rijijzer NW.ifc": ("site at the default place of the authoring tool", "unknown"),
        "ifcbridge-model03_georeferenced.ifc": ("schema IFC4X2", "refused by name"),
    }
    for name, (what, verdict) in expected.items():
        try:
            found = _fact(read(folder / name), "verdict")
        except InputError as error:
            found = "refused by name" if "IFC4X2" in str(error) else str(error)
        yield f"IFC, {what}", verdict, found


def single_buildings(data: Path) -> Iterator[Row]:
    """Yield how a mesh of Delft comes apart into its 160 buildings, judged by the class of the nearest laser point."""
    folder = data / "city" / "delft"
    mesh, register = read(folder / "mesh_1m_local.ply", crs="EPSG:7415"), read(folder / "bgt_pand.sqlite")
    city = singulate(mesh, register, read(folder / "dtm_05m_filled.tif"))
    totals = singulation_report(city).totals
    yield "pieces, closed", "160, 160", f"{int(totals['pieces'])}, {int(totals['closed'])}"
    yield "area in less area out, of the whole", "≤ 1e-6", f"{totals['area_error']:.0e}"
    judged = _judge(folder)
    centre, area, mine = _mesh_faces(city)
    kind = judged(centre)
    good, bad = area[mine & (kind == BUILDING)].sum(), area[mine & (kind > 0) & (kind != BUILDING)].sum()
    yield "judged area given to a footprint that is building", "≥ 95 %", f"{100 * good / (good + bad):.1f} %"
    yield (
        "area given to a footprint without a point near it: not judged",
        "stated",
        f"{100 * area[mine & (kind == 0)].sum() / area[mine].sum():.1f} %",
    )
    inner = shapely.union_all(shapely.buffer(register.footprints(), -0.5))
    shapely.prepare(inner)
    inside = (kind == BUILDING) & shapely.contains_xy(inner, centre[:, 0], centre[:, 1])
    yield (
        "building area inside footprints less 0.5 m that ends in an object",
        "≥ 90 %",
        f"{100 * area[inside & mine].sum() / area[inside].sum():.1f} %",
    )
    yield "volume of all pieces on the terrain [m³]", "70 219 without wall tolerance", f"{totals['volume']:,.0f}".replace(",", " ")


def _mesh_faces(city: City) -> tuple[Reals, Reals, NDArray[np.bool_]]:
    """Return centre and area of every measured face, and whether it is part of a building; faces that closing added are left out."""
    centres, areas, mine = [], [], []
    types = dict(zip(city.tables["objects"]["key"].to_pylist(), city.tables["objects"]["type"].to_pylist(), strict=True))
    added = {
        (row["geometry"], row["index"]) for row in city.surface_table().to_pylist() if row["type"] in {"ClosureSurface", "GroundSurface"}
    }
    table = city.geometry_table(role="mesh")
    for row in range(table.num_rows):  # a mesh each: 161 of them
        one = table.slice(row, 1)
        flat = flatten(one)
        corner = flat.vertices[flat.index.reshape(-1, 3)] + city.origin
        key = one["key"][0].as_py()
        meaning = one["semantics"][0].as_py()
        real = np.array([(key, value) not in added for value in meaning], bool) if meaning else np.ones(len(corner), bool)
        cross = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
        centres.append(corner.mean(axis=1)[real])
        areas.append((np.linalg.norm(cross, axis=1) / 2)[real])
        mine.append(np.full(int(real.sum()), types[one["object"][0].as_py()] == "Building"))
    return np.concatenate(centres), np.concatenate(areas), np.concatenate(mine)


def _judge(folder: Path) -> Callable[[Reals], NDArray[np.int64]]:
    """Return what tells the class of the laser point nearest to a place, 0 where none is near."""
    import laspy
    from scipy.spatial import KDTree

    clouds = [laspy.read(folder / f"ahn3_cropped_{number}.laz") for number in (1, 2)]
    kind = np.concatenate([np.asarray(cloud.classification, np.int64) for cloud in clouds])
    xyz = np.concatenate([np.column_stack([cloud.x, cloud.y, cloud.z]) for cloud in clouds])
    used = np.isin(kind, USED)
    tree, kinds = KDTree(xyz[used]), np.append(kind[used], 0)
    return lambda places: np.asarray(kinds[tree.query(places, distance_upper_bound=NEAR)[1]])


def semantics(data: Path) -> Iterator[Row]:
    """Yield how faces of a labelled mesh of Helsinki are told apart on its northern half, which no constant was chosen on."""
    city = read(data / "city" / "sum_helsinki" / "tiny_test_c.ply", crs="local")
    table = city.tables["geometries"]
    names = [json.loads(row["attributes"])["label_name"] for row in city.surface_table().sort_by("index").to_pylist()]
    truth = np.array([LABELS.index(names[number]) for number in table["semantics"][0].as_py()])
    field = table.schema.field("semantics")
    bare = table.set_column(table.column_names.index("semantics"), field, pa.nulls(1, field.type))
    blank = city.replace_tables(geometries=bare, surfaces=city.tables["surfaces"].slice(0, 0))
    found = np.array(classify(blank).tables["geometries"]["semantics"][0].as_py())
    flat = flatten(table)
    corner = flat.vertices[flat.index.reshape(-1, 3)]
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1) / 2
    north = corner.mean(axis=1)[:, 1] >= np.median(corner.mean(axis=1)[:, 1])
    yield (
        "area with the right label",
        "better than 70 %, the best rule of height and normal",
        f"{100 * area[north & (found == truth)].sum() / area[north].sum():.1f} %",
    )
    for number, name in enumerate(LABELS):
        said, real = north & (found == number), north & (truth == number)
        both = area[said & real].sum()
        yield f"{name}: precision, recall", "–", f"{both / area[said].sum():.2f}, {both / area[real].sum():.2f}"
