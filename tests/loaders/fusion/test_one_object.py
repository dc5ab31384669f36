"""A building of three sources, a register, a city model and a building model, is one object that all three know."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from cim.crs import parse
from cim.loaders import fuse, read
from cim.model import City
from cim.model.geometry import flatten

pytest.importorskip("ifcopenshell")
Shared = Callable[..., Path]


def _iou(left: Any, right: Any) -> float:
    return float(shapely.area(shapely.intersection(left, right)) / shapely.area(shapely.union(left, right)))


@pytest.fixture(scope="module")
def base(shared_data: Shared) -> list[City]:
    folder = shared_data("city", "delft")
    return [read(folder / "bgt_pand.sqlite"), read(folder / "delft_3dfier_v1.0.city.json")]


@pytest.mark.data
@pytest.mark.parametrize(
    ("number", "crs", "alone"),
    [
        (0, None, 0.95),  # the bar for a stated position
        (1, None, 0.95),  # the same in millimetres
        (2, "EPSG:7415", 0.9),  # only latitude and longitude, to a second of arc
    ],
)
def test_a_building_model_lands_on_its_building_and_becomes_one_with_it(
    shared_data: Shared, base: list[City], number: int, crs: str | None, alone: float
) -> None:
    folder = shared_data("city", "delft")
    truth = json.loads((folder / "derived_truth.json").read_text(encoding="utf-8"))[number]
    model = read(folder / truth["file"], crs)
    plot = base[0][truth["true_bgt_gml_id"]].footprint
    shape = model.footprints(model.keys("Building"))[0]
    assert _iou(shape, plot) > alone
    city = fuse([*base, model], crs="EPSG:7415")
    merged = city[truth["true_bgt_gml_id"]]
    assert {"gml:id", "bag", "ifc_guid"} <= set(merged.identifiers)
    assert len(merged.children("BuildingStorey")) == truth["storeys"]
    assert city.types()["Building"] == 160  # no second building stands beside it
    found = city.geometry_table(type="BuildingConstructiveElement")
    elements = shapely.box(*_extent(city, found["object"].to_numpy()))
    assert shapely.intersection(elements, plot).area / elements.area > 0.3  # the parts lie where the building lies
    same = city.report.matches
    assert same[(same["record"] == merged.identifiers["ifc_guid"][0])]["kind"].tolist() == ["same"]
    placing = city.report.placing.set_index("fact")["value"]
    assert placing["verdict"] == ("matched" if number == 2 else "stated once")


def _extent(city: City, keys: Any) -> tuple[float, float, float, float]:
    boxes = city.core_rows(["bbox"], keys)["bbox"].to_pylist()
    return tuple(pick(box[side] for box in boxes) for pick, side in ((min, "xmin"), (min, "ymin"), (max, "xmax"), (max, "ymax")))


@pytest.mark.data
def test_a_position_to_the_second_holds_within_its_stated_uncertainty(shared_data: Shared) -> None:
    folder = shared_data("city", "delft")
    truth = json.loads((folder / "derived_truth.json").read_text(encoding="utf-8"))[2]
    model = read(folder / truth["file"], "EPSG:7415")
    facts = {row["name"]: row["value"] for row in model.tables["properties"].to_pylist() if row["set"] == "georeference"}
    plot = read(folder / "bgt_pand.sqlite")[truth["true_bgt_gml_id"]].footprint
    shape = model.footprints(model.keys("Building"))[0]
    assert facts["verdict"] == "coarse"
    assert shape.centroid.distance(plot.centroid) <= float(facts["uncertainty"])


def _facts(city: City) -> dict[str, str]:
    return {row["name"]: row["value"] for row in city.tables["properties"].to_pylist() if row["set"] == "georeference"}


def _points(city: City) -> Any:
    """Return the vertices of the elements of the building model, absolute, put out, shape (n, 3)."""
    rows = city.geometry_table(type="BuildingConstructiveElement")
    ids = city.ids(rows["object"].to_numpy())
    order = np.argsort(np.array(ids), kind="stable")
    return flatten(rows.take(order)).vertices + city.origin


@pytest.mark.data
@pytest.mark.parametrize("known", [True, False])
def test_the_matrix_of_a_moved_model_leads_into_the_system_that_stands_beside_it(shared_data: Shared, *, known: bool) -> None:
    folder = shared_data("city", "delft")
    model = read(folder / "derived_C_ifc2x3_latlon.ifc")
    before = _facts(model)
    own = np.linalg.inv(json.loads(before["matrix"]))
    drawn = np.c_[_points(model), np.ones(len(_points(model)))] @ own.T  # as the file has them
    city = fuse([*([read(folder / "bgt_pand.sqlite")] if known else []), model], crs="EPSG:7415")
    after = _facts(city)
    there = (drawn @ np.array(json.loads(after["matrix"])).T)[:, :3]
    if known:  # matched: its system is that of the city
        assert (after["verdict"], parse(after["crs"])) == ("matched", city.crs)
        # 1 mm: 20 m of a projection taken for straight, and the rounding of coordinates to 1e-9 m
        np.testing.assert_allclose(there, _points(city), atol=1e-3)
    else:  # only reprojected: both stay what the file states, and belong together
        assert (after["crs"], after["matrix"]) == (before["crs"], before["matrix"])
        np.testing.assert_allclose(there, _points(model), atol=1e-6)
