"""The tables of the states of roads, and what they come to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.results import figure_table
from cim.results.columns import column
from cim.scenario.network import VEHICLE_CLASSES
from cim.sim.coupling.passage import CAUSES
from cim.sim.traffic.road_states import ROAD_STATES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork
    from cim.sim.coupling.passage import Closures, Lines, Rows
    from cim.sim.coupling.pieces import RoadPieces
    from cim.sim.coupling.roads import Roads
    from cim.sim.coupling.water_along import Clock

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Texts = NDArray[np.object_]

__all__ = ["ROAD_LINKS", "Told", "link_table", "state_table"]

ROAD_LINKS = pa.schema([
    column("object", pa.string(), en="object id", zh="对象编号"), column("link", pa.string(), en="link", zh="路段"),
    column("class", pa.string(), en="vehicle class", zh="车辆类别"),
    column("status", pa.string(), en="status", zh="状态"), column("reason", pa.string(), en="reason", zh="原因"),
    column("maximum_depth", pa.float64(), unit="m", en="greatest depth", zh="最大水深"),
    column("maximum_velocity", pa.float64(), unit="m/s", en="greatest velocity", zh="最大流速"),
    column("closed_from", pa.float64(), unit="s", en="closed from, after the start", zh="开始封闭时刻"),
    column("closed_until", pa.float64(), unit="s", en="closed until, after the start", zh="结束封闭时刻"),
    column("closed_minutes", pa.float64(), unit="min", en="closed for", zh="封闭时长"),
    column("closed_at_end", pa.bool_(), en="still closed when the run ends", zh="模拟结束时仍封闭"),
    column("cause", pa.string(), en="cause of the closure", zh="封闭原因"),
    column("deck_level", pa.float64(), unit="m", en="lowest level of the bridge deck", zh="桥面最低标高"),
    column("deck_source", pa.string(), en="who tells the level of the deck", zh="桥面标高来源"),
])  # fmt: skip
"""One row per link and class. Status is assessed, or not_assessed with the reason: such a link counts as free. `closed_until` is null while
the road is closed when the run ends."""
_CLOSED = 4
"""Causes up to this place of `CAUSES` close a road."""


@dataclass(frozen=True)
class Told:
    """What the tables have in common; pieces are rows of `RoadPieces`."""

    network: RoadNetwork
    pieces: RoadPieces
    clock: Clock
    classes: Mapping[str, str]
    """Name of the limits of each class of vehicle."""
    answers: Mapping[str, Texts]
    """By name of the limits: "yes", "no" or "not_assessed" of each piece."""
    roads: Roads

    @cached_property
    def lines(self) -> Lines:
        """The pieces that are assessed."""
        return self.roads.lines()[0]

    @cached_property
    def reasons(self) -> Texts:
        """Why the water of a link is not assessed, None where it is."""
        return np.where(self.pieces.of_link >= 0, self.of_piece(self.roads.water.reason), self.pieces.reason)

    def of_piece(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what belongs to the piece of each link; NaN or None where it has none."""
        blank: Any = np.nan if values.dtype.kind == "f" else None
        return np.append(values, np.array([blank], values.dtype))[self.pieces.of_link]

    def unsure(self, name: str) -> Texts:
        """Return why it is not known whether vehicles with some limits can pass, None where it is known."""
        answer = self.of_piece(self.answers[name])
        found = self.reasons.copy()
        found[(answer == "not_assessed") & (found == None)] = "partly_unknown"  # noqa: E711  # by element
        return found

    def notes(self) -> list[str]:
        """Name and count what is not assessed."""
        count = Counter(self.reasons[self.reasons != None].tolist())  # noqa: E711  # by element
        total = len(self.reasons)
        said = [f"{count[one]:,} links of {total:,} are not assessed and stay free: {one}" for one in sorted(count)]
        for name in self.answers:
            partly = int((self.unsure(name) == "partly_unknown").sum())
            if partly:
                said.append(f"{partly:,} links stay free for {name}, although depth or velocity is not known everywhere: partly_unknown")
        without = [one for one in VEHICLE_CLASSES if one not in self.classes]
        if without:
            said.append(f"no limits for {', '.join(without)}: these classes are not assessed, no road closes or slows them")
        return said

    def balance(self, closures: Mapping[str, Closures]) -> dict[str, float]:
        """Return the sums of a run."""
        found = {"links": float(len(self.reasons)), "links_not_assessed": float((self.reasons != None).sum())}  # noqa: E711
        for name, one in self.classes.items():
            closed = self.of_line(closures[one].length)
            found[f"links_closed_{name}"] = float((closed > 0).sum())
            if np.isfinite(closed).all():
                found[f"closed_link_minutes_{name}"] = float(closed.sum() / 60)
        return found

    def figures(self, closures: Mapping[str, Closures]) -> pa.Table:
        """Return the main figures: what is closed to cars and to those who help, and what nobody knows."""
        length = np.nan_to_num(self.network.column("length")) / 1000.0
        rows: list[tuple[str, float | None, str, str]] = []
        for name in [one for one in ("car", "emergency") if one in self.classes]:
            held = closures[self.classes[name]]
            shut = self.of_line(held.length)
            closed = shut > 0
            rows += [
                (f"links closed to {name} at some time", float(closed.sum()), "links", f"of {len(closed):,}"),
                (f"way closed to {name} at some time", float(length[closed].sum()), "km", "each direction of a road by itself"),
                (f"links closed to {name} at the end", float(self.of_line(held.at_end).sum()), "links", ""),
            ]
            timed = bool(np.isfinite(shut[closed]).all())
            longest = float(shut[closed].max(initial=0.0)) / 60.0 if timed else None
            rows.append((f"longest closure to {name}", longest, "min", "" if timed else "the water knows no times"))
        rows.append(("links not assessed", float((self.reasons != None).sum()), "links", "they stay free in traffic and reach"))  # noqa: E711
        return figure_table(rows)

    def of_line(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return what belongs to the assessed line of each link; 0 where it has none."""
        whole = np.zeros(self.roads.water.places.count + 1, values.dtype)
        whole[self.lines.piece] = values
        return whole[self.pieces.of_link]


def state_table(told: Told, rows: Mapping[str, Rows]) -> pa.Table:
    """Return the states by link, class and time."""
    parts = [_states(told, rows[limits], name) for name, limits in told.classes.items()]
    return pa.concat_tables([ROAD_STATES.empty_table(), *parts]).combine_chunks()


def _states(told: Told, rows: Rows, name: str) -> pa.Table:
    links, at = told.network.links, pa.array(rows.link)
    columns = {
        "object": links["object"].take(at), "link": links["id"].take(at), "class": pa.repeat(name, len(rows.link)),
        "from_time": told.clock.begin[rows.first], "until_time": told.clock.end[rows.last], "depth": rows.depth, "mean_depth": rows.mean,
        "velocity": rows.velocity, "speed": pa.array(rows.speed, from_pandas=True), "capacity": rows.capacity,
        "closed": (rows.cause > 0) & (rows.cause <= _CLOSED), "cause": pa.array(CAUSES[rows.cause], pa.string()),
    }  # fmt: skip
    return _table(columns, ROAD_STATES)


def link_table(told: Told, closures: Mapping[str, Closures]) -> pa.Table:
    """Return what became of each link, by class of vehicle."""
    parts = [_links(told, closures.get(told.classes.get(name, "")), name) for name in VEHICLE_CLASSES]
    return pa.concat_tables(parts).combine_chunks()


def _links(told: Told, shut: Closures | None, name: str) -> pa.Table:
    links, count = told.network.links, told.network.links.num_rows
    deepest, fastest, deck = (_known(told.of_piece(one)) for one in (told.roads.deepest, told.roads.fastest, told.roads.water.deck))
    columns: dict[str, Any] = {
        "object": links["object"], "link": links["id"], "class": pa.repeat(name, count),
        "maximum_depth": deepest, "maximum_velocity": fastest, "deck_level": deck,
        "deck_source": pa.array(told.of_piece(told.roads.water.decks.source), pa.string()),
    }  # fmt: skip
    reason = np.full(count, "no_limits", object) if shut is None else told.unsure(told.classes[name])
    columns |= {"status": np.where(reason == None, "assessed", "not_assessed"), "reason": pa.array(reason, pa.string())}  # noqa: E711
    return _table(columns | _closed(told, shut, count), ROAD_LINKS)


def _closed(told: Told, shut: Closures | None, count: int) -> dict[str, Any]:
    if shut is None:
        nothing = pa.nulls(count)
        return dict.fromkeys(("closed_from", "closed_until", "closed_minutes", "closed_at_end", "cause"), nothing)
    length, at_end = told.of_line(shut.length), told.of_line(shut.at_end)
    ever = length > 0
    begin, end = told.of_line(shut.begin), told.of_line(shut.end)
    return {
        "closed_from": _known(np.where(ever, begin, np.nan)), "closed_until": _known(np.where(ever & ~at_end, end, np.nan)),
        "closed_minutes": _known(np.where(np.isfinite(length), length / 60, np.nan)), "closed_at_end": at_end,
        "cause": pa.array(CAUSES[told.of_line(shut.cause)], pa.string()),
    }  # fmt: skip


def _known(values: Floats) -> pa.Array:
    return pa.array(values, pa.float64(), from_pandas=True)


def _table(columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    given = [columns[one.name] for one in schema]
    made = [one if isinstance(one, pa.Array | pa.ChunkedArray) else pa.array(one) for one in given]
    return pa.Table.from_arrays([one.cast(kind.type) for one, kind in zip(made, schema, strict=True)], schema=schema)
