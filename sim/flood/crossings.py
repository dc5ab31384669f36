"""Where the model says that water or traffic passes under something: culverts, underpasses, passages through buildings, bridges.

What an object says of itself counts (attributes tunnel, bridge, layer, class, function), else what its network links say.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.numeric import numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Box = tuple[float, float, float, float]

__all__ = ["Crossings", "named", "read_bridges", "read_culverts", "read_passages", "read_underpasses"]

_WAYS = ("Road", "Track", "Railway")
_WATERS = ("WaterBody", "Waterway")
_PIPES = ("GenericOccupiedSpace", "OtherConstruction", "Tunnel")
_NO = ("", "no", "none", "0", "false", "否", "无")
_WIDTHS = {"Road": 7.0, "Track": 3.0, "Railway": 4.0}
_LANE = 3.5
"""Width of a lane [m], where a road says only how many it has."""


@dataclass(frozen=True)
class Crossings:
    """Things of one kind, one row each."""

    ids: NDArray[np.object_]
    shapes: NDArray[np.object_]
    """Lines or polygons in the CRS of the city."""
    width: Floats
    """[m]; of a polygon NaN."""
    assumed: Bools
    """Whether the width is assumed."""
    start_level: Floats
    """Elevation of the floor where the line begins, as the model says [m]; NaN where it does not."""
    end_level: Floats

    def __len__(self) -> int:
        """Return the number of things."""
        return len(self.ids)

    def take(self, rows: Bools | Ints) -> Crossings:
        """Return some of them."""
        return Crossings(
            self.ids[rows], self.shapes[rows], self.width[rows], self.assumed[rows], self.start_level[rows], self.end_level[rows]
        )


def named(ids: NDArray[np.object_] | list[str], most: int = 5) -> str:
    """Return the first ids and how many more there are."""
    unique = list(dict.fromkeys(ids))
    return ", ".join(unique[:most]) + (f" and {len(unique) - most} more" if len(unique) > most else "")


def read_underpasses(city: City, box: Box, *, levels: bool) -> tuple[Crossings, list[str]]:
    """Return ways in a tunnel or one layer down, and what is left out.

    Parameters
    ----------
    levels
        Whether elevations in the model count from the same zero as those of the terrain.
    """
    found, deep = [], []
    for type in (*_WAYS, "Tunnel"):
        keys, texts, layer = _said(city, type, box)
        if not len(keys):
            continue
        tunnel = _yes(texts["tunnel"]) & ~np.isin(texts["tunnel"], ("building_passage", "culvert")) & ~_culvert(texts)
        down = (layer < 0) & ~_yes(texts["bridge"]) & ~_yes(texts["tunnel"])
        mine = tunnel | down if type != "Tunnel" else ~_culvert(texts)
        low = mine & (layer < -1)
        deep += city.ids(keys[low]) if low.any() else []
        found.append(_crossings(city, type, keys[mine & ~low], levels=levels))
    found.append(_from_links(city, box, lambda said: _link_yes(said, "tunnel", ("building_passage", "culvert")) or said.get("layer") == -1))
    notes = [f"{len(deep)} ways more than one layer down are left alone ({named(deep)})"] if deep else []
    return _joined(found), notes


def read_culverts(city: City, box: Box, *, levels: bool) -> Crossings:
    """Return waters in a tunnel, and whatever says that it is a culvert."""
    found = []
    for type in (*_WATERS, *_WAYS, *_PIPES):
        keys, texts, _ = _said(city, type, box)
        if len(keys):
            mine = _culvert(texts) | (_yes(texts["tunnel"]) if type in _WATERS else np.zeros(len(keys), bool))
            found.append(_crossings(city, type, keys[mine], levels=levels))
    return _joined(found)


def read_passages(city: City, box: Box) -> Crossings:
    """Return ways that lead through a building."""
    found = []
    for type in _WAYS:
        keys, texts, _ = _said(city, type, box)
        if len(keys):
            found.append(_crossings(city, type, keys[texts["tunnel"] == "building_passage"], levels=False))
    return _joined(found)


def read_bridges(city: City, box: Box) -> Crossings:
    """Return bridges, and ways that say they lie on one, or on a layer above the ground."""
    found = []
    for type in ("Bridge", *_WAYS):
        keys, texts, layer = _said(city, type, box)
        if len(keys):
            over = _yes(texts["bridge"]) | ((layer > 0) & ~_yes(texts["tunnel"]))
            found.append(_crossings(city, type, keys[over | (type == "Bridge")], levels=False))
    found.append(_from_links(city, box, lambda said: _link_yes(said, "bridge", ()) or _link_over(said)))
    return _joined(found)


# ---------------------------------------------------------------- objects


def _said(city: City, type: str, box: Box) -> tuple[Ints, dict[str, NDArray[np.object_]], Floats]:
    """Return the keys of a class in a box, what they say in lower case, and their layer (NaN where they do not say)."""
    keys = city.keys(type, bbox=box) if type in city.types() else np.empty(0, np.int64)
    names = ("tunnel", "bridge", "class", "function", "bgt_type", "predefined_type")
    held = city.attributes.schema(type).names if type in city.attributes else []
    texts = {name: _text(city, type, name, keys) if name in held else np.full(len(keys), "", object) for name in names}
    return keys, texts, _layer(city, keys, held)


def _text(city: City, type: str, name: str, keys: Ints) -> NDArray[np.object_]:
    column = pc.utf8_lower(pc.utf8_trim_whitespace(pc.fill_null(pc.cast(city.column(type, name, keys), pa.string()), "")))
    return np.array(column.to_pylist(), object)


def _layer(city: City, keys: Ints, held: list[str]) -> Floats:
    if "layer" not in held:
        return np.full(len(keys), np.nan)
    return numbers(city, "layer", keys)


def _yes(texts: NDArray[np.object_]) -> Bools:
    return ~np.isin(texts, _NO)


def _culvert(texts: dict[str, NDArray[np.object_]]) -> Bools:
    found = texts["tunnel"] == "culvert"
    for name in ("class", "function", "bgt_type", "predefined_type"):
        found |= np.array(["culvert" in one or "duiker" in one or "涵" in one for one in texts[name].tolist()], bool)
    return np.asarray(found, bool)


def _crossings(city: City, type: str, keys: Ints, *, levels: bool) -> Crossings:
    import shapely

    if not len(keys):
        return _joined([])
    shapes = city.footprints(keys)
    usable = np.isin(shapely.get_type_id(shapes), (1, 3, 5, 6)) & ~shapely.is_empty(shapes)
    keys, shapes = keys[usable], shapes[usable]
    width, assumed = _widths(city, type, keys)
    floor = numbers(city, "z_ground", keys) if levels else np.full(len(keys), np.nan)
    start, end = (numbers(city, name, keys) if levels else floor for name in ("upstream_invert_level", "downstream_invert_level"))
    ids = np.array(city.ids(keys), object)
    return Crossings(ids, shapes, width, assumed, np.where(np.isfinite(start), start, floor), np.where(np.isfinite(end), end, floor))


def _widths(city: City, type: str, keys: Ints) -> tuple[Floats, Bools]:
    """Return widths [m] and which are assumed: the stated one, else by lanes, else by class."""
    stated = numbers(city, "width", keys)
    diameter = numbers(city, "diameter", keys)
    stated = np.where(stated > 0, stated, diameter)
    lanes = numbers(city, "lanes", keys) * _LANE
    guess = np.where(lanes > 0, lanes, _WIDTHS.get(type, 0.0))
    known = np.isfinite(stated) & (stated > 0)
    return np.where(known, stated, guess), ~known


def _joined(parts: list[Crossings]) -> Crossings:
    blank = Crossings(np.empty(0, object), np.empty(0, object), np.empty(0), np.empty(0, bool), np.empty(0), np.empty(0))
    held = [part for part in parts if len(part)] or [blank]
    names = ("ids", "shapes", "width", "assumed", "start_level", "end_level")
    return Crossings(*(np.concatenate([getattr(part, name) for part in held]) for name in names))


# ---------------------------------------------------------------- links


def _link_yes(said: dict[str, Any], name: str, but: tuple[str, ...]) -> bool:
    value = str(said.get(name, "")).lower()
    return value not in _NO and value not in but


def _link_over(said: dict[str, Any]) -> bool:
    return (said.get("layer") or 0) > 0 and not _link_yes(said, "tunnel", ())


def _from_links(city: City, box: Box, wanted: Any) -> Crossings:
    """Return the stretches of ways whose links say it while the object itself does not."""
    import shapely

    links = city.tables["links"]
    marked = links.filter(pc.match_substring_regex(pc.fill_null(links["attributes"], ""), '"(tunnel|bridge|layer)"'))
    rows = [(key, said) for key, text in zip(marked["object"].to_pylist(), marked["attributes"].to_pylist(), strict=True)
            if wanted(said := json.loads(text))]  # fmt: skip
    if not rows:
        return _joined([])
    keys = np.array([key for key, _ in rows], np.int64)
    near = np.isin(keys, city.keys(bbox=box)) & ~_own_word(city, keys)
    shapes = city.footprints(keys)
    near &= shapely.get_type_id(shapes) == 1
    parts = np.array([_stretch(shapes[at], rows[at][1]) for at in np.flatnonzero(near)], object)
    if not len(parts):
        return _joined([])
    nan = np.full(len(parts), np.nan)
    lanes = np.array([float(rows[at][1].get("lanes") or np.nan) for at in np.flatnonzero(near)]) * _LANE
    width = np.where(lanes > 0, lanes, _WIDTHS["Road"])
    return Crossings(np.array(city.ids(keys[near]), object), parts, width, np.ones(len(parts), bool), nan, nan)


def _own_word(city: City, keys: Ints) -> Bools:
    """Say which objects state tunnel, bridge or layer themselves."""
    types = np.array(city.core_rows(["type"], keys)["type"].to_pylist(), object)
    spoken = np.zeros(len(keys), bool)
    for type in dict.fromkeys(types.tolist()):
        mine = types == type
        held = city.attributes.schema(type).names if type in city.attributes else []
        for name in (one for one in ("tunnel", "bridge", "layer") if one in held):
            spoken[mine] |= ~np.asarray(pc.is_null(city.column(type, name, keys[mine])).to_numpy(), bool)
    return spoken


def _stretch(line: Any, said: dict[str, Any]) -> Any:
    """Return the part of a line between the two vertices that a link names; all of it where it names none."""
    import shapely

    ends = said.get("vertices")
    points = shapely.get_coordinates(line)
    if not (isinstance(ends, list) and len(ends) == 2 and 0 <= min(ends) < max(ends) < len(points)):
        return line
    return shapely.linestrings(points[min(ends) : max(ends) + 1])
