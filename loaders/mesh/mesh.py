"""A mesh as plain arrays: what every mesh format is read into, before any of it becomes a city, and what a mesh writer may start from.

Corners stand face after face, so polygons keep their corners; a triangle mesh is the case of three corners each. Texture coordinates
belong to corners, materials, parts (one part becomes one object) and labels to faces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["Image", "Material", "Mesh", "Remark", "Sampler", "join", "starts", "triangles_of"]


@dataclass(frozen=True)
class Remark:
    """Something that has to be reported about a source."""

    code: str
    """Issue code, such as "rejected"."""
    severity: str
    """"info", "warning" or "error"."""
    message: str
    """One sentence, without the name of the file."""
    count: int = 1
    """How many records it is about."""
    part: int | None = None
    """Part of the mesh that it is about; None for all."""


@dataclass(frozen=True)
class Image:
    """A texture image."""

    name: str
    """As the source names it."""
    path: Path | None = None
    """File that holds it, inside the folder of the input or made by the reader; None where there is no such file."""
    format: str | None = None
    """"PNG" or "JPEG", told from its first bytes; None for any other."""


@dataclass(frozen=True)
class Sampler:
    """How a texture goes on beyond its edges."""

    wrap: str | None = None
    """"wrap", "mirror", "clamp" (the words of CityGML); None when the source does not say."""


@dataclass(frozen=True)
class Material:
    """How a surface looks. Colours are red, green, blue from 0 to 1."""

    name: str | None = None
    ambient: float | None = None
    diffuse: tuple[float, float, float] | None = None
    emissive: tuple[float, float, float] | None = None
    specular: tuple[float, float, float] | None = None
    shininess: float | None = None
    """From 0 to 1."""
    transparency: float | None = None
    """From 0 (opaque) to 1."""
    image: Image | None = None
    sampler: Sampler = field(default_factory=Sampler)


@dataclass(frozen=True)
class Mesh:
    """Faces over one pool of points."""

    points: Reals
    """Shape (v, 3): east, north, up [m]."""
    size: Ints
    """Corners of each face, shape (f,), three or more."""
    corner: Ints
    """Rows of `points`, face after face, shape (c,)."""
    part: Ints
    """Part each face belongs to, shape (f,)."""
    names: tuple[str | None, ...] = (None,)
    """Name of each part; None for one without."""
    uv: Reals | None = None
    """Texture coordinates of each corner, shape (c, 2), v running up; NaN where there are none."""
    material: Ints | None = None
    """Material of each face, shape (f,), -1 for none."""
    materials: tuple[Material, ...] = ()
    label: Ints | None = None
    """Semantic label of each face, shape (f,)."""
    label_names: Mapping[int, str] = field(default_factory=dict)
    """What the labels mean, as far as the source says."""
    attributes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Attributes of the parts: one value per part in each column, None for none."""
    said: tuple[Remark, ...] = ()
    """What has to be reported."""

    def moved(self, points: Reals) -> Mesh:
        """Return the same mesh with other coordinates."""
        return replace(self, points=points)

    def noting(self, *remarks: Remark) -> Mesh:
        """Return the same mesh with more to report."""
        return replace(self, said=(*self.said, *remarks))


def starts(size: Ints) -> Ints:
    """Return where each of some runs begins, and the end of the last, shape (n + 1,).

    Examples
    --------
    >>> starts(np.array([3, 4]))
    array([0, 3, 7])
    """
    return np.concatenate([[0], np.cumsum(size)]).astype(np.int64)


def join(meshes: Sequence[Mesh]) -> Mesh:
    """Return one mesh of several: parts stay parts, materials and labels keep their meaning.

    Labels are kept only where every mesh has some, or are -1 (named "no label") in the others.
    """
    if len(meshes) == 1:
        return meshes[0]
    first_point, first_part, first_material = (
        starts(np.array([len(getattr(one, name)) for one in meshes], np.int64)) for name in ("points", "names", "materials")
    )
    corners = [one.corner + shift for one, shift in zip(meshes, first_point.tolist(), strict=False)]
    parts = [one.part + shift for one, shift in zip(meshes, first_part.tolist(), strict=False)]
    remarks = [
        replace(remark, part=None if remark.part is None else remark.part + shift)
        for one, shift in zip(meshes, first_part.tolist(), strict=False)
        for remark in one.said
    ]
    return Mesh(
        np.concatenate([one.points for one in meshes]).reshape(-1, 3),
        np.concatenate([one.size for one in meshes]),
        np.concatenate(corners),
        np.concatenate(parts),
        tuple(name for one in meshes for name in one.names),
        _joined_uv(meshes),
        _joined_material(meshes, first_material),
        tuple(material for one in meshes for material in one.materials),
        _joined_label(meshes),
        {value: name for one in meshes for value, name in one.label_names.items()},
        _joined_attributes(meshes),
        tuple(remarks),
    )


def _joined_uv(meshes: Sequence[Mesh]) -> Reals | None:
    if all(one.uv is None for one in meshes):
        return None
    return np.concatenate([np.full((len(one.corner), 2), np.nan) if one.uv is None else one.uv for one in meshes])


def _joined_material(meshes: Sequence[Mesh], first: Ints) -> Ints | None:
    if all(one.material is None for one in meshes):
        return None
    none = [np.full(len(one.size), -1, np.int64) if one.material is None else one.material for one in meshes]
    return np.concatenate([np.where(one < 0, -1, one + shift) for one, shift in zip(none, first.tolist(), strict=False)])


def _joined_label(meshes: Sequence[Mesh]) -> Ints | None:
    if all(one.label is None for one in meshes):
        return None
    return np.concatenate([np.full(len(one.size), -1, np.int64) if one.label is None else one.label for one in meshes])


def _joined_attributes(meshes: Sequence[Mesh]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for one in meshes for name in one.attributes)
    return {name: [value for one in meshes for value in one.attributes.get(name, [None] * len(one.names))] for name in names}


def triangles_of(mesh: Mesh) -> tuple[Ints, Ints]:
    """Return the faces as triangles, by fans around their first corner, and the face of each: for convex faces.

    Examples
    --------
    >>> square = Mesh(np.zeros((4, 3)), np.array([4]), np.arange(4), np.zeros(1, np.int64))
    >>> triangles_of(square)
    (array([[0, 1, 2],
           [0, 2, 3]]), array([0, 0]))
    """
    count = np.maximum(mesh.size - 2, 0)
    face = np.repeat(np.arange(len(mesh.size)), count)
    step = np.arange(len(face)) - np.repeat(starts(count)[:-1], count)
    first = starts(mesh.size)[:-1][face]
    return np.stack([mesh.corner[first], mesh.corner[first + step + 1], mesh.corner[first + step + 2]], axis=1), face
