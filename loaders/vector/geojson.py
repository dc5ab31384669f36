"""GeoJSON (RFC 7946) and its older form with a `crs` member, read strictly: one bad feature of N keeps N-1."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, CRSError, FormatError, UnsafeInputError
from cim.loaders.json_guard import Parsed, parse
from cim.loaders.vector.columns import column_from_values
from cim.loaders.vector.frame import MOST_NOTES, Layer, Note

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.protocol import ReadOptions

__all__ = ["read_geojson", "recognises"]

GEOMETRY_TYPES = ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection")
DEPTH = {"Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}
_OTHERS = (b'"CityJSON', b'"asset"', b'"geometricError"', b'"Topology"', b'"esriGeometry', b'"stac_version"')


def recognises(head: bytes, path: Path) -> bool:
    """Return whether JSON text is GeoJSON, or by its name meant to be."""
    text = head
    for mark, name in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if head.startswith(mark):
            text = head[2:].decode(name, "ignore").encode()
    text = text.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text.startswith((b"{", b"[")):
        return False
    if path.suffix.lower() == ".geojson":
        return True
    if any(mark in text[:4096] for mark in _OTHERS) or not text.startswith(b"{"):
        return False
    named = any(b'"' + name.encode() + b'"' in text for name in ("FeatureCollection", "Feature", *GEOMETRY_TYPES))
    return named and (b'"features"' in text or b'"coordinates"' in text or b'"geometry"' in text or b'"geometries"' in text)


def read_geojson(path: Path, options: ReadOptions) -> Layer:
    """Return the one layer of a GeoJSON file.

    Raises
    ------
    FormatError, CorruptFileError, LimitError, CRSError
        If it is no GeoJSON, broken, too deep, or in a coordinate system that is said to be unknown.
    """
    parsed = parse(path, options.limits, encoding=options.encoding)
    features = _features(parsed.value, path)
    options.limits.check("records", len(features), path)
    notes = _text_notes(parsed)
    if not features:
        notes.append(Note("empty", "the collection is empty: it holds no feature"))
    decoded = _geometries(features)
    kept = np.flatnonzero(~decoded.bad)
    if len(features) and not len(kept):
        reason = f"no feature has a usable geometry; the first one: {decoded.notes[0].message}"
        raise CorruptFileError(path, reason, "check the coordinates and their types")
    chosen = [features[place] for place in kept.tolist()]
    columns, leftovers, more = _columns(chosen, kept)
    name = parsed.value.get("name") if isinstance(parsed.value.get("name"), str) else None
    ids = [_plain_id(one.get("id")) if isinstance(one, dict) else None for one in chosen]
    return Layer(
        name=name or path.stem, format="GeoJSON", crs=_declared_crs(parsed.value, path, options), geometry=decoded.geometry[kept],
        columns=columns, number=kept, ids=ids if any(one is not None for one in ids) else None,
        notes=(*notes, *decoded.notes, *more), encoding=parsed.encoding, records_in=len(features),
        rejected=int(decoded.bad.sum()), repaired=decoded.repaired, leftovers=leftovers,
    )  # fmt: skip


def _text_notes(parsed: Parsed) -> list[Note]:
    if parsed.guessed:
        message = f"the text is not UTF-8, which GeoJSON requires; read as {parsed.encoding}, by guess"
        return [Note("encoding", message)]
    return []


def _plain_id(value: Any) -> str | int | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else str(value) if isinstance(value, float) else value


def _features(value: Any, path: Path) -> list[Any]:
    """Return the features of any GeoJSON object."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "FeatureCollection":
        features = value.get("features")
        if isinstance(features, list):
            return features
        reason = f"its features are a JSON {_json_type(features)}, expected an array"
        raise CorruptFileError(path, reason, "export it again")
    if kind == "Feature":
        return [value]
    if kind in GEOMETRY_TYPES:
        return [{"type": "Feature", "properties": {}, "geometry": value}]
    found = repr(kind)[:40] if isinstance(value, dict) else f"a JSON {_json_type(value)}"
    reason = f"its type is {found}, expected FeatureCollection, Feature or a geometry type of GeoJSON"
    raise FormatError(path, reason, "check which format the file has")


def _json_type(value: Any) -> str:
    names = {dict: "object", list: "array", str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _declared_crs(value: dict[str, Any], path: Path, options: ReadOptions) -> str | None:
    """Return the CRS of the old `crs` member, or longitude and latitude as RFC 7946 says."""
    member = value.get("crs", ...)
    if member is ...:
        return "EPSG:4326"
    if member is None:
        if options.crs is not None:
            return None
        raise CRSError(path, "its crs member is null: the coordinate system is unknown", "give crs='EPSG:...'")
    kind, properties = (member.get("type"), member.get("properties")) if isinstance(member, dict) else (None, None)
    name = properties.get("name") if isinstance(properties, dict) else None
    if kind == "link" and options.crs is None:
        raise UnsafeInputError(path, "its crs member is a link to another place, which is not followed", "give crs='EPSG:...'")
    if kind == "EPSG" and isinstance(properties, dict):
        name = str(properties.get("code"))
    if isinstance(name, str | int) and not isinstance(name, bool):
        return str(name)
    if options.crs is not None:
        return None
    raise CRSError(path, "its crs member names no coordinate system", "give crs='EPSG:...'")


# ---------------------------------------------------------------- geometry


@dataclass
class _Decoded:
    geometry: NDArray[np.object_]
    bad: NDArray[np.bool_]
    notes: list[Note]
    repaired: int = 0


def _geometries(features: list[Any]) -> _Decoded:
    """Return one shapely geometry per feature; those that the strict parser refuses are looked at one by one."""
    import orjson
    import shapely

    members = [one.get("geometry", ...) if isinstance(one, dict) and one.get("type") == "Feature" else ... for one in features]
    texts = [orjson.dumps(one, default=str).decode() if isinstance(one, dict) else None for one in members]
    with np.errstate(all="ignore"):
        geometry = shapely.from_geojson(np.array(texts, object), on_invalid="ignore") if texts else np.empty(0, object)
    absent = np.array([one is None for one in members], bool)
    doubtful = np.flatnonzero((shapely.is_missing(geometry) | _ragged(geometry)) & ~absent)
    out = _Decoded(geometry, np.zeros(len(features), bool), [])
    for place in doubtful.tolist():  # only what the strict parser refused
        _second_look(features[place], members[place], place, out)
    return _shortened(out)


def _ragged(geometry: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return which geometries mix positions with and without height."""
    import shapely

    raised = np.flatnonzero(shapely.has_z(geometry))
    out = np.zeros(len(geometry), bool)
    if len(raised):
        points, owner = shapely.get_coordinates(geometry[raised], include_z=True, return_index=True)
        out[raised[owner[np.isnan(points[:, 2])]]] = True
    return out


def _second_look(feature: Any, member: Any, place: int, out: _Decoded) -> None:
    try:
        _check_feature(feature, member)
        geometry, mended = _build(member)
    except (ValueError, TypeError, KeyError) as error:
        out.bad[place] = True
        out.geometry[place] = None
        out.notes.append(Note("rejected", f"feature {place}: {error}; the feature is rejected", record=str(place)))
        return
    out.geometry[place] = geometry
    if mended:
        out.repaired += 1
        out.notes.append(Note("repaired", f"feature {place}: {mended}", record=str(place)))


def _check_feature(feature: Any, member: Any) -> None:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        kind = repr(feature.get("type"))[:40] if isinstance(feature, dict) else f"a JSON {_json_type(feature)}"
        msg = f"it is no Feature but {kind}"
        raise ValueError(msg)
    if member is ...:
        msg = "it has no geometry member"
        raise ValueError(msg)


def _shortened(out: _Decoded) -> _Decoded:
    """Keep the first notes of each kind and count the rest."""
    kept: list[Note] = []
    for code in ("rejected", "repaired"):
        notes = [note for note in out.notes if note.code == code]
        kept += notes[:MOST_NOTES]
        if len(notes) > MOST_NOTES:
            more = len(notes) - MOST_NOTES
            kept.append(Note(code, f"{more} more features: {notes[-1].message.partition(': ')[2]}", count=more))
    out.notes = kept
    return out


def _build(member: Any) -> tuple[Any, str]:
    """Return a geometry made by hand, and what had to be mended; ValueError says why there is none."""
    import shapely
    from shapely.geometry import shape

    if not isinstance(member, dict):
        msg = f"its geometry is a JSON {_json_type(member)}, expected an object"
        raise ValueError(msg)
    kind = member.get("type")
    if kind == "GeometryCollection":
        parts = member.get("geometries")
        if not isinstance(parts, list):
            msg = f"its geometries are a JSON {_json_type(parts)}, expected an array"
            raise ValueError(msg)
        made = [_build(part) for part in parts]
        return shapely.geometrycollections([one for one, _ in made]), next((text for _, text in made if text), "")
    if kind not in DEPTH:
        msg = f"its geometry type is {repr(kind)[:40]}, expected one of GeoJSON's"
        raise ValueError(msg)
    mended: set[str] = set()
    given = member.get("coordinates")
    if kind in ("Polygon", "MultiPolygon") and _levels(given) == DEPTH[kind]:
        given = [given]
        mended.add(f"its coordinates lack one level of a {kind}; taken as the one {'ring' if kind == 'Polygon' else 'polygon'}")
    coordinates = _positions(given, DEPTH[kind], mended)
    if kind in ("Polygon", "MultiPolygon"):
        for ring in coordinates if kind == "Polygon" else [ring for polygon in coordinates for ring in polygon]:
            _close(ring, mended)
    try:
        return shape({"type": kind, "coordinates": coordinates}), "; ".join(sorted(mended))
    except (shapely.errors.GEOSException, ValueError, IndexError, TypeError) as error:
        msg = f"its geometry cannot be built as {kind} ({type(error).__name__})"
        raise ValueError(msg) from error


def _levels(value: Any) -> int:
    """Return how many arrays stand around the first number; 1 for a position."""
    depth = 0
    while isinstance(value, list) and value and depth < 8:
        value, depth = value[0], depth + 1
    return depth


def _positions(value: Any, depth: int, mended: set[str]) -> Any:
    """Return nested positions as plain lists of two or three finite floats, `depth` levels deep."""
    if not isinstance(value, list):
        msg = f"its coordinates hold a JSON {_json_type(value)} where an array is expected"
        raise ValueError(msg)
    if depth > 0:
        parts = [_positions(part, depth - 1, mended) for part in value]
        if depth == 1 and len({len(part) for part in parts}) > 1:
            mended.add("positions with and without height are mixed in its geometry; kept without heights")
            return [part[:2] for part in parts]
        return parts
    if len(value) < 2:
        msg = f"a position of its coordinates has {len(value)} numbers, expected 2 or 3"
        raise ValueError(msg)
    for number in value[:3]:
        if isinstance(number, bool) or not isinstance(number, int | float):
            msg = f"its coordinates hold a JSON {_json_type(number)} where a number is expected"
            raise ValueError(msg)
        if not math.isfinite(number) or abs(number) > 1e300:
            msg = "a coordinate is not finite (NaN, infinity or out of range)"
            raise ValueError(msg)
    return [float(number) for number in value[:3]]


def _close(ring: list[list[float]], mended: set[str]) -> None:
    if len(ring) < 3:
        msg = f"a ring of its geometry has {len(ring)} positions, expected 4 or more"
        raise ValueError(msg)
    if ring[0] != ring[-1]:
        ring.append(list(ring[0]))
        mended.add("a ring of its geometry was not closed; closed")
    if len(ring) < 4:
        msg = f"a ring of its geometry has {len(ring)} positions, expected 4 or more"
        raise ValueError(msg)


# ---------------------------------------------------------------- properties


def _columns(features: list[dict[str, Any]], number: NDArray[np.int64]) -> tuple[dict[str, Any], dict[str, dict[int, str]], list[Note]]:
    given = [one.get("properties") for one in features]
    rows: list[dict[str, Any]] = [one if isinstance(one, dict) else {} for one in given]
    names = dict.fromkeys(name for row in rows for name in row)
    columns, leftovers, notes = {}, {}, []
    for name in names:
        made = column_from_values(name, [row.get(name) for row in rows], number)
        columns[name] = made.values
        notes += made.notes
        if made.leftovers:
            leftovers[name] = made.leftovers
    return columns, leftovers, notes
