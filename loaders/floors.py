"""分层建模: storeys of buildings as objects, stated by the source or estimated from the height, never without saying which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model import CityBuilder, Column, concat
from cim.model.derive import classify
from cim.model.geometry import extrude
from cim.model.numeric import numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Reals = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["storeys"]

MOST_STOREYS = 250


def storeys(city: City, *, types: tuple[str, ...] = ("Building", "BuildingPart"), storey_height: float | None = None) -> City:
    """Return the city with a BuildingStorey for every storey of its buildings.

    Buildings that already have storeys (from IFC, CityGML) keep them, and nothing else. Else the number is ``storeys_above_ground``
    and ``storeys_below_ground`` of the building; where the number above ground is missing and `storey_height` is given, it is
    estimated from the height. Elevations come from ground and roof, divided evenly, else from the ground and the attribute
    ``storey_height``. Each storey says in ``storey_basis`` how it is known: stated, number stated, or estimated.

    Parameters
    ----------
    types
        Classes that get storeys; a building whose parts state storeys gets none of its own.
    storey_height
        Height of one storey [m] to estimate a missing number, and the depth of storeys below ground. Nothing is estimated without it.

    Returns
    -------
    City
        Storeys are parts of their buildings, with ``storey_number`` (1 is the lowest above ground, -1 the highest below),
        ``elevation`` [m] where it is known, ``floor_area`` [m²] of the footprint, and a block of level 1 between their floors.

    Raises
    ------
    UsageError
        If `storey_height` is not positive, or the city does not count in metres.
    """
    if storey_height is not None and not (np.isfinite(storey_height) and storey_height > 0):
        msg = f"storey_height is {storey_height!r}, expected metres, above 0"
        raise UsageError(msg)
    if not city.crs.is_projected or city.crs.linear_unit_factor != 1.0:
        msg = f"the city is in {city.crs.name}, which does not count in metres; bring it to a projected system first"
        raise UsageError(msg)
    record = f"storeys of {', '.join(types)}"  # marks what a later run for the same classes tells anew
    keys, said = _candidates(city, types, record)
    plan = _plan(city, keys, storey_height, said, record)
    done = _joined(city, keys, plan) if len(plan["owner"]) else city
    return _told(done, said, record)


def _told(city: City, said: list[dict[str, Any]], record: str) -> City:
    """Return the city with what was told; what an earlier run for the same classes told about those it left is replaced."""
    table = city.tables["issues"]
    earlier = pc.fill_null(pc.equal(table["record"], record), fill_value=False)
    if pc.any(earlier).as_py():
        city = city.replace_tables(issues=table.filter(pc.invert(earlier)))
    return city.with_issues(said)


def _candidates(city: City, types: tuple[str, ...], record: str) -> tuple[Ints, list[dict[str, Any]]]:
    """Return the objects that may get storeys: those without, and without parts that state theirs."""
    present = [type_ for type_ in types if type_ in city.attributes]
    keys = np.sort(np.concatenate([city.keys(type_) for type_ in present])) if present else np.empty(0, np.int64)
    objects = city.tables.scan("objects", ["key", "type", "parent"])
    kinds = np.asarray(objects["type"].to_pylist(), object)
    above = np.asarray(objects["parent"].fill_null(-1).to_numpy(), np.int64)
    storeyed = np.unique(above[kinds == "BuildingStorey"])
    has = np.isin(keys, storeyed)
    stated = np.isfinite(numbers(city, "storeys_above_ground", keys))
    own = np.asarray(objects["key"].to_numpy(), np.int64)
    through_parts = np.isin(keys, above[np.isin(own, keys[stated & ~has])]) | np.isin(keys, above[np.isin(own, storeyed)])
    said = []
    if has.any():
        text = f"{int(has.sum())} buildings have storeys of their own, which are kept as they are"
        said.append({"code": "assumed", "severity": "info", "count": int(has.sum()), "message": text, "record": record})
    there = np.sort(own[kinds == "BuildingStorey"])
    bare = ~np.isfinite(numbers(city, "floor_area", there))
    _say(said, "empty", bare, "storeys that were there have no floor_area; values rolled up count them as missing", "info", record)
    return keys[~has & ~through_parts], said


def _plan(city: City, keys: Ints, storey_height: float | None, said: list[dict[str, Any]], record: str) -> dict[str, Any]:
    """Return one row per storey: the row of its building, its number, floor, ceiling and how they are known."""
    ground, roof = numbers(city, "z_ground", keys), numbers(city, "z_roof", keys)
    height = np.where(np.isfinite(roof - ground), roof - ground, numbers(city, "height", keys))
    stated = numbers(city, "storeys_above_ground", keys)
    below = np.nan_to_num(numbers(city, "storeys_below_ground", keys))
    absurd = (
        (np.isfinite(stated) & ((stated < 1) | (stated > MOST_STOREYS) | (stated % 1 != 0)))
        | (below % 1 != 0)
        | (below > MOST_STOREYS)
        | (below < 0)
    )
    number = np.where(absurd, np.nan, stated)
    guess = np.isnan(number) & ~absurd & np.isfinite(height) & (height > 0) & (storey_height is not None)
    if storey_height is not None:
        number = np.where(guess, np.clip(np.round(height / storey_height), 1, MOST_STOREYS), number)
    known = np.isfinite(number)
    _say(said, "guessed", guess, f"buildings state no number of storeys: it is their height / {storey_height} m, rounded", "warning")
    _say(
        said,
        "invalid",
        absurd,
        "buildings state a number of storeys that cannot be (0, a fraction, or above 250): they get none",
        "warning",
        record,
    )
    low = ~known & ~absurd & ~(np.isfinite(height) & (height > 0))
    text = "buildings state no number of storeys and get none; give storey_height= to estimate it"
    _say(said, "empty", ~known & ~absurd & ~low, text, "info", record)
    text = "buildings state no number of storeys and get none: no height above 0 is known to estimate it from"
    _say(said, "empty", low, text, "info", record)
    each = numbers(city, "storey_height", keys)
    even = np.isfinite(ground) & np.isfinite(height) & (height > 0)
    step = np.where(even, height / np.where(known, number, 1.0), np.where(np.isfinite(each), each, np.nan))
    _say(
        said, "empty", known & ~(np.isfinite(ground) & np.isfinite(step)), "buildings have storeys but no known elevation for them", "info"
    )
    up = np.where(known, number, 0).astype(np.int64)
    down = np.where(known & ~absurd, below, 0).astype(np.int64)
    count = up + down
    owner = np.repeat(np.arange(len(keys)), count)
    place = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count) - down[owner]
    depth = np.where(place < 0, storey_height if storey_height is not None else np.nan, step[owner])
    floor = ground[owner] + place * depth
    if (place < 0).any():
        text = f"storeys below ground are taken as {storey_height} m high" if storey_height else "storeys below ground have no known depth"
        _say(said, "assumed", place < 0, text, "info")
    basis = np.where(
        guess[owner] | (place < 0),
        "estimated",
        np.where(even[owner] | np.isfinite(each[owner]), "number stated", "number stated, no elevation"),
    )
    return {"owner": owner, "number": np.where(place < 0, place, place + 1), "floor": floor, "ceiling": floor + depth, "basis": basis}


def _say(said: list[dict[str, Any]], code: str, which: NDArray[np.bool_], text: str, severity: str, record: str | None = None) -> None:
    if which.any():
        count = int(which.sum())
        said.append({"code": code, "severity": severity, "count": count, "message": f"{count} of {len(which)} {text}", "record": record})


def _joined(city: City, keys: Ints, plan: dict[str, Any]) -> City:
    """Return the city with its storeys."""
    import shapely

    owner, number = plan["owner"], plan["number"]
    shapes = city.footprints(keys)
    core = city.core_rows(["id", "source", "valid_from", "valid_to", "grade"], keys)
    ids = np.asarray(core["id"].to_pylist(), object)[owner]
    names = [f"{'F' if value > 0 else 'B'}{abs(value)}" for value in number.tolist()]
    own = [f"{id_}/{name}" for id_, name in zip(ids.tolist(), names, strict=True)]
    builder = CityBuilder(city.crs, origin=city.origin)
    lasting = {f"{name}s" if name == "grade" else name: core[name].take(pa.array(owner)) for name in ("valid_from", "valid_to", "grade")}
    mine = builder.add_objects("BuildingStorey", own, footprints=shapes[owner], names=names, z_ground=plan["floor"],
                               z_roof=plan["ceiling"], **lasting)  # fmt: skip
    polygonal = np.isin(shapely.get_type_id(shapes), (3, 6))
    area = np.where(polygonal, shapely.area(shapes), np.nan)[owner]
    builder.add_attributes(mine, "BuildingStorey", {
        "storey_number": Column(number, label_zh="层号", label_en="storey number"),
        "elevation": Column(plan["floor"], unit="m", label_zh="楼面标高", label_en="elevation of the floor"),
        "floor_area": Column(area, unit="m2", label_zh="层面积", label_en="area of the footprint"),
        "storey_basis": Column(plan["basis"].tolist(), label_zh="依据", label_en="how the storey is known"),
    })  # fmt: skip
    blocks = extrude(shapes[owner], plan["floor"], plan["ceiling"])
    if len(blocks.row):
        made = builder.add_geometries(mine[blocks.row], lod="1", role="solid", type=blocks.type, vertices=blocks.vertices,
                                      boundaries=blocks.boundaries, semantics=blocks.semantics)  # fmt: skip
        three = np.tile(np.arange(3, dtype=np.int32), len(made))
        builder.add_surfaces(np.repeat(made, 3), three, ["GroundSurface", "RoofSurface", "WallSurface"] * len(made))
    added = builder.build()
    both = concat([city, added], name=city.name)
    return _with_parents(both, len(city), keys[owner], added, own, core["source"].take(pa.array(owner)))


def _with_parents(both: City, first: int, parents: Ints, added: City, ids: list[str], sources: pa.ChunkedArray) -> City:
    """Return the city with the storeys as parts of their buildings, with the source of those."""
    order = np.asarray(added.key_of(ids), np.int64)  # the builder sorted them
    objects = both.tables["objects"]
    column = np.asarray(objects["parent"].fill_null(-1).to_numpy(), np.int64).copy()
    origin = np.asarray(objects["source"].fill_null(-1).to_numpy(), np.int64).copy()
    column[first + order] = parents
    origin[first + order] = np.asarray(sources.fill_null(-1).to_numpy(), np.int64)
    for name, values in (("parent", column), ("source", origin)):
        at = objects.column_names.index(name)
        objects = objects.set_column(at, objects.schema.field(at), pa.array(values, mask=values < 0))
    own_level = pc.fill_null(pc.equal(objects["level_scheme"], "source"), fill_value=False)
    level = pc.if_else(own_level, objects["cim_level"], pa.scalar(None, pa.string()))  # a building with storeys is of a finer level
    at = objects.column_names.index("cim_level")
    objects = classify(objects.set_column(at, objects.schema.field(at), level), both.tables["geometries"])
    return both.replace_tables(objects=objects)
