"""Attributes as plain arrays of numbers, for code that calculates with whole columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.model.schema import SCHEMAS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model.city import City

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["floats", "number_column", "numbers"]


def numbers(city: City, name: str, keys: Ints) -> Floats:
    """Return an attribute, or a core number such as ``z_roof``, of objects of several classes; see `number_column`.

    Parameters
    ----------
    keys : shape (n,)
        Keys of the objects.

    Returns
    -------
    shape (n,)
        In the unit of the attribute.
    """
    values = np.full(len(keys), np.nan)
    if not len(keys):
        return values
    if name in SCHEMAS["objects"].names:
        return floats(city.core_rows([name], keys)[name])
    types = np.asarray(city.core_rows(["type"], keys)["type"].to_pylist(), object)
    for type in dict.fromkeys(types.tolist()):
        mine = types == type
        values[mine] = number_column(city, type, name, keys[mine])
    return values


def number_column(city: City, type: str, name: str, keys: Ints) -> Floats:
    """Return an attribute as numbers, NaN where it is missing, infinite or no number; all NaN where the class has no such attribute.

    Parameters
    ----------
    keys : shape (n,)
        Keys of objects of the class.

    Returns
    -------
    shape (n,)
        In the unit of the attribute.
    """
    if not len(keys) or type not in city.attributes or name not in city.attributes.schema(type).names:
        return np.full(len(keys), np.nan)
    column = city.column(type, name, keys)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return np.full(len(keys), np.nan)
    return floats(column)


def floats(column: Any) -> Floats:
    """Return an Arrow column of numbers as an array that may be written to, NaN where it is missing or infinite."""
    values = np.array(column.cast(pa.float64()).to_numpy(), np.float64) if len(column) else np.empty(0)
    values[~np.isfinite(values)] = np.nan
    return values
