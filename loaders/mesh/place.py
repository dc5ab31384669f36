"""Where a mesh lies: its coordinate system and the offset of its coordinates, from the caller, from a file beside it, or nowhere.

Meshes of reality are written in small local numbers, with their origin in a file beside them. The shift is made in 64 bit per vertex,
and what that costs is stated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, CRSError, InputError, UsageError
from cim.loaders import json_guard
from cim.loaders.georeference import choose_crs
from cim.loaders.mesh.earth import enu_matrix, from_ecef
from cim.loaders.mesh.mesh import Remark

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.crs import CityCRS
    from cim.loaders.protocol import ReadOptions

    Reals = NDArray[np.float64]

__all__ = ["Placed", "Reference", "metadata_xml", "offset_option", "place", "reference_beside"]

_LARGEST = 1 << 20
"""Largest file of metadata [bytes]."""
_REMEDY = 'give crs=, such as crs="EPSG:4549" (and offset=[x, y, z] of its origin), or crs="local" for a model without a place'
_SPLIT = re.compile(r"[\s,;]+")


@dataclass(frozen=True)
class Reference:
    """What is said about the place of a mesh."""

    crs: str | None = None
    """Code or WKT; None when it is not said."""
    offset: tuple[float, float, float] | None = None
    """Coordinates of the origin of the mesh in `crs` [m]."""
    enu: tuple[float, float, float] | None = None
    """Longitude, latitude [deg] and height [m] of an origin from which the mesh counts east, north and up."""
    where: str = ""
    """Name of the file that says it."""
    said: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class Placed:
    """Points where they belong, and why there."""

    points: Reals
    """Shape (n, 3), in `crs` [m]."""
    crs: CityCRS
    declared: str | None
    said: tuple[Remark, ...]
    evidence: Mapping[str, str]
    """Rows of the set "georeference": verdict, reason, crs, offset, residual."""
    pipeline: str | None = None
    accuracy: float | None = None


def offset_option(options: ReadOptions) -> tuple[float, float, float] | None:
    """Return the offset that the caller gave, ``offset=[x, y, z]`` [m].

    Raises
    ------
    UsageError
        If it is not three finite numbers.
    """
    given = options.extra.get("offset")
    if given is None:
        return None
    return _three(given, "offset")


def _three(given: Any, name: str) -> tuple[float, float, float]:
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != 3:
        msg = f"{name}={given!r} is not three numbers [m]; give {name}=[east, north, up]"
        raise UsageError(msg)
    values = [float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan") for value in given]
    if not np.isfinite(values).all():
        msg = f"{name}={given!r} is not three finite numbers [m]; give {name}=[east, north, up]"
        raise UsageError(msg)
    return values[0], values[1], values[2]


# ---------------------------------------------------------------- files beside


def reference_beside(path: Path, options: ReadOptions) -> Reference:
    """Return what a file beside a mesh says about its place: ``NAME.metadata.json`` (crs, offset), or ``metadata.xml``.

    Raises
    ------
    CorruptFileError
        If there is such a file and it cannot be read.
    """
    folder = path if path.is_dir() else path.parent
    own = folder / f"{path.stem}.metadata.json"
    if path.is_file() and own.is_file() and own.stat().st_size <= _LARGEST:
        return _from_json(own, options)
    xml = next((one for one in (folder / "metadata.xml", folder / f"{path.stem}.metadata.xml") if one.is_file()), None)
    return Reference() if xml is None else metadata_xml(xml)


def _from_json(file: Path, options: ReadOptions) -> Reference:
    told = json_guard.parse(file, options.limits).value
    if not isinstance(told, dict):
        raise CorruptFileError(file, "is no JSON object with crs and offset", "correct or remove it")
    crs, offset = told.get("crs"), told.get("offset")
    try:
        origin = None if offset is None else _three(offset, "offset")
    except UsageError as error:
        raise CorruptFileError(file, str(error), "correct or remove it") from error
    return Reference(crs if isinstance(crs, str) else None, origin, where=file.name)


def metadata_xml(file: Path) -> Reference:
    """Return the reference in a ``metadata.xml``, in any of the dialects that are met.

    ``<SRS>EPSG:4548</SRS>`` or WKT with ``<SRSOrigin>x,y,z</SRSOrigin>`` (blanks or commas); ``<SRS>ENU:lat,lon</SRS>``;
    ``<Origin X= Y= Z=>``, or ``<Origin>`` with elements X, Y and Z.

    Raises
    ------
    CorruptFileError
        If it is not XML, declares a document type, or its numbers cannot be read.
    """
    from lxml import etree

    data = file.read_bytes()[: _LARGEST + 1]
    if len(data) > _LARGEST or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise CorruptFileError(file, "is larger than 1 MiB or declares a document type (DOCTYPE); it was not read", "correct or remove it")
    try:
        root = etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False, load_dtd=False))
    except etree.XMLSyntaxError as error:
        raise CorruptFileError(file, f"is not valid XML ({error.msg})", "correct or remove it") from error
    found = {_local(one): one for one in root.iter() if isinstance(one.tag, str)}
    srs = (found["srs"].text or "").strip() if "srs" in found else ""
    offset = _xml_origin(found, file)
    if srs.upper().startswith("ENU"):
        return _enu(srs, offset, file)
    return Reference(srs or None, offset, where=file.name)


def _local(element: Any) -> str:
    return str(element.tag).rpartition("}")[2].lower()


def _xml_origin(found: Mapping[str, Any], file: Path) -> tuple[float, float, float] | None:
    if "srsorigin" in found:
        text = (found["srsorigin"].text or "").strip()
        return _numbers(_SPLIT.split(text) if text else [], file, "SRSOrigin")
    if "origin" not in found:
        return None
    origin = found["origin"]
    attributes = {name.lower(): value for name, value in origin.attrib.items()}
    inner = {_local(one): one.text or "" for one in origin if isinstance(one.tag, str)}
    told = attributes if "x" in attributes else inner
    if "x" in told and "y" in told:
        return _numbers([told["x"], told["y"], told.get("z", "0")], file, "Origin")
    return _numbers(_SPLIT.split((origin.text or "").strip()), file, "Origin")


def _numbers(words: Sequence[str], file: Path, what: str) -> tuple[float, float, float]:
    try:
        values = [float(word) for word in words if word]
    except ValueError:
        values = []
    if len(values) == 2:
        values.append(0.0)
    if len(values) != 3 or not np.isfinite(values).all():
        raise CorruptFileError(file, f"its {what} {' '.join(words)[:60]!r} is not three numbers x, y, z", "correct it")
    return values[0], values[1], values[2]


def _enu(srs: str, offset: tuple[float, float, float] | None, file: Path) -> Reference:
    try:
        values = [float(word) for word in _SPLIT.split(srs.partition(":")[2].strip()) if word]
    except ValueError:
        values = []
    height = values[2] if len(values) == 3 else 0.0
    if len(values) not in {2, 3} or not (abs(values[0]) <= 90.0 and abs(values[1]) <= 180.0 and np.isfinite(height)):
        raise CorruptFileError(file, f"its SRS {srs[:60]!r} is not ENU:latitude,longitude in degrees", "correct it")
    return Reference(None, offset, (values[1], values[0], height), file.name)


# ---------------------------------------------------------------- placing


def place(points: Reals, reference: Reference, options: ReadOptions, path: Path) -> Placed:
    """Return points where the caller or a file beside the mesh says they are.

    Raises
    ------
    CRSError
        If nobody says which coordinate system they are in.
    """
    from cim.crs import parse

    given = offset_option(options)
    if reference.enu is not None and (options.crs is None or not parse(options.crs, path="crs=").is_local):
        return _on_earth(points, reference, given, options, path)
    if options.crs is None and reference.crs is None:
        raise CRSError(path, "has no coordinate reference system (CRS): a mesh format states none, and no file beside it does", _REMEDY)
    try:
        chosen = choose_crs(reference.crs, None, options, path)
    except CRSError as error:
        raise CRSError(path, error.reason, _REMEDY) from error
    said = [Remark(code, severity, text) for code, severity, text in chosen.said]
    offset = given
    if given is None and reference.offset is not None:
        told = f"the offset {_shown(reference.offset)} of its origin, which {reference.where} gives,"
        if chosen.crs.is_local:
            said.append(Remark("crs", "info", f"{told} is not used: a local system has no place"))
        else:
            offset = reference.offset
        if chosen.declared is None and not chosen.crs.is_local:
            said.append(Remark("assumed", "warning", f"{told} is taken to be in {chosen.crs.label}, since that file names no CRS"))
    said += _unit_remarks(chosen.crs, offset, path)
    moved = points + np.zeros(3) if offset is None else points + np.asarray(offset)
    said += _shift_remarks(offset, moved, given=given is not None)
    return Placed(moved, chosen.crs, reference.crs, tuple(said), _evidence(chosen.crs, reference, offset, options))


def _unit_remarks(crs: CityCRS, offset: tuple[float, float, float] | None, path: Path) -> list[Remark]:
    """Return what is doubtful about the unit of the coordinates.

    Raises
    ------
    CRSError
        If metres would be added to an origin in degrees.
    """
    if crs.is_local:
        return []
    if crs.horizontal.is_geographic and offset is not None:
        reason = f"its origin {_shown(offset)} is in {crs.label}, which counts in degrees, and a mesh counts in metres: they do not add up"
        remedy = "write the origin as <SRS>ENU:latitude,longitude</SRS> in its metadata.xml, or give crs= and offset= of a projected system"
        raise CRSError(path, reason, remedy)
    if crs.is_projected and crs.linear_unit_factor != 1.0:
        text = f"its numbers are taken in the unit of {crs.label}, {crs.linear_unit_factor:g} m, not in metres"
        return [Remark("assumed", "warning", f"{text}; area and volume are left out")]
    return []


def _on_earth(points: Reals, reference: Reference, given: tuple[float, float, float] | None, options: ReadOptions, path: Path) -> Placed:
    """Place points that count east, north and up from a point of the globe."""
    if reference.enu is None:  # the caller has looked
        raise InputError(path, "names no origin on the globe", _REMEDY)
    offset = given if given is not None else reference.offset
    local = points if offset is None else points + np.asarray(offset)
    matrix = enu_matrix(*reference.enu)
    done = from_ecef(local @ matrix[:3, :3].T + matrix[:3, 3], options.crs, path)
    lon, lat, height = reference.enu
    said = [Remark("crs", "info", f"its origin is {lat:.8f} N, {lon:.8f} E, {height:g} m ({reference.where}); every vertex was taken to "
                   f"{done.crs.label} in 64 bit, residual {done.residual:.1e} m")]  # fmt: skip
    if done.assumed:
        said.append(Remark("assumed", "warning", f"no crs= was given; the UTM zone of the place, {done.crs.label}, is used"))
    said += [Remark("crs", "warning", note) for note in done.notes]
    evidence = {
        "verdict": "stated",
        "reason": f"ENU origin in {reference.where}",
        "crs": done.crs.to_string(),
        "residual": f"{done.residual:.3e}",
    }
    return Placed(done.points, done.crs, f"ENU:{lat!r},{lon!r}", tuple(said), evidence, done.pipeline, done.accuracy)


def _shown(offset: Sequence[float]) -> str:
    return "(" + ", ".join(f"{value:.10g}" for value in offset) + ")"


def _shift_remarks(offset: tuple[float, float, float] | None, moved: Reals, *, given: bool) -> list[Remark]:
    if offset is None:
        return []
    residual = _rounding(moved)
    who = "as given" if given else "as the file beside it says"
    return [Remark("crs", "info", f"its vertices were moved by {_shown(offset)} {who}, each in 64 bit (rounding at most {residual:.1e} m)")]


def _rounding(points: Reals) -> float:
    return float(np.spacing(np.abs(points).max(initial=0.0)) / 2)


def _evidence(crs: CityCRS, reference: Reference, offset: tuple[float, float, float] | None, options: ReadOptions) -> dict[str, str]:
    if crs.is_local:
        verdict, reason = "unknown", 'crs="local": metres from a point whose position nobody knows'
    elif options.crs is not None:
        verdict, reason = "given", "the caller names the coordinate system"
    else:
        verdict, reason = "stated", f"{reference.where} beside the mesh names the coordinate system"
    rows = {"verdict": verdict, "reason": reason, "crs": crs.to_string()}
    return rows if offset is None else {**rows, "offset": _shown(offset)}
