"""Materials and textures of a city to the JSON text of CityJSON: what each geometry wears, and the lists that its numbers mean."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from cim.loaders.cityjson.encode import boundary_texts, semantic_texts, unique_vertices
from cim.model.geometry import Flat, flatten

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.loss import Losses

    Ints = NDArray[np.int64]

__all__ = ["Wear", "wear_of"]

_MATERIAL = {"name": "name", "ambient": "ambientIntensity", "diffuse": "diffuseColor", "emissive": "emissiveColor",
             "specular": "specularColor", "shininess": "shininess", "transparency": "transparency", "smooth": "isSmooth"}  # fmt: skip
_TEXTURE = {"type": "textureType", "wrap": "wrapMode", "border": "borderColor"}
_FORMATS = {"PNG": "PNG", "JPEG": "JPG"}


@dataclass
class Wear:
    """What geometries wear."""

    texts: dict[int, str] = field(default_factory=dict)
    """Members `material` and `texture` of a geometry as JSON text, each with a comma before it, by key."""
    looks: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Member `appearance` of each feature."""


def wear_of(city: City, shapes: pa.Table, feature: Ints, images: list[str], losses: Losses, *, everything: bool) -> Wear:
    """Return what geometries and templates wear.

    Parameters
    ----------
    shapes
        Columns key, type, vertices and boundaries of those that are written.
    feature : shape (g,)
        The feature each is written in: every feature has lists of its own.
    images
        Name of the image of each texture, as written.
    everything
        Whether materials and textures that nothing wears are written too, all of them in one feature, number 0.
    """
    wear = Wear()
    table = city.tables["appearances"]
    place = pc.index_in(table["geometry"], _one(shapes["key"]))
    rows = np.flatnonzero(np.asarray(place.is_valid().to_numpy()))
    worn = table.take(pa.array(rows))
    where = np.asarray(place.take(pa.array(rows)).to_numpy(), np.int64)
    parts: dict[int, dict[str, list[str]]] = {}
    for word, column in (("material", "materials"), ("texture", "textures")):
        mine = np.flatnonzero(np.asarray(worn[column].is_valid().to_numpy()))
        if not len(mine) and not (everything and city.tables.rows(column)):
            continue
        chosen = worn.take(pa.array(mine))
        drawn = shapes.take(pa.array(where[mine])).combine_chunks()
        write = _materials if word == "material" else _textures
        texts = write(city, chosen, drawn, feature[where[mine]], wear, losses, images, everything=everything)
        for key, theme, text in zip(chosen["geometry"].to_pylist(), chosen["theme"].to_pylist(), texts, strict=True):
            if text:
                parts.setdefault(key, {}).setdefault(word, []).append(f"{orjson.dumps(theme).decode()}:{text}")
    for key, words in parts.items():
        wear.texts[key] = "".join(f',"{word}":{{{",".join(themes)}}}' for word, themes in words.items())
    return wear


def _materials(
    city: City, worn: pa.Table, drawn: pa.Table, feature: Ints, wear: Wear, losses: Losses, _: list[str], *, everything: bool
) -> list[str]:
    flat, kinds = flatten(drawn), np.asarray(drawn["type"].to_pylist(), object)
    faces = np.bincount(flat.geometry_of_surface, minlength=len(kinds)) if len(kinds) else np.empty(0, np.int64)
    values, fits = _values(worn["materials"], faces)
    losses.add("materials that are not one per surface", int((~fits).sum()))
    entries = [_material(row) for row in city.tables["materials"].to_pylist()]
    owners = feature[flat.geometry_of_surface]
    local = _numbered(city.tables["materials"], values, owners, "materials", entries, wear, everything=everything)
    texts = semantic_texts(flat, kinds, local)
    start = np.concatenate([[0], np.cumsum(faces)])
    out = []
    for row, text in enumerate(texts):
        own = local[start[row] : start[row + 1]]
        alike = len(own) > 0 and own[0] >= 0 and bool((own == own[0]).all())
        out.append("" if not fits[row] else f'{{"value":{own[0]}}}' if alike else f'{{"values":{text}}}')
    return out


def _material(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[column] for column, name in _MATERIAL.items() if row[column] is not None}


def _values(lists: pa.ChunkedArray, count: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Return list values laid out by the counts that are expected, -1 where a list has another length, and which have it."""
    array = _one(lists)
    size = np.asarray(pc.list_value_length(array).to_numpy(zero_copy_only=False), np.int64) if len(array) else np.empty(0, np.int64)
    fits = size == count
    given = np.asarray(array.flatten().fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
    values = np.full(int(count.sum()), -1, np.int64)
    values[np.repeat(fits, count)] = given[np.repeat(fits, size)]
    return values, fits


def _numbered(
    table: pa.Table, keys: Ints, feature: Ints, word: str, entries: list[dict[str, Any]], wear: Wear, *, everything: bool
) -> Ints:
    """Return keys as numbers in the list of their feature, -1 for none, and write those lists."""
    row = np.asarray(pc.fill_null(pc.index_in(pa.array(keys), _one(table["key"])), -1).to_numpy(zero_copy_only=False), np.int64)
    if everything:
        wear.looks.setdefault(0, {})[word] = entries
        return row
    span = max(len(entries), 1)
    pair, number = np.unique((feature * span + row)[row >= 0], return_inverse=True)
    owner = pair // span
    first = np.searchsorted(owner, owner)
    for one, entry in zip(owner.tolist(), (pair % span).tolist(), strict=True):
        wear.looks.setdefault(one, {}).setdefault(word, []).append(entries[entry])
    out = np.full(len(row), -1, np.int64)
    out[row >= 0] = (np.arange(len(pair)) - first)[number.reshape(-1)]
    return out


def _textures(
    city: City, worn: pa.Table, drawn: pa.Table, feature: Ints, wear: Wear, losses: Losses, images: list[str], *, everything: bool
) -> list[str]:
    flat, kinds = flatten(drawn), np.asarray(drawn["type"].to_pylist(), object)
    count = len(kinds)
    ring_owner = flat.geometry_of_ring
    values, fits = _values(worn["textures"], np.bincount(ring_owner, minlength=count) if count else np.empty(0, np.int64))
    size = np.diff(flat.ring_start)
    corners = np.bincount(ring_owner, size, count).astype(np.int64) if count else np.empty(0, np.int64)
    pairs, whole = _pairs(worn["uv"], corners)
    losses.add("textures that are not one per ring, or without a place per vertex", int((~(fits & whole)).sum()))
    ring_of = np.repeat(np.arange(len(size)), size)
    known = np.ones(len(size), bool)
    known[ring_of[~np.isfinite(pairs).all(axis=1)]] = False
    losses.add("rings whose texture has no place in the image", int(((values >= 0) & ~known & whole[ring_owner]).sum()))
    values = np.where(known, values, -1)
    entries = [_texture(row, image, losses) for row, image in zip(city.tables["textures"].to_pylist(), images, strict=True)]
    local = _numbered(city.tables["textures"], values, feature[ring_owner], "textures", entries, wear, everything=everything)
    numbers = _placed(pairs, (local >= 0)[ring_of], feature[ring_owner][ring_of], wear)
    texts = boundary_texts(*_mapped(flat, local, numbers, kinds))
    return ["" if not (fits[row] and whole[row]) else f'{{"values":{text}}}' for row, text in enumerate(texts)]


def _texture(row: dict[str, Any], image: str, losses: Losses) -> dict[str, Any]:
    form = _FORMATS.get(row["format"]) if row["format"] else None
    losses.add("texture formats other than PNG and JPEG", int(bool(row["format"]) and form is None), row["format"] or "")
    kind = {"type": form} if form else {}
    return {**kind, "image": image, **{name: row[column] for column, name in _TEXTURE.items() if row[column] is not None}}


def _pairs(column: pa.ChunkedArray, count: Ints) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the texture places laid out by vertex, and which geometries have one for each."""
    array = _one(column)
    size = np.asarray(pc.fill_null(pc.list_value_length(array), -1).to_numpy(zero_copy_only=False), np.int64)
    fits = size == count
    given = np.asarray(array.flatten().flatten().to_numpy(zero_copy_only=False), float).reshape(-1, 2)
    out = np.full((int(count.sum()), 2), np.nan)
    out[np.repeat(fits, count)] = given[np.repeat(fits, np.maximum(size, 0))]
    return out, fits


def _placed(pairs: NDArray[np.float64], used: NDArray[np.bool_], feature: Ints, wear: Wear) -> Ints:
    """Return the number of each used place in the list of its feature, and write those lists."""
    out = np.full(len(pairs), -1, np.int64)
    if not used.any():
        return out
    rows, number = unique_vertices(np.column_stack([feature[used], pairs[used] + 0.0]))
    owner = rows[:, 0].astype(np.int64)
    first = np.searchsorted(owner, owner)
    starts = np.unique(owner, return_index=True)
    for one, part in zip(starts[0].tolist(), np.split(rows[:, 1:], starts[1][1:]), strict=True):
        wear.looks.setdefault(one, {})["vertices-texture"] = part.tolist()
    out[used] = (np.arange(len(rows)) - first)[number]
    return out


def _mapped(flat: Flat, texture: Ints, numbers: Ints, kinds: NDArray[Any]) -> tuple[Flat, NDArray[Any], Ints]:
    """Return rings of texture numbers: the texture first, then the place of each vertex; -1 alone where there is none."""
    size = np.diff(flat.ring_start)
    worn = texture >= 0
    start = np.concatenate([[0], np.cumsum(np.where(worn, size + 1, 1))])
    out = np.full(int(start[-1]), -1, np.int64)
    head = np.zeros(len(out), bool)
    head[start[:-1]] = True
    out[head] = texture
    out[~head] = numbers[np.repeat(worn, size)]
    return replace(flat, ring_start=start, index=out), kinds, out


def _one(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
