"""glTF written: what plain readers find in it, that places, ids, looks and attributes come back, and what it says it leaves out."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cim.errors import LimitError, UsageError
from cim.loaders import gltf_file, gltf_write, read
from cim.loaders.gltf_shapes import drawing
from cim.loaders.gltf_table import identifier
from cim.loaders.gltf_write import write_gltf
from cim.model import City, CityBuilder, Column
from cim.model.geometry import mesh_columns, triangulate
from cim.model.loss import Losses
from cim.progress import Report, set_sink
from tests.loaders.export_cities import EAST, NORTH, add_blocks, add_template, box_at, everything
from tests.loaders.glb_checks import Glb

ROUNDING = 1e-3  # m: half a step of float32 at 8 km from the centre


def lost(report: Any) -> dict[str, int]:
    """Return the counts by what was lost."""
    return {row["what"]: row["count"] for row in report.rows()}


def blocks(count: int, **attributes: Column) -> City:
    """Return houses of 10 x 10 x 10 m, 30 m apart."""
    builder = CityBuilder("EPSG:4549+5737", name="houses")
    shapes = [box_at(n) for n in range(count)]
    keys = builder.add_objects("Building", [f"b{n}" for n in range(count)], footprints=shapes)
    builder.add_attributes(keys, "Building", attributes)
    add_blocks(builder, keys, shapes)
    return builder.build()


@pytest.fixture
def whole(tmp_path: Path) -> tuple[City, Glb, dict[str, int]]:
    """Return the city with everything, its file opened by the plain reader, and the report."""
    city = everything(tmp_path)
    report = write_gltf(city, tmp_path / "a.glb")
    return city, Glb(tmp_path / "a.glb"), lost(report)


# ---------------------------------------------------------------- places


def test_the_plain_reader_finds_every_block_where_it_stands(tmp_path: Path) -> None:
    write_gltf(blocks(3), tmp_path / "a.glb")
    placed = Glb(tmp_path / "a.glb").all_placed()
    points = np.concatenate([points for _, _, points in placed])
    assert points.min(axis=0).tolist() == [EAST, NORTH, 2.0]  # whole metres near the centre are exact
    assert points.max(axis=0).tolist() == [EAST + 70, NORTH + 10, 12.0]


def test_trimesh_finds_closed_blocks_with_their_volume(tmp_path: Path) -> None:
    write_gltf(blocks(3), tmp_path / "a.glb")
    scene = trimesh.load_scene(tmp_path / "a.glb")
    assert sum(len(mesh.faces) for mesh in scene.geometry.values() if isinstance(mesh, trimesh.Trimesh)) == 3 * 12
    low, high = scene.bounds
    assert low.tolist() == [EAST, 2.0, -NORTH - 10]  # x east, y up, z south
    assert high.tolist() == [EAST + 70, 12.0, -NORTH]
    joined: Any = scene.to_geometry()
    joined.apply_translation(-low)
    joined.merge_vertices(merge_norm=True, merge_tex=True)
    assert joined.is_watertight
    assert joined.volume == pytest.approx(3 * 1000.0)


def test_the_centre_and_the_system_stand_in_the_file(tmp_path: Path) -> None:
    write_gltf(blocks(3), tmp_path / "a.glb")
    glb = Glb(tmp_path / "a.glb")
    extras = glb.json["asset"]["extras"]
    assert extras["crs"] == "EPSG:4549+5737"
    assert extras["origin"] == [EAST + 35, NORTH + 5, 7.0]
    east, north, up = extras["origin"]
    assert glb.json["nodes"][0]["translation"] == [east, up, -north]


def test_the_rounding_that_is_stated_is_the_largest_there_is(tmp_path: Path) -> None:
    builder = CityBuilder("EPSG:4549", name="far apart")
    shapes = [shapely.box(EAST + x, NORTH + x / 3, EAST + x + 0.1, NORTH + x / 3 + 0.3) for x in (0.0, 1234.567, 15_987.654)]
    add_blocks(builder, builder.add_objects("Building", ["a", "b", "c"]), shapes, ground=1.23, roof=4.56)
    city = builder.build()
    text = next(what for what in lost(write_gltf(city, tmp_path / "a.glb")) if "32 bit" in what)
    stated = float(text.split("largest change ")[1].split(" m")[0])
    got = np.concatenate([points for _, _, points in Glb(tmp_path / "a.glb").all_placed()])
    true = np.concatenate([np.asarray(row).reshape(-1, 3) for row in city.geometry_table()["vertices"].to_pylist()]) + city.origin
    change = np.abs(got[:, None] - true[None]).max(axis=2).min(axis=1).max()
    assert change == pytest.approx(stated, rel=0.06)  # stated to two digits
    assert 0 < change < ROUNDING


def test_normals_look_outward_and_edges_stay_sharp(tmp_path: Path) -> None:
    write_gltf(blocks(1), tmp_path / "a.glb")
    glb = Glb(tmp_path / "a.glb")
    for _, primitive, points in glb.all_placed():
        normals = glb.array(primitive["attributes"]["NORMAL"])
        assert set(np.abs(normals).max(axis=1).tolist()) == {1.0}  # along an axis: one face each, not rounded over the edge
        east_north_up = np.column_stack([normals[:, 0], -normals[:, 2], normals[:, 1]])
        assert (np.einsum("ij,ij->i", points - [EAST + 5, NORTH + 5, 7.0], east_north_up) == 5.0).all()


# ---------------------------------------------------------------- what is drawn


def test_every_kind_of_geometry_is_there_once(whole: tuple[City, Glb, dict[str, int]]) -> None:
    _, glb, _ = whole
    modes: dict[str, set[int]] = {}
    for node, primitive, _ in glb.all_placed():
        modes.setdefault(node["name"], set()).add(primitive["mode"])
    assert modes == {"Building": {4}, "BuildingPart": {4}, "lamp0": {4}, "lamp1": {4}, "Road": {1}, "WaterBody": {4}}


def test_a_footprint_alone_lies_flat_on_its_ground_with_its_holes(whole: tuple[City, Glb, dict[str, int]]) -> None:
    city, glb, _ = whole
    _, primitive, points = next(one for one in glb.all_placed() if one[0]["name"] == "WaterBody")
    corner = points[glb.array(primitive["indices"]).reshape(-1, 3)]
    area = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])[:, 2] / 2
    assert (area > 0).all()  # facing up
    assert area.sum() == pytest.approx(city["pond"].footprint.area, rel=1e-5)  # float32
    assert set(points[:, 2].tolist()) == {0.5}


def test_a_footprint_whose_ground_nobody_knows_is_told(whole: tuple[City, Glb, dict[str, int]]) -> None:
    assert whole[2]["footprints of unknown ground height, drawn at 1.50 m"] == 1  # the median of 2, 2, 1 and 0.5


def test_the_finest_geometry_is_drawn_and_the_rest_counted(tmp_path: Path) -> None:
    builder = CityBuilder("EPSG:4549+5737")
    keys = builder.add_objects("Building", ["a"])
    for lod, roof in (("1", 12.0), ("2.2", 22.0), ("2", 17.0)):
        add_blocks(builder, keys, [box_at(0)], roof=roof, lod=lod)
    city = builder.build()
    tops: dict[str | None, float] = {}
    for asked in (None, "1", "2", "2.2"):
        report = lost(write_gltf(city, tmp_path / "a.glb", lod=asked))
        tops[asked] = float(max(points[:, 2].max() for _, _, points in Glb(tmp_path / "a.glb").all_placed()))
        assert sum(count for what, count in report.items() if "levels of detail" in what) == 2
    assert tops == {None: 22.0, "1": 12.0, "2": 22.0, "2.2": 22.0}


def test_parts_stand_for_their_whole_only_where_they_are_finer() -> None:
    builder = CityBuilder("EPSG:4549+5737")
    keys = builder.add_objects(
        ["Building", "BuildingPart", "BuildingStorey", "BuildingInstallation", "Building"], ["whole", "part", "storey", "chimney", "house"],
        parents=[None, "whole", "house", "house", None],
    )  # fmt: skip
    for key, lod in zip(keys, ("1", "2", "1", "3", "2"), strict=True):
        add_blocks(builder, [key], [box_at(0)], lod=lod)
    losses = Losses()
    drawn = drawing(builder.build(), None, losses).explicit["object"].to_pylist()
    city = builder.build()
    assert sorted(city.ids(drawn)) == ["chimney", "house", "part"]
    assert losses.rows["geometries of wholes and storeys that finer ones of their parts or of their whole stand for"][0] == 2


def test_views_of_other_sources_are_not_drawn_on_top(tmp_path: Path) -> None:
    builder = CityBuilder("EPSG:4549+5737")
    keys = builder.add_objects("Building", ["a"])
    add_blocks(builder, keys, [box_at(0)])
    vertices, boundaries = mesh_columns([[EAST, NORTH, 0], [EAST + 9, NORTH, 0], [EAST, NORTH + 9, 50]], [[0, 1, 2]])
    builder.add_geometries(keys, lod="3", role="alternative", type="MultiSurface", vertices=vertices, boundaries=boundaries)
    report = lost(write_gltf(builder.build(), tmp_path / "a.glb"))
    assert report["geometries of the role alternative"] == 1
    assert max(points[:, 2].max() for _, _, points in Glb(tmp_path / "a.glb").all_placed()) == 12.0


def test_points_stay_points_and_an_empty_city_is_a_file(tmp_path: Path) -> None:
    builder = CityBuilder("EPSG:4549+5737", name="trees")
    builder.add_objects(
        "SolitaryVegetationObject", ["t1", "t2"], footprints=shapely.points([[EAST, NORTH], [EAST + 8, NORTH]]), z_ground=[3, 4]
    )
    city = builder.build()
    write_gltf(city, tmp_path / "a.glb")
    (_, primitive, points), *rest = Glb(tmp_path / "a.glb").all_placed()
    assert not rest
    assert primitive["mode"] == 0
    assert sorted(points.tolist()) == [[EAST, NORTH, 3.0], [EAST + 8, NORTH, 4.0]]
    write_gltf(city.subset([]), tmp_path / "b.glb")
    assert Glb(tmp_path / "b.glb").all_placed() == []


# ---------------------------------------------------------------- templates


def test_a_template_is_one_mesh_at_several_nodes(whole: tuple[City, Glb, dict[str, int]]) -> None:
    _, glb, _ = whole
    lamps = {node["name"]: (node, points) for node, _, points in glb.all_placed() if node["name"].startswith("lamp")}
    assert len({node["mesh"] for node, _ in lamps.values()}) == 1
    for number, (name, (node, points)) in enumerate(sorted(lamps.items())):
        assert node["extras"]["id"] == name
        table = glb.json["extensions"]["EXT_structural_metadata"]["propertyTables"][node["extras"]["propertyTable"]]["name"]
        assert glb.tables[table]["id"][node["extras"]["featureId"]] == name
        corner = [EAST + 50 * number, NORTH + 40, 5.0]  # x of the template points north, y west, twice as large
        true = np.array(corner) + 2 * np.array([[0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, 0, 1]])
        assert sorted({tuple(row) for row in np.round(points, 4).tolist()}) == sorted(map(tuple, true.tolist()))


def test_matrices_that_no_node_can_hold_are_put_out(tmp_path: Path) -> None:
    builder = CityBuilder("EPSG:4549+5737")
    keys = builder.add_objects("CityFurniture", ["skewed", "mirrored", "straight", "flat"])
    matrix = np.tile(np.eye(4), (4, 1, 1))
    matrix[:, :3, 3] = np.column_stack([EAST + 10.0 * np.arange(4), np.full(4, NORTH), np.zeros(4)])
    matrix[0, 0, 1], matrix[1, 0, 0], matrix[3, 2, 2] = 0.5, -1.0, 0.0
    builder.add_instances(keys, templates=[add_template(builder)] * 4, matrices=matrix, lod="2", role="solid", type="Solid")
    city = builder.build()
    write_gltf(city, tmp_path / "a.glb")
    glb = Glb(tmp_path / "a.glb")
    assert {node["name"] for node in glb.json["nodes"] if "matrix" in node} == {"mirrored", "straight"}
    numbers = [glb.array(p["attributes"]["_FEATURE_ID_0"])[:, 0] for _, p, _ in glb.all_placed() if "_FEATURE_ID_0" in p["attributes"]]
    ids = {glb.tables["CityFurniture"]["id"][int(number)] for number in np.concatenate(numbers)}
    assert ids == {"skewed", "flat"}
    scene = trimesh.load_scene(tmp_path / "a.glb")
    true = triangulate(city.geometry_table()).points + city.origin
    assert scene.bounds[0][0] == pytest.approx(true[:, 0].min())
    assert scene.bounds[1][0] == pytest.approx(true[:, 0].max())


# ---------------------------------------------------------------- looks


def test_a_picture_comes_back_on_the_right_corners(whole: tuple[City, Glb, dict[str, int]], tmp_path: Path) -> None:
    _, glb, report = whole
    assert glb.bytes_of(glb.json["images"][0]["bufferView"]) == (tmp_path / "roof.png").read_bytes()
    found = [(p, points) for _, p, points in glb.all_placed() if "TEXCOORD_0" in p["attributes"]]
    (primitive, points), *rest = found
    assert not rest
    uv = glb.array(primitive["attributes"]["TEXCOORD_0"])
    here = {tuple(point[:2]): tuple(pair) for point, pair in zip(points.tolist(), uv.tolist(), strict=True)}
    assert here == {(EAST, NORTH): (0.0, 1.0), (EAST + 10, NORTH): (1.0, 1.0), (EAST + 10, NORTH + 10): (1.0, 0.0)}  # v runs down
    sampler = glb.json["samplers"][glb.json["textures"][0]["sampler"]]
    assert sampler["wrapS"] == sampler["wrapT"] == 33071
    assert report["materials: their shininess"] == 1


def test_trimesh_shows_the_same_picture(tmp_path: Path) -> None:
    write_gltf(everything(tmp_path), tmp_path / "a.glb")
    scene = trimesh.load_scene(tmp_path / "a.glb")
    meshes = [mesh for mesh in scene.geometry.values() if isinstance(mesh, trimesh.Trimesh)]
    looks: list[Any] = [mesh.visual for mesh in meshes]
    pictures = [look.material.baseColorTexture for look in looks]
    shown = [np.asarray(picture.convert("RGB")) for picture in pictures if picture is not None]
    true = np.asarray(Image.open(io.BytesIO((tmp_path / "roof.png").read_bytes())).convert("RGB"))
    assert len(shown) == 1
    assert (shown[0] == true).all()


def test_own_colours_are_light_in_the_file_and_come_back_as_shown(whole: tuple[City, Glb, dict[str, int]]) -> None:
    _, glb, _ = whole
    slate = next(material for material in glb.json["materials"] if material["name"] == "slate")
    *colour, alpha = slate["pbrMetallicRoughness"]["baseColorFactor"]
    assert colour == pytest.approx([0.0331047666, 0.1328683216, 0.3185467781])  # IEC 61966-2-1 of 0.2, 0.4, 0.6
    assert (alpha, slate["alphaMode"]) == (0.75, "BLEND")


def test_a_picture_that_is_gone_is_told_and_the_surface_stays(tmp_path: Path) -> None:
    city = everything(tmp_path)
    (tmp_path / "roof.png").write_bytes(b"BM no picture")
    report = lost(write_gltf(city, tmp_path / "a.glb"))
    assert report["surfaces with a texture whose image or coordinates are missing, drawn without"] == 1
    glb = Glb(tmp_path / "a.glb")
    assert "images" not in glb.json
    assert sum(len(glb.array(p["indices"])) // 3 for node, p, _ in glb.all_placed() if node["name"] == "BuildingPart") == 2


def test_looks_that_are_alike_are_one_where_there_are_very_many(tmp_path: Path) -> None:
    count = 300
    builder = CityBuilder("EPSG:4549+5737")
    keys = builder.add_objects("Building", [f"b{n}" for n in range(count)])
    gkeys = add_blocks(builder, keys, [box_at(n) for n in range(count)])
    made = builder.add_materials([f"UUID {n}" for n in range(count)], diffuse=[(0.5, 0.5, n % 3 / 2) for n in range(count)])
    builder.add_appearances(gkeys, theme="", materials=pa.array([[int(key)] * 6 for key in made], pa.list_(pa.int64())))
    report = lost(write_gltf(builder.build(), tmp_path / "a.glb"))
    glb = Glb(tmp_path / "a.glb")
    assert len(glb.json["materials"]) == 3
    assert report["materials: their name, where others of more than 256 look alike"] == count - 3


# ---------------------------------------------------------------- ids and attributes


def test_ids_and_attributes_come_back_with_their_kinds(whole: tuple[City, Glb, dict[str, int]]) -> None:
    city, glb, report = whole
    table = glb.tables["Building"]
    assert table["id"] == ["h0", "h1", "h2"]
    assert table["name"] == ["图书馆", None, "hall"]
    assert table["height"] == [10.0, None, 7.5]
    assert table["storeys"] == [3, None, 2]
    assert table["住户"] == ["a", None, ""]  # a missing text is not an empty one
    assert table["listed"] == ["true", None, "false"]
    assert table["tags"] == ['["x","y"]', None, "[]"]
    assert glb.tables["BuildingPart"]["parent"] == ["h0"]
    assert {name: len(columns["id"]) for name, columns in glb.tables.items()} == city.types()
    properties = glb.json["extensions"]["EXT_structural_metadata"]["schema"]["classes"]["Building"]["properties"]
    assert properties["height"]["extras"] == {"unit": "m"}
    assert properties["height"]["description"] == "高度 [m]"
    assert report["lists, dates and other values written as text"] == 5


def test_each_vertex_names_the_object_it_belongs_to(tmp_path: Path) -> None:
    write_gltf(blocks(40), tmp_path / "a.glb")
    glb = Glb(tmp_path / "a.glb")
    ids = glb.tables["Building"]["id"]
    for _, primitive, points in glb.all_placed():
        number = glb.array(primitive["attributes"]["_FEATURE_ID_0"])[:, 0].astype(int)
        step = np.floor((points[:, 0] - EAST) / 30).astype(int)
        assert [ids[place] for place in number.tolist()] == [f"b{n}" for n in step.tolist()]


def test_our_own_reader_finds_the_same_objects_in_the_same_places(tmp_path: Path) -> None:
    city = blocks(5, height=Column([1.0, 2.0, None, 4.0, 5.0], unit="m"))
    write_gltf(city, tmp_path / "a.glb")
    back = read(tmp_path / "a.glb", crs="EPSG:4549")
    kind = next(iter(back.types()))
    frame = back.table(kind)
    name = "id_attribute" if "id_attribute" in frame else "source_id"
    known = frame[name].tolist() if name in frame else frame.index.tolist()
    boxes = {id: row["bbox"] for id, row in zip(known, back.tables["objects"].to_pylist(), strict=True)}
    for id in [f"b{n}" for n in range(5)]:
        mine = city.tables["objects"].filter(pa.compute.equal(city.tables["objects"]["id"], id)).to_pylist()[0]["bbox"]
        assert boxes[id] == pytest.approx(mine, abs=ROUNDING)
    heights = dict(zip(known, frame["height"].tolist(), strict=True))
    assert heights["b1"] == 2.0
    assert heights["b2"] is None or np.isnan(heights["b2"])


VALUES = {
    "whole": st.one_of(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1), st.none()),
    "real": st.one_of(st.floats(allow_nan=False, allow_infinity=True), st.none()),
    "text": st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.sampled_from(["", "null", "-", "—", "∅"]), st.none()),
    "truth": st.one_of(st.booleans(), st.none()),
}


@pytest.mark.parametrize("kind", VALUES)
@settings(max_examples=25)
@given(data=st.data())
def test_any_values_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject) -> None:
    values = data.draw(st.lists(VALUES[kind], min_size=1, max_size=12))
    path = tmp_path_factory.mktemp("values") / "a.glb"
    builder = CityBuilder("EPSG:4549")
    keys = builder.add_objects("Building", [f"b{n}" for n in range(len(values))])
    builder.add_attributes(keys, "Building", {"values": Column(pa.array(values))})
    city = builder.build()
    write_gltf(city, path)
    table = Glb(path).tables["Building"]
    got = dict(zip(table["id"], table.get("values", [None] * len(values)), strict=True))
    held = city.column("Building", "values").to_pylist()  # as the model has them
    words = {True: "true", False: "false", None: None}
    for id, value in zip(city.table("Building").index, held, strict=True):
        if kind == "truth" and None in held:
            assert got[id] == words[value]
        elif kind == "whole" and None in held and -(2**63) in held:
            assert got[id] == (None if value is None else str(value))
        else:
            assert got[id] == value


def test_names_become_identifiers_that_differ() -> None:
    taken: set[str] = set()
    for name in ("高度", "高 度", "a-b", "a_b", "a b", "1", "", "é"):
        taken.add(identifier(name, taken))
    assert len(taken) == 8
    assert all(name.isascii() and name.isidentifier() for name in taken)


# ---------------------------------------------------------------- the file


def test_the_same_city_gives_the_same_bytes(tmp_path: Path) -> None:
    city = everything(tmp_path)
    for name in ("a.glb", "b.glb"):
        write_gltf(city, tmp_path / name)
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()


def test_blocks_of_work_make_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    city = blocks(7)
    write_gltf(city, tmp_path / "a.glb")
    monkeypatch.setattr(gltf_write, "_BLOCK", 2)
    write_gltf(city, tmp_path / "b.glb")
    assert (tmp_path / "a.glb").read_bytes() == (tmp_path / "b.glb").read_bytes()


def test_a_city_that_does_not_count_in_metres_is_refused(tmp_path: Path) -> None:
    builder = CityBuilder("EPSG:4326")
    builder.add_objects("Building", ["a"], footprints=[shapely.box(114, 22, 114.001, 22.001)])
    with pytest.raises(UsageError, match="does not count in metres"):
        write_gltf(builder.build(), tmp_path / "a.glb")
    assert not list(tmp_path.iterdir())


def test_a_file_too_long_for_its_format_is_refused_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gltf_file, "_LARGEST", 1000)
    with pytest.raises(LimitError, match="a GLB holds 1,000"):
        write_gltf(blocks(3), tmp_path / "a.glb")
    assert not list(tmp_path.iterdir())


def test_progress_counts_every_geometry(tmp_path: Path) -> None:
    seen: list[Report] = []
    before = set_sink(seen.append)
    try:
        write_gltf(everything(tmp_path), tmp_path / "a.glb")
    finally:
        set_sink(before)
    assert (seen[-1].done, seen[-1].total, seen[-1].label) == (7, 7, "export glTF")  # 1 block, 1 roof, 2 lamps, 3 footprints


def test_the_hague_is_whole_for_trimesh(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    city = read(shared_data("city", "cityjson", "DenHaag_01.city.json"))
    report = lost(write_gltf(city, tmp_path / "a.glb"))
    glb, scene = Glb(tmp_path / "a.glb"), trimesh.load_scene(tmp_path / "a.glb")
    true = triangulate(city.geometry_table())
    assert sum(len(mesh.faces) for mesh in scene.geometry.values() if isinstance(mesh, trimesh.Trimesh)) == len(true.triangles)
    west, south, east, north = city.bounds
    assert scene.bounds[:, 0].tolist() == pytest.approx([west, east], abs=ROUNDING)
    assert scene.bounds[:, 2].tolist() == pytest.approx([-north, -south], abs=ROUNDING)
    assert sorted(id for table in glb.tables.values() for id in table["id"]) == sorted(city.tables["objects"]["id"].to_pylist())
    assert (tmp_path / "a.glb").stat().st_size < 4_000_000  # 3.1 MB: one primitive per look, not per surface
    rounding = next(what for what in report if "32 bit" in what)
    assert float(rounding.split("largest change ")[1].split(" m")[0]) < 1e-4  # 400 m from the centre
