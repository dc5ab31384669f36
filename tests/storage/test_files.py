from __future__ import annotations

from pathlib import Path

import pytest

from cim.errors import StoreCorruptError, StoreError
from cim.storage import check, open, save
from tests.storage.conftest import with_raster


def test_a_raster_moves_into_the_store_and_is_found_there(tmp_path: Path) -> None:
    file = tmp_path / "terrain.TIF"
    file.write_bytes(b"II*\x00" + bytes(5000))
    save(with_raster("a", file), tmp_path / "x.cim")
    file.unlink()
    moved = (tmp_path / "x.cim").rename(tmp_path / "moved.cim")
    found = open(moved)
    kept = Path(found.tables["coverages"]["path"][0].as_py())
    assert kept.is_absolute()
    assert kept.parent == moved / "files"
    assert kept.suffix == ".tif"
    assert kept.read_bytes() == b"II*\x00" + bytes(5000)
    save(found, moved)  # the file that is there already is used again
    save(found, tmp_path / "copy.cim")
    assert len(list((moved / "files").iterdir())) == 1
    assert check(moved, bytes=True) == check(tmp_path / "copy.cim", bytes=True) == []


def test_a_raster_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"gone\.tif belongs to the city but is not there"):
        save(with_raster("a", tmp_path / "gone.tif"), tmp_path / "x.cim")


def test_a_damaged_raster_is_not_carried_on(tmp_path: Path) -> None:
    file = tmp_path / "terrain.tif"
    file.write_bytes(bytes(5000))
    save(with_raster("a", file), tmp_path / "x.cim")
    found = open(tmp_path / "x.cim")
    Path(found.tables["coverages"]["path"][0].as_py()).write_bytes(bytes(4999) + b"\x01")
    assert [fault.file.split("/")[0] for fault in check(tmp_path / "x.cim", bytes=True)] == ["files"]
    with pytest.raises(StoreCorruptError, match="its checksum does not fit its name"):
        save(found, tmp_path / "x.cim")
