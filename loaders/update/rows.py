"""The rows of the list of changes, from what became of the records of one source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.update.told import ids_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cim.loaders.update.apply import Applied, Fate
    from cim.loaders.update.records import Records
    from cim.model import City

__all__ = ["rows_of"]

CLOSE = 1e-3
"""Outlines are the same at another place when no corner is off by more than this [m]."""


def rows_of(  # one argument per thing that is known by then
    before: City, after: City, source: int, placed: City, records: Records, fate: Fate, applied: Applied,
    found: Mapping[int, list[tuple[str, str | None, str | None]]],
    said: tuple[Mapping[tuple[int, str], set[str]], Mapping[tuple[int, str], set[str]]],
) -> list[dict[str, Any]]:  # fmt: skip
    """Return one row per object that was added or removed, and one per attribute that differs.

    Parameters
    ----------
    found
        Differences by object; see `cim.loaders.update.told.differences`.
    said
        What the source claimed about the objects, and what it claims now.
    """
    old, new = ids_of(before), ids_of(after)
    name = _name(before, source)
    rows = [_row(new[key], "added", None, None, None, name) for key in applied.added.tolist()]
    wanted = placed.ids([right for _, right in applied.joined]) if applied.joined else []
    rows += [_row(new[left], "added", "record", None, id, name) for (left, _), id in zip(applied.joined, wanted, strict=True)]
    derived = set(fate.go.tolist()) - set(records.objects.tolist())
    ended = (
        "no source knows it any longer; its validity ended" if len(fate.go) and int(fate.go[0]) in new else "no source knows it any longer"
    )
    rows += [_row(old[key], "removed", None, None, "derived from a removed object" if key in derived else ended, name)
             for key in fate.go.tolist()]  # fmt: skip
    kinds = _kinds(before, after, records, fate, found)
    for key in [*fate.stay.tolist(), *sorted(set(found) - set(fate.stay.tolist()))]:
        rows += _of_object(old[key], kinds.get(key, "changed"), name, key, found.get(key, []), said, before, after)
    return rows


def _name(city: City, source: int) -> str:
    sources = city.tables["sources"]
    return str(dict(zip(sources["key"].to_pylist(), sources["name"].to_pylist(), strict=True))[source])


def _row(id: str, kind: str, attribute: str | None, old: str | None, new: str | None, source: str) -> dict[str, Any]:
    return {"id": id, "kind": kind, "attribute": attribute, "old": old, "new": new, "source": source}


def _kinds(
    before: City, after: City, records: Records, fate: Fate, found: Mapping[int, list[tuple[str, str | None, str | None]]]
) -> dict[int, str]:
    """Return what happened to each object that stays: a record of it is gone, it lies elsewhere, or it changed."""
    gone = set(records.objects[records.now < 0].tolist())
    moved = set(records.objects[records.moved].tolist())
    other = set(records.objects[records.reshaped].tolist())
    kinds = {}
    for key in fate.stay.tolist():
        outlines = any(attribute == "footprint" for attribute, _, _ in found.get(key, []))
        lies = key in moved or (key not in other and outlines and _same_shape(before, after, key))
        kinds[key] = "removed" if key in gone else "moved" if lies else "changed"
    return kinds


def _same_shape(before: City, after: City, key: int) -> bool:
    """Say whether a footprint is the same at another place."""
    import shapely

    old, new = (city.footprints([key])[0] for city in (before, after))
    if old is None or new is None or old.geom_type != new.geom_type:
        return False
    a, b = (shapely.get_coordinates(shape) for shape in (old, new))
    return a.shape == b.shape and bool(len(a)) and float(np.ptp(b - a, axis=0).max()) <= CLOSE


def _of_object(
    id: str, kind: str, name: str, key: int, differences: list[tuple[str, str | None, str | None]],
    said: tuple[Mapping[tuple[int, str], set[str]], Mapping[tuple[int, str], set[str]]], before: City, after: City,
) -> list[dict[str, Any]]:  # fmt: skip
    """Return the rows of one object that stays."""
    listed: list[tuple[str, str | None, str | None]] = [
        (attribute, _place(before, key), _place(after, key)) if attribute == "footprint" else (attribute, old, new)
        for attribute, old, new in differences
    ]
    seen = {attribute for attribute, _, _ in listed}
    for owner, attribute in sorted(set(said[0]) | set(said[1])):
        if owner == key and attribute not in seen:
            was, now = (", ".join(sorted(one.get((owner, attribute), set()))) or None for one in said)
            if was != now:
                listed.append((attribute, was, now))
    if kind == "removed":
        listed.insert(0, ("record", None, "another source knows the object; it stays"))
    return [_row(id, kind, attribute, was, now, name) for attribute, was, now in listed or [("record", None, None)]]


def _place(city: City, key: int) -> str | None:
    """Return where a footprint lies, and how large it is, in words."""
    shape = city.footprints([key])[0]
    if shape is None:
        return None
    middle = shape.centroid
    size = f", {shape.area:.2f} m²" if shape.area else f", {shape.length:.2f} m" if shape.length else ""
    return f"{middle.x:.3f} {middle.y:.3f}{size}"
