"""Small cities for the checks, and the exact cases of the data folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cases = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def exact_cases(shared_data: Callable[..., Path]) -> Cases:
    """Give the exact cases of one family: `exact_cases("far")`."""
    cases = json.loads(shared_data("china", "cim_cases.json").read_text(encoding="utf-8"))["cases"]
    return lambda family: [case for case in cases if case["family"] == family]
