"""Which source field becomes which attribute: by the mapping that the user gives, or by guesses that are reported."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.loaders.ranges import range_of
from cim.loaders.vector.classify import guess_class
from cim.loaders.vector.frame import Layer, Note
from cim.model.identifiers import scheme_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.standard_names import NameGuess

__all__ = ["Plan", "Target", "as_mapping", "plan_for"]

SURE, CUT, WEAK = 0.9, 0.55, 0.5
# Field names that say since when and until when an object is there, and those that tell an object from the next (strong before weak).
_FROM = {"validfrom", "begingeldigheid", "begindatum", "creationdate", "objectbegintijd", "startdate", "有效期起", "生效日期", "启用日期"}
_TO = {"validto", "eindgeldigheid", "einddatum", "terminationdate", "objecteindtijd", "enddate", "有效期止", "失效日期"}
_STRONG = ("gmlid", "guid", "uuid", "globalid", "identificatie", "lokaalid", "identificatiebagpnd",
           "bagid", "标识码", "唯一码", "编号", "楼栋编号",
           "建筑编号", "宗地编号", "地块编号", "buildingid", "bldgid", "osmid")  # fmt: skip
_LEVELS = ("relatievehoogteligging", "relatieveh")  # of the Dutch base map (BGT): 0 on the ground, 1 over it, -1 below; cut in a shapefile
_WEAK_IDS = ("id", "uid", "gid", "fid", "oid", "objectid", "ogcfid", "code", "编码", "adcode", "admincode", "key", "nr", "no", "nummer")

# Names that end like an id, taken where every record has another one (道路编 is what a shapefile in UTF-8 leaves of such a name); and
# those among them that name something else, or a class.
_OWN_ID = re.compile(r"(?:编号|编码|代码|^..编|[_\- ][iI][dD]|[\u4e00-\u9fff][iI][dD]|[a-z0-9]I[dD]|^[A-Z0-9]+ID)$")
_OTHERS_ID = re.compile(
    r"起|终|止|上级|所属|父|邻|(?:类|用地|性质|等级|级别|行政|区划|用途|功能|权属|结构|材质|材料|单位|邮政)\w*[编代]码"
    r"|^(?i:from|start|end|parent|prev|previous|next|source|target|class|type)(?:[_\- ]|(?=I[dD]$))|^(?i:to)[_\- ]|^to(?=I[dD]$)"
)


@dataclass(frozen=True)
class Target:
    """One attribute to be: the source field, the name, the unit its values are in."""

    source: str
    """Field of the source."""
    name: str
    unit: str = ""
    standard: str | None = None
    """Standard name, None for a field that is kept as it is."""
    codes: Mapping[str, Any] = field(default_factory=dict)
    """Code list of the source: its value -> the value meant."""


@dataclass(frozen=True)
class Plan:
    """How the fields of one layer are used."""

    type: str
    id: str | None = None
    """Field of the ids; None: the ids of the format, or layer and record number."""
    name: str | None = None
    valid_from: str | None = None
    valid_to: str | None = None
    identifiers: tuple[tuple[str, str], ...] = ()
    """Fields of identifiers, and their schemes."""
    attributes: tuple[Target, ...] = ()
    notes: tuple[Note, ...] = ()


def plan_for(layer: Layer, stem: str, mapping: Mapping[str, Any]) -> Plan:
    """Return the plan for a layer: what the mapping says, and guesses for what it leaves open."""
    given = {**{key: value for key, value in mapping.items() if key != "layers"}, **mapping.get("layers", {}).get(layer.name, {})}
    if not given:
        return _guessed(layer, stem)
    return _mapped(layer, stem, given)


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


# ---------------------------------------------------------------- guesses


def _guessed(layer: Layer, stem: str) -> Plan:
    from cim.standard_names import lookup

    plain = {name: _plain(name) for name in layer.columns}
    since = next((name for name in plain if plain[name] in _FROM), None)
    until = next((name for name in plain if plain[name] in _TO), None)
    identifiers = _identifier_fields(layer, plain)
    named = {name: lookup(name) for name in layer.columns if name not in identifiers and name not in (since, until)}
    certain = {name: found[0] for name, found in named.items() if found and found[0].confidence >= SURE and _fits(layer, name, found[0])}
    meant = {one.standard_name.name for one in certain.values()} - {"identifier"}
    schemes = {scheme_of(name, layer.columns[name]) for name in identifiers}
    found = guess_class((layer.name, stem), meant | _hints(named), schemes, _dimensions(layer))
    chosen = _choose(layer, named, building=found.name == "Building")
    chosen = {name: _with_unit(layer, name, one) for name, one in chosen.items()}
    names = [name for name, one in chosen.items() if one.standard_name.name == "name"]
    level = "layer" not in plain.values()
    attributes = [
        Target(name, "layer") if level and plain[name] in _LEVELS else _target(name, chosen.get(name))
        for name in layer.columns if name not in identifiers and name not in (since, until, *names[:1])
    ]  # fmt: skip
    id_field = _best_id(layer, identifiers, plain)
    return Plan(found.name, id_field, names[0] if names else None, since, until,
                tuple((name, scheme_of(name, layer.columns[name])) for name in identifiers), tuple(attributes),
                (*_guess_notes(layer, found, chosen, id_field, since, until), *_level_notes(layer, attributes)))  # fmt: skip


def _hints(named: Mapping[str, Sequence[NameGuess]]) -> set[str]:
    """Return doubtful names that still tell that something is a building (Floor)."""
    return {
        found[0].standard_name.name
        for found in named.values()
        if found and found[0].confidence >= WEAK and found[0].standard_name.kind == "count"
    }


def _choose(layer: Layer, named: Mapping[str, Sequence[NameGuess]], *, building: bool) -> dict[str, NameGuess]:
    """Return the fields that are taken for a standard name, each name once, the surest field first."""
    ranked = sorted(((found[0], name) for name, found in named.items() if found), key=lambda pair: -pair[0].confidence)
    taken: set[str] = set()
    out: dict[str, NameGuess] = {}
    for one, name in ranked:
        standard = one.standard_name
        doubtful = one.confidence < SURE
        enough = not doubtful or (one.confidence >= CUT and standard.kind in ("number", "count", "year")) or (
            one.confidence >= WEAK and building and standard.name == "storeys_above_ground")  # fmt: skip
        if enough and standard.name not in taken | {"identifier"} and _fits(layer, name, one, strict=doubtful):
            taken.add(standard.name)
            out[name] = one
    return out


def _with_unit(layer: Layer, name: str, guess: NameGuess) -> NameGuess:
    """Return a guess with the unit of a speed limit that nobody states: whole numbers are km/h, for hardly any limit is whole in m/s."""
    if guess.unit or guess.standard_name.name != "speed_limit":
        return guess
    texts = (str(one).strip() for one in layer.columns[name].drop_null().to_pylist())
    whole = [one.removesuffix(".0").isdigit() for one in texts if one]
    return guess._replace(unit="km/h", why=f"{guess.why}; whole numbers without a unit") if whole and all(whole) else guess


def _fits(layer: Layer, name: str, guess: NameGuess, *, strict: bool = False) -> bool:
    """Return whether the values of a field can be what its name says."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column, kind = layer.columns[name], guess.standard_name.kind
    if kind not in ("number", "count", "year"):
        return not (kind == "text" and pa.types.is_floating(column.type))
    if pa.types.is_string(column.type):
        numbers = pc.sum(pc.match_substring_regex(column, r"^\s*[-+]?\d+(?:\.\d+)?\s*$")).as_py() or 0
        return bool(2 * numbers > len(column) - column.null_count)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return bool(column.null_count == len(column))
    bounds = range_of(guess.standard_name.name)
    if not strict:
        return True
    values = column.cast(pa.float64()).drop_null().to_numpy()
    whole = kind == "number" or bool(np.all(values == np.round(values)))
    return whole and len(values) > 0 and bounds is not None and bool(np.mean((values >= bounds.low) & (values <= bounds.high)) > 0.9)


def _target(name: str, guess: NameGuess | None) -> Target:
    if guess is None:
        return Target(name, name)
    return Target(name, guess.standard_name.name, guess.unit or guess.standard_name.unit, guess.standard_name.name)


def _dimensions(layer: Layer) -> NDArray[np.int64]:
    import shapely

    return np.asarray(np.where(shapely.is_missing(layer.geometry), -1, shapely.get_dimensions(layer.geometry)), np.int64)


def _identifier_fields(layer: Layer, plain: Mapping[str, str]) -> list[str]:
    """Return the fields that tell records apart: named so, and different for most records."""
    known = [name for name in layer.columns if (plain[name] in _STRONG and _distinct(layer, name) >= 0.5)
             or (plain[name] in _WEAK_IDS and _distinct(layer, name) >= 0.9)]  # fmt: skip
    if any(plain[name] in _STRONG for name in known):
        return known
    ends = [name for name in layer.columns if _OWN_ID.search(name) and not _OTHERS_ID.search(name) and plain[name] not in _WEAK_IDS]
    whole = (name for name in ends if len(layer) > 1 and not layer.columns[name].null_count)
    own = next((name for name in whole if _distinct(layer, name) == 1.0), None)
    return known if own is None else [own, *known]


def _distinct(layer: Layer, name: str) -> float:
    """Return the share of different values among the records that have one; 0 where most have none."""
    import pyarrow as pa
    import pyarrow.compute as pc

    column = layer.columns[name]
    there = len(column) - column.null_count
    if pa.types.is_floating(column.type) and there and not bool(pc.all(pc.equal(column, pc.floor(column))).as_py()):
        return 0.0
    return float(pc.count_distinct(column).as_py()) / there if there and 2 * there >= len(column) else 0.0


def _best_id(layer: Layer, fields: Sequence[str], plain: Mapping[str, str]) -> str | None:
    order = {name: place for place, name in enumerate((*_STRONG, *_WEAK_IDS))}
    whole = [name for name in fields if layer.columns[name].null_count * 10 <= len(layer)]
    strong = [name for name in whole if plain[name] in _STRONG]
    if layer.ids is not None and not strong:
        return None
    return min(whole, key=lambda name: (order.get(plain[name], -1), name), default=None)


def _guess_notes(
    layer: Layer, found: Any, chosen: Mapping[str, NameGuess], id_field: str | None, since: str | None, until: str | None
) -> tuple[Note, ...]:
    code = "guessed" if found.sure else "assumed"
    notes = [Note(code, f"layer {layer.name}: class {found.name} ({found.why}); say class= in the mapping to choose", "info")]
    for name, one in chosen.items():
        unit = one.unit or one.standard_name.unit
        inside = f" in {unit}" if unit else ""
        notes.append(Note("guessed", f"layer {layer.name}: field {name} is taken for {one.standard_name.name}{inside} ({one.why})", "info"))
    for taken, what in ((id_field, "the ids"), (since, "valid_from"), (until, "valid_to")):
        if taken is not None:
            notes.append(Note("guessed", f"layer {layer.name}: field {taken} is taken for {what}", "info"))
    return tuple(notes)


def _level_notes(layer: Layer, attributes: Sequence[Target]) -> list[Note]:
    found = [one.source for one in attributes if one.name == "layer" != one.source]
    said = "is taken for layer: over the ground, on it or below"
    return [Note("guessed", f"layer {layer.name}: field {name} {said}", "info") for name in found]


# ---------------------------------------------------------------- a given mapping


def _mapped(layer: Layer, stem: str, given: Mapping[str, Any]) -> Plan:
    faults: list[str] = []
    known = {"class", "id", "name", "attributes", "identifiers", "ignore", "valid_from", "valid_to", "keep"}
    faults += [f"key {key!r} is not known (expected {', '.join(sorted(known))})" for key in given if key not in known]
    fields: dict[str, str | None] = {key: given.get(key) for key in ("id", "name", "valid_from", "valid_to")}
    faults += [f"{key}: there is no field {value!r}" for key, value in fields.items() if value is not None and value not in layer.columns]
    targets = _given_targets(layer, given.get("attributes", {}), faults)
    identifiers: dict[str, str | Sequence[str]] = dict(given.get("identifiers", {}))
    owned = tuple((name, scheme) for scheme, said in identifiers.items() for name in ([said] if isinstance(said, str) else said))
    faults += [f"identifiers: there is no field {name!r}" for name, _ in owned if name not in layer.columns]
    if faults:
        msg = f"mapping of layer {layer.name}: {'; '.join(faults)}; its fields are {', '.join(layer.columns)}"
        raise UsageError(msg)
    used = (
        {value for value in fields.values() if value}
        | {one.source for one in targets}
        | {name for name, _ in owned}
        | set(given.get("ignore", ()))
    )
    rest = [Target(name, name) for name in layer.columns if name not in used]
    guess = _guessed(layer, stem)
    class_ = str(given.get("class") or guess.type)
    notes = () if given.get("class") else guess.notes[:1]
    if fields["id"] is not None and fields["id"] not in {name for name, _ in owned}:
        owned = ((fields["id"], scheme_of(fields["id"], layer.columns[fields["id"]])), *owned)
    return Plan(class_, fields["id"], fields["name"], fields["valid_from"], fields["valid_to"], owned, (*targets, *rest), tuple(notes))


def _given_targets(layer: Layer, attributes: Mapping[str, Any], faults: list[str]) -> list[Target]:
    from cim.standard_names import STANDARD_NAMES

    targets = []
    for name, said in attributes.items():
        spec: dict[str, Any] = {"field": said} if isinstance(said, str) else dict(said)
        source = spec.get("field")
        if source not in layer.columns:
            faults.append(f"attribute {name}: there is no field {source!r}")
            continue
        standard = STANDARD_NAMES.get(name)
        unit = str(spec.get("unit", standard.unit if standard else ""))
        targets.append(Target(source, name, unit, name if standard else None, spec.get("codes", {})))
    return targets


def as_mapping(plan: Plan) -> dict[str, Any]:
    """Return a plan in the form that a mapping has, for the draft of a build file."""
    attributes = {one.name: {"field": one.source, **({"unit": one.unit} if one.unit else {})} for one in plan.attributes
                  if one.standard or one.name != one.source}  # fmt: skip
    schemes: dict[str, list[str]] = {}
    for name, scheme in plan.identifiers:
        if name != plan.id or scheme != scheme_of(name):  # the id has the scheme of its field without being told
            schemes.setdefault(scheme, []).append(name)
    identifiers = {scheme: names[0] if len(names) == 1 else names for scheme, names in schemes.items()}
    drafted = {"class": plan.type, "id": plan.id, "name": plan.name, "valid_from": plan.valid_from, "valid_to": plan.valid_to,
               "identifiers": identifiers, "attributes": attributes}  # fmt: skip
    return {key: value for key, value in drafted.items() if value}
