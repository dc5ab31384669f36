"""The published schemas of `--json` hold for what the command really prints."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import shapely

import cim
from cim import cli
from cim.model import City, CityBuilder, Column

jsonschema = pytest.importorskip("jsonschema")  # comes with nbformat
SCHEMAS = Path(__file__).resolve().parents[2] / "docs" / "schemas"
NAMES = sorted(path.name.removesuffix(".schema.json") for path in SCHEMAS.glob("*.schema.json"))
Ask = Callable[..., Any]


def validator(name: str) -> Any:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.fixture
def ask(capfd: pytest.CaptureFixture[str]) -> Ask:
    """Run the command with --json and return what it prints, as JSON; nothing else may stand there."""

    def run(*words: str | Path, code: int = 0) -> Any:
        capfd.readouterr()
        assert cli.run([*map(str, words), "--json"]) == code, capfd.readouterr().err
        return json.loads(capfd.readouterr().out)

    return run


def block(height: float, *, names: tuple[str, ...] = ("b1", "b2")) -> City:
    """Return buildings of a height on one plot with limits."""
    builder = CityBuilder("EPSG:4549+5737", name="two blocks")
    shapes = [shapely.box(500010 + 30 * place, 3460010, 500030 + 30 * place, 3460030) for place in range(len(names))]
    keys = builder.add_objects("Building", names, footprints=shapes, z_ground=[4.0] * len(names), z_roof=[4.0 + height] * len(names))
    builder.add_attributes(
        keys, "Building", {"height": Column([height] * len(names), unit="m"), "storeys_above_ground": Column([6] * len(names))}
    )
    plot = builder.add_objects("LandUse", ["P1"], footprints=[shapely.box(500000, 3460000, 500100, 3460100)])
    builder.add_attributes(plot, "LandUse", {"far_limit": Column([1.2]), "height_limit": Column([24.0], unit="m")})
    return builder.build()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Save two versions of a city."""
    for height in (18.0, 30.0):
        cim.save(block(height), tmp_path / "city.cim")
    return tmp_path / "city.cim"


@pytest.fixture
def geojson(tmp_path: Path) -> Path:
    """Write a file of two footprints, one of them broken."""
    shapes = [
        shapely.box(500000, 3460000, 500020, 3460020),
        shapely.Polygon([(500040, 3460000), (500060, 3460020), (500060, 3460000), (500040, 3460020)]),
    ]
    features = [
        {"type": "Feature", "properties": {"编号": f"A{n}", "高度": 12.0}, "geometry": shapely.geometry.mapping(one)}
        for n, one in enumerate(shapes)
    ]
    crs = {"type": "name", "properties": {"name": "EPSG:4549"}}
    path = tmp_path / "files" / "建筑.geojson"
    path.parent.mkdir()
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}, ensure_ascii=False), encoding="utf-8")
    return path


def scenario(folder: Path, name: str, height: float) -> Path:
    """Write a scenario of both kinds of result over a city of its own."""
    cim.save(block(height), folder / f"{name}.cim")
    path = folder / f"{name}.toml"
    path.write_text(
        f'city = "{name}.cim"\nname = "{name}"\n\n[checks.far]\n\n[checks.height_control]\nlimit_datum = "ground"\n', encoding="utf-8"
    )
    return path


@pytest.mark.parametrize("name", NAMES)
def test_every_schema_is_one_and_says_whose_it_is(name: str) -> None:
    assert f"cim {name.replace('-', ' ')}" in validator(name).schema["title"]


def test_info_of_a_store_fits_its_schema(ask: Ask, store: Path) -> None:
    told = ask("info", store)
    validator("info").validate(told)
    assert (told["objects"], told["classes"]) == (3, {"Building": 2, "LandUse": 1})
    assert [one["version"] for one in told["versions"]] == [1, 2]
    assert told["files"]


def test_info_of_a_source_file_fits_its_schema(ask: Ask, geojson: Path) -> None:
    told = ask("info", geojson)
    validator("info").validate(told)
    assert {"guessed", "repaired"} <= {one["code"] for one in told["issues"]}


def test_a_document_that_lacks_something_does_not_fit(ask: Ask, store: Path) -> None:
    told = ask("info", store)
    del told["crs"]
    assert not validator("info").is_valid(told)
    assert not validator("info").is_valid({**ask("info", store), "objects": -1})


def test_checks_with_and_without_faults_fit_their_schema(ask: Ask, store: Path, tmp_path: Path) -> None:
    fine = ask("check", store, "--bytes")
    validator("check").validate(fine)
    assert fine["faults"] == []
    (tmp_path / "bad.toml").write_text('[[source]]\npath = "not there.shp"\ncolour = "red"\n', encoding="utf-8")
    bad = ask("check", tmp_path / "bad.toml", code=1)
    validator("check").validate(bad)
    assert bad["faults"]


def test_a_drafted_build_file_fits_its_schema(ask: Ask, geojson: Path) -> None:
    told = ask("new", "build", geojson.parent)
    validator("new-build").validate(told)
    assert told["layers"][0]["class"] == "Building"


def test_a_built_city_fits_the_schema_of_info(ask: Ask, geojson: Path, tmp_path: Path) -> None:
    assert geojson.is_file()
    (tmp_path / "city.toml").write_text('[[source]]\npath = "files/建筑.geojson"\n', encoding="utf-8")
    validator("info").validate(ask("build", tmp_path / "city.toml", "-o", tmp_path / "built.cim"))


@pytest.mark.parametrize(
    ("format", "name"),
    [
        ("cityjson", "out.city.json"),
        ("cityjsonseq", "out.city.jsonl"),
        ("geopackage", "out.gpkg"),
        ("geoparquet", "out"),
        ("gltf", "out.glb"),
        ("xlsx", "out.xlsx"),
    ],
)
def test_exports_fit_their_schema(ask: Ask, store: Path, tmp_path: Path, format: str, name: str) -> None:
    told = ask("export", store, "--to", format, "-o", tmp_path / name)
    validator("export").validate(told)
    assert (tmp_path / name).exists()


def test_a_step_fits_its_schema(ask: Ask, store: Path) -> None:
    told = ask("storeys", store)
    validator("storeys").validate(told)
    assert told["objects"]["BuildingStorey"] == 12  # two blocks of six
    assert ask("classify", store)["issues"][0]["code"] == "empty"


def test_a_derived_network_and_its_check_fit_their_schemas(ask: Ask, tmp_path: Path) -> None:
    builder = CityBuilder("EPSG:4549+5737", name="a yard")
    builder.add_objects("Road", ["yard"], footprints=[shapely.box(500000, 3460000, 500080, 3460007)])
    cim.save(builder.build(), tmp_path / "yard.cim")
    told = ask("roads", tmp_path / "yard.cim")
    validator("storeys").validate(told)
    assert {one["code"] for one in told["issues"]} == {"assumed"}
    found = ask("network", tmp_path / "yard.cim", "--to", "gmns", "-o", tmp_path / "gmns")
    validator("network").validate(found)
    assert (found["nodes"], found["links"]) == (2, 2)
    assert [one["code"] for one in found["findings"]] == ["dead_end"]
    assert found["written"][0].endswith("gmns")


def test_an_update_fits_its_schema(ask: Ask, geojson: Path, tmp_path: Path) -> None:
    (tmp_path / "city.toml").write_text('[[source]]\npath = "files/建筑.geojson"\n', encoding="utf-8")
    ask("build", tmp_path / "city.toml", "-o", tmp_path / "built.cim")
    still = ask("update", tmp_path / "built.cim")
    validator("update").validate(still)
    assert (still["version"], still["changes"]) == (None, [])
    geojson.write_text(geojson.read_text(encoding="utf-8").replace("12.0", "15.0", 1), encoding="utf-8")
    told = ask("update", tmp_path / "built.cim")
    validator("update").validate(told)
    assert told["version"] == 2
    assert told["counts"]["changed"] == 1


def test_runs_and_their_comparison_fit_their_schemas(ask: Ask, tmp_path: Path) -> None:
    for name, height in (("base", 18.0), ("option", 30.0)):
        told = ask("run", scenario(tmp_path, name, height), "-o", tmp_path / "runs" / name)
        validator("run").validate(told)
        assert [one["result"] for one in told["results"]] == ["far", "height_control"]
    compared = ask("compare", tmp_path / "runs" / "base", tmp_path / "runs" / "option")
    validator("compare").validate(compared)
    assert {one["name"] for one in compared} == {"far", "height_control"}


def test_the_difference_of_two_cities_fits_its_schema(ask: Ask, tmp_path: Path) -> None:
    cim.save(block(18.0), tmp_path / "a.cim")
    cim.save(block(30.0, names=("b2", "b3")), tmp_path / "b.cim")
    told = ask("compare", tmp_path / "a.cim", tmp_path / "b.cim")
    validator("compare").validate(told)
    assert {row["what"] for row in told} == {"added", "removed", "changed"}


def test_compaction_fits_its_schema(ask: Ask, store: Path) -> None:
    told = ask("compact", store)
    validator("compact").validate(told)
    assert told["versions"] == [1]


def test_the_doctor_fits_its_schema(ask: Ask) -> None:
    told = ask("doctor")
    validator("doctor").validate(told)
    assert told[0]["part"] == "cim-toolkit"
