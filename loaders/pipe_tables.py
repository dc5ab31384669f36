"""Pipes of a GIS table as a network in three dimensions: bodies from diameter and invert, nodes where ends meet, cover from the terrain."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import UsageError
from cim.loaders.pipes import along, sweep, touching
from cim.model.geometry import boundaries_from, vertices_from
from cim.model.keys import next_geometry
from cim.model.numeric import number_column
from cim.model.schema import make_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.coverages import Raster

    Reals = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["pipe_network"]

MOST_DIAMETER = 12.0
"""Diameter [m] beyond which a pipe is no pipe: DN 20 to 50 read without their unit would be; the widest deep sewers have about 11 m."""

_COVER = 0.5  # m between a stated cover and the one that follows from terrain and invert


def pipe_network(
    city: City, type: str = "GenericOccupiedSpace", *, network: str = "pipes", terrain: Raster | None = None, snap: float = 0.1
) -> City:
    """Return the city with its pipes as bodies and as the links of a network.

    A pipe is an object of the class with a line as footprint and a ``diameter``; its bottom comes from ``upstream_invert_level`` and
    ``downstream_invert_level`` (first and last point of the line), else from ``invert_level`` for both ends, else from
    ``cover_depth`` under the terrain. What is not known is not guessed: such a pipe stays a link without a body, and is counted.

    Parameters
    ----------
    type
        Class of pipes and of the points (manholes, valves) that may be nodes.
    network
        Name of the network in the table ``links``.
    terrain
        Ground, in the system of the city, as `cim.model.coverages.read_raster` gives it: cover where inverts are known, inverts where
        cover is.
    snap
        Ends and points nearer to each other than this are one node [m].

    Returns
    -------
    City
        With geometry of level 1 (axis) and 2 (closed body of the stated diameter, wall thickness not counted), rows in ``links``, and the
        attribute ``cover_depth`` where it was not stated and could be computed.

    Raises
    ------
    UsageError
        If the class has no lines, the city counts in degrees, or the terrain is in another system.
    """
    _check(city, type, terrain, snap)
    pipes = _pipes(city, type)
    if not len(pipes.keys):
        msg = f"no object of class {type} has a line as footprint; give type=, or map the layer to that class"
        raise UsageError(msg)
    said: list[dict[str, Any]] = []
    _tell_lines(pipes, said)
    bottom = _inverts(city, pipes, terrain, said)
    result = _with_links(city, pipes, bottom, network, snap, said)
    result = _with_bodies(result, pipes, bottom, said)
    return _with_cover(result, pipes, bottom, terrain, said).with_issues(said)


@dataclass(frozen=True)
class _Pipes:
    type: str
    keys: Ints
    points: Reals
    """Shape (n, 2), line after line."""
    start: Ints
    diameter: Reals
    points_of_nodes: Reals
    node_keys: Ints
    apart: int
    """Objects whose lines make no single line."""
    turned: NDArray[np.bool_]
    """Shape (g,): pipes whose pieces are drawn against each other, so that their direction is not known."""


def _check(city: City, type: str, terrain: Raster | None, snap: float) -> None:
    if type not in city.attributes:
        msg = f"the city has no object of class {type}; it has {', '.join(city.types()) or 'none'}"
        raise UsageError(msg)
    if not city.crs.is_projected or city.crs.linear_unit_factor != 1.0:
        msg = f"the city is in {city.crs.name}, which does not count in metres; bring it to a projected system first"
        raise UsageError(msg)
    if terrain is not None and not terrain.crs.same_horizontal(city.crs):
        msg = f"the terrain is in {terrain.crs.name}, the city in {city.crs.name}; bring one to the system of the other"
        raise UsageError(msg)
    if not snap >= 0:
        msg = f"snap is {snap!r}, expected a length of 0 m or more"
        raise UsageError(msg)


def _pipes(city: City, type: str) -> _Pipes:
    import shapely

    keys = city.keys(type)
    shapes = city.footprints(keys)
    kinds = shapely.get_type_id(shapes)
    merged, several = shapes.copy(), kinds == 5
    merged[several] = shapely.line_merge(shapes[several], directed=True)
    against = several & (shapely.get_type_id(merged) == 5)
    merged[against] = shapely.line_merge(shapes[against])
    line = np.flatnonzero((shapely.get_type_id(merged) == 1) & ~shapely.is_empty(merged))
    point = np.flatnonzero(kinds == 0)
    xy, owner = shapely.get_coordinates(merged[line], return_index=True)
    start = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=len(line)))]).astype(np.int64)
    diameter = number_column(city, type, "diameter", keys[line])
    apart = int((shapely.get_type_id(merged) == 5).sum())
    return _Pipes(type, keys[line], xy, start, diameter, shapely.get_coordinates(shapes[point]), keys[point], apart, against[line])


def _tell_lines(pipes: _Pipes, said: list[dict[str, Any]]) -> None:
    """Say which lines are no pipes, whose direction is doubtful, and which diameters are none."""
    if pipes.apart:
        text = f"{pipes.apart} objects of {pipes.type} have several lines that do not join to one: they are no pipes of the network"
        said.append({"code": "rejected", "severity": "warning", "count": pipes.apart, "message": text})
    _say(said, "guessed", pipes.turned, "pipes have pieces drawn against each other: which end is upstream is not known")
    wide = pipes.diameter > MOST_DIAMETER
    _say(said, "rejected", wide, f"pipes state a diameter of more than {MOST_DIAMETER:g} m (millimetres without a unit?): it is not used; "
         "say the unit in the mapping when reading")  # fmt: skip
    pipes.diameter[wide] = np.nan


def _ends(pipes: _Pipes) -> tuple[Reals, Reals]:
    return pipes.points[pipes.start[:-1]], pipes.points[pipes.start[1:] - 1]


def _ground(pipes: _Pipes, terrain: Raster | None) -> tuple[Reals, Reals]:
    """Return the terrain at both ends [m], NaN where it is not known."""
    if terrain is None:
        nothing = np.full(len(pipes.keys), np.nan)
        return nothing, nothing
    first, last = _ends(pipes)
    return terrain.sample(first[:, 0], first[:, 1]), terrain.sample(last[:, 0], last[:, 1])


def _inverts(city: City, pipes: _Pipes, terrain: Raster | None, said: list[dict[str, Any]]) -> tuple[Reals, Reals]:
    """Return the elevation of the inside bottom at both ends [m]."""
    both = number_column(city, pipes.type, "invert_level", pipes.keys)
    cover = number_column(city, pipes.type, "cover_depth", pipes.keys)
    found, level, covered = [], np.zeros(len(both), bool), np.zeros(len(both), bool)
    for name, ground in zip(("upstream_invert_level", "downstream_invert_level"), _ground(pipes, terrain), strict=True):
        stated = number_column(city, pipes.type, name, pipes.keys)
        level |= np.isnan(stated) & np.isfinite(both)
        stated = np.where(np.isnan(stated), both, stated)
        under = ground - cover - pipes.diameter
        covered |= np.isnan(stated) & np.isfinite(under)
        found.append(np.where(np.isnan(stated), under, stated))
    _say(said, "assumed", level, "pipes state one invert level: it is taken for both ends, so that they lie level", "info")
    _say(said, "assumed", covered, "pipes state no invert level: their bottom is the terrain less stated cover and diameter", "info")
    return found[0], found[1]


def _say(said: list[dict[str, Any]], code: str, which: NDArray[np.bool_], text: str, severity: str = "warning") -> None:
    count = int(which.sum())
    if count:
        said.append({"code": code, "severity": severity, "count": count, "message": f"{count} of {len(which)} {text}"})


def _with_links(city: City, pipes: _Pipes, bottom: tuple[Reals, Reals], network: str, snap: float, said: list[dict[str, Any]]) -> City:
    """Return the city with a link per pipe between the nodes where ends meet; a point that lies there gives the node its id."""
    first, last = _ends(pipes)
    count = len(pipes.keys)
    place = np.concatenate([first, last, pipes.points_of_nodes])
    group = touching(place, snap)
    names = np.array([f"{network}-node-{number}" for number in range(int(group.max()) + 1)], object)
    ids = np.array(city.ids(pipes.node_keys), object)
    names[group[2 * count :][::-1]] = ids[::-1]  # the first point there gives its name
    used = np.isin(group[2 * count :], group[: 2 * count])
    degree = np.bincount(group[: 2 * count], minlength=len(names))
    alone = degree[group[:count]] + degree[group[count : 2 * count]] <= 2
    _say(said, "unmatched", alone, "pipes touch no other pipe at either end", "info" if count == 1 else "warning")
    _say(said, "unmatched", ~used, f"points of {pipes.type} lie at no end of a pipe", "info")
    step = np.hypot(*np.diff(pipes.points, axis=0, append=pipes.points[-1:]).T)
    step[pipes.start[1:] - 1] = 0.0
    length = np.add.reduceat(step, pipes.start[:-1])
    facts = [json.dumps({name: value for name, value in zip(("diameter_m", "upstream_invert_m", "downstream_invert_m"), row, strict=True)
                         if value == value}) for row in zip(pipes.diameter.tolist(), *(side.tolist() for side in bottom), strict=True)]  # noqa: PLR0124  # fmt: skip
    have = city.tables["links"]
    key = int(np.max(have["key"].to_numpy())) + 1 if have.num_rows else 0
    rows = make_table("links", {
        "key": np.arange(key, key + count), "network": network, "object": pipes.keys, "from_node": names[group[:count]].tolist(),
        "to_node": names[group[count : 2 * count]].tolist(), "direction": "both", "length": length, "attributes": facts,
    })  # fmt: skip
    return city.replace_tables(links=pa.concat_tables([have, rows]))


def _with_bodies(city: City, pipes: _Pipes, bottom: tuple[Reals, Reals], said: list[dict[str, Any]]) -> City:
    """Return the city with axes and bodies of the pipes whose bottom and diameter are known."""
    from cim.model.derive import boxes_of, classify

    deep = np.isfinite(bottom[0]) & np.isfinite(bottom[1])
    wide = np.isfinite(pipes.diameter) & (pipes.diameter > 0)
    _say(said, "unsupported", ~deep, "pipes have no known depth (invert level, or cover and terrain): they have no body")
    _say(said, "unsupported", ~wide, "pipes have no diameter: they have no body")
    half = np.where(wide, pipes.diameter, 0.0) / 2
    axis = np.column_stack([pipes.points, along(pipes.points, pipes.start, bottom[0] + half, bottom[1] + half)]) - city.origin
    size = np.diff(pipes.start)
    line = np.flatnonzero(deep & wide)
    if not len(line):
        return city
    bodies = sweep(axis, pipes.start, np.where(deep, pipes.diameter, np.nan), pipes.diameter)
    mine = np.isin(np.repeat(np.arange(len(size)), size), line)
    one = np.ones(len(line), np.int64)
    within = np.arange(int(size[line].sum())) - np.repeat(np.cumsum(size[line]) - size[line], size[line])
    source = city.tables["objects"]["source"].take(pa.array(city.row_of_key(pipes.keys)))
    key = next_geometry(city.tables)
    axes = make_table("geometries", {
        "key": np.arange(key, key + len(line)), "object": pipes.keys[line], "lod": "1", "role": "line", "type": "MultiLineString",
        "source": source.take(pa.array(line)), "vertices": vertices_from(axis[mine], size[line]),
        "boundaries": boundaries_from(within, size[line], one, one, one, one),
    })  # fmt: skip
    key += len(line)
    solids = make_table("geometries", {
        "key": np.arange(key, key + len(bodies.row)), "object": pipes.keys[bodies.row], "lod": "2", "role": "solid", "type": "Solid",
        "source": source.take(pa.array(bodies.row)), "vertices": bodies.vertices, "boundaries": bodies.boundaries,
    })  # fmt: skip
    geometries = pa.concat_tables([city.tables["geometries"], axes, solids])
    geometries = geometries.sort_by([("object", "ascending"), ("key", "ascending")])
    objects = boxes_of(city.tables["objects"], pa.concat_tables([axes, solids]), city.tables["templates"], city.origin)
    return city.replace_tables(geometries=geometries, objects=classify(objects, geometries))


def _with_cover(city: City, pipes: _Pipes, bottom: tuple[Reals, Reals], terrain: Raster | None, said: list[dict[str, Any]]) -> City:
    """Return the city with the soil over pipes where it was not stated and both bottom and terrain are known, the least of both ends."""
    from cim.scenario.edit import Fact, add_claims, set_values

    if terrain is None:
        return city
    stated = number_column(city, pipes.type, "cover_depth", pipes.keys)
    cover = np.fmin(*(ground - low - pipes.diameter for ground, low in zip(_ground(pipes, terrain), bottom, strict=True)))
    new = np.flatnonzero(np.isnan(stated) & np.isfinite(cover))
    levels = np.isfinite(number_column(city, pipes.type, "upstream_invert_level", pipes.keys))
    _say(said, "conflict", levels & (np.abs(stated - cover) > _COVER), f"pipes state a cover that differs by more than {_COVER:g} m from "
         "terrain less invert level and diameter; the stated one is kept")  # fmt: skip
    if not len(new):
        return city
    _say(said, "conflict", cover[new] < 0, "pipes reach above the terrain: check inverts, diameters and height systems")
    order = np.argsort(pipes.keys[new])
    fact = Fact(pipes.type, "cover_depth", pipes.keys[new][order], cover[new][order])
    return add_claims(
        set_values(city, fact), city, fact, f"terrain {terrain.name or 'given'} less invert level and diameter, least of both ends"
    )
