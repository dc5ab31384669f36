"""Where the links of a network lie: the one owner of that question.

A link states its piece of the line of its object as ``"vertices": [first, last]`` in the JSON of its attributes, counted over all
coordinates of the footprint, lines joined. A link of an object that is an area states its own line as ``"line": [[x, y], …]``, absolute
in the system of the city. A link without either, the only one of an object with a single line, is that line. Anything else does not
say where it lies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.link_json import said_by_links
from cim.model.numeric import floats
from cim.model.schema import one_array

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["LinkLines", "link_lines", "moved_lines"]

_LINES = (1, 5)
_SAID = {"vertices": pa.list_(pa.int64()), "line": pa.list_(pa.list_(pa.float64()))}


@dataclass(frozen=True)
class LinkLines:
    """The links of a network, one row each, in the order of the table `links`."""

    row: Ints
    """Row in the table `links`."""
    key: Ints
    """Key of the link."""
    object: Ints
    """Key of the object that it is a piece of."""
    lines: NDArray[np.object_]
    """Shapely lines from `from_node` to `to_node`, None where nobody states where the link lies."""
    missing: Bools
    """Where `lines` is None."""
    length: Floats
    """[m]: as the network states it; where it states none that of the line, in plan; not a number where neither is known."""
    first: Ints
    """Index of the first vertex among the coordinates of the object's footprint; -1 where the link has a line of its own, or none."""
    last: Ints
    from_node: NDArray[np.object_]
    """Names, None where the link has none."""
    to_node: NDArray[np.object_]
    names: NDArray[np.object_]
    """Shape (m,): nodes at the ends of the links that have a line, sorted."""
    places: Floats
    """Shape (m, 2): where they lie, in the system of the city."""

    def __len__(self) -> int:
        """Return the number of links."""
        return len(self.row)

    def places_of(self, names: NDArray[Any]) -> Floats:
        """Return where nodes lie, shape (n, 2), not a number where no link says it."""
        found = np.full((len(names), 2), np.nan)
        if len(self.names):
            at = np.minimum(np.searchsorted(self.names.astype(str), np.asarray(names, str)), len(self.names) - 1)
            hit = self.names[at] == names
            found[hit] = self.places[at[hit]]
        return found


def link_lines(city: City, network: str | None = "road") -> LinkLines:
    """Return where the links of a network lie, and its nodes.

    Parameters
    ----------
    network
        Its name in the table `links`; None for the links of all networks.

    Examples
    --------
    >>> from shapely import LineString
    >>> from cim.model import CityBuilder
    >>> builder = CityBuilder("EPSG:28992")
    >>> road = builder.add_objects("Road", ["r"], footprints=[LineString([(0, 0), (30, 40), (30, 50)])])
    >>> _ = builder.add_links(road, "road", ["a"], ["b"], attributes=['{"vertices": [0, 1]}'])
    >>> found = link_lines(builder.build())
    >>> found.lines[0].wkt, found.length.tolist(), found.names.tolist()
    ('LINESTRING (0 0, 30 40)', [50.0], ['a', 'b'])
    """
    table = city.tables["links"]
    rows = np.arange(table.num_rows)
    if network is not None:
        rows = np.flatnonzero(np.asarray(pc.equal(table["network"], network).to_numpy(), bool))
        table = table.take(pa.array(rows))
    said = said_by_links(table["attributes"], _SAID)
    owner = np.asarray(table["object"].to_numpy(), np.int64)
    lines, first, last = _from_footprints(city, owner, one_array(said["vertices"]))
    own, which = _own_lines(one_array(said["line"]))
    lines[which] = own
    first[which] = last[which] = -1
    missing = np.array([line is None for line in lines], bool)
    ends = [np.array(table[side].to_pylist(), object) for side in ("from_node", "to_node")]
    length = floats(table["length"])
    unknown = np.flatnonzero(np.isnan(length) & ~missing)
    length[unknown] = _lengths(city, lines[unknown])
    names, places = _nodes(ends, lines, np.flatnonzero(~missing))
    key = np.asarray(table["key"].to_numpy(), np.int64)
    return LinkLines(rows, key, owner, lines, missing, length, first, last, ends[0], ends[1], names, places)


def _from_footprints(city: City, owner: Ints, vertices: pa.Array) -> tuple[NDArray[Any], Ints, Ints]:
    """Return the pieces of the lines of objects that links are, None where there is none, and their first and last vertex."""
    import shapely

    lines = np.full(len(owner), None, object)
    objects, place = np.unique(owner, return_inverse=True)
    shapes = city.footprints(objects)
    linear = np.isin(shapely.get_type_id(shapes), _LINES)
    xy, of = shapely.get_coordinates(shapes[linear]), np.where(linear, shapely.get_num_coordinates(shapes), 0)
    start = np.cumsum(of) - of
    first, last = _pair(vertices)
    alone = (first < 0) & (np.bincount(place, minlength=len(objects)) == 1)[place] & linear[place]
    first, last = np.where(alone, 0, first), np.where(alone, of[place] - 1, last)
    low, high = np.minimum(first, last), np.maximum(first, last)
    good = linear[place] & (low >= 0) & (high > low) & (high < of[place])
    breaks = _breaks(shapes[linear], xy)
    good[good] = breaks[(start[place] + high)[good]] == breaks[(start[place] + low)[good]]
    _merge_parts(lines, shapes[place], np.flatnonzero(alone & ~good))
    at = np.flatnonzero(good)
    lines[at] = _pieces(xy, (start[place] + first)[at], (start[place] + last)[at])
    return lines, np.where(good, first, -1), np.where(good, last, -1)


def _pair(vertices: pa.Array) -> tuple[Ints, Ints]:
    """Return first and last vertex, -1 where a link does not state two."""
    two = pc.fill_null(pc.equal(pc.list_value_length(vertices), 2), fill_value=False)
    rows = np.flatnonzero(np.asarray(two.to_numpy(zero_copy_only=False), bool))
    pair = np.full((2, len(vertices)), -1, np.int64)
    stated = pc.fill_null(pc.list_flatten(vertices.take(pa.array(rows))), -1)
    pair[:, rows] = np.asarray(stated.to_numpy(zero_copy_only=False), np.int64).reshape(-1, 2).T
    return pair[0], pair[1]


def _breaks(shapes: NDArray[Any], xy: Floats) -> Ints:
    """Return for every coordinate how many gaps between lines lie before it: a piece must not leap over one."""
    import shapely

    parts = shapely.get_num_coordinates(shapely.get_parts(shapes))
    head = np.cumsum(parts)[:-1]
    gap = np.zeros(len(xy), np.int64)
    gap[head] = (xy[head] != xy[head - 1]).any(axis=1)
    return np.cumsum(gap)


def _merge_parts(lines: NDArray[Any], shapes: NDArray[Any], rows: Ints) -> None:
    """Fill in links that are the whole of an object whose lines, drawn in any order, join to one."""
    import shapely

    if len(rows):
        merged = shapely.line_merge(shapes[rows])
        single = shapely.get_type_id(merged) == 1
        lines[rows[single]] = merged[single]


def _pieces(xy: Floats, begin: Ints, end: Ints) -> NDArray[Any]:
    """Return lines from one coordinate to another; backward where the second comes before the first."""
    import shapely

    count = np.abs(end - begin) + 1
    piece = np.repeat(np.arange(len(begin)), count)
    step = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
    points = xy[begin[piece] + np.sign(end - begin)[piece] * step]
    return np.asarray(shapely.linestrings(points, indices=piece)) if len(begin) else np.empty(0, object)


def _own_lines(stated: pa.Array) -> tuple[NDArray[Any], Ints]:
    """Return the lines that links state themselves, and which links."""
    import shapely

    count = np.asarray(pc.fill_null(pc.list_value_length(stated), 0).to_numpy(zero_copy_only=False), np.int64)
    pairs = pc.list_flatten(stated)
    size = np.asarray(pc.fill_null(pc.list_value_length(pairs), 0).to_numpy(zero_copy_only=False), np.int64)
    link = np.repeat(np.arange(len(count)), count)
    good = (count >= 2) & (np.bincount(link[size != 2], minlength=len(count)) == 0)
    which = np.flatnonzero(good)
    if not len(which):
        return np.empty(0, object), which
    flat = pc.list_flatten(pc.list_flatten(stated.take(pa.array(which))))
    points = floats(pa.chunked_array([flat])).reshape(-1, 2)
    owner = np.repeat(np.arange(len(which)), count[which])
    known = np.bincount(owner[~np.isfinite(points).all(axis=1)], minlength=len(which)) == 0
    keep = known[owner]
    renumbered = (np.cumsum(known) - 1)[owner[keep]]
    made = np.asarray(shapely.linestrings(points[keep], indices=renumbered)) if known.any() else np.empty(0, object)
    return made, which[known]


def _lengths(city: City, lines: NDArray[Any]) -> Floats:
    """Return lengths of lines [m]: in the plane of a projected system, on the ellipsoid of a geographic one."""
    import shapely

    if city.crs.is_projected:
        factor = 1.0 if city.crs.is_local else city.crs.linear_unit_factor
        return np.asarray(shapely.length(lines) * factor, float)
    ellipsoid = city.crs.horizontal.get_geod()
    if ellipsoid is None or not len(lines):
        return np.full(len(lines), np.nan)
    xy, of = shapely.get_coordinates(lines, return_index=True)
    within = of[1:] == of[:-1]
    _, _, step = ellipsoid.inv(xy[:-1, 0], xy[:-1, 1], xy[1:, 0], xy[1:, 1])
    return np.asarray(np.bincount(of[1:][within], np.asarray(step)[within], len(lines)), float)


def _nodes(ends: list[NDArray[Any]], lines: NDArray[Any], known: Ints) -> tuple[NDArray[np.object_], Floats]:
    """Return the names of nodes, sorted, and their places: the end of the first link that names them."""
    import shapely

    name = np.concatenate([side[known] for side in ends])
    xy, of = shapely.get_coordinates(lines[known], return_index=True)
    tail = np.searchsorted(of, np.arange(len(known)))
    head = np.searchsorted(of, np.arange(len(known)), side="right") - 1
    named = np.flatnonzero(np.array([one is not None for one in name], bool))
    names, at = np.unique(name[named].astype(str), return_index=True)
    return names.astype(object), xy[np.concatenate([tail, head])[named][at]]


def moved_lines(links: pa.Table, move: Callable[[Floats], Floats]) -> pa.Table:
    """Return the table `links` with the lines that links state themselves brought elsewhere, such as into another system.

    Parameters
    ----------
    move
        From coordinates of shape (n, 2) to as many.
    """
    import json

    import shapely

    mine = np.flatnonzero(np.asarray(pc.fill_null(pc.match_substring(links["attributes"], '"line"'), False).to_numpy(), bool))
    if not len(mine):
        return links
    texts = links["attributes"].to_pylist()
    said = [json.loads(texts[row]) for row in mine.tolist()]
    lines, which = _own_lines(one_array(said_by_links(links["attributes"].take(pa.array(mine)), _SAID)["line"]))
    xy, of = shapely.get_coordinates(lines, return_index=True)
    moved = np.split(move(xy), np.searchsorted(of, np.arange(1, len(lines)))) if len(lines) else []
    for at, points in zip(which.tolist(), moved, strict=True):
        text = json.dumps({**said[at], "line": points.tolist()}, ensure_ascii=False)
        texts[int(mine[at])] = text
    place = links.column_names.index("attributes")
    return links.set_column(place, links.schema.field("attributes"), pa.array(texts, pa.string()))
