"""What never reaches osmium: entities, other editions, lengths that lie."""

from __future__ import annotations

import bz2
import gzip
import struct
import zlib
from pathlib import Path

import pytest

from cim.errors import CorruptFileError, FormatError, InputError, LimitError, UnsafeInputError
from cim.loaders import read
from cim.loaders.limits import Limits
from cim.loaders.osm import READER
from cim.loaders.osm.guard import checked, kind_of

pytest.importorskip("osmium")

PLAIN = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<osm version="0.6"><node id="1" lat="30.6" lon="104.1"><tag k="shop" v="tea"/></node></osm>'
)


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, bytes):
        return _varint(number << 3 | 2) + _varint(len(value)) + value
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def _blob(kind: bytes, raw: bytes, *, claimed: int | None = None) -> bytes:
    data = _field(2, len(raw) if claimed is None else claimed) + _field(3, zlib.compress(raw))
    header = _field(1, kind) + _field(3, len(data))
    return struct.pack(">I", len(header)) + header + data


def _pbf(*features: bytes) -> bytes:
    return _blob(b"OSMHeader", b"".join(_field(4, one) for one in (b"OsmSchema-V0.6", b"DenseNodes", *features)))


def _refused(folder: Path, name: str, content: bytes) -> InputError:
    file = folder / name
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        checked(file, Limits(), file)
    return caught.value


@pytest.mark.parametrize(
    "text", [b'<!DOCTYPE osm [<!ENTITY a "b">]><osm version="0.6"/>', b"<osm version='0.6'><!-- --><!DOCTYPE osm></osm>"]
)
def test_xml_with_a_doctype_is_refused(tmp_path: Path, text: bytes) -> None:
    assert isinstance(_refused(tmp_path, "a.osm", text), UnsafeInputError)


def test_a_doctype_behind_a_long_comment_and_across_a_block_border_is_found(tmp_path: Path) -> None:
    for padding in ((1 << 20) - 5, 3 << 20):
        text = b"<osm version='0.6'><!--" + b"x" * (padding - 25) + b"<!DOCTYPE osm>--></osm>"
        assert isinstance(_refused(tmp_path, "a.osm", text), UnsafeInputError)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_other_encodings_cannot_hide_a_doctype(tmp_path: Path, encoding: str) -> None:
    content = '<!DOCTYPE osm [<!ENTITY a "b">]><osm version="0.6"/>'.encode(encoding)
    file = tmp_path / "a.osm"
    file.write_bytes(content)
    assert READER.recognises(content, file)
    assert "UTF-8" in str(_refused(tmp_path, "a.osm", content))


def test_a_declared_encoding_other_than_utf_8_is_refused(tmp_path: Path) -> None:
    assert "utf-7" in str(_refused(tmp_path, "a.osm", PLAIN.replace(b"UTF-8", b"utf-7")))


def test_a_change_file_is_refused_by_name(tmp_path: Path) -> None:
    assert "osmChange" in str(_refused(tmp_path, "a.osm", b"<osmChange version='0.6'></osmChange>"))


def test_a_blob_that_inflates_beyond_its_claim_is_a_bomb(tmp_path: Path) -> None:
    error = _refused(tmp_path, "a.osm.pbf", _pbf() + _blob(b"OSMData", b"\0" * 5_000_000, claimed=1000))
    assert isinstance(error, LimitError)
    assert "inflates" in str(error)


@pytest.mark.parametrize("claimed", [(32 << 20) + 1, 1 << 31, 1 << 62])
def test_a_blob_that_claims_more_than_the_format_allows_is_refused(tmp_path: Path, claimed: int) -> None:
    assert isinstance(_refused(tmp_path, "a.osm.pbf", _pbf() + _blob(b"OSMData", b"x", claimed=claimed)), LimitError)


def test_a_pbf_cut_anywhere_is_refused_or_a_whole_number_of_blobs(tmp_path: Path) -> None:
    whole = _pbf() + _blob(b"OSMData", bytes(range(200)))
    border = len(_pbf())
    for size in range(1, len(whole)):
        if size != border:
            assert isinstance(_refused(tmp_path, "a.osm.pbf", whole[:size]), CorruptFileError)


@pytest.mark.parametrize("feature", [b"HistoricalInformation", b"LocationsOnWays"])
def test_other_editions_of_pbf_are_refused_by_name(tmp_path: Path, feature: bytes) -> None:
    assert isinstance(_refused(tmp_path, "a.osm.pbf", _pbf(feature)), FormatError)


def test_compressed_xml_is_read(tmp_path: Path) -> None:
    for name, content in (("a.osm.gz", gzip.compress(PLAIN)), ("a.osm.bz2", bz2.compress(PLAIN))):
        (tmp_path / name).write_bytes(content)
        city = read(tmp_path / name)
        assert city.types() == {"GenericLogicalSpace": 1}
        assert city.name == "a"


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_compressed_xml_that_swells_is_refused(tmp_path: Path, pack: object) -> None:
    content = pack(PLAIN.replace(b"<node", b" " * 30_000_000 + b"<node"))  # type: ignore[operator]
    assert "size limit" in str(_refused(tmp_path, "a.osm.gz", content))


def test_compressed_xml_that_is_cut_is_refused(tmp_path: Path) -> None:
    assert isinstance(_refused(tmp_path, "a.osm.gz", gzip.compress(PLAIN)[:-9]), CorruptFileError)


def test_a_cut_xml_file_is_corrupt_and_no_smaller_map(tmp_path: Path) -> None:
    file = tmp_path / "a.osm"
    file.write_bytes(PLAIN[:-6])
    with pytest.raises(CorruptFileError, match="corrupt or cut"):
        read(file)


def test_other_files_are_left_to_other_readers() -> None:
    for head in (b"", b"{}", b"<gml/>", b"<osmosis/>", gzip.compress(b"hello"), b"PK\x03\x04"):
        assert kind_of(head, Path("a.bin")) is None
