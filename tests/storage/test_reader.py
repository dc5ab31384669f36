from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cim.errors import ObjectNotFoundError, StoreError, UsageError
from cim.model import City
from cim.storage import open, save, versions
from tests.storage.conftest import assert_same_city


def test_scans_of_a_store_give_what_the_city_in_memory_gives(city: City, store: Path) -> None:
    found = open(store)
    box = (85_100.0, 446_000.0, 85_300.0, 448_000.0)
    questions: list[Callable[[City], NDArray[np.int64]]] = [
        lambda one: one.keys("Building", where="height > 30 and label != '第3号'"),
        lambda one: one.keys("Building", bbox=box),
        lambda one: one.keys(bbox=box),
        lambda one: one.keys("Building", where="height > 30 and z_roof < 50", bbox=box),
        lambda one: one.keys("Road"),
    ]
    for ask in questions:
        assert ask(found).tolist() == ask(city).tolist()
    assert found.statistics("Building", "height") == city.statistics("Building", "height")
    assert found.types() == city.types()
    assert len(found) == len(city)


def test_a_version_is_found_by_the_time_it_was_current(city: City, store: Path) -> None:
    save(city, store)
    first, second = versions(store)
    assert open(store, asof=first.saved_at).version == 1
    assert open(store, asof=second.saved_at).version == 2
    with pytest.raises(StoreError, match="has no version of 2001-01-01"):
        open(store, asof="2001-01-01")
    with pytest.raises(UsageError, match="give one"):
        open(store, 1, asof="2001-01-01")


def test_looking_up_a_few_objects_does_not_read_the_tables(city: City, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Look-ups on disk are for large tables: the limit is set to none here."""
    monkeypatch.setattr("cim.model.tables._SMALL", 0)
    found = open(store)
    for keys in ([5], [3, 3, 199, 0], [], np.arange(150, 100, -1)):
        assert found.ids(keys) == city.ids(keys)
        assert found.footprints(keys).tolist() == city.footprints(keys).tolist()
        assert found.geometry_table(keys=keys).equals(city.geometry_table(keys=keys))
    for id in ("b0", "b7", "b199"):
        assert found[id].core == city[id].core
        assert found[id].attributes == city[id].attributes
    assert found.table("Building", where="height > 30").equals(city.table("Building", where="height > 30"))
    assert not found.tables.at_hand("objects")
    assert not found.attributes.at_hand("Building")


def test_opening_reads_no_table(store: Path) -> None:
    for path in [*store.glob("objects/*"), *store.glob("tables/*")]:
        path.write_bytes(bytes(path.stat().st_size))
    assert len(open(store)) == 202
    assert open(store).types() == {"Building": 200, "Road": 2}


def test_a_stored_city_goes_to_another_process(city: City, store: Path) -> None:
    found = open(store)
    assert found.keys("Building", where="height > 30").size
    assert_same_city(pickle.loads(pickle.dumps(found)), city)


def test_what_is_no_store_is_named_with_the_way_out(store: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"nothing\.cim does not exist; cim\.save"):
        open(tmp_path / "nothing.cim")
    with pytest.raises(StoreError, match="is no city store"):
        open(tmp_path)
    with pytest.raises(StoreError, match="has no version 7; it has 1"):
        open(store, 7)


def test_a_column_that_is_not_there_is_named(store: Path) -> None:
    with pytest.raises(ObjectNotFoundError, match="no column nonsense; there are key, id"):
        open(store).tables.scan("objects", ["nonsense"])


def test_opening_loads_no_heavy_library(store: Path) -> None:
    heavy = ("geopandas", "duckdb", "scipy", "xarray", "numba", "pyvista")
    script = f"import sys, cim; cim.open(sys.argv[1]); print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script, str(store)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
