"""What follows from geometry: the finest level of detail."""

from __future__ import annotations

import pyarrow as pa

from cim.model.derive import finest_lod


def test_the_finest_level_of_detail_is_found_whatever_the_keys() -> None:
    objects = pa.table({"key": pa.array([70, 5, 900, 6])})
    geometries = pa.table({"object": [5, 5, 900, 70, 8], "lod": ["1", "2.2", None, "10", "3"]})  # 8 is the key of no object
    assert finest_lod(objects, geometries).to_pylist() == ["10", "2.2", None, None]


def test_without_geometry_no_object_has_a_level_of_detail() -> None:
    nothing = pa.table({"object": pa.array([], pa.int64()), "lod": pa.array([], pa.string())})
    assert finest_lod(pa.table({"key": [0, 1]}), nothing).to_pylist() == [None, None]
