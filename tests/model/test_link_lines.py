"""A link lies where it says; one that does not say lies nowhere."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.model import City, CityBuilder
from cim.model.link_json import said_by_links
from cim.model.link_lines import link_lines, moved_lines

BENT = shapely.LineString([(0, 0), (10, 0), (10, 10), (20, 10)])
APART = shapely.MultiLineString([[(0, 50), (10, 50)], [(20, 50), (30, 50), (40, 50)]])
JOINED = shapely.MultiLineString([[(10, 70), (20, 70)], [(0, 70), (10, 70)]])
AREA = shapely.box(0, 100, 50, 110)


def make(shape: Any, *said: Any, crs: str = "EPSG:28992", **columns: Any) -> City:
    """Return a city of one road whose links say these things."""
    builder = CityBuilder(crs)
    key = builder.add_objects("Road", ["r"], footprints=np.array([shape], object))
    count = len(said)
    texts = [one if one is None or isinstance(one, str) else json.dumps(one) for one in said]
    columns = {"from_node": [f"n{k}" for k in range(count)], "to_node": [f"n{k + 1}" for k in range(count)], **columns}
    builder.add_links(np.repeat(key, count), "road", attributes=texts, **columns)
    return builder.build()


def lines(city: City) -> list[str | None]:
    return [None if one is None else shapely.to_wkt(one, rounding_precision=3) for one in link_lines(city).lines]


@pytest.mark.parametrize(
    ("shape", "said", "expected"),
    [
        (BENT, [{"vertices": [1, 3]}], ["LINESTRING (10 0, 10 10, 20 10)"]),
        (BENT, [{"vertices": [3, 1]}], ["LINESTRING (20 10, 10 10, 10 0)"]),
        (BENT, [None], ["LINESTRING (0 0, 10 0, 10 10, 20 10)"]),
        (BENT, [None, {"vertices": [0, 1]}], [None, "LINESTRING (0 0, 10 0)"]),
        (BENT, [{"vertices": [2, 4]}, {"vertices": [2, 2]}, {"vertices": [-1, 2]}], [None, None, None]),
        (APART, [{"vertices": [2, 4]}, {"vertices": [0, 1]}], ["LINESTRING (20 50, 30 50, 40 50)", "LINESTRING (0 50, 10 50)"]),
        (APART, [{"vertices": [0, 2]}, {"vertices": [1, 3]}], [None, None]),
        (APART, [None], [None]),
        (JOINED, [None], ["LINESTRING (0 70, 10 70, 20 70)"]),
        (AREA, [None], [None]),
        (AREA, [{"vertices": [0, 2]}], [None]),
        (AREA, [{"line": [[0, 105], [50, 105]]}], ["LINESTRING (0 105, 50 105)"]),
        (BENT, [{"line": [[1, 1], [2, 2]], "vertices": [0, 1]}], ["LINESTRING (1 1, 2 2)"]),
        (AREA, [{"line": [[0, 105]]}, {"line": [[0, 105], [3]]}, {"line": "no"}, {"line": [[0, None], [1, 1]]}], [None] * 4),
        (None, [None, {"vertices": [0, 1]}, {"line": [[0, 0], [3, 4]]}], [None, None, "LINESTRING (0 0, 3 4)"]),
    ],
)  # fmt: skip
def test_a_link_is_the_piece_that_it_says(shape: Any, said: list[Any], expected: list[str | None]) -> None:
    assert lines(make(shape, *said)) == expected


def test_nodes_lie_at_the_ends_of_their_links_and_a_link_without_line_places_none() -> None:
    found = link_lines(make(BENT, {"vertices": [0, 1]}, {"vertices": [1, 3]}, {"vertices": [9, 10]}))
    assert found.names.tolist() == ["n0", "n1", "n2"]
    np.testing.assert_array_equal(found.places, [(0, 0), (10, 0), (20, 10)])
    np.testing.assert_array_equal(found.places_of(np.array(["n2", "n3", "n0"], object)), [(20, 10), (np.nan, np.nan), (0, 0)])
    assert (found.first.tolist(), found.last.tolist()) == ([0, 1, -1], [1, 3, -1])
    assert found.missing.tolist() == [False, False, True]


def test_a_nameless_node_is_none() -> None:
    found = link_lines(make(BENT, None, from_node=[None], to_node=["z"]))
    assert (found.from_node.tolist(), found.to_node.tolist(), found.names.tolist()) == ([None], ["z"], ["z"])


def test_a_stated_length_stands_and_another_is_that_of_the_line() -> None:
    assert link_lines(make(BENT, {"vertices": [0, 2]}, {"vertices": [2, 3]}, length=[21.0, None])).length.tolist() == [21.0, 10.0]
    assert np.isnan(link_lines(make(AREA, None)).length).all()
    degree = make(shapely.LineString([(0, 0), (0, 1)]), None, crs="EPSG:4326")
    assert link_lines(degree).length[0] == pytest.approx(110_574.4, abs=0.1)  # first degree of the meridian of WGS 84, Karney's GeodSolve


def test_only_the_links_of_the_network_count() -> None:
    builder = CityBuilder("EPSG:28992")
    keys = builder.add_objects("Road", ["a", "b"], footprints=[BENT, BENT])
    builder.add_links(keys[:1], "path", ["p"], ["q"])
    builder.add_links(keys, "road", ["m", "n"], ["n", "o"], attributes=['{"vertices": [0, 1]}', None])
    city = builder.build()
    assert link_lines(city).row.tolist() == [1, 2]
    assert len(link_lines(city, "rail")) == 0
    assert len(link_lines(city, None)) == 3


POINT = st.tuples(st.integers(-50, 50), st.integers(-50, 50))
SPAN = st.tuples(st.integers(-1, 20), st.integers(-1, 20))


@given(st.lists(st.lists(POINT, min_size=2, max_size=5, unique=True), min_size=1, max_size=4), st.lists(SPAN, min_size=1, max_size=5))
def test_pieces_are_those_of_a_slow_walk_over_the_vertices(parts: list[list[tuple[int, int]]], spans: list[tuple[int, int]]) -> None:
    points = [point for part in parts for point in part]
    gaps = {sum(map(len, parts[:k])) for k in range(1, len(parts)) if parts[k - 1][-1] != parts[k][0]}
    found = link_lines(make(shapely.MultiLineString(parts), *({"vertices": list(span)} for span in spans), {"vertices": [-5, -5]}))
    for line, (first, last) in zip(found.lines, spans, strict=False):
        low, high = sorted((first, last))
        if low < 0 or high >= len(points) or low == high or any(low < gap <= high for gap in gaps):
            assert line is None
        else:
            walk = points[low : high + 1] if first < last else points[low : high + 1][::-1]
            assert list(line.coords) == walk


def test_entries_of_another_kind_do_not_hide_those_of_other_links() -> None:
    texts = pa.array(['{"lanes": "2", "name": 5, "access": "no"}', '{"lanes": 3, "name": "x", "access": {"foot": "yes"}}', "", None,
                      '{"lanes": "2;3",\n "name": null}'])  # fmt: skip
    wanted = {"lanes": pa.float64(), "name": pa.string(), "access": pa.struct([("foot", pa.string())])}
    assert said_by_links(texts, wanted).to_pylist() == [
        {"lanes": 2.0, "name": "5", "access": None},
        {"lanes": 3.0, "name": "x", "access": {"foot": "yes"}},
        *[{"lanes": None, "name": None, "access": None}] * 3,
    ]


@pytest.mark.parametrize("text", ["[1, 2]", "{no", '"text"'])
def test_what_is_no_json_object_is_refused_with_its_row(text: str) -> None:
    with pytest.raises(UsageError, match="link 1 are no JSON"):
        said_by_links(pa.array(["{}", text]), {"lanes": pa.float64()})


def test_lines_of_their_own_are_moved_and_all_else_stays() -> None:
    city = make(AREA, {"line": [[0, 105], [50, 105.5]], "lanes": 2}, {"vertices": [0, 1]}, None)
    moved = moved_lines(city.tables["links"], lambda xy: xy + np.array([1000, -5]))
    assert json.loads(moved["attributes"][0].as_py()) == {"line": [[1000, 100], [1050, 100.5]], "lanes": 2}
    assert moved.slice(1).equals(city.tables["links"].slice(1))
