"""`import cim` answers at once: the heavy libraries wait until something needs them."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("duckdb", "geopandas", "ifcopenshell", "matplotlib", "numba", "pandas", "pyvista", "rasterio", "scipy", "vtkmodules", "xarray")


def modules_after(statement: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after a statement."""
    code = f"{statement}; import sys; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    return modules_after("import cim")


@pytest.mark.parametrize("library", HEAVY)
def test_import_cim_does_not_load(library: str, loaded: set[str]) -> None:
    assert library not in loaded


def test_the_probe_sees_what_is_loaded() -> None:
    assert {"cim", "pandas"} <= modules_after("import cim, pandas")
