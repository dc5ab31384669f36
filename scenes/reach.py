"""The layers of reach: buildings by whether help comes in time, step by step, or by how long it takes; and the stations it comes from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model.numeric import floats
from cim.results.columns import unit
from cim.scenes.layer import Label, Layer, Legend, LegendEntry, Text, Told, join
from cim.scenes.style import hex_colour
from cim.scenes.tables import rows_of
from cim.scenes.traffic_motion import Shade, States, painted
from cim.scenes.traffic_roads import VEHICLES
from cim.scenes.traffic_scale import CLOSED, CLOSED_COLOUR, Scale, rounded_bounds
from cim.scenes.traffic_times import micros_of, texts_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.results import Fields
    from cim.scenes.scene import Scene

    Bytes = NDArray[np.uint8]
    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Mesh = tuple[Reals, NDArray[np.int32], NDArray[np.int32]]

__all__ = ["BY", "is_reach", "reach_layers"]

BY = ("status", "time_dry", "time_worst")
_IN_TIME, _LATE, _NEVER = hex_colour("#5aa9a3"), hex_colour("#f2b84b"), hex_colour("#8a7fa8")
_STATUS = {"in_time": 0.0, "late": 1.0, "never": 2.0}
_MINUTES = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 15.0)
"""Among them the limits in use: 8 and 10 min of fire brigades, circles of 15 min."""
_SOON = tuple(hex_colour(text) for text in ("#e3f0d8", "#b5dcc4", "#7cbfb9", "#4c96ae", "#3d6c9e", "#3b3f78", "#241a47"))
_NONE = Text("not assessed", "未评估")
_NO_TIME = Text("no route, or not assessed", "无路径或未评估")
_CUT = Text("cut off", "交通中断")
_STATION = hex_colour("#c2185b")
_STATION_SHUT = CLOSED_COLOUR
_PIN = (7.0, 26.0, 8)  # radius [m], height [m], sides
_STATIONS = Text("Stations", "站点")
_WORDS = {**VEHICLES, "fire": "消防", "hospital": "医院", "police": "公安", "school": "学校", "shelter": "避难场所", "stations": "站点"}
_LONGER = "the end of the run or longer 至模拟结束或更晚"
_TOLD = ("status", "reason", "time_dry", "time_worst", "station", "cut_off_at", "cut_off_until_at", "cut_off_minutes", "late_minutes",
         "people")  # fmt: skip
_OF_STATION = ("closed_at", "closed_minutes")


def is_reach(result: Fields) -> bool:
    """Say whether a result says of objects how they are reached."""
    table = result.tables.get("objects")
    return table is not None and {"object", "status", "time_dry"} <= set(table.column_names)


def reach_layers(scene: Scene, result: Fields, *, by: str = "status", place: str | None = None) -> tuple[Layer, ...]:
    """Return the buildings in the colours of reach, over time where roads change, and the stations.

    Parameters
    ----------
    by
        ``"status"`` (in time, late, cut off, over time), ``"time_dry"`` or ``"time_worst"`` (minutes from the nearest station).
    place
        Service and vehicle class, such as ``"fire, emergency"``; the first of the result when left out.

    Raises
    ------
    UsageError
        If there is no such place or colour, or none of the objects is drawn in the scene.
    """
    if by not in BY:
        msg = f"by={by!r}; give one of {', '.join(BY)}"
        raise UsageError(msg)
    table = _of_place(result, "objects", place)
    mesh, rows = _taken(scene, table)
    title = _title(table)
    layer = Layer(
        name="reach", label=title, points=mesh[0], triangles=mesh[1], cell_object=mesh[2], ids=_ids(scene, rows), legend=Legend(title),
        colours=np.zeros((len(rows), 3), np.uint8), overlay=True, told=_told(table, rows[:, 2], scene.city.time_zone, _TOLD),
        notes=_notes(table, rows), point_shade=_shades(scene, rows),
    )  # fmt: skip
    made = _over_time(layer, result, table, rows[:, 2], place) if by == "status" else _still(layer, table, rows[:, 2], by)
    return (made, *_stations(scene, result, place))


def _title(table: pa.Table) -> Text:
    """Return service and vehicle class as people call them."""
    place = str(table["place"][0]) if "place" in table.column_names and table.num_rows else ""
    words = [word.strip() for word in place.split(",") if word.strip()]
    if not words:
        return Text("Reach", "可达性")
    return Text(f"Reach: {', '.join(words)}", f"可达性：{'、'.join(_WORDS.get(word, word) for word in words)}")


def _of_place(result: Fields, name: str, place: str | None) -> pa.Table:
    """Return the rows of one service and vehicle class; a table may add a time limit to the name."""
    table = result.tables[name]
    if "place" not in table.column_names:
        return table
    known = [str(one) for one in pc.unique(result.tables["objects"]["place"]).to_pylist()]
    wanted = place if place is not None else (known[0] if known else "")
    if wanted not in known:
        msg = f"place={place!r}; {result.name!r} has {'; '.join(known) or 'none'}"
        raise UsageError(msg)
    return table.filter(pc.or_(pc.equal(table["place"], wanted), pc.starts_with(table["place"], f"{wanted}, ")))


# --------------------------------------------------------------------------------------------- buildings


def _sources(scene: Scene) -> list[Layer]:
    return [layer for layer in scene.layers if len(layer.ids) and not layer.overlay and layer.motion is None and layer.name != "landuse"]


def _taken(scene: Scene, table: pa.Table) -> tuple[Mesh, Ints]:
    """Return the triangles of the objects of a table, and per object drawn its layer, its row there and its row in the table."""
    ids = pa.array(texts_of(table["object"]).tolist(), pa.string())
    parts, found, count = [], [], 0
    for number, layer in enumerate(_sources(scene)):
        place = rows_of(scene.context, layer, ids)
        keep = place[layer.cell_object] >= 0
        if not keep.any():
            continue
        used, renumbered = np.unique(layer.triangles[keep], return_inverse=True)
        mine, owner = np.unique(layer.cell_object[keep], return_inverse=True)
        parts.append((layer.points[used], renumbered.reshape(-1, 3).astype(np.int32), (owner + count).astype(np.int32)))
        found.append(np.column_stack([np.full(len(mine), number), mine, place[mine]]))
        count += len(mine)
    if not found:
        first = ids[0].as_py() if len(ids) else "none"
        msg = f"none of the {len(ids):,} objects of the reach is drawn in this scene, the first is {first!r}; add it to a scene of its city"
        raise UsageError(msg)
    return join(parts), np.concatenate(found).astype(np.int64)


def _ids(scene: Scene, rows: Ints) -> NDArray[np.object_]:
    layers = _sources(scene)
    return np.concatenate([layers[number].ids[rows[rows[:, 0] == number, 1]] for number in np.unique(rows[:, 0]).tolist()])


def _shades(scene: Scene, rows: Ints) -> NDArray[np.float32]:
    """Return the shade of the points taken, in the order of `_taken`."""
    layers, shades = _sources(scene), []
    for number in np.unique(rows[:, 0]).tolist():
        layer = layers[number]
        mine = np.zeros(len(layer), bool)
        mine[rows[rows[:, 0] == number, 1]] = True
        used = np.unique(layer.triangles[mine[layer.cell_object]])
        shades.append(np.ones(len(used), np.float32) if layer.point_shade is None else layer.point_shade[used])
    return np.concatenate(shades).astype(np.float32)


def _notes(table: pa.Table, rows: Ints) -> tuple[Text, ...]:
    unseen = table.num_rows - len(np.unique(rows[:, 2]))
    return (Text(f"{unseen:,} objects of the reach are not drawn", f"{unseen:,} 个对象未绘制"),) if unseen else ()


def _told(table: pa.Table, of: Ints, zone: str, names: tuple[str, ...]) -> tuple[Told, ...]:
    """Return what a click tells: columns of the table, seconds as minutes, instants in the zone of the city."""
    told = []
    stays = table["cut_off_at_end"].to_pylist() if "cut_off_at_end" in table.column_names else [None] * table.num_rows
    for name in (one for one in names if one in table.column_names):
        field = table.schema.field(name)
        said = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        plain = name.replace("_", " ")
        values: list[Any] = table[name].to_pylist()
        counts = unit(field)
        if counts == "s" or (not counts and name.startswith("time_")):
            values, counts = [None if one is None else one / 60.0 for one in values], "min"
        title = Text(said.get("label_en") or plain, said.get("label_zh") or plain)
        if pa.types.is_timestamp(field.type):
            title = Text(title.en.removesuffix(", UTC"), title.zh.removesuffix("（UTC）"))
            values = [None if one is None else f"{one.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M}" for one in values]
        if name == "cut_off_until_at":
            values = [_LONGER if open_ else one for open_, one in zip(stays, values, strict=True)]
        told.append(Told(title, [values[row] for row in of.tolist()], counts))
    return tuple(told)


def _still(layer: Layer, table: pa.Table, of: Ints, by: str) -> Layer:
    minutes = floats(table[by]) / 60.0 if by in table.column_names else np.full(table.num_rows, np.nan)
    most = float(np.nan_to_num(minutes).max(initial=0.0))
    bounds = (*_MINUTES, max(most, 20.0)) if most > _MINUTES[-4] else rounded_bounds(minutes, len(_SOON))
    words = {"time_dry": Text("Time from the nearest station, dry", "最近站点到达时间（无积水）"),
             "time_worst": Text("Longest time from the nearest station", "最长到达时间")}  # fmt: skip
    scale = Scale(words[by], "min", bounds, _SOON, none=_NO_TIME, closed=_CUT)
    codes = scale.encode(minutes)
    if by == "time_worst":
        codes[texts_of(table["status"]) == "cut_off"] = CLOSED
    own = codes[of]
    return painted(layer, scale, own, scale.legend(_once(own, of)))


def _once(codes: Bytes, of: Ints) -> Bytes:
    """Return one code per object of the table: a house of forty parts is one house in the legend."""
    return codes[np.unique(of, return_index=True)[1]]


def _status_scale(table: pa.Table) -> Scale:
    limits = [name.removeprefix("within_") for name in table.column_names if name.startswith("within_")]
    limit = f" {limits[-1]}" if limits else " time"
    limit_zh = limits[-1] if limits else "时限"
    names = (
        Text(f"reached within{limit}", f"{limit_zh} 内到达"),
        Text("later", "超时到达"),
        Text("no route even when dry", "无积水时亦不可达"),
    )
    return Scale(
        _title(table), "", (-0.5, 0.5, 1.5, 2.5), (_IN_TIME, _LATE, _NEVER), none=_NONE,
        open_ends=(False, False), closed=_CUT, names=names, note=Text("", ""),
    )  # fmt: skip


def _codes(scale: Scale, status: NDArray[np.object_]) -> Bytes:
    values = np.array([_STATUS.get(one, np.nan) for one in status.tolist()])
    codes = scale.encode(values)
    codes[status == "cut_off"] = CLOSED
    return codes


def _over_time(layer: Layer, result: Fields, table: pa.Table, of: Ints, place: str | None) -> Layer:
    """Return the layer with its status at each step: that of the dry network, changed by the events; without steps it stands still."""
    scale = _status_scale(table)
    steps = _of_place(result, "steps", place) if "steps" in result.tables else None
    steps = None if steps is None else steps.filter(pc.is_valid(steps["time"]))
    if steps is None or not steps.num_rows:
        own = _codes(scale, texts_of(table["status"]))[of]
        return painted(layer, scale, own, scale.legend(_once(own, of)))
    micros, dated = micros_of(result, steps["time"])
    times = np.unique(micros)
    known = texts_of(table["status_dry" if "status_dry" in table.column_names else "status"])
    codes = np.repeat(_codes(scale, known)[None], len(times), axis=0)
    if "cut_off" in result.tables:
        _apply(codes, scale, _of_place(result, "cut_off", place), result, table, times)
    peak = int((codes == CLOSED).sum(axis=1).argmax())
    layer = replace(layer, notes=(*layer.notes, *_strangers(result)))
    motion = States(times.astype("M8[us]"), dated, peak, layer, (Shade(scale, codes[:, of]),), layer.notes)
    return motion.frame(replace(layer, motion=motion), peak)


def _strangers(result: Fields) -> tuple[Text, ...]:
    """Count the objects that are cut off but are not in the table of objects."""
    if "cut_off" not in result.tables:
        return ()
    ids = result.tables["cut_off"]["object"].unique()
    known = pc.is_in(ids, result.tables["objects"]["object"].combine_chunks())
    lost = len(ids) - int(pc.sum(known).as_py() or 0)
    said = Text(f"{lost:,} objects that are cut off are not listed and are not drawn", f"{lost:,} 个中断对象未列出，未绘制")
    return (said,) if lost else ()


def _apply(codes: Bytes, scale: Scale, events: pa.Table, result: Fields, table: pa.Table, times: Ints) -> None:
    """Put changes of status into the codes: each holds from its step on until the next of the same object."""
    if not events.num_rows:
        return
    place = pc.index_in(events["object"].combine_chunks(), table["object"].combine_chunks())
    row = np.asarray(pc.fill_null(place, -1).to_numpy(zero_copy_only=False), np.int64)
    when = np.searchsorted(times, micros_of(result, events["time"])[0])
    after = _codes(scale, texts_of(events["after"]))
    for at in np.unique(when[row >= 0]).tolist():  # over steps
        mine = (when == at) & (row >= 0)
        codes[at:, row[mine]] = after[mine]


# --------------------------------------------------------------------------------------------- stations


def _stations(scene: Scene, result: Fields, place: str | None) -> tuple[Layer, ...]:
    """Return a pin over every station, named; one that was closed in is dark red."""
    import shapely

    if "stations" not in result.tables:
        return ()
    table = _of_place(result, "stations", place)
    ids = texts_of(table["object"])
    objects = scene.city.tables["objects"]
    place_of = pc.index_in(pa.array(ids.tolist(), pa.string()), objects["id"].combine_chunks())
    row = np.asarray(pc.fill_null(place_of, -1).to_numpy(zero_copy_only=False), np.int64)
    taken = objects.take(pa.array(np.maximum(row, 0)))
    shapes = shapely.from_wkb(np.asarray(taken["footprint"].to_pylist(), object)) if len(row) else np.empty(0, object)
    known = (row >= 0) & ~shapely.is_missing(shapes) & ~shapely.is_empty(shapes)
    lost = int((~known).sum())
    notes = (
        (Text(f"{lost:,} stations are no objects of the city and are not drawn", f"{lost:,} 个站点不是城市对象，未绘制"),) if lost else ()
    )
    if not known.any():
        return (replace(_EMPTY, notes=notes),) if lost else ()
    middle = shapely.get_coordinates(shapely.point_on_surface(shapes[known])) - scene.origin[:2]
    roof = floats(taken["z_roof"])[known]
    foot = np.fmax(np.where(np.isfinite(roof), roof, -np.inf), scene.context.ground.at(middle[:, 0], middle[:, 1])) + 2.0
    status = texts_of(table["status"])[known] if "status" in table.column_names else np.full(int(known.sum()), "open", object)
    shut = status == "closed"
    points, triangles, owner = _pins(np.column_stack([middle, foot]))
    names = [name or one for name, one in zip(taken["name"].filter(pa.array(known)).to_pylist(), ids[known].tolist(), strict=True)]
    labels = tuple(Label(Text(name, name), (x, y, z + _PIN[1] + 8.0), at)
                   for at, (name, (x, y), z) in enumerate(zip(names, middle.tolist(), foot.tolist(), strict=True)))  # fmt: skip
    counts = ((_STATION, Text("station", "站点"), int((~shut).sum()), False),
              (_STATION_SHUT, Text("closed in at times", "曾被封闭"), int(shut.sum()), True))  # fmt: skip
    entries = tuple(LegendEntry(*one) for one in counts if one[2])
    return (Layer(
        name="stations", label=_STATIONS, points=points, triangles=triangles, cell_object=owner, ids=ids[known],
        colours=np.where(shut[:, None], _STATION_SHUT, _STATION).astype(np.uint8), legend=Legend(_STATIONS, entries), labels=labels,
        hatched=shut if shut.any() else None, notes=notes,
        told=(Told(Text("state", "状态"), ["closed in at times 曾被封闭" if one else "open 开放" for one in shut.tolist()]),
              *_told(table, np.flatnonzero(known), scene.city.time_zone, _OF_STATION)),
    ),)  # fmt: skip


_EMPTY = Layer(
    name="stations", label=_STATIONS, points=np.empty((0, 3)), triangles=np.empty((0, 3), np.int32), cell_object=np.empty(0, np.int32),
    ids=np.empty(0, object), colours=np.empty((0, 3), np.uint8), legend=Legend(_STATIONS),
)  # fmt: skip


def _pins(feet: Reals) -> Mesh:
    """Return a pin that stands on its tip at each place: a cone upside down under a flat cone."""
    radius, height, sides = _PIN
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = np.column_stack([radius * np.cos(turn), radius * np.sin(turn), np.full(sides, 0.72 * height)])
    shape = np.concatenate([ring, [[0.0, 0.0, 0.0], [0.0, 0.0, height]]])
    here, after = np.arange(sides), (np.arange(sides) + 1) % sides
    low, top = np.full(sides, sides), np.full(sides, sides + 1)
    faces = np.concatenate([np.column_stack([here, low, after]), np.column_stack([here, after, top])])
    points = (feet[:, None, :] + shape).reshape(-1, 3)
    triangles = (faces[None] + (np.arange(len(feet)) * len(shape))[:, None, None]).reshape(-1, 3)
    return points, triangles.astype(np.int32), np.repeat(np.arange(len(feet)), len(faces)).astype(np.int32)
