"""Writing the demo district: ordinary source files, the build file that makes a city of them, and the truth about them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.demo import files, oblique
from cim.demo.bridge import write_bridge
from cim.demo.district import Buildings, District, make_district
from cim.demo.drains import MODEL, PIPES, WELLS, Drains, make_drains, pipe_records, well_records, write_swmm
from cim.demo.features import Features, Records, make_features
from cim.demo.ground import HOLES, Grid, terrain
from cim.demo.ifc_author import can_write
from cim.demo.limits import floor_area_ratio, plot_records
from cim.demo.office import Office, choose_office
from cim.demo.office_ifc import write_office
from cim.demo.osm import CATEGORIES, Extract, can_read, make_extract, make_places, web_map
from cim.demo.photo import write_photo
from cim.demo.poles import make_poles
from cim.demo.registers import FIRST, SECOND, SHIFT, Registers, make_registers
from cim.demo.survey import foot_level, scan, surface
from cim.demo.truth import Defect, Truth

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.demo.survey import Cloud

__all__ = ["BUILD_FILE", "EXTRACT", "OFFICE", "PHOTO", "PLACES", "POLES", "SEED", "write_sources"]

SEED = 2026
"""Seed of the demo district that ships."""
BUILD_FILE = "district.toml"
OFFICE, EXTRACT, PLACES, POLES, PHOTO = "office.ifc", "sanhe.osm", "places_web_map.geojson", "poles.geojson", "orthophoto.tif"
_UNCLEAR = ("bow_tie", "duplicate_id")
"""Buildings whose record in the first register does not tell which one it is: the extract leaves them out."""
_TERRAIN_CELL, _SURFACE_CELL = 2.0, 1.0


def write_sources(folder: str | Path, seed: int = SEED) -> Truth:
    """Write the source files of the demo district 三河 and return the truth about them.

    The place is made up: a waterfront quarter of 1.2 by 0.9 km, drawn by code near 120.6° E, 31.3° N in EPSG:4549 with heights above the
    1985 datum. No real data went into it.

    Parameters
    ----------
    folder
        Made where it is missing; files of the same names are replaced.
    seed
        The same seed writes the same district.

    Returns
    -------
    Truth
        What is really there, which record is which, and every planted defect.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
    ...     truth = write_sources(folder)
    ...     len(truth.ids)
    397
    """
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    district = make_district(seed)
    features = make_features(district, seed)
    registers = make_registers(district.buildings, district.plots.shapes, seed)
    plots = plot_records(district, seed)
    standing = _with_sheds(district.buildings, registers)
    cloud = scan(standing, features.trees, features.water, np.random.default_rng([seed, 5]))
    _write_vectors(place, features, registers, plots)
    _write_heights(place, standing, features, cloud, seed)
    more = _write_more(place, district, features, registers, standing, seed)
    (place / BUILD_FILE).write_text(_build_text(registers, more), encoding="utf-8")
    return _truth(place, district, features, registers, plots, more)


@dataclass(frozen=True)
class _More:
    """What the sources beside registers and terrain show."""

    office: Office | None
    extract: Extract | None
    places: Records
    drains: Drains
    poles: Records
    flown: dict[str, float]
    left_out: dict[str, str]


def _write_more(place: Path, district: District, features: Features, registers: Registers, standing: Buildings, seed: int) -> _More:
    """Write the office, the map extracts, drains, poles, the orthophoto and the oblique mesh."""
    buildings = district.buildings
    faulty = frozenset(id for one in registers.defects for record in one.records for id in record.split("+"))
    left_out = {}
    for name in (OFFICE, EXTRACT, PLACES):
        (place / name).unlink(missing_ok=True)
    office = choose_office(district, faulty) if can_write() else None
    if office is not None:
        write_office(office, float(foot_level(buildings)[office.row]), place / OFFICE)
    else:
        left_out[OFFICE] = "no building of the district can be it" if can_write() else _missing("ifcopenshell", "ifc")
    extract, places = None, web_map(make_places(seed), seed)
    if can_read():
        unclear = frozenset(id for one in registers.defects if one.kind in _UNCLEAR for id in one.records)
        extract = make_extract(
            buildings, make_places(seed), place / EXTRACT, seed, names=registers.names, left_out=unclear,
            drawn=office.row if office is not None else None,
        )  # fmt: skip
        files.write_web_map(places, place / PLACES)
    else:
        left_out |= dict.fromkeys((EXTRACT, PLACES), _missing("osmium", "osm"))
    drains, poles = make_drains(seed), make_poles(district, features, seed)
    _write_networks(place, drains, poles)
    photo = write_photo(standing, district.plots, features, place / PHOTO, seed)
    skin = oblique.make_skin(standing, features.trees, photo, seed)
    oblique.write_skin(skin, place / oblique.FOLDER)
    rows = skin.buildings[skin.buildings < len(buildings)]
    flown = dict(zip((registers.names[row] for row in rows.tolist()), oblique.true_volumes(standing, rows).tolist(), strict=True))
    return _More(office, extract, places, drains, poles, flown, left_out)


def _missing(package: str, extra: str) -> str:
    return f"it needs {package}: pip install 'cim-toolkit[{extra}]'"


def _write_networks(place: Path, drains: Drains, poles: Records) -> None:
    for name in (PIPES, WELLS):
        (place / name).unlink(missing_ok=True)
    files.write_table(pipe_records(drains), place / PIPES, "雨水管线")
    files.write_table(well_records(drains), place / WELLS, "检查井")
    write_swmm(drains, place / MODEL)
    files.write_geojson(poles, place / POLES, "EPSG:4490")


def _write_vectors(place: Path, features: Features, registers: Registers, plots: Records) -> None:
    for name in (FIRST, "plots.gpkg", "squares.gpkg", "green.fgb"):
        (place / name).unlink(missing_ok=True)
    files.write_table(registers.first, place / FIRST, "建筑")
    files.write_geojson(registers.second, place / SECOND, open_ring=registers.open_ring)
    files.write_table(plots, place / "plots.gpkg", "地块")
    files.write_geojson(features.roads, place / "roads.geojson", "EPSG:4490")
    files.write_table(features.squares, place / "squares.gpkg", "广场")
    write_bridge(place / "bridge.city.json")
    files.write_table(features.green, place / "green.fgb")
    files.write_table(features.trees, place / "trees.parquet")
    files.write_table(features.water, place / "water.shp", encoding="GBK", DBF_DATE_LAST_UPDATE="2026-01-01")
    (place / "water.cpg").unlink(missing_ok=True)  # as many offices send it


def _with_sheds(buildings: Buildings, registers: Registers) -> Buildings:
    """Return what the aeroplane saw: the buildings of the first register, and those that only the second knows."""
    count = len(registers.extra)
    columns = {
        "shapes": registers.extra,
        "height": registers.extra_heights,
        "storeys": np.ones(count, np.int64),
        "plot": np.full(count, -1),
    }
    nothing = {"ids": "", "use": "", "names": "", "names_en": ""}
    more = {**columns, **{name: np.full(count, value, object) for name, value in nothing.items()}}
    zero = {"rise": np.zeros(count), "ridge": np.zeros(count), "year": np.zeros(count, np.int64)}
    both = {name: np.concatenate([getattr(buildings, name), values]) for name, values in {**more, **zero}.items()}
    return replace(buildings, **both)


def _write_heights(place: Path, standing: Buildings, features: Features, cloud: Cloud, seed: int) -> None:
    random = np.random.default_rng([seed, 6])
    files.write_raster(terrain(Grid(_TERRAIN_CELL), random), _TERRAIN_CELL, place / "dtm_2m.tif")
    roofs = surface(Grid(_SURFACE_CELL), standing, features.trees, features.water, random)
    files.write_raster(roofs, _SURFACE_CELL, place / "dsm_1m.tif")
    files.write_points(cloud, place / "lidar_2024.laz")


# ---------------------------------------------------------------- the build file


_BUILD = """# Build file of the demo district 三河 Sanhe, a made-up waterfront quarter. Run it with: cim build district.toml -o district.cim

[city]
name = "三河 Sanhe"
crs = "EPSG:4549+5737"  # CGCS2000 / 3-degree Gauss-Kruger CM 120E, heights above the 1985 datum
time_zone = "Asia/Shanghai"

# The first register leads: its ids, names and values stay, what the others say stands beside it as claims.
[[source]]
path = "{first}"  # register of the planning office
class = "Building"
id = "楼栋编号"
name = "名称"
[source.attributes]
storeys_above_ground = "层数"
height = {{field = "高度", unit = "m"}}
usage = "用途"
year_of_construction = "建成年代"
name_en = "英文名"

[[source]]
path = "{second}"  # register of a survey: its own field names and codes
class = "Building"
id = "BLDG_ID"
name = "MC"
[source.attributes]
storeys_above_ground = "FLOORS"
height = {{field = "GAODU", unit = "m"}}
usage = {{field = "YONGTU", codes = {{{codes}}}}}

[[source]]
path = "plots.gpkg"
class = "LandUse"
id = "地块编号"
[source.attributes]
land_use_code = "用地代码"
land_use = "用地性质"
plot_area = {{field = "用地面积", unit = "m²"}}
far_limit = "容积率限值"
density_limit = {{field = "建筑密度限值", unit = "%"}}
height_limit = {{field = "限高", unit = "m"}}
green_ratio_limit = {{field = "绿地率限值", unit = "%"}}

[[source]]
path = "roads.geojson"  # longitude and latitude, EPSG:4490
class = "Road"
id = "道路编号"
name = "道路名称"
[source.attributes]
name_en = "英文名"
road_class = "道路等级"
lanes = "车道数"
speed_limit = {{field = "限速", unit = "km/h"}}
width = {{field = "宽度", unit = "m"}}

[[source]]
path = "squares.gpkg"
class = "Square"
id = "编号"
name = "名称"
[source.attributes]
name_en = "英文名"

[[source]]
path = "bridge.city.json"
crs = "EPSG:4549+5737"  # the file names no height system

[[source]]
path = "water.shp"  # GBK, and no file that says so
class = "WaterBody"
id = "编号"
name = "名称"
[source.attributes]
class = "类型"
water_level = {{field = "水位", unit = "m"}}

[[source]]
path = "green.fgb"
class = "PlantCover"
id = "编号"
name = "名称"
[source.attributes]
class = "绿地类型"

[[source]]
path = "trees.parquet"
class = "SolitaryVegetationObject"
id = "树木编号"
[source.attributes]
species = "树种"
height = {{field = "高度", unit = "m"}}
crown_diameter = {{field = "冠幅", unit = "m"}}

{optional}[[source]]
path = "{pipes}"  # diameters in millimetres
class = "GenericOccupiedSpace"
id = "管线编号"
[source.attributes]
class = "管线类型"
diameter = {{field = "管径", unit = "mm"}}
material = "材质"
upstream_invert_level = {{field = "起点管底高程", unit = "m"}}
downstream_invert_level = {{field = "终点管底高程", unit = "m"}}
length = {{field = "管长", unit = "m"}}

[[source]]
path = "{wells}"
class = "GenericOccupiedSpace"
id = "井编号"
[source.attributes]
class = "井类型"
invert_level = {{field = "井底高程", unit = "m"}}
rim_level = {{field = "地面高程", unit = "m"}}

[[source]]
path = "{model}"  # the same drains as a SWMM model
crs = "EPSG:4549+5737"  # the format names no system

[[source]]
path = "{poles}"
class = "CityFurniture"
id = "杆件编号"
[source.attributes]
class = "类型"
height = {{field = "高度", unit = "m"}}

[[source]]
path = "{photo}"

[[source]]
path = "dtm_2m.tif"
options = {{surface = "terrain"}}

[[source]]
path = "dsm_1m.tif"
options = {{surface = "surface"}}

[[source]]
path = "lidar_2024.laz"

[fusion]
minimum_iou = 0.5
percentile = 90.0  # of the roof points inside a footprint [%]
heights = ["points", "dsm", "read"]  # best first
"""


_EXTRACT = """[[source]]
path = "{extract}"  # OpenStreetMap: longitude and latitude

[[source]]
path = "{places}"  # says EPSG:4490; the alignment check finds what it is
class = "GenericLogicalSpace"
id = "uid"
name = "title"
[source.attributes]
class = {{field = "category", codes = {{{categories}}}}}

"""
_OFFICE = """[[source]]
path = "{office}"  # IFC4 in millimetres, placed by its map conversion

"""


def _build_text(registers: Registers, more: _More) -> str:
    codes = ", ".join(f'"{code}" = "{use}"' for code, use in registers.codes.items())
    categories = ", ".join(f'"{name}" = "{value}"' for name, value in CATEGORIES.items())
    optional = _EXTRACT.format(extract=EXTRACT, places=PLACES, categories=categories) if more.extract else ""
    optional += _OFFICE.format(office=OFFICE) if more.office else ""
    return _BUILD.format(
        first=FIRST, second=SECOND, codes=codes, optional=optional, pipes=PIPES, wells=WELLS, model=MODEL, poles=POLES, photo=PHOTO
    )


# ---------------------------------------------------------------- the truth


def _truth(place: Path, district: District, features: Features, registers: Registers, plots: Records, added: _More) -> Truth:
    import shapely

    buildings = district.buildings
    extra = registers.extra
    at = shapely.STRtree(district.plots.shapes).query(shapely.point_on_surface(extra), predicate="within")[1]
    known = {"terrain_holes": ("dtm_2m.tif", len(HOLES)), "no_encoding": ("water.shp", 1)}
    more = tuple(Defect(kind, file, tuple(f"{file} {n + 1}" for n in range(count))) for kind, (file, count) in known.items())
    sheds = next(one.records for one in registers.defects if one.kind == "extra")
    return Truth(
        folder=place,
        build_file=place / BUILD_FILE,
        ids=np.array([*registers.names, *sheds], object),
        footprints=files.absolute(np.concatenate([buildings.shapes, extra])),
        z_ground=np.concatenate([foot_level(buildings), _low(extra)]),
        height=np.concatenate([buildings.height, registers.extra_heights]),
        storeys=np.concatenate([buildings.storeys, np.ones(len(extra), np.int64)]),
        plot=district.plots.ids[np.concatenate([buildings.plot, at])],
        pairs=registers.pairs,
        order=registers.order,
        records=_counts(features, registers, plots, added),
        defects=(*registers.defects, *more, *_more_defects(added)),
        shift=SHIFT,
        plots=dict(zip(district.plots.ids.tolist(), files.absolute(district.plots.shapes).tolist(), strict=True)),
        limits=_limits(plots),
        floor_area_ratio=dict(zip(district.plots.ids.tolist(), floor_area_ratio(district).tolist(), strict=True)),
        office=added.office,
        extract=added.extract,
        drains=added.drains,
        poles=files.absolute(added.poles.geometry),
        flown=added.flown,
        left_out=added.left_out,
    )


def _more_defects(added: _More) -> tuple[Defect, ...]:
    """Return what is wrong with the sources that only some installations read, and with the drains."""
    office = (Defect("coarse_site", OFFICE, (OFFICE,)),) if added.office else ()
    return (*added.drains.defects(), *((Defect("web_map", PLACES, (PLACES,)),) if added.extract else ()), *office)


def _limits(plots: Records) -> dict[str, dict[str, float]]:
    columns = plots.columns
    said = {"far": columns["容积率限值"], "density": columns["建筑密度限值"] / 100, "height": columns["限高"]}
    return {id: {name: float(values[row]) for name, values in said.items()} for row, id in enumerate(columns["地块编号"].tolist())}


def _low(shapes: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return the lowest ground at the corners of small footprints [m]."""
    import shapely

    from cim.demo.ground import elevation

    xy, owner = shapely.get_coordinates(shapes, return_index=True)
    low = np.full(len(shapes), np.inf)
    np.minimum.at(low, owner, elevation(xy[:, 0], xy[:, 1]))
    return low


def _counts(features: Features, registers: Registers, plots: Records, added: _More) -> dict[str, int]:
    maps = {EXTRACT: added.extract.records, PLACES: len(added.places)} if added.extract else {}
    return {
        FIRST: len(registers.first), SECOND: len(registers.second), "plots.gpkg": len(plots), "roads.geojson": len(features.roads),
        "squares.gpkg": len(features.squares), "bridge.city.json": 1, "water.shp": len(features.water),
        "green.fgb": len(features.green), "trees.parquet": len(features.trees), "dtm_2m.tif": 1, "dsm_1m.tif": 1, "lidar_2024.laz": 1,
        **maps, **({OFFICE: added.office.objects} if added.office else {}), PIPES: len(added.drains.pipes), WELLS: len(added.drains.wells),
        MODEL: len(added.drains.pipes) + len(added.drains.wells) + 1, POLES: len(added.poles), PHOTO: 1,
    }  # fmt: skip
