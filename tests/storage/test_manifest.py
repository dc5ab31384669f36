"""A manifest is hostile input: each forged one here carries a checksum that fits."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cim.errors import CimError, StoreCorruptError, StoreError
from cim.model import City
from cim.storage import check, compact, open, save, versions
from cim.storage.manifest import read_manifest, to_bytes
from tests.storage.conftest import assert_same_city, with_raster

Content = dict[str, Any]


def forge(store: Path, change: Callable[[Content], object], version: int = 1) -> None:
    """Change a manifest and give it the checksum that the toolkit would give it."""
    path = store / "manifests" / f"{version:06d}.json"
    content = json.loads(path.read_bytes())
    content.pop("checksum")
    change(content)
    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
    content["checksum"] = hashlib.sha256(text.encode()).hexdigest()
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n")


def test_a_manifest_comes_back_as_the_same_bytes(store: Path) -> None:
    data = (store / "manifests" / "000001.json").read_bytes()
    assert to_bytes(read_manifest(store, 1)) == data


def test_a_forged_manifest_with_the_right_checksum_is_read(store: Path) -> None:
    forge(store, lambda content: content["city"].update(name="another"))
    assert open(store).name == "another"  # so that the refusals below are for what they forge, not for the checksum


@pytest.mark.parametrize("path", [
    "/etc/passwd", "../secret.parquet", "objects/../../secret.parquet", "objects//etc/passwd", "objects/x-0123456789abcdef.parquet\n",
    "tables/Building-0123456789abcdef.parquet", "objects\\..\\secret", "file:///etc/passwd", "http://host/x.parquet", "", "objects/\x00",
])  # fmt: skip
def test_a_part_outside_the_store_is_refused(store: Path, path: str) -> None:
    forge(store, lambda content: content["classes"][0].update(path=path))
    with pytest.raises(StoreCorruptError, match=r"000001\.json is damaged: classes holds an entry that is no part"):
        open(store)
    assert check(store)


@pytest.mark.parametrize(("change", "named"), [
    (lambda content: content["classes"][0].update(rows=-1), "classes"),
    (lambda content: content["classes"][0].update(rows=1e300), "classes"),
    (lambda content: content["classes"][0].update(bytes=True), "classes"),
    (lambda content: content["classes"][0].update(sha256="0" * 64), "classes"),
    (lambda content: content["classes"][0].update(name=7), "classes"),
    (lambda content: content["classes"][0].update(more=1), "classes"),
    (lambda content: content["classes"].append(content["classes"][0]), "classes names one twice"),
    (lambda content: content["tables"][0].update(name="objects"), "tables"),
    (lambda content: content["tables"][0].update(name="nonsense"), "tables"),
    (lambda content: content.update(tables={}), "tables"),
    (lambda content: content.update(files=[{"name": "", "path": "/etc/passwd", "rows": 0, "bytes": 1, "sha256": "0" * 64}]), "files"),
    (lambda content: content["city"].update(origin=[0.0, 0.0]), "origin"),
    (lambda content: content["city"].update(origin=["x", 0.0, 0.0]), "origin"),
    (lambda content: content["city"].update(extra=[]), "extra"),
    (lambda content: content.update(city=None), "crs"),
    (lambda content: content.update(version="1"), "version"),
    (lambda content: content.update(saved_at="yesterday"), "saved_at"),
    (lambda content: content.update(saved_at="2026-07-01T00:00:00"), "saved_at"),
    (lambda content: content.pop("in_order"), "in_order"),
])  # fmt: skip
def test_a_value_no_save_would_write_is_named(store: Path, change: Callable[[Content], object], named: str) -> None:
    forge(store, change)
    with pytest.raises(StoreCorruptError, match=named):
        open(store)


def test_an_unknown_reference_system_is_refused(store: Path) -> None:
    forge(store, lambda content: content["city"].update(crs="EPSG:0"))
    with pytest.raises(StoreCorruptError, match="EPSG:0"):
        open(store)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"7", b"null", b'{"format": "cim-store"}', b"\xff\xfe", b"[" * 100_000, b'{"a": NaN}'])
def test_anything_but_a_manifest_is_one_typed_error(store: Path, data: bytes) -> None:
    (store / "manifests" / "000001.json").write_bytes(data)
    with pytest.raises(StoreCorruptError, match=r"000001\.json"):
        open(store)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.sampled_from(["version", "saved_at", "message", "city", "in_order", "classes", "tables", "files"]), value=st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
))  # fmt: skip
def test_any_json_in_any_place_is_at_most_a_typed_error(store: Path, path: str, value: Any) -> None:
    kept = (store / "manifests" / "000001.json").read_bytes()
    try:
        forge(store, lambda content: content.update({path: value}))
        open(store)
    except CimError as error:
        assert "000001.json" in str(error)  # noqa: PT017  # no error is fine too
    finally:
        (store / "manifests" / "000001.json").write_bytes(kept)


def test_a_newer_format_is_refused_by_name_and_not_written_over(store: Path, city: City) -> None:
    forge(store, lambda content: content.update(format_version=9, toolkit="7.0.0"))
    message = "format_version 9, written by toolkit '7.0.0'; this toolkit knows 1"
    for ask in (lambda: open(store), lambda: save(city, store), lambda: compact(store), lambda: versions(store)):
        with pytest.raises(StoreError, match=message):
            ask()
    assert any(message in str(fault) for fault in check(store))
    assert [path.name for path in (store / "manifests").iterdir()] == ["000001.json"]


def test_a_newest_version_that_is_damaged_is_said_and_never_passed_over(store: Path, city: City) -> None:
    save(city, store)
    (store / "manifests" / "000002.json").write_bytes(b"")
    with pytest.raises(StoreCorruptError, match=r"000002\.json is damaged .* open an earlier version"):
        open(store)
    assert_same_city(open(store, 1), city)
    assert save(city, store) == 3  # the way on
    assert_same_city(open(store), city)


def test_a_manifest_under_another_number_is_a_fault(store: Path) -> None:
    shutil.copy(store / "manifests" / "000001.json", store / "manifests" / "000007.json")
    with pytest.raises(StoreCorruptError, match=r"000007\.json holds version 1"):
        open(store)
    assert [fault.file for fault in check(store)] == ["manifests/000007.json"]


def test_links_are_not_followed_out_of_the_store(store: Path, tmp_path: Path) -> None:
    part = next((store / "objects").iterdir())
    outside = tmp_path / "outside.parquet"
    part.rename(outside)
    part.symlink_to(outside)
    with pytest.raises(StoreCorruptError, match="is a link"):
        open(store)
    assert [fault.file for fault in check(store)] == [f"objects/{part.name}"]
    part.unlink()
    outside.rename(part)
    (store / "objects").rename(tmp_path / "objects")
    (store / "objects").symlink_to(tmp_path / "objects")
    with pytest.raises(StoreCorruptError, match="is a link"):
        open(store)


def replaced(store: Path, name: str, table: pa.Table) -> None:
    """Put another table in the place of a part, with size and checksum that fit."""
    pq.write_table(table, store / "forged.parquet")
    data = (store / "forged.parquet").read_bytes()
    (store / "forged.parquet").unlink()
    digest = hashlib.sha256(data).hexdigest()

    def change(content: Content) -> None:
        for entry in [*content["tables"], *content["classes"]]:
            if entry["name"] == name:
                folder = entry["path"].split("/")[0]
                entry.update(path=f"{folder}/x-{digest[:16]}.parquet", bytes=len(data), sha256=digest)
                (store / entry["path"]).write_bytes(data)

    forge(store, change)


@pytest.mark.parametrize("path", ["/etc/passwd", "../../etc/passwd", "files/../../x", f"files/{'0' * 64}.tif"])
def test_a_coverage_that_names_a_file_outside_is_refused(path: str, tmp_path: Path) -> None:
    (tmp_path / "t.tif").write_bytes(b"x")
    save(with_raster("a", tmp_path / "t.tif"), tmp_path / "x.cim")
    table = pq.read_table(next((tmp_path / "x.cim" / "tables").glob("coverages-*")))
    replaced(tmp_path / "x.cim", "coverages", table.set_column(2, table.schema.field(2), pa.array([path])))
    with pytest.raises(StoreCorruptError, match="which is no file of this version"):
        open(tmp_path / "x.cim")


def test_a_part_with_other_columns_or_rows_is_a_typed_error(store: Path) -> None:
    links = open(store).tables["links"]
    replaced(store, "links", pa.table({"key": ["x", "y"], "network": [1, 2]}))
    with pytest.raises(StoreCorruptError, match="tables/x-"):
        open(store).tables["links"]
    replaced(store, "links", links.slice(1))
    with pytest.raises(StoreCorruptError, match="1 rows, the manifest states 2"):
        open(store).tables["links"]
