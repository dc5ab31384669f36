"""Writing of a road network as GMNS: the columns of the specification, and exact copies where it has no place or rounds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import UsageError
from cim.loaders.gmns.tables import write_table
from cim.loaders.gmns.turns import all_turns
from cim.loaders.gmns.units import LENGTHS, SPEEDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model.road_network import RoadNetwork

    Reals = NDArray[np.float64]

__all__ = ["write_network"]

_VERSION = "0.97"
_MINUTE = 60.0


def write_network(
    network: RoadNetwork, folder: str | Path, *, length_unit: str = "m", speed_unit: str = "km/h", name: str = ""
) -> list[str]:  # fmt: skip
    """Write ``node.csv``, ``link.csv``, ``config.csv`` and, where there are banned turns, ``movement.csv``; return what GMNS cannot hold.

    Cost laws go into ``vdf_fftt`` [min], ``vdf_alpha`` and ``vdf_beta``; what other programs have no column for into columns and tables
    that begin with ``cim_``. Reading the folder gives the same network back.

    Parameters
    ----------
    length_unit, speed_unit
        Names of `LENGTHS` and `SPEEDS`, for lengths and speeds; capacity is per lane and hour as the specification asks.

    Raises
    ------
    UsageError
        If a unit is not known, or the folder holds a network already.
    """
    for unit, known in ((length_unit, LENGTHS), (speed_unit, SPEEDS)):
        if unit not in known:
            msg = f"the unit is {unit!r}; give one of {', '.join(known)}"
            raise UsageError(msg)
    place = Path(folder)
    if (place / "link.csv").exists():
        msg = f"{place} holds a link.csv already; give an empty folder"
        raise UsageError(msg)
    place.mkdir(parents=True, exist_ok=True)
    write_table(_config(network, length_unit, speed_unit, name or place.name), place / "config.csv")
    write_table(_nodes(network), place / "node.csv")
    write_table(_links(network, LENGTHS[length_unit], SPEEDS[speed_unit]), place / "link.csv")
    moves, shut = _movements(network)
    if moves.num_rows:
        write_table(moves, place / "movement.csv")
    ids = network.links["id"]
    for table, file in ((shut, "cim_banned.csv"), (network.signals, "cim_signal.csv"), (network.yields, "cim_yield.csv")):
        if table.num_rows:
            columns = [ids.take(column) if column.type == pa.int64() else column for column in table.columns]
            write_table(pa.Table.from_arrays(columns, names=table.column_names), place / file)
    return _losses(network)


def _config(network: RoadNetwork, length_unit: str, speed_unit: str, name: str) -> pa.Table:
    return pa.table({
        "dataset_name": [name], "short_length": ["m"], "long_length": [length_unit], "speed": [speed_unit], "crs": [network.crs],
        "geometry_field_format": ["wkt"], "version_number": [_VERSION], "id_type": ["string"],
    })  # fmt: skip


def _nodes(network: RoadNetwork) -> pa.Table:
    nodes = network.nodes
    centroid = ~nodes["through"].to_numpy()
    kind = pa.array(["centroid" if one else None for one in centroid.tolist()], pa.string())
    zone = nodes["zone"] if "zone" in nodes.column_names else pa.array(
        [name if one else None for name, one in zip(nodes["id"].to_pylist(), centroid.tolist(), strict=True)], pa.string())  # fmt: skip
    x, y = (_numbers(nodes[name].to_numpy()) for name in ("x", "y"))
    return pa.table({"node_id": nodes["id"], "x_coord": x, "y_coord": y, "node_type": kind, "zone_id": zone})


def _links(network: RoadNetwork, length_factor: float, speed_factor: float) -> pa.Table:
    links = network.links
    names = network.nodes["id"]
    length, time, lanes, capacity = (network.column(name).astype(float) for name in ("length", "free_flow_time", "lanes", "capacity"))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        speed = np.where((time > 0) & (length > 0), length / time / speed_factor, np.nan)
        speed = np.where(np.isfinite(speed), speed, np.nan)
        per_lane = np.where(lanes > 0, capacity / lanes, capacity)
    columns: dict[str, Any] = {
        "link_id": links["id"], "from_node_id": names.take(links["from_node"]), "to_node_id": names.take(links["to_node"]),
        "directed": pa.array(["true"] * len(time)), "length": _numbers(length / length_factor), "facility_type": links["class"],
        "capacity": _numbers(per_lane), "free_speed": _numbers(speed), "lanes": _numbers(lanes), "vdf_fftt": _numbers(time / _MINUTE),
        "vdf_alpha": links["b"], "vdf_beta": links["power"], "cim_free_flow_time": links["free_flow_time"],
        "cim_capacity": links["capacity"], "cim_fixed": links["fixed"], "cim_law": links["law"], "cim_object": links["object"],
        "cim_assumed": pa.array([" ".join(one or []) or None for one in links["assumed"].to_pylist()], pa.string()),
    }  # fmt: skip
    if length_factor != 1.0:
        columns["cim_length"] = _numbers(length)
    return pa.table(columns)


def _movements(network: RoadNetwork) -> tuple[pa.Table, pa.Table]:
    """Return the turns that are allowed at every node that has a banned one, and the banned ones where none is allowed."""
    head, count = network.column("to_node"), network.links.num_rows
    ban_from, ban_to = (network.banned[name].to_numpy() for name in ("from_link", "to_link"))
    begin, end = all_turns(network, np.unique(head[ban_from]))
    allowed = ~np.isin(begin * count + end, ban_from * count + ban_to)
    begin, end = begin[allowed], end[allowed]
    ids = network.links["id"]
    closed = ~np.isin(head[ban_from], head[begin])
    return pa.table({
        "mvmt_id": pa.array([str(k + 1) for k in range(len(begin))], pa.string()),
        "node_id": network.nodes["id"].take(pa.array(head[begin])),
        "ib_link_id": ids.take(pa.array(begin)), "ob_link_id": ids.take(pa.array(end)),
        "type": pa.array(["thru"] * len(begin), pa.string()), "ctrl_type": pa.array(["no_control"] * len(begin), pa.string()),
    }), network.banned.filter(pa.array(closed))  # fmt: skip


def _losses(network: RoadNetwork) -> list[str]:
    """Return what another program will not find in the folder."""
    fixed, law = network.column("fixed"), np.asarray(network.links["law"].to_pylist(), object)
    counts = (
        (int((fixed != 0).sum()), "links have a fixed cost, which only cim_fixed holds"),
        (int((law != "bpr").sum()), "links have another cost than the Bureau of Public Roads', which only cim_law says"),
        (network.signals.num_rows, "greens of signals stand in cim_signal.csv: GMNS knows rings and barriers only"),
        (network.yields.num_rows, "turns that give way stand in cim_yield.csv: GMNS does not say to whom"),
        (int(network.banned.num_rows > 0), "movement.csv calls every movement thru: what turns left or right is not known"),
    )
    return [f"{count} {said}" if said[0] != "m" else said for count, said in counts if count]


def _numbers(values: Reals) -> pa.Array:
    return pa.array(values, pa.float64(), from_pandas=True)
