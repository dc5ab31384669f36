"""What follows from footprints: heights and blocks measured anew for some objects, and what cannot be measured anew named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.loaders.fusion.blocks import add_blocks
from cim.loaders.fusion.heights import add_heights
from cim.loaders.fusion.policies import resolve
from cim.loaders.update.choose import choose
from cim.loaders.update.strip import among, blocks, derived_claims, equals, unmeasure
from cim.model.combine import stacked
from cim.model.keys import next_geometry
from cim.model.schema import SCHEMAS, one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]

__all__ = ["beside", "footprints_of_others", "measurable", "remeasure", "resolved", "stale"]

OVERLAP = 0.5
"""Footprints that share no more than this [m²] share no roof points worth telling: a few at ten points per square metre."""
NAMED = 5
"""Objects that a summary names."""


def measurable(city: City, keys: Ints) -> Ints:
    """Return those of some objects whose heights and blocks fusion made: buildings, where the city has any of them."""
    geometries = city.tables["geometries"]
    if not (pc.any(derived_claims(city.tables["claims"])).as_py() or pc.any(blocks(geometries)).as_py()):
        return keys[:0]
    types = pc.is_in(city.core_rows(["type"], keys)["type"], pa.array(["Building", "BuildingPart"]))
    return np.asarray(keys[np.asarray(types.to_numpy())], np.int64)


def remeasure(city: City, keys: Ints, settings: Mapping[str, Any]) -> City:
    """Return the city with heights and blocks of some buildings, from the rasters and point clouds that it keeps.

    Parameters
    ----------
    keys
        Buildings; what was measured for them before goes.
    settings
        What the city was fused with.
    """
    if not len(keys):
        return city
    bare = unmeasure(city, keys)
    city = replace(choose(bare.city, bare.cells), extra=city.extra)
    covers = city.tables["coverages"]
    there = np.array([Path(path).is_file() for path in covers["path"].to_pylist()], bool)
    gone = covers.filter(pa.array(~there)) if covers.num_rows else covers
    if gone.num_rows:
        keep = pc.invert(pc.is_in(covers["path"], one_array(gone["path"])))
        part = city.replace_tables(coverages=covers.filter(keep))
    else:
        part = city
    covering = np.asarray(covers["object"].to_numpy(), np.int64)
    part = part.subset(np.unique(np.concatenate([keys, covering, _neighbours(city, keys)])))  # a point belongs to one roof only
    known = part.tables.rows("issues")
    order = settings.get("heights", ["points", "dsm", "read"])
    part = add_blocks(add_heights(part, percentile=settings.get("percentile", 90.0), order=order))
    told = _about(part, known, keys, covering)
    if gone.num_rows:
        names = ", ".join(sorted(set(gone["path"].to_pylist()))[:NAMED])
        text = f"{gone.num_rows} rasters or point clouds are not there ({names}): heights of {len(keys)} objects do not rest on them now"
        told.append({"code": "lost", "severity": "warning", "count": gone.num_rows, "message": text})
    return spliced(city, part, keys).with_issues(told)


def _neighbours(city: City, keys: Ints) -> Ints:
    """Return the buildings whose boxes meet those of some buildings."""
    import shapely

    every = [city.keys(type) for type in ("Building", "BuildingPart") if type in city.attributes]
    others = np.setdiff1d(np.concatenate(every), keys)
    shapes = city.footprints(others)
    tree = shapely.STRtree(shapes)
    return np.asarray(others[np.unique(tree.query(city.footprints(keys))[1])], np.int64)


def _about(part: City, known: int, keys: Ints, covering: Ints) -> list[dict[str, Any]]:
    """Return the issues of measuring that are about some buildings or the coverages, not about their neighbours."""
    mine = {*keys.tolist(), *covering.tolist()}
    rows = part.tables["issues"].slice(known).to_pylist()
    kept = [row for row in rows if row["object"] in mine or (row["object"] is None and row["code"] in {"crs", "unsupported"})]
    claims = part.tables["claims"]
    clouds = pc.any(pc.equal(part.tables["coverages"]["kind"], "points")).as_py()
    roofs = claims.filter(pc.and_(pc.equal(claims["attribute"], "z_roof"), pc.match_substring(claims["method"], "roof points inside")))
    bare = np.setdiff1d(keys, np.asarray(roofs["object"].to_numpy(), np.int64))
    if clouds and len(bare):
        text = f"{len(bare)} footprints hold too few roof points and get no roof height from the cloud{_named(part, bare)}"
        kept.append({"code": "unmatched", "severity": "info", "count": len(bare), "message": text})
    return kept


def beside(before: City, after: City, keys: Ints) -> list[dict[str, Any]]:
    """Return an issue for buildings that some others overlapped before or overlap now: points of their roofs were counted once only."""
    import shapely

    every = [after.keys(type) for type in ("Building", "BuildingPart") if type in after.attributes]
    others = np.setdiff1d(np.concatenate(every), keys) if every else keys[:0]
    claims = after.tables["claims"]
    roofs = claims.filter(pc.match_substring(claims["method"], "roof points inside"))["object"].to_numpy()
    others = np.intersect1d(others, np.asarray(roofs, np.int64))
    shapes = after.footprints(others)
    tree = shapely.STRtree(shapes)
    held = np.asarray(before.tables["objects"]["key"].to_numpy(), np.int64)
    met: list[Ints] = []
    for city, mine in ((before, np.intersect1d(keys, held)), (after, keys)):
        outlines = city.footprints(mine)
        pair = tree.query(outlines, predicate="intersects")
        if pair.size:
            met.append(pair[1][shapely.area(shapely.intersection(outlines[pair[0]], shapes[pair[1]])) > OVERLAP])
    found = others[np.unique(np.concatenate([*met, np.empty(0, np.int64)]))]
    if not len(found):
        return []
    text = f"stale: {len(found)} buildings shared roof points with footprints that changed, or do now; their heights stay as measured"
    return [{"code": "assumed", "severity": "info", "count": len(found), "message": f"{text}{_named(after, found)}"}]


def resolved(city: City, keys: Ints, settings: Mapping[str, Any]) -> City:
    """Return the city with the claims of some objects chosen by the policy it was fused with; ``first`` is how they stand already."""
    policy = settings.get("policy", "first")
    if policy == "first" or not len(keys):
        return city
    part = city.subset(keys)
    known = part.tables.rows("issues")
    done = resolve(part, policy, dates=settings.get("dates") or None)
    told = done.tables["issues"].slice(known) if done.tables.rows("issues") > known else done.tables["issues"].slice(0, 0)
    return spliced(city, done, keys).with_issues(told.to_pylist())


def spliced(city: City, part: City, keys: Ints) -> City:
    """Return a city with core columns, attributes, claims and geometries of some objects as `part` has them."""
    tables: dict[str, pa.Table] = {}
    for name in ("objects", "claims"):
        column = "key" if name == "objects" else "object"
        rest = city.tables[name].filter(pc.invert(among(city.tables[name][column], keys)))
        mine = part.tables[name].filter(among(part.tables[name][column], keys))
        if name == "objects":
            mine = _same_parents(city, mine)
        tables[name] = pa.concat_tables([rest, mine])
    notes: list[str] = []
    attributes = {}
    for type in part.attributes:
        table, own = city.attributes[type], part.attributes[type]
        mine = own.filter(among(own["object"], keys))
        if mine.num_rows:
            attributes[type] = stacked([table.filter(pc.invert(among(table["object"], keys))), mine], notes).sort_by("object")
    done = city.replace_tables(**tables, attributes=attributes, **_geometries(city, part, keys))
    return replace(done, extra=city.extra)


def _same_parents(city: City, objects: pa.Table) -> pa.Table:
    """Return rows of objects with the parents they have in the city: a part of a city may lack them."""
    parents = city.core_rows(["parent"], objects["key"].to_numpy())["parent"]
    return objects.set_column(objects.column_names.index("parent"), SCHEMAS["objects"].field("parent"), parents)


def _geometries(city: City, part: City, keys: Ints) -> dict[str, pa.Table]:
    """Return geometries and surfaces with those of some objects taken from `part`; its new ones get keys of their own."""
    old, own = city.tables["geometries"], part.tables["geometries"]
    mine = own.filter(among(own["object"], keys))
    number = np.asarray(mine["key"].to_numpy(), np.int64).copy()
    fresh = ~np.isin(number, np.asarray(old.filter(among(old["object"], keys))["key"].to_numpy(), np.int64))
    names = number[fresh]
    number[fresh] = next_geometry(city.tables) + np.arange(int(fresh.sum()))
    renamed = mine.set_column(0, SCHEMAS["geometries"].field("key"), pa.array(number))
    rest = old.filter(pc.invert(among(old["object"], keys)))
    described = part.tables["surfaces"]
    place = pc.index_in(described["geometry"], pa.array(names))
    more = described.filter(pc.is_valid(place))
    keys_of = pa.array(number[fresh]).take(one_array(place.drop_null()))
    more = more.set_column(0, SCHEMAS["surfaces"].field("geometry"), keys_of)
    geometries = pa.concat_tables([rest, renamed]).sort_by([("object", "ascending"), ("key", "ascending")])
    return {"geometries": geometries, "surfaces": pa.concat_tables([city.tables["surfaces"], more])}


def footprints_of_others(city: City, keys: Ints) -> City:
    """Return the city with footprints from the geometry of other sources where the source of the footprint is gone; the rest is named."""
    import shapely

    from cim.model.footprints import derive_places
    from cim.model.geometry import shift
    from cim.model.spatial import bbox_column

    bare = keys[shapely.is_missing(city.footprints(keys))]
    if not len(bare):
        return city
    table = city.geometry_table(keys=bare)
    rows = np.searchsorted(bare, np.asarray(table["object"].to_numpy(), np.int64))
    table = table.set_column(table.column_names.index("object"), "object", pa.array(rows))
    at = table.column_names.index("vertices")
    table = table.set_column(at, SCHEMAS["geometries"].field("vertices"), shift(table["vertices"], city.origin))
    shapes = derive_places(table, len(bare)).footprint
    bounds = shapely.bounds(shapes)
    nothing = np.full((len(bounds), 1), np.nan)
    place = pc.index_in(city.tables["objects"]["key"], pa.array(bare))
    box = bbox_column(np.hstack([bounds[:, :2], nothing]), np.hstack([bounds[:, 2:], nothing]))
    objects = city.tables["objects"]
    there = np.asarray(pc.and_(pc.is_valid(place), pc.is_null(objects["bbox"])).to_numpy())
    index = one_array(place)
    flat = pa.array([None if shape is None else shapely.to_wkb(shape, byte_order=1) for shape in shapes], pa.binary())
    objects = objects.set_column(
        objects.column_names.index("footprint"), SCHEMAS["objects"].field("footprint"), pc.coalesce(flat.take(index), objects["footprint"])
    )
    both = pa.concat_arrays([one_array(objects["bbox"]), one_array(pa.chunked_array([box]))])
    rows = np.where(there, len(there) + np.asarray(index.fill_null(0).to_numpy(zero_copy_only=False)), np.arange(len(there)))
    objects = objects.set_column(objects.column_names.index("bbox"), SCHEMAS["objects"].field("bbox"), both.take(pa.array(rows)))
    lost = bare[shapely.is_missing(shapes)]
    done = city.replace_tables(objects=objects)
    if not len(lost):
        return done
    text = f"{len(lost)} objects have no footprint any longer: only the removed records had one{_named(done, lost)}"
    return done.with_issues([{"code": "lost", "count": len(lost), "message": text}])


def stale(city: City, keys: Ints, source: int) -> list[dict[str, Any]]:
    """Return issues that name what was derived from the former places of objects and was not derived anew.

    Parameters
    ----------
    keys
        Objects that moved or changed shape.
    source
        Of the records.
    """
    issues: list[dict[str, Any]] = []
    claims = city.tables["claims"]
    foreign = pc.and_(among(claims["object"], keys), pc.invert(equals(claims["source"], source)))
    kept = pc.and_(foreign, pc.invert(pc.or_(derived_claims(claims), pc.starts_with(claims["method"], "read"))))
    for name in sorted(set(claims.filter(kept)["attribute"].to_pylist())):
        owners = np.unique(claims.filter(pc.and_(kept, pc.equal(claims["attribute"], name)))["object"].to_numpy())
        issues.append(_stale(city, owners, f"{name} of {len(owners)} objects was derived from their former place or shape", name))
    objects = city.tables.scan("objects", ["key", "parent", "source"])
    named = one_array(city.tables["matches"]["object"])
    made = pc.and_(pc.is_null(objects["source"]), pc.invert(pc.is_in(objects["key"], named)))
    parts = np.asarray(objects.filter(pc.and_(made, pc.fill_null(among(objects["parent"], keys), fill_value=False)))["key"].to_numpy())
    if len(parts):
        issues.append(_stale(city, parts, f"{len(parts)} parts were derived from the former place or shape of their wholes", "parts"))
    geometries = city.tables["geometries"]
    others = pc.and_(among(geometries["object"], keys), pc.is_valid(geometries["source"]))
    others = pc.and_(others, pc.invert(equals(geometries["source"], source)))
    still = np.unique(np.asarray(geometries.filter(others)["object"].to_numpy(), np.int64))
    if len(still):
        text = f"{len(still)} objects have another footprint now; the geometries that other sources give them stay where they are"
        issues.append({"code": "conflict", "count": len(still), "message": f"{text}{_named(city, still)}"})
    return issues


def _stale(city: City, owners: Ints, text: str, record: str) -> dict[str, Any]:
    return {"code": "assumed", "count": len(owners), "record": record, "message": f"stale: {text}; derive it anew{_named(city, owners)}"}


def _named(city: City, keys: Ints) -> str:
    return f": {', '.join(map(repr, city.ids(keys[:NAMED])))}" + (" ..." if len(keys) > NAMED else "")
