"""An ensemble runs, goes on after any stop, reports what fails, and gives the same bytes however it was run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

import cim
from cim.errors import FormatError, MissingExtraError, ObjectNotFoundError, RunError, StoreLockedError, UsageError
from cim.progress import Report, set_sink
from cim.results import Fields, compare, load_run
from cim.scenario import read_scenario
from cim.sim import ensemble
from cim.sim.ensemble import members as one_member
from cim.sim.ensemble.cluster import connected
from cim.storage.lock import writing

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # distributed leaves sockets of dead workers to the collector


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file but the measured times, and the lock, by its path."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found if path.name not in {"timing.json", ".lock"}}


def assert_same(one: Path, other: Path) -> None:
    a, b = contents(one), contents(other)
    assert a.keys() == b.keys()
    assert [name for name in a if a[name] != b[name]] == []


def finished(folder: Path) -> list[Path]:
    return sorted((folder / "members").glob("*/member.json"))


def wait_for(count: int, folder: Path, process: subprocess.Popen[bytes] | None = None) -> None:
    until = time.monotonic() + 120
    while len(finished(folder)) < count:
        assert time.monotonic() < until
        assert process is None or process.poll() is None
        time.sleep(0.02)


def living_workers() -> list[psutil.Process]:
    found = []
    for one in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if one.status() != psutil.STATUS_ZOMBIE and "cim.sim.ensemble.worker" in one.cmdline():
                found.append(one)
    return found


@pytest.mark.heavy
def test_forty_floods_on_dask_with_a_killed_worker_equal_the_serial_run_byte_for_byte(flooded: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    def kill(report: Report) -> None:
        """Kill a worker in the middle of the run, and another one later."""
        workers = living_workers()
        if workers and report.unit == "members" and report.done >= 5 + 15 * len(killed) and len(killed) < 2:
            os.kill(workers[0].pid, signal.SIGKILL)
            killed.append(workers[0].pid)

    before = set_sink(kill)
    try:
        spread = ensemble.run(flooded / "flood.toml", tmp_path / "spread", cluster="local", workers=2)
    finally:
        set_sink(before)
    assert len(killed) == 2
    assert (spread.ran, len(spread.members), spread.failed) == (40, 40, {})
    assert_same(flooded / "serial", tmp_path / "spread")
    assert not living_workers()


@pytest.mark.heavy
def test_a_client_of_another_cluster_runs_the_members_and_stays_open(block: Path) -> None:
    distributed: Any = pytest.importorskip("distributed")
    serial = ensemble.run(block / "still.toml", block / "serial")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None, local_directory=str(block / "dask")) as cluster,
        distributed.Client(cluster) as client,
    ):
        made = ensemble.run(block / "still.toml", block / "spread", cluster=client)
        by_address = ensemble.run(block / "still.toml", block / "addressed", cluster=cluster.scheduler_address)
        assert client.submit(int, 3).result() == 3
    assert made.failed == by_address.failed == serial.failed == {}
    assert_same(block / "serial", block / "spread")
    assert_same(block / "serial", block / "addressed")


@pytest.mark.heavy
def test_a_run_whose_driver_was_killed_goes_on_with_what_is_missing(flooded: Path, tmp_path: Path) -> None:
    paths = f"{str(flooded / 'flood.toml')!r}, {str(tmp_path / 'resumed')!r}"
    call = f"from cim.sim import ensemble; ensemble.run({paths}, cluster='local', workers=2)"
    process = subprocess.Popen([sys.executable, "-P", "-c", call], cwd=tmp_path)
    wait_for(3, tmp_path / "resumed", process)
    workers = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    assert workers
    assert psutil.wait_procs(workers, timeout=20)[1] == []  # nobody works on without the driver
    there = len(finished(tmp_path / "resumed"))
    assert 3 <= there < 40
    assert not (tmp_path / "resumed" / "run.json").exists()
    made = ensemble.run(flooded / "flood.toml", tmp_path / "resumed")
    assert made.ran == 40 - there
    assert_same(flooded / "serial", tmp_path / "resumed")


@pytest.mark.heavy
def test_ctrl_c_ends_the_workers_and_keeps_what_is_done(flooded: Path, tmp_path: Path) -> None:
    paths = f"{str(flooded / 'flood.toml')!r}, {str(tmp_path / 'e')!r}"
    call = f"from cim.sim import ensemble; ensemble.run({paths}, cluster='local', workers=1)"
    process = subprocess.Popen([sys.executable, "-P", "-c", call], cwd=tmp_path, stderr=subprocess.PIPE)
    wait_for(2, tmp_path / "e", process)
    workers = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1].decode()
    assert said.strip().endswith("KeyboardInterrupt")
    assert "ignored" not in said  # "Exception ignored in": something was closed too late
    assert psutil.wait_procs(workers, timeout=20)[1] == []
    assert 2 <= len(finished(tmp_path / "e")) < 40
    assert not (tmp_path / "e" / "run.json").exists()
    assert not list((tmp_path / "e" / "members").glob(".*"))


def test_a_second_call_runs_nothing_and_writes_the_same(block: Path) -> None:
    first = ensemble.run(block / "still.toml", block / "e")
    before = contents(block / "e")
    second = ensemble.run(block / "still.toml", block / "e")
    assert (first.ran, second.ran) == (4, 0)
    assert contents(block / "e") == before
    assert ensemble.load(block / "e").members == second.members


def test_a_changed_scenario_runs_again_only_what_changed(block: Path) -> None:
    path = block / "still.toml"
    ensemble.run(path, block / "e")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[2.4]]", "[2.4], [2.2]]"), encoding="utf-8")
    more = ensemble.run(path, block / "e")
    assert (more.ran, len(more.members)) == (1, 5)
    path.write_text(path.read_text(encoding="utf-8").replace("levels = [2.0]", "levels = [2.0]\nconnectivity = 8"), encoding="utf-8")
    with pytest.raises(UsageError, match=r"5 members were run with another city, parameters or version"):
        ensemble.run(path, block / "e", changed="refuse")
    assert ensemble.load(block / "e").members == more.members  # a refusal leaves everything as it was
    assert ensemble.run(path, block / "e").ran == 5


def test_a_changed_city_and_a_changed_file_of_forcing_are_other_inputs(block: Path) -> None:
    rain = block / "rain.csv"
    rain.write_text("time,rain\n0,60\n300,60\n600,0\n", encoding="utf-8")
    text = (block / "flood.toml").read_text(encoding="utf-8").split("[axes]")[0]
    text = text.replace('kind = "constant"\nintensity = 600.0', 'kind = "file"\nfile = "rain.csv"\nunit = "mm/h"\ntime_unit = "s"')
    (block / "rain.toml").write_text(f'{text}[axes]\nchange = ["none", "dyke"]\nflood.roughness = [0.02, 0.03]\n', encoding="utf-8")
    from cim.sim.ensemble.plan import make_plan

    def hashes(city: str = "a") -> list[str]:
        return [one.inputs for one in make_plan(read_scenario(block / "rain.toml"), city).members]

    first = hashes()
    assert hashes() == first
    assert not set(hashes("b")) & set(first)
    rain.write_text("time,rain\n0,61\n300,60\n600,0\n", encoding="utf-8")
    assert not set(hashes()) & set(first)


@pytest.mark.parametrize("damage", ["cut", "gone", "no run.json", "no member.json"])
def test_a_member_whose_folder_is_not_whole_is_run_again(block: Path, damage: str) -> None:
    made = ensemble.run(block / "still.toml", block / "e")
    before = contents(block / "e")
    folder = list(made.members.values())[1]
    table = folder / "inundation" / "tables" / "buildings.parquet"
    if damage == "cut":
        table.write_bytes(table.read_bytes()[:-3])
    else:
        {"gone": table, "no run.json": folder / "run.json", "no member.json": folder / "member.json"}[damage].unlink()
    assert ensemble.run(block / "still.toml", block / "e").ran == 1
    assert contents(block / "e") == before


def fails(monkeypatch: pytest.MonkeyPatch, error: BaseException, times: int = 1_000, level: float = 1.4) -> list[str]:
    """Let the member of one level fail; return the members that are tried."""
    tried: list[str] = []
    real: Any = vars(one_member)["run"]

    def run(scenario: Any, out: Any, *, city: Any = None) -> Any:
        tried.append(scenario.member)
        if scenario.settings["inundation.levels"] == [level] and sum(name == scenario.member for name in tried) <= times:
            raise error
        return real(scenario, out, city=city)

    monkeypatch.setattr(one_member, "run", run)
    return tried


def test_a_failing_member_is_reported_and_the_rest_completes(block: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = fails(monkeypatch, RunError("the water broke at cell 3"))
    made = ensemble.run(block / "still.toml", block / "e")
    (name,) = made.failed
    assert made.failed[name] == "RunError: the water broke at cell 3"
    assert len(made.members) == 3
    assert tried.count(name) == 1  # an error of the model is none that passes
    rows = {row["member"]: row for row in made.fields.table("members").to_pylist()}
    assert (rows[name]["status"], rows[name]["error"]) == ("failed", "RunError: the water broke at cell 3")
    assert made.fields.table("inundation_buildings")["members"].to_pylist() == [3, 3, 3]
    assert any(f"1 of 4 members failed and do not count: {name}" in text for text in made.fields.run.assumptions)
    said = json.loads((block / "e" / "failed" / f"{name}.json").read_text(encoding="utf-8"))
    assert said["member"] == name
    with pytest.raises(ObjectNotFoundError, match="the water broke"):
        made.member(name)
    monkeypatch.undo()
    again = ensemble.run(block / "still.toml", block / "e")
    assert (again.ran, again.failed) == (1, {})
    assert not list((block / "e" / "failed").iterdir())


def test_a_full_disk_is_tried_again_and_a_bug_keeps_its_trace(block: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = fails(monkeypatch, OSError(28, "No space left on device"), times=2)
    made = ensemble.run(block / "still.toml", block / "e", retries=2)
    assert (made.failed, len(tried)) == ({}, 6)
    shutil.rmtree(block / "e")
    monkeypatch.undo()
    fails(monkeypatch, ZeroDivisionError("by nothing"))
    (name,) = ensemble.run(block / "still.toml", block / "e").failed
    said = json.loads((block / "e" / "failed" / f"{name}.json").read_text(encoding="utf-8"))
    assert "Traceback" in said["trace"]


def test_an_ensemble_of_which_every_member_fails_is_an_error(block: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: Any, **__: Any) -> None:
        msg = "no ground"
        raise UsageError(msg)

    monkeypatch.setattr(one_member, "run", run)
    with pytest.raises(RunError, match=r"every member of still failed; inundation\.levels=0\.9~\w+: UsageError: no ground"):
        ensemble.run(block / "still.toml", block / "e")


def test_a_cancelled_run_leaves_the_result_as_it_was_and_keeps_what_is_done(block: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = block / "still.toml"
    ensemble.run(path, block / "e")
    before = contents(block / "e")
    path.write_text(
        path.read_text(encoding="utf-8")
        .replace("[axes]", "connectivity = 8\n[axes]")
        .replace("[inundation]\nlevels = [2.0]\n\nconnectivity = 8", "[inundation]\nlevels = [2.0]\nconnectivity = 8"),
        encoding="utf-8",
    )
    fails(monkeypatch, KeyboardInterrupt(), level=0.9)
    with pytest.raises(KeyboardInterrupt):
        ensemble.run(path, block / "e")
    assert contents(block / "e") == before
    monkeypatch.undo()
    fails(monkeypatch, KeyboardInterrupt(), level=1.9)
    with pytest.raises(KeyboardInterrupt):
        ensemble.run(path, block / "e")
    assert not (block / "e" / "run.json").exists()  # two members are new: what it said is no longer so
    assert not list((block / "e" / "members").glob(".*"))
    monkeypatch.undo()
    assert ensemble.run(path, block / "e").ran == 2


def test_progress_counts_members(block: Path) -> None:
    seen: list[Report] = []
    before = set_sink(seen.append)
    try:
        ensemble.run(block / "still.toml", block / "e")
    finally:
        set_sink(before)
    (last,) = [one for one in seen if one.unit == "members" and one.finished]
    assert (last.done, last.total, last.label) == (4.0, 4, "still")
    assert {one.unit for one in seen} == {"members", "tables"}  # the parts of a member show no bar of their own


def test_options_are_compared_with_none(block: Path) -> None:
    text = (block / "flood.toml").read_text(encoding="utf-8").split("[axes]")[0]
    (block / "options.toml").write_text(f'{text}[axes]\nchange = ["none", "dyke"]\n', encoding="utf-8")
    made = ensemble.run(block / "options.toml", block / "e")
    assert list(made.members) == ["change=none", "change=dyke"]
    assert made.base == "change=none"
    assert "impact_buildings dyke" in made.fields.tables
    compared = made.compare("change=dyke")["impact"]
    assert compared.table("buildings").num_rows == 3
    both = made.fields.table("impact_buildings dyke").to_pylist()
    difference = {row["object"]: row["depth_max_difference"] for row in compared.table("buildings").to_pylist()}
    assert {row["object"]: row["depth_max_difference"] for row in both} == pytest.approx(difference)


def test_the_result_is_one_like_any_other(block: Path) -> None:
    path = block / "still.toml"
    path.write_text(
        path.read_text(encoding="utf-8").replace('name = "still"', 'name = "still"\noutputs = ["excel", "geopackage", "geotiff"]'),
        encoding="utf-8",
    )
    made = ensemble.run(path, block / "e")
    loaded = load_run(block / "e")["ensemble"]
    assert isinstance(loaded, Fields)
    assert loaded.table("inundation_buildings").equals(made.fields.table("inundation_buildings"))
    assert "same" in compare(loaded, made.fields).table("inundation_buildings")["change"].to_pylist()
    files = {one.name for one in (block / "e" / "ensemble").iterdir()}
    assert {"ensemble.xlsx", "ensemble.gpkg", "exceedance_probability.tif"} <= files
    assert "4 members done" in repr(made)
    assert "ensemble" in made._repr_html_()


def test_a_city_that_is_handed_in_is_stored_for_the_workers(block: Path) -> None:
    city = cim.open(block / "block.cim")
    plan = replace(read_scenario(block / "still.toml"), city=block / "gone.cim")
    serial = ensemble.run(plan, block / "serial", city=city)
    assert serial.failed == {}
    assert not (block / "serial" / "base-city.cim").exists()
    spread = ensemble.run(plan, block / "spread", city=city, cluster="local", workers=1)
    assert spread.failed == {}
    shutil.rmtree(block / "spread" / "base-city.cim")
    assert_same(block / "serial", block / "spread")


def test_what_makes_no_sense_is_refused_before_anything_runs(block: Path) -> None:
    path = block / "still.toml"
    cases: dict[str, dict[str, Any]] = {
        r"retries=-1; expected a whole number": {"retries": -1},
        r"threads=0; expected None or": {"threads": 0},
        r"workers=2 without a cluster": {"workers": 2},
        r"threshold 0\.0: expected a depth above 0": {"thresholds": [0.0]},
        r"quantile 1\.5: expected a share": {"quantiles": [1.5]},
        r"base='none' is no member; there are inundation": {"base": "none"},
        r"weights: there is no member 'x'; member 'inundation": {"weights": {"x": 1.0}},
        r"changed='no'; expected": {"changed": "no"},
        r"cluster=3; expected None": {"cluster": 3},
        r"workers=2 with cluster='tcp": {"cluster": "tcp://127.0.0.1:1", "workers": 2},
    }
    for words, arguments in cases.items():
        with pytest.raises(UsageError, match=words):
            ensemble.run(path, block / "e", **arguments)
        assert not finished(block / "e")
    (block / "other").mkdir()
    (block / "other" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="exists and holds no ensemble"):
        ensemble.run(path, block / "other")
    with pytest.raises(FormatError, match="no ensemble that was run to its end"):
        ensemble.load(block / "other")


def test_two_drivers_of_one_folder_do_not_meet(block: Path) -> None:
    ensemble.run(block / "still.toml", block / "e")
    with writing(block / "e"), pytest.raises(StoreLockedError, match="is being written"):
        ensemble.run(block / "still.toml", block / "e")


def test_a_cluster_needs_the_extra_and_a_serial_run_does_not(block: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setitem(sys.modules, "dask", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'cim-toolkit\[dask\]'"):
        ensemble.run(block / "still.toml", block / "e", cluster="local")
    assert ensemble.run(block / "still.toml", block / "e").ran == 4


def test_a_member_that_kills_its_worker_fails_alone(block: Path) -> None:
    from cim.sim.ensemble.cluster import on_dask
    from cim.sim.ensemble.members import Task

    plan = read_scenario(block / "still.toml")
    tasks = [Task(name, plan, str(block / name), "", "", "", None) for name in ("a", "b", "poison", "c", "d")]
    with pytest.MonkeyPatch.context() as patch, connected("local", 2) as (client, mine):
        patch.setattr(_act, "__module__", "__main__")  # no worker can import this file: it is sent along
        patch.setattr("cim.sim.ensemble.cluster.do_member", _act)
        patch.setattr("cim.sim.ensemble.cluster.is_whole", lambda *_: True)
        ended = {one.name: one for one in on_dask(tasks, client, mine, 2)}
    assert set(ended) == {"a", "b", "poison", "c", "d"}
    assert {name for name, one in ended.items() if one.error} == {"poison"}
    assert "the worker process died while it ran" in ended["poison"].error


def _act(task: Any) -> Any:  # pragma: no cover - runs in a worker
    import os as system
    import time as clock

    from cim.sim.ensemble.members import Outcome as Ended

    if task.name == "poison":
        system._exit(9)
    clock.sleep(0.2)
    return Ended(task.name)


def test_the_command_runs_an_ensemble_and_goes_on_with_it(block: Path) -> None:
    from typer.testing import CliRunner

    from cim.cli import app

    runner = CliRunner()
    first = runner.invoke(app, ["run", str(block / "still.toml"), "-o", str(block / "e")])
    assert first.exit_code == 0, first.output
    assert "4 members done" in first.output
    second = runner.invoke(app, ["run", str(block / "still.toml"), "-o", str(block / "e"), "--json"])
    said = json.loads(second.stdout)
    assert (said["ran"], len(said["done"]), said["failed"]) == (0, 4, {})
    text = (block / "still.toml").read_text(encoding="utf-8").split("[axes]")[0]
    (block / "one.toml").write_text(text, encoding="utf-8")
    lone = runner.invoke(app, ["run", str(block / "one.toml"), "-o", str(block / "one"), "--cluster", "local"])
    assert isinstance(lone.exception, UsageError)
    assert "needs no cluster" in str(lone.exception)
