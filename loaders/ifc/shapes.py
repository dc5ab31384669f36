"""Shapes of products: one mesh per product, or one per mapped source with a matrix for each product that uses it.

The fast kernel (``hybrid-cgal-simple-opencascade``) does the work, the default one what it leaves. Two traps are known and closed: in
local coordinates the fast kernel silently empties mapped items that have openings, so these are made in world coordinates; and a
shape that its own openings eat up comes back empty from every kernel, which is told from a failure by making it without openings.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.ifc.placements import Placements, mapping_matrix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from cim.loaders.ifc.graph import Graph
    from cim.loaders.ifc.notes import Notes

    Matrix = NDArray[np.float64]

__all__ = ["DEFAULT", "FAST", "Shape", "Shapes", "make_shapes"]

FAST, DEFAULT = "hybrid-cgal-simple-opencascade", "opencascade"
_BODIES = frozenset({"Body", "Facetation", "Tessellation", "Surface", "Body-FallBack", "SurfaceModel", "Mesh"})
_FLAT = frozenset({"Axis", "Box", "FootPrint", "Plan", "Annotation", "Profile", "Reference", "Clearance", "CoG", "Lighting", "BoundingBox"})
_ROUND = 1e-6
_WELL = 1e-3  # m: this far inside an opening no corner is left of what it cuts


@dataclass(frozen=True)
class Style:
    """Colour of some faces."""

    name: str
    diffuse: tuple[float, float, float]
    transparency: float


@dataclass(frozen=True)
class Shape:
    """One mesh in coordinates of its own [m]."""

    points: Matrix
    """Shape (n, 3)."""
    triangles: NDArray[np.int32]
    """Shape (m, 3)."""
    style: NDArray[np.int32]
    """Shape (m,): index into `styles`, -1 for none."""
    styles: tuple[Style, ...] = ()


@dataclass
class Shapes:
    """The shapes of a model and who has them."""

    shapes: list[Shape] = field(default_factory=list)
    owner: list[int] = field(default_factory=list)
    """STEP id of the product, one per use."""
    used: list[int] = field(default_factory=list)
    """Row of `shapes`, one per use."""
    matrix: list[Matrix] = field(default_factory=list)
    """Shape -> project coordinates [m]; (4, 4), one per use."""
    emptied: list[int] = field(default_factory=list)
    """Products that their openings eat up."""
    wanted: int = 0
    """Products with a body."""
    corrupt: str = ""
    """Why products were kept from the kernel, the first reason."""

    def add(self, product: int, shape: int, matrix: Matrix) -> None:
        """Use a shape for a product."""
        self.owner.append(product)
        self.used.append(shape)
        self.matrix.append(matrix)


def make_shapes(model: Any, entities: Sequence[Any], graph: Graph, notes: Notes, unit: float) -> Shapes:
    """Return the shapes of products.

    Parameters
    ----------
    entities
        Products that are objects; those without a representation are passed over.
    unit
        Metres per length unit of the file.
    """
    result = Shapes()
    able = _able(entities, graph, notes, result)
    opened = {one.RelatingBuildingElement.id() for one in model.by_type("IfcRelVoidsElement") if one.RelatingBuildingElement is not None}
    groups, alone, careful = _sorted_out(able, opened, Placements(unit), unit)
    made = _run(model, [*alone, *(members[0][0] for members in groups)], FAST)
    made |= _run(model, careful, FAST, use_world_coords=True)
    able_ids = {one.id() for one in alone} | {one.id() for one in careful}
    _place(result, made, groups, able_ids)
    holes = _openings(model, opened)
    _check_cut(result, holes, notes)
    left = set(result.owner) | set(result.emptied)
    _second_try(model, result, [one for one in able if one.id() not in left], holes, notes)
    return result


def _check_cut(result: Shapes, holes: Mapping[int, Sequence[Shape]], notes: Notes) -> None:
    """Find shapes that the kernel handed back uncut: a corner inside an opening; one that lies in it as a whole is eaten up."""
    eaten, uncut = set(), []
    for owner, used, matrix in zip(result.owner, result.used, result.matrix, strict=True):
        if owner not in holes:
            continue
        shape = result.shapes[used]
        there = replace(shape, points=shape.points @ matrix[:3, :3].T + matrix[:3, 3])
        if _swallowed(there, holes[owner], some=False):
            eaten.add(owner)
        elif _swallowed(there, holes[owner], some=True):
            uncut.append(owner)
    kept = [row for row, owner in enumerate(result.owner) if owner not in eaten]
    result.owner, result.used = [result.owner[row] for row in kept], [result.used[row] for row in kept]
    result.matrix = [result.matrix[row] for row in kept]
    result.emptied += sorted(eaten)
    notes.add_each("lost", "is not cut by one of its openings, which holds a corner of it; its shape and volume are too large", uncut)


def _able(entities: Sequence[Any], graph: Graph, notes: Notes, result: Shapes) -> list[Any]:
    """Return the products that can be handed to the kernel; the others are named."""
    able, flat, several = [], [], []
    for one in entities:
        shape = getattr(one, "Representation", None)
        if not one.is_a("IfcProduct"):
            continue
        fault = _fault(one, graph)
        if fault:
            result.wanted += 1
            result.corrupt = result.corrupt or fault
            notes.add("rejected", f"the geometry of {one.is_a()} #{one.id()} is left out: {fault}", entity=one.id())
            continue
        if shape is None:
            continue
        if _has_body(shape):
            result.wanted += 1
            depth = _bad_depth(shape)
            if depth is None:
                able.append(one)
                several += [one.id()] if _bodies_named_alike(shape) else []
            else:
                message = (
                    f"the geometry of {one.is_a()} #{one.id()} is left out: its extrusion depth is {depth:g}, expected a positive number"
                )
                notes.add("invalid", message, entity=one.id())
        else:
            flat.append(one.id())
    notes.add_each("lost", "has several bodies of one name; the first one is kept, the others are left out", several)
    notes.add_each("unsupported", "has only lines, boxes or points as representation, no body", flat, severity="info")
    return able


def _fault(one: Any, graph: Graph) -> str:
    """Return why a product cannot be placed or shaped; the entities' own attributes are asked, then the references in the text."""
    row = int(np.searchsorted(graph.ids, one.id()))
    if row < len(graph.ids) and graph.ids[row] == one.id() and graph.cause[row] == -1 and not _heavy(graph, row):
        return ""
    for part in (getattr(one, "ObjectPlacement", None), getattr(one, "Representation", None)):
        if part is not None and (fault := graph.fault(part.id())):
            return fault
    cause = int(graph.cause[row]) if row < len(graph.ids) else -1
    if one.Representation is None and cause >= 0 and cause not in graph.reasons and one.is_a("IfcElement"):
        return graph.fault(one.id())  # the library shows a reference to a missing record as none at all
    return ""


def _heavy(graph: Graph, row: int) -> bool:
    from cim.loaders.ifc.graph import DEEPEST, MOST

    return bool(graph.depth[row] > DEEPEST or graph.size[row] > MOST)


def _has_body(shape: Any) -> bool:
    kinds = [one.RepresentationIdentifier or "" for one in shape.Representations or () if one is not None]
    return any(kind in _BODIES or kind not in _FLAT for kind in kinds)


def _bodies_named_alike(shape: Any) -> bool:
    """Return whether the best name is that of several representations: the kernel gives them all, and one is taken."""
    ranks = [_rank(one.RepresentationIdentifier) for one in shape.Representations or () if one is not None]
    known = [rank for rank in ranks if rank is not None]
    return known.count(min(known)) > 1 and min(known) < 2  # rank 2: names that say nothing about a body


def _bad_depth(shape: Any) -> float | None:
    """Return the depth of an extrusion that is not positive."""
    for part in shape.Representations:
        for item in part.Items or ():
            if item.is_a("IfcExtrudedAreaSolid") and not item.Depth > 0:
                return float(item.Depth)
    return None


def _sorted_out(
    able: list[Any], opened: set[int], placements: Placements, unit: float
) -> tuple[list[list[tuple[Any, Matrix]]], list[Any], list[Any]]:
    """Return groups that share a mapped source (with shape -> project matrices), single products, and mapped ones with openings."""
    groups: dict[int, list[tuple[Any, Matrix]]] = defaultdict(list)
    alone, careful = [], []
    for one in able:
        item = _only_mapped(one)
        if item is None:
            alone.append(one)
            continue
        if one.id() in opened:
            careful.append(one)
            continue
        place, mapping = placements.world(one.ObjectPlacement), mapping_matrix(item, unit)
        if place is None or mapping is None:
            alone.append(one)
        else:
            groups[item.MappingSource.id()].append((one, place @ mapping))
    alone += [members[0][0] for members in groups.values() if len(members) == 1]
    return [members for members in groups.values() if len(members) > 1], alone, careful


def _only_mapped(one: Any) -> Any:
    """Return the mapped item that is the whole body of a product, None when there is more or something else."""
    bodies = [part for part in one.Representation.Representations if (part.RepresentationIdentifier or "") not in _FLAT]
    if len(bodies) != 1 or len(bodies[0].Items or ()) != 1:
        return None
    item = bodies[0].Items[0]
    return item if item.is_a("IfcMappedItem") else None


def _run(model: Any, products: Iterable[Any], kernel: str, **settings: bool) -> dict[int, tuple[Shape, Matrix]]:
    """Return the shapes that a kernel makes, by product, with their matrices."""
    import ifcopenshell.geom

    chosen = list(products)
    if not chosen:
        return {}
    library: Any = ifcopenshell.geom  # its stubs name every setting as a literal
    asked = library.settings()
    asked.set("no-normals", True)
    for name, value in settings.items():
        asked.set(name.replace("_", "-"), value)
    found: dict[int, list[tuple[int, Shape, Matrix]]] = defaultdict(list)
    shared: dict[str, Shape] = {}
    walk = library.iterator(asked, model, 1, include=chosen, geometry_library=kernel)
    if not walk.initialize():
        return {}
    while True:
        one = walk.get()
        rank = _rank(one.context)  # the kernel gives every representation of a product, one after the other
        if rank is not None:
            key = one.geometry.id
            if key not in shared:
                shared[key] = _taken(one.geometry)
            matrix = np.frombuffer(one.transformation_buffer, np.float64).reshape(4, 4).T
            found[one.id].append((rank, shared[key], matrix.copy()))
        if not walk.next():
            return {product: _best(parts) for product, parts in found.items()}


def _rank(kind: str | None) -> int | None:
    """Return how well a representation of this name stands for the body, 0 for the body itself, None when it is no body at all."""
    if kind in _FLAT:
        return None
    return 0 if kind == "Body" else 1 if not kind or kind in _BODIES else 2


def _best(parts: list[tuple[int, Shape, Matrix]]) -> tuple[Shape, Matrix]:
    """Return the representation that stands for the body: of the best name, the first that has faces."""
    rank, shape, matrix = min(parts, key=lambda part: (not len(part[1].triangles), part[0]))
    del rank
    return shape, matrix


def _taken(geometry: Any) -> Shape:
    points = np.frombuffer(geometry.verts_buffer, np.float64).reshape(-1, 3).copy()
    triangles = np.frombuffer(geometry.faces_buffer, np.int32).reshape(-1, 3).copy()
    style = np.frombuffer(geometry.material_ids_buffer, np.int32).copy()
    if len(style) != len(triangles):
        style = np.full(len(triangles), -1, np.int32)
    return Shape(points, triangles, style, tuple(_style(one) for one in geometry.materials))


def _style(one: Any) -> Style:
    colour = one.diffuse
    clear = float(one.transparency) if one.has_transparency() else 0.0
    return Style(str(one.name), (float(colour.r()), float(colour.g()), float(colour.b())), clear if np.isfinite(clear) else 0.0)


def _place(result: Shapes, made: dict[int, tuple[Shape, Matrix]], groups: list[list[tuple[Any, Matrix]]], single: set[int]) -> None:
    rows: dict[int, int] = {}

    def row_of(shape: Shape) -> int:
        if id(shape) not in rows:
            rows[id(shape)] = len(result.shapes)
            result.shapes.append(shape)
        return rows[id(shape)]

    for product, (shape, matrix) in made.items():
        if product in single and len(shape.triangles):
            result.add(product, row_of(shape), matrix)
    for members in groups:
        found = made.get(members[0][0].id())
        if found is None or not len(found[0].triangles):
            continue
        shape, matrix = found
        back = np.linalg.inv(members[0][1]) @ matrix
        for one, motion in members:
            result.add(one.id(), row_of(shape), motion @ back)


def _second_try(model: Any, result: Shapes, left: list[Any], holes: Mapping[int, Sequence[Shape]], notes: Notes) -> None:
    """Make what the fast kernel left: openings tell an eaten shape from a failure, the default kernel does the rest."""
    rest = [one for one in left if one.id() not in holes]
    voided = [one for one in left if one.id() in holes]
    whole = _run(model, voided, FAST, use_world_coords=True, disable_opening_subtractions=True)
    doubtful = []
    for one in voided:
        uncut = whole.get(one.id())
        if uncut is None or not len(uncut[0].triangles):
            rest.append(one)
        elif _swallowed(uncut[0], holes.get(one.id(), ())):
            result.emptied.append(one.id())
        else:
            doubtful.append(one)
    again = {**_run(model, rest, DEFAULT), **_run(model, doubtful, DEFAULT, use_world_coords=True)}
    _place(result, again, [], set(again))
    there = set(result.owner)
    result.emptied += [one.id() for one in doubtful if one.id() not in there]
    failed = [one.id() for one in rest if one.id() not in there]
    notes.add_each(
        "lost", "has a representation that yields no shape in either geometry kernel; the object is kept without geometry", failed
    )
    message = "is emptied by its openings: they cut away all of it; the object is kept without geometry"
    notes.add_each("empty", message, sorted(result.emptied))


def _openings(model: Any, hosts: set[int]) -> dict[int, list[Shape]]:
    """Return the shapes of the openings of some products, in world coordinates."""
    owner = {}
    for one in model.by_type("IfcRelVoidsElement"):
        host, opening = one.RelatingBuildingElement, one.RelatedOpeningElement
        if host is not None and host.id() in hosts and opening is not None:
            owner[opening.id()] = (host.id(), opening)
    made = _run(model, [opening for _, opening in owner.values() if opening.Representation is not None], FAST, use_world_coords=True)
    found: dict[int, list[Shape]] = defaultdict(list)
    for opening, (shape, _) in made.items():
        found[owner[opening][0]].append(shape)
    return found


def _swallowed(shape: Shape, holes: Sequence[Shape], *, some: bool = False) -> bool:
    """Return whether one opening that is a box holds every point of a shape, which is then eaten for certain, or some well inside."""
    for hole in holes:
        corners = np.unique(np.round(hole.points, 6), axis=0)
        if len(corners) != 8:
            continue
        first = corners[0]
        edges = corners[1:] - first
        lengths = np.linalg.norm(edges, axis=1)
        frame = _square_edges(edges, lengths)
        if frame is None:
            continue
        low = (corners - first) @ frame.T
        inside = (shape.points - first) @ frame.T
        slack = -_WELL if some else _ROUND
        held = ((inside >= low.min(axis=0) - slack) & (inside <= low.max(axis=0) + slack)).all(axis=1)
        if held.any() if some else held.all():
            return True
    return False


def _square_edges(edges: Matrix, lengths: Matrix) -> Matrix | None:
    """Return the three directions of a box from the vectors of one corner to the seven others, None when it is no box."""
    order = np.argsort(lengths)
    for triple in ((0, 1, 2), (0, 1, 3)):
        some = edges[order[list(triple)]] / lengths[order[list(triple)], None]
        if np.abs(some @ some.T - np.eye(3)).max() < 1e-6:
            total = edges[order[list(triple)]].sum(axis=0)
            if np.abs(edges[order[-1]] - total).max() < 1e-5:
                return some
    return None
