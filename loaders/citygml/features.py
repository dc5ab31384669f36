"""Features while they stream by: objects, their parts and semantic surfaces, and every property that one of them has."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cim.loaders.citygml.appearance import read_appearance
from cim.loaders.citygml.draft import Draft, Instance, Shape, Thematic
from cim.loaders.citygml.shapes import Parts, Place, Shapes, is_geometry
from cim.loaders.citygml.tags import ADE, GML, HREF, Element, Tag, class_of, gml_id, is_feature, is_surface, local_name, split, uom_of
from cim.loaders.citygml.values import LENGTHS, address_line, address_of, generic_values, leaves, moment, reference_of, text_of

__all__ = ["Features"]

_LOD = re.compile(r"^lod(\d)(\w*)$")
_BOUNDING = frozenset({"boundedBy", "boundary", "opening", "fillingSurface", "trafficArea", "auxiliaryTrafficArea"})
"""Properties by which an object has surfaces rather than parts."""
_TIMES = {"creationDate": 0, "terminationDate": 1, "validFrom": 0, "validTo": 1}
_WITHOUT_LOD = frozenset({"tin", "reliefPoints", "ridgeOrValleyLines", "breaklines", "geometry", "grid", "extent"})


@dataclass(frozen=True, slots=True)
class _Sink:
    """Where a property goes: to an object, or to a semantic surface of it."""

    row: int
    thematic: int
    place: Place
    lod: str
    """Level of detail that an element beside states; empty without."""


class Features:
    """Reads feature elements into a draft."""

    def __init__(self, draft: Draft, shapes: Shapes) -> None:
        self.draft = draft
        self.shapes = shapes
        self.place = Place()
        self.envelopes: list[tuple[int, list[float], list[float]]] = []
        self._named: dict[str, Callable[[Element, _Sink], None]] = {
            "address": self._address, "externalReference": self._reference, "appearance": self._appearance,
            "genericAttribute": self._generic, "groupMember": self._group_member, "parent": self._group_parent, "lod": _nothing,
            "relativeToTerrain": self._plain, "relativeToWater": self._plain, "extent": self._extent,
        }  # fmt: skip

    # ---------------------------------------------------------------- members of the file

    def member(self, element: Element) -> None:
        """Take over a child of the root element."""
        tag = split(str(element.tag))
        if tag.local == "boundedBy" and tag.module == GML:
            self.place = self._envelope(element, self.place)
        elif tag.local == "appearanceMember":
            for child in element:
                read_appearance(child, self.draft)
        elif "ember" in tag.local or tag.local == "additionalObjects":
            href = element.get(HREF)
            if href is not None:
                self._outside(href, tag.local)
            for child in element:
                self._top(child)
        elif tag.module == GML and tag.local in ("name", "description", "metaDataProperty", "identifier"):
            self.draft.tell("lost", f"{tag.local} of the city model as a whole is not held", "info")
        else:
            self._not_held(element, tag)

    def _top(self, element: Element) -> None:
        tag = split(str(element.tag))
        if tag.local in ("CityModel", "FeatureCollection"):
            for child in element:
                self.member(child)
        elif tag.local == "Appearance":
            read_appearance(element, self.draft)
        elif is_feature(tag) or (tag.module == ADE and gml_id(element) is not None):
            if tag.module == ADE:
                self.draft.tell("unsupported", f"extension (ADE) {tag.namespace}: objects are held under a class of their own")
            self.feature(element, -1, self.place)
        else:
            self._not_held(element, tag)

    def _not_held(self, element: Element, tag: Tag) -> None:
        what = f"of {tag.namespace[:120]}" if tag.module == ADE else f"of module {tag.module}"
        self.draft.tell("lost", f"element {tag.local[:60]!r} {what} has no place in the model and is left out")
        del element

    def _envelope(self, element: Element, place: Place) -> Place:
        """Return what an envelope says about the coordinates below it."""
        for envelope in element:
            srs = envelope.get("srsName")
            number = self.shapes.srs_number(srs) if srs else place.srs
            place = Place(number, self.shapes.place(envelope, place).dimension)
        return place

    # ---------------------------------------------------------------- objects and surfaces

    def feature(self, element: Element, parent: int, around: Place) -> int:
        """Take over an object with everything below it and return its row."""
        tag = split(str(element.tag))
        row = self.draft.add(class_of(tag), gml_id(element), parent)
        self._properties(element, row, -1, around)
        return row

    def _surface(self, element: Element, sink: _Sink) -> None:
        id = gml_id(element)
        surface = Thematic(class_of(split(str(element.tag))), sink.row, sink.thematic, {} if id is None else {"id": id})
        self.draft.thematic.append(surface)
        place = len(self.draft.thematic) - 1
        if id is not None:
            self.draft.thematic_of.setdefault(id, place)
        self._properties(element, sink.row, place, sink.place)

    def _properties(self, element: Element, row: int, thematic: int, around: Place) -> None:
        place, lod = self.shapes.place(element, around), ""
        for child in element:
            tag = split(str(child.tag))
            if tag.local == "boundedBy" and tag.module == GML:
                place = self._envelope(child, place)
            elif tag.local == "lod":
                lod = text_of(child)
        sink = _Sink(row, thematic, place, lod)
        for child in element:
            self._property(child, split(str(child.tag)), sink)

    def _property(self, child: Element, tag: Tag, sink: _Sink) -> None:
        if tag.module == GML:
            self._gml(child, tag.local, sink)
            return
        if tag.local in _TIMES:
            self._time(child, tag, sink)
            return
        if tag.module == "generics" and tag.local.endswith(("Attribute", "AttributeSet")):
            self._generic(child, sink)
            return
        named = self._named.get(tag.local) if tag.module != ADE else None
        if named is not None:
            named(child, sink)
            return
        if tag.module == ADE:
            self.draft.tell(
                "unsupported", f"extension (ADE) {tag.namespace[:120]}: its texts are kept as properties, its geometry is not read"
            )
        if _LOD.match(tag.local) or tag.local in _WITHOUT_LOD:
            self._geometry(child, tag.local, sink)
        elif not len(child):
            self._leaf(child, tag, sink)
        else:
            for inner in child:
                self._inner(child, tag, inner, sink)

    def _inner(self, child: Element, tag: Tag, inner: Element, sink: _Sink) -> None:
        """Take over what stands inside a property."""
        kind = split(str(inner.tag))
        if is_feature(kind):
            if tag.local in _BOUNDING and is_surface(kind):
                self._surface(inner, sink)
            else:
                if sink.thematic >= 0:
                    self.draft.tell("repaired", f"{kind.local} inside a surface belongs to the object of that surface", "info")
                row = self.feature(inner, sink.row, sink.place)
                if tag.local not in ("consistsOfBuildingPart", "buildingPart"):
                    self.draft.properties.append((row, "citygml", "role", tag.local, None))
        elif is_geometry(inner):
            self._geometry(child, tag.local, sink)
        elif kind.local == "Address":
            self._address(child, sink)
        elif kind.module == "appearance":
            read_appearance(inner, self.draft)
        elif kind.module in ("dynamizer", "versioning", "pointcloud"):
            self._not_held(inner, kind)
        else:
            self._nested(inner, tag, sink)

    def _nested(self, inner: Element, tag: Tag, sink: _Sink) -> None:
        """Keep the texts of a nested value as properties, each with its path."""
        if tag.local == "height" and local_name(inner) == "Height":
            value = inner.find("{*}value")
            if value is not None and text_of(value):
                self._measure("height", text_of(value), value.get("uom"), sink)
        name = tag.local if tag.module != ADE else f"{tag.namespace} {tag.local}"
        for path, text, unit in leaves(inner):
            self._keep(f"{name}/{path}", text, uom_of(unit) if unit else None, sink, "ade" if tag.module == ADE else "citygml")

    def _keep(self, name: str, text: str, unit: str | None, sink: _Sink, kind: str) -> None:
        if sink.thematic >= 0:
            self._surface_value(name, f"{text} {unit}" if unit else text, sink)
        else:
            self.draft.properties.append((sink.row, kind, name, text, unit))

    def _surface_value(self, name: str, value: str, sink: _Sink) -> None:
        values = self.draft.thematic[sink.thematic].attributes
        values[name] = value if name not in values else f"{values[name]}; {value}"

    # ---------------------------------------------------------------- simple properties

    def _gml(self, child: Element, name: str, sink: _Sink) -> None:
        text = text_of(child)
        if name == "boundedBy" or not (text or len(child)):
            return
        if name == "name" and sink.thematic < 0 and self.draft.names[sink.row] is None:
            self.draft.names[sink.row] = text
            self._code_space(child, name, sink)
        elif name == "identifier" and sink.thematic < 0:
            self.draft.identifiers.append((sink.row, child.get("codeSpace") or "gml:identifier", text))
        elif name in ("name", "description", "identifier"):
            self._put(name if name == "description" else f"gml:{name}", text, sink)
        else:
            self.draft.tell("lost", f"property gml:{name} of objects has no place in the model and is left out")

    def _plain(self, child: Element, sink: _Sink) -> None:
        text = text_of(child)
        if text:
            self._put(local_name(child), text, sink)

    def _put(self, name: str, text: str, sink: _Sink) -> None:
        """Give an object or a surface a text; several values of one name stand side by side."""
        if sink.thematic >= 0:
            self._surface_value(name, text, sink)
            return
        values = self.draft.attributes[sink.row]
        values[name] = (text, "") if name not in values else (f"{values[name][0]}; {text}", values[name][1])

    def _measure(self, name: str, text: str, unit: str | None, sink: _Sink) -> None:
        if not unit and name in LENGTHS:
            self.draft.tell("assumed", f"{name} without a unit of measure; taken as metres")
        plain = uom_of(unit) if unit else ("m" if name in LENGTHS else "")
        if sink.thematic >= 0:
            self._surface_value(name, f"{text} {plain}", sink)
        elif name in self.draft.attributes[sink.row]:
            self.draft.properties.append((sink.row, "citygml", name, text, plain or None))
        else:
            self.draft.attributes[sink.row][name] = (text, plain)

    def _leaf(self, child: Element, tag: Tag, sink: _Sink) -> None:
        """Take over a property that is a text or a link."""
        href, text, unit = child.get(HREF), text_of(child), child.get("uom")
        if href is not None:
            if href.startswith("#"):
                self.draft.relations.append((sink.row, tag.local, href[1:]))
            else:
                self._outside(href, tag.local)
        elif not text:
            return
        elif tag.module == ADE:
            self._keep(f"{tag.namespace} {tag.local}", text, uom_of(unit) if unit else None, sink, "ade")
        elif unit or tag.local in LENGTHS:
            self._measure(tag.local, text, unit, sink)
        else:
            self._put(tag.local, text, sink)
            self._code_space(child, tag.local, sink)

    def _code_space(self, child: Element, name: str, sink: _Sink) -> None:
        space = child.get("codeSpace")
        if space:
            self._keep(f"{name}/codeSpace", space, None, sink, "citygml")

    def _outside(self, href: str, name: str) -> None:
        self.draft.tell("unsupported", f"{name} links to {href[:120]!r}, outside this file; remote xlinks are never followed")

    def _time(self, child: Element, tag: Tag, sink: _Sink) -> None:
        text = text_of(child)
        found = moment(text)
        if not text:
            return
        if sink.thematic >= 0 or found is None:
            if found is None:
                self.draft.tell("invalid", f"a {tag.local} is no date; it is kept as text")
            self._put(tag.local, text, sink)
            return
        index = _TIMES[tag.local]
        valid = self.draft.valid[sink.row]
        if tag.local.startswith("valid"):
            valid[index] = found
        else:
            self._put(tag.local, text, sink)
            if valid[index] is None:
                valid[index] = found
                word = "beginning" if index == 0 else "end"
                self.draft.tell("assumed", f"{tag.local} is taken as the {word} of validity", "info")

    def _generic(self, child: Element, sink: _Sink) -> None:
        found = False
        for name, value, unit in generic_values(child):
            found = True
            if sink.thematic >= 0:
                self._surface_value(name or "unnamed", f"{value} {unit}" if unit else value, sink)
            else:
                self.draft.properties.append((sink.row, "generic", name or "unnamed", value, unit))
        if not found:
            self.draft.tell("lost", "generic attributes without a value are left out", "info")

    def _address(self, child: Element, sink: _Sink) -> None:
        if child.get(HREF):
            self._outside(child.get(HREF) or "", "address")
        for one in child:
            parts = address_of(one)
            if not parts:
                self.draft.tell("lost", "addresses in a form that is not known are left out")
                continue
            self.draft.identifiers.append((sink.row, "address", address_line(parts)))
            if "address_street" not in self.draft.attributes[sink.row]:
                for name, text in parts.items():
                    self.draft.attributes[sink.row].setdefault(f"address_{name}", (text, ""))
            if one.find("{*}multiPoint") is not None:
                self.draft.tell("lost", "points of addresses are not held", "info")

    def _reference(self, child: Element, sink: _Sink) -> None:
        system, name = reference_of(child)
        if not name:
            self.draft.tell("lost", "external references that name nothing are left out", "info")
        elif sink.thematic >= 0:
            self._surface_value("externalReference", f"{system}: {name}", sink)
        else:
            self.draft.identifiers.append((sink.row, system, name))

    def _appearance(self, child: Element, sink: _Sink) -> None:
        del sink
        for one in child:
            read_appearance(one, self.draft)

    def _group_member(self, child: Element, sink: _Sink) -> None:
        self._group(child, sink, "contains")

    def _group_parent(self, child: Element, sink: _Sink) -> None:
        self._group(child, sink, "partOf")

    def _group(self, child: Element, sink: _Sink, predicate: str) -> None:
        """Take over the members of a group: links (in CityGML 3.0 inside a Role) or objects that stand right here."""
        for one in child.iter():
            href = one.get(HREF)
            if href is not None and href.startswith("#"):
                self.draft.relations.append((sink.row, predicate, href[1:]))
            elif href is not None:
                self._outside(href, local_name(child))
        role = child.get("role") or child.findtext("{*}Role/{*}role")
        if role:
            self.draft.tell("lost", "roles of group members are not held", "info")
        for inner in (*child, *child.findall("{*}Role/{*}groupMember/*")):
            if is_feature(split(str(inner.tag))):
                row = self.feature(inner, -1, sink.place)
                self.draft.relations.append((sink.row, predicate, self.draft.ids[row]))
                self.draft.row_of.setdefault(self.draft.ids[row], row)

    def _extent(self, child: Element, sink: _Sink) -> None:
        del child, sink
        self.draft.tell("lost", "stated extents of terrain are not held; they follow from its geometry", "info")

    # ---------------------------------------------------------------- geometry

    def _geometry(self, child: Element, name: str, sink: _Sink) -> None:
        match = _LOD.match(name)
        lod = match[1] if match else sink.lod
        if not lod:
            self.draft.tell("assumed", f"geometry {name!r} states no level of detail; taken as 0", "info")
            lod = "0"
        suffix = match[2] if match else name
        parts, href = Parts(), child.get(HREF)
        if href is not None:
            link = self.shapes.link(href)
            parts.links += [link] if link is not None else []
        for inner in child:
            if local_name(inner) == "ImplicitGeometry":
                self._implicit(inner, lod, sink)
            elif is_geometry(inner):
                parts.add(self._composed(inner, sink.place, parts))
            elif is_feature(split(str(inner.tag))):
                self._inner(child, split(str(child.tag)), inner, sink)
            else:
                self.shapes.odd[local_name(inner)] += 1
        if not parts.empty():
            self.draft.shapes.append(Shape(sink.row, lod, _role(suffix), parts, sink.thematic))

    def _composed(self, inner: Element, place: Place, parts: Parts) -> Parts:
        found = self.shapes.read(inner, place)
        parts.composite |= found.composite or local_name(inner).startswith("Composite")
        return found

    def _implicit(self, element: Element, lod: str, sink: _Sink) -> None:
        """Take over an implicit geometry: a template, a matrix and an anchor."""
        matrix: list[float] = []
        template, link, anchor = -1, "", -1
        for child in element:
            name = local_name(child)
            if name == "transformationMatrix":
                matrix = _matrix(text_of(child))
            elif name in ("relativeGMLGeometry", "relativeGeometry"):
                template, link = self._template(child, lod)
            elif name == "referencePoint":
                for point in child:
                    found = self.shapes.read(point, sink.place).points
                    anchor = found[0] if found and isinstance(found[0], int) else -1
            elif name == "libraryObject":
                self.draft.tell(
                    "unsupported", f"library object {text_of(child)[:120]!r} of implicit geometry is never opened; it has no shape"
                )
        if anchor < 0 or (template < 0 and not link):
            self.draft.tell("rejected", "implicit geometries without anchor or shape are left out")
            return
        if not matrix:
            self.draft.tell("rejected", "implicit geometries whose matrix is not 16 numbers are left out")
            return
        if sink.thematic >= 0:
            self.draft.tell("lost", "implicit geometry of a surface belongs to the object of that surface", "info")
        self.draft.instances.append(Instance(sink.row, lod, template, link, matrix, anchor))

    def _template(self, child: Element, lod: str) -> tuple[int, str]:
        href = child.get(HREF)
        if href is not None:
            link = self.shapes.link(href)
            return -1, "" if link is None else link.id
        for inner in child:
            parts, named = self.shapes.read_local(inner, self.shapes.srs_number(LOCAL))
            if named:
                self.draft.tell("assumed", "a coordinate system is stated for shapes that count from their anchor; it is not used", "info")
            self.draft.templates.append((lod, parts))
            place = len(self.draft.templates) - 1
            id = gml_id(inner)
            if id is not None:
                self.draft.template_of.setdefault(id, place)
            return place, ""
        return -1, ""


LOCAL = "\0local"
"""Stands for the coordinates of a template among the names of coordinate systems."""


def _nothing(child: Element, sink: Any) -> None:
    del child, sink


def _matrix(text: str) -> list[float]:
    """Return the 16 numbers of a matrix, row after row; an empty list for anything else."""
    try:
        values = [float(word) for word in text.split()]
    except ValueError:
        return []
    return values if len(values) == 16 and all(abs(value) < 1e12 for value in values) else []


def _role(suffix: str) -> str:
    """Return the role that the name of a property tells; empty where the kind of geometry tells it."""
    if suffix == "FootPrint":
        return "footprint"
    if suffix == "RoofEdge":
        return "roofprint"
    if suffix.startswith("TerrainIntersection"):
        return "terrain_intersection"
    return "mesh" if suffix == "tin" else ""
