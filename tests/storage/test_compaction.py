from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cim.errors import StoreCorruptError, StoreError, UsageError
from cim.model import City
from cim.storage import check, compact, open, parts, save, versions
from tests.storage.conftest import assert_same_city, make_city


def files_of(store: Path) -> set[str]:
    return {f"{path.parent.name}/{path.name}" for folder in ("objects", "tables", "files") for path in (store / folder).iterdir()}


def test_only_the_newest_versions_and_their_parts_stay(store: Path) -> None:
    for seed in (2, 3):
        save(make_city(50, seed=seed), store)
    before = sum(path.stat().st_size for path in store.rglob("*.parquet"))
    done = compact(store, keep=2)
    assert done.versions == (1,)
    assert [one.number for one in versions(store)] == [2, 3]
    assert files_of(store) == {part.path for number in (2, 3) for part in parts(store, number)}
    assert before - sum(path.stat().st_size for path in store.rglob("*.parquet")) == done.bytes > 0
    assert_same_city(open(store, 2), make_city(50, seed=2))
    assert check(store, bytes=True) == []
    assert compact(store, keep=2) == type(done)((), 0, 0)


def test_numbers_go_on_after_a_compaction(store: Path, city: City) -> None:
    save(city, store)
    compact(store)
    assert save(city, store) == 3


def test_parts_nobody_names_are_swept(store: Path) -> None:
    stray = store / "objects" / "Road-0123456789abcdef.parquet"
    stray.write_bytes(b"x")
    mine = store / "objects" / "notes.txt"  # not of the store's making
    mine.write_text("mine")
    assert [fault.file for fault in check(store, bytes=True)] == [f"objects/{stray.name}"]
    assert compact(store).files == 1
    assert not stray.exists()
    assert mine.exists()


def test_a_city_opened_before_says_that_its_version_is_gone(store: Path) -> None:
    old = open(store)
    save(make_city(10, seed=3), store)
    compact(store)
    with pytest.raises(StoreError, match="the version was removed by a compaction meanwhile"):
        old.column("Building", "height")
    with pytest.raises(StoreError, match="has no version 1; it has 2"):
        open(store, 1)


def test_what_cannot_be_compacted_is_named(store: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="keep=0"):
        compact(store, keep=0)
    with pytest.raises(StoreError, match="is no city store"):
        compact(tmp_path / "nothing.cim")
    assert not (tmp_path / "nothing.cim").exists()


def test_a_damaged_version_is_not_what_stays(store: Path, city: City) -> None:
    save(city, store)
    (store / "manifests" / "000002.json").write_bytes(b"{}")
    with pytest.raises(StoreCorruptError, match="000002"):
        compact(store)
    assert_same_city(open(store, 1), city)


def test_while_a_manifest_is_damaged_no_part_is_swept(store: Path) -> None:
    save(make_city(10, seed=3), store)
    kept = shutil.copy(store / "manifests" / "000001.json", store.parent / "kept")
    (store / "manifests" / "000001.json").write_bytes(b"{}")
    save(make_city(11, seed=4), store)
    shutil.copy(kept, store / "manifests" / "000001.json")
    assert check(store, bytes=True) == []
