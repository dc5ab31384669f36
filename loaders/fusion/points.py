"""Points that are the same thing, and points that speak of a polygon: by nearness, and only where there is no second choice.

A pole or a tree of one survey is that of another when each is the other's nearest and the next one is clearly further off. The point of
a register (an address, a business, a permit) belongs to the footprint it lies in, else to the nearest one within reach; where two are
about as near it is left open and named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.fusion.pairs import Pairs, nothing, together

if TYPE_CHECKING:
    from cim.loaders.fusion.pairs import Ints, Reals, Side

__all__ = ["match_points", "match_register"]

CLEAR = 2.0
"""The next candidate must be this many times as far off."""
SHOWN = 3
"""Candidates that a message names."""


def match_points(left: Side, right: Side, within: float) -> Pairs:
    """Match points of one class that are each other's nearest.

    Parameters
    ----------
    left, right
        Sides; shapes are points.
    within
        Greatest distance [m].

    Notes
    -----
    The score is 1 at the same place and 0.5 at the greatest distance. Where the next candidate of either side is less than `CLEAR`
    times as far, the record is in ``open`` and ``ambiguous``.
    """
    import shapely

    if not len(left) or not len(right):
        return nothing()
    a, b = shapely.STRtree(left.shapes).query(right.shapes, predicate="dwithin", distance=CLEAR * within)[::-1]
    alive = together(left, right, a, b)
    a, b = a[alive], b[alive]
    gap = np.asarray(shapely.distance(left.shapes[a], right.shapes[b]), float)
    first_a, next_a = _two_nearest(a, gap, len(left))
    first_b, next_b = _two_nearest(b, gap, len(right))
    row = np.arange(len(gap))
    mutual = (first_a[a] == row) & (first_b[b] == row) & (gap <= within)
    rival = np.minimum(next_a[a], next_b[b])
    clear = mutual & (rival >= CLEAR * gap) & (rival > 0)
    kind, score = np.full(int(clear.sum()), "same", object), 1.0 - 0.5 * gap[clear] / within
    text = [
        f"distance {d:.2f} m" + (f", the next {n:.2f} m" if np.isfinite(n) else "")
        for d, n in zip(gap[clear].tolist(), rival[clear].tolist(), strict=True)
    ]
    taken = np.zeros(len(right), bool)
    taken[b[clear]] = True
    unsure = np.unique(b[~taken[b] & (gap <= within)])
    used = np.zeros(len(left), bool)
    used[a[clear]] = True
    unsure = unsure[np.isin(unsure, b[~used[a] & (gap <= within)])]  # candidates that another has are no candidates
    return _result(left, right, a[clear], b[clear], kind, score, text, _candidates(left, unsure, a, b, gap, within), unsure)


def match_register(left: Side, right: Side, within: float) -> Pairs:
    """Match points of a register with the polygons they speak of: those that hold them, else the nearest within reach.

    Parameters
    ----------
    left
        Polygons.
    right
        Points.
    within
        Greatest distance of a point from its polygon [m].

    Notes
    -----
    The score is 1 inside, and 1 at the wall falling to 0.5 at the greatest distance outside. A polygon that several points speak of gets
    each as a ``part``; a single one is the ``same``.
    """
    import shapely

    if not len(left) or not len(right):
        return nothing()
    reach = CLEAR * within
    b, a = shapely.STRtree(left.shapes).query(right.shapes, predicate="dwithin", distance=reach)
    alive = together(left, right, a, b)
    a, b = a[alive], b[alive]
    gap = np.asarray(shapely.distance(left.shapes[a], right.shapes[b]), float)
    first, rival = _two_nearest(b, gap, len(right))
    row = np.arange(len(gap))
    near = (first[b] == row) & (gap <= within)
    clear = near & (rival[b] >= CLEAR * gap) & (rival[b] > 0)
    count = np.bincount(a[clear], minlength=len(left))
    kind = np.where(count[a[clear]] == 1, "same", "part").astype(object)
    score = 1.0 - 0.5 * gap[clear] / within
    text = ["inside the footprint" if d == 0 else f"{d:.2f} m from the footprint" for d in gap[clear].tolist()]
    unsure = b[near & ~clear]
    return _result(left, right, a[clear], b[clear], kind, score, text, _candidates(left, unsure, a, b, gap, within), unsure)


def _two_nearest(group: Ints, gap: Reals, count: int) -> tuple[Ints, Reals]:
    """Return, per group, the row of its smallest gap (-1 for none) and its second smallest gap (infinite for none)."""
    order = np.lexsort((gap, group))
    own, at = np.unique(group[order], return_index=True)
    first, rival = np.full(count, -1, np.int64), np.full(count, np.inf)
    first[own] = order[at]
    second = at + 1
    more = second < np.append(at[1:], len(order))
    rival[own[more]] = gap[order[second[more]]]
    return first, rival


def _candidates(left: Side, unsure: Ints, a: Ints, b: Ints, gap: Reals, within: float) -> list[str]:
    """Return, per row left open, the candidates in words."""
    near = np.flatnonzero(np.isin(b, unsure) & (gap <= CLEAR * within))
    near = near[np.lexsort((gap[near], b[near]))]
    names: dict[int, list[str]] = {}
    for row, id, distance in zip(b[near].tolist(), left.ids(a[near]), gap[near].tolist(), strict=True):
        names.setdefault(row, []).append(f"{id!r} {distance:.2f} m")
    return ["ambiguous, not matched; candidates: " + ", ".join(names[row][:SHOWN]) for row in unsure.tolist()]


def _result(
    left: Side, right: Side, a: Ints, b: Ints, kind: Any, score: Reals, texts: list[str], open_texts: list[str], unsure: Ints
) -> Pairs:
    text = np.empty(len(texts), object)
    text[:] = texts
    keys = right.keys[unsure]
    return Pairs(left.keys[a], right.keys[b], kind, score, text, open=tuple(zip(keys.tolist(), open_texts, strict=True)), ambiguous=keys)
