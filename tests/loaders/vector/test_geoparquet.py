"""GeoParquet: metadata before data, WKB and native geometry, bombs and broken pages refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from cim.errors import CorruptFileError, CRSError, FormatError, LimitError
from cim.loaders import Limits, read

BOXES = shapely.box([85000, 85020, 85040], 447000, [85010, 85030, 85050], 447010)


def written(folder: Path, geometry: Any = BOXES, **options: Any) -> Path:
    frame = geopandas.GeoDataFrame({"名称": ["甲", "乙", "丙"], "H": [3.0, 6.0, 9.0]}, geometry=geometry, crs="EPSG:28992")
    frame.to_parquet(folder / "buildings.parquet", **options)
    return folder / "buildings.parquet"


def rewritten(path: Path, **changes: Any) -> Path:
    """Change entries of the geometry column's metadata; `...` removes one."""
    table = pq.read_table(path)
    geo = json.loads(table.schema.metadata[b"geo"])
    for name, value in changes.items():
        target = geo if name == "primary_column" else geo["columns"]["geometry"]
        target.pop(name, None) if value is ... else target.update({name: value})
    pq.write_table(table.replace_schema_metadata({b"geo": json.dumps(geo).encode()}), path)
    return path


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
@pytest.mark.parametrize(
    "geometry",
    [BOXES, shapely.points([85000, 85001, 85002], 447000), shapely.linestrings([[[85000, 447000], [85001, 447001]]] * 3),
     [shapely.MultiPolygon([BOXES[0], BOXES[2]]), shapely.MultiPolygon([BOXES[1]]), None]],
    ids=["polygon", "point", "line", "multipolygon"],
)  # fmt: skip
def test_geometry_comes_back_equal_in_either_encoding(encoding: str, geometry: Any, tmp_path: Path) -> None:
    city = read(written(tmp_path, geometry, geometry_encoding=encoding))
    rows = {row["name"]: row["footprint"] for row in city.tables["objects"].to_pylist()}
    for name, expected in zip("甲乙丙", geometry, strict=True):
        assert (rows[name] is None) if expected is None else shapely.from_wkb(rows[name]).equals(expected)


def test_column_types_units_and_the_covering_are_handled(tmp_path: Path) -> None:
    city = read(written(tmp_path, write_covering_bbox=True))
    assert set(city.attributes["Building"].column_names) == {"object", "H"}
    assert sorted(city.column("Building", "H").to_pylist()) == [3.0, 6.0, 9.0]


def test_no_geo_metadata_is_a_plain_table(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(FormatError, match="no 'geo' metadata"):
        read(tmp_path / "a.parquet", "EPSG:28992")


def test_a_null_crs_is_unknown_and_an_absent_one_is_degrees(tmp_path: Path) -> None:
    path = rewritten(written(tmp_path), crs=None)
    with pytest.raises(CRSError, match="crs is null"):
        read(path)
    assert read(path, "EPSG:28992").crs.to_string() == "EPSG:28992"
    with pytest.raises(CRSError, match="cannot be degrees"):
        read(rewritten(path, crs=...))


def test_a_primary_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match="primary geometry column 'shape', which is not among its columns"):
        read(rewritten(written(tmp_path), primary_column="shape"))


def test_an_unknown_encoding_is_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="geometry encoding 'TWKB' is not known"):
        read(rewritten(written(tmp_path), encoding="TWKB"))


def test_a_bomb_is_refused_before_it_expands(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"a": pa.repeat(pa.scalar("x" * 1000), 100_000)}), tmp_path / "a.parquet", use_dictionary=False, compression="zstd"
    )
    assert (tmp_path / "a.parquet").stat().st_size < 1 << 20
    with pytest.raises(LimitError, match="would expand to"):
        read(tmp_path / "a.parquet", limits=Limits(memory_bytes=1 << 20, memory_per_byte=1.0))
    with pytest.raises(LimitError, match="100,000 records"):
        read(tmp_path / "a.parquet", limits=Limits(records=99_999))


@pytest.mark.parametrize("cut", [1, 8, 300])
def test_a_cut_file_has_no_footer(cut: int, tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(CorruptFileError, match=r"truncated footer|footer of the Parquet file is damaged"):
        read(path)


def test_a_page_whose_checksum_fails_is_corrupt(tmp_path: Path) -> None:
    path = written(tmp_path)
    table = pq.read_table(path)
    pq.write_table(table, path, write_page_checksum=True, compression="none")
    data = bytearray(path.read_bytes())
    place = data.index(np.float64(6.0).tobytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(CorruptFileError, match="data page"):
        read(path)


def test_a_single_bad_geometry_is_rejected_alone(tmp_path: Path) -> None:
    path = written(tmp_path)
    table = pq.read_table(path)
    blobs = table["geometry"].to_pylist()
    blobs[1] = blobs[1][:20]
    changed = table.set_column(table.column_names.index("geometry"), "geometry", pa.array(blobs, pa.binary()))
    pq.write_table(changed.replace_schema_metadata(table.schema.metadata), path)
    city = read(path)
    assert sorted(city.tables["objects"]["name"].to_pylist()) == ["丙", "甲"]
