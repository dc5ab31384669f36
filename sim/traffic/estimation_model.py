"""What counts say of trips: the Gauss-Newton steps of `estimation`, in the space of the counts.

The logarithms x of the factors of all pairs are normal beforehand: the sum of a share of all pairs, of the origin, of the destination and
of the pair alone, with covariance K. Counts are normal around P q with covariance R. Every x that counts can lead to is K w with w in the
row space of the counts' slopes J = P diag(q), so that a step solves for as many unknowns as there are counts:
x = K Jt (J K Jt + R)^-1 (c - P q + J x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["CountModel", "Spread"]

_STEPS = 30
"""Gauss-Newton steps for each assignment, at most."""
_SETTLED = 1e-4
"""Relative gain of a step below which it was the last one."""
_HALVINGS = 12
"""Lengths of a step that are tried."""
_LARGE = 20.0
"""exp(20) times the trips beforehand is beyond any count."""
_CELLS = 1000
"""Pairs, drawn evenly by trips, that stand for all when their variance is told."""


@dataclass(frozen=True)
class Spread:
    """How far the trips known beforehand may be off: standard deviations of the logarithm."""

    total: float = 0.3
    """Of all pairs together."""
    origin: float = 0.25
    destination: float = 0.25
    """Of all pairs of a zone together."""
    cell: float = 0.5
    """Of one pair alone. Too small a value costs more than too large a one."""


@dataclass(frozen=True)
class CountModel:
    """What is known beforehand, and the counts."""

    origin: Ints
    destination: Ints
    """Zones of the pairs, shape (pairs,), numbered from 0 without gaps."""
    spread: Spread
    counts: Reals
    variance: Reals
    """Of the counts."""

    @classmethod
    def of(cls, origin: Ints, destination: Ints, spread: Spread, counts: Reals, count_geh: float) -> CountModel:
        """Return the model of pairs of nodes."""
        one, other = (np.unique(ends, return_inverse=True)[1].astype(np.int64) for ends in (origin, destination))
        return cls(one, other, spread, counts, count_geh**2 * np.maximum(counts, 1.0))

    def likely(self, shares: Any, trips: Reals, dual: Reals) -> tuple[Reals, Reals]:
        """Return w of the most likely x = K w, and x, for shares of pairs on counted links, shape (counts, pairs), from a first w on."""
        log = self.spread_out(dual)
        cost = self.cost(shares @ (trips * np.exp(log)), dual, log)
        for _ in range(_STEPS):
            model = trips * np.exp(log)
            slope, _, matrix = self._seen(shares, model)
            target = slope.T @ np.linalg.solve(matrix, self.counts - shares @ model + slope @ log)
            reach = self.spread_out(target)
            for step in 0.5 ** np.arange(_HALVINGS):  # a whole step may lead beyond the valley
                both = dual + step * (target - dual), log + step * (reach - log)
                new = self.cost(shares @ (trips * np.exp(np.minimum(both[1], _LARGE))), *both)
                if new < cost:
                    break
            else:
                return dual, log
            (dual, log), last, cost = both, cost, new
            if last - cost < _SETTLED * cost:
                break
        return dual, log

    def cost(self, flow: Reals, dual: Reals, log: Reals) -> float:
        """Return minus twice the logarithm of how likely x = K w is whose trips give these flows, but for a constant."""
        miss = self.counts - flow
        return float(miss @ (miss / self.variance) + dual @ log)

    def left_open(self, shares: Any, trips: Reals) -> dict[str, float]:
        """Return the share of the variance beforehand that the counts leave open."""
        slope, (by_origin, by_destination, whole), matrix = self._seen(shares, trips)
        s, pairs = self.spread, len(trips)
        lower = np.linalg.cholesky(matrix)

        def left(groups: Any) -> Reals:
            """Return it for weights of pairs in groups, sparse, shape (pairs, groups)."""
            sums = [_sum_over(one, pairs).T @ groups for one in (self.origin, self.destination)]
            seen = (s.cell**2 * (slope @ groups).toarray() + s.origin**2 * by_origin @ sums[0].toarray()
                    + s.destination**2 * by_destination @ sums[1].toarray() + s.total**2 * np.outer(whole, _ones(groups)))  # fmt: skip
            known = (s.cell**2 * _squares(groups) + s.origin**2 * _squares(sums[0]) + s.destination**2 * _squares(sums[1])
                     + s.total**2 * _ones(groups) ** 2)  # fmt: skip
            return np.asarray(1.0 - (np.linalg.solve(lower, seen) ** 2).sum(0) / known, float)

        cells = np.unique(np.searchsorted(np.cumsum(trips), (np.arange(_CELLS) + 0.5) / _CELLS * trips.sum()).clip(max=pairs - 1))
        return {
            "total": float(left(_weights(np.zeros(pairs, np.int64), trips))[0]),
            "origins": float(np.median(left(_weights(self.origin, trips)))),
            "destinations": float(np.median(left(_weights(self.destination, trips)))),
            "pairs": float(np.mean(left(_sum_over(np.arange(pairs), pairs)[:, cells]))),
        }

    def _seen(self, shares: Any, trips: Reals) -> tuple[Any, tuple[Reals, Reals, Reals], Reals]:
        """Return how counts change with x, its sums over origins, destinations and all pairs, and J K Jt + R."""
        from scipy.sparse import diags_array

        s, pairs = self.spread, len(trips)
        slope = (shares @ diags_array(trips)).tocsr()
        by_origin, by_destination = ((slope @ _sum_over(one, pairs)).toarray() for one in (self.origin, self.destination))
        whole = by_origin.sum(1)
        matrix = (s.cell**2 * (slope @ slope.T).toarray() + s.origin**2 * by_origin @ by_origin.T
                  + s.destination**2 * by_destination @ by_destination.T + s.total**2 * np.outer(whole, whole))  # fmt: skip
        return slope, (by_origin, by_destination, whole), matrix + np.diag(self.variance)

    def spread_out(self, values: Reals) -> Reals:
        """Return K times values of the pairs."""
        s = self.spread
        return np.asarray(
            s.cell**2 * values
            + s.origin**2 * np.bincount(self.origin, values)[self.origin]
            + s.destination**2 * np.bincount(self.destination, values)[self.destination]
            + s.total**2 * values.sum(),
            float,
        )


def _sum_over(zone: Ints, pairs: int) -> Any:
    """Return the sparse matrix that sums pairs over zones, shape (pairs, zones)."""
    from scipy.sparse import csr_array

    return csr_array((np.ones(pairs), (np.arange(pairs), zone)), shape=(pairs, int(zone.max(initial=-1)) + 1))


def _weights(zone: Ints, trips: Reals) -> Any:
    """Return the share of each pair in the trips of its zone, shape (pairs, zones)."""
    from scipy.sparse import diags_array

    return (diags_array(trips / np.bincount(zone, trips)[zone]) @ _sum_over(zone, len(trips))).tocsr()


def _squares(matrix: Any) -> Reals:
    return np.asarray(matrix.power(2).sum(0), float).ravel()


def _ones(matrix: Any) -> Reals:
    return np.asarray(matrix.sum(0), float).ravel()
