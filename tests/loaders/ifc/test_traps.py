"""Files that look harmless and gave wrong numbers: several bodies, properties of types, sets of sets, storeys above the sea."""

from __future__ import annotations

from pathlib import Path

import pytest

from cim.loaders.ifc import READER
from cim.loaders.protocol import ReadOptions
from cim.model import City
from cim.model.geometry import volume
from tests.loaders.ifc import ifc_files as models

pytest.importorskip("ifcopenshell")

SLAB, ROOF, OTHER = "0000000000000000000010", "0000000000000000000011", "0000000000000000000060"

_CUBE = """\
#600=IFCRECTANGLEPROFILEDEF(.AREA.,$,#22,1000.,1000.);
#601=IFCEXTRUDEDAREASOLID(#600,#7,#20,1000.);
#602=IFCSHAPEREPRESENTATION(#6,'{first}','SweptSolid',({a}));
#603=IFCSHAPEREPRESENTATION(#6,'{second}','SweptSolid',({b}));
#604=IFCPRODUCTDEFINITIONSHAPE($,$,(#602,#603));
#605=IFCSLAB('0000000000000000000060',$,'two',$,$,#103,#604,$,.FLOOR.);
#606=IFCRELCONTAINEDINSPATIALSTRUCTURE('0000000000000000000061',$,$,$,(#605),#12);
"""
_TYPE = """\
#500=IFCSLABTYPE('0000000000000000000050',$,'T',$,$,(#501),$,$,$,.BASESLAB.);
#501=IFCPROPERTYSET('0000000000000000000051',$,'Pset_SlabCommon',$,(#502,#503));
#502=IFCPROPERTYSINGLEVALUE('IsExternal',$,IFCBOOLEAN(.T.),$);
#503=IFCPROPERTYSINGLEVALUE('FireRating',$,IFCLABEL('REI60'),$);
#504=IFCRELDEFINESBYTYPE('0000000000000000000052',$,$,$,(#108),#500);
#505=IFCPROPERTYSET('0000000000000000000053',$,'Pset_SlabCommon',$,(#506));
#506=IFCPROPERTYSINGLEVALUE('IsExternal',$,IFCBOOLEAN(.F.),$);
#507=IFCRELDEFINESBYPROPERTIES('0000000000000000000054',$,$,$,(#108),#505);
#508=IFCMATERIAL('Concrete',$,$);
#509=IFCRELASSOCIATESMATERIAL('0000000000000000000055',$,$,$,(#500),#508);
#510=IFCCLASSIFICATION($,$,$,'Uniclass',$,$,$);
#511=IFCCLASSIFICATIONREFERENCE($,'EF_30',$,#510,$,$);
#512=IFCRELASSOCIATESCLASSIFICATION('0000000000000000000056',$,$,$,(#500),#511);
"""


def _read(path: Path, **options: object) -> City:
    return READER.read(path, ReadOptions(**{"crs": "local", **options}))  # type: ignore[arg-type]


def _volume(city: City, id: str) -> float:
    return float(volume(city.geometry_table(lod="3", keys=city.key_of([id]))).sum())


def _properties(city: City, id: str) -> dict[tuple[str, str], str]:
    key = int(city.key_of([id])[0])
    return {(row["set"], row["name"]): row["value"] for row in city.tables["properties"].to_pylist() if row["object"] == key}


@pytest.mark.parametrize(("first", "second"), [("Body", "Clearance"), ("Body", "Facetation"), ("Clearance", "Body"), ("Box", "Body")])
def test_the_body_is_taken_whatever_stands_beside_it(tmp_path: Path, first: str, second: str) -> None:
    items = {first: "#601", second: "#601"} | {"Body": "#104"}
    records = models.house(extra=_CUBE.format(first=first, second=second, a=items[first], b=items[second]))
    assert _volume(_read(models.write(tmp_path, records)), OTHER) == pytest.approx(24.0)  # 10 x 8 x 0.3 m, not the cube


def test_two_bodies_of_one_name_are_told(tmp_path: Path) -> None:
    city = _read(models.write(tmp_path, models.house(extra=_CUBE.format(first="Body", second="Body", a="#104", b="#601"))))
    assert _volume(city, OTHER) == pytest.approx(24.0)
    told = [row for row in city.tables["issues"].to_pylist() if row["code"] == "lost"]
    assert [(row["object"], "several bodies" in row["message"]) for row in told] == [(int(city.key_of([OTHER])[0]), True)]


def test_what_a_type_says_holds_for_its_occurrences_unless_they_say_otherwise(tmp_path: Path) -> None:
    records = models.house(extra=_TYPE).replace("'T1',.FLOOR.)", "'T1',$)")
    city = _read(models.write(tmp_path, records))
    said = _properties(city, SLAB)
    assert (said["Pset_SlabCommon", "IsExternal"], said["Pset_SlabCommon", "FireRating"]) == ("false", "REI60")
    assert (said["Material", "material"], said["Classification", "Uniclass"]) == ("Concrete", "EF_30")
    assert city[SLAB].attributes["predefined_type"] == "BASESLAB"
    assert ("Material", "material") not in _properties(city, ROOF)


def test_a_set_of_property_sets_is_read(tmp_path: Path) -> None:
    more = "#520=IFCRELDEFINESBYPROPERTIES('0000000000000000000057',$,$,$,(#118),IFCPROPERTYSETDEFINITIONSET((#505)));\n"
    city = _read(models.write(tmp_path, models.house(extra=_TYPE + more)))
    assert _properties(city, ROOF) == {("Pset_SlabCommon", "IsExternal"): "false"}


_HOLE = """\
#650=IFCCARTESIANPOINT(({x},0.,-1000.));
#651=IFCAXIS2PLACEMENT3D(#650,$,$);
#652=IFCLOCALPLACEMENT(#8,#651);
#653=IFCRECTANGLEPROFILEDEF(.AREA.,$,#22,20000.,20000.);
#654=IFCEXTRUDEDAREASOLID(#653,#7,#20,2000.);
#655=IFCSHAPEREPRESENTATION(#6,'Body','SweptSolid',(#654));
#656=IFCPRODUCTDEFINITIONSHAPE($,$,(#655));
#657=IFCOPENINGELEMENT('0000000000000000000071',$,'O',$,$,#652,#656,$,$);
#658=IFCRELVOIDSELEMENT('0000000000000000000072',$,$,$,#108,#657);
"""


def test_an_opening_larger_than_its_host_leaves_nothing_of_it(tmp_path: Path) -> None:
    city = _read(models.write(tmp_path, models.house(extra=_HOLE.format(x="0."))))
    assert _volume(city, SLAB) == 0.0  # the kernel hands it back uncut: 24 m³
    assert [row["object"] for row in city.tables["issues"].to_pylist() if row["code"] == "empty" and "emptied" in row["message"]] == [
        int(city.key_of([SLAB])[0])
    ]


def test_an_opening_that_cuts_half_of_its_host_is_no_doubt(tmp_path: Path) -> None:
    city = _read(models.write(tmp_path, models.house(extra=_HOLE.format(x="10000."))))
    assert _volume(city, SLAB) == pytest.approx(12.0)
    assert not any("opening" in row["message"] for row in city.tables["issues"].to_pylist())


_ROOM = """\
#800=IFCSPACE('0000000000000000000081',$,'sp',$,$,#8,#106,$,.ELEMENT.,.INTERNAL.,$);
#801=IFCRELAGGREGATES('0000000000000000000082',$,$,$,#12,(#800));
#802=IFCELEMENTQUANTITY('0000000000000000000083',$,'Qto_SpaceBaseQuantities',$,$,(#803,#804));
#803=IFCQUANTITYAREA('NetFloorArea',$,$,80.,$);
#804=IFCQUANTITYVOLUME('NetVolume',$,$,24.,$);
#805=IFCRELDEFINESBYPROPERTIES('0000000000000000000084',$,$,$,(#800),#802);
"""


def test_a_quantity_whose_unit_is_not_stated_is_told(tmp_path: Path) -> None:
    city = _read(models.write(tmp_path, models.house(extra=_ROOM)))  # states a unit of area, none of volume
    assert city["0000000000000000000081"].attributes["volume"] == pytest.approx(24.0)
    told = [(row["count"], row["message"]) for row in city.tables["issues"].to_pylist() if "no unit for them" in row["message"]]
    assert [(count, "m³" in message) for count, message in told] == [(1, True)]
