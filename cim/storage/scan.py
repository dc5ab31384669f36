"""Tables that lie in a store: their schema, their number of rows, and scans that read only the row groups that may match."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from cim.errors import ObjectNotFoundError, StoreCorruptError, StoreError
from cim.model.schema import SCHEMAS
from cim.storage.layout import inside, sha256_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow.compute as pc
    from pyarrow.dataset import Dataset

    from cim.storage.manifest import Part

__all__ = ["StoredTable"]

CORE = SCHEMAS["objects"].names
_WHOLE = 8 << 20  # byte; smaller parts are compared with their checksum before they are used, in some milliseconds


class StoredTable:
    """One table of a stored version; it offers what `cim.model.tables.Tables` asks of an entry, and reads nothing until asked.

    Parameters
    ----------
    root
        The store.
    parts
        The files that hold it, in order.
    view
        ``"objects"``: the core columns of all classes; ``"attributes"``: the other columns of one class; ``"class"``: all columns
        of one class; otherwise the name of a table.
    facts
        Reference system and origin the parts were written with; a part is used again only under the same.
    in_order
        Whether the parts one after the other are in the order of the keys.
    """

    def __init__(self, root: Path, parts: Sequence[Part], view: str, *, facts: str = "", in_order: bool = True) -> None:
        self.root = root
        self.parts = tuple(parts)
        self.view = view
        self.facts = facts
        self.in_order = in_order

    def __getstate__(self) -> dict[str, Any]:
        """Leave open datasets behind when the table goes to another process."""
        return {name: self.__dict__[name] for name in ("root", "parts", "view", "facts", "in_order")}

    @cached_property
    def schema(self) -> pa.Schema:
        """Columns with units and labels in the field metadata."""
        if self.view in SCHEMAS:
            return SCHEMAS[self.view]
        import pyarrow.parquet as pq

        part = self.parts[0]
        path = self._path(part)
        try:
            found = pq.read_schema(path)
        except (OSError, pa.ArrowException) as error:
            raise self._failure(error) from error
        wanted = [column for column in found if self.view == "class" or column.name not in CORE]
        return pa.schema(wanted)

    def count_rows(self) -> int:
        """Return the number of rows, which the manifest states."""
        return sum(part.rows for part in self.parts)

    @cached_property
    def dataset(self) -> Dataset:
        """The parts as an Arrow dataset; of large ones, each page is compared with its own checksum when it is read."""
        import pyarrow.compute as pc
        import pyarrow.dataset as ds
        from pyarrow.fs import LocalFileSystem

        form = ds.ParquetFileFormat(default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True))
        files = LocalFileSystem()

        def fragment(part: Part) -> Any:
            known = pc.field("type") == part.name if self.view == "objects" else None  # a filter on the class opens no other file
            return form.make_fragment(str(self._path(part)), files, known, file_size=part.bytes)

        fragments = [fragment(part) for part in self.parts]
        return ds.FileSystemDataset(fragments, self.schema, form, files)

    def to_table(self, columns: Sequence[str] | None = None, filter: pc.Expression | None = None) -> pa.Table:  # noqa: A002  # Arrow's word
        """Return some columns of the rows that meet a condition.

        Raises
        ------
        ObjectNotFoundError
            If there is no such column.
        StoreCorruptError
            If a part is damaged.
        StoreError
            If the version was removed by `cim.compact` since the city was opened.
        """
        names = list(self.schema.names if columns is None else columns)
        if unknown := sorted(set(names) - set(self.schema.names)):
            msg = f"no column {', '.join(unknown)}; there are {', '.join(self.schema.names)}"
            raise ObjectNotFoundError(msg)
        sort = not self.in_order and len(self.parts) > 1
        asked = [*names, "key"] if sort and "key" not in names else names
        dataset = self.dataset
        try:
            table = dataset.to_table(columns=asked, filter=filter)
        except OSError as error:
            raise self._failure(error) from error
        except pa.ArrowException as error:
            if filter is not None:
                raise  # the condition may not fit the columns
            raise self._failure(error) from error
        if filter is None and table.num_rows != self.count_rows():
            reason = f"{table.num_rows} rows, the manifest states {self.count_rows()}"
            raise self._failure(reason)
        return table.sort_by("key").select(names) if sort else table

    def _path(self, part: Part) -> Path:
        """Return where a part lies, its checksum compared unless it is large."""
        path = inside(self.root, part.path)
        try:
            if part.bytes <= _WHOLE and sha256_of(path) != part.sha256:
                msg = f"{self.root}: {part.path} is damaged, its checksum does not fit; restore it from a copy, or open an earlier version"
                raise StoreCorruptError(msg)
        except FileNotFoundError as error:
            raise self._failure(error) from error
        return path

    def _failure(self, error: Exception | str) -> StoreError:
        """Return the error that says whether a part is gone or damaged."""
        gone = [part.path for part in self.parts if not inside(self.root, part.path).is_file()]
        if gone:
            msg = f"{self.root}: {gone[0]} is gone; the version was removed by a compaction meanwhile, open the city again"
            return StoreError(msg)
        named = ", ".join(part.path for part in self.parts[:3])
        msg = f"{self.root}: {named} cannot be read ({str(error)[:300]}); cim check --bytes names the damaged file"
        return StoreCorruptError(msg)
