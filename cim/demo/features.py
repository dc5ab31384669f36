"""Everything of the demo district that is not a plot, a building or the ground: roads, squares, water, green areas, trees."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cim.demo.ground import CANAL_END, CANAL_HALF, POND, WATER_LEVEL
from cim.demo.plan import AVENUES, CANAL, HEIGHT, STREETS, WIDTH, quad, river_axis, river_half_width, strip, to_place

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from cim.demo.district import District

    Reals = NDArray[np.float64]
    Objects = NDArray[np.object_]

__all__ = ["Features", "Records", "make_features"]

_SPEED = {"主干路": 60, "次干路": 40, "支路": 30}
"""Design speed by rank [km/h]."""
_KINDS_WITH_LAWN = ("slabs", "towers", "hospital", "offices", "courts")
# species: Chinese name, height and its spread [m], crown width over height
_SPECIES = {
    "willow": ("垂柳", 8.0, 1.4, 0.75),
    "camphor": ("香樟", 9.5, 1.5, 0.62),
    "plane": ("悬铃木", 12.0, 1.8, 0.6),
    "ginkgo": ("银杏", 10.5, 1.8, 0.42),
    "osmanthus": ("桂花", 5.0, 0.9, 0.8),
    "cherry": ("樱花", 5.5, 0.9, 0.9),
    "redwood": ("水杉", 16.0, 2.5, 0.3),
}


@dataclass(frozen=True)
class Records:
    """Records of one kind: geometry in local coordinates, and columns by their name in the source."""

    geometry: Objects
    columns: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self.geometry)


@dataclass(frozen=True)
class Features:
    """The sources beside plots, buildings and terrain."""

    roads: Records
    squares: Records
    water: Records
    green: Records
    trees: Records


def make_features(district: District, seed: int) -> Features:
    """Return roads, squares, water, green areas and trees; the same for the same seed."""
    roads, water, squares = _roads(), _water(), _squares(district)
    green = _green(district, water, squares)
    trees = _trees(district, roads, water, squares, green, np.random.default_rng([seed, 2]))
    return Features(roads, squares, water, green, trees)


def _district_box() -> Any:
    import shapely

    return shapely.box(0, 0, WIDTH, HEIGHT)


# ---------------------------------------------------------------- roads, squares, bridges


def _roads() -> Records:
    """Return one area per street; an avenue gives way to the streets it crosses."""
    import shapely

    rows = np.array([strip(one, avenue=False) for one in STREETS], object)
    crossing = shapely.union_all(rows)
    columns = np.array([strip(one, avenue=True) for one in AVENUES], object)
    middle = AVENUES.index(CANAL)
    columns[middle] = shapely.difference(columns[middle], _median())
    columns = shapely.difference(columns, crossing)
    south = shapely.intersection(shapely.linestrings(_along_river(-1.0, -34.0)).buffer(3.5), _district_box())
    streets = (*STREETS, *AVENUES)
    names = [(one.zh, one.en, one.rank, one.lanes, one.width) for one in streets] + [("南岸绿道", "South Bank Greenway", "支路", 1, 7.0)]
    zh, en, rank, lanes, width = (list(column) for column in zip(*names, strict=True))
    return Records(
        np.array([*rows, *columns, south], object),
        {
            "道路编号": _numbers("R", len(names), 2),
            "道路名称": np.array(zh, object),
            "英文名": np.array(en, object),
            "道路等级": np.array(rank, object),
            "车道数": np.array(lanes, np.int64),
            "限速": np.array([_SPEED[one] for one in rank], np.int64),
            "宽度": np.array(width),
        },
    )


def _median() -> Any:
    """Return what lies between the two lanes of Canal Street: the canal, and a green strip where it has ended."""
    return quad(CANAL.at - 12.0, 0.0, CANAL.at + 12.0, HEIGHT)


def _along_river(side: float, offset: float) -> Reals:
    """Return a line beside the river: `side` 1 north, -1 south; `offset` further north [m]."""
    x = np.arange(-20.0, WIDTH + 21.0, 10.0)
    return np.column_stack([x, river_axis(x) + side * river_half_width(x) + offset])


def _squares(district: District) -> Records:
    """Return the library square, the quay and the museum terrace: what the buildings of these plots leave."""
    import shapely

    plots = district.plots
    names = {
        "library": ("图书馆广场", "Library Square"),
        "warehouses": ("老码头广场", "Old Quay Square"),
        "museum": ("博物馆广场", "Museum Square"),
    }
    rows = [int(np.flatnonzero(plots.kinds == kind)[0]) for kind in names]
    built = shapely.union_all(shapely.buffer(district.buildings.shapes[np.isin(district.buildings.plot, rows)], 0.6, join_style="mitre"))
    shapes = shapely.difference(shapely.buffer(plots.shapes[rows], -1.5, join_style="mitre"), built)
    zh, en = zip(*names.values(), strict=True)
    return Records(shapes, {"编号": _numbers("GC", len(rows), 2), "名称": np.array(zh, object), "英文名": np.array(en, object)})


# ---------------------------------------------------------------- water and green


def _water() -> Records:
    """Return the river, the reaches of the canal between its culverts, and the pond."""
    import shapely

    river = shapely.intersection(shapely.polygons(np.concatenate([_along_river(1.0, 0.0), _along_river(-1.0, 0.0)[::-1]])), _district_box())
    edges = np.array([[one.at - one.width / 2 - 1.2, one.at + one.width / 2 + 1.2] for one in STREETS if one.at < CANAL_END])
    reaches = [quad(CANAL.at - CANAL_HALF + 0.8, low, CANAL.at + CANAL_HALF - 0.8, high)
               for low, high in zip(edges[:, 1], [*edges[1:, 0], CANAL_END - 2.0], strict=True)]  # fmt: skip
    turn = np.linspace(0, 2 * np.pi, 49)[:-1]
    pond = shapely.polygons(to_place(POND[0] + POND[2] * 0.94 * np.cos(turn), POND[1] + POND[3] * 0.94 * np.sin(turn)))
    shapes = shapely.orient_polygons(np.array([river, *reaches, pond], object))
    kinds = ["河流"] + ["运河"] * len(reaches) + ["湖泊"]
    names = ["三河"] + [f"西塘运河{word}段" for word in "一二三四五六"[: len(reaches)]] + ["映月池"]
    return Records(
        np.asarray(shapes, object),
        {
            "编号": _numbers("W", len(shapes), 2),
            "名称": np.array(names, object),
            "类型": np.array(kinds, object),
            "水位": np.full(len(shapes), WATER_LEVEL),
        },
    )


def _green(district: District, water: Records, squares: Records) -> Records:
    """Return parks, the promenade, the south bank, the canal banks, lawns and sports grounds."""
    import shapely

    plots, built = district.plots, district.buildings
    around = shapely.union_all(shapely.buffer(built.shapes, 3.0, join_style="mitre"))
    parks = shapely.buffer(plots.shapes[plots.kinds == "park"], -1.0, join_style="mitre")
    lawns = shapely.buffer(plots.shapes[np.isin(plots.kinds, _KINDS_WITH_LAWN)], -5.0, join_style="mitre")
    cuts = [0.0, *(one.at for one in AVENUES[1:-1]), WIDTH + 20.0]
    promenade = [quad(west, 17.0, east, 28.5) for west, east in itertools.pairwise(cuts)]
    canal = [quad(CANAL.at + side - 1.8, 52.0, CANAL.at + side + 1.8, CANAL_END) for side in (-9.6, 9.6)]
    canal += [quad(CANAL.at - 11.0, low, CANAL.at + 11.0, high) for low, high in ((476.0, 579.0), (593.0, 688.0), (708.0, 760.0))]
    north = [quad(one.at + 8.0, STREETS[-1].at + 12.0, other.at - 8.0, HEIGHT) for one, other in itertools.pairwise(AVENUES)]
    greenway = shapely.linestrings(_along_river(-1.0, -34.0)).buffer(4.5)
    south = shapely.difference(shapely.polygons([*_along_river(-1.0, -8.0), (WIDTH + 20, -5.0), (-20.0, -5.0)]), greenway)
    grounds = _sports_grounds(district)
    groups = (
        ("公园绿地", "三河公园", parks),
        ("防护绿地", "滨江绿带", promenade),
        ("防护绿地", "南岸绿带", [south]),
        ("防护绿地", "运河绿带", canal),
        ("防护绿地", "北环绿带", north),
        ("附属绿地", "宅旁绿地", lawns),
        ("运动场", "运动场", grounds),
    )
    shapes = np.concatenate([np.asarray(group, object) for _, _, group in groups])
    kinds = np.concatenate([np.full(len(group), kind, object) for kind, _, group in groups])
    names = np.concatenate([np.array([f"{name}{n + 1}" for n in range(len(group))], object) for _, name, group in groups])
    away = shapely.union_all([around, *strips(), *shapely.buffer(water.geometry, 0.5), *squares.geometry])
    shapes = shapely.intersection(shapely.difference(shapes, away), _district_box())
    lawn = kinds == "附属绿地"
    shapes[lawn] = shapely.buffer(shapely.buffer(shapes[lawn], -1.5, join_style="mitre"), 1.5, join_style="mitre")  # no slivers
    shapes[lawn] = shapely.difference(shapes[lawn], shapely.union_all(grounds))
    kept = shapely.area(shapes) > 30.0
    return Records(shapes[kept], {"编号": _numbers("GR", int(kept.sum()), 3), "名称": names[kept], "绿地类型": kinds[kept]})


def strips() -> list[Any]:
    """Return the areas of all streets, the canal's lanes as two."""
    import shapely

    avenues = [strip(one, avenue=True) for one in AVENUES if one is not CANAL]
    whole = shapely.difference(strip(CANAL, avenue=True), _median())
    return [*(strip(one, avenue=False) for one in STREETS), *avenues, whole]


def _sports_grounds(district: District) -> Objects:
    """Return an oval in the free east of each school's plot."""
    import shapely

    schools = np.flatnonzero(district.plots.kinds == "school")
    middle = shapely.get_coordinates(shapely.centroid(district.plots.shapes[schools]))
    ovals = [shapely.linestrings([(x + 12.0, y - 13.0), (x + 40.0, y - 13.0)]).buffer(15.0) for x, y in middle]
    free = shapely.difference(np.array(ovals, object), shapely.union_all(shapely.buffer(district.buildings.shapes, 2.0)))
    return np.asarray(free, object)


# ---------------------------------------------------------------- trees


def _trees(district: District, roads: Records, water: Records, squares: Records, green: Records, random: np.random.Generator) -> Records:
    """Return street trees, willows by the river, and trees in parks and lawns."""
    import shapely

    rows = [(_street_trees(random), None), (_riverside(random), "willow")]
    rows += [
        (_scattered(green, kind, share, random), None)
        for kind, share in (("公园绿地", 1 / 55), ("附属绿地", 1 / 130), ("防护绿地", 1 / 210))
    ]
    rows.append((_scattered(squares, None, 1 / 420, random), "ginkgo"))
    xy = np.concatenate([points for points, _ in rows])
    names = np.concatenate(
        [
            np.full(len(points), kind, object) if kind else _mixture(number, len(points), random)
            for number, (points, kind) in enumerate(rows)
        ]
    )
    points = shapely.points(xy)
    blocked = shapely.union_all([*shapely.buffer(district.buildings.shapes, 1.8), *shapely.buffer(water.geometry, 0.8)])
    shapely.prepare(blocked)
    lanes = shapely.union_all(roads.geometry)
    shapely.prepare(lanes)
    free = (
        ~shapely.intersects(blocked, points)
        & ~shapely.intersects(lanes, points)
        & shapely.intersects(shapely.box(2, 2, WIDTH - 2, HEIGHT - 2), points)
    )
    xy, names = xy[free], names[free]
    usual, spread, crown = (np.array([_SPECIES[name][which] for name in names.tolist()], float) for which in (1, 2, 3))
    height = np.round(np.maximum(usual + spread * random.standard_normal(len(xy)), 0.55 * usual), 1)
    return Records(shapely.points(np.round(xy, 2)), {
        "树木编号": _numbers("T", len(xy), 4), "树种": np.array([_SPECIES[name][0] for name in names.tolist()], object), "高度": height,
        "冠幅": np.round(crown * height * random.uniform(0.85, 1.15, len(xy)), 1),
    })  # fmt: skip


def _mixture(group: int, count: int, random: np.random.Generator) -> Objects:
    kinds = [
        ["camphor", "plane", "plane"],
        [],
        ["redwood", "ginkgo", "camphor", "cherry"],
        ["osmanthus", "cherry", "camphor"],
        ["willow", "cherry", "redwood"],
    ][group]
    return np.asarray(random.choice(np.array(kinds, object), count), object)


def _street_trees(random: np.random.Generator) -> Reals:
    """Return rows of trees on the sidewalks, some missing."""
    parts = []
    for street in STREETS:
        u = np.arange(8.0, WIDTH, 11.0)
        parts += [to_place(u, street.at + side * (street.width / 2 + 1.6)) for side in (-1.0, 1.0)]
    for avenue in AVENUES:
        d = np.arange(STREETS[0].at + 16.0, 730.0, 11.0)
        parts += [to_place(avenue.at + side * (avenue.width / 2 + 1.6), d) for side in (-1.0, 1.0)]
    every = np.concatenate(parts)
    return np.asarray(every[random.uniform(0, 1, len(every)) > 0.12] + random.normal(0, 0.25, (1, 2)))


def _riverside(random: np.random.Generator) -> Reals:
    u = np.arange(6.0, WIDTH, 9.0)
    return np.asarray(to_place(u + random.normal(0, 0.8, len(u)), 19.5 + random.normal(0, 0.4, len(u))))


def _scattered(records: Records, kind: str | None, share: float, random: np.random.Generator) -> Reals:
    """Return random points inside areas, `share` of them per square metre."""
    import shapely

    chosen = records.geometry if kind is None else records.geometry[records.columns["绿地类型"] == kind]
    area = shapely.union_all(chosen)
    west, south, east, north = shapely.bounds(area)
    count = round(share * (east - west) * (north - south))
    xy = random.uniform((west, south), (east, north), (count, 2))
    shapely.prepare(area)
    return np.asarray(xy[shapely.intersects(area, shapely.points(xy))])


def _numbers(letter: str, count: int, digits: int) -> Objects:
    """Return ids such as R-01."""
    return np.array([f"{letter}-{number + 1:0{digits}d}" for number in range(count)], object)
