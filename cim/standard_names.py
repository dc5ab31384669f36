"""One nomenclature: what an attribute is called, in which unit it is held, what it means, and what the field calls it.

Column names, result variables and labels all come from here. `lookup` turns a source's field name (层数, bouwjaar, FLOORS)
into guesses; a guess carries its confidence and its reason, is reported, and is never applied silently.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple, cast

__all__ = ["STANDARD_NAMES", "NameGuess", "StandardName", "lookup"]

Kind = Literal["number", "count", "year", "text", "code", "flag"]


@dataclass(frozen=True)
class StandardName:
    """One attribute or result of the nomenclature."""

    name: str
    """Column name."""
    unit: str
    """SI unit it is held in, empty for counts, ratios, years, codes and text."""
    kind: Kind
    """What its values are."""
    symbol: str
    """In formulas and kernels, empty when there is none in use."""
    label_en: str
    """Title in English."""
    label_zh: str
    """Title in Chinese."""
    meaning_en: str
    """Definition in English."""
    meaning_zh: str
    """Definition in Chinese."""
    aliases: tuple[str, ...]
    """Field names that commonly mean it, in lower case without separators; a question mark after it: often something else."""


class NameGuess(NamedTuple):
    """One reading of a source's field name."""

    standard_name: StandardName
    """What it may mean."""
    confidence: float
    """0 to 1; from 0.9 on the name itself leaves little doubt, though the values may."""
    why: str
    """The evidence in words, for the report."""
    unit: str | None = None
    """Unit that stands in the field name, as in "height_ft" or "建筑面积(㎡)"."""


# name | unit | kind | symbol | English label | Chinese label | English meaning | Chinese meaning, and below it what the field calls it
_ROWS = """
identifier||text||Identifier|标识码|Identifier by which the source knows the object|来源中的对象标识
    id? fid? gid? uid? uuid objectid? oid? globalid gmlid identificatie identificatiebagpnd lokaalid bagid osmid ogcfid? 编号 编码?
    标识码 标识 唯一码 要素代码? 楼栋编号 建筑编号 bianhao code? buildingid bldgid buildid bldid
name||text||Name|名称|Name by which people know the object|对象名称
    name naam 名称 名字 楼名 建筑名称 楼栋名称 楼盘名称 小区名称 道路名称 路名 区名 地名 mc mingcheng buildingname bldgname bldname
    roadname streetname straatnaam? title? pyname?
address||text||Address|地址|Postal address|通讯地址
    address addr 地址 门牌 门牌号 门牌地址 标准地址 坐落 dizhi dz adres straat? housenumber? huisnummer?
class||code||Class|类别|Class by the source's own code list|来源编码表中的类别
    class klasse type? 类别 类型? 种类 分类 leibie leixing bgttype category kategori fclass subtype
function||code||Function|功能|What the object was made for|设计功能
    function functie 功能 建筑功能 规划用途 设计用途 yongtu? functions
usage||code||Use|用途|What the object is used for now|现状用途
    usage use gebruik gebruiksdoel 用途 使用性质 房屋用途 建筑用途 现状用途 使用功能 yongtu bldguse buildinguse occupancy landuse?
status||code||Status|状态|Stage of life: planned, built, demolished|规划、在建、建成、拆除等状态
    status bgtstatus plusstatus? 状态 现状 建设状态 zhuangtai state?
owner||text||Owner|权属单位|Who owns or keeps it|产权或管理单位
    owner bronhouder eigenaar 权属单位 产权单位 管理单位 业主 quanshu
description||text||Remark|备注|Free remark of the source|来源备注
    description desc remark remarks note notes comment opmerking tekst? 备注 说明 描述 beizhu bz
height|m|number|h|Height|高度|Height of the object from its ground to its highest point|自地面至最高点的高度
    height measuredheight buildingheight bldgheight bldheight bldgh heightm hoogte gebouwhoogte 高度 建筑高度 楼高 房屋高度 房高 gaodu
    jianzhugaodu jzgd gd? h? hgt? altura hauteur hoehe gebaeudehoehe roofheight? relativeridgeheight?
storeys_above_ground||count||Storeys above ground|地上层数|Number of storeys above ground|地上楼层数
    storeysaboveground storeys stories storey? story? floors floor? numfloors floornum floorcount nfloors numberoffloors nooffloors
    bldglevels buildinglevels levels? bouwlagen aantalbouwlagen verdiepingen aantalverdiepingen 层数 楼层数 地上层数 楼层? 总层数?
    建筑层数 房屋层数 cengshu louceng? lcs? cs? dscs etages
storeys_below_ground||count||Storeys below ground|地下层数|Number of storeys below ground|地下楼层数
    storeysbelowground basementfloors basements? undergroundfloors levelsunderground buildinglevelsunderground 地下层数 地下楼层数
    dixiacengshu dxcs kelders?
storey_height|m|number||Storey height|层高|Height of one storey, floor to floor|单层高度（楼面至楼面）
    storeyheight floorheight 层高 标准层高 cenggao verdiepingshoogte
eaves_height|m|number||Eaves height|檐口高度|Height of the eaves above the ground of the object|檐口距地面高度
    eavesheight relativeeavesheight goothoogte 檐口高度 檐高 yankougaodu
ridge_height|m|number||Ridge height|屋脊高度|Height of the ridge above the ground of the object|屋脊距地面高度
    ridgeheight relativeridgeheight nokhoogte 屋脊高度 脊高
z_ground|m|number|z|Ground elevation|地面高程|Elevation of the ground at the object, in the city's height system|对象处地面高程
    zground groundelevation groundheight? baseheight? baseelevation basez minz zmin minheightsurface? maaiveld maaiveldhoogte
    b3hmaaiveld hmaaiveld 地面高程 基底高程 底部高程 地面标高 室外地坪标高 dimiangaocheng dmgc
z_roof|m|number||Roof elevation|屋顶高程|Elevation of the highest point, in the city's height system|屋顶最高点高程（城市高程系统）
    zroof roofelevation absoluteridgeheight topelevation roofz maxz zmax b3hdakmax hdakmax 屋顶高程 顶部高程 屋顶标高 建筑顶标高
    wudinggaocheng
z_eaves|m|number||Eaves elevation|檐口高程|Elevation of the eaves, in the city's height system|檐口高程（城市高程系统）
    zeaves absoluteeavesheight b3hdakmin hdakmin 檐口标高 檐口高程
z_roof_p50|m|number||Roof elevation, median|屋顶高程中位数|Median elevation of the points on the roof|屋顶点高程中位数
    zroofp50 b3hdak50p hdak50p roof050 roofp50 roof50
z_roof_p90|m|number||Roof elevation, 90th percentile|屋顶高程 90 分位|90th percentile of the elevations on the roof|屋顶点高程 90 分位数
    zroofp90 b3hdak90p roof090 roofp90 roof90
z_ground_p10|m|number||Ground elevation, 10th percentile|地面高程 10 分位|10th percentile of the ground around the object|10 分位数
    zgroundp10 ground010 groundp10 ground10
elevation|m|number|z|Elevation|高程|Elevation of a point, in the city's height system|点高程（城市高程系统）
    elevation elev? altitude alt? z? 高程 标高 海拔 gaocheng gc? biaogao hoogtenap nap? ele contour?
year_of_construction||year||Year of construction|建成年代|Year in which it was completed|竣工年份
    yearofconstruction yearbuilt builtyear constructionyear buildyear yrbuilt bouwjaar oorspronkelijkbouwjaar baujahr startdate?
    建成年代 建造年代 建成年份 竣工年份 建筑年代 建设年代 年代 建成时间 竣工时间 jcnd niandai jianchengniandai jznd
year_of_demolition||year||Year of demolition|拆除年份|Year in which it was demolished|拆除年份
    yearofdemolition demolitionyear sloopjaar 拆除年份 拆除年代
structure_type||code||Structure|结构类型|Load-bearing structure: masonry, frame, steel|承重结构：砖混、框架、钢结构等
    structuretype structure? 结构类型 建筑结构 房屋结构 结构 jiegou jiegouleixing jglx constructiontype
roof_type||code||Roof type|屋顶类型|Shape of the roof: flat, gable, hip|屋顶形式：平屋顶、双坡、四坡等
    rooftype roofshape daktype b3daktype dakvorm 屋顶类型 屋顶形式 屋面形式 wudingleixing
fire_resistance||code||Fire resistance grade|耐火等级|Fire resistance grade of the building, 一级 to 四级|建筑耐火等级
    fireresistance fireresistancegrade fireratinggrade 耐火等级 naihuodengji
dwellings||count||Dwellings|户数|Number of dwellings|住宅户数
    dwellings households numberofdwellings units? 户数 总户数 住户数 hushu hs? aantalverblijfsobjecten aantalwoningen woningen
population||count||Population|人口|Number of residents|居住人口
    population residents inhabitants 人口 居住人口 人数 常住人口 renkou inwoners
footprint_area|m²|number|A|Footprint area|基底面积|Plan area of the footprint|建筑基底投影面积
    footprintarea groundarea groundfloorarea? 基底面积 占地面积 建筑基底面积 jidimianji zdmj? jdmj shapearea? area? 面积? mianji?
    oppervlakte? opp?
floor_area|m²|number||Floor area|使用面积|Usable floor area|使用面积
    floorarea usablearea 使用面积 套内面积 gebruiksoppervlakte gebruiksoppervlak vloeroppervlak livingarea
gross_floor_area|m²|number|GFA|Gross floor area|建筑面积|Floor area of all storeys, to the outside of the walls|各层外墙外围面积之和
    grossfloorarea gfa 建筑面积 总建筑面积 房屋面积? jianzhumianji jzmj zjzmj brutovloeroppervlak bvo bruttogeschossflaeche
    totalfloorarea bldgarea?
far_floor_area|m²|number||Floor area counted for FAR|计容建筑面积|Floor area that counts for the floor area ratio|计入容积率的建筑面积
    farfloorarea 计容建筑面积 计容面积 jirongmianji jrmj
volume|m³|number|V|Volume|体积|Enclosed volume|体积
    volume inhoud brutoinhoud 体积 容积? tiji b3volumelod22
plot_area|m²|number||Plot area|用地面积|Area of the plot of land|地块用地面积
    plotarea sitearea lotarea parcelarea 用地面积 地块面积 宗地面积 yongdimianji ydmj kadastraleoppervlakte perceeloppervlakte
land_use_code||code||Land use code|用地代码|Land use by the code list of the plan|规划用地分类代码
    landusecode 用地代码 用地性质代码 用地编码 地类编码 地类代码 yddm ydxzdm dlbm zoningcode zonecode?
land_use||code||Land use|用地性质|Land use in words|规划用地性质
    landuse 用地性质 用地类型 用地分类 地类 地类名称 yongdixingzhi ydxz dlmc bestemming bodemgebruik detaljtyp? zoning
far_limit||number||FAR limit|容积率限值|Highest floor area ratio the plan allows|规划容积率上限
    farlimit maxfar farmax 容积率限值 容积率上限 最大容积率 规划容积率 容积率? rjl?
density_limit||number||Building density limit|建筑密度限值|Highest share of the plot that may be built over|规划建筑密度上限
    densitylimit maxdensity maxcoverage 建筑密度限值 建筑密度上限 最大建筑密度 规划建筑密度 建筑密度? jzmd? bebouwingspercentage
height_limit|m|number||Height limit|限高|Greatest height the plan allows|规划建筑限高
    heightlimit maxheight? maxbuildingheight 限高 建筑限高 控高 控制高度 建筑高度控制 高度限制 建筑高度上限 xiangao jzxg xg? bouwhoogte
    maximumbouwhoogte
green_ratio_limit||number||Green ratio, least|绿地率限值|Least share of the plot that must be green|规划绿地率下限
    greenratiolimit mingreenratio 绿地率限值 绿地率下限 最小绿地率 规划绿地率 绿地率? ldl?
setback|m|number||Setback|退线距离|Distance the building must keep from the line of the plot|建筑退让距离
    setback 退线 退让 退线距离 退界 退红线 tuixian
road_class||code||Road class|道路等级|Rank of the road in the network|道路等级
    roadclass highway roadtype wegtype wegcategorie functieweg pluswegfunctie pluswegdeelfunctie plusfunctiewegdeel 道路等级 道路类型
    道路类别 等级? dldj daoludengji linktype kkod? wegsoort
lanes||count||Lanes|车道数|Number of lanes|车道数
    lanes lanecount numlanes nlanes numberoflanes 车道数 车道 chedaoshu cds rijstroken aantalrijstroken
speed_limit|m/s|number||Speed limit|限速|Highest speed allowed|限制车速
    speedlimit maxspeed maxsnelheid maximumsnelheid 限速 限制速度 最高时速 设计车速? xiansu xs? speed?
width|m|number|w|Width|宽度|Width across the object|宽度
    width breedte 宽度 路宽 红线宽度? 道路宽度 车行道宽度 河宽 kuandu kd? wegbreedte breite
length|m|number|l|Length|长度|Length along the object|长度
    length lengte 长度 管长 路长 changdu cd? shapeleng? shapelength? shapelen?
surface||code||Surface|路面材料|Material of the surface|面层材料
    surface surfacematerial pavement verharding verhardingstype plusfysiekvoorkomenwegdeel bgtfysiekvoorkomen 路面材料 路面类型 面层材料
    路面 lumian
one_way||flag||One way|单行|Whether traffic may go one way only|是否单行
    oneway eenrichting 单行 单行道 是否单行 danxing
capacity|1/s|number||Capacity|通行能力|Vehicles that can pass in a time|单位时间可通过车辆数
    capacity capaciteit 通行能力 tongxingnengli
free_flow_time|s|number||Free-flow time|自由流时间|Time to drive the link without other traffic|自由流行程时间
    freeflowtime fft? 自由流时间
diameter|m|number|D|Diameter|管径|Inner or nominal diameter of a pipe|管道公称直径或内径
    diameter diam dn? 管径 直径 公称直径 口径 guanjing gj? pipediameter pipesize buisdiameter
invert_level|m|number||Invert level|管底高程|Elevation of the inside bottom of a pipe, in the city's height system|管内底高程
    invertlevel invert invertelevation 管底高程 管内底标高 管底标高 bob guandigaocheng gdgc
upstream_invert_level|m|number||Upstream invert level|起点管底高程|Inside bottom of a pipe at its first point|起点管内底高程
    upstreaminvertlevel upstreaminvert startinvert invertup upinvert bobbeginpunt 起点管底高程 起点管内底高程 起点高程? qdgdgc
downstream_invert_level|m|number||Downstream invert level|终点管底高程|Inside bottom of a pipe at its last point|终点管内底高程
    downstreaminvertlevel downstreaminvert endinvert invertdown downinvert bobeindpunt 终点管底高程 终点管内底高程 终点高程? zdgdgc
cover_depth|m|number||Cover|埋深|Depth of soil over the top of a pipe|管顶覆土厚度
    coverdepth cover? burialdepth 覆土 覆土深度 埋深? maishen? gronddekking
material||code||Material|材质|Material of the object|材质
    material materiaal 材质 材料 管材 caizhi cz? guancai
species||code||Species|树种|Species of a plant|植物种类
    species boomsoort soort? 树种 植物种类 品种? shuzhong
crown_diameter|m|number||Crown diameter|冠幅|Diameter of the crown of a tree|树冠直径
    crowndiameter crown? kroondiameter 冠幅 树冠 guanfu
trunk_diameter|m|number||Trunk diameter|胸径|Diameter of the trunk at breast height|树干胸径
    trunkdiameter dbh stamdiameter 胸径 xiongjing
point_count||count||Points|点数|Number of points of a point cloud on the object|对象上的点云点数
    pointcount numpoints npoints 点数 点云数量
point_density|1/m²|number||Point density|点密度|Points in a unit of area|单位面积点数
    pointdensity 点密度 点云密度
water_depth|m|number|h|Water depth|水深|Depth of water above the ground|地面以上水深
    waterdepth floodeddepth flooddepth inundationdepth waterdiepte 水深 积水深度 淹没深度 shuishen
water_level|m|number|η|Water level|水位|Elevation of the water surface, in the city's height system|水面高程（城市高程系统）
    waterlevel stage? waterstand waterpeil peil? 水位 水面高程 shuiwei
wet_area|m²|number||Wet area|淹没面积|Area under water|淹没面积
    wetarea floodedarea inundatedarea 淹没面积 积水面积
flow_velocity|m/s|number|u|Flow velocity|流速|Depth-averaged speed of the water|水深平均流速
    flowvelocity velocity? stroomsnelheid 流速 liusu
discharge|m³/s|number|Q|Discharge|流量|Volume of water passing in a time|单位时间通过水量
    discharge debiet afvoer 流量 liuliang flowrate
rainfall|m|number|P|Rainfall|降雨量|Depth of rain that fell|降雨深度
    rainfall precipitation rain? neerslag 降雨量 雨量 降水量 yuliang totalprecip
rainfall_intensity|m/s|number|i|Rainfall intensity|降雨强度|Depth of rain in a time|降雨强度
    rainfallintensity rainrate intensity? 降雨强度 雨强 暴雨强度
runoff_coefficient||number|ψ|Runoff coefficient|径流系数|Share of the rain that runs off|径流系数
    runoffcoefficient runoffcoeff rc? 径流系数
roughness|s/m^(1/3)|number|n|Roughness|糙率|Manning's roughness|曼宁糙率
    roughness manning manningn 糙率 粗糙系数 caolv
floor_area_ratio||number|FAR|Floor area ratio|容积率|Floor area over plot area|计容建筑面积与用地面积之比
    floorarearatio far? fsi rjl? 容积率 现状容积率 rongjilv
building_density||number||Building density|建筑密度|Built-over area over plot area|基底面积与用地面积之比
    buildingdensity coverage? gsi 建筑密度 现状建筑密度 jianzhumidu
green_ratio||number||Green ratio|绿地率|Green area over plot area|绿地面积与用地面积之比
    greenratio greenery 绿地率 现状绿地率 绿化率 lvdilv
height_excess|m|number||Height above limit|超限高度|Height by which a limit is exceeded; not above 0 where it is kept|超出限高的高度
    heightexcess 超高 超限高度
flow|1/s|number|q|Traffic flow|交通流量|Vehicles passing in a time|单位时间通过车辆数
    trafficflow trafficvolume aadt? 交通量 交通流量 车流量 intensiteit?
speed|m/s|number|v|Speed|车速|Speed of traffic|车辆行驶速度
    speed? snelheid? 车速 速度 平均车速 speedms
travel_time|s|number|t|Travel time|行程时间|Time to get along a link or a route|路段或路径行程时间
    traveltime reistijd 行程时间 通行时间
delay|s|number||Delay|延误|Travel time beyond that without other traffic|超出自由流的时间
    delay vertraging 延误 延误时间
"""

_SEPARATORS = re.compile(r"[\s_\-./:·#]+")
_BRACKETED = re.compile(r"^(?P<base>.+?)\s*[(\[{](?P<unit>[^()\[\]{}]{1,15})[)\]}]\s*$")
_SUFFIXED = re.compile(r"^(?P<base>.+?)[_\s](?P<unit>m|m2|m3|mm|cm|km|km2|ft|ft2|in|ha|kmh|kph|mph|deg|pct|米|平方米|层)$", re.IGNORECASE)
# Confidence by the kind of evidence. Chosen so that only a whole name known for one thing reaches 0.9.
_EXACT, _ALIAS, _SHARED, _WEAK, _CUT, _INSIDE, _SPELLING = 1.0, 0.95, 0.7, 0.5, 0.6, 0.45, 0.4
_UNIT_IN_NAME = 0.05  # taken off, because the name had to be split first
_DBF_NAME = 10  # bytes a shapefile keeps of a field name


def _read_rows() -> dict[str, StandardName]:
    """Read the table: a row at the margin begins a name, indented lines are its aliases."""
    rows: list[tuple[list[str], list[str]]] = []
    for line in _ROWS.strip().splitlines():
        if line.startswith(" "):
            rows[-1][1].extend(line.split())
        else:
            rows.append((line.split("|"), []))
    names = {}
    for (name, unit, kind, *words), aliases in rows:
        symbol, label_en, label_zh, meaning_en, meaning_zh = words
        names[name] = StandardName(name, unit, cast("Kind", kind), symbol, label_en, label_zh, meaning_en, meaning_zh, tuple(aliases))
    return names


STANDARD_NAMES: dict[str, StandardName] = _read_rows()
"""Every standard name, by name."""


def lookup(field_name: str) -> list[NameGuess]:
    """Return what a source's field name may mean, the most likely first; empty when nothing fits.

    Parameters
    ----------
    field_name
        As the file has it; case, spaces and separators do not matter, and a unit may stand in it.

    Examples
    --------
    >>> [(guess.standard_name.name, guess.confidence) for guess in lookup("层数")]
    [('storeys_above_ground', 0.95)]
    >>> guess = lookup("建筑高度(m)")[0]
    >>> guess.standard_name.name, guess.unit, guess.why
    ('height', 'm', "'建筑高度' is a usual name of it, with the unit 'm'")
    >>> lookup("oorspronke")[0].why
    "'oorspronke' is 'oorspronkelijkbouwjaar' cut to the 10 bytes of a shapefile"
    """
    best: dict[str, NameGuess] = {}
    base, unit = _split_unit(field_name)
    readings: list[tuple[str, str | None, float]] = [(_plain(field_name), None, 0.0)]
    if unit is not None:
        readings.append((_plain(base), unit, _UNIT_IN_NAME))
    if ":" in base:  # a namespace, as in bldg:measuredHeight
        readings.append((_plain(base.rsplit(":", 1)[1]), unit, _UNIT_IN_NAME))
    for key, found_unit, less in readings:
        for name, confidence, why in _matches(key):
            suffix = f", with the unit {found_unit!r}" if found_unit else ""
            guess = NameGuess(STANDARD_NAMES[name], round(confidence - less, 2), why + suffix, found_unit)
            if name not in best or best[name].confidence < guess.confidence:
                best[name] = guess
    return sorted(best.values(), key=lambda guess: -guess.confidence)


def _matches(key: str) -> list[tuple[str, float, str]]:
    """Return (name, confidence, why) by the strongest evidence there is for a plain field name."""
    if not key:
        return []
    if (meant := _index().get(key)) is not None:
        return [_graded(key, name, sure=sure, alone=len(meant) == 1) for name, sure in meant.items()]
    return _cut(key) or _inside(key) or _near(key)


def _graded(key: str, name: str, *, sure: bool, alone: bool) -> tuple[str, float, str]:
    if key == _plain(name):
        return name, _EXACT, "it is the standard name"
    if not sure:
        return name, _WEAK, f"{key!r} may mean it, and often means something else"
    return name, (_ALIAS if alone else _SHARED), f"{key!r} is a usual name of it"


def _cut(key: str) -> list[tuple[str, float, str]]:
    """Find names that a shapefile would cut to this one."""
    sizes = {len(key.encode(encoding, "ignore")) for encoding in ("utf-8", "gb18030")}
    if not sizes & {_DBF_NAME, _DBF_NAME - 1}:
        return []
    found = []
    for alias, meant in _index().items():
        if len(alias) > len(key) and alias.startswith(key):
            why = f"{key!r} is {alias!r} cut to the 10 bytes of a shapefile"
            found += [(name, _CUT, why) for name, sure in meant.items() if sure]
    return found


def _inside(key: str) -> list[tuple[str, float, str]]:
    """Find the longest usual name that stands inside the field name."""
    inside = [alias for alias in _index() if alias in key and len(alias) >= (2 if _is_chinese(alias) else 5)]
    if not inside:
        return []
    longest = max(map(len, inside))
    why = "{!r} stands in {!r}"
    return [
        (name, _INSIDE, why.format(alias, key))
        for alias in inside
        if len(alias) == longest
        for name, sure in _index()[alias].items()
        if sure
    ]


def _near(key: str) -> list[tuple[str, float, str]]:
    """Find names spelt nearly so; short ones are near to everything, and are left out."""
    import difflib

    if len(key) < 6:
        return []
    near = difflib.get_close_matches(key[:40], [alias for alias in _index() if len(alias) >= 6], n=2, cutoff=0.85)
    return [(name, _SPELLING, f"{key!r} is spelt nearly as {alias!r}") for alias in near for name, sure in _index()[alias].items() if sure]


@cache
def _index() -> dict[str, dict[str, bool]]:
    """Plain alias -> the names it may mean, and whether it usually does."""
    index: dict[str, dict[str, bool]] = defaultdict(dict)
    for name, standard in STANDARD_NAMES.items():
        for alias in (name, *standard.aliases):
            sure = not alias.endswith("?")
            plain = _plain(alias.removesuffix("?"))
            index[plain][name] = index[plain].get(name, False) or sure
    return dict(index)


def _plain(text: str) -> str:
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", text).casefold())


def _split_unit(field_name: str) -> tuple[str, str | None]:
    text = unicodedata.normalize("NFKC", field_name).strip()
    for pattern in (_BRACKETED, _SUFFIXED):
        if (found := pattern.match(text)) is not None:
            return found["base"], found["unit"].strip()
    return text, None


def _is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)
