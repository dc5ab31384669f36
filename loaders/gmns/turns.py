"""Turns of a GMNS folder: where ``movement.csv`` lists movements at a node, the other turns there are banned."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import CorruptFileError
from cim.loaders.gmns.tables import TextTable, read_table, shown
from cim.model.road_network import BANNED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.loaders.limits import Limits
    from cim.model.road_network import RoadNetwork

    Ints = NDArray[np.int64]
    Flags = NDArray[np.bool_]

__all__ = [
    "FOR_CARS", "NOT_FOR_CARS", "LinkRows", "Movements", "all_turns", "for_cars", "movements_of", "read_banned", "read_own", "uses_of",
]  # fmt: skip

NOT_FOR_CARS = frozenset({
    "walk", "walking", "w", "ped", "pedestrian", "foot", "bike", "bicycle", "cycle", "transit", "rail", "railway", "tram", "metro", "bus",
    "taxi", "hov", "hov2", "hov2+", "hov3", "hov3+", "truck", "trucks", "freight", "shoulder", "parking",
})  # fmt: skip
"""Words of ``allowed_uses`` that let no car pass, or not every car."""
FOR_CARS = frozenset({
    "all", "any", "auto", "autos", "automobile", "car", "cars", "general", "gp", "sov", "da", "passenger", "vehicle", "vehicles", "motor",
})  # fmt: skip
"""Words of ``allowed_uses`` that let every car pass."""


class LinkRows(NamedTuple):
    """How the links of a network came from the rows of a file."""

    ids: list[str]
    """Of the rows of the file."""
    source: Ints
    """Row of the file of each link."""
    back: Flags
    """Whether the link is the other direction of its row."""
    tail: Ints
    head: Ints


class Movements(NamedTuple):
    """Movements between links of the network."""

    ids: list[str]
    begin: Ints
    """Row of the inbound link, -1 where it is no link of the network."""
    end: Ints


def movements_of(table: TextTable, network: RoadNetwork, rows: LinkRows) -> Movements:
    """Return the links of each movement; an undirected link is the direction that leads to, or from, the node of the movement."""
    table.need("mvmt_id", "ib_link_id", "ob_link_id")
    node = pc.index_in(pa.array(table.text("node_id"), pa.string()), value_set=network.nodes["id"].combine_chunks())
    at = node.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    found = [_rows(table, table.ids(name), rows, at, place) for name, place in (("ib_link_id", rows.head), ("ob_link_id", rows.tail))]
    return Movements(table.unique("mvmt_id"), found[0], found[1])


def _rows(table: TextTable, names: list[str], rows: LinkRows, node: Ints, place: Ints) -> Ints:
    known = pc.index_in(pa.array(names, pa.string()), value_set=pa.array(rows.ids, pa.string()))
    lost = np.flatnonzero(pc.is_null(known).to_numpy(zero_copy_only=False))
    if len(lost):
        reason = f"{len(lost)} movements name links that are not there ({shown([names[k] for k in lost])}; {table.lines(lost)})"
        raise CorruptFileError(table.path, reason, "add the links, or take the movements out")
    row = known.to_numpy(zero_copy_only=False).astype(np.int64)
    way = np.full((2, len(rows.ids)), -1, np.int64)
    way[rows.back.astype(int), rows.source] = np.arange(len(rows.source))
    forward, backward = way[0][row], way[1][row]
    turned = (backward >= 0) & (node >= 0) & (place[np.maximum(backward, 0)] == node) & (place[np.maximum(forward, 0)] != node)
    found: Ints = np.where(turned, backward, forward)
    return found


def all_turns(network: RoadNetwork, nodes: Ints) -> tuple[Ints, Ints]:
    """Return every turn at some nodes, as rows of the links, inbound link by inbound link."""
    first, out = network.forward_star
    _, into = network.backward_star
    head = network.column("to_node")
    inbound = into[np.isin(head[into], nodes)]
    degree = np.diff(first)[head[inbound]]
    begin = np.repeat(first[head[inbound]] - np.cumsum(degree) + degree, degree)
    return np.repeat(inbound, degree), out[begin + np.arange(len(begin))]


def read_banned(
    folder: Path, network: RoadNetwork, rows: LinkRows, encoding: str | None, limits: Limits, notes: list[str]
) -> pa.Table:  # fmt: skip
    """Return the turns that ``movement.csv`` leaves out at nodes where it lists any.

    Raises
    ------
    CorruptFileError
        If a movement names links that are not there or do not follow each other.
    LimitError
        If the nodes have more turns than records are allowed.
    """
    path, own = folder / "movement.csv", folder / "cim_banned.csv"
    shut = read_own(read_table(own, limits=limits), network, BANNED) if own.is_file() else BANNED.empty_table()
    if not path.is_file():
        return shut
    table = read_table(path, encoding=encoding, limits=limits)
    moves = movements_of(table, network, rows)
    inside = (moves.begin >= 0) & (moves.end >= 0)
    apart = np.flatnonzero(inside)[rows.head[moves.begin[inside]] != rows.tail[moves.end[inside]]]
    if len(apart):
        reason = f"{len(apart)} movements join links that do not follow each other ({table.lines(apart)})"
        raise CorruptFileError(path, reason, "correct their links")
    _tell(table, inside, notes)
    inside &= for_cars(table.text("allowed_uses"))
    nodes = np.unique(rows.head[moves.begin[inside]])
    places = network.nodes.num_rows
    turns = np.bincount(rows.head, minlength=places) * np.bincount(rows.tail, minlength=places)
    limits.check("records", int(turns[nodes].sum()), path)
    begin, end = all_turns(network, nodes)
    count = network.links.num_rows
    banned = ~np.isin(begin * count + end, moves.begin[inside] * count + moves.end[inside])
    if banned.any():
        notes.append(f"{int(banned.sum())} turns are banned: movement.csv lists others at their {len(nodes)} nodes, and not these")
    listed = pa.table([pa.array(begin[banned], pa.int64()), pa.array(end[banned], pa.int64())], schema=BANNED)
    return pa.concat_tables([listed, shut]).sort_by([("from_link", "ascending"), ("to_link", "ascending")])


def for_cars(uses: Sequence[str | None]) -> Flags:
    """Return which values of ``allowed_uses`` do not leave out cars.

    Examples
    --------
    >>> for_cars(["auto, bike", "WALK, BIKE", "bus, hov2", None]).tolist()
    [True, False, False, True]
    """
    return np.array([not one or not one <= NOT_FOR_CARS for one in uses_of(uses)], bool)


def uses_of(uses: Sequence[str | None]) -> list[set[str]]:
    """Return the words of values of ``allowed_uses``."""
    return [set(re.split(r"[,;|/\s]+", (one or "").lower())) - {""} for one in uses]


def _tell(table: TextTable, inside: Flags, notes: list[str]) -> None:
    """Say what of the movements is not kept."""
    if not inside.all():
        notes.append(f"{int((~inside).sum())} movements over links that are not open to every car are left out")
    lost = {name: int((np.nan_to_num(table.numbers(name)) > 0).sum()) for name in ("penalty", "capacity")}
    notes += [f"{name} of {count} movements is not in the network" for name, count in lost.items() if count]


def read_own(table: TextTable, network: RoadNetwork, schema: pa.Schema) -> pa.Table:
    """Return rows that name links by their ids."""
    table.need(*schema.names)
    known, columns = network.links["id"].combine_chunks(), []
    for kind in schema:
        if kind.type == pa.float64():
            columns.append(pa.array(table.numbers(kind.name), kind.type))
            continue
        names = pa.array(table.ids(kind.name), pa.string())
        row = pc.index_in(names, value_set=known)
        lost = np.flatnonzero(pc.is_null(row).to_numpy(zero_copy_only=False))
        if len(lost):
            reason = f"{len(lost)} rows name links that are not there ({shown([names[int(k)].as_py() for k in lost])}; {table.lines(lost)})"
            raise CorruptFileError(table.path, reason, "add the links, or take the rows out")
        columns.append(pc.cast(row, pa.int64()))
    return pa.table(columns, schema=schema)
