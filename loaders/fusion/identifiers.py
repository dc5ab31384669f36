"""Objects that two cities know under one identifier, where place, class and period allow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.loaders.fusion.pairs import Pairs, nothing, side_of, together
from cim.model.schema import one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.fusion.pairs import Flags, Ints, Reals
    from cim.model import City

__all__ = ["INSIDE", "match_identifiers"]

FAR_APART = 50.0
"""Footprints that share an identifier but lie further apart than this [m] are a conflict, not a match: several building widths."""
REGISTERS = ("bag", "guid", "imgeo", "osm", "gml:id")
"""Schemes whose values are unique in the world; any other number may only count the rows of a file."""
INSIDE = ("BuildingStorey", "BuildingUnit", "BuildingRoom", "BuildingInstallation", "BuildingConstructiveElement", "BuildingFurniture")
"""Classes that lie within a building, one above the other: a footprint does not tell them apart."""
_BOX = ("xmin", "ymin", "xmax", "ymax")
VERSIONS = 16
"""Objects of one city that may hold one identifier one after the other; a value that more hold tells nothing apart."""


def match_identifiers(left: City, right: City, left_shapes: NDArray[Any], right_shapes: NDArray[Any], join: dict[str, str]) -> Pairs:
    """Return the pairs that share an identifier, and in words those that share one and are kept apart.

    Parameters
    ----------
    left_shapes, right_shapes
        Footprints of all objects, in the order of the tables, where the alignment check puts them.
    join
        Class of a register's records to the class of the objects they speak of.
    """
    shared = _identifiers(left).join(_identifiers(right), ["scheme", "value"], join_type="inner", right_suffix="_right", use_threads=False)
    pair = np.stack([np.asarray(shared[name].to_numpy(), np.int64) for name in ("owner", "owner_right")], axis=1)
    if not len(pair):
        return nothing()
    words = np.asarray(shared["value"].to_pylist(), object)
    strong = np.isin(np.asarray(shared["scheme"].to_pylist(), object), list(REGISTERS))
    order = np.lexsort((~strong, pair[:, 1], pair[:, 0]))  # the strongest identifier of a pair speaks for it
    pair, first = np.unique(pair[order], axis=0, return_index=True)
    words, strong = words[order][first], strong[order][first]
    pair, words, strong = _at_one_time(left, right, pair, words, strong)
    once = (np.bincount(_code(pair[:, 0]))[_code(pair[:, 0])] == 1) & (np.bincount(_code(pair[:, 1]))[_code(pair[:, 1])] == 1)
    tied = dict.fromkeys(words[~once].tolist())
    contradicting = [f"identifier {word!r} ties several objects together and is not used" for word in tied]
    pair, words, strong = pair[once], words[once], strong[once]
    shapes = left_shapes[left.row_of_key(pair[:, 0])], right_shapes[right.row_of_key(pair[:, 1])]
    fits, away = _fits(left, right, pair, strong, shapes, join)
    evidence = np.empty(int(fits.sum()), object)
    evidence[:] = [f"identifier {word}" for word in words[fits].tolist()]
    kept = pair[fits]
    denied = _denied(left, right, pair, words, fits, away)
    same = np.full(len(kept), "same", object)
    return Pairs(kept[:, 0], kept[:, 1], same, np.ones(len(kept)), evidence, (*contradicting, *denied))


def _identifiers(city: City) -> pa.Table:
    """Return every identifier that few objects of the city hold: columns scheme, value, owner.

    Its own id and the numbers of local registers are of scheme ``id``. Several may hold one after the other: versions of one thing.
    """
    table = city.tables["identifiers"]
    objects = city.tables.scan("objects", ["key", "id"])
    own = pa.table({"scheme": pa.repeat("id", objects.num_rows), "value": one_array(objects["id"]), "owner": one_array(objects["key"])})
    known = pc.is_in(table["scheme"], pa.array(REGISTERS))
    scheme = pc.if_else(known, table["scheme"], "id")  # what one register calls 编号 another calls building_no
    others = pa.table({"scheme": scheme, "value": table["normalised"], "owner": table["object"]})
    both = pa.concat_tables([own, others.cast(own.schema)]).group_by(["scheme", "value", "owner"]).aggregate([])
    both = both.filter(pc.field("value") != "")
    count = both.group_by(["scheme", "value"]).aggregate([("owner", "count")])
    many = count.filter(pc.field("owner_count") > 1)
    if not many.num_rows:
        return both
    several = many.join(both, ["scheme", "value"], join_type="inner", use_threads=False)
    versions = several.filter((pc.field("owner_count") <= VERSIONS) & pc.is_in(pc.field("owner"), _dated(city)))
    single = both.join(many, ["scheme", "value"], join_type="left anti", use_threads=False)
    return pa.concat_tables([single, versions.select(single.column_names)])


def _dated(city: City) -> pa.Array:
    """Return the objects with a period: only these may be versions of each other."""
    rows = city.tables.scan("objects", ["key", "valid_from", "valid_to"])
    return one_array(rows.filter(pc.field("valid_from").is_valid() | pc.field("valid_to").is_valid())["key"])


def _at_one_time(left: City, right: City, pair: Ints, words: NDArray[Any], strong: Flags) -> tuple[Ints, NDArray[Any], Flags]:
    """Drop pairs whose periods do not meet: an identifier used again, or an older version."""
    none = np.empty(len(pair), object)
    row = np.arange(len(pair))
    alive = together(side_of(left, pair[:, 0], none), side_of(right, pair[:, 1], none), row, row)
    return pair[alive], words[alive], strong[alive]


def _fits(
    left: City, right: City, pair: Ints, strong: Flags, shapes: tuple[NDArray[Any], NDArray[Any]], join: dict[str, str]
) -> tuple[Flags, Reals]:
    """Say which pairs geometry and class allow, and how far apart their footprints lie [m].

    Where a footprint is missing the boxes of the geometry are compared: one model may be set up in two places, its ids with it.

    A number of a world-wide register may lie `FAR_APART` off; any other id must name footprints that overlap, and when most of those two
    files share do not, the ids only count rows and none of them is believed. Different classes must cover the same ground, unless
    the caller says that the one is a register of the other.
    """
    import shapely

    a, b = shapes
    away = np.asarray(shapely.distance(a, b), float)
    placed = ~shapely.is_missing(a) & ~shapely.is_missing(b)
    away = np.where(placed, away, _between_boxes(left, right, pair))
    boxed = np.isfinite(away)
    away = np.nan_to_num(away)
    types = [
        np.asarray(city.core_rows(["type"], keys)["type"].to_pylist(), object) for city, keys in ((left, pair[:, 0]), (right, pair[:, 1]))
    ]
    said = np.asarray([join.get(kind, "") for kind in types[1].tolist()], object) == types[0] if len(pair) else np.empty(0, bool)
    fits = np.where(strong | said, away <= FAR_APART, away == 0.0)
    weak = ~strong & ~said
    if (weak & boxed).any() and fits[weak & boxed].mean() < 0.5:  # fewer than half
        fits &= ~weak
    unlike = (types[0] != types[1]) & ~(np.isin(types[0], ("Building", "BuildingPart")) & np.isin(types[1], ("Building", "BuildingPart")))
    unlike &= ~said
    inside = np.isin(types[0], INSIDE) | np.isin(types[1], INSIDE)
    cover = np.zeros(len(pair))
    doubtful = np.flatnonzero(unlike & placed)
    area = np.fmax(shapely.area(shapely.union(a[doubtful], b[doubtful])), 1e-9)
    cover[doubtful] = np.nan_to_num(shapely.area(shapely.intersection(a[doubtful], b[doubtful])) / area)
    return np.asarray(fits & ~(unlike & (inside | (placed & (cover < 0.5)) | ~placed))), away  # most of both


def _between_boxes(left: City, right: City, pair: Ints) -> Reals:
    """Return how far apart the boxes of two objects lie in plan [m], NaN where either has none."""
    sides = []
    for city, keys in ((left, pair[:, 0]), (right, pair[:, 1])):
        box = one_array(city.core_rows(["bbox"], keys)["bbox"])
        sides.append([np.asarray(pc.struct_field(box, name).to_numpy(zero_copy_only=False), float) for name in _BOX])
    (ax, ay, az, aw), (bx, by, bz, bw) = sides
    gaps = [np.maximum(np.maximum(low - high, other - top), 0.0) for low, high, other, top in ((ax, bz, bx, az), (ay, bw, by, aw))]
    return np.asarray(np.hypot(*gaps))


def _denied(left: City, right: City, pair: Ints, words: NDArray[Any], fits: Flags, away: Reals) -> list[str]:
    """Return the pairs that share an identifier and are kept apart: one by one where few, in one sentence where ids only count rows."""
    bad = np.flatnonzero(~fits)
    if len(bad) > len(pair) / 2 and len(bad) > 1:
        return [f"{len(bad)} ids stand in both sources but at other places or for other classes: they count rows and are not used"]
    named = zip(left.ids(pair[bad, 0]), right.ids(pair[bad, 1]), words[bad].tolist(), away[bad].tolist(), strict=True)
    return [
        f"{a!r} and {b!r} share the identifier {word!r} but "
        + (f"lie {gap:.0f} m apart" if gap > 0 else "are of different classes")
        + "; they are kept as two objects"
        for a, b, word, gap in named
    ]


def _code(keys: Ints) -> Ints:
    return np.unique(keys, return_inverse=True)[1]
