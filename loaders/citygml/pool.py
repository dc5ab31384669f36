"""Every ring, line and point of a file in one pool: texts are gathered while the file streams by and become numbers in large batches.

A leaf is a polygon, a line or a point; it owns rings (one for a line or point). Geometry refers to leaves by number, twice the number
plus one where the leaf is to be run backwards.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["LINE", "POINT", "SURFACE", "Pool", "Rings", "numbers"]

POINT, LINE, SURFACE = 0, 1, 2
_BATCH = 8_000_000  # characters turned into numbers at a time
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?(?:nan|inf|NaN|INF)", re.ASCII)


def numbers(texts: Sequence[str]) -> tuple[Reals, Ints, Flags]:
    """Return the numbers in texts one after the other, how many each text holds, and which texts hold something else (0 numbers).

    Examples
    --------
    >>> values, count, bad = numbers(["1 2.5", "3,0 4", " 5 "])
    >>> values.tolist(), count.tolist(), bad.tolist()
    ([1.0, 2.5, 5.0], [2, 0, 1], [False, True, False])
    """
    if not len(texts):
        return np.empty(0), np.empty(0, np.int64), np.empty(0, bool)
    lists = pc.ascii_split_whitespace(pc.ascii_trim_whitespace(pa.array(texts, pa.large_string())))
    try:
        values = np.asarray(lists.values.cast(pa.float64()).to_numpy(zero_copy_only=False), float)
    except pa.ArrowInvalid:
        return _halved(texts)
    count = np.asarray(np.diff(np.asarray(lists.offsets.to_numpy(), np.int64)), np.int64)
    return values, count, np.zeros(len(texts), bool)


def _halved(texts: Sequence[str]) -> tuple[Reals, Ints, Flags]:
    """Find the texts that hold something else than numbers."""
    if len(texts) == 1:
        words = texts[0].split()
        if words and all(_NUMBER.fullmatch(word) for word in words):
            return np.array([float(word) for word in words]), np.array([len(words)]), np.array([False])
        return np.empty(0), np.array([0]), np.array([True])
    half = len(texts) // 2
    left, right = numbers(texts[:half]), numbers(texts[half:])
    return (np.concatenate([left[0], right[0]]), np.concatenate([left[1], right[1]]), np.concatenate([left[2], right[2]]))


@dataclass
class Rings:
    """The pool as arrays."""

    points: Reals
    """Shape (v, 3) as the file gives them; height 0 where there is none."""
    start: Ints
    """Shape (r + 1,), into `points`."""
    leaf: Ints
    """Shape (r,): the leaf of each ring, ascending; the first ring of a surface is its outer one."""
    fault: NDArray[np.int8]
    """Shape (r,): what is wrong with a ring, an index of `Rings.FAULTS`."""
    flat: Flags
    """Shape (r,): whether the file gives no heights."""
    kind: NDArray[np.int8]
    """Shape (n,): POINT, LINE or SURFACE of each leaf."""
    srs: Ints
    """Shape (n,): which coordinate system each leaf is in."""
    reread: int = 0
    """Rings that close with two coordinates per point and not with the three stated, and are read so."""

    FAULTS = (
        "", "holds what is no number (a decimal comma?)", "has a number of coordinates that its dimension does not divide",
        "holds NaN or infinite coordinates", "has fewer than three different corners", "has no image in the coordinate system of the model",
    )  # fmt: skip

    def size(self) -> Ints:
        """Return the points of each ring."""
        return np.diff(self.start)


class Pool:
    """Collects leaves."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._waiting = 0
        self._values: list[Reals] = []
        self._counts: list[Ints] = []
        self._bad: list[Flags] = []
        self._dimension: list[int] = []
        self._ring_leaf: list[int] = []
        self.kind: list[int] = []
        self._srs: list[int] = []
        self.ring_ids: dict[str, int] = {}
        """Ring by gml:id; the first one where an id is used twice."""

    def leaf(self, kind: int, srs: int) -> int:
        """Begin a leaf and return its number."""
        self.kind.append(kind)
        self._srs.append(srs)
        return len(self.kind) - 1

    @property
    def leaves(self) -> int:
        """Number of leaves so far."""
        return len(self.kind)

    def set_srs(self, first: int, srs: int) -> bool:
        """Put all leaves from `first` on into one coordinate system; return whether any was in another."""
        others = any(one != srs for one in self._srs[first:])
        self._srs[first:] = [srs] * (len(self._srs) - first)
        return others

    def ring(self, text: str, dimension: int, id: str | None = None) -> None:
        """Add a ring to the leaf begun last; `text` holds its coordinates."""
        if id is not None:
            self.ring_ids.setdefault(id, len(self._ring_leaf))
        self._ring_leaf.append(len(self.kind) - 1)
        self._dimension.append(dimension)
        self._texts.append(text)
        self._waiting += len(text)
        if self._waiting > _BATCH:
            self._flush()

    def _flush(self) -> None:
        values, counts, bad = numbers(self._texts)
        self._values.append(values)
        self._counts.append(counts)
        self._bad.append(bad)
        self._texts, self._waiting = [], 0

    def rings(self) -> Rings:
        """Return everything as arrays; the texts are gone afterwards."""
        self._flush()
        values = np.concatenate(self._values)
        counts, bad = np.concatenate(self._counts), np.concatenate(self._bad)
        dimension = np.asarray(self._dimension, np.int64)
        surface = np.asarray(self.kind, np.int8)[np.asarray(self._ring_leaf, np.int64)] == SURFACE
        flat = surface & (dimension == 3) & _closes_flat(values, counts)
        dimension[flat] = 2
        fault = np.where(bad, 1, 0).astype(np.int8)
        fault[(fault == 0) & ((counts % np.maximum(dimension, 1) != 0) | ~np.isin(dimension, (2, 3)))] = 2
        first = np.concatenate([[0], np.cumsum(counts)])[:-1]
        size = np.where(fault == 0, counts // np.maximum(dimension, 1), 0)
        start = np.concatenate([[0], np.cumsum(size)])
        points = _three(values, first, size, start, dimension)
        wild = np.flatnonzero(~np.isfinite(points).all(axis=1))
        fault[np.unique(np.searchsorted(start, wild, side="right") - 1)] = 3
        return Rings(points, start, np.asarray(self._ring_leaf, np.int64), fault, dimension == 2,
                     np.asarray(self.kind, np.int8), np.asarray(self._srs, np.int64), int(flat.sum()))  # fmt: skip


def _closes_flat(values: Reals, counts: Ints) -> Flags:
    """Return which lists come back to their start with two coordinates per point, and not with three."""
    out = np.zeros(len(counts), bool)
    full = np.flatnonzero((counts >= 8) & (counts % 2 == 0))
    end = np.cumsum(counts)[full]
    first, last = (end - counts[full])[:, None], end[:, None]
    axes = np.arange(3)
    deep = (counts[full] % 3 == 0) & (values[first + axes] == values[last - 3 + axes]).all(axis=1)
    out[full] = ~deep & (values[first + axes[:2]] == values[last - 2 + axes[:2]]).all(axis=1)
    return out


def _three(values: Reals, first: Ints, size: Ints, start: Ints, dimension: Ints) -> Reals:
    if (dimension == 3).all() and size.sum() * 3 == len(values):
        return np.asarray(values.reshape(-1, 3))
    points = np.zeros((int(start[-1]), 3))
    place = np.repeat(first - start[:-1] * dimension, size) + np.arange(len(points)) * np.repeat(dimension, size)
    deep = np.repeat(dimension == 3, size)
    points[:, 0], points[:, 1] = values[place], values[place + 1]
    points[deep, 2] = values[place[deep] + 2]
    return points
