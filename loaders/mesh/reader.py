"""The mesh reader: OBJ, PLY, STL and glTF files become objects with triangles or polygons, their looks and, where there are any, labels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CorruptFileError, CRSError, UsageError
from cim.loaders.mesh.assemble import ROLE, TYPE, Looks, add_georeference, add_mesh, add_remarks
from cim.loaders.mesh.gltf import is_gltf
from cim.loaders.mesh.mesh import Mesh, Remark
from cim.loaders.mesh.obj import GROUPINGS, is_obj, read_obj
from cim.loaders.mesh.place import Placed, place, reference_beside
from cim.loaders.mesh.ply import read_header, read_ply
from cim.loaders.mesh.stl import is_stl, read_stl
from cim.loaders.mesh.topology import topology
from cim.loaders.protocol import Description, LayerInfo, ReadOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Reals = NDArray[np.float64]

__all__ = ["READER", "MeshReader", "local_doubts", "read_mesh"]

_FORMATS = {"obj": "Wavefront OBJ", "ply": "PLY", "stl": "STL", "gltf": "glTF"}
_UPS = ("z", "y")


class MeshReader:
    """Reads Wavefront OBJ, PLY, STL and glTF 2.0 (``.gltf``, ``.glb``).

    Options: ``offset=[x, y, z]`` [m], added to every vertex in 64 bit; ``up="y"`` for OBJ, PLY and STL files whose second axis points
    up (they do not say); ``objects="o" | "g" | "none"``: which names of an OBJ file become objects.
    """

    name = "mesh"
    priority = 70
    imports = ("cim.loaders.mesh.assemble", "cim.loaders.mesh.gltf_scene", "cim.loaders.mesh._kernels", "lxml.etree", "cim.model")

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether the first bytes are those of a mesh."""
        return path.is_file() and _kind(head, path) is not None

    def read(self, path: Path, options: ReadOptions) -> City:
        """Return a city of the objects in a mesh; see `cim.loaders.protocol.Reader`."""
        return _read(path, options)

    def describe(self, path: Path, options: ReadOptions) -> Description:
        """Return what the file is, and how many faces it declares."""
        return _describe(path, options)


READER = MeshReader()


def _kind(head: bytes, path: Path) -> str | None:
    if head.startswith((b"ply\n", b"ply\r")):
        return "ply"
    if is_gltf(head):
        return "gltf"
    if is_stl(head, path.stat().st_size) or (path.suffix.lower() == ".stl" and len(head) >= 84):
        return "stl"
    return "obj" if is_obj(head) else None


def read_mesh(path: Path, options: ReadOptions) -> tuple[Mesh, str]:
    """Return the mesh in a file as plain arrays, in the coordinates of the file, third axis up, and the key of its format.

    Raises
    ------
    InputError
        If the file cannot be used.
    """
    with path.open("rb") as file:
        kind = _kind(file.read(1 << 16), path)
    if kind == "gltf":
        from cim.loaders.mesh.gltf_scene import read_gltf

        return read_gltf(path, options.limits), kind
    if kind == "ply":
        mesh = read_ply(path, options.limits)
    elif kind == "stl":
        mesh = read_stl(path, options.limits)
    else:
        mesh = read_obj(path, options.limits, grouping=_option(options, "objects", "auto", GROUPINGS))
    up = _option(options, "up", "z", _UPS)
    if up == "y":
        x, y, z = mesh.points.T
        return mesh.moved(np.column_stack([x, -z, y])), kind or "obj"
    text = "the format does not say which axis points up, nor in which unit it counts: taken as the third, in metres"
    return mesh.noting(Remark("assumed", "info", text)), kind or "obj"


def _option(options: ReadOptions, name: str, usual: str, known: tuple[str, ...]) -> str:
    value = options.extra.get(name, usual)
    if value not in known:
        msg = f"{name}={value!r} is not known; give one of {', '.join(known)}"
        raise UsageError(msg)
    return str(value)


@dataclass(frozen=True)
class _File:
    path: Path
    format: str
    options: ReadOptions


def _read(path: Path, options: ReadOptions) -> City:
    mesh, kind = read_mesh(path, options)
    if not len(mesh.points):
        why = "; ".join(one.message for one in mesh.said if one.severity != "info")
        raise CorruptFileError(path, "holds no vertices and no faces" + (f" ({why})" if why else ""), "export it again")
    placed = place(mesh.points, reference_beside(path, options), options, path)
    mesh = mesh.moved(placed.points)
    said = [*placed.said, *local_doubts(placed, options, path)]
    if len(mesh.size):
        said += _edges(mesh, placed, kind)
    return _city(mesh.noting(*said), placed, _File(path, _FORMATS[kind], options))


def local_doubts(placed: Placed, options: ReadOptions, path: Path) -> list[Remark]:
    """Return what is doubtful about coordinates around zero in a system that the caller named: usual for a mesh, so told, not warned of.

    Raises
    ------
    CRSError
        If the coordinates cannot be in the system.
    """
    from cim.loaders.gate import doubts

    finite = placed.points[np.isfinite(placed.points).all(axis=1)]
    if options.crs is None or placed.crs.is_local or not len(finite):
        return []
    low, high = finite.min(axis=0), finite.max(axis=0)
    bounds = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    try:
        told = doubts(bounds, placed.crs, str(path))
    except CRSError as error:
        remedy = f"{error.remedy}; a mesh in local numbers needs the offset=[x, y, z] of its origin, or crs='local'"
        raise CRSError(path, error.reason, remedy) from error
    return [Remark("crs", "info", text) for text in told if "look local" in text]


def _edges(mesh: Mesh, placed: Placed, kind: str) -> list[Remark]:
    """Return what is wrong with the edges of the mesh as a whole: an STL is meant as a solid, the others need not be closed."""
    owner = np.zeros(len(mesh.size), np.int64)
    known = topology(placed.points - placed.points[0], mesh.size, mesh.corner, owner, 1)
    opened, crowded, twisted = (int(one[0]) for one in (known.open_edges, known.crowded_edges, known.twisted_edges))
    said = []
    if twisted:
        text = f"{twisted} edges have two faces that look to different sides (broken winding)"
        said.append(Remark("invalid", "warning", text, twisted))
    if opened:
        text = f"{opened} edges have a face on one side only: the mesh is not closed, so it has no volume"
        said.append(Remark("invalid", "warning" if kind == "stl" else "info", text, opened))
    if crowded:
        said.append(Remark("invalid", "info", f"{crowded} edges have more than two faces", crowded))
    return said


def _city(mesh: Mesh, placed: Placed, file: _File) -> City:
    from cim.loaders.source import plain_name, source_record
    from cim.model import CityBuilder

    path, options = file.path, file.options
    stem = plain_name(path)
    builder = CityBuilder(placed.crs, name=options.name or stem)
    vertical = placed.crs.vertical
    record = source_record(
        path, reader="mesh", format=file.format, declared_crs=placed.declared, used_crs=placed.crs.to_string(),
        used_vertical=None if vertical is None else str(vertical.name), pipeline=placed.pipeline, accuracy=placed.accuracy,
        companions=_companions(mesh), shown=options.extra.get("_shown"),
    )  # fmt: skip
    filled = int((np.bincount(mesh.part, minlength=len(mesh.names)) > 0).sum()) if len(mesh.size) else 1
    source = builder.add_source(replace(record, records_in=filled, rejected=0))
    if len(mesh.size):
        mesh = replace(mesh, said=tuple(replace(one, message=f"{path.name}: {one.message}") for one in mesh.said))
        keys = add_mesh(builder, mesh, _ids(mesh, stem), source=source, looks=Looks.none())
    else:
        keys = _points(builder, mesh, stem, source)
        add_remarks(builder, mesh.said, keys, source, name=path.name)
    add_georeference(builder, int(keys[0]), placed.evidence)
    return builder.build()


def _companions(mesh: Mesh) -> list[Path]:
    return sorted({one.image.path for one in mesh.materials if one.image is not None and one.image.path is not None})


def _ids(mesh: Mesh, stem: str) -> list[str]:
    single = len(mesh.names) == 1
    return [name or (stem if single else f"{stem}-{place}") for place, name in enumerate(mesh.names)]


def _points(builder: object, mesh: Mesh, stem: str, source: int) -> NDArray[np.int64]:
    """Keep the points of a file without faces as points."""
    from cim.model import CityBuilder
    from cim.model.geometry import boundaries_from, vertices_from

    if not isinstance(builder, CityBuilder):
        msg = "a city builder is needed"
        raise UsageError(msg)
    keys = builder.add_objects(TYPE, [stem], source=source)
    count = len(mesh.points)
    one = np.ones(count, np.int64)
    boundaries = boundaries_from(np.arange(count), one, one, [count], [1], [1])
    builder.add_geometries(keys, lod="0", role="point", type="MultiPoint", vertices=vertices_from(mesh.points, [count]),
                           boundaries=boundaries, source=source)  # fmt: skip
    builder.add_issue(
        "empty", f"it has {count:,} vertices and no faces; they are kept as points, not as a {ROLE}", source=source, count=count
    )
    return keys


def _describe(path: Path, options: ReadOptions) -> Description:
    with path.open("rb") as file:
        head = file.read(1 << 16)
    kind = _kind(head, path) or "obj"
    count = None
    if kind == "ply":
        with path.open("rb") as file:
            elements = read_header(file.read(1 << 20), path).elements
        count = next((one.count for one in elements if one.name == "face"), None)
    reference = reference_beside(path, options)
    suspicions = () if reference.crs or reference.enu else ("no coordinate reference system: a mesh states none",)
    layer = LayerInfo(path.stem, count, "mesh", reference.crs, guess=TYPE)
    return Description(_FORMATS[kind], (layer,), suspicions=suspicions, whole=True)
