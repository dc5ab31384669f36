"""Attributes of CityJSON objects as typed columns, class by class; what is nested or has no column goes to the properties as JSON.

The attributes that CityGML itself defines get their standard name and unit (``measuredHeight`` becomes ``height`` in metres); every
other one keeps the name the file gives it, unless the mapping says otherwise. The field of the file stands in the metadata of each column.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.loaders.cityjson.document import Note, Record
from cim.loaders.cityjson.geometry import FARTHEST
from cim.loaders.cityjson.plain import json_text
from cim.model import CityBuilder, Column
from cim.model.identifiers import normalise_identifier, scheme_of
from cim.standard_names import STANDARD_NAMES, lookup

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

__all__ = ["ATTRIBUTE_SET", "DEFINED", "MEMBER_SET", "Told", "add_attributes", "add_members", "column_of", "told_by"]

ATTRIBUTE_SET, MEMBER_SET = "cityjson.attribute", "cityjson.member"
"""Property sets that hold nested attributes, and members of an object that are neither attribute, geometry nor link, as JSON."""
DEFINED = {
    "measuredHeight": "height", "storeysAboveGround": "storeys_above_ground", "storeysBelowGround": "storeys_below_ground",
    "yearOfConstruction": "year_of_construction", "yearOfDemolition": "year_of_demolition", "roofType": "roof_type",
    "trunkDiameter": "trunk_diameter", "crownDiameter": "crown_diameter",
}  # fmt: skip
_NUMBERS = frozenset({"number", "count", "year"})
_KNOWN = frozenset({"type", "attributes", "geometry", "parents", "children", "members"})
_SURE = 0.9
_HEIGHT = "measuredHeight"
_NESTED = {dict, list}
_KEYS = ("name", "attributes", "identifiers", "ignore", "valid_from", "valid_to", "keep")


@dataclass(frozen=True)
class _Field:
    """One attribute of the objects of a class."""

    name: str
    array: pa.Array
    notes: list[Note]
    nested: tuple[list[int], list[str]]
    """Places among the objects of the class whose value is a list or an object, and these values as JSON."""


@dataclass
class _Class:
    """The attributes of the objects of one class."""

    rows: array[int] = field(default_factory=lambda: array("q"))
    values: list[Mapping[str, Any]] = field(default_factory=list)
    """As parsed; gone when they are held as fields."""
    fields: list[_Field] = field(default_factory=list)


@dataclass(frozen=True)
class Told:
    """What the objects say beyond class, geometry and links, held as columns so that the parsed values can go."""

    title: str
    """The attribute that is the name of the objects, empty for none."""
    names: list[str | None]
    """Name of each object; empty without a title."""
    heights: list[Any]
    """What the objects call their measured height."""
    classes: dict[str, _Class]
    known: frozenset[str]
    """All attributes that occur."""
    empty: int
    """How many values are null."""
    further: list[tuple[int, Record]]
    """Row and record of the objects with members of other kinds."""
    notes: list[Note]


def column_of(name: str, values: Sequence[Any]) -> tuple[pa.Array, list[Note]]:
    """Return plain JSON values as one typed column; values of several kinds become text, and a note says so.

    Examples
    --------
    >>> column_of("storeys", [3, None, 2.5])[0].to_pylist()
    [3.0, None, 2.5]
    """
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.nulls(len(values), pa.string()), []
    try:
        if kinds in ({bool}, {str}, {int}, {float}):
            return pa.array(values), []
        if kinds == {int, float}:
            return pa.array(values, pa.float64()), []
    except (pa.ArrowException, OverflowError):
        message = f"attribute {name}: an integer overflows 64 bit; all values are kept as text, digit by digit"
        return _texts(values), [Note("repaired", message)]
    message = f"attribute {name} mixes {', '.join(sorted(kind.__name__ for kind in kinds))}; all values are kept as text"
    return _texts(values), [Note("conflict", message, count=sum(not isinstance(value, str | None) for value in values))]


def _texts(values: Sequence[Any]) -> pa.Array:
    return pa.array([value if isinstance(value, str | None) else str(value) for value in values], pa.string())


def told_by(records: Sequence[Record], types: Sequence[str], mapping: Mapping[str, Any]) -> Told:
    """Return what the records say of the objects beyond class, geometry and links."""
    classes: dict[str, _Class] = {}
    notes: list[Note] = []
    listed = [record.members.get("attributes") for record in records]
    for row, given in enumerate(listed):
        if not given and (given is None or type(given) is dict):
            continue
        if not isinstance(given, dict):
            message = f"the attributes of {records[row].id!r} are a {type(given).__name__}, expected an object"
            notes.append(Note("rejected", message, row=row))
            continue
        one = classes.get(types[row])
        if one is None:
            one = classes[types[row]] = _Class()
        one.rows.append(row)
        one.values.append(given)
    known = frozenset(chain.from_iterable(chain.from_iterable(one.values for one in classes.values())))
    title = _title(mapping, classes, known)
    titles = [given.get(title) if isinstance(given, dict) else None for given in listed] if title else []
    heights = [given.get(_HEIGHT) if type(given) is dict else None for given in listed] if _HEIGHT in known else []
    empty = sum(_take_fields(one, title, mapping) for one in classes.values())
    more = not set(chain.from_iterable(record.members for record in records)) <= _KNOWN
    further = [(row, record) for row, record in enumerate(records) if not record.members.keys() <= _KNOWN] if more else []
    names = [value if isinstance(value, str) else None for value in titles]
    stated = any(height is not None for height in heights)
    return Told(title, names, heights if stated else [], classes, known, empty, further, notes)


def _take_fields(one: _Class, title: str, mapping: Mapping[str, Any]) -> int:
    """Hold the attributes of a class as fields, and return how many values are null."""
    ignored = set(mapping.get("ignore", ()))
    empty = 0
    for name in dict.fromkeys(chain.from_iterable(one.values)):
        values = [given.get(name) for given in one.values]
        empty += sum(value is None and name in given for value, given in zip(values, one.values, strict=True)) if None in values else 0
        kinds = set(map(type, values))
        if name in ignored or (name == title and kinds <= {str, type(None)}):
            continue
        nested: list[int] = []
        texts: list[str] = []
        if kinds & _NESTED:
            nested = [place for place, value in enumerate(values) if isinstance(value, dict | list)]
            texts = [json_text(values[place]) for place in nested]
            values = [None if isinstance(value, dict | list) else value for value in values]
        one.fields.append(_Field(name, *column_of(name, values), (nested, texts)))
    one.values.clear()
    return empty


def add_attributes(builder: CityBuilder, keys: Ints, told: Told, mapping: Mapping[str, Any], notes: list[Note]) -> None:
    """Give the objects their attributes, identifiers and nested values."""
    notes += told.notes
    _check_mapping(mapping, set(told.known))
    unused = [key for key in ("class", "id", "layers", "valid_from", "valid_to") if mapping.get(key)]
    if unused:
        said = f"mapping: {', '.join(unused)} not used; a CityJSON file states class and id of its objects itself"
        notes.append(Note("unsupported", said, count=len(unused)))
    for kind, one in told.classes.items():
        owners = keys[np.asarray(one.rows, np.int64)]
        columns: dict[str, Column] = {}
        for found in one.fields:
            places, texts = found.nested
            if places:
                builder.add_properties(owners[places], ATTRIBUTE_SET, found.name, texts)
            notes += found.notes
            _add_identifiers(builder, owners, found.name, found.array, mapping)
            target, column = _target(found.name, found.array, columns, mapping, notes)
            columns[target] = column
        builder.add_attributes(owners, kind, columns)
    if told.empty:
        message = f"{told.empty} attributes are null in the file; they are held as missing and not written again"
        notes.append(Note("lost", message, "info", count=told.empty))


def _title(mapping: Mapping[str, Any], classes: Mapping[str, _Class], known: frozenset[str]) -> str:
    """Return the attribute that holds the name people know an object by; empty when there is none."""
    if mapping.get("name"):
        return str(mapping["name"])
    named = "name" in known and any(isinstance(given.get("name"), str) for one in classes.values() for given in one.values)
    return "name" if named else ""


def _target(name: str, array: pa.Array, taken: Mapping[str, Column], mapping: Mapping[str, Any], notes: list[Note]) -> tuple[str, Column]:
    """Return the name of a column and the column, by the mapping, by CityGML, or as it is."""
    for target, said in mapping.get("attributes", {}).items():
        spec = {"field": said} if isinstance(said, str) else dict(said)
        if spec.get("field") == name:
            return target, _mapped(name, target, spec, array, notes)
    target = DEFINED.get(name, name)
    standard = STANDARD_NAMES.get(target)
    numeric = pa.types.is_integer(array.type) or pa.types.is_floating(array.type)
    if target in taken or standard is None or (standard.kind in _NUMBERS and not numeric):
        target, standard = name, None
    if standard is None or target == name:
        return _free(name, taken), Column(array, source_field=name)
    return target, Column(array, unit=standard.unit, source_field=name, label_en=standard.label_en, label_zh=standard.label_zh)


def _free(name: str, taken: Mapping[str, Column]) -> str:
    return name if name not in taken else _free(f"{name}_", taken)


def _mapped(name: str, target: str, spec: Mapping[str, Any], array: pa.Array, notes: list[Note]) -> Column:
    """Return a column as the mapping wants it: codes replaced, numbers in SI."""
    from cim.units import parse_unit, to_si

    standard = STANDARD_NAMES.get(target)
    unit = str(spec.get("unit", standard.unit if standard else ""))
    labels = {"label_en": standard.label_en, "label_zh": standard.label_zh} if standard else {}
    codes = {str(key): value for key, value in spec.get("codes", {}).items()}
    if codes:
        array = pa.array([None if value is None else codes.get(str(value), str(value)) for value in array.to_pylist()])
    if not unit or not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        return Column(array, source_field=name, **labels)
    expected = standard.unit if standard else None
    changed, how = to_si(array.cast(pa.float64()).to_numpy(zero_copy_only=False), unit, expected or None)
    if "→" in how:
        notes.append(Note("repaired", f"attribute {name}: unit {how}", "info", count=len(array) - array.null_count))
        array, unit = pa.array(changed, from_pandas=True), parse_unit(unit).si
    return Column(array, unit=expected if expected is not None else unit, source_field=name, **labels)


def _add_identifiers(builder: CityBuilder, owners: Ints, name: str, array: pa.Array, mapping: Mapping[str, Any]) -> None:
    """Register an attribute that tells objects apart as identifier too."""
    schemes = {str(fieldname): scheme for scheme, fieldname in mapping.get("identifiers", {}).items()}
    if name not in schemes:
        guess = next(iter(lookup(name)), None)
        if guess is None or guess.standard_name.name != "identifier" or guess.confidence < _SURE:
            return
    if not (pa.types.is_string(array.type) or pa.types.is_integer(array.type)):
        return
    text = pc.utf8_trim_whitespace(array.cast(pa.string()))
    there = np.asarray(pc.fill_null(pc.not_equal(text, ""), fill_value=False).to_numpy(zero_copy_only=False), bool)
    values = text.filter(pa.array(there))
    if not len(values) or (name not in schemes and 2 * pc.count_distinct(values).as_py() < len(values)):
        return
    scheme = schemes.get(name) or scheme_of(name, values)
    builder.add_identifiers(owners[there], scheme, values, normalise_identifier(scheme, values))


def _check_mapping(mapping: Mapping[str, Any], fields: set[str]) -> None:
    unknown = [key for key in mapping if key not in (*_KEYS, "layers", "class", "id")]
    faults = [f"key {key!r} is not known (expected {', '.join(_KEYS)})" for key in unknown]
    specs = {target: said if isinstance(said, str) else said.get("field") for target, said in mapping.get("attributes", {}).items()}
    wanted = {"name": mapping.get("name"), **specs, **mapping.get("identifiers", {})}
    faults += [f"{target}: there is no attribute {name!r}" for target, name in wanted.items() if name is not None and name not in fields]
    if faults:
        msg = f"mapping: {'; '.join(faults)}; the attributes are {', '.join(sorted(fields))}"
        raise UsageError(msg)


def add_members(builder: CityBuilder, keys: Ints, told: Told, points: NDArray[np.float64], notes: list[Note]) -> None:
    """Keep every other member of the objects (address, extent, those of extensions) as JSON properties."""
    owners, names, values = [], [], []
    for row, record in told.further:
        for name, value in record.members.items():
            if name in _KNOWN:
                continue
            kept = _with_places(value, record, points, notes, row) if name == "address" else value
            owners.append(int(keys[row]))
            names.append(name)
            values.append(json_text(kept))
    if owners:
        builder.add_properties(owners, MEMBER_SET, names, values)


def _is_place(index: Any, record: Record, points: NDArray[np.float64]) -> bool:
    return type(index) is int and 0 <= index < record.vertices and bool((np.abs(points[index + record.base]) <= FARTHEST).all())


def _with_places(address: Any, record: Record, points: NDArray[np.float64], notes: list[Note], row: int) -> Any:
    """Return addresses whose locations hold coordinates instead of vertex indices."""
    listed = address if isinstance(address, list) else [address]
    out = []
    for one in listed:
        location = one.get("location") if isinstance(one, dict) else None
        index = location.get("boundaries") if isinstance(location, dict) else None
        if not isinstance(location, dict) or index is None:
            out.append(one)
        elif isinstance(index, list) and all(_is_place(k, record, points) for k in index):
            places = [points[k + record.base].tolist() for k in index]
            rest = {key: value for key, value in location.items() if key != "boundaries"}
            out.append({**one, "location": {**rest, "coordinates": places}})
        else:
            message = f"the location of an address of {record.id!r} is left out: its vertex index is out of range"
            notes.append(Note("rejected", message, row=row))
            out.append({key: value for key, value in one.items() if key != "location"})
    return out if isinstance(address, list) else out[0]
