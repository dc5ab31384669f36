"""Nested JSON lists to Arrow lists and back to counts; what does not fit is found by halving, not one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ["MalformedError", "convert", "list_type", "offsets_of", "peel"]


class MalformedError(ValueError):
    """A nested list that is not what it should be; the message is half a sentence about it."""


def list_type(depth: int) -> pa.DataType:
    """Return the Arrow type of integers in `depth` list levels."""
    kind = pa.int64()
    for _ in range(depth):
        kind = pa.list_(kind)
    return kind


def peel(lists: pa.Array) -> tuple[Ints, pa.Array]:
    """Return the offsets, from zero, and the values of the outer list level."""
    if not len(lists):
        return np.zeros(1, np.int64), lists.values.slice(0, 0)
    offsets = np.asarray(lists.offsets.to_numpy(zero_copy_only=False), np.int64)
    return offsets - offsets[0], lists.values.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))


def offsets_of(lists: pa.Array) -> tuple[list[Ints], pa.Array]:
    """Return the offsets of every list level, outermost first, and the innermost values."""
    levels = []
    while pa.types.is_list(lists.type):
        start, lists = peel(lists)
        levels.append(start)
    return levels, lists


def convert(values: Sequence[Any], depth: int, what: str, *, nulls: bool = False) -> tuple[pa.Array, Ints, dict[int, str]]:
    """Return lists of integers as an Arrow array.

    Parameters
    ----------
    values : shape (n,)
        Parsed JSON, each a list of `depth` levels.
    what
        What an integer is, for the reasons: "vertex index".
    nulls
        Whether an integer may be null.

    Returns
    -------
    tuple
        The array of those that fit, their places in `values`, and the reason by place of those that do not.
    """
    places = np.arange(len(values))
    try:
        return _array(values, depth, what, nulls=nulls), places, {}
    except MalformedError as error:
        if len(values) == 1:
            return pa.array([], list_type(depth)), places[:0], {0: str(error)}
    half = len(values) // 2
    left, left_places, left_bad = convert(values[:half], depth, what, nulls=nulls)
    right, right_places, right_bad = convert(values[half:], depth, what, nulls=nulls)
    bad = left_bad | {place + half: reason for place, reason in right_bad.items()}
    return pa.concat_arrays([left, right]), np.concatenate([left_places, right_places + half]), bad


def _array(values: Sequence[Any], depth: int, what: str, *, nulls: bool) -> pa.Array:
    """Convert all or raise; the type is inferred first, since asking for integers would cut 1.5 to 1 without a word."""
    if not len(values):
        return pa.array([], list_type(depth))
    try:
        array = pa.array(values)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        msg = f"a {what} is not an integer, or the lists nest unevenly"
        raise MalformedError(msg) from error
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    array = _typed(array, depth, what)
    level = array
    for _ in range(depth):
        if level.null_count:
            msg = "a list is null"
            raise MalformedError(msg)
        level = peel(level)[1]
    if level.null_count and not nulls:
        msg = f"a {what} is null, expected an integer"
        raise MalformedError(msg)
    return array


def _typed(array: pa.Array, depth: int, what: str) -> pa.Array:
    kind, levels = array.type, 0
    while pa.types.is_list(kind):
        kind, levels = kind.value_type, levels + 1
    if pa.types.is_null(kind) and levels <= depth:
        try:
            return array.cast(list_type(depth))
        except (pa.ArrowException, TypeError) as error:
            msg = f"the lists nest {levels} levels, expected {depth}"
            raise MalformedError(msg) from error
    if not pa.types.is_integer(kind) or pa.types.is_unsigned_integer(kind):
        msg = f"a {what} is not an integer of 64 bit (it is of type {kind})"
        raise MalformedError(msg)
    if levels != depth:
        msg = f"the lists around a {what} nest {levels} levels, expected {depth}"
        raise MalformedError(msg)
    return array
