"""Entities of an IFC model as objects: what they are, what they are called, and which is part of which."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cim.loaders.ifc.classes import class_of, in_facility, rule_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cim.loaders.ifc.notes import Notes
    from cim.loaders.ifc.psets import Sets

__all__ = ["Tree", "grow", "related"]

_GUID = re.compile(r"[0-3][0-9A-Za-z_$]{21}")
_PROXIES = frozenset({"IfcBuildingElementProxy", "IfcProxy"})
_INDOORS = frozenset({"Building", "BuildingPart", "BuildingStorey", "BuildingRoom", "BuildingUnit"})
_OUTDOORS = frozenset({"CityFurniture", "LandUse", "SolitaryVegetationObject", "GenericLogicalSpace"})
_FACILITIES = frozenset({"Bridge", "BridgePart", "Building", "BuildingPart", "Road", "Railway", "OtherConstruction", "Section"})


@dataclass
class Tree:
    """The objects of a model, one row each."""

    steps: list[int]
    """STEP id."""
    entities: list[Any]
    """The entity itself."""
    kinds: list[str]
    """IFC entity name."""
    ids: list[str]
    """Unique id: the GlobalId, with "#2" where one occurs again."""
    guids: list[str | None]
    names: list[str | None]
    types: list[str]
    """Class of the city."""
    predefined: list[str | None]
    parent: list[int]
    """Row of the parent, -1 for none."""
    row: dict[int, int]
    """STEP id -> row."""
    relations: list[tuple[int, str, int]] = field(default_factory=list)
    """Row, predicate, row."""

    def ancestor(self, row: int, types: frozenset[str]) -> int:
        """Return the nearest ancestor of one of these classes, -1 without any."""
        place = self.parent[row]
        while place >= 0 and self.types[place] not in types:
            place = self.parent[place]
        return place


@lru_cache(maxsize=4096)
def _chain(schema: str, name: str) -> tuple[str, ...]:
    import ifcopenshell

    found: Any = ifcopenshell.ifcopenshell_wrapper.schema_by_name(schema).declaration_by_name(name)
    names = []
    while found is not None:
        names.append(found.name())
        found = found.supertype()
    return tuple(names)


def related(model: Any, entity: str, one: str, many: str) -> Iterable[tuple[int, int]]:
    """Return STEP ids (one, each of many) of all relations of a kind, in the order of the file; half relations are passed over."""
    try:
        found = model.by_type(entity)
    except RuntimeError:  # the schema has no such entity
        return
    for relation in found:
        head = getattr(relation, one, None)
        members = getattr(relation, many, None)
        if head is None or members is None or not hasattr(head, "id"):
            continue
        heads = (head,) if head.id() else getattr(head, "wrappedValue", ())  # a set of property sets stands without a number
        for each in heads:
            for member in members if isinstance(members, tuple | list) else (members,):
                if member is not None:
                    yield each.id(), member.id()


def grow(model: Any, sets: Sets, notes: Notes) -> Tree:
    """Return the objects of a model with their parents."""
    tree = _collect(model, notes)
    _check_guids(tree, notes)
    _find_parents(model, tree, notes)
    _apply_rules(tree, sets, notes)
    _tell_loose(tree, notes)
    _relate(model, tree)
    return tree


def _collect(model: Any, notes: Notes) -> Tree:
    schema = model.schema_identifier
    of_type = {owner: kind for kind, owner in related(model, "IfcRelDefinesByType", "RelatingType", "RelatedObjects")}
    tree = Tree([], [], [], [], [], [], [], [], [], {})
    left: Counter[str] = Counter()
    for entity in (*model.by_type("IfcProject"), *model.by_type("IfcProduct"), *model.by_type("IfcGroup")):
        kind = entity.is_a()
        predefined = _text(getattr(entity, "PredefinedType", None))
        if predefined in {None, "NOTDEFINED"} and entity.id() in of_type:  # since IFC4 the type may say it for all of its kind
            predefined = _text(getattr(model.by_id(of_type[entity.id()]), "PredefinedType", None)) or predefined
        type_name = class_of(_chain(schema, kind), predefined)
        if type_name is None:
            left[kind] += 1
            continue
        if kind == "IfcBuilding" and getattr(entity, "CompositionType", None) == "PARTIAL":
            type_name = "BuildingPart"
        tree.row[entity.id()] = len(tree.steps)
        tree.steps.append(entity.id())
        tree.entities.append(entity)
        tree.kinds.append(kind)
        tree.guids.append(_text(getattr(entity, "GlobalId", None)))
        tree.names.append(_text(getattr(entity, "Name", None)) or _text(getattr(entity, "LongName", None)))
        tree.types.append(type_name)
        tree.predefined.append(predefined)
        tree.parent.append(-1)
    for kind, count in left.most_common():
        notes.add("unsupported", f"{count} {kind} are no objects of a city and are not taken over", severity="info", count=count)
    return tree


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


def _check_guids(tree: Tree, notes: Notes) -> None:
    seen: Counter[str] = Counter()
    for row, guid in enumerate(tree.guids):
        step = tree.steps[row]
        name = guid or f"#{step}"
        if guid is None:
            notes.add("assumed", f"{tree.kinds[row]} #{step} has no GlobalId; its record number is its id", entity=step)
        elif not _GUID.fullmatch(guid):
            notes.add(
                "invalid", f"GlobalId {guid!r} of {tree.kinds[row]} #{step} is no valid GUID (22 characters); kept as it is", entity=step
            )
        seen[name] += 1
        if seen[name] > 1:
            notes.add("duplicate", f"GlobalId {guid!r} occurs again at #{step}; the object is kept as '{name}#{seen[name]}'", entity=step)
            name = f"{name}#{seen[name]}"
        tree.ids.append(name)


def _find_parents(model: Any, tree: Tree, notes: Notes) -> None:
    second = []
    for entity, one, many in (
        ("IfcRelAggregates", "RelatingObject", "RelatedObjects"),
        ("IfcRelNests", "RelatingObject", "RelatedObjects"),
        ("IfcRelContainedInSpatialStructure", "RelatingStructure", "RelatedElements"),
    ):
        for head, member in related(model, entity, one, many):
            if head not in tree.row or member not in tree.row:
                continue
            parent, row = tree.row[head], tree.row[member]
            if tree.parent[row] == parent:
                continue
            if tree.parent[row] >= 0:
                second.append(member)
                tree.relations.append((parent, "contains", row))
            elif _above(tree, parent, row):
                name = f"{tree.kinds[row]} {tree.ids[row]!r}"
                notes.add("conflict", f"{entity} puts {name} below itself (a cycle); it is left out", entity=member)
            else:
                tree.parent[row] = parent
    notes.add_each("conflict", "has a second parent by aggregation or containment; the first is kept, the second is a relation", second)


def _above(tree: Tree, row: int, wanted: int) -> bool:
    """Return whether `wanted` is `row` or stands above it."""
    while row >= 0:
        if row == wanted:
            return True
        row = tree.parent[row]
    return False


def _apply_rules(tree: Tree, sets: Sets, notes: Notes) -> None:
    """Give proxies and loose slabs the class that a rule finds, and construction elements the class of their facility."""
    unknown, told = 0, Counter[tuple[str, str, str]]()
    for row, kind in enumerate(tree.kinds):
        rule = None
        if kind in _PROXIES or kind in {"IfcSlab", "IfcGeographicElement"}:
            names = tuple(text for text in (tree.names[row], _text(getattr(tree.entities[row], "ObjectType", None))) if text)
            rule = rule_for(kind, names, sets.of(tree.steps[row]))
        if rule is not None:
            told[kind, rule.type, rule.why] += 1
            tree.types[row] = rule.type
        else:
            unknown += kind in _PROXIES
            facility = tree.ancestor(row, _FACILITIES)
            tree.types[row] = in_facility(tree.types[row], tree.types[facility] if facility >= 0 else "")
    for (kind, type_name, why), count in told.items():
        notes.add("guessed", f"{count} {kind} are taken as {type_name} by their {why}", severity="info", count=count)
    if unknown:
        message = f"{unknown} IfcBuildingElementProxy meet no rule and stay GenericOccupiedSpace; their ifc_class says what they were"
        notes.add("unmatched", message, severity="info", count=unknown)
    for row, type_name in enumerate(tree.types):
        if type_name in _OUTDOORS and tree.kinds[row] != "IfcSite" and tree.parent[row] >= 0:
            _move_out(tree, row)


def _move_out(tree: Tree, row: int) -> None:
    """Take a thing of the street out of the building that exporters put it in; the containment stays as a relation."""
    place = tree.parent[row]
    if tree.types[place] in _INDOORS:
        tree.relations.append((place, "contains", row))
        while place >= 0 and tree.types[place] in _INDOORS:
            place = tree.parent[place]
        tree.parent[row] = place


def _tell_loose(tree: Tree, notes: Notes) -> None:
    loose = []
    for row, kind in enumerate(tree.kinds):
        place = row
        while tree.parent[place] >= 0:
            place = tree.parent[place]
        if tree.kinds[place] != "IfcProject" and tree.types[row] != "CityObjectGroup" and kind not in {"IfcGroup", "IfcZone", "IfcSystem"}:
            loose.append(tree.steps[row])
    message = "stands outside the spatial structure (no path to the project); it is kept without a place in it"
    notes.add_each("unmatched", message, loose)
    if tree.steps and "IfcProject" not in tree.kinds:
        notes.add("invalid", "the model has no IfcProject")
    if tree.kinds.count("IfcProject") > 1:
        notes.add("invalid", f"the model has {tree.kinds.count('IfcProject')} IfcProject, expected one")


_RELATIONS = (
    ("IfcRelReferencedInSpatialStructure", "RelatingStructure", "RelatedElements", "references"),
    ("IfcRelSpaceBoundary", "RelatingSpace", "RelatedBuildingElement", "boundedBy"),
    ("IfcRelConnectsElements", "RelatingElement", "RelatedElement", "connectsTo"),
    ("IfcRelServicesBuildings", "RelatingSystem", "RelatedBuildings", "serves"),
    ("IfcRelCoversBldgElements", "RelatingBuildingElement", "RelatedCoverings", "coveredBy"),
    ("IfcRelCoversSpaces", "RelatingSpace", "RelatedCoverings", "coveredBy"),
    ("IfcRelFlowControlElements", "RelatingFlowElement", "RelatedControlElements", "controlledBy"),
)


def _relate(model: Any, tree: Tree) -> None:
    """Add zones, systems, fillings, boundaries and connections as relations."""
    found = dict.fromkeys(tree.relations)
    for head, member in related(model, "IfcRelAssignsToGroup", "RelatingGroup", "RelatedObjects"):
        if head in tree.row and member in tree.row and head != member:
            found[tree.row[head], "contains", tree.row[member]] = None
    for entity, one, many, predicate in _RELATIONS:
        for head, member in related(model, entity, one, many):
            if head in tree.row and member in tree.row and head != member:
                found[tree.row[head], predicate, tree.row[member]] = None
    opened = {member: head for head, member in related(model, "IfcRelVoidsElement", "RelatingBuildingElement", "RelatedOpeningElement")}
    for opening, filling in related(model, "IfcRelFillsElement", "RelatingOpeningElement", "RelatedBuildingElement"):
        wall = opened.get(opening)
        if wall in tree.row and filling in tree.row:
            found[tree.row[filling], "fills", tree.row[wall]] = None
    tree.relations = list(found)
