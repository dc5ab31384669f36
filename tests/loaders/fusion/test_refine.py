"""A building model refines the block of a register: one object, its levels of detail side by side, its storeys and rooms below it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from cim.loaders import fuse
from cim.model import City, CityBuilder, SourceRecord
from cim.model.geometry import extrude

CRS = "EPSG:4549+5737"
HOUSE = shapely.box(500000, 3460000, 500020, 3460012)


def solid(builder: CityBuilder, key: int, lod: str, low: float, high: float, shape: Any = HOUSE) -> None:
    block = extrude([shape], low, high)
    builder.add_geometries([key], lod=lod, role="solid", type=block.type, vertices=block.vertices, boundaries=block.boundaries, source=0)


def gis(name: str, scheme: str, value: str, *, lod: str = "1", height: float = 9.0) -> City:
    builder = CityBuilder(CRS, name=name)
    source = builder.add_source(SourceRecord(name))
    keys = builder.add_objects("Building", [f"{name}-1"], footprints=[HOUSE], z_ground=[4.0], z_roof=[4.0 + height], source=source)
    builder.add_identifiers(keys, scheme, [value])
    solid(builder, int(keys[0]), lod, 4.0, 4.0 + height)
    return builder.build()


def building_model(*, crs: str = CRS, offset: float = 0.1) -> City:
    """Return what the reader of building models makes: site, building, two storeys, a room, a wall."""
    builder = CityBuilder(crs, name="office.ifc")
    source = builder.add_source(SourceRecord("office.ifc", reader="ifc"))
    outline = shapely.box(500000 + offset, 3460000, 500020 + offset, 3460012)
    builder.add_objects("LandUse", ["site"], footprints=[shapely.box(499990, 3459990, 500040, 3460030)], source=source)
    house = builder.add_objects("Building", ["2FCZDorxHDT8NI01kdXi8P"], footprints=[outline], parents=["site"], source=source)
    builder.add_identifiers(house, "guid", ["2FCZDorxHDT8NI01kdXi8P"])
    builder.add_objects("BuildingStorey", ["level 0", "level 1"], parents=["2FCZDorxHDT8NI01kdXi8P"] * 2, source=source)
    builder.add_objects(
        "BuildingRoom", ["room"], footprints=[shapely.box(500001, 3460001, 500005, 3460005)], parents=["level 0"], source=source
    )
    wall = builder.add_objects("BuildingConstructiveElement", ["wall"], parents=["level 0"], source=source)
    solid(builder, int(house[0]), "2", 4.0, 13.1, outline)
    solid(builder, int(wall[0]), "4", 4.0, 7.0, shapely.box(500000, 3460000, 500000.3, 3460012))
    return builder.build()


def test_register_city_model_and_building_model_are_one_object_with_three_identifiers() -> None:
    city = fuse([gis("bgt", "imgeo", "G0503"), gis("3d", "bag", "0503100000000001", lod="2.2"), building_model()])
    assert city.types()["Building"] == 1
    house = city["bgt-1"]
    assert {scheme: values for scheme, values in house.identifiers.items() if scheme != "id"} == {
        "imgeo": ["G0503"], "bag": ["0503100000000001"], "guid": ["2FCZDorxHDT8NI01kdXi8P"],
    }  # fmt: skip
    assert city["2FCZDorxHDT8NI01kdXi8P"].key == house.key
    assert set(city.report.matches.query("object == 'bgt-1'")["source"]) == {"bgt", "3d", "office.ifc"}


def test_levels_of_detail_stand_side_by_side_and_the_storeys_below_the_merged_building() -> None:
    city = fuse([gis("bgt", "imgeo", "G0503"), building_model()])
    rows = city.geometry_table(keys=city.key_of(["bgt-1"]))
    assert {"1", "2"} <= set(rows["lod"].to_pylist())
    assert "alternative" not in set(rows["role"].to_pylist())
    assert sorted(child.id for child in city.children("bgt-1", type="BuildingStorey")) == ["level 0", "level 1"]
    assert {child.id for child in city.children("bgt-1", depth=2)} == {"level 0", "level 1", "room", "wall"}
    assert city.geometry_table(keys=city.key_of(["wall"])).num_rows == 1
    assert city["bgt-1"].footprint.equals(HOUSE)


def test_the_order_of_the_sources_decides_who_leads_and_nothing_else() -> None:
    city = fuse([building_model(), gis("bgt", "imgeo", "G0503")])
    house = city["2FCZDorxHDT8NI01kdXi8P"]
    assert house.identifiers["imgeo"] == ["G0503"]
    assert {child.id for child in city.children(house.id, depth=2)} == {"level 0", "level 1", "room", "wall"}


def test_heights_of_a_model_whose_datum_is_unknown_are_named() -> None:
    city = fuse([gis("bgt", "imgeo", "G0503"), building_model(crs="EPSG:4549")])
    said = city.issues[city.issues["severity"] == "warning"]["message"]
    assert any("office.ifc" in text and "vertical unknown" in text for text in said)


def test_a_raster_in_another_system_is_looked_up_where_it_lies(tmp_path: Path) -> None:
    from cim.crs import parse, transform_geometries
    from cim.loaders import read
    from cim.model.coverages import Raster, write_raster

    other = parse("EPSG:32651")  # the same place in UTM zone 51
    there, _ = transform_geometries(np.asarray([HOUSE], object), parse("EPSG:4549"), other, allow_ballpark=True)
    west, south, east, north = there[0].bounds
    x = west - 20 + 0.25 + 0.5 * np.arange(int(2 * (east - west + 40)))
    y = north + 20 - 0.25 - 0.5 * np.arange(int(2 * (north - south + 40)))
    columns, rows = np.meshgrid(x, y)
    values = np.where(shapely.contains_xy(there[0], columns, rows), 17.0, 5.0)
    grid = Raster(values, x_min=west - 20, y_max=north + 20, dx=0.5, dy=0.5, crs=parse("EPSG:32651+5737"), unit="m", name="dsm")
    write_raster(grid, tmp_path / "dsm.tif")
    surface = read(tmp_path / "dsm.tif", crs="EPSG:32651+5737")
    builder = CityBuilder(CRS, name="register")
    builder.add_objects("Building", ["a"], footprints=[HOUSE], source=builder.add_source(SourceRecord("register")))
    city = fuse([builder.build(), surface], crs=CRS)
    assert city["a"].core["z_roof"] == pytest.approx(17.0)
    (text,) = [text for text in city.issues["message"] if "footprints were looked up in it by" in text]
    assert "EPSG:32651" in text
    assert "proj=utm zone=51" in text
