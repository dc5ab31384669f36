"""Geometry columns to the JSON text of CityJSON, joined by Arrow: no Python object per vertex or surface is ever made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.geometry import Flat, owner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ["boundary_texts", "faces_of", "semantic_texts", "unique_vertices"]


def unique_vertices(points: NDArray[Any]) -> tuple[NDArray[Any], Ints]:
    """Return the different rows of points, sorted, shape (u, columns), and for each point its row among them.

    Examples
    --------
    >>> unique_vertices(np.array([[1, 0, 0], [0, 0, 0], [1, 0, 0]]))[1]
    array([1, 0, 1])
    """
    if not len(points):
        return points, np.empty(0, np.int64)
    order = np.lexsort(points.T[::-1])
    ordered = points[order]
    new = np.concatenate([[True], (np.diff(ordered, axis=0) != 0).any(axis=1)])
    row = np.empty(len(points), np.int64)
    row[order] = np.cumsum(new) - 1
    return ordered[new], row


def boundary_texts(flat: Flat, kinds: NDArray[Any], index: Ints) -> list[str]:
    """Return the boundaries of each geometry as JSON text.

    Parameters
    ----------
    kinds : shape (g,)
        CityJSON geometry types.
    index : shape (i,)
        Number written for each entry of ``flat.index``, null for what is negative.
    """
    numbers = pa.array(index, mask=index < 0).cast(pa.string()).fill_null("null")
    surface_of_solid = flat.shell_start[flat.solid_start]
    surface_of_geometry = surface_of_solid[flat.geometry_start]
    ring_of_geometry = flat.surface_start[surface_of_geometry]
    rings = _bracketed(flat.ring_start, numbers)
    surfaces = _bracketed(flat.surface_start, rings)
    out = np.full(len(kinds), "", object)
    _put(out, kinds, ("MultiPoint",), lambda: _bracketed(flat.ring_start[ring_of_geometry], numbers))
    _put(out, kinds, ("MultiLineString",), lambda: _bracketed(ring_of_geometry, rings))
    _put(out, kinds, ("MultiSurface", "CompositeSurface"), lambda: _bracketed(surface_of_geometry, surfaces))
    _put_solids(out, kinds, flat, surfaces)
    return list(out)


def semantic_texts(flat: Flat, kinds: NDArray[Any], face: Ints) -> list[str]:
    """Return the semantic values of each geometry as JSON text; `face` holds one index per surface, -1 for none."""
    numbers = pa.array(face, mask=face < 0).cast(pa.string()).fill_null("null")
    surface_of_geometry = flat.shell_start[flat.solid_start[flat.geometry_start]]
    out = np.full(len(kinds), "", object)
    plain = ("MultiPoint", "MultiLineString", "MultiSurface", "CompositeSurface")
    _put(out, kinds, plain, lambda: _bracketed(surface_of_geometry, numbers))
    _put_solids(out, kinds, flat, numbers)
    return list(out)


def _put_solids(out: NDArray[Any], kinds: NDArray[Any], flat: Flat, surfaces: pa.Array) -> None:
    """Write the texts of solids: shells in a list, solids in another."""
    if not np.isin(kinds, ("Solid", "MultiSolid", "CompositeSolid")).any():
        return
    shells = _bracketed(flat.shell_start, surfaces)
    _put(out, kinds, ("Solid",), lambda: _bracketed(flat.solid_start[flat.geometry_start], shells))
    solids = _bracketed(flat.solid_start, shells)
    _put(out, kinds, ("MultiSolid", "CompositeSolid"), lambda: _bracketed(flat.geometry_start, solids))


def _put(out: NDArray[Any], kinds: NDArray[Any], wanted: tuple[str, ...], make: Any) -> None:
    mine = np.isin(kinds, wanted)
    if mine.any():
        out[mine] = np.asarray(make().filter(pa.array(mine)).to_pylist(), object)


def _bracketed(start: Ints, parts: pa.Array) -> pa.Array:
    """Return ``[a,b,…]`` for each run of parts."""
    lists = pa.ListArray.from_arrays(pa.array(start.astype(np.int32)), parts)
    joined = pc.binary_join(lists, ",")
    text = pc.binary_join_element_wise(pa.scalar("["), joined, pa.scalar("]"), pa.scalar(""))
    return text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text


def faces_of(flat: Flat, semantics: pa.Array) -> tuple[Ints, NDArray[np.bool_]]:
    """Return the semantic index of every face, -1 for none, and which geometries have semantics of the right length."""
    faces = np.diff(flat.shell_start[flat.solid_start[flat.geometry_start]])
    length = np.asarray(pc.fill_null(pc.list_value_length(semantics), -1).to_numpy(zero_copy_only=False), np.int64)
    fits = length == faces
    out = np.full(int(faces.sum()), -1, np.int64)
    kept = semantics.filter(pa.array(fits))
    out[fits[owner(np.concatenate([[0], np.cumsum(faces)]))]] = pc.fill_null(kept.flatten(), -1).to_numpy(zero_copy_only=False)
    return out, fits
