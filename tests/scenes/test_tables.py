"""Objects take the colour of what a simulation says about them, and the command draws a whole run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
import xarray as xr
from PIL import Image

from cim.errors import ObjectNotFoundError, UsageError
from cim.model import City, CityBuilder
from cim.results import Fields, RunRecord, save_run
from cim.scenes import Categorical, Scene
from cim.scenes.tables import DEPTHS
from tests.scenes.test_water import rising


@pytest.fixture(scope="module")
def impact() -> Fields:
    """Depths at five buildings, one of them named by its parts' parent, one unknown, one named twice."""
    schema = pa.schema(
        [
            pa.field("object", pa.string()),
            pa.field("maximum_depth", pa.float64(), metadata={"unit": "m", "label_en": "Depth", "label_zh": "最大水深"}),
            pa.field("class", pa.string()),
        ]
    )
    rows = {
        "object": ["b0", "b1", "b1", "b2", "whole", "b3"],
        "maximum_depth": [0.0, 0.1, 0.4, float("nan"), 1.2, 3.0],
        "class": ["H1", "H2", "H3", None, "H4", "H5"],
    }
    doors = pa.table({"door": ["d"], "maximum_depth": [1.0]})
    return Fields("impact", xr.Dataset(), {"doors": doors, "buildings": pa.table(rows, schema=schema)}, RunRecord("impact", "1"))


def colour_of(scene: Scene, id: str) -> tuple[int, ...]:
    layer = scene.layer("buildings")
    return tuple(layer.colours[layer.ids.tolist().index(id)].tolist())


def test_buildings_take_the_class_of_the_depth_at_them(scene: Scene, impact: Fields) -> None:
    seen = scene.color_by(impact, column="maximum_depth")
    classes = {"b0": 0, "b1": 3, "part": 5, "b3": 6}  # the deepest of two rows; a part has the depth of its building
    assert {id: colour_of(seen, id) for id in classes} == {id: DEPTHS.colours[place] for id, place in classes.items()}
    legend = seen.layer("buildings").legend
    assert (legend.title.zh, legend.unit) == ("建筑：最大水深", "m")
    assert legend.entries[0].label.zh == "未淹（< 0.05）"


def test_a_building_of_several_parts_is_counted_once(impact: Fields) -> None:
    builder = CityBuilder("EPSG:4549+5737")
    shapes = [shapely.box(500000 + 20 * place, 3460000, 500010 + 20 * place, 3460010) for place in range(4)]
    builder.add_objects("Building", ["whole", "b1"], footprints=shapes[:2], z_ground=[0.0] * 2, z_roof=[9.0] * 2)
    builder.add_objects(
        "BuildingPart", ["p1", "p2"], parents=["whole", "whole"], footprints=shapes[2:], z_ground=[0.0] * 2, z_roof=[6.0] * 2
    )
    city = builder.build()
    layer = Scene(city).color_by(impact, column="maximum_depth").layer("buildings")
    assert len(layer.ids) > 2
    assert sum(entry.count or 0 for entry in layer.legend.entries) == 2
    assert len(layer.colours) == len(Scene(city).layer("buildings").colours)


def test_depths_under_the_name_of_the_impact_are_depths(scene: Scene, impact: Fields) -> None:
    rows = impact.table("buildings").rename_columns({"maximum_depth": "depth_max"})
    seen = scene.color_by(Fields("impact", xr.Dataset(), {"buildings": rows}, impact.run), column="depth_max")
    assert colour_of(seen, "b3") == DEPTHS.colours[6]


def test_what_no_row_names_has_no_value_and_is_hatched(scene: Scene, impact: Fields) -> None:
    layer = scene.color_by(impact, column="maximum_depth").layer("buildings")
    assert layer.hatched is not None
    assert layer.values is not None
    known = np.isin(layer.ids, ["b0", "b1", "b3", "part", "whole"])
    assert (layer.hatched == ~known).all()
    assert np.isnan(layer.values[~known]).all()


def test_texts_and_other_styles_are_taken(scene: Scene, impact: Fields) -> None:
    seen = scene.color_by(impact, table="buildings", column="class", style=Categorical({"H4": (1, 2, 3)}))
    assert colour_of(seen, "part") == (1, 2, 3)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({}, UsageError, r"needs column=\.\.\.; impact has buildings: object, maximum_depth, class"),
        ({"column": "damage"}, ObjectNotFoundError, "no column 'damage'"),
        ({"table": "doors", "column": "maximum_depth"}, ObjectNotFoundError, "in a table 'doors'"),
        ({"column": "maximum_depth", "layer": "roads"}, UsageError, "no row of the table names an object of the layer 'roads'"),
    ],
)
def test_what_is_not_there_is_refused(scene: Scene, impact: Fields, options: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        scene.color_by(impact, **options)


def test_a_column_belongs_to_a_result(scene: Scene) -> None:
    with pytest.raises(UsageError, match="belong to a result"):
        scene.color_by("height", column="maximum_depth")


@pytest.fixture(scope="module")
def stored(city: City, impact: Fields, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import cim

    folder = tmp_path_factory.mktemp("run")
    cim.save(city, folder / "district.cim")
    save_run({"flood": rising(), "impact": impact}, folder / "run", {})
    return folder


def render(stored: Path, name: str, *words: str) -> int:
    from cim.cli import run

    return run(["render", str(stored / "district.cim"), "--run", str(stored / "run"), "-o", str(stored / name), *words])


@pytest.mark.usefixtures("can_draw")
def test_the_command_draws_a_run_as_picture_page_and_film(stored: Path) -> None:
    assert render(stored, "scene.png") == 0
    assert render(stored, "first.png", "--at", "0") == 0
    peak, first = (np.asarray(Image.open(stored / name), int) for name in ("scene.png", "first.png"))
    assert (np.abs(peak - first).max(axis=2) > 30).mean() > 0.02  # the water
    assert render(stored, "scene.html", "--at", "maximum") == 0
    assert re.search(r'"clock": \{"labels": \["2026-07-21 14:00"', (stored / "scene.html").read_text(encoding="utf-8"))
    assert render(stored, "scene.webp", "--fps", "10") == 0
    with Image.open(stored / "scene.webp") as film:
        assert film.n_frames == 4  # type: ignore[attr-defined]  # an animation has it


@pytest.mark.parametrize(
    ("words", "said"),
    [(["scene.avi"], "ends in .avi"), (["scene.png", "--at", "noon"], "is no time"), (["scene.png", "--at", "9"], "time number 9")],
)
def test_the_command_says_what_it_cannot_draw(stored: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert render(stored, *words) == 2
    assert said in capsys.readouterr().err
