"""Property sets, quantities, materials and classifications: each set is read once, and one walk over the relations joins it to objects."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.ifc.tree import related
from cim.loaders.ifc.units import Units, described

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cim.loaders.ifc.notes import Notes
    from cim.loaders.ifc.tree import Tree
    from cim.model import CityBuilder

    Row = tuple[str, str, str | None, str | None]
    """Set, name, value, unit."""

__all__ = ["Quantity", "Sets", "gather_sets", "write_sets"]

_DEEPEST = 8


@dataclass(frozen=True)
class Quantity:
    """One number of an element quantity, in SI."""

    name: str
    value: float
    kind: str


@dataclass
class Sets:
    """All sets of a model and who has them."""

    rows: dict[int, list[Row]] = field(default_factory=dict)
    """STEP id of a set -> its rows."""
    quantities: dict[int, list[Quantity]] = field(default_factory=dict)
    """STEP id of a set -> its quantities."""
    owners: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    """STEP id of an object -> its sets."""
    codes: dict[int, list[tuple[str, str, str | None]]] = field(default_factory=lambda: defaultdict(list))
    """STEP id of an object -> classification system, code, title."""
    materials: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    loose: int = 0
    """Property sets that no object has."""

    def of(self, step: int) -> list[tuple[str, str, Any]]:
        """Return set, name and value of everything an object has."""
        found: list[tuple[str, str, Any]] = [
            (owner, name, value or "") for one in self.owners.get(step, ()) for owner, name, value, _ in self.rows.get(one, ())
        ]
        return found + [(system, code, title or "") for system, code, title in self.codes.get(step, ())]


def gather_sets(model: Any, notes: Notes) -> Sets:
    """Return the property sets and quantities of a model."""
    units, sets = Units(model), Sets()
    for one in model.by_type("IfcPropertySetDefinition"):
        _read_set(one, units, sets)
    _tell_assumed(units, notes)
    for definition, owner in related(model, "IfcRelDefinesByProperties", "RelatingPropertyDefinition", "RelatedObjects"):
        if definition in sets.rows:
            sets.owners[owner].append(definition)
    for kind in model.by_type("IfcTypeObject"):
        _read_type_sets(kind, units, sets)
    by_type = {one.id(): [each.id() for each in one.HasPropertySets or ()] for one in model.by_type("IfcTypeObject")}
    types = list(related(model, "IfcRelDefinesByType", "RelatingType", "RelatedObjects"))
    _inherit_sets(sets, types, by_type)
    used = {one for many in sets.owners.values() for one in many} | {one for many in by_type.values() for one in many}
    sets.loose = len({one for one in sets.rows if one > 0} - used)
    if sets.loose:
        notes.add(
            "unmatched", f"{sets.loose} property sets belong to no object or type; they are left out", severity="info", count=sets.loose
        )
    _classify(model, sets)
    _add_materials(model, sets)
    for kind_id, owner in types:  # what is said about the type holds for all of its kind that say nothing themselves
        if sets.codes.get(kind_id) and not sets.codes.get(owner):
            sets.codes[owner] = list(sets.codes[kind_id])
        if sets.materials.get(kind_id) and not sets.materials.get(owner):
            sets.materials[owner] = list(sets.materials[kind_id])
    return sets


def _tell_assumed(units: Units, notes: Notes) -> None:
    for symbol, asked in units.assumed.items():
        count = asked // 2  # each is asked for its row and for its number
        message = f"{count} quantities are taken to be in {symbol}: the file states no unit for them"
        notes.add("assumed", message, count=count)


def _inherit_sets(sets: Sets, types: list[tuple[int, int]], by_type: dict[int, list[int]]) -> None:
    """Give objects the sets of their types, without the properties that they state themselves."""
    made: dict[tuple[int, frozenset[tuple[str, str]]], int] = {}
    for kind, owner in types:
        for one in by_type.get(kind, ()):
            sets.owners[owner].append(_not_overridden(sets, one, owner, made))


def _not_overridden(sets: Sets, one: int, owner: int, made: dict[tuple[int, frozenset[tuple[str, str]]], int]) -> int:
    """Return the set of a type, or what is left of it where the object states some of its properties itself (a number below zero)."""
    own = {row[:2] for each in sets.owners[owner] for row in sets.rows.get(each, ())}
    gone = frozenset(row[:2] for row in sets.rows.get(one, ()) if row[:2] in own)
    if not gone:
        return one
    if (one, gone) not in made:
        made[one, gone] = left = -1 - len(made)
        sets.rows[left] = [row for row in sets.rows[one] if row[:2] not in gone]
        names = {name for _, name in gone}
        sets.quantities[left] = [each for each in sets.quantities.get(one, ()) if each.name not in names]
    return made[one, gone]


def _read_type_sets(kind: Any, units: Units, sets: Sets) -> None:
    for one in kind.HasPropertySets or ():
        if one.id() not in sets.rows:
            _read_set(one, units, sets)


def _read_set(one: Any, units: Units, sets: Sets) -> None:
    name = one.Name or one.is_a()
    if one.is_a("IfcPropertySet"):
        rows = [row for each in one.HasProperties or () for row in _property(name, each, units, "")]
    elif one.is_a("IfcElementQuantity"):
        found = list(_flat(one.Quantities or (), ""))
        rows = [_quantity_row(name, path, each, units) for path, each in found]
        sets.quantities[one.id()] = [made for path, each in found if (made := _quantity(path, each, units)) is not None]
    else:
        rows = _predefined(name, one)
    sets.rows[one.id()] = rows


def _property(owner: str, one: Any, units: Units, prefix: str, level: int = 0) -> Iterator[Row]:
    kind, name = one.is_a(), f"{prefix}{one.Name}"
    if kind == "IfcPropertySingleValue":
        yield owner, name, _value(one.NominalValue), _unit(one.NominalValue, one.Unit, units)
    elif kind == "IfcPropertyEnumeratedValue":
        values = one.EnumerationValues or ()
        yield owner, name, _joined(values), _unit(values[0] if values else None, getattr(one.EnumerationReference, "Unit", None), units)
    elif kind == "IfcPropertyListValue":
        values = one.ListValues or ()
        yield owner, name, _joined(values), _unit(values[0] if values else None, one.Unit, units)
    elif kind == "IfcPropertyBoundedValue":
        yield from _bounds(owner, name, one, units)
    elif kind == "IfcPropertyTableValue":
        pairs = list(zip(one.DefiningValues or (), one.DefinedValues or (), strict=False))
        ends = (_unit(pairs[0][i] if pairs else None, stated, units) for i, stated in enumerate((one.DefiningUnit, one.DefinedUnit)))
        unit = ": ".join(end or "" for end in ends)
        yield owner, name, "; ".join(f"{_value(a)}: {_value(b)}" for a, b in pairs), unit if unit != ": " else None
    elif kind == "IfcComplexProperty" and level < _DEEPEST:
        for part in one.HasProperties or ():
            yield from _property(owner, part, units, f"{name}.", level + 1)
    elif kind == "IfcPropertyReferenceValue":
        target = one.PropertyReference
        yield owner, name, None if target is None else str(getattr(target, "Name", None) or target.is_a()), None


def _bounds(owner: str, name: str, one: Any, units: Units) -> Iterator[Row]:
    for part in ("LowerBoundValue", "UpperBoundValue", "SetPointValue"):
        value = getattr(one, part, None)
        if value is not None:
            yield owner, f"{name}.{part[:-5]}", _value(value), _unit(value, one.Unit, units)


def _unit(value: Any, stated: Any, units: Units) -> str | None:
    if stated is not None:
        return described(stated)[0]
    return units.of_measure(value.is_a()) if value is not None else None


def _value(value: Any) -> str | None:
    plain = getattr(value, "wrappedValue", value)
    if plain is None:
        return None
    if isinstance(plain, bool):
        return "true" if plain else "false"
    return f"{plain:.15g}" if isinstance(plain, float) else str(plain)


def _joined(values: Any) -> str | None:
    return "; ".join(_value(one) or "" for one in values) if values else None


def _flat(quantities: Any, prefix: str, level: int = 0) -> Iterator[tuple[str, Any]]:
    for one in quantities:
        if one.is_a("IfcPhysicalComplexQuantity"):
            if level < _DEEPEST:
                yield from _flat(one.HasQuantities or (), f"{prefix}{one.Name}.", level + 1)
        else:
            yield f"{prefix}{one.Name}", one


def _quantity_row(owner: str, name: str, one: Any, units: Units) -> Row:
    stated = getattr(one, "Unit", None)
    symbol = described(stated)[0] if stated is not None else units.of_quantity(one.is_a())[0]
    return owner, name, _value(one[3]), symbol


def _quantity(name: str, one: Any, units: Units) -> Quantity | None:
    value, stated = one[3], getattr(one, "Unit", None)
    factor = described(stated)[1] if stated is not None else units.of_quantity(one.is_a())[1]
    return Quantity(name, float(value) * factor, one.is_a()) if isinstance(value, int | float) else None


def _predefined(owner: str, one: Any) -> list[Row]:
    """Return the attributes of a set with a fixed layout, such as IfcDoorLiningProperties."""
    skip = {"id", "type", "GlobalId", "OwnerHistory", "Name", "Description"}
    plain = {key: value for key, value in one.get_info(recursive=False).items() if key not in skip and not hasattr(value, "is_a")}
    return [(owner, key, _value(value), None) for key, value in plain.items() if isinstance(value, str | float | int)]


def _classify(model: Any, sets: Sets) -> None:
    for code, owner in related(model, "IfcRelAssociatesClassification", "RelatingClassification", "RelatedObjects"):
        one = model.by_id(code)
        source = getattr(one, "ReferencedSource", None)
        system = (
            getattr(source, "Name", None) or (getattr(one, "Name", None) if one.is_a("IfcClassification") else None) or "classification"
        )
        value = getattr(one, "ItemReference", None) or getattr(one, "Identification", None) or getattr(one, "Name", None)
        if value:
            sets.codes[owner].append((str(system), str(value), getattr(one, "Name", None)))


def _add_materials(model: Any, sets: Sets) -> None:
    names: dict[int, list[str]] = {}
    for material, owner in related(model, "IfcRelAssociatesMaterial", "RelatingMaterial", "RelatedObjects"):
        if material not in names:
            names[material] = list(dict.fromkeys(_material_names(model.by_id(material))))
        sets.materials[owner] += names[material]


def _material_names(one: Any, level: int = 0) -> list[str]:
    if one is None or level > _DEEPEST:
        return []
    if one.is_a("IfcMaterial"):
        return [one.Name] if one.Name else []
    parts: list[Any] = []
    for name in ("ForLayerSet", "ForProfileSet", "Material"):
        parts += [getattr(one, name, None)]
    for name in ("MaterialLayers", "MaterialProfiles", "MaterialConstituents", "Materials"):
        parts += list(getattr(one, name, None) or ())
    return [text for part in parts for text in _material_names(part, level + 1)]


def write_sets(builder: CityBuilder, tree: Tree, keys: Any, sets: Sets, notes: Notes) -> None:
    """Write everything into the table of properties, and classifications as identifiers too."""
    rows, owners = [], []
    here = {one for step in tree.steps for one in sets.owners.get(step, ())}
    elsewhere = {one for many in sets.owners.values() for one in many if one > 0} - here
    if elsewhere:
        message = f"{len(elsewhere)} property sets belong only to entities that are not taken over (openings, ports); left out with them"
        notes.add("unmatched", message, severity="info", count=len(elsewhere))
    for row, step in enumerate(tree.steps):
        mine = [each for one in dict.fromkeys(sets.owners.get(step, ())) for each in sets.rows.get(one, ())]
        mine += [("Classification", system, f"{code} {title}".strip() if title and title != code else code, None)
                 for system, code, title in sets.codes.get(step, ())]  # fmt: skip
        if sets.materials.get(step):
            mine.append(("Material", "material", "; ".join(dict.fromkeys(sets.materials[step])), None))
        rows += mine
        owners += [row] * len(mine)
    if rows:
        owner, name, value, unit = zip(*rows, strict=True)
        builder.add_properties(keys[np.asarray(owners)], list(owner), list(name), list(value), list(unit))
    codes = [(row, system, code) for row, step in enumerate(tree.steps) for system, code, _ in sets.codes.get(step, ())]
    if codes:
        place, systems, values = zip(*codes, strict=True)
        builder.add_identifiers(keys[np.asarray(place)], [f"classification:{one}" for one in systems], list(values))
