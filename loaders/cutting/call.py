"""`singulate`: 单体化, a mesh of everything cut into one model per building, as a city that keeps the buildings' ids and attributes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cim.errors import CRSMismatchError, UsageError
from cim.loaders.cutting.arrays import mesh_arrays
from cim.loaders.cutting.attributes import refuse_cut_twice
from cim.loaders.cutting.city import filled, joined
from cim.loaders.cutting.cut import cut
from cim.loaders.cutting.footprints import footprints_of
from cim.loaders.cutting.pieces import Lid, pieces_of

if TYPE_CHECKING:
    from cim.crs import CityCRS
    from cim.model import City

__all__ = ["singulate"]


def singulate(
    mesh: City, footprints: City, terrain: City | None = None, *, type: str = "Building", wall_tolerance: float = 0.1,
    tile: int = 500_000, close: bool = True, lid: Lid = "terrain",
) -> City:  # fmt: skip
    """Cut the meshes of a city at the wall planes of footprints into one model per building.

    Parameters
    ----------
    mesh
        City whose geometries with the role ``"mesh"`` are cut.
    footprints
        City whose objects of class `type` have footprints; its objects stay as they are and gain their piece.
    terrain
        City with a raster of the bare ground in the same system, on which the lids lie.
    type
        Class of the objects to cut out.
    wall_tolerance
        Steep triangles (more than 60 degrees) that lie outside a footprint, but all within this distance [m], belong to it.
    tile
        Triangles worked on together; bounds the memory, does not change the result.
    close
        Close the pieces by walls at their open edges and a lid. Otherwise the open edges are counted.
    lid
        ``"terrain"``: the lid follows the ground. ``"lowest"``: flat at the lowest ground along the open edges of the piece. Where no
        terrain is known both are flat at the lowest open corner of the piece. Which it was stands in the properties of each building.

    Returns
    -------
    City
        The objects of `footprints`, then those of `mesh` with the triangles that are left over. Pieces are ``Solid`` when closed,
        else ``MultiSurface``; semantics, materials and textures are those of the mesh, added faces are ``ClosureSurface`` (walls) and
        ``GroundSurface`` (lid). Figures stand in the property set ``singulate``: see `singulation_report`. The objects of the class gain
        the attributes ``mesh_volume`` [m³] and ``mesh_closed``; what the reader measured on the meshes is measured anew on the rest.

    Raises
    ------
    UsageError
        If there is no mesh, no object of the class, these hold pieces of an earlier cut already, or an option makes no sense.
    CRSMismatchError
        If the coordinate systems do not agree.

    Notes
    -----
    Every triangle is in exactly one part of the result or is named as rejected. A building without triangles is named ``unmatched``.
    Along an edge that runs in the same direction twice the faces of the source contradict each other: such a piece stays open.
    """
    from cim.progress import track

    if lid not in {"terrain", "lowest"}:
        msg = f"lid is {lid!r}, expected 'terrain' or 'lowest'"
        raise UsageError(msg)
    footprints.require_type(type)
    refuse_cut_twice(footprints, type)
    crs, issues = _common_crs(mesh, footprints)
    source = mesh_arrays(mesh)
    plots = footprints_of(footprints, type, mesh.origin)
    with track(total=2 * len(source.triangles), label="singulate", unit="triangles") as work:
        made = cut(source.points, source.triangles, plots.shapes, wall_tolerance=wall_tolerance, tile=tile, advance=work.advance)
    pieces = pieces_of(made, source, plots, mesh, terrain, close=close, lid=lid)
    city = joined(replace(mesh, crs=crs), replace(footprints, crs=crs), source, issues)
    return filled(city, mesh, footprints, type, source, plots, made, pieces, issues)


def _common_crs(mesh: City, footprints: City) -> tuple[CityCRS, list[dict[str, Any]]]:
    """Return the coordinate system of the result."""
    a, b = mesh.crs, footprints.crs
    if not (a.is_projected or a.is_local):
        msg = f"the mesh is in {a.to_string()}, degrees; bring it to a projected system in metres first"
        raise UsageError(msg)
    if a.linear_unit_factor != 1.0:
        msg = f"the mesh is in {a.to_string()}, which counts in units of {a.linear_unit_factor:g} m; bring it to a system in metres first"
        raise UsageError(msg)
    if not a.same_horizontal(b) or (a.vertical is not None and b.vertical is not None and not a.same_vertical(b)):
        raise CRSMismatchError(
            mesh.name or "mesh", f"it is in {a.to_string()}, the footprints in {b.to_string()}", "bring both to one CRS first"
        )
    if a.vertical is None and b.vertical is not None:
        return b, [{"code": "assumed", "message": f"heights of the mesh {mesh.name!r} have no system; taken as {b.to_string()}"}]
    return a, []
