"""Reach from 40 stations on Chicago Regional, one step of a flood: the search beside scipy's multi-source Dijkstra, in one run.

The network of ``traffic/chicago_regional_net_only`` (39,018 links) with 3 % of the links closed by chance and free-flow times elsewhere.
Both get the times of the step by link. ``search`` is what a step of `cim.sim.impact.reach` runs: stations in the middle of links, paths
without banned turns; "with stations" also says from which station each link is reached. scipy has the stations at nodes; it keeps its
matrix and only gets new numbers (links of no time get a nanosecond, for its matrices hold no zero).
Repeats are interleaved; medians of CPU time; compiled beforehand. ``bench_reach.py [--repeats 200]`` prints one JSON object. The bar: no
dearer than scipy with either question, and equal times where the stations lie on nodes (see the tests for stations elsewhere).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

STATIONS, CLOSED = 40, 0.03


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    options = parser.parse_args()
    folder = Path(os.environ.get("CIM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    runs, gap = cases(folder / "traffic" / "chicago_regional_net_only")
    spent: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(options.repeats):
        for name, run in runs.items():
            begin = time.process_time()
            run()
            spent[name].append(time.process_time() - begin)
    found: dict[str, Any] = {f"{name} [ms]": round(1e3 * statistics.median(one), 3) for name, one in spent.items()}
    pairs = (("search", "scipy"), ("search with stations", "scipy with stations"))
    found["ratio"] = {f"{a} / {b}": round(found[f"{a} [ms]"] / found[f"{b} [ms]"], 2) for a, b in pairs}
    found |= {"largest difference [s]": gap, "met": max(found["ratio"].values()) <= 1.0 and gap < 1e-3}
    print(json.dumps(found, indent=1))
    return 0 if found["met"] else 1


def cases(folder: Path) -> tuple[dict[str, Callable[[], Any]], float]:
    """Return what is timed, and the largest difference of the times."""
    import pyarrow as pa
    import scipy.sparse
    from scipy.sparse.csgraph import dijkstra

    from cim.loaders.tntp import read_network
    from cim.sim.impact.reach_search import Search
    from cim.sim.impact.reach_ways import Sites, ways_of

    network = read_network(folder / "ChicagoRegional_net.tntp")
    lines = (folder / "ChicagoRegional_node.tntp").read_text(encoding="utf-8").splitlines()[1:]
    places = np.array([line.split()[1:3] for line in lines if line.strip()], float)
    nodes = network.nodes.set_column(1, network.nodes.schema.field("x"), pa.array(places[:, 0]))
    nodes = nodes.set_column(2, nodes.schema.field("y"), pa.array(places[:, 1]))
    nodes = nodes.set_column(3, nodes.schema.field("through"), pa.array(np.ones(len(places), bool)))  # scipy passes every node
    network = replace(network, nodes=nodes)
    rng = np.random.default_rng(40)
    free = network.column("free_flow_time").astype(float)
    step = free.copy()
    step[rng.choice(len(step), int(CLOSED * len(step)), replace=False)] = np.inf
    tail, head = network.column("from_node"), network.column("to_node")
    order = np.lexsort((head, tail))
    matrix = scipy.sparse.csr_matrix((np.maximum(free, 1e-9)[order], (tail[order], head[order])), shape=(len(places),) * 2)

    ways = ways_of(network)
    way: Any = rng.choice(np.flatnonzero(np.isfinite(step[ways.forward]) & (ways.forward >= 0)), STATIONS, replace=False)
    stations = head[ways.forward[way]]  # from the end of a link on both mean the same

    def scipy_step(**more: Any) -> Any:
        matrix.data[:] = np.maximum(step, 1e-9)[order]
        return dijkstra(matrix, indices=stations, min_only=True, **more)

    middle = Sites(way, np.full(STATIONS, 0.5), np.zeros(STATIONS), np.full(STATIONS, None, object))
    links = np.arange(len(step))
    search, begins = Search(network, ways, middle), np.zeros(STATIONS)
    runs = {
        "search": lambda: search.run(step, begins),
        "search with stations": lambda: search.run(step, begins).station(links),
        "scipy": scipy_step,
        "scipy with stations": lambda: scipy_step(return_predecessors=True),
    }
    for run in runs.values():
        run()
    ours = Search(network, replace(ways, backward=np.full_like(ways.backward, -1)), replace(middle, share=np.ones(STATIONS)))
    return runs, difference(ours.run(step, begins).entry(links), scipy_step()[tail])


def difference(one: Any, other: Any) -> float:
    """Return the largest difference, infinite where only one reaches a link."""
    known = np.isfinite(one)
    return float(np.abs(one[known] - other[known]).max()) if (known == np.isfinite(other)).all() else float("inf")


if __name__ == "__main__":
    raise SystemExit(main())
