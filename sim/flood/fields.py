"""The fields of a flood: frames taken while it runs, and the dataset and ledger made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.sim.flood.gauges import instants_of

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa
    import xarray
    from numpy.typing import NDArray

    from cim.results import Grid
    from cim.sim.flood.solver import Solver

    Floats = NDArray[np.float32]

__all__ = ["Frames", "dataset_of", "ledger_table"]

_FRAMES = {
    "water_depth": ("m", "water_depth", "water depth 水深"),
    "flow_velocity_x": ("m/s", "flow_velocity_x", "flow velocity eastwards 东向流速"),
    "flow_velocity_y": ("m/s", "flow_velocity_y", "flow velocity northwards 北向流速"),
}
_MAXIMA = {
    "depth": ("maximum_depth", "m", "largest water depth 最大水深"),
    "velocity": ("maximum_velocity", "m/s", "largest flow velocity 最大流速"),
    "unit_discharge": ("maximum_unit_discharge", "m²/s", "largest depth times velocity 最大水深流速积"),
    "hazard": ("maximum_hazard", "m²/s", "largest depth × (velocity + 0.5) 最大危险度"),
    "arrival": ("arrival_time", "s", "first time flooded, since the start 到达时间"),
    "duration": ("flood_duration", "s", "time flooded 淹没历时"),
}
_TERMS = {
    "rain": ("rain on the domain", "降雨"),
    "inflow": ("poured in", "入流"),
    "boundary_in": ("in through boundaries", "边界流入"),
    "boundary_out": ("out through boundaries", "边界流出"),
    "infiltration": ("seeped away", "下渗"),
    "pumped_in": ("pumped in", "泵入"),
    "pumped_out": ("pumped out", "泵出"),
    "initial": ("there at the start", "初始水量"),
    "stored": ("there now", "现存水量"),
    "error": ("unaccounted for", "误差"),
}


@dataclass(frozen=True)
class Frames:
    """Depth, and velocity where wanted, at the output times."""

    values: Mapping[str, Floats]
    """Shape (times, ny, nx) by name."""

    @classmethod
    def empty(cls, count: int, shape: tuple[int, int], *, velocity: bool) -> Frames:
        """Return room for some frames."""
        names = list(_FRAMES) if velocity else ["water_depth"]
        return cls({name: np.zeros((count, *shape), np.float32) for name in names})

    def take(self, number: int, solver: Solver) -> None:
        """Take the water of a solver as frame `number`."""
        depth, known = solver.h[solver.inside], solver.ground_known
        if solver.steps == 0 and solver.case.depth is None:  # pages that nobody writes to take no memory
            for values in self.values.values():
                values[number][~known] = np.nan
            return
        self.values["water_depth"][number] = depth
        for name, flow, sign in (("flow_velocity_x", solver.qx, 1.0), ("flow_velocity_y", solver.qy, -1.0)):
            if name in self.values:
                with np.errstate(divide="ignore", invalid="ignore"):
                    self.values[name][number] = np.where(depth > solver.dry, sign * flow[solver.inside] / depth, 0.0)
        for values in self.values.values():
            values[number][~known] = np.nan

    def of(self, number: int) -> dict[str, NDArray[Any]]:
        """Return one frame."""
        return {name: values[number] for name, values in self.values.items()}

    def put(self, number: int, frame: Mapping[str, NDArray[Any]]) -> None:
        """Set one frame."""
        for name, values in self.values.items():
            values[number] = frame[name]


def dataset_of(
    grid: Grid, ground: tuple[NDArray[np.float64], NDArray[np.float64]], start: datetime, times: NDArray[np.float64], frames: Frames,
    maxima: Mapping[str, Floats], vertical: str | None,
) -> xarray.Dataset:  # fmt: skip
    """Return frames, maxima and ground (at the start and at the end) as one dataset, NaN where there is no ground."""
    from cim.results import grid_dataset

    dataset = grid_dataset(grid, vertical=vertical)
    dataset = dataset.assign_coords(time=("time", instants_of(start, times)))
    dataset["time"].attrs = {"standard_name": "time", "long_name": "time 时间 (UTC)"}
    for name, values in frames.values.items():
        unit, standard, words = _FRAMES[name]
        dataset[name] = (("time", "y", "x"), values, {"units": unit, "standard_name": standard, "long_name": words})
    first, last = ground
    washed = last is not first
    for name, plane, words in (("ground_elevation", last, "ground with buildings 地面高程"),
                               ("initial_ground_elevation", first, "ground before any breach 初始地面高程")):  # fmt: skip
        if washed or name == "ground_elevation":
            said = {"units": "m", "standard_name": name, "long_name": words}
            dataset[name] = (("y", "x"), plane.astype(np.float32), said)
    unknown = np.isnan(first)
    for key, (name, unit, words) in _MAXIMA.items():
        values = maxima[key]
        if key == "arrival":
            values[values < 0] = np.nan
        values[unknown] = np.nan
        dataset[name] = (("y", "x"), values, {"units": unit, "standard_name": name, "long_name": words})
    return dataset


def ledger_table(rows: Sequence[Mapping[str, float]], start: datetime) -> pa.Table:
    """Return the ledger: volumes since the start at each output time [m³]."""
    import pyarrow as pa

    from cim.results.columns import column

    instants = instants_of(start, np.array([row["time"] for row in rows], float))
    schema = [column("time", pa.timestamp("us", "UTC"), en="time", zh="时间")]
    schema += [column(name, pa.float64(), unit="m³", en=en, zh=zh) for name, (en, zh) in _TERMS.items()]
    schema.append(column("relative_error", pa.float64(), unit="", en="error as a share of the water", zh="相对误差"))
    columns = [pa.array(instants, schema[0].type), *(pa.array([row[name] for row in rows], pa.float64()) for name in _TERMS)]
    columns.append(pa.array([row["relative"] for row in rows], pa.float64()))
    return pa.Table.from_arrays(columns, schema=pa.schema(schema))
