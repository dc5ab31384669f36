"""What a format could not hold: the report every writer returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Loss", "LossReport"]


@dataclass(frozen=True)
class Loss:
    """One kind of thing that was not written."""

    what: str
    count: int
    example: str = ""
    """What it is, or the first one."""


@dataclass(frozen=True)
class LossReport:
    """Everything that was not written; empty when nothing was lost."""

    format: str
    lost: tuple[Loss, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per kind."""
        return [asdict(loss) for loss in self.lost]

    def text(self) -> str:
        """Return one line per kind.

        Examples
        --------
        >>> LossReport("GeoPackage", (Loss("claims", 3, "who says so"),)).text()
        'GeoPackage cannot hold: 3 claims (who says so)'
        """
        if not self.lost:
            return f"{self.format} holds everything"
        return "\n".join(
            f"{self.format} cannot hold: {loss.count:,} {loss.what}" + (f" ({loss.example})" if loss.example else "") for loss in self.lost
        )
