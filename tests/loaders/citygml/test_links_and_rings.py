"""Links inside a file, rings that are wrong, and the numbers in a position list."""

# a piece of XML stays on one line
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import CorruptFileError, LimitError
from cim.loaders.citygml.pool import numbers

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.loaders.citygml.gml_files import X, Y, face, load, model, multi, polygon, ring, square, told

GOOD = f"<luse:LandUse gml:id='good'><luse:lod1MultiSurface>{square()}</luse:lod1MultiSurface></luse:LandUse>"


def land(shape: str, id: str = "a") -> str:
    return f"<luse:LandUse gml:id='{id}'><luse:lod1MultiSurface>{shape}</luse:lod1MultiSurface></luse:LandUse>"


def raw(text: str, *, attributes: str = 'srsDimension="3"') -> str:
    inside = f"<gml:LinearRing><gml:posList {attributes}>{text}</gml:posList></gml:LinearRing>"
    return multi(f"<gml:Polygon><gml:exterior>{inside}</gml:exterior></gml:Polygon>")


def rejected(text: str, tmp_path: Path) -> str:
    """Return why a ring is left out; the other object of the file must be there."""
    city = load(tmp_path, model(land(text), GOOD))
    assert city["good"].footprint.area == pytest.approx(100.0)
    assert city.tables["sources"]["rejected"].to_pylist() == [1]
    return " ".join(told(city, "rejected"))


@given(st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), min_size=1))
def test_numbers_are_those_of_python_whatever_stands_between_them(lists: list[list[float]]) -> None:
    texts = ["\n " + " \t\n".join(map(repr, one)) + "  " for one in lists]
    values, counts, bad = numbers(texts)
    assert counts.tolist() == [len(one) for one in lists]
    assert not bad.any()
    assert values.tolist() == [value for one in lists for value in one]


@given(st.lists(st.sampled_from(["1 2 3", "+4 5", "6,0 7", "", "1_0 2", "0x10", "nan 1", "٣ 4"]), min_size=1, max_size=20))
def test_bad_lists_are_found_among_good_ones(texts: list[str]) -> None:
    _, counts, bad = numbers(texts)
    assert bad.tolist() == [text not in ("1 2 3", "+4 5", "nan 1") for text in texts]
    assert (counts[bad] == 0).all()


def test_rings_that_cannot_be_are_rejected_and_the_rest_stays(tmp_path: Path) -> None:
    base = f"{X} {Y} 1 {X + 9} {Y} 1 {X + 9} {Y + 9} 1 {X} {Y} 1"
    assert "decimal comma" in rejected(raw(base.replace(".0", ",0")), tmp_path)
    assert "dimension" in rejected(raw(base + " 7"), tmp_path)
    assert "NaN" in rejected(raw(base.replace(f"{X + 9}", "NaN", 1)), tmp_path)
    assert "fewer than three" in rejected(raw(f"{X} {Y} 1 {X + 9} {Y} 1 {X} {Y} 1"), tmp_path)
    assert "dimension" in rejected(raw(base, attributes='srsDimension="99999"'), tmp_path)


def test_a_bad_hole_is_rejected_without_its_polygon(tmp_path: Path) -> None:
    hole = [(X + 2, Y + 2, 490.0), (X + 2, Y + 4, 490.0)]
    city = load(tmp_path, model(land(multi(polygon(face(1), hole)))))
    assert city["a"].footprint.area == pytest.approx(100.0)
    assert any("hole" in one for one in told(city, "rejected"))


def test_a_ring_that_is_not_closed_is_closed_and_told(tmp_path: Path) -> None:
    shape = multi(f"<gml:Polygon><gml:exterior>{ring(face(1), close=False)}</gml:exterior></gml:Polygon>")
    city = load(tmp_path, model(land(shape)))
    assert city["a"].footprint.area == pytest.approx(100.0)
    assert any("not closed" in one for one in told(city, "repaired"))


@pytest.mark.parametrize("points", ["pos", "coordinates", "pointProperty", "Ring"])
def test_every_way_to_write_a_ring_gives_the_same_square(points: str, tmp_path: Path) -> None:
    corners = [*face(1), face(1)[0]]
    if points == "pos":
        inside = "<gml:LinearRing>" + "".join(f"<gml:pos>{x} {y} {z}</gml:pos>" for x, y, z in corners) + "</gml:LinearRing>"
    elif points == "coordinates":
        inside = (
            "<gml:LinearRing><gml:coordinates>" + " ".join(f"{x},{y},{z}" for x, y, z in corners) + "</gml:coordinates></gml:LinearRing>"
        )
    elif points == "pointProperty":
        inside = "".join(
            f"<gml:pointProperty><gml:Point><gml:pos>{x} {y} {z}</gml:pos></gml:Point></gml:pointProperty>" for x, y, z in corners
        )
        inside = f"<gml:LinearRing>{inside}</gml:LinearRing>"
    else:
        text = " ".join(f"{x} {y} {z}" for x, y, z in corners)
        inside = (
            f"<gml:Ring><gml:curveMember><gml:LineString><gml:posList>{text}</gml:posList></gml:LineString></gml:curveMember></gml:Ring>"
        )
    city = load(tmp_path, model(land(multi(f"<gml:Polygon><gml:exterior>{inside}</gml:exterior></gml:Polygon>"))))
    assert city["a"].footprint.area == pytest.approx(100.0)


def test_an_arc_is_never_drawn_straight(tmp_path: Path) -> None:
    arc = f"<gml:Arc><gml:posList>{X} {Y} 1 {X + 1} {Y + 1} 1 {X + 2} {Y} 1</gml:posList></gml:Arc>"
    inside = f"<gml:Ring><gml:curveMember><gml:Curve><gml:segments>{arc}</gml:segments></gml:Curve></gml:curveMember></gml:Ring>"
    city = load(tmp_path, model(land(multi(f"<gml:Polygon><gml:exterior>{inside}</gml:exterior></gml:Polygon>")), GOOD))
    assert city["a"].footprint is None
    assert any("'Arc'" in one for one in told(city, "unsupported"))


def test_flat_coordinates_have_no_heights(tmp_path: Path) -> None:
    shape = raw(f"{X} {Y} {X + 9} {Y} {X + 9} {Y + 9} {X} {Y}", attributes='srsDimension="2"')
    city = load(tmp_path, model(land(shape)))
    assert city["a"].footprint.area == pytest.approx(40.5)
    assert city["a"].core["z_ground"] is None
    assert any("without heights" in one for one in told(city, "assumed"))


def test_a_link_to_geometry_of_a_later_object_is_followed(tmp_path: Path) -> None:
    city = load(tmp_path, model(land(multi("#later")), land(multi(polygon(face(1), id="later")), "b")))
    assert city["a"].footprint.equals(city["b"].footprint)


def test_links_to_nothing_and_to_other_files_are_named(tmp_path: Path) -> None:
    city = load(
        tmp_path,
        model(
            land(
                multi("#nobody", polygon(face(1))).replace(
                    "</gml:MultiSurface>", '<gml:surfaceMember xlink:href="http://127.0.0.1:9/a#b"/></gml:MultiSurface>'
                )
            )
        ),
    )
    assert any("#nobody" in one for one in told(city, "unmatched"))
    assert any("never followed" in one for one in told(city, "unsupported"))


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    loop = '<gml:MultiSurface gml:id="m"><gml:surfaceMember xlink:href="#n"/></gml:MultiSurface>'
    back = '<gml:MultiSurface gml:id="n"><gml:surfaceMember xlink:href="#m"/></gml:MultiSurface>'
    with pytest.raises(CorruptFileError, match="cycle"):
        load(tmp_path, model(land(loop), land(back, "b")))
    assert any("cycle" in one for one in told(load(tmp_path, model(land(loop), land(back, "b"), GOOD)), "invalid"))


def test_links_that_multiply_geometry_are_refused(tmp_path: Path) -> None:
    def level(number: int) -> str:
        links = f'<gml:surfaceMember xlink:href="#m{number + 1}"/>' * 10
        return land(f'<gml:MultiSurface gml:id="m{number}">{links}</gml:MultiSurface>', f"a{number}")

    last = land(multi(polygon(face(1))).replace("<gml:MultiSurface>", '<gml:MultiSurface gml:id="m9">'), "z")
    with pytest.raises(LimitError, match="multiply"):
        load(tmp_path, model(*(level(number) for number in range(9)), last))


def test_equal_corners_of_one_geometry_are_one_vertex(tmp_path: Path) -> None:
    city = load(tmp_path, model(land(multi(*(polygon(face(number)) for number in range(6))))))
    table = city.geometry_table()
    assert len(table["vertices"][0]) == 8
    corners = np.array(table["vertices"][0].as_py()) + city.origin
    rings = [corners[np.array(surface[0])].tolist() for surface in table["boundaries"][0].as_py()[0][0]]
    assert rings == [[list(point) for point in face(number)] for number in range(6)]


def test_a_ring_of_two_coordinates_that_says_nothing_is_not_read_as_three(tmp_path: Path) -> None:
    corners = [(X, Y), (X + 10, Y), (X + 10, Y + 10), (X + 5, Y + 15), (X, Y + 10), (X, Y)]  # 12 numbers: also four points of three
    text = " ".join(f"{a} {b}" for a, b in corners)
    city = load(tmp_path, model(land(multi(raw(text, attributes="")))))
    assert city.bounds == pytest.approx((X, Y, X + 10, Y + 15))
    assert city["a"].footprint.area == pytest.approx(125.0)
    assert any("close with two coordinates per point" in one for one in told(city, "guessed"))
