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
_MARGIN = 0.05
_MARGIN_ABSENT = 0.08
_TWIN = 0.05
_TURNED = math.radians(15.0)
_TURNS = 8
_REFINED = 12
_KNOWN_NORTH = math.radians(3.0)  # grid convergence, and what a compass or a site plan is good to
_HEIGHT = 0.02  # score lost per metre of difference in height, at most
_HEIGHT_MOST = 0.03


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


def fit_outline(  # noqa: PLR0913  # what is known about a building besides its shape
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
        Whether the building may be missing among the candidates; a larger margin is asked for then.

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
    known = plain_polygons(candidates)
    if candidate_heights is not None and len(candidate_heights) != len(known):
        msg = f"{len(candidate_heights)} heights for {len(known)} candidates"
        raise UsageError(msg)
    offsets = offsets_of(shape, _OFFSET)
    area = np.where(known == None, 0.0, shapely.area(known))  # noqa: E711  # elementwise
    kept = np.flatnonzero((area >= offsets.area[0]) & (area <= offsets.area[-1]) & _is_near(known, near))
    if not len(kept):
        where = " near its place" if near is not None else ""
        return Fit("unknown", None, None, 0.0, 0.0, 0.0, f"no footprint of like size{where} (area {shapely.area(shape):.1f} m²)")
    found = _fits(shape, offsets, known, kept, area, rotation=rotation)
    found = _with_heights(found, height, candidate_heights)
    return _verdict(found, offsets, rotation=rotation, margin_needed=_MARGIN_ABSENT if may_be_absent else _MARGIN)


def _is_near(known: Shapes, near: tuple[float, float, float] | None) -> NDArray[np.bool_]:
    import shapely

    if near is None:
        return np.ones(len(known), bool)
    centre = shapely.centroid(known)
    return np.asarray(np.hypot(shapely.get_x(centre) - near[0], shapely.get_y(centre) - near[1]) <= near[2] + 1.0)


@dataclass(frozen=True)
class _Fits:
    """Refined fits, one per row, best first."""

    candidate: Ints
    turn: Floats
    place: Floats
    offset: Floats
    overlap: Floats
    score: Floats

    def ordered(self, score: Floats) -> _Fits:
        order = np.argsort(-score, kind="stable")
        rows = (self.candidate, self.turn, self.place, self.offset, self.overlap, score)
        return _Fits(*(row[order] for row in rows))


def _fits(shape: Any, offsets: Offsets, known: Shapes, kept: Ints, area: Floats, *, rotation: float | None) -> _Fits:
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
    made = _Fits(candidate[best], fine_turn, place, offset[best], overlap, overlap)
    return made.ordered(overlap - _SHED * np.abs(offset[best]))


def _worth_refining(candidate: Ints, score: Floats) -> Ints:
    """Return the best rows: of the best candidates every good turn, of the others the best turn."""
    order = np.argsort(-score, kind="stable")
    _, first = np.unique(candidate[order], return_index=True)
    leaders = order[np.sort(first)][:_REFINED]
    others = order[:_REFINED]
    return np.unique(np.concatenate([leaders, others]))


def _with_heights(found: _Fits, height: float | None, heights: Sequence[float | None] | None) -> _Fits:
    if height is None or heights is None:
        return found
    own = np.array([math.nan if value is None else value for value in heights], float)[found.candidate]
    lost = np.nan_to_num(np.minimum(np.abs(own - height) * _HEIGHT, _HEIGHT_MOST))
    return found.ordered(found.score - lost)


def _verdict(found: _Fits, offsets: Offsets, *, rotation: float | None, margin_needed: float) -> Fit:
    _, first = np.unique(found.candidate, return_index=True)
    ranked = np.sort(first)
    best = 0
    others = tuple((int(found.candidate[i]), round(float(found.score[i]), 4)) for i in ranked[1:])
    margin = float(found.score[best]) - (others[0][1] if others else 0.0)
    same = (found.candidate == found.candidate[best]) & (found.score > found.score[best] - _TWIN)
    apart = np.abs((found.turn - found.turn[best] + math.pi) % math.tau - math.pi) > _TURNED
    twin = bool((same & apart).any()) and rotation is None
    score = float(found.score[best])
    fits = f"overlap {found.overlap[best]:.3f}, offset {found.offset[best]:+.2f} m, score {score:.3f}, margin {margin:.3f}"
    if score < _SCORE:
        verdict, reason = "unknown", f"no footprint fits: {fits}, needed score {_SCORE}"
    elif margin < margin_needed:
        verdict, reason = (
            "ambiguous",
            f"{1 + sum(s > score - margin_needed for _, s in others)} footprints fit alike: {fits}, needed margin {margin_needed}",
        )
    elif twin:
        verdict, reason = "ambiguous", f"it fits turned too, and no north is known: {fits}"
    else:
        verdict, reason = "found", fits
    matrix = _matrix(float(found.turn[best]), found.place[best], offsets.centre)
    return Fit(
        verdict,
        int(found.candidate[best]),
        matrix,
        score,
        margin,
        float(found.offset[best]),
        reason,
        others[:8],
        float(found.overlap[best]),
    )


def _matrix(turn: float, place: Floats, centre: Floats) -> Floats:
    cos, sin = math.cos(turn), math.sin(turn)
    matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    matrix[:2, 2] = place - matrix[:2, :2] @ centre
    return matrix
