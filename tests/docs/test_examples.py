"""The Python of the documentation and of the README runs, block after block, as a reader would type it.

A fenced block marked ``python`` runs; one marked ``py`` is only shown. All blocks of a page share one namespace, in an empty folder.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLUGINS = """[cim.readers]
parcels = parcel_reader:READER

[cim.checks]
street_access = street_access:CHECK
"""


def blocks(page: str) -> list[str]:
    """Return the blocks of a page that run; lines before each keep the numbers of the page, for tracebacks."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return ["\n" * text[: found.start(1)].count("\n") + found[1] for found in BLOCK.finditer(text)]


THREAD_AT_EXIT = "terminate called without an active exception\n"
"""What C++ says of a thread that is destroyed while it runs; seen once in hundreds of programs, on a machine with ten times its load."""


def install_plugins(folder: Path) -> Path:
    """Write what `pip install` would leave of a package that holds the two examples: its entry points."""
    info = folder / "site" / "cim_examples-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: cim-examples\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(PLUGINS, encoding="utf-8")
    return info.parent


def run_python(code: str, folder: Path, site: Path) -> str:
    """Run a program as a user would, warnings being errors, and return what it prints."""
    (folder / "program.py").write_text(code, encoding="utf-8")
    paths = os.pathsep.join([str(site), str(ROOT / "examples"), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    settings = {**os.environ, "PYTHONPATH": paths, "MPLBACKEND": "Agg", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "error", "-W", "ignore:Use `@` matmul:PendingDeprecationWarning", "program.py"]
    done = _run(command, folder, settings)
    if done.stderr == THREAD_AT_EXIT:  # after the program's last line
        done = _run(command, folder, settings)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def _run(command: list[str], folder: Path, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=settings, capture_output=True, text=True, timeout=300, check=False)


def program(page: str) -> str:
    """Return the blocks of a page as one program whose line numbers are those of the page."""
    lines: list[str] = []
    for block in blocks(page):
        start = len(block) - len(block.lstrip("\n"))
        lines += [""] * (start - len(lines))
        lines += block[start:].splitlines()
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page) and ".zh-CN." not in page])  # those hold the same, see below
def test_the_python_of_every_page_runs(page: str, tmp_path: Path) -> None:
    site = install_plugins(tmp_path)
    run_python(program(page), tmp_path, site)


@pytest.mark.data
def test_the_quick_start_of_the_readme_runs_on_the_files_it_names(tmp_path: Path, shared_data: Callable[..., Path]) -> None:
    folder = shared_data("city", "delft")
    code = program("README.md")
    for name in set(re.findall(r'"([\w.]+\.(?:sqlite|laz|tif|json|gpkg))"', code)):
        (tmp_path / name).symlink_to(folder / name)
    run_python(code, tmp_path, install_plugins(tmp_path))
    assert (tmp_path / "delft.html").stat().st_size > 10_000


@pytest.mark.parametrize(("english", "chinese"), [("docs/quickstart.md", "docs/quickstart.zh-CN.md"), ("README.md", "README.zh-CN.md")])
def test_both_languages_show_the_same_python(english: str, chinese: str) -> None:
    def bare(page: str) -> list[str]:
        return [re.sub(r"\s*#.*", "", line) for block in blocks(page) for line in block.splitlines() if line.strip()]

    assert bare(english)
    assert bare(english) == bare(chinese)


def test_a_failing_block_fails_the_test(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run_python("1 / 0", tmp_path, install_plugins(tmp_path))
