"""Trips between zones from counts on roads: the matrix one had before, changed as little as the counts ask for.

The trips of a pair are q = q0 exp(x). Beforehand x is the sum of a share of all pairs, one of its origin, one of its destination and one of
its own, each with a standard deviation; counts see P q, where P holds the shares of the pairs that use each counted link in a user
equilibrium (`assign`). The most likely x is found for these shares (`estimation_model`), the trips are assigned anew, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.model.road_network import ODMatrix, checked
from cim.progress import track
from cim.sim.traffic.equilibrium import Assignment, assign
from cim.sim.traffic.estimation_model import CountModel, Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import ArrayLike, NDArray

    from cim.model.road_network import RoadNetwork

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["Estimate", "Fit", "Spread", "estimate", "geh"]

_OPEN = {
    "total": "all trips", "origins": "those of an origin (median)", "destinations": "those of a destination (median)",
    "pairs": "a single pair",
}  # fmt: skip
_GOOD = 5.0
"""GEH below which a modelled flow is taken as the counted one (Highways Agency, DMRB volume 12, section 2)."""


_BEYOND = 1.2
"""Share of the capacity above which a count is told: twice the spread of a road's capacity from day to day, which is about a tenth (from
memory of Brilon, Geistefeldt and Regler 2005, who found it to be Weibull-distributed); a count of a day is ten times that of an hour."""


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
    left_open: dict[str, float]
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
    assignments: int = 4,
    gap: float = 1e-5,
    closed: Sequence[str] = (),
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
        How often trips are assigned to the network anew, to find their ways again; what brings counts no nearer is taken back by half.
    gap
        Of these assignments.
    closed
        Ids of links, or of roads, that nobody may use.

    Raises
    ------
    UsageError
        If network, trips or counts hold faults; all of them in one message.

    Notes
    -----
    Counts on a fifth of the roads fix the total, and the trips of zones in part; single pairs they hardly touch (`Estimate.left_open`). The
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
    found = assign(network, prior, gap=gap, closed=closed)
    before = _sums(found.flow, rows, row_of, len(flow))
    keep = (prior.origin == prior.destination) & (prior.trips > 0)  # no link sees them; they share the factors of their zone
    origin, destination = np.append(found.origin, prior.origin[keep]), np.append(found.destination, prior.destination[keep])
    trips = np.append(found.trips, prior.trips[keep])
    model = CountModel.of(origin, destination, given, flow[~held], count_geh)
    start = ODMatrix(origin, destination, trips, prior.notes, prior.places)
    dual, log, step = np.zeros(len(trips)), np.zeros(len(trips)), 1.0
    matrix, cost, seen = start, model.cost(before[~held], dual, log), _shares(found, rows, row_of, (len(flow), len(trips)))
    goal = model.likely(seen[~held], trips, dual)
    with track(total=assignments, label="trips from counts", unit="assignments") as progress:
        for done in range(1, assignments + 1):
            nearer = dual + step * (goal[0] - dual), log + step * (goal[1] - log)
            tried = ODMatrix(origin, destination, trips * np.exp(nearer[1]), ("estimated from counts",), prior.places)
            other = assign(network, tried, gap=gap, closed=closed)
            new = model.cost(_sums(other.flow, rows, row_of, len(flow))[~held], *nearer)
            if new < cost:
                found, matrix, cost, (dual, log), step = other, tried, new, nearer, 1.0
                seen = _shares(found, rows, row_of, seen.shape)
                goal = model.likely(seen[~held], trips, dual)
            else:
                step /= 2.0  # drivers chose other ways: what the shares promised did not come
            progress.update(done)
    after = _sums(found.flow, rows, row_of, len(flow))
    used, unused, used_before, unused_before = (_fit(one[which], flow[which]) for one in (after, before) for which in (~held, held))
    left_open = model.left_open(seen[~held], matrix.trips)
    blind = [name for name, passed in zip(counts["link"].to_pylist(), np.diff(seen.indptr).tolist(), strict=True) if not passed]
    notes = (*_under(len(trips), used.counts, blind, left_open), *_worth(used, unused, unused_before), _total(matrix, prior),
             *_beyond(counts["link"].to_pylist(), flow, _sums(network.column("capacity"), rows, row_of, len(flow))))  # fmt: skip
    return Estimate(matrix, used, unused, used_before, unused_before, held, left_open, found, notes)


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
    if not counts.num_rows:
        checked(network, ["there are no counts"])
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
    faults += ["spread is 0 in all its parts: the trips cannot change"] * (not any(wide.values()))
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
    if apart:
        ids = [network.links["id"][row].as_py() for row in places[apart[0]]]
        faults.append(f"{len(apart)} counts name a road of several links (first: {apart[0]!r}); name the link: {_first(ids)}")
    rows = [(row, count) for count, one in enumerate(names) for row in places.get(one, [])]
    both = np.array(rows, np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1], faults


def _under(pairs: int, used: int, blind: Sequence[str], left_open: dict[str, float]) -> list[str]:
    """Return what counts cannot tell."""
    left = [f"{100 * left_open[name]:.0f} % for {what}" for name, what in _OPEN.items()]
    known = "under-determined; what the counts do not see stays as it was known beforehand" if used < pairs else "at least as many"
    said = [f"{used} counts for {pairs:,} pairs of zones: {known}"]
    said.append(f"of the variance beforehand the counts leave {', '.join(left)}: single pairs are not recovered, do not read them")
    lost = f"{len(blind)} counted links lie on no way that anybody takes; their counts change nothing: {_first(blind)}"
    return said + [lost] * bool(blind)


def _first(ids: Sequence[str]) -> str:
    return ", ".join(map(repr, ids[:5])) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")


def _worth(used: Fit, unused: Fit, before: Fit) -> list[str]:
    """Return how near the flows are to counts."""
    said = f"GEH below 5 on {100 * used.good:.0f} % of the counts used"
    if not unused.counts:
        return [said, "no count was held back: nothing says whether the estimate holds elsewhere"]
    return [said, f"GEH below 5 on {100 * unused.good:.0f} % of {unused.counts} counts held back ({100 * before.good:.0f} % before)"]


def _beyond(names: Sequence[str], flow: Reals, capacity: Reals) -> list[str]:
    """Tell of counts that their links cannot carry; they are used as they stand."""
    bad = np.flatnonzero(flow > _BEYOND * capacity)
    first = ", ".join(f"{names[k]!r} {flow[k]:,.0f} of {capacity[k]:,.0f} veh/h" for k in bad[:5].tolist())
    said = f"{len(bad)} counts are more than {_BEYOND:g} times the capacity of their links, and are used nevertheless"
    return [f"{said}: {first}{', …' if len(bad) > 5 else ''}; are they of a day, of both directions, of another road?"] * bool(len(bad))


def _total(matrix: ODMatrix, prior: ODMatrix) -> str:
    return f"{matrix.total:,.0f} trips an hour, {prior.total:,.0f} beforehand"
