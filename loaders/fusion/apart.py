"""Sources that lie far from all others: most often read in another coordinate system than they are in, such as that of the next zone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import CRSError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

__all__ = ["FAR", "far_sources"]

FAR = 1000.0
"""Gap between the boxes of sources of one city beyond which it is told [m]."""
_SHOWN = 3
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def far_sources(city: City) -> list[dict[str, Any]]:
    """Return an issue for each group of sources whose box lies further than `FAR` from those of the others.

    The largest group, by its sources and then its objects, is the rest of the city.
    """
    from scipy.sparse.csgraph import connected_components

    keys, count, boxes = _boxes(city)
    gap = _gaps(boxes) * city.crs.linear_unit_factor
    groups, group = connected_components(gap <= FAR, directed=False)
    if groups < 2:
        return []
    size = np.bincount(group)
    main = max(range(groups), key=lambda one: (size[one], count[group == one].sum()))
    rows = {row["key"]: row for row in city.tables["sources"].to_pylist()}
    told = []
    for one in (one for one in range(groups) if one != main):
        away = float(gap[np.ix_(group == one, group == main)].min()) / 1000.0
        named, rest = (_named(rows, keys[group == which]) for which in (one, main))
        said = f"{named} lies {away:,.{0 if away >= 10 else 1}f} km from the rest of the city, {rest}"
        remedy = "if they belong together, one is in another coordinate system than it was read in: give crs= for it"
        told.append({"code": "crs", "severity": "warning", "source": int(keys[group == one][0]), "count": int(count[group == one].sum()),
                     "message": f"{said}; {remedy}"})  # fmt: skip
    return told


def _boxes(city: City) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the keys of sources with objects that have a place, how many, and their boxes, shape (n, 4)."""
    table = city.tables.scan("objects", ["source", "bbox"])
    table = table.filter(pc.and_(pc.is_valid(table["source"]), pc.is_valid(table["bbox"])))
    flat = pa.table({"source": table["source"], **{side: pc.struct_field(table["bbox"], side) for side in _SIDES}})
    made = flat.group_by("source").aggregate([(side, "min" if side.endswith("min") else "max") for side in _SIDES] + [("source", "count")])
    boxes = np.stack([made[f"{side}_{side[1:]}"].to_numpy().astype(float) for side in _SIDES], axis=1)
    there = np.isfinite(boxes).all(axis=1)
    return made["source"].to_numpy()[there], made["source_count"].to_numpy()[there], boxes[there]


def _gaps(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distances between boxes, shape (n, n), zero where they touch."""
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    apart = np.maximum(np.maximum(low - high.transpose(1, 0, 2), low.transpose(1, 0, 2) - high), 0.0)
    return np.hypot(apart[..., 0], apart[..., 1])


def _named(rows: dict[int, dict[str, Any]], keys: NDArray[np.int64]) -> str:
    names = []
    for row in (rows[key] for key in keys[:_SHOWN].tolist() if key in rows):
        layer = f", layer {row['layer']}" if row["layer"] and row["layer"] != row["name"] else ""
        names.append(f"{row['name']}{layer} ({_short(row['declared_crs']) or 'states no system'})")
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(names) + more


def _short(crs: str | None) -> str:
    """Return a coordinate system in its shortest notation; what cannot be parsed is cut."""
    from cim.crs import parse

    try:
        return parse(crs).to_string() if crs else ""
    except CRSError:
        return str(crs)[:60]
