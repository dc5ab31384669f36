"""Polygons that are the same thing: by overlap, one to one where two agree closely, else in groups of wholes and parts.

One register's building may be another's three, and the other way round: what is left after the close pairs is judged as the connected
parts of the graph of pairs that share most of the smaller footprint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.fusion.pairs import Pairs, nothing, together
from cim.loaders.fusion.shared_area import shared_areas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.fusion.pairs import Flags, Ints, Reals, Side

__all__ = ["Links", "alternatives", "group_links", "match_polygons"]

CLOSE = 0.8
"""Two polygons with this intersection over union are one thing whatever else they touch; this share of a record inside is a part."""
UNCLEAR = 0.5
"""In a chain of several and several, a record whose best intersection over union stays below this is no object's own."""
SHOWN = 3
"""Alternatives that the evidence names."""


@dataclass(frozen=True)
class Links:
    """Candidate pairs of rows of two sides."""

    a: Ints
    """Shape (p,): row on the left."""
    b: Ints
    """Shape (p,): row on the right."""
    shared: Reals
    """Shape (p,): what they have in common, in the measure of `size` (square metres of polygons, metres of lines)."""
    size_a: Reals
    """Shape (n,): size of each on the left."""
    size_b: Reals
    """Shape (m,): size of each on the right."""

    @property
    def iou(self) -> Reals:
        """Shape (p,): what they share over what they cover together."""
        union = self.size_a[self.a] + self.size_b[self.b] - self.shared
        return np.asarray(np.minimum(self.shared / np.maximum(union, 1e-9), 1.0))

    @property
    def share(self) -> Reals:
        """Shape (p,): what they share over the smaller of the two."""
        return np.asarray(self.shared / np.maximum(np.minimum(self.size_a[self.a], self.size_b[self.b]), 1e-9))

    def take(self, rows: Any) -> Links:
        """Return some of the pairs."""
        return Links(self.a[rows], self.b[rows], self.shared[rows], self.size_a, self.size_b)


def match_polygons(left: Side, right: Side, minimum: float) -> Pairs:
    """Match valid polygons of one class.

    Parameters
    ----------
    left, right
        Sides; shapes that are None match nothing.
    minimum
        Least intersection over union of a pair or a group, 0 to 1.
    """
    links = _overlaps(left, right, minimum / 2)
    return group_links(links, left, right, minimum, "overlap", "m²")


def _overlaps(left: Side, right: Side, least: float) -> Links:
    """Return all pairs that may share at least this much of the smaller; boxes rule out most neighbours before any is cut."""
    import shapely

    size_a, size_b = (np.nan_to_num(shapely.area(side.shapes)) for side in (left, right))
    a, b = shapely.STRtree(right.shapes).query(left.shapes)
    box_a, box_b = (shapely.bounds(side.shapes) for side in (left, right))
    wide = np.minimum(box_a[a, 2:], box_b[b, 2:]) - np.maximum(box_a[a, :2], box_b[b, :2])
    possible = wide.clip(0).prod(axis=1) >= least * np.minimum(size_a[a], size_b[b])
    possible &= together(left, right, a, b)
    a, b = a[possible], b[possible]
    shared = shared_areas(left.shapes, right.shapes, a, b)
    links = Links(a, b, shared, size_a, size_b)
    return links.take(links.share >= least)


def group_links(links: Links, left: Side, right: Side, minimum: float, word: str, unit: str) -> Pairs:
    """Decide which links are matches: close pairs first, then records inside one of those, then groups.

    Parameters
    ----------
    word, unit
        What `Links.shared` is, for the evidence.
    """
    if not len(links.a):
        return nothing()
    kind = np.full(len(links.a), "", object)
    score = np.zeros(len(links.a))
    size = np.full((len(links.a), 2), 1)
    iou, strong = links.iou, links.share >= minimum
    close = _mutual_best(links, iou) & (iou >= max(CLOSE, minimum))
    kind[close], score[close] = "same", iou[close]
    settled = np.zeros(len(right), bool)
    settled[links.b[close]] = True
    led = np.zeros(len(left), bool)
    led[links.a[close]] = True
    inside = links.shared / np.maximum(links.size_b[links.b], 1e-9)
    part = ~settled[links.b] & led[links.a] & (inside >= CLOSE) & _best_of_right(links, inside)
    kind[part], score[part] = "part", inside[part].clip(max=1.0)
    settled[links.b[part]] = True
    rest = np.flatnonzero(strong & ~settled[links.b])
    _groups(links.take(rest), rest, minimum, led, kind, score, size)
    found = np.flatnonzero(kind != "")
    others = alternatives(links, kind != "", left, iou)
    evidence = [
        f"{word} {s:.1f} {unit}, IoU {i:.3f}" + ("" if x == y == 1 else f" of a group of {x} and {y}") + others.get(b, "")
        for s, i, (x, y), b in zip(
            links.shared[found].tolist(), score[found].tolist(), size[found].tolist(), links.b[found].tolist(), strict=True
        )
    ]
    settled[links.b[found]] = True
    missed = [b for b in others if not settled[b]]
    texts = [f"not matched, below {minimum:g}{others[b]}" for b in missed]
    open_ = tuple(zip(right.keys[missed].tolist(), texts, strict=True)) if missed else ()
    text = np.empty(len(found), object)
    text[:] = evidence
    chained = _chained(links.take(found), right, size[found])
    return Pairs(left.keys[links.a[found]], right.keys[links.b[found]], kind[found], score[found], text, rejected=chained, open=open_)


def _chained(links: Links, right: Side, size: Ints) -> tuple[str, ...]:
    """Name the records of chains in which none is clearly one of the objects: rows of houses half a house off."""
    if not len(links.a):
        return ()
    best = np.zeros(len(right))
    np.maximum.at(best, links.b, links.iou)
    unclear = np.flatnonzero((size > 1).all(axis=1) & (best[links.b] < UNCLEAR) & (links.size_b[links.b] > 0))
    records = np.unique(links.b[unclear])
    if not len(records):
        return ()
    named = ", ".join(map(repr, right.ids(records[:SHOWN])))
    several = f"{len(records)} records overlap several objects each, which overlap several of them ({named})"
    return (f"{several}: which is which is not certain, the sources may be shifted against each other",)


def _groups(links: Links, rows: Ints, minimum: float, led: Flags, kind: NDArray[Any], score: Reals, size: Ints) -> None:
    """Write kind, score and group size of the links whose connected group agrees well enough."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(links.a):
        return
    _, a = np.unique(links.a, return_inverse=True)
    _, b = np.unique(links.b, return_inverse=True)
    n, m = int(a.max()) + 1, int(b.max()) + 1
    _, label = connected_components(coo_array((np.ones(len(a)), (a, n + b)), shape=(n + m, n + m)), directed=False)
    of_pair, count = label[a], int(label.max()) + 1
    size_a, size_b = links.size_a[np.unique(links.a)], links.size_b[np.unique(links.b)]
    total = np.bincount(of_pair, links.shared, count)
    both = np.bincount(label[:n], size_a, count) + np.bincount(label[n:], size_b, count)
    iou = np.minimum(total / np.maximum(both - total, 1e-9), 1.0)[of_pair]
    x, y = np.bincount(label[:n], minlength=count)[of_pair], np.bincount(label[n:], minlength=count)[of_pair]
    words = np.where(x == 1, np.where((y == 1) & ~led[links.a], "same", "part"), "whole").astype(object)
    alone = np.bincount(b, minlength=m)[b] == 1
    words[(x > 1) & (y > 1) & alone] = "part"  # a right object that touches one left object only is a part of it
    good = iou >= minimum
    kind[rows[good]], score[rows[good]] = words[good], iou[good]
    size[rows[good]] = np.stack([x, y], axis=1)[good]


def _best_of_right(links: Links, value: Reals) -> Flags:
    """Say which links are the best of their right object; the first of equals."""
    order = np.lexsort((links.a, -value, links.b))
    first = np.concatenate([[True], np.diff(links.b[order]) != 0])
    best = np.zeros(len(value), bool)
    best[order[first]] = True
    return best


def _mutual_best(links: Links, value: Reals) -> Flags:
    turned = Links(links.b, links.a, links.shared, links.size_b, links.size_a)
    return _best_of_right(links, value) & _best_of_right(turned, value)


def alternatives(links: Links, taken: Flags, left: Side, value: Reals) -> dict[int, str]:
    """Return, by row on the right, the best links that were not taken, in words."""
    spare = np.flatnonzero(~taken)
    spare = spare[np.lexsort((-value[spare], links.b[spare]))]
    owner = links.b[spare]
    start = np.concatenate([[True], np.diff(owner) != 0]) if len(owner) else np.empty(0, bool)
    rank = np.arange(len(owner)) - np.flatnonzero(start)[np.cumsum(start) - 1] if len(owner) else owner
    spare, owner = spare[rank < SHOWN], owner[rank < SHOWN]
    texts: dict[int, list[str]] = {}
    for b, id, score in zip(owner.tolist(), left.ids(links.a[spare]), value[spare].tolist(), strict=True):
        texts.setdefault(b, []).append(f"{id!r} {score:.2f}")
    return {b: "; alternatives: " + ", ".join(words) for b, words in texts.items()}
