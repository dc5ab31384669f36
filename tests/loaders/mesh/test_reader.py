from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import cim
from cim.errors import CRSError, InputError, UsageError
from cim.loaders import read
from cim.loaders.mesh.earth import enu_matrix, from_ecef, to_ecef, to_geographic
from cim.loaders.mesh.place import metadata_xml
from cim.model import City
from cim.model.geometry import volume
from tests.loaders.mesh.made import BOX, FACES, PNG, box_gltf, obj_text, write_glb


def _box(folder: Path, text: str = "") -> Path:
    path = folder / "box.obj"
    path.write_text(text or obj_text(BOX, FACES), encoding="utf-8")
    return path


def _told(city: City) -> str:
    return " ".join(f"{row['severity']} {row['code']}: {row['message']}" for row in city.tables["issues"].to_pylist())


def test_a_closed_mesh_is_a_solid_with_its_volume(tmp_path: Path) -> None:
    city = read(_box(tmp_path), "EPSG:32648")
    (row,) = city.geometry_table().to_pylist()
    assert (row["type"], row["role"]) == ("Solid", "mesh")
    assert volume(city.geometry_table()) == pytest.approx(1000.0, rel=1e-12)  # twelve sums of doubles
    assert city["box"].attributes["volume"] == pytest.approx(1000.0, rel=1e-12)
    assert city["box"].attributes["faces"] == 12


def test_a_closed_mesh_that_looks_inward_is_turned_and_told(tmp_path: Path) -> None:
    city = read(_box(tmp_path, obj_text(BOX, FACES[:, ::-1])), "EPSG:32648")
    assert volume(city.geometry_table()) == pytest.approx(1000.0, rel=1e-12)  # twelve sums of doubles
    assert "warning repaired" in _told(city)


def test_a_box_without_a_face_is_no_solid(tmp_path: Path) -> None:
    city = read(_box(tmp_path, obj_text(BOX, FACES[1:])), "local")
    assert city.geometry_table()["type"].to_pylist() == ["MultiSurface"]
    assert city["box"].attributes["volume"] is None
    assert city["box"].attributes["open_edges"] == 3


def test_a_face_turned_round_is_told_as_broken_winding(tmp_path: Path) -> None:
    faces = FACES.copy()
    faces[0] = faces[0, ::-1]
    assert "warning invalid" in _told(read(_box(tmp_path, obj_text(BOX, faces)), "local"))


def test_a_mesh_without_a_place_asks_for_one(tmp_path: Path) -> None:
    with pytest.raises(CRSError, match=r"crs=.local"):
        read(_box(tmp_path))


def test_an_offset_is_added_in_64_bit_per_vertex(tmp_path: Path) -> None:
    offset = [40557122.8651, 3464391.3262, 12.5]
    city = read(_box(tmp_path), "EPSG:4528", offset=offset)
    bounds = np.array(city.bounds)
    assert bounds == pytest.approx(np.array([*offset[:2], offset[0] + 10, offset[1] + 10]), abs=1e-8)  # spacing of doubles at 4e7
    georeference = {row["name"]: row["value"] for row in city.tables["properties"].to_pylist()}
    assert georeference["verdict"] == "given"


@pytest.mark.parametrize("offset", [[1, 2], "abc", [1, 2, None], [1, 2, float("nan")]])
def test_an_offset_that_is_none_is_refused(tmp_path: Path, offset: object) -> None:
    with pytest.raises(UsageError, match="offset="):
        read(_box(tmp_path), "EPSG:4528", offset=offset)


def test_a_file_beside_the_mesh_says_where_it_is(tmp_path: Path) -> None:
    (tmp_path / "box.metadata.json").write_text(json.dumps({"crs": "EPSG:7415", "offset": [84808.0, 447412.0, 1.0]}), encoding="utf-8")
    city = read(_box(tmp_path))
    assert city.crs.to_string() == "EPSG:7415"
    assert city.bounds == (84808.0, 447412.0, 84818.0, 447422.0)


@pytest.mark.parametrize(
    ("text", "crs", "offset"),
    [
        ("<ModelMetadata version='1'><SRS>EPSG:4548</SRS><SRSOrigin>1,2,3</SRSOrigin></ModelMetadata>", "EPSG:4548", (1, 2, 3)),
        ("<ModelMetadata><SRS>EPSG:4548</SRS><SRSOrigin>1 2 3</SRSOrigin></ModelMetadata>", "EPSG:4548", (1, 2, 3)),
        ("<ModelMetadata><SRS>EPSG:4548</SRS><SRSOrigin> 1, 2 </SRSOrigin></ModelMetadata>", "EPSG:4548", (1, 2, 0)),
        ("<M><SRS>EPSG:4548</SRS><Origin X='1' Y='2' Z='3'/></M>", "EPSG:4548", (1, 2, 3)),
        ("<M><SRS>EPSG:4548</SRS><Origin><X>1</X><Y>2</Y><Z>3</Z></Origin></M>", "EPSG:4548", (1, 2, 3)),
        ('<M><SRS>LOCAL_CS["x"]</SRS></M>', 'LOCAL_CS["x"]', None),
    ],
)  # fmt: skip
def test_every_dialect_of_metadata_xml_is_read(tmp_path: Path, text: str, crs: str, offset: tuple[float, ...] | None) -> None:
    file = tmp_path / "metadata.xml"
    file.write_text(text, encoding="utf-8")
    told = metadata_xml(file)
    assert (told.crs, told.offset, told.enu) == (crs, offset, None)


def test_an_enu_origin_is_latitude_first(tmp_path: Path) -> None:
    (tmp_path / "metadata.xml").write_text("<M><SRS>ENU:31.5,120.3</SRS><SRSOrigin>0,0,0</SRSOrigin></M>", encoding="utf-8")
    assert metadata_xml(tmp_path / "metadata.xml").enu == (120.3, 31.5, 0.0)
    city = read(_box(tmp_path), "EPSG:4549")
    expected = from_ecef(BOX @ enu_matrix(120.3, 31.5, 0.0)[:3, :3].T + enu_matrix(120.3, 31.5, 0.0)[:3, 3], "EPSG:4549", tmp_path)
    low = expected.points.min(axis=0)
    assert city.bounds[:2] == pytest.approx(tuple(low[:2]), abs=1e-6)  # a micrometre: the way there and back leaves nanometres
    assert expected.residual < 1e-6


@pytest.mark.parametrize("text", ["<!DOCTYPE a [<!ENTITY b 'c'>]><M><SRS>EPSG:4548</SRS></M>", "<M>", "<M><SRSOrigin>1,x,3</SRSOrigin></M>",
                                  "<M><SRS>ENU:131.5,220.3</SRS></M>"])  # fmt: skip
def test_broken_metadata_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "metadata.xml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"metadata\.xml"):
        read(_box(tmp_path), "EPSG:4549")


def test_a_point_goes_to_the_globe_and_back() -> None:
    lon, lat, height = np.array([4.36, 120.6, -75.0]), np.array([52.0, 31.3, -33.4]), np.array([10.0, -20.0, 4000.0])
    assert to_geographic(to_ecef(lon, lat, height)) == pytest.approx(
        np.column_stack([lon, lat, height]), abs=1e-6
    )  # PROJ: heights to 1e-7 m


def test_parts_share_no_vertex_and_keep_their_looks_through_the_store(tmp_path: Path) -> None:
    (tmp_path / "wall.png").write_bytes(PNG)
    (tmp_path / "a.mtl").write_text("newmtl photo\nmap_Kd wall.png\nnewmtl red\nKd 1 0 0\n", encoding="utf-8")
    text = ("mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 1 1 0\nvt 0 0\nvt 1 0\nvt 0 1\no a\nusemtl photo\nf 1/1 2/2 3/3\n"
            "o b\nusemtl red\nf 2 4 3\no a\nf 2 3 4\n")  # fmt: skip
    city = read(_box(tmp_path, text), "local")
    cim.save(city, tmp_path / "a.cim")
    kept = cim.open(tmp_path / "a.cim")
    for one in (city, kept):
        looks = {one.ids([row["object"]])[0]: row for row in one.geometry_table().to_pylist()}
        assert {name: len(row["vertices"]) for name, row in looks.items()} == {"a": 4, "b": 3}
        told = {row["geometry"]: row for row in one.appearance_table().to_pylist()}
        a, b = told[looks["a"]["key"]], told[looks["b"]["key"]]
        assert a["textures"] == [0, -1]
        assert a["uv"][:3] == [[0, 0], [1, 0], [0, 1]]
        assert np.isnan(np.array(a["uv"][3:])).all()
        assert a["materials"] == [-1, b["materials"][0]]
        assert Path(one.tables["textures"]["path"][0].as_py()).read_bytes() == PNG


def test_gltf_through_the_door_is_one_object_per_node(tmp_path: Path) -> None:
    city = read(write_glb(tmp_path / "a.glb", *box_gltf(name="tower")), "local")
    assert city.ids(city.keys()) == ["tower"]
    assert city.geometry_table()["type"].to_pylist() == ["Solid"]


@pytest.mark.data
def test_the_helsinki_mesh_keeps_labels_and_texture(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    from PIL import Image

    city = read(shared_data("city", "sum_helsinki") / "tiny_test_c.ply", "local")
    cim.save(city, tmp_path / "a.cim")
    city = cim.open(tmp_path / "a.cim")
    (row,) = city.geometry_table().to_pylist()
    assert (len(row["vertices"]), len(row["boundaries"][0][0])) == (1110, 1973)
    surfaces = {one["index"]: (one["type"], json.loads(one["attributes"])["label_name"]) for one in city.surface_table().to_pylist()}
    counts = {surfaces[index]: int(count) for index, count in zip(*np.unique(row["semantics"], return_counts=True), strict=True)}
    assert counts == {("TINRelief", "ground"): 793, ("Building", "building"): 720, ("PlantCover", "vegetation"): 460}
    (looks,) = city.appearance_table().to_pylist()
    (texture,) = city.tables["textures"].to_pylist()
    image = np.asarray(Image.open(texture["path"]).convert("RGB")).astype(float)
    uv = np.array(looks["uv"]).reshape(-1, 3, 2).mean(axis=1)
    at = [((1 - uv[:, 1]) * image.shape[0]).astype(int), (uv[:, 0] * image.shape[1]).astype(int)]
    colour = image[at[0], at[1]]
    assert (colour.max(axis=1) < 8).mean() == 0.0  # the atlas is black where no face is; with v downward 48 % of the faces are
    kind = np.array([surfaces[index][1] for index in row["semantics"]])
    green = 2 * colour[:, 1] - colour[:, 0] - colour[:, 2]
    assert green[kind == "vegetation"].mean() > 20 > green[kind == "building"].mean()  # measured 30 and -2


@pytest.mark.data
def test_the_delft_mesh_lies_where_its_metadata_says(shared_data: Callable[..., Path]) -> None:
    city = read(shared_data("city", "delft") / "mesh_1m_local.ply")
    assert city.crs.to_string() == "EPSG:7415"
    assert city.bounds == (84808.5, 447412.5, 85072.5, 447641.5)
    assert city["mesh_1m_local"].attributes["faces"] == 120912


def test_metres_are_never_added_to_an_origin_in_degrees(tmp_path: Path) -> None:
    file = _box(tmp_path)
    text = "<M><SRS>EPSG:4326</SRS><SRSOrigin>114.3,30.5,20</SRSOrigin></M>"
    (tmp_path / "metadata.xml").write_text(text, encoding="utf-8")
    with pytest.raises(CRSError, match="counts in degrees, and a mesh counts in metres"):
        read(file)
    (tmp_path / "metadata.xml").write_text("<M><SRS>ENU:30.5,114.3</SRS></M>", encoding="utf-8")
    west, south, east, north = read(file).bounds
    assert max(east - west, north - south) < 20.0


def test_a_mesh_in_a_system_of_feet_states_no_square_metres(tmp_path: Path) -> None:
    city = read(_box(tmp_path), "EPSG:2263", offset=[980_000.0, 200_000.0, 0.0])
    assert not {"volume", "surface_area"} & set(city["box"].attributes)
    assert "warning assumed: box.obj: its numbers are taken in the unit of EPSG:2263" in _told(city)
