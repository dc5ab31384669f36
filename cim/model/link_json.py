"""What links say in the JSON of their attributes, as columns: read in one go by Arrow, row by row where a value is of another kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model.schema import one_array

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["said_by_links"]


def said_by_links(attributes: pa.ChunkedArray | pa.Array, wanted: Mapping[str, pa.DataType]) -> pa.Table:
    """Return entries of the JSON of links as columns, null where a link does not say it or says something of another kind.

    Parameters
    ----------
    attributes
        The column `attributes` of the table `links`.
    wanted
        Arrow type by name: text, numbers, lists and structs of them. A number that stands there as text is read as a number (``"2;3"`` is
        none); where a text is asked for, a number is its text.

    Raises
    ------
    UsageError
        If a text is no JSON object; its row is named.

    Examples
    --------
    >>> said_by_links(pa.array(['{"lanes": 2, "class": "primary"}', None]), {"lanes": pa.float64()})["lanes"].to_pylist()
    [2.0, None]
    """
    schema = pa.schema([pa.field(name, kind) for name, kind in wanted.items()])
    texts = pc.fill_null(one_array(attributes), "")
    texts = pc.if_else(pc.equal(pc.utf8_trim_whitespace(texts), ""), "{}", texts)
    quick = _by_arrow(texts, schema)
    return quick if quick is not None else _row_by_row(texts.to_pylist(), schema)


def _by_arrow(texts: pa.Array, schema: pa.Schema) -> pa.Table | None:
    """Return the columns by Arrow's reader of JSON lines; None where it refuses a value."""
    from pyarrow import json as arrow_json

    if not len(texts):
        return schema.empty_table()
    lines = pc.replace_substring_regex(texts, r"[\r\n]", " ")  # within a text JSON has no bare line break
    data = "\n".join(lines.to_pylist()).encode()
    parse = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    try:
        table = arrow_json.read_json(pa.BufferReader(data), arrow_json.ReadOptions(block_size=len(data) + 1), parse)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OverflowError):
        return None
    return table.combine_chunks() if table.num_rows == len(texts) else None


def _row_by_row(texts: list[str], schema: pa.Schema) -> pa.Table:
    import json

    import orjson

    rows: list[dict[str, Any]] = []
    for number, text in enumerate(texts):
        try:
            said = orjson.loads(text)
        except orjson.JSONDecodeError:
            try:
                said = json.loads(text)  # takes NaN, as Python writes it
            except json.JSONDecodeError as error:
                msg = f"attributes of link {number} are no JSON: {error}; found {text[:80]!r}"
                raise UsageError(msg) from error
        if not isinstance(said, dict):
            msg = f'attributes of link {number} are no JSON object, found {text[:80]!r}; expected names and values such as {{"lanes": 2}}'
            raise UsageError(msg)
        rows.append(said)
    return pa.table([_column([row.get(field.name) for row in rows], field.type) for field in schema], schema=schema)


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([_fitting(value, kind) for value in values], kind)


def _fitting(value: Any, kind: pa.DataType) -> Any:
    """Return a value that fits a type, None where it does not."""
    if pa.types.is_string(kind) and isinstance(value, int | float):
        return str(value)
    if pa.types.is_floating(kind) and isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    try:
        return pa.array([value], kind)[0].as_py()
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return None
