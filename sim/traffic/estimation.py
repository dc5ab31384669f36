"""Trips between zones from counts on roads: the matrix one had before, changed as little as the counts ask for.

The trips of a pair are q = q0 exp(x). Beforehand x is the sum of a share of all pairs, one of its origin, one of its destination and one of
its own, each with a standard deviation; counts see P q, where P holds the shares of the pairs that use each counted link in a user
equilibrium (`assign`). The most likely x is found by Gauss-Newton steps in the space of the counts: x = K Jt (J K Jt + R)^-1 (c - P q + J x)
with J = P diag(q), the covariance K of x beforehand and R of the counts; then trips are assigned anew, a few times.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.model.road_network import ODMatrix, checked
from cim.progress import track
from cim.sim.traffic.equilibrium import Assignment, assign

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

    from cim.model.road_network import RoadNetwork

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["Estimate", "Fit", "Spread", "estimate", "geh"]

_GOOD = 5.0
"""GEH below which a modelled flow is taken as the counted one (Highways Agency, DMRB volume 12, section 2)."""
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
class Fit:
    """How near the flows of a model are to counts."""

    counts: int
    good: float
    """Share of the counts with a GEH below 5; not a number without counts."""
    rmse: float
    """Root of the mean square of the differences, as a share of the mean count."""
    geh: Reals
    """Of each count."""


@dataclass(frozen=True)
class Estimate:
    """Trips that the counts make likely."""

    matrix: ODMatrix
    used: Fit
    """On the counts that were used."""
    held_back: Fit
    """On those that were not; only these say what the estimate is worth."""
    used_before: Fit
    held_back_before: Fit
    """The same with the trips known beforehand."""
    held: Flags
    """Which counts were held back, shape (counts,)."""
    open_: dict[str, float]
    """Share of the variance known beforehand that the counts leave, of all trips, of the trips of an origin and of a destination (median),
    and of a single pair (mean, pairs drawn by trips)."""
    assignment: Assignment
    """Of these trips."""
    notes: tuple[str, ...]


def geh(model: ArrayLike, counts: ArrayLike) -> Reals:
    """Return the GEH statistic of flows against counts, both in vehicles per hour: sqrt(2 (m - c)^2 / (m + c)).

    Examples
    --------
    >>> geh([100.0, 0.0], [150.0, 0.0]).round(3)
    array([4.472, 0.   ])
    """
    m, c = np.asarray(model, float), np.asarray(counts, float)
    return np.asarray(np.abs(m - c) * np.sqrt(2.0 / np.maximum(m + c, 1e-300)), float)


def estimate(
    network: RoadNetwork,
    prior: ODMatrix,
    counts: pa.Table,
    *,
    held_back: float | Sequence[bool] = 0.2,
    seed: int = 0,
    spread: Spread | None = None,
    count_geh: float = 1.0,
    assignments: int = 3,
    gap: float = 1e-5,
) -> Estimate:
    """Return the trips that counts make likely.

    Parameters
    ----------
    prior
        Trips known beforehand; a pair without trips stays without.
    counts
        Columns ``link`` (id of a link; or of a road, where all its links lie side by side) and ``flow`` [veh/h].
    held_back
        Share of the counts, drawn by `seed`, or which ones, that are not used but only compared.
    spread
        How far `prior` may be off.
    count_geh
        Standard deviation of the counts, as GEH: 1.0 is 3 % at 1000 veh/h and 10 % at 100 veh/h.
    assignments
        How often trips are assigned to the network to find their ways again.
    gap
        Of these assignments.

    Raises
    ------
    UsageError
        If network, trips or counts hold faults; all of them in one message.

    Notes
    -----
    Counts on a fifth of the roads fix the total, and the trips of zones in part; single pairs they hardly touch (`Estimate.open_`). The
    structured variance matters: with independent pairs alone the counts that were held back get little better.

    References
    ----------
    .. [1] Cascetta, E. (1984). Estimation of trip matrices from traffic counts and survey data: a generalized least squares estimator.
       Transportation Research B 18, 289-299.
    .. [2] Maher, M.J. (1983). Inferences on trip matrices from observations on link volumes: a Bayesian statistical approach.
       Transportation Research B 17, 435-447.
    """
    given = spread or Spread()
    rows, row_of, flow, held = _read(network, prior, counts, held_back, seed, given, count_geh, assignments)
    found = assign(network, prior, gap=gap)
    before = _sums(found.flow, rows, row_of, len(flow))
    keep = (prior.origin == prior.destination) & (prior.trips > 0)  # no link sees them; they share the factors of their zone
    pairs = [np.concatenate(both) for both in ((found.origin, prior.origin[keep]), (found.destination, prior.destination[keep]))]
    trips = np.concatenate([found.trips, prior.trips[keep]])
    dual = np.zeros(len(trips))
    model = _Model.of(*pairs, given, flow[~held], count_geh)
    shares: Any = None
    with track(total=assignments, label="trips from counts", unit="assignments") as progress:
        for done in range(1, assignments + 1):
            shares = _shares(found, rows, row_of, (len(flow), len(trips)))
            dual, log = model.likely(shares[~held], trips, dual)
            matrix = ODMatrix(*pairs, trips * np.exp(log), ("estimated from counts",))
            found = assign(network, matrix, gap=gap)
            progress.update(done)
    after = _sums(found.flow, rows, row_of, len(flow))
    fits = [_fit(one[which], flow[which]) for one in (after, before) for which in (~held, held)]
    open_ = model.open_(shares[~held], trips * np.exp(log))
    blind = int((np.diff(shares.indptr) == 0).sum())
    notes = _notes(fits, open_, matrix, prior, len(log), int((~held).sum()), blind)
    return Estimate(matrix, *fits, held, open_, found, notes)


@dataclass(frozen=True)
class _Model:
    """What is known beforehand, and the counts."""

    origin: Ints
    destination: Ints
    """Zones of the pairs, shape (pairs,), numbered from 0 without gaps."""
    spread: Spread
    counts: Reals
    variance: Reals
    """Of the counts."""

    @classmethod
    def of(cls, origin: Ints, destination: Ints, spread: Spread, counts: Reals, count_geh: float) -> _Model:
        """Return the model of pairs of nodes."""
        zones = (np.unique(ends, return_inverse=True)[1].astype(np.int64) for ends in (origin, destination))
        return cls(*zones, spread, counts, count_geh**2 * np.maximum(counts, 1.0))

    def likely(self, shares: Any, trips: Reals, dual: Reals) -> tuple[Reals, Reals]:
        """Return w of the most likely x = K w, and x, for shares of pairs on counted links, shape (counts, pairs), from a first w on."""
        log = self.spread_out(dual)
        cost = self._cost(shares, trips, dual, log)
        for _ in range(_STEPS):
            model = trips * np.exp(log)
            slope, _, matrix = self._seen(shares, model)
            target = slope.T @ np.linalg.solve(matrix, self.counts - shares @ model + slope @ log)
            reach = self.spread_out(target)
            for step in 0.5 ** np.arange(_HALVINGS):  # a whole step may lead beyond the valley
                both = dual + step * (target - dual), log + step * (reach - log)
                new = self._cost(shares, trips, *both)
                if new < cost:
                    break
            else:
                return dual, log
            (dual, log), last, cost = both, cost, new
            if last - cost < _SETTLED * cost:
                break
        return dual, log

    def _cost(self, shares: Any, trips: Reals, dual: Reals, log: Reals) -> float:
        """Return minus twice the logarithm of how likely x = K w is, but for a constant."""
        with np.errstate(over="ignore"):
            miss = self.counts - shares @ (trips * np.exp(np.minimum(log, _LARGE)))
        return float(miss @ (miss / self.variance) + dual @ log)

    def open_(self, shares: Any, trips: Reals) -> dict[str, float]:
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


def _shares(found: Assignment, rows: Ints, row_of: Ints, shape: tuple[int, int]) -> Any:
    """Return the share of each pair that passes each count, sparse, shape (counts, pairs)."""
    from scipy.sparse import csr_array

    links = len(found.flow)
    path = np.repeat(np.arange(len(found.paths.flow)), np.diff(found.paths.start))
    counted = np.isin(found.paths.links, rows)
    pair = np.repeat(np.arange(len(found.trips)), np.diff(found.paths.of_pair))[path[counted]]
    share = found.paths.flow[path[counted]] / found.trips[pair]
    by_link = csr_array((share, (found.paths.links[counted], pair)), shape=(links, shape[1]))
    sums = csr_array((np.ones(len(rows)), (row_of, rows)), shape=(shape[0], links))
    return (sums @ by_link).tocsr()


def _sums(flow: Reals, rows: Ints, row_of: Ints, counts: int) -> Reals:
    return np.asarray(np.bincount(row_of, flow[rows], counts), float)


def _fit(model: Reals, counts: Reals) -> Fit:
    found = geh(model, counts)
    if not len(counts):
        return Fit(0, float("nan"), float("nan"), found)
    rmse = float(np.sqrt(np.mean((model - counts) ** 2)) / max(float(counts.mean()), 1e-300))
    return Fit(len(counts), float((found < _GOOD).mean()), rmse, found)


def _read(
    network: RoadNetwork, prior: ODMatrix, counts: pa.Table, held_back: float | Sequence[bool], seed: int, spread: Spread, count_geh: float,
    assignments: int,
) -> tuple[Ints, Ints, Reals, Flags]:  # fmt: skip
    """Return the links that are counted, the count of each, the flows counted, and which counts are held back."""
    faults = [f"counts have no column {name!r}" for name in ("link", "flow") if name not in counts.column_names]
    if faults:
        checked(network, faults)
    flow = np.asarray(counts["flow"].to_numpy(), float)
    rows, row_of, unclear = _places(network, counts["link"].to_pylist())
    faults += unclear
    bad = ~(flow >= 0) | ~np.isfinite(flow)
    faults += [f"{int(bad.sum())} counts are negative or no numbers (first: row {int(np.argmax(bad))})"] * bool(bad.any())
    twice = len(rows) - len(np.unique(rows))
    faults += [f"{twice} links are counted twice; give one count for each"] * bool(twice)
    if isinstance(held_back, (int, float)):
        faults += [f"held_back={held_back}; expected a share from 0 to less than 1, or one yes or no for each count"] * (
            not 0 <= held_back < 1
        )
        held = np.zeros(len(flow), bool)
        held[np.random.default_rng(seed).permutation(len(flow))[: round(float(held_back) * len(flow))]] = True
    else:
        held = np.asarray(held_back, bool)
        faults += [f"held_back says {len(held)} times yes or no for {len(flow)} counts"] * (len(held) != len(flow))
    faults += ["all counts are held back; none is left to estimate from"] * bool(len(held) == len(flow) and held.all())
    wide = {"total": spread.total, "origin": spread.origin, "destination": spread.destination, "cell": spread.cell}
    faults += [f"spread.{name} is {value}, expected 0 or more" for name, value in wide.items() if not value >= 0]
    faults += [f"count_geh is {count_geh}, expected more than 0"] * (not count_geh > 0)
    faults += [f"assignments is {assignments}, expected 1 or more"] * (not assignments >= 1)
    faults += ["the trips known beforehand are none"] * (not (np.asarray(prior.trips)[prior.origin != prior.destination] > 0).any())
    checked(network, faults)
    return rows, row_of, flow, held


def _places(network: RoadNetwork, names: Sequence[str]) -> tuple[Ints, Ints, list[str]]:
    """Return the links of each count, the count each belongs to, and what is unclear: an id of a road stands for links side by side."""
    places: dict[str, list[int]] = {}
    for key in ("object", "id"):  # the id of a link comes last and wins
        found: dict[str, list[int]] = {}
        for row, name in enumerate(network.links[key].to_pylist()):
            found.setdefault(name, []).append(row)
        places.update(found)
    ends = network.column("from_node") * network.nodes.num_rows + network.column("to_node")
    unknown = [one for one in names if one not in places]
    apart = [one for one in names if len(set(ends[places.get(one, [])].tolist())) > 1]
    faults = [f"{len(unknown)} counts name no link of the network (first: {unknown[0]!r})"] if unknown else []
    faults += [f"{len(apart)} counts name a road of several links (first: {apart[0]!r}); name the link"] if apart else []
    rows = [(row, count) for count, one in enumerate(names) for row in places.get(one, [])]
    both = np.array(rows, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1], faults


def _notes(
    fits: Sequence[Fit], open_: dict[str, float], matrix: ODMatrix, prior: ODMatrix, pairs: int, used: int, blind: int
) -> tuple[str, ...]:
    after, held, _, held_before = fits
    said = [f"{used} counts for {pairs:,} pairs of zones: under-determined; what the counts do not see stays as it was known beforehand"]
    percent = {name: f"{100 * share:.0f} %" for name, share in open_.items()}
    said.append(
        f"of the variance known beforehand the counts leave {percent['total']} for all trips, {percent['origins']} for the trips of an origin "
        f"and {percent['destinations']} for those of a destination (median), and {percent['pairs']} for a single pair: do not read single pairs"
    )
    if held.counts:
        better = f"{100 * held_before.good:.0f} % before" if np.isfinite(held_before.good) else "unknown before"
        said.append(f"GEH below 5 on {100 * held.good:.0f} % of {held.counts} counts held back ({better})")
    else:
        said.append("no count was held back: nothing says whether the estimate holds elsewhere")
    said.append(f"GEH below 5 on {100 * after.good:.0f} % of the counts used")
    if blind:
        said.append(f"{blind} counted links lie on no way that anybody takes; their counts change nothing")
    said.append(f"{matrix.total:,.0f} trips an hour, {prior.total:,.0f} beforehand")
    return tuple(said)
