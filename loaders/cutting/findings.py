"""What the cut found that the user should know, as issues of the city."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.cutting.cut import Cut, area_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.cutting.arrays import MeshArrays
    from cim.loaders.cutting.footprints import Footprints

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["gathered", "ground_issues", "mesh_issues", "piece_issues"]

COVERED = 0.999
"""A mesh that covers less than this part of a footprint is named."""
MANY = 20
"""More issues of one kind than this become one."""
NAMED = 5
"""That one names so many ids."""


def gathered(issues: list[dict[str, Any]], what: str) -> list[dict[str, Any]]:
    """Return issues of one kind, or a single one that counts them and names the first when they are many.

    Parameters
    ----------
    issues
        One per object, the object's id in ``record``.
    what
        What is the matter with all of them, in words that follow their number.
    """
    if len(issues) <= MANY:
        return issues
    names = ", ".join(str(one["record"]) for one in issues[:NAMED])
    same: dict[str, Any] = {name: issues[0][name] for name in ("code", "severity") if name in issues[0]}
    return [{**same, "count": len(issues), "message": f"{len(issues)} {what}: {names} and {len(issues) - NAMED} more"}]


def piece_issues(plots: Footprints, figures: dict[str, Any], sound: NDArray[np.bool_], *, close: bool) -> list[dict[str, Any]]:
    """Name the buildings without triangles, those the mesh covers in part, and pieces that stay open."""
    then = "walls to the ground close those whose faces agree" if close else "they stay open"
    summaries = {
        "none": "footprints have no triangle of the mesh over them",
        "part": f"footprints are covered by the mesh for less than {COVERED:.1%} (each share: property covered)",
        "gaps": f"pieces have edges that are open in the mesh itself (its border or a hole); {then}",
        "twist": "pieces have faces that contradict each other along edges; they are not closed",
    }
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in summaries}

    def tell(kind: str, row: int, message: str, count: int = 1) -> None:
        code = "unmatched" if kind == "none" else "invalid"
        found[kind].append({"code": code, "object": int(plots.keys[row]), "record": plots.ids[row], "message": message, "count": count})

    for row, name in enumerate(plots.ids):
        if plots.shapes[row] is None:
            continue
        triangles, covered, opened = figures["triangles"][row], figures["covered"][row], figures["open_edges"][row]
        gaps = figures["open_edges_of_the_mesh"][row]
        if not triangles:
            tell("none", row, f"no triangle of the mesh lies over the footprint of {name}")
            continue
        if covered < COVERED:
            tell("part", row, f"the mesh covers {covered:.1%} of the footprint of {name}; the piece ends where the mesh does")
        if gaps:
            then = "walls to the ground close them" if close and sound[row] else "they stay open"
            tell("gaps", row, f"{gaps} edges of {name} are open in the mesh itself (its border or a hole); {then}", gaps)
        if not sound[row]:
            tell("twist", row, f"faces of {name} contradict each other along edges; the piece is not closed, {opened} open edges", opened)
    issues = [issue for kind, what in summaries.items() for issue in gathered(found[kind], what)]
    if not close:
        count = sum(1 for number in figures["open_edges"] if number)
        if count:
            issues.append({"code": "lost", "severity": "info", "message": f"{count} pieces were left open as asked", "count": count})
    return issues


def ground_issues(points: Floats, edges: tuple[Ints, Ints, Ints], ground: Floats | None) -> list[dict[str, Any]]:
    """Say where lids had to do without terrain, and where the terrain is above the mesh."""
    corners = np.unique(edges[1])
    if ground is None:
        if not len(corners):
            return []
        message = "no terrain was given; lids lie at the lowest open corner of each piece"
        return [{"code": "assumed", "severity": "info", "message": message}]
    issues: list[dict[str, Any]] = []
    unknown, above = int(np.isnan(ground[corners]).sum()), int((ground[corners] > points[corners, 2]).sum())
    if unknown:
        message = f"the terrain is not known under {unknown} open corners; lids lie at the height of the ring's lowest there"
        issues.append({"code": "assumed", "message": message, "count": unknown})
    if above:
        message = f"the terrain lies above the mesh at {above} open corners; walls run upwards there"
        issues.append({"code": "conflict", "severity": "info", "message": message, "count": above})
    return issues


def mesh_issues(made: Cut, source: MeshArrays) -> list[dict[str, Any]]:
    """Name what of the mesh cannot be used, or looks odd."""
    issues: list[dict[str, Any]] = []
    if len(made.rejected):
        message = f"{len(made.rejected)} triangles have a corner that is not finite; they are in no part of the result"
        issues.append({"code": "rejected", "message": message, "count": len(made.rejected)})
    if source.failed:
        message = f"{source.failed} surfaces of the mesh have fewer than three different corners and no triangle"
        issues.append({"code": "invalid", "severity": "info", "message": message, "count": source.failed})
    flat = int((area_of(source.points, np.delete(source.triangles, made.rejected, axis=0)) == 0.0).sum())
    if flat:
        message = f"{flat} triangles of the mesh have no area; one that a wall plane meets may vanish"
        issues.append({"code": "invalid", "severity": "info", "message": message, "count": flat})
    if source.surfaces.num_rows and source.surfaces["parent"].null_count < source.surfaces.num_rows:
        lost = source.surfaces.num_rows - source.surfaces["parent"].null_count
        issues.append({"code": "lost", "message": "surfaces inside other surfaces no longer name these", "count": lost})
    return issues
