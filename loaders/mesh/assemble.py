"""From arrays to a city: every part of a mesh becomes an object with its geometry, meaning and looks."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.loaders.mesh.mesh import Mesh, Remark, starts
from cim.loaders.mesh.topology import Topology, topology

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cim.model import CityBuilder

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["TYPE", "Looks", "add_georeference", "add_mesh", "add_remarks", "surface_type"]

TYPE = "GenericOccupiedSpace"
"""Class of an object that is a mesh and nobody knows more about."""
LOD, ROLE, THEME = "3", "mesh", "mesh"
_SURFACES = {
    "ground": "TINRelief", "terrain": "TINRelief", "low vegetation": "PlantCover", "high vegetation": "PlantCover",
    "high_vegetation": "PlantCover", "vegetation": "PlantCover", "tree": "PlantCover", "trees": "PlantCover", "building": "Building",
    "buildings": "Building", "roof": "RoofSurface", "wall": "WallSurface", "facade": "WallSurface", "water": "WaterSurface",
    "road": "TrafficArea", "street": "TrafficArea",
}  # fmt: skip
_UNKNOWN = "GenericThematicSurface"
_LARGEST = 1 << 63
"""Integers from here do not fit a column."""


def surface_type(name: str | None) -> str:
    """Return the class that a label means; a generic surface when the name says nothing known.

    Examples
    --------
    >>> surface_type("Building"), surface_type("vehicle"), surface_type(None)
    ('Building', 'GenericThematicSurface', 'GenericThematicSurface')
    """
    return _SURFACES.get((name or "").strip().lower(), _UNKNOWN)


@dataclass
class Looks:
    """Keys of the materials and textures that a city has already, so that an image used by many meshes is one texture."""

    textures: dict[tuple[str, str | None, str | None], int]
    materials: dict[Any, int]

    @classmethod
    def none(cls) -> Looks:
        """Return the looks of a city that has none yet."""
        return cls({}, {})


@dataclass(frozen=True)
class _Parts:
    """A mesh with its faces in the order of the parts, and vertices that belong to one part each."""

    mesh: Mesh
    points: Reals
    vertices: Ints
    """Vertices of each part."""
    faces: Ints
    """Faces of each part."""
    corners: Ints
    """Corners of each part."""
    local: Ints
    """Vertex of each corner, counted in its part."""
    place: Ints
    """Row of `points` of each corner."""


def add_mesh(
    builder: CityBuilder, mesh: Mesh, ids: Sequence[str], *, source: int | None, looks: Looks, type: str = TYPE, solids: bool = True,
    parents: Sequence[str | None] | None = None,
) -> Ints:  # fmt: skip
    """Add one object per part that has faces, with its geometry, labels, materials and textures, and return the keys of the objects.

    Parameters
    ----------
    mesh
        Coordinates in the system of the builder.
    ids
        Id of each part.
    solids
        Whether closed parts become solids.

    Notes
    -----
    Parts without faces are counted in an issue. A closed part whose faces all look inward is turned inside out, and that is an issue.
    """
    filled = np.bincount(mesh.part, minlength=len(mesh.names)) > 0
    rows = np.flatnonzero(filled)
    mesh, ids = _only(mesh, filled), [ids[row] for row in rows.tolist()]
    parts = _by_part(mesh)
    known = _measured(parts)
    parts, known, turned = _outward(parts, known)
    keys = builder.add_objects(
        type, ids, names=list(mesh.names), source=source, parents=None if parents is None else [parents[row] for row in rows.tolist()]
    )
    builder.add_attributes(keys, type, _attributes(parts, known, metric=_is_metric(builder)))
    boundaries, kinds = _boundaries(parts, known, solids=solids)
    semantics, surfaces = _semantics(parts)
    from cim.model.geometry import vertices_from

    gkeys = builder.add_geometries(
        keys, lod=LOD, role=ROLE, type=kinds, vertices=vertices_from(parts.points, parts.vertices), boundaries=boundaries,
        semantics=semantics, source=source,
    )  # fmt: skip
    if surfaces is not None:
        builder.add_surfaces(gkeys[surfaces[0]], surfaces[1], surfaces[2], attributes=surfaces[3])
    said = _add_looks(builder, parts, gkeys, looks, source)
    empty = int((~filled).sum())
    if empty and len(filled) > 1:
        said.append(Remark("empty", "info", f"{empty} parts have no faces and became no object", empty))
    add_remarks(builder, (*mesh.said, *turned, *said), keys, source)
    return keys


def _only(mesh: Mesh, filled: NDArray[np.bool_]) -> Mesh:
    """Return the mesh without the parts that have no faces."""
    if filled.all():
        return mesh
    number = np.cumsum(filled) - 1
    names = tuple(name for name, there in zip(mesh.names, filled.tolist(), strict=True) if there)
    attributes = {
        key: [value for value, there in zip(values, filled.tolist(), strict=True) if there] for key, values in mesh.attributes.items()
    }
    said = tuple(one if one.part is None else replace(one, part=int(number[one.part]) if filled[one.part] else None) for one in mesh.said)
    return replace(mesh, names=names, part=number[mesh.part], attributes=attributes, said=said)


def _by_part(mesh: Mesh) -> _Parts:
    count = len(mesh.names)
    if (np.diff(mesh.part) < 0).any():
        mesh = _sorted(mesh)
    faces = np.bincount(mesh.part, minlength=count)
    corner_part = np.repeat(mesh.part, mesh.size)
    corners = np.bincount(corner_part, minlength=count)
    if count == 1:
        used = np.zeros(len(mesh.points), bool)
        used[mesh.corner] = True
        local = mesh.corner if used.all() else (np.cumsum(used) - 1)[mesh.corner]
        points = mesh.points if used.all() else mesh.points[used]
        return _Parts(mesh, points, np.array([len(points)]), faces, corners, local, local)
    pairs, place = np.unique(corner_part * len(mesh.points) + mesh.corner, return_inverse=True)
    place = place.reshape(-1)
    owner = pairs // len(mesh.points)
    vertices = np.bincount(owner, minlength=count)
    return _Parts(mesh, mesh.points[pairs % len(mesh.points)], vertices, faces, corners, place - starts(vertices)[corner_part], place)


def _sorted(mesh: Mesh) -> Mesh:
    order = np.argsort(mesh.part, kind="stable")
    size = mesh.size[order]
    at = np.repeat(starts(mesh.size)[order] - starts(size)[:-1], size) + np.arange(int(size.sum()))
    return replace(
        mesh, size=size, corner=mesh.corner[at], part=mesh.part[order], uv=None if mesh.uv is None else mesh.uv[at],
        material=None if mesh.material is None else mesh.material[order], label=None if mesh.label is None else mesh.label[order],
    )  # fmt: skip


def _measured(parts: _Parts) -> Topology:
    """Measure around the first vertex of each part: large coordinates would drown small volumes."""
    anchor = parts.points[np.minimum(starts(parts.vertices)[:-1], max(len(parts.points) - 1, 0))]
    local = parts.points - np.repeat(anchor, parts.vertices, axis=0)
    return topology(local, parts.mesh.size, parts.place, parts.mesh.part, len(parts.mesh.names))


def _outward(parts: _Parts, known: Topology) -> tuple[_Parts, Topology, list[Remark]]:
    """Turn closed parts whose faces look inward."""
    inward = known.closed & (known.volume < 0)
    if not inward.any():
        return parts, known, []
    mesh = parts.mesh
    size = np.where(inward[mesh.part], mesh.size, 1)
    first = starts(mesh.size)[:-1]
    step = np.arange(len(mesh.corner)) - np.repeat(first, mesh.size)
    back = np.repeat(first + mesh.size - 1, mesh.size) - step
    at = np.where(np.repeat(size > 1, mesh.size), back, np.arange(len(mesh.corner)))
    turned = replace(mesh, corner=mesh.corner[at], uv=None if mesh.uv is None else mesh.uv[at])
    count = int(inward.sum())
    text = f"{count} closed meshes had all their faces looking inward; they were turned around"
    changed = replace(parts, mesh=turned, local=parts.local[at], place=parts.place[at])
    return changed, replace(known, volume=np.abs(known.volume)), [Remark("repaired", "warning", text, count)]


# ---------------------------------------------------------------- columns


def _is_metric(builder: CityBuilder) -> bool:
    """Return whether coordinates count in metres, so that areas and volumes have a unit."""
    return builder.crs.is_local or (builder.crs.is_projected and builder.crs.linear_unit_factor == 1.0)


def _attributes(parts: _Parts, known: Topology, *, metric: bool) -> dict[str, Any]:
    from cim.model import Column

    own = {
        "representation": Column(["mesh"] * len(parts.faces), label_en="representation", label_zh="表达方式"),
        "faces": Column(parts.faces, label_en="faces", label_zh="面数"),
        "vertices": Column(parts.vertices, label_en="vertices", label_zh="顶点数"),
        "surface_area": Column(known.area, unit="m2", label_en="surface area", label_zh="表面积"),
        "closed": Column(known.closed, label_en="closed", label_zh="是否封闭"),
        "open_edges": Column(known.open_edges, label_en="open edges", label_zh="开放边数"),
        "volume": Column(known.volume, unit="m3", label_en="volume", label_zh="体积"),
    }
    if not metric:
        del own["surface_area"], own["volume"]
    for name, values in parts.mesh.attributes.items():
        own[name if name not in own else f"{name}_source"] = Column(_clean(values), source_field=name)
    return own


def _clean(values: Sequence[Any]) -> list[Any]:
    """Return values of one kind: lists and objects as JSON, everything as text where kinds are mixed or numbers are too long."""
    kinds = {type(value) for value in values if value is not None}
    if kinds & {list, dict}:
        values = [json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value for value in values]
        kinds = {type(value) for value in values if value is not None}
    long = int in kinds and any(isinstance(value, int) and abs(value) >= _LARGEST for value in values)
    if (len(kinds) > 1 and not kinds <= {int, float}) or long:
        return [None if value is None else str(value) for value in values]
    return [float(value) if value is not None else None for value in values] if kinds == {int, float} else list(values)


def _boundaries(parts: _Parts, known: Topology, *, solids: bool) -> tuple[pa.Array, list[str]]:
    from cim.model.geometry import boundaries_from

    one = np.ones(len(parts.faces), np.int64)
    lists = boundaries_from(parts.local, parts.mesh.size, np.ones(len(parts.mesh.size), np.int64), parts.faces, one, one)
    return lists, np.where(known.closed & solids, "Solid", "MultiSurface").tolist()


def _lists(counts: Ints, values: pa.Array) -> pa.Array:
    offsets = pa.array(starts(counts).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, values)


def _semantics(parts: _Parts) -> tuple[pa.Array | None, tuple[Ints, Ints, list[str], list[str]] | None]:
    """Return the surface of each face, and the rows of surfaces: (geometry, index, type, attributes), one per label and part."""
    label = parts.mesh.label
    if label is None:
        return None, None
    values, which = np.unique(label, return_inverse=True)
    pairs, row = np.unique(parts.mesh.part * len(values) + which.reshape(-1), return_inverse=True)
    owner = pairs // len(values)
    index = np.arange(len(pairs)) - starts(np.bincount(owner, minlength=len(parts.faces)))[owner]
    meant = [int(values[pair % len(values)]) for pair in pairs.tolist()]
    names = [parts.mesh.label_names.get(value) for value in meant]
    attributes = [json.dumps({"label": value} | ({"label_name": name} if name else {}), ensure_ascii=False)
                  for value, name in zip(meant, names, strict=True)]  # fmt: skip
    semantics = _lists(parts.faces, pa.array(index[row.reshape(-1)].astype(np.int32)))
    return semantics, (owner, index, [surface_type(name) for name in names], attributes)


# ---------------------------------------------------------------- looks


def _add_looks(builder: CityBuilder, parts: _Parts, gkeys: Ints, looks: Looks, source: int | None) -> list[Remark]:
    mesh = parts.mesh
    if mesh.material is None or not mesh.materials:
        unused = 0 if mesh.uv is None else len(mesh.size)
        return [Remark("lost", "info", "texture coordinates without a texture image are not held", unused)] if unused else []
    colour, texture = _keys(builder, mesh, looks, source)
    by_face = np.append(colour, -1)[mesh.material]
    image = np.append(texture, -1)[mesh.material]
    lost = 0
    if mesh.uv is not None:
        whole = np.logical_and.reduceat(np.isfinite(mesh.uv).all(axis=1), starts(mesh.size)[:-1])
        lost = int(((image >= 0) & ~whole).sum())
        image = np.where(whole, image, -1)
    else:
        lost, image = int((image >= 0).sum()), np.full(len(mesh.size), -1)
    _write_looks(builder, parts, gkeys, by_face, image)
    text = f"{lost} faces have a texture image but no whole texture coordinates; they are shown without"
    return [Remark("lost", "warning", text, lost)] if lost else []


def _write_looks(builder: CityBuilder, parts: _Parts, gkeys: Ints, colour: Ints, image: Ints) -> None:
    """Add a row of appearances for every geometry that has a material or a texture."""
    owner = parts.mesh.part
    has = (np.bincount(owner, (colour >= 0) | (image >= 0), len(parts.faces)) > 0).nonzero()[0]
    coloured, textured = (bool((one >= 0).any()) for one in (colour, image))
    rows = pa.array(has)
    uv = None
    if textured and parts.mesh.uv is not None:
        shown = np.where(np.repeat(image >= 0, parts.mesh.size)[:, None], parts.mesh.uv, np.nan)
        pairs = pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(shown).reshape(-1)), 2)
        uv = _lists(parts.corners, pairs).take(rows)
    if len(has):
        builder.add_appearances(
            gkeys[has], theme=THEME, materials=_lists(parts.faces, pa.array(colour)).take(rows) if coloured else None,
            textures=_lists(parts.faces, pa.array(image)).take(rows) if textured else None, uv=uv,
        )  # fmt: skip


def _keys(builder: CityBuilder, mesh: Mesh, looks: Looks, source: int | None) -> tuple[Ints, Ints]:
    """Return the key of the material and of the texture of each material of the mesh, -1 for none."""
    colour, texture = np.full(len(mesh.materials), -1), np.full(len(mesh.materials), -1)
    for place, one in enumerate(mesh.materials):
        told = (one.name, one.ambient, one.diffuse, one.emissive, one.specular, one.shininess, one.transparency)
        if any(value is not None for value in told[1:]):
            if told not in looks.materials:
                looks.materials[told] = int(
                    builder.add_materials(
                        [one.name], ambient=[one.ambient], diffuse=[one.diffuse], emissive=[one.emissive], specular=[one.specular],
                        shininess=[one.shininess], transparency=[one.transparency],
                    )[0]
                )  # fmt: skip
            colour[place] = looks.materials[told]
        if one.image is not None:
            name = (one.image.name, None if one.image.path is None else str(one.image.path), one.sampler.wrap)
            if name not in looks.textures:
                looks.textures[name] = int(
                    builder.add_textures([name[0]], path=[name[1]], format=[one.image.format], wrap=[name[2]], source=source)[0]
                )
            texture[place] = looks.textures[name]
    return colour, texture


# ---------------------------------------------------------------- remarks


def add_remarks(builder: CityBuilder, said: Sequence[Remark], keys: Ints | None, source: int | None, *, name: str = "") -> None:
    """Turn remarks into issues; one about a part names its object, as do those about a mesh of one object."""
    head = f"{name}: " if name else ""
    for one in said:
        key = None
        if keys is not None and len(keys):
            key = int(keys[one.part]) if one.part is not None else (int(keys[0]) if len(keys) == 1 else None)
        builder.add_issue(one.code, head + one.message, severity=one.severity, object=key, source=source, count=one.count)


def add_georeference(builder: CityBuilder, key: int, evidence: Mapping[str, str]) -> None:
    """Keep why an object lies where it lies, as properties of the set "georeference"."""
    units = ["m" if name in {"residual", "offset", "uncertainty"} else None for name in evidence]
    builder.add_properties([key] * len(evidence), "georeference", list(evidence), list(evidence.values()), units)
