"""Where the coordinates are: the coordinate systems a file names, in which order it writes their axes, and one system for the model.

The notation decides the order: a URN or an address of the OGC means the order of the authority (latitude first for EPSG:4326), the short
``EPSG:4326`` means east first. Where the coordinates lie outside the area of use in that order and inside it in the other, the other one
is taken and told, because many exporters write east first whatever they declare.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CRSError
from cim.loaders.citygml.draft import Note
from cim.loaders.citygml.features import LOCAL

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.crs import CityCRS
    from cim.loaders.citygml.pool import Rings

    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["Frame", "parse_srs", "place_points"]

_AUTHORITY_ORDER = re.compile(r"^(?:urn:(?:x-)?ogc:def:crs|https?://(?:www\.)?opengis\.net/def/crs)", re.IGNORECASE)
_GERMAN = {
    "ETRS89_UTM31": "25831", "ETRS89_UTM32": "25832", "ETRS89_UTM33": "25833", "DE_DHDN_3GK2": "31466", "DE_DHDN_3GK3": "31467",
    "DE_DHDN_3GK4": "31468", "DE_DHDN_3GK5": "31469", "DE_DHHN92_NH": "5783", "DE_DHHN2016_NH": "7837", "DE_DHHN12_NOH": "7699",
}  # fmt: skip
"""Names of the German surveys (``urn:adv:crs:ETRS89_UTM32*DE_DHHN2016_NH``) and their EPSG codes."""
_MARGIN = 1.0  # degrees around an area of use that still count as inside
_SAMPLE = 200


@dataclass
class Frame:
    """The system of the model and what was decided on the way."""

    crs: CityCRS
    declared: str | None
    """The system that most geometry of the file is declared in."""
    swapped: dict[int, bool] = field(default_factory=dict)
    """Per number of a declared system, whether its north comes first."""
    notes: list[Note] = field(default_factory=list)


def parse_srs(text: str, path: Path | str = "") -> CityCRS:
    """Return the coordinate system of a name, those of the German surveys among them.

    Raises
    ------
    CRSError
        If nobody knows it.
    """
    from cim.crs import parse

    german = re.fullmatch(r"urn:adv:crs:([\w*]+)", text.strip())
    if german:
        codes = [_GERMAN.get(part) for part in german[1].split("*")]
        if all(codes):
            return parse("EPSG:" + "+".join(code for code in codes if code))
    return parse(text, path=str(path))


def place_points(rings: Rings, srs: list[str], default: int, crs: str | None, path: Path) -> Frame:
    """Bring all points to east, north, up in one system, in place; rings that cannot be brought there get a fault.

    Parameters
    ----------
    rings
        The pool; its points are changed.
    srs
        Names of the coordinate systems by number.
    default
        Number of the system of geometry that names none (that of the envelope), 0 without.
    crs
        What the caller gave.

    Raises
    ------
    CRSError
        If neither the file nor the caller names a system.
    """
    from cim.crs import parse

    local = srs.index(LOCAL) if LOCAL in srs else -1
    rings.srs[(rings.srs == 0)] = default
    used = np.bincount(rings.srs[rings.srs != local], minlength=len(srs))
    stated = [number for number in np.argsort(-used, kind="stable").tolist() if number not in (0, local) and used[number]]
    main = stated[0] if stated else default
    declared = srs[main] if main else None
    if crs is None and declared is None:
        raise CRSError(path, "states no coordinate reference system (no srsName)", 'give crs=..., for example crs="EPSG:32648"')
    frame = Frame(parse(crs) if crs is not None else parse_srs(declared or "", path), declared)
    if crs is not None:
        _overridden(frame, declared, crs)
        number = np.where(rings.srs == local, local, main)
        rings.srs[:] = number
        stated = [main]
    nowhere = int(np.sum((rings.srs == 0) & (rings.srs != main)))
    if nowhere:
        frame.notes.append(Note("crs", f"{nowhere} geometries name no coordinate system; that of the others is taken", count=nowhere))
        rings.srs[rings.srs == 0] = main
    per_ring = rings.srs[rings.leaf]
    for one in stated or [main]:
        _bring(rings, per_ring == one, srs[one], one, frame, path, asked=crs is not None)
    return frame


def _overridden(frame: Frame, declared: str | None, crs: str) -> None:
    if declared is None:
        return
    try:
        same = parse_srs(declared) == frame.crs
    except CRSError:
        same = False
    if not same:
        message = f"the file states the coordinate system {declared[:80]!r}; {crs} is used instead, as asked"
        frame.notes.append(Note("crs", message))


def _bring(rings: Rings, mine: Flags, name: str, number: int, frame: Frame, path: Path, *, asked: bool) -> None:
    """Bring the rings of one declared system to the one of the model."""
    points = np.repeat(mine, rings.size())
    try:
        source = frame.crs if asked else parse_srs(name, path)
    except CRSError as error:
        rings.fault[mine & (rings.fault == 0)] = 5
        frame.notes.append(Note("crs", f"geometry in {name[:80]!r} is left out: {error.reason}", "error", count=int(mine.sum())))
        return
    swap = _swap(rings.points[points], name, source, frame)
    frame.swapped[number] = swap
    if swap:
        rings.points[points, :2] = rings.points[points, 1::-1]
    if source != frame.crs:
        _transform(rings, mine, points, source, frame, path)


def _transform(rings: Rings, mine: Flags, points: Flags, source: CityCRS, frame: Frame, path: Path) -> None:
    from cim.crs import transform_points

    try:
        x, y, z = rings.points[points].T
        done = transform_points(x, y, z, source, frame.crs, path=str(path))
    except CRSError as error:
        rings.fault[mine & (rings.fault == 0)] = 5
        frame.notes.append(Note("crs", f"geometry in {source} is left out: {error.reason}", "error", count=int(mine.sum())))
        return
    heights = done.z if done.z is not None else rings.points[points, 2]
    rings.points[points] = np.column_stack([done.x, done.y, heights])
    told = "; ".join(done.notes)
    message = f"part of the geometry is in {source}; it is transformed to {frame.crs.to_string()}{f' ({told})' if told else ''}"
    frame.notes.append(Note("crs", message, count=int(mine.sum())))


def _swap(points: Reals, name: str, crs: CityCRS, frame: Frame) -> bool:
    """Return whether the first coordinate is north, by the notation unless the area of use speaks against it."""
    if crs.is_local:
        return False
    north_first = crs.horizontal.axis_info[0].direction.lower() == "north"
    by_name = north_first and bool(_AUTHORITY_ORDER.match(name.strip()))
    sample = points[np.isfinite(points).all(axis=1)]
    sample = sample[:: max(len(sample) // _SAMPLE, 1)]
    if not len(sample):
        return by_name
    told, other = (_inside(sample[:, [1, 0]] if swap else sample[:, :2], crs) for swap in (by_name, not by_name))
    if told or not other:
        if north_first and not by_name:
            message = f"{name[:80]!r} is read with east before north; the short notation does not say which comes first"
            both = ", and the coordinates would lie in its area of use the other way round too: look whether the place is right"
            frame.notes.append(Note("assumed", message + both) if other else Note("assumed", message, "info"))
        return by_name
    first, second = ("north", "east") if by_name else ("east", "north")
    message = f"{name[:80]!r} means {first} before {second}, which lies outside its area of use; read as {second} before {first}"
    frame.notes.append(Note("guessed", message))
    return not by_name


def _inside(places: Reals, crs: CityCRS) -> bool:
    """Return whether most places lie in the area of use."""
    from pyproj import Transformer

    area = crs.horizontal.area_of_use
    to_degrees = Transformer.from_crs(crs.horizontal, "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(places[:, 0], places[:, 1], errcheck=False)
    good = np.isfinite(lon) & np.isfinite(lat) & (np.abs(lat) <= 90.0)
    if crs.horizontal.is_geographic:
        good &= (np.abs(places[:, 1]) <= 90.0) & (np.abs(places[:, 0]) <= 360.0)
    if area is not None:
        west, east = area.west - _MARGIN, area.east + _MARGIN
        across = (lon >= west) & (lon <= east) if area.west <= area.east else (lon >= west) | (lon <= east)
        good &= across & (lat >= area.south - _MARGIN) & (lat <= area.north + _MARGIN)
    return bool(np.mean(good) > 0.5)
