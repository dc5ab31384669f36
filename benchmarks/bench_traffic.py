"""Traffic beside its peers: the equilibrium beside AequilibraE, single vehicles beside UXsim. Reach has a script of its own.

``equilibrium``: the same networks of the Transportation Networks collection, both programs to the relative gap named, gap checks
included, networks read and kernels compiled beforehand. AequilibraE 1.7.2: bi-conjugate Frank-Wolfe, two threads that wait passively.
Bars: Chicago Sketch to 1e-6 at least 35 times cheaper in CPU, Sioux Falls to 1e-6 at least 300 times, Berlin-Center to 1e-6 at most half
of AequilibraE to 1e-4.

``warm``: the same equilibrium after a closure, from the one before it and from nothing, to 1e-6, 1e-9 and 1e-12; at most a third.

``dynamic``: 1,000,000 single vehicles that depart over 10,000 s on Chicago Sketch (lanes = capacity / 2000, 0.2 vehicles per metre and
lane, backward wave of 5 m/s, tables every 600 s), beside the run alone of UXsim 1.15.1 in C++ mode, one thread, with platoons of 30 of
the same trips. Bars: no dearer in CPU; at most 500 MB for the whole process.

Pairs alternate in one call; the smallest of each counts. The peers live in an environment of their own, made on first use with pip.

``bench_traffic.py [DATA] [--only PART] [--repeat 3]`` prints one JSON object; DATA is the folder with the networks.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

PEER = Path(__file__).parent / ".traffic"
QUIET = {**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}  # a thread that waits must not count as work
TOLLS = {"toll_factor": 0.02, "distance_factor": 0.04}  # min per cent, min per mile
NETWORKS = {"sioux_falls": ("SiouxFalls", {}), "anaheim": ("Anaheim", {}), "winnipeg": ("Winnipeg", {}),
            "chicago_sketch": ("ChicagoSketch", TOLLS), "berlin_center": ("berlin-center", {})}  # fmt: skip
CASES = (("sioux_falls", 1e-6, 1e-6, 300.0), ("chicago_sketch", 1e-6, 1e-6, 35.0), ("berlin_center", 1e-6, 1e-4, 2.0))
"""Network, our gap, that of the peer, how many times cheaper."""
CLOSURES = {"sf": "sioux_falls", "anaheim": "anaheim", "chicago": "chicago_sketch"}
AEQUILIBRAE = """
import json, logging, sys, time
import numpy as np, pandas as pd
from aequilibrae.matrix import AequilibraeMatrix
from aequilibrae.paths import Graph, TrafficAssignment, TrafficClass
logging.getLogger("aequilibrae").setLevel(logging.ERROR)
said, gap = np.load(sys.argv[1]), float(sys.argv[2])
zones = int(said["zones"])
frame = pd.DataFrame({"link_id": np.arange(1, len(said["tail"]) + 1), "a_node": said["tail"] + 1, "b_node": said["head"] + 1,
                      "direction": 1, "free_flow_time": np.maximum(said["time"], 1e-9),
                      **{name: said[name] for name in ("capacity", "b", "power", "fixed")}})
graph = Graph()
graph.network = frame
graph.network_ok, graph.status = True, "OK"
graph.prepare_graph(np.arange(1, zones + 1))
graph.set_graph("free_flow_time")
graph.set_skimming(["free_flow_time"])
graph.set_blocked_centroid_flows(bool(said["blocked"]))
trips = AequilibraeMatrix()
trips.create_empty(zones=zones, matrix_names=["trips"], memory_only=True)
trips.index[:] = np.arange(1, zones + 1)
trips.matrix["trips"][:, :] = said["trips"]
trips.computational_view(["trips"])
one = TrafficClass("car", graph, trips)
if said["fixed"].any():
    one.set_fixed_cost("fixed")
    one.set_vot(1.0)
run = TrafficAssignment()
run.set_classes([one])
run.set_vdf("BPR")
run.set_vdf_parameters({"alpha": "b", "beta": "power"})
run.set_capacity_field("capacity")
run.set_time_field("free_flow_time")
run.set_algorithm("bfw")
run.set_cores(2)
run.max_iter, run.rgap_target = 5000, gap
begun = time.process_time()
run.execute()
print(json.dumps({"cpu_s": time.process_time() - begun, "gap": float(run.assignment.rgap), "iterations": int(run.assignment.iter)}))
"""
UXSIM = """
import json, sys, time, resource
import numpy as np
from uxsim import World
said = np.load(sys.argv[1])
world = World(name="", deltan=30, tmax=10000, print_mode=0, save_mode=0, show_mode=0, random_seed=0, duo_update_time=600,
              vehicle_logging_timestep_interval=-1, cpp=True)
for node in range(int(said["nodes"])):
    world.addNode(str(node), 0.0, 0.0)
for row in range(len(said["tail"])):
    length, speed, lanes, capacity = (float(said[name][row]) for name in ("length", "speed", "lanes", "capacity"))
    world.addLink(str(row), str(said["tail"][row]), str(said["head"][row]), length, free_flow_speed=speed, jam_density_per_lane=0.2,
                  number_of_lanes=lanes, capacity_out=capacity / 3600.0)
for origin, destination, when in zip(said["origin"], said["destination"], said["departure"]):
    world.addVehicle(str(origin), str(destination), float(when))
begun = time.process_time()
world.exec_simulation()
spent = time.process_time() - begun
world.analyzer.basic_analysis()
print(json.dumps({"cpu_s": spent, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
                  "arrived": int(world.analyzer.trip_completed), "mean_s": float(world.analyzer.average_travel_time)}))
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=Path(__file__).parents[2] / "shared" / "data" / "traffic")
    parser.add_argument("--only", action="append", default=[], choices=["equilibrium", "warm", "dynamic"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--step", nargs="*", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(STEPS[options.step[0]](options.data, *options.step[1:])))
        return 0
    found: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name, part in (("equilibrium", equilibrium), ("warm", warm), ("dynamic", dynamic)):
            if not options.only or name in options.only:
                found[name] = part(options.data, Path(temporary), options.repeat)
    print(json.dumps(found, indent=1))
    return 0 if all(one["met"] for part in found.values() for one in part.values()) else 1


def own(data: Path, *step: str) -> dict:
    command = [sys.executable, __file__, str(data), "--step", *map(str, step)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=QUIET).stdout.splitlines()[-1])


def peer(code: str, *arguments: object) -> dict:
    python = PEER / "bin" / "python"
    if not python.exists():
        venv.create(PEER, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "aequilibrae==1.7.2", "uxsim==1.15.1"], check=True)
    said = subprocess.run([python, "-c", code, *map(str, arguments)], check=True, stdout=subprocess.PIPE, text=True, env=QUIET).stdout
    return json.loads(said.splitlines()[-1])


def read(data: Path, folder: str, **more: object) -> tuple:
    from cim.loaders.tntp import read_network, read_trips

    stem, factors = NETWORKS[folder]
    return (read_network(data / folder / f"{stem}_net.tntp", **factors, **more), read_trips(data / folder / f"{stem}_trips.tntp"))


# ---------------------------------------------------------------- equilibrium


def equilibrium(data: Path, temporary: Path, repeat: int) -> dict:
    made = {}
    for folder, gap, theirs, bar in CASES:
        file = temporary / f"{folder}.npz"
        write_case(data, folder, file)
        best = [{"cpu_s": float("inf")}] * 2
        for _ in range(repeat):
            for at, said in enumerate((own(data, "assign", folder, gap), peer(AEQUILIBRAE, file, theirs))):
                best[at] = min(best[at], said, key=lambda one: one["cpu_s"])
        ratio = best[1]["cpu_s"] / best[0]["cpu_s"]
        made[folder] = {"cim": best[0], "aequilibrae": best[1], "times_cheaper": round(ratio, 1), "bar": bar, "met": ratio >= bar}
    return made


def write_case(data: Path, folder: str, file: Path) -> None:
    """Write a network and its trips as plain arrays; the zones are the first nodes of the collection's networks."""
    import numpy as np

    network, demand = read(data, folder)
    zones = int(max(demand.origin.max(), demand.destination.max())) + 1
    trips = np.zeros((zones, zones))
    np.add.at(trips, (demand.origin, demand.destination), demand.trips)
    np.fill_diagonal(trips, 0.0)
    names = {"tail": "from_node", "head": "to_node", "time": "free_flow_time", **{one: one for one in ("capacity", "b", "power", "fixed")}}
    np.savez(file, zones=zones, trips=trips, blocked=not network.nodes["through"].to_numpy().all(),
             **{key: network.column(name) for key, name in names.items()})  # fmt: skip


def assign_once(data: Path, folder: str, gap: str) -> dict:
    from cim.sim.traffic import assign

    assign(*read(data, "sioux_falls"), gap=1e-2)  # compiles, or loads what was compiled
    network, demand = read(data, folder)
    begun = time.process_time()
    found = assign(network, demand, gap=float(gap))
    return {"cpu_s": time.process_time() - begun, "gap": found.gap, "iterations": found.iterations, "looks": len(found.gaps)}


def warm(data: Path, temporary: Path, repeat: int) -> dict:
    del temporary
    return {name: own(data, "warm", name, repeat) for name in CLOSURES}


def warm_once(data: Path, name: str, repeat: str) -> dict:
    from statistics import median

    from cim.sim.traffic import assign

    network, demand = read(data, CLOSURES[name])
    shut = json.loads((data / "whatif_closure" / f"{name}_closure.json").read_text(encoding="utf-8"))
    ids = [f"{a}-{z}" for a, z in shut["closed_links"]]
    assign(network, demand, gap=1e-3)
    made: dict = {"bar": 1 / 3}
    for gap in (1e-6, 1e-9, 1e-12):
        before = assign(network, demand, gap=gap)
        spent: dict[str, list[float]] = {"cold": [], "warm": []}
        for _ in range(3 * int(repeat)):
            for kind, start in (("cold", None), ("warm", before)):
                begun = time.process_time()
                assign(network, demand, gap=gap, closed=ids, start=start)
                spent[kind].append(time.process_time() - begun)
        made[f"{gap:g}"] = {kind: median(times) for kind, times in spent.items()}
        made[f"{gap:g}"]["ratio"] = made[f"{gap:g}"]["warm"] / made[f"{gap:g}"]["cold"]
    made["met"] = made["1e-06"]["ratio"] <= 1 / 3
    return made


# ---------------------------------------------------------------- dynamic


def dynamic(data: Path, temporary: Path, repeat: int) -> dict:
    file = temporary / "vehicles.npz"
    write_vehicles(data, file)
    best = [{"cpu_s": float("inf")}] * 2
    for _ in range(repeat):
        for at, said in enumerate((own(data, "vehicles", "1000000"), peer(UXSIM, file))):
            best[at] = min(best[at], said, key=lambda one: one["cpu_s"])
    ratio = best[0]["cpu_s"] / best[1]["cpu_s"]
    met = ratio <= 1.0 and best[0]["peak_mb"] <= 500.0
    return {"chicago_sketch": {"cim": best[0], "uxsim": best[1], "share_of_peer": round(ratio, 3), "bar": 1.0, "met": met}}


def chicago(data: Path) -> tuple:
    """Return Chicago Sketch as both models take it, and what a draw of trips needs."""
    import numpy as np

    network, demand = read(data, "chicago_sketch", length_unit=1609.344)
    keep = demand.origin != demand.destination
    share = demand.trips[keep] / demand.trips[keep].sum()
    return network, demand.origin[keep], demand.destination[keep], np.cumsum(share)


def draw(data: Path, many: int) -> tuple:
    import numpy as np

    network, origin, destination, sums = chicago(data)
    random = np.random.default_rng(0)
    pick = np.minimum(np.searchsorted(sums, random.random(many)), len(sums) - 1)
    return network, np.sort(random.uniform(0.0, 10_000.0, many)), origin[pick], destination[pick]


def write_vehicles(data: Path, file: Path) -> None:
    import numpy as np

    network, departure, origin, destination = draw(data, 1_000_000)
    length, time_ = network.column("length"), network.column("free_flow_time")
    quick = time_ <= 0
    speed = np.where(quick, 30.0, length / np.where(quick, 1.0, time_))
    capacity = network.column("capacity")
    one = slice(15, None, 30)  # each platoon of 30 stands for the trips around it
    np.savez(file, nodes=network.nodes.num_rows, tail=network.column("from_node"), head=network.column("to_node"), speed=speed,
             length=np.maximum(length, 1.0), capacity=capacity, lanes=np.maximum(np.rint(capacity / 2000.0), 1.0), origin=origin[one],
             destination=destination[one], departure=departure[one])  # fmt: skip


def vehicles_once(data: Path, many: str) -> dict:
    import numpy as np

    from cim.sim.traffic import Fleet, load_fleet

    network, departure, origin, destination = draw(data, int(many))
    options = {"table_every": 600.0, "sample_every": 600.0, "jam_spacing": 5.0, "wave_speed": 5.0}
    load_fleet(network, Fleet(departure[:10], origin[:10], destination[:10]), until=100.0, **options)
    begun = time.process_time()
    run = load_fleet(network, Fleet(departure, origin, destination), until=10_000.0, **options)
    spent = time.process_time() - begun
    return {"cpu_s": spent, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6, "moves": run.moves,
            **run.count(), "mean_s": float(np.nanmean(run.arrival - run.departure))}  # fmt: skip


STEPS = {"assign": assign_once, "warm": warm_once, "vehicles": vehicles_once}

if __name__ == "__main__":
    sys.exit(main())
