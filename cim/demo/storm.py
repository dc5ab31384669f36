"""The storm of the demo: a cloudburst on the district as it is, and with pumps and a sunken park beside the option, told in one table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cim.demo.ground import CANAL_END, CANAL_HALF, POND, UNDERPASS, WATER_LEVEL, elevation
from cim.demo.options import option_changes
from cim.demo.plan import CANAL, ORIGIN, STREETS, to_place
from cim.demo.storm_rows import HEAD, Row, pair
from cim.demo.storm_traffic import traffic_notes, traffic_rows
from cim.demo.trips import FILE, SOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

    from cim.demo.truth import Truth
    from cim.model import City
    from cim.results import Fields

__all__ = ["LOW_SPOT", "RETURN_PERIOD", "choose_park", "storm_table", "write_storm"]

RETURN_PERIOD = 100
"""Of the storm [a]."""
LOW_SPOT = (190.0, STREETS[0].at)
"""Where the old town lies lowest behind the dyke: on Riverside Road, along and inland [m]."""
_SUMP = 6.0  # m, half the side of the square a pump draws from
_DEPTH = 1.5  # m that the park is lowered
_MOST = 4  # rows of the objects that change most
_DEEPER = 0.01  # m
_EDGE, _CLEAR = 8.0, 16.0  # m of the park that stay as they are along its outline, and around houses

_STORM = """# Storm 暴雨 on the demo district. Run it:   cim run {file} -o results/{stem}
#                                   Look at it: cim render {city} --run results/{stem} -o {stem}.html
city = "{city}"
name = "{name}"

# The canal and the pond are full to their ordinary level: ground there for this storm, so that they swallow none of it.
[[change]]
do = "change_terrain"
id = "canal-level"
area = {canal}
to = {level}
only = "fill"

[[change]]
do = "change_terrain"
id = "pond-level"
area = {pond}
to = {level}
only = "fill"
{network}{changes}
# 洪涝演进: full shallow water on cells of 4 m; no storm drain takes anything, as if all were full
[flood]
start = 2026-07-20T16:00:00+08:00
until = "1h"
resolution = 4.0
output_every = "5min"
velocity = true  # kept over time, so that moving water closes a road while it moves, and no longer

[flood.rain]  # Chicago storm 芝加哥雨型 by the formula of Shenzhen
kind = "chicago"
place = "Shenzhen/中部流域和水系"
return_period = {years}
duration = "45min"
peak = 0.4

[flood.gauges]
underpass = {underpass}
old_town = {low}

[[flood.boundary]]  # the river leaves to both sides
where = "west"

[[flood.boundary]]
where = "east"
{pumps}
# 影响评估: depth, hazard and people by building, road and pipe
[impact]

# 道路通行: what the water leaves of every road: greatest speed, capacity, closed to whom and when
[roads]

# 交通: every vehicle of the evening peak 晚高峰, the same trips in base and option; a driver turns round where the water stops him
[traffic]
demand = "{trips}"  # {sources}
start = 2026-07-20T16:00:00+08:00
until = "1h"
departures = "1h"
vehicles = true

# 救援可达性: whom the fire brigade 消防 reaches on roads under water and in this traffic; its station and the tower stand in one yard
[reach]
stations = "fire"
within = ["5min", "8min"]
"""
_NETWORK = """
[[change]]  # the map that knows the road network was not read here: centrelines of the road areas, assumed
do = "derive_road_links"
"""
_PARK = """
[[change]]  # 下沉式绿地: the park by the river takes water
do = "change_terrain"
id = "sunken-park"
area = {park}
by = -{depth}
slope = 0.33
"""
_PUMPS = """
[[flood.pump]]  # 下穿通道泵站: the underpass, over the dyke into the river
name = "underpass"
intake = {underpass}
capacity = 6.0
on_depth = 0.1

[[flood.pump]]  # 排涝泵站: the lowest street of the old town
name = "old town"
intake = {low}
capacity = 6.0
on_depth = 0.1
"""


def choose_park(truth: Truth) -> tuple[str, Any]:
    """Return the lowest plot that hardly carries a floor, and the part of it that can be dug: a polygon in EPSG:4549, clear of houses.

    Raises
    ------
    LookupError
        If there is none.
    """
    import shapely

    ids = np.array([id for id, ratio in truth.floor_area_ratio.items() if ratio < 0.1], object)
    if not len(ids):
        msg = "no plot of the demo district is free of houses"
        raise LookupError(msg)
    xy, owner = shapely.get_coordinates([truth.plots[id] for id in ids], return_index=True)
    ground = np.bincount(owner, elevation(*(xy - ORIGIN).T)) / np.bincount(owner)
    id = str(ids[int(np.argmin(ground))])
    houses = shapely.buffer(truth.footprints[shapely.intersects(truth.footprints, truth.plots[id])], _CLEAR)
    free = shapely.difference(shapely.buffer(truth.plots[id], -_EDGE), shapely.union_all(houses))
    parts = shapely.get_parts(free)
    return id, shapely.Polygon(shapely.simplify(parts[int(np.argmax(shapely.area(parts)))], 1.0).exterior)


def write_storm(truth: Truth, folder: Path, city: str) -> tuple[Path, Path]:
    """Write ``storm_base.toml`` and ``storm_option.toml`` and return their paths.

    Parameters
    ----------
    city
        Path of the stored city, relative to the folder.
    """
    sumps = {"underpass": _square(*UNDERPASS), "low": _square(*LOW_SPOT)}
    park = [[round(float(x), 1), round(float(y), 1)] for x, y in list(choose_park(truth)[1].exterior.coords)[:-1]]
    common = {"city": city, "canal": _canal(), "pond": _pond(), "level": WATER_LEVEL, "years": RETURN_PERIOD, "trips": FILE,
              "sources": SOURCES, "network": "" if truth.extract else _NETWORK,
              "underpass": _points([UNDERPASS])[0], "low": _points([LOW_SPOT])[0]}  # fmt: skip
    changes = option_changes(truth) + _PARK.format(park=park, depth=_DEPTH)
    paths = []
    for stem, name, steps, pumps in (
        ("storm_base", "暴雨·现状 storm, base", "", ""),
        ("storm_option", "暴雨·方案 storm, option", changes, _PUMPS.format(**sumps)),
    ):
        path = folder / f"{stem}.toml"
        path.write_text(_STORM.format(file=path.name, stem=stem, name=name, changes=steps, pumps=pumps, **common), encoding="utf-8")
        paths.append(path)
    return paths[0], paths[1]


def _points(pairs: Any) -> list[list[float]]:
    """Return street coordinates as points in EPSG:4549, to the decimetre."""
    along, inland = np.asarray(pairs, float).T
    return [[round(float(x), 1), round(float(y), 1)] for x, y in to_place(along, inland) + ORIGIN]


def _square(along: float, inland: float) -> list[list[float]]:
    """Return a closed square around a place."""
    corners = [(along + x * _SUMP, inland + y * _SUMP) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1))]
    return _points(corners)


def _canal() -> list[list[float]]:
    inland = np.linspace(22.0, CANAL_END, 7)
    half = CANAL_HALF + 1.5
    return _points([(CANAL.at - half, d) for d in inland] + [(CANAL.at + half, d) for d in inland[::-1]])


def _pond() -> list[list[float]]:
    along, inland, half, wide = POND
    turn = np.linspace(0.0, 2 * np.pi, 20, endpoint=False)
    return _points(np.column_stack([along + 1.15 * half * np.cos(turn), inland + 1.15 * wide * np.sin(turn)]))


# ---------------------------------------------------------------- the table


def storm_table(city: City, base: Mapping[str, Fields], option: Mapping[str, Fields], dry: Fields) -> str:
    """Return what the storm does to both, side by side: water, streets, cars and reach, then the objects that change most.

    Parameters
    ----------
    city
        The base city, for names.
    base, option
        Results of the two scenarios by name: ``flood``, ``impact``, ``roads``, ``traffic`` and ``reach``.
    dry
        The same traffic on dry roads.
    """
    both = base["impact"], option["impact"]
    rows = [
        _count("buildings wet inside 室内进水建筑 [number]", both, "buildings", "water_inside", "yes"),
        *(_count(f"buildings, hazard {word} 危险性{zh}", both, "buildings", "hazard_class", word) for word, zh in _CLASSES),
        Row("people on wet floors, assumed 受淹楼层人数", pair(one.run.balance["people_affected"] for one in both)),
        Row("underpass, deepest 下穿通道最大水深 [m]", pair(_deepest(one["flood"], "underpass") for one in (base, option)), 2),
        Row("old town, deepest 老城区最大水深 [m]", pair(_deepest(one["flood"], "old_town") for one in (base, option)), 2),
        Row("pumped out 泵排水量 [m³]", pair(one["flood"].run.balance["pumped_out_m3"] for one in (base, option))),
        *traffic_rows(base, option, dry),
    ]
    return "\n".join([HEAD, *(row.text() for row in rows), *traffic_notes(base, option, dry), *_most_changed(city, *both)])


_CLASSES = (("moderate", "中"), ("significant", "高"), ("extreme", "极高"))


def _count(what: str, both: tuple[Fields, Fields], table: str, column: str, value: str) -> Row:
    return Row(what, pair(one.tables[table][column].to_pylist().count(value) for one in both))


def _deepest(flood: Fields, gauge: str) -> float:
    table = flood.tables["gauges"].to_pandas()
    return float(table.loc[table["gauge"] == gauge, "depth"].max())


def _most_changed(city: City, base: Fields, option: Fields) -> list[str]:
    """Return the buildings and roads whose greatest depth differs most, and at how many it grows."""
    from cim.results import compare

    compared = compare(base, option)
    lines = []
    for name, zh in (("buildings", "建筑"), ("roads", "道路")):
        frame = compared.table(name).to_pandas().dropna(subset=["depth_max_difference"])
        known = [id in city for id in frame["object"]]
        frame = frame.loc[known].assign(name=[city[id].name or "" for id in frame["object"][known]])
        frame = frame.reindex(frame["depth_max_difference"].abs().sort_values(ascending=False, kind="stable").index)
        lines.append(f"  {name} that change most, greatest depth [m] 变化最大的{zh}，最大水深")
        columns = ["object", "name", "depth_max_base", "depth_max_option"]
        shown = frame.drop_duplicates("name").head(_MOST)[columns]  # a road of two sources is told once
        lines += [Row(f"  {id} {name}", (old, new), 2).text() for id, name, old, new in shown.itertuples(index=False)]
        deeper = int((frame["depth_max_difference"] > _DEEPER).sum())
        lines.append(f"    {deeper} of {len(frame)} are over {_DEEPER * 100:g} cm deeper in the option 方案中加深")
    return lines
