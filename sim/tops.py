"""How high a building reaches with its parts, and what stands against saying so; every unknown part makes the whole unknown.

The top is the highest roof of the building and its BuildingParts. A building that states no height of its own is as high as its parts
where these cover it. Height is that top above the ground of the building (else the lowest ground of its parts); where nothing has an
elevation it is the greatest attribute height, each of which counts from the ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.sim.bodies import Bodies, areas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Tops", "first_of", "tops_of", "unknown_vertical"]

_UNCOVERED = 0.1
"""Area [squared map units] of a building beside its parts that is drawing, not building."""


@dataclass(frozen=True)
class Tops:
    """Tops of buildings, one row each."""

    top: Floats
    """Elevation of the highest roof [m], NaN where unknown."""
    height: Floats
    """That roof above the ground [m], NaN where unknown."""
    contradictory: NDArray[np.object_]
    """Id of the building, or of its part, whose roof is not above its ground; None where there is none."""


def tops_of(own: Bodies, parts: Bodies, owner: Ints) -> Tops:
    """Return the tops of buildings with their parts; `owner` is the row of the building of each part."""
    wrong = first_of(own.contradictory, own.ids, parts.contradictory, parts.ids, owner)
    if not len(parts):
        return Tops(own.top, own.height, wrong)
    has = np.bincount(owner, minlength=len(own)) > 0
    ground = own.z_ground.copy()
    low = _extreme(np.fmin, np.inf, parts.z_ground, owner, len(own))
    ground = np.where(np.isfinite(ground), ground, np.where(np.isfinite(low), low, np.nan))
    part_top = np.where(np.isfinite(parts.top), parts.top, own.z_ground[owner] + parts.height)
    part_top = np.where(parts.contradictory, np.nan, part_top)
    above = part_top - ground[owner]
    above = np.where(np.isfinite(above), above, np.where(np.isfinite(parts.z_roof), np.nan, parts.height))
    own_above = np.where(np.isfinite(own.top - ground), own.top - ground, own.height)
    bare = has & ~np.isfinite(own.top) & ~np.isfinite(own.height) & ~own.contradictory
    bare[bare] = _covered(own, parts, owner, np.flatnonzero(bare))
    top = np.maximum(np.where(bare, -np.inf, own.top), _extreme(np.maximum, -np.inf, part_top, owner, len(own)))
    height = np.maximum(np.where(bare, -np.inf, own_above), _extreme(np.maximum, -np.inf, above, owner, len(own)))
    bad = np.array([one is not None for one in wrong], bool)
    height = np.where(has & ~(height > 0), np.nan, np.where(has, height, own.height))
    return Tops(np.where(bad, np.nan, np.where(has, top, own.top)), np.where(bad, np.nan, height), wrong)


def _extreme(which: np.ufunc, start: float, values: Floats, owner: Ints, count: int) -> Floats:
    """Return the extreme value of the parts of each building; `start` where there are none."""
    found = np.full(count, start)
    with np.errstate(invalid="ignore"):
        which.at(found, owner, values)
    return found


def _covered(own: Bodies, parts: Bodies, owner: Ints, rows: Ints) -> Bools:
    """Say which buildings have nothing beside their parts."""
    import shapely

    mine = np.isin(owner, rows) & ~shapely.is_missing(parts.footprints)
    shapes = np.full(len(rows), None, object)
    group = np.searchsorted(rows, owner[mine])
    if mine.any():
        order = np.argsort(group, kind="stable")
        present, code = np.unique(group[order], return_inverse=True)
        collections = shapely.geometrycollections(parts.footprints[mine][order], indices=code.astype(np.intp))
        shapes[present] = shapely.union_all(collections[:, None], axis=1)
    alone = own.footprints[rows]
    left = areas(shapely.difference(alone, shapes))
    return np.asarray(shapely.is_missing(alone) | (left <= _UNCOVERED), bool)


def first_of(here: Bools, ids: NDArray[np.object_], there: Bools, part_ids: NDArray[np.object_], owner: Ints) -> NDArray[np.object_]:
    """Return for each building its id where `here` holds, else the id of its first part for which `there` does, else None."""
    found = np.full(len(here), None, object)
    rows = np.flatnonzero(there)[::-1]
    found[owner[rows]] = part_ids[rows]
    found[here] = ids[here]
    return found


def unknown_vertical(city: City, bodies: Bodies) -> Bools:
    """Say whose elevation (z_roof, else z_ground) comes from a source whose height system is stated to be unknown, shape (n,).

    The source of a value is that of its chosen claim, else that of the object. A chosen claim without a source (a change) counts from
    what was there before: it is doubtful when any of them is.
    """
    sources = city.tables["sources"]
    strange = sources.filter(pc.equal(sources["used_vertical"], "unknown"))["key"].combine_chunks()
    found = np.zeros(len(bodies), bool)
    if not len(strange) or not len(bodies):
        return found
    for name, used in (("z_roof", np.isfinite(bodies.z_roof)), ("z_ground", ~np.isfinite(bodies.z_roof) & np.isfinite(bodies.z_ground))):
        if used.any():
            found[used] = _doubtful(city, bodies.keys[used], name, strange)
    return found


def _doubtful(city: City, keys: Ints, name: str, strange: pa.Array) -> Bools:
    base = _numpy(pc.is_in(city.core_rows(["source"], keys)["source"], strange))
    claims = city.tables["claims"]
    claims = claims.filter(pc.and_(pc.equal(claims["attribute"], name), pc.is_in(claims["object"], pa.array(keys))))
    order = np.argsort(keys)
    row = order[np.searchsorted(keys, np.asarray(claims["object"].to_numpy(), np.int64), sorter=order)]
    flag = _numpy(pc.is_in(claims["source"], strange))
    settles = _numpy(claims["chosen"]) & ~_numpy(pc.is_null(claims["source"]))
    any_flag, settled, bad = (np.bincount(row[one], minlength=len(keys)) > 0 for one in (flag, settles, settles & flag))
    return np.asarray(np.where(settled, bad, base | any_flag), bool)


def _numpy(column: pa.ChunkedArray) -> Bools:
    return np.asarray(column.to_numpy() if len(column) else [], bool)
