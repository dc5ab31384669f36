"""GML geometry elements: what they consist of, as numbers of leaves in the pool and as references that are resolved at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from cim.loaders.citygml.pool import LINE, POINT, SURFACE, Pool
from cim.loaders.citygml.tags import GML, HREF, Element, gml_id, local_name, split

__all__ = ["Item", "Parts", "Place", "Ref", "Shapes", "is_geometry"]

_POLYGONS = frozenset({"Polygon", "PolygonPatch", "Triangle", "Rectangle"})
_LINES = frozenset({"LineString", "LineStringSegment"})
_CONTAINERS = frozenset({
    "MultiSurface", "CompositeSurface", "MultiSolid", "CompositeSolid", "MultiCurve", "CompositeCurve", "MultiPoint", "MultiGeometry",
    "GeometricComplex", "MultiPolygon", "MultiLineString", "Surface", "PolyhedralSurface", "TriangulatedSurface", "Tin", "Shell", "Curve",
    "OrientableCurve",
})  # fmt: skip
_ORIENTED = frozenset({"OrientableSurface", "TexturedSurface"})
_KNOWN = _POLYGONS | _LINES | _CONTAINERS | _ORIENTED | {"Solid", "Point"}
_IGNORED = frozenset(
    {"maxLength", "name", "description", "boundedBy", "metaDataProperty", "identifier", "appearance", "descriptionReference"}
)
_OUTER = frozenset({"exterior", "outerBoundaryIs"})
_RINGS = frozenset({"exterior", "outerBoundaryIs", "interior", "innerBoundaryIs"})


@dataclass(frozen=True, slots=True)
class Ref:
    """A link to geometry that stands elsewhere."""

    id: str
    flip: bool


Item = int | Ref
"""Twice the number of a leaf, plus one where it runs backwards; or a link."""


@dataclass(slots=True)
class Parts:
    """What a geometry consists of."""

    points: list[Item] = field(default_factory=list)
    lines: list[Item] = field(default_factory=list)
    surfaces: list[Item] = field(default_factory=list)
    solids: list[list[list[Item]]] = field(default_factory=list)
    """Solid > shell > surface."""
    links: list[Ref] = field(default_factory=list)
    """Links to geometry of any kind."""
    composite: bool = False

    def add(self, other: Parts, *, flip: bool = False) -> None:
        """Take over the parts of another geometry."""
        self.points += other.points
        self.lines += turned(other.lines) if flip else other.lines
        self.surfaces += turned(other.surfaces) if flip else other.surfaces
        self.solids += other.solids
        self.links += [Ref(link.id, link.flip ^ flip) for link in other.links] if flip else other.links

    def empty(self) -> bool:
        """Return whether there is nothing."""
        return not (self.points or self.lines or self.surfaces or self.solids or self.links)


def turned(items: list[Item]) -> list[Item]:
    """Return the items run backwards."""
    return [item ^ 1 if isinstance(item, int) else Ref(item.id, not item.flip) for item in items]


@dataclass(frozen=True, slots=True)
class Place:
    """What geometry inherits from the elements around it."""

    srs: int = 0
    """Number of the coordinate system; 0 where none is stated."""
    dimension: int = 3
    """Coordinates per point where a position list does not say."""


def is_geometry(element: Element) -> bool:
    """Return whether an element is GML geometry."""
    tag = split(str(element.tag))
    return tag.local in _KNOWN and tag.module in (GML, "texturedsurface")


class Shapes:
    """Reads geometry elements into a pool and remembers what has an id."""

    def __init__(self) -> None:
        self.pool = Pool()
        self.ids: dict[str, int | Parts] = {}
        """Leaf (doubled) or parts by gml:id; the first one where an id is used twice."""
        self.repeated: set[str] = set()
        self._srs = {"": 0}
        self.odd: Counter[str] = Counter()
        """What is no geometry this reader knows, by name."""
        self.remote: Counter[str] = Counter()

    def srs_number(self, name: str | None) -> int:
        """Return the number of a coordinate system."""
        return self._srs.setdefault((name or "").strip(), len(self._srs))

    @property
    def srs(self) -> list[str]:
        """Coordinate systems as the file names them, by number; the first is none."""
        return list(self._srs)

    def place(self, element: Element, around: Place) -> Place:
        """Return what holds inside an element."""
        if not element.attrib:
            return around
        srs, dimension = element.get("srsName"), element.get("srsDimension")
        if srs is None and dimension is None:
            return around
        return Place(around.srs if srs is None else self.srs_number(srs), _dimension(dimension, around.dimension))

    def read(self, element: Element, around: Place) -> Parts:
        """Return the parts of a geometry element."""
        parts = Parts()
        self._into(parts, element, around)
        return parts

    def read_local(self, element: Element, srs: int) -> tuple[Parts, bool]:
        """Return the parts of a geometry in coordinates of its own, and whether its elements name a system all the same."""
        first = self.pool.leaves
        parts = self.read(element, Place(srs, 3))
        return parts, self.pool.set_srs(first, srs)

    def link(self, href: str, *, flip: bool = False) -> Ref | None:
        """Return a reference to geometry of this file; None for one outside, which is never followed."""
        if href.startswith("#") and len(href) > 1:
            return Ref(href[1:], flip)
        self.remote[href[:120]] += 1
        return None

    def _into(self, parts: Parts, element: Element, around: Place) -> None:
        name = local_name(element)
        place = self.place(element, around)
        if name in _POLYGONS:
            parts.surfaces.append(self._polygon(element, place))
        elif name in _LINES or name == "Point":
            kind = POINT if name == "Point" else LINE
            (parts.points if kind == POINT else parts.lines).append(self._thin(element, place, kind))
        elif name in _CONTAINERS:
            self._container(parts, element, name, place)
        elif name == "Solid":
            self._keep(parts, element, self._solid(element, place))
        elif name in _ORIENTED:
            self._oriented(parts, element, place)
        else:
            self.odd[name] += 1

    def _keep(self, parts: Parts, element: Element, own: Parts, *, flip: bool = False) -> None:
        """Add parts to what surrounds them, and remember them by their id."""
        self._named(gml_id(element), own)
        parts.add(own, flip=flip)

    def _named(self, id: str | None, what: int | Parts) -> None:
        if id is None:
            return
        if id in self.ids:
            self.repeated.add(id)
        else:
            self.ids[id] = what

    def _container(self, parts: Parts, element: Element, name: str, place: Place) -> None:
        own = Parts(composite=name.startswith("Composite"))
        for member in element:
            href = member.get(HREF) if member.attrib else None
            if href is not None:
                self._linked(own, local_name(member), href)
                continue
            inner = local_name(member)
            if inner in _IGNORED:
                continue
            if inner == "controlPoint":
                if not len(element.findall("{*}trianglePatches")) and not len(element.findall("{*}patches")):
                    self.odd["Tin given by control points only"] += 1
                continue
            for child in member:
                self._into(own, child, place)
        parts.composite |= own.composite
        self._keep(parts, element, own)

    def _linked(self, own: Parts, member: str, href: str) -> None:
        link = self.link(href)
        if link is None:
            return
        if member in ("surfaceMember", "surfaceMembers", "baseSurface"):
            own.surfaces.append(link)
        elif member in ("curveMember", "baseCurve"):
            own.lines.append(link)
        elif member == "pointMember":
            own.points.append(link)
        else:
            own.links.append(link)

    def _oriented(self, parts: Parts, element: Element, place: Place) -> None:
        own = Parts()
        if local_name(element) == "TexturedSurface":
            self.odd["appearance inside a TexturedSurface"] += 1
        for member in element:
            href = member.get(HREF)
            if href is not None:
                self._linked(own, local_name(member), href)
            elif local_name(member) == "baseSurface":
                for child in member:
                    self._into(own, child, place)
        if element.get("orientation") == "-":
            own.surfaces = turned(own.surfaces)
        self._keep(parts, element, own)

    def _solid(self, element: Element, place: Place) -> Parts:
        shells: list[list[Item]] = []
        for member in element:
            if local_name(member) not in ("exterior", "interior"):
                continue
            shell = Parts()
            href = member.get(HREF)
            if href is not None:
                self._linked(shell, "surfaceMember", href)
            for child in member:
                self._into(shell, child, place)
            if local_name(member) == "exterior":
                shells.insert(0, [*shell.surfaces, *shell.links])
            else:
                shells.append([*shell.surfaces, *shell.links])
        return Parts(solids=[shells])

    # ---------------------------------------------------------------- leaves

    def _polygon(self, element: Element, place: Place) -> int:
        leaf = self.pool.leaf(SURFACE, place.srs)
        found = 0
        for boundary in sorted(element, key=lambda one: local_name(one) not in _OUTER) if len(element) > 1 else element:
            if local_name(boundary) not in _RINGS:
                continue
            for ring in boundary:
                text, dimension = self._ring_text(ring, self.place(ring, place))
                self.pool.ring(text, dimension, gml_id(ring))
                found += 1
        if not found:
            self.pool.ring("", place.dimension)
        self._named(gml_id(element), 2 * leaf)
        return 2 * leaf

    def _thin(self, element: Element, place: Place, kind: int) -> int:
        leaf = self.pool.leaf(kind, place.srs)
        text, dimension = self._coordinates(element, place)
        self.pool.ring(text, dimension)
        self._named(gml_id(element), 2 * leaf)
        return 2 * leaf

    def _ring_text(self, ring: Element, place: Place) -> tuple[str, int]:
        """Return the coordinates of a LinearRing, or of a Ring made of line strings."""
        if local_name(ring) != "Ring":
            return self._coordinates(ring, place)
        texts, dimension = [], place.dimension
        for line in ring.iter("{*}LineString", "{*}LineStringSegment"):
            text, dimension = self._coordinates(line, self.place(line, place))
            texts.append(text)
        for curve in ring.iter("{*}Arc", "{*}ArcString", "{*}Circle", "{*}CubicSpline", "{*}BSpline", "{*}Bezier", "{*}ArcByCenterPoint"):
            self.odd[local_name(curve)] += 1
            texts.append("curve")  # no straight edge may stand in for it: the ring is rejected
        return " ".join(texts), dimension

    def _coordinates(self, element: Element, place: Place) -> tuple[str, int]:
        """Return the coordinates below an element as text, and how many make a point."""
        texts: list[str] = []
        dimension = place.dimension
        for child in element:
            name = local_name(child)
            if name == "posList":
                dimension = _dimension(child.get("srsDimension") or child.get("dimension"), dimension)
                texts.append(child.text or "")
            elif name in ("pos", "rawPos"):
                text = child.text or ""
                stated = child.get("srsDimension") or child.get("dimension")
                dimension = _dimension(stated, dimension) if stated else len(text.split())
                texts.append(text)
            elif name == "coordinates":
                plain = _gml2(child)
                dimension = len(plain[0].split()) if plain else dimension
                texts += plain
            elif name == "coord":
                texts.append(" ".join(one.text or "" for one in child))
                dimension = len(child)
            elif name in ("pointProperty", "pointRep", "vertexProperty"):
                for point in child:
                    text, dimension = self._coordinates(point, place)
                    texts.append(text)
        return texts[0] if len(texts) == 1 else " ".join(texts), dimension


def _dimension(text: str | None, otherwise: int) -> int:
    if text is None:
        return otherwise
    return int(text) if text.strip() in ("2", "3") else 0


def _gml2(element: Element) -> list[str]:
    """Return the points of a GML 2 list of coordinates, each with spaces between its numbers."""
    decimal, comma, space = (element.get(name) or other for name, other in (("decimal", "."), ("cs", ","), ("ts", " ")))
    text = element.text or ""
    points = text.split() if space.isspace() else text.split(space)
    return [point.replace(comma, " ").replace(decimal, ".") for point in points if point.strip()]
