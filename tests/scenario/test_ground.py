"""Terrain and land use as changes make them: exact volumes, the raster untouched, nothing put on twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.crs import parse
from cim.errors import CRSMismatchError, UsageError
from cim.model import City, CityBuilder, Column, diff
from cim.model.coverages import Raster, read_raster, write_raster
from cim.model.geometry import boundaries_from, vertices_from
from cim.scenario import Change, terrain_edits
from cim.scenario.terrain_edits import EditedRaster, TerrainEdit, put_on
from cim.sim.terrain import read_terrain

CRS = "EPSG:28992+5709"


def plain(level: float = 2.0, cells: int = 40, size: float = 1.0) -> Raster:
    return Raster(np.full((cells, cells), level), 0.0, cells * size, size, size, parse(CRS), name="dtm")


def make_city(tmp_path: Path, raster: Raster | None = None) -> City:
    raster = raster or plain()
    builder = CityBuilder(CRS, name="G")
    owner = builder.add_objects("ReliefFeature", ["dtm"], footprints=[shapely.box(*raster.bounds)])
    path = write_raster(raster, tmp_path / "dtm.tif")
    builder.add_coverage(int(owner[0]), kind="raster", path=str(path), format="GeoTIFF", crs=CRS, unit="m")
    builder.add_objects("Building", ["b"], footprints=[shapely.box(12, 12, 16, 16)], z_ground=[2.0])
    plots = builder.add_objects("LandUse", ["P1", "P2"], footprints=shapely.box([0, 20], [0, 0], [20, 40], [40, 40]))
    columns = {
        "land_use": Column(["housing", "park"]),
        "land_use_code": Column(["R2", "G1"]),
        "plot_area": Column([800.0, None], unit="m²"),
    }
    builder.add_attributes(plots, "LandUse", columns)
    square = [[0, 0, 2], [20, 0, 2], [20, 40, 2], [0, 40, 2]]
    builder.add_geometries(
        plots[:1], lod="0", role="multi_surface", type="MultiSurface", vertices=vertices_from(square, [4]),
        boundaries=boundaries_from([0, 1, 2, 3], [4], [1], [1], [1], [1]),
    )  # fmt: skip
    return builder.build()


def test_the_ground_is_changed_when_it_is_read_and_the_file_is_not(tmp_path: Path) -> None:
    city = make_city(tmp_path)
    option = Change("A").change_terrain("pit", [[10, 10], [20, 10], [20, 20], [10, 20]], by=-1.5).apply(city)
    found = read_terrain(option)
    assert isinstance(found, EditedRaster)
    dug = found.values - read_terrain(city).values
    assert dug.sum() == -150.0  # 100 m² by 1.5 m
    assert (dug[20:30, 10:20] == -1.5).all()  # row 0 is the northern one: y from 40 down
    assert found.notes == ("terrain edit 'pit': 100 cells changed, 0 m³ filled, 150 m³ cut",)
    assert (read_raster(option, "dtm").values == 2.0).all()
    assert not terrain_edits(city)


def test_an_edit_is_an_object_with_a_claim_and_names_what_stands_on_it(tmp_path: Path) -> None:
    city = make_city(tmp_path)
    option = Change("A").change_terrain("fill", shapely.box(10, 10, 20, 20), to=3.0, name="路堤").apply(city)
    view = option["fill"]
    assert (view.type, view.name, view.attributes["terrain_edit_value"]) == ("ReliefFeature", "路堤", 3.0)
    assert option.unit("ReliefFeature", "terrain_edit_value") == "m"
    assert option.why("fill", "terrain_edit_value")[0].method == "change: A"
    assert diff(city, option).added == ("fill",)
    (issue,) = view.issues
    assert issue["message"].endswith("1 objects stand where 'fill' changes the ground and keep their elevations: b")
    assert [one.id for one in terrain_edits(option)] == ["fill"]


def test_edits_are_put_on_in_their_order_and_only_once(tmp_path: Path) -> None:
    change = Change("A").change_terrain("z", shapely.box(0, 0, 10, 10), to=5.0).change_terrain("a", shapely.box(0, 0, 10, 10), by=1.0)
    option = change.apply(make_city(tmp_path))
    first = read_terrain(option)
    assert first.values[-1, 0] == 6.0
    again = read_terrain(option, first)
    assert again.values[-1, 0] == 6.0
    assert read_terrain(option, plain()).values[-1, 0] == 6.0


def test_a_field_gets_the_edits_that_it_does_not_name(tmp_path: Path) -> None:
    import xarray as xr

    option = Change("A").change_terrain("fill", shapely.box(0, 0, 1, 1), by=1.0).apply(make_city(tmp_path))
    raster = plain()
    field = xr.DataArray(raster.values, dims=("y", "x"), coords={"y": raster.y, "x": raster.x}, attrs={"crs": CRS, "units": "m"})
    assert read_terrain(option, field).values[-1, 0] == 3.0
    assert read_terrain(option, field.assign_attrs(terrain_edits=["fill"])).values[-1, 0] == 2.0


def test_edits_survive_being_saved(tmp_path: Path) -> None:
    from cim.storage import open as open_city
    from cim.storage import save

    option = Change("A").change_terrain("dyke", shapely.box(5, 5, 9, 9), to=4.0, slope=0.5, only="fill").apply(make_city(tmp_path))
    save(option, tmp_path / "c.cim")
    again = open_city(tmp_path / "c.cim")
    assert terrain_edits(again) == terrain_edits(option)
    assert np.array_equal(read_terrain(again).values, read_terrain(option).values)


def test_a_dyke_with_sides_has_the_volume_of_a_truncated_pyramid() -> None:
    height, top, slope = 2.0, 10.0, 0.5
    raster = plain(0.0, 400, 0.1)
    edit = TerrainEdit("d", shapely.box(15, 15, 25, 25), "to", height, slope=slope)
    run = height / slope
    exact = top**2 * height + 4 * top * run * height / 2 + np.pi * run**2 * height / 3  # block, four wedges, a cone of four quarters
    found = float(put_on(raster, [edit]).values.sum()) * 0.01
    assert found == pytest.approx(exact, rel=1e-3)  # midpoint rule, cells of 0.1 m against sides of 4 m


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(0.1, 3.0), st.sampled_from(["fill", "cut", None]), st.integers(0, 2**31))
def test_graded_ground_meets_the_slope_and_never_passes_the_level(level: float, slope: float, only: Any, seed: int) -> None:
    raster = Raster(np.random.default_rng(seed).uniform(-3, 3, (20, 20)), 0.0, 20.0, 1.0, 1.0, parse(CRS))
    area = shapely.box(8, 8, 12, 12)
    new = put_on(raster, [TerrainEdit("e", area, "to", level, slope=slope, only=only)]).values
    x, y = np.meshgrid(raster.x, raster.y)
    far = shapely.distance(shapely.points(x, y), area)
    slow = np.array([[min(max(z, level - slope * d), level + slope * d) for z, d in zip(*row, strict=True)]
                     for row in zip(raster.values, far, strict=True)])  # fmt: skip
    slow = np.maximum(slow, raster.values) if only == "fill" else np.minimum(slow, raster.values) if only == "cut" else slow
    assert np.array_equal(new, slow)


def test_reading_a_part_gives_the_same_ground_as_reading_all(tmp_path: Path) -> None:
    hills = Raster(np.random.default_rng(1).uniform(0, 6, (40, 40)), 0.0, 40.0, 1.0, 1.0, parse(CRS))
    option = Change("A").change_terrain("e", shapely.box(3, 3, 9, 30), to=3.0, slope=0.4).apply(make_city(tmp_path, hills))
    box = (8.0, 5.0, 30.0, 33.0)
    assert np.array_equal(read_terrain(option, bbox=box).values, read_terrain(option).window(box).values)


def test_a_dyke_narrower_than_a_cell_has_no_holes() -> None:
    line = shapely.buffer(shapely.LineString([(2.2, 2.2), (33.7, 18.4)]), 0.2)
    done = put_on(plain(), [TerrainEdit("d", line, "to", 3.0)])
    assert "narrower than a cell" in done.notes[0]
    raised = done.values == 3.0
    x, y = np.meshgrid(np.arange(40) + 0.5, np.arange(40)[::-1] + 0.5)
    cells = shapely.union_all(shapely.box(x[raised] - 0.5, y[raised] - 0.5, x[raised] + 0.5, y[raised] + 0.5))
    assert cells.covers(line)


def test_unknown_ground_is_counted() -> None:
    values = np.full((4, 4), 1.0)
    values[0] = np.nan
    raster = Raster(values, 0.0, 4.0, 1.0, 1.0, parse(CRS))
    everywhere = shapely.box(0, 0, 4, 4)
    to, by, cut = (TerrainEdit("e", everywhere, "to", 0.5), TerrainEdit("e", everywhere, "by", 1.0),
                   TerrainEdit("e", everywhere, "to", 0.5, only="cut"))  # fmt: skip
    assert "4 cells of unknown ground got an elevation" in put_on(raster, [to]).notes[0]
    for edit in (by, cut):
        done = put_on(raster, [edit])
        assert np.isnan(done.values[0]).all()
        assert "4 cells of unknown ground stay unknown" in done.notes[0]
    assert "touches no cell" in put_on(raster, [TerrainEdit("e", shapely.box(90, 90, 95, 95), "by", 1.0)]).notes[0]


def test_an_elevation_in_another_height_system_is_refused(tmp_path: Path) -> None:
    option = Change("A").change_terrain("e", shapely.box(0, 0, 9, 9), to=3.0).apply(make_city(tmp_path))
    other = Raster(np.full((4, 4), 1.0), 0.0, 4.0, 1.0, 1.0, parse("EPSG:28992+5783"))
    with pytest.raises(CRSMismatchError, match="elevation of the edit 'e'"):
        read_terrain(option, other)
    shifted = Change("A").change_terrain("e", shapely.box(0, 0, 9, 9), by=3.0).apply(make_city(tmp_path))
    assert (read_terrain(shifted, other).values == 4.0).all()


def test_a_plot_gets_another_land_use_and_its_old_code_is_dropped(tmp_path: Path) -> None:
    city = make_city(tmp_path)
    option = Change("A").change_land_use("P1", "park").apply(city)
    assert option["P1"].attributes["land_use"] == "park"
    assert option["P1"].attributes.get("land_use_code") is None
    assert [(one.value, one.chosen) for one in option.why("P1", "land_use")] == [("park", True), ("housing", False)]
    assert [one["code"] for one in option["P1"].issues] == ["lost"]
    coded = Change("A").change_land_use("P1", "park", code="G1").apply(city)
    assert coded["P1"].attributes["land_use_code"] == "G1"
    assert not coded["P1"].issues
    assert option["P2"].attributes == city["P2"].attributes


def test_an_area_is_cut_out_of_the_plots_there(tmp_path: Path) -> None:
    city = make_city(tmp_path)
    option = Change("A").change_land_use("N", "water", area=shapely.box(10, 0, 40, 40)).apply(city)
    assert "P2" not in option
    assert option["N"].attributes["land_use"] == "water"
    assert option["P1"].footprint.equals(shapely.box(0, 0, 10, 40))
    assert option["P1"].attributes["plot_area"] == 400.0
    assert option["P1"].core["bbox"]["xmax"] == 10.0
    assert option["P1"].geometry().num_rows == 0
    total = shapely.union_all(option.footprints(option.keys("LandUse")))
    assert total.area == sum(shapely.area(option.footprints(option.keys("LandUse")))) == 1600.0
    assert {row["code"] for row in option.tables["issues"].to_pylist()} == {"assumed"}
    assert city["P1"].attributes["plot_area"] == 800.0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: Change("A").change_terrain("e", shapely.box(0, 0, 1, 1)), "give either by"),
        (lambda _: Change("A").change_terrain("e", shapely.box(0, 0, 1, 1), by=1.0, to=2.0), "give either by"),
        (lambda _: Change("A").change_terrain("e", shapely.box(0, 0, 1, 1), by=0.0), "changes nothing"),
        (lambda _: Change("A").change_terrain("e", shapely.box(0, 0, 1, 1), by=1.0, slope=0.0), "slope"),
        (lambda _: Change("A").change_terrain("e", [[0, 0], [1, 1]], by=1.0), "area"),
        (lambda _: Change("A").change_terrain("e", [[0, 0], [1, 1], ["x", 0]], by=1.0), "pairs"),
        (lambda city: Change("A").change_terrain("b", shapely.box(0, 0, 1, 1), by=1.0).apply(city), "taken by a Building"),
        (lambda city: Change("A").change_land_use("b", "park").apply(city), "expected a LandUse"),
        (lambda city: Change("A").change_land_use("P1", "park", area=shapely.box(0, 0, 1, 1)).apply(city), "taken by a LandUse"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        make(make_city(tmp_path))
