"""Where layers lie: the coordinate system that is declared, given and used, and records that cannot lie in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CRSError
from cim.loaders.gate import doubts
from cim.loaders.vector.frame import Layer, Note, reject
from cim.loaders.vector.repair import cut_at_date_line

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.crs import CityCRS

__all__ = ["one_system", "placed", "used_crs"]

SPREADS = 20.0
"""How many median distances from the middle a record may lie before it is looked at on its own."""
MOST_STRAYS = 0.1
"""Share of the records that may be strays; more, and the coordinate system is what is wrong."""


def used_crs(layer: Layer, given: str | None, path: Path) -> tuple[CityCRS, tuple[Note, ...]]:
    """Return the system the coordinates are taken to be in.

    Raises
    ------
    CRSError
        If neither the source nor the caller names a usable one.
    """
    from cim.crs import parse

    where = str(path)
    if given is None:
        if layer.crs is None:
            raise CRSError(where, f"layer {layer.name} names no coordinate reference system (CRS)", "give crs='EPSG:...'")
        return parse(layer.crs, path=where), ()
    wanted = parse(given)
    try:
        declared = parse(layer.crs, path=where) if layer.crs else None
    except CRSError as error:
        return wanted, (Note("crs", f"layer {layer.name}: {error.reason}; read as {wanted}, as asked for"),)
    if declared is not None and not declared.same_horizontal(wanted):
        return wanted, (Note("crs", f"layer {layer.name} declares {declared}, but is read as {wanted}, as asked for"),)
    if declared is not None and wanted.vertical is None:
        return declared, ()
    return wanted, ()


def placed(layer: Layer, crs: CityCRS, path: Path) -> Layer:
    """Return the layer cut at the date line and without records that lie impossibly far from all others.

    Raises
    ------
    CRSError
        If the coordinates as a whole cannot be in the system.
    """
    if not crs.is_projected:
        layer = cut_at_date_line(layer) if _in_degrees(layer, crs) else layer
    return _without_strays(layer, crs, path)


def _in_degrees(layer: Layer, crs: CityCRS) -> bool:
    unit = crs.horizontal.axis_info[0].unit_conversion_factor
    return abs(unit - np.pi / 180.0) < 1e-9 and bool(np.all(np.isfinite(_box(layer))))


def _without_strays(layer: Layer, crs: CityCRS, path: Path) -> Layer:
    bounds = _box(layer)
    try:
        warnings = doubts(bounds, crs, str(path))
    except CRSError:
        strays = _strays(layer)
        if not strays.any() or (strays.mean() > MOST_STRAYS and strays.sum() > 1):
            raise
        rest = layer.keep(~strays)
        warnings = doubts(_box(rest), crs, str(path))
        layer = reject(
            layer, strays, f"its coordinates are out of range of {crs.horizontal.name} and far from all others; the record is rejected"
        )
    return layer.noted(*(Note("crs", f"layer {layer.name}: {text}") for text in warnings))


def _box(layer: Layer) -> tuple[float, float, float, float]:
    """Return the bounds of all records, four NaN where nothing has a place."""
    import shapely

    west, south, east, north = (float(value) for value in shapely.total_bounds(layer.geometry)) if len(layer) else (np.nan,) * 4
    return west, south, east, north


def _strays(layer: Layer) -> NDArray[np.bool_]:
    """Return the records that lie many times the usual distance from the middle of all."""
    import shapely

    bounds = shapely.bounds(layer.geometry)
    there = np.isfinite(bounds).all(axis=1)
    strays = np.zeros(len(layer), bool)
    if there.sum() < 4:
        return strays
    middle = np.median((bounds[there, :2] + bounds[there, 2:]) / 2.0, axis=0)
    reach = np.abs(bounds[there] - np.tile(middle, 2)).max(axis=1)
    strays[there] = reach > SPREADS * max(float(np.median(reach)), 1e-12)
    return strays


def one_system(layers: list[tuple[Layer, CityCRS]], path: Path) -> tuple[list[Layer], CityCRS, list[str]]:
    """Return all layers in the system of the first that has records, and the pipeline that each went through.

    Raises
    ------
    CRSError
        If a layer cannot be brought there.
    """
    from cim.crs import transform_geometries

    target = next((crs for layer, crs in layers if len(layer)), layers[0][1])
    out, pipelines = [], []
    for layer, crs in layers:
        if crs.same_horizontal(target) or not len(layer):
            out.append(layer)
            pipelines.append("")
            continue
        moved, done = transform_geometries(layer.geometry, crs, target, path=str(path))
        note = Note("crs", f"layer {layer.name} is in {crs}, and brought to {target}, the system of the first layer", "info")
        out.append(replace(layer, geometry=moved).noted(note))
        pipelines.append(done.pipeline)
    return out, target, pipelines
