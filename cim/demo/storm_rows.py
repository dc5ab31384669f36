"""Lines of the table of the storm: what, base, option, and by how much they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["HEAD", "Row", "pair"]

_WIDTH = 50
HEAD = f"  {' ' * _WIDTH}{'base':>9}{'option':>9}{'differs':>9}"


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    values: tuple[float, float]
    """Of base and option."""
    decimals: int = 0

    def text(self) -> str:
        """Return it in columns; the last one is the difference of what is shown."""
        base, option = (round(value, self.decimals) for value in self.values)
        places = self.decimals
        return f"  {_padded(self.what, _WIDTH)}{base:>9,.{places}f}{option:>9,.{places}f}{option - base:>+9,.{places}f}"


def pair(values: Iterable[float]) -> tuple[float, float]:
    """Return the values of base and option."""
    base, option = values
    return float(base), float(option)


def _padded(text: str, width: int) -> str:
    """Return a text that fills so many columns; a Chinese character takes two."""
    from unicodedata import east_asian_width

    return text + " " * max(1, width - sum(2 if east_asian_width(one) in "WF" else 1 for one in text))
