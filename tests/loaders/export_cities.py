"""Cities for the tests of the exports: one with something in every table, and the pieces to make smaller ones."""

from __future__ import annotations

import struct
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import shapely

from cim.model import City, CityBuilder, Column, SourceRecord
from cim.model.geometry import boundaries_from, extrude, mesh_columns, vertices_from

EAST, NORTH = 500_000.0, 3_460_000.0
FILES = {"cityjson": "a.city.json", "cityjsonseq": "a.city.jsonl", "geopackage": "a.gpkg", "geoparquet": "parts", "gltf": "a.glb",
         "xlsx": "a.xlsx"}  # fmt: skip
"""Names that other readers expect of each format."""


def query(sql: str) -> list[Any]:
    """Return the rows that DuckDB finds."""
    with duckdb.connect() as base:
        found: list[Any] = base.execute(sql).fetchall()
        return found


def png(path: Path, colours: list[list[tuple[int, int, int]]]) -> Path:
    """Write a small picture, first row on top."""
    rows = b"".join(b"\0" + b"".join(bytes(colour) for colour in row) for row in colours)
    head = struct.pack(">IIBBBBB", len(colours[0]), len(colours), 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def lists(values: list[Any], kind: pa.DataType | None = None) -> pa.Array:
    """Return a list column."""
    return pa.array(values, pa.list_(kind or pa.int64()))


def box_at(step: int) -> Any:
    """Return the footprint of house number `step`."""
    return shapely.box(EAST + 30 * step, NORTH, EAST + 30 * step + 10, NORTH + 10)


def add_blocks(builder: CityBuilder, keys: Any, footprints: list[Any], *, ground: float = 2.0, roof: float = 12.0, lod: str = "1") -> Any:
    """Add blocks with named surfaces and return their geometry keys."""
    made = extrude(footprints, ground, roof)
    gkeys = builder.add_geometries(
        keys, lod=lod, role="solid", type=made.type, vertices=made.vertices, boundaries=made.boundaries, semantics=made.semantics
    )
    for index, name in enumerate(made.SURFACES):
        builder.add_surfaces(gkeys, index, name, attributes='{"material": "brick"}')
    return gkeys


def everything(folder: Path) -> City:
    """Return a city with rows in every table: houses, a textured roof, lamps from a template, a road, a pond, an outline."""
    builder = CityBuilder("EPSG:4549+5737", name="everything", time_zone="Asia/Shanghai")
    source = builder.add_source(SourceRecord(name="register", path="register.gpkg", reader="vector", format="GeoPackage", owner="规划局"))
    houses = builder.add_objects(
        "Building", ["h0", "h1", "h2"], names=["图书馆", None, "hall"], footprints=[box_at(0), box_at(1), box_at(2)],
        z_ground=[2.0, 2.0, np.nan], z_roof=[12.0, 12.0, np.nan], grades=["公开"] * 3, source=source,
        valid_from=[datetime(2020, 1, 1, tzinfo=UTC)] * 3,
    )  # fmt: skip
    part = builder.add_objects("BuildingPart", ["h0-part"], parents=["h0"], footprints=[box_at(0)], grades=["公开"], source=source)
    builder.add_attributes(houses, "Building", {
        "height": Column([10.0, None, 7.5], unit="m", label_zh="高度"), "storeys": Column([3, None, 2]), "住户": Column(["a", None, ""]),
        "listed": Column([True, None, False]), "population": Column([4, 90, 55]), "tags": Column([["x", "y"], None, []]),
    })  # fmt: skip
    add_blocks(builder, houses[:2], [box_at(0), box_at(1)])
    _roof(builder, part, folder)
    lamps = builder.add_objects("CityFurniture", ["lamp0", "lamp1"], grades=["公开"] * 2, source=source)
    template = add_template(builder)
    matrices = np.array([[[0, -2, 0, EAST + 50 * n], [2, 0, 0, NORTH + 40], [0, 0, 2, 5.0], [0, 0, 0, 1]] for n in (0, 1)], float)
    builder.add_instances(lamps, templates=[template] * 2, matrices=matrices, lod="2", role="solid", type="Solid")
    road = builder.add_objects("Road", ["road"], footprints=[shapely.LineString([(EAST, NORTH - 20), (EAST + 90, NORTH - 20)])],
                               z_ground=[1.0], grades=["公开"], source=source)  # fmt: skip
    builder.add_objects("WaterBody", ["pond"], footprints=[_pond()], z_ground=[0.5], grades=["公开"], source=source)
    builder.add_properties(houses[:1], "Pset", ["FireRating"], ["REI 60"])
    builder.add_identifiers(houses[:1], "register", ["R-77"])
    builder.add_relations(houses[:1], "adjacentTo", houses[1:2], source=source)
    builder.add_claims(houses[:1], "height", ["10.0"], unit="m", source=source)
    builder.add_matches(houses[:1], source, ["17"])
    builder.add_coverage(int(houses[2]), kind="raster", path=str(folder / "roof.png"), format="PNG", source=source)
    builder.add_links(road, "roads", ["n0"], ["n1"], length=[90.0])
    builder.add_issue("assumed", "the heights are assumed", source=source)
    return builder.build()


def _pond() -> Any:
    outer = shapely.Point(EAST + 45, NORTH - 60).buffer(15, quad_segs=8)
    return outer.difference(shapely.box(EAST + 40, NORTH - 65, EAST + 50, NORTH - 55))


def _roof(builder: CityBuilder, part: Any, folder: Path) -> None:
    """Add a roof of two triangles, one with a picture, the other with a colour."""
    points = [[EAST, NORTH, 12.0], [EAST + 10, NORTH, 12.0], [EAST + 10, NORTH + 10, 14.0], [EAST, NORTH + 10, 14.0]]
    vertices, boundaries = mesh_columns(points, [[0, 1, 2], [0, 2, 3]])
    gkeys = builder.add_geometries(part, lod="2", role="mesh", type="MultiSurface", vertices=vertices, boundaries=boundaries)
    picture = png(folder / "roof.png", [[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 0)]])
    texture = builder.add_textures(["roof.png"], path=[str(picture)], format=["PNG"], wrap=["clamp"])
    colour = builder.add_materials(["slate"], diffuse=[(0.2, 0.4, 0.6)], transparency=[0.25], shininess=[0.5])
    corners = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], *[[np.nan, np.nan]] * 3]
    builder.add_appearances(
        gkeys, theme="photo", materials=lists([[-1, int(colour[0])]]), textures=lists([[int(texture[0]), -1]]),
        uv=pa.array([corners], pa.list_(pa.list_(pa.float64(), 2))),
    )  # fmt: skip


def add_template(builder: CityBuilder) -> int:
    """Add a pyramid of four triangles, one metre high, and return its key."""
    points = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
    index = [0, 2, 1, 0, 1, 3, 1, 2, 3, 0, 3, 2]
    boundaries = boundaries_from(index, [3] * 4, [1] * 4, [4], [1], [1])
    return int(builder.add_templates(lod="2", type="Solid", vertices=vertices_from(points, [4]), boundaries=boundaries)[0])
