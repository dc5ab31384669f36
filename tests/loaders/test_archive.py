"""A ZIP is expanded within its folder and its limits, or not at all."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

import pytest

from cim.errors import CorruptFileError, FormatError, LimitError, UnsafeInputError
from cim.loaders import read
from cim.loaders.archive import expand
from cim.loaders.limits import Limits

POINT = json.dumps({"type": "Point", "coordinates": [5.0, 52.0]}).encode()


def packed(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


@pytest.mark.parametrize(
    "name", ["../../evil.geojson", "/etc/evil.geojson", "a/../../evil.geojson", "..\\evil.geojson", "C:\\evil.geojson"]
)
def test_a_member_that_climbs_out_is_refused_and_nothing_written(name: str, tmp_path: Path) -> None:
    file = packed(tmp_path / "a.zip", (name, POINT))
    (tmp_path / "out").mkdir()
    with pytest.raises(UnsafeInputError, match="unsafe path"):
        expand(file, tmp_path / "out", Limits())
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["a.zip", "out"]


def test_a_link_is_neither_made_nor_followed(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a.geojson")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(UnsafeInputError, match="is a link"):
        expand(packed(tmp_path / "a.zip", (link, b"/etc/passwd")), tmp_path, Limits())


def test_a_bomb_is_refused_by_ratio_by_sum_and_by_number(tmp_path: Path) -> None:
    bomb = packed(tmp_path / "a.zip", ("zeros", bytes(8 << 20)))
    with pytest.raises(LimitError, match="ratio limit of 200"):
        expand(bomb, tmp_path, Limits())
    with pytest.raises(LimitError, match="expanded bytes"):
        expand(bomb, tmp_path, Limits(expanded_bytes=1 << 20))
    with pytest.raises(LimitError, match="2 archive members, above the limit of 1"):
        expand(packed(tmp_path / "b.zip", ("a", b""), ("b", b"")), tmp_path, Limits(archive_members=1))


def test_a_member_larger_than_it_declares_is_stopped(tmp_path: Path) -> None:
    file = packed(tmp_path / "a.zip", ("a.bin", bytes(range(256)) * 64))
    data = bytearray(file.read_bytes())
    place = data.index(b"PK\x01\x02")
    data[place + 24 : place + 28] = (100).to_bytes(4, "little")  # the uncompressed size in the directory
    file.write_bytes(data)
    with pytest.raises((LimitError, CorruptFileError)):
        expand(file, tmp_path, Limits())
    assert not (tmp_path / "a.bin").exists() or (tmp_path / "a.bin").stat().st_size <= 100


def test_names_in_gbk_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    packed(file, ("XXXX.geojson", POINT))
    file.write_bytes(file.read_bytes().replace(b"XXXX.geojson", "大楼".encode("gbk") + b".geojson"))
    assert [one.name for one in expand(file, tmp_path, Limits())] == ["大楼.geojson"]


def test_the_one_data_set_inside_is_read_and_named_with_the_archive(tmp_path: Path) -> None:
    city = read(packed(tmp_path / "a.zip", ("readme.txt", b"x"), ("data/trees.geojson", POINT)))
    assert city.types() == {"SolitaryVegetationObject": 1}
    assert city.tables["sources"]["path"].to_pylist() == [f"{tmp_path / 'a.zip'}/trees.geojson"]


def test_none_or_several_data_sets_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no data set of a known format"):
        read(packed(tmp_path / "a.zip", ("readme.txt", b"x")))
    with pytest.raises(FormatError, match=r"2 data sets \(a\.geojson, b\.geojson\), expected one"):
        read(packed(tmp_path / "b.zip", ("a.geojson", POINT), ("b.geojson", POINT)))


def test_an_archive_in_an_archive_is_refused(tmp_path: Path) -> None:
    inner = packed(tmp_path / "inner.zip", ("a.geojson", POINT)).read_bytes()
    with pytest.raises(LimitError, match="nested"):
        read(packed(tmp_path / "outer.zip", ("inner.zip", inner)))


def test_a_damaged_archive_is_corrupt(tmp_path: Path) -> None:
    file = packed(tmp_path / "a.zip", ("a.geojson", POINT * 50))
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(CorruptFileError, match="damaged ZIP"):
        read(file)
