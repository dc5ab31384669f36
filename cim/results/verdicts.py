"""What a check returns: one row per object with value, limit and a verdict of pass, fail or not assessed, never a silent pass.

`judge` is the only place where a verdict comes about, and `Verdicts` refuses a table in which something passes or fails without a
value and a limit.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.results.run_record import RunRecord

if TYPE_CHECKING:
    import pandas
    from numpy.typing import ArrayLike, NDArray

__all__ = ["FAIL", "NOT_ASSESSED", "PASS", "VERDICT_FIELDS", "Judgement", "Verdicts", "judge", "verdicts_from"]

PASS, FAIL, NOT_ASSESSED = "pass", "fail", "not_assessed"  # verdicts, no secrets
_ALLOWED = (PASS, FAIL, NOT_ASSESSED)

VERDICT_FIELDS: tuple[pa.Field, ...] = (
    pa.field("object", pa.string(), nullable=False),
    pa.field("place", pa.string()),
    pa.field("value", pa.float64()),
    pa.field("unit", pa.string()),
    pa.field("limit", pa.float64()),
    pa.field("excess", pa.float64()),
    pa.field("verdict", pa.string(), nullable=False),
    pa.field("reason", pa.string()),
    pa.field("clause", pa.string()),
    pa.field("assumption", pa.string()),
    pa.field("note", pa.string()),
)
"""Columns of every table of verdicts, in order; a check may add columns of its own after them."""


@dataclass(frozen=True)
class Judgement:
    """Verdicts of many rows at once."""

    verdict: NDArray[np.object_]
    """Shape (n,): pass, fail or not_assessed."""
    reason: NDArray[np.object_]
    """Shape (n,): why it was not assessed, None otherwise."""
    excess: NDArray[np.float64]
    """Shape (n,): value minus limit, in the unit of the value; NaN where one of them is missing."""


def judge(
    value: ArrayLike, limit: ArrayLike, *, reason: Sequence[str | None] | NDArray[Any] | None = None, tolerance: ArrayLike = 0.0
) -> Judgement:
    """Compare values with their upper limits; whatever is missing, or has a reason against it, is not assessed.

    Parameters
    ----------
    value, limit : shape (n,) or scalar
        NaN (or infinity) is missing.
    reason : shape (n,)
        Why a row cannot be assessed, None where nothing speaks against it.
    tolerance : shape (n,) or scalar
        A value above its limit by no more than this passes: it stands for rounding, not for leniency.

    Examples
    --------
    >>> judged = judge([1.2, 1.2, np.nan, 1.0], [1.2, 1.0, 1.0, np.nan])
    >>> judged.verdict.tolist(), judged.reason.tolist()
    (['pass', 'fail', 'not_assessed', 'not_assessed'], [None, None, 'missing_value', 'missing_limit'])
    """
    values, limits, slack = np.broadcast_arrays(
        np.atleast_1d(np.asarray(value, float)), np.asarray(limit, float), np.asarray(tolerance, float)
    )
    why = np.full(values.shape, None, object)
    why[~np.isfinite(limits)] = "missing_limit"
    why[~np.isfinite(values)] = "missing_value"
    why[~np.isfinite(slack)] = "unknown_tolerance"
    if reason is not None:
        given = np.asarray(list(reason), object)
        why = np.where(given != None, given, why)  # noqa: E711  # element by element
    with np.errstate(invalid="ignore"):
        excess = np.where(np.isfinite(values) & np.isfinite(limits), values - limits, np.nan)
        kept = excess <= slack
    known = why == None  # noqa: E711
    verdict = np.where(known & kept, PASS, np.where(known, FAIL, NOT_ASSESSED)).astype(object)
    return Judgement(verdict, why, excess)


@dataclass(frozen=True)
class Verdicts:
    """The result of a check."""

    name: str
    """Name of the check."""
    table: pa.Table
    """One row per object (and place, where an object is judged in several): `VERDICT_FIELDS`, then columns of the check's own. A
    column ``footprint`` (WKB) holds the shape of what is no object of the city, such as a grid cell, in the CRS that the schema
    metadata ``crs`` names."""
    run: RunRecord

    def __post_init__(self) -> None:
        """Refuse a table in which anything passes or fails without value and limit, or is not assessed without a reason."""
        object.__setattr__(self, "table", _conform(self.table, self.name))
        fault = _fault(self.table)
        if fault:
            msg = f"verdicts of {self.name!r}: {fault}"
            raise UsageError(msg)

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.table.num_rows)

    def counts(self) -> dict[str, int]:
        """Return how many rows pass, fail and are not assessed."""
        verdict = self.table["verdict"]
        return {name: int(pc.sum(pc.equal(verdict, name)).as_py() or 0) for name in _ALLOWED}

    def only(self, verdict: str) -> pa.Table:
        """Return the rows with one verdict."""
        if verdict not in _ALLOWED:
            msg = f"there is no verdict {verdict!r}; there are {', '.join(_ALLOWED)}"
            raise UsageError(msg)
        return self.table.filter(pc.field("verdict") == verdict)

    def to_pandas(self) -> pandas.DataFrame:
        """Return the table as a DataFrame indexed by object id, without the shapes."""
        names = [name for name in self.table.column_names if name != "footprint"]
        frame: pandas.DataFrame = self.table.select(names).to_pandas().set_index("object")
        return frame

    def __repr__(self) -> str:
        """Return the counts in one line."""
        return f"<Verdicts {self.name}: " + ", ".join(f"{count:,} {name}" for name, count in self.counts().items()) + ">"

    def _repr_html_(self) -> str:
        frame = self.to_pandas()
        worst = frame.assign(_rank=frame["verdict"].map({FAIL: 0, NOT_ASSESSED: 1, PASS: 2})).sort_values("_rank", kind="stable")
        shown = worst.drop(columns="_rank").dropna(axis=1, how="all").head(50).to_html(na_rep="", escape=True)
        taken = "".join(f"<li>{html.escape(text)}</li>" for text in self.run.assumptions)
        more = f"<p>first 50 of {len(self):,} rows</p>" if len(self) > 50 else ""
        return (
            f"<div><b>{html.escape(repr(self)[1:-1])}</b>{shown}{more}"
            + (f"<p>assumptions 假定</p><ul>{taken}</ul>" if taken else "")
            + "</div>"
        )


def verdicts_from(
    name: str, run: RunRecord, columns: Mapping[str, Any], *, crs: str | None = None, extra: Sequence[pa.Field] = ()
) -> Verdicts:
    """Return verdicts from columns; a scalar is repeated, NaN becomes null.

    Parameters
    ----------
    columns
        Values by column name; ``object`` decides how many rows there are.
    crs
        Coordinate system of the column ``footprint``.
    extra
        Fields of the columns that the check adds, with units and titles.
    """
    rows = len(columns["object"])
    fields = [*VERDICT_FIELDS, *extra, *([pa.field("footprint", pa.binary())] if "footprint" in columns else [])]
    arrays = [_as_column(columns.get(field.name), field.type, rows) for field in fields]
    schema = pa.schema(fields, metadata={"crs": crs} if crs else None)
    return Verdicts(name, pa.Table.from_arrays(arrays, schema=schema), run)


def _as_column(value: Any, kind: pa.DataType, rows: int) -> pa.Array:
    if value is None:
        return pa.nulls(rows, kind)
    if isinstance(value, str | float | int):
        return pa.repeat(pa.scalar(value, kind), rows)
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return value.cast(kind)
    return pa.array(value if isinstance(value, np.ndarray) and value.dtype.kind == "f" else list(value), kind, from_pandas=True)


def _conform(table: pa.Table, name: str) -> pa.Table:
    """Bring the fixed columns to the front and to their types."""
    missing = {"object", "verdict"} - set(table.column_names)
    if missing:
        msg = f"verdicts of {name!r} have no column {', '.join(sorted(missing))}"
        raise UsageError(msg)
    have = set(table.column_names)
    fixed = {field.name for field in VERDICT_FIELDS}
    arrays = [
        table[field.name].cast(field.type) if field.name in have else pa.nulls(table.num_rows, field.type) for field in VERDICT_FIELDS
    ]
    own = [field for field in table.schema if field.name not in fixed]
    schema = pa.schema([*VERDICT_FIELDS, *own], metadata=table.schema.metadata)
    return pa.Table.from_arrays([*arrays, *(table[field.name] for field in own)], schema=schema)


def _fault(table: pa.Table) -> str:
    """Return what is wrong with a table of verdicts, ``""`` when nothing is."""
    verdict = table["verdict"]
    if table["object"].null_count or verdict.null_count:
        return "a row has no object or no verdict"
    strange = sorted(set(pc.unique(verdict).to_pylist()) - set(_ALLOWED))
    if strange:
        return f"verdict {strange[0]!r} is none of {', '.join(_ALLOWED)}"
    for bad, words in (
        (
            pc.field("verdict").isin([PASS, FAIL])
            & (pc.field("value").is_null(nan_is_null=True) | pc.field("limit").is_null(nan_is_null=True)),
            "passes or fails without a value and a limit",
        ),
        ((pc.field("verdict") == NOT_ASSESSED) & pc.field("reason").is_null(), "is not assessed without a reason"),
        (pc.field("verdict").isin([PASS, FAIL]) & pc.field("reason").is_valid(), "passes or fails with a reason why it cannot"),
    ):
        rows = table.filter(bad)
        if rows.num_rows:
            return f"{rows['object'][0].as_py()!r} {words}"
    return ""
