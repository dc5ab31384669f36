"""The pieces of the buildings: closed, measured, and what is odd about them named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cim.loaders.cutting.close import MIRROR_LID, PLAIN_LID, Closing, close_pieces, lid_heights, open_edges, signed_volume
from cim.loaders.cutting.cut import Cut, area_of
from cim.loaders.cutting.findings import ground_issues, mesh_issues, piece_issues
from cim.loaders.cutting.ground import ground_under

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.cutting.arrays import MeshArrays
    from cim.loaders.cutting.footprints import Footprints
    from cim.model import City

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Lid", "Pieces", "pieces_of"]

Lid = Literal["terrain", "lowest"]


@dataclass(frozen=True)
class Pieces:
    """The pieces of the buildings, and what is known about them."""

    closing: Closing | None
    closed: NDArray[np.bool_]
    """Shape (p,)."""
    figures: dict[str, Any]
    """Columns of properties, one value per building."""
    issues: list[dict[str, Any]]


def pieces_of(made: Cut, source: MeshArrays, plots: Footprints, mesh: City, terrain: City | None, *, close: bool, lid: Lid) -> Pieces:
    """Close the pieces and measure them."""
    count = len(plots.keys)
    mine = made.polygon >= 0
    triangles, piece = made.triangles[mine], made.polygon[mine]
    edges = open_edges(triangles, piece, len(made.points))
    ground = _ground(terrain, mesh, made.points, triangles) if terrain is not None else None
    sound = _one_sided(edges, count)
    closing = None
    closed = sound & (np.bincount(edges[0], minlength=count) == 0) & (np.bincount(piece, minlength=count) > 0)
    every, every_piece, points = triangles, piece, made.points
    flat = lid_heights(made.points, edges, count, ground)
    if close:
        able = sound[piece]
        closing = close_pieces(made.points, triangles[able], piece[able], count, flat, ground if lid == "terrain" else None)
        every, every_piece = np.concatenate([triangles, closing.triangles]), np.concatenate([piece, closing.piece])
        points = np.concatenate([made.points, closing.points])
        left = np.bincount(open_edges(every, every_piece, len(points))[0], minlength=count)
        closed = sound & (left == 0) & (np.bincount(piece, minlength=count) > 0)
    figures = _figures(made, mine, plots, edges, _lid_names(closing, ground, lid, closed))
    volume = signed_volume(points, every, every_piece, count)
    figures |= {"closed": [bool(c) if t else None for c, t in zip(closed.tolist(), figures["triangles"], strict=True)]}
    figures |= {"volume": np.where(closed, volume, np.nan).tolist()}
    issues = [*plots.issues, *piece_issues(plots, figures, sound, close=close), *ground_issues(made.points, edges, ground)]
    return Pieces(closing, closed, figures, issues + mesh_issues(made, source))


def _ground(terrain: City, mesh: City, points: Floats, triangles: Ints) -> Floats:
    """Return the ground under the corners of the pieces, NaN elsewhere."""
    used = np.unique(triangles)
    ground = np.full(len(points), np.nan)
    if len(used):
        ground[used] = ground_under(terrain, mesh, points[used, :2] + mesh.origin[:2]) - mesh.origin[2]
    return ground


def _one_sided(edges: tuple[Ints, Ints, Ints], count: int) -> NDArray[np.bool_]:
    """Say which pieces have no edge that two triangles run along in the same way."""
    owner, start, end = edges
    order = np.lexsort((end, start, owner))
    same = np.ones(max(len(order) - 1, 0), bool)
    for column in (owner, start, end):
        same &= column[order][1:] == column[order][:-1]
    sound = np.ones(count, bool)
    sound[owner[order][1:][same]] = False
    return sound


def _figures(
    made: Cut, mine: NDArray[np.bool_], plots: Footprints, edges: tuple[Ints, Ints, Ints], lids: list[str | None]
) -> dict[str, Any]:
    """Return triangles, areas and openings of each building."""
    import shapely

    count = len(plots.keys)
    piece = made.polygon[mine]
    area = area_of(made.points, made.triangles[mine])
    corner = made.points[made.triangles[mine]]
    u, v = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    up = np.maximum((u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0]) / 2, 0.0)  # seen from above; a closed body also has a floor
    plan = np.bincount(piece, np.where(made.by_tolerance[mine], 0.0, up), count)
    wanted = shapely.area(np.where(shapely.is_missing(plots.shapes), shapely.Polygon(), plots.shapes))
    of_mesh = _open_in_mesh(made, edges)
    with np.errstate(invalid="ignore", divide="ignore"):
        covered = np.minimum(plan, wanted) / wanted
    return {
        "triangles": np.bincount(piece, minlength=count).tolist(),
        "area": np.bincount(piece, area, count).tolist(),
        "area_by_wall_tolerance": np.bincount(piece, np.where(made.by_tolerance[mine], area, 0.0), count).tolist(),
        "covered": covered.tolist(),
        "open_edges": np.bincount(edges[0], minlength=count).tolist(),
        "open_edges_of_the_mesh": np.bincount(edges[0][of_mesh], minlength=count).tolist(),
        "lid": lids,
    }


def _open_in_mesh(made: Cut, edges: tuple[Ints, Ints, Ints]) -> NDArray[np.bool_]:
    """Say which open edges of pieces have no triangle on their other side at all."""
    flagged = np.zeros(len(made.points), bool)
    flagged[edges[1]] = flagged[edges[2]] = True
    near = made.triangles[flagged[made.triangles].sum(axis=1) > 1]
    border = open_edges(near, np.zeros(len(near), np.int64), len(made.points))
    key = border[1] * len(made.points) + border[2]
    return np.isin(edges[1] * len(made.points) + edges[2], key)


def _lid_names(closing: Closing | None, ground: Floats | None, lid: Lid, closed: NDArray[np.bool_]) -> list[str | None]:
    """Say how each closed piece was closed: the kind of lid, and where it lies."""
    if closing is None:
        return [None] * len(closed)
    on_terrain = "on the terrain" if lid == "terrain" else "at the lowest terrain of the ring"
    where = "at the lowest open corner" if ground is None else on_terrain
    kinds = {PLAIN_LID: f"plain, {where}", MIRROR_LID: f"mirror, {where}"}
    return [kinds.get(kind, "none needed") if done else None for kind, done in zip(closing.lid.tolist(), closed.tolist(), strict=True)]
