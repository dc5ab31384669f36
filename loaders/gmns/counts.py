"""Counts on links, as the ``measurement.csv`` of GMNS tools holds them: between which nodes, and how many vehicles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import CorruptFileError, UsageError
from cim.loaders.gmns.tables import read_table, shown

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cim.loaders.limits import Limits
    from cim.model.road_network import RoadNetwork

__all__ = ["COUNTS", "read_counts"]

COUNTS = pa.schema([
    pa.field("link", pa.int64(), nullable=False), pa.field("count", pa.float64(), nullable=False, metadata={"unit": "veh/h"}),
])  # fmt: skip
"""Row of the link, and what was counted on it."""


def read_counts(
    path: str | Path, network: RoadNetwork, *, hours: float = 1.0, encoding: str | None = None, limits: Limits | None = None
) -> pa.Table:
    """Return the counts on links of a network, with the schema `COUNTS`.

    Rows whose ``measurement_type`` is not ``link`` are left out. A link is named by ``from_node_id`` and ``to_node_id``; of several links
    between the same nodes the one whose id is the ``link_id`` of the row. Other columns are not used.

    Parameters
    ----------
    hours
        How long was counted; counts become vehicles per hour.

    Raises
    ------
    CorruptFileError
        If links are not in the network, are counted twice, or several are meant; lines are named.
    UsageError
        If `hours` is not above zero.
    """
    if not hours > 0:
        msg = f"hours is {hours!r}, expected how long was counted"
        raise UsageError(msg)
    table = read_table(path, encoding=encoding, limits=limits)
    table.need("from_node_id", "to_node_id", "count")
    kind = table.text("measurement_type")
    own = np.flatnonzero(np.array([one is None or one.lower() == "link" for one in kind], bool))
    count = table.numbers("count", 0.0)[own]
    none = own[np.isnan(count)]
    if len(none):
        raise CorruptFileError(table.path, f"{len(none)} rows have no count ({table.lines(none)})", "fill it in")
    begin, end, name = ([table.text(column)[k] for k in own.tolist()] for column in ("from_node_id", "to_node_id", "link_id"))
    row, many = _link_rows(network, begin, end, name)
    for bad, said, remedy in (
        (row < 0, "links that the network does not have", "give the network they were counted on"),
        (many, "one of several links between the same nodes", "give their link_id as the network has it"),
    ):
        if bad.any():
            pairs = [f"{begin[k]}-{end[k]}" for k in np.flatnonzero(bad)]
            raise CorruptFileError(table.path, f"{len(pairs)} rows count {said} ({shown(pairs, 10)}; {table.lines(own[bad])})", remedy)
    _, first, times = np.unique(row, return_index=True, return_counts=True)
    if (times > 1).any():
        pairs = [f"{begin[k]}-{end[k]}" for k in first[times > 1]]
        raise CorruptFileError(table.path, f"{len(pairs)} links are counted more than once ({shown(pairs)})", "keep one count of each")
    return pa.table([pa.array(row, pa.int64()), pa.array(count / hours, pa.float64())], schema=COUNTS)


def _link_rows(
    network: RoadNetwork, begin: list[str | None], end: list[str | None], name: list[str | None]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the link between two nodes, -1 where there is none, and whether several are meant."""
    nodes = network.nodes["id"].combine_chunks()
    ends = [pc.index_in(pa.array(one, pa.string()), value_set=nodes).fill_null(-1).to_numpy(zero_copy_only=False) for one in (begin, end)]
    count = network.nodes.num_rows
    key = network.column("from_node") * count + network.column("to_node")
    order = np.argsort(key, kind="stable")
    wanted = np.where((ends[0] < 0) | (ends[1] < 0), -1, ends[0].astype(np.int64) * count + ends[1])
    first, last = (np.searchsorted(key[order], wanted, side=side) for side in ("left", "right"))
    row = np.where(last > first, order[np.minimum(first, max(len(order) - 1, 0))] if len(order) else -1, -1)
    links = pc.index_in(pa.array(name, pa.string()), value_set=network.links["id"].combine_chunks())
    stated = links.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    sure = (stated >= 0) & (last > first)
    sure[sure] = key[stated[sure]] == wanted[sure]
    return np.where(sure, stated, row), (last - first > 1) & ~sure
