"""Attribute columns back to the attributes of CityJSON objects, under the names that the file or CityGML gives them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from cim.loaders.cityjson.attributes import DEFINED

if TYPE_CHECKING:
    from cim.model import City
    from cim.model.loss import Losses

__all__ = ["written_attributes"]

_BY_STANDARD = {standard: name for name, standard in DEFINED.items()}


def written_attributes(city: City, losses: Losses, name_field: str, *, came_from_file: bool) -> dict[int, dict[str, Any]]:
    """Return the attributes of each object by key.

    Parameters
    ----------
    name_field
        Attribute that takes the name of an object.
    came_from_file
        Whether the fields that the columns name are those of a CityJSON file.
    """
    out: dict[int, dict[str, Any]] = {}
    for kind in city.attributes:
        table = city.attributes[kind]
        keys = table["object"].to_pylist()
        taken: set[str] = set()
        for field in table.schema:
            if field.name == "object":
                continue
            name = _written_name(field, taken, came_from_file=came_from_file)
            taken.add(name)
            unit = (field.metadata or {}).get(b"unit", b"").decode()
            if unit and DEFINED.get(name) != field.name:
                losses.add(f"unit of attribute {name} ({unit})", 1, kind)
            for key, value in zip(keys, _plain(table[field.name], name, losses), strict=True):
                if value is not None:
                    out.setdefault(key, {})[name] = value
    objects = city.tables["objects"].filter(pc.is_valid(pc.field("name")))
    for key, title in zip(objects["key"].to_pylist(), objects["name"].to_pylist(), strict=True):
        out.setdefault(key, {}).setdefault(name_field, title)
    return out


def _written_name(field: pa.Field, taken: set[str], *, came_from_file: bool) -> str:
    source = (field.metadata or {}).get(b"source_field", b"").decode()
    same = DEFINED.get(source) == field.name or field.name.rstrip("_") in (source, f"{source}_attribute")
    own = source and same and (came_from_file or field.name not in _BY_STANDARD)
    plain = source if own else _BY_STANDARD.get(field.name, field.name)
    plain = plain.removesuffix("_attribute") if plain.endswith("_attribute") and not source else plain
    return plain if plain not in taken else f"{field.name}_2" if field.name in taken else str(field.name)


def _plain(column: pa.ChunkedArray, name: str, losses: Losses) -> Sequence[Any]:
    """Return values that JSON has; what it has not becomes text, and is counted."""
    kind = column.type
    if pa.types.is_floating(kind):
        return pc.if_else(pc.is_finite(column), column, pa.scalar(None, kind)).to_pylist()  # type: ignore[no-any-return]
    values: list[Any] = column.to_pylist()
    if pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return values
    losses.add(f"type of attribute {name} ({kind}), written as text", len(values) - column.null_count)
    return [_as_json(value) for value in values]


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal | timedelta):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _as_json(one) for key, one in value.items()}
    return [_as_json(one) for one in value] if isinstance(value, list | tuple) else value
