"""From a cut to a city: one geometry per building and per rest of a mesh, with meaning, materials, textures and their coordinates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.loaders.cutting.close import LID, MESH, WALL
from cim.model.schema import SCHEMAS, make_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.cutting.arrays import Look, MeshArrays
    from cim.loaders.cutting.close import Closing
    from cim.loaders.cutting.cut import Cut

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Parts", "geometry_rows", "parts_of"]

ADDED = {WALL: "ClosureSurface", LID: "GroundSurface"}
"""What the triangles that close a piece are; those of the mesh keep the meaning they have."""


@dataclass(frozen=True)
class Parts:
    """All triangles of the result in the order of their groups: the buildings, then what is left of each mesh."""

    points: Floats
    """Shape (n, 3)."""
    triangles: Ints
    """Shape (m, 3)."""
    group: Ints
    """Shape (m,), rising."""
    kind: Ints
    """Shape (m,): 0 of the mesh, 1 added wall, 2 added lid."""
    cut_row: Ints
    """Shape (m,): row of the cut, -1 for added triangles."""


def parts_of(cut: Cut, closing: Closing | None, group: Ints) -> Parts:
    """Return mesh and closing triangles together; `group` (rows of the cut,) says where each one goes."""
    rows = np.arange(len(cut.triangles))
    if closing is None:
        order = np.argsort(group, kind="stable")
        return Parts(cut.points, cut.triangles[order], group[order], np.full(len(rows), MESH), rows[order])
    every = np.concatenate([group, closing.piece])
    order = np.argsort(every, kind="stable")
    kind = np.concatenate([np.full(len(rows), MESH), closing.kind])
    cut_row = np.concatenate([rows, np.full(len(closing.piece), -1)])
    triangles = np.concatenate([cut.triangles, closing.triangles])
    return Parts(np.concatenate([cut.points, closing.points]), triangles[order], every[order], kind[order], cut_row[order])


def geometry_rows(
    parts: Parts, owner: Ints, lod: list[str], source: list[int | None], solid: NDArray[np.bool_], first_key: int
) -> tuple[pa.Table, Ints]:
    """Return the rows of `geometries` of all groups that have triangles, and the groups (g,) in their order.

    Parameters
    ----------
    owner : shape (groups,)
        Object of each group.
    lod, source, solid
        One per group.
    """
    from cim.model.geometry import boundaries_from, vertices_from

    groups, size = np.unique(parts.group, return_counts=True)
    number = np.repeat(np.arange(len(groups)), size)
    count = max(len(parts.points), 1)
    used, local = np.unique((number[:, None] * count + parts.triangles).ravel(), return_inverse=True)
    vertices = np.bincount(used // count, minlength=len(groups))
    local = local.ravel() - np.repeat((np.cumsum(vertices) - vertices)[number], 3)
    ones = np.ones(len(parts.group), np.int64)
    single = np.ones(len(groups), np.int64)
    table = make_table(
        "geometries",
        {
            "key": first_key + np.arange(len(groups)),
            "object": owner[groups],
            "lod": [lod[g] for g in groups.tolist()],
            "role": "mesh",
            "type": np.where(solid[groups], "Solid", "MultiSurface").tolist(),
            "source": pa.array([source[g] for g in groups.tolist()], pa.int64()),
            "vertices": vertices_from(parts.points[used % count], vertices),
            "boundaries": boundaries_from(local, 3 * ones, ones, size, single, single),
        },
        len(groups),
    )
    return table, groups


def surface_rows(parts: Parts, cut: Cut, mesh: MeshArrays, geometries: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return the geometries with semantics, and the rows of `surfaces` these point to."""
    of_mesh = parts.cut_row >= 0
    code = np.full(len(parts.group), -1, np.int64)  # row of the mesh's surfaces; then the added kinds
    code[of_mesh] = mesh.surface[cut.source[parts.cut_row[of_mesh]]]
    code[~of_mesh] = mesh.surfaces.num_rows + parts.kind[~of_mesh]
    if not (code >= 0).any():
        return geometries, make_table("surfaces", {}, 0)
    _, number = np.unique(parts.group, return_inverse=True)
    width = mesh.surfaces.num_rows + 3
    meant = code >= 0
    pairs, place = np.unique(number[meant] * width + code[meant], return_inverse=True)
    owner, what = pairs // width, pairs % width
    begin = np.searchsorted(owner, np.arange(geometries.num_rows))
    semantics = np.full(len(code), -1, np.int32)
    semantics[meant] = place.ravel() - begin[number[meant]]
    names = [*mesh.surfaces["type"].to_pylist(), "", ADDED[WALL], ADDED[LID]]
    facts = mesh.surfaces["attributes"].to_pylist() + [None] * 3
    keys = np.asarray(geometries["key"].to_numpy(), np.int64)
    rows = make_table(
        "surfaces",
        {
            "geometry": keys[owner],
            "index": (np.arange(len(pairs)) - begin[owner]).astype(np.int32),
            "type": [names[w] for w in what.tolist()],
            "attributes": pa.array([facts[w] for w in what.tolist()], pa.string()),
        },
        len(pairs),
    )
    per = np.bincount(number, minlength=geometries.num_rows)
    some = np.bincount(owner, minlength=geometries.num_rows) > 0
    field = SCHEMAS["geometries"].field("semantics")
    column = _lists(semantics, per, some, field.type)
    return geometries.set_column(geometries.column_names.index("semantics"), field, column), rows


def appearance_rows(parts: Parts, cut: Cut, mesh: MeshArrays, geometries: pa.Table) -> pa.Table:
    """Return the rows of `appearances`: materials and textures as the source triangles have them, uv from the barycentric weights."""
    _, number = np.unique(parts.group, return_inverse=True)
    made = [_appearance(look, parts, cut, mesh, number, np.asarray(geometries["key"].to_numpy(), np.int64)) for look in mesh.looks]
    return pa.concat_tables([make_table("appearances", {}, 0), *made])


def _appearance(look: Look, parts: Parts, cut: Cut, mesh: MeshArrays, number: Ints, keys: Ints) -> pa.Table:
    of_mesh = parts.cut_row >= 0
    row = parts.cut_row[of_mesh]
    count = len(number)
    values: dict[str, Any] = {}
    for name, known in (("materials", look.material), ("textures", look.texture)):
        column = np.full(count, -1, np.int64)
        column[of_mesh] = known[cut.source[row]]
        values[name] = column
    has = np.zeros(len(keys), bool)
    has[number[of_mesh][look.known[mesh.row[cut.source[row]]]]] = True
    per = np.bincount(number, minlength=len(keys))
    columns: dict[str, Any] = {"geometry": keys, "theme": look.theme}
    for name, column in values.items():
        some = np.bincount(number, column >= 0, len(keys)) > 0
        columns[name] = _lists(column, per, some, SCHEMAS["appearances"].field(name).type)
    if look.uv is not None:
        uv = np.full((count, 3, 2), np.nan)
        uv[of_mesh] = cut.at_corners(look.uv)[row]
        some = np.bincount(number, values["textures"] >= 0, len(keys)) > 0
        kind = SCHEMAS["appearances"].field("uv").type
        pairs = pa.FixedSizeListArray.from_arrays(pa.array(uv.reshape(-1)), type=kind.value_type)
        columns["uv"] = _lists(pairs, 3 * per, some, kind)
    return make_table("appearances", columns, len(keys)).filter(pa.array(has))


def _lists(values: NDArray[Any] | pa.Array, counts: Ints, some: NDArray[np.bool_], type: pa.DataType) -> pa.Array:
    """Return a list column of `values`, null where not `some`; a null list holds no values."""
    kept = np.where(some, counts, 0)
    start = pa.array(np.concatenate([[0], np.cumsum(kept)]).astype(np.int32))
    chosen = pa.array(values).filter(pa.array(np.repeat(some, counts)))
    return pa.ListArray.from_arrays(start, chosen.cast(type.value_type), type=type, mask=pa.array(~some))
