"""Vehicles from trips: when each one departs, by a profile over the hours.

A matrix holds trips per hour, mostly no whole numbers; a run of single vehicles needs whole ones. Vehicles are numbered by the ids of their
zones, not by rows of a network: while zones and trips are the same, a vehicle keeps its number, its ends and its departure, whatever roads
an option closes or builds. Nothing is drawn one by one: both numbers and departures are spread as evenly as they can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.model.road_network import refuse
from cim.sim.traffic.dynamic import Fleet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from cim.model.road_network import ODMatrix, RoadNetwork

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["Departures", "Profile", "fleet_of"]

_GOLDEN = 0.5 * (np.sqrt(5.0) - 1.0)
"""Multiples of the golden section, without their whole part, fill every stretch as evenly as any sequence can."""


@dataclass(frozen=True)
class Profile:
    """How trips are spread over time: the matrix times a factor in each interval.

    Examples
    --------
    >>> Profile([0.5, 1.0, 0.25], step=3600.0).hours
    1.75
    """

    factors: Sequence[float] = (1.0,)
    """Flow in each interval, relative to the matrix; for trips of a day their shares by hour."""
    step: float = 3600.0
    """Length of an interval [s]."""
    start: float = 0.0
    """Beginning of the first one, since the start of the run [s]."""

    @property
    def hours(self) -> float:
        """Hours of the matrix that depart in all."""
        return float(sum(self.factors)) * self.step / 3600.0

    def at(self, share: ArrayLike) -> Reals:
        """Return the time at which a share of all trips has departed [s]."""
        factors = np.asarray(self.factors, float)
        busy = np.flatnonzero(factors > 0)
        until = np.cumsum(factors[busy]) / factors.sum()
        wanted = np.asarray(share, float)
        k = np.searchsorted(until, wanted, side="right").clip(max=len(busy) - 1)
        within = 1.0 - (until[k] - wanted) * factors.sum() / factors[busy[k]]
        return np.asarray(self.start + self.step * (busy[k] + within.clip(0.0, 1.0)), float)


@dataclass(frozen=True)
class Departures:
    """Vehicles, numbered the same wherever zones and trips are the same."""

    fleet: Fleet
    pair: Ints
    """Row of the matrix of each vehicle, shape (vehicles,)."""
    notes: tuple[str, ...]


def fleet_of(network: RoadNetwork, matrix: ODMatrix, profile: Profile | None = None, *, seed: int = 0) -> Departures:
    """Return the vehicles that make the trips of a matrix.

    Parameters
    ----------
    matrix
        Trips within a zone need no vehicle on a road; they are left out and told.
    profile
        One hour of the matrix, evenly, without.
    seed
        Which of the many equally even sets of vehicles it is.

    Raises
    ------
    UsageError
        If trips or profile hold faults; all of them in one message.

    Notes
    -----
    With pairs in the order of the ids of their ends, the number of vehicles of any run of pairs, a single one too, is less than one off
    its trips, and that of all is the nearest whole number. Vehicles depart at even intervals of the profile; which of them when goes by
    multiples of the golden section of their number, so those of a pair and of an origin are spread over the whole time as well.

    Examples
    --------
    >>> from cim.model.road_network import ODMatrix, RoadNetwork
    >>> road = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=60.0, capacity=1800.0)
    >>> made = fleet_of(road, ODMatrix(np.array([0]), np.array([1]), np.array([4.2])), Profile([1.0, 1.0], step=1800.0))
    >>> np.sort(made.fleet.departure)
    array([ 450., 1350., 2250., 3150.])
    """
    profile = profile or Profile()
    _check(network, matrix, profile)
    names = np.asarray(network.nodes["id"].to_pylist(), str)
    rank = np.empty(len(names), np.int64)
    rank[np.argsort(names, kind="stable")] = np.arange(len(names))
    apart = np.flatnonzero((matrix.origin != matrix.destination) & (matrix.trips > 0))
    order = apart[np.lexsort((rank[matrix.destination[apart]], rank[matrix.origin[apart]]))]
    offset = np.random.default_rng(seed).random(2)
    pair = order[_whole(matrix.trips[order] * profile.hours, offset[0])]
    share = (np.argsort(np.argsort((offset[1] + _GOLDEN * np.arange(len(pair))) % 1.0)) + 0.5) / max(len(pair), 1)
    fleet = Fleet(profile.at(share), matrix.origin[pair], matrix.destination[pair])
    return Departures(fleet, pair, _notes(matrix, profile, order, pair))


def _whole(trips: Reals, offset: float) -> Ints:
    """Return the pair of each vehicle: numbers of trips rounded so that those of any run of pairs stay within one of their sum."""
    total = float(trips.sum())
    if not total > 0:
        return np.empty(0, np.int64)
    count = round(total)
    edges = np.floor(np.cumsum(trips) * (count / total) + offset).astype(np.int64).clip(max=count)
    edges[-1] = count
    return np.repeat(np.arange(len(trips)), np.diff(edges, prepend=0))


def _check(network: RoadNetwork, matrix: ODMatrix, profile: Profile) -> None:
    factors, nodes = np.asarray(profile.factors, float), network.nodes.num_rows
    ends = np.concatenate([matrix.origin, matrix.destination])
    bad_trips = ~(np.asarray(matrix.trips) >= 0) | ~np.isfinite(matrix.trips)
    found = {
        f"{int(((ends < 0) | (ends >= nodes)).sum())} ends of trips are no nodes of the network": bool(
            ((ends < 0) | (ends >= nodes)).any()
        ),
        f"{int(bad_trips.sum())} numbers of trips are negative or no numbers": bool(bad_trips.any()),
        f"the profile is {profile.factors}; expected numbers of 0 and more, one above 0": not (
            len(factors) and np.isfinite(factors).all() and (factors >= 0).all() and (factors > 0).any()
        ),
        f"an interval of the profile lasts {profile.step} s; expected more than 0": not 0 < profile.step < np.inf,
        f"the profile begins at {profile.start} s, expected 0 or more since the start of the run": not (0 <= profile.start < np.inf),
    }
    refuse([*(said for said, bad in found.items() if bad), *matrix.faults_on(network)])


def _notes(matrix: ODMatrix, profile: Profile, order: Ints, pair: Ints) -> tuple[str, ...]:
    none = len(order) - len(np.unique(pair))
    inside = float(matrix.trips[matrix.origin == matrix.destination].sum()) * profile.hours
    said = [f"{len(pair):,} vehicles for {float(matrix.trips[order].sum()) * profile.hours:,.1f} trips"]
    said += [f"{inside:,.1f} trips stay within their zone and take no vehicle to a road"] * (inside > 0)
    said += [f"{none:,} of {len(order):,} pairs of zones have no vehicle: their trips are few, others stand for them"] * (none > 0)
    return tuple(said)
