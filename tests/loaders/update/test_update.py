"""What an update may not get wrong, on small files: what is touched, what stays, what is told, and that a second one finds nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cim
from cim.cli import run
from cim.errors import InputError, UsageError
from cim.loaders import fuse, read
from cim.loaders.update import update
from cim.model import City
from cim.model.schema import SCHEMAS
from cim.storage import versions

CRS = "urn:ogc:def:crs:EPSG::4549"
X, Y = 500000.0, 3460000.0
Record = tuple[float, Mapping[str, Any]]


def square(x: float, y: float = 0.0, size: float = 10.0) -> Any:
    return shapely.box(X + x, Y + y, X + x + size, Y + y + size)


def write(path: Path, records: Mapping[str, tuple[Any, Mapping[str, Any]]], *, ids: bool = True) -> Path:
    """Write buildings as GeoJSON: footprint and fields by id."""
    features = [
        {"type": "Feature", "geometry": json.loads(shapely.to_geojson(shape)), "properties": {**({"gml_id": id} if ids else {}), **fields}}
        for id, (shape, fields) in records.items()
    ]
    crs = {"type": "name", "properties": {"name": CRS}}
    path.write_text(json.dumps({"type": "FeatureCollection", "name": path.stem, "crs": crs, "features": features}), encoding="utf-8")
    return path


MAPPING = {"class": "Building", "id": "gml_id", "name": "title", "attributes": {"use": "use", "height": {"field": "H", "unit": "m"}}}


def fields(number: int, **more: Any) -> dict[str, Any]:
    return {"title": f"house {number}", "use": "dwelling", "H": 10.0 + number, **more}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write(tmp_path / "a.geojson", {f"a{n}": (square(30.0 * n), fields(n)) for n in range(6)})
    write(tmp_path / "b.geojson", {f"b{n}": (square(30.0 * n + 0.5), fields(n, use="office")) for n in range(3, 8)})
    return tmp_path


def fused(home: Path, *names: str) -> City:
    return fuse([read(home / f"{name}.geojson", mapping=MAPPING) for name in names or ("a", "b")])


def rows(found: Any, kind: str | None = None) -> set[tuple[str, str | None]]:
    changes = found.changes.to_pylist()
    return {(row["id"], row["attribute"]) for row in changes if kind is None or row["kind"] == kind}


def claims(city: City, ids: list[str]) -> list[Any]:
    keys = city.key_of(ids).tolist()
    return sorted(
        str(row | {"object": ids[keys.index(row["object"])]}) for row in city.tables["claims"].to_pylist() if row["object"] in keys
    )


def test_nothing_changed_gives_the_very_city_and_reads_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    city = fused(home)
    monkeypatch.setattr("cim.loaders.door.read", lambda *_, **__: pytest.fail("a source was read"))
    found = update(city)
    assert found.city is city
    assert (found.read, set(found.unchanged), found.missing) == ((), {"a", "b"}, ())
    assert found.changes.num_rows == 0


def test_an_attribute_of_the_leading_source_changes_and_the_claims_of_the_other_stay(home: Path) -> None:
    city = fused(home)
    write(home / "a.geojson", {f"a{n}": (square(30.0 * n), fields(n, use="school" if n == 4 else "dwelling")) for n in range(6)})
    found = update(city)
    assert rows(found) == {("a4", "use")}
    assert found.city["a4"].attributes["use"] == "school"
    assert [(claim.value, claim.source, claim.chosen) for claim in found.city.why("a4", "use")] == [
        ("school", "a", True),
        ("office", "b", False),
    ]
    assert claims(found.city, ["a3", "a5"]) == claims(city, ["a3", "a5"])
    assert cim.diff(city, found.city).changed["id"].to_pylist() == ["a4"]


def test_an_attribute_of_a_follower_changes_its_claim_only(home: Path) -> None:
    city = fused(home)
    write(home / "b.geojson", {f"b{n}": (square(30.0 * n + 0.5), fields(n, use="shop" if n == 3 else "office")) for n in range(3, 8)})
    found = update(city)
    assert found.ids("changed") == ["a3"]
    assert found.city["a3"].attributes["use"] == "dwelling"
    assert {(claim.value, claim.source) for claim in found.city.why("a3", "use")} == {("dwelling", "a"), ("shop", "b")}


def test_a_follower_that_moves_is_told_though_it_gives_no_footprint(home: Path) -> None:
    city = fused(home)
    write(home / "b.geojson", {f"b{n}": (square(30.0 * n + (1.5 if n == 3 else 0.5)), fields(n, use="office")) for n in range(3, 8)})
    found = update(city)
    assert rows(found) == {("a3", "record")}
    assert found.ids("moved") == ["a3"]
    assert found.city["a3"].footprint.equals(city["a3"].footprint)


def test_an_object_only_one_source_knows_leaves_or_is_ended(home: Path) -> None:
    city = fused(home)
    write(home / "a.geojson", {f"a{n}": (square(30.0 * n), fields(n)) for n in range(1, 6)})
    gone = update(city)
    assert rows(gone) == {("a0", None)}
    assert "a0" not in gone.city
    ended = update(city, removed="end")
    assert ended.ids("removed") == ["a0"]
    objects = ended.city.tables["objects"].to_pylist()
    assert [row["id"] for row in objects if row["valid_to"] is not None] == ["a0"]
    assert "a0" not in ended.city.asof("2999-01-01")
    assert update(ended.city).changes.num_rows == 0


def test_an_object_that_another_source_knows_stays_with_what_that_one_says(home: Path) -> None:
    city = fused(home)
    write(home / "a.geojson", {f"a{n}": (square(30.0 * n), fields(n)) for n in (0, 1, 2, 4, 5)})
    found = update(city)
    assert found.ids("removed") == ["a3"]
    assert found.city["a3"].attributes["use"] == "office"
    assert {claim.source for claim in found.city.why("a3", "use")} == {"b"}
    matches = found.city.report.matches
    assert matches[matches["object"] == "a3"]["source"].tolist() == ["b"]
    assert found.city.tables["objects"]["source"].to_pylist()[found.city.tables["objects"]["id"].to_pylist().index("a3")] == 1


def test_an_added_record_is_matched_with_what_is_known(home: Path) -> None:
    city = fused(home)
    more = {f"a{n}": (square(30.0 * n), fields(n)) for n in range(6)}
    write(home / "a.geojson", {**more, "a6": (square(180.0), fields(6)), "a99": (square(990.0), fields(99))})
    found = update(city)
    assert rows(found, "added") >= {("a99", None), ("b6", "record")}
    assert found.ids("added") == ["a99", "b6"]
    assert {claim.source for claim in found.city.why("b6", "use")} == {"a", "b"}
    assert len(found.city) == len(city) + 1


def test_a_field_that_becomes_empty_is_filled_by_the_next_claim(home: Path) -> None:
    city = fused(home)
    write(home / "a.geojson", {f"a{n}": (square(30.0 * n), fields(n, use=None if n in (2, 3) else "dwelling")) for n in range(6)})
    found = update(city)
    assert rows(found) == {("a2", "use"), ("a3", "use")}
    assert found.city["a3"].attributes["use"] == "office"
    assert found.city["a2"].attributes.get("use") is None


def test_a_source_without_ids_is_found_again_by_place_and_that_is_told(tmp_path: Path) -> None:
    write(tmp_path / "a.geojson", {f"a{n}": (square(30.0 * n), fields(n)) for n in range(6)}, ids=False)
    plain = {key: value for key, value in MAPPING.items() if key != "id"}
    city = fuse([read(tmp_path / "a.geojson", mapping=plain)])
    write(tmp_path / "a.geojson", {f"a{n}": (square(30.0 * n), fields(n)) for n in (0, 2, 3, 4, 5)}, ids=False)
    found = update(city)
    west = min(city, key=lambda one: abs(one.footprint.bounds[0] - (X + 30.0)))
    assert found.ids("removed") == [west.id]
    assert len(found.changes) == 1
    assert any("no ids that last" in text for text in found.issues["message"].to_pylist())
    assert update(found.city).read == ()


def test_ids_made_anew_are_found_again_by_place_and_keep_the_ids_of_the_city(home: Path) -> None:
    city = fused(home)
    write(home / "a.geojson", {f"z{n}": (square(30.0 * n), fields(n)) for n in range(6)})
    found = update(city)
    assert set(found.city.tables["objects"]["id"].to_pylist()) == set(city.tables["objects"]["id"].to_pylist())
    assert found.ids("removed") == found.ids("added") == []
    records = found.city.report.matches.query("source == 'a'")["record"]
    assert set(records) == {f"z{n}" for n in range(6)}


def test_a_store_without_marks_is_compared_with_what_it_holds(home: Path) -> None:
    city = fused(home)
    table = city.tables["matches"]
    bare = city.replace_tables(matches=table.set_column(5, SCHEMAS["matches"].field("evidence"), pa.nulls(table.num_rows, pa.string())))
    write(home / "a.geojson", {f"a{n}": (square(30.0 * n + (3.0 if n == 1 else 0.0)), fields(n)) for n in range(6)})
    found = update(bare)
    assert found.ids("moved") == ["a1"]
    assert {id for id, _ in rows(found)} == {"a1"}
    assert any("no mark to compare with" in text for text in found.issues["message"].to_pylist())


def test_a_city_of_one_file_that_was_never_fused_is_updated(home: Path) -> None:
    city = read(home / "a.geojson", mapping=MAPPING)
    write(home / "a.geojson", {f"a{n}": (square(30.0 * n + (3.0 if n == 1 else 0.0)), fields(n)) for n in range(1, 7)})
    found = update(city)
    assert found.counts() == {"added": 1, "removed": 1, "moved": 1, "changed": 0}
    assert found.city.tables["claims"].num_rows == 0
    assert found.city.tables["geometries"].num_rows == 0


def test_a_changed_policy_is_kept(home: Path) -> None:
    cities = [read(home / f"{name}.geojson", mapping=MAPPING) for name in ("a", "b")]
    city = fuse(cities, policy={"use": ["b", "a"]})
    assert city["a4"].attributes["use"] == "office"
    write(home / "b.geojson", {f"b{n}": (square(30.0 * n + 0.5), fields(n, use="shop")) for n in range(3, 8)})
    found = update(city)
    assert found.city["a4"].attributes["use"] == "shop"
    assert [claim.chosen for claim in found.city.why("a4", "use")] == [True, False]


def test_a_missing_file_is_named_and_its_part_stays(home: Path) -> None:
    city = fused(home)
    (home / "b.geojson").unlink()
    write(home / "a.geojson", {f"a{n}": (square(30.0 * n), fields(n, use="school")) for n in range(6)})
    found = update(city)
    assert found.missing == ("b",)
    assert found.read == ("a",)
    assert "b7" in found.city


def test_a_file_that_lies_elsewhere_now_is_found_by_a_mapping(home: Path) -> None:
    city = fused(home)
    (home / "new").mkdir()
    write(home / "new" / "a2.geojson", {f"a{n}": (square(30.0 * n), fields(n)) for n in range(5)})
    found = update(city, sources={"a": home / "new" / "a2.geojson"})
    assert found.ids("removed") == ["a5"]
    assert update(found.city).read == ()
    with pytest.raises(UsageError, match="no source nobody"):
        update(city, sources=["nobody"])


def test_a_damaged_file_is_named_and_the_store_stays(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cim.save(fused(home), home / "c.cim")
    (home / "a.geojson").write_text('{"type": "FeatureCollection", "features": [', encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.geojson"):
        update(cim.open(home / "c.cim"))
    assert run(["update", str(home / "c.cim")]) == 3
    assert "a.geojson" in capsys.readouterr().err
    assert [version.number for version in versions(home / "c.cim")] == [1]


def test_a_field_that_is_gone_is_named_with_its_file(home: Path) -> None:
    city = fused(home)
    write(home / "a.geojson", {f"a{n}": (square(30.0 * n), {"title": "x"}) for n in range(6)})
    with pytest.raises(InputError, match=r"a\.geojson.*no field 'use'"):
        update(city)


def test_the_command_writes_nothing_when_dry_and_one_version_when_not(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = home / "c.cim"
    cim.save(fused(home), store)
    assert run(["update", str(store)]) == 0
    assert "no source changed" in capsys.readouterr().out
    write(home / "a.geojson", {f"a{n}": (square(30.0 * n), fields(n)) for n in range(1, 6)})
    assert run(["update", str(store), "--dry-run"]) == 0
    assert "nothing written" in capsys.readouterr().out
    assert run(["update", str(store), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["counts"]["removed"] == 1
    assert said["version"] == 2
    assert run(["update", str(store)]) == 0
    assert [version.number for version in versions(store)] == [1, 2]
    assert "a0" in cim.open(store, 1)
    assert run(["update", str(home / "a.geojson")]) == 3
    assert run(["update", str(store), "--at", "a"]) == 2


def test_the_companion_of_a_shapefile_counts(home: Path) -> None:
    import geopandas

    frame = geopandas.GeoDataFrame({"gml_id": ["s1", "s2"], "use": ["x", "y"]}, geometry=[square(0), square(30)], crs=4549)
    frame.to_file(home / "s.shp")
    city = read(home / "s.shp", mapping={"class": "Building", "id": "gml_id", "attributes": {"use": "use"}})
    frame["use"] = ["x", "z"]
    (home / "other").mkdir()
    frame.to_file(home / "other" / "s.shp")
    shutil.copy(home / "other" / "s.dbf", home / "s.dbf")
    assert rows(update(city)) == {("s2", "use")}


def test_a_class_that_changed_takes_the_object_along(home: Path) -> None:
    records = {f"a{n}": (square(30.0 * n), fields(n)) for n in range(3)}
    city = fuse([read(write(home / "a.geojson", records), mapping=MAPPING)])
    table = city.extra["sources"]["0"]
    table["mapping"] = {**MAPPING, "class": "LandUse"}
    write(home / "a.geojson", {**records, "a1": (square(31.0), fields(1))})
    found = update(city)
    assert found.city["a1"].type == "LandUse"
    assert found.city["a1"].attributes["use"] == "dwelling"


Edits = st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["move", "value", "remove", "add", "shape"])), max_size=6)


@given(Edits)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_edit_lists_exactly_what_was_edited(tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[int, str]]) -> None:
    home = tmp_path_factory.mktemp("edit")
    records: dict[str, tuple[Any, Mapping[str, Any]]] = {f"a{n}": (square(40.0 * n), fields(n)) for n in range(10)}
    write(home / "a.geojson", records)
    write(home / "b.geojson", {f"b{n}": (square(40.0 * n + 0.4), fields(n, use="office")) for n in range(0, 10, 2)})
    city = fused(home)
    done: dict[str, str] = {}
    for number, edit in edits:
        id = f"a{number}" if edit != "add" else f"n{number}"
        if id in done:
            continue
        done[id] = edit
        shape, said = records.get(id, (square(40.0 * number, 500.0), fields(number)))
        moved = shapely.transform(shape, lambda xy: xy + np.array([3.0, 0.0]))
        grown = square(40.0 * number, size=12.0)
        new = {"move": (moved, said), "value": (shape, {**said, "use": "x"}), "shape": (grown, said), "add": (shape, said)}
        if edit == "remove":
            del records[id]
        else:
            records[id] = new[edit]
    write(home / "a.geojson", records)
    found = update(city)
    wanted = {"added": ("add",), "removed": ("remove",), "moved": ("move",), "changed": ("value", "shape")}
    for kind, named_so in wanted.items():
        assert found.ids(kind) == sorted(id for id, edit in done.items() if edit in named_so)
    untouched = [f"a{n}" for n in range(10) if f"a{n}" not in done]
    assert claims(found.city, untouched) == claims(city, untouched)
    difference = cim.diff(city, found.city)
    named = {*difference.added, *difference.removed, *difference.changed["id"].to_pylist()}
    assert named == set(done)
    assert update(found.city).city is found.city
