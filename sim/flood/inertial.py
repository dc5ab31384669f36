"""Local inertial flow, the screening mode: shallow water without advection, on faces between cells.

Bates et al. (2010) with the inertia of de Almeida et al. (2012) and friction on the vector (2013). Depth lives in the cells; the unit
discharge of the western and the northern face of each cell is kept in `Solver.faces`. Whenever the solver looks at the water, the mean of
two opposite faces is laid into `Solver.qx` and `qy`, no faster than the faster of the two faces.

What it can: water that spreads, fills and runs down slopes, where friction and level rule. What it cannot: dam breaks (5 to 10 % off, the
front late, on any cell size), jumps and water that shoots, for it knows no advection.

Two limits keep it honest. A face carries no more than critical flow (Froude number 1), and more only on that slope of the bed which the
surface follows: thin films on steep ground are faster than their waves. And no cell gives more than it holds. Friction is backward Euler in
closed form, as in the other schemes: the semi-implicit form of 2010 swings about the steady state of a thin film in long steps.

References
----------
.. [1] Bates, Horritt, Fewtrell (2010). A simple inertial formulation of the shallow water equations. doi 10.1016/j.jhydrol.2010.03.027
.. [2] de Almeida, Bates, Freer, Souvignet (2012). Improving the stability of a simple formulation. doi 10.1029/2011WR011570 (theta)
.. [3] de Almeida, Bates (2013). Applicability of the local inertial approximation. doi 10.1002/wrcr.20366 (friction on the vector)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cim.sim.flood.inertial_kernels import mean_of_faces, move

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.sim.flood.solver import Solver

    Array = NDArray[Any]

__all__ = ["COURANT", "faces", "step", "to_cells"]

COURANT = 0.65
"""Share of a cell that a wave may cross in one step. Without friction a chessboard of waves grows from sqrt((1 + a) / 4), a = 2 theta - 1,
on: 0.67 with theta 0.9 (0.95 along one axis). A step of 0.7, which is often given, is beyond that."""


def faces(solver: Solver) -> tuple[Array, Array]:
    """Return the unit discharge through the western and northern faces at the start [m²/s]: the mean of the cells on both sides."""
    fx, fy = np.zeros_like(solver.qx), np.zeros_like(solver.qy)
    fx[:, 1:] = 0.5 * (solver.qx[:, 1:] + solver.qx[:, :-1])
    fy[1:] = 0.5 * (solver.qy[1:] + solver.qy[:-1])
    return fx, fy


def step(solver: Solver, tiles: NDArray[np.int64], edges: tuple[Array, ...], dt: Any, dx: Any) -> None:
    """Move the water of a solver on by one step [s]; `next` holds the arrays that are written and changes places with the present ones."""
    now, then = (solver.h, *solver.faces), solver.next

    def work(part: Any, own: Array) -> None:
        move(*now, solver.carry, *then, solver.z, solver.friction, solver.rain, part, edges, dt, dx, solver.dry, own, solver.speed)

    solver.tiles.work(tiles, work)
    (solver.h, *moved), solver.next = then, now
    solver.faces = (moved[0], moved[1])


def to_cells(solver: Solver, tiles: NDArray[np.int64]) -> None:
    """Lay the flow through the faces into the cells, where velocities are read."""

    def work(part: Any, _: Array) -> None:
        mean_of_faces(solver.next[0], solver.h, *solver.faces, solver.z, solver.qx, solver.qy, part, solver.dry)

    solver.tiles.work(tiles, work)
