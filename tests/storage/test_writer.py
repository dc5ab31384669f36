from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import StoreCorruptError, StoreError, UsageError
from cim.model import City, CityBuilder, Column, concat
from cim.storage import check, open, parts, save, versions
from tests.storage.conftest import assert_same_city, make_city


def part_of(store: Path, name: str, version: int | None = None) -> Path:
    return store / next(part.path for part in parts(store, version) if part.name == name)


def test_what_is_opened_is_what_was_saved(city: City, store: Path) -> None:
    found = open(store)
    assert_same_city(found, city)
    assert (found.path, found.version) == (str(store), 1)
    assert check(store, bytes=True) == []


def test_a_city_without_anything_can_be_kept(tmp_path: Path) -> None:
    empty = CityBuilder("EPSG:4549+5737").build()
    assert save(empty, tmp_path / "empty.cim") == 1
    assert_same_city(open(tmp_path / "empty.cim"), empty)


def test_each_save_is_a_version_and_older_ones_stay_readable(city: City, store: Path) -> None:
    taller = pa.array(np.asarray(city.column("Building", "height")) + 1.0)
    table = city.attributes["Building"]
    changed = city.replace_tables(attributes={"Building": table.set_column(1, table.schema.field("height"), taller)})
    assert save(changed, store, message="taller") == 2
    assert_same_city(open(store), changed)
    assert_same_city(open(store, 1), city)
    assert [(one.number, one.message, one.objects) for one in versions(store)] == [(1, "first", 202), (2, "taller", 202)]


def test_parts_that_did_not_change_are_used_again(store: Path) -> None:
    before = {part.path: (store / part.path).stat().st_ino for part in parts(store)}
    changed = open(store).with_issues([{"code": "assumed", "message": "a flat roof"}])
    save(changed, store)
    again = {part.path for part in parts(store)}
    assert {path for path in before if "issues" not in path} == {path for path in again if "issues" not in path}
    assert all((store / path).stat().st_ino == inode for path, inode in before.items())
    assert_same_city(open(store), changed)


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.cim", tmp_path / "b.cim"
    save(make_city(), first)
    read = open(first)
    for tables in (read.tables, read.attributes):
        for name in tables:
            assert tables[name] is tables[name]  # read into memory, in other chunks than it was built in
    save(dataclasses.replace(read.replace_tables(objects=read.tables["objects"].slice(0)), path=None), second)
    assert [part.sha256 for part in parts(first)] == [part.sha256 for part in parts(second)]


def test_a_stored_city_is_copied_to_another_store_part_by_part(city: City, store: Path, tmp_path: Path) -> None:
    save(open(store), tmp_path / "copy.cim")
    shutil.rmtree(store)
    assert_same_city(open(tmp_path / "copy.cim"), city)
    assert check(tmp_path / "copy.cim", bytes=True) == []


def test_a_damaged_part_is_not_carried_into_a_new_version(store: Path) -> None:
    lazy = open(store)
    part = part_of(store, "geometries")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    with pytest.raises(StoreCorruptError, match="geometries"):
        save(lazy, store)
    assert [one.number for one in versions(store)] == [1]


def test_saving_anew_repairs_a_damaged_part(city: City, store: Path) -> None:
    part = part_of(store, "geometries")
    part.write_bytes(part.read_bytes()[:-1] + b"\x00")
    save(city, store)
    assert check(store, bytes=True) == []


def test_another_reference_system_writes_the_footprints_anew(store: Path) -> None:
    import pyarrow.parquet as pq

    from cim.crs import parse

    save(dataclasses.replace(open(store), crs=parse("EPSG:28992")), store)
    metadata = pq.read_schema(part_of(store, "Building")).metadata
    assert b'"EPSG:28992"' in metadata[b"cim"]
    assert part_of(store, "Building") != part_of(store, "Building", 1)


def test_classes_whose_keys_are_mixed_come_back_in_the_order_of_the_keys(tmp_path: Path) -> None:
    both = concat([make_city(30), make_city(20, seed=2)])  # keys: Building, Road, Building, Road
    save(both, tmp_path / "mixed.cim")
    found = open(tmp_path / "mixed.cim")
    assert found.keys().tolist() == both.keys().tolist()
    assert found.keys(where="z_roof > 20").tolist() == both.keys(where="z_roof > 20").tolist()
    assert_same_city(found, both)


@pytest.mark.parametrize("name", ["../../escape", "a/b", "第一类", "con:", "x" * 300, ".", "type'); DROP"])
def test_any_class_name_is_kept_and_leads_nowhere(name: str, tmp_path: Path) -> None:
    builder = CityBuilder("EPSG:7415")
    keys = builder.add_objects(name, ["a"])
    builder.add_attributes(keys, name, {"n": Column([1])})
    save(builder.build(), tmp_path / "in" / "x.cim")
    assert open(tmp_path / "in" / "x.cim").types() == {name: 1}
    assert {path.name for path in tmp_path.iterdir()} == {"in"}
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"x.cim"}


@settings(max_examples=25, deadline=None)
@given(
    values=st.lists(st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=20)), min_size=1, max_size=40),
    numbers=st.data(),
)
def test_any_values_come_back_as_they_were(
    values: list[str | None], numbers: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    reals = numbers.draw(st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=len(values), max_size=len(values)))
    counts = numbers.draw(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)), min_size=len(values), max_size=len(values)))
    builder = CityBuilder("EPSG:7415", name="n")
    keys = builder.add_objects("Building", [f"b{row}" for row in range(len(values))], names=values)
    columns = {"text": Column(values), "real": Column(pa.array(reals, pa.float64())), "count": Column(pa.array(counts, pa.int64()))}
    builder.add_attributes(keys, "Building", columns)
    made = builder.build()
    path = tmp_path_factory.mktemp("any") / "x.cim"
    save(made, path)
    assert_same_city(open(path), made)


# ---------------------------------------------------------------------- what is refused


def test_a_folder_of_something_else_is_not_touched(city: City, tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(StoreError, match=r"is no city store, it holds thesis\.docx"):
        save(city, tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match="is a file"):
        save(city, tmp_path / "file")
    other = tmp_path / "other"
    (other / "manifests").mkdir(parents=True)
    (other / "manifests" / "000001.json").write_text('{"format": "docker"}')
    with pytest.raises(StoreError, match="is no city store"):
        save(city, other)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "other", "thesis.docx"]
    assert [path.name for path in other.iterdir()] == ["manifests"]


def test_a_store_whose_folder_is_a_link_is_not_written_through(city: City, store: Path, tmp_path: Path) -> None:
    shutil.move(store / "objects", tmp_path / "elsewhere")
    (store / "objects").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="objects is a link"):
        save(city, store)


def test_what_json_cannot_hold_is_refused(city: City, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"city\.extra cannot be kept"):
        save(dataclasses.replace(city, extra={"x": float("nan")}), tmp_path / "x.cim")
    assert list((tmp_path / "x.cim" / "objects").iterdir()) == []  # nothing of the save that failed is left


def test_an_attribute_named_like_a_core_column_is_refused(city: City, tmp_path: Path) -> None:
    table = city.attributes["Road"].append_column("name", pa.array(["a", "b"]))
    with pytest.raises(UsageError, match="call it name_attribute"):
        save(city.replace_tables(attributes={"Road": table}), tmp_path / "x.cim")


def test_attributes_that_do_not_follow_the_objects_are_refused(city: City, tmp_path: Path) -> None:
    from cim.model.tables import Tables

    short = Tables({**{name: city.attributes[name] for name in city.attributes}, "Road": city.attributes["Road"].slice(1)})
    with pytest.raises(UsageError, match="attributes of Road do not follow its objects"):
        save(dataclasses.replace(city, attributes=short), tmp_path / "x.cim")


def test_a_full_disk_leaves_the_versions_before_and_no_leftovers(city: City, store: Path) -> None:
    """A limit on the size of files stands for the full disk: the write fails in the same place, with EFBIG for ENOSPC."""
    script = (
        "import resource, signal, sys, cim\n"
        "from cim.errors import StoreError\n"
        "from tests.storage.conftest import make_city\n"
        "city = make_city(5000)\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "try:\n    cim.save(city, sys.argv[1])\n"
        "except StoreError as error:\n    print(error)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script, str(store)], capture_output=True, text=True, check=True, cwd=root)
    assert "the city was not saved" in done.stdout
    assert_same_city(open(store), city)
    assert list((store / "tmp").iterdir()) == []
    assert {path.name for path in (store / "objects").iterdir()} == {part_of(store, name).name for name in ("Building", "Road")}
    assert save(city, store) == 2


def test_everything_is_on_the_disk_before_the_manifest_gets_its_name(city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut after the name appeared must find parts and folders written; the order of the calls is the proof."""
    calls: list[tuple[str, str]] = []
    fsync, replace, link = os.fsync, Path.replace, os.link

    def noted_fsync(handle: int) -> None:
        calls.append(("fsync", str(Path(f"/proc/self/fd/{handle}").readlink())))
        fsync(handle)

    def noted_replace(self: Path, target: Path) -> Path:
        calls.append(("name", f"{self} {target}"))
        return replace(self, target)

    def noted_link(source: Path, target: Path) -> None:
        calls.append(("commit", f"{source} {target}"))
        link(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    monkeypatch.setattr(os, "link", noted_link)
    store = tmp_path / "x.cim"
    save(city, store)
    commit = next(place for place, (what, _) in enumerate(calls) if what == "commit")
    assert ("fsync", calls[commit][1].split()[0]) in calls[:commit]  # the manifest itself
    named = [text.split() for what, text in calls if what == "name"]
    assert {Path(target) for _, target in named} == {store / part.path for part in parts(store)}
    for source, target in named:
        place = calls.index(("name", f"{source} {target}"))
        assert ("fsync", source) in calls[:place]  # the bytes before the name
        assert ("fsync", str(Path(target).parent)) in calls[place:commit]  # the name before the commit
    assert ("fsync", str(store / "manifests")) in calls[commit:]
    assert ("fsync", str(tmp_path)) in calls[commit:]
