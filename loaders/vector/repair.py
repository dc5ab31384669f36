"""Geometry of foreign records: decoded one by one, made finite, closed, valid, and cut at the date line, all of it counted."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.vector.frame import Layer, Note, numbered, reject

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Geometries = NDArray[np.object_]

__all__ = ["clean", "cut_at_date_line", "decode_wkb", "finite_mask"]

POLYGONAL = (3, 6)
LINES = (1, 2, 5)


def decode_wkb(values: Any) -> tuple[Geometries, NDArray[np.bool_], NDArray[np.bool_]]:
    """Return geometries, which values could not be decoded, and which had a ring that was closed for them.

    Parameters
    ----------
    values : shape (n,)
        An Arrow binary array; null where there is no geometry.
    """
    import shapely

    raw = np.array(values.to_pylist(), dtype=object)
    there = np.array([one is not None for one in raw], bool) if len(raw) else np.empty(0, bool)
    with np.errstate(invalid="ignore"):
        geometry = shapely.from_wkb(raw, on_invalid="ignore")
        failed = there & shapely.is_missing(geometry)
        closed = np.zeros(len(raw), bool)
        if failed.any():
            fixed = shapely.from_wkb(raw[failed], on_invalid="fix")
            geometry[failed] = fixed
            closed[failed] = ~shapely.is_missing(fixed)
    return geometry, failed & ~closed, closed


def finite_mask(geometry: Geometries) -> NDArray[np.bool_]:
    """Return which geometries have only finite x and y, shape (n,); a missing geometry counts as finite."""
    import shapely

    xy, owner = shapely.get_coordinates(geometry, return_index=True)
    fine = np.ones(len(geometry), bool)
    fine[owner[~np.isfinite(xy).all(axis=1)]] = False
    return fine


def clean(layer: Layer) -> Layer:
    """Return the layer with finite, non-empty, valid geometry; what is repaired or rejected is noted."""
    layer = reject(layer, ~finite_mask(layer.geometry), "a coordinate is not finite (NaN or infinity); the record is rejected")
    layer = _finite_heights(layer)
    return _without_empty(_valid(layer))


def _finite_heights(layer: Layer) -> Layer:
    """Drop the height of geometries where some vertex has none."""
    import shapely

    raised = np.flatnonzero(shapely.has_z(layer.geometry))
    if not len(raised):
        return layer
    points, owner = shapely.get_coordinates(layer.geometry[raised], include_z=True, return_index=True)
    bad = np.zeros(len(layer), bool)
    bad[raised[owner[~np.isfinite(points[:, 2])]]] = True
    if not bad.any():
        return layer
    geometry = layer.geometry.copy()
    geometry[bad] = shapely.force_2d(geometry[bad])
    notes = numbered(layer, bad, "repaired", "a vertex height is not finite; the geometry is kept without heights")
    return replace(layer, geometry=geometry, repaired=layer.repaired + int(bad.sum())).noted(*notes)


def _valid(layer: Layer) -> Layer:
    """Repair polygons that cross themselves; reject those of which nothing with an area is left."""
    import shapely

    bad = ~shapely.is_valid(layer.geometry) & ~shapely.is_missing(layer.geometry)
    if not bad.any():
        return layer
    said = [_kind(text) for text in shapely.is_valid_reason(layer.geometry[bad]).tolist()]
    mended = _polygonal_part(shapely.make_valid(layer.geometry[bad], method="structure", keep_collapsed=False), layer.geometry[bad])
    lost = shapely.is_missing(mended) | shapely.is_empty(mended)
    geometry = layer.geometry.copy()
    geometry[bad] = mended
    marked = np.zeros(len(layer), bool)
    marked[np.flatnonzero(bad)[lost]] = True
    reasons = [f"geometry not valid ({text}); repaired" for text, gone in zip(said, lost.tolist(), strict=True) if not gone]
    notes = numbered(layer, bad & ~marked, "repaired", reasons)
    layer = replace(layer, geometry=geometry, repaired=layer.repaired + int((bad & ~marked).sum())).noted(*notes)
    gone_for = [
        f"geometry not valid ({text}), no area is left after repair; the record is rejected"
        for text, gone in zip(said, lost.tolist(), strict=True)
        if gone
    ]
    return reject(layer, marked, gone_for)


def _kind(reason: str) -> str:
    return reason.partition("[")[0].strip() or "invalid"


def _polygonal_part(mended: Geometries, before: Geometries) -> Geometries:
    """Keep of a repaired polygon only what has an area; of lines and points everything."""
    import shapely

    out = mended.copy()
    area_wanted = np.isin(shapely.get_type_id(before), POLYGONAL)
    mixed = area_wanted & ~np.isin(shapely.get_type_id(mended), POLYGONAL)
    for place in np.flatnonzero(mixed).tolist():  # only records whose repair left lines beside polygons
        parts = shapely.get_parts(shapely.get_parts(np.array([mended[place]], object)))
        areas = parts[np.isin(shapely.get_type_id(parts), POLYGONAL)]
        out[place] = shapely.multipolygons(shapely.get_parts(areas)) if len(areas) else None
    return out


def _without_empty(layer: Layer) -> Layer:
    """Turn empty geometries into missing ones; say how many records have none."""
    import shapely

    geometry = layer.geometry.copy()
    geometry[shapely.is_empty(geometry)] = None
    missing = shapely.is_missing(geometry)
    layer = replace(layer, geometry=geometry)
    if not len(layer) or not missing.any():
        return layer
    message = f"layer {layer.name}: {int(missing.sum())} of {len(layer)} records have no geometry; they are kept without one"
    return layer.noted(Note("empty", message, "info" if not missing.all() else "warning", count=int(missing.sum())))


# ---------------------------------------------------------------- the date line


def cut_at_date_line(layer: Layer) -> Layer:
    """Return a layer in degrees whose geometries lie within 180 degrees west and east, cut in two where they cross."""
    import shapely

    bounds = shapely.bounds(layer.geometry)
    with np.errstate(invalid="ignore"):
        beyond = (np.abs(bounds[:, [0, 2]]).max(axis=1) > 180.0) & (np.abs(bounds[:, [0, 2]]).max(axis=1) <= 540.0)
        wide = (bounds[:, 2] - bounds[:, 0] > 180.0) & ~beyond & (np.abs(bounds[:, [1, 3]]).max(axis=1) < 89.9)
    wraps = np.zeros(len(layer), bool)
    wraps[np.flatnonzero(wide)] = [_jumps(one) for one in layer.geometry[wide]]
    bad = beyond | wraps
    if not bad.any():
        return layer
    geometry = layer.geometry.copy()
    geometry[wraps] = shapely.transform(geometry[wraps], _unwrap, include_z=False)
    geometry[bad] = [_cut(one) for one in geometry[bad]]
    notes = numbered(layer, bad, "repaired", "crosses the antimeridian (180 degrees); cut or moved to lie within it")
    return replace(layer, geometry=geometry, repaired=layer.repaired + int(bad.sum())).noted(*notes)


def _jumps(geometry: Any) -> bool:
    """Return whether an edge of a line or ring is longer than half the world: it was meant to go the other way."""
    import shapely

    parts = np.array([geometry], object)
    while (np.isin(shapely.get_type_id(parts), (4, 5, 6, 7))).any():
        parts = shapely.get_parts(parts)
    lines = np.where(shapely.get_type_id(parts) == 3, shapely.get_exterior_ring(parts), parts)
    x, owner = shapely.get_coordinates(lines, return_index=True)
    step = np.abs(np.diff(x[:, 0]))
    return bool(((step > 180.0) & (owner[1:] == owner[:-1])).any())


def _unwrap(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([np.where(points[:, 0] < 0.0, points[:, 0] + 360.0, points[:, 0]), points[:, 1]])


def _cut(geometry: Any) -> Any:
    """Return the parts of a geometry in each turn of the globe, moved to the first."""
    import shapely

    mended = shapely.make_valid(geometry, method="structure", keep_collapsed=False) if not shapely.is_valid(geometry) else geometry
    parts = []
    for turn in (-1, 0, 1):
        strip = shapely.box(-180.0 + 360.0 * turn, -90.0, 180.0 + 360.0 * turn, 90.0)
        part = shapely.intersection(mended, strip)
        if not shapely.is_empty(part) and shapely.get_dimensions(part) == shapely.get_dimensions(geometry):
            parts.append(shapely.transform(part, lambda xy, by=360.0 * turn: xy - [by, 0.0]))
    return parts[0] if len(parts) == 1 else shapely.union_all(parts) if parts else None
