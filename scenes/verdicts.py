"""The layer of a check: the objects it judged, drawn over their own faces in the colours of the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import UsageError
from cim.scenes.drape import drape
from cim.scenes.layer import SEVERITIES, Layer, Text, join
from cim.scenes.style import VERDICTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.results import Verdicts
    from cim.scenes.context import Context
    from cim.scenes.scene import Scene

    Mesh = tuple[NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]]

__all__ = ["TITLES", "verdict_details", "verdict_layer", "worst_first"]

TITLES = {
    "far": Text("Floor-area ratio", "容积率"),
    "density": Text("Building density", "建筑密度"),
    "height_control": Text("Height control", "建筑限高"),
}
"""What people call the checks that come with the toolkit; another check is called by its name."""
_TOLD = ("object", "place", "value", "unit", "limit", "excess", "verdict", "reason", "clause", "assumption", "note")
_SEVERITY = {"fail": 0, "not_assessed": 1, "pass": 2}
_LYING = frozenset({"landuse", "vegetation", "roads", "other", "water"})
_RAISE = 0.44  # m that what lies on the ground is raised when judged, so that no other layer covers its verdict
_LIFT = 0.54  # m above the ground, over every other layer that lies on it
_STEP = 0.06  # m that each severity on the ground lies above the milder one: no pass of one check covers a failure of another


def worst_first(table: pa.Table) -> NDArray[np.int64]:
    """Return one row of a table of verdicts per object: the worst, in the order of the first mention.

    Examples
    --------
    >>> worst_first(pa.table({"object": ["a", "b", "a"], "verdict": ["pass", "pass", "fail"]})).tolist()
    [2, 1]
    """
    import pandas as pd

    code, names = pd.factorize(np.asarray(table["object"].to_pylist(), object))
    rank = np.array([_SEVERITY.get(verdict, 1) for verdict in table["verdict"].to_pylist()], np.int64)
    order = np.lexsort((np.arange(len(code)), rank, code))
    first = np.searchsorted(code[order], np.arange(len(names)))
    return order[first]


def verdict_layer(scene: Scene, result: Verdicts) -> Layer:
    """Return the layer of a check.

    An object is drawn with the triangles of the layer that shows it; a row with a footprint of its own (a grid cell) is laid on
    the ground; an object judged in several places takes its worst verdict.

    Raises
    ------
    UsageError
        If none of the judged objects is in the scene.
    """
    table = result.table.take(pa.array(worst_first(result.table)))
    ids = np.asarray(table["object"].to_pylist(), object)
    verdicts = np.asarray(table["verdict"].to_pylist(), object)
    severity = np.array([SEVERITIES - 1 - _SEVERITY.get(verdict, 1) for verdict in verdicts.tolist()], np.int8)
    own = _own_cells(scene.context, table, result.name, severity)
    taken = [_taken(layer, ids, severity) for layer in scene.layers if len(layer.ids) and not layer.overlay]
    parts = [part for part, _ in taken]
    points, triangles, objects = join([*parts, own])
    if not len(triangles) and len(ids):
        msg = (
            f"none of the {len(ids):,} objects judged by {result.name!r} is drawn in this scene, the first is {ids[0]!r}; "
            "add the result to a scene of its city"
        )
        raise UsageError(msg)
    order = np.argsort(severity[objects], kind="stable")  # the mildest first
    triangles, objects = triangles[order], objects[order]
    title = TITLES.get(result.name, Text(result.name.replace("_", " "), result.name))
    encoded = VERDICTS.encode(verdicts, title)
    unseen = len(ids) - len(np.unique(objects))
    shades = [shade for _, shade in taken] + [np.ones(len(own[0]), np.float32)]
    failing = verdicts[objects] == "fail" if len(objects) else np.empty(0, bool)
    return Layer(
        name=result.name,
        label=title,
        points=points,
        triangles=triangles,
        cell_object=objects,
        ids=ids,
        colours=encoded.colours,
        legend=encoded.legend,
        hatched=encoded.hatched,
        overlay=True,
        severity=severity,
        point_shade=np.concatenate(shades),
        edges=_border(points, triangles, failing),
        edge_colour=(110, 30, 8),
        edge_opacity=0.9,
        notes=(Text(f"{unseen:,} judged objects are not drawn", f"{unseen:,} 个被检查对象未绘制"),) if unseen else (),
    )


def _taken(layer: Layer, ids: NDArray[np.object_], severity: NDArray[np.int8]) -> tuple[Mesh, NDArray[np.float32]]:
    """Return the triangles of a layer that belong to some objects, owned by their place in `ids`, and the shade of their points."""
    import pandas as pd

    place = np.asarray(pd.Index(ids).get_indexer(pd.Index(layer.ids)), np.int64)
    keep = place[layer.cell_object] >= 0
    used, renumbered = np.unique(layer.triangles[keep], return_inverse=True)
    points = layer.points[used].copy()
    if layer.name in _LYING:
        points[:, 2] += _RAISE + _STEP * severity[place[layer.point_object[used]]]
    shade = layer.point_shade[used] if layer.point_shade is not None else np.ones(len(used), np.float32)
    mesh = (points, renumbered.reshape(-1, 3).astype(np.int32), place[layer.cell_object[keep]].astype(np.int32))
    return mesh, np.asarray(shade, np.float32)


def _own_cells(context: Context, table: pa.Table, name: str, severity: NDArray[np.int8]) -> Mesh:
    """Return the footprints that the table itself brings, laid on the ground."""
    import shapely

    from cim.crs import parse
    from cim.errors import CRSMismatchError

    if "footprint" not in table.column_names:
        return join([])
    said = (table.schema.metadata or {}).get(b"crs", b"").decode()
    if said and not parse(said).horizontal.equals(context.city.crs.horizontal, ignore_axis_order=True):
        reason = f"their shapes are in {said} but the city in {context.city.crs.to_string()}"
        raise CRSMismatchError(name, reason, "run the check on this city")
    shapes = shapely.from_wkb(np.asarray(table["footprint"].to_pylist(), object))
    moved = shapely.transform(shapes, lambda xy: xy - context.origin[:2])
    points, triangles, row, _ = drape(moved, context.ground, _LIFT)
    rank = np.zeros(len(points))
    rank[triangles.reshape(-1)] = np.repeat(severity[row], 3)
    points[:, 2] += _STEP * rank
    return points, triangles, row


def _border(points: NDArray[np.float64], triangles: NDArray[np.int32], failing: NDArray[np.bool_]) -> NDArray[np.int32] | None:
    """Return the sharp edges of what fails: between faces that turn, and where a face ends."""
    if not failing.any():
        return None
    chosen = triangles[failing]
    a, b, c = (points[chosen[:, corner]] for corner in range(3))
    normal = np.cross(b - a, c - a)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal /= np.where(length > 0, length, 1.0)
    place = np.unique(np.round(points, 4), axis=0, return_inverse=True)[1].reshape(-1)  # walls and roofs may not share vertices
    edges = chosen[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    ends = np.sort(place[edges], axis=1).astype(np.int64)
    order = np.lexsort((ends[:, 1], ends[:, 0]))
    ends, edges, facing = ends[order], edges[order], np.repeat(normal, 3, axis=0)[order]
    first = np.concatenate([[True], (ends[1:] != ends[:-1]).any(axis=1)])
    flat = np.zeros(len(ends), bool)
    flat[:-1] = ~first[1:] & (np.einsum("ij,ij->i", facing[:-1], facing[1:]) > np.cos(np.radians(12)))
    return edges[first & ~flat].astype(np.int32)


def verdict_details(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows of a table of verdicts for the page, without shapes."""
    kept = [name for name in _TOLD if name in table.column_names]
    rows: list[dict[str, Any]] = table.select(kept).to_pylist()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]
