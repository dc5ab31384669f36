"""Read, write, read again: judged by a slow walk over the JSON in plain Python that shares no code with the reader or the writer."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cim
from cim import loaders
from cim.errors import FormatError
from cim.loaders.cityjson import READER, write_cityjson, write_cityjsonseq
from cim.loaders.protocol import ReadOptions
from cim.model import City

DEPTH = {"MultiPoint": 1, "MultiLineString": 2, "MultiSurface": 3, "CompositeSurface": 3, "Solid": 4, "MultiSolid": 5, "CompositeSolid": 5}
DIGITS = 6  # a micrometre: a thousandth of what the files hold
BIG = ("DenHaag_01.city.json", "delft_v2.0.city.json", "delft_3dfier_v1.0.city.json")
CITY = ["cityjson/rotterdam_subset.json", "cityjson/DenHaag_01.city.json", "cityjson/multi_lod.json", "cityjson/DH_01_subs.city.json",
        "delft/delft_3dfier_v1.0.city.json", "delft/delft_v2.0.city.json"]  # fmt: skip


# ---------------------------------------------------------------- the oracle


def walk(file: dict[str, Any], turned: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Return the objects of a file in a form that does not depend on how it is written."""
    return {id: one_object(file, members, loose=id in turned) for id, members in file["CityObjects"].items()}


def one_object(file: dict[str, Any], members: dict[str, Any], *, loose: bool) -> dict[str, Any]:
    known = ("type", "geometry", "attributes", "parents", "children", "members", "address")
    return {
        "type": members["type"],
        "attributes": {name: value for name, value in members.get("attributes", {}).items() if value is not None},
        "parents": Counter(members.get("parents", [])),
        "children": Counter(members.get("children", []) + members.get("members", [])),
        "address": address(file, members.get("address")),
        "geometry": Counter(geometry(file, one, loose=loose) for one in members.get("geometry", [])),
        "other": {name: value for name, value in members.items() if name not in known},
    }


def place(file: dict[str, Any], index: int) -> tuple[float, ...]:
    transform = file.get("transform", {"scale": [1, 1, 1], "translate": [0, 0, 0]})
    stored = zip(file["vertices"][index], transform["scale"], transform["translate"], strict=True)
    return tuple(round(v * s + t, DIGITS) + 0.0 for v, s, t in stored)


def address(file: dict[str, Any], given: Any) -> str:
    listed = json.loads(json.dumps(given if isinstance(given, list) else [given]))
    for one in listed:
        if isinstance(one, dict) and "location" in one:
            one["location"]["boundaries"] = [place(file, index) for index in one["location"]["boundaries"]]
    return json.dumps(listed, sort_keys=True)


def geometry(file: dict[str, Any], one: dict[str, Any], *, loose: bool) -> tuple[Any, ...]:
    if one["type"] == "GeometryInstance":
        return instance(file, one)
    semantics = one.get("semantics") or {}
    lod = one.get("lod", "")
    level = f"{lod:g}" if isinstance(lod, int | float) else lod
    faces = list(numbered(one["boundaries"], semantics.get("values"), DEPTH[one["type"]]))
    looks = dressed(file, one, loose=loose)
    rows = tuple(
        (where, meaning(semantics, value), rings(file, face, loose=loose), looks[k]) for k, (where, face, value) in enumerate(faces)
    )
    unused = Counter(json.dumps(bare(surface), sort_keys=True) for surface in semantics.get("surfaces", []))
    return (level, one["type"], tuple(sorted(rows, key=str)) if loose else rows, tuple(sorted(unused.items())))


def dressed(file: dict[str, Any], one: dict[str, Any], *, loose: bool) -> list[Any]:
    """Return what each surface wears: per theme the material, and per theme and ring the texture and the corners of its image."""
    depth = DEPTH[one["type"]]
    faces = [face for _, face, _ in numbered(one["boundaries"], None, depth)]
    out: list[list[Any]] = [[] for _ in faces]
    look = file.get("appearance", {})
    for theme, given in one.get("material", {}).items():
        values = (
            [given["value"]] * len(faces) if "value" in given else [v for _, _, v in numbered(one["boundaries"], given["values"], depth)]
        )
        for k, value in enumerate(values):
            out[k].append(("material", theme, None if value is None else canonical(look["materials"][value])))
    for theme, given in one.get("texture", {}).items():
        for k, value in enumerate(per_surface(one["boundaries"], given["values"], depth)):
            for r, ring in enumerate([[None]] * len(faces[k]) if value in (None, [None], [[None]]) else value):
                corners = None if ring == [None] else [tuple(look["vertices-texture"][index]) for index in ring[1:]]
                image = None if ring == [None] else canonical(look["textures"][ring[0]])
                out[k].append(("texture", theme, r, image, tuple(sorted(corners) if loose and corners else corners or ())))
    return [tuple(sorted(one, key=str)) for one in out]


def canonical(value: dict[str, Any]) -> str:
    """Return members as text in which 1 and 1.0 are alike."""
    return json.dumps(value, sort_keys=True).replace(".0,", ",").replace(".0]", "]").replace(".0}", "}")


def per_surface(boundaries: Any, values: Any, depth: int) -> Any:
    """Yield the texture values of each surface."""
    if depth > 3:
        for k, part in enumerate(boundaries):
            yield from per_surface(part, None if values is None else values[k], depth - 1)
        return
    for k in range(len(boundaries)):
        yield None if values is None else values[k]


def instance(file: dict[str, Any], one: dict[str, Any]) -> tuple[Any, ...]:
    library = file["geometry-templates"]
    template = library["templates"][one["template"]]
    m = one["transformationMatrix"]
    x0 = place(file, one["boundaries"][0])
    points = []
    for v in library["vertices-templates"]:
        moved = [sum(m[4 * r + c] * v[c] for c in range(3)) + m[4 * r + 3] + x0[r] for r in range(3)]
        points.append([round(value, DIGITS) for value in moved])
    return geometry({"vertices": points, "appearance": file.get("appearance", {})}, template, loose=False)


def numbered(boundaries: Any, values: Any, depth: int, where: tuple[int, ...] = ()) -> Any:
    """Yield shell and solid, the rings and the semantic value of each surface, point or line."""
    if depth > 3:
        for k, part in enumerate(boundaries):
            yield from numbered(part, None if values is None else values[k], depth - 1, (*where, k))
        return
    for k, part in enumerate(boundaries):
        yield where, [[part]] if depth == 1 else [part] if depth == 2 else part, None if values is None else values[k]


def meaning(semantics: dict[str, Any], value: int | None) -> str:
    """Return type, attributes and parents of the semantic surface."""
    chain = []
    while value is not None:
        surface = semantics["surfaces"][value]
        chain.append(bare(surface))
        value = surface.get("parent")
    return json.dumps(chain, sort_keys=True)


def bare(surface: dict[str, Any]) -> dict[str, Any]:
    return {name: entry for name, entry in surface.items() if name not in ("parent", "children")}


def rings(file: dict[str, Any], face: list[list[int]], *, loose: bool) -> Any:
    found = [tuple(place(file, index) for index in ring) for ring in face]
    return tuple(tuple(sorted(ring)) for ring in found) if loose else tuple(found)


# ---------------------------------------------------------------- read, write, read


def read(path: Path) -> City:
    document = json.loads(path.read_bytes())
    stated = document.get("metadata", {}).get("referenceSystem")
    return loaders.read(path, None if stated else "EPSG:28992")


def turned(city: City) -> frozenset[str]:
    """Return the ids of the objects whose faces the reader turned, as its issues say."""
    found = city.issues
    rows = found[(found["code"] == "repaired") & found["message"].str.contains("turned")]
    return frozenset(rows["object"].dropna())


def assert_same(path: Path, city: City, again: Path) -> None:
    before, after = json.loads(path.read_bytes()), json.loads(again.read_bytes())
    loose = turned(city)
    first, second = walk(before, loose), walk(after, loose)
    assert first.keys() == second.keys()
    for id, one in first.items():
        assert second[id] == one, id
    themes = ("default-theme-material", "default-theme-texture")
    assert [before.get("appearance", {}).get(name) for name in themes] == [after.get("appearance", {}).get(name) for name in themes]
    assert extras(before) == extras(after)
    assert len(listed(before, "templates")) == len(listed(after, "templates"))


def extras(file: dict[str, Any]) -> dict[str, Any]:
    """Return the members of a file that say nothing about geometry."""
    written = ("type", "version", "transform", "CityObjects", "vertices", "appearance", "geometry-templates", "metadata")
    metadata = {name: value for name, value in file.get("metadata", {}).items() if name not in ("referenceSystem", "geographicalExtent")}
    return {"metadata": metadata, **{name: value for name, value in file.items() if name not in written}}


def listed(file: dict[str, Any], name: str) -> list[Any]:
    return list(file.get("geometry-templates", {}).get(name, []))


def check(path: Path, folder: Path) -> City:
    city = read(path)
    report = write_cityjson(city, folder / "again.city.json")
    assert_same(path, city, folder / "again.city.json")
    new = [row["what"] for row in report.lost.to_pylist() if not row["what"].startswith("in reading: ")]
    assert not [what for what in new if "stated extent" not in what and "not at hand" not in what]
    return city


@pytest.mark.parametrize("name", CITY)
def test_a_real_file_comes_back_the_same(name: str, shared_data: Callable[..., Path], tmp_path: Path) -> None:
    check(shared_data("city", *name.split("/")), tmp_path)


@pytest.mark.parametrize("name", CITY)
def test_a_stored_city_is_written_as_the_one_just_read(name: str, shared_data: Callable[..., Path], tmp_path: Path) -> None:
    path = shared_data("city", *name.split("/"))
    city = read(path)
    cim.save(city, tmp_path / "a.cim")
    write_cityjson(cim.open(tmp_path / "a.cim"), tmp_path / "stored.city.json")
    assert_same(path, city, tmp_path / "stored.city.json")


def test_a_feature_without_header_is_refused(shared_data: Callable[..., Path]) -> None:
    path = shared_data("city", "cityjson_conformance", "cityjsonfeature_minimal.city.jsonl")
    with pytest.raises(FormatError, match="must be its header"):
        READER.read(path, ReadOptions(crs="EPSG:28992"))


def test_every_conformance_file_comes_back_or_is_refused_with_its_reason(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    files = sorted(shared_data("city", "cityjson_conformance").glob("*.city.json"))
    assert len(files) > 20
    for path in files:
        check(path, tmp_path)


# ---------------------------------------------------------------- sequences


def merged(path: Path) -> dict[str, Any]:
    """Return a sequence as one file, features put together one after the other in plain Python."""
    header, *features = (json.loads(line) for line in path.read_text().splitlines())
    whole = {**header, "CityObjects": {}, "vertices": []}
    look = {**header.get("appearance", {})}
    for word in ("materials", "textures", "vertices-texture"):
        look[word] = list(look.get(word, []))
    for feature in features:
        assert feature["type"] == "CityJSONFeature"
        assert feature["id"] in feature["CityObjects"]
        own = feature.get("appearance", {})
        shifts = [len(look[word]) for word in ("materials", "textures", "vertices-texture")]
        for one in feature["CityObjects"].values():
            for drawn in one.get("geometry", []):
                drawn["boundaries"] = moved(drawn["boundaries"], len(whole["vertices"]))
                for given in drawn.get("material", {}).values():
                    given.update({name: moved(value, shifts[0]) for name, value in given.items()})
                for given in drawn.get("texture", {}).values():
                    given["values"] = ringed(given["values"], shifts[1], shifts[2])
            for place in one.get("address", []):
                if "location" in place:
                    place["location"]["boundaries"] = moved(place["location"]["boundaries"], len(whole["vertices"]))
        whole["CityObjects"].update(feature["CityObjects"])
        whole["vertices"] += feature["vertices"]
        for word in ("materials", "textures", "vertices-texture"):
            look[word] += own.get(word, [])
    return {**whole, "appearance": look}


def moved(value: Any, by: int) -> Any:
    if isinstance(value, list):
        return [moved(one, by) for one in value]
    return None if value is None else value + by


def ringed(value: Any, texture: int, corner: int) -> Any:
    if isinstance(value[0], list):
        return [ringed(one, texture, corner) for one in value]
    return [None] if value == [None] else [value[0] + texture, *[index + corner for index in value[1:]]]


@pytest.mark.parametrize("name", CITY)
def test_a_sequence_holds_the_same_city_and_reads_as_one(name: str, shared_data: Callable[..., Path], tmp_path: Path) -> None:
    path = shared_data("city", *name.split("/"))
    city = read(path)
    write_cityjsonseq(city, tmp_path / "a.city.jsonl")
    (tmp_path / "merged.city.json").write_text(json.dumps(merged(tmp_path / "a.city.jsonl")))
    assert_same(path, city, tmp_path / "merged.city.json")
    again = loaders.read(tmp_path / "a.city.jsonl", None if "referenceSystem" in path.read_text() else "EPSG:28992")
    write_cityjson(again, tmp_path / "b.city.json")
    assert_same(path, city, tmp_path / "b.city.json")
    assert again.types() == city.types()


def test_every_conformance_file_comes_back_through_a_sequence(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    for path in sorted(shared_data("city", "cityjson_conformance").glob("*.city.json")):
        city = read(path)
        write_cityjsonseq(city, tmp_path / "a.city.jsonl")
        (tmp_path / "merged.city.json").write_text(json.dumps(merged(tmp_path / "a.city.jsonl")))
        assert_same(path, city, tmp_path / "merged.city.json")
