"""What makes a dynamic run impossible, told before step 0: faults of the fleet, of changes, and of what they ask of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cim.sim.traffic.dynamic_arrays import lanes_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork
    from cim.sim.traffic.dynamic import Fleet, LinkChange

    Reals = NDArray[np.float64]

__all__ = ["faults_of_run"]

_MOST_ROWS = 62  # of classes: bits of an integer


def faults_of_run(
    network: RoadNetwork, fleet: Fleet, changes: Sequence[LinkChange], numbers: Mapping[str, float], places: dict[str, list[int]],
    priority: Reals | None,
) -> list[str]:  # fmt: skip
    """Return every fault as a sentence, with how many there are and where the first is.

    Parameters
    ----------
    numbers
        Parameters of the run that must be above 0, by name.
    """
    faults = [f"{name} is {value}, expected a finite number above 0" for name, value in numbers.items() if not 0 < value < np.inf]
    faults += _fleet_faults(network, fleet)
    faults += _change_faults(fleet, changes)
    unknown = sorted({name for one in changes for name in one.links} - places.keys())
    if unknown:
        more = f" and {len(unknown) - 5} more" if unknown[5:] else ""
        faults.append(f"no link and no road has the id {', '.join(map(repr, unknown[:5]))}{more}; changes name them")
    if priority is not None and (len(priority) != network.links.num_rows or not (np.asarray(priority) > 0).all()):
        faults.append(f"{len(priority)} priorities for {network.links.num_rows} links, expected one above 0 for each")
    length = network.column("length")
    bad = ~(length > 0)
    if bad.any():
        name = network.links["id"][int(np.argmax(bad))].as_py()
        faults.append(f"{int(bad.sum())} links have no length; the dynamic model needs metres (first: {name})")
    return faults


def _fleet_faults(network: RoadNetwork, fleet: Fleet) -> list[str]:
    n, nodes = len(fleet.departure), network.nodes.num_rows
    sizes = {"origins": len(fleet.origin), "destinations": len(fleet.destination)}
    if set(sizes.values()) != {n} or len(fleet.path_start) not in (0, n + 1) or len(fleet.vehicle_class) not in (0, n):
        told = ", ".join(f"{many} {name}" for name, many in sizes.items())
        return [f"the fleet has {n} departures, {told}, {len(fleet.path_start)} begins of paths and {len(fleet.vehicle_class)} classes"]
    if not n:
        return []
    faults = []
    ends = np.concatenate([fleet.origin, fleet.destination])
    lost = (ends < 0) | (ends >= nodes)
    if lost.any():
        faults.append(f"{int(lost.sum())} ends of trips are no nodes of the network")
    if not (np.asarray(fleet.departure) >= 0).all():
        faults.append("vehicles depart before the start of the run")
    kinds = fleet.vehicle_class
    if len(kinds) and (int(kinds.min()) < 0 or int(kinds.max()) >= len(fleet.class_names)):
        faults.append(f"vehicles are of class {int(kinds.max())}, the fleet names {len(fleet.class_names)} classes")
    if len(fleet.stop_time) not in (0, len(fleet.path_links)):
        faults.append(f"the fleet has {len(fleet.stop_time)} times of stops for {len(fleet.path_links)} links of paths")
    if len(fleet.path_start):
        faults += _path_faults(network, fleet)
    return faults


def _path_faults(network: RoadNetwork, fleet: Fleet) -> list[str]:
    """Return what is wrong with own paths: links that are not there, do not follow one another, or may not."""
    start, links = np.asarray(fleet.path_start, np.int64), np.asarray(fleet.path_links, np.int64)
    if start[0] != 0 or start[-1] != len(links) or (np.diff(start) < 0).any():
        return ["the begins of paths do not rise from 0 to the number of their links"]
    count = network.links.num_rows
    if len(links) and (links.min() < 0 or links.max() >= count):
        return [f"paths name link {int(links.max())}, the network has {count}"]
    tail, head = network.column("from_node"), network.column("to_node")
    filled = np.flatnonzero(np.diff(start))
    off = (tail[links[start[filled]]] != np.asarray(fleet.origin)[filled]) | (
        head[links[start[filled + 1] - 1]] != np.asarray(fleet.destination)[filled]
    )
    faults = [f"{int(off.sum())} paths do not lead from origin to destination (first: {filled[np.argmax(off)]})"] if off.any() else []
    inner = np.ones(len(links), bool)
    inner[start[filled + 1] - 1] = False
    at = np.flatnonzero(inner)
    torn = head[links[at]] != tail[links[at + 1]]
    if torn.any():
        return [*faults, f"{int(torn.sum())} links of paths do not follow each other (first: place {at[np.argmax(torn)]})"]
    barred = _barred(network, links[at], links[at + 1])
    if barred.any():
        names = [network.links["id"][int(links[at[np.argmax(barred)] + k])].as_py() for k in (0, 1)]
        faults.append(f"{int(barred.sum())} turns of paths are banned (first: from {names[0]} to {names[1]})")
    return faults


def _barred(network: RoadNetwork, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return which turns are banned from every lane of a road into every lane of the next, shape (n,)."""
    if not network.banned.num_rows:
        return np.zeros(len(one), bool)
    group = lanes_of(network)
    size, roads = np.bincount(group), int(group.max()) + 1
    pairs = np.unique(np.stack([network.banned["from_link"].to_numpy(), network.banned["to_link"].to_numpy()], axis=1), axis=0)
    keys, many = np.unique(group[pairs[:, 0]] * roads + group[pairs[:, 1]], return_counts=True)
    keys = keys[many == size[keys // roads] * size[keys % roads]]
    return np.isin(group[one] * roads + group[other], keys)


def _change_faults(fleet: Fleet, changes: Sequence[LinkChange]) -> list[str]:
    from cim.scenario.network import VEHICLE_CLASSES

    faults = []
    for one in changes:
        if not one.time >= 0:
            faults.append(f"a change of {one.links} at {one.time} s lies before the start of the run")
        if (one.speed is not None and not one.speed >= 0) or (one.capacity is not None and not one.capacity >= 0):
            faults.append(f"a change of {one.links} gives {one.speed} m/s and {one.capacity} veh/h, expected 0 or more")
        unknown = sorted(set(one.classes or ()) - {*VEHICLE_CLASSES, *fleet.class_names})
        if unknown:
            faults.append(f"a change of {one.links} is for {', '.join(unknown)}, vehicle classes are {', '.join(VEHICLE_CLASSES)}")
        if one.classes is not None and one.capacity is not None:
            faults.append(f"a change of {one.links} gives a capacity for {', '.join(one.classes)}; all classes share that of a link")
    if len(fleet.class_names) > _MOST_ROWS:
        faults.append(f"the fleet names {len(fleet.class_names)} vehicle classes, no more than {_MOST_ROWS} are possible")
    return faults
