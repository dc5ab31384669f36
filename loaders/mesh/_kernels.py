"""The one compiled loop of the mesh readers: records whose sizes are known only by walking over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["walk_records"]


@njit(cache=True)  # type: ignore[untyped-decorator]
def walk_records(
    raw: NDArray[Any], place: int, widths: NDArray[Any], counters: NDArray[Any], signed: NDArray[Any], big: int, where: NDArray[Any],
    many: NDArray[Any],
) -> int:  # fmt: skip
    """Find where the values of each record lie; return the end, or minus the number of the record that goes wrong, minus one.

    `widths` and `counters` [bytes] per column, a counter of 0 for a scalar; `where` and `many`, shape (records, columns), are filled.
    """
    for record in range(where.shape[0]):
        for column in range(widths.shape[0]):
            count = 1
            width = counters[column]
            if width:
                if place + width > raw.shape[0]:
                    return -record - 1
                count = 0
                for byte in range(width):
                    at = place + byte if big else place + width - 1 - byte
                    count = count * 256 + int(raw[at])
                if signed[column] and count >= 1 << (8 * width - 1):
                    return -record - 1
                place += width
            if count * widths[column] > raw.shape[0] - place:
                return -record - 1
            where[record, column] = place
            many[record, column] = count
            place += count * widths[column]
    return place
