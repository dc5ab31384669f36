"""Base against option, for every kind of result: by object id, by cell, and with the noise that the difference carries."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import CRSMismatchError, ObjectNotFoundError, UsageError
from cim.results.columns import column, unit
from cim.results.fields import Fields
from cim.results.figures import FIGURES, figures_side_by_side
from cim.results.pairing import (
    absent_zeros,
    at_common_times,
    codes,
    keys_of,
    other_intervals,
    refuse_doubles,
    series_keys,
    summarise_series,
)
from cim.results.tolerance import Tolerance, numbers_of, within_noise
from cim.results.verdicts import Verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas
    import xarray

    from cim.results.run_record import RunRecord

__all__ = ["Comparison", "Noise", "compare"]

_VERDICT_COLUMNS = ("object", "place", "unit", "value", "limit", "verdict", "reason")


@dataclass(frozen=True)
class Noise:
    """How much of a difference could be chance."""

    value: float | None
    """Standard deviation of the difference between two runs of the same case, in the unit of each value; None when nobody knows."""
    reason: str

    def __str__(self) -> str:
        """Return value and reason."""
        return f"{'not known' if self.value is None else f'{self.value:g}'}: {self.reason}"


@dataclass(frozen=True)
class Comparison:
    """What an option changes."""

    name: str
    """Name of the simulator or check."""
    tables: Mapping[str, pa.Table]
    """One per table of the results, one row per object found in either: for each column, ``<column>_base``, ``<column>_option`` and,
    for numbers, ``<column>_difference`` (option minus base, null where one is missing; a row that a table lacks counts as zeros where the
    table says so, as the intervals of a traffic run do); where both runs say how far a number may be off,
    ``<column>_noise`` is the sum of both; ``change`` says it in words."""
    fields: xarray.Dataset | None
    """Difference of every field, option minus base; None for checks."""
    noise: Noise
    base: RunRecord
    option: RunRecord
    warnings: tuple[str, ...] = ()
    """What else differs between the two runs and may explain a difference: parameters, versions."""
    figures: pa.Table = field(default_factory=lambda: pa.table({"figure": pa.array([], pa.string())}))
    """The main figures side by side: figure, unit, base, option, difference, note."""
    series: Mapping[str, pa.Table] = field(default_factory=dict)
    """One per table of series (gauges, sections, structures): per series and column the maximum of each run, at its own times, and the
    largest difference at common times. `tables` holds them at the times of the base, the option interpolated linearly."""
    tolerance: Tolerance = field(default_factory=Tolerance)
    """What counts as the same; differences are given in full."""

    def table(self, name: str | None = None) -> pa.Table:
        """Return one table; the first when no name is given.

        Raises
        ------
        ObjectNotFoundError
            If there is none of this name.
        """
        wanted = next(iter(self.tables), None) if name is None else name
        if wanted is None or wanted not in self.tables:
            msg = f"the comparison has no table {name!r}; it has {', '.join(self.tables) or 'none'}"
            raise ObjectNotFoundError(msg)
        return self.tables[wanted]

    def changed(self, name: str | None = None) -> pa.Table:
        """Return only the rows in which something differs by more than the tolerance."""
        return self.table(name).filter(pc.field("change") != "same")

    def largest(self, name: str | None = None) -> pa.Table:
        """Return the rows that changed, the largest changes first.

        Verdicts and statuses that turned come first, then rows that only one has, then numbers by their difference as a share of the
        greatest value of their column. Rows of no object, such as connectors of traffic zones, come after all others.
        """
        changed = self.changed(name)
        size = np.zeros(changed.num_rows)
        for title in [one for one in changed.column_names if one.endswith("_difference")]:
            gap = np.abs(np.asarray(changed[title].to_numpy(), float))
            if title.removesuffix("difference") + "noise" in changed.column_names:
                gap[within_noise(changed, title.removesuffix("_difference"))] = 0.0
            both = [np.abs(numbers_of(changed[title.removesuffix("difference") + word])) for word in ("base", "option")]
            scale = np.fmax(*both)
            most = np.max(scale, initial=0.0, where=np.isfinite(scale))
            size = np.fmax(size, np.nan_to_num(gap / most if most > 0 else gap, posinf=1.0))
        words = changed["change"]
        size += 4.0 * np.asarray(pc.match_substring(words, " -> ").to_numpy(zero_copy_only=False), bool)
        size += 2.0 * np.asarray(pc.starts_with(words, "only in").to_numpy(zero_copy_only=False), bool)
        if "object" in changed.column_names:
            size -= 8.0 * np.asarray(pc.is_null(changed["object"]).to_numpy(zero_copy_only=False), bool)
        return changed.take(pa.array(np.argsort(-size, kind="stable")))

    def to_pandas(self, name: str | None = None) -> pandas.DataFrame:
        """Return one table as a DataFrame, indexed by object id where it has one."""
        frame: pandas.DataFrame = self.table(name).to_pandas()
        return frame.set_index("object") if "object" in frame else frame

    def __repr__(self) -> str:
        """Return how much changed."""
        parts = ", ".join(
            f"{name}: {self.changed(name).num_rows:,} of {table.num_rows:,} rows changed" for name, table in self.tables.items()
        )
        return f"<Comparison {self.name}: {parts or 'no table'}; noise {self.noise}>"

    def _repr_html_(self) -> str:
        import pandas as pd

        from cim.results.words import change_frame, figure_rows

        heads, *rows = figure_rows(self)
        shown = pd.DataFrame(rows, columns=heads).to_html(escape=True, index=False) if rows else ""
        shown += "".join(
            f"<h4>{html.escape(name)}</h4>{change_frame(self.changed(name).slice(0, 50)).to_html(na_rep='', escape=True, index=False)}"
            for name in self.tables
        )
        said = "".join(f"<li>{html.escape(text)}</li>" for text in self.warnings)
        return f"<div><b>{html.escape(repr(self)[1:-1])}</b>{f'<ul>{said}</ul>' if said else ''}{shown}</div>"


def compare(base: Verdicts | Fields, option: Verdicts | Fields, *, tolerance: Tolerance | None = None) -> Comparison:
    """Return what `option` changes against `base`: by object id, by cell, verdict by verdict, gauge by gauge at common times.

    Parameters
    ----------
    base, option
        Two results of the same simulator or check.
    tolerance
        What counts as the same in the column ``change``; `Tolerance` without it, ``Tolerance(0, 0)`` for exact equality.

    Raises
    ------
    UsageError
        If the two are results of different kinds, or their fields lie on different grids.
    CRSMismatchError
        If their fields are in different coordinate systems.
    """
    if type(base) is not type(option) or base.name != option.name:
        pair = f"{type(base).__name__} {base.name!r} with {type(option).__name__} {option.name!r}"
        msg = f"cannot compare {pair}; give two results of one simulator or check"
        raise UsageError(msg)
    close = Tolerance() if tolerance is None else tolerance
    series: dict[str, pa.Table] = {}
    told: list[str] = []
    if isinstance(base, Verdicts) and isinstance(option, Verdicts):
        tables = {"verdicts": _compare_tables(_judged(base), _judged(option), close)}
        fields = None
    elif isinstance(base, Fields) and isinstance(option, Fields):
        tables = {}
        for name in [one for one in base.tables if one in option.tables and one != FIGURES]:
            tables[name] = _compare_named(name, base.tables[name], option.tables[name], close, series, told)
        fields = _compare_fields(base.dataset, option.dataset)
    else:
        msg = f"cannot compare results of the kind {type(base).__name__}; expected Verdicts or Fields"
        raise UsageError(msg)
    warnings = (*_warnings(base.run, option.run), *_unshared(base, option), *told)
    shown = figures_side_by_side(base, option)
    return Comparison(base.name, tables, fields, _noise(base.run, option.run, tables), base.run, option.run, warnings, shown, series, close)


def _compare_named(
    name: str, base: pa.Table, option: pa.Table, tolerance: Tolerance, series: dict[str, pa.Table], told: list[str]
) -> pa.Table:
    """Lay two tables side by side; series are brought to common times first, summed up in `series`, and `told` says so."""
    keys = series_keys(base, option)
    if keys is None:
        made = _compare_tables(base, option, tolerance)
        if other_intervals(base, option):
            alone = int(pc.sum(pc.starts_with(made["change"], "only in")).as_py() or 0)
            rest = f"{alone:,} rows that only one has get no difference"
            told.append(f"{name}: the runs count in other intervals, and counts of other lengths do not compare; {rest}")
        return made
    one, other, outside = at_common_times(base, option, keys)
    made = _compare_tables(one, other, tolerance)
    series[name] = summarise_series(base, option, made, keys, tolerance)
    if not base["time"].equals(option["time"].cast(base["time"].type)):
        rest = f"; {outside:,} rows of the base lie outside them and are left out" if outside else ""
        told.append(f"{name}: compared at the times of the base, the option interpolated linearly between its own times{rest}")
    return made


def _judged(verdicts: Verdicts) -> pa.Table:
    """Return what can differ; numbers get the unit that the check counts in."""
    return verdicts.table.select([*_VERDICT_COLUMNS, *(name for name in verdicts.table.column_names[11:] if name != "footprint")])


def _compare_tables(base: pa.Table, option: pa.Table, tolerance: Tolerance) -> pa.Table:
    """Lay two tables side by side by their keys; rows of the base first, in its order, then those only the option has."""
    keys = keys_of(base, option)
    if not keys:
        base, option, keys = _numbered(base), _numbered(option), ["row"]
    code_base, code_option, known = codes(base, option, keys)
    refuse_doubles(code_base, "base", keys)
    refuse_doubles(code_option, "option", keys)
    rows_base, rows_option = _place(code_base, known), _place(code_option, known)
    order = np.argsort(np.where(rows_base >= 0, rows_base, base.num_rows + rows_option), kind="stable")
    rows_base, rows_option = rows_base[order], rows_option[order]
    left, right = base.take(_index(rows_base)), option.take(_index(rows_option))
    left, right, zeros = absent_zeros(base, option, left, right, (rows_base < 0, rows_option < 0))
    columns: dict[str, Any] = {name: pc.coalesce(left[name], right[name]) for name in keys}
    fields = [base.schema.field(name) for name in keys]
    same = np.ones(len(order), bool)
    shared = [name for name in base.column_names if name in option.column_names and name not in keys]
    for name in [name for name in shared if not _is_noise(name, shared)]:
        same &= _side_by_side(columns, fields, name, left, right, tolerance)
    columns["change"] = _words((rows_base < 0) & ~zeros, (rows_option < 0) & ~zeros, same, columns)
    fields.append(pa.field("change", pa.string()))
    return pa.Table.from_arrays([columns[field.name] for field in fields], schema=pa.schema(fields))


def _numbered(table: pa.Table) -> pa.Table:
    return table.append_column("row", pa.array(np.arange(table.num_rows)))


def _place(code: np.ndarray, known: int) -> np.ndarray:
    rows = np.full(known, -1, np.int64)
    rows[code] = np.arange(len(code))
    return rows


def _index(rows: np.ndarray) -> pa.Array:
    return pa.array(rows, mask=rows < 0)


def _side_by_side(
    columns: dict[str, Any], fields: list[pa.Field], name: str, left: pa.Table, right: pa.Table, tolerance: Tolerance
) -> np.ndarray:
    """Add the columns of one name and return where both hold the same, within the tolerance."""
    kind = left.schema.field(name)
    a, b = left[name], right[name].cast(kind.type)
    en, zh = (kind.metadata or {}).get(b"label_en", b"").decode(), (kind.metadata or {}).get(b"label_zh", b"").decode()
    for suffix, word, values in (("base", "基准", a), ("option", "方案", b)):
        columns[f"{name}_{suffix}"] = values
        fields.append(column(f"{name}_{suffix}", kind.type, unit=unit(kind), en=f"{en or name}, {suffix}", zh=f"{zh}{word}"))
    same = _same(a, b, kind, tolerance)
    if pa.types.is_floating(kind.type) or pa.types.is_integer(kind.type):
        columns[f"{name}_difference"] = pc.subtract(b.cast(pa.float64()), a.cast(pa.float64()))
        fields.append(column(f"{name}_difference", pa.float64(), unit=unit(kind), en=f"{en or name}, difference", zh=f"{zh}差值"))
        if _is_noise(f"{name}_noise", left.column_names) and f"{name}_noise" in right.column_names:
            columns[f"{name}_noise"] = pc.add(left[f"{name}_noise"], right[f"{name}_noise"])
            words = f"{en or name}, noise of the difference"
            fields.append(column(f"{name}_noise", pa.float64(), unit=unit(kind), en=words, zh=f"{zh}差值噪声"))
            same |= within_noise(columns, name)
    return same


def _is_noise(name: str, columns: Sequence[str]) -> bool:
    """Return whether a column says how far another one may be off."""
    return name.endswith("_noise") and name in columns and name.removesuffix("_noise") in columns


def _same(a: Any, b: Any, kind: pa.Field, tolerance: Tolerance) -> np.ndarray:
    """Return where two columns hold the same: measured numbers and instants within the tolerance, everything else exactly."""
    if pa.types.is_floating(kind.type):
        return tolerance.same(numbers_of(a), numbers_of(b), unit(kind))
    missing = pc.and_(pc.is_null(a, nan_is_null=True), pc.is_null(b, nan_is_null=True))
    same = np.asarray(pc.or_(pc.fill_null(pc.equal(a, b), False), missing).to_numpy(), bool)
    if pa.types.is_timestamp(kind.type):
        one, two = (values.cast(pa.timestamp("us", kind.type.tz), safe=False).cast(pa.int64()) for values in (a, b))
        apart = pc.fill_null(pc.less_equal(pc.abs(pc.subtract(two, one)), round(tolerance.absolute * 1e6)), False)
        same |= np.asarray(apart.to_numpy(), bool)
    return same


def _words(no_base: np.ndarray, no_option: np.ndarray, same: np.ndarray, columns: Mapping[str, Any]) -> pa.Array:
    """Return the change in words: ``"pass -> fail"``, ``"changed"``, ``"same"``, ``"only in base"``, ``"only in option"``."""
    words = np.where(same, "same", "changed").astype(object)
    for name in ("verdict", "status"):
        if f"{name}_base" in columns:
            a, b = (np.asarray(columns[f"{name}_{side}"].to_pylist(), object) for side in ("base", "option"))
            turned = a != b
            words[turned] = [f"{old} -> {new}" for old, new in zip(a[turned], b[turned], strict=True)]
    words[no_option] = "only in base"
    words[no_base] = "only in option"
    return pa.array(words.tolist(), pa.string())


def _compare_fields(base: xarray.Dataset, option: xarray.Dataset) -> xarray.Dataset:
    """Return option minus base for every field both have, on the grid that both must share."""
    from cim.crs import parse

    crs = base.attrs.get("crs"), option.attrs.get("crs")
    if crs[0] != crs[1] and (None in crs or parse(crs[0]) != parse(crs[1])):
        where = "compare"
        raise CRSMismatchError(where, f"the base is in {crs[0]}, the option in {crs[1]}", "run both in one coordinate system")
    for name in base.coords:
        if (
            name not in option.coords
            or base[name].shape != option[name].shape
            or not bool((base[name].values == option[name].values).all())
        ):
            pair = f"base {_extent(base, str(name))}, option {_extent(option, str(name))}"
            msg = f"the fields differ in {name}: {pair}; run both on one grid and with the same levels or times"
            raise UsageError(msg)
    difference = base.drop_vars(list(base.data_vars))
    for name, values in base.data_vars.items():
        if name in option.data_vars and values.dims == option[name].dims:
            difference[name] = _minus(option[name], values)
    return difference


def _minus(option: xarray.DataArray, base: xarray.DataArray) -> xarray.DataArray:
    """Return the difference; codes (flags) differ by 1 or not at all."""
    flags = "flag_values" in base.attrs
    values = (option.values != base.values).astype(np.uint8) if flags else option.values.astype(float) - base.values.astype(float)
    made = base.copy(data=values)
    made.attrs = {name: value for name, value in base.attrs.items() if not name.startswith("flag_")}
    made.attrs["long_name"] = f"{base.attrs.get('long_name', base.name)}, {'whether it differs' if flags else 'option minus base'}"
    return made


def _extent(dataset: xarray.Dataset, name: str) -> str:
    if name not in dataset.coords:
        return "none"
    values = dataset[name].values.reshape(-1)
    return f"{len(values)} from {values[0]} to {values[-1]}" if len(values) else "empty"


def _noise(base: RunRecord, option: RunRecord, tables: Mapping[str, pa.Table]) -> Noise:
    own = [name for table in tables.values() for name in table.column_names if name.endswith("_noise")]
    if own:
        return Noise(None, f"row by row in {', '.join(own)}: what both runs leave open; a difference that is no larger counts as the same")
    if base.seed is None and option.seed is None:
        return Noise(
            0.0, "both runs are exact: no random numbers, the same inputs give the same bytes, so every difference comes from the inputs"
        )
    if base.seed == option.seed:
        same = f"both runs draw the same numbers (seed {base.seed}): what differs comes from the inputs, and from how chance meets them"
        return Noise(None, f"{same}; run both with several seeds to learn how much that is")
    seeds = f"seeds {base.seed} and {option.seed}"
    return Noise(None, f"the runs draw random numbers ({seeds}); run the base with several seeds to learn how much it varies by itself")


def _unshared(base: Verdicts | Fields, option: Verdicts | Fields) -> list[str]:
    """Name the tables and fields that only one of two results holds."""
    if not (isinstance(base, Fields) and isinstance(option, Fields)):
        return []
    pairs = (("table", set(base.tables), set(option.tables)), ("field", set(base.dataset.data_vars), set(option.dataset.data_vars)))
    return [
        f"{what} {name} is only in the {'base' if name in one else 'option'}"
        for what, one, two in pairs
        for name in sorted(map(str, one ^ two))
    ]


def _warnings(base: RunRecord, option: RunRecord) -> tuple[str, ...]:
    """Name what differs besides the inputs."""
    said = []
    if base.version != option.version:
        said.append(f"method version {base.version} against {option.version}")
    for words, one, two in (("parameter", base.parameters, option.parameters), ("version of", base.versions, option.versions)):
        said += [
            f"{words} {name}: {one.get(name)!r} against {two.get(name)!r}"
            for name in sorted({*one, *two})
            if one.get(name) != two.get(name)
        ]
    if base.inputs and base.inputs == option.inputs:
        said.append("the inputs of both runs are the same")
    return tuple(said)
