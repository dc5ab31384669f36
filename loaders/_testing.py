"""Lets the tests of the worker run a function of a test file, which no package holds, inside a worker."""

from __future__ import annotations

import runpy
from typing import Any

__all__ = ["from_source"]


def from_source(source: str, name: str, arguments: dict[str, Any]) -> Any:
    """Return what the function `name` of the file `source` returns."""
    return runpy.run_path(source)[name](**arguments)
