"""Progress is told where somebody watches, nowhere else, and leaves things clean however the work ends."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator

import pytest

from cim.progress import Report, set_sink, silent, track


@pytest.fixture
def reports() -> Iterator[list[Report]]:
    seen: list[Report] = []
    before = set_sink(seen.append)
    yield seen
    set_sink(before)


def test_items_are_passed_on_unchanged_and_counted(reports: list[Report]) -> None:
    assert list(track(range(1000), label="read", unit="objects")) == list(range(1000))
    last = reports[-1]
    assert (last.label, last.unit, last.done, last.total, last.finished, last.failed) == ("read", "objects", 1000, 1000, True, False)


def test_the_total_of_a_generator_is_unknown_or_stated(reports: list[Report]) -> None:
    list(track(iter("abc")))
    assert reports[-1].total is None
    assert reports[-1].remaining is None
    list(track(iter("abc"), total=3))
    assert reports[-1].total == 3


def test_advance_and_update_count_parts(reports: list[Report]) -> None:
    with track(total=10.0, unit="s") as work:
        work.advance(2.5)
        work.update(7.5, total=20.0)
    assert work.done == 7.5
    assert reports[-1].total == 20.0


def test_rate_and_time_left_follow_from_what_is_done() -> None:
    report = Report("x", 25.0, 100.0, "cells", 5.0, finished=False)
    assert report.rate == 5.0
    assert report.remaining == 15.0
    assert Report("x", 0.0, 100.0, "cells", 0.0, finished=False).remaining is None
    assert Report("x", 120.0, 100.0, "cells", 5.0, finished=False).remaining == 0.0


def test_many_small_steps_are_told_seldom(reports: list[Report]) -> None:
    for _ in track(range(100_000)):
        pass
    assert len(reports) < 100  # ten a second at most


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_end_by_error_is_told_and_the_error_goes_on(reports: list[Report], error: type[BaseException]) -> None:
    def stops() -> None:
        with track(total=5) as work:
            work.advance(2)
            raise error

    with pytest.raises(error):
        stops()
    assert (reports[-1].done, reports[-1].finished, reports[-1].failed) == (2, True, True)


def test_a_loop_left_early_ends_the_progress(reports: list[Report]) -> None:
    loop = iter(track(range(10)))
    next(loop)
    loop.close()  # type: ignore[attr-defined]
    assert reports[-1].finished


def test_progress_without_items_cannot_be_iterated() -> None:
    with pytest.raises(TypeError, match="counts no items"):
        iter(track(total=3)).__next__()


def test_nothing_is_written_when_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    assert silent()
    list(track(range(10), label="read"))
    assert capsys.readouterr() == ("", "")


def test_the_variable_silences_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    assert not silent()
    monkeypatch.setenv("CIM_PROGRESS", "0")
    assert silent()
    list(track(range(10)))
    assert terminal.getvalue() == ""


def test_a_process_without_standard_error_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert silent()
    assert list(track("ab")) == ["a", "b"]


def in_terminal(code: str) -> tuple[str, bytes, int]:
    """Run code with standard error on a pseudo terminal; return what it wrote there, its standard output, and its exit code."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "PYTHONWARNINGS": "error"}
    environment.pop("CIM_PROGRESS", None)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        written = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    written += os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
        assert process.stdout is not None
        output = process.stdout.read()
        process.wait(10)
    os.close(ours)
    return written.decode("utf-8", "replace"), output, process.returncode


def test_a_terminal_shows_count_rate_and_time_left_on_standard_error_only() -> None:
    code = "import time; from cim.progress import track\nfor _ in track(range(8), label='drape', unit='roofs'): time.sleep(0.1)"
    written, output, status = in_terminal(code)
    assert status == 0
    assert output == b""
    for part in ("drape", "/8", "roofs", "roofs/s", "left", "0:00:0"):
        assert part in written, written


def test_cancelling_gives_the_cursor_back() -> None:
    code = "from cim.progress import track\nwith track(total=8, label='drape') as work:\n work.advance(3)\n raise KeyboardInterrupt"
    written, _, status = in_terminal(code)
    assert status not in (0, 1)  # interrupted
    assert written.count("\x1b[?25l") == 1  # cursor hidden
    assert "\x1b[?25h" in written.split("\x1b[?25l")[1]  # and shown again


def test_a_notebook_shows_the_bar_in_the_cell() -> None:
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    code = "import time\nfrom cim.progress import track\nfor _ in track(range(4), label='<drape>', unit='roofs'): time.sleep(0.1)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the kernel's own transport
        nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    (output,) = notebook.cells[0].outputs
    assert output.output_type == "display_data"
    html = output.data["text/html"]
    assert html.startswith('&lt;drape&gt; <progress max="4" value="4.0"></progress> 4/4 roofs')
    assert "roofs/s" in html


def test_importing_and_silent_work_do_not_load_rich() -> None:
    code = "import sys; from cim.progress import track; list(track('ab')); sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.PIPE).returncode == 0
