"""Options, limits and descriptions cross the border of a process as JSON and come back equal."""

from __future__ import annotations

import json

import pytest

from cim.errors import LimitError
from cim.loaders import Description, LayerInfo, Limits, ReadOptions
from cim.loaders.limits import GIB, MIB


def test_options_come_back_equal_from_json() -> None:
    options = ReadOptions("EPSG:4547", "楼", {"class": "Building"}, ("example.org",), Limits(records=7), "gb18030", "区", {"lod": "2"})
    assert ReadOptions.from_json(json.loads(json.dumps(options.to_json()))) == options


def test_a_description_comes_back_equal_from_json() -> None:
    layer = LayerInfo("楼", 3, "Polygon", "EPSG:4547", (0.0, 1.0, 2.0, 3.0), (("H", "double"),), "Building")
    told = Description("GeoPackage", (layer, LayerInfo("空")), "utf-8", ("odd",), {"class": "Building"})
    assert Description.from_json(json.loads(json.dumps(told.to_json()))) == told


def test_memory_and_time_grow_with_the_file_up_to_the_ceiling() -> None:
    limits = Limits(memory_bytes=GIB, memory_per_byte=10.0, memory_ceiling=3 * GIB, cpu_seconds=5.0, cpu_seconds_per_mib=0.5)
    assert limits.memory_for(0) == GIB
    assert limits.memory_for(100 * MIB) == GIB + 1000 * MIB
    assert limits.memory_for(10 * GIB) == 3 * GIB
    assert limits.seconds_for(10 * MIB) == 10.0


def test_a_declared_size_above_the_limit_names_the_limit_and_the_remedy() -> None:
    with pytest.raises(LimitError, match=r"a\.las: declares 11 records, above the limit of 10 .*give limits=Limits\(records=...\)"):
        Limits(records=10).check("records", 11, "a.las")
    Limits(records=10).check("records", 10, "a.las")
