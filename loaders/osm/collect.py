"""Second look: every tagged object that a rule takes, as columns; areas by osmium's assembler, lines with their node ids.

osmium hands over one object at a time, so this is the one loop over objects of the reader: it looks at the tags, keeps the
geometry as WKB and leaves all else to columns.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cim.loaders.osm.guard import Checked
from cim.loaders.osm.rules import Rule, Rules, rules

if TYPE_CHECKING:
    import osmium

__all__ = ["Collected", "collect"]

NOWHERE = 2147483647
"""What osmium holds for a node that is not in the file."""
_CONTROLS = {
    "highway": {"traffic_signals", "stop", "give_way", "crossing", "mini_roundabout", "turning_circle", "turning_loop", "passing_place"},
    "railway": {"level_crossing", "crossing"},
    "traffic_calming": None,
    "barrier": None,
    "ford": {"yes"},
}  # fmt: skip


@dataclass
class Collected:
    """The objects a rule takes, row by row, and what became of the others."""

    ids: list[str] = field(default_factory=list)
    """Such as "way/5"."""
    rules: list[Rule] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    wkb: list[str | bytes] = field(default_factory=list)
    tags: list[dict[str, str]] = field(default_factory=list)
    versions: list[tuple[int, Any, int]] = field(default_factory=list)
    """Version, timestamp and changeset; 0 where the file has none."""
    run_rows: array[int] = field(default_factory=lambda: array("q"))
    """Row of each run of known nodes of a way that is part of a network."""
    run_sizes: array[int] = field(default_factory=lambda: array("q"))
    refs: array[int] = field(default_factory=lambda: array("q"))
    """Ids of the nodes of all runs, one after the other."""
    controls: dict[int, str] = field(default_factory=dict)
    """Nodes that matter to those who pass: id -> "highway=stop"."""
    leftover: Counter[str] = field(default_factory=Counter)
    """Tagged objects that no rule takes, by key."""
    leftovers: int = 0
    unclosed: dict[str, list[str]] = field(default_factory=dict)
    """Class -> ways that should be closed and are not."""
    cut: list[str] = field(default_factory=list)
    """Ways kept without the nodes that are missing."""
    missing: int = 0
    """Node references of ways that lead to no node in the file, or to one that is nowhere on Earth."""
    lost: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Objects that could not be placed: their class, and why."""
    repaired: list[str] = field(default_factory=list)
    """Areas whose ring the assembler refused, mended."""
    repeated: int = 0


_BORDERS = {"boundary"}
"""Keys that pieces of the ring of an area carry too."""


class _Collector:
    def __init__(self, deleted: frozenset[tuple[str, int]]) -> None:
        import osmium

        self.out = Collected()
        self.rules: Rules = rules()
        self.deleted = deleted
        self.wkb = osmium.geom.WKBFactory()
        self.every = osmium.geom.use_nodes.ALL
        self.nowhere = osmium.InvalidLocationError
        self.seen: set[str] = set()
        self.areas: dict[str, tuple[Rule, dict[str, str]]] = {}
        """Ways and relations that should become areas, until they do."""

    def take(self, entity: Any) -> None:
        """Look at one object."""
        letter = entity.type_str()
        if letter == "a":
            self.area(entity)
            return
        if not entity.visible or (letter, entity.id) in self.deleted:
            return
        tags = dict(entity.tags)
        if letter == "n":
            self.node(entity, tags)
        elif letter == "w":
            self.way(entity, tags)
        elif tags.get("type") in ("multipolygon", "boundary"):
            self.relation(entity, tags)

    def node(self, node: Any, tags: dict[str, str]) -> None:
        self._control(node.id, tags)
        found = self.rules.match(tags, "node")
        if found is None:
            self._left(tags)
            return
        name = f"node/{node.id}"
        if not node.location.valid():
            place = node.location
            why = f"its location is out of range (latitude {place.y / 1e7:g}, longitude {place.x / 1e7:g})"
            self.out.lost[name] = found[0].type, why if place.x != NOWHERE else "it has no location"
            return
        self._row(name, found, self.wkb.create_point(node), tags, node)

    def _control(self, number: int, tags: dict[str, str]) -> None:
        for key, values in _CONTROLS.items():
            value = tags.get(key)
            if value is not None and (values is None or value in values):
                self.out.controls[number] = f"{key}={value}"
                return

    def way(self, way: Any, tags: dict[str, str]) -> None:
        closed = len(way.nodes) > 3 and way.nodes[0].ref == way.nodes[-1].ref
        found = self.rules.match(tags, "closed" if closed else "open")
        name = f"way/{way.id}"
        if found is None:
            rule = None if closed else next(iter(self.rules.candidates(tags)), None)
            if rule is not None and rule.shapes == {"area"} and rule.key not in _BORDERS:
                self.out.unclosed.setdefault(rule.type, []).append(name)
            else:
                self._left(tags)
        elif found[1] == "area":
            self.areas[name] = (found[0], tags)
        else:
            self._line(name, found, way, tags)

    def relation(self, relation: Any, tags: dict[str, str]) -> None:
        found = self.rules.match(tags, "relation")
        if found is None:
            self._left(tags)
        else:
            self.areas[f"relation/{relation.id}"] = (found[0], tags)

    def area(self, area: Any) -> None:
        name = f"{'way' if area.from_way() else 'relation'}/{area.orig_id()}"
        wanted = self.areas.get(name)
        if wanted is None or area.num_rings()[0] == 0:
            return
        del self.areas[name]
        self._row(name, (wanted[0], "area"), self.wkb.create_multipolygon(area), wanted[1], area)

    def _line(self, name: str, found: tuple[Rule, str], way: Any, tags: dict[str, str]) -> None:
        try:
            shape: str | bytes = self.wkb.create_linestring(way, self.every)
            runs = [[node.ref for node in way.nodes]] if found[0].network else []
        except (RuntimeError, self.nowhere):  # a node without a place, or a single node
            runs, shape = self._runs(way)
            if not runs:
                why = "fewer than two neighbouring nodes of it are in the file, or they are out of range: nodes missing"
                self.out.lost[name] = found[0].type, why
                return
            self.out.cut.append(name)
        row = self._row(name, found, shape, tags, way)
        if row is not None and found[0].network:
            for run in runs:
                self.out.run_rows.append(row)
                self.out.run_sizes.append(len(run))
                self.out.refs.extend(run)

    def _runs(self, way: Any) -> tuple[list[list[int]], bytes]:
        """Return the ids of neighbouring nodes that are known, and the lines through them."""
        import shapely

        runs: list[list[tuple[int, float, float]]] = [[]]
        for node in way.nodes:
            if node.location.valid():
                runs[-1].append((node.ref, node.lon, node.lat))
            else:
                self.out.missing += 1
                runs.append([])
        kept = [run for run in runs if len(run) > 1]
        if not kept:
            return [], b""
        lines = [shapely.linestrings([(x, y) for _, x, y in run]) for run in kept]
        whole = lines[0] if len(lines) == 1 else shapely.multilinestrings(lines)
        return [[ref for ref, _, _ in run] for run in kept], shapely.to_wkb(whole)

    def mend(self, way: Any) -> None:
        """Take a closed way that the assembler refused: its ring is mended, or it is lost."""
        import shapely

        name = f"way/{way.id}"
        if name not in self.areas:
            return
        rule, tags = self.areas.pop(name)
        known = [(node.lon, node.lat) for node in way.nodes if node.location.valid()]
        gone = len(way.nodes) - len(known)
        self.out.missing += gone
        if gone:
            self.out.lost[name] = rule.type, "an area, but nodes of its ring are missing from the file or out of range"
            return
        parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(shapely.polygons(known), method="structure", keep_collapsed=False)))
        parts = parts[shapely.get_type_id(parts) == 3]
        if not len(parts):
            self.out.lost[name] = rule.type, "its ring encloses no area"
            return
        self.out.repaired.append(name)
        self._row(name, (rule, "area"), shapely.to_wkb(shapely.multipolygons(parts)), tags, way)

    def _row(self, name: str, found: tuple[Rule, str], shape: str | bytes, tags: dict[str, str], entity: Any) -> int | None:
        if name in self.seen:
            self.out.repeated += 1
            return None
        self.seen.add(name)
        out = self.out
        out.ids.append(name)
        out.rules.append(found[0])
        out.shapes.append(found[1])
        out.wkb.append(shape)
        out.tags.append(tags)
        out.versions.append((entity.version, entity.timestamp if entity.version else None, entity.changeset))
        return len(out.ids) - 1

    def _left(self, tags: dict[str, str]) -> None:
        keys = [key for key in tags if key not in self.rules.silent]
        self.out.leftovers += 1
        self.out.leftover.update(keys or ["(only name, note, source and the like)"])


def collect(file: Checked) -> Collected:
    """Return the objects of the file that a rule takes; what osmium raises is not caught here."""
    import osmium

    source = osmium.io.File(str(file.path), file.suffix)
    collector = _Collector(file.deleted)
    for entity in osmium.FileProcessor(source).with_areas().with_filter(osmium.filter.EmptyTagFilter()):
        collector.take(entity)
    _rest(collector, source)
    for name, (rule, _) in collector.areas.items():
        collector.out.lost[name] = rule.type, "its members are missing from the file or make no closed rings"
    return collector.out


def _rest(collector: _Collector, source: osmium.io.File) -> None:
    """Look again at the closed ways that became no area."""
    import osmium

    wanted = [int(name.partition("/")[2]) for name in collector.areas if name.startswith("way/")]
    if not wanted:
        return
    chosen = osmium.filter.IdFilter(wanted)
    chosen.enable_for(osmium.osm.WAY)
    only = osmium.filter.EntityFilter(osmium.osm.WAY)
    for entity in osmium.FileProcessor(source).with_locations().with_filter(only).with_filter(chosen):
        collector.mend(entity)
