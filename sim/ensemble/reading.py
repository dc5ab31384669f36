"""One column of one table over all members, and one field at a time: what is read from the member folders, never all of it at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cim.errors import CorruptFileError, FormatError
from cim.results import Grid
from cim.results.geotiff import read_bands

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Described", "Rows", "depth_field", "describe", "read_rows"]

_KEYS = ("object", "place", "level", "time")
"""Columns that say which object, and which part of it, a row is about: as many of them as are needed to tell the rows apart."""
_MOST_HELD = 10_000_000
"""Values of one table over all members that are held at a time (80 MB of numbers)."""


@dataclass(frozen=True)
class Described:
    """What one result of one member says of itself, without its values."""

    folder: Path
    tables: dict[str, str]
    """File by name of the table."""
    fields: dict[str, dict[str, Any]]
    """Path, dimensions and attributes by name of the field."""
    attributes: dict[str, Any]
    """Those of the dataset: where its cells lie."""
    sizes: dict[str, int]


def describe(folder: Path) -> Described:
    """Return what the result in a folder holds (see `cim.results.files`).

    Raises
    ------
    FormatError
        If it holds no result.
    """
    try:
        content = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        dataset = content.get("dataset", {"variables": {}, "attrs": {}, "coords": {}})
        sizes = {name: len(one["values"]) for name, one in dataset["coords"].items() if one["dims"] == [name]}
        return Described(folder, content["tables"], dataset["variables"], dataset["attrs"], sizes)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FormatError(folder, f"holds no result ({error})", "run the ensemble again") from error


@dataclass(frozen=True)
class Rows:
    """The rows of one table, put in one order over all members."""

    keys: pa.Table
    """Which object, place … each row is about, in the order of the first member that has it."""
    schema: pa.Schema
    """Columns of the table that every member with the table has."""
    files: tuple[Path | None, ...]
    """Table of each member; None where it has none."""
    places: tuple[Ints | None, ...]
    """Row in the table of each member, -1 where it has none; None where the order is the same."""
    held: tuple[pa.Table | None, ...] | None = None
    """The tables themselves where all of them together are small: opening a file for each column costs more."""

    @property
    def count(self) -> int:
        """Number of rows."""
        return int(self.keys.num_rows)

    def present(self, member: int) -> NDArray[np.bool_]:
        """Return which rows a member has."""
        if self.files[member] is None:
            return np.zeros(self.count, bool)
        place = self.places[member]
        return np.ones(self.count, bool) if place is None else place >= 0

    def column(self, member: int, name: str) -> pa.Array:
        """Return one column of one member in the common order; null where it has no such row."""
        path, place = self.files[member], self.places[member]
        kind = self.schema.field(name).type
        if path is None:
            return pa.nulls(self.count, kind)
        held = None if self.held is None else self.held[member]
        values = (_table(path, [name]) if held is None else held)[name].combine_chunks()
        return values if place is None else values.take(pa.array(place, mask=place < 0))

    def numbers(self, member: int, name: str) -> Floats:
        """Return one column of numbers, NaN where there is none."""
        return np.asarray(pc.cast(self.column(member, name), pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)

    def texts(self, member: int, name: str) -> NDArray[np.object_]:
        """Return one column of texts, None where there is none."""
        return np.asarray(self.column(member, name).to_pylist(), object).reshape(-1)


def _table(path: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.read_table(path, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise CorruptFileError(path, f"cannot be read ({error})", "delete the folder of this member and run the ensemble again") from error


def read_rows(files: Sequence[Path | None]) -> Rows | None:
    """Return the rows of one table over all members; None where it has no objects, or rows that cannot be told apart."""
    schemas = [None if path is None else pq.read_schema(path) for path in files]
    known = [one for one in schemas if one is not None]
    if not known or not all("object" in one.names for one in known):
        return None
    shared = pa.schema([one for one in known[0] if all(one.name in other.names for other in known)])
    for length in range(1, len(_KEYS) + 1):
        keys = [name for name in _KEYS[:length] if name in shared.names]
        if len(keys) < length and length > 1 and _KEYS[length - 1] not in shared.names:
            continue
        found = _aligned([None if path is None else _table(path, keys) for path in files])
        if found is not None:
            rows = Rows(found[0], shared, tuple(files), found[1])
            small = rows.count * len(shared) * len(files) <= _MOST_HELD
            return replace(rows, held=tuple(None if path is None else _table(path, shared.names) for path in files)) if small else rows
    return None


def _aligned(tables: list[pa.Table | None]) -> tuple[pa.Table, tuple[Ints | None, ...]] | None:
    """Return all keys, and where each member has them; None where one has a key twice."""
    union: pa.Table | None = None
    words = pa.array([], pa.string())
    for table in tables:
        if table is None:
            continue
        if union is None:
            union, words = table.combine_chunks(), _words(table)
            if len(pc.unique(words)) < len(words):
                return None
        elif not table.equals(union):
            own = _words(table)
            if len(pc.unique(own)) < len(own):
                return None
            new = pc.invert(pc.is_in(own, value_set=words))
            union = pa.concat_tables([union, table.filter(new)]).combine_chunks()
            words = _words(union)
    if union is None:
        return None
    return union, tuple(None if one is None or one.equals(union) else _places(words, one) for one in tables)


def _places(words: pa.Array, table: pa.Table) -> Ints:
    found = pc.fill_null(pc.index_in(words, value_set=_words(table)), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)


def _words(table: pa.Table) -> pa.Array:
    """Return one text per row that tells its key."""
    parts = [pc.fill_null(pc.cast(table[name].combine_chunks(), pa.string()), "\x1e") for name in table.column_names]
    joined = parts[0] if len(parts) == 1 else pc.binary_join_element_wise(*parts, "\x1f")
    return joined.combine_chunks() if isinstance(joined, pa.ChunkedArray) else joined


def depth_field(one: Described) -> tuple[Grid, Floats] | None:
    """Return the greatest depth of each cell [m], shape (ny, nx), NaN where it is not known; None where a result has no depth."""
    for name in ("maximum_depth", "water_depth"):
        said = one.fields.get(name)
        if said is not None and said["dims"][-2:] == ["y", "x"]:
            bands = np.asarray(read_bands(one.folder / said["path"]), np.float64)
            place = one.attributes
            ny, nx = bands.shape[-2:]
            grid = Grid(place["x_min"], place["y_max"], place["dx"], place["dy"], nx, ny, place["crs"])
            return grid, bands.reshape(-1, ny, nx).max(axis=0)
    return None
