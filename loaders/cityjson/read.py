"""CityJSON 1.0, 1.1 and 2.0, and CityJSONSeq, to a City.

Every level of detail, geometry kind and semantic surface becomes a row; what the model cannot hold yet is counted in the issues.
"""

from __future__ import annotations

import gc
import pickle
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa

from cim.errors import CorruptFileError, CRSError, FormatError
from cim.loaders.cityjson.appearance import Library, Looks, add_appearances, add_library, defaults, library_of, looks_of
from cim.loaders.cityjson.attributes import Told, add_attributes, add_members, told_by
from cim.loaders.cityjson.checks import Transform, check_heights, lost_parts, points_of, template_points, transform_of, welded
from cim.loaders.cityjson.columns import Columns, NotPlainError
from cim.loaders.cityjson.document import Document, Note, load
from cim.loaders.cityjson.geometry import Found, Geometries, gather, geometries_of
from cim.loaders.cityjson.links import Links, links_of
from cim.loaders.cityjson.outline import outlines_of
from cim.loaders.cityjson.plain import cleaned
from cim.loaders.cityjson.plain_rows import geometries_from, looks_from, semantics_from
from cim.loaders.cityjson.semantics import Surfaces, semantics_of
from cim.loaders.cityjson.templates import Instances, instances_of, put_out
from cim.loaders.protocol import Description, LayerInfo, ReadOptions
from cim.loaders.source import plain_name, source_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.crs import CityCRS
    from cim.model import City, CityBuilder
    from cim.model.footprints import Places

    Ints = NDArray[np.int64]

__all__ = ["CityJSONReader"]

_TYPE = re.compile(rb'"type"\s*:\s*"CityJSON(?:Feature)?"')
_OBJECTS = re.compile(rb'"CityObjects"\s*:\s*\{')
_ARRAY = re.compile(rb'^\s*\{\s*"(?:vertices|transform|appearance|metadata|version)"\s*:')
_TAIL = 1 << 16
_MOST = 50
"""Issues of one kind that are named one by one; the rest is counted."""
_BLOCK = 2_000
"""Geometries checked at a time, so that what the checks need stays small."""
_Kept = TypeVar("_Kept")
_ROLES = {"MultiPoint": "point", "MultiLineString": "line", "MultiSurface": "multi_surface", "CompositeSurface": "multi_surface"}


class CityJSONReader:
    """Reads CityJSON and CityJSONSeq."""

    name = "cityjson"
    priority = 30
    large = (1 << 24, ("cim.model._kernels", "cim.loaders.cityjson.kernel"))

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether the bytes are those of CityJSON: by its type, or by the objects that only it has."""
        text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
        if not text.startswith(b"{"):
            return False
        if _TYPE.search(text) or _OBJECTS.search(text):
            return True
        if len(head) < _TAIL or not _ARRAY.match(text) or not path.is_file():
            return False
        with path.open("rb") as file:
            file.seek(-_TAIL, 2)
            tail = file.read()
        return bool(_TYPE.search(tail) or _OBJECTS.search(tail))

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
        with _no_collection(), _system_memory():
            try:
                return _read(path, options, plain=True)
            except NotPlainError:
                return _read(path, options, plain=False)

    def describe(self, path: Path, options: ReadOptions) -> Description:
        """Return version, classes, counts, coordinate system and extent."""
        document = load(path, options.limits, encoding=options.encoding)
        metadata = document.header.get("metadata")
        stated = metadata.get("referenceSystem") if isinstance(metadata, dict) else None
        counts = Counter(str(record.members["type"]) for record in document.records)
        points = points_of(document, transform_of(document, path), [])
        bounds = None
        if len(points) and np.isfinite(points).all():
            low, high = points.min(axis=0), points.max(axis=0)
            bounds = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
        layers = tuple(LayerInfo(kind, count, "3D", stated, bounds, _fields(document, kind), kind) for kind, count in counts.most_common())
        doubts = [note.message for note in document.notes] + ([] if stated else ["no coordinate system is stated; give crs="])
        name = "CityJSONSeq" if document.sequence else "CityJSON"
        return Description(f"{name} {document.version}", layers, document.encoding, tuple(doubts), whole=True)


def _read(path: Path, options: ReadOptions, *, plain: bool) -> City:
    document = [load(path, options.limits, encoding=options.encoding, plain=plain)]
    crs, notes = _crs(document[0], options, path)
    return _assemble(document.pop(), crs, notes, path, options)


def _made_anew(held: list[_Kept]) -> _Kept:
    """Return copies of values in other memory, the values being the only ones in a list, which is emptied.

    Small objects made while millions of parsed values were there lie among them, and each would keep the memory of its neighbours from
    being given back. Worth it for a plain file only, of which few are kept.
    """
    try:
        packed = pickle.dumps(held[0], pickle.HIGHEST_PROTOCOL)
    except RecursionError:  # a caller may allow values to nest deeper than this can follow
        return held.pop()
    held.clear()
    return pickle.loads(packed)  # type: ignore[no-any-return]  # noqa: S301  # packed above


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from walking through millions of parsed values again and again; they hold no cycles."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@contextmanager
def _system_memory() -> Iterator[None]:
    """Let Arrow take memory from the system and give it back at once: large columns come and go, and its own pool keeps all of them."""
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)


def _fields(document: Document, kind: str) -> tuple[tuple[str, str], ...]:
    found: dict[str, str] = {}
    for record in document.records:
        given = record.members.get("attributes")
        if record.members["type"] == kind and isinstance(given, dict):
            for name, value in given.items():
                if value is not None:
                    found.setdefault(name, type(value).__name__)
    return tuple(found.items())


def _crs(document: Document, options: ReadOptions, path: Path) -> tuple[CityCRS, list[Note]]:
    """Return the coordinate system: that of the caller, else the one the file states."""
    from cim.crs import parse

    metadata = document.header.get("metadata")
    stated = metadata.get("referenceSystem") if isinstance(metadata, dict) else None
    if options.crs is not None:
        chosen = parse(options.crs)
        try:
            other = parse(stated, path=str(path)) if stated else chosen
        except CRSError:
            other = None
        if other != chosen:
            message = f"the file states the coordinate system {str(stated)[:80]!r}; {options.crs} is used instead, as asked"
            return chosen, [Note("crs", message)]
        return chosen, []
    if not isinstance(stated, str) or not stated.strip():
        reason = "states no coordinate reference system (metadata.referenceSystem)"
        raise CRSError(path, reason, 'give crs=..., for example crs="EPSG:7415"')
    return parse(stated, path=str(path)), []


def _assemble(document: Document, crs: CityCRS, notes: list[Note], path: Path, options: ReadOptions) -> City:
    from cim.model.builder import CityBuilder, give_back
    from cim.model.classes import from_cityjson
    from cim.model.footprints import derive_places

    notes += document.notes
    transform = transform_of(document, path)
    points = points_of(document, transform, notes)
    ids = [record.id for record in document.records]
    kinds = [record.members["type"] for record in document.records]
    names = {kind: from_cityjson(kind) for kind in set(kinds)}
    types = [names[kind] for kind in kinds]
    links = links_of(document.records, kinds)
    library = library_of(document, path, notes)
    corners = template_points(document, path)
    shown = gather(document, len(corners))
    told = told_by(document.records, types, options.mapping)
    columns = document.columns
    document = replace(document, columns=None, vertices=np.empty((0, 3)))
    held = [(document, told, shown, links, library, notes, ids, types)]
    document.records.clear()  # each large thing goes as soon as what follows from it is there
    del document, told, shown, links, library, notes, ids, types, kinds
    document, told, shown, links, library, notes, ids, types = _made_anew(held) if columns is not None else held.pop()
    document = replace(document, columns=columns)
    del columns
    own, shapes, instances = _geometries(document, shown, corners, points, ids, library, crs, path, notes)
    document = replace(document, columns=None)
    if not told.further:
        points = np.empty((0, 3))
    table, ground = _all_explicit(own, shapes, instances)
    places = derive_places(table, len(ids), ground=ground, parent=links.parent, types=types, known=outlines_of(table, ground))
    del table, ground
    notes += [*links.notes, *check_heights(told.heights, places.z_ground, places.z_roof, ids)]
    builder = CityBuilder(crs, name=options.name or plain_name(path))
    source = builder.add_source(_source(document, len(ids), crs, path, options))
    keys = _add_objects(builder, told, ids, types, links, places, source)
    del places
    materials, textures = add_library(builder, library, path, source, notes)
    tkeys = _add_templates(builder, shapes)
    gkeys = _add_geometries(builder, keys, own, shapes, instances, tkeys, source)
    for part, made in ((own, gkeys), (shapes, tkeys)):
        _add_surfaces(builder, made, part.surfaces)
        add_appearances(builder, made, part.looks, materials, textures)
    _add_links(builder, keys, links, source)
    add_attributes(builder, keys, told, options.mapping, notes)
    add_members(builder, keys, told, points, notes)
    _add_issues(builder, keys, notes, source)
    kept = {"cityjson": _extra(document, transform, told.title)}
    del own, shapes, instances, points, library, ids, types, links, told, shown
    give_back()  # before everything is put in order
    return replace(builder.build(keep=False), extra=kept)


@dataclass(frozen=True)
class _Part:
    """The geometries of the objects, or those of the templates."""

    geometries: Geometries
    ids: list[str]
    """Names of the owners."""
    table: pa.Table
    """Owner, type, level of detail, vertices and boundaries, solids turned outward."""
    surfaces: Surfaces
    looks: Looks


def _geometries(
    document: Document, shown: tuple[Found, Found], corners: NDArray[np.float64], points: NDArray[np.float64], ids: list[str],
    library: Library, crs: CityCRS, path: Path, notes: list[Note],
) -> tuple[_Part, _Part, Instances]:  # fmt: skip
    """Return all usable geometries, templates and their uses; a file without any usable one among several is corrupt."""
    found, templates = shown
    if document.columns is None:
        own = _part(geometries_of(found, points, ids), ids, library, crs, notes)
    else:
        own = _plain_part(document.columns, found, points, ids, library, crs, notes)
    shapes_of = geometries_of(templates, corners, names := [f"template {k}" for k in range(max(templates.owner, default=-1) + 1)])
    about: list[Note] = []
    shapes = _part(shapes_of, names, library, crs, about)
    notes += [replace(note, row=None) for note in about]
    instances = instances_of(found, shapes.geometries, points, ids)
    notes += instances.notes
    welded(points, np.union1d(own.geometries.used, instances.used) if len(instances.used) else own.geometries.used, notes)
    notes += lost_parts(document, found)
    rejected = own.geometries.rejected + instances.rejected
    if rejected and not len(own.geometries.owner) and not len(instances.owner):
        reasons = [note.message for note in notes if note.code == "rejected" and note.severity == "error"]
        raise CorruptFileError(path, f"holds no usable geometry: {reasons[0]}", "export it again; its indices and vertices do not fit")
    return own, shapes, instances


def _plain_part(
    columns: Columns, found: Found, points: NDArray[np.float64], ids: list[str], library: Library, crs: CityCRS, notes: list[Note]
) -> _Part:
    """Return the geometries of a plain file; turned solids lose nothing, for it has no textures."""
    geometries = geometries_from(columns, np.asarray(found.owner, np.int64), points, found.notes)
    surfaces, looks = semantics_from(columns), looks_from(columns, library)
    notes += geometries.notes
    table, solid_notes = _checked(geometries, ids, crs)
    notes += solid_notes
    geometries = replace(geometries, vertices=_one(table["vertices"]), boundaries=_one(table["boundaries"]))
    return _Part(geometries, ids, table, surfaces, looks)


def _part(geometries: Geometries, ids: list[str], library: Library, crs: CityCRS, notes: list[Note]) -> _Part:
    notes += geometries.notes
    surfaces = semantics_of(geometries, ids)
    looks = looks_of(geometries, library, ids)
    geometries = replace(geometries, semantics=[], material=[], texture=[])  # as in the file: no longer needed
    table, solid_notes = _checked(geometries, ids, crs)
    notes += [*surfaces.notes, *looks.notes, *solid_notes]
    looks = replace(looks, worn=looks.worn.turned(geometries.boundaries, _one(table["boundaries"])))
    return _Part(geometries, ids, table, surfaces, looks)


def _all_explicit(own: _Part, shapes: _Part, instances: Instances) -> tuple[pa.Table, NDArray[np.bool_]]:
    """Return the geometries with every use of a template put out, and which faces are ground surfaces."""
    if not len(instances.owner):
        return own.table, own.surfaces.ground
    size = np.diff(np.asarray(shapes.surfaces.semantics.offsets.to_numpy(), np.int64)).astype(np.int64)
    first = np.cumsum(size) - size
    count = size[instances.template]
    faces = np.repeat(first[instances.template] - (np.cumsum(count) - count), count) + np.arange(int(count.sum()))
    more = put_out(instances, shapes.table).cast(own.table.schema)
    return pa.concat_tables([own.table, more]).combine_chunks(), np.concatenate([own.surfaces.ground, shapes.surfaces.ground[faces]])


def _checked(geometries: Geometries, ids: list[str], crs: CityCRS) -> tuple[pa.Table, list[Note]]:
    """Return the geometry table with solids turned outward, and what is wrong with them."""
    from cim.model.solids import MEANING, SOLID_TYPES, check_solids

    table = geometries.table()
    tolerance = 0.01 / crs.linear_unit_factor if crs.is_projected else np.inf
    found: dict[int, list[int]] = {code: [] for code in MEANING}
    for first in range(0, table.num_rows, _BLOCK):
        report = check_solids(table.slice(first, _BLOCK), tolerance=tolerance)
        for code in MEANING:
            found[code] += (report.rows(code) + first).tolist()
    repaired, turned = _turned(table, np.array(sorted({*found[307], *found[405]}), np.int64))
    notes = []
    for code, meaning in MEANING.items():
        for row in found[code]:
            owner = int(geometries.owner[row])
            mended = code in (307, 405) and turned[row] > 0
            end = f"; {turned[row]} surfaces are turned to face outward" if mended else ""
            message = f"{geometries.type[row]} of {ids[owner]!r} (lod {geometries.lod[row]}): {meaning} (val3dity {code}){end}"
            severity = "warning" if geometries.type[row] in SOLID_TYPES else "info"  # loose surfaces promise no more than a picture
            notes.append(Note("repaired" if mended else "invalid", message, severity, row=owner))
    return repaired, notes


def _turned(table: pa.Table, rows: Ints) -> tuple[pa.Table, Ints]:
    """Return the table with the solids in some rows turned outward, and how many surfaces were turned in each row."""
    from cim.model.solids import repair_orientation

    turned = np.zeros(table.num_rows, np.int64)
    if not len(rows):
        return table, turned
    mended, turned[rows] = repair_orientation(table.take(pa.array(rows)))
    place = np.arange(table.num_rows)
    place[rows] = table.num_rows + np.arange(len(rows))
    return pa.concat_tables([table, mended]).take(pa.array(place)).combine_chunks(), turned


def _source(document: Document, count: int, crs: CityCRS, path: Path, options: ReadOptions) -> Any:
    metadata = document.header.get("metadata")
    stated = metadata.get("referenceSystem") if isinstance(metadata, dict) else None
    vertical = crs.vertical.name if crs.vertical is not None else None
    format = f"{'CityJSONSeq' if document.sequence else 'CityJSON'} {document.version}"
    left_out = sum(note.code == "rejected" and note.record is not None and not note.record.startswith("line ") for note in document.notes)
    records = count + document.rejected + left_out
    return source_record(
        path, reader="cityjson", format=format, mapping=options.mapping, shown=options.extra.get("_shown"), encoding=document.encoding,
        declared_crs=str(stated) if stated else None, used_crs=crs.to_string(), declared_vertical=vertical if stated else None,
        used_vertical=vertical, records_in=records,
    )  # fmt: skip


def _add_objects(builder: CityBuilder, told: Told, ids: list[str], types: Sequence[str], links: Links, places: Places, source: int) -> Ints:
    titles = pa.array(told.names, pa.string()) if told.title else None
    keys = builder.add_objects(
        types, ids, footprints=places.footprint, names=titles, z_ground=places.z_ground, z_roof=places.z_roof,
        parents=[ids[row] if row >= 0 else None for row in links.parent.tolist()], source=source,
    )  # fmt: skip
    put_together = int(places.from_parts.sum())
    if put_together:
        message = f"{put_together} objects have no geometry of their own; footprint and heights are those of their parts together"
        builder.add_issue("assumed", message, severity="info", source=source, count=put_together)
    return keys


def _roles(geometries: Geometries) -> list[str]:
    return ["footprint" if lod.startswith("0") and kind == "MultiSurface" else _ROLES.get(kind, "solid")
            for lod, kind in zip(geometries.lod, geometries.type, strict=True)]  # fmt: skip


def _add_templates(builder: CityBuilder, shapes: _Part) -> Ints:
    """Add the templates and return their keys."""
    if not shapes.table.num_rows:
        return np.empty(0, np.int64)
    table = shapes.table
    return builder.add_templates(
        lod=table["lod"], type=table["type"], vertices=_one(table["vertices"]), boundaries=_one(table["boundaries"]),
        semantics=shapes.surfaces.semantics, role=pa.array(_roles(shapes.geometries)),
    )  # fmt: skip


def _add_geometries(builder: CityBuilder, keys: Ints, own: _Part, shapes: _Part, instances: Instances, tkeys: Ints, source: int) -> Ints:
    """Add geometries and uses of templates; return the keys of the geometries."""
    table, made = own.table, np.empty(0, np.int64)
    if table.num_rows:
        made = builder.add_geometries(
            keys[own.geometries.owner], lod=table["lod"], role=pa.array(_roles(own.geometries)), type=table["type"],
            vertices=_one(table["vertices"]), boundaries=_one(table["boundaries"]), semantics=own.surfaces.semantics, source=source,
        )  # fmt: skip
    if len(instances.owner):
        row, kinds = pa.array(instances.template), shapes.table
        builder.add_instances(
            keys[instances.owner], templates=tkeys[instances.template], matrices=instances.matrix, lod=kinds["lod"].take(row),
            role=pa.array(_roles(shapes.geometries)).take(row), type=kinds["type"].take(row), source=source,
        )  # fmt: skip
    return made


def _add_surfaces(builder: CityBuilder, gkeys: Ints, surfaces: Surfaces) -> None:
    rows = surfaces.rows
    if len(rows.geometry):
        builder.add_surfaces(gkeys[rows.geometry], rows.index, rows.type, parents=rows.parent, attributes=rows.attributes)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks)


def _add_links(builder: CityBuilder, keys: Ints, links: Links, source: int) -> None:
    for pairs, predicate in ((links.members, "contains"), (links.more_parents, "partOf")):
        if pairs:
            subjects, others = np.asarray(pairs, np.int64).T
            builder.add_relations(keys[subjects], predicate, keys[others], source=source)


def _add_issues(builder: CityBuilder, keys: Ints, notes: Sequence[Note], source: int) -> None:
    """Record the notes; beyond some of one kind only their number."""
    groups: dict[tuple[str, str, str], list[Note]] = {}
    for note in notes:
        kind = re.sub(r"'[^']*'|(?<!dity )[\d.]+", "", note.message)
        groups.setdefault((note.code, note.severity, kind), []).append(note)
    for (code, severity, _), same in groups.items():
        for note in same[:_MOST]:
            key = None if note.row is None else int(keys[note.row])
            builder.add_issue(code, note.message, severity=severity, object=key, source=source, record=note.record, count=note.count)
        rest = same[_MOST:]
        if rest:
            message = f"{len(rest)} more like: {same[0].message}"
            builder.add_issue(code, message, severity=severity, source=source, count=sum(note.count for note in rest))


def _extra(document: Document, transform: Transform | None, title: str) -> dict[str, Any]:
    """Return what writing needs to give the file back as it was."""
    dropped = ("type", "version", "transform", "appearance", "geometry-templates", "id")
    kept = cleaned({name: value for name, value in document.header.items() if name not in dropped})
    stated = {"transform": {"scale": list(transform.scale), "translate": list(transform.translate)}} if transform is not None else {}
    return {"version": document.version, **stated, "name": title or "name", "members": kept,
            "default_themes": defaults(document)}  # fmt: skip
