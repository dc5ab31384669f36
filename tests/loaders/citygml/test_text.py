"""Encodings and declarations: what the bytes are, and what is refused before the parser sees it."""

# a piece of XML stays on one line
from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cim.errors import CorruptFileError, FormatError, LimitError, UnsafeInputError
from cim.loaders.citygml import READER
from cim.loaders.citygml.text import check_text, utf8_blocks
from cim.loaders.protocol import ReadOptions

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.loaders.citygml.gml_files import load, model, square, told

TEXT = model(
    f"<luse:LandUse gml:id='a'><gml:name>天府广场</gml:name><luse:lod1MultiSurface>{square()}</luse:lod1MultiSurface></luse:LandUse>"
)


def declared(name: str) -> str:
    return TEXT.replace('encoding="UTF-8"', f'encoding="{name}"')


@pytest.mark.parametrize(
    ("name", "codec"),
    [("GBK", "gbk"), ("GB2312", "gb2312"), ("gb18030", "gb18030"), ("UTF-8", "utf-8-sig"), ("UTF-16", "utf-16"), ("UTF-16", "utf-16-be"),
     ("utf-16le", "utf-16-le"), ("Big5", "big5"), ("Shift_JIS", "shift_jis")],
)  # fmt: skip
def test_every_encoding_gives_the_same_name(name: str, codec: str, tmp_path: Path) -> None:
    text = (
        declared(name) if codec not in ("big5", "shift_jis") else declared(name).replace("广场", "広場" if codec == "shift_jis" else "廣場")
    )
    city = load(tmp_path, text.encode(codec))
    assert city["a"].name in ("天府广场", "天府廣場", "天府広場")
    assert not told(city, "encoding")


def test_a_character_cut_by_a_block_is_whole_again(tmp_path: Path) -> None:
    long = declared("GBK").replace("天府广场", "天府广场" * 300_000)
    path = tmp_path / "a.gml"
    path.write_bytes(long.encode("gbk"))
    blocks = list(utf8_blocks(path, check_text(path)))
    assert len(blocks) > 2
    assert b"".join(blocks).decode() == long.partition("?>")[2]


def test_gbk_bytes_that_claim_to_be_utf_8_are_read_and_told(tmp_path: Path) -> None:
    city = load(tmp_path, TEXT.encode("gbk"))
    assert city["a"].name == "天府广场"
    assert "gb18030" in told(city, "encoding")[0]


def test_the_caller_may_name_the_encoding(tmp_path: Path) -> None:
    assert load(tmp_path, declared("ISO-8859-1").encode("gbk"), encoding="gbk")["a"].name == "天府广场"


@pytest.mark.parametrize("name", ["no-such", "utf-7", "unicode_escape", "rot13", "zlib"])
def test_unknown_and_dangerous_encodings_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match="encoding"):
        load(tmp_path, declared(name))


def test_bytes_that_no_encoding_fits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match="encoding is wrong"):
        load(tmp_path, TEXT.encode().replace("天府".encode(), b"\xff\xff\xff"))


@pytest.mark.parametrize("codec", ["utf-8", "utf-16", "utf-16-le", "utf-32", "gbk"])
@pytest.mark.parametrize("declaration", ['<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">', '<!DOCTYPE x [<!ENTITY e "1">]>'])
def test_a_doctype_is_refused_in_every_encoding(declaration: str, codec: str, tmp_path: Path) -> None:
    text = declared({"gbk": "GBK"}.get(codec, codec.removesuffix("-le"))).replace("?>", f"?>{' ' * 70_000}{declaration}", 1)
    with pytest.raises(UnsafeInputError, match="DOCTYPE"):
        load(tmp_path, text.encode(codec))


def test_deep_nesting_and_endless_texts_are_limits(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="depth"):
        load(tmp_path, model("<gen:a>" * 60_000))
    with pytest.raises(LimitError, match="XML limit"):
        load(tmp_path, model(f"<gen:a>{'1 ' * 6_000_000}</gen:a>"))


def test_many_attributes_on_one_element_cost_little(tmp_path: Path) -> None:
    city = load(tmp_path, TEXT.replace("<core:CityModel ", "<core:CityModel " + " ".join(f'a{one}="1"' for one in range(50_000)) + " "))
    assert len(city) == 1


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.99])
def test_a_cut_file_is_corrupt(cut: float, tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match="well-formed"):
        load(tmp_path, TEXT[: int(len(TEXT) * cut)])


def test_plain_gml_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="not CityGML"):
        load(
            tmp_path,
            '<a:FeatureCollection xmlns:a="http://example.org/a" xmlns:gml="http://www.opengis.net/gml"><gml:featureMember/></a:FeatureCollection>',
        )


def test_a_model_without_objects_and_a_layer_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match="no city object"):
        load(tmp_path, model())
    with pytest.raises(FormatError, match="no layers"):
        load(tmp_path, TEXT, layer="x")


def test_only_gml_is_recognised(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(TEXT, encoding="utf-16")
    assert READER.recognises(path.read_bytes(), path)
    assert not READER.recognises(b'<?xml version="1.0"?><osm version="0.6"/>', path)
    assert not READER.recognises(b'{"a": "http://www.opengis.net/gml"}', path)


def test_describe_tells_version_counts_and_system(tmp_path: Path) -> None:
    path = tmp_path / "a.gml"
    path.write_text(TEXT, encoding="utf-8")
    found = READER.describe(path, ReadOptions())
    assert found.format == "CityGML 2.0"
    assert [(one.name, one.count, one.crs) for one in found.layers] == [("LandUse", 1, "urn:ogc:def:crs:EPSG::32648")]
