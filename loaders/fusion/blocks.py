"""LoD0 and LoD1 from footprints and heights, beside whatever geometry the sources bring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.geometry import boundaries_from, extrude, shift, vertices_from
from cim.model.keys import next_geometry
from cim.model.schema import make_table
from cim.model.spatial import polygons_only

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from cim.model import City

__all__ = ["add_blocks"]

AGREE = 0.01
"""A block of a source whose top lies within this of the chosen roof height [m] is the block of the object."""


def add_blocks(city: City, types: tuple[str, ...] = ("Building", "BuildingPart")) -> City:
    """Return the city with an LoD0 footprint and an LoD1 block for every building that has footprint and heights.

    A block that a source brings is kept as it is where its top meets the chosen roof height; where it does not it stays with the role
    ``alternative``, and a new block takes its place.

    Parameters
    ----------
    types
        Classes that get blocks.
    """
    present = [type for type in types if type in city.attributes]
    keys = np.sort(np.concatenate([city.keys(type) for type in present])) if present else np.empty(0, np.int64)
    if not len(keys):
        return city
    rows = pa.array(city.row_of_key(keys))
    ground, roof = (np.asarray(city.tables["objects"][name].take(rows).to_numpy(), float) for name in ("z_ground", "z_roof"))
    shapes = polygons_only(city.footprints(keys))
    demoted, settled = _judge(city, keys, roof)
    missing = shapes.copy()
    missing[np.isin(keys, settled)] = None
    blocks = extrude(missing, ground, roof)
    flats = _flat(city, keys, shapes, ground)
    next_key = next_geometry(city.tables)
    solid = {
        "object": keys[blocks.row],
        "lod": "1",
        "role": "solid",
        "type": blocks.type,
        "boundaries": blocks.boundaries,
        "semantics": blocks.semantics,
    }
    solids = make_table(
        "geometries",
        {**solid, "key": np.arange(next_key, next_key + len(blocks.row)), "vertices": shift(blocks.vertices, -city.origin)},
        len(blocks.row),
    )
    surfaces = make_table(
        "surfaces",
        {
            "geometry": np.repeat(solids["key"].to_numpy(), 3),
            "index": np.tile([0, 1, 2], len(blocks.row)),
            "type": list(blocks.SURFACES) * len(blocks.row),
        },
        3 * len(blocks.row),
    )  # fmt: skip
    first = next_key + len(blocks.row)
    flats = flats.set_column(0, flats.schema.field("key"), pa.array(np.arange(first, first + flats.num_rows)))
    geometries = pa.concat_tables([demoted, solids, flats]).sort_by([("object", "ascending"), ("key", "ascending")])
    changed = city.replace_tables(geometries=geometries, surfaces=pa.concat_tables([city.tables["surfaces"], surfaces]))
    return _levels(changed)


def _judge(city: City, keys: NDArray[np.int64], roof: NDArray[np.float64]) -> tuple[pa.Table, NDArray[np.int64]]:
    """Return the geometries with the role of disagreeing LoD1 blocks changed, and the objects whose block stands."""
    table = city.tables["geometries"]
    block = np.asarray(pc.and_(pc.starts_with(table["lod"], "1"), pc.not_equal(table["role"], "alternative")).to_numpy())
    if not block.any():
        return table, np.empty(0, np.int64)
    mine = table.filter(pa.array(block))
    top = _tops(mine)
    owner = np.asarray(mine["object"].to_numpy(), np.int64)
    place = np.searchsorted(keys, owner)
    known = (place < len(keys)) & (keys[np.minimum(place, len(keys) - 1)] == owner)
    chosen = np.where(known, roof[np.minimum(place, len(keys) - 1)], np.nan)
    wrong = known & np.isfinite(chosen) & (np.abs(top - chosen) > AGREE)
    role = table["role"].to_numpy(zero_copy_only=False).copy()
    role[np.flatnonzero(block)[wrong]] = "alternative"
    return table.set_column(table.column_names.index("role"), table.schema.field("role"), pa.array(role, pa.string())), np.unique(
        owner[~wrong]
    )


def _tops(geometries: pa.Table) -> NDArray[np.float64]:
    from cim.model.geometry import flatten

    flat = flatten(geometries)
    size = np.diff(flat.vertex_start)
    top = np.full(len(size), np.nan)
    used = size > 0
    if used.any():
        top[used] = np.maximum.reduceat(flat.vertices[:, 2], flat.vertex_start[:-1][used])
    return top


def _flat(city: City, keys: NDArray[np.int64], shapes: NDArray[Any], ground: NDArray[np.float64]) -> pa.Table:
    """Return LoD0 surfaces at ground height for objects without an LoD0 geometry."""
    import shapely

    table = city.tables["geometries"]
    have = np.asarray(table.filter(pc.starts_with(table["lod"], "0"))["object"].to_numpy(), np.int64)
    polygonal = ~shapely.is_missing(shapes) & ~np.isin(keys, have) & np.isfinite(ground)
    row = np.flatnonzero(polygonal)
    parts, part_row = shapely.get_parts(shapely.orient_polygons(shapes[row]), return_index=True)
    rings, ring_part = shapely.get_rings(parts, return_index=True)
    xy, point_ring = shapely.get_coordinates(rings, return_index=True)
    keep = np.ones(len(xy), bool)
    keep[np.flatnonzero(np.diff(point_ring, append=-1))] = False
    xy, point_ring = xy[keep], point_ring[keep]
    owner = part_row[ring_part][point_ring] if len(xy) else np.empty(0, np.int64)
    count = np.bincount(owner, minlength=len(row))
    local = np.arange(len(xy)) - np.repeat(np.cumsum(count) - count, count)
    points = np.column_stack([xy, ground[row][owner]]) - city.origin if len(xy) else np.empty((0, 3))
    boundaries = boundaries_from(
        local, np.bincount(point_ring, minlength=len(rings)), np.bincount(ring_part, minlength=len(parts)),
        np.bincount(part_row, minlength=len(row)), np.ones(len(row)), np.ones(len(row)),
    )  # fmt: skip
    return make_table(
        "geometries",
        {"key": np.zeros(len(row), np.int64), "object": keys[row], "lod": "0", "role": "footprint", "type": "MultiSurface",
         "vertices": vertices_from(points, count), "boundaries": boundaries},
        len(row),
    )  # fmt: skip


def _levels(city: City) -> City:
    """Derive CIM code and level anew from the finest level of detail now there; what a source states stays."""
    from cim.model.derive import classify

    objects = city.tables["objects"]
    ours = pc.fill_null(pc.not_equal(objects["level_scheme"], "source"), fill_value=True)
    blank = pa.scalar(None, pa.string())
    for name in ("cim_code", "cim_level"):
        objects = objects.set_column(
            objects.column_names.index(name), objects.schema.field(name), pc.if_else(_derived(objects, name, ours), blank, objects[name])
        )
    return city.replace_tables(objects=classify(objects, city.tables["geometries"]))


def _derived(objects: pa.Table, name: str, ours: pa.ChunkedArray) -> pa.ChunkedArray:
    """Say which values follow from the class and may be derived anew: codes of buildings, and levels of our own scheme."""
    if name == "cim_level":
        return ours
    return pc.is_in(objects["cim_code"], pa.array(["010403", "010404"]))
