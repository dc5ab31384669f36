"""`singulate` on cities: ids and attributes kept, looks and meaning carried along, everything accounted for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
import pytest
import shapely

import cim
from cim.crs import parse
from cim.errors import CRSMismatchError, ObjectNotFoundError, UsageError
from cim.loaders.cutting import singulate, singulation_report
from cim.model import CityBuilder
from cim.model.coverages import Raster, write_raster
from cim.model.geometry import flatten, volume
from cim.model.solids import check_solids
from tests.loaders.cutting.meshes import footprint_city, mesh_city
from tests.loaders.cutting.test_cut import box, grid

if TYPE_CHECKING:
    from cim.model import City

EXACT = 1e-6  # m2 and m3: points are welded at 1e-5 m, the coordinates here are round
HOUSES = [shapely.box(2, 2, 5, 5), shapely.box(5, 2, 8, 5), shapely.box(2, 6, 4, 9), shapely.box(50, 50, 60, 60)]


def hill(**options: Any) -> City:
    points, triangles = grid(10, 5.0)
    return mesh_city(points, triangles, **options)


def terrain(folder: Path, crs: str = "local", surface: str = "terrain") -> City:
    """Return flat ground at 1 m."""
    raster = Raster(np.full((20, 20), 1.0), x_min=-5.0, y_max=15.0, dx=1.0, dy=1.0, crs=parse(crs if crs != "local" else "EPSG:7415"))
    path = write_raster(raster, folder / "dtm.tif")
    builder = CityBuilder(crs, name="dtm")
    key = builder.add_objects("ReliefFeature", ["dtm"])
    meta = f'{{"surface": "{surface}"}}'
    builder.add_coverage(int(key[0]), kind="raster", path=str(path), format="GTiff", crs=None, meta=meta, box=(-5, -5, 1, 15, 15, 1))
    return builder.build()


def test_every_building_becomes_a_solid_and_keeps_its_name() -> None:
    city = singulate(hill(), footprint_city(HOUSES), wall_tolerance=0.0)
    assert city.types() == {"Building": 4, "GenericOccupiedSpace": 1}
    assert city["0b1"].id == "b1"  # by its identifier of another register
    rows = city.geometry_table(type="Building")
    assert rows["type"].to_pylist() == ["Solid"] * 3
    assert set(rows["role"].to_pylist()) == {"mesh"}
    left = city.geometry_table(type="GenericOccupiedSpace")
    assert left["type"].to_pylist() == ["MultiSurface"]
    totals = singulation_report(city).totals
    assert totals["area_assigned"] == pytest.approx(9 + 9 + 6, abs=EXACT)
    assert totals["area_left"] == pytest.approx(76, abs=EXACT)
    assert totals["area_error"] < 1e-9
    assert (totals["pieces"], totals["closed"], totals["unmatched"]) == (3, 3, 1)


def test_the_pieces_pass_the_checks_of_solids(tmp_path: Path) -> None:
    city = singulate(hill(), footprint_city(HOUSES), terrain(tmp_path), wall_tolerance=0.0)
    rows = city.geometry_table(type="Building")
    report = check_solids(rows)
    assert report.table["closed"].to_pylist() == [True] * 3
    assert report.table["oriented"].to_pylist() == [True] * 3
    assert sorted(volume(rows)) == pytest.approx([24.0, 36.0, 36.0], abs=EXACT)  # 5 m roof, ground at 1 m
    assert set(singulation_report(city).objects["lid"].dropna()) == {"plain, on the terrain"}


def test_a_building_without_triangles_is_named_unmatched() -> None:
    city = singulate(hill(), footprint_city(HOUSES))
    found = city.issues
    assert found[found["code"] == "unmatched"]["record"].tolist() == ["b3"]
    assert city["b3"].geometry("3") is None or city.geometry_table(keys=city.key_of(["b3"])).num_rows == 0


def test_without_terrain_the_lid_is_said_to_be_assumed() -> None:
    city = singulate(hill(), footprint_city(HOUSES))
    assert "assumed" in set(city.issues["code"])
    assert set(singulation_report(city).objects["lid"].dropna()) == {"plain, at the lowest open corner"}


def test_left_open_the_edges_are_counted() -> None:
    city = singulate(hill(), footprint_city(HOUSES), close=False)
    objects = singulation_report(city).objects
    assert set(city.geometry_table(type="Building")["type"].to_pylist()) == {"MultiSurface"}
    assert (objects["open_edges"][["b0", "b1", "b2"]] > 0).all()
    assert singulation_report(city).totals["closed"] == 0


def test_a_mesh_that_ends_inside_a_footprint_is_named() -> None:
    city = singulate(hill(), footprint_city([shapely.box(8, 8, 12, 12)]))
    assert singulation_report(city).objects.loc["b0", "covered"] == pytest.approx(0.25, abs=EXACT)
    said = city.issues[city.issues["record"] == "b0"]["message"].tolist()
    assert any("covers 25.0%" in text for text in said)
    assert any("open in the mesh itself" in text for text in said)


def test_overlapping_broken_and_missing_footprints_are_named() -> None:
    bow = shapely.Polygon([(6, 6), (9, 9), (9, 6), (6, 9)])
    city = singulate(hill(), footprint_city([shapely.box(1, 1, 4, 4), shapely.box(3, 1, 5, 4), bow, None, shapely.Point(1, 1)]))
    codes = city.issues.groupby("code")["count"].sum()
    assert codes["conflict"] == 1
    assert codes["repaired"] == 1
    assert codes["empty"] == 2
    areas = singulation_report(city).objects["area"]
    assert areas["b0"] + areas["b1"] == pytest.approx(12.0, abs=1e-4)  # 9 and 6, less the 3 they share
    assert areas["b2"] == pytest.approx(4.5, abs=1e-4)


def test_meaning_materials_and_texture_go_with_the_triangles() -> None:
    points, triangles = grid(10, 5.0)
    uv = (points[triangles][:, :, :2] / 10.0).astype(float)
    labels = (points[triangles][:, :, 0].mean(axis=1) > 5).astype(np.int64)
    mesh = mesh_city(points, triangles, uv=uv, labels=labels, names=("RoofSurface", "PlantCover"))
    city = singulate(mesh, footprint_city([shapely.box(3.3, 3.3, 7.7, 7.7)]))
    for row in city.geometry_table().to_pylist():
        looks = city.appearance_table(city.geometry_table().filter(pc.field("key") == row["key"])).to_pylist()
        assert len(looks) == 1
        vertices = np.array(row["vertices"]) + city.origin
        faces = np.array([surface[0] for surface in row["boundaries"][0][0]])
        corner = vertices[faces]
        got = np.array(looks[0]["uv"]).reshape(-1, 3, 2)
        textured = np.array(looks[0]["textures"]) >= 0
        np.testing.assert_allclose(got[textured], corner[textured][:, :, :2] / 10, atol=1e-6)  # points are welded at 1e-5 m of 10 m
        assert np.isnan(got[~textured]).all()
        names = {r["index"]: r["type"] for r in city.surface_table().to_pylist() if r["geometry"] == row["key"]}
        kinds = np.array([names[k] for k in row["semantics"]])
        assert set(kinds[~textured]) <= {"ClosureSurface", "GroundSurface"}
        middle = corner.mean(axis=1)[:, 0]
        sure = textured & (np.abs(middle - 5) > 1)
        np.testing.assert_array_equal(kinds[sure] == "PlantCover", middle[sure] > 5)


def test_what_comes_in_twice_keeps_two_names_and_all_tables_hold_together(tmp_path: Path) -> None:
    city = singulate(hill(id="b0"), footprint_city(HOUSES))
    assert {"b0", "b0#2"} <= set(city.tables["objects"]["id"].to_pylist())
    assert "duplicate" in set(city.issues["code"])
    keys = city.tables["geometries"]["key"].to_pylist()
    assert len(keys) == len(set(keys))
    cim.save(city, tmp_path / "pieces.cim")
    again = cim.open(tmp_path / "pieces.cim")
    assert singulation_report(again).totals == singulation_report(city).totals
    assert flatten(again.geometry_table()).index.tolist() == flatten(city.geometry_table()).index.tolist()


def test_the_match_table_says_which_mesh_a_building_is_from() -> None:
    city = singulate(hill(), footprint_city(HOUSES))
    rows = city.report.matches
    assert sorted(rows["object"]) == ["b0", "b1", "b2"]
    assert set(rows["record"]) == {"tile"}
    assert set(rows["source"]) == {"mesh.ply"}


def test_faces_that_contradict_each_other_stay_open() -> None:
    points, triangles = grid(10, 5.0)
    triangles[::3] = triangles[::3, ::-1]
    city = singulate(mesh_city(points, triangles), footprint_city([shapely.box(2.5, 2.5, 7.5, 7.5)]))
    assert city.geometry_table(type="Building")["type"].to_pylist() == ["MultiSurface"]
    assert any("contradict" in text for text in city.issues["message"])


def test_a_block_stays_a_block() -> None:
    points, triangles = box()
    city = singulate(mesh_city(points, triangles), footprint_city([shapely.box(0, 0, 4, 4)]))
    objects = singulation_report(city).objects
    assert objects.loc["b0", "lid"] == "none needed" or objects.loc["b0", "volume"] == pytest.approx(48.0, abs=EXACT)
    assert objects.loc["b0", "volume"] == pytest.approx(48.0, abs=EXACT)


def test_wrong_calls_are_refused_with_a_remedy(tmp_path: Path) -> None:
    houses = footprint_city(HOUSES)
    with pytest.raises(UsageError, match="no geometry with the role 'mesh'"):
        singulate(houses, houses)
    with pytest.raises(ObjectNotFoundError, match="no 'Bridge'"):
        singulate(hill(), houses, type="Bridge")
    with pytest.raises(UsageError, match="lid is 'roof'"):
        singulate(hill(), houses, lid="roof")  # type: ignore[arg-type]
    with pytest.raises(CRSMismatchError, match="bring both to one CRS"):
        singulate(hill(), footprint_city(HOUSES, crs="EPSG:28992"))
    with pytest.raises(UsageError, match="degrees"):
        singulate(hill(crs="EPSG:4326"), footprint_city(HOUSES, crs="EPSG:4326"))
    with pytest.raises(UsageError, match=r"units of 0\.304801 m"):
        singulate(hill(crs="EPSG:2263"), footprint_city(HOUSES, crs="EPSG:2263"))
    with pytest.raises(UsageError, match="read a DTM, not a DSM"):
        singulate(hill(), houses, terrain(tmp_path, surface="surface"))
    with pytest.raises(CRSMismatchError, match="raster 'dtm'"):
        singulate(hill(), houses, terrain(tmp_path, crs="EPSG:7415"))


def test_heights_without_a_system_are_taken_as_those_of_the_footprints() -> None:
    city = singulate(hill(crs="EPSG:28992"), footprint_city(HOUSES, crs="EPSG:7415"))
    assert city.crs == parse("EPSG:7415")
    assert any("heights of the mesh" in text for text in city.issues["message"])


def test_the_report_is_drawn_and_empty_for_other_cities() -> None:
    assert singulation_report(footprint_city(HOUSES)).totals["pieces"] == 0
    report = singulation_report(singulate(hill(), footprint_city(HOUSES)))
    assert "单体" in repr(report)
    assert "<table" in report._repr_html_()
