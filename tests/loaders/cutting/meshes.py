"""Real meshes for the tests, read by a few lines of their own, and the judge of closed bodies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.model import City, CityBuilder, SourceRecord
from cim.model.geometry import mesh_columns

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def delft_mesh(folder: Path) -> tuple[Floats, Ints, Floats]:
    """Return points, triangles and the offset of the Delft mesh."""
    head, _, body = (folder / "mesh_1m_local.ply").read_bytes().partition(b"end_header\n")
    vertices, faces = (int(line.split()[-1]) for line in head.decode().splitlines() if line.startswith("element"))
    points = np.frombuffer(body, "<f4", 3 * vertices).reshape(-1, 3).astype(float)
    face = np.frombuffer(body, [("n", "u1"), ("corner", "<i4", 3)], faces, 12 * vertices)
    offset = json.loads((folder / "mesh_1m_local.metadata.json").read_text())["offset"]
    return points, face["corner"].astype(np.int64), np.array(offset)


def helsinki_mesh(folder: Path) -> tuple[Floats, Ints, Ints, Floats]:
    """Return points, triangles, labels (1 ground, 2 vegetation, 3 building) and uv (m, 3, 2) of the Helsinki tile."""
    lines = (folder / "tiny_test_c.ply").read_text().split("\n")
    begin = lines.index("end_header") + 1
    points = np.array([line.split() for line in lines[begin : begin + 1110]], float)
    faces = np.array([line.split()[:15] for line in lines[begin + 1110 : begin + 1110 + 1973]], float)
    return points, faces[:, 1:4].astype(np.int64), faces[:, 4].astype(np.int64), faces[:, 9:15].reshape(-1, 3, 2)


def mesh_city(
    points: Floats, triangles: Ints, *, crs: str = "local", uv: Floats | None = None, image: Path | None = None,
    labels: Ints | None = None, names: tuple[str, ...] = (), id: str = "tile",  # as the model calls it
) -> City:  # fmt: skip
    """Return a city that holds one mesh, absolute coordinates."""
    builder = CityBuilder(crs, name="mesh")
    source = builder.add_source(SourceRecord(name="mesh.ply", records_in=1))
    key = builder.add_objects("GenericOccupiedSpace", [id], source=source)
    vertices, boundaries = mesh_columns(points, triangles)
    semantics = None if labels is None else pa.array([labels.tolist()], pa.list_(pa.int32()))
    gkey = builder.add_geometries(
        key, lod="3", role="mesh", type="MultiSurface", vertices=vertices, boundaries=boundaries, semantics=semantics, source=source
    )
    if names:
        builder.add_surfaces(np.repeat(gkey, len(names)), np.arange(len(names)), list(names))
    if uv is not None:
        name = image.name if image else "image.jpg"
        texture = builder.add_textures([name], path=[str(image) if image else None], format=["JPEG"])
        pairs = pa.array([uv.reshape(-1, 2).tolist()], pa.list_(pa.list_(pa.float64(), 2)))
        builder.add_appearances(gkey, theme="mesh", textures=[[int(texture[0])] * len(triangles)], uv=pairs)
    return builder.build()


def footprint_city(shapes: Any, *, crs: str = "local", ids: list[str] | None = None) -> City:
    """Return a city of buildings that are footprints."""
    builder = CityBuilder(crs, name="footprints")
    source = builder.add_source(SourceRecord(name="footprints"))
    names = ids or [f"b{n}" for n in range(len(shapes))]
    keys = builder.add_objects("Building", names, footprints=shapes, source=source)
    builder.add_identifiers(keys, "BAG", [f"0{name}" for name in names])
    return builder.build()


def manifold(points: Floats, triangles: Ints) -> Any:
    """Return a body of the second judge; `.status()` says whether it accepts the triangles as closed."""
    import manifold3d

    used, local = np.unique(triangles, return_inverse=True)
    return manifold3d.Manifold(
        manifold3d.Mesh64(vert_properties=np.ascontiguousarray(points[used]), tri_verts=local.reshape(-1, 3).astype(np.uint64))
    )


def accepted(body: Any) -> bool:
    """Say whether the second judge takes a body as closed."""
    import manifold3d

    return bool(body.status() == manifold3d.Error.NoError)
