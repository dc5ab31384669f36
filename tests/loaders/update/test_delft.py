"""A register layer in a new edition, ten buildings moved, five gone, five new: these twenty are named, and nothing else is touched."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import pandas as pd
import pytest
import shapely

import cim
from cim.cli import run
from cim.loaders import door, fuse, read
from cim.loaders.update import Update, update
from cim.model import City
from cim.storage import versions

pytestmark = pytest.mark.data

LAYER = "buildingpart"
STEP = 3.0  # m: how far the ten are moved


@dataclass(frozen=True)
class Edition:
    """What was done to the layer."""

    moved: list[str]
    removed: list[str]
    added: list[str]

    @property
    def all(self) -> set[str]:
        return {*self.moved, *self.removed, *self.added}


def new_edition(original: Path, target: Path) -> Edition:
    """Write the layer again with 10 buildings moved by 3 m, 5 taken out and 5 put in."""
    frame = geopandas.read_file(original)
    ids = frame["gml_id"].tolist()
    frame.loc[:9, "geometry"] = frame.loc[:9].translate(STEP, 0.0)
    fresh = frame.loc[20:24].copy()
    added = [f"new-{number}" for number in range(len(fresh))]
    fresh["gml_id"], fresh["lokaalid"] = added, [f"G0503.{id}" for id in added]
    fresh["identificatiebagpnd"] = [503100099990000 + number for number in range(len(fresh))]
    fresh["geometry"] = [shapely.box(84500 + 20 * number, 447700, 84510 + 20 * number, 447712) for number in range(len(fresh))]
    every = pd.concat([frame.drop(index=range(10, 15)), fresh])
    target.unlink()
    geopandas.GeoDataFrame(every, geometry="geometry", crs=frame.crs).to_file(target, layer=LAYER, driver="SQLite", spatialite=False)
    return Edition(sorted(ids[:10]), sorted(ids[10:15]), added)


@pytest.fixture(scope="module")
def folder(request: pytest.FixtureRequest) -> Path:
    place: Callable[..., Path] = request.getfixturevalue("shared_data")
    return Path(place("city", "delft"))


@pytest.fixture(scope="module")
def built(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store of five kinds of source; the files lie beside it."""
    home = tmp_path_factory.mktemp("delft")
    names = ["bgt_pand.sqlite", "bgt_wegdeel.sqlite", "ahn3_cropped_1.laz", "ahn3_cropped_2.laz", "dtm_05m_filled.tif"]
    names.append("delft_3dfier_v1.0.city.json")
    for name in names:
        shutil.copy(folder / name, home / name)
    cities = [read(home / name, crs="EPSG:7415" if name.endswith(".laz") else None) for name in names]
    cim.save(fuse(cities, crs="EPSG:7415", name="Delft"), home / "delft.cim")
    return home


@pytest.fixture(scope="module")
def edited(built: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Edition]:
    """Give a copy of the store whose register came out anew; the files of all other sources are gone."""
    home = tmp_path_factory.mktemp("edited")
    shutil.copytree(built / "delft.cim", home / "delft.cim")
    shutil.copy(built / "bgt_pand.sqlite", home / "bgt_pand.sqlite")
    return home, new_edition(built / "bgt_pand.sqlite", home / "bgt_pand.sqlite")


@pytest.fixture(scope="module")
def done(edited: tuple[Path, Edition]) -> tuple[City, Update, list[Path]]:
    home, _ = edited
    asked: list[Path] = []
    with pytest.MonkeyPatch.context() as patch:
        original = door.read

        def counted(path: Any, *arguments: Any, **options: Any) -> City:
            asked.append(Path(path))
            return original(path, *arguments, **options)

        patch.setattr(door, "read", counted)
        before = cim.open(home / "delft.cim")
        return before, update(before, sources={"bgt_pand": home / "bgt_pand.sqlite"}), asked


def plain(value: Any) -> Any:
    """Return bytes and nested arrays as text."""
    if isinstance(value, bytes):
        return value.hex()
    return json.dumps(value, default=lambda one: one.tolist()) if hasattr(value, "tolist") else value


def tables_without(city: City, ids: set[str]) -> dict[str, pd.DataFrame]:
    """Return every table with ids in place of keys, without some objects; issues and the catalogue tell of readings and stay out."""
    objects = city.tables["objects"].to_pandas()
    id_of = dict(zip(objects["key"], objects["id"], strict=True))
    found = {}
    for name in ("objects", "claims", "matches", "identifiers", "properties", "relations", "geometries", "coverages"):
        frame = city.tables[name].to_pandas()
        for column in {"key", "object", "subject", "parent"} & set(frame.columns) if name != "geometries" else {"object"}:
            frame[column] = frame[column].map(id_of)
        owner = next(column for column in ("key", "object", "subject") if column in frame and (name != "geometries" or column == "object"))
        frame = frame[~frame[owner].isin(ids)]
        frame = frame.map(plain)
        found[name] = frame.astype(str).fillna("missing").sort_values(list(frame.columns)).reset_index(drop=True)
    for type in city.attributes:
        frame = city.attributes[type].to_pandas(integer_object_nulls=True)
        frame["object"] = frame["object"].map(id_of)
        frame = frame[~frame["object"].isin(ids)].sort_values("object").reset_index(drop=True)
        found[f"attributes of {type}"] = frame.astype(str).fillna("missing")
    return found


def test_exactly_the_twenty_are_named(done: tuple[City, Update, list[Path]], edited: tuple[Path, Edition]) -> None:
    _, found, _ = done
    edition = edited[1]
    assert found.ids("moved") == edition.moved
    assert found.ids("removed") == edition.removed
    assert found.ids("added") == edition.added
    assert found.ids("changed") == []
    assert set(found.changes["id"].to_pylist()) == edition.all
    assert set(found.changes["source"].to_pylist()) == {"bgt_pand"}


def test_all_other_ids_claims_and_tables_are_equal(done: tuple[City, Update, list[Path]], edited: tuple[Path, Edition]) -> None:
    before, found, _ = done
    old, new = (tables_without(city, edited[1].all) for city in (before, found.city))
    assert old.keys() == new.keys()
    for name in old:
        assert old[name].columns.tolist() == new[name].columns.tolist()
        assert len(old[name]) == len(new[name]), name
        differing = (old[name] != new[name]).any()
        assert not differing.any(), f"{name}: {differing[differing].index.tolist()}"


def test_no_other_source_is_read(done: tuple[City, Update, list[Path]], edited: tuple[Path, Edition]) -> None:
    home = edited[0]
    assert done[2] == [home / "bgt_pand.sqlite"]
    assert done[1].read == ("bgt_pand",)


def test_the_difference_of_the_two_cities_is_what_was_listed(done: tuple[City, Update, list[Path]], edited: tuple[Path, Edition]) -> None:
    before, found, _ = done
    difference = cim.diff(before, found.city)
    edition = edited[1]
    assert list(difference.added) == edition.added
    assert difference.removed == ()  # the city model knows the five too: they stay
    assert set(difference.changed["id"].to_pylist()) == {*edition.moved, *edition.removed}


def test_a_moved_building_lies_three_metres_east_and_is_measured_anew(
    done: tuple[City, Update, list[Path]], edited: tuple[Path, Edition]
) -> None:
    before, found, _ = done
    for id in edited[1].moved:
        old, new = before[id].footprint, found.city[id].footprint
        assert new.centroid.x - old.centroid.x == pytest.approx(STEP, abs=1e-6)
        ground = [claim for claim in found.city.why(id, "z_ground") if "terrain" in claim.method]
        assert len(ground) == 1
        block = found.city.geometry_table(lod="0", keys=found.city.key_of([id]))
        west = min(point[0] for point in block["vertices"][0].as_py()) + found.city.origin[0]
        assert west == pytest.approx(new.bounds[0], abs=1e-6)


def test_the_heights_are_those_of_a_fusion_from_scratch(
    done: tuple[City, Update, list[Path]], edited: tuple[Path, Edition], built: Path
) -> None:
    home, edition = edited
    others = [built / name for name in ("bgt_wegdeel.sqlite", "ahn3_cropped_1.laz", "ahn3_cropped_2.laz", "dtm_05m_filled.tif")]
    cities = [read(home / "bgt_pand.sqlite", name="bgt_pand")]
    cities += [read(path, crs="EPSG:7415" if path.suffix == ".laz" else None) for path in others]
    cities.append(read(built / "delft_3dfier_v1.0.city.json"))
    scratch = fuse(cities, crs="EPSG:7415", name="Delft")
    ids = [*alone(scratch, edition.moved), *edition.added]
    assert len(ids) >= 8  # some were moved into their neighbours: whose points those are then depends on the order of the objects
    ours, theirs = (city.table("Building", ["z_ground", "z_roof", "height"]).loc[ids] for city in (done[1].city, scratch))
    pd.testing.assert_frame_equal(
        pd.DataFrame(ours.drop(columns="geometry")), pd.DataFrame(theirs.drop(columns="geometry")), check_dtype=False
    )
    for id in edition.moved:
        assert said(done[1].city, id, ("hoek", "owner", "tekst", "bgt_status")) == said(
            scratch, id, ("hoek", "owner", "tekst", "bgt_status")
        )
    for id in ids:
        assert said(done[1].city, id, ("z_ground", "z_roof", "height")) == said(scratch, id, ("z_ground", "z_roof", "height"))


def alone(city: City, ids: list[str]) -> list[str]:
    """Return the objects whose footprint shares no ground with another building."""
    every = city.footprints(city.keys("Building"))
    tree = shapely.STRtree(every)
    shapes = city.footprints(city.key_of(ids))
    pair = tree.query(shapes, predicate="intersects")
    shared = shapely.area(shapely.intersection(shapes[pair[0]], every[pair[1]])) > 1e-6
    return [id for row, id in enumerate(ids) if shared[pair[0] == row].sum() == 1]  # itself


def said(city: City, id: str, names: tuple[str, ...]) -> list[tuple[str, str, str, bool]]:
    """Return the claims about attributes, in one order."""
    claims = [claim for name in names if name in city[id].attributes or name.startswith("z_") for claim in city.why(id, name)]
    return sorted((str(claim.source), claim.method, str(claim.value), claim.chosen) for claim in claims)


def test_the_claims_of_a_removed_record_are_gone_and_the_next_is_chosen(
    done: tuple[City, Update, list[Path]], edited: tuple[Path, Edition]
) -> None:
    for id in edited[1].removed:
        claims = done[1].city.why(id, "bgt_status")
        assert {claim.source for claim in claims} == {"delft_3dfier_v1.0"}
        assert [claim.chosen for claim in claims] == [True]
        assert done[1].city[id].footprint.area > 0


def test_the_command_saves_a_version_and_the_second_time_nothing(
    edited: tuple[Path, Edition], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, edition = edited
    store = tmp_path / "delft.cim"
    shutil.copytree(home / "delft.cim", store)
    words = ["update", str(store), "--at", f"bgt_pand={home / 'bgt_pand.sqlite'}", "--json"]
    assert run([*words, "--dry-run"]) == 0
    dry = json.loads(capsys.readouterr().out)
    assert [version.number for version in versions(store)] == [1]
    assert run(words) == 0
    wet = json.loads(capsys.readouterr().out)
    assert dry["changes"] == wet["changes"]
    assert (dry["version"], wet["version"]) == (None, 2)
    assert wet["counts"] == {"added": 5, "removed": 5, "moved": 10, "changed": 0}
    assert "bgt_pand" in versions(store)[-1].message
    assert run(["update", str(store), "--source", "bgt_pand", "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["read"], again["changes"], again["version"]) == ([], [], None)
    assert [version.number for version in versions(store)] == [1, 2]
    assert cim.open(store, 1)[edition.moved[0]].footprint.centroid.x == pytest.approx(
        cim.open(store)[edition.moved[0]].footprint.centroid.x - STEP
    )
    assert run(["check", str(store), "--bytes"]) == 0
