"""What an inundation does, in numbers: one row per level, and one per building and level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.results.columns import column
from cim.sim.bathtub import UNCERTAIN, UNKNOWN_GROUND, WET, Reached
from cim.sim.buildings import read_buildings
from cim.sim.cells import CellsOfShapes, cells_inside

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.coverages import Raster

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

__all__ = ["BUILDINGS", "LEVELS", "BuildingCells", "building_columns", "building_table", "level_row"]

LEVELS = pa.schema(
    [
        column("level", pa.float64(), unit="m", en="water level", zh="水位"),
        column("wet_cells", pa.int64(), en="wet cells", zh="淹没单元数"),
        column("wet_area", pa.float64(), unit="m²", en="wet area", zh="淹没面积"),
        column("volume", pa.float64(), unit="m³", en="volume of water", zh="水量"),
        column("depth_max", pa.float64(), unit="m", en="greatest depth", zh="最大水深"),
        column("unconnected_cells", pa.int64(), en="low cells not connected", zh="低于水位但不连通单元数"),
        column("uncertain_cells", pa.int64(), en="cells with uncertain connection", zh="连通性不明单元数"),
        column("unknown_cells", pa.int64(), en="cells without ground elevation", zh="无高程单元数"),
    ]
)
BUILDINGS = pa.schema(
    [
        pa.field("object", pa.string()),
        column("level", pa.float64(), unit="m", en="water level", zh="水位"),
        column("status", pa.string(), en="status", zh="状态"),
        column("reason", pa.string(), en="reason", zh="原因"),
        column("depth_max", pa.float64(), unit="m", en="greatest depth", zh="最大水深"),
        column("depth_mean", pa.float64(), unit="m", en="mean depth", zh="平均水深"),
        column("wet_share", pa.float64(), en="wet share of the footprint", zh="淹没比例"),
        column("cells", pa.int64(), en="cells", zh="单元数"),
        column("wet_from", pa.float64(), unit="m", en="lowest level that wets it", zh="起淹水位"),
    ]
)


@dataclass(frozen=True)
class BuildingCells:
    """The buildings and their cells."""

    ids: NDArray[np.object_]
    pairs: CellsOfShapes
    count: NDArray[np.int64]
    """Cells of each building."""
    unplaced: Bools
    """Buildings without a footprint."""

    @classmethod
    def of(cls, city: City, ground: Raster) -> BuildingCells:
        """Return the buildings of a city and their cells on the ground."""
        import shapely

        buildings = read_buildings(city)
        pairs = cells_inside(buildings.footprints, ground)
        count = np.bincount(pairs.shape, minlength=len(buildings))
        return cls(buildings.ids, pairs, count, np.asarray(shapely.is_missing(buildings.footprints), bool))


def level_row(reached: Reached, level: float, area: float, ground: Floats) -> dict[str, Any]:
    """Return the row of one level; `residual` is what two ways to count the volume differ by [m³]."""
    depth, state = reached.depth, reached.state
    wet, uncertain, unknown = (state == code for code in (WET, UNCERTAIN, UNKNOWN_GROUND))
    number = int(wet.sum())
    volume, deepest = float(depth[wet].sum()) * area, float(depth[wet].max()) if number else 0.0
    return {
        "level": level, "wet_cells": number, "wet_area": number * area, "volume": volume, "depth_max": deepest,
        "unconnected_cells": reached.unconnected, "uncertain_cells": int(uncertain.sum()), "unknown_cells": int(unknown.sum()),
        "residual": abs(volume - (level * number - float(ground[wet].sum())) * area),
    }  # fmt: skip


def building_columns(
    cells: BuildingCells, depth: Floats, state: NDArray[np.uint8], level: float, datum_reason: str | None
) -> dict[str, Any]:
    """Return status and depths of every building at one level."""
    count, pairs = len(cells.ids), cells.pairs
    at, here = state.reshape(-1)[pairs.cell], np.nan_to_num(depth.reshape(-1)[pairs.cell])
    wet = np.bincount(pairs.shape, at == WET, count)
    unsure = np.bincount(pairs.shape, at >= UNKNOWN_GROUND, count) > 0
    most = np.zeros(count)
    np.maximum.at(most, pairs.shape, here)
    known = np.bincount(pairs.shape, at < UNKNOWN_GROUND, count)
    reason = np.full(count, None, object)
    reason[unsure & (wet == 0)] = "missing_height"
    reason[(cells.pairs.outside | (cells.count == 0)) & (wet == 0)] = "outside_terrain"
    reason[cells.unplaced] = "missing_footprint"
    if datum_reason is not None:
        reason[:] = datum_reason
    assessed = np.array([one is None for one in reason], bool)
    status = np.where(assessed, np.where(wet > 0, "wet", "dry"), "not_assessed")
    mean = np.bincount(pairs.shape, here, count) / np.maximum(known, 1)
    share = wet / np.maximum(known, 1)
    return {
        "object": cells.ids, "level": np.full(count, level), "status": status, "reason": reason,
        "depth_max": np.where(assessed, most, np.nan),
        "depth_mean": np.where(assessed, mean, np.nan), "wet_share": np.where(assessed, share, np.nan), "cells": cells.count,
    }  # fmt: skip


def building_table(columns: list[dict[str, Any]]) -> pa.Table:
    """Return one row per building and level, building by building, with the lowest level that wets each."""
    levels, count = len(columns), len(columns[0]["object"])
    order = np.arange(levels * count).reshape(levels, count).T.reshape(-1)
    joined = {name: np.concatenate([one[name] for one in columns])[order] for name in columns[0]}
    wet = np.stack([one["status"] == "wet" for one in columns]) if count else np.zeros((levels, 0), bool)
    first = np.where(wet.any(axis=0), np.array([one["level"][0] if count else 0.0 for one in columns])[np.argmax(wet, axis=0)], np.nan)
    joined["wet_from"] = np.repeat(first, levels)
    arrays = [pa.array(joined[field.name].tolist(), field.type, from_pandas=True) for field in BUILDINGS]
    return pa.Table.from_arrays(arrays, schema=BUILDINGS)
