"""Uses of geometry templates: which template stands where, checked, with one matrix each in double precision."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.loaders.cityjson.document import Note
from cim.loaders.cityjson.geometry import FARTHEST, Found, Geometries
from cim.model.geometry import flatten, vertices_from

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["Instances", "instances_of", "put_out"]


@dataclass(frozen=True)
class Instances:
    """Uses of templates, one row each."""

    owner: Ints
    """Row of the object."""
    template: Ints
    """Row among the usable templates."""
    matrix: Reals
    """Shape (n, 4, 4): from the coordinates of the template to absolute ones [m]."""
    place: Ints
    """Position in the file."""
    used: Ints
    """Vertices of the file that they stand at."""
    notes: list[Note]
    rejected: int


def instances_of(found: Found, templates: Geometries, points: Reals, ids: list[str]) -> Instances:
    """Return the uses of templates; the anchor point and the matrix of a use become one matrix."""
    number = {int(owner): row for row, owner in enumerate(templates.owner.tolist())}
    rows: list[tuple[int, int, int, int]] = []
    matrices, notes = [], []
    for row, place, one in found.instances:
        fault, template, matrix, anchor = _instance(one, number, points)
        if fault:
            notes.append(Note("rejected", f"an instance of {ids[row]!r} is left out: {fault}", "error", row=row))
            continue
        rows.append((row, template, place, anchor))
        matrices.append(matrix)
    owners, shapes, places, anchors = np.asarray(rows, np.int64).reshape(-1, 4).T
    moved = np.asarray(matrices, float).reshape(-1, 4, 4).copy()
    moved[:, :3, 3] += points[anchors] if len(anchors) else 0.0
    return Instances(owners, shapes, moved, places, anchors, notes, len(found.instances) - len(rows))


def _instance(one: dict[str, Any], number: dict[int, int], points: Reals) -> tuple[str, int, Any, int]:  # noqa: PLR0911  # one return per fault
    """Return what is wrong with an instance, its template, its matrix and the vertex it is anchored at."""
    template, boundaries, matrix = one.get("template"), one.get("boundaries"), one.get("transformationMatrix")
    if isinstance(boundaries, bytes):
        boundaries = json.loads(boundaries)
    if not _whole(template) or template not in number:
        return f"template index {str(template)[:20]} is out of range", 0, None, 0
    if not (isinstance(boundaries, list) and len(boundaries) == 1 and _whole(boundaries[0])):
        return "its boundaries are not one vertex index", 0, None, 0
    if not 0 <= boundaries[0] < one["_vertices"]:
        return f"vertex index {boundaries[0]} is out of range (0 to {one['_vertices'] - 1})", 0, None, 0
    numbers = isinstance(matrix, list) and len(matrix) == 16 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in matrix)
    if not isinstance(matrix, list) or not numbers or not all(abs(v) < FARTHEST for v in matrix):
        return "its transformation matrix is not 16 finite numbers", 0, None, 0
    if matrix[12:] != [0, 0, 0, 1]:
        return f"its transformation matrix ends in {matrix[12:]}, expected 0, 0, 0, 1: a projection is no place", 0, None, 0
    if not (np.abs(points[boundaries[0] + one["_base"]]) <= FARTHEST).all():
        return "the vertex it stands at lies out of range", 0, None, 0
    return "", number[template], matrix, boundaries[0] + one["_base"]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def put_out(instances: Instances, shapes: pa.Table) -> pa.Table:
    """Return the instances as geometry of their own, columns as in `shapes`, the table of the templates."""
    rows = pa.array(instances.template)
    made = shapes.take(rows).combine_chunks()
    flat = flatten(made)
    size = np.diff(flat.vertex_start)
    turn = instances.matrix[np.repeat(np.arange(len(size)), size)]
    moved = np.einsum("nij,nj->ni", turn[:, :3, :3], flat.vertices) + turn[:, :3, 3]
    made = made.set_column(made.column_names.index("vertices"), "vertices", vertices_from(moved.reshape(-1, 3), size))
    return made.set_column(made.column_names.index("object"), "object", pa.array(instances.owner))
