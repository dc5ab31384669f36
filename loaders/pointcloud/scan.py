"""One pass over all points: bounds, classes, and which points cannot be what the file meant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.pointcloud.chunks import Piece, Plan, pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.pointcloud.header import LasHeader

    Floats = NDArray[np.float64]

__all__ = ["Scan", "coordinates", "kept_points", "scan", "withheld", "write_laz"]

_STRAY_SHARE = 0.01
"""Up to this share of points far outside the header's box are strays; with more, the box is wrong."""
_FAR = 1e-3  # of the extent of the box, and one unit at least


@dataclass
class Scan:
    """What the points are like."""

    count: int = 0
    low: Floats = field(default_factory=lambda: np.full(3, np.inf))
    high: Floats = field(default_factory=lambda: np.full(3, -np.inf))
    classes: NDArray[np.int64] = field(default_factory=lambda: np.zeros(256, np.int64))
    returns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(16, np.int64))
    """Points of each return number, from 0."""
    withheld: int = 0
    outside: int = 0
    """Points outside the box of the header."""
    far: int = 0
    """Points far outside of it."""
    first_inside: bool = True
    """Whether the first point of every piece (which is stored uncompressed) lies in the box of the header."""
    rejected: int = 0
    faults: list[str] = field(default_factory=list)
    """Pieces that cannot be decoded, and why."""
    faulty: int = 0
    """Points in them."""


def coordinates(raw: NDArray[np.uint8], header: LasHeader) -> Floats:
    """Return east, north, up of raw points, shape (n, 3), in the units of the file."""
    points = np.ascontiguousarray(raw).view(header.point)[:, 0]
    return np.stack([points[name] * scale + offset for name, scale, offset in zip("xyz", header.scale, header.offset, strict=True)], axis=1)


def classes(raw: NDArray[np.uint8], header: LasHeader) -> NDArray[np.uint8]:
    """Return the classes of raw points, shape (n,)."""
    column = raw[:, 16 if header.point_format >= 6 else 15]
    return column if header.point_format >= 6 else np.bitwise_and(column, np.uint8(31))


def withheld(raw: NDArray[np.uint8], header: LasHeader) -> NDArray[np.bool_]:
    """Return which raw points are marked as withheld, that is deleted, shape (n,)."""
    return np.asarray(raw[:, 15] & (4 if header.point_format >= 6 else 128), bool)


def scan(header: LasHeader, plan: Plan, *, strays: str = "keep") -> Scan:
    """Return what the points are like.

    Parameters
    ----------
    strays
        ``"keep"``, or what to leave out: ``"points"`` far outside the box of the header, or ``"tails"``: everything in a
        piece from the first of them on.
    """
    found = Scan()
    for piece in pieces(header, plan):
        if piece.fault:
            found.faults.append(f"points {piece.first} to {piece.first + piece.size - 1}: {piece.fault}")
            found.faulty += piece.size
            continue
        _add(found, piece, header, strays)
    return found


def _add(found: Scan, piece: Piece, header: LasHeader, strays: str) -> None:
    place = coordinates(piece.raw, header)
    outside, far = _beyond(place, header)
    keep = kept_points(far, strays)
    found.outside += int(outside.sum())
    found.far += int(far.sum())
    found.first_inside &= not bool(outside[:1].any())
    found.rejected += int((~keep).sum())
    raw, place = piece.raw[keep], place[keep]
    if len(raw):
        found.low, found.high = np.minimum(found.low, place.min(axis=0)), np.maximum(found.high, place.max(axis=0))
    found.count += len(raw)
    found.classes += np.bincount(classes(raw, header), minlength=256)
    found.returns += np.bincount(raw[:, 14] & (15 if header.point_format >= 6 else 7), minlength=16)
    found.withheld += int(withheld(raw, header).sum())


def kept_points(far: NDArray[np.bool_], strays: str) -> NDArray[np.bool_]:
    """Return which points to keep, given those far outside the box."""
    if strays == "points":
        return ~far
    if strays == "tails" and far.any():
        return np.arange(len(far)) < int(np.argmax(far))
    return np.ones(len(far), bool)


def _beyond(place: Floats, header: LasHeader) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which points lie outside the box of the header, and which far outside."""
    low, high = np.array(header.low), np.array(header.high)
    if not (np.isfinite(low).all() and np.isfinite(high).all()) or not np.any(high - low):
        nothing = np.zeros(len(place), bool)
        lies = not np.any(high - low) and len(place) > 0 and bool(np.isfinite(low).all())
        return (np.any((place < low) | (place > high), axis=1) if lies else nothing), nothing
    slack = np.abs(np.array(header.scale)) * 1.01 + 1e-9 * np.maximum(np.abs(low), np.abs(high))
    away = np.maximum(low - place, place - high)
    return np.any(away > slack, axis=1), np.any(away > np.maximum(1.0, _FAR * (high - low)) + slack, axis=1)


def treatment(found: Scan, header: LasHeader) -> str:
    """Return what to do with points far outside the box of the header: see `scan`."""
    if not found.far:
        return "keep"
    if header.compressed and found.first_inside:
        return "tails"
    return "points" if found.far <= _STRAY_SHARE * found.count else "keep"


def _kept(header: LasHeader, plan: Plan, strays: str) -> Iterator[NDArray[np.uint8]]:
    for piece in pieces(header, plan):
        if not piece.fault:
            keep = kept_points(_beyond(coordinates(piece.raw, header), header)[1], strays)
            yield piece.raw[keep]


def write_laz(header: LasHeader, plan: Plan, strays: str, target: Path) -> None:
    """Write the points that are kept as a clean LAZ file, extra bytes apart."""
    import laspy

    least = "1.4" if header.point_format >= 6 else "1.3" if header.point_format >= 4 else "1.2"
    new = laspy.LasHeader(point_format=header.point_format, version=least)
    new.scales, new.offsets = np.array(header.scale), np.array(header.offset)
    width = new.point_format.size
    with laspy.open(target, mode="w", header=new, do_compress=True, laz_backend=laspy.LazBackend.Lazrs) as writer:
        for raw in _kept(header, plan, strays):
            packed: Any = np.ascontiguousarray(raw[:, :width]).view(new.point_format.dtype())[:, 0]
            writer.write_points(laspy.PackedPointRecord(packed, new.point_format))
