"""Placements and mapping transformations as matrices, taken from the entities: what puts one mesh in many places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

__all__ = ["Placements", "mapping_matrix"]


class Placements:
    """World matrices of local placements [m], each worked out once; the reference graph must hold no cycle."""

    def __init__(self, unit: float) -> None:
        self.unit = unit
        self._known: dict[int, Matrix | None] = {}

    def world(self, placement: Any) -> Matrix | None:
        """Return the matrix from the placement's coordinates to the project's [m]; None for kinds other than IfcLocalPlacement."""
        chain = []
        while placement is not None and placement.id() not in self._known:
            chain.append(placement)
            if not placement.is_a("IfcLocalPlacement"):
                self._known[placement.id()] = None
                break
            placement = placement.PlacementRelTo
        last = np.eye(4) if placement is None else self._known[placement.id()]
        for one in reversed(chain):
            if one.is_a("IfcLocalPlacement"):
                last = None if last is None else last @ axes(one.RelativePlacement, self.unit)
                self._known[one.id()] = last
        return last


def axes(placement: Any, unit: float) -> Matrix:
    """Return the matrix of an IfcAxis2Placement2D or 3D [m]."""
    matrix = np.eye(4)
    if placement is None:
        return matrix
    matrix[:3, :3] = _frame(_direction(getattr(placement, "Axis", None)), _direction(placement.RefDirection))
    point = placement.Location.Coordinates
    matrix[: len(point), 3] = np.asarray(point, float) * unit
    return matrix


def mapping_matrix(item: Any, unit: float) -> Matrix | None:
    """Return what an IfcMappedItem does to the coordinates of its map [m]; None when it cannot be turned round (a scale of zero)."""
    target, source = item.MappingTarget, item.MappingSource
    first = _direction(target.Axis1)
    if target.is_a("IfcCartesianTransformationOperator3D"):
        matrix = np.eye(4)
        matrix[:3, :3] = _operator(first, _direction(target.Axis2), _direction(target.Axis3))
    else:
        return None
    scale = 1.0 if target.Scale is None else float(target.Scale)
    others = [getattr(target, name, None) for name in ("Scale2", "Scale3")]
    scales = np.array([scale, *(scale if one is None else float(one) for one in others)])
    if not np.all(np.abs(scales) > 1e-12):
        return None
    matrix[:3, :3] *= scales
    matrix[:3, 3] = np.asarray(target.LocalOrigin.Coordinates, float) * unit
    return matrix @ axes(source.MappingOrigin, unit)


def _direction(one: Any) -> Matrix | None:
    if one is None:
        return None
    ratios = np.zeros(3)
    given = np.asarray(one.DirectionRatios, float)
    ratios[: len(given)] = given
    length = float(np.linalg.norm(ratios))
    return ratios / length if length > 1e-12 else None


def _frame(z: Matrix | None, x: Matrix | None) -> Matrix:
    """Return the axes as columns; the reference direction is made square to z as the standard says."""
    z = np.array([0.0, 0.0, 1.0]) if z is None else z
    x = np.array([1.0, 0.0, 0.0]) if x is None else x
    x = x - (x @ z) * z
    if np.linalg.norm(x) < 1e-9:
        x = np.eye(3)[int(np.argmin(np.abs(z)))]
        x = x - (x @ z) * z
    x = x / np.linalg.norm(x)
    return np.column_stack([x, np.cross(z, x), z])


def _operator(x: Matrix | None, y: Matrix | None, z: Matrix | None) -> Matrix:
    """Return the axes of a transformation operator as columns; the second axis may make it a mirror image."""
    frame = _frame(z, x)
    if y is not None and y @ frame[:, 1] < 0:
        frame[:, 1] = -frame[:, 1]
    return frame
