"""Appearances brought to geometry: materials per surface, textures and texture coordinates per ring, image files looked up."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.loaders.citygml.draft import Appearances, Note
from cim.loaders.citygml.pool import Rings, numbers
from cim.loaders.citygml.rows import Columns, Resolver
from cim.loaders.citygml.shapes import Ref

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import CityBuilder

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["add_looks", "images_of"]

_FORMATS = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG"}
_REMOTE = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:|^//")
_COLUMNS = ("ambient", "diffuse", "emissive", "specular", "shininess", "transparency", "smooth")


def images_of(looks: Appearances, path: Path) -> tuple[list[Path | None], list[str | None], list[Note]]:
    """Return the image file and format of each texture: None for what is not there, lies outside the folder, or is no image."""
    files: list[Path | None] = []
    formats: list[str | None] = []
    notes: list[Note] = []
    absent = 0
    for texture in looks.textures:
        image = str(texture["image"])
        file = _inside(image, path)
        if file is None:
            notes.append(Note("repaired", f"texture image {image[:120]!r} lies outside the folder of the file; refused, not opened"))
        kind = _format(file) if file is not None else None
        absent += file is not None and kind is None
        files.append(file if kind else None)
        formats.append(kind)
    if absent:
        notes.append(Note("lost", f"{absent} texture images are not beside the file, or are neither PNG nor JPEG", count=absent))
    return files, formats, notes


def _inside(image: str, path: Path) -> Path | None:
    """Return the place of an image if it lies in the folder of the file; nothing is opened."""
    plain = image.replace("\\", "/")
    if _REMOTE.match(plain) or plain.startswith("/") or ".." in plain.split("/") or "\0" in plain:
        return None
    folder = path.parent.resolve()
    try:
        place = (folder / plain).resolve()
    except OSError:
        return None
    return place if folder in place.parents else None


def _format(file: Path) -> str | None:
    try:
        if not file.is_file():
            return None
        with file.open("rb") as stream:
            head = stream.read(4)
    except OSError:
        return None
    return next((name for mark, name in _FORMATS.items() if head.startswith(mark)), None)


def add_looks(
    builder: CityBuilder, looks: Appearances, resolver: Resolver, ring_ids: dict[str, int], rings: Rings,
    targets: list[tuple[Ints, Columns]], images: tuple[list[Path | None], list[str | None]], source: int,
) -> list[Note]:  # fmt: skip
    """Add materials, textures and what they are put on.

    Parameters
    ----------
    targets
        Keys of geometries (or templates) and their columns.
    """
    notes: list[Note] = []
    materials = _materials(builder, looks)
    textures = _textures(builder, looks, *images, source)
    parsed = numbers([text for *_, text in looks.rings])
    for theme in dict.fromkeys([one[0] for one in looks.surfaces] + [one[0] for one in looks.rings]):
        of_leaf = _materials_of(theme, looks, resolver, len(rings.kind), notes)
        of_ring, uv = _textures_of(theme, looks, ring_ids, rings, parsed, notes)
        for keys, columns in targets:
            _put(builder, theme, keys, columns, _keyed(of_leaf, materials), _keyed(of_ring, textures), uv)
    return notes


def _keyed(places: Ints, keys: Ints) -> Ints:
    return np.where(places >= 0, keys[places], -1) if len(keys) else places


def _materials(builder: CityBuilder, looks: Appearances) -> Ints:
    if not looks.materials:
        return np.empty(0, np.int64)
    columns = {name: pa.array([one.get(name) for one in looks.materials]) for name in _COLUMNS}
    given = {name: column for name, column in columns.items() if not pa.types.is_null(column.type)}
    return builder.add_materials(pa.array([one.get("name") for one in looks.materials], pa.string()), **given)


def _textures(builder: CityBuilder, looks: Appearances, files: list[Path | None], formats: list[str | None], source: int) -> Ints:
    if not looks.textures:
        return np.empty(0, np.int64)
    text = {name: pa.array([one.get(name) for one in looks.textures], pa.string()) for name in ("type", "wrap")}
    borders = [numbers([given])[0].tolist() if (given := one.get("border")) else None for one in looks.textures]
    return builder.add_textures(
        [str(one["image"]) for one in looks.textures], path=pa.array([str(file) if file else None for file in files], pa.string()),
        format=pa.array(formats, pa.string()), border=pa.array(borders, pa.list_(pa.float64())), source=source, **text,
    )  # fmt: skip


def _materials_of(theme: str, looks: Appearances, resolver: Resolver, leaves: int, notes: list[Note]) -> Ints:
    of_leaf = np.full(leaves, -1, np.int64)
    unmatched = 0
    for one, id, material in looks.surfaces:
        if one != theme:
            continue
        found = resolver.leaves(Ref(id, flip=False))
        unmatched += not found
        of_leaf[found] = material
    if unmatched:
        notes.append(Note("unmatched", f"{unmatched} targets of materials (theme {theme!r}) name no surface of the file", count=unmatched))
    return of_leaf


def _textures_of(
    theme: str, looks: Appearances, ring_ids: dict[str, int], rings: Rings, parsed: Any, notes: list[Note]
) -> tuple[Ints, Reals]:
    """Return the texture of each ring and the coordinates of each point of the pool."""
    mine = np.array([one == theme for one, *_ in looks.rings], bool)
    values, counts, _ = parsed
    of_ring = np.full(len(rings.leaf), -1, np.int64)
    uv = np.full((len(rings.points), 2), np.nan)
    place = np.array([ring_ids.get(id, -1) for _, id, *_ in looks.rings], np.int64)[mine]
    texture = np.array([one[2] for one in looks.rings], np.int64)[mine]
    first, count = (np.cumsum(counts) - counts)[mine], counts[mine]
    size = np.where(place >= 0, rings.size()[place], 0) if len(place) else place
    unmatched = int(np.sum(place < 0))
    if unmatched:
        notes.append(Note("unmatched", f"{unmatched} texture coordinates (theme {theme!r}) name no ring of the file", count=unmatched))
    fits = (place >= 0) & ((count == 2 * size) | (count == 2 * size + 2)) & (size > 0)
    odd = int(np.sum((place >= 0) & ~fits))
    if odd:
        message = f"{odd} rings have another number of texture coordinates than of corners (theme {theme!r}); they have no texture"
        notes.append(Note("rejected", message, count=odd))
    place, texture, first, size = place[fits], texture[fits], first[fits], size[fits]
    of_ring[place] = texture
    within = np.arange(int(size.sum())) - np.repeat(np.cumsum(size) - size, size)
    point = np.repeat(rings.start[place], size) + within
    corner = np.repeat(first, size) + 2 * within
    uv[point, 0], uv[point, 1] = values[corner], values[corner + 1]
    return of_ring, uv


def _put(builder: CityBuilder, theme: str, keys: Ints, columns: Columns, of_leaf: Ints, of_ring: Ints, uv: Reals) -> None:
    """Add the rows of one theme for the geometries that have a material or a texture in it."""
    count = len(columns.row)
    material, texture = of_leaf[columns.leaf], of_ring[columns.ring]
    painted = np.bincount(columns.face_row[material >= 0], minlength=count) > 0
    covered = np.bincount(columns.ring_row[texture >= 0], minlength=count) > 0
    chosen = np.flatnonzero(painted | covered)
    if not len(chosen):
        return
    point_row = np.repeat(columns.ring_row, columns.ring_size)
    pairs = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(uv[columns.point]).reshape(-1)), 2)
    take = pa.array(chosen)
    builder.add_appearances(
        keys[chosen], theme=theme, materials=_lists(columns.face_row, pa.array(material), painted).take(take),
        textures=_lists(columns.ring_row, pa.array(texture), covered).take(take), uv=_lists(point_row, pairs, covered).take(take),
    )  # fmt: skip


def _lists(row: Ints, values: pa.Array, there: NDArray[np.bool_]) -> pa.Array:
    start = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(there)))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(start), values, mask=pa.array(~there))
