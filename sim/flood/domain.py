"""Where water flows: elevation, roughness, roofs, infiltration and edges on one grid, from a city or from a plain elevation model."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from cim.results import Grid
from cim.sim.flood.elevation import as_grid, cell_faults, elevation_faults, is_number, on_grid, option_faults, refuse, value_faults
from cim.sim.flood.gaps import dilated, fill_gaps

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

    from cim.sim.cells import CellsOfShapes

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Edge", "FlowDomain", "Gaps", "law_on", "ringed"]

Gaps = Literal["refuse", "fill", "wall"]
Edge = Literal["closed", "free"]
LARGEST_GAP = 1000.0
"""Largest gap in a terrain that is filled unless told otherwise [m²]."""


@dataclass(frozen=True)
class FlowDomain:
    """Everything the flow solver needs to know of a place; arrays have the shape (ny, nx), row 0 is the northern one."""

    elevation: Floats
    """Ground with buildings on it [m]; NaN: a closed wall, or outside."""
    grid: Grid
    """Where the cells lie; they are square."""
    roughness: float | Floats = 0.03
    """Manning's n [s/m^(1/3)]."""
    rain_to: tuple[Ints, Ints] | None = None
    """Roof cells (each once, rising) and the cells their rain falls into instead, as places in the flattened grid. The roof of a building
    that is a wall is NaN in `elevation`; its rain arrives all the same."""
    infiltration: Any = None
    """A law of `cim.sim.flood.infiltration` whose parameters are numbers or fields on this grid; None: nothing seeps away."""
    open_edge: Bools | None = None
    """Cells outside the domain, NaN in `elevation`, through which water may leave freely; None: the edge is closed."""
    building_ids: NDArray[np.object_] | None = None
    """Ids of the buildings of `building_cells`."""
    building_cells: CellsOfShapes | None = None
    """Cells of each building that stands on the grid."""
    notes: tuple[str, ...] = ()
    """Every repair and every guess, with its count."""
    vertical: str | None = None
    """Name of the height system; None: unknown."""
    covers: NDArray[np.int16] | None = None
    """Kind of ground of each cell: place in `cover_names`."""
    cover_names: tuple[str, ...] = field(default=())
    open_ways: tuple[str, ...] = ()
    """Ids of ways in underpasses and through buildings whose own ground the elevation has."""
    water: Bools | None = None
    """Cells of rivers, canals and ponds; None: unknown."""

    def __post_init__(self) -> None:
        """Refuse what cannot be a domain."""
        refuse(self.faults())

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.grid.ny, self.grid.nx

    @property
    def active(self) -> Bools:
        """Cells in which water may stand, shape (ny, nx)."""
        return np.isfinite(self.elevation)

    def faults(self) -> list[str]:
        """Return everything that keeps water from being simulated here, one sentence each."""
        if self.elevation.shape != self.shape:
            return [f"elevation has shape {self.elevation.shape}; the grid has {self.shape}"]
        faults = []
        if abs(self.grid.dx - self.grid.dy) > 1e-9 * self.grid.dx:
            faults.append(f"cells are {self.grid.dx:g} × {self.grid.dy:g} m; the solver needs square ones: give resolution=")
        if self.elevation.dtype != np.float64:
            faults.append(f"elevation is {self.elevation.dtype}, expected float64")
        faults += cell_faults(self.grid.dx)
        faults += value_faults(self.elevation, "the elevation of the domain")
        return faults + self._roughness_faults() + self._roof_faults() + self._edge_faults() + self._law_faults()

    def _roughness_faults(self) -> list[str]:
        values = np.asarray(self.roughness, np.float64)
        if values.shape not in {(), self.shape}:
            return [f"roughness has shape {values.shape}, expected one number or {self.shape}"]
        used = values if values.shape == () else values[self.active]
        bad = ~((used >= 0) & (used <= 1))
        if bad.any():
            worst = np.atleast_1d(used)[np.atleast_1d(bad)][0]
            return [f"roughness is {worst:g} in {int(bad.sum())} places; expected Manning's n from 0 to 1 s/m^(1/3)"]
        return []

    def _roof_faults(self) -> list[str]:
        if self.rain_to is None:
            return []
        from_cell, to_cell = self.rain_to
        faults, count = [], self.elevation.size
        if len(from_cell) != len(to_cell):
            return [f"rain_to has {len(from_cell)} roof cells and {len(to_cell)} targets; expected as many"]
        if len(from_cell) and not (min(from_cell.min(), to_cell.min()) >= 0 and max(from_cell.max(), to_cell.max()) < count):
            return [f"rain_to names cells outside 0 to {count - 1}"]
        drained = np.zeros(count, bool)
        drained[from_cell] = True
        if int(drained.sum()) != len(from_cell):
            faults.append("rain_to names a roof cell twice: its rain would fall twice")
        if np.isnan(self.elevation.reshape(-1)[to_cell]).any():
            faults.append("rain_to leads rain into cells without elevation")
        if drained[to_cell].any():
            faults.append("rain_to leads rain onto a roof that is drained itself")
        return faults

    def _edge_faults(self) -> list[str]:
        if self.open_edge is None:
            return []
        if self.open_edge.shape != self.shape:
            return [f"open_edge has shape {self.open_edge.shape}, expected {self.shape}"]
        inside = int((self.open_edge & self.active).sum())
        return [f"open_edge holds {inside} cells of the domain; it belongs outside of it"] if inside else []

    def _law_faults(self) -> list[str]:
        if self.infiltration is None:
            return []
        if not all(callable(getattr(self.infiltration, name, None)) for name in ("faults", "start", "step")):
            return [f"infiltration={self.infiltration!r}; expected a law such as GreenAmpt(conductivity=10.9, suction=110.0, deficit=0.2)"]
        return [one if one.startswith("infiltration") else f"infiltration: {one}" for one in self.infiltration.faults(self.shape)]

    def __repr__(self) -> str:
        """Return size and what is known in one line."""
        ny, nx = self.shape
        return f"<FlowDomain {ny} × {nx} cells of {self.grid.dx:g} m, {int(self.active.sum()):,} active, {len(self.notes)} notes>"

    @classmethod
    def from_elevation(
        cls, elevation: xarray.DataArray | Floats, dx: float | None = None, *, roughness: float | Floats | xarray.DataArray = 0.03,
        gaps: Gaps = "refuse",
        largest_gap: float = LARGEST_GAP, edge: Edge = "closed", crs: str | None = None, infiltration: Any = None,
    ) -> FlowDomain:  # fmt: skip
        """Return the domain of a plain elevation model.

        Parameters
        ----------
        elevation
            A field over y and x with regular coordinates (its attribute ``crs`` says where it lies, ``nodata`` or ``_FillValue`` which
            value means 'unknown'), or an array (ny, nx), northern row first [m].
        dx
            Size of a cell of an array [m].
        gaps
            What cells without elevation are: ``"refuse"`` an error, ``"wall"`` closed, ``"fill"`` smooth ground where a gap is not larger
            than `largest_gap` [m²], closed otherwise.
        edge
            ``"closed"`` or ``"free"``: whether water leaves at the outer edge; then a ring of open cells is laid around.
        crs
            Where a field lies that does not say so.
        roughness
            Manning's n: one number, an array like that of the elevation, or a field on its cells [s/m^(1/3)].
        infiltration
            A law; its parameters are numbers, arrays like that of the elevation, or fields on its cells.

        Raises
        ------
        UsageError
            With every fault in one message.

        Examples
        --------
        >>> FlowDomain.from_elevation(np.zeros((3, 4)), 2.0)
        <FlowDomain 3 × 4 cells of 2 m, 12 active, 1 notes>
        """
        values, grid, faults = as_grid(elevation, dx, crs)
        options = {"gaps": (gaps, ("refuse", "fill", "wall")), "edge": (edge, ("closed", "free"))}
        faults += option_faults(options)
        if not (is_number(largest_gap) and largest_gap >= 0):
            faults.append(f"largest_gap={largest_gap!r}; expected an area [m²], not below 0")
        if values is not None:
            faults += elevation_faults(values, gaps=str(gaps))
        rough, wrong = on_grid(roughness, grid, "roughness", "s/m^(1/3)") if not faults else (np.zeros(()), [])
        infiltration, more = law_on(infiltration, grid, ring=edge == "free") if not faults else (infiltration, [])
        refuse(faults + wrong + more)
        ground = np.array(values, np.float64)
        inside = np.ones(ground.shape, bool)
        ground, notes = _without_gaps(ground, inside, gaps, largest_gap, grid.dx)
        open_edge = None
        if edge == "free":
            ground, grid, open_edge = ringed(ground, grid)
            rough = np.pad(rough, 1, mode="edge") if rough.ndim else rough
        notes.append(f"the outer edge is {edge}")
        said = tuple(notes)
        return cls(
            ground,
            grid,
            rough if rough.ndim else float(rough),
            infiltration=infiltration,
            open_edge=open_edge,
            notes=said,
            vertical=_vertical(grid.crs),
        )


def law_on(law: Any, grid: Grid, *, ring: bool) -> tuple[Any, list[str]]:
    """Return a law of infiltration with its fields on the cells of a grid, and what is wrong with them.

    Parameters
    ----------
    ring
        Whether one more cell is laid around the grid; a field that has these cells already stays as it is.
    """
    if not is_dataclass(law) or isinstance(law, type):
        return law, []
    faults: list[str] = []
    laid: dict[str, Floats] = {}
    for one in fields(law):
        given = getattr(law, one.name)
        if ring and np.shape(given) == (grid.ny + 2, grid.nx + 2) and not hasattr(given, "dims"):
            continue
        values, wrong = on_grid(given, grid, f"infiltration: {one.name}", "number")
        faults += wrong
        if values.ndim == 2:
            laid[one.name] = np.pad(values, 1, mode="edge") if ring else values
    return (law, faults) if faults or not laid else (replace(law, **laid), [])


def _vertical(crs: str) -> str | None:
    from cim.crs import parse

    system = parse(crs).vertical
    return None if system is None else str(system.name)


def ringed(values: Floats, grid: Grid) -> tuple[Floats, Grid, Bools]:
    """Return a grid with one cell more on every side, NaN, and which of these lie beside a cell with elevation."""
    padded = np.pad(values, 1, constant_values=np.nan)
    wider = Grid(grid.x_min - grid.dx, grid.y_max + grid.dy, grid.dx, grid.dy, grid.nx + 2, grid.ny + 2, grid.crs)
    outside = np.ones(padded.shape, bool)
    outside[1:-1, 1:-1] = False
    return padded, wider, outside & dilated(np.isfinite(padded))


def _without_gaps(values: Floats, inside: Bools, gaps: Gaps, largest: float, cell: float) -> tuple[Floats, list[str]]:
    unknown = np.isnan(values)
    if not unknown.any():
        return values, []
    if gaps == "wall":
        return values, [f"{int(unknown.sum())} cells without elevation are walls"]
    none = np.zeros(values.shape, bool)
    level = np.full(values.shape, np.nan)
    filled = fill_gaps(values, inside, buildings=none, water=none, water_level=level, cell=cell, largest=largest)
    return filled.elevation, list(filled.notes)
