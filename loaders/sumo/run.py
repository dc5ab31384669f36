"""SUMO as a referee: the same network and vehicles in its own model of single drivers, its figures by our links."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from lxml import etree

from cim.errors import UsageError
from cim.loaders.limits import Limits
from cim.loaders.sumo.plain import Node, write_xml
from cim.loaders.sumo.programs import run
from cim.loaders.sumo.stream import elements, number, text_of
from cim.loaders.sumo.write import SECONDS, write_sumo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cim.loaders.sumo.demand import Vehicles
    from cim.loaders.sumo.write import SumoFiles
    from cim.model.road_network import RoadNetwork

    Reals = NDArray[np.float64]

__all__ = ["SumoRun", "referee"]


@dataclass(frozen=True)
class SumoRun:
    """What SUMO says."""

    roads: pa.Table
    """One row for each edge: `edge`, `object`, `link` (null where several links are its lanes), `links`, `entered`, `left` [veh],
    `travel_time` [s] in the mean of who was there, null for nobody."""
    departure: Reals
    """When each vehicle of the fleet wanted to depart [s], shape (n,)."""
    started: Reals
    """When it entered the network [s], not a number for one that did not."""
    arrival: Reals
    """[s]; not a number for one that is not there at the end."""
    moved: int
    """Vehicles that stood too long and that SUMO moved on by force (teleports)."""
    files: SumoFiles
    notes: tuple[str, ...]

    @property
    def mean_duration(self) -> float:
        """Mean time from entering the network to arrival, of those that arrived [s]."""
        took = self.arrival - self.started
        return float(np.nanmean(took)) if np.isfinite(took).any() else float("nan")


def referee(
    network: RoadNetwork,
    fleet: Vehicles,
    *,
    until: float,
    folder: str | Path | None = None,
    mesoscopic: bool = False,
    vehicle_types: Mapping[str, Mapping[str, Any]] | None = None,
    clock: float = 0.0,
    seed: int = 0,
    routes_every: float | None = None,
    seconds: float = SECONDS,
) -> SumoRun:
    """Return the run of a fleet on a network in SUMO, without its window.

    Parameters
    ----------
    until
        End of the run [s].
    folder
        Where the files stay; without, they are thrown away.
    mesoscopic
        SUMO's model of queues instead of single drivers.
    vehicle_types, clock, seconds
        As in `cim.loaders.sumo.write.write_sumo`.
    seed
        Of SUMO's drivers: they are not alike.
    routes_every
        Trips without an own path look for a better one after this time, by speeds that SUMO measured [s]; without, they take what is
        quickest without traffic.

    Raises
    ------
    UsageError
        If network, fleet or `until` hold faults.
    MissingExtraError
        If SUMO is not installed.
    RunError
        If netconvert or sumo finds an error, or takes too long.
    """
    if not until > 0:
        msg = f"until is {until} s, expected more than 0"
        raise UsageError(msg)
    with tempfile.TemporaryDirectory(prefix="cim-sumo-") as name:
        place = Path(folder) if folder is not None else Path(name) / "net"
        files = write_sumo(network, place, fleet=fleet, vehicle_types=vehicle_types, clock=clock, until=until,
                           internal_links=not mesoscopic, seconds=seconds)  # fmt: skip
        measured = {"id": "all", "file": "edges.xml", "begin": "0", "end": f"{until:.2f}", "withInternal": str(not mesoscopic).lower()}
        write_xml(place / "measures.add.xml", "additional", [Node("edgeData", measured)])
        options = ["-c", files.config.name, "--additional-files", "measures.add.xml", "--tripinfo-output", "trips.xml",
                   "--tripinfo-output.write-unfinished", "true", "--statistic-output", "figures.xml", "--seed", str(seed)]  # fmt: skip
        options += ["--mesosim", "true", "--meso-junction-control", "true"] if mesoscopic else []
        if routes_every is not None:
            options += ["--device.rerouting.probability", "1", "--device.rerouting.period", f"{routes_every:.2f}",
                        "--device.rerouting.pre-period", f"{routes_every:.2f}"]  # fmt: skip
        warned = run("sumo", options, place, seconds=seconds)
        roads = _roads(place / "edges.xml", files)
        started, arrival = _trips(place / "trips.xml", len(fleet.departure))
        moved = _moved(place / "figures.xml")
    notes = [*files.notes, *warned, *([f"{moved} vehicles stood too long; SUMO moved them on by force"] if moved else [])]
    return SumoRun(roads, np.asarray(fleet.departure, float), started, arrival, moved, files, tuple(notes))


def _roads(path: Path, files: SumoFiles) -> pa.Table:
    """Return what passed on each edge; the time on lanes over a junction belongs to the edge that leads into them."""
    count: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for interval in elements(path, ("meandata",), Limits()):
        for one in interval:
            if etree.QName(one).localname != "edge":
                continue
            name = text_of(one, "id", path)
            spent = number(one, "sampledSeconds", path, 0.0)
            if name.startswith(":"):
                count[files.built.inner_edges.get(name, name)][2] += spent
                continue
            mine = count[name]
            mine[0] += number(one, "entered", path, 0.0) + number(one, "departed", path, 0.0)
            mine[1] += number(one, "left", path, 0.0) + number(one, "arrived", path, 0.0)
            mine[2] += spent
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in files.links.to_pylist():
        rows[row["edge"]].append(row)
    entered, left, spent_by = (np.array([count[name][k] for name in rows]) for k in range(3))
    passed = 0.5 * (entered + left)
    time = np.divide(spent_by, passed, out=np.full(len(rows), np.nan), where=passed > 0)
    return pa.table({
        "edge": list(rows), "object": [some[0]["object"] for some in rows.values()],
        "link": pa.array([some[0]["link"] if len(some) == 1 else None for some in rows.values()], pa.string()),
        "links": [[one["link"] for one in some] for some in rows.values()],
        "entered": entered.astype(np.int64), "left": left.astype(np.int64), "travel_time": pa.array(time, from_pandas=True),
    })  # fmt: skip


def _trips(path: Path, vehicles: int) -> tuple[Reals, Reals]:
    started, arrival = np.full(vehicles, np.nan), np.full(vehicles, np.nan)
    for one in elements(path, ("tripinfos",), Limits()):
        if etree.QName(one).localname != "tripinfo":
            continue
        row = int(text_of(one, "id", path).removeprefix("v"))
        begin, end = number(one, "depart", path), number(one, "arrival", path)
        started[row] = begin if begin >= 0 else np.nan
        arrival[row] = end if end >= 0 else np.nan
    return started, arrival


def _moved(path: Path) -> int:
    found = [
        int(number(one, "total", path)) for one in elements(path, ("statistics",), Limits()) if etree.QName(one).localname == "teleports"
    ]
    return found[0] if found else 0
