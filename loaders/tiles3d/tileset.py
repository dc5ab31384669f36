"""A tileset as a tree of tiles: transforms multiplied down, external tilesets hung in, and the finest content that is there chosen.

A tile that its children replace is taken only where a child is missing, as a viewer would show it; a tile that its children refine by
adding is taken with them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from cim.errors import CorruptFileError, FormatError
from cim.loaders import json_guard
from cim.loaders.mesh.files import inside
from cim.loaders.mesh.mesh import Remark
from cim.loaders.tiles3d.volume import Volume, volume_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.limits import Limits

    Reals = NDArray[np.float64]

__all__ = ["Content", "Tileset", "added", "chosen", "is_tileset", "read_tileset"]

_REMEDY = "correct or export the tileset again"
_IMPLICIT = ("implicitTiling", "3DTILES_implicit_tiling")


@dataclass(frozen=True)
class Content:
    """A file of geometry, and where it belongs."""

    path: Path
    name: str
    """As shown: its path below the tileset."""
    matrix: Reals
    """From the content to the whole tileset, shape (4, 4)."""
    volume: Volume | None
    properties: dict[str, dict[str, Any]]
    """Metadata of tileset, tile, content and group, by set."""
    up: str
    """Axis of the glTF that points up, "Y" unless an old tileset says otherwise."""


@dataclass
class _Tile:
    contents: list[Content]
    missing: int
    """Contents that are declared and not there, or cannot be read."""
    replace: bool
    children: list[_Tile] = field(default_factory=list)


@dataclass
class Tileset:
    """The tree, and what was met while it was read."""

    root: _Tile
    version: str
    said: list[Remark]
    tiles: int


@dataclass
class _Reading:
    folder: Path
    """Folder of the outermost tileset: nothing outside it is opened."""
    limits: Limits
    tally: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    tiles: int = 0

    def note(self, code: str, text: str, example: str) -> None:
        """Note something to be reported, with an example."""
        self.tally.setdefault((code, text), []).append(example)


def is_tileset(head: bytes) -> bool:
    """Return whether bytes begin like the JSON of a tileset.

    Examples
    --------
    >>> is_tileset(b'{"asset": {"version": "1.1"}, "geometricError": 1, "root": {}}'), is_tileset(b'{"type": "FeatureCollection"}')
    (True, False)
    """
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return (
        start.startswith(b"{") and b'"asset"' in head and (b'"geometricError"' in head or b'"root"' in head or b'"boundingVolume"' in head)
    )


def read_tileset(path: Path, limits: Limits) -> Tileset:
    """Return the tree of a tileset and of those it refers to.

    Raises
    ------
    CorruptFileError
        If it is broken, or a tileset contains itself.
    UnsafeInputError
        If a content lies outside the folder, or on a host.
    FormatError
        If its tiles are implicit (a subtree), which is not read.
    """
    reading = _Reading(path.parent, limits)
    root, version = _tileset(path, reading, np.eye(4), (), replace=True)
    said = []
    for (code, text), examples in reading.tally.items():
        shown = ", ".join(examples[:3]) + ("…" if len(examples) > 3 else "")
        said.append(Remark(code, "warning", f"{len(examples)} {text}: {shown}", len(examples)))
    return Tileset(root, version, said, reading.tiles)


def _tileset(path: Path, reading: _Reading, matrix: Reals, chain: tuple[Path, ...], *, replace: bool) -> tuple[_Tile, str]:
    own = path.resolve()
    if own in chain:
        raise CorruptFileError(
            chain[0], f"refers to the tileset {path.name!r} that contains itself: a cycle (loop) of external tilesets", _REMEDY
        )
    value = json_guard.parse(path, reading.limits).value
    asset = value.get("asset") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(asset, dict) or not isinstance(value.get("root"), dict):
        raise CorruptFileError(path, "is no 3D Tiles tileset with asset and root", _REMEDY)
    version = asset.get("version")
    if version not in {"0.0", "1.0", "1.1"}:
        raise FormatError(path, f"is a tileset of version {str(version)[:20]!r}; 1.0 and 1.1 are read", _REMEDY)
    frame = _Frame(path, reading, (*chain, own), str(asset.get("gltfUpAxis", "Y")).upper(), value)
    return _tree(value["root"], frame, matrix, replace=replace), str(version)


@dataclass(frozen=True)
class _Frame:
    """What holds for all tiles of one tileset file."""

    path: Path
    reading: _Reading
    chain: tuple[Path, ...]
    up: str
    value: dict[str, Any]


def _tree(root: dict[str, Any], frame: _Frame, matrix: Reals, *, replace: bool) -> _Tile:
    """Read a tree without recursion."""
    top = _Tile([], 0, replace)
    stack: list[tuple[dict[str, Any], Reals, bool, _Tile]] = [(root, matrix, replace, top)]
    while stack:
        told, above, inherited, parent = stack.pop()
        frame.reading.tiles += 1
        frame.reading.limits.check("records", frame.reading.tiles, frame.path)
        tile, own = _tile(told, frame, above, replace=inherited)
        parent.children.append(tile)
        children = told.get("children", [])
        if not isinstance(children, list) or not all(isinstance(one, dict) for one in children):
            raise CorruptFileError(frame.path, "has a tile whose children are no list of tiles", _REMEDY)
        stack += [(child, own, tile.replace, tile) for child in reversed(children)]
    return top


def _tile(told: dict[str, Any], frame: _Frame, above: Reals, *, replace: bool) -> tuple[_Tile, Reals]:
    extensions = told.get("extensions")
    if any(name in told or (isinstance(extensions, dict) and name in extensions) for name in _IMPLICIT):
        reason = "has implicit tiling (subtrees), which is not read"
        raise FormatError(frame.path, reason, "convert it to an explicit tileset, for example with 3d-tiles-tools")
    matrix = above @ _transform(told.get("transform"), frame)
    refine = told.get("refine")
    if isinstance(refine, str) and refine.upper() in {"ADD", "REPLACE"}:
        replace = refine.upper() == "REPLACE"
    volume, wrong = volume_of(told.get("boundingVolume"))
    reading = frame.reading
    if wrong:
        reading.note("invalid", "tiles have a bounding volume that cannot be used", wrong)
    error = told.get("geometricError")
    if not isinstance(error, int | float) or isinstance(error, bool) or not np.isfinite(error) or error < 0:
        reading.note("invalid", "tiles have a geometricError that is no number from 0", str(error)[:20])
    tile = _Tile([], 0, replace)
    contents = told["contents"] if isinstance(told.get("contents"), list) else [told.get("content")]
    for content in contents:
        if isinstance(content, dict):
            _content(tile, content, told, frame, matrix, volume)
    return tile, matrix


def _transform(told: Any, frame: _Frame) -> Reals:
    if told is None:
        return np.eye(4)
    good = isinstance(told, list) and len(told) == 16 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in told)
    matrix = np.array(told, np.float64).reshape(4, 4).T if good else np.full((4, 4), np.nan)
    if not np.isfinite(matrix).all():
        raise CorruptFileError(frame.path, "has a tile whose transform is not 16 finite numbers", _REMEDY)
    return matrix


def _content(tile: _Tile, content: dict[str, Any], told: dict[str, Any], frame: _Frame, matrix: Reals, volume: Volume | None) -> None:
    uri = content.get("uri", content.get("url"))
    if not isinstance(uri, str):
        raise CorruptFileError(frame.path, "has a content without a uri", _REMEDY)
    path = inside(frame.path.parent, uri, frame.path, encoded=True)
    own, _ = volume_of(content["boundingVolume"]) if "boundingVolume" in content else (volume, "")
    if not path.is_file():
        frame.reading.note("lost", "contents are not there", unquote(uri)[:80])
        tile.missing += 1
        return
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if is_tileset(head):
        tile.children.append(_tileset(path, frame.reading, matrix, frame.chain, replace=tile.replace)[0])
    else:
        name = path.resolve().relative_to(frame.reading.folder.resolve()).as_posix()
        tile.contents.append(Content(path, name, matrix, own or volume, _properties(content, told, frame), frame.up))


def _properties(content: dict[str, Any], told: dict[str, Any], frame: _Frame) -> dict[str, dict[str, Any]]:
    """Return the metadata of tileset, tile, content and group."""
    groups = frame.value.get("groups")
    group = content.get("group")
    of_group = groups[group] if isinstance(groups, list) and isinstance(group, int) and 0 <= group < len(groups) else None
    sets = {"tileset": frame.value.get("metadata"), "tile": told.get("metadata"), "content": content.get("metadata"), "group": of_group}
    return {
        name: entity["properties"]
        for name, entity in sets.items()
        if isinstance(entity, dict) and isinstance(entity.get("properties"), dict) and entity["properties"]
    }


# ---------------------------------------------------------------- choosing


def chosen(tileset: Tileset) -> tuple[list[Content], int]:
    """Return the contents to read, in the order of the tree, and how many coarser ones their children replace."""
    found: list[Content] = []
    coarser = 0
    covered = _covered(tileset.root)
    stack = [tileset.root]
    while stack:
        tile = stack.pop()
        whole = all(covered[id(child)] for child in tile.children)
        if not tile.children or not tile.replace or (not whole and tile.contents):
            found += tile.contents
        else:
            coarser += len(tile.contents)
        if tile.replace and tile.children and not whole and tile.contents:
            continue  # a child is missing: the tile itself is shown, as a viewer does
        stack += reversed(tile.children)
    return found, coarser


def added(tileset: Tileset) -> int:
    """Return how many contents are shown together with those of the tiles below them (refine ADD)."""
    count, stack = 0, [tileset.root]
    while stack:
        tile = stack.pop()
        if not tile.replace and any(child.contents or child.children for child in tile.children):
            count += len(tile.contents)
        stack += tile.children
    return count


def _covered(root: _Tile) -> dict[int, bool]:
    """Return for each tile whether all it covers is there: its content, or that of its descendants."""
    order, stack = [], [root]
    while stack:
        tile = stack.pop()
        order.append(tile)
        stack += tile.children
    covered: dict[int, bool] = {}
    for tile in reversed(order):
        below = bool(tile.children) and all(covered[id(child)] for child in tile.children)
        covered[id(tile)] = bool(tile.contents) or below or (not tile.missing and not tile.children)
    return covered
