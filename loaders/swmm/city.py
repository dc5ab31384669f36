"""The city that a SWMM network makes: nodes, links, subcatchments, their bodies, and every other section kept as it stands."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CRSError
from cim.loaders.pipes import along, sweep
from cim.loaders.source import source_record
from cim.loaders.swmm.network import FOOT, MOST_HEIGHT, Links, Network, Nodes, network_of
from cim.loaders.swmm.sections import LINKS, NODES, Document, Row

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cim.loaders.protocol import ReadOptions
    from cim.model import City, CityBuilder

    Reals = NDArray[np.float64]
    Keys = NDArray[np.int64]

__all__ = ["city_of"]

PIPE, CATCHMENT, GROUP = "GenericOccupiedSpace", "GenericLogicalSpace", "CityObjectGroup"
NETWORK = "drainage"
_HECTARE, _ACRE = 1e4, 4046.8564224  # m2; the international acre
_NEAR = 0.05  # of the ratio of foot and metre
_FEWEST = 3  # conduits that a ratio is told from
_LONGER = 0.1  # of the drawn length: a stated length further away is told


def city_of(document: Document, path: Path, options: ReadOptions) -> City:
    """Return the city of a document.

    Raises
    ------
    InputError
        If a row cannot be used, or coordinates have no system.
    """
    from cim.crs import parse
    from cim.model import CityBuilder

    network = network_of(document, path)
    placed = bool(np.isfinite(network.nodes.xy).any()) or bool(document.rows("POLYGONS"))
    if placed and not options.crs:
        remedy = 'give the one it was drawn in: read(..., crs="EPSG:28992+5709"), or crs="local"'
        raise CRSError(path, "the format states no coordinate reference system (CRS)", remedy)
    crs = parse(options.crs or "local", path=str(path))
    builder = CityBuilder(crs, name=options.name or path.stem)
    taken = sum(len(document.rows(name)) for name in (*NODES, *LINKS, "SUBCATCHMENTS"))
    short = _short(document)
    record = source_record(
        path, reader="swmm", format="SWMM INP", used_crs=crs.to_string(), encoding=document.encoding, records_in=taken,
        objects_out=taken - len(short), rejected=len(short), repaired=int(network.links.raised.sum()),
        used_vertical=crs.vertical.name if crs.vertical is not None else None,
    )  # fmt: skip
    source = builder.add_source(record)
    root = builder.add_objects(GROUP, [f"{path.stem} ({NETWORK})"], names=[path.stem], source=source)
    nodes = _add_nodes(builder, network.nodes, source)
    links = _add_links(builder, network, nodes, source)
    areas = _add_catchments(builder, document, network, nodes, source)
    builder.add_relations(
        np.repeat(root, len(nodes) + len(links) + len(areas)), "contains", np.concatenate([nodes, links, areas]), source=source
    )
    _keep_sections(builder, document, int(root[0]))
    _tell(builder, document, network, source)
    return builder.build()


def _rows(builder: CityBuilder, keys: Keys, sections: list[str], rows: list[Any]) -> None:
    """Keep every row as it stands."""
    builder.add_properties(keys, "swmm", sections, [" ".join(row.words) for row in rows])


def _add_nodes(builder: CityBuilder, nodes: Nodes, source: int) -> Keys:
    import shapely

    from cim.model import Column
    from cim.model.geometry import boundaries_from, vertices_from

    if not nodes.name:
        return np.empty(0, np.int64)
    known = np.isfinite(nodes.xy).all(axis=1)
    shapes = np.full(len(nodes.name), None, object)
    shapes[known] = shapely.points(nodes.xy[known])
    rim = nodes.invert + nodes.depth
    keys = builder.add_objects(PIPE, nodes.name, footprints=shapes, names=nodes.name, source=source)
    builder.add_identifiers(keys, "swmm_node", nodes.name)
    builder.add_attributes(keys, PIPE, {
        "function": Column(nodes.kind, label_zh="功能", label_en="function"),
        "invert_level": Column(nodes.invert, unit="m", label_zh="管底高程", label_en="invert level"),
        "max_depth": Column(nodes.depth, unit="m", label_zh="井深", label_en="maximum depth"),
        "rim_level": Column(rim, unit="m", label_zh="井口高程", label_en="rim level"),
    })  # fmt: skip
    _rows(builder, keys, [kind.upper() for kind in nodes.kind], nodes.row)
    shaft = np.flatnonzero(known & np.isfinite(rim) & (nodes.depth > 0))
    if len(shaft):
        ends = np.stack([np.column_stack([nodes.xy[shaft], z[shaft]]) for z in (nodes.invert, rim)], axis=1).reshape(-1, 3)
        two, one = np.full(len(shaft), 2), np.ones(len(shaft), np.int64)
        builder.add_geometries(keys[shaft], lod="1", role="line", type="MultiLineString", vertices=vertices_from(ends, two), source=source,
                               boundaries=boundaries_from(np.tile([0, 1], len(shaft)), two, one, one, one, one))  # fmt: skip
    return keys


def _lines(network: Network) -> tuple[Reals, Keys, NDArray[np.bool_]]:
    """Return the points of the drawn links, one after the other, where each starts, and which links can be drawn."""
    nodes, links = network.nodes, network.links
    drawn, pieces = np.zeros(len(links.name), bool), []
    for at, name in enumerate(links.name):  # bends are a list of each link's own length
        piece = np.array([nodes.xy[links.start[at]], *network.bends.get(name, []), nodes.xy[links.end[at]]])
        drawn[at] = bool(np.isfinite(piece).all())
        pieces.append(piece if drawn[at] else np.empty((0, 2)))
    start = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])]).astype(np.int64)
    return np.concatenate(pieces) if pieces else np.empty((0, 2)), start, drawn


def _add_links(builder: CityBuilder, network: Network, node_keys: Keys, source: int) -> Keys:
    import shapely

    from cim.model import Column
    from cim.model.geometry import boundaries_from, vertices_from

    nodes, links = network.nodes, network.links
    if not links.name:
        return np.empty(0, np.int64)
    points, start, drawn = _lines(network)
    shapes = np.full(len(links.name), None, object)
    shapes[drawn] = shapely.linestrings(points, indices=np.repeat(np.arange(int(drawn.sum())), np.diff(start)[drawn]))
    taken = set(nodes.name)
    ids = [f"link/{name}" if name in taken else name for name in links.name]
    keys = builder.add_objects(PIPE, ids, footprints=shapes, names=links.name, source=source)
    builder.add_identifiers(keys, "swmm_link", links.name)
    diameter = np.where(links.is_round, links.height, np.nan)
    builder.add_attributes(keys, PIPE, {
        "function": Column(links.kind, label_zh="功能", label_en="function"),
        "length": Column(links.length, unit="m", label_zh="管长", label_en="length"),
        "diameter": Column(diameter, unit="m", label_zh="管径", label_en="diameter"),
        "section_shape": Column(links.shape, label_zh="断面形状", label_en="section shape"),
        "section_height": Column(links.height, unit="m", label_zh="断面高", label_en="section height"),
        "section_width": Column(links.width, unit="m", label_zh="断面宽", label_en="section width"),
        "barrels": Column(links.barrels, label_zh="孔数", label_en="barrels"),
        "roughness": Column(links.roughness, label_zh="曼宁糙率 n", label_en="Manning's n, s/m^(1/3)"),
        "upstream_invert_level": Column(links.start_invert, unit="m", label_zh="上游管底高程", label_en="upstream invert level"),
        "downstream_invert_level": Column(links.end_invert, unit="m", label_zh="下游管底高程", label_en="downstream invert level"),
        "cover_depth": Column(_cover(nodes, links), unit="m", label_zh="覆土", label_en="cover, least of both ends"),
    })  # fmt: skip
    _rows(builder, keys, [kind.upper() + "S" for kind in links.kind], links.row)
    facts = [_facts(links, at, diameter[at]) for at in range(len(links.name))]
    names = [nodes.name[at] for at in links.start.tolist()], [nodes.name[at] for at in links.end.tolist()]
    lengths = [None if np.isnan(value) else float(value) for value in links.length]
    builder.add_links(keys, NETWORK, names[0], names[1], direction="forward", length=lengths, attributes=facts)
    for ends, predicate in ((links.start, "startsAt"), (links.end, "endsAt")):
        builder.add_relations(keys, predicate, node_keys[ends], source=source)
    half = np.where(np.isfinite(links.height), links.height / 2, 0.0)
    axis = np.column_stack([points, along(points, start, links.start_invert + half, links.end_invert + half)])
    line = np.flatnonzero(drawn & np.isfinite(links.start_invert) & np.isfinite(links.end_invert))
    if len(line):
        size = np.diff(start)
        mine = np.isin(np.repeat(np.arange(len(size)), size), line)
        one = np.ones(len(line), np.int64)
        within = np.arange(int(size[line].sum())) - np.repeat(np.cumsum(size[line]) - size[line], size[line])
        builder.add_geometries(keys[line], lod="1", role="line", type="MultiLineString", vertices=vertices_from(axis[mine], size[line]),
                               boundaries=boundaries_from(within, size[line], one, one, one, one), source=source)  # fmt: skip
    if builder.crs.linear_unit_factor == 1.0:
        solid = links.is_closed & np.isin(np.arange(len(links.name)), line) & (links.barrels == 1)
        wide = np.where(solid, links.width, np.nan)
        bodies = sweep(axis, start, wide, np.where(solid, links.height, np.nan), box=links.is_box)
        if len(bodies.row):
            builder.add_geometries(keys[bodies.row], lod="2", role="solid", type="Solid", vertices=bodies.vertices,
                                   boundaries=bodies.boundaries, source=source)  # fmt: skip
    return keys


def _cover(nodes: Nodes, links: Links) -> Reals:
    """Return the soil over the inside top of closed conduits [m], the least of both ends; NaN where a rim is not known.

    A node without a rim of its own (an outfall) does not count.
    """
    rim = nodes.invert + nodes.depth
    ends = [rim[at] - (invert + links.height) for at, invert in ((links.start, links.start_invert), (links.end, links.end_invert))]
    return np.where(links.is_closed, np.fmin(*ends), np.nan)


def _facts(links: Links, at: int, diameter: float) -> str:
    said = {"function": links.kind[at], "diameter_m": diameter, "roughness": links.roughness[at], "section_shape": links.shape[at],
            "upstream_invert_m": links.start_invert[at], "downstream_invert_m": links.end_invert[at]}  # fmt: skip
    plain = {name: float(value) if isinstance(value, np.floating) else value for name, value in said.items()}
    return json.dumps({name: value for name, value in plain.items() if value is not None and value == value}, ensure_ascii=False)  # noqa: PLR0124  # NaN


def _short(document: Document) -> list[Row]:
    """Return the rows of subcatchments that lack an outlet or an area."""
    return [row for row in document.rows("SUBCATCHMENTS") if len(row.words) < 4]


def _add_catchments(builder: CityBuilder, document: Document, network: Network, node_keys: Keys, source: int) -> Keys:
    import shapely

    from cim.model import Column

    rows = [row for row in document.rows("SUBCATCHMENTS") if len(row.words) >= 4]
    if not rows:
        return np.empty(0, np.int64)
    corners: dict[str, list[tuple[float, float]]] = {}
    for row in document.rows("POLYGONS"):
        corners.setdefault(row.words[0], []).append((_number(row.words, 1), _number(row.words, 2)))
    names = [row.words[0] for row in rows]
    shapes = np.full(len(rows), None, object)
    for at, name in enumerate(names):
        ring = np.array(corners.get(name, []), float).reshape(-1, 2)
        if len(ring) >= 3 and np.isfinite(ring).all():
            shapes[at] = shapely.make_valid(shapely.polygons(ring))
    taken = {*network.nodes.name, *network.links.name}
    keys = builder.add_objects(
        CATCHMENT, [f"subcatchment/{n}" if n in taken else n for n in names], footprints=shapes, names=names, source=source
    )
    builder.add_identifiers(keys, "swmm_subcatchment", names)
    metre, area = (1.0, _HECTARE) if document.is_metric else (FOOT, _ACRE)
    values = np.array([[_number(row.words, place) for place in (3, 4, 5, 6)] for row in rows])
    builder.add_attributes(keys, CATCHMENT, {
        "function": Column(["subcatchment"] * len(rows), label_zh="功能", label_en="function"),
        "stated_area": Column(values[:, 0] * area, unit="m2", label_zh="汇水面积", label_en="stated area"),
        "imperviousness": Column(values[:, 1] / 100, label_zh="不透水率", label_en="impervious share, 0 to 1"),
        "flow_width": Column(values[:, 2] * metre, unit="m", label_zh="漫流宽度", label_en="flow width"),
        "slope": Column(values[:, 3] / 100, label_zh="坡度", label_en="slope, 1"),
    })  # fmt: skip
    _rows(builder, keys, ["SUBCATCHMENTS"] * len(rows), rows)
    target = {**dict(zip(names, keys.tolist(), strict=True)), **dict(zip(network.nodes.name, node_keys.tolist(), strict=True))}
    ends = [(key, target[row.words[2]]) for key, row in zip(keys.tolist(), rows, strict=True) if row.words[2] in target]
    if ends:
        subjects, objects = np.array(ends, np.int64).T
        builder.add_relations(subjects, "drainsTo", objects, source=source)
    for row in (row for row in rows if row.words[2] not in target):
        message = f"subcatchment {row.words[0]} drains to {row.words[2]!r}, which is not there"
        builder.add_issue("lost", message, source=source, record=f"line {row.line}")
    without = sum(shape is None for shape in shapes)
    if without:
        builder.add_issue("lost", f"{without} subcatchments have no usable polygon; they have no place", source=source, count=without)
    return keys


def _number(words: tuple[str, ...], place: int) -> float:
    try:
        return float(words[place])
    except (IndexError, ValueError):
        return float("nan")


def _keep_sections(builder: CityBuilder, document: Document, root: int) -> None:
    """Keep the rows of every other section with the network, in order, so that nothing of the file is lost."""
    used = {*NODES, *LINKS, "SUBCATCHMENTS"}
    rest = [(f"swmm.{name}", f"{number:06d}", " ".join(row.words)) for name, rows in document.sections.items() if name not in used
            for number, row in enumerate(rows)]  # fmt: skip
    if rest:
        sets, names, values = zip(*rest, strict=True)
        builder.add_properties(np.full(len(rest), root), list(sets), list(names), list(values))


def _doubts(document: Document, network: Network) -> list[tuple[str, str, int, str]]:
    """Return code, severity, count and text of what was mended, is unlikely, or has no use."""
    nodes, links = network.nodes, network.links
    known = {"COORDINATES": set(nodes.name), "VERTICES": set(links.name)}
    stray = sum(row.words[0] not in names for section, names in known.items() for row in document.rows(section))
    ends = "conduits state an end below the bottom of its node: it is put at that bottom, as SWMM does (LINK_OFFSETS may be wrong)"
    large = f"closed conduits state a height of more than {MOST_HEIGHT:g} m (millimetres?): their size is taken as unknown"
    coded = "conduits name their section by a code of a standard size, which is not read: their size is unknown"
    uphill = "conduits rise in the direction they are drawn (adverse slope); the direction is kept"
    said = (
        ("rejected", "error", len(_short(document)), "rows of [SUBCATCHMENTS] have fewer than 4 words, no outlet or area: left out"),
        ("repaired", "warning", int(links.raised.sum()), ends),
        ("guessed", "warning", int(links.oversized.sum()), large),
        ("unsupported", "warning", int(links.coded.sum()), coded),
        ("assumed", "info", int((links.end_invert > links.start_invert).sum()), uphill),
        ("unmatched", "info", stray, "rows of [COORDINATES] and [VERTICES] name no node or link of the file"),
    )
    return [one for one in said if one[2]]


def _tell_lengths(builder: CityBuilder, network: Network, source: int) -> None:
    """Say how many stated lengths differ from the drawn ones."""
    links = network.links
    if (builder.crs.is_local or builder.crs.is_projected) and builder.crs.linear_unit_factor == 1.0 and len(links.name):
        points, start, drawn = _lines(network)
        size = np.diff(start)
        step = np.zeros(len(points))
        step[1:] = np.hypot(*np.diff(points, axis=0).T)
        step[start[:-1][size > 0]] = 0.0
        run = np.bincount(np.repeat(np.arange(len(size)), size), step, len(size))
        off = drawn & (np.abs(run - links.length) > _LONGER * np.maximum(run, 1.0))
        if off.any():
            share = f"{int(off.sum())} of {int(drawn.sum())} drawn conduits"
            text = f"the stated length of {share} differs by more than 10 % from the drawn one; stated lengths are kept"
            builder.add_issue("conflict", text, severity="info", source=source, count=int(off.sum()))
        _tell_scale(builder, np.asarray(run[drawn], float), links.length[drawn], source)


def _tell_scale(builder: CityBuilder, drawn: Reals, stated: Reals, source: int) -> None:
    """Say when the drawing is as much longer or shorter than the stated lengths as a foot is than a metre."""
    known = np.isfinite(stated) & (stated > 0) & (drawn > 0)
    if known.sum() < _FEWEST:
        return
    ratio = float(np.median(drawn[known] / stated[known]))
    for factor, text in ((1 / FOOT, "feet where the coordinate system counts metres"), (FOOT, "metres where it should count feet")):
        if abs(ratio / factor - 1) < _NEAR:
            told = f"the drawing is {ratio:.3g} times as long as the stated lengths: its coordinates seem to be {text}; give the right crs="
            builder.add_issue("crs", told, severity="warning", source=source)


def _tell(builder: CityBuilder, document: Document, network: Network, source: int) -> None:
    """Say what was taken for granted and what has no body or place."""
    nodes, links = network.nodes, network.links
    for code, severity, count, text in _doubts(document, network):
        builder.add_issue(code, f"{count} {text}", severity=severity, source=source, count=count)
    if not document.is_metric:
        text = (
            f"FLOW_UNITS is {document.flow_units}: lengths and elevations are feet, converted to metres; coordinates are those of the map"
        )
        builder.add_issue("assumed", text, severity="info", source=source)
    if builder.crs.vertical is None:
        builder.add_issue("crs", "the height system of inverts is not stated", severity="info", source=source)
    nowhere = int((~np.isfinite(nodes.xy).all(axis=1)).sum())
    if nowhere:
        builder.add_issue(
            "lost", f"{nowhere} nodes have no [COORDINATES]; they and their links have no place", source=source, count=nowhere
        )
    sized = links.is_closed & np.isfinite(links.width) & np.isfinite(links.height)
    bare = int(((np.array(links.kind, object) == "conduit") & ~sized).sum())
    if bare:
        text = f"{bare} conduits are open or have a section without a size (channel, street, custom): they are lines without a body"
        builder.add_issue("unsupported", text, severity="info", source=source, count=bare)
    oval = int((links.is_closed & ~links.is_round & ~links.is_box & np.isfinite(links.width)).sum())
    if oval:
        text = f"{oval} conduits have an egg, arch or other closed section: their bodies are ellipses of the same height and width"
        builder.add_issue("assumed", text, severity="info", source=source, count=oval)
    several = int((links.barrels > 1).sum())
    if several:
        builder.add_issue(
            "unsupported",
            f"{several} conduits have several barrels: they are lines without a body",
            severity="info",
            source=source,
            count=several,
        )
    unknown = int((~np.isfinite(nodes.depth) & (np.array(nodes.kind, object) != "outfall")).sum())
    if unknown:
        text = f"{unknown} nodes state no depth: their rim is unknown, and the cover of pipes there is not known from them"
        builder.add_issue("guessed", text, severity="info", source=source, count=unknown)
    _tell_lengths(builder, network, source)
