"""The gate that every city passes on its way in, whatever its format: what no reader needs to check again.

Finite numbers, a coordinate system that fits the coordinates, values an attribute can have, vertex indices that exist, parents
without cycles, unique ids, counts that add up. What cannot be right is made missing or left out, counted and named.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CRSError
from cim.loaders.ranges import SENTINELS, Range, range_of

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from cim.crs import CityCRS
    from cim.model import City

    Mask = NDArray[np.bool_]
    Row = dict[str, Any]

__all__ = ["check", "doubts"]

MOST_ROWS = 20
"""Issues of one kind that name their object; the rest are counted in one more."""
LOCAL_EXTENTS = 2.0
"""How many of its own extents from zero a place may lie to be taken for a local system."""


def check(city: City, path: Path) -> City:
    """Return the city with what is absurd made missing, and every such change among its issues.

    Parameters
    ----------
    city
        What a reader returned.
    path
        The file, for the message of an error.

    Raises
    ------
    CRSError
        If the coordinates cannot lie in the coordinate system.
    """
    rows: list[Row] = []
    city = _attributes(city, rows)
    city = _levels(city, rows)
    city = _geometries(city, rows)
    city = _parents(city, rows)
    city = _ids(city, rows)
    known = set(city.tables["issues"]["message"].to_pylist())
    rows += [{"code": "crs", "message": text} for text in doubts(city.bounds, city.crs, str(path)) if not any(text in one for one in known)]
    rows += list(_counts(city))
    return city.with_issues(rows) if rows else city


def doubts(bounds: tuple[float, float, float, float], crs: CityCRS, path: str) -> list[str]:
    """Return what is doubtful about coordinates in a system; local coordinates around zero are a doubt, not an error.

    Raises
    ------
    CRSError
        If they cannot be in it.
    """
    from cim.crs.plausible import check_plausible

    local = crs.is_projected and not crs.is_local and _around_zero(bounds)
    told = f"coordinates up to {max(map(abs, bounds)):g} look local, not {crs.horizontal.name}; give the position of their origin"
    try:
        said = check_plausible(bounds, crs, path=path)
    except CRSError:
        if local:
            return [told]
        raise
    return [*said, told] if local and not any("local" in one for one in said) else said


def _around_zero(bounds: tuple[float, float, float, float]) -> bool:
    """Return whether a place lies around zero as seen from its own size: degrees of a real place do not."""
    west, south, east, north = bounds
    extent = max(east - west, north - south)
    return max(abs(west + east), abs(south + north)) / 2.0 <= LOCAL_EXTENTS * extent and max(map(abs, bounds)) < 1e4


# ---------------------------------------------------------------- attribute values


def _attributes(city: City, rows: list[Row]) -> City:
    """Make values missing that a known attribute cannot have."""
    changed: dict[str, pa.Table] = {}
    for type_ in city.attributes:
        table = city.attributes[type_]
        for name in table.column_names:
            bounds = range_of(name)
            bad = None if bounds is None else _outside(table[name], bounds)
            if bounds is None or bad is None or not bad.any():
                continue
            keys = table["object"].to_numpy()[bad]
            values = table[name].to_numpy()[bad]
            rows += _value_rows(city, f"{name} of {type_}", keys, values, bounds)
            table = _blanked(table, name, bad)
            changed[type_] = table
    return city.replace_tables(attributes=changed) if changed else city


def _outside(column: pa.ChunkedArray, bounds: Range) -> Mask | None:
    """Return which values lie outside the bounds, are not finite or stand for no value; None for a column of other things."""
    import pyarrow as pa

    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        return None
    there = np.asarray(column.is_valid().to_numpy())
    values = np.asarray(column.cast(pa.float64(), safe=False).fill_null(0.0).to_numpy(), float)
    sentinel = np.isin(values, SENTINELS) & (np.abs(values) >= 999.0)
    if bounds.high > 1e5:
        sentinel &= (values < 0.0) | (values > 1e30)
    outside: Mask = there & ~((values >= bounds.low) & (values <= bounds.high) & ~sentinel)
    return outside


def _value_rows(city: City, what: str, keys: NDArray[np.int64], values: NDArray[Any], bounds: Range) -> Iterator[Row]:
    named = city.ids(keys[:MOST_ROWS])
    expected = f"{bounds.low:g} to {bounds.high:g} {bounds.unit}".strip()
    for key, value, id_ in zip(keys.tolist(), values.tolist(), named, strict=False):
        message = f"{what} {id_!r} is {value:g}, out of the range {expected} (a sentinel for no value, or another unit); set to missing"
        yield {"code": "rejected", "object": int(key), "message": message}
    if len(keys) > MOST_ROWS:
        more = len(keys) - MOST_ROWS
        yield {"code": "rejected", "count": more, "message": f"{what}: {more} more values out of the range {expected}; set to missing"}


def _blanked(table: pa.Table, name: str, bad: Mask) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    place = table.column_names.index(name)
    field = table.schema.field(name)
    return table.set_column(place, field.with_nullable(True), pc.if_else(pa.array(bad), pa.scalar(None, field.type), table[name]))


def _levels(city: City, rows: list[Row]) -> City:
    """Make ground and roof heights of the objects missing where they cannot be, and name roofs below their ground."""
    objects = city.tables["objects"]
    before = objects
    for name in ("z_ground", "z_roof"):
        bounds = range_of(name)
        bad = None if bounds is None else _outside(objects[name], bounds)
        if bounds is not None and bad is not None and bad.any():
            rows += _value_rows(city, f"{name} of", objects["key"].to_numpy()[bad], objects[name].to_numpy()[bad], bounds)
            objects = _blanked(objects, name, bad)
    ground, roof = (np.asarray(objects[name].to_numpy(), float) for name in ("z_ground", "z_roof"))
    with np.errstate(invalid="ignore"):
        below = roof < ground - 1e-6
    if below.any():
        first = city.ids(objects["key"].to_numpy()[below][:3])
        rows.append(
            {
                "code": "conflict",
                "count": int(below.sum()),
                "message": f"roof below ground for {int(below.sum())} objects ({', '.join(first)}…)",
            }
        )
    return city if objects is before else city.replace_tables(objects=objects)


# ---------------------------------------------------------------- geometry


def _geometries(city: City, rows: list[Row]) -> City:
    """Leave out geometries with vertices or matrices that are not finite, indices that point nowhere, or no template."""
    import pyarrow as pa

    table, templates = city.tables["geometries"], city.tables["templates"]
    if not table.num_rows:
        return city
    infinite, astray = _infinite(table), _astray(table)
    shapeless = np.zeros(table.num_rows, bool)
    if table["template"].null_count < table.num_rows:
        bad = _infinite(templates) | _astray(templates)
        good = templates["key"].filter(pa.array(~bad))
        shapeless = ~_is_in(table["template"], good) & np.asarray(table["template"].is_valid().to_numpy())
        templates = templates.filter(pa.array(~bad))
        matrix = table["matrix"].combine_chunks()
        size = np.asarray(table["matrix"].is_valid().to_numpy()).astype(np.int64) * 16
        owner = np.repeat(np.arange(table.num_rows), size)
        infinite[owner[~np.isfinite(np.asarray(matrix.drop_null().flatten().to_numpy(zero_copy_only=False), float))]] = True
    faulty = infinite | astray | shapeless
    if not faulty.any():
        return city
    for mask, why in (
        (infinite, "has vertices that are not finite (NaN or infinity)"),
        (astray & ~infinite, "has vertex indices out of range"),
        (shapeless & ~infinite, "uses a template that is not there or cannot be used"),
    ):
        rows += _object_rows(city, table, mask, f"a geometry of {{}} {why}; the geometry is left out")
    return _with_geometries(city, table.filter(pa.array(~faulty)), templates)


def _is_in(column: pa.ChunkedArray, values: pa.ChunkedArray) -> Mask:
    import pyarrow.compute as pc

    return np.asarray(pc.is_in(column, values.combine_chunks()).to_numpy(), bool)


def _infinite(table: pa.Table) -> Mask:
    """Return which geometries have a vertex that is not finite."""
    from cim.model.geometry import flatten

    flat = flatten(table)
    out = np.zeros(table.num_rows, bool)
    owner = np.repeat(np.arange(table.num_rows), np.diff(flat.vertex_start))
    out[owner[~np.isfinite(flat.vertices).all(axis=1)]] = True
    return out


def _astray(table: pa.Table) -> Mask:
    """Return which geometries have an index below zero or beyond their vertices."""
    import pyarrow.compute as pc

    count = np.asarray(pc.list_value_length(table["vertices"]).fill_null(0).to_numpy(), np.int64)
    level = table["boundaries"].combine_chunks()
    owner = np.arange(table.num_rows)
    for _ in range(5):
        sizes = np.asarray(pc.list_value_length(level).fill_null(0).to_numpy(zero_copy_only=False), np.int64)
        owner, level = np.repeat(owner, sizes), level.flatten()
    index = np.asarray(level.to_numpy(zero_copy_only=False), np.int64)
    out = np.zeros(table.num_rows, bool)
    out[owner[(index < 0) | (index >= count[owner])]] = True
    return out


def _object_rows(city: City, table: pa.Table, mask: Mask, message: str) -> Iterator[Row]:
    keys = table["object"].to_numpy()[mask]
    for key, id_ in zip(keys[:MOST_ROWS].tolist(), city.ids(keys[:MOST_ROWS]), strict=True):
        yield {"code": "rejected", "object": int(key), "message": message.format(repr(id_))}
    if len(keys) > MOST_ROWS:
        yield {"code": "rejected", "count": len(keys) - MOST_ROWS, "message": message.format(f"{len(keys) - MOST_ROWS} more objects")}


def _with_geometries(city: City, geometries: pa.Table, templates: pa.Table) -> City:
    """Return the city with these geometries only, and the surfaces and appearances that belong to them."""
    import pyarrow as pa

    shapes = pa.chunked_array([*geometries["key"].chunks, *templates["key"].chunks], pa.int64())
    kept = {name: city.tables[name].filter(pa.array(_is_in(city.tables[name]["geometry"], shapes))) for name in ("surfaces", "appearances")}
    return city.replace_tables(geometries=geometries, templates=templates, **kept)


# ---------------------------------------------------------------- structure


def _parents(city: City, rows: list[Row]) -> City:
    """Cut cycles of parents: an object may not be part of itself, at any remove."""
    import pyarrow as pa

    objects = city.tables["objects"]
    if objects["parent"].null_count == objects.num_rows:
        return city
    keys = np.asarray(objects["key"].to_numpy(), np.int64)
    parent = np.asarray(objects["parent"].fill_null(-1).to_numpy(), np.int64)
    place = np.searchsorted(keys, parent)
    known = (parent >= 0) & (place < len(keys)) & (keys[np.minimum(place, len(keys) - 1)] == parent)
    above = np.where(known, place, -1)
    dangling = (parent >= 0) & ~known
    circular = _in_cycle(above)
    bad = circular | dangling
    if not bad.any():
        return city
    for mask, why in ((circular, "is part of itself through a cycle of parents"), (dangling, "has a parent that is not there")):
        rows += [{"code": "repaired", "object": int(key), "message": f"{id_!r} {why}; it stands alone now"}
                 for key, id_ in zip(keys[mask][:MOST_ROWS].tolist(), city.ids(keys[mask][:MOST_ROWS]), strict=True)]  # fmt: skip
    column = pa.array(parent, pa.int64(), mask=(parent < 0) | bad)
    return city.replace_tables(objects=objects.set_column(objects.column_names.index("parent"), objects.schema.field("parent"), column))


def _in_cycle(above: NDArray[np.int64]) -> Mask:
    """Return which rows lie on a cycle of the parent pointers, shape (n,); -1 has no parent."""
    depth = max(1, len(above).bit_length())
    root = np.concatenate([above, [-1]])
    for _ in range(depth):  # after k rounds every pointer goes 2**k steps up; whoever still points somewhere hangs below a cycle
        root = root[root]
    hanging = np.flatnonzero(root[:-1] >= 0)
    on_cycle = np.zeros(len(above), bool)
    current = np.unique(root[hanging])
    while len(current) and not on_cycle[current].all():  # walk round the cycles, all at once
        on_cycle[current] = True
        current = np.unique(above[current])
    return on_cycle


def _ids(city: City, rows: list[Row]) -> City:
    """Name ids that several objects share at the same time; the builder made them unique, a table given whole may not be."""
    objects = city.tables["objects"]
    ids = objects["id"].combine_chunks()
    if len(ids.unique()) == len(ids) or objects["valid_from"].null_count < len(ids):
        return city
    counted = ids.value_counts()
    several = counted.filter(counted.field("counts").to_numpy() > 1)
    names = ", ".join(map(str, several.field("values").to_pylist()[:5]))
    rows.append(
        {"code": "duplicate", "severity": "error", "count": len(several), "message": f"{len(several)} ids occur more than once: {names}"}
    )
    return city


def _counts(city: City) -> Iterator[Row]:
    """Yield an issue for each source whose records are not all accounted for."""
    for source in city.tables["sources"].to_pylist():
        given, out, rejected = source["records_in"], source["objects_out"], source["rejected"]
        if given is None or out is None or rejected is None or given <= out + rejected:
            continue
        lost = given - out - rejected
        message = f"{source['name']}: of {given} records {out} became objects and {rejected} were rejected; {lost} are missing"
        yield {"code": "lost", "severity": "error", "source": source["key"], "count": lost, "message": message}
