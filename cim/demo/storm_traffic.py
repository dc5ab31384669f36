"""What the storm of the demo does to streets, cars and the fire brigade, as lines of its table; and the same traffic on dry roads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cim.demo.storm_rows import Row, pair

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from cim.model import City
    from cim.results import Fields

__all__ = ["LATE", "WITHIN", "closed_streets", "dry_traffic", "traffic_notes", "traffic_rows"]

LATE = 120.0
"""Time that a car may lose before it counts as delayed [s]: the demo's own choice."""
WITHIN = "8min"
"""The limit of the fire brigade that the table tells of."""


def dry_traffic(city: City, file: Path) -> Fields:
    """Return the traffic of a scenario's section ``[traffic]`` on dry roads: what delays are told against."""
    from cim.scenario import read_scenario
    from cim.sim.traffic.parameters import TrafficParameters
    from cim.sim.traffic.run_traffic import simulate

    asked = read_scenario(file).simulations["traffic"]
    return simulate(city, parameters=TrafficParameters.model_validate(asked.model_dump(exclude_unset=True)))


def traffic_rows(base: Mapping[str, Fields], option: Mapping[str, Fields], dry: Fields) -> list[Row]:
    """Return streets, cars and reach of both runs side by side."""
    from cim.sim.traffic.dynamic_outcome import STRANDED

    both = base, option
    cars, engines = ([closed_streets(one, vehicle) for one in both] for vehicle in ("car", "emergency"))
    vehicles = [one["traffic"].table("vehicles").to_pandas() for one in both]
    known = dry.table("vehicles").to_pandas()
    objects = [_objects(one["reach"]) for one in both]
    cut = [one[one["status"] == "cut_off"] for one in objects]
    return [
        Row("streets closed to cars 小汽车不能通行路段 [number]", pair(len(one) for one in cars)),
        Row("… their length 长度 [km]", pair(float(one.sum()) / 1000.0 for one in cars), 2),
        Row("… closed to fire engines, too 消防车也不能通行", pair(len(one) for one in engines)),
        Row("cars on their way 出行车辆", pair(len(one) for one in vehicles)),
        Row("… stranded, no way is left 滞留", pair(int(one["cause"].isin(STRANDED).sum()) for one in vehicles)),
        Row("… not there yet at the end 仍在途", pair(int((~one["cause"].isin((*STRANDED, "arrived"))).sum()) for one in vehicles)),
        Row(f"… there, over {LATE / 60:g} min later than when dry 延误", pair(int((_lost(one, known) > LATE).sum()) for one in vehicles)),
        Row("mean trip of those that arrive 平均行程时间 [s]", pair(_mean(one) for one in vehicles)),
        Row("buildings not reached in 8 min 消防8分钟不达", pair(int((one[f"within_{WITHIN}"] == "no").sum()) for one in objects)),
        Row("… cut off from the fire brigade 消防中断", pair(len(one) for one in cut)),
        Row("… people in those cut off, where known 涉及人数", pair(float(np.nansum(one["people"])) for one in cut)),
    ]


def traffic_notes(base: Mapping[str, Fields], option: Mapping[str, Fields], dry: Fields) -> list[str]:
    """Return what a reader must know to read the lines right."""
    first, second = (one["traffic"].table("vehicles").to_pandas() for one in (base, option))
    gained = int(((first["cause"] != "arrived") & (second["cause"] == "arrived")).sum())
    fresh = sorted(set(_cut(option)) - set(_cut(base)))
    freed = len(set(_cut(base)) - set(_cut(option)))
    mean = _mean(dry.table("vehicles").to_pandas())
    told = [
        f"the same {len(first):,} trips in both, made from floor area and from gates that are made up; on dry roads one takes {mean:.0f} s",
        f"{gained:,} cars arrive in the option that do not in the base: they fill the roads that stay open, so trips may take longer there",
        f"{freed} buildings are cut off in the base only, {len(fresh)} in the option only"
        + (f" ({', '.join(fresh[:4])}{' …' if len(fresh) > 4 else ''})" if fresh else ""),
        "a building is cut off once its street is closed to fire engines anywhere along the link, or all ways to it are",
    ]
    return [f"    {line}" for line in told]


def closed_streets(results: Mapping[str, Fields], vehicle: str) -> pd.Series[float]:
    """Return the lengths [m] of the stretches of road that are closed to a class of vehicles at some time, both directions counted once."""
    roads, links = results["roads"].table("links").to_pandas(), results["traffic"].table("links").to_pandas()
    shut = set(roads.loc[(roads["class"] == vehicle) & (roads["closed_minutes"] > 0), "link"])
    mine = links[links["link"].isin(shut)]
    ends = np.sort(mine[["from_node", "to_node"]].to_numpy(str), axis=1)
    found: pd.Series[float] = mine["length"].groupby([mine["object"].to_numpy(), ends[:, 0], ends[:, 1]]).first()
    return found


def _objects(reach: Fields) -> pd.DataFrame:
    """Return the buildings as the fire brigade reaches them."""
    table: pd.DataFrame = reach.table("objects").to_pandas()
    return table


def _cut(results: Mapping[str, Fields]) -> list[str]:
    table = _objects(results["reach"])
    return [str(one) for one in table.loc[table["status"] == "cut_off", "object"]]


def _lost(run: pd.DataFrame, dry: pd.DataFrame) -> pd.Series[float]:
    """Return the time that each car arrives later than on dry roads [s]; vehicles have the same numbers where the trips are the same."""
    later: pd.Series[float] = run["arrival"] - dry["arrival"]
    return later


def _mean(run: pd.DataFrame) -> float:
    return float((run["arrival"] - run["departure"]).mean())
