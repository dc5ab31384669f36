from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyarrow.compute as pc
import pytest

from cim.errors import StoreLockedError
from cim.model import City
from cim.storage import check, open, save, versions
from cim.storage.lock import writing
from tests.storage.conftest import assert_same_city, make_city


def test_a_second_writer_is_told_within_five_seconds_who_writes(city: City, store: Path) -> None:
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom cim.storage.lock import writing\n"
        "with writing(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(store)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        started = time.monotonic()
        with pytest.raises(StoreLockedError, match=f"process {holder.pid} on "):
            save(city, store)
        assert time.monotonic() - started < 5
        assert_same_city(open(store), city)  # a reader does not wait
    finally:
        holder.kill()
        holder.communicate()
    assert save(city, store) == 2  # a lock dies with its holder


def test_two_threads_do_not_write_at_once(store: Path, city: City) -> None:
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with writing(store):
            held.set()
            go.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    try:
        with pytest.raises(StoreLockedError, match=f"process {os.getpid()} on "):
            save(city, store)
    finally:
        go.set()
        thread.join()


def _saver(path: str, seed: int) -> None:
    for _ in range(4):
        save(make_city(20, seed=seed), path)


def test_writers_and_readers_at_once_see_whole_versions_only(tmp_path: Path) -> None:
    path = tmp_path / "busy.cim"
    save(make_city(20, seed=0), path)
    expected = {tuple(make_city(20, seed=seed).column("Building", "height").to_pylist()) for seed in range(3)}
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_saver, args=(str(path), seed)) for seed in (1, 2)]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers):
        found = open(path)
        assert tuple(found.column("Building", "height").to_pylist()) in expected
        assert pc.max(found.tables["geometries"]["object"]).as_py() == 19
        reads += 1
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert reads > 0
    assert [one.number for one in versions(path)] == list(range(1, 10))
    assert check(path, bytes=True) == []
