"""The bar for matching, on a tenth of the benchmark: the campus tiled, a shift of 0.6 m, shares and errors as asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import util
from pathlib import Path

import pytest

SHIFT = (0.48, 0.36)  # 0.6 m


@pytest.mark.data
@pytest.mark.parametrize(("noise", "missing", "right", "wrong"), [(0.0, 0.0, 0.997, 0), (0.3, 0.25, 0.98, 10)])
def test_a_shifted_campus_is_matched_and_its_shift_measured(
    root: Path, shared_data: Callable[..., Path], noise: float, missing: float, right: float, wrong: int
) -> None:
    path = shared_data("city", "tudcampus", "tudcampus.geojson")
    spec = util.spec_from_file_location("bench_matching", root / "benchmarks" / "bench_matching.py")
    assert spec is not None
    assert spec.loader is not None
    bench = util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    figures = bench.run(path, 10_000, SHIFT, noise, missing)
    assert figures["right_of_present"] >= right  # with noise, sheds of a few square metres fall below IoU 0.5
    assert figures["wrong"] <= wrong
    assert figures["shift_error_m"] <= 0.05
    assert figures["ratio"] < 4  # a guard against another order of growth; the figure itself is the benchmark's
