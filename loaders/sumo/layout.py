"""Where the nodes of a network lie for a program that draws junctions from them: places in metres, invented where none is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork

    Reals = NDArray[np.float64]

__all__ = ["Layout", "layout"]

_SPRINGS = 1500
"""Up to so many nodes springs lay out the network; above they would take minutes, and nodes lie on a circle."""
_APART = 1.0
"""Nodes nearer to each other than this lie at one place for SUMO [m]."""
_LIKE = 3.0
"""Lengths of links and distances of their nodes that differ by more than this factor are not in the same unit."""


class Layout(NamedTuple):
    """Places of the nodes."""

    place: Reals
    """Shape (nodes, 2) [m], counted from `origin`."""
    origin: tuple[float, float]
    """Of `place` in the coordinate system of the network; (0, 0) where it has none."""
    projection: str
    """PROJ text of that system, ``"!"`` for none."""
    notes: list[str]


def layout(network: RoadNetwork) -> Layout:
    """Return places of the nodes near 0."""
    place = np.stack([network.nodes[name].to_numpy().astype(float) for name in ("x", "y")], axis=1)
    known = np.isfinite(place).all(axis=1)
    notes: list[str] = []
    projection = "!"
    if not known.any():
        place, said = _invented(network)
        return Layout(_apart(place, notes), (0.0, 0.0), projection, [said, *notes])
    system = _system(network.crs)
    if network.crs is not None and (system is None or not _metric(system)):
        place, said = _metres(place, system)
        notes.append(said)
    elif system is not None:
        projection = _text(system)
    factor = _factor(network, place)
    if factor is not None and projection == "!":
        place = place * factor
        notes.append(f"places of nodes are multiplied by {factor:.4g}: lengths of links and distances of nodes are in different units")
    origin = tuple(float(one) for one in np.floor(np.nanmin(place, axis=0)))
    place = place - np.array(origin)
    if not known.all():
        notes.append(f"{int((~known).sum())} nodes have no place; they lie between their neighbours")
        place = _between(network, place)
    place = _apart(place, notes)
    return Layout(place, (origin[0], origin[1]) if projection != "!" else (0.0, 0.0), projection, notes)


def _system(crs: str | None) -> Any:
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(crs) if crs else None
    except CRSError:
        return None


def _metric(system: Any) -> bool:
    return bool(system.is_projected) and all(abs(axis.unit_conversion_factor - 1.0) < 1e-9 for axis in system.axis_info[:2])


def _text(system: Any) -> str:
    """Return a coordinate system in PROJ's old words, which is all that SUMO knows; what they lack is not about places in the plane."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return str(system.to_proj4()) or "!"


def _metres(place: Reals, system: Any) -> tuple[Reals, str]:
    """Return places in degrees or feet as metres."""
    if system is not None and system.is_geographic:
        middle = np.radians(np.nanmean(place[:, 1]))
        return place * np.array(
            [111_320.0 * np.cos(middle), 111_320.0]
        ), "nodes lie in degrees; they are laid out in metres on a local plane"
    if system is not None:
        factor = float(system.axis_info[0].unit_conversion_factor)
        return place * factor, f"nodes lie in units of {factor:g} m; they are laid out in metres"
    return place, "the coordinate system of the network is not known; the net has none"


def _factor(network: RoadNetwork, place: Reals) -> float | None:
    """Return what makes distances of nodes as long as links in the median, None where they are alike."""
    ends = place[network.column("from_node")] - place[network.column("to_node")]
    apart, length = np.hypot(*ends.T), network.column("length").astype(float)
    both = (apart > 0) & (length > 0)
    if not both.any():
        return None
    factor = float(np.median(length[both] / apart[both]))
    return factor if not 1 / _LIKE < factor < _LIKE else None


def _invented(network: RoadNetwork) -> tuple[Reals, str]:
    """Return places for nodes of which none is known, far enough from each other for junctions."""
    import networkx as nx

    count = network.nodes.num_rows
    length = network.column("length").astype(float)
    step = float(np.nanmedian(length[length > 0])) if (length > 0).any() else 200.0
    step = max(step, 100.0)
    if count > _SPRINGS:
        angle = 2 * np.pi * np.arange(count) / count
        radius = step * count / (2 * np.pi)
        return radius * np.stack([1 + np.cos(angle), 1 + np.sin(angle)], axis=1), (
            f"{count} nodes have no place; they lie on a circle: angles of turns mean nothing"
        )
    graph = nx.Graph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from(zip(network.column("from_node").tolist(), network.column("to_node").tolist(), strict=True))
    found = nx.spring_layout(graph, seed=0, iterations=50 if count < _SPRINGS // 3 else 30)
    place = np.array([found[k] for k in range(count)], float).reshape(-1, 2)
    apart = np.hypot(*(place[network.column("from_node")] - place[network.column("to_node")]).T)
    place *= step / max(float(np.median(apart)) if len(apart) else 1.0, 1e-9)
    return place - place.min(axis=0), f"{count} nodes have no place; springs lay them out: angles of turns mean nothing"


def _between(network: RoadNetwork, place: Reals) -> Reals:
    """Return places with those that lack put into the middle of their neighbours, the rest beside all others."""
    from scipy.sparse import coo_array

    count = len(place)
    tail, head = network.column("from_node"), network.column("to_node")
    joined = coo_array((np.ones(2 * len(tail)), (np.append(tail, head), np.append(head, tail))), shape=(count, count)).tocsr()
    for _ in range(20):
        known = np.asarray(np.isfinite(place).all(axis=1))
        many = joined @ known.astype(float)
        fill = ~known & (many > 0)
        if not fill.any():
            break
        total = joined @ np.where(known[:, None], place, 0.0)
        place = np.where(fill[:, None], total / np.maximum(many, 1.0)[:, None], place)
    rest = ~np.asarray(np.isfinite(place).all(axis=1))
    place[rest] = np.nanmax(place, axis=0) + 200.0 * np.arange(1, int(rest.sum()) + 1)[:, None]
    return place


def _apart(place: Reals, notes: list[str]) -> Reals:
    """Return places of which no two are the same; those that were lie on a small spiral."""
    _, same, many = np.unique(np.round(place / _APART), axis=0, return_inverse=True, return_counts=True)
    if many.max(initial=1) < 2:
        return place
    same = same.reshape(-1)
    order = np.argsort(same, kind="stable")
    first = np.concatenate([[0], np.cumsum(many)])[:-1]
    rank = np.empty(len(same), np.int64)
    rank[order] = np.arange(len(same)) - first[same[order]]
    notes.append(f"{int((rank > 0).sum())} nodes lie where another one does; they are moved by some metres")
    angle, radius = 2.4 * rank, 12.0 * np.sqrt(rank)
    return np.asarray(place + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1), float)
