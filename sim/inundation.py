"""Connected static inundation 静态淹没: what a still water surface reaches from its source, how deep, and which buildings it wets.

A cell is wet when its ground is not above the level and a chain of such cells leads to the source: a pit behind a ridge stays dry. It
knows no time and no volume of water that is there to flow; `sim.flood` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from cim.errors import CRSMismatchError, LimitError, UsageError
from cim.results import (
    Fields,
    Grid,
    RunRecord,
    Stopwatch,
    Verdicts,
    array_fingerprint,
    city_fingerprint,
    grid_dataset,
    judge,
    verdicts_from,
)
from cim.sim.bathtub import Missing, flood
from cim.sim.buildings import crs_of, read_buildings
from cim.sim.height_control import vertical_crs
from cim.sim.terrain import Terrain, read_terrain
from cim.sim.water_source import said_source, source_cells
from cim.sim.wetted import LEVELS, BuildingCells, building_columns, building_table, level_row

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

    from cim.model import City
    from cim.model.coverages import Raster

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]

__all__ = ["SIMULATOR", "STAYS_DRY", "Inundation", "simulate", "stays_dry"]

_MAX_VALUES = 400_000_000  # levels times cells: 3.6 GB of depth and state
_VERSION = "1"


class InundationParameters(BaseModel):
    """Section ``[inundation]``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    levels: list[float] = Field(min_length=1, description="elevations of the water surface [m], in the height system of the terrain")
    source: str | list[str] | list[tuple[float, float]] = Field(
        default="edge",
        description='where water comes from: "edge" of the terrain, a class such as "WaterBody", ids of objects, or points [[x, y], …]',
    )
    connectivity: Literal[4, 8] = Field(default=4, description="4: water passes between cells that share an edge; 8: also across corners")
    terrain: str | None = Field(default=None, description="id of the object that owns the terrain; left out: the only one there is")
    bbox: tuple[float, float, float, float] | None = Field(default=None, description="part of the terrain: xmin, ymin, xmax, ymax [m]")
    datum: str | None = Field(default="terrain", description='height system of the levels: "terrain" (its own), or one such as "EPSG:5737"')
    missing: Missing = Field(
        default="unknown", description='unknown ground: "unknown" (what it alone connects is not assessed) or "wall" (no way through)'
    )


class StaysDryParameters(InundationParameters):
    """Section ``[checks.stays_dry]``."""

    depth_limit: float = Field(default=0.0, ge=0, description="depth at a building that is still allowed [m]")
    datum: str | None = Field(
        default=None, description='height system of the levels: "terrain" (its own), or one such as "EPSG:5737"; left out: not assessed'
    )
    clause: str | None = Field(default=None, description="clause that sets the limit; printed with each verdict")


@dataclass(frozen=True)
class Inundation:
    """The simulator, as its entry point names it."""

    name: str = "inundation"
    version: str = _VERSION
    title_en: str = "Static inundation"
    title_zh: str = "静态淹没"
    parameters: type[BaseModel] = InundationParameters

    def run(self, city: City, **parameters: Any) -> Fields:
        """Return the result of `simulate`."""
        return simulate(city, **parameters)


@dataclass(frozen=True)
class _StaysDry:
    """The check, as its entry point names it."""

    name: str = "stays_dry"
    version: str = _VERSION
    title_en: str = "Buildings stay dry"
    title_zh: str = "建筑不受淹"
    parameters: type[BaseModel] = StaysDryParameters

    def run(self, city: City, **parameters: Any) -> Verdicts:
        """Return the verdicts of `stays_dry`."""
        return stays_dry(city, **parameters)


def simulate(
    city: City, *, levels: float | Sequence[float], source: Any = "edge", connectivity: int = 4, terrain: Terrain = None,
    bbox: tuple[float, float, float, float] | None = None, datum: str | None = "terrain", missing: Missing = "unknown",
) -> Fields:  # fmt: skip
    """Return what still water at one or several levels reaches.

    Parameters
    ----------
    levels
        Elevations of the water surface [m].
    source
        Where water comes from: ``"edge"`` of the terrain; a class of the city such as ``"WaterBody"``; ids of objects; points (n, 2) in the
        CRS of the city; shapely geometries; or a mask of cells (ny, nx).
    connectivity
        4: water passes between cells that share an edge; 8: also across corners.
    terrain
        A `Raster`, an xarray field over y and x, or the id of an object; the only terrain of the city when left out.
    datum
        Height system of the levels. ``"terrain"``: that of the terrain, whatever it is; None: unknown, then no building is assessed.
    missing
        What unknown ground does: ``"unknown"`` leaves cells uncertain that it alone connects, ``"wall"`` lets no water through.

    Returns
    -------
    Fields
        ``water_depth`` (water_level, y, x) [m], 0 where dry and NaN where nobody can tell; ``inundation_state``: 0 dry, 1 wet, 2 ground
        unknown, 3 uncertain. Table ``buildings``: per building and level, status wet, dry or not_assessed, depth [m]. Table ``levels``: wet
        area [m²], volume [m³] and counts of cells.

    Raises
    ------
    UsageError
        If levels, source or terrain make no sense.
    CRSMismatchError
        If levels and terrain are in different height systems, or terrain and city in different systems.
    """
    asked, watch = {name: value for name, value in locals().items() if name not in {"city", "terrain", "source", "levels"}}, Stopwatch()
    ordered = _levels(levels)
    _check_options(connectivity, missing)
    ground = read_terrain(city, terrain, bbox)
    datum_reason = _datum(ground, datum, strict=True)
    if len(ordered) * ground.values.size > _MAX_VALUES:
        where, found = "inundation", f"{len(ordered)} levels on {ground.values.size:,} cells are more than {_MAX_VALUES:,} values"
        raise LimitError(where, found, "give fewer levels, a bbox, or a coarser terrain")
    start = source_cells(city, source, ground)
    filled = _fill(ground, ordered, start, connectivity, missing, BuildingCells.of(city, ground), datum_reason)
    place = [ground.x_min, ground.y_max, ground.dx, ground.dy]
    parameters = {**asked, "levels": ordered.tolist(), "source": said_source(source), "terrain": ground.name or None, "grid": place}
    inputs = {"city": city_fingerprint(city), "terrain": array_fingerprint(ground.values), "source": array_fingerprint(start)}
    balance = {"volume_residual_m3": max(row.pop("residual") for row in filled.levels)}
    run = RunRecord(
        "inundation", _VERSION, inputs, parameters, balance=balance, assumptions=_assumptions(ground, datum, missing, connectivity)
    )
    tables = {"buildings": building_table(filled.buildings), "levels": pa.Table.from_pylist(filled.levels, schema=LEVELS)}
    return Fields("inundation", filled.dataset, tables, watch.stop(run))


def _check_options(connectivity: int, missing: str) -> None:
    if connectivity not in {4, 8}:
        msg = f"connectivity={connectivity!r}; expected 4 or 8"
        raise UsageError(msg)
    if missing not in {"unknown", "wall"}:
        msg = f"missing={missing!r}; expected 'unknown' or 'wall'"
        raise UsageError(msg)


@dataclass(frozen=True)
class _Filled:
    """Fields and rows of all levels."""

    dataset: xarray.Dataset
    levels: list[dict[str, Any]]
    buildings: list[dict[str, Any]]


def _levels(levels: float | Sequence[float] | None) -> Floats:
    """Return the levels, rising, each once."""
    given = np.atleast_1d(np.asarray([] if levels is None else levels, float))
    if not len(given) or not np.isfinite(given).all():
        msg = f"levels={levels!r}; expected one or more elevations of the water surface in metres"
        raise UsageError(msg)
    return np.unique(given)


def _datum(ground: Raster, datum: str | None, *, strict: bool) -> str | None:
    """Return why levels and ground cannot be compared, None where they can; a known difference is refused when `strict`."""
    from cim.crs import CityCRS

    if datum == "terrain":
        return None
    if datum is None or ground.crs.vertical is None:
        return "unknown_vertical_datum"
    wanted = CityCRS(ground.crs.horizontal, vertical_crs(datum, "datum"))
    if wanted.same_vertical(ground.crs):
        return None
    if strict:
        where, reason = ground.name or "terrain", f"its heights are in {ground.crs.vertical.name}, the levels in {datum}"
        raise CRSMismatchError(where, reason, 'shift the levels to its system and give datum="terrain"')
    return "vertical_datum_mismatch"


def _assumptions(ground: Raster, datum: str | None, missing: Missing, connectivity: int) -> tuple[str, ...]:
    vertical = "unknown" if ground.crs.vertical is None else ground.crs.vertical.name
    said = [
        "still water: no time, no flow, as much water as the level needs",
        f"water passes between cells that share {'an edge' if connectivity == 4 else 'an edge or a corner'}",
    ]
    if datum == "terrain":
        said.append(f"levels are in the height system of the terrain, which is {vertical}")
    if missing == "wall":
        said.append("unknown ground lets no water through")
    said.append("no water comes from beyond the terrain, except from its edge where that is the source")
    return tuple(said)


def _fill(
    ground: Raster, levels: Floats, source: Bools, connectivity: int, missing: Missing, cells: BuildingCells, datum_reason: str | None
) -> _Filled:
    """Flood level by level; return the fields, one row per level and one set of columns per level."""
    ny, nx = ground.shape
    depth, state = np.empty((len(levels), ny, nx)), np.empty((len(levels), ny, nx), np.uint8)
    area = ground.dx * ground.dy * ground.crs.linear_unit_factor**2
    by_level, by_building = [], []
    for place, level in enumerate(levels.tolist()):
        reached = flood(ground.values, level, source, connectivity=connectivity, missing=missing)
        depth[place], state[place] = reached.depth, reached.state
        by_level.append(level_row(reached, level, area, ground.values))
        by_building.append(building_columns(cells, reached.depth, reached.state, level, datum_reason))
    grid = Grid(ground.x_min, ground.y_max, ground.dx, ground.dy, nx, ny, ground.crs.to_string())
    dataset = grid_dataset(grid, vertical=None if ground.crs.vertical is None else ground.crs.vertical.name)
    dataset = dataset.assign_coords(
        water_level=("water_level", levels, {"units": "m", "standard_name": "water_level", "long_name": "water level 水位"})
    )
    dims = ("water_level", "y", "x")
    dataset["water_depth"] = (dims, depth, {"units": "m", "standard_name": "water_depth", "long_name": "water depth 水深"})
    flags = {"flag_values": [0, 1, 2, 3], "flag_meanings": "dry wet ground_unknown uncertain"}
    dataset["inundation_state"] = (
        dims,
        state,
        {"units": "1", "standard_name": "inundation_state", "long_name": "inundation state 淹没状态", **flags},
    )
    return _Filled(dataset, by_level, by_building)


# --------------------------------------------------------------------------------------------- the check


def stays_dry(
    city: City, *, levels: float | Sequence[float] | None, depth_limit: float = 0.0, datum: str | None = None, clause: str | None = None,
    terrain: Terrain = None, bbox: tuple[float, float, float, float] | None = None, **options: Any,
) -> Verdicts:  # fmt: skip
    """Return, for each building and level, whether the water at it stays within a depth.

    Parameters are those of `simulate`; without levels, or with a height system that is unknown or not that of the terrain, nothing is
    assessed.

    Parameters
    ----------
    depth_limit
        Depth at a building that is still allowed [m].

    Returns
    -------
    Verdicts
        ``value`` is the greatest depth at the building [m], ``place`` the level.
    """
    watch = Stopwatch()
    ground = read_terrain(city, terrain, bbox)
    reason = "missing_water_level" if _no_levels(levels) else _datum(ground, datum, strict=False)
    if reason is None and levels is not None:
        fields = simulate(city, levels=levels, terrain=ground, datum=datum, **options)
        table, run = fields.table("buildings"), fields.run
    else:
        table = pa.table({"object": pa.array(read_buildings(city).ids.tolist(), pa.string())})
        run = RunRecord("stays_dry", _VERSION, inputs={} if crs_of(city) is None else {"city": city_fingerprint(city)})
    return _verdicts(
        table, run, reason, depth_limit, clause, watch, {"levels": levels, "depth_limit": depth_limit, "datum": datum, "clause": clause}
    )


def _no_levels(levels: float | Sequence[float] | None) -> bool:
    values = np.atleast_1d(np.asarray(np.nan if levels is None else levels, float))
    return not len(values) or not np.isfinite(values).all()


def _verdicts(
    table: pa.Table, run: RunRecord, reason: str | None, limit: float, clause: str | None, watch: Stopwatch, asked: dict[str, Any]
) -> Verdicts:
    """Turn the table of buildings into verdicts."""
    from dataclasses import replace

    rows, have = table.num_rows, set(table.column_names)
    value = table["depth_max"].to_numpy() if "depth_max" in have else np.full(rows, np.nan)
    why = table["reason"].to_pylist() if "reason" in have else [reason] * rows
    judged = judge(value, np.full(rows, float(limit)), reason=why)
    places = [f"{level:g} m" for level in table["level"].to_pylist()] if "level" in have else None
    columns = {
        "object": table["object"], "place": places, "value": value, "unit": "m", "limit": np.full(rows, float(limit)),
        "excess": judged.excess, "verdict": judged.verdict, "reason": judged.reason, "clause": clause,
    }  # fmt: skip
    made = replace(run, name="stays_dry", parameters={**run.parameters, **asked})
    return verdicts_from("stays_dry", watch.stop(made), columns)


SIMULATOR = Inundation()
STAYS_DRY = _StaysDry()
