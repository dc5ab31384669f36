"""What would stop or blow up the geometry kernel, found on the references between records beforehand.

One pass over the reference graph, from the records that refer to nothing upwards: a record that is never reached lies on a cycle or
above one; a missing record marks all that build on it; boolean trees are measured in depth and in the size they expand to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.ifc.step import Step

    Ints = NDArray[np.int64]

__all__ = ["Graph", "check"]

DEEPEST = 500
"""Boolean operations nested in one another; the kernels recurse, and honest models stay below a hundred."""
MOST = 100_000.0
"""Boolean operations and mapped items that one shape may expand to."""


@dataclass(frozen=True)
class Graph:
    """What is wrong with the records, by their row in the scanned file."""

    ids: Ints
    cause: Ints
    """Number of the record that makes this one unusable, -1 for none, -2 for a cycle."""
    depth: Ints
    """Boolean operations nested in one another."""
    size: NDArray[np.float64]
    """Boolean operations and mapped items when everything shared is written out."""
    reasons: dict[int, str]

    def fault(self, number: int) -> str:
        """Return why the record `number` cannot be handed to the kernel, ``""`` when it can."""
        row = int(np.searchsorted(self.ids, number))
        if row >= len(self.ids) or self.ids[row] != number:
            return f"it refers to record #{number}, which is missing"
        cause = int(self.cause[row])
        if cause == -2:
            return "its placement, mapped item or geometry refers to itself in a cycle"
        if cause >= 0:
            return self.reasons.get(cause, f"it refers to record #{cause}, which is missing")
        if self.depth[row] > DEEPEST:
            return f"its boolean tree is {self.depth[row]:,} operations deep, above the limit of {DEEPEST}"
        if self.size[row] > MOST:
            return f"its geometry expands to {self.size[row]:.3g} boolean operations and mapped items, above the limit of {MOST:,.0f}"
        return ""


def check(step: Step) -> Graph:
    """Return what is wrong with the records of a scanned file."""
    count = len(step.ids)
    weight = (step.boolean | step.mapped).astype(np.float64)
    cause = np.full(count, -1, np.int64)
    broken = np.unique(step.missing, axis=0)
    cause[np.searchsorted(step.ids, broken[:, 0])] = broken[:, 1]
    depth, size = step.boolean.astype(np.int64), weight.copy()
    order = np.argsort(step.target, kind="stable")
    parent = step.source[order]
    start = np.searchsorted(step.target[order], np.arange(count + 1))
    left = np.bincount(step.source, minlength=count)
    front = np.flatnonzero(left == 0)
    done = np.zeros(count, bool)
    while len(front):
        done[front] = True
        many = start[front + 1] - start[front]
        place = np.repeat(start[front] - np.concatenate([[0], np.cumsum(many)[:-1]]), many) + np.arange(int(many.sum()))
        above, child = parent[place], np.repeat(front, many)
        np.maximum.at(cause, above, cause[child])
        np.maximum.at(depth, above, step.boolean[above] + depth[child])
        np.add.at(size, above, size[child])
        np.subtract.at(left, above, 1)
        above = np.unique(above)
        front = above[left[above] == 0]
    cause[~done] = -2
    reasons = {number: f"it builds on record #{number}, which is left out: {why}" for number, why in step.dropped.items()}
    return Graph(step.ids, cause, depth, size, reasons)
