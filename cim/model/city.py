"""The city: a value made of tables, with look-ups by id, by place, by attribute, and objects as views on rows."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import ObjectNotFoundError, UsageError
from cim.model.schema import SCHEMAS, conform, one_array
from cim.model.tables import Condition, Tables, among, condition

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import geopandas
    import networkx
    import pandas
    from numpy.typing import ArrayLike, NDArray

    from cim.crs import CityCRS
    from cim.model.objects import CityObject, Claim
    from cim.model.report import Report

    Keys = NDArray[np.int64]
    Box = tuple[float, float, float, float]

__all__ = ["City"]


@dataclass(frozen=True)
class City:
    """One semantic city model.

    A city is a value: every operation returns a new one and leaves this one as it was.

    Examples
    --------
    >>> import shapely
    >>> from cim.model import CityBuilder, Column
    >>> builder = CityBuilder("EPSG:4549+5737", name="三河")
    >>> keys = builder.add_objects("Building", ["a", "b"], footprints=shapely.box([500000, 500030], 3460000, [500010, 500040], 3460020))
    >>> builder.add_attributes(keys, "Building", {"height": Column([12.0, 30.0], unit="m")})
    >>> city = builder.build()
    >>> len(city), city.ids(city.keys("Building", where="height > 20"))
    (2, ['b'])
    >>> city["a"].attributes["height"]
    12.0
    """

    crs: CityCRS
    """Horizontal and vertical coordinate reference system."""
    origin: NDArray[np.float64]
    """Shape (3,): what the vertices of the geometries are relative to [m]."""
    tables: Tables
    """The tables of `cim.model.schema`, by name."""
    attributes: Tables
    """One table per class: column ``object`` and the typed attributes, one row per object, in the order of the keys."""
    name: str = ""
    time_zone: str = "UTC"
    """IANA name of the zone people of the city live by; all times in the tables are UTC."""
    path: str | None = None
    """Where the city was opened from."""
    version: int | None = None
    """Number of the version in the store."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Small facts a format needs to write itself back, by format name."""

    # ------------------------------------------------------------------ what is there

    def __len__(self) -> int:
        """Return the number of objects."""
        return self.tables.rows("objects")

    def __iter__(self) -> Iterator[CityObject]:
        """Yield every object as a view; for many objects use the tables."""
        return (self._view(key) for key in self.tables["objects"]["key"].to_pylist())

    def __contains__(self, id: object) -> bool:
        """Say whether an object has this id."""
        return isinstance(id, str) and id in self._row_of_id

    def __getitem__(self, id: str) -> CityObject:
        """Return the object with this id, or with this identifier of another register where exactly one object has it.

        Identifiers are compared in their normalised form: ``"NL.IMBAG.Pand.0503100000018603"`` finds 503100000018603. Of an object that
        was valid in several periods the latest is returned.

        Raises
        ------
        ObjectNotFoundError
            If no object, or several objects, have it; the message names near ids.
        """
        if id in self._row_of_id:
            return self._view(int(self._keys[self._row_of_id[id]]))
        owners = self._owners_of_identifier(str(id))
        if len(owners) == 1:
            return self._view(owners[0])
        if owners:
            msg = f"identifier {id!r} belongs to {len(owners)} objects: {', '.join(self.ids(owners)[:5])}"
            raise ObjectNotFoundError(msg)
        raise ObjectNotFoundError(self._not_found(id))

    def _owners_of_identifier(self, text: str) -> list[int]:
        """Return the keys of the objects that have an identifier in any register, ascending."""
        from cim.model.identifiers import normalise_identifier

        table = self.tables["identifiers"]
        forms = {scheme: normalise_identifier(scheme, [text])[0].as_py() for scheme in pc.unique(table["scheme"]).to_pylist()}
        matching = (pc.field("value") == text) | (pc.field("normalised").isin(sorted({text, *forms.values()})))
        rows = table.filter(matching).to_pylist() if table.num_rows else []
        mine = {row["object"] for row in rows if text in {row["value"], row["normalised"]} or row["normalised"] == forms[row["scheme"]]}
        return sorted(mine)

    def _not_found(self, id: str) -> str:
        import difflib

        near = difflib.get_close_matches(str(id), list(self._row_of_id)[:20000], n=3)
        return f"no object has the id {id!r} among {len(self)}" + (f"; did you mean {', '.join(near)}?" if near else "")

    def types(self) -> dict[str, int]:
        """Return the number of objects of each class, by name."""
        return {name: self.attributes.rows(name) for name in sorted(self.attributes)}

    @property
    def bounds(self) -> Box:
        """Extent of all objects (xmin, ymin, xmax, ymax) in `crs` [m]; NaN when nothing has a place."""
        boxes = self.tables.scan("objects", ["bbox"])["bbox"]
        made = [
            aggregate(pc.struct_field(boxes, name)).as_py()
            for name, aggregate in (("xmin", pc.min), ("ymin", pc.min), ("xmax", pc.max), ("ymax", pc.max))
        ]
        west, south, east, north = (np.nan if value is None else float(value) for value in made)
        return west, south, east, north

    @cached_property
    def _keys(self) -> Keys:
        return np.asarray(self.tables.scan("objects", ["key"])["key"].to_numpy(), np.int64)

    @cached_property
    def _row_of_id(self) -> dict[str, int]:
        """Row by id; a later period of validity wins."""
        table = self.tables.scan("objects", ["id", "valid_from"])
        ids = table["id"].to_pylist()
        if table["valid_from"].null_count == table.num_rows:
            return dict(zip(ids, range(len(ids)), strict=True))
        start = table["valid_from"].cast(pa.int64()).fill_null(np.iinfo(np.int64).min).to_numpy()
        order = np.argsort(start, kind="stable").tolist()
        return {ids[row]: row for row in order}

    def _view(self, key: int) -> CityObject:
        from cim.model.objects import CityObject

        return CityObject(self, key)

    def row_of_key(self, keys: ArrayLike) -> Keys:
        """Return the row of `objects` of each key.

        Raises
        ------
        ObjectNotFoundError
            If a key is not there.
        """
        wanted = np.asarray(keys, np.int64)
        row = np.searchsorted(self._keys, wanted)
        bad = (
            (row >= len(self._keys)) | (self._keys[np.minimum(row, len(self._keys) - 1)] != wanted)
            if len(self._keys)
            else np.ones(wanted.shape, bool)
        )
        if bad.any():
            msg = f"no object has the key {np.atleast_1d(wanted)[np.atleast_1d(bad)][0]}"
            raise ObjectNotFoundError(msg)
        return row

    def ids(self, keys: ArrayLike) -> list[str]:
        """Return the ids of keys, in their order."""
        found: list[str] = self.core_rows(["id"], keys)["id"].to_pylist()
        return found

    def core_rows(self, columns: Sequence[str], keys: ArrayLike) -> pa.Table:
        """Return core columns of some objects, in the order of `keys`; on disk, only the row groups near their keys are read."""
        rows = np.ravel(self.row_of_key(keys))
        if self.tables.at_hand("objects"):
            return self.tables["objects"].select(list(columns)).take(pa.array(rows, pa.int64()))
        found, place = np.unique(rows, return_inverse=True)
        return self.tables.scan("objects", columns, among("key", self._keys[found])).take(pa.array(place, pa.int64()))

    def key_of(self, ids: Sequence[str]) -> Keys:
        """Return the keys of ids, in their order, shape (n,).

        Raises
        ------
        ObjectNotFoundError
            If an id is not there.
        """
        missing = [id for id in ids if id not in self._row_of_id]
        if missing:
            raise ObjectNotFoundError(self._not_found(missing[0]))
        return self._keys[np.array([self._row_of_id[id] for id in ids], np.int64)]

    # ------------------------------------------------------------------ selecting

    def keys(self, type: str | None = None, *, where: str | pc.Expression | None = None, bbox: Box | None = None) -> Keys:
        """Return the keys of the objects that meet all conditions, ascending, shape (n,).

        Parameters
        ----------
        type
            CityGML class; all classes when left out (`where` may then name core columns only).
        where
            Condition such as ``"height > 30 and name == '图书馆'"``; see `cim.model.tables.condition`.
        bbox
            (xmin, ymin, xmax, ymax) in `crs`; objects whose box touches it.
        """
        self.require_type(type)
        try:
            return self._selected(type, where, bbox)
        except (pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
            msg = f"condition {str(where)!r} compares a column with a value of another type, or is no yes or no: {error}"
            raise UsageError(msg) from error

    def _types(self, type: str | None) -> dict[str, pa.DataType]:
        """Return the types of the columns a condition may name."""
        schemas = [SCHEMAS["objects"], *([self.attributes.schema(type)] if type is not None else [])]
        return {field.name: field.type for schema in schemas for field in schema}

    def _selected(self, type: str | None, where: str | pc.Expression | None, bbox: Box | None) -> Keys:
        parsed = condition(where) if isinstance(where, str) else where
        names = parsed.names if isinstance(parsed, Condition) else frozenset(self._types(type)) & _words(where)
        attribute_names = self.require_columns(type, names)
        expression = parsed.build(self._types(type), self.time_zone) if isinstance(parsed, Condition) else parsed
        core = self._core_filter(type, bbox, expression if expression is not None and not attribute_names else None)
        if not attribute_names or type is None:
            return np.asarray(self.tables.scan("objects", ["key"], core)["key"].to_numpy(), np.int64)
        if names <= attribute_names:
            chosen = self.attributes.scan(type, ["object"], expression)["object"].to_numpy()
            if bbox is None:
                return np.asarray(chosen, np.int64)
            inside = self.tables.scan("objects", ["key"], core)["key"].to_numpy()
            return np.asarray(np.intersect1d(chosen, inside, assume_unique=True), np.int64)
        return self._mixed(type, sorted(names - attribute_names), sorted(attribute_names), expression, core)

    def _mixed(
        self, type: str, core_names: list[str], attribute_names: list[str], expression: pc.Expression | None, core: pc.Expression | None
    ) -> Keys:
        """Filter on core and attribute columns together: both are read and laid side by side."""
        left = self.tables.scan("objects", ["key", *core_names], core)
        right = self.attributes.scan(type, list(dict.fromkeys(["object", *attribute_names])))
        place = np.searchsorted(np.asarray(right["object"].to_numpy()), np.asarray(left["key"].to_numpy()))
        for name in attribute_names:
            left = left.append_column(name, right[name].take(pa.array(place)))
        return np.asarray(left.filter(expression)["key"].to_numpy(), np.int64)

    def require_type(self, type: str | None) -> None:
        """Raise `ObjectNotFoundError` when the city holds no object of a class."""
        if type is not None and type not in self.attributes:
            msg = f"the city holds no {type!r}; it holds {', '.join(sorted(self.attributes)) or 'nothing'}"
            raise ObjectNotFoundError(msg)

    def require_columns(self, type: str | None, names: frozenset[str]) -> frozenset[str]:
        """Return those of `names` that are attributes of `type`; a name known nowhere is an error."""
        beyond = names - set(SCHEMAS["objects"].names)
        known = set(self.attributes.schema(type).names) if type is not None else set()
        unknown = beyond - known
        if unknown:
            where = f"class {type}" if type else "the core columns (name a type to filter on its attributes)"
            msg = f"no column {', '.join(sorted(unknown))} in {where}; there are {', '.join(sorted(known | set(SCHEMAS['objects'].names)))}"
            raise UsageError(msg)
        return frozenset(beyond)

    @staticmethod
    def _core_filter(type: str | None, bbox: Box | None, expression: pc.Expression | None) -> pc.Expression | None:
        if type is not None:
            mine = pc.field("type") == type
            expression = mine if expression is None else expression & mine
        if bbox is not None:
            west, south, east, north = bbox
            touches = (
                (pc.field("bbox", "xmin") <= east) & (pc.field("bbox", "xmax") >= west)
                & (pc.field("bbox", "ymin") <= north) & (pc.field("bbox", "ymax") >= south)
            )  # fmt: skip
            expression = touches if expression is None else expression & touches
        return expression

    def find(self, x: float | None = None, y: float | None = None, *, bbox: Box | None = None, type: str | None = None) -> list[str]:
        """Return the ids of the objects at a point or in a box.

        Parameters
        ----------
        x, y
            East and north in `crs` [m]: objects whose footprint covers the point.
        bbox
            (xmin, ymin, xmax, ymax): objects whose footprint (or box, where there is none) touches it.
        """
        import shapely

        if (x is None or y is None) == (bbox is None):
            msg = "give either x and y or bbox"
            raise UsageError(msg)
        box = bbox if bbox is not None else (float(x or 0), float(y or 0), float(x or 0), float(y or 0))
        keys = self.keys(type, bbox=box)
        shapes = self.footprints(keys)
        target = shapely.box(*box) if bbox is not None else shapely.Point(box[0], box[1])
        return self.ids(keys[shapely.intersects(shapes, target) | (shapely.is_missing(shapes) & (bbox is not None))])

    def table(
        self, type: str, columns: Sequence[str] | None = None, *, where: str | pc.Expression | None = None, bbox: Box | None = None,
        labels: Literal["en", "zh"] | None = None,
    ) -> geopandas.GeoDataFrame:  # fmt: skip
        """Return the objects of one class as a GeoDataFrame, one row per object, indexed by id.

        Parameters
        ----------
        type
            CityGML class.
        columns
            Core and attribute columns to return, besides id and geometry; all when left out.
        where, bbox
            As in `keys`.
        labels
            ``"en"`` or ``"zh"``: column titles with units instead of names, and class names in that language.

        Notes
        -----
        ``.attrs["units"]`` holds the unit of each column, before and after renaming.
        """
        from cim.model.frames import object_frame

        return object_frame(self, type, columns, where=where, bbox=bbox, labels=labels)

    def column(self, type: str, name: str, keys: ArrayLike | None = None) -> pa.ChunkedArray:
        """Return one attribute or core column of a class, in the order of the keys (or of `keys`).

        Raises
        ------
        ObjectNotFoundError
            If one of `keys` is not of this class.
        """
        self.require_type(type)
        if name in self.attributes.schema(type).names:
            table = self.attributes.scan(type, list(dict.fromkeys(["object", name])))
            owner = table["object"]
        else:
            self.require_columns(type, frozenset({name}))
            table = self.tables.scan("objects", list(dict.fromkeys(["key", name])), pc.field("type") == type)
            owner = table["key"]
        if keys is None:
            return table[name]
        wanted, have = np.ravel(np.asarray(keys, np.int64)), np.asarray(owner.to_numpy(), np.int64)
        place = np.searchsorted(have, wanted)
        strange = wanted[(place == len(have)) | (have[np.minimum(place, len(have) - 1)] != wanted)] if len(have) else wanted
        if len(strange):
            row = self.core_rows(["id", "type"], strange[:1]).to_pylist()[0]  # names a key that nobody has
            msg = f"key {strange[0]} is {row['type']} {row['id']!r}, not a {type}; ask column({row['type']!r}, …) for it"
            raise ObjectNotFoundError(msg)
        return table[name].take(pa.array(place))

    def unit(self, type: str, name: str) -> str:
        """Return the unit of a column, ``""`` where it has none."""
        schema = self.attributes.schema(type)
        metadata = (schema.field(name) if name in schema.names else SCHEMAS["objects"].field(name)).metadata or {}
        text: bytes = metadata.get(b"unit", b"")
        return text.decode()

    def statistics(self, type: str, name: str) -> dict[str, Any]:
        """Return count, missing, minimum, maximum and mean of a numeric column, with its unit; count and distinct of a text one."""
        values = self.column(type, name)
        found: dict[str, Any] = {"count": len(values) - values.null_count, "missing": values.null_count, "unit": self.unit(type, name)}
        if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            extremes = pc.min_max(values).as_py()
            return {**found, "min": extremes["min"], "max": extremes["max"], "mean": pc.mean(values).as_py()}
        return {**found, "distinct": len(pc.unique(values))}

    # ------------------------------------------------------------------ geometry

    def footprints(self, keys: ArrayLike | None = None) -> NDArray[Any]:
        """Return footprints as shapely geometries in `crs` (east, north), None where there is none, shape (n,)."""
        import shapely

        column = (
            self.tables.scan("objects", ["footprint"])["footprint"] if keys is None else self.core_rows(["footprint"], keys)["footprint"]
        )
        return np.asarray(shapely.from_wkb(np.asarray(column.to_pylist() or [], object)))

    def geometry_table(
        self, *, lod: str | None = None, type: str | None = None, role: str | None = None, keys: ArrayLike | None = None,
        explicit: bool = True,
    ) -> pa.Table:  # fmt: skip
        """Return rows of `geometries`; vertices are relative to `origin`.

        Parameters
        ----------
        explicit
            Put out the uses of templates as vertices of their own; otherwise they stay a template and a matrix.
        """
        wanted = keys if keys is not None else (self.keys(type) if type is not None else None)
        expression: pc.Expression | None = None
        for name, value in (("lod", lod), ("role", role)):
            if value is not None:
                expression = pc.field(name) == value if expression is None else expression & (pc.field(name) == value)
        if wanted is not None:
            mine = among("object", wanted)
            expression = mine if expression is None else expression & mine
        found = self.tables.scan("geometries", where=expression)
        if not explicit or found["template"].null_count == found.num_rows:
            return found
        from cim.model.instances import explicit as put_out

        return put_out(found, self.tables["templates"])

    def surface_table(self, geometries: pa.Table | None = None) -> pa.Table:
        """Return the semantic surfaces of geometries (all by default), those of a template once for each of its uses."""
        return self._described("surfaces", geometries)

    def appearance_table(self, geometries: pa.Table | None = None) -> pa.Table:
        """Return the appearances of geometries (all by default), those of a template once for each of its uses."""
        return self._described("appearances", geometries)

    def _described(self, name: str, geometries: pa.Table | None) -> pa.Table:
        from cim.model.instances import for_instances

        stored = self.tables.scan("geometries", ["key", "template"])
        if geometries is not None:
            stored = stored.filter(pc.is_in(stored["key"], one_array(geometries["key"])))
        return for_instances(self.tables[name], stored)

    # ------------------------------------------------------------------ relations, claims, history

    def why(self, id: str, attribute: str) -> list[Claim]:
        """Return who says what about an attribute of an object, the chosen claim first."""
        return self[id].why(attribute)

    def children(self, id: str, type: str | None = None, depth: int | None = None) -> list[CityObject]:
        """Return the parts of an object, of any depth when `depth` is left out."""
        return self[id].children(type, depth=depth)

    def parents(self, id: str) -> list[CityObject]:
        """Return the wholes an object is part of, nearest first."""
        return self[id].parents()

    def relations_graph(self) -> networkx.MultiDiGraph:
        """Return relations and part-whole as a networkx graph of ids; edges carry ``predicate`` and ``score``."""
        from cim.model.objects import relations_graph

        return relations_graph(self)

    def asof(self, time: datetime | str) -> City:
        """Return the city as it was valid at an instant (a time without zone is taken in `time_zone`)."""
        from cim.model.history import asof

        return asof(self, time)

    @property
    def report(self) -> Report:
        """What came from where, what matched, what conflicts, what is left over and what was guessed, repaired or lost."""
        from cim.model.report import report

        return report(self)

    @property
    def sources(self) -> pandas.DataFrame:
        """The data catalogue 目录, one row per source."""
        frame: pandas.DataFrame = self.tables["sources"].to_pandas()
        return frame.set_index("key")

    @property
    def issues(self) -> pandas.DataFrame:
        """What was guessed, repaired, lost, conflicting or invalid, with object ids."""
        from cim.model.frames import issue_frame

        return issue_frame(self)

    # ------------------------------------------------------------------ making new cities

    def replace_tables(self, *, attributes: dict[str, pa.Table] | None = None, **tables: pa.Table) -> City:
        """Return a city with some tables exchanged; they are brought to their schema, attributes to the order of the objects.

        Parameters
        ----------
        attributes
            Attribute tables by class; classes not named keep theirs.
        **tables
            Tables of `cim.model.schema`.
        """
        changed = self.tables.replace(**{name: conform(name, table) for name, table in tables.items()})
        merged = self.attributes.replace(**(attributes or {}))
        if "objects" in tables or attributes:
            objects = changed["objects"]
            if objects.num_rows > 1 and not (np.diff(np.asarray(objects["key"].to_numpy())) > 0).all():
                objects = objects.sort_by("key")
                changed = changed.replace(objects=objects)
            aligned = align_attributes(objects, dict(merged))
            changes = {name: table for name, table in aligned.items() if name not in merged or table is not merged[name]}
            merged = merged.only(aligned).replace(**changes)
        return replace(self, tables=changed, attributes=merged, path=None, version=None)

    def with_issues(self, rows: Sequence[dict[str, Any]]) -> City:
        """Return the city with more issues; each row has at least `code` and `message`."""
        full = [{"severity": "warning", "count": 1, **row} for row in rows]
        more = pa.Table.from_pylist(full, schema=SCHEMAS["issues"])
        return replace(self, tables=self.tables.replace(issues=pa.concat_tables([self.tables["issues"], more])))

    def subset(self, keys: ArrayLike) -> City:
        """Return a city with only these objects and what belongs to them; sources stay, a parent left out becomes null."""
        wanted = np.unique(np.asarray(keys, np.int64))
        mine = pa.array(wanted)
        kept: dict[str, pa.Table] = {}
        for name in SCHEMAS:
            table = self.tables[name]
            if name == "objects":
                table = table.take(pa.array(self.row_of_key(wanted)))
                orphan = pc.invert(pc.is_in(table["parent"], mine))
                table = table.set_column(3, SCHEMAS[name].field("parent"), pc.if_else(orphan, pa.scalar(None, pa.int64()), table["parent"]))
            elif name == "relations":
                table = table.filter(pc.and_(pc.is_in(table["subject"], mine), pc.is_in(table["object"], mine)))
            elif name == "issues":
                table = table.filter(pc.or_(pc.is_null(table["object"]), pc.is_in(table["object"], mine)))
            elif name == "templates":
                table = table.filter(pc.is_in(table["key"], one_array(kept["geometries"]["template"])))
            elif name in {"surfaces", "appearances"}:
                shapes = pa.concat_arrays([one_array(kept[shape]["key"]) for shape in ("geometries", "templates")])
                table = table.filter(pc.is_in(table["geometry"], shapes))
            elif "object" in table.column_names:
                table = table.filter(pc.is_in(table["object"], mine))
            kept[name] = table
        return self.replace_tables(**kept)

    def __repr__(self) -> str:
        """Return one line: what, how many, where."""
        counts = ", ".join(f"{count:,} {name}" for name, count in self.types().items())
        return f"<City {self.name or 'unnamed'}: {len(self):,} objects ({counts or 'none'}), {self.crs.to_string()}>"

    def _repr_html_(self) -> str:
        from cim.model.frames import city_html

        return city_html(self)


def align_attributes(objects: pa.Table, attributes: dict[str, pa.Table]) -> dict[str, pa.Table]:
    """Return attribute tables with exactly one row per object of their class, in the order of the keys; classes without objects go."""
    types = objects["type"].to_numpy(zero_copy_only=False) if objects.num_rows else np.empty(0, object)
    keys = np.asarray(objects["key"].to_numpy(), np.int64)
    aligned = {}
    for name in dict.fromkeys(types.tolist()):
        wanted = keys[types == name]
        table = attributes.get(name)
        if table is None:
            aligned[name] = pa.table({"object": pa.array(wanted)}, schema=pa.schema([pa.field("object", pa.int64(), nullable=False)]))
            continue
        have = np.asarray(table["object"].to_numpy(), np.int64)
        if len(have) == len(wanted) and (have == wanted).all():
            aligned[name] = table
            continue
        place = pc.index_in(pa.array(wanted), pa.array(have))
        taken = table.take(place)
        aligned[name] = taken.set_column(0, table.schema.field("object"), pa.array(wanted))
    return aligned


def _words(where: object) -> frozenset[str]:
    """Return every word of an Arrow expression; the columns it looks at are among them."""
    return frozenset(re.findall(r"\w+", str(where))) if where is not None else frozenset()


def json_text(value: Any) -> str:
    """Return a value as the JSON text that claims hold."""
    return json.dumps(value, ensure_ascii=False, default=str)
