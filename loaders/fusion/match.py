"""Which object of one city is which object of another: by normalised identifiers first, then by overlap of footprints.

A match is a pair of keys with a kind, a score and its evidence. Overlap is judged in groups, since one register's building may be
another's three: the connected parts of the graph of pairs that share most of the smaller footprint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.schema import one_array
from cim.model.spatial import polygons_only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["Pairs", "match_cities"]

FAR_APART = 50.0
"""Footprints that share an identifier but lie further apart than this [m] are a conflict, not a match: several building widths."""


@dataclass(frozen=True)
class Pairs:
    """Matched pairs; a key may stand in several."""

    left: Ints
    """Shape (p,): key in the first city."""
    right: Ints
    """Shape (p,): key in the second city."""
    kind: NDArray[Any]
    """Shape (p,): ``same``; ``part`` - the right object is a part of the left; ``whole`` - the left object is a part of the right."""
    score: Reals
    """Shape (p,): 1 for identifiers, else intersection over union of the group, between 0 and 1."""
    evidence: NDArray[Any]
    """Shape (p,): text for people."""
    rejected: tuple[str, ...] = ()
    """Pairs that an identifier claims and geometry denies, in words."""

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.left)


def match_cities(left: City, right: City, *, minimum: float = 0.5, use_identifiers: bool = True) -> Pairs:
    """Return which objects of two cities are the same real thing.

    Parameters
    ----------
    left, right
        Cities in the same coordinate system.
    minimum
        Least intersection over union [0 to 1] for a match by geometry; of the two unions where several objects meet several.
    use_identifiers
        Compare normalised identifiers before geometry.

    Notes
    -----
    Identifiers count only where one object of each city holds the value, and where the footprints, if both have one, are not far
    apart. By geometry only objects of the same class are compared, and only polygons.
    """
    named, rejected = _by_identifier(left, right) if use_identifiers else (_none(), ())
    shaped = _by_overlap(left, right, named, minimum)
    return _joined([named, shaped], rejected)


def _joined(parts: Sequence[Pairs], rejected: tuple[str, ...] = ()) -> Pairs:
    columns = [np.concatenate([getattr(part, name) for part in parts]) for name in ("left", "right", "kind", "score", "evidence")]
    return Pairs(columns[0], columns[1], columns[2], columns[3], columns[4], rejected)


def _none() -> Pairs:
    nothing = np.empty(0, np.int64)
    return Pairs(nothing, nothing, np.empty(0, object), np.empty(0), np.empty(0, object))


# --------------------------------------------------------------------------------------------- identifiers


def _identifiers(city: City) -> pa.Table:
    """Return every identifier that exactly one object of the city holds: columns scheme, value, owner.

    Its own id and the numbers of local registers are of scheme ``id``.
    """
    table = city.tables["identifiers"]
    objects = city.tables.scan("objects", ["key", "id"])
    own = pa.table({"scheme": pa.repeat("id", objects.num_rows), "value": one_array(objects["id"]), "owner": one_array(objects["key"])})
    known = pc.is_in(table["scheme"], pa.array(REGISTERS))
    scheme = pc.if_else(known, table["scheme"], "id")  # what one register calls 编号 another calls building_no
    others = pa.table({"scheme": scheme, "value": table["normalised"], "owner": table["object"]})
    both = pa.concat_tables([own, others.cast(own.schema)]).group_by(["scheme", "value", "owner"]).aggregate([])
    single = both.group_by(["scheme", "value"]).aggregate([("owner", "count"), ("owner", "min")])
    single = single.filter((pc.field("owner_count") == 1) & (pc.field("value") != ""))
    return pa.table({"scheme": single["scheme"], "value": single["value"], "owner": single["owner_min"]})


def _by_identifier(left: City, right: City) -> tuple[Pairs, tuple[str, ...]]:
    shared = _identifiers(left).join(_identifiers(right), ["scheme", "value"], join_type="inner", right_suffix="_right", use_threads=False)
    pair = np.stack([np.asarray(shared[name].to_numpy(), np.int64) for name in ("owner", "owner_right")], axis=1)
    if not len(pair):
        return _none(), ()
    words = np.asarray(shared["value"].to_pylist(), object)
    strong = np.isin(np.asarray(shared["scheme"].to_pylist(), object), list(REGISTERS))
    order = np.lexsort((~strong, pair[:, 1], pair[:, 0]))  # the strongest identifier of a pair speaks for it
    pair, first = np.unique(pair[order], axis=0, return_index=True)
    words, strong = words[order][first], strong[order][first]
    once = (np.bincount(_code(pair[:, 0]))[_code(pair[:, 0])] == 1) & (np.bincount(_code(pair[:, 1]))[_code(pair[:, 1])] == 1)
    contradicting = [f"identifier {word!r} ties several objects together and is not used" for word in words[~once].tolist()]
    pair, words, strong = pair[once], words[once], strong[once]
    fits, away = _fits(left, right, pair, strong)
    evidence = np.asarray([f"identifier {word}" for word in words[fits].tolist()], object)
    same = np.full(int(fits.sum()), "same", object)
    kept = pair[fits]
    return Pairs(kept[:, 0], kept[:, 1], same, np.ones(len(kept)), evidence), (
        *contradicting,
        *_denied(left, right, pair, words, fits, away),
    )


REGISTERS = ("bag", "guid", "imgeo", "osm", "gml:id")
"""Schemes whose values are unique in the world; any other number may only count the rows of a file."""
_INSIDE = ("BuildingStorey", "BuildingUnit", "BuildingRoom", "BuildingInstallation", "BuildingConstructiveElement", "BuildingFurniture")


def _fits(left: City, right: City, pair: Ints, strong: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], Reals]:
    """Say which pairs geometry and class allow, and how far apart their footprints lie [m].

    A number of a world-wide register may lie `FAR_APART` off; any other id must name footprints that overlap, and when most of those two
    files share do not, the ids only count rows and none of them is believed. Different classes must cover the same ground.
    """
    import shapely

    a, b = left.footprints(pair[:, 0]), right.footprints(pair[:, 1])
    away = np.asarray(np.nan_to_num(shapely.distance(a, b)), float)
    placed = ~shapely.is_missing(a) & ~shapely.is_missing(b)
    fits = np.where(strong, away <= FAR_APART, away == 0.0)
    weak = placed & ~strong
    if weak.any() and fits[weak].mean() < 0.5:  # fewer than half
        fits &= ~weak
    types = [np.asarray(city.tables["objects"]["type"].take(pa.array(city.row_of_key(keys))).to_pylist(), object)
             for city, keys in ((left, pair[:, 0]), (right, pair[:, 1]))]  # fmt: skip
    unlike = (types[0] != types[1]) & ~(np.isin(types[0], ("Building", "BuildingPart")) & np.isin(types[1], ("Building", "BuildingPart")))
    inside = np.isin(types[0], _INSIDE) | np.isin(types[1], _INSIDE)
    area = np.fmax(shapely.area(shapely.union(a, b)), 1e-9)
    cover = np.nan_to_num(shapely.area(shapely.intersection(a, b)) / area)
    return np.asarray(fits & ~(unlike & (inside | (placed & (cover < 0.5)) | ~placed))), away  # most of both


def _denied(left: City, right: City, pair: Ints, words: NDArray[Any], fits: NDArray[np.bool_], away: Reals) -> list[str]:
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


# --------------------------------------------------------------------------------------------- overlap


def _by_overlap(left: City, right: City, named: Pairs, minimum: float) -> Pairs:
    """Match what identifiers left over, class by class."""
    found = [_none()]
    for type in sorted(set(left.attributes) & set(right.attributes)):
        mine = np.setdiff1d(left.keys(type), np.concatenate([named.left, _coverages(left)]))
        theirs = np.setdiff1d(right.keys(type), np.concatenate([named.right, _coverages(right)]))
        if len(mine) and len(theirs):
            found.append(_overlap(mine, _polygons(left, mine), theirs, _polygons(right, theirs), minimum))
    return _joined(found)


def _coverages(city: City) -> Ints:
    """Return the objects that stand for a raster or a point cloud: two of them over one place are two data sets, not one thing."""
    return np.asarray(city.tables["coverages"]["object"].to_numpy(), np.int64)


def _polygons(city: City, keys: Ints) -> NDArray[Any]:
    """Return valid polygons, None for everything else."""
    import shapely

    shapes = polygons_only(city.footprints(keys))
    bad = ~shapely.is_valid(shapes) & ~shapely.is_missing(shapes)
    shapes[bad] = shapely.make_valid(shapes[bad], method="structure", keep_collapsed=False)
    return shapes


def _overlap(mine: Ints, left: NDArray[Any], theirs: Ints, right: NDArray[Any], minimum: float) -> Pairs:
    """Match polygons of one class in groups."""
    import shapely
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    tree = shapely.STRtree(right)
    a, b = tree.query(left, predicate="intersects")
    shared = shapely.area(shapely.intersection(left[a], right[b]))
    areas, other_areas = np.nan_to_num(shapely.area(left)), np.nan_to_num(shapely.area(right))
    share = shared / np.maximum(np.minimum(areas[a], other_areas[b]), 1e-9)
    keep = share >= minimum
    a, b, shared = a[keep], b[keep], shared[keep]
    if not len(a):
        return _none()
    graph = coo_array((np.ones(len(a)), (a, len(left) + b)), shape=(len(left) + len(right),) * 2)
    _, group = connected_components(graph, directed=False)
    group_of_pair = group[a]
    total = np.bincount(group_of_pair, shared, group.max() + 1)
    lefts = np.bincount(group[: len(left)], areas, group.max() + 1)
    rights = np.bincount(group[len(left) :], other_areas, group.max() + 1)
    iou = np.minimum(total / np.maximum(lefts + rights - total, 1e-9), 1.0)
    count_left = np.bincount(group[np.unique(a)], minlength=group.max() + 1)
    count_right = np.bincount(group[len(left) + np.unique(b)], minlength=group.max() + 1)
    good = (iou >= minimum)[group_of_pair]
    a, b, shared, group_of_pair = a[good], b[good], shared[good], group_of_pair[good]
    n, m, score = count_left[group_of_pair], count_right[group_of_pair], iou[group_of_pair]
    kind = np.where(n == 1, np.where(m == 1, "same", "part"), "whole").astype(object)
    several = (n > 1) & (m > 1)  # a right object that touches one left object only is a part of it
    alone = np.bincount(b, minlength=len(right))[b] == 1
    kind[several & alone] = "part"
    evidence = np.asarray(
        [
            f"overlap {s:.1f} m², IoU {i:.3f}" + ("" if x == y == 1 else f" of a group of {x} and {y}")
            for s, i, x, y in zip(shared, score, n, m, strict=True)
        ],
        object,
    )
    return Pairs(mine[a], theirs[b], kind, score, evidence)
