"""Points and geometries from one coordinate system to another, never by a silent guess.

PROJ answers every question: where it knows no transformation it returns the coordinates as they came (a *ballpark*
operation), and where it knows one for another part of the world it may use that. Both are refused here unless the caller allows them,
and then noted. The operation is chosen for the place of the points, and its area of use is compared with them.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.crs.city_crs import CityCRS, parse
from cim.errors import CRSError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray
    from pyproj import CRS, Transformer

    Floats = NDArray[np.float64]
    Box = tuple[float, float, float, float]

__all__ = ["Transformed", "transform_geometries", "transform_points"]

# How far [degrees] points may lie outside the area of use of an operation: areas are drawn as boxes around countries.
_AREA_SLACK = 0.25
_POINTS = "points"
# Datums that agree within `metres` though PROJ has no operation between them; both names as PROJ prints them.
_AGREE = {
    frozenset({"China Geodetic Coordinate System 2000", "WGS 84"}): (
        1.0,
        "CGCS2000 and WGS 84 are taken as equal; they differ by plate motion since the year 2000, less than 1 m",
    ),
}
_BALLPARK = re.compile(r"ballpark geographic offset from (.+?) to (.+?)(?= \+ |$)", re.IGNORECASE)


@dataclass(frozen=True)
class Transformed:
    """Coordinates in the target system, and how they were got."""

    x: Floats
    """East or longitude."""
    y: Floats
    """North or latitude."""
    z: Floats | None
    """Height, None when none was given."""
    pipeline: str
    """PROJ pipeline, in east, north, up order."""
    accuracy: float | None
    """Stated accuracy of the operation [m]; None when nobody states one."""
    notes: tuple[str, ...] = ()
    """What the caller must know: ballpark, vertical unknown, a better grid that is missing, outside the area of use."""
    operation: str = ""
    """Name of the operation."""


@dataclass(frozen=True)
class _Operation:
    """A chosen operation, free of PROJ objects, so that it can be kept and shared between threads."""

    pipeline: str
    name: str
    accuracy: float | None
    notes: tuple[str, ...]


def transform_points(
    x: ArrayLike,
    y: ArrayLike,
    z: ArrayLike | None,
    source: CityCRS,
    target: CityCRS,
    *,
    allow_ballpark: bool = False,
    path: str = "",
) -> Transformed:
    """Transform points, saying how.

    Parameters
    ----------
    x, y : shape (n,)
        East and north (longitude and latitude) in `source`; NaN stays NaN.
    z : shape (n,)
        Heights in `source`, or None. Where either side does not know its height system they pass unchanged, with a note.
    source, target
        Coordinate systems.
    allow_ballpark
        Accept an operation that PROJ itself calls a guess, horizontal or vertical; it is noted.
    path
        The input the points come from, for messages.

    Raises
    ------
    CRSError
        If there is only a ballpark operation, none whose area of use holds the points, or a point has no image.

    Examples
    --------
    >>> there = transform_points([120.6], [31.3], None, parse("EPSG:4490"), parse("EPSG:4549"))
    >>> round(float(there.x[0]), 3), round(float(there.y[0]), 3), there.notes
    (557122.865, 3464391.326, ())
    """
    east, north, up = _as_points(x, y, z)
    where = path or _POINTS
    source_used, target_used, notes = _vertical_plan(source, target, has_heights=up is not None)
    if source_used.is_local != target_used.is_local:
        reason = "one system is local: nobody knows where its zero point lies, so nothing can be transformed from or to it"
        raise CRSError(where, reason, "place the model first: by control points, its position in the file, or known footprints")
    if source_used == target_used:
        exact = "the two systems are the same"
        return Transformed(east, north, up, "+proj=noop", 0.0, notes, exact)
    if not (np.isfinite(east) & np.isfinite(north)).any():
        return Transformed(east, north, up, "+proj=noop", None, (*notes, "there are no points"), "nothing to transform")
    box = _place(east, north, source)
    operation = _choose(source_used, target_used, box, where, allow_ballpark=allow_ballpark)
    moved = _apply(operation, east, north, up, source_used, target_used, where)
    return Transformed(*moved, operation.pipeline, operation.accuracy, notes + operation.notes, operation.name)


def transform_geometries(
    geometries: ArrayLike | Sequence[Any],
    source: CityCRS,
    target: CityCRS,
    *,
    allow_ballpark: bool = False,
    path: str = "",
) -> tuple[NDArray[Any], Transformed]:
    """Transform an array of shapely geometries in the plane; heights stay as they are.

    Returns
    -------
    geometries : shape (n,)
        New geometries; missing ones stay missing.
    transformed
        How it was done; its coordinates are those of all vertices in order.

    Raises
    ------
    CRSError
        As `transform_points`.
    """
    import shapely

    array = np.array(geometries, dtype=object, copy=True)
    has_z = bool(np.any(shapely.has_z(array)))
    coordinates = shapely.get_coordinates(array, include_z=has_z)
    flat_source, flat_target = source.without_vertical(), target.without_vertical()
    done = transform_points(coordinates[:, 0], coordinates[:, 1], None, flat_source, flat_target, allow_ballpark=allow_ballpark, path=path)
    coordinates[:, 0], coordinates[:, 1] = done.x, done.y
    if not has_z:
        return shapely.set_coordinates(array, coordinates), done
    return shapely.transform(array, lambda old: _with_heights(old, done), include_z=True), done


def _with_heights(old: Floats, done: Transformed) -> Floats:
    return np.column_stack([done.x, done.y, old[:, 2]])


def _as_points(x: ArrayLike, y: ArrayLike, z: ArrayLike | None) -> tuple[Floats, Floats, Floats | None]:
    east = np.atleast_1d(np.array(x, dtype=np.float64))
    north = np.atleast_1d(np.array(y, dtype=np.float64))
    up = None if z is None else np.atleast_1d(np.array(z, dtype=np.float64))
    if east.shape != north.shape or (up is not None and up.shape != east.shape):
        shapes = f"x {east.shape}, y {north.shape}" + ("" if up is None else f", z {up.shape}")
        msg = f"coordinates differ in shape: {shapes}; pass arrays of one length"
        raise UsageError(msg)
    return east, north, up


def _vertical_plan(source: CityCRS, target: CityCRS, *, has_heights: bool) -> tuple[CityCRS, CityCRS, tuple[str, ...]]:
    """Drop the vertical systems where heights need no change or cannot be changed; say which."""
    flat = (source.without_vertical(), target.without_vertical())
    if not has_heights:
        return *flat, ()
    if source.vertical is None or target.vertical is None:
        side = "both sides" if source.vertical is target.vertical else "the source" if source.vertical is None else "the target"
        return *flat, (f"vertical unknown on {side}: heights passed through unchanged",)
    if source.same_vertical(target) and (not source.is_ellipsoidal or source.same_horizontal(target)):
        return *flat, ()
    return source, target, ()


def _place(east: Floats, north: Floats, crs: CityCRS) -> Box | None:
    """Return the box of the points in degrees from Greenwich, or None when they have none."""
    valid = np.isfinite(east) & np.isfinite(north)
    if not valid.any():
        return None
    x0, x1, y0, y1 = east[valid].min(), east[valid].max(), north[valid].min(), north[valid].max()
    return degrees_box((float(x0), float(y0), float(x1), float(y1)), crs.horizontal)


def degrees_box(bounds: Box, crs: CRS) -> Box | None:
    """Return `bounds` of `crs` as west, south, east, north in degrees, or None where the projection has no inverse."""
    geodetic = crs.geodetic_crs
    if geodetic is None:
        return None
    transformer = _direct(crs.to_wkt(), geodetic.to_wkt())
    # Points along the border, so that the box holds the whole curved area; a plain box would cut its bulges.
    along = np.linspace(0.0, 1.0, 11)
    x = bounds[0] + (bounds[2] - bounds[0]) * np.concatenate([along, along, np.zeros(11), np.ones(11)])
    y = bounds[1] + (bounds[3] - bounds[1]) * np.concatenate([np.zeros(11), np.ones(11), along, along])
    longitude, latitude = transformer.transform(x, y)
    if not (np.isfinite(longitude).all() and np.isfinite(latitude).all()):
        return None
    turn = geodetic.axis_info[0].unit_conversion_factor * 180.0 / np.pi
    meridian = geodetic.prime_meridian
    shift = 0.0 if meridian is None else np.degrees(float(meridian.longitude) * float(meridian.unit_conversion_factor))
    lon, lat = longitude * turn + shift, latitude * turn
    return float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())


@lru_cache(maxsize=64)
def _direct(source_wkt: str, target_wkt: str) -> Transformer:
    from pyproj import Transformer

    return Transformer.from_crs(source_wkt, target_wkt, always_xy=True)


def _choose(source: CityCRS, target: CityCRS, box: Box | None, where: str, *, allow_ballpark: bool) -> _Operation:
    """Pick the operation for this place; widen the box to tenths of a degree so that neighbours share the answer."""
    rounded = None if box is None else tuple(math.floor(v * 10) / 10 for v in box[:2]) + tuple(math.ceil(v * 10) / 10 for v in box[2:])
    try:
        return _chosen(source.to_string(), target.to_string(), rounded, allow_ballpark=allow_ballpark)
    except CRSError as error:
        raise CRSError(where, error.reason, error.remedy) from error


@lru_cache(maxsize=256)
def _chosen(source_text: str, target_text: str, box: Box | None, *, allow_ballpark: bool) -> _Operation:
    source, target = parse(source_text), parse(target_text)
    group = _candidates(source.joint(), target.joint(), box)
    ranked = sorted((_graded(candidate, box, index) for index, candidate in enumerate(group.transformers)), key=lambda grade: grade.rank)
    pair = f"from {source.label} to {target.label}"
    if not ranked:
        raise CRSError(_POINTS, f"no transformation {pair} is available{_missing(group)}", _remedy(source, target, group))
    best = ranked[0]
    if best.problems and not allow_ballpark:
        reason = f"{pair} there is only {'; '.join(best.problems)}{_missing(group)}"
        raise CRSError(_POINTS, reason, _remedy(source, target, group))
    notes = best.notes + best.problems + _better(group, best)
    return _Operation(best.pipeline, best.name, best.accuracy, notes)


@dataclass(frozen=True)
class _Graded:
    rank: tuple[int, float, int]
    pipeline: str
    name: str
    accuracy: float | None
    problems: tuple[str, ...]
    notes: tuple[str, ...]


def _candidates(source: CRS, target: CRS, box: Box | None) -> Any:
    from pyproj.aoi import AreaOfInterest
    from pyproj.transformer import TransformerGroup

    on_earth = box is not None and box[0] >= -180.0 and box[1] >= -90.0 and box[2] <= 180.0 and box[3] <= 90.0
    area = AreaOfInterest(*box) if box is not None and on_earth else None
    with warnings.catch_warnings():  # the missing grid is told in the notes
        warnings.simplefilter("ignore", UserWarning)
        return TransformerGroup(source, target, always_xy=True, area_of_interest=area)  # type: ignore[arg-type]


def _graded(candidate: Any, box: Box | None, index: int) -> _Graded:
    """Say what is wrong with an operation for points in `box`; the fewer and lighter the faults, the better the rank."""
    name = str(candidate.description)
    accuracy = float(candidate.accuracy) if candidate.accuracy is not None and candidate.accuracy >= 0 else None
    problems: list[str] = []
    notes: list[str] = []
    weight = 0
    guesses = [frozenset(_datum(side) for side in pair) for pair in _BALLPARK.findall(name)]
    if all(pair in _AGREE for pair in guesses):
        notes += [_AGREE[pair][1] for pair in guesses]
        if guesses:
            accuracy = _summed_accuracy(candidate, sum(_AGREE[pair][0] for pair in guesses))
    else:
        problems.append("a ballpark horizontal transformation, which leaves the coordinates where they were")
        weight += 4
    if "ballpark vertical" in name.lower():
        problems.append("a ballpark vertical transformation, which leaves the heights as they were")
        weight += 1
    outside = _outside(box, candidate.area_of_use)
    if box is not None and outside > _AREA_SLACK:
        place = f"longitude {box[0]:.1f} to {box[2]:.1f}, latitude {box[1]:.1f} to {box[3]:.1f}"
        problems.append(f"{name}, whose area of use ({candidate.area_of_use.name}) ends {outside:.1f}° before the points ({place})")
        weight += 2
    elif outside > 0:
        notes.append(f"points lie up to {outside:.2f}° outside the area of use of {name}")
    if problems:
        accuracy = None
    return _Graded((weight, outside, index), str(candidate.definition), name, accuracy, tuple(problems), tuple(notes))


def _datum(name: str) -> str:
    """Return the name of a datum without what PROJ adds in brackets, such as the axis order of CRS84.

    Examples
    --------
    >>> _datum("WGS 84 (CRS84)")
    'WGS 84'
    """
    return name.partition(" (")[0]


def _summed_accuracy(candidate: Any, agreed: float) -> float | None:
    """Add the accuracy of datums that agree to that of the other steps; None when one of them states none."""
    steps = [one for one in candidate.operations or () if one.type_name == "Transformation" and not _BALLPARK.search(one.name)]
    if any(one.accuracy is None or one.accuracy < 0 for one in steps):
        return None
    return agreed + float(sum(one.accuracy for one in steps))


def _outside(box: Box | None, area: Any) -> float:
    """Return how far [degrees] the box sticks out of the area of use; 0 when it lies inside or nothing is known."""
    if box is None or area is None:
        return 0.0
    west, south, east, north = area.west, area.south, area.east, area.north
    if west > east:  # across the antimeridian
        east += 360.0
        box = box if box[0] >= west - 180.0 else (box[0] + 360.0, box[1], box[2] + 360.0, box[3])
    # The box was rounded outward by a tenth of a degree at most.
    sticks = max(west - box[0], box[2] - east, south - box[1], box[3] - north)
    return max(0.0, float(sticks) - 0.1)


def _missing(group: Any) -> str:
    grids = _grids(group)
    return f" (PROJ knows a true one, but its grid {grids} is not installed)" if grids else ""


def _grids(group: Any) -> str:
    names = (grid.short_name for operation in group.unavailable_operations for grid in operation.grids if not grid.available)
    return ", ".join(sorted(set(names)))


def _better(group: Any, best: _Graded) -> tuple[str, ...]:
    """Name the grid that would do better than the chosen operation."""
    stated = [float(one.accuracy) for one in group.unavailable_operations if one.accuracy is not None and one.accuracy >= 0]
    if not stated or (best.accuracy is not None and min(stated) >= best.accuracy):
        return ()
    return (f"a better operation ({min(stated):g} m) needs the grid {_grids(group)}, which is not installed",)


def _remedy(source: CityCRS, target: CityCRS, group: Any) -> str:
    choices = ["install the PROJ grids (projsync)"] if _grids(group) else []
    if source.vertical is not None and target.vertical is not None and not source.same_vertical(target):
        choices.append(f"keep the heights in {source.vertical.name}")
    return ", or ".join([*choices, "pass allow_ballpark=True to accept an unknown error"])


def _apply(
    operation: _Operation, east: Floats, north: Floats, up: Floats | None, source: CityCRS, target: CityCRS, where: str
) -> tuple[Floats, Floats, Floats | None]:
    """Run the pipeline; heights go along only where both height systems are known."""
    transformer = _pipeline(operation.pipeline)
    with_heights = up is not None and source.vertical is not None and target.vertical is not None
    # A point whose height is missing keeps its place: it goes through at height 0 and its height stays missing.
    inputs = (east, north, np.where(np.isnan(up), 0.0, up) * _metres(source)) if with_heights and up is not None else (east, north)
    valid = np.logical_and.reduce([np.isfinite(one) for one in inputs])
    outputs = [np.asarray(one, dtype=np.float64) for one in transformer.transform(*inputs)]
    failed = valid & ~np.logical_and.reduce([np.isfinite(one) for one in outputs])
    if failed.any():
        first = int(np.flatnonzero(failed)[0])
        reason = f"{int(failed.sum())} of {failed.size} points have no image in {target.name}, first ({east[first]}, {north[first]})"
        raise CRSError(where, reason, f"check that they are in {source.name}")
    for one in outputs:
        one[~valid] = np.nan
    if not with_heights or up is None:
        return outputs[0], outputs[1], up
    return outputs[0], outputs[1], np.where(np.isnan(up), np.nan, outputs[2] / _metres(target))


def _metres(crs: CityCRS) -> float:
    """Metres per unit for ellipsoidal heights, whose 3D system is built in metres; PROJ itself scales the others."""
    return crs.vertical_unit_factor if crs.is_ellipsoidal and crs.code is None else 1.0


@lru_cache(maxsize=64)
def _pipeline(definition: str) -> Transformer:
    from pyproj import Transformer

    return Transformer.from_pipeline(definition)
