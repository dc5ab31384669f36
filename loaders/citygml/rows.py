"""Geometry rows: links followed, leaves gathered into solids, shells and surfaces, and written as the nested columns of the model."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import LimitError
from cim.loaders.citygml.pool import LINE, POINT
from cim.loaders.citygml.shapes import Item, Parts, Ref
from cim.model.geometry import boundaries_from, vertices_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import pyarrow as pa
    from numpy.typing import NDArray

    from cim.loaders.citygml.pool import Rings

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["Columns", "Resolver", "Rows", "faces_of", "gathered"]

_DEEPEST = 60  # links that may follow each other
_ROLES = {"MultiPoint": "point", "MultiLineString": "line", "MultiSurface": "multi_surface", "CompositeSurface": "multi_surface"}


def faces_of(parts: Parts) -> list[int]:
    """Return the surfaces of parts without links, those of solids too."""
    every = [*parts.surfaces, *(one for solid in parts.solids for shell in solid for one in shell)]
    return [one for one in every if isinstance(one, int)]


class Resolver:
    """Follows links to geometry that stands elsewhere in the file."""

    def __init__(self, ids: dict[str, int | Parts], kinds: Sequence[int], path: Path) -> None:
        self._ids = ids
        self.kinds = kinds
        self._path = path
        self._open: list[str] = []
        self._left = 64 * len(kinds) + 100_000
        self.missing: Counter[str] = Counter()
        self.loops: Counter[str] = Counter()

    def parts(self, parts: Parts) -> Parts:
        """Return parts without links: what a link leads to stands in its place.

        Raises
        ------
        LimitError
            If links multiply the geometry beyond all measure.
        """
        plain = Parts(composite=parts.composite)
        plain.points = self._items(parts.points)
        plain.lines = self._items(parts.lines)
        plain.surfaces = self._items(parts.surfaces)
        plain.solids = [[self._items(shell) for shell in solid] for solid in parts.solids]
        for link in parts.links:
            plain.add(self._target(link), flip=link.flip)
        return plain

    def leaves(self, link: Ref) -> list[int]:
        """Return the numbers of the leaves that a link leads to."""
        found = self._target(link)
        thin = [item for item in (*found.points, *found.lines) if isinstance(item, int)]
        return [item >> 1 for item in (*thin, *faces_of(found))]

    def _items(self, items: list[Item]) -> list[Item]:
        self._left -= len(items)
        if self._left < 0:
            raise LimitError(self._path, "xlinks to geometry multiply it more than 64 times", "write shared geometry as implicit geometry")
        if not any(isinstance(item, Ref) for item in items):
            return items
        out: list[Item] = []
        for item in items:
            if isinstance(item, int):
                out.append(item)
                continue
            found = self._target(item)
            target = found.points + found.lines + found.surfaces + [one for solid in found.solids for shell in solid for one in shell]
            out += [one ^ 1 if item.flip and isinstance(one, int) else one for one in target]
        return out

    def _target(self, link: Ref) -> Parts:
        found = self._ids.get(link.id)
        if found is None:
            self.missing[link.id] += 1
            return Parts()
        if isinstance(found, int):
            kind = self.kinds[found >> 1]
            leaf: list[Item] = [found]
            return Parts(points=leaf) if kind == POINT else Parts(lines=leaf) if kind == LINE else Parts(surfaces=leaf)
        if link.id in self._open or len(self._open) > _DEEPEST:
            self.loops[link.id] += 1
            return Parts()
        self._open.append(link.id)
        plain = self.parts(found)
        self._open.pop()
        return plain


@dataclass
class Rows:
    """Geometry rows before they become columns."""

    owner: list[int] = field(default_factory=list)
    lod: list[str] = field(default_factory=list)
    role: list[str] = field(default_factory=list)
    type: list[str] = field(default_factory=list)
    shells: list[int] = field(default_factory=list)
    """Shells of each solid."""
    solids: list[int] = field(default_factory=list)
    """Solids of each row."""
    faces: list[int] = field(default_factory=list)
    """Surfaces of each shell."""
    items: list[int] = field(default_factory=list)
    """Leaf (doubled) of each surface."""

    def add_parts(self, owner: int, lod: str, role: str, parts: Parts) -> None:
        """Add the rows of a geometry: one for each kind of part it has."""
        if parts.solids:
            kind = "CompositeSolid" if parts.composite else "Solid" if len(parts.solids) == 1 else "MultiSolid"
            self._add(owner, lod, role or "solid", "Solid" if len(parts.solids) == 1 else kind, parts.solids)
        if parts.surfaces:
            composite = parts.composite and not parts.solids and role != "mesh"
            self._add(owner, lod, role, "CompositeSurface" if composite else "MultiSurface", [[parts.surfaces]])
        if parts.lines:
            self._add(owner, lod, role, "MultiLineString", [[parts.lines]])
        if parts.points:
            self._add(owner, lod, role, "MultiPoint", [[parts.points]])

    def add_surfaces(self, owner: int, lod: str, items: Sequence[Item]) -> None:
        """Add a row of loose surfaces."""
        self._add(owner, lod, "", "MultiSurface", [[items]])

    def _add(self, owner: int, lod: str, role: str, kind: str, solids: Iterable[Iterable[Sequence[Item]]]) -> None:
        self.owner.append(owner)
        self.lod.append(lod)
        self.role.append(role or _ROLES[kind])
        self.type.append(kind)
        count = 0
        for solid in solids:
            count += 1
            number = 0
            for shell in solid:
                number += 1
                self.faces.append(len(shell))
                self.items += [item for item in shell if isinstance(item, int)]
            self.shells.append(number)
        self.solids.append(count)


@dataclass
class Columns:
    """Geometry rows as columns, with the way back to the pool."""

    row: Ints
    """Shape (g,): which row of `Rows` each geometry is; rows without a usable surface are gone."""
    vertices: pa.Array
    boundaries: pa.Array
    leaf: Ints
    """Shape (s,): the leaf of each surface in boundary order."""
    face_row: Ints
    """Shape (s,): which geometry each surface belongs to."""
    ring: Ints
    """Shape (r,): the pool's ring of each ring."""
    ring_row: Ints
    point: Ints
    """Shape (i,): the pool's point of each corner."""
    ring_size: Ints
    lost: int
    """Rows that nothing is left of."""


def gathered(rows: Rows, rings: Rings, good_ring: Flags, good_leaf: Flags) -> Columns:
    """Return rows as nested columns; bad leaves and rings are left out, and the shells and solids they empty."""
    items = np.asarray(rows.items, np.int64)
    leaf, flip = items >> 1, (items & 1).astype(bool)
    shell_of = np.repeat(np.arange(len(rows.faces)), np.asarray(rows.faces, np.int64))
    keep = good_leaf[leaf]
    leaf, flip, shell_of = leaf[keep], flip[keep], shell_of[keep]
    faces, shells, solids, row = _counts(rows, shell_of)
    ring_first = np.searchsorted(rings.leaf, np.arange(len(rings.kind) + 1))
    ring, ring_face = _ranges(ring_first, leaf)
    keep = good_ring[ring]
    ring, ring_face = ring[keep], ring_face[keep]
    rings_in_face = np.bincount(ring_face, minlength=len(leaf))
    point, point_ring = _ranges(rings.start, ring)
    back = np.flatnonzero(flip[ring_face][point_ring])
    owner = ring[point_ring[back]]
    point[back] = rings.start[owner] + rings.start[owner + 1] - 1 - point[back]
    face_row = np.repeat(np.arange(len(row)), _per_row(faces, shells, solids))
    ring_row = face_row[ring_face]
    ring_size = rings.size()[ring]
    local, corner, per_row = _welded(rings.points, point, ring_row[point_ring], len(row))
    boundaries = boundaries_from(local, ring_size, rings_in_face, faces, shells, solids)
    return Columns(
        row, vertices_from(corner, per_row), boundaries, leaf, face_row, ring, ring_row, point, ring_size, len(rows.owner) - len(row)
    )


def _counts(rows: Rows, shell_of: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Return surfaces per shell, shells per solid, solids per row, and the rows that are left, without what is empty."""
    faces = np.bincount(shell_of, minlength=len(rows.faces))
    solid_of = np.repeat(np.arange(len(rows.shells)), np.asarray(rows.shells, np.int64))[faces > 0]
    shells = np.bincount(solid_of, minlength=len(rows.shells))
    row_of = np.repeat(np.arange(len(rows.solids)), np.asarray(rows.solids, np.int64))[shells > 0]
    solids = np.bincount(row_of, minlength=len(rows.solids))
    return faces[faces > 0], shells[shells > 0], solids[solids > 0], np.flatnonzero(solids)


def _per_row(faces: Ints, shells: Ints, solids: Ints) -> Ints:
    """Return the surfaces of each row."""
    shell_end = np.concatenate([[0], np.cumsum(shells)])[np.concatenate([[0], np.cumsum(solids)])]
    return np.asarray(np.diff(np.concatenate([[0], np.cumsum(faces)])[shell_end]), np.int64)


def _ranges(start: Ints, which: Ints) -> tuple[Ints, Ints]:
    """Return the elements that some lists own, one list after the other, and which list each belongs to."""
    size = start[which + 1] - start[which]
    owner = np.repeat(np.arange(len(which)), size)
    first = np.cumsum(size) - size
    return np.arange(len(owner)) + (start[which] - first)[owner], owner


def _welded(points: Reals, point: Ints, row: Ints, rows: int) -> tuple[Ints, Reals, Ints]:
    """Return the index of each corner into the vertices of its row, the vertices, and how many each row has; equal points are one."""
    xyz = points[point] + 0.0  # no negative zero
    key = row.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for axis in range(3):
        bits = np.ascontiguousarray(xyz[:, axis]).view(np.uint64)
        key = (key ^ bits) * np.uint64(0xBF58476D1CE4E5B9)
        key ^= key >> np.uint64(31)
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    same = (xyz[first[inverse]] == xyz).all() and (row[first[inverse]] == row).all()
    if not same:  # two different points share a key
        _, first, inverse = np.unique(np.column_stack([row, xyz]), axis=0, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    chosen = first[order]
    per_row = np.bincount(row[chosen], minlength=rows)
    before = np.concatenate([[0], np.cumsum(per_row)])[:-1]
    return rank[inverse.reshape(-1)] - before[row], xyz[chosen], per_row
