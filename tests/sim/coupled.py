"""What must hold of every coupled run: storm, water, roads, traffic and reach say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

from cim.results import Fields
from cim.sim.traffic.dynamic_outcome import STRANDED

Results = Mapping[str, Fields]

LIMITS = {"car": "small_car", "bus": "large_car", "emergency": "four_wheel_drive"}
"""Vehicle class of the roads = name of its limits in the impact."""


def frame(results: Results, name: str, table: str) -> Any:
    """Return a table of a result as a data frame."""
    return results[name].table(table).to_pandas()


def vehicles_are_all_accounted_for(results: Results) -> None:
    """In = arrived + travelling + waiting + stranded, as numbers of the balance, of the table of trips and of single vehicles."""
    balance = dict(results["traffic"].run.balance)
    causes = frame(results, "traffic", "vehicles")["cause"].value_counts()
    assert balance.pop("unaccounted") == 0
    vehicles = balance.pop("vehicles")
    assert vehicles == sum(balance.values()) == causes.sum() > 0
    assert balance["arrived"] == causes["arrived"]
    stranded = causes[[one for one in causes.index if one in STRANDED]].sum()
    waiting = causes[[one for one in causes.index if one not in (*STRANDED, "arrived")]].sum()
    assert vehicles == causes["arrived"] + stranded + waiting
    trips = frame(results, "traffic", "trips").set_index("cause")["vehicles"]
    assert {name: many for name, many in trips.items() if many} == causes.to_dict()


def closures_are_the_same_in_every_table(results: Results) -> int:
    """A stretch that the impact calls impassable is closed in the roads, in both directions, at the same depth; return how many are."""
    links = frame(results, "roads", "links")
    ends = links["link"].str.rsplit(":", n=1).str[-1].str.split(">")
    links["pair"] = [(one, frozenset(pair)) for one, pair in zip(links["object"], ends, strict=True)]
    impact = frame(results, "impact", "road_links")
    nodes = impact["place"].str.split(": ", n=1).str[-1].str.split(" - ")
    impact.index = pd.Index([(one, frozenset(pair)) for one, pair in zip(impact["object"], nodes, strict=True)], tupleize_cols=False)
    assert impact.index.is_unique
    shut = 0
    for vehicle, name in LIMITS.items():
        mine = links[links["class"] == vehicle]
        theirs = impact.loc[mine["pair"].tolist()]
        assert set(mine["pair"]) == set(impact.index)
        passable = theirs[f"passable_{name}"].to_numpy(object)
        closed = (mine["closed_minutes"] > 0).to_numpy()
        assert ((passable == "no") == closed).all()
        assert ((passable == "not_assessed") <= (mine["status"] == "not_assessed").to_numpy()).all()
        both = mine["maximum_depth"].notna().to_numpy() & theirs["depth_max"].notna().to_numpy()
        np.testing.assert_allclose(mine["maximum_depth"].to_numpy()[both], theirs["depth_max"].to_numpy(float)[both], atol=1e-6)  # both f4
        shut += int(closed.sum())
    return shut


def closed_at(results: Results, vehicle: str, time: float) -> set[str]:
    """Return the links that are closed to a class of vehicles at a time [s]."""
    states = frame(results, "roads", "states")
    now = (states["class"] == vehicle) & states["closed"] & (states["from_time"] <= time) & (states["until_time"] > time)
    return set(states.loc[now, "link"])


def nobody_enters_a_closed_link(results: Results) -> None:
    """In an interval in which a link is closed from begin to end, no car enters it."""
    intervals = frame(results, "traffic", "intervals")
    for time, rows in intervals.groupby("time"):
        assert rows.loc[rows["link"].isin(closed_at(results, "car", float(time))), "entered"].sum() == 0


def cut_off_means_that_a_road_is_closed(results: Results) -> int:
    """Whatever is newly cut off lies on a closed link, or no open station has a way to it: looked at in a plain graph. Return how many."""
    events = frame(results, "reach", "cut_off")
    objects = frame(results, "reach", "objects").set_index(["object", "place"])
    found = 0
    for (place, time), rows in events[events["after"] == "cut_off"].groupby(["place", "time"]):
        vehicle = str(rows["class"].iloc[0])
        closed = closed_at(results, vehicle, float(time))
        assert closed
        reached = _reached(results, place, vehicle, closed, float(time))
        for link in objects.loc[[(one, place) for one in rows["object"]], "access_link"]:
            found += 1
            assert link in closed or not ({*_ends(results, link)} & reached)
    return found


def _ends(results: Results, link: str) -> tuple[str, str]:
    row = frame(results, "traffic", "links").set_index("link").loc[link]
    return str(row["from_node"]), str(row["to_node"])


def _reached(results: Results, place: str, vehicle: str, closed: set[str], time: float) -> set[str]:
    """Return the nodes that an open station reaches on open links."""
    links = frame(results, "traffic", "links")
    links = links[links["link"].isin(frame(results, "roads", "links")["link"]) & ~links["link"].isin(closed)]
    graph = nx.DiGraph(list(zip(links["from_node"], links["to_node"], strict=True)))
    stations = frame(results, "reach", "stations")
    stations = stations[(stations["class"] == vehicle) & stations["place"].str.startswith(place)]
    shut = (stations["closed_from"] <= time) & (time < stations["closed_from"] + 60.0 * stations["closed_minutes"])
    starts = {node for link in stations.loc[~shut, "access_link"] if link not in closed for node in _ends(results, link)}
    return starts.union(*(nx.descendants(graph, one) for one in starts if one in graph))
