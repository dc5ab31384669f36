"""IFC geometry: what the reader's way of making shapes costs beside the library's default iterator, in one run, on one thread.

``bench_ifc.py [FILE...]`` prints one JSON object; without files it takes those of the data folder. Both sides make the same products
(openings included). Judged: CPU time, products without a shape, boxes (1 mm) and, with faces turned outward on both sides, volumes
(1 %) of what is closed on both. The bars: Strijp-S poles >= 8 times cheaper, Duplex >= 1.8, Schependomlaan >= 3, nothing lost.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

BARS = {"OMG_KS_BGT-Paal.ifc": 8.0, "Duplex_A.ifc": 1.8, "schependomlaan_houten_kozijnen.ifc": 3.0, "Ifc4_SampleHouse.ifc": 1.0}
FOLDERS = {"OMG_KS_BGT-Paal.ifc": "strijps"}
BOX = 1e-3  # m
VOLUME = 0.01
REPEATS = 3  # the least of them counts, on both sides


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    data = Path(os.environ.get("CIM_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data") / "city"
    given = parser.parse_args().files or [data / FOLDERS.get(name, "ifc_buildings") / name for name in BARS]
    found = {path.name: compare(path) for path in given}
    print(json.dumps(found, indent=1))
    return 0 if all(one["met"] for one in found.values()) else 1


def compare(path: Path) -> dict[str, Any]:
    """Return the figures of one file."""
    from cim.loaders.ifc.orient import orient

    ours = [make(path) for _ in range(REPEATS)]
    theirs = [default(path) for _ in range(REPEATS)]
    cost, other = min(one[0] for one in ours), min(one[0] for one in theirs)
    shapes, reference = ours[0][1], theirs[0][1]
    bodies = orient(shapes.shapes)
    judged = orient([one[0] for one in reference.values()])
    place = {product: k for k, product in enumerate(reference)}
    boxes, volumes = [], []
    for product, used, matrix in zip(shapes.owner, shapes.used, shapes.matrix, strict=True):
        k = place[product]
        mine = moved(bodies.shapes[used].points, matrix)
        same = moved(judged.shapes[k].points, reference[product][1])
        boxes.append(max(np.abs(mine.min(0) - same.min(0)).max(), np.abs(mine.max(0) - same.max(0)).max()))
        if bodies.closed[used] and judged.closed[k] and judged.volume[k] > 0:
            volumes.append(abs(bodies.volume[used] * np.linalg.det(matrix[:3, :3]) / judged.volume[k] - 1))
    full = {product for product, (shape, _) in reference.items() if len(shape.triangles)}
    ratio = other / cost
    figures: dict[str, Any] = {
        "cpu_s": round(cost, 2), "default_cpu_s": round(other, 2), "ratio": round(ratio, 1),
        "shapes": len(shapes.owner) + len(shapes.emptied), "emptied": len(shapes.emptied),
        "lost": len(full - set(shapes.owner)), "box_m": float(max(boxes)), "volume": float(max(volumes)), "closed": len(volumes),
    }  # fmt: skip
    figures["met"] = ratio >= BARS.get(path.name, 1.0) and not figures["lost"] and figures["box_m"] < BOX and figures["volume"] < VOLUME
    return figures


def moved(points: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return points after a matrix."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def make(path: Path) -> tuple[float, Any]:
    """Return CPU seconds and shapes of the reader's way; the guards on the text are not counted, the library has none."""
    import ifcopenshell

    from cim.loaders.ifc.geo_units import length_unit
    from cim.loaders.ifc.graph import check
    from cim.loaders.ifc.notes import Notes
    from cim.loaders.ifc.shapes import make_shapes
    from cim.loaders.ifc.step import scan
    from cim.loaders.limits import Limits

    graph = check(scan(path, Limits(), Notes()))
    model = ifcopenshell.open(str(path))
    start = time.process_time()
    shapes = make_shapes(model, list(model.by_type("IfcProduct")), graph, Notes(), length_unit(model)[0])
    return time.process_time() - start, shapes


def default(path: Path) -> tuple[float, dict[int, Any]]:
    """Return CPU seconds and shapes of the library's default iterator, every shape taken into arrays as ours are."""
    import ifcopenshell

    from cim.loaders.ifc.shapes import DEFAULT, _run

    model = ifcopenshell.open(str(path))
    start = time.process_time()
    found = _run(model, list(model.by_type("IfcProduct")), DEFAULT)
    return time.process_time() - start, found


if __name__ == "__main__":
    raise SystemExit(main())
