"""Nested JSON lists to Arrow lists and back to counts; what does not fit is found by halving, not one by one.

Lists may be parsed or still text (`bytes`, see `cim.loaders.cityjson.hollow`); text becomes columns without an object per number.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import simdjson

from cim.loaders.cityjson.hollow import blocks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ["MalformedError", "convert", "from_text", "list_type", "offsets_of", "peel"]


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
        Parsed JSON, or its text, each a list of `depth` levels.
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
    if bytes in set(map(type, values)):
        array = from_text(list(values), depth, nulls=nulls)
        if array is not None:
            return array, places, {}
        values = [json.loads(value) if type(value) is bytes else value for value in values]
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


# ---------------------------------------------------------------------------------------------- text

_NULL = -7_777_777_777_777_777
"""Stands for null while numbers are parsed."""


def from_text(values: Sequence[Any], depth: int, *, nulls: bool = False, real: bool = False) -> pa.Array | None:
    """Return lists that are JSON text as an Arrow array; None when one of them is parsed already or does not fit.

    Parameters
    ----------
    depth
        List levels of each.
    nulls
        Whether a number may be null.
    real
        Whether numbers may have a fraction; the array holds float64 then.

    Examples
    --------
    >>> from_text([b"[[0,1],[]]", b"[[2]]"], 2).to_pylist()
    [[[0, 1], []], [[2]]]
    """
    if any(type(value) is not bytes for value in values):
        return None
    parts = []
    for joined, _ in blocks(list(values)):
        part = _block(joined, depth, nulls=nulls, real=real)
        if part is None:
            return None
        parts.append(part)
    return pa.concat_arrays(parts) if parts else pa.array([], list_type(depth))


def _block(text: bytes, depth: int, *, nulls: bool, real: bool) -> pa.Array | None:
    """Return one JSON array of arrays as an Arrow array of its elements."""
    if nulls and b"null" in text:
        mark = str(_NULL).encode()
        if mark in text:
            return None
        text = text.replace(b"null", mark)
    numbers = _numbers(text, real=real)
    if numbers is None:
        return None
    levels = _counts(text, depth, len(numbers))
    if levels is None:
        return None
    array = pa.array(numbers, mask=numbers == _NULL) if nulls else pa.array(numbers)
    for count in reversed(levels):
        array = pa.ListArray.from_arrays(pa.array(np.concatenate([[0], np.cumsum(count)]).astype(np.int32)), array)
    return array


def _numbers(text: bytes, *, real: bool) -> NDArray[Any] | None:
    """Return all numbers of a JSON array, however nested."""
    try:
        buffer = memoryview(cast("simdjson.Array", simdjson.Parser().parse(text)).as_buffer(of_type="d" if real else "i"))
    except (ValueError, TypeError, RuntimeError):
        return None
    kind = np.float64 if real else np.int64
    return np.frombuffer(buffer, kind) if buffer.nbytes else np.empty(0, kind)


def _counts(text: bytes, depth: int, numbers: int) -> list[Ints] | None:
    """Return how many elements the lists of each level hold, outermost first; None where numbers stand on another level."""
    chars = np.frombuffer(text, np.uint8)
    place = np.flatnonzero((chars | 6) == _OPEN_OR_CLOSE)  # [ is 0b1011011, ] is 0b1011101: no other of the characters here is alike
    opens = chars[place] == ord("[")
    level = np.cumsum(opens.astype(np.int8) * 2 - 1, dtype=np.int32)
    commas = np.add.reduceat((chars == ord(",")).view(np.int8), place, dtype=np.int32)
    first = np.flatnonzero(opens)
    height, leaf = level[first], ~opens[first + 1]
    size = np.where(leaf & (place[first + 1] - place[first] > 1), commas[first] + 1, 0)
    if height.max() > depth + 1 or (height[size > 0] != depth + 1).any() or size.sum() != numbers:
        return None
    found = []
    lists = np.flatnonzero(height == 2)
    for number in range(3, depth + 2):
        inner = np.flatnonzero(height == number)
        found.append(np.diff(np.append(np.searchsorted(inner, lists), len(inner))))
        lists = inner
    return [*found, size[lists]]


_OPEN_OR_CLOSE = ord("[") | 6
