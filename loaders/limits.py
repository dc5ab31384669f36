"""How much a file may cost before it is refused: sizes, counts, memory and time, all in one frozen value."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from cim.errors import LimitError

__all__ = ["GIB", "MIB", "Limits"]

MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Limits:
    """Limits for one file; the defaults fit a district or a city, not a continent.

    Memory and time grow with the size of the file, so that a small hostile file is stopped early and a large
    honest one is not stopped at all; see `memory_for` and `seconds_for`.
    """

    file_bytes: int = 32 * GIB
    """Largest file that is opened."""
    expanded_bytes: int = 1 * GIB
    """Most that the members of one archive may expand to, together."""
    expansion_ratio: float = 200.0
    """Most that one archive member may expand by (checked above 1 MiB)."""
    archive_members: int = 10_000
    """Most members an archive may list."""
    records: int = 20_000_000
    """Most features, objects or rows that one layer may hold."""
    cells: int = 2_000_000_000
    """Most cells or points that are read at once."""
    depth: int = 100
    """Deepest nesting of JSON, XML or groups."""
    memory_bytes: int = 1 * GIB
    """Memory a worker may take beyond its start, before what the size of the file adds."""
    memory_per_byte: float = 24.0
    """Memory granted for every byte of the file."""
    memory_ceiling: int = 64 * GIB
    """Memory that no file is granted more than."""
    cpu_seconds: float = 12.0
    """Processor time a worker may take, before what the size of the file adds."""
    cpu_seconds_per_mib: float = 1.0
    """Processor time granted for every MiB of the file."""
    wall_factor: float = 6.0
    """Wall time granted, as a multiple of the processor time."""

    def memory_for(self, size: int) -> int:
        """Return the memory [bytes] that a worker may take for a file of `size` bytes."""
        return int(min(self.memory_bytes + self.memory_per_byte * size, self.memory_ceiling))

    def seconds_for(self, size: int) -> float:
        """Return the processor time [s] that a worker may take for a file of `size` bytes."""
        return self.cpu_seconds + self.cpu_seconds_per_mib * size / MIB

    def check(self, what: str, value: float, path: object, remedy: str = "") -> None:
        """Raise LimitError when `value` is above the limit called `what`.

        Parameters
        ----------
        what
            Name of a field of this class, such as ``"records"``.
        value
            The size that the file declares, checked before anything of that size is allocated.
        path
            The file, for the message.

        Raises
        ------
        LimitError
            If the value is above the limit.
        """
        limit = getattr(self, what)
        if value > limit:
            label = what.replace("_", " ")
            reason = f"declares {value:,.0f} {label}, above the limit of {limit:,.0f} (size limit {what})"
            raise LimitError(str(path), reason, remedy or f"give limits=Limits({what}=...) if the file is trusted")

    def to_json(self) -> dict[str, Any]:
        """Return the fields as a plain dict."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Limits:
        """Return the limits that `to_json` wrote."""
        return replace(cls(), **fields)
