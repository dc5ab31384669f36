"""Which row of one table belongs to which of another: by ids, and series of measurements at common times."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.results.columns import absent_is_zero, column, unit
from cim.results.tolerance import Tolerance

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]

__all__ = ["absent_zeros", "at_common_times", "codes", "keys_of", "other_intervals", "refuse_doubles", "series_keys", "summarise_series"]

_KEYS = ("object", "link", "class", "vehicle", "place", "gauge", "section", "structure", "level", "from_time", "time")
"""Columns that say which row of one table belongs to which of the other, those that a table has; a number that is measured (the water level
at a gauge) is none, one that was asked for (the levels of a static inundation) is."""
_SERIES = frozenset({"gauge", "section", "structure"})
"""What is looked at again and again, at times that are each run's own."""


def keys_of(base: pa.Table, option: pa.Table) -> list[str]:
    """Return the columns by which rows of two tables are paired."""
    shared = [name for name in _KEYS if name in base.column_names and name in option.column_names]
    if not _SERIES & set(shared):
        return shared
    return [name for name in shared if not pa.types.is_floating(base.schema.field(name).type)]


def series_keys(base: pa.Table, option: pa.Table) -> list[str] | None:
    """Return the columns that name the series in two tables of instants (none: each is one series), None where they hold no series."""
    keys = keys_of(base, option)
    timed = "time" in keys and all(
        pa.types.is_timestamp(one.schema.field("time").type) and not one["time"].null_count for one in (base, option)
    )
    others = [name for name in keys if name != "time"]
    return others if timed and set(others) <= _SERIES else None


def codes(base: pa.Table, option: pa.Table, keys: list[str]) -> tuple[Rows, Rows, int]:
    """Return one number per different key, for the rows of both tables, and how many there are."""
    code = np.zeros(base.num_rows + option.num_rows, np.int64)
    for name in keys:
        both = pa.chunked_array([*base[name].chunks, *option[name].cast(base[name].type).chunks], base[name].type).combine_chunks()
        text = (both.combine_chunks() if isinstance(both, pa.ChunkedArray) else both).dictionary_encode(null_encoding="encode")
        part = np.asarray(text.indices.to_numpy(zero_copy_only=False), np.int64)
        code = np.unique(code * (len(text.dictionary) + 1) + part, return_inverse=True)[1].reshape(-1)
    known = int(code.max()) + 1 if len(code) else 0
    return code[: base.num_rows], code[base.num_rows :], known


def refuse_doubles(code: Rows, words: str, keys: list[str]) -> None:
    """Raise `UsageError` where two rows of one table have the same key."""
    if len(np.unique(code)) < len(code):
        msg = f"the {words} holds several rows for the same {', '.join(keys)}; they cannot be told apart"
        raise UsageError(msg)


def absent_zeros(
    base: pa.Table, option: pa.Table, left: pa.Table, right: pa.Table, lost: tuple[NDArray[np.bool_], NDArray[np.bool_]]
) -> tuple[pa.Table, pa.Table, NDArray[np.bool_]]:
    """Return two tables side by side with zeros where one lacks a row of the other and says that such a row is zeros, and which rows may.

    Parameters
    ----------
    base, option
        The tables as they are.
    left, right
        Their rows side by side.
    lost
        Which rows the base, and the option, lacks.
    """
    known = np.full(left.num_rows, _sparse(base) and _sparse(option))
    if known.any() and "time" in base.column_names:
        times = pc.coalesce(left["time"], right["time"])
        known = np.asarray(pc.is_in(times, pa.array(_shared_intervals(base, option)[0], times.type)).to_numpy(), bool)
    return _with_zeros(left, known & lost[0]), _with_zeros(right, known & lost[1]), known


def other_intervals(base: pa.Table, option: pa.Table) -> bool:
    """Return whether two tables in which a row that is not there is zeros count in intervals that are not the same."""
    return _sparse(base) and _sparse(option) and not _shared_intervals(base, option)[1]


def _sparse(table: pa.Table) -> bool:
    return any(absent_is_zero(field) for field in table.schema)


def _shared_intervals(base: pa.Table, option: pa.Table) -> tuple[list[float], bool]:
    """Return where the intervals begin that both tables state, and whether these are all: elsewhere a row that is lacking is not known."""
    one, other = (json.loads((table.schema.metadata or {}).get(b"intervals", b"[]")) for table in (base, option))
    spans = [set(pairwise(edges)) for edges in (one, other)]
    return sorted(begin for begin, _ in spans[0] & spans[1]), spans[0] == spans[1]


def _with_zeros(table: pa.Table, rows: NDArray[np.bool_]) -> pa.Table:
    for at, field in enumerate(table.schema):
        if absent_is_zero(field) and rows.any():
            table = table.set_column(at, field, pc.if_else(pa.array(rows), pa.scalar(0, field.type), table[field.name]))
    return table


def at_common_times(base: pa.Table, option: pa.Table, keys: list[str]) -> tuple[pa.Table, pa.Table, int]:
    """Return two tables of series at the times of the base, and how many rows of the base lie outside the times of the option.

    The option is interpolated linearly between its own instants; whole numbers and words are the last known. Series that only one of the
    two has keep all their rows.

    Parameters
    ----------
    keys
        From `series_keys`.

    Raises
    ------
    UsageError
        If a series of the option holds an instant twice.
    """
    one, other, _ = codes(base, option, keys)
    at, own = _micros(base), _micros(option)
    low = int(min(at.min(initial=0), own.min(initial=0)))
    span = int(max(at.max(initial=0), own.max(initial=0))) - low + 1
    order = np.argsort(other * span + (own - low), kind="stable")
    option, other = option.take(pa.array(order)), other[order]
    axis = other * span + (own[order] - low)
    refuse_doubles(axis, "option", [*keys, "time"])
    wanted = one * span + (at - low)
    before, after = np.searchsorted(axis, wanted, "right") - 1, np.searchsorted(axis, wanted, "left")
    inside = (before >= 0) & (after < len(axis))
    inside[inside] = (other[before[inside]] == one[inside]) & (other[after[inside]] == one[inside])
    kept = inside | ~np.isin(one, other)
    step = (axis[after[inside]] - axis[before[inside]]).astype(float)
    share = np.divide(wanted[inside] - axis[before[inside]], step, out=np.zeros(len(step)), where=step > 0)
    made = _between(option, before[inside], after[inside], share, base["time"].filter(pa.array(inside)))
    alone = option.filter(pa.array(~np.isin(other, one)))
    return base.filter(pa.array(kept)), pa.concat_tables([made, alone]), int((~kept).sum())


def _micros(table: pa.Table) -> Rows:
    times = table["time"]
    return np.asarray(times.cast(pa.timestamp("us", times.type.tz), safe=False).cast(pa.int64()).to_numpy(), np.int64)


def _between(table: pa.Table, before: Rows, after: Rows, share: NDArray[np.float64], times: Any) -> pa.Table:
    """Return a table at instants between its rows."""
    first = table.take(pa.array(before))
    for index, field in enumerate(table.schema):
        if pa.types.is_floating(field.type):
            values = np.asarray(table[field.name].to_numpy(), float)
            low, high = values[before], values[after]
            with np.errstate(invalid="ignore"):  # between two infinities there is nothing known
                mixed = np.where((share == 0) | (low == high), low, low + share * (high - low))
            first = first.set_column(index, field, pa.array(mixed, pa.float64(), from_pandas=True).cast(field.type))
    return first.set_column(first.column_names.index("time"), table.schema.field("time"), times.cast(table.schema.field("time").type))


def summarise_series(base: pa.Table, option: pa.Table, compared: pa.Table, keys: list[str], tolerance: Tolerance) -> pa.Table:
    """Return one row per series and column: the maximum of each run, at its own times, and the largest difference at common times.

    Parameters
    ----------
    base, option
        The tables as they are.
    compared
        Base and option side by side at common times.
    keys
        From `series_keys`.
    """
    import pandas as pd

    numbers = [
        field for field in base.schema
        if pa.types.is_floating(field.type) and field.name in option.column_names and f"{field.name}_difference" in compared.column_names
    ]  # fmt: skip
    group = keys or ["series"]
    left, right, both = (one.to_pandas().assign(**({} if keys else {"series": "all"})) for one in (base, option, compared))
    parts = [_one_column(field, left, right, both, group, tolerance) for field in numbers]
    frame = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
    times = pa.field("time", compared.schema.field("time").type)
    schema = [pa.field(name, pa.string()) for name in (*group, "column", "unit")]
    for name, en in _TITLES.items():
        schema.append(column(name, pa.float64(), en=en))
    schema += [times, pa.field("change", pa.string())]
    columns = [pa.array(frame[field.name] if len(frame) else [], field.type, from_pandas=True) for field in schema]
    return pa.Table.from_arrays(columns, schema=pa.schema(schema))


_TITLES = {
    "maximum_base": "maximum of the base at its own times, in the unit of the row",
    "maximum_option": "maximum of the option at its own times",
    "largest_difference": "largest difference at common times, option minus base",
}


def _one_column(
    field: pa.Field, base: pandas.DataFrame, option: pandas.DataFrame, both: pandas.DataFrame, group: list[str], tolerance: Tolerance
) -> pandas.DataFrame:
    """Return the rows of `summarise_series` for one column."""
    import pandas as pd

    name = field.name
    tops = pd.DataFrame({f"maximum_{word}": one.groupby(group)[name].max() for word, one in (("base", base), ("option", option))})
    a, b = (both[f"{name}_{word}"].to_numpy(float) for word in ("base", "option"))
    gap = both.assign(largest_difference=both[f"{name}_difference"], size=both[f"{name}_difference"].abs())
    gap["differs"] = ~tolerance.same(a, b, unit(field)) & ~both["change"].str.startswith("only")
    most = gap.dropna(subset=["size"]).sort_values("size", kind="stable").groupby(group)[["largest_difference", "time"]].last()
    made = tops.join(most).join(gap.groupby(group)["differs"].any())
    only = both[both["change"].str.startswith("only")].groupby(group)["change"].first()
    words = made["differs"].map({True: "changed", False: "same"}).fillna("no common time")
    made["change"] = words.where(~made.index.isin(only.index), only.reindex(made.index))
    return made.drop(columns="differs").reset_index().assign(column=name, unit=unit(field))
