"""Attribute columns: values with their unit and titles, in SI, and how values given piece by piece become one Arrow column."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model.schema import one_array
from cim.units import parse_unit, to_si

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    Keys = NDArray[np.int64]

__all__ = ["Column", "Joined", "common_type", "free_names", "in_si", "is_number", "joined", "scatter", "type_for"]


@dataclass(frozen=True)
class Column:
    """One attribute column."""

    values: Any
    """Shape (n,): numpy, Arrow or a sequence; None and NaN are missing."""
    unit: str = ""
    """Unit of `values`, in any spelling `cim.units.parse_unit` reads; the city holds them in SI."""
    source_field: str = ""
    """Name the source gives it."""
    label_en: str = ""
    label_zh: str = ""
    source_unit: str = ""
    """Unit the source gives the values in, where it is another than `unit`."""

    def metadata(self) -> dict[str, str]:
        """Return what the Arrow field says about the column."""
        said = {"unit": self.unit, "source_field": self.source_field, "label_en": self.label_en, "label_zh": self.label_zh,
                "source_unit": self.source_unit}  # fmt: skip
        return {key: value for key, value in said.items() if value}


def in_si(column: Column) -> tuple[Column, str]:
    """Return a column in SI, its own unit kept as `source_unit`, and in words why that cannot be done, ``""`` where it can.

    Numbers that need no factor keep their type; a converted column is float64.

    Examples
    --------
    >>> done, _ = in_si(Column([100, None], unit="ft"))
    >>> [round(value, 6) if value else value for value in done.values.to_pylist()], done.unit, done.source_unit
    ([30.48, None], 'm', 'ft')
    """
    array = _as_array(column.values)
    plain = replace(column, values=array)
    try:
        unit = parse_unit(column.unit)
    except UsageError as error:
        return plain, f"{error}; its values stay as they are"
    if unit.factor != 1.0 or unit.offset != 0.0:
        if not is_number(array.type) and not pa.types.is_null(array.type):
            return plain, f"unit {column.unit!r} cannot be converted to {unit.si or '1'}: the values are {array.type}, no numbers"
        numbers = np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
        array = pa.array(to_si(numbers, unit)[0], from_pandas=True)
    source = column.source_unit or (column.unit if column.unit != unit.si else "")
    return replace(column, values=array, unit=unit.si, source_unit=source), ""


@dataclass(frozen=True)
class Joined:
    """One attribute over all objects of a class."""

    array: pa.Array
    metadata: dict[str, str]
    """What the Arrow field says."""
    issues: tuple[tuple[str, str, int], ...]
    """Code, message and number of values of what was assumed or could not be done."""


def joined(attribute: str, keys: Keys, pieces: list[tuple[Keys, Column]]) -> Joined:
    """Return one attribute in SI over `keys` from values given for some of them.

    Parameters
    ----------
    attribute
        Class and name, for messages.
    keys
        Keys of the objects of the class, ascending.
    pieces
        Keys and values of each call; the last value given for a key wins.

    Raises
    ------
    UsageError
        If the units of the pieces measure different quantities.
    """
    issues: list[tuple[str, str, int]] = []
    done: list[tuple[Keys, Column]] = []
    for rows, column in pieces:
        converted, problem = in_si(column)
        if problem:
            issues.append(("unsupported", f"attribute {attribute}: {problem}", len(rows)))
        done.append((rows, converted))
    columns = [column for _, column in done]
    given = dict.fromkeys(column.source_unit or column.unit or "none" for column in columns)
    if len({column.unit for column in columns}) > 1:
        units = ", ".join(sorted(given))
        msg = f"attribute {attribute} comes in units of different quantities ({units}); correct a unit, or give one another name"
        raise UsageError(msg)
    array = scatter(keys, done)
    if pa.types.is_string(array.type) and all(is_number(column.values.type) or pa.types.is_null(column.values.type) for column in columns):
        said = f"attribute {attribute} has whole numbers of more digits than a float holds beside fractions; all are held as text"
        issues.append(("assumed", said, len(array) - array.null_count))
    metadata: dict[str, str] = {}
    for column in columns:
        metadata = {**column.metadata(), **metadata}
    if "source_unit" in metadata:
        metadata["source_unit"] = ", ".join(given)
    return Joined(array, metadata, tuple(issues))


def free_names(names: Sequence[str], reserved: Collection[str]) -> list[str]:
    """Return the names, the reserved ones with ``_attribute`` behind, numbered on until they are free.

    Examples
    --------
    >>> free_names(["name", "height", "name_attribute"], {"name"})
    ['name_attribute_2', 'height', 'name_attribute']
    """
    taken, stored = set(names), []
    for name in names:
        free, number = f"{name}_attribute" if name in reserved else name, 2
        while name in reserved and free in taken:
            free, number = f"{name}_attribute_{number}", number + 1
        taken.add(free)
        stored.append(free)
    return stored


def scatter(keys: Keys, pieces: list[tuple[Keys, Column]]) -> pa.Array:
    """Return one array over `keys` from values given for some of them; the last value given wins."""
    arrays = [_as_array(column.values) for _, column in pieces]
    kind = type_for(arrays)
    values = pa.concat_arrays([array.cast(kind) for array in arrays])
    owner = np.concatenate([rows for rows, _ in pieces])
    place = np.full(int(keys[-1]) + 1 if len(keys) else 0, -1, np.int64)
    place[owner] = np.arange(len(owner))
    index = place[keys]
    return values.take(pa.array(index, mask=index < 0))


def _as_array(values: Any) -> pa.Array:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        array = one_array(values)
        array = array.cast(pa.float32()) if pa.types.is_float16(array.type) else array
        return pc.if_else(pc.is_nan(array), pa.scalar(None, array.type), array) if pa.types.is_floating(array.type) else array
    return one_array(
        pa.array(values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind in "US" else values, from_pandas=True)
    )


def is_number(kind: pa.DataType) -> bool:
    """Say whether values of a type are numbers."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def type_for(arrays: Sequence[pa.Array | pa.ChunkedArray]) -> pa.DataType:
    """Return a type that holds the values of all arrays without loss: text where whole numbers have too many digits for a float.

    Examples
    --------
    >>> type_for([pa.array([1]), pa.array([0.5])]), type_for([pa.array([123456789012345678]), pa.array([0.5])])
    (DataType(double), DataType(string))
    """
    kinds = {array.type for array in arrays if not pa.types.is_null(array.type)}
    if not kinds:
        return pa.null()
    kind = next(iter(kinds)) if len(kinds) == 1 else common_type(kinds)
    try:
        for array in arrays:
            array.cast(kind)
    except pa.ArrowInvalid:
        return pa.string()
    return kind


def common_type(kinds: set[pa.DataType]) -> pa.DataType:
    """Return a type that holds all of `kinds`: whole numbers, float for other numbers, text otherwise."""
    if kinds and all(pa.types.is_integer(kind) for kind in kinds):
        return pa.int64()
    return pa.float64() if kinds and all(is_number(kind) for kind in kinds) else pa.string()
