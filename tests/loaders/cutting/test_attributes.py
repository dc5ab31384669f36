"""What a cut leaves in attributes and issues, what the commands tell of it, and the refusal to cut twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

import cim
from cim.cli import run
from cim.errors import UsageError
from cim.loaders import read
from cim.loaders.cutting import singulate, singulation_report
from cim.loaders.cutting.attributes import PIECE_METHOD, REST_METHOD
from cim.loaders.cutting.findings import gathered
from cim.loaders.steps import run_steps
from cim.model import City, CityBuilder, Column
from cim.model.combine import concat
from cim.model.geometry import flatten
from tests.loaders.cutting.meshes import footprint_city, mesh_city
from tests.loaders.cutting.test_cut import box, grid

EXACT = 1e-6  # m2 and m3: points are welded at 1e-5 m, the coordinates here are round
CRS = "EPSG:4549+5737"
ORIGIN = np.array([500_000.0, 3_400_000.0, 0.0])
HOUSES = [shapely.box(2, 2, 5, 5), shapely.box(6, 6, 9, 9), shapely.box(50, 50, 60, 60)]


def area(*sides: float) -> Any:
    return shapely.transform(shapely.box(*sides), lambda xy: xy + ORIGIN[:2])


def placed() -> list[Any]:
    return [area(*house.bounds) for house in HOUSES]


def obj(folder: Path, points: Any, triangles: Any) -> City:
    """Return a mesh that the reader of OBJ files measured."""
    path = folder / "mesh.obj"
    rows = [f"v {x} {y} {z}" for x, y, z in points + ORIGIN] + [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in triangles]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return read(path, crs=CRS)


@pytest.fixture
def together(tmp_path: Path) -> City:
    """Return footprints and a mesh 5 m above them in one city."""
    return concat([footprint_city(placed(), crs=CRS), obj(tmp_path, *grid(10, 5.0))], name="both")


def fits_the_schema(document: dict[str, Any]) -> bool:
    jsonschema = pytest.importorskip("jsonschema")  # comes with nbformat
    schema = Path(__file__).resolve().parents[3] / "docs" / "schemas" / "storeys.schema.json"
    return bool(jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8"))).is_valid(document))


def mesh_row(city: City) -> dict[str, Any]:
    table = city.attributes["GenericOccupiedSpace"].to_pylist()
    assert len(table) == 1
    return dict(table[0])


def test_cutting_twice_is_refused_and_the_pieces_stay(together: City) -> None:
    once = run_steps(together, [("singulate", {})])
    with pytest.raises(
        UsageError, match=r"already hold pieces cut by singulate \(3 of class Building: b0, b1, b2\); cut the original mesh again"
    ):
        run_steps(once, [("singulate", {})])
    with pytest.raises(UsageError, match="already hold pieces"):
        singulate(mesh_city(grid(10, 5.0)[0] + ORIGIN, grid(10, 5.0)[1], crs=CRS), once)
    assert singulation_report(once).totals["volume"] == pytest.approx(0.0, abs=EXACT)  # flat roof, lid at its own height


def test_a_piece_without_its_figures_is_known_by_its_claim(together: City) -> None:
    once = run_steps(together, [("singulate", {})])
    bare = once.replace_tables(properties=once.tables["properties"].slice(0, 0))
    with pytest.raises(UsageError, match=r"\(2 of class Building: b0, b1\)"):
        run_steps(bare, [("singulate", {})])


def test_a_stored_city_is_refused_by_the_command_and_keeps_its_version(together: City, tmp_path: Path) -> None:
    path = tmp_path / "both.cim"
    cim.save(together, path)
    assert run(["singulate", str(path)]) == 0
    assert run(["singulate", str(path)]) == 2
    assert singulation_report(cim.open(path)).totals["area_assigned"] == pytest.approx(18.0, abs=EXACT)


def test_another_class_may_be_cut_out_of_the_rest_and_the_figures_are_those_of_that_cut(together: City) -> None:
    once = run_steps(together, [("singulate", {})])
    builder = CityBuilder(CRS)
    builder.add_objects("Bridge", ["x"], footprints=[area(0, 0, 1, 10)])
    again = run_steps(concat([once, builder.build()], name="three"), [("singulate", {"type": "Bridge"})])
    meshes = singulation_report(again).meshes
    assert meshes["area_in"].tolist() == pytest.approx([82.0], abs=EXACT)
    assert meshes["area_left"].tolist() == pytest.approx([72.0], abs=EXACT)
    assert again["x"].attributes["mesh_closed"] is True


def test_what_the_reader_measured_on_the_mesh_is_that_of_the_rest(together: City) -> None:
    before = mesh_row(together)
    city = run_steps(together, [("singulate", {"wall_tolerance": 0.0})])
    after = mesh_row(city)
    left = flatten(city.geometry_table(type="GenericOccupiedSpace"))
    assert before["surface_area"] == pytest.approx(100.0, abs=EXACT)
    assert after["surface_area"] == pytest.approx(82.0, abs=EXACT)
    assert after["faces"] == len(left.ring_start) - 1 != before["faces"]
    assert after["vertices"] == len(left.vertices)
    edges = np.sort(np.stack([left.index.reshape(-1, 3), np.roll(left.index.reshape(-1, 3), -1, axis=1)], axis=2).reshape(-1, 2), axis=1)
    assert after["open_edges"] == (np.unique(edges, axis=0, return_counts=True)[1] == 1).sum() > before["open_edges"]
    assert (after["closed"], after["volume"]) == (False, None)
    claim = city.why(city.ids(city.keys("GenericOccupiedSpace"))[0], "surface_area")[0]
    assert (claim.method, claim.unit, claim.chosen) == (REST_METHOD, "m2", True)


def test_a_closed_mesh_that_was_opened_is_closed_no_more(tmp_path: Path) -> None:
    mesh = obj(tmp_path, *box())
    assert mesh_row(mesh)["closed"] is True
    half = area(-1, -1, 2, 5)
    after = mesh_row(singulate(mesh, footprint_city([half], crs=CRS), wall_tolerance=0.0))
    assert (after["closed"], after["volume"]) == (False, None)
    whole = area(-1, -1, 5, 5)
    nothing = mesh_row(singulate(mesh, footprint_city([whole], crs=CRS)))
    assert (nothing["faces"], nothing["vertices"], nothing["surface_area"], nothing["volume"]) == (0, 0, 0.0, None)


def test_volumes_are_typed_attributes_with_unit_labels_and_claims() -> None:
    points, triangles = box()
    city = singulate(mesh_city(points, triangles), footprint_city([shapely.box(0, 0, 4, 4), shapely.box(50, 50, 60, 60)]))
    table = city.attributes["Building"]
    assert table["mesh_volume"].to_pylist() == [pytest.approx(48.0, abs=EXACT), None]
    assert table["mesh_closed"].to_pylist() == [True, None]
    facts = table.schema.field("mesh_volume").metadata
    assert (facts[b"unit"], facts[b"label_zh"]) == (b"m3", "倾斜模型单体体积".encode())
    claim = city.why("b0", "mesh_volume")[0]
    assert (claim.method, claim.unit, claim.chosen) == (PIECE_METHOD, "m3", True)
    assert claim.source is not None
    assert [claim.value for claim in city.why("b1", "mesh_volume")] == [None]
    assert city.statistics("Building", "mesh_volume")["unit"] == "m3"


def test_an_attribute_of_that_name_stays_as_it_was() -> None:
    builder = CityBuilder("local")
    keys = builder.add_objects("Building", ["b0"], footprints=[shapely.box(0, 0, 4, 4)])
    builder.add_attributes(keys, "Building", {"mesh_volume": Column(["large"])})
    table = singulate(mesh_city(*box()), builder.build()).attributes["Building"]
    assert table["mesh_volume"].to_pylist() == ["large"]
    assert table["mesh_volume_2"].to_pylist() == pytest.approx([48.0], abs=EXACT)


def test_many_issues_of_one_kind_are_one_that_counts() -> None:
    far = [shapely.box(100 + 3 * n, 0, 102 + 3 * n, 2) for n in range(21)]
    rows = singulate(mesh_city(*grid(10, 5.0)), footprint_city([*far, HOUSES[0]])).tables["issues"].to_pylist()
    unmatched = [row for row in rows if row["code"] == "unmatched"]
    assert len(unmatched) == 1
    assert (unmatched[0]["count"], unmatched[0]["severity"]) == (21, "warning")
    assert unmatched[0]["message"].endswith("over them: b0, b1, b2, b3, b4 and 16 more")
    few = [{"code": "invalid", "record": str(n)} for n in range(20)]
    assert gathered(few, "are odd") == few


def test_the_command_prints_the_quality_of_the_cut(together: City, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cim.save(together, tmp_path / "both.cim")
    assert run(["singulate", str(tmp_path / "both.cim"), "-o", str(tmp_path / "text.cim")]) == 0
    said = capsys.readouterr().out
    assert "2 (2 closed), 1 footprints unmatched" in said
    assert "100.00 m2 in, 18.00 m2 assigned, 82.00 m2 left, relative error" in said
    assert run(["singulate", str(tmp_path / "both.cim"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert fits_the_schema(told)
    report = told["report"]
    assert report == singulation_report(cim.open(tmp_path / "both.cim")).totals


def test_the_command_prints_the_area_and_confidence_of_each_label(
    together: City, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cim.save(together, tmp_path / "both.cim")
    assert run(["classify", str(tmp_path / "both.cim"), "-o", str(tmp_path / "text.cim")]) == 0
    assert "ground: 100.0 m2, mean confidence" in capsys.readouterr().out
    assert run(["classify", str(tmp_path / "both.cim"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert fits_the_schema(told)
    report = told["report"]
    assert sum(label["area"] for label in report.values()) == pytest.approx(100.0, abs=1e-2)  # each rounded to 1e-3 m2
    assert all(0 <= label["confidence"] <= 1 for label in report.values())
    assert run(["classify", str(tmp_path / "both.cim"), "--json"]) == 0  # nothing is left to label
    assert json.loads(capsys.readouterr().out)["report"] == {}
