"""The demo district, written and built once for all tests of this room."""

from __future__ import annotations

from pathlib import Path

import pytest

from cim.demo import Truth, write_sources
from cim.loaders.build import build
from cim.model import City


@pytest.fixture(scope="session")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return write_sources(Path(tmp_path_factory.mktemp("demo")) / "sources")


@pytest.fixture(scope="session")
def city(truth: Truth) -> City:
    return build(truth.build_file)
