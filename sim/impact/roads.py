"""The tables of roads and of their links: the water on each, and which vehicles it lets pass."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.results.columns import column
from cim.sim.impact.over_underpasses import cut_cells
from cim.sim.impact.places import MEASURED, Places, line_places, measured, ring_places
from cim.sim.impact.road_pieces import MISSING_LINE, Pieces, read_links, read_roads
from cim.sim.impact.road_water import RoadWater

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.sim.impact.parameters import ImpactParameters
    from cim.sim.impact.water import Water

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Texts = NDArray[np.object_]

__all__ = ["read_road_water", "road_schema"]

_OVER = "over_an_underpass"
"""Reason of an area that lies over or in an underpass, and says nothing of which."""


def road_schema(limits: ImpactParameters, *, links: bool) -> pa.Schema:
    """Return the columns of a table of roads or of their links."""
    place = [column("place", pa.string(), en="link", zh="路段"), column("length", pa.float64(), unit="m", en="length", zh="长度")]
    return pa.schema(
        [
            pa.field("object", pa.string()),
            *(place if links else [column("shape", pa.string(), en="line or area", zh="线或面")]),
            *MEASURED,
            *(column(f"passable_{name}", pa.string(), en=f"passable, {name.replace('_', ' ')}", zh="可通行") for name in limits.vehicles),
            column("deck_level", pa.float64(), unit="m", en="lowest level of the deck", zh="桥面最低标高"),
            column("deck_source", pa.string(), en="who tells the level of the deck", zh="桥面标高来源"),
            column("cells", pa.int64(), en="cells", zh="单元数"),
            column("unknown", pa.float64(), en="share not known", zh="未知比例"),
        ]
    )


def read_road_water(city: City, water: Water, limits: ImpactParameters, roofs: Bools) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Return the columns of the tables of roads and of their links, and what was taken for granted.

    A road is open to a vehicle where its links are: closed as soon as one of them is. An area without links has the cells inside it.

    Parameters
    ----------
    roofs : shape (ny * nx,)
        Cells under roofs.
    """
    keys, roads = read_roads(city, water, limits)
    links, owner = read_links(city, keys, roads, water, limits)
    linked = RoadWater.of(city, links, water, limits, roofs)
    whole, said = _whole(city, roads, water, limits, roofs)
    named = {"object": roads.ids, "shape": np.where(roads.area, "area", "line").astype(object)}
    decks = {"deck_level": _least(linked.deck, owner, len(keys)), "deck_source": _first(linked.decks.source, owner, len(keys))}
    found = {**named, **_by_links(whole, linked, owner, water, limits), **decks}
    for name, vehicle in limits.vehicles.items():
        by_link = linked.answer(vehicle, limits.unknown_share)
        found[f"passable_{name}"] = _passable(whole.answer(vehicle, limits.unknown_share), by_link, links, owner)
    return found, _link_columns(linked, limits), [*linked.decks.notes(), *said]


def _link_columns(linked: RoadWater, limits: ImpactParameters) -> dict[str, Any]:
    pieces = linked.pieces
    passable = {f"passable_{name}": linked.answer(one, limits.unknown_share) for name, one in limits.vehicles.items()}
    decks = {"deck_level": linked.deck, "deck_source": linked.decks.source}
    return {
        "object": pieces.ids,
        "place": pieces.place,
        "length": pieces.length,
        **_timed(linked.columns, linked, None),
        **passable,
        **decks,
    }


def _whole(city: City, roads: Pieces, water: Water, limits: ImpactParameters, roofs: Bools) -> tuple[RoadWater, list[str]]:
    """Return the water of roads as a whole, along their line or inside their area, no deck looked at, and what is to be told of it."""
    area = roads.area
    lines, rings = roads.shapes.copy(), roads.shapes.copy()
    lines[area] = rings[~area] = None
    along, inside = line_places(lines, water.place), ring_places(rings, np.zeros_like(roofs), water.place, 0.0)
    places = _both(along, inside, area)
    places = replace(places, reason=np.where([one is None for one in roads.reason], places.reason, roads.reason))
    closed = ~roads.opened[places.row]
    cut = places.under(cut_cells(city, roads.shapes[area], water)) & area[places.row] & closed
    found = RoadWater.at(roads, places, water, limits, (places.under(roofs) & closed) | cut)
    over = np.bincount(places.row[cut], minlength=places.count) > 0
    found.reason[over & (found.reason == "unknown_cells")] = _OVER
    said = f"{int(over.sum()):,} areas of roads lie over or in an underpass, and say not which: the water in the cut is not told of them"
    return found, [said] if over.any() else []


def _both(along: Places, inside: Places, area: Bools) -> Places:
    """Return the places of lines and of areas as one, in the order of the objects."""
    row = np.concatenate([along.row, inside.row])
    order = np.argsort(row, kind="stable")
    cell, weight = (np.concatenate([getattr(one, name) for one in (along, inside)])[order] for name in ("cell", "weight"))
    beyond, reason = np.where(area, inside.beyond, along.beyond), np.where(area, inside.reason, along.reason)
    return Places(along.count, row[order], cell, weight, beyond, reason)


def _by_links(whole: RoadWater, linked: RoadWater, owner: Ints, water: Water, limits: ImpactParameters) -> dict[str, Any]:
    """Return the columns of roads: the water of their links where one lies on a deck, or its water is not that on the ground."""
    count, places = whole.places.count, linked.places
    preset = places.reason.copy()
    preset[preset == MISSING_LINE] = None
    special = np.zeros(count, bool)
    special[owner[np.array([one is not None for one in preset], bool) | (linked.decks.source != None)]] = True  # noqa: E711  # by element
    columns = dict(whole.columns)
    if not special.any():
        return columns
    beyond = np.bincount(owner[places.beyond], minlength=count) > 0
    regrouped = Places(count, owner[places.row], places.cell, places.weight, beyond, np.full(count, None, object))
    water_there = linked.on_road.take(np.arange(len(places.row)))
    hidden = np.array([one is not None for one in preset], bool)[places.row]
    for name in water_there.__dataclass_fields__:
        getattr(water_there, name)[hidden] = np.nan
    found = _timed(measured(regrouped, water_there, water, limits), linked, owner)
    first = _first(preset, owner, count)
    found["reason"] = np.where((found["status"] == "not_assessed") & (first != None), first, found["reason"])  # noqa: E711  # by element
    for name, values in found.items():
        plain = columns[name]
        is_arrow = isinstance(plain, pa.Array | pa.ChunkedArray)
        columns[name] = pc.if_else(pa.array(special), values, plain) if is_arrow else np.where(special, values, plain)
    return columns


def _timed(columns: dict[str, Any], linked: RoadWater, owner: Ints | None) -> dict[str, Any]:
    """Return columns without the times of whatever has water on a deck: when it came there, and how long it stood, the run does not say."""
    with np.errstate(invalid="ignore"):
        wet = (linked.lifted > 0) & (linked.on_road.depth > 0)
    row = linked.places.row if owner is None else owner[linked.places.row]
    lost = np.bincount(row[wet], minlength=len(columns["status"])) > 0
    at = columns["first_wet_at"]
    timed = {name: np.where(lost, np.nan, columns[name]) for name in ("first_wet", "duration")}
    return {**columns, **timed, "first_wet_at": pc.if_else(pa.array(lost), pa.scalar(None, at.type), at)}


def _passable(own: Texts, by_link: Texts, links: Pieces, owner: Ints) -> Texts:
    """Return whether vehicles can pass roads: by their links; a link of which nobody says where it lies is passable where all of it is."""
    count = len(own)
    answer = np.where((links.reason == MISSING_LINE) & (own[owner] == "yes"), "yes", by_link)
    stopped, unsure = (np.bincount(owner[answer == word], minlength=count) > 0 for word in ("no", "not_assessed"))
    made = np.where(stopped, "no", np.where(unsure, "not_assessed", "yes"))
    return np.where(np.bincount(owner, minlength=count) > 0, made, own).astype(object)


def _first(values: Texts, owner: Ints, count: int) -> Texts:
    """Return the first of the values of the links of each road that is there, else None."""
    found = np.full(count, None, object)
    held = np.flatnonzero(np.array([one is not None for one in values], bool))[::-1]
    found[owner[held]] = values[held]
    return found


def _least(values: Floats, owner: Ints, count: int) -> Floats:
    found = np.full(count, np.nan)
    np.fmin.at(found, owner, values)
    return found
