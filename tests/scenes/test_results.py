"""Verdicts and water are drawn on the objects and at the height they belong to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import shapely

from cim.errors import CRSMismatchError, UsageError
from cim.results import Fields, RunRecord, Verdicts, verdicts_from
from cim.scenes import Scene
from cim.scenes.depth import WET
from cim.scenes.style import VERDICTS
from cim.scenes.verdicts import worst_first


def test_judged_buildings_take_the_colour_of_their_verdict(scene: Scene, verdicts: Verdicts) -> None:
    layer = scene.add(verdicts).layers[-1]
    table = verdicts.to_pandas()
    colours = dict(zip(layer.ids.tolist(), layer.colours.tolist(), strict=True))
    for id, verdict in table["verdict"].items():
        assert colours[str(id)] == list(VERDICTS.colours[verdict])
    assert {entry.label.en: entry.count for entry in layer.legend.entries} == {
        {"not_assessed": "not assessed"}.get(name, name): count for name, count in verdicts.counts().items()
    }


def test_verdicts_lie_exactly_on_the_faces_of_the_buildings(scene: Scene, verdicts: Verdicts) -> None:
    layer, base = scene.add(verdicts).layers[-1], scene.layer("buildings")
    ours = {tuple(sorted(map(tuple, corners))) for corners in layer.points[layer.triangles].round(6).tolist()}
    theirs = {tuple(sorted(map(tuple, corners))) for corners in base.points[base.triangles].round(6).tolist()}
    assert ours < theirs
    assert layer.overlay


def test_a_judged_plot_is_not_covered_by_a_square_that_lies_on_it(scene: Scene) -> None:
    columns = {"object": ["plot"], "value": [1.0], "limit": [2.0], "verdict": ["pass"]}
    layer = scene.add(verdicts_from("far", RunRecord("far", "1"), columns)).layers[-1]
    above = layer.points[:, 2] - scene.context.ground.at(layer.points[:, 0], layer.points[:, 1])
    roads = scene.layer("roads").points
    assert above.min() > (roads[:, 2] - scene.context.ground.at(roads[:, 0], roads[:, 1])).max() + 0.1


def test_what_fails_has_outlines_and_what_passes_has_not(scene: Scene, verdicts: Verdicts) -> None:
    layer = scene.add(verdicts).layers[-1]
    assert layer.edges is not None
    owner = layer.point_object[layer.edges]
    names = verdicts.to_pandas()["verdict"].to_numpy()
    assert set(names[owner.ravel()]) == {"fail"}
    per_building = np.bincount(owner[:, 0])
    assert set(per_building[per_building > 0]) == {12}  # the edges of a box


def test_a_scene_is_a_value(scene: Scene, verdicts: Verdicts) -> None:
    before = len(scene.layers)
    twice = scene.add(verdicts).add(verdicts)
    assert len(scene.layers) == before
    assert [layer.name for layer in twice.layers[-2:]] == ["height_control", "height_control 2"]


def test_the_worst_of_several_verdicts_is_drawn() -> None:
    table = pa.table({"object": ["a", "b", "a", "b"], "verdict": ["pass", "not_assessed", "not_assessed", "fail"]})
    assert worst_first(table).tolist() == [2, 3]


def test_cells_of_a_check_are_laid_on_the_ground(scene: Scene) -> None:
    shape = shapely.box(500_020, 3_460_020, 500_070, 3_460_070)
    columns = {
        "object": ["cell 1"],
        "value": [0.5],
        "limit": [0.4],
        "excess": [0.1],
        "verdict": ["fail"],
        "footprint": [shapely.to_wkb(shape)],
    }
    layer = scene.add(verdicts_from("density", RunRecord("density", "1"), columns, crs="EPSG:4549")).layers[-1]
    assert shapely.area(shapely.polygons(layer.points[layer.triangles][:, :, :2])).sum() == pytest.approx(2500)
    assert layer.ids.tolist() == ["cell 1"]


def test_cells_in_another_system_are_refused(scene: Scene) -> None:
    shape = shapely.to_wkb(shapely.box(0, 0, 1, 1))
    columns = {"object": ["c"], "value": [1.0], "limit": [2.0], "verdict": ["pass"], "footprint": [shape]}
    with pytest.raises(CRSMismatchError, match="EPSG:28992"):
        scene.add(verdicts_from("density", RunRecord("density", "1"), columns, crs="EPSG:28992"))


def test_verdicts_of_another_city_are_refused(scene: Scene) -> None:
    columns = {"object": ["nobody"], "value": [1.0], "limit": [2.0], "verdict": ["pass"]}
    with pytest.raises(UsageError, match="the first is 'nobody'"):
        scene.add(verdicts_from("far", RunRecord("far", "1"), columns))


def still(flood: Fields) -> Fields:
    """Return the same water by level instead of time: nothing that changes by itself."""
    return replace(flood, dataset=flood.dataset.rename(time="water_level"))


def test_the_deepest_water_over_levels_is_drawn_at_its_level(scene: Scene, flood: Fields) -> None:
    layer = scene.add(still(flood)).layer("water depth")
    assert len(layer) == 15 * 30  # wet cells
    assert sorted(set(np.round(layer.values, 6).tolist())) == [0.5, 2.0]  # type: ignore[arg-type]  # it has values
    assert (layer.legend.unit, layer.legend.low, layer.legend.high) == ("m", 0.0, 2.0)
    assert (layer.legend.note.en, layer.legend.note.zh) == ("highest over water level", "水位最大值")
    deep = layer.points[layer.triangles[layer.values[layer.cell_object] == 2.0]].reshape(-1, 3)  # type: ignore[index]
    above = deep[:, 2] - scene.context.ground.at(deep[:, 0], deep[:, 1])
    assert np.median(above) == pytest.approx(2.4, abs=0.1)  # 2 m of water and 0.42 m above roads


def test_a_level_can_be_chosen(scene: Scene, flood: Fields) -> None:
    layer = scene.add(still(flood), at={"water_level": 10.0}).layer("water depth")
    assert len(layer) == 10 * 30
    with pytest.raises(UsageError, match="no dimension level"):
        scene.add(still(flood), at={"level": 1.0})


def test_a_moment_can_be_drawn_alone(scene: Scene, flood: Fields) -> None:
    alone = scene.add(flood, at={"time": 10.0})
    assert len(alone.layer("water depth")) == 10 * 30
    assert alone.clock is None


def test_dry_and_unknown_cells_are_not_drawn(scene: Scene, flood: Fields) -> None:
    dataset = flood.dataset.copy(deep=True)
    dataset["water_depth"][:] = WET
    dataset["water_depth"][0, 0, 0] = np.nan
    assert len(scene.add(still(replace(flood, dataset=dataset))).layer("water depth")) == 0


def test_water_in_another_system_is_refused(scene: Scene, flood: Fields) -> None:
    dataset = flood.dataset.assign_attrs(crs="EPSG:28992")
    with pytest.raises(CRSMismatchError, match="run the simulation on this city"):
        scene.add(replace(flood, dataset=dataset))


def test_what_cannot_be_drawn_is_refused(scene: Scene) -> None:
    with pytest.raises(UsageError, match="a dict cannot be added"):
        scene.add({})
