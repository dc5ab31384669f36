"""glTF 2.0, the upper part: nodes, primitives, materials and features of a document as one mesh, third axis up.

glTF points its second axis up and runs v down; the model points the third up and runs v up. Both are turned here, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError
from cim.loaders.mesh.files import image_format
from cim.loaders.mesh.gltf import Document, accessor, image_bytes, open_document
from cim.loaders.mesh.gltf_metadata import property_tables
from cim.loaders.mesh.mesh import Image, Material, Mesh, Remark, Sampler, starts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.limits import Limits

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["Y_UP", "Features", "read_gltf", "scene_mesh"]

Y_UP = np.array([[1.0, 0, 0, 0], [0, 0, -1.0, 0], [0, 1.0, 0, 0], [0, 0, 0, 1.0]])
"""From glTF's axes (second up) to east, north, up."""
_REMEDY = "export it again"
_TRIANGLES, _STRIP, _FAN = 4, 5, 6
_WRAPS = {33071: "clamp", 33648: "mirror", 10497: "wrap"}
_GROUP = 1 << 40
"""Features and nodes share one numbering: group times this, plus the feature."""
_NO_FEATURE = _GROUP - 1


@dataclass(frozen=True)
class Features:
    """A table of features that stands outside the glTF document: the batch table of a b3dm."""

    count: int
    columns: Mapping[str, list[Any]]
    """One value per feature."""


@dataclass
class _Piece:
    """One primitive at one node."""

    points: Reals
    triangles: Ints
    uv: Reals | None
    material: int
    key: Ints
    """Group and feature of each triangle."""


@dataclass
class _Work:
    document: Document
    limits: Limits
    outer: Reals
    features: Features | None
    pieces: list[_Piece] = field(default_factory=list)
    names: list[str | None] = field(default_factory=list)
    """Name of each group."""
    tables: dict[int, int] = field(default_factory=dict)
    """Group of each property table."""
    used: dict[int, int] = field(default_factory=dict)
    """Materials that are used, by their number in the document."""
    tally: dict[str, int] = field(default_factory=dict)
    total: int = 0

    def count(self, what: str, many: int = 1) -> None:
        """Note something to be reported."""
        if many:
            self.tally[what] = self.tally.get(what, 0) + many


def read_gltf(path: Path, limits: Limits) -> Mesh:
    """Return the mesh in a ``.gltf`` or ``.glb`` file, east, north, up: one part per feature, or per node with a mesh."""
    document = open_document(path, limits)
    return scene_mesh(document, limits, matrix=Y_UP)


def scene_mesh(document: Document, limits: Limits, *, matrix: Reals, features: Features | None = None) -> Mesh:
    """Return the default scene of a document as one mesh.

    Parameters
    ----------
    matrix : shape (4, 4)
        From the axes of glTF to those wanted.
    features
        Features that the attribute ``_BATCHID`` of the vertices numbers.

    Raises
    ------
    CorruptFileError
        If nodes form a cycle, an index is out of range, or an accessor claims more than there is.
    """
    rtc = _extension(document.json, "CESIUM_RTC").get("center")
    if rtc is not None:  # in the axes of the Earth, so no turn of axes applies to it
        matrix = _shift(_floats(rtc, 3, document, "CESIUM_RTC center")) @ matrix
    work = _Work(document, limits, matrix, features)
    for index, node_matrix in _nodes(document):
        node = document.item("nodes", index)
        if node.get("mesh") is not None:
            _node(work, node, index, node_matrix)
    return _mesh(work)


def _extension(owner: Mapping[str, Any], name: str) -> dict[str, Any]:
    extensions = owner.get("extensions")
    found = extensions.get(name) if isinstance(extensions, dict) else None
    return found if isinstance(found, dict) else {}


def _floats(value: Any, count: int, document: Document, what: str) -> Reals:
    good = isinstance(value, list) and len(value) == count and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    numbers = np.array(value, np.float64) if good else np.full(count, np.nan)
    if not np.isfinite(numbers).all():
        raise CorruptFileError(document.path, f"its {what} is not {count} finite numbers", _REMEDY)
    return numbers


def _shift(by: Reals) -> Reals:
    out = np.eye(4)
    out[:3, 3] = by
    return out


# ---------------------------------------------------------------- nodes


def _nodes(document: Document) -> list[tuple[int, Reals]]:
    """Return every node of the scene with its matrix, parents first.

    Raises
    ------
    CorruptFileError
        If a node is reached twice: its own descendant, or a child of two.
    """
    nodes, scenes = document.items("nodes"), document.items("scenes")
    if scenes:
        roots = document.item("scenes", document.json.get("scene", 0)).get("nodes", [])
    else:
        below = {child for node in nodes for child in _children(node, document)}
        roots = [index for index in range(len(nodes)) if index not in below]
        if nodes and not roots:
            raise CorruptFileError(document.path, "its nodes have no root: they form a cycle (loop)", _REMEDY)
    seen: set[int] = set()
    found: list[tuple[int, Reals]] = []
    stack = [(index, np.eye(4)) for index in reversed(roots if isinstance(roots, list) else [])]
    while stack:
        index, above = stack.pop()
        node = document.item("nodes", index, what="a node")
        if index in seen:
            raise CorruptFileError(document.path, f"its node {index} is reached twice: nodes form a cycle (loop) or share a child", _REMEDY)
        seen.add(index)
        matrix = above @ _local(node, document, index)
        found.append((index, matrix))
        stack += [(child, matrix) for child in reversed(_children(node, document))]
    return found


def _children(node: dict[str, Any], document: Document) -> list[int]:
    children = node.get("children", [])
    if not isinstance(children, list) or not all(isinstance(one, int) for one in children):
        raise CorruptFileError(document.path, "a node has children that are no list of indices", _REMEDY)
    return children


def _local(node: dict[str, Any], document: Document, index: int) -> Reals:
    if "matrix" in node:
        return _floats(node["matrix"], 16, document, f"node {index} matrix").reshape(4, 4).T
    out = np.eye(4)
    x, y, z, w = _floats(node.get("rotation", [0, 0, 0, 1]), 4, document, f"node {index} rotation")
    length = x * x + y * y + z * z + w * w
    if length > 0:
        s = 2.0 / length
        out[:3, :3] = [
            [1 - s * (y * y + z * z), s * (x * y - z * w), s * (x * z + y * w)],
            [s * (x * y + z * w), 1 - s * (x * x + z * z), s * (y * z - x * w)],
            [s * (x * z - y * w), s * (y * z + x * w), 1 - s * (x * x + y * y)],
        ]
    out[:3, :3] *= _floats(node.get("scale", [1, 1, 1]), 3, document, f"node {index} scale")
    out[:3, 3] = _floats(node.get("translation", [0, 0, 0]), 3, document, f"node {index} translation")
    return out


def _node(work: _Work, node: dict[str, Any], index: int, matrix: Reals) -> None:
    document = work.document
    mesh = document.item("meshes", node["mesh"], what=f"node {index}")
    name = next((one["name"] for one in (node, mesh) if isinstance(one.get("name"), str) and one["name"]), None)
    if _extension(node, "EXT_mesh_gpu_instancing"):
        work.count("instanced nodes (EXT_mesh_gpu_instancing) are drawn once only")
    group = len(work.names)
    work.names.append(name)
    primitives = mesh.get("primitives", [])
    for primitive in primitives if isinstance(primitives, list) else []:
        if isinstance(primitive, dict):
            _primitive(work, primitive, work.outer @ matrix, group)


# ---------------------------------------------------------------- primitives


def _primitive(work: _Work, primitive: dict[str, Any], matrix: Reals, group: int) -> None:
    document = work.document
    attributes = primitive.get("attributes")
    mode = primitive.get("mode", _TRIANGLES)
    if mode not in {_TRIANGLES, _STRIP, _FAN}:
        work.count("primitives of points or lines are not held")
        return
    if not isinstance(attributes, dict) or attributes.get("POSITION") is None or _unfilled(document, attributes["POSITION"]):
        work.count("primitives have no positions (compressed or empty); they are left out")
        return
    positions = accessor(document, attributes["POSITION"], what="POSITION")
    if positions.ndim != 2 or positions.shape[1] != 3:
        raise CorruptFileError(document.path, "has an accessor of positions that is not VEC3", _REMEDY)
    triangles = _triangles(document, primitive, mode, len(positions))
    work.total += len(triangles)
    work.limits.check("records", work.total, document.path)
    points = positions.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3]
    if np.linalg.det(matrix[:3, :3]) < 0:  # a mirrored node turns its faces round
        triangles = triangles[:, ::-1]
    triangles = _sound(work, triangles, points)
    key = _feature_keys(work, primitive, attributes, triangles, len(points), group)
    material = primitive.get("material")
    number = -1 if material is None else work.used.setdefault(_index(document, material), len(work.used))
    if "COLOR_0" in attributes:
        work.count("vertex colours are not held", len(points))
    work.pieces.append(_Piece(points, triangles, _uv(document, attributes, material, len(points)), number, key))


def _unfilled(document: Document, index: Any) -> bool:
    """Return whether an accessor has no bytes behind it: its values would all be zero (compressed geometry has such)."""
    one = document.item("accessors", index, what="POSITION")
    return one.get("bufferView") is None and not isinstance(one.get("sparse"), dict)


def _index(document: Document, material: Any) -> int:
    document.item("materials", material, what="a primitive")
    return int(material)


def _triangles(document: Document, primitive: dict[str, Any], mode: int, count: int) -> Ints:
    if primitive.get("indices") is None:
        flat = np.arange(count, dtype=np.int64)
    else:
        raw = accessor(document, primitive["indices"], what="indices")
        if raw.ndim != 1 or raw.dtype.kind not in "iu":
            raise CorruptFileError(document.path, "has an accessor of indices that are no integers", _REMEDY)
        flat = raw.astype(np.int64)
    if mode == _TRIANGLES:
        return flat[: len(flat) // 3 * 3].reshape(-1, 3)
    if len(flat) < 3:
        return np.zeros((0, 3), np.int64)
    if mode == _FAN:
        return np.stack([np.full(len(flat) - 2, flat[0]), flat[1:-1], flat[2:]], axis=1)
    strip = np.stack([flat[:-2], flat[1:-1], flat[2:]], axis=1)
    strip[1::2] = strip[1::2][:, [1, 0, 2]]
    proper = (strip[:, 0] != strip[:, 1]) & (strip[:, 1] != strip[:, 2]) & (strip[:, 0] != strip[:, 2])
    return np.asarray(strip[proper], np.int64)  # the rest only joins strips


def _sound(work: _Work, triangles: Ints, points: Reals) -> Ints:
    out = ((triangles < 0) | (triangles >= len(points))).any(axis=1)
    work.count("faces name a vertex whose index is out of range; they are left out", int(out.sum()))
    triangles = triangles[~out]
    broken = np.asarray(~np.isfinite(points).all(axis=1))
    if not broken.any():
        return triangles
    bad = broken[triangles].any(axis=1)
    work.count("faces have a vertex that is not finite (NaN or infinity); they are left out", int(bad.sum()))
    return triangles[~bad]


def _uv(document: Document, attributes: dict[str, Any], material: Any, count: int) -> Reals | None:
    """Return the texture coordinates that the material uses, v turned upward."""
    if material is None:
        return None
    told = _base_texture(document.item("materials", material))
    if told is None:
        return None
    change = _extension(told, "KHR_texture_transform")
    number = change.get("texCoord", told.get("texCoord", 0))
    index = attributes.get(f"TEXCOORD_{number}")
    if index is None:
        return None
    uv = np.asarray(accessor(document, index, what="TEXCOORD"), np.float64)
    if uv.shape != (count, 2):
        raise CorruptFileError(
            document.path, f"has texture coordinates of shape {uv.shape}, expected {(count, 2)} (accessor count)", _REMEDY
        )
    if change:
        scale = _floats(change.get("scale", [1, 1]), 2, document, "texture scale")
        offset = _floats(change.get("offset", [0, 0]), 2, document, "texture offset")
        angle = float(_floats([change.get("rotation", 0)], 1, document, "texture rotation")[0])
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        uv = (uv * scale) @ turn.T + offset
    return np.column_stack([uv[:, 0], 1.0 - uv[:, 1]])


def _base_texture(material: dict[str, Any]) -> dict[str, Any] | None:
    pbr = material.get("pbrMetallicRoughness")
    told = pbr.get("baseColorTexture") if isinstance(pbr, dict) else None
    if not isinstance(told, dict):
        told = _extension(material, "KHR_materials_pbrSpecularGlossiness").get("diffuseTexture")
    return told if isinstance(told, dict) else None


# ---------------------------------------------------------------- features


def _feature_keys(work: _Work, primitive: dict[str, Any], attributes: dict[str, Any], triangles: Ints, count: int, group: int) -> Ints:
    """Return group and feature of each triangle: features where the primitive numbers them, else its node."""
    alone = np.full(len(triangles), group * _GROUP + _NO_FEATURE, np.int64)
    ids, table, nothing = _feature_ids(work, primitive, attributes, count)
    if ids is None:
        return alone
    if table not in work.tables:
        work.tables[table] = len(work.names)
        work.names.append(None)
    first = ids[triangles]
    work.count(
        "faces lie in several features; they are given to that of their first corner", int((first != first[:, :1]).any(axis=1).sum())
    )
    feature = first[:, 0]
    out = (feature < 0) | (feature >= _NO_FEATURE)
    missing = out if nothing is None else out | (feature == nothing)
    return np.where(missing, alone, work.tables[table] * _GROUP + np.where(out, 0, feature))


def _feature_ids(work: _Work, primitive: dict[str, Any], attributes: dict[str, Any], count: int) -> tuple[Ints | None, int, int | None]:
    """Return the feature of each vertex, the property table it belongs to (-1: none, -2: the batch table), and the id that means none."""
    document = work.document
    if work.features is not None:
        index = attributes.get("_BATCHID", attributes.get("BATCHID"))
        return (None, -2, None) if index is None else (_per_vertex(document, index, count), -2, None)
    sets = _extension(primitive, "EXT_mesh_features").get("featureIds")
    told = next((one for one in sets if isinstance(one, dict) and "texture" not in one), None) if isinstance(sets, list) else None
    if told is None:
        if isinstance(sets, list) and sets:
            work.count("primitives have their features in a texture, which is not read")
        return None, -1, None
    number = told.get("attribute")
    index = attributes.get(f"_FEATURE_ID_{number}") if number is not None else None
    if number is not None and index is None:
        raise CorruptFileError(document.path, f"its feature ids name an attribute _FEATURE_ID_{number} that is not there", _REMEDY)
    ids = np.arange(count, dtype=np.int64) if number is None else _per_vertex(document, index, count)
    table, nothing = told.get("propertyTable"), told.get("nullFeatureId")
    return ids, table if isinstance(table, int) else -1, nothing if isinstance(nothing, int) else None


def _per_vertex(document: Document, index: Any, count: int) -> Ints:
    raw = np.asarray(accessor(document, index, what="feature ids"))
    if raw.shape != (count,):
        raise CorruptFileError(document.path, f"has {len(raw):,} feature ids for {count:,} vertices (accessor count)", _REMEDY)
    return np.rint(np.nan_to_num(raw.astype(np.float64), nan=-1.0)).astype(np.int64)


# ---------------------------------------------------------------- together


def _mesh(work: _Work) -> Mesh:
    pieces = work.pieces
    keys = np.concatenate([one.key for one in pieces]) if pieces else np.zeros(0, np.int64)
    found, part = np.unique(keys, return_inverse=True)
    count = np.array([len(one.points) for one in pieces], np.int64)
    first = starts(count)
    triangles = [one.triangles + shift for one, shift in zip(pieces, first.tolist(), strict=False)]
    uv = None
    if any(one.uv is not None for one in pieces):
        corners = [np.full((one.triangles.size, 2), np.nan) if one.uv is None else one.uv[one.triangles.reshape(-1)] for one in pieces]
        uv = np.concatenate(corners)
    names, attributes = _parts(work, found)
    materials, said = _materials(work)
    return Mesh(
        np.nan_to_num(np.concatenate([one.points for one in pieces]), posinf=0.0, neginf=0.0) if pieces else np.zeros((0, 3)),
        np.full(len(keys), 3, np.int64), np.concatenate(triangles).reshape(-1) if pieces else np.zeros(0, np.int64),
        part.reshape(-1).astype(np.int64), names or (None,), uv,
        np.repeat(np.array([one.material for one in pieces], np.int64), [len(one.key) for one in pieces]) if materials else None, materials,
        attributes=attributes, said=(*said, *_remarks(work)),
    )  # fmt: skip


def _parts(work: _Work, found: Ints) -> tuple[tuple[str | None, ...], dict[str, list[Any]]]:
    """Return names and attributes of the parts: a row of a table for a feature."""
    group, feature = found // _GROUP, found % _GROUP
    alone = feature == _NO_FEATURE
    names = [work.names[place] if single else None for place, single in zip(group.tolist(), alone.tolist(), strict=True)]
    attributes: dict[str, list[Any]] = {}
    if not alone.all():
        attributes["feature_id"] = [None if single else value for value, single in zip(feature.tolist(), alone.tolist(), strict=True)]
    tables = property_tables(work.document)
    for table, place in work.tables.items():
        rows = np.flatnonzero((group == place) & ~alone)
        if table == -2 and work.features is not None:
            count, columns = work.features.count, work.features.columns
        elif 0 <= table < len(tables):
            count, columns = tables[table].count, tables[table].columns
        else:
            continue
        _fill(work, attributes, rows, feature[rows], count, columns, len(found))
    return tuple(names), attributes


def _fill(
    work: _Work, attributes: dict[str, list[Any]], rows: Ints, feature: Ints, count: int, columns: Mapping[str, list[Any]], parts: int
) -> None:
    out = feature >= count
    work.count("features have a number beyond their table; they have no attributes", int(out.sum()))
    work.count("features of a table have no faces and became no object", count - len(np.unique(feature[~out])))
    for name, values in columns.items():
        key = name if name != "feature_id" else "feature_id_source"
        column = attributes.setdefault(key, [None] * parts)
        for row, place in zip(rows[~out].tolist(), feature[~out].tolist(), strict=True):  # once per feature
            column[row] = values[place]


def _materials(work: _Work) -> tuple[tuple[Material, ...], tuple[Remark, ...]]:
    document = work.document
    images: dict[int, Image | None] = {}
    found = [_material(document, document.item("materials", index), images) for index in work.used]
    return tuple(found), tuple(document.companions.said)


def _material(document: Document, told: dict[str, Any], images: dict[int, Image | None]) -> Material:
    pbr = told.get("pbrMetallicRoughness")
    base = pbr.get("baseColorFactor", [1, 1, 1, 1]) if isinstance(pbr, dict) else [1, 1, 1, 1]
    red, green, blue, alpha = _floats(base, 4, document, "baseColorFactor").tolist()
    glow = _floats(told.get("emissiveFactor", [0, 0, 0]), 3, document, "emissiveFactor").tolist()
    texture = _base_texture(told)
    image, sampler = (None, Sampler()) if texture is None else _texture(document, texture, images)
    return Material(
        name=told["name"] if isinstance(told.get("name"), str) else None, diffuse=(_shown(red), _shown(green), _shown(blue)),
        emissive=(_shown(glow[0]), _shown(glow[1]), _shown(glow[2])) if any(glow) else None,
        transparency=1.0 - min(max(alpha, 0.0), 1.0) if told.get("alphaMode") == "BLEND" else None, image=image, sampler=sampler,
    )  # fmt: skip


def _shown(linear: float) -> float:
    """Return the sRGB value of a linear colour component: glTF counts light, the model what is shown."""
    value = min(max(linear, 0.0), 1.0)
    return 12.92 * value if value <= 0.0031308 else min(1.055 * value ** (1 / 2.4) - 0.055, 1.0)


def _texture(document: Document, told: dict[str, Any], images: dict[int, Image | None]) -> tuple[Image | None, Sampler]:
    texture = document.item("textures", told.get("index"), what="a material")
    source = texture.get("source", _extension(texture, "EXT_texture_webp").get("source"))
    wrap = None
    if texture.get("sampler") is not None:
        wrap = _WRAPS.get(document.item("samplers", texture["sampler"]).get("wrapS", 10497))
    if source is None:
        document.companions.said.append(Remark("unsupported", "warning", "a texture has no image that can be read (compressed?)"))
        return None, Sampler(wrap)
    if source not in images:
        images[source] = _image(document, document.item("images", source, what="a texture"), source)
    return images[source], Sampler(wrap)


def _image(document: Document, image: dict[str, Any], place: int) -> Image | None:
    from cim.loaders.parcel import is_image, work_file

    name = image["name"] if isinstance(image.get("name"), str) and image["name"] else f"image {place}"
    data = image_bytes(document, image, place)
    if data is None:
        uri = image.get("uri")
        return document.companions.image(uri) if isinstance(uri, str) else None
    kind = image_format(data)
    file = work_file(document.path, {"PNG": ".png", "JPEG": ".jpg"}.get(kind or "", ".img"))
    file.write_bytes(data)
    if not is_image(file):
        document.companions.said.append(Remark("rejected", "warning", f"its embedded image {place} is no image of a known format"))
        return Image(name)
    return Image(name, file, kind)


_SEVERITY = {"vertex colours are not held": ("lost", "info"), "features of a table have no faces and became no object": ("empty", "info")}


def _remarks(work: _Work) -> list[Remark]:
    said = []
    for text, count in work.tally.items():
        code, severity = _SEVERITY.get(text, ("unsupported" if "not held" in text or "not read" in text else "rejected", "warning"))
        said.append(Remark(code, severity, f"{count:,} {text}", count))
    return said
