"""Reading of GMNS folders: nodes, links, turns and signals as a road network, in metres, seconds and vehicles per hour.

Source of the format: General Modeling Network Specification 0.97 (github.com/zephyr-data-specs/GMNS); ``vdf_fftt`` [min], ``vdf_alpha`` and
``vdf_beta`` as DTALite and Path4GMNS write them. Columns and tables that begin with ``cim_`` hold what the specification has no place for.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import CorruptFileError, FormatError, InputError, UsageError
from cim.loaders.gmns.signals import read_signals, read_yields
from cim.loaders.gmns.tables import TextTable, read_table, shown
from cim.loaders.gmns.turns import FOR_CARS, NOT_FOR_CARS, LinkRows, for_cars, read_banned, uses_of
from cim.loaders.gmns.units import Units, units_of
from cim.loaders.limits import Limits
from cim.model.road_network import RoadNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["AGREES", "CENTROIDS", "LINK_FILES", "NO_ROADS", "read_network"]

LINK_FILES = ("link.csv", "road_link.csv")
CENTROIDS = frozenset({"centroid", "zone_centroid", "zone centroid"})
"""Values of ``node_type`` of nodes where paths may only begin or end."""
NO_ROADS = frozenset({
    "sidewalk", "crosswalk", "bikeway", "bike_path", "footway", "cycleway", "path", "pedestrian", "steps", "railway", "rail", "subway",
    "tram", "light_rail",
})  # fmt: skip
"""Values of ``facility_type`` that are no road for cars."""
_UNREAD = (
    "geometry", "link_tod", "lane", "lane_tod", "segment", "segment_tod", "segment_lane", "segment_lane_tod", "movement_tod", "location",
    "curb_seg", "use_definition", "use_group", "time_set_definitions", "signal_controller", "signal_detector",
)  # fmt: skip
AGREES = 1e-9
"""Relative difference between a column of the specification and the exact copy beside it, below which the copy is used."""
_MINUTE = 60.0
_BPR = (0.15, 4.0)  # Bureau of Public Roads (1964), Traffic Assignment Manual


def read_network(
    path: str | Path, *, length_unit: str | None = None, speed_unit: str | None = None, default_capacity: float | None = None,
    default_speed: float | None = None, toll_factor: float = 0.0, encoding: str | None = None, limits: Limits | None = None,
) -> RoadNetwork:  # fmt: skip
    """Return the road network of a GMNS folder, or of the folder that a ``link.csv`` stands in.

    Links that are not open to every car are left out; undirected links become two. Where ``movement.csv`` lists
    turns at a node, the others are banned there. The column ``zone`` of the nodes holds zones that are not named like their node.

    Parameters
    ----------
    length_unit, speed_unit
        Unit of link lengths and of speeds, such as ``"mile"`` and ``"mph"``, where ``config.csv`` does not say it.
    default_capacity, default_speed
        What to assume of links that state none [veh/h per lane], [m/s]; marked as assumed.
    toll_factor
        Seconds that a unit of currency is worth.

    Raises
    ------
    FormatError
        If columns or units are missing.
    CorruptFileError
        If ids stand twice, links lead to nodes that are not there, or values cannot be; lines are named.
    """
    limits = limits or Limits()
    folder, file = _files(Path(path))
    units, notes = units_of(folder, length_unit, speed_unit, limits)
    nodes = read_table(folder / "node.csv", encoding=encoding, limits=limits)
    links = read_table(file, encoding=encoding, limits=limits)
    nodes.need("node_id")
    links.need("link_id", "from_node_id", "to_node_id")
    notes += [*nodes.notes, *links.notes]
    names = nodes.unique("node_id")
    rows = _kept(links, names, notes)
    made = _network(nodes, links, names, rows, units, (default_capacity, default_speed, toll_factor), notes)
    made = _with_zones(made, nodes, folder, limits, notes)
    banned = read_banned(folder, made, rows, encoding, limits, notes)
    signals = read_signals(folder, made, rows, encoding, limits, notes)
    yields = read_yields(folder, made, encoding, limits)
    unread = [f"{name}.csv" for name in _UNREAD if (folder / f"{name}.csv").is_file()]
    notes += [*nodes.ignored(), *links.ignored(), *([f"tables that are not read: {', '.join(unread)}"] if unread else [])]
    return RoadNetwork(made.nodes, made.links, units.crs, tuple(notes), banned, signals, yields)


def _files(path: Path) -> tuple[Path, Path]:
    if "://" in str(path) or "\0" in str(path):
        raise InputError(str(path).replace("\0", "\\0"), "is no local folder", "download it first")
    folder = path if path.is_dir() else path.parent
    found = next((folder / name for name in LINK_FILES if (folder / name).is_file()), None) if path.is_dir() else path
    if found is None or not (folder / "node.csv").is_file():
        raise FormatError(path, "has no node.csv and link.csv: no GMNS folder", "give the folder that holds both")
    return folder, found


def _kept(links: TextTable, names: list[str], notes: list[str]) -> LinkRows:
    """Return which rows of the file are links of the network, in which direction, and their ends."""
    ids = links.unique("link_id")
    known = pa.array(names, pa.string())
    ends = [pc.index_in(pa.array(links.ids(name), pa.string()), value_set=known) for name in ("from_node_id", "to_node_id")]
    lost = np.flatnonzero(pc.or_(pc.is_null(ends[0]), pc.is_null(ends[1])).to_numpy(zero_copy_only=False))
    if len(lost):
        reason = f"{len(lost)} links end at nodes that node.csv does not have ({shown([ids[k] for k in lost])}; {links.lines(lost)})"
        raise CorruptFileError(links.path, reason, "add these nodes, or take the links out")
    tail, head = (one.to_numpy(zero_copy_only=False).astype(np.int64) for one in ends)
    road = _for_cars(links, notes)
    blank = road & np.array([one is None for one in links.text("directed")], bool)
    if blank.any():
        notes.append(f"directed is not stated of {int(blank.sum())} links: they are taken as one-way")
    both = road & ~links.flags("directed", default=True)
    if both.any():
        notes.append(f"{int(both.sum())} undirected links became two, the second one named id:reverse")
    source = np.concatenate([np.flatnonzero(road), np.flatnonzero(both)])
    back = np.arange(len(source)) >= int(road.sum())
    order = np.lexsort((back, source))
    source, back = source[order], back[order]
    return LinkRows(ids, source, back, np.where(back, head[source], tail[source]), np.where(back, tail[source], head[source]))


def _for_cars(links: TextTable, notes: list[str]) -> Flags:
    kinds = np.array([(kind or "").lower() not in NO_ROADS for kind in links.text("facility_type")], bool)
    uses = links.text("allowed_uses")
    road = kinds & for_cars(uses)
    words = list(zip(uses_of(uses), road.tolist(), strict=True))
    if not road.all():
        out = sorted(set().union(*(one for one, kept in words if not kept)))
        said = f": {shown(out, 10)}" if out else ""
        notes.append(f"{int((~road).sum())} links that are not open to every car are left out (facility_type, allowed_uses{said})")
    strange = [one - NOT_FOR_CARS for one, kept in words if kept and one and not one & FOR_CARS]
    if strange:
        said = shown(sorted(set().union(*strange)), 10)
        notes.append(f"allowed_uses of {len(strange)} links has no word that is known but {said}: they are taken as open to cars")
    return road


class _Supply(NamedTuple):
    length: Reals
    time: Reals
    capacity: Reals
    lanes: Reals
    b: Reals
    power: Reals
    assumed: list[list[str]]


def _network(
    nodes: TextTable, links: TextTable, names: list[str], rows: LinkRows, units: Units, given: tuple[float | None, float | None, float],
    notes: list[str],
) -> RoadNetwork:  # fmt: skip
    source = rows.source
    supply = _supply(links, source, units, given, notes)
    toll, exact = np.nan_to_num(links.numbers("toll"))[source], links.numbers("cim_fixed", 0.0)[source]
    lost, fixed = np.abs(toll[np.isnan(exact)]), np.where(np.isnan(exact), given[2] * toll, exact)
    if lost.any() and not given[2]:
        many = f"tolls of {np.count_nonzero(lost)} links (up to {lost.max():g})"
        notes.append(f"{many} do not count: give toll_factor=, the seconds that a unit of them is worth")
    kinds = [one or other for one, other in zip(links.text("facility_type"), links.text("link_type_name"), strict=True)]
    laws, objects = links.text("cim_law"), links.text("cim_object")
    types = [(one or "").lower() for one in nodes.text("node_type")]
    ids = [f"{rows.ids[k]}:reverse" if back else rows.ids[k] for k, back in zip(source.tolist(), rows.back.tolist(), strict=True)]
    if len(set(ids)) < len(ids):
        raise CorruptFileError(links.path, "has links named like the other direction of undirected ones (id:reverse)", "rename them")
    made = RoadNetwork.of(
        names, rows.tail, rows.head, free_flow_time=supply.time, capacity=supply.capacity, length=supply.length,
        law=[laws[k] or "bpr" for k in source.tolist()], b=supply.b, power=supply.power, fixed=fixed,
        through=np.array([one not in CENTROIDS for one in types], bool), x=nodes.numbers("x_coord"), y=nodes.numbers("y_coord"),
        lanes=supply.lanes, ids=ids, objects=[objects[k] for k in source.tolist()], classes=[kinds[k] for k in source.tolist()],
        assumed=supply.assumed,
    )  # fmt: skip
    return RoadNetwork(_with_nulls(made.nodes, "x", "y"), _with_nulls(made.links, "length", "lanes"))


def _with_nulls(table: pa.Table, *names: str) -> pa.Table:
    """Return a table with null where columns are not a number."""
    for name in names:
        column = pa.array(table[name].to_numpy(), pa.float64(), from_pandas=True)
        table = table.set_column(table.column_names.index(name), table.schema.field(name), column)
    return table


def _supply(
    links: TextTable, source: Ints, units: Units, given: tuple[float | None, float | None, float], notes: list[str]
) -> _Supply:  # fmt: skip
    """Return length, time and capacity of links, what of it is assumed, and tell how often."""

    def column(*names: str) -> Reals:
        return links.numbers(next((name for name in names if links.has(name)), names[0]), 0.0)[source]

    length, speed = column("length") * units.length, column("free_speed") * units.speed
    lanes, capacity = column("lanes"), column("capacity")
    old = links.text("cim_assumed")
    assumed = [(old[k] or "").split() for k in source.tolist()]
    minutes, total = column("vdf_fftt", "vdf_fftt1"), column("cim_capacity")
    timed = np.isfinite(minutes)
    speed = _assumed(speed, ~timed & (length != 0), given[1], "speed", "free_speed", "default_speed= [m/s]", links, source, assumed, notes)
    _need(~timed & np.isnan(length), links, source, "length")
    _need(~timed & (length > 0) & ~(speed > 0), links, source, "free_speed above zero")
    with np.errstate(invalid="ignore", divide="ignore"):
        driven = np.where(length > 0, length / speed, 0.0)
        other = timed & (driven > 0) & (np.abs(driven - _MINUTE * minutes) > 0.01 * driven)
    if (other & ~np.isfinite(links.numbers("cim_free_flow_time")[source])).any():
        notes.append(f"free-flow time of {int(other.sum())} links is vdf_fftt, which differs from length / free_speed by more than 1 %")
    time = _exact(np.where(timed, _MINUTE * minutes, driven), column("cim_free_flow_time"), "free-flow time", notes)
    capacity = _assumed(capacity, np.isnan(total), given[0], "capacity", "capacity", "default_capacity= [veh/h per lane]", links, source,
                        assumed, notes)  # fmt: skip
    one = np.isnan(lanes) & np.isnan(total)
    _mark(one, "lanes", "one lane", assumed, notes)
    lanes = np.where(one, 1.0, lanes)
    capacity = _exact(capacity * np.where(np.isnan(lanes), 1.0, lanes), total, "capacity", notes)
    law = [np.where(np.isnan(found), value, found) for found, value in
           ((column("vdf_alpha", "vdf_alpha1"), _BPR[0]), (column("vdf_beta", "vdf_beta1"), _BPR[1]))]  # fmt: skip
    unsaid = int(np.isnan(column("vdf_alpha", "vdf_alpha1")).sum())
    if unsaid:
        notes.append(f"cost of {unsaid} links by the Bureau of Public Roads (1964), b {_BPR[0]} and power {_BPR[1]:g}: not stated")
    return _Supply(_exact(length, column("cim_length"), "length", notes), time, capacity, lanes, law[0], law[1], assumed)


def _assumed(
    values: Reals, which: Flags, default: float | None, word: str, column: str, option: str, links: TextTable, source: Ints,
    assumed: list[list[str]], notes: list[str],
) -> Reals:  # fmt: skip
    """Return values with a default for those that are missing; refuse without one."""
    lacking = which & np.isnan(values)
    if default is None:
        _need(lacking, links, source, column, f", or give {option} to assume one")
        return values
    if not default > 0:
        msg = f"{option} is {default!r}, expected a number above zero"
        raise UsageError(msg)
    _mark(lacking, word, f"{word} {default:g}", assumed, notes)
    return np.where(lacking, default, values)


def _mark(which: Flags, word: str, said: str, assumed: list[list[str]], notes: list[str]) -> None:
    for k in np.flatnonzero(which).tolist():
        assumed[k].append(word)
    if which.any():
        notes.append(f"{said} is assumed of {int(which.sum())} links that state none")


def _need(lacking: Flags, links: TextTable, source: Ints, name: str, more: str = "") -> None:
    bad = np.unique(source[lacking])
    if len(bad):
        raise CorruptFileError(links.path, f"{len(bad)} links have no {name} ({links.lines(bad)})", f"fill it in{more}")


def _exact(standard: Reals, copy: Reals, word: str, notes: list[str]) -> Reals:
    """Return the exact copy where it agrees with the column of the specification, which somebody may have changed."""
    agrees = np.isfinite(copy) & (np.isnan(standard) | (np.abs(copy - standard) <= AGREES * np.abs(standard)))
    changed = int((np.isfinite(copy) & ~agrees).sum())
    if changed:
        notes.append(f"{word} of {changed} links differs from its exact copy (cim_ column): the column of the specification is used")
    return np.where(agrees, copy, standard)


def _with_zones(made: RoadNetwork, nodes: TextTable, folder: Path, limits: Limits, notes: list[str]) -> RoadNetwork:
    """Return the network with the zones of its nodes where they are not named like the node."""
    zones = nodes.text("zone_id")
    many_zero = zones.count("0") > 1
    none = {"-1", "0"} if many_zero else {"-1"}
    zones = [None if one in none else one for one in zones]
    stated = {one for one in zones if one}
    if (folder / "zone.csv").is_file():
        table = read_table(folder / "zone.csv", limits=limits)
        table.need("zone_id")
        listed = set(table.unique("zone_id"))
        notes += [f"{len(lost)} zones {said} ({shown(sorted(lost))})" for lost, said in
                  ((listed - stated, "of zone.csv have no node"), (stated - listed, "of nodes are not in zone.csv")) if lost]  # fmt: skip
    if not stated:
        return made
    names, through = made.nodes["id"].to_pylist(), made.nodes["through"].to_pylist()
    passed = sum(bool(zone) and passable for zone, passable in zip(zones, through, strict=True))
    if passed:
        notes.append(f"paths may pass {passed} nodes of zones: their node_type is not centroid")
    if all(zone is None or zone == name for zone, name in zip(zones, names, strict=True)):
        return made
    column = pa.array(zones, pa.string())
    return RoadNetwork(made.nodes.append_column(pa.field("zone", pa.string()), column), made.links, made.crs, made.notes)
