"""A building without a place among known footprints: found by its shape, or honestly not found.

The outline is drawn in or out until its area meets a candidate's (eaves, thickness of walls), turned by the turns that bring
their edge directions together, laid centroid on centroid, and moved to the best overlap. Houses in a row look alike: a building is
found only when it fits well and clearly better than every other one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.loaders.fusion.fit_shapes import Offsets, directions, moved, offsets_of, plain_polygons, refine, turns
from cim.loaders.fusion.fit_shapes import overlap as overlap_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Shapes = NDArray[Any]

__all__ = ["Fit", "fit_outline"]

_OFFSET = 0.6  # m: eaves and half walls
_SHED = 0.1  # score lost per metre of offset
_SCORE = 0.90
# Gap: area between outline and footprint per metre of outline, a mean distance [m]. A look-alike within 4 cm all around is hard to
# come by, so the next building need only be 3.3 times as far; otherwise 8 times. When the building is known to be among the candidates,
# 2 and 3 times. Set on 400 buildings of two Dutch places, tried on others: see the tests.
_CLOSE = 0.04
_RATIO = {True: (0.30, 0.12), False: (0.50, 0.33)}  # by may_be_absent: gap / next gap when close, and otherwise
_UNSEEN = 1.25  # m: the next building is taken to be no farther, since few candidates do not make a look-alike rarer
_STEP = 0.04  # m: least difference to the next building
# Least difference of score, per metre of area by perimeter: large blocks of one design differ by more metres than small houses.
_MARGIN, _MARGIN_LEAST, _MARGIN_MOST = 0.012, 0.02, 0.06
_WIDE, _WIDE_GAP = 0.35, 0.1  # m: offsets beyond common eaves fit many a smaller house; gap per metre more
_TWIN = 0.05  # m: least difference to the same building turned
_TURNED = math.radians(15.0)
_TURNS = 8
_REFINED = 12
_KNOWN_NORTH = math.radians(3.0)  # grid convergence, and what a compass or a site plan is good to
_HEIGHT = 0.02  # m of gap per metre of difference in height
_HEIGHT_MOST = 3.0  # m


@dataclass(frozen=True)
class Fit:
    """Where an outline fits, and how surely."""

    verdict: str
    """"found", "ambiguous" (it fits, but also elsewhere or turned) or "unknown" (it fits nowhere)."""
    candidate: int | None
    """Index of the best candidate, None when none is of like size."""
    matrix: NDArray[np.float64] | None
    """Frame of the outline -> frame of the candidates, shape (3, 3): a turn and a shift."""
    score: float
    """Overlap (intersection over union), less 0.1 per metre of offset."""
    margin: float
    """Score less that of the second candidate."""
    offset: float
    """By how much the outline was drawn out (in, when negative) [m]."""
    reason: str
    alternatives: tuple[tuple[int, float], ...] = ()
    """Other candidates and their scores, best first."""
    overlap: float = 0.0
    """Intersection over union after the offset."""
    gap: float = math.inf
    """Mean distance between the outlines after the offset [m]."""


def fit_outline(
    outline: Any,
    candidates: Sequence[Any] | NDArray[Any],
    *,
    height: float | None = None,
    candidate_heights: Sequence[float | None] | None = None,
    rotation: float | None = None,
    near: tuple[float, float, float] | None = None,
    may_be_absent: bool = True,
) -> Fit:
    """Return which candidate the outline is, and the rigid motion that puts it there.

    Parameters
    ----------
    outline
        Polygon of the building, in metres, in any frame.
    candidates : shape (n,)
        Polygons in one metric frame; None is skipped.
    height, candidate_heights
        Heights above ground [m]; they break ties and never veto, since measured roofs and modelled ones differ by metres.
    rotation
        Known turn from the outline's frame to the candidates' [rad], counter-clockwise, good to 3 degrees.
    near
        East and north of the outline's centroid and how far it may be off [m].
    may_be_absent
        Whether the building may be missing among the candidates; more is asked for then.

    Raises
    ------
    UsageError
        If the outline has no area, or there are not as many heights as candidates.
    """
    import shapely

    shape = plain_polygons([outline])[0]
    if shape is None:
        msg = "the outline has no area; a polygon in metres is needed"
        raise UsageError(msg)
    known = np.array(candidates, object)
    if candidate_heights is not None and len(candidate_heights) != len(known):
        msg = f"{len(candidate_heights)} heights for {len(known)} candidates"
        raise UsageError(msg)
    offsets = offsets_of(shape, _OFFSET)
    area = np.nan_to_num(shapely.area(known))
    likely = (area > 0.0) & (area >= 0.5 * offsets.area[0]) & (area <= 2.0 * offsets.area[-1])
    known[likely] = plain_polygons(known[likely])
    area[likely] = np.nan_to_num(shapely.area(known[likely]))
    kept = np.flatnonzero(likely & (area >= offsets.area[0]) & (area <= offsets.area[-1]) & _is_near(known, near))
    if not len(kept):
        where = " near its place" if near is not None else ""
        return Fit("unknown", None, None, 0.0, 0.0, 0.0, f"no footprint of like size{where} (area {shapely.area(shape):.1f} m²)")
    found = _fits(offsets, known, kept, area, rotation=rotation)
    thickness = float(shapely.area(shape) / shapely.length(shape))
    wide = _WIDE_GAP * np.maximum(np.abs(found.offset) - _WIDE, 0.0)
    gap = thickness * 2 * (1 - found.overlap) / (1 + found.overlap) + wide + _height_gap(found, height, candidate_heights)
    margin = min(max(_MARGIN * thickness, _MARGIN_LEAST), _MARGIN_MOST) if may_be_absent else _MARGIN_LEAST
    return _verdict(found, gap, offsets, rotation=rotation, ratios=_RATIO[may_be_absent], margin_needed=margin)


def _is_near(known: Shapes, near: tuple[float, float, float] | None) -> NDArray[np.bool_]:
    import shapely

    if near is None:
        return np.ones(len(known), bool)
    centre = shapely.centroid(known)
    return np.asarray(np.hypot(shapely.get_x(centre) - near[0], shapely.get_y(centre) - near[1]) <= near[2] + 1.0)


@dataclass(frozen=True)
class _Fits:
    """Refined fits, one per row."""

    candidate: Ints
    turn: Floats
    place: Floats
    offset: Floats
    overlap: Floats


def _fits(offsets: Offsets, known: Shapes, kept: Ints, area: Floats, *, rotation: float | None) -> _Fits:
    """Return the refined fits of an outline onto the candidates `kept`."""
    import shapely

    own = directions(np.array([offsets.shapes[len(offsets.step) // 2]], object))
    if rotation is None:
        row, turn = turns(own[0], directions(known[kept]), _TURNS)
    else:
        row, turn = np.arange(len(kept)), np.full(len(kept), float(rotation))
    candidate = kept[row]
    offset = np.interp(area[candidate], offsets.area, offsets.step)
    nearest = np.abs(offset[:, None] - offsets.step[None, :]).argmin(axis=1)
    centre = shapely.get_coordinates(shapely.centroid(known[candidate]))
    rough = moved(offsets.shapes[nearest], turn, centre)
    score = overlap_of(rough, known[candidate]) - _SHED * np.abs(offset)
    best = _worth_refining(candidate, score)
    drawn = shapely.buffer(
        np.full(len(best), offsets.shapes[len(offsets.step) // 2], object), offset[best], join_style="mitre", mitre_limit=3.0
    )
    limit = None if rotation is None else _KNOWN_NORTH
    fine_turn, place, overlap = refine(drawn, known[candidate[best]], turn[best], centre[best], turn_limit=limit)
    return _Fits(candidate[best], fine_turn, place, offset[best], overlap)


def _worth_refining(candidate: Ints, score: Floats) -> Ints:
    """Return the best rows: of the best candidates every good turn, of the others the best turn."""
    order = np.argsort(-score, kind="stable")
    _, first = np.unique(candidate[order], return_index=True)
    leaders = order[np.sort(first)][:_REFINED]
    others = order[:_REFINED]
    return np.unique(np.concatenate([leaders, others]))


def _height_gap(found: _Fits, height: float | None, heights: Sequence[float | None] | None) -> Floats:
    """Return what a difference in height adds to the gap [m]; nothing where a height is not known."""
    if height is None or heights is None:
        return np.zeros(len(found.candidate))
    own = np.array([math.nan if value is None else value for value in heights], float)[found.candidate]
    return np.asarray(np.nan_to_num(_HEIGHT * np.minimum(np.abs(own - height), _HEIGHT_MOST)))


def _verdict(
    found: _Fits, gap: Floats, offsets: Offsets, *, rotation: float | None, ratios: tuple[float, float], margin_needed: float
) -> Fit:
    order = np.argsort(gap, kind="stable")
    best = int(order[0])
    score = found.overlap - _SHED * np.abs(found.offset)
    other = order[found.candidate[order] != found.candidate[best]]
    _, first = np.unique(found.candidate[other], return_index=True)
    other = other[np.sort(first)]
    margin = float(score[best] - (score[other].max() if len(other) else 0.0))
    following = min(float(gap[other[0]]), _UNSEEN) if len(other) else _UNSEEN
    turned = np.abs((found.turn - found.turn[best] + math.pi) % math.tau - math.pi) > _TURNED
    twin = gap[turned & (found.candidate == found.candidate[best])].min(initial=math.inf)
    own = float(gap[best])
    needed = ratios[0] if own <= _CLOSE else ratios[1]
    fits = f"overlap {found.overlap[best]:.3f}, offset {found.offset[best]:+.2f} m, mean distance {own:.3f} m"
    fits += f", the next {_next(other, gap)}"
    if score[best] < _SCORE:
        verdict, reason = "unknown", f"no footprint fits: {fits}; score {score[best]:.3f}, needed {_SCORE}"
    elif own > needed * following or following - own < _STEP or margin < margin_needed:
        asked = f"needed {max(own / needed, own + _STEP):.3f} m; margin {margin:.3f}, needed {margin_needed:.3f}"
        verdict, reason = "ambiguous", f"another footprint fits too, or might: {fits}, {asked}"
    elif twin - own < _TWIN and rotation is None:
        verdict, reason = "ambiguous", f"it fits turned too, and no north is known: {fits}"
    else:
        verdict, reason = "found", fits
    return Fit(
        verdict, int(found.candidate[best]), _matrix(float(found.turn[best]), found.place[best], offsets.centre), float(score[best]),
        margin, float(found.offset[best]), reason, tuple((int(found.candidate[i]), round(float(score[i]), 4)) for i in other[:8]),
        float(found.overlap[best]), own,
    )  # fmt: skip


def _next(other: Ints, gap: Floats) -> str:
    return f"{gap[other[0]]:.3f} m" if len(other) else "one is of another size or place"


def _matrix(turn: float, place: Floats, centre: Floats) -> Floats:
    cos, sin = math.cos(turn), math.sin(turn)
    matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    matrix[:2, 2] = place - matrix[:2, :2] @ centre
    return matrix
