"""The manifest of one version: which parts it consists of, with size and checksum each, and the few facts that are no table.

A manifest is hostile input like any other file: every value is checked before it is used, and the bytes must be exactly those
that the content gives, so that a flipped byte shows even where JSON would not mind it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cim.errors import StoreCorruptError, StoreError, UsageError
from cim.model.schema import SCHEMAS
from cim.storage.layout import FILE_NAME, PART_NAME, manifest_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["FORMAT_VERSION", "Manifest", "Part", "facts_text", "read_manifest", "to_bytes"]

FORMAT = "cim-store"
FORMAT_VERSION = 1
SCHEMA_VERSION = 1
_LARGEST = 64 << 20  # byte; a manifest holds some hundred bytes per part
_MOST = 100_000  # parts; CityGML has some 100 classes
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Part:
    """One immutable file of a version."""

    name: str
    """Class or table that it holds; empty for a raster or point cloud."""
    path: str
    """Path inside the store."""
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """One version of a city."""

    version: int
    saved_at: datetime
    toolkit: str
    """Version of the toolkit that saved it."""
    message: str
    name: str
    crs: str
    origin: tuple[float, float, float]
    time_zone: str
    extra: dict[str, Any]
    in_order: bool
    """Whether the parts of the classes, one after the other, hold the objects in the order of their keys."""
    classes: tuple[Part, ...] = ()
    tables: tuple[Part, ...] = ()
    files: tuple[Part, ...] = field(default=())

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every file of the version."""
        return (*self.classes, *self.tables, *self.files)


def facts_text(crs: str, origin: tuple[float, float, float]) -> str:
    """Return what parts depend on besides their rows, as JSON."""
    return json.dumps({"crs": crs, "origin": list(origin)}, ensure_ascii=False)


def to_bytes(manifest: Manifest) -> bytes:
    """Return the one text that a manifest is written as, its checksum included.

    Raises
    ------
    UsageError
        If `City.extra` holds what JSON cannot.
    """
    content = _content(manifest)
    try:
        checksum = hashlib.sha256(_canonical(content)).hexdigest()
    except (TypeError, ValueError, RecursionError) as error:
        msg = f"city.extra cannot be kept: {error}; it may hold texts, finite numbers, lists and dicts"
        raise UsageError(msg) from error
    return _canonical({**content, "checksum": checksum})


def _canonical(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1) + "\n").encode("utf-8", "surrogatepass")


def _content(manifest: Manifest) -> dict[str, Any]:
    def listed(parts: tuple[Part, ...]) -> list[dict[str, Any]]:
        return [{"name": part.name, "path": part.path, "rows": part.rows, "bytes": part.bytes, "sha256": part.sha256} for part in parts]

    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "schema_version": SCHEMA_VERSION,
        "version": manifest.version,
        "saved_at": manifest.saved_at.astimezone(UTC).isoformat(),
        "toolkit": manifest.toolkit,
        "message": manifest.message,
        "city": {
            "name": manifest.name,
            "crs": manifest.crs,
            "origin": list(manifest.origin),
            "time_zone": manifest.time_zone,
            "extra": manifest.extra,
        },
        "in_order": manifest.in_order,
        "classes": listed(manifest.classes),
        "tables": listed(manifest.tables),
        "files": listed(manifest.files),
    }


def read_manifest(root: Path, version: int) -> Manifest:
    """Return a manifest after checking every value in it.

    Raises
    ------
    StoreError
        If there is no such version, or it was written in a newer format.
    StoreCorruptError
        If its bytes are not those that were written.
    """
    path = manifest_path(root, version)
    shown = f"{root}: manifests/{path.name}"
    if path.is_symlink() or not path.is_file():
        msg = f"{shown} is not there; cim.versions lists the versions of a store"
        raise StoreError(msg)
    with path.open("rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        msg = f"{shown} is larger than {_LARGEST} bytes; it was not written by this toolkit"
        raise StoreCorruptError(msg)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        msg = f"{shown} is damaged ({error}); restore the file from a copy, or open an earlier version"
        raise StoreCorruptError(msg) from error
    return _checked(content, data, version, shown)


def _checked(content: Any, data: bytes, version: int, shown: str) -> Manifest:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        msg = f"{shown} is not the manifest of a city store (format {FORMAT!r} expected)"
        raise StoreCorruptError(msg)
    for name, known in (("format_version", FORMAT_VERSION), ("schema_version", SCHEMA_VERSION)):
        found = content.get(name)
        if type(found) is int and found > known:
            toolkit = str(content.get("toolkit"))[:40]
            msg = f"{shown} has {name} {found}, written by toolkit {toolkit!r}; this toolkit knows {known}: update it"
            raise StoreError(msg)
    faults: list[str] = []
    manifest = _parsed(content, faults)
    if manifest is None or faults:
        msg = f"{shown} is damaged: {'; '.join(faults[:5])}"
        raise StoreCorruptError(msg)
    if manifest.version != version:
        msg = f"{shown} holds version {manifest.version}; it was renamed or copied by hand"
        raise StoreCorruptError(msg)
    if not _same_bytes(manifest, data):
        msg = f"{shown} is damaged: its checksum does not fit; restore the file from a copy, or open an earlier version"
        raise StoreCorruptError(msg)
    return manifest


def _same_bytes(manifest: Manifest, data: bytes) -> bool:
    """Say whether writing the manifest again gives these very bytes; a hostile `extra` that cannot be written does not."""
    try:
        return to_bytes(manifest) == data
    except UsageError:
        return False


def _parsed(content: dict[str, Any], faults: list[str]) -> Manifest | None:
    """Return the manifest, or note what is wrong with it."""

    def take(holder: Any, name: str, valid: Callable[[Any], bool], expected: str, default: Any) -> Any:
        value = holder.get(name) if isinstance(holder, dict) else None
        if valid(value):
            return value
        faults.append(f"{name} is {str(value)[:60]!r}, expected {expected}")
        return default

    city = content.get("city")
    saved_at = take(content, "saved_at", _is_time, "a time with zone", "1970-01-01T00:00:00+00:00")
    manifest = Manifest(
        version=take(content, "version", _is_count, "a number", 0),
        saved_at=datetime.fromisoformat(saved_at),
        toolkit=take(content, "toolkit", _is_text, "a text", ""),
        message=take(content, "message", _is_text, "a text", ""),
        name=take(city, "name", _is_text, "a text", ""),
        crs=take(city, "crs", _is_text, "a text", ""),
        origin=tuple(take(city, "origin", _is_point, "three finite numbers", [0.0, 0.0, 0.0])),
        time_zone=take(city, "time_zone", _is_text, "a text", ""),
        extra=take(city, "extra", lambda value: isinstance(value, dict), "an object", {}),
        in_order=take(content, "in_order", lambda value: isinstance(value, bool), "true or false", False),
        classes=_parts(content, "classes", faults),
        tables=_parts(content, "tables", faults),
        files=_parts(content, "files", faults),
    )
    return None if faults else manifest


def _parts(content: dict[str, Any], group: str, faults: list[str]) -> tuple[Part, ...]:
    listed = content.get(group)
    if not isinstance(listed, list) or len(listed) > _MOST:
        faults.append(f"{group} is no list of parts")
        return ()
    found = [_part(entry, group) for entry in listed]
    if any(part is None for part in found):
        faults.append(f"{group} holds an entry that is no part of this store: {str(listed[found.index(None)])[:160]}")
    parts = tuple(part for part in found if part is not None)
    if group != "files" and len({part.name for part in parts}) < len(parts):
        faults.append(f"{group} names one twice")
    return parts


def _part(entry: Any, group: str) -> Part | None:
    """Return one entry as a part; None unless every value is what a save would write."""
    if not isinstance(entry, dict) or set(entry) != {"name", "path", "rows", "bytes", "sha256"}:
        return None
    name, path, sha256 = entry["name"], entry["path"], entry["sha256"]
    if not (_is_text(name) and _is_text(path) and _is_text(sha256) and _is_count(entry["rows"]) and _is_count(entry["bytes"])):
        return None
    match = (FILE_NAME if group == "files" else PART_NAME).fullmatch(path)
    folder = {"classes": "objects/", "tables": "tables/", "files": "files/"}[group]
    if match is None or not path.startswith(folder) or not _SHA256.fullmatch(sha256) or not sha256.startswith(match["digest"]):
        return None
    if group == "tables" and (name not in SCHEMAS or name == "objects"):
        return None
    return Part(name, path, entry["rows"], entry["bytes"], sha256)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(type(one) is float and math.isfinite(one) for one in value)


def _is_time(value: Any) -> bool:
    try:
        return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
