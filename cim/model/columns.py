"""Attribute columns: values with their unit and titles, and how values given piece by piece become one Arrow column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.model.schema import one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Keys = NDArray[np.int64]

__all__ = ["Column", "common_type", "scatter"]


@dataclass(frozen=True)
class Column:
    """One attribute column."""

    values: Any
    """Shape (n,): numpy, Arrow or a sequence; None and NaN are missing."""
    unit: str = ""
    source_field: str = ""
    """Name the source gives it."""
    label_en: str = ""
    label_zh: str = ""

    def metadata(self) -> dict[str, str]:
        """Return what the Arrow field says about the column."""
        said = {"unit": self.unit, "source_field": self.source_field, "label_en": self.label_en, "label_zh": self.label_zh}
        return {key: value for key, value in said.items() if value}


def scatter(keys: Keys, pieces: list[tuple[Keys, Column]]) -> pa.Array:
    """Return one array over `keys` from values given for some of them; the last value given wins."""
    arrays = [_as_array(column.values) for _, column in pieces]
    kinds = {array.type for array in arrays if not pa.types.is_null(array.type)}
    kind = next(iter(kinds)) if len(kinds) == 1 else common_type(kinds)
    values = pa.concat_arrays([array.cast(kind) for array in arrays])
    owner = np.concatenate([rows for rows, _ in pieces])
    place = np.full(int(keys[-1]) + 1 if len(keys) else 0, -1, np.int64)
    place[owner] = np.arange(len(owner))
    index = place[keys]
    return values.take(pa.array(index, mask=index < 0))


def _as_array(values: Any) -> pa.Array:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return one_array(values)
    return one_array(
        pa.array(values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind in "US" else values, from_pandas=True)
    )


def common_type(kinds: set[pa.DataType]) -> pa.DataType:
    """Return a type that holds all of `kinds`: float for numbers, text otherwise."""
    return pa.float64() if kinds and all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in kinds) else pa.string()
