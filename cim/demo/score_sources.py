"""What became of the further sources of the demo district: the office, the maps, the drains, the poles, and the pieces of the mesh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

    from cim.demo.truth import Truth
    from cim.model import City

    Reals = NDArray[np.float64]

__all__ = ["VOLUME", "Check", "checks", "piece_checks"]

LANDS = 0.95
"""Least intersection over union of the office's outline with the truth."""
SAME_AREA = 0.01
"""Rooms whose area is the true one but for this [m²]: it is rounded to a square centimetre."""
SAME_LENGTH = 0.002
"""Diameters and inverts that are right to this [m]: they are stated in millimetres."""
VOLUME = 0.02
"""Share by which the volume of a piece may differ from the truth: noise of 3 cm on roofs of low houses gives a tenth of it."""


@dataclass(frozen=True)
class Check:
    """How much of one thing came out right."""

    what: str
    """In English and Chinese."""
    right: int
    of: int
    how: str

    @property
    def passed(self) -> bool:
        """True when all came out right."""
        return self.right == self.of

    def text(self) -> str:
        """Return a line for people."""
        return f"{self.what}: {self.right:,} of {self.of:,} ({self.how})"


def checks(city: City, truth: Truth) -> tuple[Check, ...]:
    """Return what became of the sources that the build file names, beside the registers."""
    found = [*_drains(city, truth), _poles(city, truth)]
    if truth.extract is not None:
        found = [*_map(city, truth), *found]
    if truth.office is not None:
        found = [*_office(city, truth), *found]
    return tuple(found)


# ---------------------------------------------------------------- the office


def _office(city: City, truth: Truth) -> list[Check]:
    """Say whether the office lands on its building, is one object with it, and has its storeys and rooms."""
    import shapely

    office = truth.office
    if office is None:
        return []
    one = city[office.id]
    outline = truth.footprints[truth.ids == office.id][0]
    placed = _placed_outline(city)
    iou = float(shapely.intersection(placed, outline).area / shapely.union(placed, outline).area) if placed is not None else 0.0
    schemes = {name for name in one.identifiers if name in {"楼栋编号", "BLDG_ID", "ifc_guid", "osm"}}
    wanted = {"楼栋编号", "BLDG_ID", "ifc_guid"} | ({"osm"} if truth.extract is not None else set())
    storeys = _below(city, one.key, "BuildingStorey")
    true_storeys = [(storey.name, storey.elevation) for storey in office.storeys]
    foot = float(truth.z_ground[truth.ids == office.id][0])
    levels = dict(zip(storeys["name"], storeys["z_ground"] - foot, strict=True))
    rooms = city.table("BuildingRoom", columns=["name", "net_floor_area"]) if "BuildingRoom" in city.attributes else None
    areas = dict(zip(rooms["name"], rooms["net_floor_area"], strict=True)) if rooms is not None else {}
    true_rooms = [room for storey in office.storeys for room in storey.rooms]
    right = sum(abs(float(areas.get(room.number, np.nan)) - room.area) < SAME_AREA for room in true_rooms)
    level = sum(abs(float(levels.get(name, np.nan)) - height) < 0.01 for name, height in true_storeys)  # m: the file counts in millimetres
    return [
        Check("office on its building 办公楼落位", int(iou >= LANDS), 1, f"intersection over union {iou:.4f}"),
        Check("its identifiers on one object 同一对象的标识", len(schemes & wanted), len(wanted), ", ".join(sorted(wanted))),
        Check("storeys 楼层", level, len(true_storeys), "name and elevation"),
        Check("rooms 房间", right, len(true_rooms), "number and area"),
    ]  # fmt: skip


def _placed_outline(city: City) -> Any | None:
    """Return the outline of the office's ground floor slab, seen from above: what the model alone says about its place."""
    import shapely

    from cim.model.geometry import triangulate

    if "BuildingConstructiveElement" not in city.attributes:
        return None
    table = city.table("BuildingConstructiveElement", columns=["ifc_class", "predefined_type"])
    slab = table[(table["ifc_class"] == "IfcSlab") & (table["predefined_type"] == "BASESLAB")]
    mesh = triangulate(city.geometry_table(keys=city.key_of(list(slab.index))))
    corners = mesh.points[mesh.triangles][..., :2] + city.origin[:2]
    shapes = shapely.polygons(corners) if len(corners) else np.empty(0, object)
    return shapely.union_all(shapes[shapely.area(shapes) > 1e-6]) if len(shapes) else None


def _below(city: City, key: int, type: str) -> pandas.DataFrame:
    """Return the objects of a class inside another: name and ground."""
    objects = city.tables["objects"].select(["type", "parent", "name", "z_ground"]).to_pandas()
    inside: pandas.DataFrame = objects[(objects["type"] == type) & (objects["parent"] == key)]
    return inside


# ---------------------------------------------------------------- the maps


def _map(city: City, truth: Truth) -> list[Check]:
    """Say whether buildings of the extract met those of the registers, roads run where roads are, and the web map's places met."""
    from cim.demo.sources import EXTRACT, PLACES

    extract = truth.extract
    if extract is None:
        return []
    made = {(one, record) for one, record, kind in _matches(city, EXTRACT) if kind != "new" and _kind_of(city, one) == "Building"}
    inside, length = _roads_inside(city)
    met = [(one, record) for one, record, kind in _matches(city, PLACES) if kind == "same"]
    count = truth.records[PLACES]
    return [
        Check(
            "OpenStreetMap buildings 与登记建筑匹配", len(made & extract.pairs), len(extract.pairs), f"{len(made - extract.pairs)} wrong"
        ),
        Check("OpenStreetMap roads 道路", sum(inside), extract.ways, f"{length / 1000:.1f} km of network, on areas of the same name"),
        Check("web map places 网络地图兴趣点", len(met), count, "matched with the shift of GCJ-02 undone"),
    ]


def _matches(city: City, file: str) -> list[tuple[str, str, str]]:
    """Return object, record and kind of all records of a file."""
    sources = city.tables["sources"].select(["key", "path"]).to_pylist()
    keys = [row["key"] for row in sources if str(row["path"]).replace("\\", "/").endswith(f"/{file}")]
    table = city.tables["matches"].to_pandas()
    table = table[table["source"].isin(keys)]
    return list(zip(city.ids(table["object"].to_numpy()), table["record"], table["kind"], strict=True))


def _kind_of(city: City, id: str) -> str:
    return city[id].type


def _roads_inside(city: City) -> tuple[list[bool], float]:
    """Return whether each road drawn as a line runs on road areas and bridges, and how long all are [m]."""
    import shapely

    roads = city.table("Road")
    lines = roads[shapely.get_dimensions(roads.geometry.to_numpy()) == 1]
    areas = roads[shapely.get_dimensions(roads.geometry.to_numpy()) == 2]
    surface = {name: shapely.union_all(group.geometry.to_numpy()) for name, group in areas.groupby("name")}
    everywhere = shapely.union_all(areas.geometry.to_numpy())
    inside = []
    for name, line, bridge in zip(lines["name"], lines.geometry, lines.get("bridge", [None] * len(lines)), strict=True):
        share = shapely.intersection(line, everywhere).length / line.length
        inside.append(bridge == "yes" or (share > 0.9 and shapely.intersects(line, surface.get(name, shapely.Point()))))
    return inside, float(lines.geometry.length.sum())


# ---------------------------------------------------------------- drains and poles


def _drains(city: City, truth: Truth) -> list[Check]:
    """Say whether each pipe has its true diameter and inverts, and is one object in table and model."""
    from cim.demo.drains import MODEL

    drains = truth.drains
    table = city.table("GenericOccupiedSpace", columns=["diameter", "upstream_invert_level", "downstream_invert_level"])
    pipes = table.reindex(list(drains.pipes))
    wide = np.abs(pipes["diameter"].to_numpy(float) - drains.diameter) < SAME_LENGTH
    ends = np.stack([pipes[f"{end}_invert_level"].to_numpy(float) for end in ("upstream", "downstream")], axis=1)
    deep = (np.abs(ends - drains.invert) < SAME_LENGTH).all(axis=1)
    same = {one for one, record, kind in _matches(city, MODEL) if kind == "same" and one == record}
    every = {*drains.pipes, *drains.wells}
    return [
        Check("pipe diameters 管径", int(wide.sum()), len(drains.pipes), "millimetres in the table, metres in the model"),
        Check("pipe inverts 管底高程", int(deep.sum()), len(drains.pipes), "both ends"),
        Check("drains in table and model 管网与模型同一对象", len(same & every), len(every), "by identifier"),
    ]


def _poles(city: City, truth: Truth) -> Check:
    import shapely

    table = city.table("CityFurniture")
    tree = shapely.STRtree(table.geometry.to_numpy())
    near = tree.query_nearest(truth.poles, return_distance=True, all_matches=False)[1] if len(table) else np.empty(0)
    return Check("poles 杆件", int((near < 0.02).sum()), len(truth.poles), "in place to 2 cm")


# ---------------------------------------------------------------- the mesh


def piece_checks(city: City, truth: Truth) -> tuple[Check, ...]:
    """Return how well the oblique mesh was cut into buildings: `city` is what `cim.loaders.singulate` gave.

    Buildings whose outline in the registers is not the true one are not judged by their volume.
    """
    from cim.loaders.cutting import singulation_report

    report = singulation_report(city).objects
    spoilt = {record for kind in ("bow_tie", "open_ring", "duplicate_id") for record in truth.where(kind)}
    names = [name for name in truth.flown if name not in spoilt]
    pieces = report.reindex(names)
    closed = pieces["closed"].astype(str).str.lower().eq("true")
    volume = pieces["volume"].astype(float).to_numpy()
    error = np.abs(volume / np.array([truth.flown[name] for name in names]) - 1)
    right = int((error < VOLUME).sum())
    return (
        Check("mesh pieces closed 倾斜单体闭合", int(closed.sum()), len(names), "no open edge"),
        Check("volumes 体积", right, len(names), f"within {VOLUME:.0%} of the truth, the worst {np.nanmax(error, initial=0.0):.2%}"),
    )
