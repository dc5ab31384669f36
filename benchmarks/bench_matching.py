"""Matching 100,000 footprints against as many with a hidden shift: share right, shift error, and cost beside shapely alone.

    python benchmarks/bench_matching.py [footprints.geojson] [--count 100000] [--shift 0.48 0.36] [--noise 0.0] [--missing 0.0]

The footprints are tiled side by side until there are enough; the second layer is the same, moved, shuffled, thinned and with noise on
its corners. Libraries are loaded and kernels compiled beforehand. The yardstick is ``STRtree.query(predicate="intersects")`` and
``intersection`` on the two layers as they are, in the same run: what any matching by overlap has to do at least.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from cim.loaders.fusion import find_shift, match_cities
from cim.model import City, CityBuilder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Shapes = NDArray[Any]

DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "city" / "tudcampus" / "tudcampus.geojson"


def tiled(path: Path, count: int) -> Shapes:
    """Return footprints laid side by side until there are enough; repeated records of one outline are left out."""
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    shapes = shapely.force_2d(np.array([shapely.geometry.shape(feature["geometry"]) for feature in features], object))
    shapes = shapes[np.unique(shapely.to_wkb(shapely.normalize(shapes)), return_index=True)[1]]
    west, south, east, north = shapely.total_bounds(shapes)
    copies = -(-count // len(shapes))
    across = int(np.ceil(np.sqrt(copies)))
    places = [((n % across) * (east - west + 50.0), (n // across) * (north - south + 50.0)) for n in range(copies)]
    return np.concatenate([moved(shapes, dx, dy) for dx, dy in places])[:count]


def moved(shapes: Shapes, dx: float, dy: float) -> Shapes:
    """Return shapes moved east and north [m]."""
    return np.asarray(shapely.transform(shapes, lambda xy: xy + np.array([dx, dy])))


def noisy(shapes: Shapes, noise: float, chance: np.random.Generator) -> Shapes:
    """Return shapes with normal noise [m] on every corner, the same on corners that are shared."""

    def shaken(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        corners, place = np.unique(xy, axis=0, return_inverse=True)
        return np.asarray((corners + chance.normal(0, noise, corners.shape))[place.ravel()])

    return np.asarray(shapely.make_valid(shapely.transform(shapes, shaken))) if noise else shapes


def city(name: str, ids: list[str], shapes: Shapes) -> City:
    """Return a city of buildings."""
    builder = CityBuilder("EPSG:28992", name=name)
    builder.add_objects("Building", ids, footprints=shapes)
    return builder.build()


def alone(left: Shapes, right: Shapes) -> float:
    """Return the CPU time [s] of tree query and intersection."""
    start = time.process_time()
    a, b = shapely.STRtree(right).query(left, predicate="intersects")
    shapely.area(shapely.intersection(left[a], right[b]))
    return time.process_time() - start


def run(path: Path, count: int, shift: tuple[float, float], noise: float, missing: float) -> dict[str, float]:
    """Return the figures of one run; times are CPU seconds."""
    chance = np.random.default_rng(7)
    shapes = tiled(path, count)
    kept = np.sort(chance.permutation(len(shapes))[: int(len(shapes) * (1 - missing))])
    second = noisy(moved(shapes[kept], *shift), noise, chance)
    left = city("left", [f"a{n}" for n in range(len(shapes))], shapes)
    right = city("right", [f"b{n}" for n in kept], second)
    some = left.subset(np.arange(10))
    match_cities(some, some, use_identifiers=False, shift=find_shift(some, some))  # loads libraries, compiles kernels
    yardstick = alone(left.footprints(), right.footprints())
    start = time.process_time()
    found = find_shift(left, right)
    middle = time.process_time()
    pairs = match_cities(left, right, use_identifiers=False, shift=found)
    end = time.process_time()
    truth = [a[1:] == b[1:] for a, b in zip(left.ids(pairs.left), right.ids(pairs.right), strict=True)]
    right_of_present = len({b for b, true in zip(pairs.right.tolist(), truth, strict=True) if true}) / len(kept)
    return {
        "footprints": float(len(shapes)),
        "right_of_present": right_of_present,
        "wrong": float(len(truth) - sum(truth)),
        "shift_error_m": float(np.hypot(found.dx + shift[0], found.dy + shift[1])),
        "shapely_alone_s": yardstick,
        "shift_s": middle - start,
        "matching_s": end - middle,
        "ratio": (end - start) / yardstick,
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=DEFAULT)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--shift", type=float, nargs=2, default=(0.48, 0.36))
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--missing", type=float, default=0.0)
    given = parser.parse_args()
    for name, value in run(given.path, given.count, tuple(given.shift), given.noise, given.missing).items():
        sys.stdout.write(f"{name:>18} {value:10.4f}\n")


if __name__ == "__main__":
    main()
