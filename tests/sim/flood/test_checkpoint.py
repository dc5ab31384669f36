from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cim.errors import CorruptFileError, UsageError
from cim.results import Fields
from cim.sim.flood import Boundary, Breach, FlowDomain, GreenAmpt, Inflow, Pump, Rain, simulate

UNTIL, EVERY = 600.0, 60.0


def case(**more: Any) -> dict[str, Any]:
    """Give a small flood in which everything acts: rain that changes, a stream, a pump, a dyke that breaks, seepage, walls."""
    x, y = np.meshgrid(np.arange(48) * 2.0, np.arange(40) * 2.0)
    ground = 3.0 + 0.01 * x + 0.3 * np.sin(x / 9) * np.cos(y / 7)
    ground[10:18, 12:20] += 4.0
    ground[25:30, 30:34] = np.nan
    ground[:, 40] += 1.0
    return {
        "place": FlowDomain.from_elevation(ground, 2.0, roughness=0.04, gaps="wall", infiltration=GreenAmpt(10.0, 110.0, 0.3)),
        "rain": Rain.uniform({0.0: 60.0, 200.0: 90.0, 400.0: 10.0}, unit="mm/h", outside="zero"),
        "boundaries": [Boundary("west", kind="free")],
        "inflows": [Inflow((90.0, 20.0), discharge=[(0.0, 0.2), (300.0, 0.6), (600.0, 0.1)])],
        "structures": [
            Pump((88.0, 22.0), capacity=0.1, on_depth=0.03, off_depth=0.01),
            Breach([[81.0, 30.0], [81.0, 40.0]], level=3.0, begin=150.0, duration=100.0),
        ],
        "gauges": {"g": (30.0, 20.0)},
        "sections": {"s": [[50.0, 0.0], [50.0, 80.0]]},
        "until": UNTIL,
        "output_every": EVERY,
        "velocity": True,
        **more,
    }


def run(**more: Any) -> Fields:
    """Run the case."""
    given = case(**more)
    return simulate(given.pop("place"), **given)


def digest(result: Fields) -> str:
    """Return a hash of every field and table."""
    found = hashlib.sha256()
    for name in sorted(map(str, result.dataset.data_vars)):
        found.update(np.ascontiguousarray(result[name].values).tobytes())
    for name in sorted(result.tables):
        for column in result.tables[name].columns:
            found.update(str(column.to_pylist()).encode())
    return found.hexdigest()


SCRIPT = """
import sys
from tests.sim.flood.test_checkpoint import run
run(checkpoint=sys.argv[1], scheme=sys.argv[2], precision=sys.argv[3])
print("whole")
"""


def start(folder: Path, scheme: str, precision: str) -> subprocess.Popen[str]:
    """Start the case in another process."""
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", SCRIPT, str(folder), scheme, precision]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(root)})


@pytest.mark.parametrize(("scheme", "precision"), [("standard", "float32"), ("accurate", "float64"), ("screening", "float32")])
def test_a_run_that_stops_and_goes_on_has_the_same_bytes(tmp_path: Path, scheme: str, precision: str) -> None:
    whole = digest(run(scheme=scheme, precision=precision))

    class StopError(Exception):
        pass

    from cim.sim.flood.solver import Solver

    kept = Solver.advance
    calls = []

    def stopping(self: Solver, until: float, **more: Any) -> None:
        calls.append(until)
        if len(calls) in {4, 9}:
            raise StopError
        kept(self, until, **more)

    patch = pytest.MonkeyPatch()
    patch.setattr(Solver, "advance", stopping)
    for _ in range(2):
        with pytest.raises(StopError):
            run(checkpoint=tmp_path / "c", scheme=scheme, precision=precision)
    resumed = run(checkpoint=tmp_path / "c", scheme=scheme, precision=precision)
    patch.undo()
    assert digest(resumed) == whole
    assert len(calls) < 10 + 4  # it did go on, not begin again


@pytest.mark.parametrize("kills", [pytest.param(2, marks=pytest.mark.heavy), pytest.param(20, marks=pytest.mark.long)])
def test_a_run_killed_at_random_times_ends_with_the_same_bytes(tmp_path: Path, kills: int) -> None:
    whole = digest(run())
    begun = time.monotonic()
    child = start(tmp_path / "time", "standard", "float32")
    assert child.communicate()[0].strip() == "whole"
    takes = time.monotonic() - begun
    chance = random.Random(5)
    for _ in range(kills):
        child = start(tmp_path / "killed", "standard", "float32")
        time.sleep(chance.uniform(0.3, 0.9) * takes)
        child.send_signal(signal.SIGKILL)
        child.communicate()
    assert digest(run(checkpoint=tmp_path / "killed")) == whole


def test_one_two_and_three_threads_give_the_same_bytes() -> None:
    assert len({digest(run(threads=threads)) for threads in (1, 2, 3)}) == 1


def test_a_branch_follows_its_base_and_then_its_own_way(tmp_path: Path) -> None:
    base = run(checkpoint=tmp_path / "base", keep_checkpoints=True)
    without = [one for one in case()["structures"] if isinstance(one, Breach)]
    failing = run(branch_from=tmp_path / "base", branch_at=300.0, structures=without)
    same, other = base["water_depth"].values, failing["water_depth"].values
    assert np.array_equal(same[:6], other[:6], equal_nan=True)  # to 300 s
    assert not np.array_equal(same[-1], other[-1], equal_nan=True)
    assert failing.run.balance["pumped_out_m3"] < base.run.balance["pumped_out_m3"]
    assert abs(failing.run.balance["volume_error_relative"]) < 1e-6
    again = run(branch_from=tmp_path / "base", branch_at=300.0)
    assert digest(again) == digest(base)  # a branch that changes nothing is its base


def test_a_branch_before_the_first_state_is_refused(tmp_path: Path) -> None:
    run(checkpoint=tmp_path / "base")  # keeps its last two states
    with pytest.raises(UsageError, match="keep_checkpoints"):
        run(branch_from=tmp_path / "base", branch_at=120.0)


def test_checkpoints_of_another_run_are_refused(tmp_path: Path) -> None:
    run(checkpoint=tmp_path / "c")
    with pytest.raises(UsageError, match="another run"):
        run(checkpoint=tmp_path / "c", rain=Rain.uniform(61.0, unit="mm/h"))


def test_a_folder_with_other_files_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="other files"):
        run(checkpoint=tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    run(checkpoint=tmp_path / "c")
    state = max((tmp_path / "c").glob("state-*.npz"))
    data = bytearray(state.read_bytes())
    data[len(data) // 2] ^= 0xFF
    state.write_bytes(bytes(data))
    with pytest.raises(CorruptFileError, match="state-"):
        run(checkpoint=tmp_path / "c")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"gauges": {"other": (60.0, 20.0)}}, "gauges and sections"),
        ({"wet_depth": 0.2}, "wet_depth"),
        ({"start": "2026-07-01T00:00"}, "start"),
        ({"velocity": False}, "velocity"),
        ({"place": FlowDomain.from_elevation(np.zeros((40, 48)), 2.0)}, "the ground"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_a_branch_that_would_mix_two_runs_is_refused(tmp_path: Path, changed: dict[str, Any], named: str) -> None:
    run(checkpoint=tmp_path / "base", keep_checkpoints=True, until=120.0, structures=[])
    with pytest.raises(UsageError, match=named):
        run(branch_from=tmp_path / "base", branch_at=60.0, until=120.0, structures=[], **changed)
