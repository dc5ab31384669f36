"""Writing of matrices: comma-separated files and OMX."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from cim.errors import LimitError, UsageError
from cim.loaders.gmns.tables import shown, write_table
from cim.loaders.limits import Limits
from cim.loaders.matrices.omx import library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model.road_network import ODMatrix, RoadNetwork

    Ints = NDArray[np.int64]

__all__ = ["write_csv", "write_omx"]

_VERSION = b"0.2"
_WHOLE = 1 << 32  # OMX tools keep ids of zones in 32 bits without a sign


def write_csv(demand: ODMatrix, network: RoadNetwork, path: str | Path) -> None:
    """Write trips [veh/h] in long form: origin, destination, trips, a row per pair as `demand` holds it."""
    names = _names(network)
    table = {"origin": names.take(pa.array(demand.origin)), "destination": names.take(pa.array(demand.destination))}
    write_table(pa.table({**table, "trips": pa.array(demand.trips, pa.float64())}), Path(path))


def write_omx(
    demand: ODMatrix, network: RoadNetwork, path: str | Path, *, matrix: str = "trips", lookup: str = "zones",
    zones: Sequence[str | int] | None = None, limits: Limits | None = None,
) -> None:  # fmt: skip
    """Write trips [veh/h] as an OMX file with one matrix, its zones in the lookup.

    Parameters
    ----------
    zones
        Ids of the rows and columns in order; without them all centroids, and the other nodes where trips begin or end.

    Raises
    ------
    UsageError
        If trips begin or end in zones that are not among `zones`, or a name is none.
    LimitError
        If the square has more cells than the limits allow.
    MissingExtraError
        If h5py is not installed.
    """
    h5py = library()
    if not all(one and "/" not in one and "." not in one for one in (matrix, lookup)):
        msg = f"the names are {matrix!r} and {lookup!r}; give names without / and dots"
        raise UsageError(msg)
    rows, names = _rows(demand, network, zones)
    side = len(rows)
    (limits or Limits()).check("cells", float(side) ** 2, path)
    if side * side * 8 > (limits or Limits()).memory_ceiling:
        raise LimitError(path, f"needs {side * side * 8:,} bytes in memory", "write it as CSV")
    place = np.full(network.nodes.num_rows, -1, np.int64)
    place[rows] = np.arange(side)
    lost = np.unique(np.concatenate([end[(place[end] < 0) & (demand.trips > 0)] for end in (demand.origin, demand.destination)]))
    if len(lost):
        named = shown(_names(network).take(pa.array(lost)).to_pylist())
        msg = f"trips begin or end in {len(lost)} zones that are not among the given ones ({named})"
        raise UsageError(msg)
    square = np.zeros((side, side))
    kept = (place[demand.origin] >= 0) & (place[demand.destination] >= 0)
    np.add.at(square, (place[demand.origin[kept]], place[demand.destination[kept]]), demand.trips[kept])
    with h5py.File(Path(path), "w") as file:
        file.attrs["OMX_VERSION"] = np.bytes_(_VERSION)
        file.attrs["SHAPE"] = np.array([side, side], np.int32)
        chunks = (max(1, min(side, (1 << 20) // max(side * 8, 1))), side) if side else None
        made = file.create_group("data").create_dataset(matrix, data=square, chunks=chunks, compression="gzip" if side else None,
                                                        compression_opts=1 if side else None)  # fmt: skip
        made.attrs["unit"] = np.bytes_(b"veh/h")
        file.create_group("lookup").create_dataset(lookup, data=_lookup(names))


def _names(network: RoadNetwork) -> pa.Array:
    """Return the ids of the nodes as zones."""
    nodes = network.nodes
    ids = nodes["zone"].fill_null("") if "zone" in nodes.column_names else nodes["id"]
    return pa.array([zone or name for zone, name in zip(ids.to_pylist(), nodes["id"].to_pylist(), strict=True)], pa.string())


def _rows(demand: ODMatrix, network: RoadNetwork, zones: Sequence[str | int] | None) -> tuple[Ints, list[str]]:
    if zones is not None:
        from cim.model.road_network import ODMatrix as Matrix

        names = [str(one) for one in zones]
        return Matrix.of(network, names, names, np.zeros(len(names))).origin, names
    centroids = np.flatnonzero(~network.nodes["through"].to_numpy())
    rows = np.unique(np.concatenate([centroids, demand.origin, demand.destination])).astype(np.int64)
    return rows, _names(network).take(pa.array(rows)).to_pylist()


def _lookup(names: list[str]) -> NDArray[np.uint32] | NDArray[np.bytes_]:
    if all(one.isascii() and one.isdigit() and str(int(one)) == one and int(one) < _WHOLE for one in names):
        return np.array([int(one) for one in names], np.uint32)
    return np.array([one.encode() for one in names], np.bytes_)
