"""Pipes of a table become bodies and links; depths by hand, joints by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely

import cim
from cim.crs import parse
from cim.errors import UsageError
from cim.loaders import pipe_network
from cim.model import City, CityBuilder, Column
from cim.model.coverages import Raster
from cim.model.geometry import volume

CRS = "EPSG:4549+5737"
X, Y = 500_000.0, 3_400_000.0


def _terrain() -> Raster:
    east = X - 10 + np.arange(60) * 5 + 2.5
    return Raster(np.tile(20.0 + 0.01 * (east - X), (60, 1)), X - 10, Y + 150, 5.0, 5.0, parse(CRS), name="ground")


def _city(**columns: list[float | None]) -> City:
    builder = CityBuilder(CRS, name="pipes")
    lines = [shapely.LineString([(X, Y), (X + 50, Y), (X + 100, Y)]), shapely.LineString([(X + 100.05, Y), (X + 100, Y + 80)])]
    keys = builder.add_objects("GenericOccupiedSpace", ["p1", "p2"], footprints=lines)
    wells = builder.add_objects("GenericOccupiedSpace", ["well", "lone"], footprints=shapely.points([(X + 100, Y), (X + 200, Y)]))
    del wells
    builder.add_attributes(keys, "GenericOccupiedSpace", {name: Column(values, unit="m") for name, values in columns.items()})
    return builder.build()


def test_bodies_lie_on_their_inverts_and_ends_meet_at_the_well(tmp_path: Path) -> None:
    city = _city(diameter=[0.5, 0.4], upstream_invert_level=[18.0, 17.0], downstream_invert_level=[17.0, None], invert_level=[None, 16.5])
    done = pipe_network(city, terrain=_terrain())
    solids = done.geometry_table(lod="2")
    found = dict(zip(done.ids(solids["object"].to_numpy()), volume(solids), strict=True))
    assert found["p1"] == pytest.approx(np.pi / 4 * 0.25 * np.hypot(100, 1), rel=1e-6)
    box = done.tables["objects"]["bbox"][int(done.row_of_key(done.key_of(["p1"]))[0])].as_py()
    assert (box["zmin"], box["zmax"]) == pytest.approx((17.0, 18.5), abs=0.02)  # a prism of equal area reaches 1 % beyond the circle
    links = {row["object"]: row for row in done.tables["links"].to_pylist()}
    first, second = (links[int(done.key_of([id_])[0])] for id_ in ("p1", "p2"))
    assert first["to_node"] == second["from_node"] == "well"
    assert first["length"] == pytest.approx(100.0)
    assert done["p1"].attributes["cover_depth"] == pytest.approx(min(20.0 - 18.5, 21.0 - 17.5), abs=1e-9)
    assert done.why("p1", "cover_depth")[0].method.startswith("terrain ground")
    messages = " | ".join(done.issues["message"])
    assert "1 of 2 pipes state one invert level" in messages
    assert "1 of 2 points of GenericOccupiedSpace lie at no end" in messages
    cim.save(done, tmp_path / "a.cim")
    assert cim.open(tmp_path / "a.cim").tables["links"].num_rows == 2


def test_cover_under_the_terrain_gives_the_bottom() -> None:
    done = pipe_network(_city(diameter=[0.5, 0.5], cover_depth=[1.0, 1.5]), terrain=_terrain())
    axis = done.geometry_table(lod="1", keys=done.key_of(["p1"]))["vertices"][0].as_py()
    assert [point[2] for point in axis] == pytest.approx([20.0 - 1.25, 20.5 - 1.25, 21.0 - 1.25], abs=1e-9)


def test_what_is_not_known_is_counted_and_not_guessed() -> None:
    done = pipe_network(_city(diameter=[0.5, None], cover_depth=[1.0, 1.0]))
    assert done.geometry_table().num_rows == 0
    assert done.tables["links"].num_rows == 2
    messages = " | ".join(done.issues["message"])
    assert "2 of 2 pipes have no known depth" in messages
    assert "1 of 2 pipes have no diameter" in messages


def test_a_pipe_above_the_terrain_is_told() -> None:
    done = pipe_network(_city(diameter=[0.5, 0.5], invert_level=[19.8, 17.0]), terrain=_terrain())
    assert any("reach above the terrain" in message for message in done.issues["message"])


def test_what_is_no_pipe_network_is_refused() -> None:
    with pytest.raises(UsageError, match="no object of class"):
        pipe_network(_city(), type="Road")
    builder = CityBuilder(CRS)
    builder.add_objects("Road", ["r"], footprints=[shapely.box(X, Y, X + 1, Y + 1)])
    with pytest.raises(UsageError, match="line as footprint"):
        pipe_network(builder.build(), type="Road")
    elsewhere = Raster(np.zeros((2, 2)), 0, 0, 1, 1, parse("EPSG:28992"))
    with pytest.raises(UsageError, match="terrain is in"):
        pipe_network(_city(), terrain=elsewhere)


def _lines(lines: list[object], **columns: list[float | None]) -> City:
    builder = CityBuilder(CRS, name="pipes")
    keys = builder.add_objects("GenericOccupiedSpace", [f"p{n}" for n in range(len(lines))], footprints=np.array(lines, object))
    builder.add_attributes(keys, "GenericOccupiedSpace", {name: Column(values, unit="m") for name, values in columns.items()})
    return builder.build()


def test_pieces_of_a_pipe_keep_their_direction_and_what_does_not_join_is_told() -> None:
    def several(*xs: tuple[float, float]) -> shapely.Geometry:
        return shapely.multilinestrings([shapely.linestrings([(X + a, Y), (X + b, Y)]) for a, b in xs])

    lines = [several((300, 200), (400, 300)), several((500, 600), (500, 450)), several((700, 710), (720, 730))]
    done = pipe_network(_lines(lines, diameter=[0.3] * 3, upstream_invert_level=[9.0] * 3, downstream_invert_level=[8.0] * 3))
    axis = done.geometry_table(lod="1", keys=done.key_of(["p0"]))["vertices"][0].as_py()
    assert [point[0] + done.origin[0] - X for point in axis] == pytest.approx([400, 300, 200])
    assert done.tables["links"].num_rows == 2
    messages = " | ".join(done.issues["message"])
    assert "1 objects of GenericOccupiedSpace have several lines that do not join" in messages
    assert "1 of 2 pipes have pieces drawn against each other" in messages


def test_millimetres_that_pass_for_metres_make_no_body() -> None:
    line = shapely.linestrings([(X, Y), (X + 50, Y)])
    done = pipe_network(_lines([line, line], diameter=[40.0, 0.4], invert_level=[9.0, 9.0]))
    assert done.ids(done.geometry_table(lod="2")["object"].to_numpy()) == ["p1"]
    assert any("1 of 2 pipes state a diameter of more than 12 m" in one for one in done.issues["message"])


def test_a_stated_cover_that_the_terrain_denies_is_told() -> None:
    city = _city(diameter=[0.5, 0.5], upstream_invert_level=[15.0, 15.0], downstream_invert_level=[15.0, 15.0], cover_depth=[1.0, 5.5])
    messages = pipe_network(city, terrain=_terrain()).issues["message"]
    assert any("1 of 2 pipes state a cover that differs" in one for one in messages)
