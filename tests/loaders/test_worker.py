"""A function in a worker may crash, hang, swell or fail: the caller gets one typed error, and nothing is left behind."""

from __future__ import annotations

import socket
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest

from cim.errors import CorruptFileError, CRSError, LimitError, UsageError
from cim.loaders import worker
from cim.loaders._sandbox import restriction_level
from cim.loaders.limits import MIB, Limits

HERE = Path(__file__).with_name("worker_functions.py")
SMALL = Limits(cpu_seconds=1.0, cpu_seconds_per_mib=0.0, memory_bytes=300 * MIB, memory_per_byte=0.0)


def call(name: str, **arguments: Any) -> worker.Answer:
    """Run a function of `worker_functions` in a worker."""
    given = {"source": str(HERE), "name": name, "arguments": arguments}
    return worker.run("cim.loaders._testing:from_source", given, path="some/input.gpkg", limits=SMALL, size=0, readable=[HERE.parent])


# ---------------------------------------------------------------- tests


def test_value_and_tables_come_back() -> None:
    value, tables = call("give_table", rows=3)
    assert value == {"rows": 3, "inside": True}
    assert tables["t"]["x"].to_pylist() == [0, 1, 2]
    assert not worker.inside()


def test_a_crash_is_one_error_that_names_the_file() -> None:
    with pytest.raises(CorruptFileError, match=r"some/input\.gpkg: crashed the library that reads it \(SIGSEGV\)"):
        call("crash")
    assert call("give_table", rows=1).value["rows"] == 1  # the next call is served as ever


def test_an_endless_loop_ends_at_the_time_limit() -> None:
    with pytest.raises(LimitError, match="longer to read than the limit"):
        call("spin")


def test_too_much_memory_is_a_limit_error() -> None:
    with pytest.raises(LimitError, match="more memory"):
        call("swell")


def test_an_error_of_ours_keeps_its_class_and_parts() -> None:
    with pytest.raises(CRSError, match=r"a\.gpkg: no system; give crs=") as caught:
        call("refuse")
    assert (caught.value.path, caught.value.reason, caught.value.remedy) == ("a.gpkg", "no system", "give crs=")


def test_a_wrong_call_stays_a_usage_error() -> None:
    with pytest.raises(UsageError, match="there is no field 'h'"):
        call("misuse")


def test_an_unforeseen_error_names_file_and_place() -> None:
    with pytest.raises(
        CorruptFileError, match=r"some/input\.gpkg: cannot be read: ValueError: what a surprise \(at worker_functions\.py:\d+\)"
    ):
        call("fail")


def test_a_process_that_just_ends_is_an_error() -> None:
    with pytest.raises(CorruptFileError, match="ended without a result"):
        call("leave", code=0)


def test_the_work_folder_is_private_and_vanishes() -> None:
    (folder, temporary, _), _ = call("write_here_and_there", place="")
    assert folder == temporary
    assert not Path(folder).exists()
    assert not list(Path(tempfile.gettempdir()).glob(f"{Path(folder).parent.name}*"))


def test_drivers_that_reach_out_are_skipped_before_any_library_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    worker.stop()
    monkeypatch.setenv("GDAL_DATA", "/somewhere")
    found = call("environment").value
    worker.stop()
    assert {"OGR_VRT", "WFS", "HTTP", "VRT", "WMS"} <= set(found["GDAL_SKIP"].split(","))
    assert found["PROJ_NETWORK"] == "OFF"
    assert found["GDAL_DATA"] is None


@pytest.mark.skipif(not Path("/proc/self/ns/net").exists(), reason="network namespaces are a matter of Linux")
def test_there_is_no_network_in_a_worker() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        reached = call("connect", port=server.getsockname()[1]).value
    if reached:
        pytest.skip("this system refuses network namespaces; the driver guards remain")
    assert reached is False


@pytest.mark.skipif(restriction_level() == 0, reason="this kernel has no Landlock")
def test_a_worker_reads_beside_its_input_and_libraries_and_nothing_else(tmp_path: Path) -> None:
    for folder in ("in", "elsewhere"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text("x", encoding="utf-8")
    given = {
        "source": str(HERE),
        "name": "look_around",
        "arguments": {"secret": str(tmp_path / "elsewhere/file"), "beside": str(tmp_path / "in/file")},
    }
    here = [HERE.parent]
    found = worker.run("cim.loaders._testing:from_source", given, path=tmp_path / "in/file", limits=SMALL, size=0, readable=here).value
    assert found == {"secret": False, "beside": True, "library": True, "written": False}


def test_several_threads_are_served_at_once() -> None:
    results: list[int] = []
    threads = [threading.Thread(target=lambda n=n: results.append(call("give_table", rows=n).value["rows"])) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(6))


def test_a_server_that_died_is_replaced() -> None:
    call("give_table", rows=1)
    process = worker._server["process"]
    process.kill()
    process.wait()
    assert call("give_table", rows=2).value["rows"] == 2
