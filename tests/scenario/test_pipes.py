"""A pipe is changed: attributes, link and axis say the same, and what no longer fits goes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import shapely

from cim.errors import ObjectNotFoundError, UsageError
from cim.model import City, CityBuilder, Column
from cim.model.geometry import boundaries_from, extrude, vertices_from
from cim.scenario import Change

LINE = shapely.LineString([(0, 0), (30, 0), (30, 40)])  # 70 m


def make_city() -> City:
    builder = CityBuilder("EPSG:28992+5709")
    pipe = "GenericOccupiedSpace"
    keys = builder.add_objects(pipe, ["p1", "p2", "mh"], footprints=np.array([LINE, LINE, shapely.Point(0, 0)]))
    builder.add_attributes(keys, pipe, {
        "diameter": Column([0.6, None, None], unit="m"), "upstream_invert_level": Column([1.0, None, None], unit="m"),
        "downstream_invert_level": Column([0.5, None, None], unit="m"), "cover_depth": Column([1.2, None, None], unit="m"),
        "section_shape": Column(["CIRCULAR", "RECT_CLOSED", None]),
    })  # fmt: skip
    axis = [[0, 0, 1.3], [30, 0, 1.3 - 0.5 * 30 / 70], [30, 40, 0.8]]
    builder.add_geometries(keys[:1], lod="1", role="line", type="MultiLineString", vertices=vertices_from(axis, [3]),
                           boundaries=boundaries_from([0, 1, 2], [3], [1], [1], [1], [1]))  # fmt: skip
    block = extrude([shapely.box(0, 0, 1, 1)], 0.5, 1.6)
    builder.add_geometries(keys[:1], lod="2", role="solid", type=block.type, vertices=block.vertices, boundaries=block.boundaries)
    builder.add_links(
        keys[:2], "drain", ["a", "b"], ["b", "c"], length=[70.0, 70.0], attributes=['{"diameter_m": 0.6, "roughness": 0.013}', None]
    )
    builder.add_properties(keys[:1], "swmm", ["CONDUITS"], ["p1 a b 70 0.013"])
    builder.add_objects("Building", ["house"], footprints=[shapely.box(50, 50, 60, 60)])
    return builder.build()


def link_of(city: City, id: str) -> dict[str, Any]:
    rows = city.tables["links"].to_pylist()
    found: dict[str, Any] = json.loads(next(row["attributes"] for row in rows if row["object"] == city.key_of([id])[0]) or "{}")
    return found


def test_pipe_link_and_axis_say_the_same_and_the_body_goes() -> None:
    city = make_city()
    option = Change("A").change_pipe("p1", diameter=0.8, slope=0.01).apply(city)
    held = option["p1"].attributes
    assert (held["diameter"], held["upstream_invert_level"]) == (0.8, 1.0)
    assert held["downstream_invert_level"] == pytest.approx(1.0 - 0.01 * 70)
    assert link_of(option, "p1") == {"diameter_m": 0.8, "roughness": 0.013, "downstream_invert_m": held["downstream_invert_level"]}
    rows = option["p1"].geometry().to_pylist()
    assert [row["role"] for row in rows] == ["line"]
    z = np.array(rows[0]["vertices"])[:, 2] + option.origin[2]
    assert z == pytest.approx([1.4, 1.4 - 0.3, 0.7])  # invert + half the diameter, evenly along 70 m
    assert held.get("cover_depth") is None
    assert [(one.value, one.chosen) for one in option.why("p1", "diameter")] == [(0.8, True), (0.6, False)]
    assert {one["code"] for one in option["p1"].issues} == {"lost", "assumed"}
    assert city["p1"].geometry().num_rows == 2
    assert link_of(option, "p2") == {}


def test_roughness_alone_leaves_shape_and_cover() -> None:
    option = Change("A").change_pipe("p1", roughness=0.011).apply(make_city())
    assert option["p1"].geometry().num_rows == 2
    assert option["p1"].attributes["cover_depth"] == 1.2
    assert link_of(option, "p1")["roughness"] == 0.011
    assert option["p1"].attributes["roughness"] == 0.011


def test_a_pipe_that_would_rise_is_marked() -> None:
    option = Change("A").change_pipe("p1", downstream_invert=1.25).apply(make_city())
    assert any("now rises by 0.25 m" in one["message"] for one in option["p1"].issues)


def test_a_removed_pipe_takes_its_link_along_and_leaves_its_nodes() -> None:
    option = Change("A").remove_pipe("p1").apply(make_city())
    assert "p1" not in option
    assert "mh" in option
    assert option.tables["links"].num_rows == 1


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Change("A").change_pipe("p1"), UsageError, "at least one"),
        (lambda: Change("A").change_pipe("p1", slope=0.01, downstream_invert=0.1), UsageError, "either slope or downstream_invert"),
        (lambda: Change("A").change_pipe("p1", diameter=800.0), UsageError, "less than or equal to 12"),
        (lambda: Change("A").change_pipe("p9", diameter=0.8).apply(make_city()), ObjectNotFoundError, "'p9'"),
        (lambda: Change("A").change_pipe("house", diameter=0.8).apply(make_city()), UsageError, "expected a pipe"),
        (lambda: Change("A").change_pipe("mh", diameter=0.8).apply(make_city()), UsageError, "expected a pipe"),
        (lambda: Change("A").change_pipe("p2", diameter=0.8).apply(make_city()), UsageError, "RECT_CLOSED"),
        (lambda: Change("A").change_pipe("p2", slope=0.01).apply(make_city()), UsageError, "no known upstream invert"),
        (lambda: Change("A").remove_pipe("house").apply(make_city()), UsageError, "expected a pipe"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        make()
