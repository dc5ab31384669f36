"""The planner's notebook executes from its first cell to its last; its own assertions hold; it is kept without outputs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
NOTEBOOK = Path(__file__).resolve().parents[2] / "examples" / "planner.ipynb"


def own_kernel(folder: Path) -> None:
    """Write a kernel that is this very Python, so that the notebook runs in a fresh environment too."""
    place = folder / "kernels" / "python3"
    place.mkdir(parents=True)
    said = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "this Python",
        "language": "python",
    }
    (place / "kernel.json").write_text(json.dumps(said), encoding="utf-8")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep Jupyter's own files in a temporary folder."""
    own_kernel(tmp_path / "jupyter")
    for name, value in {
        "JUPYTER_PATH": tmp_path / "jupyter", "JUPYTER_RUNTIME_DIR": tmp_path / "runtime", "JUPYTER_CONFIG_DIR": tmp_path / "config",
        "JUPYTER_DATA_DIR": tmp_path / "jupyter", "IPYTHONDIR": tmp_path / "ipython", "JUPYTER_PLATFORM_DIRS": "1", "MPLBACKEND": "Agg",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, str(value))
    return tmp_path


def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def outputs(book: Any) -> list[Any]:
    return [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]


@pytest.mark.heavy
def test_the_notebook_of_the_planner_executes_and_its_counts_hold(settings: Path) -> None:
    book = notebook()
    client = nbclient.NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(settings)}})
    client.execute()
    shown = outputs(book)
    assert not [output for output in shown if output.output_type == "error"]
    assert any("<iframe" in str(output.get("data", {}).get("text/html", "")) for output in shown), "the scene is not shown"


def test_the_notebook_is_kept_without_outputs_and_small() -> None:
    book = notebook()
    assert outputs(book) == []
    assert all(cell.execution_count is None for cell in book.cells if cell.cell_type == "code")
    assert NOTEBOOK.stat().st_size < 20_000


def test_every_heading_of_the_notebook_is_in_both_languages() -> None:
    headings = [
        line for cell in notebook().cells if cell.cell_type == "markdown" for line in cell.source.splitlines() if line.startswith("#")
    ]
    assert headings
    assert all(
        any("一" <= letter <= "鿿" for letter in line) and any(letter.isascii() and letter.isalpha() for letter in line)
        for line in headings
    )


def test_a_wrong_count_stops_the_notebook(settings: Path) -> None:
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert 1 == 2")])
    client = nbclient.NotebookClient(book, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(settings)}})
    with pytest.raises(nbclient.exceptions.CellExecutionError, match="AssertionError"):
        client.execute()
