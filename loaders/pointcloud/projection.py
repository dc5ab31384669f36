"""The coordinate system that a LAS file declares: as WKT, or as GeoTIFF keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.loaders.georeference import Said

if TYPE_CHECKING:
    from cim.crs import CityCRS
    from cim.loaders.pointcloud.header import LasHeader

__all__ = ["Projection", "declared_projection"]

_USER = "LASF_Projection"
_WKT, _KEYS, _TEXT = 2112, 34735, 34737
_GEOGRAPHIC, _PROJECTED, _VERTICAL, _VERTICAL_UNIT = 2048, 3072, 4096, 4099
_UNITS = {9001: 1.0, 9002: 0.3048, 9003: 1200 / 3937}
_UNDEFINED, _OWN = 0, 32767


@dataclass(frozen=True)
class Projection:
    """What the file says about its coordinate system."""

    crs: str | None
    """Text that `cim.crs.parse` reads; None when it says nothing."""
    bad: str | None = None
    """Why what it says cannot be used."""
    z_unit: float | None = None
    """Metres per unit of height, where it is said apart from the system."""
    said: tuple[Said, ...] = ()


def declared_projection(header: LasHeader) -> Projection:
    """Return what the variable length records say about the coordinate system."""
    from cim.crs import parse
    from cim.errors import CRSError

    by_keys = _from_keys(header)
    data = header.record(_USER, _WKT)
    text = None if data is None else data.split(b"\0")[0].decode("utf-8", errors="replace").strip()
    if not text:
        return by_keys
    try:
        told = parse(text)
    except CRSError as error:
        return Projection(by_keys.crs, by_keys.bad or error.reason, by_keys.z_unit, by_keys.said)
    said: tuple[Said, ...] = ()
    if by_keys.crs is not None:
        other = _parsed(by_keys.crs)
        if other is not None and not other.same_horizontal(told):
            said = (("conflict", "warning", f"its WKT names {told.name}, its GeoTIFF keys {other.name}; the WKT is used"),)
    return Projection(text, None, None, said)


def _parsed(text: str) -> CityCRS | None:
    from cim.crs import parse
    from cim.errors import CRSError

    try:
        return parse(text)
    except CRSError:
        return None


def _from_keys(header: LasHeader) -> Projection:
    data = header.record(_USER, _KEYS)
    if data is None or len(data) < 8:
        return Projection(None)
    table = np.frombuffer(data[: len(data) // 8 * 8], "<u2").reshape(-1, 4)
    keys = {int(key): int(value) for key, place, _, value in table[1 : 1 + int(table[0, 3])].tolist() if place == 0}
    horizontal = keys.get(_PROJECTED, _UNDEFINED) or keys.get(_GEOGRAPHIC, _UNDEFINED)
    unit = _UNITS.get(keys.get(_VERTICAL_UNIT, _UNDEFINED))
    if horizontal == _UNDEFINED:
        return Projection(None, "its GeoTIFF keys name no system" if keys else None, unit)
    if horizontal == _OWN:
        return Projection(None, f"its GeoTIFF keys describe a system of their own {_citation(header)}", unit)
    return _with_height(f"EPSG:{horizontal}", keys.get(_VERTICAL, _UNDEFINED), unit)


def _with_height(horizontal: str, vertical: int, unit: float | None) -> Projection:
    """Add the height system where its key holds a code of one (older files put other codes there)."""
    if vertical in {_UNDEFINED, _OWN}:
        return Projection(horizontal, None, unit)
    joint = f"{horizontal}+{vertical}"
    if _parsed(joint) is not None:
        return Projection(joint, None, unit)
    text = f"its vertical system has the code {vertical}, which is no height system of EPSG; heights stay as they are"
    return Projection(horizontal, None, unit, (("crs", "warning", text),))


def _citation(header: LasHeader) -> str:
    text = (header.record(_USER, _TEXT) or b"").split(b"\0")[0].decode("ascii", errors="replace")[:80]
    return f"({''.join(c for c in text if c.isprintable())})" if text else ""
