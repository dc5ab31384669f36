"""Reading 54 MB of CityJSON against `json.load` alone: processor time and memory, in one run.

The Hague's 2,498 objects are laid side by side twenty times, ids and vertices of their own each time. Every measurement is the best of
three in a process of its own, so that the memory is that of the one task, libraries included. Imports are not counted in the time, on
either side: the server that workers are forked from has them, the compiled loops among them, loaded once per session.

    python benchmarks/bench_cityjson.py [DenHaag_01.city.json]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TILES = 20
STEP = 4_000_000  # mm between tiles
RUNS = 3

_TASK = """
import sys, time
from pathlib import Path
path, task = Path(sys.argv[1]), sys.argv[2]
if task == "json":
    import json
    start = time.process_time()
    with path.open() as file:
        made = json.load(file)
    count = len(made["CityObjects"])
else:
    import cim.loaders, pyarrow.compute, shapely, scipy.sparse.csgraph
    import cim.model._kernels, cim.loaders.cityjson.kernel
    from cim.loaders.cityjson import READER
    from cim.loaders.protocol import ReadOptions
    READER.read(Path(sys.argv[3]), ReadOptions(crs="EPSG:7415"))  # libraries loaded, coordinate system looked up
    start = time.process_time()
    count = len(READER.read(path, ReadOptions()))
spent = time.process_time() - start
# the peak of this program alone: ru_maxrss would start at the memory of the process that forked it
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(spent, peak / 1024, count)
"""


def tiled(source: Path, target: Path) -> int:
    """Write the city many times side by side; return the number of objects."""
    city = json.loads(source.read_bytes())
    count = len(city["vertices"])
    objects: dict[str, Any] = {}
    vertices: list[list[int]] = []
    for tile in range(TILES):
        for name, members in json.loads(json.dumps(city["CityObjects"])).items():
            for geometry in members.get("geometry", []):
                geometry["boundaries"] = _moved(geometry["boundaries"], tile * count)
            for link in ("parents", "children"):
                if link in members:
                    members[link] = [f"{other}-{tile}" for other in members[link]]
            objects[f"{name}-{tile}"] = members
        east, north = tile % 5 * STEP, tile // 5 * STEP
        vertices += [[x + east, y + north, z] for x, y, z in city["vertices"]]
    target.write_text(json.dumps({**city, "CityObjects": objects, "vertices": vertices}, separators=(",", ":")))
    return len(objects)


def _moved(value: Any, by: int) -> Any:
    return [_moved(one, by) for one in value] if isinstance(value, list) else value + by


def measured(path: Path, task: str, small: Path) -> tuple[float, float]:
    """Return processor time [s] and peak memory [MiB] of a task, the best of some runs."""
    found = []
    for _ in range(RUNS):
        done = subprocess.run([sys.executable, "-c", _TASK, str(path), task, str(small)], capture_output=True, text=True, check=True)
        seconds, memory, _ = map(float, done.stdout.split())
        found.append((seconds, memory))
    return min(seconds for seconds, _ in found), min(memory for _, memory in found)


def main() -> None:
    """Print both measurements and their ratio."""
    data = Path(os.environ.get("CIM_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else data / "city" / "cityjson" / "DenHaag_01.city.json"
    with tempfile.TemporaryDirectory() as folder:
        path, small = Path(folder) / "tiled.city.json", Path(folder) / "small.city.json"
        count = tiled(source, path)
        small.write_bytes(source.read_bytes())
        print(f"{path.stat().st_size / 1e6:.1f} MB, {count:,} objects")
        plain, plain_memory = measured(path, "json", small)
        ours, memory = measured(path, "cim", small)
    print(f"json.load            {plain:6.2f} s CPU  {plain_memory:6.0f} MiB peak")
    print(f"CityJSON to tables   {ours:6.2f} s CPU  {memory:6.0f} MiB peak")
    print(f"ratio                {ours / plain:6.2f}")


if __name__ == "__main__":
    main()
