"""Ground and roof heights of buildings from terrain, point cloud and surface model, each a claim beside what sources state.

The roof height of a footprint is a percentile of the points inside it, never of a neighbour's; the ground height is the lowest
terrain along its ring, where the building meets the ground first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.loaders.fusion.claims import conflicts, json_column
from cim.loaders.fusion.frames import frame_of, points_into_city, shapes_into_frame
from cim.model.schema import SCHEMAS, make_table
from cim.model.spatial import polygons_only

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["add_heights"]

BUILDING, GROUND_CLASSES = 6, (2, 8, 9)
"""ASPRS classes: building; ground, model key point, water."""
MINIMUM_POINTS = 3
"""Fewer points than this inside a footprint say nothing about its roof."""


@dataclass(frozen=True)
class _Measured:
    """One way of measuring one height of all buildings."""

    way: str
    z: Reals
    """Shape (n,): height [m], NaN where it says nothing."""
    source: Any
    """Key of the source, one for all or one each."""
    method: NDArray[Any]
    """Shape (n,): how, in words."""


def add_heights(city: City, *, percentile: float = 90.0, order: Sequence[str] = ("points", "dsm", "read")) -> City:
    """Return the city with ground and roof heights of its buildings, and a claim for each way they were found.

    Parameters
    ----------
    percentile
        Percentile of the heights inside the footprint that is the roof height [%], linear between points.
    order
        Whose roof height is chosen, best first, of ``points``, ``dsm`` and ``read``.

    Notes
    -----
    Points of class 6 (building) count; where a cloud has none, all points but ground and water do, and an issue says so. Where the
    chosen height differs from another claim by more than the tolerance of `cim.loaders.fusion.claims` that is a conflict.
    """
    unknown = set(order) - {"points", "dsm", "read"}
    if unknown:
        msg = f"heights order {', '.join(sorted(unknown))!r} is not known; give points, dsm and read in the order you trust them"
        raise UsageError(msg)
    present = [type for type in ("Building", "BuildingPart") if type in city.attributes]
    keys = np.sort(np.concatenate([city.keys(type) for type in present])) if present else np.empty(0, np.int64)
    shapes = polygons_only(city.footprints(keys))
    if not len(keys):
        return city
    issues: list[dict[str, Any]] = []
    roofs = [*_from_points(city, shapes, percentile, issues), *_from_surface(city, shapes, percentile, issues)]
    city = _apply(city, keys, "z_roof", roofs, order)
    city = _apply(city, keys, "z_ground", _from_terrain(city, shapes, issues), ("terrain", "read"))
    city = _apply(city, keys, "z_roof", _from_stated(city, keys), ("read", "stated"))  # what was chosen above is what is read now
    return _checked(_with_differences(city.with_issues(issues)), keys)


# --------------------------------------------------------------------------------------------- ways of measuring


def _coverages(city: City, kind: str, codes: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return the coverage rows of a kind, with the id and the CIM code of the object they belong to."""
    objects = city.tables["objects"]
    rows = city.tables["coverages"].filter(pc.field("kind") == kind).to_pylist()
    for row in rows:
        at = int(city.row_of_key(row["object"]))
        row["id"], row["code"] = objects["id"][at].as_py(), objects["cim_code"][at].as_py()
    return [row for row in rows if not codes or row["code"] in codes]


def _from_points(city: City, shapes: NDArray[Any], percentile: float, issues: list[dict[str, Any]]) -> list[_Measured]:
    """Measure roofs in all point clouds together: neighbouring tiles are one cloud."""
    rows = [row for row in _coverages(city, "points") if _usable(city, row, issues)]
    if not rows:
        return []
    import shapely

    from cim.loaders.pointcloud import iter_points
    from cim.loaders.zonal import percentile_per_group, points_in_polygons

    z_parts: list[Reals] = []
    owner_parts: list[Ints] = []
    most, source = np.zeros(len(shapes), np.int64), np.full(len(shapes), -1)
    for row in rows:
        before = len(owner_parts)
        classes = _roof_classes(row, issues)
        for points in iter_points(row):
            wanted = np.isin(points.classification, classes) if classes else ~np.isin(points.classification, GROUND_CLASSES)
            x, y = points_into_city(city, row, points.x[wanted], points.y[wanted])
            owner = points_in_polygons(x, y, shapes)
            z_parts.append(points.z[wanted][owner >= 0])
            owner_parts.append(owner[owner >= 0])
        mine = np.bincount(np.concatenate([*owner_parts[before:], np.empty(0, np.int64)]), minlength=len(shapes))
        source[mine > most] = row["source"]  # the claim goes to the tile that holds most of the roof
        most = np.maximum(most, mine)
    z, owner = np.concatenate([*z_parts, np.empty(0)]), np.concatenate([*owner_parts, np.empty(0, np.int64)])
    count = np.bincount(owner, minlength=len(shapes))
    roof = percentile_per_group(z, owner, percentile, len(shapes))
    roof = np.where(count >= MINIMUM_POINTS, roof, np.nan)
    method = np.asarray([f"{percentile:g}th percentile (linear) of {n} roof points inside the footprint" for n in count.tolist()], object)
    few = int((~np.isfinite(roof) & ~shapely.is_missing(shapes)).sum())
    if few:
        issues.append(
            {
                "code": "unmatched",
                "count": few,
                "severity": "info",
                "message": f"{few} footprints hold fewer than {MINIMUM_POINTS} roof points and get no roof height from the cloud",
            }
        )
    return [_Measured("points", roof, source, method)]


def _roof_classes(row: dict[str, Any], issues: list[dict[str, Any]]) -> tuple[int, ...]:
    """Return the classes that are roofs in a cloud: 6 where it was classified for buildings."""
    import json

    histogram = json.loads(row["meta"] or "{}").get("classes", {})
    if int(histogram.get(str(BUILDING), 0)):
        return (BUILDING,)
    issues.append(
        {
            "code": "assumed",
            "object": row["object"],
            "message": "the point cloud has no building class (6); every point that is not ground or water counts as roof",
        }
    )
    return ()


def _from_surface(city: City, shapes: NDArray[Any], percentile: float, issues: list[dict[str, Any]]) -> list[_Measured]:
    """Measure roofs in digital surface models; where several hold cells of a roof, the one with most of them speaks."""
    from cim.loaders.zonal import raster_percentile_in_polygons
    from cim.model.coverages import read_raster

    rows = [row for row in _coverages(city, "raster", ("010402",)) if _usable(city, row, issues)]
    if not rows:
        return []
    z, source, most = np.full(len(shapes), np.nan), np.full(len(shapes), -1), np.zeros(len(shapes))
    for row in rows:
        found = raster_percentile_in_polygons(read_raster(city, row["id"]), shapes_into_frame(city, row, shapes, issues), percentile)
        better = np.isfinite(found.values) & (~np.isfinite(z) | (found.cells > most))
        z[better], source[better], most[better] = found.values[better], row["source"], found.cells[better]
    method = np.full(len(shapes), f"{percentile:g}th percentile (linear) of surface model cells inside the footprint", object)
    return [_Measured("dsm", z, source, method)]


def _from_terrain(city: City, shapes: NDArray[Any], issues: list[dict[str, Any]]) -> list[_Measured]:
    """Measure the ground in a terrain model: the lowest terrain along the ring of the footprint."""
    from cim.loaders.zonal import sample_terrain_along_rings
    from cim.model.coverages import read_raster

    found = []
    for row in _coverages(city, "raster", ("010401",)):
        if not _usable(city, row, issues):
            continue
        z = sample_terrain_along_rings(read_raster(city, row["id"]), shapes_into_frame(city, row, shapes, issues), how="min")
        found.append(_Measured("terrain", z, row["source"], np.full(len(shapes), "lowest terrain along the footprint", object)))
    return found


def _from_stated(city: City, keys: Ints) -> list[_Measured]:
    """Return ground plus the stated height for buildings whose roof nothing else tells."""
    rows = pa.array(city.row_of_key(keys))
    ground, roof = (np.asarray(city.tables["objects"][name].take(rows).to_numpy(), float) for name in ("z_ground", "z_roof"))
    stated = np.full(len(keys), np.nan)
    for type in ("Building", "BuildingPart"):
        if type in city.attributes and "height" in city.attributes.schema(type).names:
            table = city.attributes[type]
            stated[np.searchsorted(keys, np.asarray(table["object"].to_numpy(), np.int64))] = _numbers(table["height"])
    z = np.where(np.isfinite(roof), np.nan, ground + stated)
    if not np.isfinite(z).any():
        return []
    return [_Measured("stated", z, None, np.full(len(keys), "ground height plus the stated height"))]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _numbers(column: pa.ChunkedArray) -> Reals:
    """Return a column as numbers, NaN throughout where it holds text."""
    return np.array(column.to_numpy(), float) if _is_number(column.type) else np.full(len(column), np.nan)


def _usable(city: City, row: dict[str, Any], issues: list[dict[str, Any]]) -> bool:
    """Say whether the heights of a coverage can be used; one that cannot is named, and so is a height system taken on trust."""
    own = frame_of(city, row)
    reason = ""
    if own.vertical is not None and city.crs.vertical is not None and not own.same_vertical(city.crs):
        reason = f"its heights are {own.vertical.name}, those of the city {city.crs.vertical.name}; transform it first"
    if reason:
        text = f"{row['id']!r} is not used for heights: {reason}"
        issues.append({"code": "unsupported", "object": row["object"], "message": text})
        return False
    if (own.vertical is None) != (city.crs.vertical is None):
        side = "its own height system" if own.vertical is None else "the height system of the city"
        text = f"{row['id']!r} gives heights though {side} is unknown; they are taken as they are"
        issues.append({"code": "assumed", "object": row["object"], "message": text})
    return True


# --------------------------------------------------------------------------------------------- choosing


def _apply(city: City, keys: Ints, name: str, measured: Sequence[_Measured], order: Sequence[str]) -> City:
    """Write the best height into its column and every way into the claims."""
    if not measured:
        return city
    objects = city.tables["objects"]
    rows = city.row_of_key(keys)
    read = np.asarray(objects[name].take(pa.array(rows)).to_numpy(), float)
    ways: dict[str, list[Reals]] = {"read": [read]}
    for way in measured:
        ways.setdefault(way.way, []).append(way.z)
    chosen, by = np.full(len(keys), np.nan), np.full(len(keys), -1)
    ranked = [(way, z) for way in order for z in ways.get(way, [])]
    for rank, (_, z) in enumerate(ranked):
        take = ~np.isfinite(chosen) & np.isfinite(z)
        chosen[take], by[take] = z[take], rank
    claims = _claims(
        city,
        keys,
        name,
        measured,
        read,
        chosen_read=(by >= 0) & np.isin(by, [i for i, (way, _) in enumerate(ranked) if way == "read"]),
        chosen=chosen,
    )
    column = np.asarray(objects[name].to_numpy(), float).copy()
    column[rows] = np.where(np.isfinite(chosen), chosen, read)
    at = objects.column_names.index(name)
    changed = objects.set_column(at, SCHEMAS["objects"].field(name), pa.array(column, from_pandas=True))
    return city.replace_tables(objects=changed, claims=claims)


def _claims(
    city: City, keys: Ints, name: str, measured: Sequence[_Measured], read: Reals, *, chosen_read: NDArray[np.bool_], chosen: Reals
) -> pa.Table:
    """Return all claims: what was read keeps standing, chosen or not, and each measurement is added."""
    table = city.tables["claims"]
    mine = np.asarray(pc.and_(pc.equal(table["attribute"], name), pc.is_in(table["object"], pa.array(keys))).to_numpy())
    owner = np.asarray(table["object"].to_numpy(), np.int64)
    keep_chosen = np.zeros(len(owner), bool)
    keep_chosen[mine] = chosen_read[np.searchsorted(keys, owner[mine])]
    flag = np.where(mine, np.asarray(table["chosen"].to_numpy()) & keep_chosen, np.asarray(table["chosen"].to_numpy()))
    table = table.set_column(table.column_names.index("chosen"), SCHEMAS["claims"].field("chosen"), pa.array(flag))
    parts = [table]
    silent = np.flatnonzero(np.isfinite(read) & ~np.isin(keys, owner[mine]))
    sources = city.tables["objects"]["source"]
    if len(silent):
        parts.append(
            _rows(keys[silent], name, read[silent], sources.take(pa.array(city.row_of_key(keys[silent]))), "read", chosen_read[silent])
        )
    taken = chosen_read.copy()
    for way in measured:
        said = np.flatnonzero(np.isfinite(way.z))
        best = (way.z[said] == chosen[said]) & ~taken[said]
        taken[said] |= best
        parts.append(
            _rows(
                keys[said],
                name,
                way.z[said],
                None if way.source is None else np.broadcast_to(way.source, len(way.z))[said],
                way.method[said],
                best,
            )
        )
    return pa.concat_tables(parts)


def _rows(keys: Ints, name: str, values: Reals, source: Any, method: Any, chosen: Any) -> pa.Table:
    return make_table(
        "claims",
        {
            "object": keys,
            "attribute": name,
            "value": json_column(pa.array(values)),
            "unit": "m",
            "source": source,
            "method": method,
            "chosen": chosen,
        },
        len(keys),
    )


def _with_differences(city: City) -> City:
    """Return the city with roof minus ground as a claim on the attribute ``height``, which fills it where no source states one."""
    for type in ("Building", "BuildingPart"):
        if type not in city.attributes:
            continue
        table = city.attributes[type]
        keys = np.asarray(table["object"].to_numpy(), np.int64)
        rows = pa.array(city.row_of_key(keys))
        ground, roof = (np.asarray(city.tables["objects"][name].take(rows).to_numpy(), float) for name in ("z_ground", "z_roof"))
        difference = np.where(roof > ground, roof - ground, np.nan)
        numeric = "height" not in table.column_names or _is_number(table["height"].type)
        if not np.isfinite(difference).any() or not numeric:
            continue
        field = pa.field("height", pa.float64(), metadata={"unit": "m"})
        at = table.column_names.index("height") if "height" in table.column_names else None
        stated = np.full(len(keys), np.nan) if at is None else _numbers(table["height"])
        city = _apply_claims(city, keys, stated, difference)
        column = pa.array(np.where(np.isfinite(stated), stated, difference), from_pandas=True)
        filled = (
            table.append_column(field, column)
            if at is None
            else table.set_column(at, table.schema.field(at).with_type(pa.float64()), column)
        )
        city = city.replace_tables(attributes={type: filled})
    return city


def _apply_claims(city: City, keys: Ints, stated: Reals, difference: Reals) -> City:
    """Add the claims on ``height``: the difference, and what was read where nobody has said so yet."""
    table = city.tables["claims"]
    claimed = np.asarray(table.filter(pc.field("attribute") == "height")["object"].to_numpy(), np.int64)
    known = np.isfinite(difference)
    silent = known & np.isfinite(stated) & ~np.isin(keys, claimed)
    sources = city.tables["objects"]["source"].take(pa.array(city.row_of_key(keys[silent])))
    read = _rows(keys[silent], "height", stated[silent], sources, "read", chosen=True)
    method = "roof height minus ground height"
    ours = _rows(keys[known], "height", difference[known], None, method, ~np.isfinite(stated[known]))
    return city.replace_tables(claims=pa.concat_tables([table, read, ours]))


def _checked(city: City, keys: Ints) -> City:
    """Add the conflicts between heights, and name buildings whose roof lies under their ground."""
    claims = city.tables["claims"]
    heights = claims.filter(pc.is_in(claims["attribute"], pa.array(["z_ground", "z_roof", "height"])))
    rows = pa.array(city.row_of_key(keys))
    ground, roof = (np.asarray(city.tables["objects"][name].take(rows).to_numpy(), float) for name in ("z_ground", "z_roof"))
    below = keys[np.isfinite(ground) & np.isfinite(roof) & (roof <= ground)]
    upside = [
        {
            "code": "invalid",
            "object": key,
            "record": "z_roof",
            "message": "the roof height is not above the ground height; the building gets no block",
        }
        for key in below.tolist()
    ]
    fresh = conflicts(heights, city.tables["issues"])
    return city.with_issues(upside + fresh)
