"""Lists of coordinates, parsed or still text, as arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import CorruptFileError
from cim.loaders.cityjson.nested import from_text, offsets_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]

__all__ = ["pairs", "stored_points"]

_MOST = 1 << 53


def stored_points(vertices: list[Any] | bytes, path: Path, what: str) -> Reals:
    """Return vertices as written, shape (v, 3); integers that a real number does not hold become NaN.

    Raises
    ------
    CorruptFileError
        If a vertex is not three numbers.
    """
    if isinstance(vertices, bytes):
        found = _from_text(vertices)
        if found is not None:
            return found
        listed: list[Any] = json.loads(vertices)
    else:
        listed = vertices
    if not listed:
        return np.empty((0, 3))
    try:
        array = pa.array(listed, pa.list_(pa.float64(), 3))
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return _one_by_one(listed, path, what)
    if array.null_count or array.values.null_count:
        return _one_by_one(listed, path, what)
    return np.asarray(array.values.to_numpy(zero_copy_only=False), float).reshape(-1, 3)


def _from_text(text: bytes) -> Reals | None:
    for real in (False, True):
        lists = from_text([text], 2, real=real)
        if lists is None:
            continue
        (_, start), values = offsets_of(lists)
        numbers = np.asarray(values.to_numpy(zero_copy_only=False))
        if (np.diff(start) != 3).any() or (np.abs(numbers) >= _MOST).any() or not np.isfinite(numbers).all():
            return None
        return numbers.astype(np.float64).reshape(-1, 3)
    return None


def _one_by_one(vertices: list[Any], path: Path, what: str) -> Reals:
    """Read vertices among which some are odd: integers beyond what a real number holds become NaN, anything else ends the reading."""
    out = np.empty((len(vertices), 3))
    for place, vertex in enumerate(vertices):
        if not (isinstance(vertex, list) and len(vertex) == 3 and all(type(v) in (int, float) for v in vertex)):
            reason = f"{what} {place} is {str(vertex)[:60]}, expected three numbers (vertex indices would mean the wrong places)"
            raise CorruptFileError(path, reason, "export it again")
        out[place] = [v if abs(v) < 1 << 53 else np.nan for v in vertex]
    return out


def pairs(listed: Any, path: Path) -> Reals:
    """Return texture vertices, shape (u, 2).

    Raises
    ------
    CorruptFileError
        If one of them is not two numbers: the indices would mean the wrong places.
    """
    if isinstance(listed, bytes):
        lists = from_text([listed], 2, real=True)
        if lists is not None:
            (_, start), values = offsets_of(lists)
            if (np.diff(start) == 2).all():
                return np.asarray(values.to_numpy(zero_copy_only=False), float).reshape(-1, 2)
        listed = json.loads(listed)
    fine = isinstance(listed, list) and all(
        isinstance(one, list) and len(one) == 2 and all(type(v) in (int, float) and abs(v) < _MOST for v in one) for one in listed
    )
    if not fine:
        raise CorruptFileError(path, "has texture vertices that are not two numbers each", "export it again")
    return np.asarray(listed, float).reshape(-1, 2)
