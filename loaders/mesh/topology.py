"""How faces hang together: which meshes are closed, which edges are open, and on which side their faces look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.loaders.mesh.mesh import starts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["Topology", "area_vectors", "topology", "weld"]

# Odd constants that spread the bits of coordinates (of splitmix64 and xxhash); equal places give equal sums.
_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)


@dataclass(frozen=True)
class Topology:
    """What is known of each part, shape (parts,)."""

    open_edges: Ints
    """Edges with a face on one side only, or an odd number of faces."""
    crowded_edges: Ints
    """Edges with more than two faces."""
    twisted_edges: Ints
    """Edges with two faces that run along it in the same direction."""
    volume: Reals
    """Signed volume [m³], positive where faces look outward; NaN unless closed and oriented."""
    area: Reals
    """Area of the faces [m²]."""

    @property
    def closed(self) -> Flags:
        """Whether a part is closed and oriented."""
        return np.isfinite(self.volume)


def weld(points: Reals, owner: Ints) -> Ints:
    """Return a number for each point that equal points of one owner share, shape (n,).

    Told by 64 bit sums over the bits of the coordinates: two places share one by chance in one of 10^7 meshes of a million points.
    """
    bits = (np.ascontiguousarray(points, np.float64) + 0.0).view(np.uint64).reshape(-1, 3)
    total = owner.astype(np.uint64) * np.uint64(_MIX[3])
    for axis in range(3):
        mixed = bits[:, axis] * np.uint64(_MIX[axis])
        total = (total ^ (mixed ^ (mixed >> np.uint64(29)))) * np.uint64(_MIX[(axis + 1) % 3])
    _, place = np.unique(total, return_inverse=True)
    return np.asarray(place.reshape(-1), np.int64)


def area_vectors(points: Reals, size: Ints, corner: Ints) -> Reals:
    """Return the area vector of each face [m²], shape (f, 3), by Newell's sum around its first corner."""
    if not len(size):
        return np.zeros((0, 3))
    first = starts(size)[:-1]
    local = points[corner] - np.repeat(points[corner[first]], size, axis=0)
    return np.asarray(np.add.reduceat(np.cross(local, local[_following(size)]), first, axis=0) / 2)


def _following(size: Ints) -> Ints:
    """Return the place of the next corner of the same face."""
    place = np.arange(1, int(size.sum()) + 1)
    first = starts(size)
    place[first[1:] - 1] = first[:-1]
    return place


def topology(points: Reals, size: Ints, corner: Ints, part: Ints, parts: int) -> Topology:
    """Return what is known of each part.

    Parameters
    ----------
    points : shape (v, 3)
        Coordinates [m], best near zero; no point is shared by two parts.
    size, corner, part
        As in `cim.loaders.mesh.mesh.Mesh`.
    """
    owner = np.zeros(len(points), np.int64)
    owner[corner] = np.repeat(part, size)
    same = weld(points, owner)
    one, other = same[corner], same[corner[_following(size)]]
    real = one != other
    low, high = np.minimum(one, other)[real], np.maximum(one, other)[real]
    edge, place = np.unique(low * (int(same.max(initial=0)) + 1) + high, return_inverse=True)
    place = place.reshape(-1)
    count = np.bincount(place, minlength=len(edge))
    balance = np.bincount(place, np.where(one < other, 1, -1)[real], len(edge))
    edge_part = np.zeros(len(edge), np.int64)
    edge_part[place] = np.repeat(part, size)[real]
    kinds = (count % 2 == 1, count > 2, (count == 2) & (balance != 0), balance != 0)
    tally = [np.bincount(edge_part[mask], minlength=parts) for mask in kinds]
    vectors = area_vectors(points, size, corner)
    area = np.asarray(np.bincount(part, np.linalg.norm(vectors, axis=1), parts), np.float64)
    height = np.einsum("ij,ij->i", points[corner[starts(size)[:-1]]], vectors) / 3
    volume = np.asarray(np.bincount(part, height, parts), np.float64)
    sound = (tally[0] == 0) & (tally[3] == 0) & (np.bincount(part, minlength=parts) >= 4)
    return Topology(tally[0], tally[1], tally[2], volume=np.where(sound, volume, np.nan), area=area)
