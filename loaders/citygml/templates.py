"""Implicit geometry: shapes in coordinates of their own become templates, each use of one an instance with a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cim.loaders.citygml.draft import Draft, Note
from cim.loaders.citygml.rows import Rows, gathered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.citygml.frame import Frame
    from cim.loaders.citygml.pool import Rings
    from cim.loaders.citygml.rows import Columns, Resolver
    from cim.model import CityBuilder

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

__all__ = ["Templates"]

_POLAR = 89.9  # degrees of latitude beyond which a degree of longitude has no length to speak of


class Templates:
    """Puts templates and their instances into the builder."""

    def __init__(
        self,
        builder: CityBuilder,
        keys: Ints,
        resolver: Resolver,
        rings: Rings,
        good_ring: Flags,
        good_leaf: Flags,
        frame: Frame,
        source: int,
    ) -> None:
        self._builder, self._keys, self._resolver, self._rings = builder, keys, resolver, rings
        self._good, self._frame, self._source = (good_ring, good_leaf), frame, source
        self.notes: list[Note] = []

    def add(self, draft: Draft) -> list[tuple[Ints, Columns]]:
        """Add everything; return the keys and columns of the templates."""
        if not draft.instances:
            return []
        rows = Rows()
        for number, (lod, parts) in enumerate(draft.templates):
            rows.add_parts(number, lod, "", self._resolver.parts(parts))
        columns = gathered(rows, self._rings, *self._good)
        take = pa.array(columns.row)
        names = {name: pa.array(getattr(rows, name), pa.string()).take(take) for name in ("lod", "role", "type")}
        tkeys = self._builder.add_templates(vertices=columns.vertices, boundaries=columns.boundaries, **names)
        self._uses(draft, np.asarray(rows.owner, np.int64)[columns.row], tkeys, names)
        return [(tkeys, columns)]

    def _in_degrees(self, matrices: NDArray[np.float64], latitude: NDArray[np.float64]) -> None:
        """Turn metres east and north into degrees at each anchor, in place: shapes are in metres, the system counts in degrees."""
        ellipsoid = self._frame.crs.horizontal.ellipsoid
        axis, flat = (ellipsoid.semi_major_metre, 1 / ellipsoid.inverse_flattening) if ellipsoid is not None else (6378137.0, 0.0)
        squared = flat * (2 - flat)
        phi = np.radians(np.clip(latitude, -_POLAR, _POLAR))
        bulge = 1 - squared * np.sin(phi) ** 2
        per_degree = np.stack([axis / np.sqrt(bulge) * np.cos(phi), axis * (1 - squared) / bulge**1.5], axis=1) * np.pi / 180
        matrices[:, :2] /= per_degree[:, :, None]
        message = "implicit geometries stand in a system of degrees: their shapes are taken in metres east, north and up of their anchor"
        self.notes.append(Note("assumed", f"{len(matrices)} {message}", count=len(matrices)))

    def _uses(self, draft: Draft, template_of_row: Ints, tkeys: Ints, names: dict[str, pa.Array]) -> None:
        """Add the instances; one whose template has several kinds of geometry gives several rows."""
        which = np.array([one.template if one.template >= 0 else draft.template_of.get(one.link, -1) for one in draft.instances], np.int64)
        leaf = np.array([one.anchor >> 1 for one in draft.instances], np.int64)
        ring = np.searchsorted(self._rings.leaf, leaf)
        usable = (which >= 0) & self._good[0][ring]
        lost = int(np.sum(~usable))
        if lost:
            message = f"{lost} implicit geometries link to a shape that is not there, or have no usable anchor; they are left out"
            self.notes.append(Note("unmatched", message, count=lost))
        matrices = np.array([one.matrix for one in draft.instances], float).reshape(-1, 4, 4)
        anchor = self._rings.points[np.minimum(self._rings.start[ring], len(self._rings.points) - 1)]
        if self._frame.crs.horizontal.is_geographic:
            self._in_degrees(matrices, anchor[:, 1])
        else:
            swapped = np.array([self._frame.swapped.get(int(srs), False) for srs in self._rings.srs[leaf]], bool)
            matrices[swapped] = matrices[swapped][:, [1, 0, 2, 3]]
        matrices[:, :3, 3] += anchor
        order = np.argsort(template_of_row, kind="stable")
        first, last = (np.searchsorted(template_of_row[order], which, side=side) for side in ("left", "right"))
        count = np.where(usable, last - first, 0)
        use = np.repeat(np.arange(len(which)), count)
        row = order[np.repeat(first, count) + np.arange(len(use)) - np.repeat(np.cumsum(count) - count, count)]
        if not len(use):
            return
        owners = np.array([one.owner for one in draft.instances], np.int64)
        self._builder.add_instances(
            self._keys[owners[use]], templates=tkeys[row], matrices=matrices[use], lod=[draft.instances[one].lod for one in use.tolist()],
            role=names["role"].take(pa.array(row)), type=names["type"].take(pa.array(row)), source=self._source,
        )  # fmt: skip
