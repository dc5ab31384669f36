"""The reader: guards, two looks with osmium, and what they found as a City in longitude and latitude."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, CRSError, MissingExtraError
from cim.loaders.osm.attributes import Columns, address_of, columns_of
from cim.loaders.osm.collect import Collected, collect
from cim.loaders.osm.guard import Checked, checked, kind_of
from cim.loaders.osm.network import Links, links_of
from cim.loaders.osm.rules import rules
from cim.loaders.osm.survey import Restriction, Survey, survey
from cim.loaders.protocol import Description, LayerInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.protocol import ReadOptions
    from cim.model import City, CityBuilder

    Keys = NDArray[np.int64]

__all__ = ["READER", "OsmReader"]

CRS = "EPSG:4326"
_UNBUILT = frozenset({"proposed", "planned", "construction", "disused", "abandoned", "razed", "demolished", "dismantled", "collapsed"})
"""Values of a tag that name something that is not there, or not in use."""
_SHOWN = 5
"""Names that a message gives as examples."""


class OsmReader:
    """Reads OpenStreetMap extracts."""

    name = "osm"
    priority = 40

    @property
    def imports(self) -> tuple[str, ...]:
        """Modules the worker loads before it gives up its rights."""
        return ("osmium", "networkx", "pyproj") if _installed() else ()

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether it is an OpenStreetMap file."""
        return bool(head) and kind_of(head, path) is not None

    def read(self, path: Path, options: ReadOptions) -> City:
        """Return the city that the extract holds, in EPSG:4326.

        Raises
        ------
        InputError
            If it cannot be used.
        MissingExtraError
            If osmium is not installed.
        """
        shown = Path(str(options.extra.get("_shown", path)))
        file, seen, found = _looked_at(path, options, shown)
        return _city(file, seen, found, path, shown, options)

    def describe(self, path: Path, options: ReadOptions) -> Description:
        """Return how many objects of which class the file holds."""
        file, seen, found = _looked_at(path, options, path)
        shapes = _footprints(found)
        layers = [_info(type_, rows, found, shapes) for type_, rows in _rows_by_type(found).items()]
        doubts = [message for code, message, _ in (*_losses(found), *_order(seen)) if code != "unsupported"]
        return Description(file.format, tuple(layers), "utf-8", tuple(doubts), {}, whole=True)


READER = OsmReader()


def _installed() -> bool:
    from importlib.util import find_spec

    return find_spec("osmium") is not None


def _looked_at(path: Path, options: ReadOptions, shown: Path) -> tuple[Checked, Survey, Collected]:
    if not _installed():
        msg = "reading OpenStreetMap files needs the package osmium; install it with: pip install 'cim-toolkit[osm]'"
        raise MissingExtraError(msg)
    if options.crs is not None:
        _check_crs(options.crs, shown)
    file = checked(path, options.limits, shown)
    import osmium

    try:
        seen = survey(file, options.limits, shown)
        if seen.repeated or not seen.ordered:
            file = _in_order(file)
        return file, seen, collect(file)
    except (RuntimeError, osmium.InvalidLocationError) as error:
        reason = f"osmium cannot read this {file.format} file, it is corrupt or cut: {error}"
        raise CorruptFileError(shown, reason, "check that the file is whole") from error


def _check_crs(given: str, shown: Path) -> None:
    """Refuse another system than that of all OpenStreetMap data."""
    from cim.crs import parse

    if not parse(given).same_horizontal(parse(CRS)):
        reason = f"OpenStreetMap data are in {CRS} by definition, but {given} is asked for"
        raise CRSError(shown, reason, "leave crs= out, and transform the city afterwards (city.to_crs or fuse)")


def _in_order(file: Checked) -> Checked:
    """Write the objects sorted, each once (its newest version), to the current folder; osmium's assembler needs that."""
    import osmium

    target, named = Path.cwd() / "ordered.osm.pbf", Path.cwd() / f"input.{file.suffix}"
    named.unlink(missing_ok=True)
    named.symlink_to(file.path)  # this part of osmium tells the format by the name alone
    source = osmium.MergeInputReader()
    source.add_file(str(named))
    with osmium.SimpleWriter(str(target), overwrite=True) as writer:
        source.apply(writer, simplify=True)
    return replace(file, path=target, suffix="osm.pbf")


# ---------------------------------------------------------------- the city


def _city(file: Checked, seen: Survey, found: Collected, path: Path, shown: Path, options: ReadOptions) -> City:
    from cim.loaders.source import source_record
    from cim.model import CityBuilder

    shapes = _footprints(found)
    builder = CityBuilder(CRS, name=options.name or _stem(shown))
    lost = len(found.lost) + sum(map(len, found.unclosed.values()))
    record = source_record(
        path, reader="osm", format=file.format, shown=str(shown), declared_crs=CRS, used_crs=CRS, encoding="utf-8",
        records_in=len(found.ids) + lost, objects_out=len(found.ids), rejected=lost, repaired=len(found.repaired) + len(found.cut),
        mapping={"nodes": seen.counts["n"], "ways": seen.counts["w"], "relations": seen.counts["r"]},
    )  # fmt: skip
    source = builder.add_source(record)
    by_type = _rows_by_type(found)
    keys = np.full(len(found.ids), -1, np.int64)
    parents, assumed = _parents(found, shapes, seen)
    for type_, rows in by_type.items():
        keys[rows] = _add_type(builder, type_, rows, found, shapes, parents, source)
    if len(keys):
        _add_properties(builder, keys, found)
    _add_identifiers(builder, keys, found)
    links = links_of(found, shapes)
    _add_links(builder, keys, links)
    turns = _add_turns(builder, keys, found, seen.restrictions, source)
    told = [
        *_nothing(file, seen, found),
        *_order(seen),
        *_losses(found),
        *_odd_objects(found, shapes),
        *_network_notes(links),
        *turns,
        *assumed,
        *_relations_left(seen),
    ]
    for code, message, count in told:
        severity = "info" if code in ("unsupported", "assumed") else "warning"
        builder.add_issue(code, message, severity=severity, source=source, count=count)
    return builder.build()


def _stem(path: Path) -> str:
    """Return the name of a file without its suffixes, as far as they are those of OpenStreetMap files."""
    while path.suffix.lower() in (".osm", ".pbf", ".gz", ".bz2", ".xml"):
        path = path.with_suffix("")
    return path.name


def _footprints(found: Collected) -> NDArray[Any]:
    """Return the geometry of all rows; areas of one part as polygons."""
    import shapely

    out = np.empty(len(found.wkb), object)
    if len(out):
        out[:] = shapely.from_wkb(np.array(found.wkb, object))
        single = np.flatnonzero((shapely.get_type_id(out) == 6) & (shapely.get_num_geometries(out) == 1))
        out[single] = shapely.get_geometry(out[single], 0)
    return out


def _rows_by_type(found: Collected) -> dict[str, Keys]:
    types = np.array([rule.type for rule in found.rules], object)
    return {name: np.flatnonzero(types == name) for name in sorted(set(types.tolist()))}


def _add_type(
    builder: CityBuilder, type_: str, rows: Keys, found: Collected, shapes: NDArray[Any], parents: list[str | None], source: int
) -> Keys:
    mine = rows.tolist()
    tags = [found.tags[row] for row in mine]
    keys = builder.add_objects(
        type_, [found.ids[row] for row in mine], footprints=shapes[rows], names=[one.get("name") for one in tags],
        parents=[parents[row] for row in mine] if any(parents[row] for row in mine) else None,
        cim_codes=[rules().poi_code if found.rules[row].poi else None for row in mine], source=source,
    )  # fmt: skip
    columns = columns_of(type_, [found.rules[row].key for row in mine], tags)
    builder.add_attributes(keys, type_, columns.columns)
    _add_value_notes(builder, type_, columns, source)
    return keys


def _add_value_notes(builder: CityBuilder, type_: str, columns: Columns, source: int) -> None:
    """Name the values that are missing or were read in spite of their form."""
    missing = "cannot be read as a value of its kind or unit; set to missing, the text is kept among the properties"
    comma = "have a decimal comma; read as decimals"
    for code, texts, told in (("rejected", columns.bad, missing), ("repaired", columns.mended, comma)):
        for tag, counts in texts.items():
            shown, total = ", ".join(repr(text[:40]) for text, _ in counts.most_common(_SHOWN)), counts.total()
            message = f"tag {tag} of {total} {type_} ({shown}) {told}"
            builder.add_issue(code, message, source=source, count=total, severity=_weight(tag, code, counts))


def _weight(tag: str, code: str, texts: Counter[str]) -> str:
    """Return how serious unreadable values are: words that OpenStreetMap defines, such as maxspeed=walk, are no fault."""
    words = ("none", "walk", "signals", "variable")
    defined = tag == "maxspeed" and code == "rejected" and all(text in words or ":" in text for text in texts)
    return "info" if defined else "warning"


def _parents(found: Collected, shapes: NDArray[Any], seen: Survey) -> tuple[list[str | None], list[tuple[str, str, int]]]:
    """Return the building of each part, door and address: by relation, else the one it lies in."""
    import shapely

    parents: list[str | None] = [None] * len(found.ids)
    types = [rule.type for rule in found.rules]
    buildings = np.array([row for row, one in enumerate(types) if one == "Building"], np.int64)
    names = {found.ids[row] for row in buildings.tolist()}
    for row, name in enumerate(found.ids):
        above = seen.outlines.get(name)
        if types[row] == "BuildingPart" and above in names:
            parents[row] = above
    inner = ("BuildingPart", "Door", "Address")
    open_rows = np.array([row for row, one in enumerate(types) if one in inner and parents[row] is None], np.int64)
    if not len(open_rows) or not len(buildings):
        return parents, []
    points = shapely.point_on_surface(shapes[open_rows])
    tree = shapely.STRtree(shapes[buildings])
    which, where = tree.query(points, predicate="intersects")
    size = shapely.area(shapes[buildings])[where]
    order = np.lexsort((size, which))  # the smallest building first
    which, where = which[order], where[order]
    first = np.flatnonzero(np.diff(which, prepend=-1))
    for place, building in zip(open_rows[which[first]].tolist(), buildings[where[first]].tolist(), strict=True):
        parents[place] = found.ids[building]
    told = f"{len(first)} building parts, doors and addresses belong to the building they lie in: no relation says so"
    return parents, [("assumed", told, len(first))] if len(first) else []


def _add_properties(builder: CityBuilder, keys: Keys, found: Collected) -> None:
    """Keep every tag, and version, time and changeset where the file has them."""
    counts = np.fromiter((len(one) for one in found.tags), np.int64, len(found.tags))
    names = list(chain.from_iterable(found.tags))
    values = list(chain.from_iterable(one.values() for one in found.tags))
    builder.add_properties(np.repeat(keys, counts), "osm", names, values)
    meta = {"@version": [str(one) if one else None for one, _, _ in found.versions],
            "@timestamp": [time.isoformat() if time is not None and time.year > 1970 else None for _, time, _ in found.versions],
            "@changeset": [str(one) if one else None for _, _, one in found.versions]}  # fmt: skip
    for name, texts in meta.items():
        there = np.array([text is not None for text in texts], bool)
        if there.any():
            builder.add_properties(keys[there], "osm", name, [text for text in texts if text is not None])


def _add_identifiers(builder: CityBuilder, keys: Keys, found: Collected) -> None:
    if not len(keys):
        return
    builder.add_identifiers(keys, "osm", found.ids)
    addresses = [address_of(one) for one in found.tags]
    there = np.array([one is not None for one in addresses], bool)
    if there.any():
        builder.add_identifiers(keys[there], "address", [one for one in addresses if one is not None])


def _add_links(builder: CityBuilder, keys: Keys, links: Links) -> None:
    networks = np.array(links.network, object)
    for network in dict.fromkeys(links.network):
        mine = np.flatnonzero(networks == network).tolist()
        builder.add_links(
            keys[[links.rows[one] for one in mine]], network, [links.from_node[one] for one in mine], [links.to_node[one] for one in mine],
            direction=[links.direction[one] for one in mine], length=np.array([links.length[one] for one in mine]),
            attributes=[links.attributes[one] for one in mine],
        )  # fmt: skip


def _add_turns(builder: CityBuilder, keys: Keys, found: Collected, turns: list[Restriction], source: int) -> list[tuple[str, str, int]]:
    """Add turn restrictions as relations between ways; which node they hold at stands among the properties of the first way."""
    import orjson

    key_of = dict(zip(found.ids, keys.tolist(), strict=True))
    lost: list[str] = []
    for one in turns:
        pairs = [(key_of[a], key_of[b]) for a in one.from_ways for b in one.to_ways if a in key_of and b in key_of]
        if not pairs or not one.via or not one.kind:
            lost.append(one.id)
            continue
        builder.add_relations([a for a, _ in pairs], one.kind, [b for _, b in pairs], source=source)
        text = orjson.dumps({"restriction": one.kind, "from": one.from_ways, "via": one.via, "to": one.to_ways, "tags": one.tags}).decode()
        firsts = sorted({a for a, _ in pairs})
        builder.add_properties(firsts, "turn_restriction", [one.id] * len(firsts), [text] * len(firsts))
    told = f"{len(lost)} turn restrictions without their ways or node in the file are left out ({_some(lost)})"
    return [("lost", told, len(lost))] if lost else []


# ---------------------------------------------------------------- what is told


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + ("…" if len(names) > _SHOWN else "")


def _nothing(file: Checked, seen: Survey, found: Collected) -> list[tuple[str, str, int]]:
    """Say when a file holds nothing for a city."""
    if found.ids:
        return []
    nodes, ways, relations = (seen.counts[letter] for letter in "nwr")
    held = f"{nodes} nodes, {ways} ways and {relations} relations"
    told = f"the {file.format} file makes no object: it holds {held}, and none of them could be read as one"
    return [("empty", told, 1)]


def _order(seen: Survey) -> list[tuple[str, str, int]]:
    out: list[tuple[str, str, int]] = []
    if seen.repeated:
        told = f"{seen.repeated} objects stand in the file more than once (duplicate ids); the newest version is kept"
        out.append(("duplicate", told, seen.repeated))
    if not seen.ordered:
        out.append(("assumed", "nodes, ways and relations are not in order; read in order", 1))
    if seen.cyclic:
        named = _some([f"relation/{one}" for one in seen.cyclic])
        told = f"{len(seen.cyclic)} relations contain themselves (a cycle: {named}); that membership is ignored"
        out.append(("repaired", told, len(seen.cyclic)))
    return out


def _losses(found: Collected) -> list[tuple[str, str, int]]:
    out: list[tuple[str, str, int]] = []
    whys: dict[str, list[str]] = {}
    for name, (_, why) in found.lost.items():
        whys.setdefault("location" if "location" in why else why, []).append(name)
    for names in whys.values():
        types = Counter(found.lost[name][0] for name in names)
        of = ", ".join(f"{type_} {number}" for type_, number in types.most_common())
        why = found.lost[names[0]][1]
        out.append(("rejected", f"{len(names)} objects ({of}) are left out, such as {_some(names)}: {why}", len(names)))
    if found.cut:
        told = (
            f"{len(found.cut)} ways lack nodes in the file (cut at its edge?) and keep the pieces between known nodes ({_some(found.cut)})"
        )
        out.append(("repaired", told, len(found.cut)))
    if found.missing:
        out.append(("lost", f"{found.missing} node references of ways lead to nodes that are missing from the file", found.missing))
    if found.repaired:
        told = f"{len(found.repaired)} areas with crossing or doubled edges are mended ({_some(found.repaired)})"
        out.append(("repaired", told, len(found.repaired)))
    for type_, names in found.unclosed.items():
        out.append(("rejected", f"{len(names)} ways tagged as {type_} are not closed, so no area ({_some(names)})", len(names)))
    if found.leftovers:
        common = ", ".join(f"{key} {number}" for key, number in found.leftover.most_common(40))
        told = f"{found.leftovers} tagged objects are of no class that is read; their keys: {common}"
        out.append(("unsupported", told + ("…" if len(found.leftover) > 40 else ""), found.leftovers))
    return out


def _odd_objects(found: Collected, shapes: NDArray[Any]) -> list[tuple[str, str, int]]:
    """Name what makes no link, what is not built, and areas of one class with the same outer ring.

    Such are a way and the multipolygon it belongs to that are both tagged, and what was drawn twice.
    """
    import shapely

    out: list[tuple[str, str, int]] = []
    flat = [name for name, rule, form in zip(found.ids, found.rules, found.shapes, strict=True) if rule.network and form == "area"]
    if flat:
        out.append(
            ("unsupported", f"{len(flat)} roads, paths or rivers drawn as areas ({_some(flat)}) make no links of a network", len(flat))
        )
    unbuilt = [name for name, rule, tags in zip(found.ids, found.rules, found.tags, strict=True) if tags.get(rule.key) in _UNBUILT]
    if unbuilt:
        told = f"{len(unbuilt)} objects are planned, under construction or gone by the value of their tag ({_some(unbuilt)})"
        out.append(("assumed", f"{told}; they are kept as objects, without links", len(unbuilt)))
    types = np.array([rule.type for rule in found.rules], object)
    single = shapely.get_type_id(shapes) == 3
    for type_ in ("Building", "BuildingPart", "WaterBody"):
        rows = np.flatnonzero(single & (types == type_))
        _, place, many = np.unique(shapely.bounds(shapes[rows]), axis=0, return_inverse=True, return_counts=True)
        rows = rows[many[place.reshape(-1)] > 1]
        rings = shapely.normalize(shapely.polygons(shapely.get_exterior_ring(shapes[rows])))
        _, place, many = np.unique(shapely.to_wkb(rings, hex=True), return_inverse=True, return_counts=True)
        named = [found.ids[row] for row in rows[many[place] > 1].tolist()]
        if named:
            more = len(named) - int((many > 1).sum())
            told = f"{len(named)} {type_} areas share their outline with another ({_some(named)}): drawn twice, or a way beside the "
            out.append(("duplicate", f"{told}multipolygon it belongs to; all are kept, so that {more} are counted too often", more))
    return out


def _network_notes(links: Links) -> list[tuple[str, str, int]]:
    out: list[tuple[str, str, int]] = []
    if links.unreadable:
        words = ", ".join(repr(word[:40]) for word, _ in links.unreadable.most_common(_SHOWN))
        total = links.unreadable.total()
        out.append(("guessed", f"oneway={words} of {total} ways is neither yes nor no; their links go both ways", total))
    if links.implied:
        told = f"{links.implied} roundabouts and motorways without a oneway tag are one-way by definition"
        out.append(("assumed", told, links.implied))
    return out


def _relations_left(seen: Survey) -> list[tuple[str, str, int]]:
    read = {"multipolygon", "boundary", "building", "restriction"}
    left = {kind: number for kind, number in seen.relation_types.items() if kind.partition(":")[0] not in read}
    if not left:
        return []
    named = ", ".join(f"{kind or '(none)'} {number}" for kind, number in sorted(left.items(), key=lambda pair: -pair[1])[:40])
    return [("unsupported", f"{sum(left.values())} relations are of types that are not read: {named}", sum(left.values()))]


def _info(type_: str, rows: Keys, found: Collected, shapes: NDArray[Any]) -> LayerInfo:
    import shapely

    west, south, east, north = (float(value) for value in shapely.total_bounds(shapes[rows]))
    kinds = ", ".join(sorted({found.shapes[row] for row in rows.tolist()}))
    tags = Counter(chain.from_iterable(found.tags[row] for row in rows.tolist()))
    columns = tuple((key, "text") for key, _ in tags.most_common(30))
    return LayerInfo(type_, len(rows), kinds, CRS, (west, south, east, north), columns, type_)
