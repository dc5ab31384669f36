"""Tables by name, read from disk only when asked for, and the conditions that select their rows."""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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
    build: Callable[[], pc.Expression]
    """Makes the Arrow expression."""


_COMPARE = {ast.Gt: "__gt__", ast.GtE: "__ge__", ast.Lt: "__lt__", ast.LtE: "__le__", ast.Eq: "__eq__", ast.NotEq: "__ne__"}


def condition(text: str) -> Condition:
    """Return the condition that a text such as ``"height > 30 and name == '图书馆'"`` states.

    Comparisons, ``and``, ``or``, ``not``, ``in [...]`` and ``is None`` are known; nothing is executed. A missing value meets no
    comparison.

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
    _expression(tree, text)  # refuses early what cannot be built
    return Condition(names, lambda: _expression(tree, text))


def _expression(node: ast.AST, text: str) -> pc.Expression:
    """Turn one node of the parsed condition into an Arrow expression."""
    import pyarrow.compute as pc

    if isinstance(node, ast.BoolOp):
        join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
        return functools.reduce(join, (_expression(value, text) for value in node.values))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return ~_expression(node.operand, text)
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        left, operation, right = node.left, node.ops[0], node.comparators[0]
        if isinstance(operation, ast.Is | ast.IsNot) and isinstance(right, ast.Constant) and right.value is None:
            missing = _operand(left, text).is_null()
            return missing if isinstance(operation, ast.Is) else ~missing
        if isinstance(operation, ast.In | ast.NotIn) and isinstance(right, ast.List | ast.Tuple):
            among = _operand(left, text).isin([_constant(element, text) for element in right.elts])
            return among if isinstance(operation, ast.In) else ~among
        if type(operation) in _COMPARE:
            expression: pc.Expression = getattr(_operand(left, text), _COMPARE[type(operation)])(_operand(right, text))
            return expression
    if isinstance(node, ast.Name):
        return pc.field(node.id)
    msg = f"condition {text!r}: {ast.unparse(node)!r} is not understood; use comparisons joined by and, or, not"
    raise UsageError(msg)


def _operand(node: ast.AST, text: str) -> pc.Expression:
    import pyarrow.compute as pc

    return pc.field(node.id) if isinstance(node, ast.Name) else pc.scalar(_constant(node, text))


def _constant(node: ast.AST, text: str) -> Any:
    try:
        return ast.literal_eval(ast.unparse(node))
    except ValueError as error:
        msg = f"condition {text!r}: {ast.unparse(node)!r} is neither a column nor a constant"
        raise UsageError(msg) from error
