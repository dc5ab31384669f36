"""Tables by name, read from disk only when asked for, and the conditions that select their rows."""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from cim.errors import ObjectNotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow.compute as pc
    from numpy.typing import ArrayLike

__all__ = ["Condition", "Stored", "Tables", "among", "condition"]

_APART = 4096  # keys nearer than this lie in the same row group as a rule
_SMALL = 65_536  # rows that are read at once rather than scanned for each look-up
_SPANS = 16  # conditions a scan compares with each row group


class Stored(Protocol):
    """A table that lies on disk; `pyarrow.dataset.Dataset` is one."""

    @property
    def schema(self) -> pa.Schema:
        """Columns with their metadata."""
        ...

    def count_rows(self) -> int:
        """Return the number of rows."""
        ...

    def to_table(self, columns: list[str] | None = None, filter: pc.Expression | None = None) -> pa.Table:  # noqa: A002  # Arrow's word
        """Return some columns of the rows that meet a condition."""
        ...


class Tables(Mapping[str, pa.Table]):
    """Arrow tables by name; one that lies on disk is read when it is first asked for, or only scanned.

    Parameters
    ----------
    entries
        Tables, or what lies on disk and is read when it is needed.
    """

    def __init__(self, entries: Mapping[str, pa.Table | Stored]) -> None:
        self._entries = dict(entries)
        self._read: dict[str, pa.Table] = {}

    def __getitem__(self, name: str) -> pa.Table:
        """Return the whole table."""
        entry = self._entry(name)
        if isinstance(entry, pa.Table):
            return entry
        self._read[name] = table = _restore(entry.to_table(), entry.schema)
        return table

    def entry(self, name: str) -> pa.Table | Stored:
        """Return the table, or where it lies on disk, whether or not it has been read."""
        self._entry(name)
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        """Say whether there is such a table; `Mapping` would read it to find out."""
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def _entry(self, name: str) -> pa.Table | Stored:
        if name in self._read:
            return self._read[name]
        if name not in self._entries:
            msg = f"there is no table {name!r}; there are {', '.join(sorted(self._entries)) or 'none'}"
            raise ObjectNotFoundError(msg)
        return self._entries[name]

    def schema(self, name: str) -> pa.Schema:
        """Return the schema without reading any row."""
        return self._entry(name).schema

    def rows(self, name: str) -> int:
        """Return the number of rows without reading any."""
        entry = self._entry(name)
        return entry.num_rows if isinstance(entry, pa.Table) else int(entry.count_rows())

    def scan(self, name: str, columns: Sequence[str] | None = None, where: pc.Expression | None = None) -> pa.Table:
        """Return some columns of the rows that meet a condition; on disk, only the row groups that may hold some are read.

        Parameters
        ----------
        name
            Table.
        columns
            Columns to return; all when left out.
        where
            Arrow expression over the columns of the table.
        """
        entry = self._entry(name)
        if isinstance(entry, pa.Table):
            table = entry if where is None else entry.filter(where)
            return table if columns is None else table.select(list(columns))
        return _restore(entry.to_table(columns=None if columns is None else list(columns), filter=where), entry.schema)

    def at_hand(self, name: str) -> bool:
        """Say whether a row is best looked up in the whole table: it is in memory, or so small that it may as well be."""
        entry = self._entry(name)
        return isinstance(entry, pa.Table) or entry.count_rows() <= _SMALL

    def only(self, names: Iterable[str]) -> Tables:
        """Return the same tables without those that `names` leaves out."""
        new = Tables({name: self._entries[name] for name in names if name in self._entries})
        new._read = {name: self._read[name] for name in new if name in self._read}
        return new

    def replace(self, **changed: pa.Table | Stored) -> Tables:
        """Return the same tables with some exchanged or added."""
        new = Tables({**self._entries, **changed})
        new._read = {name: table for name, table in self._read.items() if name not in changed}
        return new


def _restore(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with the field metadata (units, labels) that a scan drops."""
    fields = [schema.field(name) if name in schema.names else table.schema.field(name) for name in table.column_names]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(fields, metadata=schema.metadata))


def among(name: str, keys: ArrayLike) -> pc.Expression:
    """Return the condition that an integer column holds one of `keys`, said so that a scan leaves out row groups far from all of them.

    The statistics of a row group say from which key to which it reaches; Arrow compares spans with them, but not sets.
    """
    import pyarrow.compute as pc

    wanted = np.unique(np.asarray(keys, np.int64))
    member = pc.field(name).isin(pa.array(wanted))
    if not len(wanted):
        return member
    gap = np.diff(wanted)
    cut = np.flatnonzero(gap > _APART)
    cut = np.sort(cut[np.argsort(gap[cut], kind="stable")[-_SPANS:]])
    first, last = wanted[np.concatenate([[0], cut + 1])], wanted[np.concatenate([cut, [len(wanted) - 1]])]
    spans = [(pc.field(name) >= low) & (pc.field(name) <= high) for low, high in zip(first.tolist(), last.tolist(), strict=True)]
    return functools.reduce(operator.or_, spans) & member


@dataclass(frozen=True)
class Condition:
    """A row condition and the columns it looks at."""

    names: frozenset[str]
    """Columns that the text names."""
    build: Callable[..., pc.Expression]
    """Makes the Arrow expression; takes types of columns and the time zone of times without one (both optional)."""


_COMPARE = {ast.Gt: "__gt__", ast.GtE: "__ge__", ast.Lt: "__lt__", ast.LtE: "__le__", ast.Eq: "__eq__", ast.NotEq: "__ne__"}


def condition(text: str) -> Condition:
    """Return the condition that a text such as ``"height > 30 and name == '图书馆'"`` states.

    Comparisons, ``and``, ``or``, ``not``, ``in [...]`` and ``is None`` are known; nothing is executed. A missing value meets no
    comparison, ``not in`` included. A date or time is written as text: ``valid_from >= '2020-01-01'``.

    Raises
    ------
    UsageError
        If the text is no such condition.

    Examples
    --------
    >>> sorted(condition("height > 30 and 层数 in [3, 4]").names)
    ['height', '层数']
    """
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        msg = f"condition {text!r} cannot be read: {error}; write for example: height > 30 and name == 'A'"
        raise UsageError(msg) from error
    names = frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))
    _expression(tree, _Reading(text))  # refuses early what cannot be built
    return Condition(names, lambda types=None, zone="UTC": _expression(tree, _Reading(text, types or {}, zone)))


@dataclass(frozen=True)
class _Reading:
    """A condition being read."""

    text: str
    types: Mapping[str, pa.DataType] = field(default_factory=dict)
    """Types of the columns, so that a date, a time or a yes can be compared with what a text can say."""
    zone: str = "UTC"


def _expression(node: ast.AST, reading: _Reading) -> pc.Expression:
    """Turn one node of the parsed condition into an Arrow expression."""
    import pyarrow.compute as pc

    text = reading.text
    if isinstance(node, ast.BoolOp):
        join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
        return functools.reduce(join, (_expression(value, reading) for value in node.values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return ~_expression(node.operand, reading)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, operation, right = node.left, node.ops[0], node.comparators[0]
        if isinstance(operation, ast.Is | ast.IsNot) and isinstance(right, ast.Constant) and right.value is None:
            missing = _operand(left, None, reading).is_null()
            return missing if isinstance(operation, ast.Is) else ~missing
        if isinstance(operation, ast.In | ast.NotIn) and isinstance(right, ast.List | ast.Tuple):
            member = _member(left, right.elts, reading)
            return member if isinstance(operation, ast.In) else ~member
        if type(operation) in _COMPARE:
            expression: pc.Expression = getattr(_operand(left, right, reading), _COMPARE[type(operation)])(_operand(right, left, reading))
            return expression
    if isinstance(node, ast.Name):
        return pc.field(node.id)
    msg = f"condition {text!r}: {ast.unparse(node)!r} is not understood; use comparisons joined by and, or, not"
    raise UsageError(msg)


def _member(left: ast.AST, elements: Sequence[ast.expr], reading: _Reading) -> pc.Expression:
    """Return whether a value is one of several; unknown for a missing value, so that the contrary does not hold for it either."""
    import pyarrow.compute as pc

    value = _operand(left, None, reading)
    kind = _type_of(left, reading)
    wanted = [_constant(element, reading, kind) for element in elements]
    if not wanted:
        among = value.is_null(nan_is_null=False) & value.is_valid()  # nothing is a member of nothing
    elif kind is not None and pa.types.is_integer(kind) and any(isinstance(one, float) for one in wanted):
        among = value.cast(pa.float64()).isin(pa.array(wanted, pa.float64()))
    else:
        among = value.isin(wanted)
    return pc.if_else(value.is_valid(), among, pc.scalar(pa.scalar(None, pa.bool_())))


def _type_of(node: ast.AST, reading: _Reading) -> pa.DataType | None:
    return reading.types.get(node.id) if isinstance(node, ast.Name) else None


def _operand(node: ast.AST, other: ast.AST | None, reading: _Reading) -> pc.Expression:
    """Return one side of a comparison; a constant is brought to the type of the column on the other side."""
    import pyarrow.compute as pc

    if isinstance(node, ast.Name):
        return pc.field(node.id)
    kind = _type_of(other, reading) if other is not None else None
    return pc.scalar(_constant(node, reading, kind))


def _constant(node: ast.AST, reading: _Reading, kind: pa.DataType | None = None) -> Any:
    try:
        value = ast.literal_eval(ast.unparse(node))
    except ValueError as error:
        msg = f"condition {reading.text!r}: {ast.unparse(node)!r} is neither a column nor a constant"
        raise UsageError(msg) from error
    if value is None:
        msg = f"condition {reading.text!r}: a missing value meets no comparison; write: column is None, or: column is not None"
        raise UsageError(msg)
    if kind is not None and isinstance(value, str) and pa.types.is_temporal(kind):
        return _moment(value, kind, reading)
    if kind is not None and pa.types.is_boolean(kind) and value in (0, 1):
        return bool(value)
    return value


def _moment(value: str, kind: pa.DataType, reading: _Reading) -> pa.Scalar:
    """Return a text as date or time of a column's type; a time without zone is taken in that of the city."""
    from cim.model.history import instant

    try:
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            return pa.scalar(instant(value, reading.zone), kind)
        moment = datetime.fromisoformat(value)
        return pa.scalar(moment.date() if pa.types.is_date(kind) else moment, kind)
    except (ValueError, pa.ArrowInvalid, pa.ArrowTypeError, UsageError) as error:
        msg = f"condition {reading.text!r}: {value!r} is no {kind}; write it as '2026-07-01' or '2026-07-01T07:00'"
        raise UsageError(msg) from error
