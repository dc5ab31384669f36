"""The links a result speaks of as ribbons of a scene: which link of the city each row is, how broad it is drawn, and what is not drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import ObjectNotFoundError, UsageError
from cim.model.link_json import said_by_links
from cim.model.link_lines import link_lines
from cim.model.numeric import floats
from cim.scenes.context import values_of
from cim.scenes.layer import Layer, Legend, Text, join
from cim.scenes.traffic_ribbons import Band, Stations, decks_of, ribbons, stations_along

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.scenes.context import Context
    from cim.scenes.scene import Scene

    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["LANE", "SIDES", "Ways", "plain_column", "ways_of"]

LANE = 3.25
"""Width that a lane is drawn [m]; between the 3.25 m and 3.5 m of CJJ 37-2012 table 5.3.2."""
SIDES = ("right", "left")
_NARROWEST = 0.8  # lanes
_SPACING = 24.0  # m between stations where the ground is level or unknown
_LIFT = 1.0  # m above the road: water that a car could still drive through does not hide it
_WIDER, _RAISE = 1.4, 1.5  # m that a closed link is broader on either side, and higher: over the edges of the ribbon below, seen from afar
_CLEAR = 0.3  # m that it lies over the water
_SKIRT = 1.6  # m that a wet link shows on either side of the ribbon of its traffic
_BELOW = 0.15  # m that it lies lower
_WATER = 0.42  # m that water is drawn above its height (cim.scenes.water.LIFT)
_NO = frozenset({"none", "no", "false", "0", "", "nan"})


@dataclass(frozen=True)
class Ways:
    """Links of a result that the city has, one row each."""

    rows: Ints
    """Row of the result."""
    ids: NDArray[np.object_]
    """Object of each link."""
    keys: NDArray[np.object_]
    """Id of each link."""
    width: Reals
    """[m]"""
    shared: Bools
    """Whether the opposite direction has the same line."""
    stations: Stations
    context: Context
    drives: str
    notes: tuple[Text, ...]

    def __len__(self) -> int:
        """Return the number of links."""
        return len(self.rows)

    def mesh(self, name: str, title: Text, closed: Bools, *, wet: bool = False, over: Reals | None = None) -> tuple[Layer, Ints]:
        """Return the ribbons as a layer, and which link each of its objects is: all links, then once more those that are ever closed.

        Parameters
        ----------
        closed : shape (n,)
            Links that need the broad ribbon of a closure.
        wet
            Whether the ribbons lie below those of traffic and show on both sides of them.
        over : shape (n,)
            Greatest depth of water on each link: the ribbon of a closure lies on it [m].
        """
        shut = np.flatnonzero(closed)
        rank = np.zeros(len(self), np.int64)
        rank[shut] = len(self) + np.arange(len(shut))
        ground = self.context.ground
        skirt, below = (_SKIRT, _BELOW) if wet else (0.0, 0.0)
        plain = ribbons(self.stations, self._band(_LIFT - below, skirt), ground, np.arange(len(self)))
        level = None if over is None else self._surface(over) + _CLEAR
        broad = ribbons(self.stations.of(closed), self._band(_LIFT + _RAISE, _WIDER + skirt, level), ground, rank)
        points, triangles, objects = join([plain[:3], broad[:3]])
        edges = np.concatenate([plain[3], broad[3] + len(plain[0])]).astype(np.int32)
        of = np.concatenate([np.arange(len(self)), shut])
        layer = Layer(
            name=name, label=title, points=points, triangles=triangles, cell_object=objects, ids=self.ids[of], keys=self.keys[of],
            colours=np.zeros((len(of), 3), np.uint8), legend=Legend(title), lit=False, edges=edges, edge_own=True, edge_opacity=1.0,
            edge_width=2.0, notes=self.notes,
        )  # fmt: skip
        return layer, of

    def _band(self, lift: float, wider: float, level: Reals | None = None) -> Band:
        return Band.beside(self.width, self.shared, lift, wider=wider, drives=self.drives, level=level)

    def _surface(self, depth: Reals) -> Reals:
        """Return how high the water stands on each link: its greatest depth over the lowest place, as in a pond."""
        lowest = np.full(len(self), np.inf)
        xy = self.stations.xy
        np.minimum.at(lowest, self.stations.link, self.context.ground.at(xy[:, 0], xy[:, 1]))
        return lowest + depth + _WATER


def plain_column(table: pa.Table, *names: str) -> Reals:
    """Return the first of some columns that a table has as numbers, NaN where there is none."""
    name = next((one for one in names if one in table.column_names), None)
    return np.full(table.num_rows, np.nan) if name is None else floats(table[name])


def ways_of(scene: Scene, links: NDArray[np.object_], lanes: Reals, *, drives: str = "right", lane: float = LANE) -> Ways:
    """Return the links of a result as ribbons.

    Parameters
    ----------
    links : shape (n,)
        Ids of links, ``object:from>to``.
    lanes : shape (n,)
        Lanes of each direction; NaN where the result does not say: as the city says then, else as traffic assumes of the class.
    drives
        ``"right"`` or ``"left"``: the side of the road that a direction is drawn on.
    lane
        Width that a lane is drawn [m].

    Raises
    ------
    UsageError
        If `drives` is no side, or the city has none of the links.
    """
    if drives not in SIDES:
        msg = f"drives={drives!r}; give 'right' or 'left', the side that is driven on"
        raise UsageError(msg)
    context = scene.context
    found = _directed(context.city)
    place = found.place_of(links)
    drawn = (place >= 0) & ~found.missing[np.maximum(place, 0)]
    if not drawn.any():
        said = f"none of the {len(links):,} links of the result is a road of this city that has a line"
        first = repr(links[0]) if len(links) else "none"
        msg = f"{said}; the first is {first}, the city has {found.keys[:1].tolist()}: add it to a scene of its city"
        raise UsageError(msg)
    rows = np.flatnonzero(drawn)
    at = place[rows]
    stated = np.where(lanes[rows] > 0, lanes[rows], found.lanes[at])
    width = np.maximum(stated, _NARROWEST) * lane
    lines = found.lines(at, context.origin[:2])
    over, under = _crossings(context.city, found.object[at])
    decks = decks_of(scene.layers, over, context.ground)
    spacing = float(np.clip(context.ground.step, 2.0, _SPACING))
    stations = stations_along(lines, found.junctions(at, width), spacing, decks)
    notes = _notes(int((place < 0).sum()), int(((place >= 0) & ~drawn).sum()), int(under.sum()))
    return Ways(rows, found.ids[at], links[rows], width, found.shared[at], stations, context, drives, notes)


def _notes(foreign: int, lost: int, under: int) -> tuple[Text, ...]:
    told = [
        (foreign, "links of the result are not in this city and are not drawn", "条路段不在本城市模型中，未绘制"),
        (lost, "links have no known line and are not drawn", "条路段位置未知，未绘制"),
        (under, "links in tunnels are drawn on the ground above", "条隧道路段绘于地面"),
    ]
    return tuple(Text(f"{count:,} {en}", f"{count:,} {zh}") for count, en, zh in told if count)


# --------------------------------------------------------------------------------------------- links of the city


@dataclass(frozen=True)
class _Directed:
    """Both directions of the road links of a city."""

    keys: NDArray[np.object_]
    """Id of each direction."""
    ids: NDArray[np.object_]
    object: Ints
    row: Ints
    """Row of `drawn`."""
    back: Bools
    shared: Bools
    missing: Bools
    lanes: Reals
    drawn: NDArray[np.object_]
    """Line of each link, absolute."""
    ends: Ints
    """Shape (links, 2): number of the nodes, -1 where it has none."""

    def place_of(self, links: NDArray[np.object_]) -> Ints:
        """Return the row of each id, -1 where the city has none."""
        import pandas as pd

        return np.asarray(pd.Index(self.keys).get_indexer(pd.Index(links)), np.int64)

    def lines(self, at: Ints, origin: Reals) -> NDArray[np.object_]:
        """Return lines in the direction of travel, relative to the origin of the scene."""
        import shapely

        moved = shapely.transform(self.drawn[self.row[at]], lambda xy: xy - origin)
        turned = self.back[at]
        moved[turned] = shapely.reverse(moved[turned])
        return np.asarray(moved, object)

    def junctions(self, at: Ints, width: Reals) -> Reals:
        """Return what is left free at start and end of directions for the junctions there, shape (n, 2) [m]."""
        known = self.ends >= 0
        count = int(self.ends.max(initial=-1)) + 1
        degree = np.bincount(self.ends[known], minlength=count)
        half = np.zeros(len(self.drawn))
        np.maximum.at(half, self.row[at], np.where(self.shared[at], width, width / 2))
        widest = np.zeros(count)
        for side in (0, 1):
            np.maximum.at(widest, self.ends[known[:, side], side], half[known[:, side]])
        free = np.where(known & (degree >= 3)[self.ends], widest[self.ends], 0.0) if count else np.zeros(self.ends.shape)
        pair = free[self.row[at]]
        return np.where(self.back[at][:, None], pair[:, ::-1], pair)


def _directed(city: City) -> _Directed:
    """Return the directions of all road links under the ids of `cim.sim.traffic.city_network`; one that cars do not drive has none."""
    import pandas as pd

    from cim.sim.traffic.city_network import directed_ids

    found = link_lines(city, "road")
    table = city.tables["links"].take(pa.array(found.row))
    way = np.array(table["direction"].to_pylist(), object)
    sides = [way != "backward", way != "forward"]
    row = np.concatenate([np.flatnonzero(side) for side in sides])
    back = np.repeat([False, True], [int(side.sum()) for side in sides])
    order = np.lexsort((back, row))
    row, back = row[order], back[order]
    ends = np.array([found.from_node, found.to_node], object)
    ids = np.asarray(city.ids(found.object[row]), object)
    names = directed_ids(city)
    keys = np.array([names.get(one, "") for one in zip(found.key[row].tolist(), back.tolist(), strict=True)], object)
    driven = keys != ""
    row, back, ids, keys = row[driven], back[driven], ids[driven], keys[driven]
    codes = pd.factorize(ends.ravel(), use_na_sentinel=True)[0].reshape(2, -1).T
    return _Directed(
        keys, ids, found.object[row], row, back, (sides[0] & sides[1])[row], found.missing[row],
        _lanes(table, row, back), found.lines, np.asarray(codes, np.int64),
    )  # fmt: skip


def _lanes(links: pa.Table, row: Ints, back: Bools) -> Reals:
    """Return the lanes of directions: stated for it, its share of those of both, those of its class, else one."""
    from cim.sim.traffic.city_network import road_classes

    real = pa.float64()
    said = said_by_links(links["attributes"], {"lanes": real, "lanes_forward": real, "lanes_backward": real, "class": pa.string()})
    both, ahead, behind = (floats(said[name])[row] for name in ("lanes", "lanes_forward", "lanes_backward"))
    shared = np.array([one == "both" for one in links["direction"].to_pylist()], bool)[row]
    known = {name: one.lanes for name, one in road_classes().items()}
    usual = np.array([known.get(str(one), 1.0) for one in said["class"].to_pylist()])[row]
    own = np.where(back, behind, ahead)
    share = np.where(shared, both / 2, both)
    return np.where(own > 0, own, np.where(share > 0, share, usual))


def _crossings(city: City, objects: Ints) -> tuple[Bools, Bools]:
    """Return which links run over a bridge, and which in a tunnel, as their roads say."""
    layer = np.array([one if isinstance(one, int | float) else 0.0 for one in _said(city, objects, "layer")], float)
    bridge, tunnel = (
        np.array([str(one).strip().lower() not in _NO for one in _said(city, objects, name)], bool) for name in ("bridge", "tunnel")
    )
    return bridge | ((layer > 0) & ~tunnel), tunnel | ((layer < 0) & ~bridge)


def _said(city: City, objects: Ints, name: str) -> list[Any]:
    keys, place = np.unique(objects, return_inverse=True)
    types = np.asarray(city.core_rows(["type"], keys)["type"].to_pylist(), object)
    try:
        values = np.array(values_of(city, keys, types, name)[0], object)
    except ObjectNotFoundError:
        return [None] * len(objects)
    told: list[Any] = values[place].tolist()
    return told
