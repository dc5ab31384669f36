"""Building a city: readers add columns of objects, attributes and geometry; `build` puts them in order and derives what follows.

Keys handed out while building are provisional; `build` sorts the objects by class and along a Hilbert curve, numbers them anew
and carries every table along.
"""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model.city import City
from cim.model.columns import Column, free_names, joined
from cim.model.derive import boxes_of, classify, origin_of
from cim.model.instances import matrix_column, moved_by, without_own
from cim.model.keys import in_order, order_of, parent_rows, remap, repeats, sorted_geometries
from cim.model.schema import SCHEMAS, empty, make_table
from cim.model.spatial import bbox_column
from cim.model.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from cim.crs import CityCRS

    Keys = NDArray[np.int64]

__all__ = ["CityBuilder", "Column", "SourceRecord"]


@dataclass(frozen=True)
class SourceRecord:
    """One source as the catalogue keeps it; what is not known stays None."""

    name: str
    path: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    reader: str | None = None
    format: str | None = None
    layer: str | None = None
    declared_crs: str | None = None
    used_crs: str | None = None
    declared_vertical: str | None = None
    used_vertical: str | None = None
    pipeline: str | None = None
    accuracy: float | None = None
    encoding: str | None = None
    mapping: str | None = None
    licence: str | None = None
    owner: str | None = None
    grade: str | None = None
    read_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    records_in: int | None = None
    objects_out: int | None = None
    rejected: int | None = None
    repaired: int | None = None


class CityBuilder:
    """Collects the tables of a city.

    Parameters
    ----------
    crs
        Coordinate reference system of all coordinates given to the builder.
    name
        Name of the city.
    time_zone
        IANA name; times themselves are always UTC.
    origin
        Model origin [m]; chosen near the lower corner when left out.
    """

    def __init__(self, crs: str | CityCRS, *, name: str = "", time_zone: str = "UTC", origin: ArrayLike | None = None) -> None:
        from cim.crs import parse

        self.crs = parse(crs)
        self.name = name
        self.time_zone = time_zone
        self._origin = None if origin is None else np.asarray(origin, float)
        self._parts: dict[str, list[pa.Table]] = {}
        self._attributes: dict[str, list[tuple[Keys, dict[str, Column]]]] = {}
        self._parent_ids: list[tuple[Keys, pa.Array]] = []
        self._count = 0
        self._geometries = 0
        self._sources: list[SourceRecord] = []

    def _add(self, table: str, rows: int | None = None, **columns: Any) -> None:
        self._parts.setdefault(table, []).append(make_table(table, columns, rows))

    def add_source(self, source: SourceRecord) -> int:
        """Register a source and return its key."""
        self._sources.append(source)
        return len(self._sources) - 1

    def add_objects(  # noqa: PLR0913  # one argument per core column
        self,
        type: str | Sequence[str],  # the field's own word
        ids: Sequence[str] | pa.Array | NDArray[Any],
        *,
        footprints: NDArray[Any] | Sequence[Any] | None = None,
        names: Any = None,
        parents: Sequence[str | None] | None = None,
        z_ground: ArrayLike | None = None,
        z_roof: ArrayLike | None = None,
        cim_codes: Any = None,
        cim_levels: Any = None,
        valid_from: Any = None,
        valid_to: Any = None,
        grades: Any = None,
        source: int | None = None,
    ) -> Keys:
        """Add objects and return their provisional keys, shape (n,).

        Parameters
        ----------
        type
            CityGML 3.0 class, one for all or one each.
        ids : shape (n,)
            Stable ids; one that occurs twice is made unique and named in an issue.
        footprints : shape (n,)
            shapely geometries in the CRS of the builder, east and north [m]; None where there is none. Height is dropped.
        parents : shape (n,)
            Ids of parents, in this or another call.
        z_ground, z_roof : shape (n,)
            Height of ground and roof [m] in the vertical CRS.
        """
        count = len(ids)
        keys = np.arange(self._count, self._count + count, dtype=np.int64)
        self._count += count
        wkb = bbox = None
        if footprints is not None:
            wkb, bbox = _footprints(footprints)
        text = (
            pa.array([str(value) for value in ids], pa.string())
            if not isinstance(ids, pa.Array | pa.ChunkedArray)
            else ids.cast(pa.string())
        )
        self._add(
            "objects", count, key=keys, id=text, type=type, name=names, bbox=bbox, footprint=wkb, z_ground=z_ground, z_roof=z_roof,
            cim_code=cim_codes, cim_level=cim_levels, level_scheme=None, valid_from=valid_from,
            valid_to=valid_to, grade=grades, source=source,
        )  # fmt: skip
        if parents is not None:
            self._parent_ids.append((keys, pa.array(parents, pa.string())))
        return keys

    def add_attributes(self, keys: ArrayLike, type: str, columns: Mapping[str, Column]) -> None:
        """Give objects of one class attribute values; several calls may fill different rows and columns.

        Values are converted to SI by the unit of their column; a unit nobody knows stays, and is an issue ``unsupported``.
        """
        self._attributes.setdefault(type, []).append((np.asarray(keys, np.int64), dict(columns)))

    def add_properties(self, keys: ArrayLike, set_name: Any, names: Any, values: Any, units: Any = None) -> None:
        """Add values in long form: property sets, generic attributes, whatever has no column."""
        self._add("properties", object=np.asarray(keys, np.int64), set=set_name, name=names, value=values, unit=units)

    def add_geometries(
        self, keys: ArrayLike, *, lod: Any, role: Any, type: Any, vertices: pa.Array, boundaries: pa.Array, semantics: Any = None,
        source: int | None = None, template: Any = None, matrix: Any = None,
    ) -> Keys:  # fmt: skip
        """Add one geometry per key and return the provisional geometry keys.

        Parameters
        ----------
        vertices
            List column of absolute coordinates [m], east, north, up; see `cim.model.geometry.vertices_from`.
        boundaries
            Five list levels: solid, shell, surface, ring, index into the vertices of the geometry.
        semantics
            Per surface, index into the surfaces of the geometry, -1 for none; null where a geometry has no semantics.
        template, matrix
            See `add_instances`.
        """
        owners = np.asarray(keys, np.int64)
        gkeys = np.arange(self._geometries, self._geometries + len(owners), dtype=np.int64)
        self._geometries += len(owners)
        self._add(
            "geometries", len(owners), key=gkeys, object=owners, lod=lod, role=role, type=type, source=source, vertices=vertices,
            boundaries=boundaries, semantics=semantics, template=template, matrix=matrix,
        )  # fmt: skip
        return gkeys

    def add_templates(
        self, *, lod: Any, type: Any, vertices: pa.Array, boundaries: pa.Array, semantics: Any = None, role: Any = "solid"
    ) -> Keys:
        """Add shapes that instances use, in coordinates of their own, and return their provisional keys among the geometries."""
        count = len(vertices)
        tkeys = np.arange(self._geometries, self._geometries + count, dtype=np.int64)
        self._geometries += count
        self._add("templates", count, key=tkeys, lod=lod, role=role, type=type, vertices=vertices, boundaries=boundaries,
                  semantics=semantics)  # fmt: skip
        return tkeys

    def add_instances(
        self, keys: ArrayLike, *, templates: ArrayLike, matrices: ArrayLike, lod: Any, role: Any, type: Any, source: int | None = None
    ) -> Keys:
        """Add one geometry per key that is a template moved by a matrix, and return the provisional geometry keys.

        Parameters
        ----------
        templates : shape (n,)
            Keys that `add_templates` gave.
        matrices : shape (n, 4, 4)
            From the coordinates of the template to absolute ones [m].
        """
        owners = np.asarray(keys, np.int64)
        vertices, boundaries = without_own(len(owners))
        return self.add_geometries(
            owners, lod=lod, role=role, type=type, vertices=vertices, boundaries=boundaries, source=source,
            template=np.asarray(templates, np.int64), matrix=matrix_column(matrices),
        )  # fmt: skip

    def add_materials(self, names: Any, **columns: Any) -> Keys:
        """Add materials and return their keys; columns as in the table: diffuse, emissive, specular, shininess, transparency and so on."""
        return self._numbered("materials", len(names), name=names, **columns)

    def add_textures(self, images: Any, **columns: Any) -> Keys:
        """Add textures and return their keys; ``path`` names the image file where there is one, which is kept with the city."""
        return self._numbered("textures", len(images), image=images, **columns)

    def _numbered(self, table: str, count: int, **columns: Any) -> Keys:
        first = sum(part.num_rows for part in self._parts.get(table, []))
        keys = np.arange(first, first + count, dtype=np.int64)
        self._add(table, count, key=keys, **columns)
        return keys

    def add_appearances(
        self, gkeys: ArrayLike, *, theme: Any = "", materials: Any = None, textures: Any = None, uv: pa.Array | None = None
    ) -> None:
        """Say how geometries or templates look in a theme.

        Parameters
        ----------
        materials
            List column: key of a material per surface in boundary order, -1 for none.
        textures
            List column: key of a texture per ring in boundary order, -1 for none.
        uv
            List column: a pair per vertex of every ring in boundary order, v upwards; NaN in rings without texture.
        """
        self._add("appearances", len(np.asarray(gkeys)), geometry=np.asarray(gkeys, np.int64), theme=theme, materials=materials,
                  textures=textures, uv=uv)  # fmt: skip

    def add_surfaces(self, gkeys: ArrayLike, index: ArrayLike, type: Any, *, parents: Any = None, attributes: Any = None) -> None:
        """Add semantic surfaces: the rows that `semantics` of a geometry points to."""
        self._add("surfaces", geometry=np.asarray(gkeys, np.int64), index=index, type=type, parent=parents, attributes=attributes)

    def add_identifiers(self, keys: ArrayLike, scheme: Any, values: Any, normalised: Any = None) -> None:
        """Add identifiers other registers know the objects by."""
        self._add(
            "identifiers",
            object=np.asarray(keys, np.int64),
            scheme=scheme,
            value=values,
            normalised=values if normalised is None else normalised,
        )

    def add_relations(
        self, subjects: ArrayLike, predicate: Any, objects: ArrayLike, *, scores: Any = None, source: int | None = None
    ) -> None:
        """Add relations between objects."""
        self._add(
            "relations",
            subject=np.asarray(subjects, np.int64),
            predicate=predicate,
            object=np.asarray(objects, np.int64),
            score=scores,
            source=source,
        )

    def add_claims(
        self, keys: ArrayLike, attribute: Any, values: Any, *, unit: Any = None, source: int | None = None, method: Any = "read",
        confidence: Any = None, time: Any = None, chosen: Any = True,
    ) -> None:  # fmt: skip
        """Add claims; `values` are JSON text."""
        self._add(
            "claims", object=np.asarray(keys, np.int64), attribute=attribute, value=values, unit=unit, source=source, method=method,
            confidence=confidence, time=time, chosen=chosen,
        )  # fmt: skip

    def add_matches(
        self, keys: ArrayLike, source: Any, records: Any, *, kind: Any = "same", scores: Any = None, evidence: Any = None
    ) -> None:
        """Say which record of which source became which object."""
        self._add("matches", object=np.asarray(keys, np.int64), source=source, record=records, kind=kind, score=scores, evidence=evidence)

    def add_coverage(self, key: int, *, kind: str, path: str, format: str, box: tuple[float, ...] | None = None, **columns: Any) -> None:
        """Attach a raster or point cloud that stays a file; `box` is (xmin, ymin, zmin, xmax, ymax, zmax)."""
        bbox = (
            None
            if box is None
            else pa.array(
                [dict(zip(("xmin", "ymin", "zmin", "xmax", "ymax", "zmax"), box, strict=True))], SCHEMAS["coverages"].field("bbox").type
            )
        )
        self._add("coverages", 1, object=[key], kind=kind, path=path, format=format, bbox=bbox, **columns)

    def add_links(
        self,
        keys: ArrayLike,
        network: str,
        from_node: Any,
        to_node: Any,
        *,
        direction: Any = "both",
        length: Any = None,
        attributes: Any = None,
    ) -> None:
        """Add network links owned by objects."""
        owners = np.asarray(keys, np.int64)
        first = sum(part.num_rows for part in self._parts.get("links", []))
        self._add("links", len(owners), key=np.arange(first, first + len(owners)), network=network, object=owners, from_node=from_node,
                  to_node=to_node, direction=direction, length=length, attributes=attributes)  # fmt: skip

    def add_issue(
        self, code: str, message: str, *, severity: str = "warning", object: int | None = None, source: int | None = None,  # noqa: A002  # as the column is called
        record: str | None = None, count: int = 1,
    ) -> None:  # fmt: skip
        """Record what was guessed, repaired, lost, conflicting or invalid."""
        self._add("issues", 1, code=code, severity=severity, object=object, source=source, record=record, count=count, message=message)

    def build(self, *, keep: bool = True) -> City:
        """Return the city: unique ids, parents resolved, boxes and CIM codes derived, objects in order.

        Parameters
        ----------
        keep
            Whether the builder keeps what it was given; without, it lets each table go as soon as what follows from it is there, and is
            used up.
        """
        objects = _concat("objects", self._parts.get("objects", []))
        objects = self._unique_ids(objects)
        objects = self._parents(objects)
        geometries = _concat("geometries", self._parts.get("geometries", []))
        objects = boxes_of(objects, _vertices_only(geometries), _concat("templates", self._parts.get("templates", [])))
        origin = self._origin if self._origin is not None else origin_of(objects)
        if not keep:
            self._parts = {name: parts for name, parts in self._parts.items() if name not in ("objects", "geometries")}
        if geometries.num_rows:
            geometries = moved_by(geometries, -origin)
        objects = classify(objects, geometries)
        if not keep:
            give_back()
        order = order_of(objects)
        new_key = np.empty(self._count, np.int64)
        new_key[order] = np.arange(self._count)
        sources, held = self._source_table(objects), [objects]
        del objects
        objects = in_order(held, order)
        tables = {name: _concat(name, self._parts.get(name, [])) for name in SCHEMAS}
        tables.update(objects=objects, geometries=geometries, sources=sources)
        del objects, geometries
        if not keep:
            self._parts = {"issues": self._parts.get("issues", [])}
        tables = {name: remap(name, table, new_key) for name, table in tables.items()}
        tables = _sorted(tables)
        tables = {name: tables[name] for name in SCHEMAS}
        attributes = self._attribute_tables(tables["objects"], new_key)
        extra = _concat("issues", self._parts.get("issues", []))
        tables["issues"] = remap("issues", extra, new_key)
        return City(
            crs=self.crs, origin=origin, name=self.name, time_zone=self.time_zone, tables=Tables(tables), attributes=Tables(attributes)
        )

    def _unique_ids(self, objects: pa.Table) -> pa.Table:
        """Make ids unique among objects that are valid at the same time; each change is an issue."""
        repeat = repeats(objects)
        twice = np.flatnonzero(repeat)
        if not len(twice):
            return objects
        ids = objects["id"].to_numpy(zero_copy_only=False).copy()
        taken = set(ids.tolist())
        for place in twice.tolist():  # only the few that collide
            number, name = int(repeat[place]) + 1, str(ids[place])
            while f"{name}#{number}" in taken:
                number += 1
            ids[place] = f"{name}#{number}"
            taken.add(ids[place])
            message = f"id {name!r} occurs again; this record is kept as {ids[place]!r}"
            self.add_issue("duplicate", message, object=int(objects["key"][place].as_py()),
                           source=objects["source"][place].as_py(), record=name)  # fmt: skip
        return objects.set_column(1, SCHEMAS["objects"].field("id"), pa.array(ids, pa.string()))

    def _parents(self, objects: pa.Table) -> pa.Table:
        """Turn the ids of parents into keys; a parent that is not there is an issue."""
        if not self._parent_ids:
            return objects
        parent = np.full(objects.num_rows, -1, np.int64)
        for keys, ids in self._parent_ids:
            place, apart = parent_rows(objects, keys, ids)
            parent[keys] = place
            lost = np.flatnonzero((place < 0) & np.asarray(ids.is_valid().to_numpy(zero_copy_only=False)))
            for one in lost.tolist():
                self.add_issue(
                    "lost",
                    f"parent {ids[one].as_py()!r} is not in the source; the object stands alone",
                    object=int(keys[one]),
                    record=ids[one].as_py(),
                )
            if apart.any():
                example = ids[int(np.flatnonzero(apart)[0])].as_py()
                message = f"no period of their parent overlaps that of the objects, as of {example!r}; they belong to its latest"
                self.add_issue("assumed", message, record=example, count=int(apart.sum()))
        column = pa.array(parent, mask=parent < 0)
        return objects.set_column(objects.column_names.index("parent"), SCHEMAS["objects"].field("parent"), column)

    def _source_table(self, objects: pa.Table) -> pa.Table:
        """Return the catalogue with the counts that follow from the other tables."""
        if not self._sources:
            return empty("sources")
        rows = [asdict(source) for source in self._sources]
        made = np.bincount(np.asarray(pc.drop_null(objects["source"]).to_numpy(), np.int64), minlength=len(rows))
        issues = _concat("issues", self._parts.get("issues", []))
        for key, row in enumerate(rows):
            row["key"] = key
            row["objects_out"] = int(made[key]) if row["objects_out"] is None else row["objects_out"]
            for counter, code in (("rejected", "rejected"), ("repaired", "repaired")):
                if row[counter] is None:
                    mine = issues.filter((pc.field("source") == key) & (pc.field("code") == code))
                    row[counter] = int(pc.sum(mine["count"]).as_py() or 0)
        return pa.Table.from_pylist(rows, schema=SCHEMAS["sources"])

    def _attribute_tables(self, objects: pa.Table, new_key: Keys) -> dict[str, pa.Table]:
        """Return one table per class, one row per object, in the order of the keys."""
        tables = {}
        types = objects["type"].to_numpy(zero_copy_only=False)
        for name in dict.fromkeys(types.tolist()):
            keys = np.flatnonzero(types == name).astype(np.int64)
            tables[name] = self._attribute_table(keys, self._attributes.get(name, []), new_key, name)
        stray = set(self._attributes) - set(tables)
        if stray:
            msg = f"attributes were given for {', '.join(sorted(stray))}, but no object is of that class"
            raise UsageError(msg)
        return tables

    def _attribute_table(self, keys: Keys, calls: list[tuple[Keys, dict[str, Column]]], new_key: Keys, type_name: str) -> pa.Table:
        fields, arrays = [pa.field("object", pa.int64(), nullable=False)], [pa.array(keys)]
        names = list(dict.fromkeys(name for _, columns in calls for name in columns))
        for column_name, stored in zip(names, free_names(names, _RESERVED), strict=True):
            pieces = [(new_key[rows], columns[column_name]) for rows, columns in calls if column_name in columns]
            made = joined(f"{type_name}.{column_name}", keys, pieces)
            for code, message, count in made.issues:
                self.add_issue(code, message, count=count)
            fields.append(pa.field(stored, made.array.type, metadata=made.metadata or None))
            arrays.append(made.array)
        return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


_LARGE = ("boundaries", "vertices")
_PIECE = 8192
"""Rows of a nested column that are moved at a time."""
_RESERVED = frozenset(SCHEMAS["objects"].names) | {"object", "geometry"}


def _footprints(shapes: Any) -> tuple[pa.Array, pa.Array]:
    """Return WKB and boxes of shapely geometries, height dropped."""
    import shapely

    flat = np.asarray(shapes, object)
    if shapely.has_z(flat).any() or (hasattr(shapely, "has_m") and shapely.has_m(flat).any()):
        flat = shapely.force_2d(flat)
    nowhere = shapely.is_empty(flat)
    flat = np.where(nowhere, np.array(None, object), flat) if nowhere.any() else flat
    bounds = shapely.bounds(flat)
    nothing = np.full((len(bounds), 1), np.nan)
    box = bbox_column(np.hstack([bounds[:, :2], nothing]), np.hstack([bounds[:, 2:], nothing]))
    return pa.array(shapely.to_wkb(flat, byte_order=1), pa.binary()), box


def give_back() -> None:
    """Return freed memory to the system where the C library can (glibc): what a step worked with is seldom of the size the next needs."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).malloc_trim(0)


def _vertices_only(geometries: pa.Table) -> pa.Table:
    """Return geometries without their surfaces, for what asks for the vertices alone."""
    at = geometries.column_names.index("boundaries")
    return geometries.set_column(at, geometries.schema.field(at), without_own(geometries.num_rows)[1])


def _sorted(tables: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Return tables with the geometries in order; what is large is moved a column at a time and let go, the given tables with it."""
    if not tables["geometries"].num_rows:
        return sorted_geometries(tables)
    geometries = tables.pop("geometries")
    order = pa.array(np.argsort(np.asarray(geometries["object"].to_numpy(), np.int64), kind="stable"))
    large = {name: geometries[name] for name in _LARGE}
    tables["geometries"] = geometries.drop_columns(list(large))
    del geometries
    done = sorted_geometries(tables)
    give_back()
    geometries = done["geometries"]
    for name in _LARGE:
        column = _taken([large.pop(name)], order)
        give_back()
        geometries = geometries.set_column(geometries.column_names.index(name), geometries.schema.field(name), column)
    return {**done, "geometries": geometries}


def _taken(held: list[pa.ChunkedArray], order: pa.Array) -> pa.Array:
    """Return a nested column in another order, piece by piece: at once, Arrow would grow the new one far beyond its size.

    Parameters
    ----------
    held
        The column, in a list that is emptied as soon as it is no longer needed.
    """
    pieces = [held[0].take(order.slice(first, _PIECE)) for first in range(0, len(order), _PIECE)]
    held.clear()
    return pa.chunked_array([chunk for piece in pieces for chunk in piece.chunks]).combine_chunks()


def _concat(name: str, parts: list[pa.Table]) -> pa.Table:
    return pa.concat_tables(parts).combine_chunks() if parts else empty(name)
