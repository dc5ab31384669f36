"""What has to be refused or told about the grid of any raster, heights and images alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cim.errors import CRSError

if TYPE_CHECKING:
    from pathlib import Path

    from cim.loaders.georeference import Chosen, Said
    from cim.loaders.terrain.grid import Affine
    from cim.loaders.terrain.normalise import Layout

__all__ = ["check_cell_size", "turned"]


def check_cell_size(plan: Layout, chosen: Chosen, path: Path) -> None:
    """Refuse a cell size that only the other kind of unit explains.

    Raises
    ------
    CRSError
        If degrees were taken for metres, or metres for degrees.
    """
    if chosen.crs.is_projected and max(plan.dx, plan.dy) < 1e-3:
        reason = (
            f"has cells of {plan.dx:g} by {plan.dy:g} units, but {chosen.crs.horizontal.name} counts in metres or feet: degrees, probably"
        )
        raise CRSError(path, reason, "state the system its transform is in, such as EPSG:4326 or EPSG:4490")
    if not chosen.crs.is_projected and max(plan.dx, plan.dy) > 5.0:
        reason = f"has cells of {plan.dx:g} by {plan.dy:g}, but {chosen.crs.horizontal.name} counts in degrees: metres, probably"
        raise CRSError(path, reason, "state the projected system it is in")


def turned(plan: Layout, transform: Affine) -> tuple[Said, ...]:
    """Return what was done to bring a grid north-up."""
    if plan.resampled:
        how = f"its transform {transform} is rotated or sheared"
        return (("repaired", "warning", f"{how}; it was resampled (bilinear) to {plan.shape[0]} x {plan.shape[1]} north-up cells"),)
    said = [
        (plan.flip_rows, "its rows run from south to north (south-up transform); they were flipped"),
        (plan.flip_columns, "its columns run from east to west (mirrored transform); they were flipped"),
    ]
    return tuple(("repaired", "warning", text) for happened, text in said if happened)
