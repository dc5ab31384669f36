"""Where a model stands: every reading weighed, contradictions told, nothing chosen silently."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cim.errors import CRSError, UsageError
from cim.loaders.ifc.evidence import GeoFacts, gather, gather_header, record
from cim.loaders.ifc.georeference import Placement, locate
from cim.loaders.protocol import ReadOptions
from cim.model import CityBuilder

ifcopenshell = pytest.importorskip("ifcopenshell")

WRITTEN = 1e-3  # m: coordinates in the files are written to millimetres
EAST, NORTH = 84983.297, 447463.655  # Delft, in the Dutch system
LATITUDE, LONGITUDE = (52, 0, 39, 900000), (4, 22, 2, 300000)  # the same place, within 50 m
FIVE_KM_EAST = (4, 26, 25, 0)


def text(
    *,
    schema: str = "IFC4",
    unit: str = "$,.METRE.",
    conversion: str = "",
    site: str = "$,$,$",
    north: str = "$",
    more: str = "",
    wcs: str = "(0.,0.,0.)",
) -> str:
    """Return an IFC file with one site and one element, 3 m east of it."""
    return f"""ISO-10303-21;
HEADER;
FILE_DESCRIPTION((''),'2;1');
FILE_NAME('','',(''),(''),'','','');
FILE_SCHEMA(('{schema}'));
ENDSEC;
DATA;
#1=IFCPERSON($,'P',$,$,$,$,$,$);
#2=IFCORGANIZATION($,'O',$,$,$);
#3=IFCPERSONANDORGANIZATION(#1,#2,$);
#4=IFCAPPLICATION(#2,'1','a','a');
#5=IFCOWNERHISTORY(#3,#4,$,.ADDED.,$,$,$,0);
#6=IFCSIUNIT(*,.LENGTHUNIT.,{unit});
#7=IFCUNITASSIGNMENT((#6));
#8=IFCCARTESIANPOINT((0.,0.,0.));
#9=IFCAXIS2PLACEMENT3D(#8,$,$);
#10=IFCCARTESIANPOINT({wcs});
#11=IFCAXIS2PLACEMENT3D(#10,$,$);
#12=IFCGEOMETRICREPRESENTATIONCONTEXT($,'Model',3,1.E-5,#11,{north});
#13=IFCPROJECT('0000000000000000000001',#5,'p',$,$,$,$,(#12),#7);
#14=IFCLOCALPLACEMENT($,#9);
#15=IFCSITE('0000000000000000000002',#5,'Site',$,$,#14,$,$,.ELEMENT.,{site},$,$);
#16=IFCCARTESIANPOINT((3.,0.,0.));
#17=IFCAXIS2PLACEMENT3D(#16,$,$);
#18=IFCLOCALPLACEMENT(#14,#17);
#19=IFCBUILDINGELEMENTPROXY('0000000000000000000003',#5,'Zero point',$,$,#18,$,$,$);
#20=IFCSIUNIT(*,.LENGTHUNIT.,$,.METRE.);
{conversion}
{more}
ENDSEC;
END-ISO-10303-21;
"""


def converted(
    east: float = EAST,
    north: float = NORTH,
    *,
    crs: str = "'EPSG:28992'",
    unit: str = "#20",
    scale: str = "1.",
    axis: str = "$,$",
    height: str = "2.5",
) -> str:
    """Return the lines of a map conversion."""
    return (
        f"#30=IFCPROJECTEDCRS({crs},$,$,'NAP',$,$,{unit});\n#31=IFCMAPCONVERSION(#12,#30,{east:.3f},{north:.3f},{height},{axis},{scale});"
    )


def in_set(name: str, values: dict[str, str], owner: str = "#19") -> str:
    """Return the lines of a property set on an element."""
    lines = [f"#{50 + i}=IFCPROPERTYSINGLEVALUE('{key}',$,{value},$);" for i, (key, value) in enumerate(values.items())]
    refs = ",".join(f"#{50 + i}" for i in range(len(values)))
    return "\n".join(
        [*lines, f"#80=IFCPROPERTYSET('0000000000000000000004',#5,'{name}',$,({refs}));",
         f"#81=IFCRELDEFINESBYPROPERTIES('0000000000000000000005',#5,$,$,({owner}),#80);"]
    )  # fmt: skip


def site(latitude: tuple[int, ...] = LATITUDE, longitude: tuple[int, ...] = LONGITUDE, elevation: str = "$") -> str:
    """Return the attributes of a site with a position."""
    return f"({','.join(map(str, latitude))}),({','.join(map(str, longitude))}),{elevation}"


def facts_of(content: str) -> GeoFacts:
    """Return what a text says about its place."""
    return gather(ifcopenshell.file.from_string(content))


def place(content: str, **options: Any) -> Placement:
    """Return where a text puts its model."""
    return locate(facts_of(content), Path("model.ifc"), ReadOptions(**options))


def of_file(path: Path, **options: Any) -> Placement:
    """Return where a file puts its model."""
    return locate(gather(ifcopenshell.open(str(path))), path, ReadOptions(**options))


def rotation(found: Placement) -> float:
    """Return the turn of a placement [degrees]."""
    return math.degrees(math.atan2(found.matrix[1, 0], found.matrix[0, 0]))


def told(found: Placement) -> str:
    """Return all that a placement says."""
    return " ".join([found.reason, *(f"{code} {severity} {message}" for code, severity, message in found.said)])


# --- map conversion -----------------------------------------------------------------------------------------------------


def test_a_map_conversion_is_taken_as_stated() -> None:
    found = place(text(conversion=converted(axis="0.,1.")))
    assert (found.verdict, found.crs.to_string()) == ("stated once", "EPSG:28992+5709")
    assert found.matrix[:3, 3] == pytest.approx([EAST, NORTH, 2.5], abs=WRITTEN)
    assert rotation(found) == pytest.approx(90.0)
    assert found.evidence[0].accepted


@pytest.mark.parametrize(
    ("scale", "word"), [("0.001", "ratio"), ("1.", "Scale=1 although"), ("1000.", "inverse"), ("7.", "is not the ratio"), ("$", "")]
)
def test_the_scale_of_a_millimetre_file_never_blows_it_up(scale: str, word: str) -> None:
    found = place(text(unit=".MILLI.,.METRE.", conversion=converted(scale=scale)))
    assert found.matrix[0, 0] == pytest.approx(1.0)
    assert found.matrix[:2, 3] == pytest.approx([EAST, NORTH], abs=WRITTEN)
    assert found.unit_factor == 0.001
    assert word in told(found)


def test_a_combined_scale_factor_is_kept() -> None:
    assert place(text(conversion=converted(scale="0.9996"))).matrix[0, 0] == pytest.approx(0.9996)


def test_eastings_in_millimetres_are_found_by_the_area_of_use() -> None:
    found = place(text(conversion=converted(EAST * 1000, NORTH * 1000, height="2500.")))
    assert found.matrix[:3, 3] == pytest.approx([EAST, NORTH, 2.5], abs=WRITTEN)
    assert "units of 0.001 m" in told(found)
    assert any("outside the area of use" in one.reason for one in found.evidence if not one.accepted)


def test_eastings_in_feet_are_found_by_the_area_of_use() -> None:
    found = place(text(conversion=converted(EAST / 0.3048, NORTH / 0.3048)))
    assert found.matrix[:2, 3] == pytest.approx([EAST, NORTH], abs=WRITTEN)


def test_a_stated_unit_of_feet_is_used() -> None:
    feet = (
        "#40=IFCDIMENSIONALEXPONENTS(1,0,0,0,0,0,0);\n#41=IFCMEASUREWITHUNIT(IFCLENGTHMEASURE(0.3048),#20);\n"
        "#42=IFCCONVERSIONBASEDUNIT(#40,.LENGTHUNIT.,'FOOT',#41);"
    )
    found = place(text(conversion=converted(EAST / 0.3048, NORTH / 0.3048, unit="#42", scale="3.28084", height="10."), more=feet))
    assert found.matrix[:3, 3] == pytest.approx([EAST, NORTH, 3.048], abs=WRITTEN)
    assert found.matrix[0, 0] == pytest.approx(1.0, abs=1e-6)  # 3.28084 is rounded


def test_swapped_axes_are_turned_and_named() -> None:
    found = place(text(conversion=converted(NORTH, EAST)))
    assert found.matrix[:2, 3] == pytest.approx([EAST, NORTH], abs=WRITTEN)
    assert "swapped" in told(found)


@pytest.mark.parametrize("name", ["'EPSG:999999'", "'RD 31'", "''", "$", "'+proj=pipeline +step +init=/etc/passwd'", "'local'"])
def test_a_name_that_is_no_system_is_an_issue_and_no_guess(name: str) -> None:
    found = place(text(conversion=converted(crs=name)))
    assert (found.verdict, found.crs.is_local) == ("unknown", True)
    assert "IfcMapConversion" in told(found)
    assert any(severity == "warning" for _, severity, _ in found.said)


def test_a_name_that_is_no_system_gives_way_to_the_one_given() -> None:
    found = place(text(conversion=converted(crs="'EPSG:999999'")), crs="EPSG:7415")
    assert found.matrix[:2, 3] == pytest.approx([EAST, NORTH], abs=WRITTEN)
    assert "as given" in told(found)


def test_a_conversion_into_degrees_gives_the_place() -> None:
    found = place(text(conversion=converted(4.3673, 52.0111, crs="'EPSG:4326'")), crs="EPSG:28992")
    assert found.matrix[:2, 3] == pytest.approx([EAST, NORTH], abs=50.0)  # four decimals are 11 m, the place itself was rounded
    assert "cannot carry a model" in told(found)


def test_another_system_is_reached_by_transformation() -> None:
    found = place(text(conversion=converted(axis="0.,1.")), crs="EPSG:25831")
    assert found.crs.horizontal.to_epsg() == 25831
    from cim.crs import parse, transform_points

    there = transform_points([EAST + 0.0, EAST - 50.0], [NORTH, NORTH + 80.0], None, parse("EPSG:28992"), parse("EPSG:25831"))
    own = found.matrix @ np.array([[0, 80], [0, 50], [0, 0], [1, 1]], float)
    # 5 mm: a similarity stands for the transformation over 100 m
    assert own[:2] == pytest.approx(np.array([there.x, there.y]), abs=0.005)


def test_a_world_coordinate_system_is_the_point_that_is_converted() -> None:
    found = place(text(conversion=converted(), wcs="(100.,50.,0.)"))
    assert (found.matrix @ [100.0, 50.0, 0.0, 1.0])[:2] == pytest.approx([EAST, NORTH], abs=WRITTEN)


def test_ifc2x3_property_sets_stand_for_a_map_conversion() -> None:
    values = {
        "TargetCRS": "IFCLABEL('EPSG:28992')", "Eastings": f"IFCLENGTHMEASURE({EAST})", "Northings": f"IFCLENGTHMEASURE({NORTH})",
        "OrthogonalHeight": "IFCLENGTHMEASURE(1.5)", "XAxisAbscissa": "IFCREAL(0.)", "XAxisOrdinate": "IFCREAL(1.)", "Scale": "IFCREAL(1.)",
    }  # fmt: skip
    found = place(text(schema="IFC2X3", more=in_set("ePSet_MapConversion", values, "#15")))
    assert found.matrix[:3, 3] == pytest.approx([EAST, NORTH, 1.5], abs=WRITTEN)
    assert rotation(found) == pytest.approx(90.0)
    assert found.evidence[0].source.startswith("ePSet_MapConversion")


# --- two sources --------------------------------------------------------------------------------------------------------


def test_two_sources_that_agree_say_so() -> None:
    found = place(text(conversion=converted(), site=site()))
    assert found.verdict == "agreed"
    assert found.uncertainty is not None
    assert found.uncertainty < 100.0
    assert sum(one.accepted for one in found.evidence) == 2


def test_two_sources_five_kilometres_apart_are_never_chosen_between() -> None:
    found = place(text(conversion=converted(), site=site(longitude=FIVE_KM_EAST)))
    assert (found.verdict, found.crs.is_local) == ("contradicting", True)
    assert np.array_equal(found.matrix, np.eye(4))
    assert not any(one.accepted for one in found.evidence)
    conflict = [message for code, severity, message in found.said if (code, severity) == ("conflict", "error")]
    assert len(conflict) == 1
    assert "IfcSite latitude/longitude" in conflict[0]
    assert "IfcMapConversion" in conflict[0]
    assert "5.0" in conflict[0]


def test_the_caller_may_name_the_source_to_believe() -> None:
    content = text(conversion=converted(), site=site(longitude=FIVE_KM_EAST))
    found = place(content, extra={"georeference": "IfcMapConversion"})
    assert (found.verdict, found.crs.to_string()) == ("given", "EPSG:28992+5709")
    assert "another source was chosen" in " ".join(one.reason for one in found.evidence)
    with pytest.raises(UsageError, match="names no source of this file"):
        place(content, extra={"georeference": "compass"})


def test_a_third_source_outvotes_one_that_is_far_and_the_conflict_is_told() -> None:
    zero = in_set("Nulpunt", {"RD-X": f"IFCTEXT('{EAST + 3}')", "RD-Y": f"IFCTEXT('{NORTH}')"})
    found = place(text(conversion=converted(), site=site(longitude=FIVE_KM_EAST), more=zero))
    assert found.verdict == "agreed"
    assert any(code == "conflict" and severity == "warning" and "IfcSite" in message for code, severity, message in found.said)


def test_support_decides_between_units() -> None:
    # Great Britain holds the place in metres and in feet; the site says which.
    from cim.crs import parse, transform_points

    feet = transform_points([530000 * 0.3048], [400000 * 0.3048], None, parse("EPSG:27700"), parse("EPSG:4326"))
    north, west = float(feet.y[0]), -float(feet.x[0])
    angles = [(int(v), int(v * 60) % 60, int(v * 3600) % 60, int(v * 3.6e9) % 1_000_000) for v in (north, west)]
    where = site(angles[0], tuple(-part for part in angles[1]))
    found = place(text(conversion=converted(530000.0, 400000.0, crs="'EPSG:27700'", unit="$"), site=where))
    assert found.verdict == "agreed"
    assert found.matrix[:2, 3] == pytest.approx([530000 * 0.3048, 400000 * 0.3048], abs=WRITTEN)


def test_a_north_that_differs_from_the_conversion_is_told() -> None:
    north = "#33=IFCDIRECTION((0.5,0.866));"
    found = place(text(conversion=converted(), north="#33", more=north))
    assert any(code == "conflict" and "TrueNorth" in message for code, _, message in found.said)
    assert rotation(found) == pytest.approx(0.0)


# --- latitude and longitude ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("latitude", "longitude", "name"),
    [((42, 21, 31, 181945), (-71, -3, -24, -263305), "Boston"), ((51, 30, 0, 549316), (0, -7, -34, -450321), "London"),
     ((0, 0, 0, 0), (0, 0, 0, 0), "0 N 0 E"), ((41, 52, 27, 840000), (-87, -38, -21, -839999), "Chicago")],
)  # fmt: skip
def test_the_default_places_of_tools_are_no_evidence(latitude: tuple[int, ...], longitude: tuple[int, ...], name: str) -> None:
    found = place(text(site=site(latitude, longitude)))
    assert (found.verdict, found.crs.is_local) == ("unknown", True)
    assert name in found.reason


def test_a_default_place_does_not_contradict_a_conversion() -> None:
    found = place(text(conversion=converted(), site=site((42, 21, 31, 181945), (-71, -3, -24, -263305))))
    assert found.verdict == "stated once"


def test_whole_minutes_are_good_to_a_kilometre() -> None:
    found = place(text(site=site((52, 9, 0), (5, 23, 0), "20000."), unit=".MILLI.,.METRE."))
    assert found.verdict == "coarse"
    assert found.uncertainty is not None
    assert 1000.0 <= found.uncertainty < 1100.0
    assert found.crs.horizontal.to_epsg() == 32631
    assert found.matrix[2, 3] == pytest.approx(20.0)
    assert "whole minutes" in found.reason


def test_true_north_turns_the_model_and_the_grid_too() -> None:
    north = "#33=IFCDIRECTION((0.17364817766693033,0.984807753012208));"
    found = place(text(site=site(), north="#33", more=north), crs="EPSG:28992")
    # Meridian convergence at 4.367 E in a projection about 5.3876 E: (4.367 - 5.3876) * sin(52.01 deg) = -0.804 degrees.
    assert rotation(found) == pytest.approx(10.0 - 0.804, abs=0.01)  # the formula is that of the sphere
    assert found.rotation_known


def test_a_site_position_holds_at_the_placement_of_the_site() -> None:
    moved = text(site=site()).replace(
        "#9=IFCAXIS2PLACEMENT3D(#8,$,$);", "#9=IFCAXIS2PLACEMENT3D(#90,$,$);\n#90=IFCCARTESIANPOINT((40.,30.,1.));"
    )
    first, second = place(text(site=site()), crs="EPSG:28992"), place(moved, crs="EPSG:28992")
    assert (second.matrix @ [40.0, 30.0, 1.0, 1.0])[:2] == pytest.approx(first.matrix[:2, 3], abs=WRITTEN)


@pytest.mark.parametrize("angles", ["(52,61,0),(4,0,0)", "(52,-1,0),(4,0,0)", "(95,0,0),(4,0,0)", "(52,0,0),$"])
def test_impossible_angles_are_named(angles: str) -> None:
    found = place(text(site=f"{angles},$"))
    assert found.verdict == "unknown"
    assert "no place on earth" in told(found)


def test_a_place_outside_the_system_that_is_given_is_out() -> None:
    found = place(text(site=site((31, 14, 5, 123456), (121, 28, 7, 654321))), crs="EPSG:28992")
    assert found.verdict == "unknown"
    assert "outside the area of use" in found.reason


# --- zero points, absolute coordinates, nothing ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "values"),
    [("Pset", {"RD-X": f"IFCTEXT('{EAST}')", "RD-Y": f"IFCREAL({NORTH})"}),
     ("Survey point", {"X": f"IFCREAL({EAST})", "Y": f"IFCREAL({NORTH})", "EPSG": "IFCLABEL('28992')"}),
     ("Pset", {"Easting": f"IFCTEXT('{EAST}'.)".replace("'.", "'"), "Northing": f"IFCTEXT('{NORTH}')", "CRS": "IFCLABEL('EPSG:28992')"})],
)  # fmt: skip
def test_a_zero_point_holds_at_its_own_element(name: str, values: dict[str, str]) -> None:
    found = place(text(more=in_set(name, values)))
    assert found.crs.horizontal.to_epsg() == 28992
    assert (found.matrix @ [3.0, 0.0, 0.0, 1.0])[:2] == pytest.approx([EAST, NORTH], abs=WRITTEN)


def test_a_chinese_zero_point_counts_north_as_x() -> None:
    # X坐标 is north in Chinese surveying: swapped readings are tried, the area of use decides.
    values = {r"X\X2\57506807\X0\ ": "IFCREAL(3464391.3)", r"Y\X2\57506807\X0\ ": "IFCREAL(557122.9)"}
    values = {key.strip(): value for key, value in values.items()}
    found = place(text(more=in_set(r"\X2\96F670B9\X0\ ".strip(), values)), crs="EPSG:4549")
    assert (found.matrix @ [3.0, 0.0, 0.0, 1.0])[:2] == pytest.approx([557122.9, 3464391.3], abs=WRITTEN)
    assert "swapped" in told(found)


def test_coordinates_of_many_objects_are_no_zero_point() -> None:
    lines = []
    for i in range(40):
        n = 100 + 10 * i
        lines += [
            f"#{n}=IFCCARTESIANPOINT(({i}.,0.,0.));", f"#{n + 1}=IFCAXIS2PLACEMENT3D(#{n},$,$);",
            f"#{n + 2}=IFCLOCALPLACEMENT($,#{n + 1});",
            f"#{n + 3}=IFCBUILDINGELEMENTPROXY('00000000000000000001{i:02}',#5,'pole {i}',$,$,#{n + 2},$,$,$);",
            f"#{n + 4}=IFCPROPERTYSINGLEVALUE('RD-X',$,IFCREAL({EAST + i}),$);",
            f"#{n + 5}=IFCPROPERTYSINGLEVALUE('RD-Y',$,IFCREAL({NORTH}),$);",
            f"#{n + 6}=IFCPROPERTYSET('00000000000000000002{i:02}',#5,'Pole',$,(#{n + 4},#{n + 5}));",
            f"#{n + 7}=IFCRELDEFINESBYPROPERTIES('00000000000000000003{i:02}',#5,$,$,(#{n + 3}),#{n + 6});",
        ]  # fmt: skip
    facts = facts_of(text(more="\n".join(lines)))
    assert facts.zero_points == ()
    assert "places of objects, not of an origin" in facts.notes[0]


def far(content: str) -> str:
    """Return a text whose element lies at map coordinates."""
    return content.replace("((3.,0.,0.))", f"(({EAST},{NORTH},1.))")


def test_absolute_coordinates_need_a_system() -> None:
    found = place(far(text()))
    assert found.verdict == "unknown"
    assert "look like those of a map" in found.reason
    found = place(far(text()), crs="EPSG:7415")
    assert found.verdict == "stated once"
    assert found.evidence[0].source == "absolute coordinates"
    assert np.array_equal(found.matrix, np.eye(4))


def test_a_model_that_is_absolute_and_converted_too_is_not_shifted_twice() -> None:
    found = place(far(text(conversion=converted())))
    assert found.evidence[0].source == "absolute coordinates"
    assert np.array_equal(found.matrix[:2], np.eye(4)[:2])


def test_a_system_alone_is_no_place() -> None:
    found = place(text(), crs="EPSG:7415")
    assert (found.verdict, found.crs.is_local) == ("unknown", True)
    assert "does not say where the model stands" in told(found)
    assert "control_points" in told(found)


def test_degrees_are_no_system_for_a_model() -> None:
    with pytest.raises(CRSError, match="counts in degrees"):
        place(text(), crs="EPSG:4326")


def test_local_coordinates_may_be_asked_for() -> None:
    found = place(text(conversion=converted()), crs="local")
    assert (found.crs.is_local, found.verdict) == (True, "unknown")
    assert "asked for" in found.reason


# --- control points -----------------------------------------------------------------------------------------------------


def points(factor: float = 1.0) -> list[list[float]]:
    """Return three control points of a model turned by 90 degrees."""
    local = [(0.0, 0.0, 0.0), (30.0, 0.0, 0.0), (30.0, 20.0, 4.0)]
    return [[x * factor, y * factor, z * factor, EAST - y, NORTH + x, 2.0 + z] for x, y, z in local]


@pytest.mark.parametrize("factor", [1.0, 1000.0])
def test_control_points_place_the_model_in_metres_or_in_the_unit_of_the_file(factor: float) -> None:
    content = text(unit=".MILLI.,.METRE.", conversion=converted(EAST + 9000))
    found = place(content, crs="EPSG:7415", extra={"control_points": points(factor)})
    assert found.verdict == "given"
    assert found.matrix @ [30.0, 20.0, 4.0, 1.0] == pytest.approx([EAST - 20, NORTH + 30, 6.0, 1.0], abs=1e-6)  # exact but for rounding
    assert any(code == "conflict" and "IfcMapConversion" in message for code, _, message in found.said)


def test_control_points_that_do_not_fit_each_other_are_told() -> None:
    rows = points()
    rows[2][5] += 3.0
    found = place(text(), crs="EPSG:7415", extra={"control_points": rows})
    assert found.uncertainty == pytest.approx(2.0)  # 3 m less the mean of 1 m
    assert any("do not fit each other" in message for _, _, message in found.said)


@pytest.mark.parametrize(
    ("rows", "message"),
    [([[0, 0, 0, 1, 1, 1]], "two or more"), ([[0] * 6, [0] * 6], "coincide"), ([[0, 0, 0, 0, 0, 0], [1, 0, 0, 50, 0, 0]], "50 times"),
     ("nonsense", "could not convert"), ([[0, 0, 0, 0, 0, math.nan], [1, 0, 0, 1, 0, 0]], "finite")],
)  # fmt: skip
def test_control_points_that_make_no_sense_are_refused(rows: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        place(text(), crs="EPSG:7415", extra={"control_points": rows})


def test_control_points_need_a_system() -> None:
    with pytest.raises(UsageError, match="need crs="):
        place(text(), extra={"control_points": points()})


# --- real files ---------------------------------------------------------------------------------------------------------

CASES = [
    ("georef-utm.ifc", "agreed", "EPSG:25832", (458657.30, 5438232.25), "Scale=1000 is the inverse"),
    ("georef-rigid-operation.ifc", "stated once", "EPSG:32633", None, "longitude first"),
    ("IBS_SC_B_Rijijzer NW.ifc", "unknown", "local", (0.0, 0.0), "Boston"),
    ("IBS_VW_B_klappaal NW.ifc", "unknown", "local", (0.0, 0.0), "Boston"),
]


@pytest.mark.data
@pytest.mark.parametrize(("name", "verdict", "crs", "place", "reason"), CASES)
def test_the_right_verdict_with_the_right_reason(
    name: str, verdict: str, crs: str, place: tuple[float, float] | None, reason: str, shared_data: Callable[..., Path]
) -> None:
    found = of_file(shared_data("city", "ifc_georef", name))
    assert (found.verdict, found.crs.to_string()) == (verdict, crs)
    assert reason in found.reason
    if place is not None:
        assert found.matrix[:2, 3] == pytest.approx(place, abs=WRITTEN)


@pytest.mark.data
def test_a_schema_that_is_refused_still_tells_its_place(shared_data: Callable[..., Path]) -> None:
    from cim.crs import parse, transform_points

    path = shared_data("city", "ifc_georef", "ifcbridge-model03_georeferenced.ifc")
    facts = gather_header(path)
    assert facts is not None
    assert facts.schema == "IFC4X2"
    found = locate(facts, path, ReadOptions())
    assert (found.verdict, found.crs.to_string()) == ("stated once", "EPSG:27700")
    degrees = transform_points(found.matrix[:1, 3], found.matrix[1:2, 3], None, found.crs, parse("EPSG:4326"))
    assert (float(degrees.x[0]), float(degrees.y[0])) == pytest.approx((0.2430, 52.2168), abs=1e-4)  # four decimals are known


@pytest.mark.data
@pytest.mark.parametrize("row", [0, 1])
def test_the_derived_models_land_where_they_were_made(row: int, shared_data: Callable[..., Path]) -> None:
    folder = shared_data("city", "delft")
    truth = json.loads((folder / "derived_truth.json").read_text())[row]
    found = of_file(folder / truth["file"])
    assert found.verdict == "stated once"
    assert found.matrix[:3, 3] == pytest.approx(truth["origin"], abs=WRITTEN)
    assert rotation(found) == pytest.approx(truth["rot_deg"], abs=1e-6)


@pytest.mark.data
def test_the_true_place_lies_within_the_uncertainty_of_latitude_and_longitude(shared_data: Callable[..., Path]) -> None:
    folder = shared_data("city", "delft")
    truth = json.loads((folder / "derived_truth.json").read_text())[2]
    found = of_file(folder / truth["file"], crs="EPSG:7415")
    assert found.verdict == "coarse"
    angle = math.radians(truth["rot_deg"])
    corner = np.array([31.36, 12.51])  # its farthest, where the turn counts most
    true = np.array(truth["origin"][:2]) + [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]] @ corner
    assert found.uncertainty is not None
    assert np.hypot(*((found.matrix @ [*corner, 0.0, 1.0])[:2] - true)) < found.uncertainty
    assert found.matrix[2, 3] == pytest.approx(0.2)


@pytest.mark.data
def test_the_zero_point_of_strijp_s_agrees_with_itself(shared_data: Callable[..., Path]) -> None:
    for path in sorted(shared_data("city", "strijps").glob("*.ifc")):
        found = of_file(path)
        assert (found.verdict, found.crs.to_string()) == ("agreed", "EPSG:28992"), path.name
        assert found.matrix[:2, 3] == pytest.approx([159860.987, 384230.208], abs=1e-4)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "verdict", "reason"),
    [("Duplex_A.ifc", "unknown", "Chicago"), ("Ifc4_SampleHouse.ifc", "unknown", "London"),
     ("schependomlaan_houten_kozijnen.ifc", "coarse", "whole minutes")],
)  # fmt: skip
def test_buildings_at_places_of_a_list_are_not_placed(name: str, verdict: str, reason: str, shared_data: Callable[..., Path]) -> None:
    found = of_file(shared_data("city", "ifc_buildings", name))
    assert found.verdict == verdict
    assert reason in found.reason


# --- text scan and record ------------------------------------------------------------------------------------------------


def test_the_text_scan_says_what_the_library_says(tmp_path: Path) -> None:
    path = tmp_path / "a.ifc"
    content = text(conversion=converted(), site=site())
    path.write_text(content.replace("('IFC4')", "('IFC4X2')"))
    scanned, read = gather_header(path), facts_of(content)
    assert scanned is not None
    assert (scanned.schema, scanned.conversions, scanned.sites, scanned.unit) == ("IFC4X2", read.conversions, read.sites, read.unit)


@pytest.mark.parametrize("content", ["", "ISO-10303-21;", "FILE_SCHEMA(('IFC4X2'));#1=IFCPROJECT(", "FILE_SCHEMA(('IFC4X2'));\x00" * 9])
def test_the_text_scan_of_a_broken_file_says_nothing(content: str, tmp_path: Path) -> None:
    path = tmp_path / "a.ifc"
    path.write_text(content)
    assert gather_header(path) is None


def test_the_verdict_is_written_into_the_city() -> None:
    found = place(text(conversion=converted(), site=site((42, 21, 31, 181945), (-71, -3, -24, -263305))))
    builder = CityBuilder(found.crs)
    key = int(builder.add_objects("Building", ["b"])[0])
    record(builder, key, None, found)
    city = builder.build()
    rows = city.tables["properties"].to_pylist()
    said = {row["name"]: row["value"] for row in rows if row["set"] == "georeference"}
    assert said["verdict"] == "stated once"
    assert json.loads(said["matrix"])[0][3] == pytest.approx(EAST)
    assert {one["source"] for one in json.loads(said["evidence"])} >= {"IfcMapConversion x1", "IfcSite latitude/longitude"}
    assert any("Boston" in message for message in city.issues["message"])
    assert set(city.issues["severity"]) == {"info"}
