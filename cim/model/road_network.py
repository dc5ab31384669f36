"""A road network as traffic models need it, and the trips on it: two tables and a matrix, whatever they were read from.

A link is one direction of one piece of a road; it names the object of the city it is a piece of. Nodes that a path may only begin or end at
(the centroids of zones) are marked. What the source did not say and a default stands for is listed link by link in `assumed`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa

from cim.errors import ObjectNotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import networkx
    from numpy.typing import ArrayLike, NDArray

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["BANNED", "LINKS", "NODES", "SIGNALS", "YIELDS", "CostLaw", "ODMatrix", "RoadNetwork", "TurnGraph", "checked", "faults_of",
           "refuse", "told_apart"]  # fmt: skip

CostLaw = Literal["bpr", "conical"]
"""How the time on a link grows with its flow: t (1 + b (v/c)^power) of the Bureau of Public Roads (1964), or Spiess's cone (1990)."""
NODES = pa.schema([
    pa.field("id", pa.string(), nullable=False),
    pa.field("x", pa.float64()), pa.field("y", pa.float64()),
    pa.field("through", pa.bool_(), nullable=False),
])  # fmt: skip
"""Columns of nodes: place in the CRS of the network [m], null where not known; whether a path may pass."""
LINKS = pa.schema([
    pa.field("id", pa.string(), nullable=False), pa.field("object", pa.string()),
    pa.field("from_node", pa.int64(), nullable=False), pa.field("to_node", pa.int64(), nullable=False),
    pa.field("length", pa.float64(), metadata={"unit": "m"}),
    pa.field("free_flow_time", pa.float64(), nullable=False, metadata={"unit": "s"}),
    pa.field("capacity", pa.float64(), nullable=False, metadata={"unit": "veh/h"}),
    pa.field("law", pa.string(), nullable=False),
    pa.field("b", pa.float64(), nullable=False), pa.field("power", pa.float64(), nullable=False),
    pa.field("fixed", pa.float64(), nullable=False, metadata={"unit": "s"}),
    pa.field("lanes", pa.float64()), pa.field("class", pa.string()), pa.field("assumed", pa.list_(pa.string())),
])  # fmt: skip
"""Columns of links. Nodes are rows of the table of nodes; `fixed`: tolls and distance in seconds; `b`: alpha of the cone."""
_TURN = (pa.field("from_link", pa.int64(), nullable=False), pa.field("to_link", pa.int64(), nullable=False))
BANNED = pa.schema(_TURN)
"""Turns from link to link, as rows of the links, that nobody may make."""
SIGNALS = pa.schema([*_TURN, *(pa.field(name, pa.float64(), nullable=False, metadata={"unit": "s"})
                               for name in ("cycle", "green_from", "green_until"))])  # fmt: skip
"""Green of turns under fixed-time signals, one row for each green: it begins and ends so long after a multiple of the cycle since
midnight, `green_until` may lie beyond the cycle. A turn without rows knows no signal."""
YIELDS = pa.schema([*_TURN, pa.field("before_from", pa.int64(), nullable=False), pa.field("before_to", pa.int64(), nullable=False)])
"""Turns that give way to another one, from link `before_from` to link `before_to`."""


class TurnGraph(NamedTuple):
    """Where a search stands, and the links it may take from there, so that no path makes a banned turn.

    A state is a node (rows of the nodes: where a path begins, and where links without a banned turn lead), or the head of a link with a
    banned turn (the rows after them), from where the links of the node lead on but for the banned ones. Without bans states are nodes,
    arcs the links by the node they leave.
    """

    first: Ints
    """Where the arcs that leave each state begin, shape (states + 1,)."""
    arc_link: Ints
    """Link of each arc, shape (arcs,)."""
    arc_head: Ints
    """State that each arc reaches."""
    arc_tail: Ints
    """State that each arc leaves; never falls."""
    first_into: Ints
    """Where the arcs that enter each state begin in `into`, shape (states + 1,)."""
    into: Ints
    """Arcs by the state they enter."""
    through: Flags
    """Whether a path may pass each state, shape (states,)."""
    state_of_link: Ints
    """State at the head of each link, shape (links,)."""
    extra: Ints
    """Where the further states at each node begin, shape (nodes + 1,): node v is reached in state v and in `extra[v]:extra[v + 1]`."""


@dataclass(frozen=True)
class RoadNetwork:
    """Nodes and directed links."""

    nodes: pa.Table
    links: pa.Table
    crs: str | None = None
    """Coordinate system of the nodes; None where the source states none."""
    notes: tuple[str, ...] = ()
    """What was repaired, dropped or assumed, each with its count."""
    banned: pa.Table = field(default_factory=BANNED.empty_table)
    signals: pa.Table = field(default_factory=SIGNALS.empty_table)
    yields: pa.Table = field(default_factory=YIELDS.empty_table)

    def __repr__(self) -> str:
        """Return how much there is."""
        counts = {"nodes": self.nodes, "links": self.links, "banned turns": self.banned, "greens of signals": self.signals,
                  "rules to give way": self.yields}  # fmt: skip
        told = [f"{table.num_rows:,} {name}" for name, table in counts.items() if table.num_rows or name in {"nodes", "links"}]
        return f"RoadNetwork({', '.join(told)}{f'; {self.crs}' if self.crs else ''})"

    @classmethod
    def of(  # noqa: PLR0913  # one argument per column
        cls, node_ids: Sequence[str], from_node: ArrayLike, to_node: ArrayLike, *, free_flow_time: ArrayLike, capacity: ArrayLike,
        length: ArrayLike | None = None, law: str | Sequence[str] = "bpr", b: ArrayLike = 0.15, power: ArrayLike = 4.0,
        fixed: ArrayLike = 0.0, through: ArrayLike = True, x: ArrayLike | None = None, y: ArrayLike | None = None,
        lanes: ArrayLike | None = None, ids: Sequence[str] | None = None, objects: Sequence[str | None] | None = None,
        classes: Sequence[str | None] | None = None,
        assumed: Sequence[Sequence[str]] | None = None, crs: str | None = None, notes: Iterable[str] = (),
    ) -> RoadNetwork:  # fmt: skip
        """Return a network from columns; one value stands for all links.

        Parameters
        ----------
        from_node, to_node : shape (l,)
            Rows of the nodes.
        free_flow_time, fixed, capacity, length : shape (l,) or one
            [s], [s], [veh/h] of all lanes, [m].
        ids : shape (l,)
            ``"from-to"`` without; links side by side get a number.

        Examples
        --------
        >>> road = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=60.0, capacity=1800.0)
        >>> road.links["id"].to_pylist()
        ['a-b']
        """
        tail, head = np.asarray(from_node, np.int64), np.asarray(to_node, np.int64)
        count, places = len(tail), len(node_ids)

        def full(value: ArrayLike | None, many: int) -> Any:
            return pa.nulls(many, pa.float64()) if value is None else pa.array(np.broadcast_to(np.asarray(value, float), many).copy())

        ends = zip(tail.tolist(), head.tolist(), strict=True)
        names = ids if ids is not None else told_apart([f"{node_ids[a]}-{node_ids[z]}" for a, z in ends])
        laws = [law] * count if isinstance(law, str) else list(law)
        nodes = [list(node_ids), full(x, places), full(y, places), np.broadcast_to(np.asarray(through, bool), places).copy()]
        links = [names, objects or [None] * count, tail, head, full(length, count), full(free_flow_time, count),
                 full(capacity, count), laws, full(b, count), full(power, count), full(fixed, count),
                 full(lanes, count), classes or [None] * count, assumed or [[]] * count]  # fmt: skip
        return cls(_table(nodes, NODES), _table(links, LINKS), crs, tuple(notes))

    def column(self, name: str) -> Any:
        """Return a column of the links as an array."""
        return self.links[name].to_numpy()

    @cached_property
    def forward_star(self) -> tuple[Ints, Ints]:
        """Where the links that leave each node begin, shape (nodes + 1,), and these links, shape (links,)."""
        return _star(self.column("from_node"), self.nodes.num_rows)

    @cached_property
    def backward_star(self) -> tuple[Ints, Ints]:
        """The same of the links that enter each node."""
        return _star(self.column("to_node"), self.nodes.num_rows)

    @cached_property
    def turn_graph(self) -> TurnGraph:
        """States and arcs of a search that makes no banned turn."""
        tail, head, nodes = self.column("from_node"), self.column("to_node"), self.nodes.num_rows
        links, (first, out) = len(tail), self.forward_star
        banned = np.unique(self.banned["from_link"].to_numpy() * links + self.banned["to_link"].to_numpy())
        barred = np.unique(banned // max(links, 1))
        barred = barred[np.argsort(head[barred], kind="stable")]
        own = nodes + np.arange(len(barred))
        state_of_link = head.copy()
        state_of_link[barred] = own
        degree = np.diff(first)[head[barred]]
        begin = np.repeat(first[head[barred]] - np.cumsum(degree) + degree, degree)
        turned = out[begin + np.arange(len(begin))]
        allowed = ~np.isin(np.repeat(barred, degree) * links + turned, banned)
        arc_link = np.concatenate([out, turned[allowed]])
        arc_tail = np.concatenate([tail[out], np.repeat(own, degree)[allowed]])
        arc_head = state_of_link[arc_link]
        states = nodes + len(barred)
        passable = self.nodes["through"].to_numpy()
        return TurnGraph(
            _star(arc_tail, states)[0], arc_link, arc_head, arc_tail, *_star(arc_head, states),
            np.concatenate([passable, passable[head[barred]]]), state_of_link, nodes + np.searchsorted(head[barred], np.arange(nodes + 1)),
        )  # fmt: skip

    @cached_property
    def places_by_id(self) -> dict[str, list[int]]:
        """Rows of the links by the id of each link, and by that of its object."""
        places: dict[str, list[int]] = {}
        for row, (name, owner) in enumerate(zip(self.links["id"].to_pylist(), self.links["object"].to_pylist(), strict=True)):
            for key in {name, owner} - {None}:
                places.setdefault(key, []).append(row)
        return places

    def rows_of(self, ids: Iterable[str]) -> Ints:
        """Return the rows of links by id, or of all links of an object by the object's id.

        Raises
        ------
        ObjectNotFoundError
            If neither a link nor an object has such an id; all unknown ones are named.
        """
        places = self.places_by_id
        wanted = list(ids)
        unknown = [one for one in wanted if one not in places]
        if unknown:
            msg = f"no link and no road has the id {', '.join(map(repr, unknown[:5]))}" + (
                f" and {len(unknown) - 5} more" if unknown[5:] else ""
            )
            raise ObjectNotFoundError(msg)
        return np.unique(np.array([row for one in wanted for row in places[one]], np.int64))

    def without(self, rows: Ints) -> RoadNetwork:
        """Return the network without some links, and without their turns."""
        keep = np.ones(self.links.num_rows, bool)
        keep[rows] = False
        new = np.where(keep, np.cumsum(keep) - 1, -1)
        turns = {one.name: _moved(getattr(self, one.name), new) for one in fields(self) if one.name in {"banned", "signals", "yields"}}
        return replace(self, links=self.links.filter(pa.array(keep)), **turns)

    def graph(self) -> networkx.MultiDiGraph:
        """Return a networkx view: nodes and links by id, with their columns."""
        import networkx as nx

        made = nx.MultiDiGraph()
        nodes = self.nodes.to_pylist()
        made.add_nodes_from((one["id"], one) for one in nodes)
        made.add_edges_from((nodes[one["from_node"]]["id"], nodes[one["to_node"]]["id"], one["id"], one) for one in self.links.to_pylist())
        return made


@dataclass(frozen=True)
class ODMatrix:
    """Trips between zones in the hour that is looked at, as rows of origin, destination and number."""

    origin: Ints
    """Row of the node where the trips begin, shape (n,)."""
    destination: Ints
    trips: Reals
    """[veh/h]."""
    notes: tuple[str, ...] = field(default=())
    places: tuple[Ints, tuple[str, ...]] | None = None
    """Rows of the nodes that are zones and their ids, where known: rows mean nothing in a network with other nodes."""

    def __repr__(self) -> str:
        """Return how many trips there are."""
        zones = len(np.union1d(self.origin, self.destination))
        return f"ODMatrix({self.total:,.6g} veh/h between {len(self.trips):,} pairs of {zones:,} zones)"

    @classmethod
    def of(
        cls, network: RoadNetwork, origin_ids: Sequence[str | int], destination_ids: Sequence[str | int], trips: ArrayLike,
        *, notes: Iterable[str] = (),
    ) -> ODMatrix:  # fmt: skip
        """Return trips between zones that are named by their ids: values of the column ``zone`` of the nodes, or ids of nodes without it.

        Parameters
        ----------
        trips : shape (n,)
            [veh/h].

        Raises
        ------
        ObjectNotFoundError
            If the network has no zones of some ids; all are named.
        UsageError
            If lengths differ, trips are negative or no numbers, or a zone has several nodes of which not just one is a centroid.

        Examples
        --------
        >>> road = RoadNetwork.of(["a", "b"], [0], [1], free_flow_time=60.0, capacity=1800.0)
        >>> ODMatrix.of(road, ["a"], ["b"], [12.5]).destination
        array([1])
        """
        number = np.asarray(trips, float)
        if not len(origin_ids) == len(destination_ids) == len(number):
            msg = f"the trips have {len(origin_ids)} origins, {len(destination_ids)} destinations and {len(number)} numbers"
            raise UsageError(msg)
        bad = ~(number >= 0) | ~np.isfinite(number)
        if bad.any():
            first = int(np.argmax(bad))
            msg = (f"{int(bad.sum())} trips are negative or no number (first: {number[first]:g} from {origin_ids[first]} to "
                   f"{destination_ids[first]}); give vehicles per hour")  # fmt: skip
            raise UsageError(msg)
        begin, end = np.split(_zone_rows(network, [*map(str, origin_ids), *map(str, destination_ids)]), 2)
        rows = np.unique(np.concatenate([begin, end]))
        return cls(begin, end, number, tuple(notes), (rows, tuple(network.nodes["id"].take(pa.array(rows)).to_pylist())))

    def on(self, network: RoadNetwork) -> ODMatrix:
        """Return the same trips on a network in which the zones stand in other rows.

        Raises
        ------
        ObjectNotFoundError
            If the network has not all of the zones.
        UsageError
            If the ids of the zones are not known.
        """
        if self.places is None:
            msg = "these trips do not know the ids of their zones; make them by ODMatrix.of"
            raise UsageError(msg)
        rows, names = self.places
        row_of = {name: row for row, name in enumerate(network.nodes["id"].to_pylist())}
        lost = [one for one in names if one not in row_of]
        if lost:
            msg = f"the network has no nodes {', '.join(map(repr, lost[:5]))}" + (f" and {len(lost) - 5} more" if lost[5:] else "")
            raise ObjectNotFoundError(msg)
        new = np.array([row_of[one] for one in names], np.int64)
        begin, end = (new[np.searchsorted(rows, one)] for one in (self.origin, self.destination))
        order = np.argsort(new)
        return ODMatrix(begin, end, self.trips, self.notes, (new[order], tuple(names[k] for k in order.tolist())))

    def faults_on(self, network: RoadNetwork) -> list[str]:
        """Return the fault that the rows of the zones are those of another network."""
        if self.places is None:
            return []
        rows, names = self.places
        there = rows[rows < network.nodes.num_rows]
        found = [*network.nodes["id"].take(pa.array(there)).to_pylist(), *[None] * (len(rows) - len(there))]
        other = [f"{one!r}, now {now!r}" for one, now in zip(names, found, strict=True) if one != now]
        if not other:
            return []
        said = f"{len(other)} of {len(names)} zones are other nodes here (first: {other[0]})"
        return [f"the trips are those of another network: {said}; give trips.on(network)"]

    @property
    def total(self) -> float:
        """All trips [veh/h]."""
        return float(self.trips.sum())


def _zone_rows(network: RoadNetwork, wanted: list[str]) -> Ints:
    """Return the node of each zone; of several nodes of a zone the only one that no path may pass."""
    import pyarrow.compute as pc

    nodes = network.nodes
    names = nodes["zone"].cast(pa.string()) if "zone" in nodes.column_names else nodes["id"]
    code = names.combine_chunks().dictionary_encode()
    of_node = code.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    of_wanted = pc.index_in(pa.array(wanted, pa.string()), value_set=code.dictionary)
    unknown = sorted(set(pc.filter(pa.array(wanted, pa.string()), pc.is_null(of_wanted)).to_pylist()))
    if unknown:
        rest = f" and {len(unknown) - 50} more" if unknown[50:] else ""
        msg = f"the network has no zones {', '.join(map(repr, unknown[:50]))}{rest}"
        raise ObjectNotFoundError(msg)
    count = len(code.dictionary)
    centroid = ~nodes["through"].to_numpy() & (of_node >= 0)
    many, alone = np.bincount(of_node[of_node >= 0], minlength=count), np.bincount(of_node[centroid], minlength=count)
    row = np.full(count, -1, np.int64)
    row[of_node[of_node >= 0]] = np.flatnonzero(of_node >= 0)
    row[of_node[centroid]] = np.flatnonzero(centroid)
    asked = of_wanted.to_numpy(zero_copy_only=False).astype(np.int64)
    several = np.unique(asked[(many[asked] > 1) & (alone[asked] != 1)])
    if several.size:
        shown = ", ".join(code.dictionary.take(pa.array(several[:10])).to_pylist())
        msg = f"{several.size} zones have several nodes and no single centroid ({shown}); let no path pass one node of each"
        raise UsageError(msg)
    found: Ints = row[asked]
    return found


def told_apart(ids: Iterable[str]) -> list[str]:
    """Return ids with a number behind each that occurred before.

    Examples
    --------
    >>> told_apart(["a-b", "b-c", "a-b"])
    ['a-b', 'b-c', 'a-b#2']
    """
    seen: Counter[str] = Counter()
    made = []
    for one in ids:
        seen[one] += 1
        made.append(one if seen[one] == 1 else f"{one}#{seen[one]}")
    return made


def _star(end: Ints, nodes: int) -> tuple[Ints, Ints]:
    first = np.zeros(nodes + 1, np.int64)
    np.cumsum(np.bincount(end, minlength=nodes), out=first[1:])
    return first, np.argsort(end, kind="stable").astype(np.int64)


def _moved(turns: pa.Table, new: Ints) -> pa.Table:
    """Return turns between links that have other rows now, -1 for one that is gone."""
    ends = [name for name in turns.column_names if turns.schema.field(name).type == pa.int64()]
    rows = [new[turns[name].to_numpy()] for name in ends]
    for name, row in zip(ends, rows, strict=True):
        turns = turns.set_column(turns.column_names.index(name), turns.schema.field(name), pa.array(row, pa.int64()))
    return turns.filter(pa.array(np.all([row >= 0 for row in rows], axis=0)))


def _table(columns: Sequence[Any], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_arrays([pa.array(one, kind.type) if not isinstance(one, pa.Array) else one.cast(kind.type)
                                 for one, kind in zip(columns, schema, strict=True)], schema=schema)  # fmt: skip


def faults_of(network: RoadNetwork) -> list[str]:
    """Return what makes a network unusable, each fault as a sentence with the number of links and the first of them."""
    ids, count = network.links["id"].to_pylist(), network.nodes.num_rows
    tail, head = network.column("from_node"), network.column("to_node")
    time, capacity, fixed, b, power = (network.column(name) for name in ("free_flow_time", "capacity", "fixed", "b", "power"))
    law, length = np.asarray(network.links["law"].to_pylist(), object), network.column("length").astype(float)
    again = np.zeros(len(ids), bool)
    if len(set(ids)) < len(ids):
        again[np.setdiff1d(np.arange(len(ids)), np.unique(np.array(ids, str), return_index=True)[1])] = True
    rising = (law == "conical") | ((b != 0) & (power != 0) & (time != 0))
    empty = (capacity <= 0) | (rising & np.isnan(capacity))
    falls = (law != "conical") & (~(power >= 1) | ~(b >= 0))
    found = {
        "begin or end at a node that is not there": (tail < 0) | (tail >= count) | (head < 0) | (head >= count),
        "have an id that a link before them has; a closure would close both": again,
        "have a length below zero or an infinite one; give metres": (length < 0) | np.isinf(length),
        "have a free-flow time that is negative or no number; give seconds": ~(time >= 0) | ~np.isfinite(time),
        "have a capacity of zero, below zero or no number; give vehicles per hour, or close the link": empty,
        "have a fixed cost that is negative or no number; paths would run in circles": ~(fixed >= 0) | ~np.isfinite(fixed),
        "have a power below 1 or a negative b; the cost must not fall with the flow": rising & falls,
        "have a cone with alpha of 1 or less": (law == "conical") & ~(b > 1),
        "have a cost law that is not known; give bpr or conical": ~np.isin(law, ("bpr", "conical")),
    }
    faults = [f"{int(bad.sum())} links {said} (first: {ids[int(np.argmax(bad))]})" for said, bad in found.items() if bad.any()]
    places, many = np.unique(np.array(network.nodes["id"].to_pylist(), str), return_counts=True)
    if (many > 1).any():
        said = "nodes have an id that another one has; trips could mean either"
        faults.append(f"{int((many - 1).sum())} {said} (first: {places[np.argmax(many > 1)]})")
    return faults if found["begin or end at a node that is not there"].any() else [*faults, *_turn_faults(network)]


def _turn_faults(network: RoadNetwork) -> list[str]:
    """Return what is wrong with turns, signals and who gives way."""
    tail, head, count = network.column("from_node"), network.column("to_node"), network.links.num_rows
    faults = []
    for name, table, pairs in (
        ("banned turns", network.banned, (("from_link", "to_link"),)), ("greens of signals", network.signals, (("from_link", "to_link"),)),
        ("turns that give way", network.yields, (("from_link", "to_link"), ("before_from", "before_to"))),
    ):  # fmt: skip
        for ends in pairs:
            one, other = (table[end].to_numpy() for end in ends)
            bad = (one < 0) | (one >= count) | (other < 0) | (other >= count)
            bad[~bad] = head[one[~bad]] != tail[other[~bad]]
            if bad.any():
                faults.append(f"{int(bad.sum())} {name} join links that do not follow each other (first: row {int(np.argmax(bad))})")
    cycle, begin, end = (network.signals[name].to_numpy() for name in ("cycle", "green_from", "green_until"))
    bad = ~((cycle > 0) & (begin >= 0) & (begin <= cycle) & (end > begin) & (end - begin <= cycle))
    if bad.any():
        faults.append(f"{int(bad.sum())} greens of signals do not lie in their cycle (first: row {int(np.argmax(bad))})")
    return faults


def checked(network: RoadNetwork, more: Sequence[str] = ()) -> None:
    """Refuse a network with faults, all of them and `more` in one message.

    Raises
    ------
    UsageError
        If there is any.
    """
    refuse([*faults_of(network), *more])


def refuse(faults: Sequence[str]) -> None:
    """Refuse what has faults, all of them in one message.

    Raises
    ------
    UsageError
        If there is any.
    """
    if faults:
        msg = f"traffic: {len(faults)} faults:\n  " + "\n  ".join(faults)
        raise UsageError(msg)
