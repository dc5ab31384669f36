"""What is really there in the demo district, and which defects were planted in its sources: the yardstick of the fusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from cim.demo.drains import Drains
    from cim.demo.office import Office
    from cim.demo.osm import Extract

    Reals = NDArray[np.float64]
    Texts = NDArray[np.object_]

__all__ = ["DEFECTS", "NEEDS", "Defect", "Truth"]

DEFECTS: Mapping[str, tuple[str, str]] = {
    "shifted": ("register lies aside of the other", "整体偏移"),
    "split": ("one building drawn as two", "一楼拆分"),
    "merged": ("two buildings drawn as one", "多楼合并"),
    "missing_id": ("record without an id", "缺编号"),
    "odd_id": ("id in full-width letters", "编号为全角字符"),
    "left_out": ("building that the second register lacks", "漏登"),
    "extra": ("building that the first register lacks", "多登"),
    "height_disagrees": ("heights of the two registers disagree", "高度不一致"),
    "missing_height": ("height missing", "缺高度"),
    "missing_storeys": ("number of storeys missing", "缺层数"),
    "sentinel_height": ("-9999 in place of a height", "高度为 -9999"),
    "bow_tie": ("outline that crosses itself", "轮廓自相交"),
    "open_ring": ("outline that is not closed", "轮廓未闭合"),
    "duplicate_id": ("two buildings under one id", "编号重复"),
    "duplicate_record": ("building recorded twice", "记录重复"),
    "terrain_holes": ("part of the terrain not surveyed", "地形空洞"),
    "no_encoding": ("text whose encoding the file does not state", "未注明编码"),
    "web_map": ("points in the coordinates of a web map, said to be others", "坐标实为 GCJ-02"),
    "missing_diameter": ("pipe without a diameter", "缺管径"),
    "diameter_disagrees": ("diameters of table and model disagree", "管径不一致"),
    "coarse_site": ("building model whose site is rounded to minutes", "模型经纬度取整到分"),
}
"""Kind of defect -> what it is, in English and Chinese."""
NEEDS: Mapping[str, str] = {"web_map": "osm", "coarse_site": "ifc"}
"""Kind of defect -> extra of the package without which its source is left out."""


@dataclass(frozen=True)
class Defect:
    """Defects of one kind in one source."""

    kind: str
    """Key of `DEFECTS`."""
    source: str
    """File it was planted in."""
    records: tuple[str, ...]
    """Ids of the buildings or records concerned."""


@dataclass(frozen=True)
class Truth:
    """The demo district as it is."""

    folder: Path
    """Where the sources lie."""
    build_file: Path
    """Build file that makes a city of them."""
    ids: Texts
    """Shape (n,): id that each real building has in the city: its 楼栋编号; those that the first register lacks at the end."""
    footprints: Texts
    """Shape (n,): polygons in EPSG:4549."""
    z_ground: Reals
    """Shape (n,): lowest ground along the footprint [m above the 1985 datum]."""
    height: Reals
    """Shape (n,): from there to the highest point of the roof [m]."""
    storeys: NDArray[np.int64]
    """Shape (n,)."""
    plot: Texts
    """Shape (n,): id of the plot each stands on."""
    pairs: frozenset[tuple[str, str]]
    """(record of the first register, record of the second) for every pair that shows the same building."""
    order: Mapping[str, tuple[str, ...]]
    """File of a register -> building (or record, where it shows none) of each of its records, in the order of the file."""
    records: Mapping[str, int]
    """File of the build file -> records in it; a raster or point cloud is one, a model of a building or of drains all that is in it."""
    defects: tuple[Defect, ...]
    shift: tuple[float, float]
    """How far the second register lies east and north of where it should [m]."""
    plots: Mapping[str, Any]
    """Plot -> its polygon in EPSG:4549."""
    floor_area_ratio: Mapping[str, float]
    """Plot -> storeys times footprint over plot area, of all buildings of the first register."""
    limits: Mapping[str, Mapping[str, float]]
    """Plot -> "far", "density" (a share), "height" [m]: what the plan allows, NaN where it says nothing."""

    office: Office | None
    """What is inside the office; None where its model was left out."""
    extract: Extract | None
    """What the OpenStreetMap extract shows; None where it was left out."""
    drains: Drains
    """The storm drains."""
    poles: Texts
    """Points in EPSG:4549."""
    flown: Mapping[str, float]
    """Building under the oblique mesh -> what stands between its roof and the ground [m³]."""
    left_out: Mapping[str, str]
    """Source that could not be written or read here -> why."""

    def planted(self) -> dict[str, int]:
        """Return how many defects of each kind were planted."""
        return {kind: sum(len(one.records) for one in self.defects if one.kind == kind) for kind in DEFECTS}

    def where(self, kind: str) -> tuple[str, ...]:
        """Return the records of one kind of defect."""
        return tuple(record for one in self.defects if one.kind == kind for record in one.records)
