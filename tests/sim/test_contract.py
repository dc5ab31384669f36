"""One contract for every simulator and check that an entry point names, ours and other people's."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from pydantic import ValidationError

from cim import plugins
from cim.crs import parse
from cim.model import City, CityBuilder, Column
from cim.model.coverages import Raster, write_raster
from cim.results import Check, Fields, Needing, Preparing, Simulator, Verdicts, city_fingerprint, compare, load_result, save_result

GROUPS = ("cim.simulators", "cim.checks")
PLUGINS = [(group, name) for group in GROUPS for name in plugins.available(group)]
NEEDED: dict[str, dict[str, Any]] = {
    "inundation": {"levels": [4.0, 5.5], "source": [(45.0, 25.0)]},
    "stays_dry": {"levels": [4.0], "source": "WaterBody", "datum": "terrain"},
    "height_control": {"limit_datum": "ground"},
    "flood": {"until": "4min", "output_every": "2min", "rain": {"kind": "constant", "intensity": 60.0}},
    "traffic": {
        "until": "10min",
        "departures": "5min",
        "zone_size": 20.0,
        "gate": [{"at": "u", "inbound": 1.0, "outbound": 0.5}],
        "demand_factor": 200.0,
        "vehicles": True,
    },
    "reach": {"stations": ["a"]},
}
"""Parameters that have no default, by name; another plug-in's section must do without."""


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    """Give a city with everything the plug-ins of the toolkit look at: plots with limits, buildings, water, a terrain, roads."""
    ground = np.full((10, 12), 6.0)
    ground[2:8, 2:10] = 3.0
    crs = parse("EPSG:4549+5737")
    path = write_raster(Raster(ground, 0.0, 50.0, 5.0, 5.0, crs), tmp_path_factory.mktemp("terrain") / "dem.tif")
    builder = CityBuilder(crs)
    shapes = np.array([shapely.box(12, 12, 22, 22), shapely.box(30, 20, 45, 30), shapely.box(50, 2, 58, 8)], object)
    keys = builder.add_objects("Building", ["a", "b", "c"], footprints=shapes, z_ground=[3.0, 3.0, 6.0], z_roof=[21.0, 15.0, 12.0])
    builder.add_attributes(keys, "Building", {"storeys_above_ground": Column([6, 4, None]), "height": Column([18.0, 12.0, 6.0], unit="m"),
                                              "usage": Column(["residential", "office", None])})  # fmt: skip
    plots = builder.add_objects("LandUse", ["p", "q"], footprints=shapely.box([0, 30], [0, 0], [30, 60], [50, 50]))
    limits = {"far_limit": Column([1.0, 0.2]), "density_limit": Column([0.3, None]), "height_limit": Column([15.0, 15.0], unit="m")}
    builder.add_attributes(plots, "LandUse", limits)
    builder.add_objects("WaterBody", ["w"], footprints=shapely.box([40], [32], [44], [38]))
    streets = [shapely.LineString([(5, 10), (28, 10), (47, 10)]), shapely.LineString([(5, 10), (5, 35), (28, 35), (28, 10)])]
    roads = builder.add_objects("Road", ["main", "loop"], footprints=streets)
    said = [json.dumps({"class": "residential", "vertices": pair}) for pair in ([0, 1], [1, 2], [0, 3])]
    builder.add_links(roads[[0, 0, 1]], "road", ["u", "v", "u"], ["v", "x", "v"], direction="both", length=[23.0, 19.0, 73.0],
                      attributes=said)  # fmt: skip
    relief = builder.add_objects("ReliefFeature", ["dtm"])
    builder.add_coverage(int(relief[0]), kind="raster", path=str(path), format="GeoTIFF", unit="m", meta=json.dumps({"surface": "terrain"}))
    return builder.build()


def needs(plugin: Any) -> dict[str, str]:
    return dict(plugin.needs) if isinstance(plugin, Needing) else {}


def run(group: str, name: str, city: City) -> Fields | Verdicts:
    plugin = plugins.load(group, name)
    section = plugin.parameters.model_validate(NEEDED.get(name, {}))
    results = {argument: run("cim.simulators", other, city) for argument, other in needs(plugin).items()}
    result = plugin.run(city, **results, **section.model_dump())
    assert isinstance(result, Fields | Verdicts)
    return result


def test_there_is_something_to_hold_to_the_contract() -> None:
    assert len(PLUGINS) >= 4
    names = [name for _, name in PLUGINS]
    assert len(set(names)) == len(names), "a run folder has one folder per name"


@pytest.mark.parametrize(("group", "name"), PLUGINS)
def test_it_says_what_it_is(group: str, name: str) -> None:
    plugin: Any = plugins.load(group, name)
    assert isinstance(plugin, Simulator if group == "cim.simulators" else Check)
    assert plugin.name == name
    assert plugin.title_en
    assert any("\u4e00" <= letter <= "\u9fff" for letter in plugin.title_zh)
    assert plugin.version


@pytest.mark.parametrize(("group", "name"), PLUGINS)
def test_its_section_explains_every_parameter_and_refuses_unknown_ones(group: str, name: str) -> None:
    parameters = plugins.load(group, name).parameters
    assert [one for one, field in parameters.model_fields.items() if not field.description] == []
    with pytest.raises(ValidationError, match="no_such_parameter"):
        parameters.model_validate({**NEEDED.get(name, {}), "no_such_parameter": 1})
    json.dumps(parameters.model_json_schema())


@pytest.mark.parametrize(("group", "name"), PLUGINS)
def test_it_returns_its_kind_of_result_and_leaves_the_city_as_it_was(group: str, name: str, city: City) -> None:
    before = city_fingerprint(city)
    result = run(group, name, city)
    assert city_fingerprint(city) == before
    assert isinstance(result, Fields if group == "cim.simulators" else Verdicts)
    assert result.name == name
    assert result.run.name == name
    assert result.run.version == plugins.load(group, name).version
    assert result.run.inputs["city"] == before
    assert result.run.wall_seconds > 0
    assert {"cim-toolkit", "numpy", "shapely"} <= set(result.run.versions)
    assert result.run.assumptions
    assert result._repr_html_()
    assert len(result.to_pandas())


@pytest.mark.parametrize(("group", "name"), PLUGINS)
def test_what_it_needs_is_made_by_a_simulator_that_needs_nothing_of_it(group: str, name: str) -> None:
    for other in needs(plugins.load(group, name)).values():
        assert other in plugins.available("cim.simulators")
        assert name not in needs(plugins.load("cim.simulators", other)).values()


@pytest.mark.parametrize(("group", "name"), PLUGINS)
def test_what_can_be_prepared_runs_as_prepared(group: str, name: str, city: City) -> None:
    plugin: Any = plugins.load(group, name)
    if not hasattr(plugin, "prepare"):
        return
    assert isinstance(plugin, Preparing)
    plugin = plugins.load(group, name)
    section = plugin.parameters.model_validate(NEEDED.get(name, {}))
    prepared = plugin.prepare(city, **section.model_dump())()
    assert prepared.run.to_dict(measured=False) == run(group, name, city).run.to_dict(measured=False)


@pytest.mark.parametrize(("group", "name"), PLUGINS)
def test_the_same_inputs_give_the_same_bytes(group: str, name: str, city: City, tmp_path: Path) -> None:
    folders = [save_result(run(group, name, city), tmp_path / which) for which in ("one", "two")]
    one, other = (
        {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        for folder in folders
    )
    assert {name for name in {*one, *other} if one.get(name) != other.get(name)} <= {"timing.json"}
    assert load_result(folders[0]).run.to_dict(measured=False) == load_result(folders[1]).run.to_dict(measured=False)


@pytest.mark.parametrize(("group", "name"), PLUGINS)
def test_compared_with_itself_nothing_differs(group: str, name: str, city: City) -> None:
    made = compare(run(group, name, city), run(group, name, city))
    assert sum(made.changed(table).num_rows for table in made.tables) == 0
    drawn = run(group, name, city).run.seed is not None  # what another draw would change, one pair of runs cannot say
    assert made.noise.value == (None if drawn else 0.0)


@pytest.mark.parametrize(("group", "name"), PLUGINS)
def test_ids_in_its_tables_are_ids_of_the_city_or_have_a_shape(group: str, name: str, city: City) -> None:
    result = run(group, name, city)
    tables = {"verdicts": result.table} if isinstance(result, Verdicts) else result.tables
    for table in tables.values():
        if "object" in table.column_names and "footprint" not in table.column_names:
            none = {"city", None}  # the city as a whole; what is of no object, such as the connector of a zone
            assert set(table["object"].to_pylist()) - none <= set(city.ids(city.keys()))


@pytest.mark.parametrize("name", plugins.available("cim.checks"))
def test_a_check_on_buildings_nobody_knows_anything_of_passes_nothing(name: str, city: City) -> None:
    builder = CityBuilder(city.crs)
    builder.add_objects("Building", ["blank"])
    builder.add_objects("LandUse", ["p"], footprints=shapely.box([0], [0], [30], [60]))
    builder.add_objects("WaterBody", ["w"], footprints=shapely.box([40], [32], [44], [38]))
    relief = builder.add_objects("ReliefFeature", ["dtm"])
    row = city.tables["coverages"].to_pylist()[0]
    builder.add_coverage(int(relief[0]), kind="raster", path=row["path"], format="GeoTIFF", unit="m", meta=row["meta"])
    result = run("cim.checks", name, builder.build())
    assert isinstance(result, Verdicts)
    assert result.counts()["pass"] == 0
    assert result.counts()["not_assessed"] > 0
