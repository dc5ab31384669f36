from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cim.errors import StoreCorruptError, StoreError
from cim.model import City
from cim.storage import check, open, save, versions
from tests.storage.conftest import assert_same_city, make_city, with_raster

FLIPS = 200
KILLS = 50


def test_every_flipped_byte_is_found(store: Path, city: City, tmp_path: Path) -> None:
    raster = tmp_path / "terrain.tif"
    raster.write_bytes(random.Random(2).randbytes(3000))
    save(with_raster("raster", raster), store)
    save(city, store)
    files = [path for path in sorted(store.rglob("*")) if path.is_file() and path.stat().st_size]
    assert {path.parent.name for path in files} == {"manifests", "objects", "tables", "files"}
    chance = random.Random(5)
    for turn in range(FLIPS):
        path = files[turn % len(files)]  # every file in turn: large ones would draw nearly all
        data = path.read_bytes()
        place = chance.randrange(len(data))
        path.write_bytes(data[:place] + bytes([data[place] ^ chance.randrange(1, 256)]) + data[place + 1 :])
        faults = check(store, bytes=True)
        assert path.name in " ".join(fault.file for fault in faults), f"byte {place} of {path.name}"
        path.write_bytes(data)
    assert check(store, bytes=True) == []


def test_a_flipped_byte_is_never_read_as_another_value(store: Path, city: City) -> None:
    files = sorted([*store.glob("objects/*"), *store.glob("tables/*")])
    chance = random.Random(6)
    for turn in range(FLIPS):
        path = files[turn % len(files)]
        data = path.read_bytes()
        place = chance.randrange(len(data))
        path.write_bytes(data[:place] + bytes([data[place] ^ chance.randrange(1, 256)]) + data[place + 1 :])
        with pytest.raises(StoreCorruptError, match=path.name):
            assert_same_city(open(store), city)
        path.write_bytes(data)


def test_pages_of_a_large_part_have_checksums_of_their_own(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts above the limit are not read whole before they are used: what a page holds is still compared."""
    monkeypatch.setattr("cim.storage.scan._WHOLE", 0)
    path = next(store.glob("tables/geometries-*"))
    data = path.read_bytes()
    place = 2000  # inside the pages: head and tail of the file hold the metadata
    path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    with pytest.raises(StoreCorruptError, match="geometries"):
        open(store).tables["geometries"]  # reads it


def test_missing_and_cut_parts_are_faults_without_reading_them(store: Path) -> None:
    cut, gone = next(store.glob("objects/Building-*")), next(store.glob("tables/links-*"))
    cut.write_bytes(cut.read_bytes()[:-1])
    gone.unlink()
    faults = {fault.file.split("/")[1].split("-")[0]: fault.reason for fault in check(store)}
    assert faults.keys() == {"Building", "links"}
    assert faults["Building"].startswith(f"has {cut.stat().st_size} bytes, expected {cut.stat().st_size + 1}")
    assert faults["links"] == "is missing"
    with pytest.raises(StoreCorruptError, match="objects/Building-"):
        open(store)


def test_leftovers_of_a_stopped_save_are_no_faults_and_the_next_save_sweeps_them(store: Path, city: City) -> None:
    (store / "tmp" / "half").write_bytes(b"half a part")
    (store / "lock").write_text('{"pid": 1')
    assert check(store, bytes=True) == []
    assert_same_city(open(store), city)
    save(city, store)
    assert list((store / "tmp").iterdir()) == []


def test_a_folder_that_is_no_store_cannot_be_checked(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is no city store"):
        check(tmp_path)


# ---------------------------------------------------------------------- killed at any moment

_SAVER = """
import json, os, sys
import cim
from tests.storage.conftest import make_city
cities = [make_city(3000, seed=seed) for seed in (1, 2)]
path, state = sys.argv[1], sys.argv[1] + ".acknowledged"

def work(turn):
    while True:
        number = cim.save(cities[turn % 2], path, message=str(turn % 2 + 1))
        with open(state, "w") as file:
            file.write(str(number))
        turn += 1
        if turn % 3 == 0:
            cim.compact(path, keep=2)

for turn in range(10_000):
    child = os.fork()
    if child == 0:
        work(turn)
    print(child, flush=True)
    os.waitpid(child, 0)
    try:
        acknowledged = int(open(state).read() or 0)
    except FileNotFoundError:
        acknowledged = 0
    print(acknowledged, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.heavy
def test_a_store_killed_at_any_moment_opens_with_its_last_version_whole(tmp_path: Path) -> None:
    """Saves and compactions run one after the other in a process that is killed at a random moment, 50 times over."""
    path = tmp_path / "killed.cim"
    expected = {str(seed): make_city(3000, seed=seed) for seed in (1, 2)}
    began = time.monotonic()
    save(expected["1"], tmp_path / "pace.cim")
    pace = time.monotonic() - began  # of one save on this machine, as busy as it is
    chance = np.random.default_rng(11)
    root = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", _SAVER, str(path)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root, start_new_session=True)
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        for _ in range(KILLS):
            pid = int(server.stdout.readline())
            time.sleep(float(chance.uniform(0, 4 * pace)))
            os.kill(pid, signal.SIGKILL)
            acknowledged = int(server.stdout.readline())
            if acknowledged or list(path.glob("manifests/*.json")):
                last = versions(path)[-1]
                assert last.number >= acknowledged
                assert check(path, bytes=True) == []
                assert_same_city(open(path), expected[last.message])
            server.stdin.write("next\n")
            server.stdin.flush()
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # the saver it may have started last as well: that one holds the pipe and the lock
        server.communicate(timeout=60)
    assert versions(path)[-1].number >= 3  # some saves came through between the kills, however busy the machine is
    save(expected["1"], path)
    assert list((path / "tmp").iterdir()) == []
