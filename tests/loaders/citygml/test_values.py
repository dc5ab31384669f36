"""What is no geometry: attributes, units, names, addresses, references, validity, extensions, and ids that repeat."""

# ruff: noqa: E501  # a piece of XML stays on one line
from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.loaders.citygml.gml_files import cube, load, model, square, told

SOLID = f"<bldg:lod1Solid>{cube()}</bldg:lod1Solid>"


def building(inside: str, id: str = "b") -> str:
    return f"<bldg:Building gml:id='{id}'>{inside}{SOLID}</bldg:Building>"


def test_texts_keep_their_code_space_and_numbers_their_kind(tmp_path: Path) -> None:
    inside = (
        "<gml:description>说明</gml:description><gml:name>天府广场</gml:name><bldg:class codeSpace='http://codes/class'>1000</bldg:class>"
        "<bldg:function>1001</bldg:function><bldg:function>1002</bldg:function><bldg:yearOfConstruction>1965</bldg:yearOfConstruction>"
        "<bldg:storeysAboveGround>3</bldg:storeysAboveGround><core:relativeToTerrain>entirelyAboveTerrain</core:relativeToTerrain>"
        "<bldg:roofType>3100</bldg:roofType>"
    )
    b = load(tmp_path, model(building(inside)))["b"]
    assert b.name == "天府广场"
    assert b.attributes == {
        "description": "说明", "class": "1000", "function": "1001; 1002", "year_of_construction": 1965, "storeys_above_ground": 3,
        "relativeToTerrain": "entirelyAboveTerrain", "roof_type": "3100",
    }  # fmt: skip
    assert b.properties["citygml"] == {"class/codeSpace": "http://codes/class"}


@pytest.mark.parametrize(
    ("unit", "metres"), [("m", 12.0), ("urn:adv:uom:m", 12.0), ("#m", 12.0), ("ft", 3.6576), ("urn:ogc:def:uom:EPSG::9001", 12.0)]
)
def test_measured_height_is_in_metres(unit: str, metres: float, tmp_path: Path) -> None:
    city = load(tmp_path, model(building(f"<bldg:measuredHeight uom='{unit}'>12</bldg:measuredHeight>")))
    assert city["b"].attributes["height"] == pytest.approx(metres)
    assert city.unit("Building", "height") == "m"
    assert not told(city, "assumed")


def test_a_height_without_unit_is_assumed_and_one_that_is_no_number_kept_aside(tmp_path: Path) -> None:
    members = [
        building("<bldg:measuredHeight>12</bldg:measuredHeight>"),
        building("<bldg:measuredHeight uom='m'>十二</bldg:measuredHeight>", "c"),
    ]
    city = load(tmp_path, model(*members))
    assert any("without a unit" in one for one in told(city, "assumed"))
    assert city["c"].attributes["height"] is None
    assert city["c"].properties["citygml"]["measuredHeight"] == "十二"
    assert any("no number" in one for one in told(city, "rejected"))


def test_a_height_that_the_geometry_contradicts_is_a_conflict(tmp_path: Path) -> None:
    city = load(tmp_path, model(building("<bldg:measuredHeight uom='m'>1000</bldg:measuredHeight>")))
    assert any("centimetres" in one for one in told(city, "conflict"))  # the cube is 10 m high


def test_units_of_another_quantity_never_share_a_column(tmp_path: Path) -> None:
    members = [building(f"<bldg:measuredHeight uom='{unit}'>12</bldg:measuredHeight>", f"b{unit}") for unit in ("m", "m2")]
    city = load(tmp_path, model(members[0], members[0].replace("'bm'", "'bn'"), members[1]))
    assert city["bm2"].attributes["height"] is None
    assert told(city, "conflict")


def test_generic_attributes_of_every_kind_keep_name_value_and_unit(tmp_path: Path) -> None:
    inside = (
        "<gen:stringAttribute name='s'><gen:value>文</gen:value></gen:stringAttribute><gen:intAttribute name='i'><gen:value>3</gen:value>"
        "</gen:intAttribute><gen:doubleAttribute name='d'><gen:value>0.5</gen:value></gen:doubleAttribute><gen:dateAttribute name='t'>"
        "<gen:value>2020-01-02</gen:value></gen:dateAttribute><gen:uriAttribute name='u'><gen:value>http://x/</gen:value></gen:uriAttribute>"
        "<gen:measureAttribute name='m'><gen:value uom='m2'>7</gen:value></gen:measureAttribute><gen:genericAttributeSet name='set'>"
        "<gen:stringAttribute name='in'><gen:value>v</gen:value></gen:stringAttribute></gen:genericAttributeSet>"
    )
    city = load(tmp_path, model(building(inside)))
    assert city["b"].properties["generic"] == {
        "s": "文",
        "i": "3",
        "d": "0.5",
        "t": "2020-01-02",
        "u": "http://x/",
        "m": "7",
        "set/in": "v",
    }
    assert {row["name"]: row["unit"] for row in city.tables["properties"].to_pylist() if row["unit"]} == {"m": "m2"}


ADDRESS = (
    "<bldg:address><core:Address><core:xalAddress><xAL:AddressDetails><xAL:Country><xAL:CountryName>Germany</xAL:CountryName><xAL:Locality "
    "Type='Town'><xAL:LocalityName>Ingolstadt</xAL:LocalityName><xAL:Thoroughfare Type='Street'><xAL:ThoroughfareNumber>3"
    "</xAL:ThoroughfareNumber><xAL:ThoroughfareName>Am Markt</xAL:ThoroughfareName></xAL:Thoroughfare><xAL:PostalCode><xAL:PostalCodeNumber>"
    "85049</xAL:PostalCodeNumber></xAL:PostalCode></xAL:Locality></xAL:Country></xAL:AddressDetails></core:xalAddress></core:Address></bldg:address>"
)


def test_an_address_is_attributes_and_an_identifier(tmp_path: Path) -> None:
    b = load(tmp_path, model(building(ADDRESS)))["b"]
    assert b.identifiers["address"] == ["Am Markt 3, 85049 Ingolstadt, Germany"]
    assert (b.attributes["address_street"], b.attributes["address_number"]) == ("Am Markt", "3")
    assert (b.attributes["address_postcode"], b.attributes["address_locality"]) == ("85049", "Ingolstadt")


def test_external_references_are_identifiers(tmp_path: Path) -> None:
    inside = (
        "<core:externalReference><core:informationSystem>ALKIS</core:informationSystem><core:externalObject><core:name>DEBY1</core:name>"
        "</core:externalObject></core:externalReference>"
    )
    assert load(tmp_path, model(building(inside)))["b"].identifiers == {"ALKIS": ["DEBY1"]}


def test_dates_of_creation_and_end_are_the_validity_and_say_so(tmp_path: Path) -> None:
    inside = "<core:creationDate>2019-05-01</core:creationDate><core:terminationDate>2021-01-01T08:00:00+08:00</core:terminationDate>"
    city = load(tmp_path, model(building(inside)))
    core = city["b"].core
    assert core["valid_from"].isoformat() == "2019-05-01T00:00:00+00:00"
    assert core["valid_to"].isoformat() == "2021-01-01T00:00:00+00:00"
    assert len(told(city, "assumed")) == 2


def test_extensions_are_kept_as_texts_and_named_by_namespace(tmp_path: Path) -> None:
    inside = "<n:noise>55</n:noise><n:deep><n:Value><n:a uom='dB'>1</n:a></n:Value></n:deep>"
    station = f"<n:Station gml:id='st'><n:lod1Geometry>{square()}</n:lod1Geometry></n:Station>"
    city = load(tmp_path, model(building(inside), station, more='xmlns:n="http://example.org/noise"'))
    assert city["b"].properties["ade"] == {"http://example.org/noise noise": "55", "http://example.org/noise deep/Value/a": "1"}
    assert city["st"].type == "+Station"
    assert all("http://example.org/noise" in one for one in told(city, "unsupported"))
    assert told(city, "unsupported")


def test_what_has_no_place_is_named_and_counted(tmp_path: Path) -> None:
    dynamizer = "<core:dynamizer><dyn:Dynamizer gml:id='d'><dyn:attributeRef>x</dyn:attributeRef></dyn:Dynamizer></core:dynamizer>"
    city = load(tmp_path, model(building(dynamizer), version="3.0", more='xmlns:dyn="http://www.opengis.net/citygml/dynamizer/3.0"'))
    assert any("Dynamizer" in one for one in told(city, "lost"))


def test_parts_of_a_building_whose_id_repeats_stay_with_it(tmp_path: Path) -> None:
    def whole(part: str) -> str:
        return f"<bldg:Building gml:id='b'><bldg:consistsOfBuildingPart><bldg:BuildingPart gml:id='{part}'>{SOLID}</bldg:BuildingPart></bldg:consistsOfBuildingPart></bldg:Building>"

    city = load(tmp_path, model(whole("p"), whole("q")))
    assert [one.id for id in ("p", "q") for one in city[id].parents()] == ["b", "b#2"]
    assert any("occurs again" in one for one in told(city, "duplicate"))


def test_objects_without_id_get_one_that_says_what_they_are(tmp_path: Path) -> None:
    city = load(tmp_path, model(building("").replace(" gml:id='b'", "")))
    assert city.tables["objects"]["id"].to_pylist() == ["Building-1"]
    assert any("without gml:id" in one for one in told(city, "guessed"))
