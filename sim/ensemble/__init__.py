"""Ensembles 集合模拟: members of one scenario (storms, options, seeds), each kept on disk, and what they say together.

==============  ==========================================================================
``run``         runs what is not done yet, here or on a Dask cluster, and sums it up
``load``        an ensemble from its folder
==============  ==========================================================================

======================  ==================================================================
``plan``                members, hashes of their inputs, weights, the base
``members``             one member in its folder, whole or not at all
``cluster``             members on Dask; workers of this machine that are watched
``worker``              the program of such a worker
``reading``             one column of one table over all members
``statistics``          probabilities and statistics by object id, compared with the base
``cells``               the same by cell
``annual``              expected annual values from storms of several return periods
``summary``             all of it as one `Fields`
``run_ensemble``        `run`, `EnsembleResult`
======================  ==================================================================
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cim.sim.ensemble.run_ensemble import EnsembleResult, load, run

__all__ = ["EnsembleResult", "load", "run"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for."""
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module("cim.sim.ensemble.run_ensemble"), name)
