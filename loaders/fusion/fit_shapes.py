"""The arithmetic of fitting outlines: offsets that meet an area, turns that meet edge directions, many overlaps at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Shapes = NDArray[Any]

__all__ = ["Offsets", "directions", "moved", "offsets_of", "overlap", "plain_polygons", "refine", "turns"]

_BLUR = 2.0  # degrees: directions of edges a few metres long, with centimetres of noise
_MITRE = 3.0
_SIMPLE = 0.02  # m
_MANY = 120  # vertices beyond which a shape is simplified
_FIRST_STEP, _LAST_STEP = 0.32, 0.01  # m at the rim of the building


@dataclass(frozen=True)
class Offsets:
    """An outline drawn in or out by steps, with its area at each."""

    step: Floats
    """Offsets [m], rising, shape (n,)."""
    shapes: Shapes
    """The outline at each offset, around its own centroid, shape (n,)."""
    area: Floats
    """Areas [m²], rising, shape (n,)."""
    centre: Floats
    """Centroid of the outline in its own frame, shape (2,)."""


def plain_polygons(shapes: Any) -> Shapes:
    """Return valid 2D polygons; what has no area becomes None."""
    import shapely

    flat = shapely.force_2d(np.asarray(shapes, object))
    bad = ~shapely.is_valid(flat)
    if bad.any():
        flat = flat.copy()
        flat[bad] = shapely.buffer(flat[bad], 0.0)
    many = shapely.get_num_coordinates(flat) > _MANY
    if many.any():
        flat = flat.copy()
        flat[many] = shapely.simplify(flat[many], _SIMPLE)
    return np.array([shape if area > 0.0 else None for shape, area in zip(flat, shapely.area(flat), strict=True)], object)


def offsets_of(outline: Any, limit: float, steps: int = 13) -> Offsets:
    """Return the outline drawn in and out by up to `limit` [m]."""
    import shapely

    centre = np.array(shapely.get_coordinates(shapely.centroid(outline))[0])
    own = shapely.transform(outline, lambda points: points - centre)
    step = np.linspace(-limit, limit, steps)
    shapes = shapely.buffer(np.full(steps, own, object), step, join_style="mitre", mitre_limit=_MITRE)
    shapes[steps // 2] = own
    area = np.maximum.accumulate(shapely.area(shapes))
    return Offsets(step, shapes, area, centre)


def directions(shapes: Shapes) -> NDArray[np.complex128]:
    """Return the spectrum of the edge directions of each shape, by length, outer rings counter-clockwise; shape (n, 181)."""
    import shapely

    parts, owner = shapely.get_parts(shapes, return_index=True)
    rings = shapely.get_exterior_ring(parts)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    edge = np.diff(points, axis=0)
    same = ring[1:] == ring[:-1]
    edge, ring = edge[same], ring[:-1][same]
    clockwise = ~shapely.is_ccw(rings)
    edge = np.where(clockwise[ring][:, None], -edge, edge)
    length = np.hypot(edge[:, 0], edge[:, 1])
    angle = np.degrees(np.arctan2(edge[:, 1], edge[:, 0])) % 360.0
    low = np.floor(angle).astype(np.int64)
    rest = angle - low
    row = owner[ring] * 360
    count = len(shapes) * 360
    histogram = np.bincount(row + low % 360, length * (1 - rest), count) + np.bincount(row + (low + 1) % 360, length * rest, count)
    histogram = histogram.reshape(len(shapes), 360)
    total = np.maximum(histogram.sum(axis=1, keepdims=True), 1e-12)
    wave = np.arange(181) * np.radians(_BLUR)
    spectrum: NDArray[np.complex128] = np.fft.rfft(histogram / total, axis=1) * np.exp(-0.5 * wave**2)
    return spectrum


def turns(outline: NDArray[np.complex128], candidates: NDArray[np.complex128], most: int) -> tuple[Ints, Floats]:
    """Return candidate row and turn [rad] of the best turns of an outline onto each candidate, at most `most` each."""
    likeness = np.fft.irfft(candidates * np.conj(outline), 360, axis=1)
    before, after = np.roll(likeness, 1, axis=1), np.roll(likeness, -1, axis=1)
    peak = np.where((likeness >= before) & (likeness > after), likeness, -np.inf)
    chosen = np.argsort(-peak, axis=1)[:, :most]
    value = np.take_along_axis(peak, chosen, axis=1)
    worth = np.isfinite(value) & (value > 0.3 * value[:, :1])
    low, high, top = (np.take_along_axis(one, chosen, axis=1) for one in (before, after, likeness))
    bend = low - 2 * top + high
    shift = np.where(np.abs(bend) > 1e-15, 0.5 * (low - high) / np.where(bend == 0.0, 1.0, bend), 0.0)
    row = np.broadcast_to(np.arange(len(candidates))[:, None], chosen.shape)
    return row[worth].astype(np.int64), np.radians(chosen[worth] + np.clip(shift[worth], -0.5, 0.5))


def moved(shapes: Shapes, turn: Floats, place: Floats) -> Shapes:
    """Return shapes turned about the origin [rad] and shifted; shapes (n,), turn (n,), place (n, 2)."""
    import shapely

    points, row = shapely.get_coordinates(shapes, return_index=True)
    cos, sin = np.cos(turn)[row], np.sin(turn)[row]
    x = cos * points[:, 0] - sin * points[:, 1] + place[row, 0]
    y = sin * points[:, 0] + cos * points[:, 1] + place[row, 1]
    return np.asarray(shapely.set_coordinates(shapes.copy(), np.column_stack([x, y])))


def overlap(a: Shapes, b: Shapes) -> Floats:
    """Return intersection over union of pairs, shape (n,)."""
    import shapely

    shared = shapely.area(shapely.intersection(a, b))
    return np.asarray(shared / (shapely.area(a) + shapely.area(b) - shared))


def refine(shapes: Shapes, targets: Shapes, turn: Floats, place: Floats, *, turn_limit: float | None) -> tuple[Floats, Floats, Floats]:
    """Return turn, place and overlap of pairs after a search in shrinking steps; all pairs at once.

    Parameters
    ----------
    turn_limit
        How far [rad] the turn may leave its start; None for no limit.
    """
    import shapely

    radius = np.maximum(np.sqrt(shapely.area(targets)), 1.0)
    start, turn, place = turn.copy(), turn.copy(), place.copy()
    best = overlap(moved(shapes, turn, place), targets)
    moves = np.array([[x, y, r] for x in (-1, 0, 1) for y in (-1, 0, 1) for r in (-1, 0, 1) if abs(x) + abs(y) + abs(r) in {1, 2}], float)
    step = np.full(len(shapes), _FIRST_STEP)
    for _ in range(40):
        active = np.flatnonzero(step >= _LAST_STEP)
        if not len(active):
            break
        row = np.repeat(active, len(moves))
        way = np.tile(moves, (len(active), 1)) * step[row][:, None]
        new_turn = turn[row] + way[:, 2] / radius[row]
        if turn_limit is not None:
            new_turn = np.clip(new_turn, start[row] - turn_limit, start[row] + turn_limit)
        new_place = place[row] + way[:, :2]
        value = overlap(moved(shapes[row], new_turn, new_place), targets[row]).reshape(len(active), -1)
        pick = value.argmax(axis=1)
        gain = value[np.arange(len(active)), pick]
        better = gain > best[active] + 1e-6
        at = np.arange(len(active)) * len(moves) + pick
        rows, at = active[better], at[better]
        turn[rows], place[rows], best[rows] = new_turn[at], new_place[at], gain[better]
        step[active[~better]] /= 2.0
    return turn, place, best
