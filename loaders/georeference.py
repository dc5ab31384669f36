"""Which coordinate system a raster or point cloud is in: the declared one, the one the caller gave, and what has to be said about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cim.errors import CRSError

if TYPE_CHECKING:
    from cim.crs import CityCRS
    from cim.loaders.protocol import ReadOptions

__all__ = ["Chosen", "Said", "choose_crs"]

Said = tuple[str, str, str]
"""Code, severity and message of an issue."""
_NO_CRS = 'give it: read(..., crs="EPSG:7415"), horizontal and vertical, such as "EPSG:4549+5737"'


@dataclass(frozen=True)
class Chosen:
    """The coordinate system to use."""

    crs: CityCRS
    declared: CityCRS | None
    """What the file says, None when it says nothing usable."""
    said: tuple[Said, ...]
    """What has to be reported."""


def choose_crs(declared: str | None, bad: str | None, options: ReadOptions, path: Path) -> Chosen:
    """Return the system to use, and what has to be reported about it.

    Parameters
    ----------
    declared
        Text or WKT that the file holds.
    bad
        Why what it holds cannot be used, found out before.

    Raises
    ------
    CRSError
        If neither the file nor the caller names a usable one.
    """
    from cim.crs import parse

    own: CityCRS | None = None
    if declared is not None:
        try:
            own = parse(declared, path=str(path))
        except CRSError as error:
            bad = error.reason
    if options.crs is None:
        if own is None:
            reason = f"its coordinate reference system (CRS) cannot be used ({bad})" if bad else "has no coordinate reference system (CRS)"
            raise CRSError(path, reason, _NO_CRS)
        return Chosen(own, own, _vertical(own))
    given = parse(options.crs, path="crs=")
    return _given(given, own, bad)


def _given(given: CityCRS, own: CityCRS | None, bad: str | None) -> Chosen:
    if own is None:
        said: tuple[Said, ...] = (
            (("crs", "warning", f"the CRS it declares cannot be used ({bad}); {given} is used as given"),) if bad else ()
        )
        return Chosen(given, None, said + _vertical(given))
    if not given.same_horizontal(own):
        text = f"it declares {own}, but {given} was given and is used"
        return Chosen(given, own, (("crs", "warning", text), *_vertical(given)))
    if given.vertical is None:
        return Chosen(own, own, _vertical(own))
    if own.vertical is not None and not given.same_vertical(own):
        text = f"it declares heights in {own.vertical.name}, but {given.vertical.name} was given and is used"
        return Chosen(given, own, (("crs", "warning", text),))
    return Chosen(given, own, ())


def _vertical(crs: CityCRS) -> tuple[Said, ...]:
    if crs.vertical is not None:
        return ()
    return (("crs", "info", "its height system (vertical datum) is unknown; heights stay as they are"),)
