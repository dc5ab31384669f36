"""CityGML 1.0, 2.0 and 3.0 to a City: every module and level of detail, semantic surfaces, templates, appearance.

The file streams by once; objects, texts of coordinates and links are gathered, and everything else happens on whole columns.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import CorruptFileError, FormatError
from cim.loaders.citygml.draft import Draft, Note
from cim.loaders.citygml.shapes import Shapes
from cim.loaders.citygml.text import Encoding, check_text
from cim.loaders.protocol import Description, LayerInfo, ReadOptions
from cim.loaders.source import plain_name, source_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.citygml.frame import Frame
    from cim.loaders.citygml.pool import Rings
    from cim.loaders.citygml.rows import Columns, Resolver
    from cim.loaders.citygml.semantics import Meaning, Stated
    from cim.model import City, CityBuilder
    from cim.model.footprints import Places

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["CityGMLReader"]

_MOST = 50
"""Issues of one kind that are named one by one; the rest is counted."""
_VERSION = re.compile(r"opengis\.net/citygml/(?:[a-z/]+/)?(\d\.\d)")


@dataclass
class _File:
    """What streaming through a file gave."""

    draft: Draft
    shapes: Shapes
    encoding: Encoding
    version: str
    default: int
    """Number of the coordinate system of the envelope."""


@dataclass
class _Geometry:
    """All geometry of a file as columns."""

    stated: Stated
    columns: Columns
    table: pa.Table
    meaning: Meaning
    ground: Flags
    heightless: Flags
    """Per geometry, whether the file gives it no heights."""


class CityGMLReader:
    """Reads CityGML; plain GML is recognised and refused by name."""

    name = "citygml"
    priority = 30
    imports = ("lxml.etree",)

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether the bytes are XML that speaks of GML."""
        text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
        return path.is_file() and text.startswith(b"<") and (b"opengis.net/citygml/" in text or b"opengis.net/gml" in text)

    def read(self, path: Path, options: ReadOptions) -> City:
        """Return the city in the coordinate system of the file.

        Raises
        ------
        InputError
            If the file cannot be used.
        """
        if options.layer is not None:
            reason = f"a city model has no layers, but layer={options.layer!r} was asked for"
            raise FormatError(path, reason, "leave layer out; take a part of the city afterwards with city.subset(city.keys(class))")
        return _assemble(_stream(path, options), path, options)

    def describe(self, path: Path, options: ReadOptions) -> Description:
        """Return version, classes, counts and coordinate system."""
        file = _stream(path, options)
        srs = file.shapes.srs
        stated = srs[file.default] or next((name for name in srs[1:] if "\0" not in name), None)
        counts = Counter(file.draft.types)
        names: dict[str, dict[str, tuple[str, str]]] = {}
        for kind, values in zip(file.draft.types, file.draft.attributes, strict=True):
            names.setdefault(kind, {}).update(values)
        layers = tuple(
            LayerInfo(kind, count, "3D", stated, None, tuple((name, unit or "text") for name, (_, unit) in names[kind].items()), kind)
            for kind, count in counts.most_common()
        )
        doubts = [file.encoding.note] if file.encoding.note else []
        doubts += [] if stated else ["no coordinate system is stated; give crs="]
        return Description(f"CityGML {file.version}".strip(), layers, file.encoding.codec, tuple(doubts), whole=True)


def _stream(path: Path, options: ReadOptions) -> _File:
    from cim.loaders.citygml.features import Features
    from cim.loaders.citygml.stream import members

    encoding = check_text(path, encoding=options.encoding)
    draft, shapes = Draft(), Shapes()
    features = Features(draft, shapes)
    version = ""
    for element in members(path, encoding):
        if not version:
            found = _VERSION.search(" ".join(str(space) for space in element.nsmap.values()))
            version = found[1] if found else ""
        features.member(element)
        options.limits.check("records", len(draft.ids), path)
    if not draft.ids:
        raise CorruptFileError(path, f"is XML of CityGML {version} but holds no city object", "give a file with cityObjectMember elements")
    return _File(draft, shapes, encoding, version, features.place.srs)


def _assemble(file: _File, path: Path, options: ReadOptions) -> City:
    from cim.loaders.citygml.clean import cleaned
    from cim.loaders.citygml.frame import place_points
    from cim.loaders.citygml.rows import Resolver
    from cim.loaders.citygml.semantics import stated
    from cim.loaders.citygml.templates import Templates
    from cim.model import CityBuilder

    draft = file.draft
    rings = file.shapes.pool.rings()
    if rings.reread:
        text = f"{rings.reread} rings close with two coordinates per point and not with three: read as two, without heights"
        draft.tell("guessed", text, count=rings.reread)
    frame = place_points(rings, file.shapes.srs, file.default, options.crs, path)
    rings, good_ring, good_leaf, notes = cleaned(rings)
    resolver = Resolver(file.shapes.ids, file.shapes.pool.kind, path)
    said = stated(draft, resolver)
    geometry = _geometry(said, rings, good_ring, good_leaf, draft)
    notes += _link_notes(file, resolver)
    _check_usable(draft, geometry, notes, path)
    builder = CityBuilder(frame.crs, name=options.name or plain_name(path))
    source = builder.add_source(_source(file, frame, path, options))
    turned, solid_notes = _checked(geometry, draft, frame)
    places = _places(geometry, turned, draft)
    keys = _add_objects(builder, draft, places, source)
    gkeys = _add_geometries(builder, keys, geometry, turned, draft, source)
    templates = Templates(builder, keys, resolver, rings, good_ring, good_leaf, frame, source)
    targets = [(gkeys, geometry.columns), *templates.add(draft)]
    notes += [*frame.notes, *solid_notes, *templates.notes]
    notes += _add_looks(builder, file, resolver, rings, targets, path, source)
    notes += _add_rest(builder, keys, draft, source)
    _add_issues(builder, keys, [*_general(file), *draft.notes, *notes, *_height_notes(draft, places)], source)
    return builder.build()


# ---------------------------------------------------------------- geometry


def _geometry(said: Stated, rings: Rings, good_ring: Flags, good_leaf: Flags, draft: Draft) -> _Geometry:
    from cim.loaders.citygml.rows import gathered
    from cim.loaders.citygml.semantics import meaning_of

    columns = gathered(said.rows, rings, good_ring, good_leaf)
    rows = said.rows
    which = pa.array(columns.row)
    table = pa.table({
        "object": np.asarray(rows.owner, np.int64)[columns.row], "lod": pa.array(rows.lod, pa.string()).take(which),
        "role": pa.array(rows.role, pa.string()).take(which),
        "type": pa.array(rows.type, pa.string()).take(which), "vertices": columns.vertices,
        "boundaries": columns.boundaries,
    })  # fmt: skip
    parents = np.array([one.parent for one in draft.thematic], np.int64)
    face = said.of_leaf[columns.leaf]
    meaning = meaning_of(face, columns.face_row, len(columns.row), parents)
    grounds = np.array([one.type == "GroundSurface" for one in draft.thematic] + [False])
    low = np.bincount(columns.ring_row, rings.flat[columns.ring], len(columns.row)) > 0
    return _Geometry(said, columns, table, meaning, grounds[face], low)


def _check_usable(draft: Draft, geometry: _Geometry, notes: Sequence[Note], path: Path) -> None:
    """Refuse a file all of whose geometry is unusable: its objects would stand nowhere."""
    if len(geometry.columns.row) or draft.instances:
        return
    reasons = [note.message for note in notes if note.code in ("rejected", "invalid", "unsupported", "unmatched")]
    if reasons:
        raise CorruptFileError(path, f"holds no usable geometry: {reasons[0]}", "export it again")


def _link_notes(file: _File, resolver: Resolver) -> list[Note]:
    notes = []
    for id, count in resolver.loops.items():
        notes.append(
            Note("invalid", f"xlink #{id[:80]} leads back to itself (a cycle) or too deep; that geometry is left out", "error", count=count)
        )
    for id, count in resolver.missing.items():
        notes.append(
            Note("unmatched", f"xlink to geometry #{id[:80]}, which the file does not hold; that geometry is missing", count=count)
        )
    for href, count in file.shapes.remote.items():
        message = f"xlink to geometry {href!r} outside this file; remote links are never followed"
        notes.append(Note("unsupported", message, count=count))
    for name, count in file.shapes.odd.items():
        notes.append(Note("unsupported", f"geometry {name[:60]!r} is not read", count=count))
    repeated = len(file.shapes.repeated)
    if repeated:
        message = f"{repeated} ids of geometry occur again; links lead to the first, for example {min(file.shapes.repeated)[:80]!r}"
        notes.append(Note("duplicate", message, "info", count=repeated))
    return notes


def _checked(geometry: _Geometry, draft: Draft, frame: Frame) -> tuple[pa.Table, list[Note]]:
    """Return the table with closed solids turned outward, and what is wrong with them; the columns' corners follow the turning."""
    from cim.model.solids import MEANING, SOLID_TYPES, check_solids, repair_orientation

    if not geometry.table.num_rows:
        return geometry.table, []
    tolerance = 0.01 / frame.crs.linear_unit_factor if frame.crs.is_projected else np.inf
    report = check_solids(geometry.table, tolerance=tolerance)
    table, turned = repair_orientation(geometry.table)
    _turn_corners(geometry, table)
    notes = []
    columns = {name: geometry.table[name].to_pylist() for name in ("object", "lod", "type")}
    for code, meaning in MEANING.items():
        for row in report.rows(code).tolist():
            owner, kind = columns["object"][row], columns["type"][row]
            mended = code in (307, 405) and turned[row] > 0
            end = f"; {turned[row]} surfaces are turned to face outward" if mended else ""
            message = f"{kind} of {draft.ids[owner]!r} (lod {columns['lod'][row]}): {meaning} (val3dity {code}){end}"
            severity = "warning" if kind in SOLID_TYPES else "info"  # loose surfaces promise no more than a picture
            notes.append(Note("repaired" if mended else "invalid", message, severity, row=owner))
    return table, notes


def _turn_corners(geometry: _Geometry, table: pa.Table) -> None:
    """Run the corners of turned rings backwards in the way to the pool too, for texture coordinates."""
    from cim.model.geometry import flatten

    before, after = flatten(geometry.table), flatten(table)
    if np.array_equal(before.index, after.index):
        return
    columns = geometry.columns
    differs = np.zeros(len(columns.ring), bool)
    ring_of = np.repeat(np.arange(len(columns.ring)), columns.ring_size)
    differs[ring_of[before.index != after.index]] = True
    first = np.concatenate([[0], np.cumsum(columns.ring_size)])
    place = np.arange(len(columns.point))
    ends = (first[:-1] + first[1:] - 1)[ring_of]
    columns.point = columns.point[np.where(differs[ring_of], ends - place, place)]


def _places(geometry: _Geometry, table: pa.Table, draft: Draft) -> Places:
    from cim.model.footprints import derive_places

    usable = np.isin(np.asarray(table["role"].to_pylist(), object), ("terrain_intersection",), invert=True)
    flags = geometry.ground[usable[geometry.columns.face_row]]
    places = derive_places(
        table.filter(pa.array(usable)), len(draft.ids), ground=flags, parent=np.asarray(draft.parents, np.int64), types=draft.types
    )
    owners = np.asarray(table["object"].to_numpy(), np.int64)
    flat = np.zeros(len(draft.ids), bool)
    flat[owners[geometry.heightless]] = True
    flat[owners[~geometry.heightless]] = False
    places.z_ground[flat], places.z_roof[flat] = np.nan, np.nan
    if flat.any():
        draft.tell(
            "assumed",
            "geometry without heights (two coordinates per point) lies at height 0; ground and roof are unknown",
            count=int(flat.sum()),
        )
    return places


def _height_notes(draft: Draft, places: Places) -> list[Note]:
    from cim.loaders.cityjson.checks import check_heights

    heights: list[float | None] = []
    for values in draft.attributes:
        text, unit = values.get("measuredHeight", ("", ""))
        heights.append(float(text) if unit == "m" and re.fullmatch(r"\d+(?:\.\d+)?", text) else None)
    found = check_heights(heights, places.z_ground, places.z_roof, draft.ids)
    return [Note(note.code, note.message, row=note.row) for note in found]


# ---------------------------------------------------------------- to the builder


def _source(file: _File, frame: Frame, path: Path, options: ReadOptions) -> Any:
    vertical = frame.crs.vertical.name if frame.crs.vertical is not None else None
    return source_record(
        path, reader="citygml", format=f"CityGML {file.version}".strip(), mapping=options.mapping, shown=options.extra.get("_shown"),
        encoding=file.encoding.codec, declared_crs=frame.declared, used_crs=frame.crs.to_string(),
        declared_vertical=vertical if options.crs is None else None, used_vertical=vertical, records_in=len(file.draft.ids),
    )  # fmt: skip


def _add_objects(builder: CityBuilder, draft: Draft, places: Places, source: int) -> Ints:
    keys = builder.add_objects(
        draft.types, draft.ids, footprints=places.footprint, names=pa.array(draft.names, pa.string()), z_ground=places.z_ground,
        z_roof=places.z_roof, parents=[draft.ids[row] if row >= 0 else None for row in draft.parents],
        valid_from=pa.array([one[0] for one in draft.valid], pa.timestamp("us", tz="UTC")),
        valid_to=pa.array([one[1] for one in draft.valid], pa.timestamp("us", tz="UTC")), source=source,
    )  # fmt: skip
    put_together = int(places.from_parts.sum())
    if put_together:
        message = f"{put_together} objects have no geometry of their own; footprint and heights are those of their parts together"
        builder.add_issue("assumed", message, severity="info", source=source, count=put_together)
    return keys


def _add_geometries(builder: CityBuilder, keys: Ints, geometry: _Geometry, table: pa.Table, draft: Draft, source: int) -> Ints:
    from cim.loaders.citygml.semantics import surface_attributes
    from cim.model.schema import one_array

    if not table.num_rows:
        return np.empty(0, np.int64)
    gkeys = builder.add_geometries(
        keys[np.asarray(table["object"].to_numpy(), np.int64)], lod=table["lod"], role=table["role"], type=table["type"],
        vertices=one_array(table["vertices"]), boundaries=one_array(table["boundaries"]), semantics=geometry.meaning.semantics,
        source=source,
    )  # fmt: skip
    meaning = geometry.meaning
    if len(meaning.surface):
        types = pa.array([one.type for one in draft.thematic], pa.string()).take(pa.array(meaning.surface))
        builder.add_surfaces(
            gkeys[meaning.geometry], meaning.index, types,
            parents=pa.array(meaning.parent.astype(np.int32), mask=meaning.parent < 0),
            attributes=surface_attributes([one.attributes for one in draft.thematic], meaning.surface),
        )  # fmt: skip
    bare = np.setdiff1d(np.arange(len(draft.thematic)), meaning.surface)
    if len(bare):
        kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(draft.thematic[one].type for one in bare.tolist()).most_common(6))
        draft.tell("lost", f"semantic surfaces without surfaces of their own are left out with their attributes ({kinds})", count=len(bare))
    return gkeys


def _add_looks(
    builder: CityBuilder, file: _File, resolver: Resolver, rings: Rings, targets: list[tuple[Ints, Columns]], path: Path, source: int
) -> list[Note]:
    from cim.loaders.citygml.looks import add_looks, images_of

    looks = file.draft.appearances
    files, formats, notes = images_of(looks, path)
    notes += add_looks(builder, looks, resolver, file.shapes.pool.ring_ids, rings, targets, (files, formats), source)
    return notes


def _add_rest(builder: CityBuilder, keys: Ints, draft: Draft, source: int) -> list[Note]:
    """Add attributes, properties, identifiers and relations."""
    from cim.loaders.citygml.columns import add_attributes

    add_attributes(builder, keys, draft)
    if draft.properties:
        rows, sets, names, values, units = zip(*draft.properties, strict=True)
        builder.add_properties(keys[np.asarray(rows, np.int64)], list(sets), list(names), list(values), pa.array(units, pa.string()))
    if draft.identifiers:
        rows, schemes, texts = zip(*draft.identifiers, strict=True)
        builder.add_identifiers(keys[np.asarray(rows, np.int64)], list(schemes), list(texts))
    found = [(row, predicate, draft.row_of[id]) for row, predicate, id in draft.relations if id in draft.row_of]
    if found:
        rows, predicates, others = zip(*found, strict=True)
        builder.add_relations(keys[np.asarray(rows, np.int64)], list(predicates), keys[np.asarray(others, np.int64)], source=source)
    lost = Counter(predicate for _, predicate, id in draft.relations if id not in draft.row_of)
    return [Note("unmatched", f"{count} links {name!r} lead to no object of the file", count=count) for name, count in lost.items()]


# ---------------------------------------------------------------- issues


def _general(file: _File) -> list[Note]:
    notes = [Note(code, message, severity, count=count) for (code, severity, message), count in file.draft.counted.items()]
    return notes + ([Note("encoding", file.encoding.note)] if file.encoding.note else [])


def _add_issues(builder: CityBuilder, keys: Ints, notes: Sequence[Note], source: int) -> None:
    """Record the notes; beyond some of one kind only their number."""
    groups: dict[tuple[str, str, str], list[Note]] = {}
    for note in notes:
        kind = re.sub(r"'[^']*'|#\S+|(?<!dity )[\d.]+", "", note.message)
        groups.setdefault((note.code, note.severity, kind), []).append(note)
    for (code, severity, _), same in groups.items():
        for note in same[:_MOST]:
            key = None if note.row is None else int(keys[note.row])
            builder.add_issue(code, note.message, severity=severity, object=key, source=source, count=note.count)
        rest = same[_MOST:]
        if rest:
            message = f"{len(rest)} more like: {same[0].message}"
            builder.add_issue(code, message, severity=severity, source=source, count=sum(note.count for note in rest))
