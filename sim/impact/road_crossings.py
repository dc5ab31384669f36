"""Why the water on the ground is not that on a road: it leads over it on a bridge, or under it in a tunnel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.link_json import said_by_links
from cim.model.numeric import numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.sim.impact.parameters import ImpactParameters
    from cim.sim.impact.water import Water

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Texts = NDArray[np.object_]

__all__ = ["ON_A_BRIDGE", "crossing_reasons", "opened_ways"]

ON_A_BRIDGE = "on_a_bridge"
_NO = ("", "no", "none", "0", "false", "nan", "否", "无")
_SAID = {"bridge": pa.string(), "tunnel": pa.string(), "layer": pa.float64()}


def crossing_reasons(city: City, keys: Ints, water: Water, limits: ImpactParameters, links: Ints | None = None) -> Texts:
    """Return "on_a_bridge", "in_a_tunnel" or None for roads, or for links of roads.

    What the road says of itself (bridge, tunnel, layer) counts first; where it is silent, what the link says.

    Parameters
    ----------
    keys : shape (n,)
        Of the roads.
    links : shape (n,)
        Rows in the table `links`: the link of the road that is meant. None: the whole road.
    """
    layer = numbers(city, "layer", keys)
    bridge, tunnel = (_stated(city, name, keys) for name in ("bridge", "tunnel"))
    opened = opened_ways(np.array(city.ids(keys) if len(keys) else [], object), water)
    reason = _reasons(bridge, tunnel, layer, opened, limits)
    if links is None or not len(links):
        return reason
    said = said_by_links(city.tables["links"]["attributes"].take(pa.array(links)), _SAID)
    own = said["layer"].to_numpy()
    more = _reasons(bridge | _yes(said["bridge"]), tunnel | _yes(said["tunnel"]), np.where(np.isnan(own), layer, own), opened, limits)
    silent = np.array([one is None for one in reason], bool)
    return np.where(silent, more, reason)


def opened_ways(ids: Texts, water: Water) -> Bools:
    """Return which ways the run has the ground of, although something stands on them."""
    return np.array([one in water.open_ways for one in ids.tolist()], bool)


def _reasons(bridge: Bools, tunnel: Bools, layer: Floats, opened: Bools, limits: ImpactParameters) -> Texts:
    reason = np.full(len(bridge), None, object)
    with np.errstate(invalid="ignore"):
        under = tunnel | ((layer < 0) & ~bridge)
        over = bridge | ((layer > 0) & ~tunnel)
    if limits.tunnels == "not_assessed":
        reason[under & ~opened] = "in_a_tunnel"
    reason[over] = ON_A_BRIDGE
    return reason


def _stated(city: City, name: str, keys: Ints) -> Bools:
    """Return which objects, of whatever class, say something but "no" of themselves."""
    found = np.zeros(len(keys), bool)
    types = np.asarray(city.core_rows(["type"], keys)["type"].to_pylist(), object) if len(keys) else np.empty(0, object)
    for type in dict.fromkeys(types.tolist()):
        if type in city.attributes and name in city.attributes.schema(type).names:
            mine = types == type
            found[mine] = _yes(pc.cast(city.column(type, name, keys[mine]), pa.string()))
    return found


def _yes(texts: pa.ChunkedArray) -> Bools:
    said = pc.utf8_lower(pc.utf8_trim_whitespace(pc.fill_null(texts, "")))
    return ~np.isin(np.asarray(said.to_pylist(), str), _NO)
