"""What the gap of an equilibrium leaves open, link by link, so that a difference of two runs is not taken for more than it is.

An equilibrium is found to a relative gap, and the gap says little about a link: at 1e-4 most links are right to a vehicle, a few are a
hundred off. `assign` therefore goes on for two more searches beyond the gap asked for; how far they still move the flow of a link says how
far it may yet move. Links whose cost does not rise with their flow can exchange flow at no cost: what they carry is not unique at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork
    from cim.sim.traffic.equilibrium import Assignment

    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["Difference", "difference", "noise_of", "settled"]

_OWN, _MEAN = 2.0, 1.0
"""The noise of a link in units of its own last move, and of the mean move: a link may have stood still by chance. Set by the
errors on published networks and their closures (tests/sim/traffic/test_equilibrium_noise.py): they lie within it on 99 % of the links."""


@dataclass(frozen=True)
class Difference:
    """An option less its base, link by link."""

    flow: Reals
    """[veh/h]."""
    flow_noise: Reals
    """What of it may be no difference [veh/h]: the noise of both runs."""
    time: Reals
    """[s]; infinite where only the option closes a link, -infinite where only the base does."""
    time_noise: Reals
    """[s]."""
    unique: Flags
    """Links whose flow the equilibrium settles, in both runs."""

    @property
    def told(self) -> Flags:
        """Links whose flow differs by more than the noise, and is settled in both."""
        return np.asarray(self.unique & (np.abs(self.flow) > self.flow_noise))


def difference(base: Assignment, option: Assignment) -> Difference:
    """Return by how much two equilibria on the same links differ.

    Raises
    ------
    UsageError
        If they are not on the same links.
    """
    if len(base.flow) != len(option.flow):
        msg = f"traffic: the base has {len(base.flow)} links and the option {len(option.flow)}; compare runs on the same network"
        raise UsageError(msg)
    shut = base.closed & option.closed
    time = np.where(shut, 0.0, option.time) - np.where(shut, 0.0, base.time)
    return Difference(option.flow - base.flow, base.flow_noise + option.flow_noise, time, base.time_noise + option.time_noise,
                      base.unique & option.unique)  # fmt: skip


def noise_of(flow: Reals, earlier: Reals, unique: Flags) -> Reals:
    """Return how far flows may be from the equilibrium: what they moved since the gap was reached, and no less than links do on average.

    Parameters
    ----------
    flow, earlier : shape (links,)
        [veh/h], now and two searches before.
    unique : shape (links,)
        Links whose flow is settled; the others have no say in the mean.
    """
    moved = np.abs(flow - earlier)
    return np.asarray(_OWN * moved + (_MEAN * moved[unique].mean() if unique.any() else 0.0))


def settled(network: RoadNetwork, shut: Flags) -> Flags:
    """Return the links whose flow is the same in every equilibrium of the same trips.

    The flow of a link whose cost rises with it is (Beckmann et al. 1956). Two equilibria differ at most by a circulation on links of
    constant cost; what can be in no circle of those, as most connectors of zones, is settled too. A node that no path may pass is an end
    of its links and no joint between them.
    """
    law = np.asarray(network.links["law"].to_pylist(), object)
    b, power, time = (network.column(name) for name in ("b", "power", "free_flow_time"))
    constant = ((time == 0) | ((law != "conical") & ((b == 0) | (power == 0)))) & ~shut
    nodes, through = network.nodes.num_rows, network.nodes["through"].to_numpy()
    tail, head = network.column("from_node"), network.column("to_node")
    tail = np.where(through[tail], tail, tail + nodes)  # what begins in a zone and what ends there do not meet
    while True:  # peel off links that end alone, until only circles and what joins them are left
        ends = np.bincount(np.concatenate([tail[constant], head[constant]]), minlength=2 * nodes)
        alone = constant & ((ends[tail] == 1) | (ends[head] == 1))
        if not alone.any():
            return np.asarray(~constant)
        constant &= ~alone
