"""Columns of attribute values: one type each, what does not fit it set aside and named, nothing changed silently."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cim.loaders.vector.frame import MOST_NOTES, Note

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

__all__ = ["Made", "column_from_values", "number_in"]

INT64 = 1 << 63
_NUMBER = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*")


@dataclass(frozen=True)
class Made:
    """A column made from mixed values."""

    values: pa.Array
    notes: list[Note] = field(default_factory=list)
    leftovers: dict[int, str] = field(default_factory=dict)
    """Values that are missing in the column because they do not fit its type, by record number."""


def number_in(text: str) -> float | None:
    """Return the number that a text is as a whole, None where it is none.

    Examples
    --------
    >>> number_in(" 12.5 "), number_in("12 m"), number_in("1e999")
    (12.5, None, None)
    """
    found = _NUMBER.fullmatch(text)
    value = float(found[1]) if found else math.nan
    return value if math.isfinite(value) else None


def column_from_values(name: str, values: Sequence[Any], number: NDArray[np.int64]) -> Made:  # noqa: PLR0911  # one per kind
    """Return one typed column for JSON values of any kind.

    Numbers win over text when most values are numbers; then text that is a number is converted, and other text is
    missing in the column, kept aside and named. Integers beyond 64 bit make the whole column text.
    """
    import pyarrow as pa

    kinds = Counter(_kind(value) for value in values)
    kinds.pop("null", None)
    if not kinds:
        return Made(pa.nulls(len(values), pa.string()))
    if "nested" in kinds:
        return Made(pa.array([None if value is None else _text(value) for value in values], pa.string()))
    if "big" in kinds:
        return _too_big(name, values)
    numbers, texts = kinds["int"] + kinds["real"] + kinds["odd"], kinds["text"]
    if set(kinds) == {"bool"}:
        return Made(pa.array(values, pa.bool_()))
    if set(kinds) <= {"int"}:
        return Made(pa.array(values, pa.int64()))
    if set(kinds) <= {"int", "real"}:
        return Made(pa.array([None if value is None else float(value) for value in values], pa.float64()))
    readable = sum(isinstance(value, str) and number_in(value) is not None for value in values) if numbers else 0
    if numbers >= readable and numbers + readable > texts - readable + kinds["bool"]:
        return _mostly_numbers(name, values, number)
    made = pa.array([None if value is None else _text(value) for value in values], pa.string())
    if numbers or kinds["bool"]:
        message = f"field {name} mixes text with {numbers + kinds['bool']} values of another type; all are kept as text"
        return Made(made, [Note("assumed", message, "info")])
    return Made(made)


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int" if -INT64 <= value < INT64 else "big"
    if isinstance(value, float):
        return "real" if math.isfinite(value) else "odd"
    return "text" if isinstance(value, str) else "nested"


def _text(value: Any) -> str:
    import orjson

    return (
        value
        if isinstance(value, str)
        else orjson.dumps(value, default=str).decode()
        if isinstance(value, dict | list | bool)
        else str(value)
    )


def _too_big(name: str, values: Sequence[Any]) -> Made:
    import pyarrow as pa

    count = sum(isinstance(value, int) and _kind(value) == "big" for value in values)
    message = f"field {name}: {count} integers overflow the range of 64 bit; the whole field is kept as text, digit by digit"
    return Made(
        pa.array([None if value is None else _text(value) for value in values], pa.string()), [Note("repaired", message, count=count)]
    )


def _mostly_numbers(name: str, values: Sequence[Any], number: NDArray[np.int64]) -> Made:
    import pyarrow as pa

    out: list[float | None] = []
    left: dict[int, str] = {}
    converted = 0
    for place, value in enumerate(values):
        kind = _kind(value)
        if kind in ("int", "real"):
            out.append(float(value))
            continue
        found = number_in(value) if kind == "text" else None
        converted += found is not None
        if found is None and kind != "null":
            left[int(number[place])] = _text(value)
        out.append(found)
    return Made(pa.array(out, pa.float64()), _mixed_notes(name, left, converted), left)


def _mixed_notes(name: str, left: dict[int, str], converted: int) -> list[Note]:
    notes = [
        Note(
            "rejected",
            f"field {name}, record {place}: {text[:60]!r} is no number, the type of most values of {name}; set to missing",
            record=str(place),
        )
        for place, text in list(left.items())[:MOST_NOTES]
    ]
    if len(left) > MOST_NOTES:
        more = len(left) - MOST_NOTES
        notes.append(Note("rejected", f"field {name}: {more} more values are no numbers; set to missing", count=more))
    if converted:
        notes.append(
            Note("repaired", f"field {name}: {converted} numbers written as text are converted to numbers", "info", count=converted)
        )
    return notes
