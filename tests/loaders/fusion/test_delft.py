"""A real quarter of Delft from five kinds of file: register, point cloud, terrain, surface model and city model become one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely

from cim.loaders import fuse, read
from cim.model import City
from cim.model.schema import SCHEMAS

pytestmark = pytest.mark.data

FEATURES, OBJECTS, BUILDINGS = 582, 570, 160  # counted in the files, see the SOURCE.txt beside them
CLOSE = 0.5  # m: what percentiles of a 10-points-per-m² cloud and different footprint handling leave open


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest) -> Path:
    place: Callable[..., Path] = request.getfixturevalue("shared_data")
    return Path(place("city", "delft"))


@pytest.fixture(scope="module")
def measured(folder: Path) -> list[City]:
    register = [read(path) for path in sorted(folder.glob("bgt_*.sqlite"))]
    clouds = [read(folder / f"ahn3_cropped_{number}.laz", crs="EPSG:7415") for number in (1, 2)]
    return [*register, *clouds, read(folder / "dtm_05m_filled.tif"), read(folder / "dsm_05m.tif")]


@pytest.fixture(scope="module")
def reference(folder: Path) -> City:
    return read(folder / "delft_3dfier_v1.0.city.json")


@pytest.fixture(scope="module")
def city(measured: list[City], reference: City) -> City:
    return fuse([*measured, reference], crs="EPSG:7415", name="Delft")


def without_identifiers(city: City, prefix: str) -> City:
    """Return the city with its identifiers gone and every id replaced by a number."""
    objects = city.tables["objects"]
    ids = pa.array([f"{prefix}{number}" for number in range(objects.num_rows)])
    hidden = objects.set_column(1, SCHEMAS["objects"].field("id"), ids)
    return replace(city.replace_tables(objects=hidden, identifiers=SCHEMAS["identifiers"].empty_table()), name=prefix)


def test_every_building_is_matched_with_its_identifiers(city: City, reference: City) -> None:
    matches = city.report.matches
    theirs = matches[(matches["source"] == reference.name) & (matches["kind"] == "same")]
    buildings = set(city.table("Building", ["name"]).index)
    assert len(buildings) == BUILDINGS
    assert len(theirs[theirs["object"].isin(buildings)]) == BUILDINGS
    assert (theirs["object"] == theirs["record"]).all()  # gml_id is the same text in both files
    assert (theirs["score"] == 1.0).all()


def test_every_building_is_matched_by_geometry_alone(measured: list[City], reference: City) -> None:
    register = next(city for city in measured if city.types().get("Building") == BUILDINGS)
    left, right = without_identifiers(register, "r"), without_identifiers(reference, "j")
    fused = fuse([left, right], crs="EPSG:7415")
    names_left = dict(zip(left.tables["objects"]["id"].to_pylist(), register.tables["objects"]["id"].to_pylist(), strict=True))
    names_right = dict(zip(right.tables["objects"]["id"].to_pylist(), reference.tables["objects"]["id"].to_pylist(), strict=True))
    matches = fused.report.matches
    found = matches[(matches["kind"] == "same")]
    assert len(found) == BUILDINGS
    assert all(names_left[a] == names_right[b] for a, b in zip(found["object"], found["record"], strict=True))


def test_no_record_is_lost_or_doubled(city: City, measured: list[City], reference: City) -> None:
    balance = city.report.balance.set_index("source")
    register = [name for name in balance.index if name.startswith("bgt_")]
    assert sum(len(source) for source in measured if source.types().keys() - {"PointCloud", "ReliefFeature"}) == FEATURES
    assert balance.loc[register, "records"].sum() == FEATURES
    assert balance.loc[reference.name, "records"] == len(reference) == OBJECTS
    ids = city.tables["objects"]["id"].to_pylist()
    assert len(ids) == len(set(ids))
    records = city.tables["matches"].group_by(["source", "record"]).aggregate([]).num_rows
    assert records == FEATURES + OBJECTS + 4  # two clouds, terrain and surface model stand for themselves
    unmatched = FEATURES - OBJECTS
    same = balance.loc[reference.name, "same"]
    assert same == OBJECTS
    assert len(city) == FEATURES + 4
    known = set(city.report.matches.query("kind == 'same'")["object"])
    assert unmatched == len(set(ids) - known) - 4


def test_roof_heights_meet_the_reference_where_there_are_points(city: City, reference: City) -> None:
    ours = city.table("Building", ["z_roof"])
    theirs = reference.table("Building", ["z_roof"])["z_roof"]
    measured = roofs_of_the_cloud(city)
    off = np.abs(measured.reindex(theirs.index) - theirs)
    area = ours.geometry.area.reindex(theirs.index)
    assert (off <= CLOSE).mean() >= 0.84
    assert (off[area >= 25] <= CLOSE).mean() >= 0.95


def roofs_of_the_cloud(city: City) -> pd.Series[float]:
    """Return the roof heights that the cloud says, by id."""
    claims = city.tables["claims"].filter(pc.field("attribute") == "z_roof").to_pandas()
    mine = claims[claims["method"].str.contains("roof points inside")]
    return pd.Series([json.loads(text) for text in mine["value"]], index=city.ids(mine["object"].to_numpy()))


def test_percentiles_are_those_of_a_slow_loop(city: City, measured: list[City]) -> None:
    from cim.loaders.pointcloud import read_points

    points = [read_points(source, classes=[6]) for source in measured if "PointCloud" in source.types()]
    x, y, z = (np.concatenate([getattr(part, axis) for part in points]) for axis in "xyz")
    measured_roofs = roofs_of_the_cloud(city)
    for id in list(measured_roofs.index)[:12]:
        shape = city[id].footprint
        west, south, east, north = shape.bounds
        near = np.flatnonzero((x >= west) & (x <= east) & (y >= south) & (y <= north))
        inside = near[shapely.contains_xy(shape, x[near], y[near])]
        assert measured_roofs[id] == pytest.approx(np.percentile(z[inside], 90), abs=0.02)  # border points go to one owner by rule


def test_a_file_whose_roofs_lie_lower_is_named_and_both_claims_stand(measured: list[City], folder: Path) -> None:
    fused = fuse([*measured, read(folder / "delft_v2.0.city.json")], crs="EPSG:7415")
    conflicts = fused.issues[(fused.issues["code"] == "conflict") & (fused.issues["record"] == "z_roof")]
    summary = [text for text in conflicts["message"] if "objects disagree" in text]
    assert summary
    assert any("-" in text and "median" in text for text in summary)
    id = conflicts["object"].dropna().iloc[0]
    claims = fused.why(id, "z_roof")
    assert {claim.source for claim in claims} >= {"delft_v2.0"}
    assert any("percentile" in claim.method for claim in claims)
    assert sum(claim.chosen for claim in claims) == 1
