"""Reading CityJSON: what each part of a file becomes, and what happens to parts that are wrong."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cim.errors import CorruptFileError, CRSError, FormatError, LimitError, UsageError
from cim.loaders.cityjson import READER
from cim.loaders.limits import Limits
from cim.loaders.protocol import ReadOptions
from cim.model import City
from cim.model.geometry import volume

BOX = [[[0, 3, 2, 1]], [[4, 5, 6, 7]], [[0, 1, 5, 4]], [[1, 2, 6, 5]], [[2, 3, 7, 6]], [[3, 0, 4, 7]]]
SQUARE = [(0, 0), (10000, 0), (10000, 10000), (0, 10000)]
CORNERS = [[x, y, z] for z in (0, 12000) for x, y in SQUARE]
SEMANTICS = {"surfaces": [{"type": "GroundSurface"}, {"type": "RoofSurface"}, {"type": "WallSurface"}], "values": [[0, 1, 2, 2, 2, 2]]}
FILE: dict[str, Any] = {
    "type": "CityJSON",
    "version": "2.0",
    "transform": {"scale": [0.001, 0.001, 0.001], "translate": [85000.0, 447000.0, 1.0]},
    "metadata": {"referenceSystem": "https://www.opengis.net/def/crs/EPSG/0/7415", "title": "Delft"},
    "CityObjects": {
        "b1": {
            "type": "Building",
            "attributes": {"measuredHeight": 12.0, "name": "天府广场"},
            "geometry": [{"type": "Solid", "lod": "2", "boundaries": [BOX], "semantics": SEMANTICS}],
        }
    },
    "vertices": CORNERS,
}


def changed(**objects: Any) -> dict[str, Any]:
    """Return the file with more objects."""
    file = copy.deepcopy(FILE)
    file["CityObjects"] |= objects
    return file


def written(folder: Path, file: Any) -> Path:
    path = folder / "a.city.json"
    path.write_text(file if isinstance(file, str) else json.dumps(file), encoding="utf-8")
    return path


def load(folder: Path, file: Any, **options: Any) -> City:
    return READER.read(written(folder, file), ReadOptions(**options))


def told(city: City, code: str) -> list[str]:
    found = city.issues
    return found[found["code"] == code]["message"].tolist()


def test_a_building_has_its_place_heights_semantics_and_standard_names(tmp_path: Path) -> None:
    city = load(tmp_path, FILE)
    building = city["b1"]
    assert (building.type, building.name, building.attributes["height"]) == ("Building", "天府广场", 12.0)
    assert city.unit("Building", "height") == "m"
    assert building.footprint.bounds == (85000.0, 447000.0, 85010.0, 447010.0)
    row = city.tables["objects"].to_pylist()[0]
    assert (row["z_ground"], row["z_roof"]) == (1.0, 13.0)
    assert city.tables["surfaces"]["type"].to_pylist() == ["GroundSurface", "RoofSurface", "WallSurface"]
    assert city.tables["geometries"]["semantics"].to_pylist() == [[0, 1, 2, 2, 2, 2]]
    assert volume(city.tables["geometries"])[0] == pytest.approx(1200.0, rel=1e-9)
    assert len(city.issues) == 0


def test_a_file_is_known_by_its_content_wherever_its_type_stands(tmp_path: Path) -> None:
    assert READER.recognises(json.dumps(FILE).encode(), tmp_path / "a.txt")
    assert READER.recognises(b'\xef\xbb\xbf  {"CityObjects": {', tmp_path / "a")
    assert not READER.recognises(b'{"type": "FeatureCollection", "features": []}', tmp_path / "a.city.json")
    late = {"vertices": [[k, k, k] for k in range(20000)], **{name: value for name, value in FILE.items() if name != "vertices"}}
    path = written(tmp_path, late)
    assert READER.recognises(path.read_bytes()[: 1 << 16], path)


@pytest.mark.parametrize(
    ("kind", "boundaries", "faces"),
    [
        ("MultiPoint", [0, 3, 2], 3), ("MultiLineString", [[0, 1], [2, 3, 0]], 2), ("MultiSurface", [[[0, 1, 2, 3]], [[4, 5, 6]]], 2),
        ("CompositeSurface", [[[0, 1, 2, 3], [4, 5, 6]]], 1), ("Solid", [BOX], 6), ("MultiSolid", [[BOX], [BOX]], 12),
        ("CompositeSolid", [[BOX]], 6),
    ],
)  # fmt: skip
def test_every_kind_of_geometry_has_five_levels_and_a_meaning_per_surface(tmp_path: Path, kind: str, boundaries: Any, faces: int) -> None:
    depth = {"Solid": 1, "MultiSolid": 2, "CompositeSolid": 2}.get(kind, 0)
    values: Any = [0] * (faces if depth == 0 else 6)
    for _ in range(depth):
        values = [values]
    values = values * 2 if kind == "MultiSolid" else values
    semantics = {"surfaces": [{"type": "RoofSurface", "slope": 3}], "values": values}
    one = {"type": kind, "lod": "1.3", "boundaries": boundaries, "semantics": semantics}
    city = load(tmp_path, changed(b1={"type": "Building", "geometry": [one]}))
    row = city.tables["geometries"].to_pylist()[0]
    assert (row["type"], row["lod"], row["semantics"]) == (kind, "1.3", [0] * faces)
    assert sum(len(shell) for solid in row["boundaries"] for shell in solid) == faces
    assert json.loads(city.tables["surfaces"]["attributes"][0].as_py()) == {"slope": 3}


def test_version_1_0_has_real_coordinates_numeric_levels_and_members_of_groups(tmp_path: Path) -> None:
    file = changed(g={"type": "CityObjectGroup", "members": ["b1"]})
    del file["transform"]
    file |= {"version": "1.0", "vertices": [[85000 + x / 1000, 447000 + y / 1000, z / 1000] for x, y, z in CORNERS]}
    file["metadata"]["referenceSystem"] = "urn:ogc:def:crs:EPSG::7415"
    file["CityObjects"]["b1"]["geometry"][0]["lod"] = 2.2
    city = load(tmp_path, file)
    assert city.tables["geometries"]["lod"].to_pylist() == ["2.2"]
    assert city["b1"].footprint.area == pytest.approx(100.0)
    relation = city.tables["relations"].to_pylist()[0]
    assert (city.ids([relation["subject"]]), relation["predicate"], city.ids([relation["object"]])) == (["g"], "contains", ["b1"])


def test_parts_hang_under_their_building_and_lend_it_their_footprint(tmp_path: Path) -> None:
    solid = {"type": "Solid", "lod": "2", "boundaries": [BOX]}
    file = changed(b2={"type": "Building", "children": ["p"]}, p={"type": "BuildingPart", "parents": ["b2"], "geometry": [solid]})
    city = load(tmp_path, file)
    assert [part.id for part in city.children("b2")] == ["p"]
    assert city["b2"].footprint.area == pytest.approx(100.0)
    assert told(city, "assumed")


def test_a_template_is_held_once_and_stands_at_each_of_its_places(tmp_path: Path) -> None:
    matrix = [2.0, 0, 0, 5, 0, 2.0, 0, 0, 0, 0, 1.0, 0, 0, 0, 0, 1.0]
    trees = {f"t{k}": {"type": "SolitaryVegetationObject", "geometry": [{"type": "GeometryInstance", "template": 0, "boundaries": [k],
             "transformationMatrix": matrix}]} for k in (0, 2)}  # fmt: skip
    file = changed(**trees)
    file["geometry-templates"] = {"templates": [{"type": "MultiSurface", "lod": "2", "boundaries": [[[0, 1, 2]]]}],
                                  "vertices-templates": [[0, 0, 0], [1, 0, 0], [0, 1.5, 0]]}  # fmt: skip
    city = load(tmp_path, file)
    assert city["t0"].footprint.bounds == (85005.0, 447000.0, 85007.0, 447003.0)
    assert city["t2"].footprint.bounds == (85015.0, 447010.0, 85017.0, 447013.0)
    assert city.tables["templates"].num_rows == 1
    assert city.tables["geometries"]["template"].is_valid().to_pylist().count(True) == 2
    assert not any("template" in message for message in told(city, "lost"))


def test_every_object_under_a_repeated_key_is_kept_and_named(tmp_path: Path) -> None:
    text = json.dumps(FILE)
    one = json.dumps(FILE["CityObjects"]["b1"])
    city = load(tmp_path, text.replace('"CityObjects": {', '"CityObjects": {"b1": ' + one.replace("12.0", "11.0") + ", "))
    assert sorted(city.attributes["Building"]["height"].to_pylist()) == [11.0, 12.0]
    assert sorted(city.tables["objects"]["id"].to_pylist()) == ["b1", "b1#2"]
    assert any("'b1'" in message for message in told(city, "duplicate"))


def test_a_repeated_key_inside_an_object_is_named_too(tmp_path: Path) -> None:
    city = load(tmp_path, json.dumps(FILE).replace('"measuredHeight": 12.0', '"measuredHeight": 11.0, "measuredHeight": 12.0'))
    assert any("'measuredHeight'" in message for message in told(city, "duplicate"))


def test_one_bad_geometry_of_several_is_left_out_and_the_rest_stays(tmp_path: Path) -> None:
    cases = ((99, "index 99 is out of range"), (-2, "index -2 is out of range"), (0.5, "not an integer"), ("1", "not an integer"))
    for index, reason in cases:
        bad = {"type": "Building", "geometry": [{"type": "Solid", "lod": "2", "boundaries": [[[[0, index, 2, 1]]]]}]}
        city = load(tmp_path, changed(b2=bad))
        assert len(city) == 2
        assert city.tables["geometries"].num_rows == 1
        assert any(reason in message and "'b2'" in message for message in told(city, "rejected"))
        assert city.tables["sources"]["rejected"].to_pylist() == [1]
        with pytest.raises(CorruptFileError, match=r"no usable geometry.*vertex index"):
            load(tmp_path, changed(b1=bad))


@pytest.mark.parametrize(
    ("values", "kept"),
    [([[0, 1, 2, 2, 9, 2]], [0, 1, 2, 2, -1, 2]), ([[0, 1, 2]], None), ([0, 1, 2, 2, 2, 2], None), ([None], [-1] * 6), (None, None),
     ([[0, 1, None, 2, 2, 2]], [0, 1, -1, 2, 2, 2]), ([[0, 1, 2, 2, 2, -1]], [0, 1, 2, 2, 2, -1]), ([[0, 1, 2, 2, 2, 1.5]], None)],
)  # fmt: skip
def test_semantic_values_that_do_not_fit_never_give_a_wrong_class(tmp_path: Path, values: Any, kept: list[int] | None) -> None:
    file = copy.deepcopy(FILE)
    file["CityObjects"]["b1"]["geometry"][0]["semantics"]["values"] = values
    city = load(tmp_path, file)
    assert city.tables["geometries"]["semantics"].to_pylist() == [kept]
    assert bool(told(city, "invalid")) == (values not in ([None], None, [[0, 1, None, 2, 2, 2]]))


def test_links_that_lead_nowhere_or_in_a_circle_are_named(tmp_path: Path) -> None:
    file = changed(p={"type": "BuildingPart", "parents": ["b1"], "children": ["b1"]})
    file["CityObjects"]["b1"] |= {"children": ["p", "nobody"], "parents": ["p"]}
    city = load(tmp_path, file)
    assert [part.id for part in city.children("b1")] == ["p"]
    assert city.tables["objects"].filter(city.tables["objects"]["parent"].is_null()).num_rows == 1
    assert any("cycle" in message for message in told(city, "repaired"))
    assert any("child 'nobody'" in message for message in told(city, "lost"))


def test_wrong_heights_open_solids_and_addresses_that_reach_out_are_named(tmp_path: Path) -> None:
    file = copy.deepcopy(FILE)
    file["CityObjects"]["b1"]["attributes"]["measuredHeight"] = 12000
    file["CityObjects"]["b1"]["geometry"][0] |= {"boundaries": [BOX[:5]], "semantics": None}
    images = ("../../etc/passwd", "http://127.0.0.1/t.png", "a/t.png")
    file["appearance"] = {"textures": [{"type": "PNG", "image": image} for image in images]}
    file["extensions"] = {"Noise": {"url": "http://127.0.0.1/n.ext.json", "version": "1.0"}}
    city = load(tmp_path, file)
    assert "millimetres" in told(city, "conflict")[0]
    assert "not closed" in told(city, "invalid")[0]
    assert sum("refused, not opened" in message for message in told(city, "repaired")) == 2
    assert "not opened" in told(city, "unsupported")[0]
    assert city.tables["textures"]["image"].to_pylist() == list(images)
    assert city.tables["textures"]["path"].to_pylist() == [None] * 3
    assert "a/t.png" in told(city, "unmatched")[0]


def test_attributes_keep_their_names_and_types_and_mixed_ones_become_text(tmp_path: Path) -> None:
    first = {"bouwjaar": 1900, "ok": True, "note": "x", "share": 1, "mixed": 1, "deep": {"a": [1]}, "object": "o", "empty": None}
    second = {"bouwjaar": 2000, "share": 2.5, "mixed": "y"}
    city = load(tmp_path, changed(b1={"type": "Building", "attributes": first}, b2={"type": "Building", "attributes": second}))
    table = city.attributes["Building"]
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds["bouwjaar"] == "int64"
    assert (kinds["ok"], kinds["share"], kinds["mixed"], kinds["object_attribute"]) == ("bool", "double", "string", "string")
    assert sorted(table["mixed"].to_pylist()) == ["1", "y"]
    assert any("mixed" in message for message in told(city, "conflict"))
    assert city.tables["properties"].to_pylist()[0]["value"] == '{"a":[1]}'
    assert any("1 attributes are null" in message for message in told(city, "lost"))


def test_a_mapping_names_attributes_in_other_units_and_identifiers(tmp_path: Path) -> None:
    given = {"h_ft": 100.0, "titel": "Oude Kerk", "pand": "0503100000018603"}
    mapping = {"name": "titel", "attributes": {"height": {"field": "h_ft", "unit": "ft"}}, "identifiers": {"bag": "pand"}}
    city = load(tmp_path, changed(b1={"type": "Building", "attributes": given}), mapping=mapping)
    assert city["b1"].name == "Oude Kerk"
    assert city["b1"].attributes["height"] == pytest.approx(30.48)
    assert city.tables["identifiers"].to_pylist()[0]["normalised"] == "503100000018603"
    with pytest.raises(UsageError, match="there is no attribute 'hoogte'"):
        load(tmp_path, FILE, mapping={"attributes": {"height": "hoogte"}})


def test_a_sequence_is_read_line_by_line_and_a_cut_line_is_left_out(tmp_path: Path) -> None:
    header = json.dumps({**FILE, "CityObjects": {}, "vertices": []})
    features = [{"type": "CityJSONFeature", "id": f"b{k}", "vertices": [[x + 20000 * k, y, z] for x, y, z in CORNERS],
                 "CityObjects": {f"b{k}": FILE["CityObjects"]["b1"]}} for k in range(3)]  # fmt: skip
    lines = [header, *map(json.dumps, features)]
    city = load(tmp_path, "\n".join([*lines[:3], lines[3][:200]]))
    assert sorted(city.tables["objects"]["id"].to_pylist()) == ["b0", "b1"]
    assert city["b1"].footprint.bounds == (85020.0, 447000.0, 85030.0, 447010.0)
    assert "line 4" in told(city, "rejected")[0]
    assert city.tables["sources"].select(["records_in", "objects_out", "rejected"]).to_pylist() == [
        {"records_in": 3, "objects_out": 2, "rejected": 1}
    ]
    with pytest.raises(FormatError, match="first line of a sequence must be its header"):
        load(tmp_path, "\n".join(lines[1:]))


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"type": None}, FormatError, "no member type"), ({"version": "9.9"}, FormatError, "version '9.9'"),
        ({"version": None}, FormatError, "no version"), ({"vertices": [[1 << 63, 0, 0]] * 8}, CorruptFileError, "out of range"),
        ({"metadata": {}}, CRSError, "give crs="), ({"metadata": {"referenceSystem": "EPSG:9999999"}}, CRSError, "9999999"),
        ({"transform": None}, CorruptFileError, "no transform"),
        ({"transform": {"scale": [0, 1, 1], "translate": [0, 0, 0]}}, CorruptFileError, "scale"),
        ({"transform": {"scale": [float("nan"), 1, 1], "translate": [0, 0, 0]}}, CorruptFileError, "finite"),
        ({"vertices": [[0, 0]] * 8}, CorruptFileError, "three numbers"),
        ({"vertices": None}, CorruptFileError, "vertices"), ({"CityObjects": []}, CorruptFileError, "CityObjects"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_refused_with_its_reason(
    tmp_path: Path, change: dict[str, Any], kind: type[Exception], reason: str
) -> None:
    file = {name: value for name, value in {**FILE, **change}.items() if value is not None}
    with pytest.raises(kind, match=reason) as caught:
        load(tmp_path, file)
    assert "a.city.json" in str(caught.value)


def test_depth_and_number_of_objects_have_limits(tmp_path: Path) -> None:
    deep = json.dumps(FILE).replace('"boundaries": [', '"boundaries": ' + "[" * 100_000 + "]" * 100_000 + ', "x": [', 1)
    with pytest.raises(LimitError, match="levels deep"):
        load(tmp_path, deep)
    with pytest.raises(LimitError, match="records"):
        load(tmp_path, changed(b2={"type": "Building"}), limits=Limits(records=1))


def test_the_crs_of_the_caller_wins_and_is_reported(tmp_path: Path) -> None:
    city = load(tmp_path, FILE, crs="EPSG:28992")
    assert city.crs.to_string() == "EPSG:28992"
    assert "EPSG:28992 is used instead" in told(city, "crs")[0]


def test_describe_counts_classes_without_reading_geometry(tmp_path: Path) -> None:
    found = READER.describe(written(tmp_path, changed(r={"type": "Road"})), ReadOptions())
    assert found.format == "CityJSON 2.0"
    assert {layer.name: layer.count for layer in found.layers} == {"Building": 1, "Road": 1}
    assert found.layers[0].bounds == (85000.0, 447000.0, 85010.0, 447010.0)


def test_two_thousand_damaged_geometries_are_found_by_halving(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    bad = set(rng.choice(2000, 40, replace=False).tolist())
    shapes = [{"type": "MultiSurface", "lod": "1", "boundaries": [[[0, 1, 2.5 if k in bad else 2]]]} for k in range(2000)]
    city = load(tmp_path, changed(**{f"o{k}": {"type": "LandUse", "geometry": [shape]} for k, shape in enumerate(shapes)}))
    assert city.tables["geometries"].num_rows == 2001 - len(bad)
    assert sum(city.issues[city.issues["code"] == "rejected"]["count"]) == len(bad)


def test_a_mapped_attribute_outside_the_nomenclature_is_converted_once(tmp_path: Path) -> None:
    from cim import loaders

    file = {
        "type": "CityJSON", "version": "2.0", "transform": {"scale": [0.001] * 3, "translate": [410500.0, 3391800.0, 480.0]},
        "metadata": {"referenceSystem": "https://www.opengis.net/def/crs/EPSG/0/32648"},
        "CityObjects": {"b": {"type": "Building", "attributes": {"gutter": 10.0}}}, "vertices": [],
    }  # fmt: skip
    path = tmp_path / "a.city.json"
    path.write_text(json.dumps(file))
    city = loaders.read(path, mapping={"attributes": {"gutter_height": {"field": "gutter", "unit": "ft"}}})
    assert city["b"].attributes["gutter_height"] == pytest.approx(3.048)
    assert city.unit("Building", "gutter_height") == "m"
