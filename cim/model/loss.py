"""What a format could not hold: the loss report that every writer of a city returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

__all__ = ["LossReport", "Losses"]


@dataclass(frozen=True)
class LossReport:
    """What was not written, or will come back changed."""

    lost: pa.Table
    """Columns what, count, example."""

    def __add__(self, other: LossReport) -> LossReport:
        """Return both reports in one."""
        return LossReport(pa.concat_tables([self.lost, other.lost]))

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per kind of loss."""
        found: list[dict[str, Any]] = self.lost.to_pylist()
        return found

    def __len__(self) -> int:
        """Return how many kinds of loss there are."""
        return int(self.lost.num_rows)

    def text(self) -> str:
        """Return one line per kind of loss."""
        if not len(self):
            return "nothing is lost"
        return "\n".join(
            f"{row['count']:>9,}  {row['what']}" + (f" (such as {row['example']})" if row["example"] else "") for row in self.rows()
        )


@dataclass
class Losses:
    """The report while it is being filled."""

    rows: dict[str, tuple[int, str]] = field(default_factory=dict)

    def add(self, what: str, count: int, example: Any = "") -> None:
        """Count a loss; nothing is added for a count of zero."""
        if count:
            before, shown = self.rows.get(what, (0, str(example)[:120]))
            self.rows[what] = (before + int(count), shown)

    def report(self) -> LossReport:
        """Return the report."""
        schema = pa.schema([("what", pa.string()), ("count", pa.int64()), ("example", pa.string())])
        rows = [{"what": what, "count": count, "example": example} for what, (count, example) in self.rows.items()]
        return LossReport(pa.Table.from_pylist(rows, schema=schema))
