"""One object as a view on its row: attributes, parts, geometry, identifiers, and who says so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import ObjectNotFoundError
from cim.model.schema import SCHEMAS
from cim.model.tables import among

if TYPE_CHECKING:
    from datetime import datetime

    import networkx

    from cim.model.city import City

__all__ = ["CityObject", "Claim", "relations_graph"]


@dataclass(frozen=True)
class Claim:
    """What one source says about one attribute of one object."""

    value: Any
    unit: str
    source: str
    """Name of the source in the catalogue."""
    method: str
    """How the value came about: read, percentile of points, extruded, assumed…"""
    confidence: float | None
    """Between 0 and 1; None where nobody says."""
    time: datetime | None
    chosen: bool
    """Whether the model holds this value."""

    def __str__(self) -> str:
        """Return one line for people."""
        sure = "" if self.confidence is None else f", confidence {self.confidence:.2f}"
        return f"{self.value} {self.unit}".strip() + f" - {self.source}: {self.method}{sure}" + ("" if self.chosen else " (not chosen)")


@dataclass(frozen=True)
class CityObject:
    """A view on one row of a city; it holds no data of its own."""

    city: City
    key: int

    def _core(self, name: str) -> Any:
        return self.city.core_rows([name], [self.key])[name][0].as_py()

    @property
    def id(self) -> str:
        """Stable id."""
        return str(self._core("id"))

    @property
    def type(self) -> str:
        """CityGML 3.0 class."""
        return str(self._core("type"))

    @property
    def name(self) -> str | None:
        """Name, where it has one."""
        value: str | None = self._core("name")
        return value

    @property
    def core(self) -> dict[str, Any]:
        """The columns every object has, without footprint and key."""
        row = self.city.core_rows(SCHEMAS["objects"].names, [self.key]).to_pylist()[0]
        return {name: value for name, value in row.items() if name not in {"footprint", "key", "parent"}}

    @property
    def attributes(self) -> dict[str, Any]:
        """Attributes of its class by name; None where missing. Units: `City.unit`."""
        tables = self.city.attributes
        if tables.at_hand(self.type):
            table = tables[self.type]
            row = int(np.searchsorted(np.asarray(table["object"].to_numpy()), self.key))
            values = table.slice(row, 1).to_pylist()[0]
        else:
            values = tables.scan(self.type, where=among("object", [self.key])).to_pylist()[0]
        return {name: value for name, value in values.items() if name != "object"}

    @property
    def footprint(self) -> Any:
        """Footprint as a shapely geometry in the CRS of the city, or None."""
        return self.city.footprints([self.key])[0]

    @property
    def parent(self) -> CityObject | None:
        """The whole it is part of."""
        key = self._core("parent")
        return None if key is None else CityObject(self.city, key)

    def parents(self) -> list[CityObject]:
        """Return the wholes it is part of, nearest first; a cycle ends where it closes."""
        found: list[CityObject] = []
        seen, node = {self.key}, self.parent
        while node is not None and node.key not in seen:
            seen.add(node.key)
            found.append(node)
            node = node.parent
        return found

    def children(self, type: str | None = None, *, depth: int | None = None) -> list[CityObject]:
        """Return its parts, nearest level first.

        Parameters
        ----------
        type
            Only parts of this class; the levels between are walked through.
        depth
            Number of levels; all when left out.
        """
        table = self.city.tables["objects"]
        level, seen, found = [self.key], {self.key}, list[int]()
        while level and (depth is None or depth > 0):
            below = table.filter(pc.is_in(table["parent"], pa.array(level)))["key"].to_pylist()
            level = [key for key in below if key not in seen]
            seen.update(level)
            found += level
            depth = None if depth is None else depth - 1
        views = [CityObject(self.city, key) for key in found]
        return views if type is None else [view for view in views if view.type == type]

    def geometry(self, lod: str | None = None) -> pa.Table:
        """Return its rows of the geometry table (all levels of detail when `lod` is left out)."""
        return self.city.geometry_table(lod=lod, keys=[self.key])

    def _rows(self, table: str) -> pa.Table:
        return self.city.tables[table].filter(pc.field("object") == self.key)

    @property
    def identifiers(self) -> dict[str, list[str]]:
        """Identifiers other registers know it by, by scheme."""
        found: dict[str, list[str]] = {}
        for row in self._rows("identifiers").to_pylist():
            found.setdefault(row["scheme"], []).append(row["value"])
        return found

    @property
    def properties(self) -> dict[str, dict[str, str]]:
        """Values in long form, by set and name."""
        found: dict[str, dict[str, str]] = {}
        for row in self._rows("properties").to_pylist():
            found.setdefault(row["set"], {})[row["name"]] = row["value"]
        return found

    @property
    def issues(self) -> list[dict[str, Any]]:
        """What was guessed, repaired, lost or in conflict about it."""
        rows: list[dict[str, Any]] = self._rows("issues").to_pylist()
        return rows

    def why(self, attribute: str) -> list[Claim]:
        """Return who says what about an attribute, the chosen claim first.

        An attribute nobody disputes has one claim: the source the object was read from.

        Raises
        ------
        ObjectNotFoundError
            If the object has no such attribute and nobody claims one.
        """
        rows = self._rows("claims").filter(pc.field("attribute") == attribute).to_pylist()
        claims = [
            Claim(json.loads(row["value"]) if row["value"] else None, row["unit"] or "", self._source(row["source"]), row["method"],
                  row["confidence"], row["time"], row["chosen"])
            for row in rows
        ]  # fmt: skip
        if any(claim.chosen for claim in claims):
            return sorted(claims, key=lambda claim: not claim.chosen)
        attributes = self.attributes
        if attribute in attributes:
            metadata = self.city.attributes.schema(self.type).field(attribute).metadata or {}
            column = metadata.get(b"source_field", b"").decode()
            value: Any = attributes[attribute]
        elif attribute in SCHEMAS["objects"].names:
            column, value = "", self._core(attribute)
        elif claims:
            return claims
        else:
            msg = f"{self.type} {self.id!r} has no attribute {attribute!r}; it has {', '.join(sorted(attributes)) or 'none'}"
            raise ObjectNotFoundError(msg)
        read = Claim(
            value,
            self.city.unit(self.type, attribute),
            self._source(self._core("source")),
            f"read from field {column}" if column else "read",
            None,
            None,
            chosen=True,
        )
        return [read, *claims]

    def _source(self, key: int | None) -> str:
        if key is None:
            return "not stated"
        names = self.city.tables["sources"].filter(pc.field("key") == key)["name"].to_pylist()
        return str(names[0]) if names else f"source {key}"

    def __repr__(self) -> str:
        """Return class, id and name."""
        return f"<{self.type} {self.id}{f' {self.name}' if self.name else ''}>"

    def _repr_html_(self) -> str:
        from cim.model.frames import object_html

        return object_html(self)


def relations_graph(city: City) -> networkx.MultiDiGraph:
    """Return relations and part-whole as a graph of ids."""
    import networkx as nx

    graph = nx.MultiDiGraph()
    objects = city.tables.scan("objects", ["key", "id", "type", "parent"])
    ids = dict(zip(objects["key"].to_pylist(), objects["id"].to_pylist(), strict=True))
    graph.add_nodes_from((id, {"type": type}) for id, type in zip(objects["id"].to_pylist(), objects["type"].to_pylist(), strict=True))
    part = objects.filter(pc.field("parent").is_valid())
    graph.add_edges_from(
        (ids[a], ids[b], {"predicate": "partOf", "score": None})
        for a, b in zip(part["key"].to_pylist(), part["parent"].to_pylist(), strict=True)
    )
    rows = city.tables["relations"]
    columns = (rows[name].to_pylist() for name in ("subject", "object", "predicate", "score"))
    graph.add_edges_from(
        (ids[a], ids[b], {"predicate": predicate, "score": score}) for a, b, predicate, score in zip(*columns, strict=True)
    )
    return graph
