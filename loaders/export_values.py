"""What of a shown object may not leave the house: what sources above the grade say of it, and what follows from that.

The rule where nothing says what a value rests on: it is withheld, and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.loaders.fusion.marks import FOOTPRINT
from cim.model.derive import boxes_of, classify
from cim.model.schema import SCHEMAS, one_array

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.loss import Losses

    Ints = NDArray[np.int64]
    Mask = NDArray[np.bool_]
    Gone = dict[str, Ints]
    """Keys of the objects whose value goes, by attribute."""

__all__ = ["own_grades", "without_values"]

VALUES = "values from sources above the grade, and values derived from them"
SHAPES = "geometries from sources above the grade, and geometries derived from them"
STOREYS = "storeys whose number or shape follows from sources above the grade"
TYPED = "objects whose class follows from sources above the grade"
_STOREY_VALUES = ("z_ground", "z_roof", "elevation")
_HEIGHTS = ("z_ground", "z_roof", "height", "storey_height")
_NUMBERS = ("storeys_above_ground", "storeys_below_ground")
_BLOCKS = ("010403", "010404")  # codes of buildings, which follow from the level of detail


@dataclass(frozen=True)
class _Hidden:
    """Which sources are above the grade, and of which objects they are shown all the same."""

    sources: Ints
    owners: Ints
    """Keys of the objects that have a grade of their own: it holds for what their own source says of them."""
    own: Ints
    """Shape of `owners`: their source."""

    def rows(self, table: pa.Table, owner: str = "object") -> Mask:
        """Say which rows of a table are from a source above the grade."""
        source, key = _ints(table["source"]), _ints(table[owner])
        place = np.minimum(np.searchsorted(self.owners, key), max(len(self.owners) - 1, 0))
        free = (self.owners[place] == key) & (self.own[place] == source) if len(self.owners) else np.zeros(len(key), bool)
        return np.asarray(np.isin(source, self.sources) & ~free)


def own_grades(city: City) -> Mask:
    """Say which objects have a grade of their own, shape (n,): not one that a merge took from another source."""
    claims = city.tables["claims"]
    lent = claims.filter((pc.field("attribute") == "grade") & pc.field("chosen") & pc.field("source").is_valid())
    objects = city.tables.scan("objects", ["key", "grade", "source"])
    keys = _ints(objects["key"])
    stated = np.asarray(pc.is_valid(objects["grade"]).to_numpy())
    place = np.searchsorted(keys, _ints(lent["object"]))
    other = _ints(objects["source"])[place] != _ints(lent["source"])
    stated[place[other]] = False
    return stated


def without_values(city: City, sources: Collection[int], losses: Losses) -> City:
    """Return the city without what is from some sources, or follows from it; each kind is counted.

    Parameters
    ----------
    city
        Objects that may be shown.
    sources
        Keys of the sources above the grade.

    Returns
    -------
    City
        The same one where nothing is from these sources. Else geometries, coverages, claims, relations and matches of the sources are
        gone; values whose chosen claim was theirs are empty; so is what was derived from them: claims without a source, blocks, levels
        of detail, elevations of storeys. Boxes are computed anew. Storeys whose number follows from such a value are gone.
    """
    hidden = _hidden(city, sources)
    if not len(hidden.sources):
        return city
    whole = city
    city, gone = _without_storeys(city, _values(city, hidden), losses)
    tables = _cut(city, hidden, gone, losses)
    if city is whole and not gone and all(table.num_rows == city.tables.rows(name) for name, table in tables.items()):
        return city
    before, left = city.tables["geometries"], one_array(tables["geometries"]["key"])
    reshaped = _ints(before["object"].filter(pc.invert(pc.is_in(before["key"], left))))
    touched = np.concatenate([reshaped, _owners(gone, ("z_ground", "z_roof", "footprint")), _gone_from(city, hidden)])
    changed = _boxed(_emptied(city.replace_tables(**tables), gone, losses), touched)
    return changed.subset(_ints(changed.tables["objects"]["key"]))  # surfaces and looks of geometries that are gone


def _ints(column: pa.ChunkedArray | pa.Array) -> Ints:
    return np.asarray(column.fill_null(-1).to_numpy(), np.int64)


def _hidden(city: City, sources: Collection[int]) -> _Hidden:
    objects = city.tables.scan("objects", ["key", "source"])
    own = own_grades(city)
    return _Hidden(np.asarray(sorted(sources), np.int64), _ints(objects["key"])[own], _ints(objects["source"])[own])


def _values(city: City, hidden: _Hidden) -> Gone:
    """Return the values that go: chosen claims of hidden sources, and chosen claims without a source beside them."""
    claims = city.tables["claims"]
    theirs, owner = hidden.rows(claims), _ints(claims["object"])
    chosen, nobody = np.asarray(claims["chosen"].to_numpy(), bool), np.asarray(pc.is_null(claims["source"]).to_numpy(), bool)
    taken = theirs & chosen
    taken |= nobody & chosen & np.isin(owner, owner[taken])
    if _terrain(city, hidden):  # what was computed from it names no source
        taken |= nobody & chosen & np.asarray(pc.match_substring(claims["method"], "terrain").to_numpy(), bool)
    names = np.asarray(claims["attribute"].to_pylist(), object)
    shapes = city.tables["geometries"]
    taken |= nobody & chosen & (names == "type") & np.isin(owner, _ints(shapes["object"])[hidden.rows(shapes)])  # a class seen in a mesh
    gone = {name: np.unique(owner[taken & (names == name)]) for name in dict.fromkeys(names[taken].tolist())}
    matches = city.tables["matches"]
    lent = pc.fill_null(pc.match_substring(matches["evidence"], FOOTPRINT), fill_value=False)
    lent = _ints(matches["object"])[hidden.rows(matches) & np.asarray(lent.to_numpy(), bool)]
    return gone | ({"footprint": np.unique(lent)} if len(lent) else {})


def _without_storeys(city: City, gone: Gone, losses: Losses) -> tuple[City, Gone]:
    """Return the city without objects that tell a hidden value by being there, and the values with those of the storeys that stay."""
    objects = city.tables.scan("objects", ["key", "parent"])
    keys, above = _ints(objects["key"]), _ints(objects["parent"])
    leave = gone.get("type", np.empty(0, np.int64))
    losses.add(TYPED, len(leave))
    if "BuildingStorey" in city.attributes and "storey_basis" in city.attributes.schema("BuildingStorey").names:
        made = city.attributes.scan("BuildingStorey", ["object", "storey_basis"])
        mine, basis = _ints(made["object"]), np.asarray(made["storey_basis"].cast(pa.string()).to_pylist(), object)
        parent = above[np.searchsorted(keys, mine)]
        high, number = (np.isin(parent, _owners(gone, names)) for names in (_HEIGHTS, _NUMBERS))
        ours = np.asarray([text is not None for text in basis.tolist()], bool)
        shaped = np.isin(parent, _owners(gone, ("footprint",)))
        told = ours & (number | shaped | (high & (basis == "estimated")))
        losses.add(STOREYS, int(told.sum()))
        leave = np.concatenate([leave, mine[told]])
        if (ours & high & ~told).any():
            gone = gone | {name: np.union1d(gone.get(name, np.empty(0, np.int64)), mine[ours & high & ~told]) for name in _STOREY_VALUES}
    if not len(leave):
        return city, gone
    before = len(np.unique(leave))
    while len(more := keys[np.isin(above, leave) & ~np.isin(keys, leave)]):
        leave = np.concatenate([leave, more])
    losses.add("objects in one that is left out", len(np.unique(leave)) - before)
    kept = {name: np.setdiff1d(owners, leave) for name, owners in gone.items() if name != "type"}
    return city.subset(np.setdiff1d(keys, leave)), kept


def _owners(gone: Gone, names: Collection[str]) -> Ints:
    return np.unique(np.concatenate([np.empty(0, np.int64), *(gone[name] for name in names if name in gone)]))


def _gone_from(city: City, hidden: _Hidden) -> Ints:
    """Return the objects that lose a coverage."""
    table = city.tables["coverages"]
    return _ints(table["object"])[hidden.rows(table)]


def _cut(city: City, hidden: _Hidden, gone: Gone, losses: Losses) -> dict[str, pa.Table]:
    """Return the tables without the rows that go."""
    tables = city.tables
    geometries, claims, matches = tables["geometries"], tables["claims"], tables["matches"]
    shapes = hidden.rows(geometries) | _derived_shapes(city, hidden, gone)
    said = hidden.rows(claims)
    emptied = np.isin(_ints(claims["object"]), _owners(gone, gone))
    said |= np.asarray(pc.is_null(claims["source"]).to_numpy(), bool) & emptied
    met = hidden.rows(matches)
    records = matches.filter(pa.array(met))
    going = {
        "geometries": shapes, "claims": said, "matches": met, "coverages": hidden.rows(tables["coverages"]),
        "relations": hidden.rows(tables["relations"], "subject"),
        "identifiers": _named(tables["identifiers"], records, matches.filter(pa.array(~met))),
        "properties": np.isin(_ints(tables["properties"]["object"]), _ints(records["object"])),
        "appearances": _pictured(tables, hidden),
    }  # fmt: skip
    words = {
        "geometries": SHAPES,
        "claims": "claims from sources above the grade, and claims derived from them",
        "properties": "properties (long form) of objects that sources above the grade know too",
    }
    for name, mask in going.items():
        losses.add(words.get(name, f"{name} from sources above the grade"), int(mask.sum()))
    return {name: tables[name].filter(pa.array(~mask)) for name, mask in going.items()}


def _derived_shapes(city: City, hidden: _Hidden, gone: Gone) -> Mask:
    """Say which geometries without a source stand on a height that goes."""
    table = city.tables["geometries"]
    owner, nobody = _ints(table["object"]), np.asarray(pc.is_null(table["source"]).to_numpy(), bool)
    ground, roof = (np.isin(owner, gone.get(name, np.empty(0, np.int64))) for name in ("z_ground", "z_roof"))
    flat = np.asarray(pc.starts_with(table["lod"], "0").to_numpy(), bool)
    old = np.asarray(pc.equal(table["role"], "alternative").to_numpy(), bool)
    claims = city.tables["claims"]
    heights = np.isin(np.asarray(claims["attribute"].to_pylist(), object), _HEIGHTS)
    known = np.isin(owner, _ints(claims["object"])[hidden.rows(claims) & heights])  # an older block may be of that height
    piped = np.zeros(len(owner), bool)
    if _terrain(city, hidden):
        piped = np.isin(owner, _ints(city.tables["links"]["object"])) & ~flat  # depths are counted from the terrain
    height = np.isin(owner, gone.get("height", np.empty(0, np.int64)))
    shaped = np.isin(owner, gone.get("footprint", np.empty(0, np.int64)))
    return np.asarray(nobody & (shaped | ground | ((roof | height) & ~flat) | (old & known) | piped))


def _terrain(city: City, hidden: _Hidden) -> bool:
    """Say whether a terrain is among the hidden sources."""
    sources = city.tables["sources"]
    readers = sources["reader"].filter(pc.is_in(sources["key"], pa.array(hidden.sources, pa.int64())))
    return "terrain" in readers.to_pylist()


def _named(identifiers: pa.Table, records: pa.Table, others: pa.Table) -> Mask:
    """Say which identifiers are the record of a hidden source, and of no other."""
    pairs = [set(zip(_ints(table["object"]).tolist(), table["record"].to_pylist(), strict=True)) for table in (records, others)]
    told = pairs[0] - pairs[1]
    rows = zip(_ints(identifiers["object"]).tolist(), identifiers["value"].to_pylist(), strict=True)
    return np.fromiter((row in told for row in rows), bool, identifiers.num_rows)


def _pictured(tables: Any, hidden: _Hidden) -> Mask:
    """Say which appearances show a picture of a hidden source."""
    table, textures = tables["appearances"], tables["textures"]
    secret = textures["key"].filter(pa.array(np.isin(_ints(textures["source"]), np.setdiff1d(hidden.sources, hidden.own))))
    lists = one_array(table["textures"])
    shown = pc.list_parent_indices(lists).filter(pc.is_in(pc.list_flatten(lists), one_array(secret)))
    mask = np.zeros(table.num_rows, bool)
    mask[np.asarray(shown.to_numpy(), np.int64)] = True
    return mask


def _emptied(city: City, gone: Gone, losses: Losses) -> City:
    """Return the city with the values empty, in the core columns and in the attributes."""
    objects, attributes, count = city.tables["objects"], {type: city.attributes[type] for type in city.attributes}, 0
    for name, owners in gone.items():
        mine = pa.array(owners)
        if name in objects.column_names and SCHEMAS["objects"].field(name).nullable and name not in {"parent", "source", "bbox"}:
            objects, some = _blank(objects, "key", name, mine)
            count += some
        for type in list(attributes):
            for column in {name, f"{name}_attribute"} & set(attributes[type].column_names) - {"object"}:
                attributes[type], some = _blank(attributes[type], "object", column, mine)
                count += some
    losses.add(VALUES, count)
    return city.replace_tables(objects=objects, attributes=attributes)


def _blank(table: pa.Table, key: str, name: str, owners: pa.Array) -> tuple[pa.Table, int]:
    """Return a table with a column empty in some rows, and how many values went."""
    field = table.schema.field(name)
    gone = pc.and_(pc.is_in(table[key], owners), pc.is_valid(table[name]))
    column = one_array(table[name])
    plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    kept = pc.if_else(one_array(gone), pa.scalar(None, plain.type), plain)
    changed = table.set_column(table.column_names.index(name), field.with_type(plain.type), kept)
    return changed, int(pc.sum(gone).as_py() or 0)


def _boxed(city: City, keys: Ints) -> City:
    """Return the city with the boxes of some objects, and the levels of all that state none, from what is left."""
    import shapely

    from cim.model.spatial import bbox_column

    objects, geometries = city.tables["objects"], city.tables["geometries"]
    touched = np.isin(_ints(objects["key"]), keys)
    bounds = shapely.bounds(shapely.from_wkb(np.asarray(objects["footprint"].to_pylist(), object)))
    nothing = np.full((len(bounds), 1), np.nan)
    flat = bbox_column(np.hstack([bounds[:, :2], nothing]), np.hstack([bounds[:, 2:], nothing]))
    at = objects.column_names.index("bbox")
    fresh = boxes_of(objects.set_column(at, SCHEMAS["objects"].field("bbox"), flat), geometries, city.tables["templates"], city.origin)
    box = pc.if_else(pa.array(touched), one_array(fresh["bbox"]), one_array(objects["bbox"]))
    objects = objects.set_column(at, SCHEMAS["objects"].field("bbox"), box)
    derived = pc.fill_null(pc.not_equal(objects["level_scheme"], "source"), fill_value=True)
    coded = pc.is_in(objects["cim_code"], pa.array(_BLOCKS))
    for name, mask in (("cim_level", derived), ("cim_code", coded)):
        at, blank = objects.column_names.index(name), pa.scalar(None, pa.string())
        objects = objects.set_column(at, SCHEMAS["objects"].field(name), pc.if_else(mask, blank, objects[name]))
    return city.replace_tables(objects=classify(objects, geometries))
