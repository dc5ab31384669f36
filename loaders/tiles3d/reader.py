"""The 3D Tiles reader: a tileset, or one b3dm, becomes objects on the map, one per feature, with the attributes of the feature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, FormatError, InputError, UnsafeInputError, UsageError
from cim.loaders.mesh.assemble import TYPE, Looks, add_georeference, add_mesh
from cim.loaders.mesh.earth import from_ecef, is_ecef
from cim.loaders.mesh.gltf import is_gltf, load
from cim.loaders.mesh.gltf_scene import Y_UP, Features, scene_mesh
from cim.loaders.mesh.mesh import Mesh, Remark, join
from cim.loaders.mesh.place import Placed, Reference, place
from cim.loaders.mesh.reader import local_doubts
from cim.loaders.protocol import Description, LayerInfo, ReadOptions
from cim.loaders.tiles3d.b3dm import MAGICS, inner_tiles, read_b3dm
from cim.loaders.tiles3d.tileset import Content, added, chosen, is_tileset, read_tileset
from cim.loaders.tiles3d.volume import outside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.limits import Limits
    from cim.model import City, CityBuilder

    Reals = NDArray[np.float64]

__all__ = ["READER", "Tiles3DReader"]

_REMEDY = "export or copy it again"
_UNREAD = {b"i3dm": "instances (i3dm)", b"pnts": "point clouds (pnts)", b"subt": "a subtree"}
_UPS = {"Y": Y_UP, "Z": np.eye(4), "X": np.array([[0.0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])}
_IDS = ("gml:id", "gml_id", "gmlid", "guid", "GUID", "GlobalId", "uuid", "UUID", "id", "ID", "identifier")
_NAMES = ("name", "Name", "NAME")
_SLACK = 1.0
"""How far a vertex may lie outside the bounding volume of its tile before that is told as wrong [m]."""


class Tiles3DReader:
    """Reads 3D Tiles 1.0 and 1.1: ``tileset.json`` (or its folder) with b3dm, cmpt and glTF contents, or a single b3dm.

    Options: ``position=[longitude, latitude, height]`` [deg, m] for a tileset without a place on the globe; ``offset=[x, y, z]`` [m].
    """

    name = "tiles3d"
    priority = 60
    imports = ("cim.loaders.mesh.assemble", "cim.loaders.mesh.gltf_scene", "cim.model")

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether this is a tileset, a folder with one, or a tile."""
        if path.is_dir():
            return (path / "tileset.json").is_file()
        return is_tileset(head) or head[:4] in MAGICS

    def read(self, path: Path, options: ReadOptions) -> City:
        """Return a city of the features of a tileset; see `cim.loaders.protocol.Reader`."""
        return _read(path / "tileset.json" if path.is_dir() else path, options)

    def describe(self, path: Path, options: ReadOptions) -> Description:
        """Return how many contents a tileset has."""
        return _describe(path / "tileset.json" if path.is_dir() else path, options)


READER = Tiles3DReader()


@dataclass(frozen=True)
class _Source:
    """What is to be read."""

    contents: list[Content]
    format: str
    said: tuple[Remark, ...]


def _source(path: Path, limits: Limits) -> _Source:
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if not is_tileset(head) and head[:4] in MAGICS:
        return _Source([Content(path, path.name, np.eye(4), None, {}, "Y")], head[:4].decode(), ())
    tileset = read_tileset(path, limits)
    contents, coarser = chosen(tileset)
    said = list(tileset.said)
    if coarser:
        said.append(Remark("assumed", "info", f"{coarser} coarser contents are replaced by finer ones and were not read", coarser))
    beside = added(tileset)
    if beside:
        text = f"{beside} contents are kept beside those of the tiles below them, as refine=ADD says; what is in both is there twice"
        said.append(Remark("assumed", "info", text, beside))
    return _Source(contents, f"3D Tiles {tileset.version}", tuple(said))


def _read(path: Path, options: ReadOptions) -> City:
    source = _source(path, options.limits)
    meshes, kept, said = _meshes(source, path, options.limits)
    if not meshes:
        why = "; ".join(one.message for one in (*source.said, *said) if one.severity != "info")
        raise CorruptFileError(path, "holds no content with faces that can be read" + (f" ({why})" if why else ""), _REMEDY)
    said += _volumes(meshes, kept)
    mesh = join(meshes)
    placed = _placed(mesh.points, path, options)
    said += [*placed.said, *local_doubts(placed, options, path)]
    mesh = replace(mesh.moved(placed.points), said=tuple(_merged([*source.said, *said, *mesh.said], path.name)))
    owner = np.repeat(np.arange(len(meshes)), [len(one.names) for one in meshes])
    mesh = mesh.noting(*_repeats(mesh, path.name))
    return _city(mesh, owner, kept, placed, path, options, source.format)


# ---------------------------------------------------------------- contents


def _meshes(source: _Source, path: Path, limits: Limits) -> tuple[list[Mesh], list[Content], list[Remark]]:
    """Read the contents; one that is broken is left out and named, unless it is the only one."""
    meshes: list[Mesh] = []
    kept: list[Content] = []
    said: list[Remark] = []
    faces = 0
    for content in source.contents:
        try:
            mesh = _content_mesh(content, path, limits)
        except UnsafeInputError:
            raise
        except InputError as error:
            if len(source.contents) == 1:
                raise
            said.append(Remark("rejected", "warning", f"content {content.name} cannot be read: {error.reason}"))
            continue
        if len(mesh.size):
            faces += len(mesh.size)
            limits.check("records", faces, path)
            meshes.append(mesh)
            kept.append(content)
        else:
            said += mesh.said
    return meshes, kept, said


def _content_mesh(content: Content, path: Path, limits: Limits) -> Mesh:
    """Return the mesh of a content in the coordinates of the whole tileset."""
    data = content.path.read_bytes()
    tiles = inner_tiles(data, content.path) if data[:4] == b"cmpt" else [data]
    found = [_tile_mesh(tile, content, path, limits) for tile in tiles]
    return join(found)


def _tile_mesh(data: bytes, content: Content, path: Path, limits: Limits) -> Mesh:
    if data[:4] in _UNREAD:
        what = _UNREAD[data[:4]]
        if content.path == path:
            raise FormatError(path, f"holds {what}, which is not read alone", "give the tileset.json that refers to it")
        return _empty(Remark("unsupported", "warning", f"contents with {what} are not read"))
    turn = _UPS.get(content.up, Y_UP)
    if data[:4] == b"b3dm":
        tile = read_b3dm(data, content.path, limits)
        shift = np.eye(4)
        shift[:3, 3] = tile.center
        document = load(tile.gltf, content.path, limits)
        features = Features(tile.count, tile.columns) if tile.count else None
        mesh = scene_mesh(document, limits, matrix=content.matrix @ shift @ turn, features=features)
        text = f"{tile.ignored} properties of batch tables are not one value per feature; they are not held"
        return mesh.noting(Remark("lost", "warning", text, tile.ignored)) if tile.ignored else mesh
    if is_gltf(data[: 1 << 16]):
        return scene_mesh(load(data, content.path, limits), limits, matrix=content.matrix @ turn)
    raise FormatError(content.path, "is a content of an unknown format", _REMEDY)


def _empty(*said: Remark) -> Mesh:
    nothing = np.zeros(0, np.int64)
    return Mesh(np.zeros((0, 3)), nothing, nothing, nothing, said=said)


def _volumes(meshes: Sequence[Mesh], contents: Sequence[Content]) -> list[Remark]:
    """Hold the vertices against the bounding volumes."""
    told = [
        (far, content.name)
        for mesh, content in zip(meshes, contents, strict=True)
        if content.volume is not None and (far := outside(content.volume, mesh.points[mesh.corner], content.matrix)) is not None
    ]
    wrong = [one for one in told if one[0] > _SLACK]
    if wrong:
        far, name = max(wrong)
        return [
            Remark(
                "conflict",
                "warning",
                f"{len(wrong)} contents reach out of their bounding volume, by {far:.1f} m at most ({name})",
                len(wrong),
            )
        ]
    if told:
        text = f"{len(told)} contents lie in their bounding volumes (to {max(told)[0]:.3f} m)"
        return [Remark("crs", "info", text, len(told))]
    return []


def _merged(said: Sequence[Remark], name: str) -> list[Remark]:
    """Add up remarks of one kind: their counts, where the text starts with one."""
    found: dict[tuple[str, str, str], int] = {}
    for one in said:
        head = f"{one.count:,} "
        text = one.message.removeprefix(head) if one.message.startswith(head) else one.message
        numbered = one.message.startswith(head)
        key = (one.code, one.severity, f"#{text}" if numbered else text)
        found[key] = found.get(key, 0) + one.count
    return [
        Remark(code, severity, f"{name}: {count:,} {text[1:]}" if text.startswith("#") else f"{name}: {text}", count)
        for (code, severity, text), count in found.items()
    ]


# ---------------------------------------------------------------- place


def _placed(points: Reals, path: Path, options: ReadOptions) -> Placed:
    position = options.extra.get("position")
    if is_ecef(points) and position is None:
        done = from_ecef(points, options.crs, path)
        said = [Remark("crs", "info", f"its geocentric coordinates (EPSG:4978) were taken to {done.crs.label}, every vertex in 64 bit, "
                       f"residual {done.residual:.1e} m")]  # fmt: skip
        if done.assumed:
            said.append(Remark("assumed", "warning", f"no crs= was given; the UTM zone of the place, {done.crs.label}, is used"))
        said += [Remark("crs", "warning", note) for note in done.notes]
        evidence = {"verdict": "stated", "reason": "geocentric coordinates in the tileset", "crs": done.crs.to_string(),
                    "residual": f"{done.residual:.3e}"}  # fmt: skip
        return Placed(done.points, done.crs, "EPSG:4978", tuple(said), evidence, done.pipeline, done.accuracy)
    if position is None:
        return place(points, Reference(), options, path)
    return place(points, Reference(enu=_position(position), where="position="), options, path)


def _position(given: Any) -> tuple[float, float, float]:
    good = isinstance(given, Sequence) and not isinstance(given, str) and len(given) == 3 and all(isinstance(v, int | float) for v in given)
    if not good or not (abs(given[0]) <= 180 and abs(given[1]) <= 90 and np.isfinite(given[2])):
        msg = f"position={given!r} is not longitude, latitude [deg] and height [m]"
        raise UsageError(msg)
    return float(given[0]), float(given[1]), float(given[2])


# ---------------------------------------------------------------- city


def _city(
    mesh: Mesh, owner: NDArray[np.int64], contents: list[Content], placed: Placed, path: Path, options: ReadOptions, format: str
) -> City:
    from cim.loaders.source import source_record
    from cim.model import CityBuilder

    name = options.name or (path.parent.name if path.name == "tileset.json" else path.stem)
    builder = CityBuilder(placed.crs, name=name)
    vertical = placed.crs.vertical
    filled = np.bincount(mesh.part, minlength=len(mesh.names)) > 0
    record = source_record(
        path, reader="tiles3d", format=format, declared_crs=placed.declared, used_crs=placed.crs.to_string(),
        used_vertical=None if vertical is None else str(vertical.name), pipeline=placed.pipeline, accuracy=placed.accuracy,
        companions=sorted({one.path for one in contents if one.path != path}), shown=options.extra.get("_shown"),
        records_in=int(filled.sum()), rejected=0,
    )  # fmt: skip
    source = builder.add_source(replace(record, name=name))
    ids = _ids(mesh, owner, contents)
    mesh = replace(mesh, names=_names(mesh), attributes={**mesh.attributes, "content": [contents[row].name for row in owner.tolist()]})
    keys = add_mesh(builder, mesh, ids, source=source, looks=Looks.none())
    _properties(builder, keys, owner[filled], contents)
    add_georeference(builder, int(keys[0]), placed.evidence)
    return builder.build()


def _ids(mesh: Mesh, owner: NDArray[np.int64], contents: list[Content]) -> list[str]:
    """Return ids: a text that the features carry as their id where it tells them apart, else content and feature number."""
    own = next((mesh.attributes[name] for name in _IDS if _tells_apart(mesh.attributes.get(name))), None)
    if own is not None:
        return [str(value) for value in own]
    features = mesh.attributes.get("feature_id", [None] * len(mesh.names))
    stems = [content.name.rpartition(".")[0] or content.name for content in contents]
    single = np.bincount(owner, minlength=len(contents)) == 1
    ids = []
    for row, feature, name in zip(owner.tolist(), features, mesh.names, strict=True):
        tail = feature if feature is not None else name
        ids.append(stems[row] if tail is None or (feature is None and single[row]) else f"{stems[row]}/{tail}")
    return ids


def _repeats(mesh: Mesh, name: str) -> list[Remark]:
    """Say how many features with faces carry the id of another: coarse and fine ones side by side, or cut at the border of a tile."""
    filled = np.flatnonzero(np.bincount(mesh.part, minlength=len(mesh.names)) > 0).tolist()
    for field in _IDS:
        values = mesh.attributes.get(field)
        if values is None:
            continue
        known = [str(values[row]) for row in filled if values[row] not in (None, "")]
        more = len(known) - len(set(known))
        if more and len(set(known)) > 1:
            text = (f"{name}: {more} features carry the same {field!r} as another: one thing in several tiles (levels of detail side by "
                    "side, or cut at their border); each is an object of its own, so that sums count it too often")  # fmt: skip
            return [Remark("duplicate", "warning", text, more)]
    return []


def _tells_apart(values: Sequence[Any] | None) -> bool:
    return values is not None and all(isinstance(one, str) and one for one in values) and len(set(values)) == len(values)


def _names(mesh: Mesh) -> tuple[str | None, ...]:
    told = next((mesh.attributes[name] for name in _NAMES if name in mesh.attributes), None)
    if told is None:
        return mesh.names
    return tuple(one if isinstance(one, str) and one else name for one, name in zip(told, mesh.names, strict=True))


def _properties(builder: CityBuilder, keys: NDArray[np.int64], owner: NDArray[np.int64], contents: list[Content]) -> None:
    """Keep the metadata of tileset, tile, content and group with every object of a content."""
    import json

    for row, content in enumerate(contents):
        mine = keys[owner == row]
        for set_name, values in content.properties.items():
            for name, value in values.items():
                text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
                builder.add_properties(mine, [f"3D Tiles {set_name}"] * len(mine), [str(name)] * len(mine), [text] * len(mine))


def _describe(path: Path, options: ReadOptions) -> Description:
    source = _source(path, options.limits)
    suspicions = tuple(one.message for one in source.said if one.severity != "info")
    layers = tuple(LayerInfo(one.name, None, "mesh", None, guess=TYPE) for one in source.contents[:1000])
    without = "geocentric tiles are taken to the UTM zone of the place; others need it"
    return Description(source.format, layers, suspicions=suspicions, whole=True, without_crs=without)
