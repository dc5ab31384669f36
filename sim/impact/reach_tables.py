"""Tables of reach, by object id: objects, steps, who is cut off when, stations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.results import figure_table
from cim.results.columns import column
from cim.results.figures import sum_of_known
from cim.sim.impact.assess import table_of
from cim.sim.impact.reach_course import CUT_OFF, LATE, NEVER, NOT_ASSESSED, STATUS, Course
from cim.sim.times import say_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cim.sim.impact.reach_stations import Stations
    from cim.sim.impact.reach_targets import Targets
    from cim.sim.impact.reach_times import Steps

    Floats = NDArray[np.float64]

__all__ = ["cut_off_table", "object_table", "reach_figures", "say_limit", "station_table", "step_table"]

_TEXT, _REAL, _WHEN = pa.string(), pa.float64(), pa.timestamp("us", "UTC")
_WHO = (
    column("place", _TEXT, en="service and vehicle", zh="服务与车辆"),
    column("service", _TEXT, en="service", zh="服务"),
    column("class", _TEXT, en="vehicle class", zh="车辆类型"),
)
_STATUS = (column("status", _TEXT, en="status", zh="状态"), column("reason", _TEXT, en="reason", zh="原因"))
_OBJECTS = (
    pa.field("object", _TEXT), *_WHO, *_STATUS,
    column("status_dry", _TEXT, en="status when dry", zh="无积水时状态"),
    column("access_link", _TEXT, en="link it is entered from", zh="接入路段"),
    column("access_distance", _REAL, unit="m", en="distance to the road", zh="距道路距离"),
    column("station", _TEXT, en="nearest station when dry", zh="无积水时最近站点"),
    column("time_dry", _REAL, unit="s", en="time when dry", zh="无积水时到达时间"),
    column("time_worst", _REAL, unit="s", en="longest time", zh="最长到达时间"),
    column("cut_off_from", _REAL, unit="s", en="first cut off, after the start", zh="首次中断历时"),
    column("cut_off_at", _WHEN, en="first cut off, UTC", zh="首次中断时刻（UTC）"),
    column("cut_off_until", _REAL, unit="s", en="cut off until at last, after the start", zh="最后恢复历时"),
    column("cut_off_until_at", _WHEN, en="cut off until at last, UTC", zh="最后恢复时刻（UTC）"),
    column("cut_off_at_end", pa.bool_(), en="still cut off when the run ends", zh="模拟结束时仍中断"),
    column("cut_off_minutes", _REAL, unit="min", en="minutes cut off", zh="中断分钟数"),
    column("late_minutes", _REAL, unit="min", en="minutes cut off or too late", zh="中断或超时分钟数"),
    column("people", _REAL, unit="persons", en="people in the building", zh="人数"),
    column("floor_area", _REAL, unit="m²", en="floor area", zh="建筑面积"),
)  # fmt: skip
STEPS = pa.schema([
    *_WHO,
    column("within", _REAL, unit="s", en="time limit", zh="时限"),
    column("time", _REAL, unit="s", en="step, after the start (none: dry)", zh="时刻（空为无积水）"),
    column("at", _WHEN, en="step, UTC", zh="时刻（UTC）"),
    column("objects", pa.int64(), unit="objects", en="objects assessed", zh="评估对象数"),
    column("reached", pa.int64(), unit="objects", en="objects reached in time", zh="按时到达对象数"),
    column("reached_share", _REAL, unit="1", en="share reached in time", zh="按时到达比例"),
    column("people_reached", _REAL, unit="persons", en="people reached in time", zh="按时到达人数"),
    column("people_share", _REAL, unit="1", en="share of people reached in time", zh="按时到达人口比例"),
    column("floor_area_reached", _REAL, unit="m²", en="floor area reached in time", zh="按时到达建筑面积"),
    column("floor_area_share", _REAL, unit="1", en="share of floor area reached in time", zh="按时到达建筑面积比例"),
    column("cut_off", pa.int64(), unit="objects", en="objects cut off", zh="中断对象数"),
    column("newly_cut_off", pa.int64(), unit="objects", en="objects newly cut off", zh="新中断对象数"),
])  # fmt: skip
CUT = pa.schema([
    pa.field("object", _TEXT), *_WHO,
    column("time", _REAL, unit="s", en="step, after the start", zh="历时"), column("at", _WHEN, en="step, UTC", zh="时刻（UTC）"),
    column("before", _TEXT, en="before", zh="之前"), column("after", _TEXT, en="from then on", zh="之后"),
])  # fmt: skip
STATIONS = pa.schema([
    pa.field("object", _TEXT), *_WHO, *_STATUS,
    column("access_link", _TEXT, en="link it lies on", zh="所在路段"),
    column("access_distance", _REAL, unit="m", en="distance to the road", zh="距道路距离"),
    column("nearest_for", pa.int64(), unit="objects", en="objects it is nearest to when dry", zh="无积水时最近对象数"),
    column("closed_from", _REAL, unit="s", en="first closed in, after the start", zh="首次封闭历时"),
    column("closed_at", _WHEN, en="first closed in, UTC", zh="首次封闭时刻（UTC）"),
    column("closed_minutes", _REAL, unit="min", en="minutes closed in", zh="封闭分钟数"),
])  # fmt: skip


def say_limit(limit: float) -> str:
    """Return a time limit as part of the name of a column.

    Examples
    --------
    >>> say_limit(480.0), say_limit(90.0)
    ('8min', '1min30s')
    """
    return say_seconds(limit).replace(" ", "")


def object_table(courses: Sequence[Course], targets: Targets, stations: Stations, steps: Steps, limits: Sequence[float]) -> pa.Table:
    """Return one row per course and object; ``within_8min`` says whether it is reached in that time at every step."""
    flags = [
        column(f"within_{say_limit(one)}", _TEXT, en=f"always within {say_seconds(one)}", zh=f"始终在 {say_seconds(one)} 内")
        for one in limits
    ]
    schema = pa.schema([*_OBJECTS[:7], *flags, *_OBJECTS[7:]])
    return pa.concat_tables([table_of(_object_columns(one, targets, stations, steps, limits), schema) for one in courses])


def _object_columns(course: Course, targets: Targets, stations: Stations, steps: Steps, limits: Sequence[float]) -> dict[str, Any]:
    assessed, still = course.status != NOT_ASSESSED, course.now == CUT_OFF
    until, followed = np.where(still, np.nan, course.last), assessed & (course.status_dry != NEVER)
    endless = len(steps.end) > 0 and steps.end[-1] <= steps.begin[-1]  # nobody says how long the last step lasts
    cut = np.where(followed & ~(endless & still), course.cut / 60.0, np.nan)
    late = np.where(followed & ~(endless & (still | (course.now == LATE))), course.late / 60.0, np.nan)
    names = np.array([*stations.ids.tolist(), None], object)

    def known(values: Floats) -> Floats:
        return np.where(assessed & np.isfinite(values), values, np.nan)

    flags = {
        f"within_{say_limit(one)}": np.where(assessed, np.where(course.worst <= one, "yes", "no"), "not_assessed").astype(object)
        for one in limits
    }
    return {
        "object": targets.ids, **_who(course, len(targets)), "status": STATUS[course.status], "reason": course.reason,
        "status_dry": STATUS[course.status_dry], "access_link": course.link, "access_distance": course.sites.access,
        "station": names[course.station], "time_dry": known(course.dry), "time_worst": known(course.worst), "cut_off_from": course.first,
        "cut_off_at": steps.at(course.first), "cut_off_until": until, "cut_off_until_at": steps.at(until),
        "cut_off_at_end": np.where(followed, still, None), "cut_off_minutes": cut, "late_minutes": late,
        "people": targets.people, "floor_area": targets.floor_area, **flags,
    }  # fmt: skip


def _who(course: Course, count: int, *, more: str = "") -> dict[str, Any]:
    words = {"place": course.place + more, "service": course.service, "class": course.vehicle}
    return {name: np.full(count, word, object) for name, word in words.items()}


def step_table(courses: Sequence[Course], targets: Targets, steps: Steps, limits: Sequence[float]) -> pa.Table:
    """Return one row per course, time limit and step, the dry base first with no time."""
    parts = [_step_columns(course, targets, steps, limit) for course in courses for limit in limits]
    return pa.concat_tables([table_of(one, STEPS) for one in parts])


def _step_columns(course: Course, targets: Targets, steps: Steps, limit: float) -> Mapping[str, Any]:
    assessed = course.status_dry != NOT_ASSESSED
    hit = np.stack([time <= limit for _, time, _, _ in course.times]) & assessed
    moments = np.array([np.nan if moment is None else moment for moment, *_ in course.times])
    total = int(assessed.sum())
    reached = hit.sum(axis=1)
    columns: dict[str, Any] = {
        **_who(course, len(moments), more=f", {say_limit(limit)}"), "within": np.full(len(moments), limit), "time": moments,
        "at": steps.at(moments), "objects": np.full(len(moments), total), "reached": reached,
        "reached_share": reached / total if total else np.full(len(moments), np.nan),
    }  # fmt: skip
    for name, values in (("people", targets.people), ("floor_area", targets.floor_area)):
        own = np.where(assessed, values, np.nan)
        blind, whole = ~(hit & np.isfinite(own)).any(axis=1) & ((reached > 0) | (total == 0)), float(np.nansum(own))  # nobody knows
        columns[f"{name}_reached"] = np.where(blind, np.nan, hit @ np.nan_to_num(own))
        columns[f"{name}_share"] = columns[f"{name}_reached"] / whole if whole > 0 else np.full(len(moments), np.nan)
    fresh, gone = (np.array([one[at] for one in course.times]) for at in (2, 3))
    return {**columns, "cut_off": gone, "newly_cut_off": fresh}


def cut_off_table(courses: Sequence[Course], targets: Targets, steps: Steps) -> pa.Table:
    """Return one row per object whose status changes at a step, in the order of the steps."""
    parts = [CUT.empty_table()]
    for course in courses:
        for one in course.events:
            moment = np.full(len(one.object), steps.begin[one.step])
            columns = {
                "object": targets.ids[one.object], **_who(course, len(one.object)), "time": moment, "at": steps.at(moment),
                "before": STATUS[one.before], "after": STATUS[one.after],
            }  # fmt: skip
            parts.append(table_of(columns, CUT))
    return pa.concat_tables(parts)


def station_table(courses: Sequence[Course], stations: Stations, posts: Sequence[Mapping[str, Any]], steps: Steps) -> pa.Table:
    """Return one row per course and station of its service.

    Parameters
    ----------
    posts
        Of each course: link, access, reason, `first` second at which every link of a station is closed, and for how long [s].
    """
    parts = [STATIONS.empty_table()]
    for course, post in zip(courses, posts, strict=True):
        mine = np.flatnonzero(stations.service == stations.names.index(course.service))
        first, lost = post["first"][mine], post["reason"][mine]
        out = np.array([one is not None for one in lost], bool)
        columns = {
            **_who(course, len(mine)), "object": stations.objects[mine],
            "place": np.array([f"{course.place}, {one}" for one in stations.ids[mine].tolist()], object),
            "status": np.where(out, "not_assessed", np.where(np.isfinite(first), "closed", "open")).astype(object), "reason": lost,
            "access_link": post["link"][mine], "access_distance": post["access"][mine],
            "nearest_for": np.bincount(course.station[course.station >= 0], minlength=len(stations))[mine],
            "closed_from": first, "closed_at": steps.at(first), "closed_minutes": np.where(out, np.nan, post["closed"][mine] / 60.0),
        }  # fmt: skip
        parts.append(table_of(columns, STATIONS))
    return pa.concat_tables(parts)


def reach_figures(objects: pa.Table, steps: pa.Table) -> pa.Table:
    """Return the main figures: what becomes of the objects of each service and vehicle, and the worst step."""
    rows: list[tuple[str, float | None, str, str]] = []
    for place in dict.fromkeys(objects["place"].to_pylist()):
        mine = objects.filter(pc.equal(objects["place"], place))
        many = {one["values"]: float(one["counts"]) for one in mine["status"].value_counts().to_pylist()}
        rows += [(f"{place}: {name.replace('_', ' ')}", many.get(name, 0.0), "objects", f"of {len(mine):,}") for name in STATUS]
        cut = mine.filter(pc.equal(mine["status"], "cut_off"))
        people, told = sum_of_known(cut["people"], "objects says how many")
        rows.append((f"{place}: people cut off at some time", people, "persons", told))
        for limit in sorted(set(steps.filter(pc.equal(steps["place"], place))["within"].to_pylist())):
            own = steps.filter(pc.and_(pc.equal(steps["place"], place), pc.equal(steps["within"], limit)))
            wet = own.filter(pc.is_valid(own["time"]))["reached_share"].drop_null()
            dry = own.filter(pc.is_null(own["time"]))["reached_share"].drop_null()
            for words, share in (("when dry", dry), ("at the worst step", wet)):
                value = float(pc.min(share).as_py()) * 100.0 if len(share) else None
                rows.append((f"{place}: reached within {say_limit(limit)} {words}", value, "%", "of the objects assessed"))
    return figure_table(rows)
