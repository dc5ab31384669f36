"""A building raised with all that belongs to it: parts grow, what stands on its roof moves along, and what stays behind is named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.scenario.edit import Fact, add_claims, eaves, move_boxes, set_values, shift, stretch
from cim.scenario.step import named

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Keys = NDArray[np.int64]

__all__ = ["raise_whole"]

_TOUCH = 0.01
"""What stands this little below the eaves [m] still stands on them."""


def raise_whole(city: City, key: int, id: str, delta: float, method: str) -> City:
    """Return the city with a building and its parts higher by `delta` [m].

    Parts that stand below the eaves grow as the building does. Whatever belongs to it and stands at its eaves or above (a chimney, a part
    set upon it) moves as a whole. Other children stay and are named in one issue; so is a whole that the building now overtops.

    Raises
    ------
    UsageError
        If a part would end below its ground or its eaves.
    """
    below = _below(city, id)
    base = np.where(np.isfinite(below.z_ground), below.z_ground, below.z_low)
    edge = eaves(city, key)
    with np.errstate(invalid="ignore"):
        upon = base >= edge - _TOUCH
    grows = (below.types == "BuildingPart") & ~upon
    _refuse_lost_parts(below, grows, delta)
    grown, moved = np.append(key, below.keys[grows]).astype(np.int64), below.keys[upon]
    changed = shift(stretch(city, grown, delta, id), moved, (0.0, 0.0, delta))
    changed = move_boxes(changed, grown, delta)
    changed = move_boxes(changed, moved, delta, ("zmin", "zmax"))
    for fact in [*_facts(city, grown, delta, ("z_roof", "height")), *_facts(city, moved, delta, ("z_ground", "z_roof"))]:
        changed = add_claims(set_values(changed, fact), city, fact, method)
    if delta == 0:
        return changed
    left = ~grows & ~upon & (np.isfinite(base) | np.isfinite(below.z_roof) | np.isin(below.keys, _drawn(city)))
    return changed.with_issues([*_left_behind(below, left, key, id, delta, method), *_overtopped(changed, id, delta, method)])


@dataclass(frozen=True)
class _Below:
    """All that belongs to a building, one row each."""

    keys: Keys
    ids: NDArray[np.object_]
    types: NDArray[np.object_]
    z_ground: Floats
    z_roof: Floats
    z_low: Floats
    """Lowest elevation of the box."""
    height: Floats
    """The attribute height."""


def _below(city: City, id: str) -> _Below:
    views = city.children(id)
    keys = np.array([view.key for view in views], np.int64)
    core = city.core_rows(["id", "type", "z_ground", "z_roof", "bbox"], keys)
    stated = [view.attributes.get("height") if view.type == "BuildingPart" else None for view in views]
    height = np.array([one if isinstance(one, int | float) else np.nan for one in stated], float)
    texts = [np.asarray(core[name].to_pylist(), object) for name in ("id", "type")]
    columns = [core["z_ground"], core["z_roof"], pc.struct_field(core["bbox"], "zmin")]
    numbers = [np.asarray(column.cast(pa.float64()).to_numpy(), float) for column in columns]
    return _Below(keys, texts[0], texts[1], numbers[0], numbers[1], numbers[2], height)


def _refuse_lost_parts(below: _Below, grows: Bools, delta: float) -> None:
    """Refuse to lower a part to its ground or below."""
    rise = below.z_roof - below.z_ground
    height = np.where(np.isfinite(rise), rise, below.height)
    with np.errstate(invalid="ignore"):
        lost = np.flatnonzero(grows & (height + delta <= 0))
    if len(lost) and delta < 0:
        first = lost[0]
        msg = f"its part {below.ids[first]!r} is {height[first]:g} m high; changed by {delta:g} m nothing of it is left; change it less"
        raise UsageError(msg)


def _drawn(city: City) -> Keys:
    return np.asarray(city.tables["geometries"]["object"].to_numpy(), np.int64)


def _left_behind(below: _Below, left: Bools, key: int, id: str, delta: float, method: str) -> Sequence[dict[str, Any]]:
    """Return one issue that names the children that stayed where they were."""
    ids = below.ids[left].tolist()
    if not ids:
        return []
    message = f"{method}: {id!r} changed by {delta:g} m, but {len(ids)} objects in it stayed where they were: {named(ids)}"
    return [{"code": "assumed", "object": key, "count": len(ids), "message": message}]


def _overtopped(city: City, id: str, delta: float, method: str) -> Sequence[dict[str, Any]]:
    """Return an issue for each whole whose roof is now below that of its part."""
    top = city[id].core["z_roof"]
    if delta <= 0 or top is None:
        return []
    wholes = [(view, view.core["z_roof"]) for view in city.parents(id)]
    return [
        {
            "code": "conflict",
            "object": view.key,
            "message": f"{method}: {id!r} now reaches {top:g} m, above its whole {view.id!r} at {roof:g} m, which stays as it was",
        }
        for view, roof in wholes
        if roof is not None and top > roof
    ]


def _facts(city: City, keys: Keys, delta: float, names: Sequence[str]) -> list[Fact]:
    """Return the new values of columns that are known, class by class."""
    if not len(keys):
        return []
    rows = city.core_rows(["type", "z_ground", "z_roof"], keys)
    types = np.asarray(rows["type"].to_pylist(), object)
    found: list[Fact] = []
    for type in dict.fromkeys(types.tolist()):
        mine = keys[types == type]
        columns: Mapping[str, Any] = {name: rows[name].filter(pa.array(types == type)) for name in names if name in rows.column_names}
        if "height" in names and "height" in city.attributes.schema(type).names:
            columns = {**columns, "height": city.column(type, "height", mine)}
        for name, column in columns.items():
            old = np.asarray(column.cast(pa.float64()).to_numpy(), float)
            known = np.isfinite(old)
            if known.any():
                found.append(Fact(type, name, mine[known], old[known] + delta))
    return found
