"""What matching works on and what it gives: the objects of one class on either side, and the pairs found between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["Pairs", "Side", "Tolerances", "joined", "nothing", "side_of", "together"]

ALWAYS = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Tolerances:
    """How far apart the same thing may be in two sources."""

    iou: float = 0.5
    """Least intersection over union of polygons, and least share of two lines that run along each other, 0 to 1."""
    point: float = 2.0
    """Greatest distance of points [m]: a pole or a tree as two surveys place it."""
    line: float = 5.0
    """Greatest distance of lines, sideways [m]: one lane and a half between two drawings of a road's middle."""
    register: float = 10.0
    """Greatest distance of a register's point from the footprint it speaks of [m]: an address lies on the pavement."""


@dataclass(frozen=True)
class Pairs:
    """Matched pairs; a key may stand in several."""

    left: Ints
    """Shape (p,): key in the first city."""
    right: Ints
    """Shape (p,): key in the second city."""
    kind: NDArray[Any]
    """Shape (p,): ``same``; ``part`` - the right object is a part of the left; ``whole`` - the left object is a part of the right."""
    score: Reals
    """Shape (p,): 1 for identifiers, else how well the geometries agree, between 0 and 1."""
    evidence: NDArray[Any]
    """Shape (p,): text for people, with the alternatives."""
    rejected: tuple[str, ...] = ()
    """Pairs that an identifier claims and geometry denies, in words."""
    open: tuple[tuple[int, str], ...] = ()
    """Records of the second city that were not matched though candidates exist: key, and why with the candidates."""
    ambiguous: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    """Keys of `open` whose candidates are equally good: nothing was taken."""

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.left)


@dataclass(frozen=True)
class Side:
    """Objects of one class of one city."""

    keys: Ints
    """Shape (n,)."""
    shapes: NDArray[Any]
    """Shape (n,): footprints."""
    since: Ints
    """Shape (n,): start of validity [µs since 1970], a very small number where open."""
    until: Ints
    """Shape (n,): end of validity, exclusive."""
    city: City
    """Where they are from, for their ids."""

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.keys)

    def take(self, rows: Any) -> Side:
        """Return some of the objects."""
        return Side(self.keys[rows], self.shapes[rows], self.since[rows], self.until[rows], self.city)

    def ids(self, rows: Any) -> list[str]:
        """Return ids by row."""
        return self.city.ids(self.keys[rows])


def side_of(city: City, keys: Ints, shapes: NDArray[Any]) -> Side:
    """Return objects with their footprints and periods."""
    rows = city.core_rows(["valid_from", "valid_to"], keys)
    since, until = (_instants(rows[name], open_end) for name, open_end in (("valid_from", -ALWAYS), ("valid_to", ALWAYS)))
    return Side(keys, shapes, since, until, city)


def _instants(column: pa.ChunkedArray, open_end: int) -> Ints:
    if column.null_count == len(column):
        return np.full(len(column), open_end, np.int64)
    return np.asarray(column.cast(pa.int64()).fill_null(open_end).to_numpy(), np.int64)


def together(left: Side, right: Side, a: Ints, b: Ints) -> Flags:
    """Say which pairs of rows were ever valid at the same time; an open end lasts."""
    return np.asarray((left.since[a] < right.until[b]) & (right.since[b] < left.until[a]), bool)


def nothing() -> Pairs:
    """Return no pairs."""
    empty = np.empty(0, np.int64)
    return Pairs(empty, empty, np.empty(0, object), np.empty(0), np.empty(0, object))


def joined(parts: Iterable[Pairs]) -> Pairs:
    """Return the pairs of all parts."""
    every: Sequence[Pairs] = [nothing(), *parts]
    left, right, kind, score, evidence, ambiguous = (
        np.concatenate([getattr(part, name) for part in every])
        for name in ("left", "right", "kind", "score", "evidence", "ambiguous")
    )  # fmt: skip
    matched = set(right.tolist())  # what one way left open another may have found
    open_ = tuple((key, text) for part in every for key, text in part.open if key not in matched)
    rejected = tuple(text for part in every for text in part.rejected)
    return Pairs(left, right, kind, score, evidence, rejected, open_, ambiguous[~np.isin(ambiguous, right)])
