"""Taking out what one source says about some objects, so that what it says now can be put in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.loaders.fusion.claims import CORE
from cim.loaders.fusion.marks import FOOTPRINT
from cim.model.schema import SCHEMAS, one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]

__all__ = ["DERIVED", "HEIGHTS", "Cells", "Stripped", "blocks", "derived_claims", "leads", "strip", "unmeasure"]

HEIGHTS = ("z_ground", "z_roof", "height")
"""Columns that `cim.loaders.fusion.heights` measures."""
DERIVED = r"^(lowest terrain along|ground height plus the stated|roof height minus ground|[0-9.e+-]+th percentile \(linear\) of)"
"""How the methods of measured heights begin."""

Cells = dict[tuple[str, str], "Ints"]


@dataclass(frozen=True)
class Stripped:
    """A city without what a source said about some objects."""

    city: City
    cells: Cells
    """Objects whose value was that of the source (or measured) and is missing now, by class and column."""


def strip(city: City, source: int, keys: Ints, fresh: City, measured: Ints) -> Stripped:
    """Return the city without the contribution of a source to some objects.

    Parameters
    ----------
    source
        Key of the source.
    keys
        Objects, ascending.
    fresh
        The source as it is now.
    measured
        Objects whose blocks go too.
    """
    names = {name for type in fresh.attributes for name in fresh.attributes.schema(type).names}
    cells = _cells(city, source, keys, names)
    led = leads(city, source, keys)
    geometries = city.tables["geometries"]
    drop = pc.and_(among(geometries["object"], keys), equals(geometries["source"], source))
    drop = pc.or_(drop, pc.and_(among(geometries["object"], measured), blocks(geometries)))
    linked = led if fresh.tables.rows("links") else led[:0]
    links = city.tables["links"].filter(pc.invert(among(city.tables["links"]["object"], linked)))
    coverages = city.tables["coverages"]
    coverages = coverages.filter(pc.invert(pc.and_(among(coverages["object"], keys), equals(coverages["source"], source))))
    relations = city.tables["relations"]
    relations = relations.filter(pc.invert(pc.and_(among(relations["subject"], keys), equals(relations["source"], source))))
    done = city.replace_tables(
        objects=_objects(city, led, cells, footprints=_given_footprints(city, source, keys)),
        attributes=_attributes(city, cells), claims=_claims(city, source, keys, cells), links=links, coverages=coverages,
        relations=relations, matches=_matches(city, source, keys), issues=_issues(city, source, keys), **_values(city, source, keys, fresh),
    )  # fmt: skip
    return Stripped(without_rows(done, drop), cells)


def leads(city: City, source: int, keys: Ints) -> Ints:
    """Return the objects that a source leads."""
    said = city.core_rows(["source"], keys)["source"]
    return np.asarray(keys[np.asarray(equals(said, source).to_numpy())], np.int64)


def among(column: pa.ChunkedArray, keys: Ints) -> pa.ChunkedArray:
    """Say which rows are of some objects."""
    return pc.is_in(column, pa.array(keys, pa.int64()))


def equals(column: pa.ChunkedArray, key: int) -> pa.ChunkedArray:
    """Say which rows are of a source."""
    return pc.fill_null(pc.equal(column, key), fill_value=False)


def blocks(geometries: pa.Table) -> pa.ChunkedArray:
    """Say which geometries follow from footprint and heights; see `cim.loaders.fusion.blocks`."""
    flat = pc.and_(pc.equal(geometries["lod"], "0"), pc.equal(geometries["role"], "footprint"))
    solid = pc.and_(pc.equal(geometries["lod"], "1"), pc.equal(geometries["role"], "solid"))
    return pc.and_(pc.is_null(geometries["source"]), pc.or_(flat, solid))


def derived_claims(claims: pa.Table) -> pa.ChunkedArray:
    """Say which claims are heights that were measured or follow from others."""
    return pc.and_(pc.is_in(claims["attribute"], pa.array(HEIGHTS)), pc.match_substring_regex(claims["method"], DERIVED))


def without_rows(city: City, drop: pa.ChunkedArray) -> City:
    """Return the city without some geometries, and what describes them."""
    if not pc.any(drop).as_py():
        return city
    kept = city.tables["geometries"].filter(pc.invert(drop))
    shapes = pa.concat_arrays([one_array(kept["key"]), one_array(city.tables["templates"]["key"])])
    described = {name: city.tables[name].filter(pc.is_in(city.tables[name]["geometry"], shapes)) for name in ("surfaces", "appearances")}
    return city.replace_tables(geometries=kept, **described)


# --------------------------------------------------------------------------------------------- values


def _cells(city: City, source: int, keys: Ints, columns: set[str]) -> Cells:
    """Return the objects whose value in a column is the source's: chosen claims, and values of the objects it leads that nobody claims."""
    claims = city.tables["claims"].filter(among(city.tables["claims"]["object"], keys))
    names = claims["attribute"].to_numpy(zero_copy_only=False)
    owners = np.asarray(claims["object"].to_numpy(), np.int64)
    ours = np.asarray(pc.and_(claims["chosen"], equals(claims["source"], source)).to_numpy())
    led = leads(city, source, keys)
    types = np.asarray(city.core_rows(["type"], keys)["type"].to_pylist(), object)
    cells: Cells = {}
    for type in dict.fromkeys(types.tolist()):
        mine = keys[types == type]
        for name in [*CORE, *_read_columns(city, type, columns, set(names.tolist()))]:
            said = names == name
            silent = np.setdiff1d(np.intersect1d(mine, led), owners[said])
            taken = np.union1d(np.intersect1d(mine, owners[said & ours]), silent)
            if len(taken):
                cells[type, name] = taken.astype(np.int64)
    return cells


def unmeasure(city: City, keys: Ints) -> Stripped:
    """Return the city without the measured heights and the blocks of some objects."""
    claims, geometries = city.tables["claims"], city.tables["geometries"]
    anew = pc.and_(among(claims["object"], keys), derived_claims(claims))
    chosen = claims.filter(pc.and_(anew, claims["chosen"]))
    owners = np.asarray(chosen["object"].to_numpy(), np.int64)
    names = np.asarray(chosen["attribute"].to_pylist(), object)
    types = np.asarray(city.core_rows(["type"], owners)["type"].to_pylist(), object)
    found = sorted(set(zip(types.tolist(), names.tolist(), strict=True)))
    cells = {(type, name): np.unique(owners[(types == type) & (names == name)]) for type, name in found}
    done = city.replace_tables(
        objects=_objects(city, keys[:0], cells, footprints=keys[:0]),
        attributes=_attributes(city, cells),
        claims=claims.filter(pc.invert(anew)),
    )
    return Stripped(without_rows(done, pc.and_(among(geometries["object"], keys), blocks(geometries))), cells)


def _read_columns(city: City, type: str, now: set[str], claimed: set[str]) -> list[str]:
    """Return the attributes of a class that come from sources: those the source has now, that name their field, or that have claims."""
    schema = city.attributes.schema(type)
    return [
        field.name
        for field in schema
        if field.name != "object" and (field.name in now or field.name in claimed or b"source_field" in (field.metadata or {}))
    ]


def _claims(city: City, source: int, keys: Ints, cells: Cells) -> pa.Table:
    """Return the claims of the others; where the value is missing now none is chosen."""
    claims = city.tables["claims"]
    claims = claims.filter(pc.invert(pc.and_(among(claims["object"], keys), equals(claims["source"], source))))
    chosen = np.asarray(claims["chosen"].to_numpy()).copy()
    owners = np.asarray(claims["object"].to_numpy(), np.int64)
    names = claims["attribute"].to_numpy(zero_copy_only=False)
    for (_, name), taken in cells.items():
        chosen &= ~((names == name) & np.isin(owners, taken))
    return claims.set_column(claims.column_names.index("chosen"), SCHEMAS["claims"].field("chosen"), pa.array(chosen))


def _nulled(column: pa.ChunkedArray, owners: pa.ChunkedArray, keys: Ints) -> pa.Array:
    return pc.if_else(among(owners, keys), pa.scalar(None, column.type), column)


def _attributes(city: City, cells: Cells) -> dict[str, pa.Table]:
    changed: dict[str, pa.Table] = {}
    for (type, name), keys in cells.items():
        if name in CORE:
            continue
        table = changed.get(type, city.attributes[type])
        at = table.column_names.index(name)
        changed[type] = table.set_column(at, table.schema.field(at), _nulled(table[name], table["object"], keys))
    return changed


def _objects(city: City, led: Ints, cells: Cells, *, footprints: Ints) -> pa.Table:
    objects = city.tables["objects"]
    empty: dict[str, Ints] = {"footprint": np.union1d(led, footprints), "bbox": np.union1d(led, footprints)}
    for (_, name), taken in cells.items():
        if name in CORE:
            empty[name] = np.union1d(empty.get(name, np.empty(0, np.int64)), taken)
    for name, taken in empty.items():
        at = objects.column_names.index(name)
        if name == "bbox":
            there = np.asarray(pc.invert(among(objects["key"], taken)).to_numpy())
            rows = pa.array(np.arange(len(there)), mask=~there)
            column = one_array(objects[name]).take(rows)
        else:
            column = _nulled(objects[name], objects["key"], taken)
        objects = objects.set_column(at, SCHEMAS["objects"].field(name), column)
    return objects


def _given_footprints(city: City, source: int, keys: Ints) -> Ints:
    """Return the objects whose footprint a source gave that does not lead them."""
    matches = city.tables["matches"]
    mine = pc.and_(among(matches["object"], keys), equals(matches["source"], source))
    said = pc.fill_null(pc.match_substring(matches["evidence"], FOOTPRINT), fill_value=False)
    return np.unique(np.asarray(matches.filter(pc.and_(mine, said))["object"].to_numpy(), np.int64))


def _matches(city: City, source: int, keys: Ints) -> pa.Table:
    matches = city.tables["matches"]
    return matches.filter(pc.invert(pc.and_(among(matches["object"], keys), equals(matches["source"], source))))


def _issues(city: City, source: int, keys: Ints) -> pa.Table:
    """Return the issues without what reading the source told before, and without the conflicts of the objects: both are told anew."""
    issues = city.tables["issues"]
    mine = pc.fill_null(among(issues["object"], keys), fill_value=False)
    conflict = pc.and_(pc.and_(mine, pc.equal(issues["code"], "conflict")), pc.is_valid(issues["record"]))
    whole = pc.and_(pc.is_null(issues["object"]), pc.fill_null(pc.not_equal(issues["record"], "alignment"), fill_value=True))
    read = pc.and_(equals(issues["source"], source), pc.or_(mine, whole))
    return issues.filter(pc.invert(pc.or_(conflict, read)))


def _values(city: City, source: int, keys: Ints, fresh: City) -> dict[str, pa.Table]:
    """Return identifiers and properties without those of objects that only this source knows; sets it knows nothing of stay."""
    matches = city.tables["matches"]
    others = matches.filter(pc.invert(equals(matches["source"], source)))["object"].to_numpy()
    alone = np.setdiff1d(keys, np.asarray(others, np.int64))
    identifiers, properties = city.tables["identifiers"], city.tables["properties"]
    known = pc.is_in(properties["set"], one_array(pc.unique(fresh.tables["properties"]["set"])))
    return {
        "identifiers": identifiers.filter(pc.invert(among(identifiers["object"], alone))),
        "properties": properties.filter(pc.invert(pc.and_(among(properties["object"], alone), known))),
    }
