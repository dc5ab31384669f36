"""Materials and textures of a CityJSON file, and what each surface and ring wears in each theme; what does not fit is dropped and named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.loaders.cityjson.document import Document, Note
from cim.loaders.cityjson.geometry import DEPTH, FARTHEST, Geometries, picked
from cim.loaders.cityjson.images import image_files
from cim.loaders.cityjson.points import pairs
from cim.loaders.cityjson.semantics import dropped, per_face
from cim.loaders.cityjson.texture import Worn, worn_textures

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import CityBuilder

    Ints = NDArray[np.int64]

__all__ = ["Library", "Looks", "add_appearances", "add_library", "defaults", "library_of", "looks_of"]

_MATERIAL = {
    "name": "name", "ambientIntensity": "ambient", "diffuseColor": "diffuse", "emissiveColor": "emissive", "specularColor": "specular",
    "shininess": "shininess", "transparency": "transparency", "isSmooth": "smooth",
}  # fmt: skip
_TEXTURE = {"image": "image", "type": "format", "textureType": "type", "wrapMode": "wrap", "borderColor": "border"}
_FORMATS = {"PNG": "PNG", "JPG": "JPEG", "JPEG": "JPEG"}
_DEFAULTS = ("default-theme-material", "default-theme-texture")
_APPEARABLE = frozenset(kind for kind, depth in DEPTH.items() if depth > 2)


@dataclass(frozen=True)
class Library:
    """All materials, textures and texture vertices of a file; the features of a sequence have their own, one after the other here."""

    materials: list[dict[str, Any]]
    textures: list[dict[str, Any]]
    uv: NDArray[np.float64]
    """Shape (u, 2)."""
    first_material: Ints
    """Shape (looks + 1,)."""
    first_texture: Ints
    first_uv: Ints


@dataclass(frozen=True)
class Looks:
    """What geometries wear, rows of `appearances`."""

    rows: Ints
    """Row of the geometry of each material assignment."""
    themes: list[str]
    materials: pa.Array
    """Per surface a row of `Library.materials`, -1 for none."""
    worn: Worn
    notes: list[Note]


def library_of(document: Document, path: Path, notes: list[Note]) -> Library:
    """Return the materials and textures of a file."""
    materials: list[dict[str, Any]] = []
    textures: list[dict[str, Any]] = []
    places: list[NDArray[np.float64]] = [np.empty((0, 2))]
    first: list[tuple[int, int, int]] = [(0, 0, 0)]
    for given in document.looks:
        look = given if isinstance(given, dict) else {}
        materials += _listed(look, "materials", _MATERIAL, notes)
        textures += _listed(look, "textures", _TEXTURE, notes)
        places.append(pairs(look.get("vertices-texture") or [], path))
        first.append((len(materials), len(textures), first[-1][2] + len(places[-1])))
    starts = np.asarray(first, np.int64).T
    return Library(materials, textures, np.concatenate(places), *starts)


def _listed(look: dict[str, Any], word: str, known: dict[str, str], notes: list[Note]) -> list[dict[str, Any]]:
    """Return the entries of a list; a place that holds no entry keeps its number, empty."""
    listed = look.get(word)
    if listed is not None and not isinstance(listed, list):
        notes.append(Note("rejected", f"the {word} are a {type(listed).__name__}, expected an array"))
    entries = listed if isinstance(listed, list) else []
    wrong = sum(not isinstance(one, dict) for one in entries)
    if wrong:
        notes.append(Note("rejected", f"{wrong} {word} are no JSON objects; they are empty", count=wrong))
    found = [one if isinstance(one, dict) else {} for one in entries]
    unknown = [name for one in found for name in one if name not in known]
    for name in dict.fromkeys(unknown):
        count = unknown.count(name)
        notes.append(Note("lost", f"member {name[:40]!r} of {count} {word} is not held and not written again", count=count))
    return found


def defaults(document: Document) -> dict[str, str]:
    """Return the default themes that a file names."""
    look = document.header.get("appearance")
    given = look if isinstance(look, dict) else {}
    return {name: given[name] for name in _DEFAULTS if isinstance(given.get(name), str)}


# --------------------------------------------------------------------------------------------- of geometries


def looks_of(geometries: Geometries, library: Library, ids: list[str]) -> Looks:
    """Return what geometries wear, by theme.

    Parameters
    ----------
    ids
        Names of the owners, for the notes.
    """
    notes: list[Note] = []
    rows, themes, materials = _materials(geometries, library, ids, notes)
    entries = _entries(geometries, geometries.texture, "texture", ids, notes)
    worn = worn_textures(geometries, entries, library.first_texture, library.first_uv, library.uv, ids, notes)
    return Looks(rows, themes, materials, worn, notes)


def _entries(
    geometries: Geometries, given: Sequence[Any], what: str, ids: list[str], notes: list[Note]
) -> list[tuple[int, str, dict[str, Any]]]:
    """Return row, theme and assignment of every theme of every geometry."""
    found = []
    for row, themes in enumerate(given):
        if themes is None:
            continue
        if not isinstance(themes, dict) or geometries.type[row] not in _APPEARABLE:
            reason = "it has no surfaces" if isinstance(themes, dict) else "they are no themes by name"
            notes.append(dropped(geometries, _Names(geometries, ids), row, reason, what))
            continue
        for theme, one in themes.items():
            if isinstance(one, dict) and ("values" in one or "value" in one):
                found.append((row, str(theme), one))
            else:
                notes.append(dropped(geometries, _Names(geometries, ids), row, f"theme {str(theme)[:40]!r} has no values", what))
    return found


class _Names(list[str]):
    """The names of the owners of geometries, looked up only when something is to be said."""

    def __init__(self, geometries: Geometries, ids: list[str]) -> None:
        self.geometries, self.ids = geometries, ids

    def __getitem__(self, row: Any) -> Any:
        return self.ids[int(self.geometries.owner[row])]


def _materials(geometries: Geometries, library: Library, ids: list[str], notes: list[Note]) -> tuple[Ints, list[str], pa.Array]:
    """Return row, theme and material of each surface of every material assignment."""
    entries = _entries(geometries, geometries.material, "material", ids, notes)
    rows = np.array([row for row, _, _ in entries], np.int64)
    if not len(rows):
        return rows, [], pa.array([], pa.list_(pa.int64()))
    mine = picked(geometries, rows)
    look = np.asarray(mine.look, np.int64)
    first, size = library.first_material[look], np.diff(library.first_material)[look]
    names = [ids[row] for row in mine.owner.tolist()]
    values = [None if one.get("value") is not None else one.get("values") for _, _, one in entries]
    lists, face = per_face(mine, values, size, names, notes, "material")
    starts = np.asarray(lists.offsets.to_numpy(), np.int64)
    given = np.asarray(lists.is_valid().to_numpy(zero_copy_only=False), bool).copy()
    face = face.copy()
    for place in np.flatnonzero([one.get("value") is not None for _, _, one in entries]).tolist():
        value = entries[place][2]["value"]
        if type(value) is int and 0 <= value < size[place]:
            face[starts[place] : starts[place + 1]] = value
            given[place] = True
        else:
            reason = f"material index {str(value)[:20]} is out of range (0 to {size[place] - 1})"
            notes.append(dropped(mine, names, place, reason, "material"))
    face = np.where(face >= 0, face + np.repeat(first, np.diff(starts)), -1)
    kept = np.flatnonzero(given)
    column = pa.ListArray.from_arrays(lists.offsets, pa.array(face)).take(pa.array(kept))
    return rows[kept], [entries[place][1] for place in kept.tolist()], column


# --------------------------------------------------------------------------------------------- into the city


def add_library(builder: CityBuilder, library: Library, path: Path, source: int, notes: list[Note]) -> tuple[Ints, Ints]:
    """Add all materials and textures to a city; return their keys."""
    none = np.empty(0, np.int64)
    materials, textures = none, none
    if library.materials:
        columns: dict[str, list[Any]] = {}
        for name, column in _MATERIAL.items():
            columns[column] = _checked(library.materials, name, _MATERIALS[name], "materials", notes)
        materials = builder.add_materials(columns.pop("name"), **columns)
    if library.textures:
        images = [one if isinstance(one := entry.get("image"), str) else "" for entry in library.textures]
        columns = {column: _checked(library.textures, name, _TEXTURES[name], "textures", notes) for name, column in _TEXTURE.items()}
        columns["format"] = [_FORMATS.get(str(one).upper(), one) for one in columns["format"]]
        columns["image"] = images
        paths = image_files(images, path, notes)
        textures = builder.add_textures(columns.pop("image"), path=paths, source=source, **columns)
    return materials, textures


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < FARTHEST


def _colour(*sizes: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and len(value) in sizes and all(map(_number, value))


def _text(value: Any) -> bool:
    return isinstance(value, str)


_MATERIALS: dict[str, Callable[[Any], bool]] = {
    "name": _text, "ambientIntensity": _number, "diffuseColor": _colour(3), "emissiveColor": _colour(3), "specularColor": _colour(3),
    "shininess": _number, "transparency": _number, "isSmooth": lambda value: isinstance(value, bool),
}  # fmt: skip
_TEXTURES: dict[str, Callable[[Any], bool]] = {
    "image": _text, "type": _text, "textureType": _text, "wrapMode": _text, "borderColor": _colour(3, 4),
}  # fmt: skip


def _checked(entries: list[dict[str, Any]], name: str, fine: Callable[[Any], bool], word: str, notes: list[Note]) -> list[Any]:
    """Return one member of all entries; values of the wrong kind become missing, counted."""
    values = [entry.get(name) for entry in entries]
    wrong = [value for value in values if value is not None and not fine(value)]
    if wrong:
        message = f"{name} of {len(wrong)} {word} is not what it should be (such as {str(wrong[0])[:40]}); it is left out"
        notes.append(Note("rejected", message, count=len(wrong)))
    return [value if value is not None and fine(value) else None for value in values]


def add_appearances(builder: CityBuilder, gkeys: Ints, looks: Looks, materials: Ints, textures: Ints) -> None:
    """Add what geometries or templates wear.

    Parameters
    ----------
    gkeys
        Keys of the geometries in the order of the rows.
    materials, textures
        Keys that `add_library` gave.
    """
    if len(looks.rows):
        builder.add_appearances(gkeys[looks.rows], theme=pa.array(looks.themes, pa.string()), materials=_keyed(looks.materials, materials))
    worn = looks.worn
    if len(worn.rows):
        builder.add_appearances(
            gkeys[worn.rows], theme=pa.array(worn.themes, pa.string()), textures=_keyed(worn.textures, textures), uv=worn.uv
        )


def _keyed(lists: pa.Array, keys: Ints) -> pa.Array:
    values = np.asarray(lists.flatten().to_numpy(zero_copy_only=False), np.int64)
    made = np.append(keys, -1)[values]
    offsets = np.asarray(lists.offsets.to_numpy(), np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets - offsets[0]), pa.array(made))
