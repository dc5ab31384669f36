"""Levels of a hierarchy (园区-分区-楼栋-楼层) and values rolled up through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cim.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas
    from numpy.typing import NDArray

    from cim.model.city import City

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["LEVELS", "group_by_place", "roll_up"]

LEVELS: Mapping[str, str] = {
    "CityObjectGroup": "园区 group", "LandUse": "分区 plot", "Building": "楼栋 building", "BuildingPart": "楼栋部分 building part",
    "BuildingUnit": "单元 unit", "BuildingStorey": "楼层 storey", "BuildingRoom": "房间 room",
}  # fmt: skip
"""What the levels are called where an object does not say so itself in its attribute ``level_name``."""
_HOW = ("sum", "mean", "min", "max")
_OF_STOREYS = ("floor_area", "storey_number", "elevation")


def roll_up(city: City, attribute: str, *, how: str = "sum", levels: Mapping[str, str] | None = None) -> pandas.DataFrame:
    """Return a value for every object from the parts below it, through a hierarchy of any depth.

    An object whose parts have values gets theirs, together; one without takes its own. So nothing counts twice when a building and
    its storeys both state a value. What is missing is counted, never taken for zero: of the classes that have the attribute somewhere
    in the city and of those in `LEVELS` or `levels`; a wall without a floor area lacks nothing.

    Parameters
    ----------
    attribute
        Name of a number; objects of classes that do not have it are empty.
    how
        ``sum``, ``mean`` (each lowest value weighs the same), ``min`` or ``max``.
    levels
        Name of the level by class, besides `LEVELS`; the attribute ``level_name`` of an object goes before both.

    Returns
    -------
    pandas.DataFrame
        One row per object that has a value or parts, indexed by id: ``level``, ``depth`` (0 at the top), ``parent`` (id), ``value``,
        ``counted`` and ``missing`` (lowest objects with and without a value), ``own`` (what the object itself states) and ``difference``
        (own less value). ``attrs["unit"]`` is the unit, ``attrs["total"]`` the ``value``, ``counted`` and ``missing`` of all objects at
        the top together (NaN where none has a value).

    Raises
    ------
    UsageError
        If no class has the attribute, its units differ between classes, or it holds no numbers.

    Examples
    --------
    >>> import cim
    >>> from cim.model import CityBuilder, Column
    >>> builder = CityBuilder("EPSG:4549")
    >>> park = builder.add_objects("CityObjectGroup", ["park"])
    >>> houses = builder.add_objects("Building", ["a", "b"], parents=["park", "park"])
    >>> builder.add_attributes(houses, "Building", {"floor_area": Column([100.0, 50.0], unit="m2")})
    >>> float(roll_up(builder.build(), "floor_area").loc["park", "value"])
    150.0
    """
    import pandas as pd

    if how not in _HOW:
        msg = f"how is {how!r}, expected one of {', '.join(_HOW)}"
        raise UsageError(msg)
    objects = city.tables.scan("objects", ["key", "id", "type", "parent"])
    keys = np.asarray(objects["key"].to_numpy(), np.int64)
    own, unit, having = _own_values(city, attribute, keys)
    asked = np.isin(np.asarray(objects["type"].to_pylist(), object), [*having, *LEVELS, *(levels or {})])
    above = _rows_of(objects["parent"], keys)
    depth = _depths(above)
    total, counted, missing = _rolled(own, above, depth, how, asked)
    parts = np.bincount(above[above >= 0], minlength=len(keys)) > 0
    shown = np.flatnonzero(np.isfinite(total) | (parts & (counted + missing > 0)))
    ids = np.asarray(objects["id"].to_pylist(), object)
    with np.errstate(invalid="ignore"):
        value = total / counted if how == "mean" else total
        frame = pd.DataFrame({
            "level": _level_names(city, objects, keys, dict(levels or {}))[shown], "depth": depth[shown],
            "parent": [None if up < 0 else ids[up] for up in above[shown].tolist()], "value": value[shown], "counted": counted[shown],
            "missing": missing[shown], "own": own[shown], "difference": (own - value)[shown],
        }, index=pd.Index(ids[shown], name="id"))  # fmt: skip
    frame.attrs["unit"] = unit
    frame.attrs["total"] = _together(total, counted, missing, depth == 0, how)
    return frame


def _together(total: Reals, counted: Ints, missing: Ints, top: NDArray[np.bool_], how: str) -> dict[str, float | int]:
    """Return the aggregate of the objects at the top, how many lowest values it is made of, and how many are missing."""
    values, count = total[top & (counted > 0)], int(counted[top].sum())
    value = float({"min": np.min, "max": np.max}.get(how, np.sum)(values)) if len(values) else float("nan")
    return {"value": value / count if how == "mean" and count else value, "counted": count, "missing": int(missing[top].sum())}


def _own_values(city: City, attribute: str, keys: Ints) -> tuple[Reals, str, list[str]]:
    """Return the value of every object, the unit, and the classes that have the attribute."""
    values = np.full(len(keys), np.nan)
    units: dict[str, str] = {}
    for type_ in city.attributes:
        schema = city.attributes.schema(type_)
        if attribute not in schema.names or pa.types.is_null(schema.field(attribute).type):
            continue
        field = schema.field(attribute)
        if not (pa.types.is_floating(field.type) or pa.types.is_integer(field.type)):
            msg = f"{type_}.{attribute} holds {field.type}, expected numbers"
            raise UsageError(msg)
        units[type_] = ((field.metadata or {}).get(b"unit") or b"").decode()
        table = city.attributes.scan(type_, ["object", attribute])
        rows = np.searchsorted(keys, np.asarray(table["object"].to_numpy(), np.int64))
        values[rows] = np.array(table[attribute].cast(pa.float64()).to_numpy(), float)
    if not units:
        msg = f"no class of the city has an attribute {attribute!r}; {_remedy(city, attribute)}"
        raise UsageError(msg)
    if len(set(units.values())) > 1:
        said = ", ".join(f"{type_}: {unit or 'none'}" for type_, unit in units.items())
        msg = f"{attribute} has different units ({said}); it cannot be added up"
        raise UsageError(msg)
    return values, next(iter(units.values())), list(units)


def _remedy(city: City, attribute: str) -> str:
    """Return what makes a missing attribute, else which numbers there are."""
    if attribute in _OF_STOREYS:
        return "make storeys first, which have it: cim.loaders.storeys(city, storey_height=3.0), or cim storeys CITY --storey-height 3"
    schemas = [city.attributes.schema(type_) for type_ in city.attributes]
    found = {field.name for schema in schemas for field in schema if pa.types.is_floating(field.type) or pa.types.is_integer(field.type)}
    return f"numbers that it has: {', '.join(sorted(found - {'object'})) or 'none'}"


def _rows_of(parents: pa.ChunkedArray, keys: Ints) -> Ints:
    known = np.asarray(parents.is_valid().to_numpy())
    wanted = np.asarray(parents.fill_null(0).to_numpy(), np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    return np.where(known & (keys[place] == wanted if len(keys) else False), place, -1)


def _depths(above: Ints) -> Ints:
    """Return the number of wholes above each object; a cycle counts as endless and is cut."""
    depth, node = np.zeros(len(above), np.int64), above.copy()
    for _ in range(len(above)):  # as many rounds as the hierarchy is deep
        if not (node >= 0).any():
            break
        depth += node >= 0
        node = np.where(node >= 0, above[node], -1)
    return depth


def _rolled(own: Reals, above: Ints, depth: Ints, how: str, asked: NDArray[np.bool_]) -> tuple[Reals, Ints, Ints]:
    """Return the aggregate of the lowest values below each object, how many those are, and how many lowest asked ones have none."""
    start = {"min": np.inf, "max": -np.inf}.get(how, 0.0)
    total = np.full(len(own), start)
    counted, missing = np.zeros(len(own), np.int64), np.zeros(len(own), np.int64)
    gather = {"min": np.minimum, "max": np.maximum}.get(how, np.add)
    for level in range(int(depth.max(initial=0)), -1, -1):
        rows = np.flatnonzero(depth == level)
        alone = rows[counted[rows] == 0]  # nothing below has a value: its own counts
        has = np.isfinite(own[alone])
        total[alone[has]], counted[alone[has]], missing[alone[has]] = own[alone[has]], 1, 0
        childless = alone[~has & asked[alone] & (missing[alone] == 0)]
        missing[childless] = 1
        inner = rows[above[rows] >= 0]
        full = inner[counted[inner] > 0]
        gather.at(total, above[full], total[full])
        np.add.at(counted, above[inner], counted[inner])
        np.add.at(missing, above[inner], missing[inner])
    return np.where(counted > 0, total, np.nan), counted, missing


def _level_names(city: City, objects: pa.Table, keys: Ints, levels: dict[str, str]) -> NDArray[np.object_]:
    types = objects["type"].to_pylist()
    known = {**LEVELS, **levels}
    names = np.array([known.get(type_, type_) for type_ in types], object)
    for type_ in city.attributes:
        if "level_name" in city.attributes.schema(type_).names:
            table = city.attributes.scan(type_, ["object", "level_name"])
            table = table.filter(table["level_name"].is_valid())
            names[np.searchsorted(keys, np.asarray(table["object"].to_numpy(), np.int64))] = table["level_name"].to_pylist()
    return names


def group_by_place(city: City, areas: str, members: str = "Building", *, least_share: float = 0.5) -> City:
    """Return the city with the members as parts of the areas they lie in: buildings of plots, plots of parks.

    A member belongs to the area that holds the largest share of its footprint, of two that hold all of it to the smaller. One that
    already is part of something keeps it; one that no area holds by at least `least_share`, or without footprint, stays alone. All are
    counted in issues.

    Parameters
    ----------
    areas
        Class of the areas, such as ``LandUse`` or ``CityObjectGroup``.
    members
        Class of the members.
    least_share
        Part of the footprint that has to lie inside [0 to 1].

    Raises
    ------
    UsageError
        If the city has no such objects, or both classes are one.
    """
    import shapely

    if areas == members:
        msg = f"areas and members are both {areas}; an object would become a part of itself"
        raise UsageError(msg)
    for type_ in (areas, members):
        if type_ not in city.attributes:
            msg = f"the city has no object of class {type_}; it has {', '.join(city.types()) or 'none'}"
            raise UsageError(msg)
    whole, part = city.keys(areas), city.keys(members)
    outlines, shapes = city.footprints(whole), city.footprints(part)
    parents = city.core_rows(["parent"], part)["parent"]
    free = ~np.asarray(parents.is_valid().to_numpy())
    usable = free & ~shapely.is_missing(shapes)
    rows = np.flatnonzero(usable)
    left, right = shapely.STRtree(outlines).query(shapes[rows], predicate="intersects")
    inside = shapely.intersection(shapes[rows][left], outlines[right])
    size = np.where(shapely.area(shapes[rows]) > 0, shapely.area(shapes[rows]), np.where(shapely.length(shapes[rows]) > 0,
                    shapely.length(shapes[rows]), 1.0))  # fmt: skip
    held = np.where(shapely.area(shapes[rows][left]) > 0, shapely.area(inside), np.where(shapely.length(shapes[rows][left]) > 0,
                    shapely.length(inside), 1.0)) / size[left]  # fmt: skip
    order = np.lexsort((-right, -shapely.area(outlines[right]), np.round(held, 9)))
    best, share = np.full(len(rows), -1, np.int64), np.zeros(len(rows))
    best[left[order]], share[left[order]] = right[order], held[order]
    found = (best >= 0) & (share >= least_share)
    mine = part[rows[found]]
    changed = city.tables["objects"]
    column = np.asarray(changed["parent"].fill_null(-1).to_numpy(), np.int64).copy()
    column[city.row_of_key(mine)] = whole[best[found]]
    field = changed.schema.field("parent")
    done = city.replace_tables(objects=changed.set_column(changed.column_names.index("parent"), field, pa.array(column, mask=column < 0)))
    issues = []
    for count, text in (
        (int((~free).sum()), "already are part of something and keep it"),
        (int(usable.sum() - found.sum()), f"lie in no {areas}"),
        (int(free.sum() - usable.sum()), f"have no footprint and are put in no {areas}"),
    ):
        if count:
            issues.append({"code": "unmatched", "severity": "info", "count": count, "message": f"{count} of {len(part)} {members} {text}"})
    return done.with_issues(issues)
