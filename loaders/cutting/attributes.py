"""Attributes after a cut: volume and closedness of the pieces, each with its claim, and what was measured on the meshes, measured anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.loaders.cutting.report import SET
from cim.loaders.fusion.claims import json_column
from cim.model.schema import SCHEMAS, make_table, one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.cutting.arrays import MeshArrays
    from cim.loaders.cutting.cut import Cut
    from cim.model import City

    Ints = NDArray[np.int64]

__all__ = ["PIECE_METHOD", "REST_METHOD", "refuse_cut_twice", "with_piece_attributes", "with_rest_attributes"]

PIECE_METHOD = "measured on the piece that singulate cut"
REST_METHOD = "measured on what singulate left of the mesh"
_UNITS = {"mesh_volume": "m3", "surface_area": "m2", "volume": "m3"}
_LABELS = {"mesh_volume": ("volume of the mesh piece", "倾斜模型单体体积"), "mesh_closed": ("mesh piece closed", "倾斜模型单体是否封闭")}


def refuse_cut_twice(footprints: City, type: str) -> None:
    """Refuse objects that hold a piece already: cutting what is left over would replace it by slivers.

    Raises
    ------
    UsageError
        If any object of the class has figures or a measured piece of an earlier `singulate`.
    """
    keys = pa.array(footprints.keys(type))
    figures = footprints.tables.scan("properties", ["object"], where=pc.field("set") == SET)["object"]
    measured = footprints.tables.scan("claims", ["object"], where=pc.field("method") == PIECE_METHOD)["object"]
    pieces = pc.or_(pc.is_in(keys, one_array(figures)), pc.is_in(keys, one_array(measured)))
    held = np.asarray(keys.filter(pieces).to_numpy(), np.int64)
    if len(held):
        ids = ", ".join(footprints.ids(held[:5]))
        msg = (
            f"the buildings already hold pieces cut by singulate ({len(held)} of class {type}: {ids}{', …' if len(held) > 5 else ''}); "
            "cut the original mesh again: take the version of the city before that cut (cim.open(path, version)), or read the "
            "mesh and the footprints anew; several meshes are cut in one call"
        )
        raise UsageError(msg)


def with_piece_attributes(city: City, type: str, keys: Ints, figures: dict[str, Any], sources: list[int | None]) -> City:
    """Return the city with ``mesh_volume`` [m³] (closed pieces only) and ``mesh_closed`` of the objects of a class, and their claims.

    A name that the class has already is followed by a number.

    Parameters
    ----------
    keys : shape (p,)
        Objects that were cut out.
    figures
        Columns ``volume`` and ``closed``, one value per object; NaN and None where there is none.
    sources
        Source of the mesh, one per object.
    """
    table = city.attributes[type] if type in city.attributes else pa.table({"object": pa.array(np.sort(city.keys(type)))})
    row = np.searchsorted(np.asarray(table["object"].to_numpy(), np.int64), keys)
    place = np.full(table.num_rows, -1, np.int64)
    place[row] = np.arange(len(keys))
    where = pa.array(place, mask=place < 0)
    claims = [city.tables["claims"]]
    known = {
        "mesh_volume": pa.array(figures["volume"], pa.float64(), from_pandas=True),
        "mesh_closed": pa.array(figures["closed"], pa.bool_()),
    }
    for wanted, values in known.items():
        name = _free(wanted, set(table.column_names))
        label_en, label_zh = _LABELS[wanted]
        facts = {"unit": _UNITS.get(wanted, ""), "label_en": label_en, "label_zh": label_zh}
        field = pa.field(name, values.type, metadata={key: text for key, text in facts.items() if text})
        table = table.append_column(field, values.take(where))
        claims.append(_claims(keys, name, wanted, values, PIECE_METHOD, sources))
    return city.replace_tables(attributes={type: table}, claims=pa.concat_tables(claims))


def _free(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def _claims(keys: Ints, name: str, kind: str, values: pa.Array, method: str, sources: list[int | None]) -> pa.Table:
    there = np.flatnonzero(np.asarray(values.is_valid()))
    columns = {
        "object": keys[there], "attribute": name, "value": json_column(values.take(pa.array(there))), "unit": _UNITS.get(kind),
        "source": pa.array([sources[at] for at in there.tolist()], pa.int64()), "method": method, "chosen": True,
    }  # fmt: skip
    return make_table("claims", columns, len(there))


# ---------------------------------------------------------------- what is left of the meshes


def with_rest_attributes(city: City, owner: Ints, sources: list[int | None], made: Cut, source: MeshArrays) -> City:
    """Return the city with faces, vertices, area, open edges and volume of the mesh objects as they are after the cut.

    Only what the reader of meshes measured (objects whose ``representation`` is ``"mesh"``) is measured anew, in columns that exist.

    Parameters
    ----------
    owner : shape (geometries,)
        Object of each mesh geometry in `city`.
    sources
        Source of each mesh geometry.
    """
    keys, number = np.unique(owner, return_inverse=True)
    values = _measured(made, source, number.ravel(), len(keys))
    first = dict(zip(owner[::-1].tolist(), sources[::-1], strict=True))
    claims, tables = [city.tables["claims"]], {}
    for kind in city.attributes:
        table = city.attributes[kind]
        if "representation" not in table.column_names:
            continue
        mine = pc.and_(pc.is_in(table["object"], pa.array(keys)), pc.fill_null(pc.equal(table["representation"], "mesh"), False))
        here = np.flatnonzero(np.asarray(mine.to_numpy()))
        names = [name for name in values if name in table.column_names]
        if not len(here) or not names:
            continue
        objects = np.asarray(table["object"].to_numpy(), np.int64)[here]
        at = pa.array(np.searchsorted(keys, objects))
        claims[0] = _not_chosen(claims[0], objects, names)
        for name in names:
            column = table.column_names.index(name)
            found = values[name].take(at)
            table = table.set_column(column, table.schema.field(name), _put(table[name], here, found))
            claims.append(_claims(objects, name, name, found, REST_METHOD, [first[key] for key in objects.tolist()]))
        tables[kind] = table
    return city.replace_tables(attributes=tables, claims=pa.concat_tables(claims)) if tables else city


def _measured(made: Cut, source: MeshArrays, number: Ints, count: int) -> dict[str, pa.Array]:
    """Return what is left of each object: numbers, measured as the reader of meshes does it."""
    from cim.loaders.mesh.topology import topology

    left = np.flatnonzero(made.polygon < 0)
    part = number[source.row[made.source[left]]]
    order = np.argsort(part, kind="stable")
    left, part = left[order], part[order]
    pairs, place = np.unique((part[:, None] * len(made.points) + made.triangles[left]).ravel(), return_inverse=True)
    at = made.points[pairs % max(len(made.points), 1)]
    owner = pairs // max(len(made.points), 1)
    first = np.searchsorted(owner, np.arange(count))
    local = at - at[first[owner]] if len(at) else at
    known = topology(local, np.full(len(left), 3), place.ravel(), part, count)
    return {
        "faces": pa.array(np.bincount(part, minlength=count)),
        "vertices": pa.array(np.bincount(owner, minlength=count)),
        "surface_area": pa.array(known.area),
        "closed": pa.array(known.closed),
        "open_edges": pa.array(known.open_edges),
        "volume": pa.array(known.volume, from_pandas=True),
    }


def _put(column: pa.ChunkedArray, rows: Ints, values: pa.Array) -> pa.Array:
    """Return a column with new values in some rows; null where its type cannot hold them."""
    number = np.full(len(column), -1, np.int64)
    number[rows] = np.arange(len(rows))
    try:
        fitting = values.cast(column.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        fitting = pa.nulls(len(values), column.type)
    return pc.if_else(pa.array(number >= 0), fitting.take(pa.array(number, mask=number < 0)), one_array(column))


def _not_chosen(claims: pa.Table, objects: Ints, names: list[str]) -> pa.Table:
    """Return the claims; those on these attributes of these objects are chosen no more."""
    old = pc.and_(pc.is_in(claims["object"], pa.array(objects)), pc.is_in(claims["attribute"], pa.array(names)))
    chosen = pc.and_(claims["chosen"], pc.invert(old))
    return claims.set_column(claims.column_names.index("chosen"), SCHEMAS["claims"].field("chosen"), chosen)
