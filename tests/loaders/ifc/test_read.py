"""IFC models become objects with properties, shapes, a place, and what they are from outside."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest
import shapely

import cim
from cim.errors import CorruptFileError, FormatError, MissingExtraError
from cim.loaders import describe, read
from cim.loaders.ifc import READER
from cim.loaders.protocol import ReadOptions
from cim.model import City, roll_up
from cim.model.geometry import volume
from tests.loaders.ifc import ifc_files as models

pytest.importorskip("ifcopenshell")

SLAB, ROOF = "0000000000000000000010", "0000000000000000000011"
_WALL = "#500=IFCWALL('0000000000000000000051',$,'W',$,$,#513,#516,$,$);\n"
HOUSE, STOREY = "0000000000000000000003", "0000000000000000000004"


def _read(path: Path, **options: object) -> City:
    return READER.read(path, ReadOptions(**{"crs": "local", **options}))  # type: ignore[arg-type]


def _told(city: City, code: str) -> list[str]:
    return [row["message"] for row in city.tables["issues"].to_pylist() if row["code"] == code]


def _slab(step: int, shape: int, guid: str, extra: str = "$") -> str:
    return f"#{step}=IFCSLAB('{guid}',$,'Part',{extra},$,#103,#{shape},$,.FLOOR.);\n"


def test_a_house_becomes_objects_in_metres(tmp_path: Path) -> None:
    city = _read(models.write(tmp_path, models.house()))
    assert city.types() == {"Building": 1, "BuildingConstructiveElement": 2, "BuildingStorey": 1, "CityObjectGroup": 1, "LandUse": 1}
    slab = city[SLAB]
    assert (slab.name, [whole.id for whole in slab.parents()][:2]) == ("Floor", [STOREY, HOUSE])
    assert slab.attributes["ifc_class"] == "IfcSlab"
    assert slab.attributes["predefined_type"] == "FLOOR"
    table = city.geometry_table(lod="3")
    assert sorted(volume(table).tolist()) == pytest.approx([16.0, 24.0], rel=1e-9)  # exact boxes
    assert set(table["type"].to_pylist()) == {"Solid"}
    schemes = {(row["scheme"], row["value"]) for row in city.tables["identifiers"].to_pylist()}
    assert {("ifc_guid", SLAB), ("ifc_tag", "T1")} <= schemes


def test_the_outside_of_a_house_follows_from_its_slabs(tmp_path: Path) -> None:
    city = _read(models.write(tmp_path, models.house()))
    house = city[HOUSE]
    assert shapely.symmetric_difference(house.footprint, shapely.box(-5, -4, 5, 4)).area < 1e-6  # corners lie on a grid of 1e-5 m
    row = city.table("Building").loc[HOUSE]
    assert (row["z_ground"], row["z_roof"]) == pytest.approx((0.0, 3.2))
    lods = {(one["lod"], one["type"]) for one in city.tables["geometries"].to_pylist()}
    assert {("0", "MultiSurface"), ("1", "Solid"), ("3", "Solid")} <= lods
    assert any("LoD2 is not derived: no outer faces found for WallSurface" in text for text in _told(city, "empty"))


def test_a_storey_has_the_area_of_its_footprint_and_says_so(tmp_path: Path) -> None:
    city = _read(models.write(tmp_path, models.house()))
    storey = city[STOREY]
    assert storey.attributes["floor_area"] == pytest.approx(80.0, abs=1e-3)  # 10 m x 8 m; corners lie on a grid of 1e-5 m
    assert storey.attributes["floor_area_basis"] == "area of the footprint seen from above"
    assert any("floor_area of 1 of 1 storeys is the area of the footprint seen from above" in text for text in _told(city, "assumed"))
    rolled = roll_up(city, "floor_area")
    assert list(rolled.loc[HOUSE, ["counted", "missing"]]) == [1, 0]  # its slabs lack nothing
    assert rolled.loc[HOUSE, "value"] == pytest.approx(80.0, abs=1e-3)


def test_a_storey_without_slabs_or_rooms_has_no_area_and_is_counted(tmp_path: Path) -> None:
    bare = models.house().replace("IFCSLAB", "IFCMEMBER").replace(",.FLOOR.)", ",$)").replace(",.ROOF.)", ",$)")
    city = _read(models.write(tmp_path, bare))
    assert city[STOREY].attributes["floor_area"] is None
    assert any("1 of 1 storeys have no slabs or rooms" in text for text in _told(city, "empty"))


def test_property_sets_keep_their_units_and_quantities_become_attributes(tmp_path: Path) -> None:
    extra = (
        "#200=IFCPROPERTYSINGLEVALUE('Thick',$,IFCLENGTHMEASURE(300.),$);\n"
        "#201=IFCPROPERTYSINGLEVALUE('Fire',$,IFCBOOLEAN(.T.),$);\n"
        "#202=IFCPROPERTYENUMERATEDVALUE('Use',$,(IFCLABEL('A'),IFCLABEL('B')),$);\n"
        "#203=IFCPROPERTYBOUNDEDVALUE('Load',$,IFCREAL(2.),IFCREAL(1.),$,$);\n"
        "#204=IFCPROPERTYSET('0000000000000000000020',$,'Pset_X',$,(#200,#201,#202,#203));\n"
        "#205=IFCRELDEFINESBYPROPERTIES('0000000000000000000021',$,$,$,(#108,#118),#204);\n"
        "#206=IFCSPACE('0000000000000000000022',$,'R1',$,$,#103,#106,'Room',.ELEMENT.,.INTERNAL.,$);\n"
        "#207=IFCRELAGGREGATES('0000000000000000000023',$,$,$,#12,(#206));\n"
        "#208=IFCQUANTITYAREA('NetFloorArea',$,$,77.5,$);\n"
        "#209=IFCQUANTITYLENGTH('Height',$,$,2500.,$);\n"
        "#210=IFCELEMENTQUANTITY('0000000000000000000024',$,'BaseQuantities',$,$,(#208,#209));\n"
        "#211=IFCRELDEFINESBYPROPERTIES('0000000000000000000025',$,$,$,(#206),#210);\n"
        "#212=IFCCLASSIFICATION($,$,$,'NL/SfB',$,$,$);\n"
        "#213=IFCCLASSIFICATIONREFERENCE($,'(23)','Floors',#212,$,$);\n"
        "#214=IFCRELASSOCIATESCLASSIFICATION('0000000000000000000026',$,$,$,(#108),#213);\n"
        "#215=IFCMATERIAL('Concrete',$,$);\n"
        "#216=IFCRELASSOCIATESMATERIAL('0000000000000000000027',$,$,$,(#108),#215);\n"
    )
    city = _read(models.write(tmp_path, models.house(extra=extra)))
    key = int(city.key_of([SLAB])[0])
    rows = {(r["set"], r["name"]): (r["value"], r["unit"]) for r in city.tables["properties"].to_pylist() if r["object"] == key}
    assert rows == {
        ("Pset_X", "Thick"): ("300", "mm"), ("Pset_X", "Fire"): ("true", None), ("Pset_X", "Use"): ("A; B", None),
        ("Pset_X", "Load.LowerBound"): ("1", None), ("Pset_X", "Load.UpperBound"): ("2", None),
        ("Classification", "NL/SfB"): ("(23) Floors", None), ("Material", "material"): ("Concrete", None),
    }  # fmt: skip
    assert ("classification:NL/SfB", "(23)") in {(r["scheme"], r["value"]) for r in city.tables["identifiers"].to_pylist()}
    room = city.table("BuildingRoom").iloc[0]
    assert (room["net_floor_area"], room["height"], room["long_name"]) == (77.5, 2.5, "Room")


def test_mapped_items_become_instances_of_one_template_in_their_places(tmp_path: Path) -> None:
    extra = "#300=IFCREPRESENTATIONMAP(#7,#105);\n"
    for k, (x, scale, mirror) in enumerate([(10000.0, 1.0, ""), (20000.0, 2.0, ""), (30000.0, 1.0, "x"), (40000.0, 1.0, "")]):
        n = 310 + 10 * k
        first = f"#{n + 9}" if mirror else "$"
        extra += (
            f"#{n}=IFCCARTESIANPOINT(({x},0.,0.));\n#{n + 1}=IFCCARTESIANTRANSFORMATIONOPERATOR3D({first},$,#{n},{scale},$);\n"
            f"#{n + 2}=IFCMAPPEDITEM(#300,#{n + 1});\n#{n + 3}=IFCSHAPEREPRESENTATION(#6,'Body','MappedRepresentation',(#{n + 2}));\n"
            f"#{n + 4}=IFCPRODUCTDEFINITIONSHAPE($,$,(#{n + 3}));\n#{n + 9}=IFCDIRECTION((-1.,0.,0.));\n"
            f"#{n + 5}=IFCCOLUMN('000000000000000000003{k}',$,'C{k}',$,$,#8,#{n + 4},$,$);\n"
        )
    extra += "#191=IFCRELCONTAINEDINSPATIALSTRUCTURE('0000000000000000000009',$,$,$,(#315,#325,#335,#345),#12);\n"
    city = _read(models.write(tmp_path, models.house(extra=extra)))
    assert city.tables["templates"].num_rows == 1
    for k, (x, wide) in enumerate([(10.0, 5.0), (20.0, 10.0), (30.0, 5.0), (40.0, 5.0)]):
        box = city.tables["objects"].filter(pc.field("id") == f"000000000000000000003{k}")["bbox"][0].as_py()
        assert (box["xmin"], box["xmax"]) == pytest.approx((x - wide, x + wide)), k
    columns = city.geometry_table(lod="3", keys=city.keys("BuildingConstructiveElement", where="ifc_class == 'IfcColumn'"))
    assert sorted(volume(columns).tolist()) == pytest.approx([24.0, 24.0, 24.0, 192.0])


def test_an_element_emptied_by_its_opening_is_named_and_kept(tmp_path: Path) -> None:
    extra = models.box(400, (10000.0, 8000.0, 300.0), (0.0, 0.0, -300.0)) + (
        "#408=IFCOPENINGELEMENT('0000000000000000000040',$,'Void',$,$,#403,#406,$,.OPENING.);\n"
        "#409=IFCRELVOIDSELEMENT('0000000000000000000041',$,$,$,#108,#408);\n"
    )
    city = _read(models.write(tmp_path, models.house(extra=extra)))
    assert any("emptied by its openings" in text for text in _told(city, "empty"))
    assert SLAB in city.ids(city.keys())
    assert city.geometry_table(lod="3").num_rows == 1


def test_an_opening_cuts_its_element(tmp_path: Path) -> None:
    extra = models.box(400, (1000.0, 1000.0, 9000.0), (0.0, 0.0, -1000.0)) + (
        "#408=IFCOPENINGELEMENT('0000000000000000000040',$,'Void',$,$,#403,#406,$,.OPENING.);\n"
        "#409=IFCRELVOIDSELEMENT('0000000000000000000041',$,$,$,#108,#408);\n"
    )
    city = _read(models.write(tmp_path, models.house(extra=extra)))
    assert volume(city.geometry_table(lod="3", keys=city.key_of([SLAB]))).tolist() == pytest.approx([24.0 - 0.3])


def test_an_element_outside_the_spatial_tree_is_named(tmp_path: Path) -> None:
    city = _read(models.write(tmp_path, models.house(extra=_slab(500, 106, "0000000000000000000050"))))
    assert any("outside the spatial structure" in text for text in _told(city, "unmatched"))
    assert city["0000000000000000000050"].parent is None


def test_a_global_id_that_occurs_twice_is_made_unique_and_told(tmp_path: Path) -> None:
    city = _read(models.write(tmp_path, models.house(extra=_slab(500, 106, SLAB))))
    assert {SLAB, f"{SLAB}#2"} <= set(city.ids(city.keys()))
    assert any("occurs again" in text for text in _told(city, "duplicate"))


@pytest.mark.parametrize(
    ("extra", "match"),
    [
        ("#501=IFCLOCALPLACEMENT(#501,#7);\n#500=IFCWALL('0000000000000000000051',$,'W',$,$,#501,#106,$,$);\n", "cycle"),
        ("#500=IFCWALL('0000000000000000000051',$,'W',$,$,#103,#999,$,$);\n", "#999, which is missing"),
        (models.box(510, (1.0, 1.0, -5.0)) + _WALL, "depth is -5"),
        (models.box(510, (1.0, 1.0, 5.0), (1e15, 0.0, 0.0)) + _WALL, "out of range"),
    ],
)  # fmt: skip
def test_one_bad_product_is_named_and_the_others_kept(tmp_path: Path, extra: str, match: str) -> None:
    city = _read(models.write(tmp_path, models.house(extra=extra)))
    texts = [row["message"] for row in city.tables["issues"].to_pylist() if row["severity"] == "warning"]
    assert any(match in text for text in texts), texts
    assert city.geometry_table(lod="3").num_rows == 2
    assert "0000000000000000000051" in city.ids(city.keys())


def test_a_file_all_of_whose_shapes_are_broken_is_refused(tmp_path: Path) -> None:
    records = models.house().replace(
        "IFCSHAPEREPRESENTATION(#6,'Body','SweptSolid',(#104))", "IFCSHAPEREPRESENTATION(#6,'Body','SweptSolid',(#9))"
    )
    broken = records.replace("#104=IFCEXTRUDEDAREASOLID(#102,", "#104=IFCEXTRUDEDAREASOLID(#999,")
    broken = broken.replace("#114=IFCEXTRUDEDAREASOLID(#112,", "#114=IFCEXTRUDEDAREASOLID(#999,").replace("(#9))", "(#104))")
    with pytest.raises(CorruptFileError, match="none of its 2 products with geometry yields a shape"):
        _read(models.write(tmp_path, broken))


def test_an_unknown_entity_is_counted(tmp_path: Path) -> None:
    city = _read(models.write(tmp_path, models.house(extra="#500=IFCMAGICWALL('0000000000000000000051');\n")))
    assert any("1 records of the unknown entity type IFCMAGICWALL" in text for text in _told(city, "rejected"))


def test_a_schema_that_is_not_read_is_refused_by_name_and_still_described(tmp_path: Path) -> None:
    path = models.write(tmp_path, models.house(), schema="IFC4X2")
    with pytest.raises(FormatError, match="schema IFC4X2 is not read"):
        read(path)
    told = describe(path)
    assert told.format == "IFC (IFC4X2)"
    assert any("IFC4X2" in text for text in told.suspicions)


@pytest.mark.parametrize("schema", ["IFC4X3", "IFC4X3_ADD2", "IFC4", "IFC4_ADD2"])
def test_editions_of_the_known_schemas_are_read(tmp_path: Path, schema: str) -> None:
    city = _read(models.write(tmp_path, models.house(), schema=schema))
    assert city.geometry_table(lod="3").num_rows == 2


def test_rules_make_street_things_of_proxies_and_leave_the_unknown(tmp_path: Path) -> None:
    extra = (
        "#500=IFCBUILDINGELEMENTPROXY('0000000000000000000060',$,'x',$,$,#103,#106,$,$);\n"
        "#501=IFCBUILDINGELEMENTPROXY('0000000000000000000061',$,'x',$,$,#103,#106,$,$);\n"
        "#502=IFCPROPERTYSINGLEVALUE('objecttype',$,IFCTEXT('paal'),$);\n"
        "#503=IFCPROPERTYSET('0000000000000000000062',$,'CPset_BGT',$,(#502));\n"
        "#504=IFCRELDEFINESBYPROPERTIES('0000000000000000000063',$,$,$,(#500),#503);\n"
        "#505=IFCRELCONTAINEDINSPATIALSTRUCTURE('0000000000000000000064',$,$,$,(#500,#501),#12);\n"
    )
    city = _read(models.write(tmp_path, models.house(extra=extra)))
    assert (city["0000000000000000000060"].type, city["0000000000000000000061"].type) == ("CityFurniture", "GenericOccupiedSpace")
    assert city["0000000000000000000060"].parents()[0].type == "LandUse"  # not a part of the house its exporter put it in
    assert any("meet no rule" in text for text in _told(city, "unmatched"))


def test_pipes_with_ports_become_links_that_meet_in_one_node(tmp_path: Path) -> None:
    extra = ""
    for k, direction in enumerate([("SINK", "SOURCE"), ("SINK", "SOURCE")]):
        n = 600 + 10 * k
        extra += f"#{n}=IFCPIPESEGMENT('000000000000000000007{k}',$,'P{k}',$,$,#103,#106,$,$);\n"
        extra += "".join(
            f"#{n + 1 + j}=IFCDISTRIBUTIONPORT('00000000000000000000{8 + k}{j}',$,$,$,$,$,$,.{one}.,$,$);\n"
            for j, one in enumerate(direction)
        )
        extra += f"#{n + 3}=IFCRELNESTS('000000000000000000003{k}',$,$,$,#{n},(#{n + 1},#{n + 2}));\n"
    extra += (
        "#620=IFCRELCONNECTSPORTS('0000000000000000000095',$,$,$,#602,#611,$);\n"
        "#621=IFCDISTRIBUTIONSYSTEM('0000000000000000000096',$,'Water',$,$,$,$);\n"
        "#622=IFCRELASSIGNSTOGROUP('0000000000000000000097',$,$,$,(#600,#610),$,#621);\n"
        "#623=IFCRELCONTAINEDINSPATIALSTRUCTURE('0000000000000000000098',$,$,$,(#600,#610),#12);\n"
    )
    city = _read(models.write(tmp_path, models.house(extra=extra)))
    first, second = city.tables["links"].to_pylist()
    assert {first["network"], second["network"]} == {"Water"}
    assert {first["direction"], second["direction"]} == {"forward"}
    assert first["to_node"] == second["from_node"] or second["to_node"] == first["from_node"]
    group = city["0000000000000000000096"]
    assert group.type == "CityObjectGroup"
    predicates = [row["predicate"] for row in city.tables["relations"].to_pylist()]
    assert predicates.count("contains") == 2
    assert predicates.count("connectsTo") == 1


def test_a_model_survives_the_store(tmp_path: Path) -> None:
    city = read(models.write(tmp_path, models.house()), crs="local")
    cim.save(city, tmp_path / "house.cim")
    again = cim.open(tmp_path / "house.cim")
    assert again.types() == city.types()
    np.testing.assert_array_equal(volume(again.geometry_table(lod="3")), volume(city.geometry_table(lod="3")))


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ifcopenshell", None)
    with pytest.raises(MissingExtraError, match=r"cim-toolkit\[ifc\]"):
        _read(models.write(tmp_path, models.house()))


def test_a_layer_makes_no_sense(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no layers"):
        _read(models.write(tmp_path, models.house()), layer="x")
