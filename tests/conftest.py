"""Fixtures of every test: where the real data lies, and what happens when it does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)  # a busy neighbour must not fail a property
settings.register_profile("ci", deadline=None, derandomize=True)  # CI judges a change by the same cases each time; new ones are found here
settings.load_profile("ci" if os.environ.get("CIM_REQUIRE_DATA") == "1" else "shared machine")

ROOT = Path(__file__).resolve().parents[1]


def data_folder() -> Path:
    """Return the folder of real files: `CIM_DATA`, else `shared/data` beside the checkout."""
    stated = os.environ.get("CIM_DATA")
    return Path(stated) if stated else ROOT.parent / "shared" / "data"


def find_shared_data(*parts: str) -> Path:
    """Return a real file or folder; skip the test without it, or fail when `CIM_REQUIRE_DATA=1`."""
    path = data_folder().joinpath(*parts)
    if path.exists():
        return path
    reason = f"real data {'/'.join(parts)!r} not found in {data_folder()}; set CIM_DATA to the folder that holds it"
    if os.environ.get("CIM_REQUIRE_DATA") == "1":
        pytest.fail(f"{reason} (CIM_REQUIRE_DATA=1 makes it a failure)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def shared_data() -> Callable[..., Path]:
    """Give the finder of real files: `shared_data("city", "delft")`."""
    return find_shared_data


@pytest.fixture(scope="session")
def root() -> Path:
    """Give the root of the checkout."""
    return ROOT
