"""Attribute values brought to the type and unit of their attribute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cim.loaders.vector.columns import column_from_values
from cim.loaders.vector.fields import Target
from cim.loaders.vector.frame import Layer, Note

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["converted", "instants"]


def converted(layer: Layer, target: Target) -> tuple[pa.Array, str, list[Note]]:
    """Return the values of a field as the attribute wants them, the unit they are in now, and notes."""
    import pyarrow as pa

    from cim.standard_names import STANDARD_NAMES

    column: pa.Array = layer.columns[target.source]
    if target.codes:
        return *_decoded(column, target), _unknown_codes(column, target)
    standard = STANDARD_NAMES.get(target.standard or "")
    if standard is None and not target.unit:
        return column, "", []
    if standard is not None and standard.kind in ("text", "code", "flag"):
        return column, "", []
    notes: list[Note] = []
    if pa.types.is_string(column.type):
        column, notes = _numbers(layer, target, column)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return column, target.unit, notes
    expected = standard.unit if standard is not None else None
    return *_in_si(column, target, expected, notes), notes


def _numbers(layer: Layer, target: Target, column: pa.Array) -> tuple[pa.Array, list[Note]]:
    """Return a text column as numbers where most texts are numbers."""
    from cim.loaders.vector.columns import number_in

    parsed = [
        None if value is None or not value.strip() else (number_in(value) if number_in(value) is not None else value)
        for value in column.to_pylist()
    ]
    made = column_from_values(target.source, parsed, layer.number)
    layer.leftovers.setdefault(target.source, {}).update(made.leftovers)
    return made.values, made.notes


def _in_si(column: pa.Array, target: Target, expected: str | None, notes: list[Note]) -> tuple[pa.Array, str]:
    import pyarrow as pa

    from cim.units import parse_unit, to_si

    if not target.unit:
        return column, expected or ""
    unit = parse_unit(target.unit)
    if unit.factor == 1.0 and unit.offset == 0.0 and (expected is None or expected == unit.si):
        return column, unit.si
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    changed, how = to_si(values, unit, expected or None)
    notes.append(Note("repaired", f"field {target.source}: unit {how}", "info", count=int(np.isfinite(changed).sum())))
    return pa.array(changed, pa.float64(), from_pandas=True), expected if expected is not None else unit.si


def _decoded(column: pa.Array, target: Target) -> tuple[pa.Array, str]:
    import pyarrow as pa

    codes = {str(key): value for key, value in target.codes.items()}
    return pa.array([None if value is None else codes.get(str(value), str(value)) for value in column.to_pylist()]), target.unit


def _unknown_codes(column: pa.Array, target: Target) -> list[Note]:
    import pyarrow.compute as pc

    unknown = [str(value) for value in pc.unique(column.drop_null()).to_pylist() if str(value) not in {str(key) for key in target.codes}]
    if not unknown:
        return []
    shown = ", ".join(unknown[:10])
    return [
        Note(
            "unmatched",
            f"field {target.source}: {len(unknown)} values are not in the code list ({shown}); kept as they are",
            count=len(unknown),
        )
    ]


def instants(column: pa.Array) -> tuple[pa.Array, int]:
    """Return a column of dates or times as UTC instants, and how many values are none; a time without zone is taken as UTC."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = pa.timestamp("us", tz="UTC")
    if pa.types.is_timestamp(column.type):
        return column.cast(kind), 0
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    text = pc.replace_substring_regex(text, r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})", r"\1-\2-\3")
    text = pc.replace_substring_regex(text, r"^(\d{4})(\d{2})(\d{2})(?:\.0)?$", r"\1-\2-\3")
    dated = pc.match_substring_regex(text, r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?(?:Z|[+-]\d{2}:?\d{2})?$")
    zoned = pc.match_substring_regex(text, r"\d(?:Z|[+-]\d{2}:?\d{2})$")
    zoned = pc.and_(zoned, pc.match_substring_regex(text, r"[T ]"))
    text = pc.if_else(dated, pc.if_else(zoned, text, pc.binary_join_element_wise(text, pa.scalar("Z"), "")), pa.scalar(None, pa.string()))
    text = pc.replace_substring_regex(text, r"^(\d{4}-\d{2}-\d{2})Z$", r"\1T00:00:00Z")
    lost = int(text.null_count - column.null_count)
    try:
        return text.cast(kind), max(lost, 0)
    except pa.ArrowInvalid:  # a date such as 2021-02-30 stands among them
        return _one_by_one(text, kind), max(lost, 0)


def _one_by_one(text: pa.Array, kind: pa.DataType) -> pa.Array:
    from datetime import datetime

    import pyarrow as pa

    out: list[datetime | None] = []
    for value in text.to_pylist():
        try:
            out.append(None if value is None else datetime.fromisoformat(value))
        except ValueError:
            out.append(None)
    return pa.array(out, kind)
