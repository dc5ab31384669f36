"""What 单体化 costs: the Delft mesh laid out 3 x 3 (1.09 million triangles, 1,440 footprints), CPU seconds and peak memory.

    python benchmarks/bench_singulate.py [times] [tile]

`times` is how often the mesh is laid out each way (3), `tile` how many triangles are worked on together (500,000).
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path

import numpy as np

DELFT = Path(os.environ.get("CIM_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")) / "city" / "delft"
BAR = 10.0  # CPU seconds per million triangles


def ply(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return points and triangles of a binary PLY whose vertices are three floats."""
    head, _, body = path.read_bytes().partition(b"end_header\n")
    vertices, faces = (int(line.split()[-1]) for line in head.decode().splitlines() if line.startswith("element"))
    points = np.frombuffer(body, "<f4", 3 * vertices).reshape(-1, 3).astype(float)
    face = np.frombuffer(body, [("n", "u1"), ("corner", "<i4", 3)], faces, 12 * vertices)
    return points, face["corner"].astype(np.int64)


def main() -> None:
    import shapely

    from cim.loaders import read
    from cim.loaders.cutting import cut
    from cim.loaders.cutting.close import close_pieces, lid_heights, open_edges

    times, tile = (int(word) for word in [*sys.argv[1:], *["3", "500000"][len(sys.argv) - 1 :]])
    points, triangles = ply(DELFT / "mesh_1m_local.ply")
    offset = json.loads((DELFT / "mesh_1m_local.metadata.json").read_text())["offset"]
    shapes = shapely.transform(read(DELFT / "bgt_pand.sqlite").footprints(), lambda xy: xy - offset[:2])
    step = [600.0, 400.0]
    moves = [(i * step[0], j * step[1]) for i in range(times) for j in range(times)]
    many = np.concatenate([points + np.array((*move, 0.0)) for move in moves])
    faces = np.concatenate([triangles + n * len(points) for n in range(len(moves))])
    plots = np.concatenate([shapely.transform(shapes, lambda xy, move=move: xy + move) for move in moves])
    cut(points, triangles, shapes)  # compiles the kernels
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    start = time.process_time()
    made = cut(many, faces, plots, tile=tile)
    cutting = time.process_time() - start
    mine = made.polygon >= 0
    start = time.process_time()
    edges = open_edges(made.triangles[mine], made.polygon[mine], len(made.points))
    flat = lid_heights(made.points, edges, len(plots), None)
    closing = close_pieces(made.points, made.triangles[mine], made.polygon[mine], len(plots), flat)
    closed = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    million = len(faces) / 1e6
    print(f"{len(faces):,} triangles, {len(plots):,} footprints, tiles of {tile:,}: {made.split:,} split, {len(made.triangles):,} out")
    print(f"cut    {cutting:6.2f} CPU s = {cutting / million:5.2f} s per million triangles (bar {BAR})")
    print(f"close  {closed:6.2f} CPU s = {closed / million:5.2f} s per million; lids {np.bincount(closing.lid).tolist()}")
    print(f"peak memory {peak:.2f} GB, {peak - before:.2f} GB above the inputs")
    sys.exit(0 if cutting / million <= BAR else 1)


if __name__ == "__main__":
    main()
