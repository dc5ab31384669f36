"""Which class the records of a layer have, from its name in English, Chinese or Dutch, from its fields and its geometry."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ClassGuess", "guess_class"]

# class: words that stand alone; parts of compounds (Dutch, and Chinese, which does not separate words). The first match wins.
# A part of a single Chinese character counts only at the end of a word: 河 in 护城河, not in 河北.
_ROWS = """
LandUse: ; onbegroeid
GenericLogicalSpace: district districts county counties province municipality municipalities boundary admin ward wards
    ; wijk buurt gemeente 区县 行政区 街道办 社区 乡镇 村界 区划
SolitaryVegetationObject: tree trees boom bomen ; 行道树 古树 树木 单木 树 vegetatieobject
Bridge: bridge bridges brug viaduct ; overbrugging bridgeconstruction 桥梁 桥
Tunnel: tunnel tunnels ; tunneldeel tunnelpart 隧道
Railway: rail rails railway railways spoor metro tram ; spoorbaan 铁路 轨道 地铁
WaterBody: water waters river rivers lake lakes canal canals pond stream sea waterbody waterway
    ; waterdeel waterloop 水系 水域 水体 河流 湖泊 河 湖
PlantCover: vegetation green greenery greenspace forest forests wood woods plantcover park parks grass
    ; begroeid plantcover 绿地 植被 绿化 林地
Road: road roads street streets highway highways weg wegen lane lanes centerline centerlines centreline roadnetwork
    ; wegdeel trafficarea rijbaan 道路 路网 街道 车道 路段 公路 路
Building: building buildings bldg bldgs bld house houses footprint footprints pand panden bag gebouw gebouwen buildingpart
    ; buildingfootprint 建筑 房屋 楼栋 楼宇 民居 大楼 楼
LandUse: landuse landcover plot plots parcel parcels lot lots zoning zone zones perceel percelen kadaster cadastre
    ; land_use landuse 地块 宗地 用地 地类 土地
CityFurniture: lamp lamps lamppost streetlight streetlights bench benches furniture pole poles sign signs hydrant hydrants
    ; lichtmast straatmeubilair 路灯 井盖 消防栓 设施 部件
OtherConstruction: fence fences wall walls barrier barriers ; scheiding kunstwerk overigbouwwerk 围墙 栅栏 构筑物
"""


def _read_rows() -> tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]:
    rows = re.findall(r"^(\w+):([^;]*);(.*)$", _ROWS, re.MULTILINE)
    return tuple((kind, tuple(alone.split()), tuple(parts.split())) for kind, alone, parts in rows)


_TABLE = _read_rows()
_BUILDING_FIELDS = {"storeys_above_ground", "year_of_construction", "height"}


class ClassGuess(NamedTuple):
    """A class and how it was found."""

    name: str
    why: str
    sure: bool
    """False when it is no more than a place to put the records."""


def guess_class(names: tuple[str, ...], attributes: set[str], schemes: set[str], dimensions: NDArray[np.int64]) -> ClassGuess:
    """Return the class of the records of a layer.

    Parameters
    ----------
    names
        Layer and file name, the more telling first.
    attributes
        Standard names that its fields were taken for.
    schemes
        Identifier schemes of its fields.
    dimensions
        Dimension of each geometry: 0 point, 1 line, 2 area, -1 none.

    Examples
    --------
    >>> guess_class(("bgt_wegdeel",), set(), set(), np.array([2])).name, guess_class(("建筑物",), set(), set(), np.array([2])).name
    ('Road', 'Building')
    """
    for name in names:
        found = _by_name(name)
        if found is not None:
            return ClassGuess(found[0], f"{found[1]!r} stands in the name {name!r}", sure=True)
    main = int(np.bincount(dimensions[dimensions >= 0], minlength=3).argmax()) if (dimensions >= 0).any() else -1
    if "bag" in schemes and main == 2:
        return ClassGuess("Building", "its identifiers are those of the Dutch building register", sure=True)
    telling = sorted(attributes & _BUILDING_FIELDS)
    if telling and main == 2:
        return ClassGuess("Building", f"areas with the attribute {telling[0]}", sure=True)
    fallback = "GenericThematicSurface" if main == 2 else "GenericOccupiedSpace"
    return ClassGuess(fallback, "neither names nor fields tell", sure=False)


def _by_name(name: str) -> tuple[str, str] | None:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = set(re.split(r"[^a-z]+", spaced.casefold())) - {""}
    whole = name.casefold()
    for kind, alone, parts in _TABLE:
        hit = next((word for word in alone if word in words), None) or next((part for part in parts if _holds(whole, part)), None)
        if hit is not None:
            return kind, hit
    return None


def _holds(name: str, part: str) -> bool:
    if len(part) > 1:
        return part in name
    return re.search(f"{part}(?![\u4e00-\u9fff])", name) is not None
