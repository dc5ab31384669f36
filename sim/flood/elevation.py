"""Elevations as they are handed in: where the cells lie, and what stands against letting water flow over them.

Cells without a value, marks for "unknown" that look like heights, units, coordinate systems: all faults are collected, then told at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import UsageError
from cim.results import Grid

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

    from cim.crs import CityCRS

    Floats = NDArray[np.float64]

__all__ = [
    "HIGHEST",
    "LOWEST",
    "MARKS",
    "as_grid",
    "cell_faults",
    "crs_faults",
    "elevation_faults",
    "hole_sizes",
    "is_number",
    "on_grid",
    "option_faults",
    "refuse",
    "value_faults",
]

LOWEST, HIGHEST = -11_500.0, 9_000.0
"""Range of elevations [m]: below the Challenger Deep (-10 935 m), above Everest (8 849 m)."""
MARKS = (-9999.0, -999.0, -99.0, -1.0e3, 999.0, 9999.0)
"""Values with which files mark cells without an elevation."""
SMALLEST_CELL = 0.001
"""[m]; models of flumes have cells of some millimetres."""
_ALONE = 50.0
"""A mark inside the range of elevations is one when no other cell comes this near to it [m]."""


def value_faults(values: Floats, name: str) -> list[str]:
    """Return what makes values no elevations, apart from cells that are NaN.

    Parameters
    ----------
    values : shape (ny, nx)
        Elevations [m].
    """
    if not values.size:
        return [f"{name} has no cell"]
    known = values[~np.isnan(values)]
    if not known.size:
        return [f"{name} has no cell with an elevation"]
    faults = []
    absurd = known[(known < LOWEST) | (known > HIGHEST)]
    if absurd.size:
        kinds, counts = np.unique(absurd, return_counts=True)
        worst = float(kinds[np.argmax(counts)])
        faults.append(
            f"{name} holds {absurd.size:,} cells outside {LOWEST:g} to {HIGHEST:g} m, most of them {worst:g}: an undeclared mark for "
            "'unknown', or another unit; declare the nodata value, or make these cells NaN"
        )
    faults += _hidden_marks(known, name)
    return faults


def _hidden_marks(known: Floats, name: str) -> list[str]:
    """Return marks for "unknown" inside the range of elevations that stand alone."""
    faults = []
    for mark in MARKS:
        if not LOWEST <= mark <= HIGHEST:
            continue
        count = int((known == mark).sum())
        if count and count < known.size and not ((np.abs(known - mark) < _ALONE) & (known != mark)).any():
            faults.append(
                f"{name} holds {count:,} cells of exactly {mark:g} m and none within {_ALONE:g} m of it: an undeclared mark for 'unknown'; "
                "declare the nodata value, or make these cells NaN"
            )
    return faults


def hole_sizes(unknown: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of cells of each hole; cells that share an edge are one hole.

    Examples
    --------
    >>> hole_sizes(np.array([[True, False], [False, True]])).tolist()
    [1, 1]
    """
    from scipy import ndimage

    label, count = ndimage.label(unknown)
    return np.asarray(np.bincount(label.ravel(), minlength=count + 1)[1:], np.int64)


def crs_faults(crs: CityCRS | None, name: str, unit: Any = "m") -> list[str]:
    """Return why lengths and depths cannot be counted in metres in a coordinate system."""
    from cim.crs import is_web_mercator

    if crs is None:
        return [f'{name} states no coordinate system; give it one, or crs="local" for a place without one']
    faults = []
    if getattr(crs, "is_local", False):
        pass
    elif not crs.is_projected:
        faults.append(f"{name} is in {crs.horizontal.name}, which counts in degrees; transform it to a projected system in metres")
    elif is_web_mercator(crs):
        faults.append(f"{name} is in {crs.horizontal.name}, which makes areas too large; transform it to a system made for the place")
    elif abs(crs.linear_unit_factor - 1.0) > 1e-9:
        found = f"{name} is in {crs.horizontal.name}, which counts in units of {crs.linear_unit_factor:g} m"
        faults.append(f"{found}; transform it to a projected system in metres")
    if str(unit or "m") not in {"m", "metre", "meter", "metres", "meters"}:
        faults.append(f"{name} counts elevations in {unit!r}, expected m; convert them first")
    elif crs.vertical is not None and abs(crs.vertical_unit_factor - 1.0) > 1e-9:
        faults.append(f"the heights of {name} are in {crs.vertical.name}, in units of {crs.vertical_unit_factor:g} m; convert them first")
    return faults


def is_number(value: Any) -> bool:
    """Say whether a value is a finite number."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_) and bool(np.isfinite(value))


def refuse(faults: list[str]) -> None:
    """Raise one error that names all faults; nothing happens without one.

    Raises
    ------
    UsageError
        With every fault on a line of its own.
    """
    if faults:
        msg = f"flood: {len(faults)} fault{'s' if len(faults) > 1 else ''}:\n  " + "\n  ".join(faults)
        raise UsageError(msg)


def elevation_faults(values: Floats, *, gaps: str = "refuse") -> list[str]:
    """Return what keeps a plain elevation array from being flowed over.

    Parameters
    ----------
    values : shape (ny, nx)
        [m], NaN where unknown.
    """
    if values.ndim != 2 or 0 in values.shape:
        return [f"elevation has shape {values.shape}; expected (ny, nx) with at least one cell"]
    faults = value_faults(values, "elevation")
    unknown = np.isnan(values)
    if gaps == "refuse" and unknown.any() and not unknown.all():
        sizes = hole_sizes(unknown)
        faults.append(
            f"elevation is NaN in {int(unknown.sum()):,} of {values.size:,} cells ({len(sizes)} gaps, the largest "
            f"{int(sizes.max()):,} cells); "
            'say what they are: gaps="wall" (closed to water) or gaps="fill" (small ones filled, large ones closed)'
        )
    return faults


def cell_faults(size: float | None) -> list[str]:
    """Return why cells of a size [m] are too small to be meant."""
    if size is None or size >= SMALLEST_CELL:
        return []
    return [f"cells are {size:g} m wide; expected at least {SMALLEST_CELL:g} m: does the field count in degrees, or in another unit?"]


def option_faults(options: dict[str, tuple[Any, tuple[str, ...]]]) -> list[str]:
    """Return which options (name: value given, values known) have a value that is not known."""
    found = options.items()
    return [
        f"{name}={given!r}; expected {' or '.join(map(repr, known))}"
        for name, (given, known) in found
        if not (isinstance(given, str | None) and given in known)
    ]


# ---------------------------------------------------------------- plain elevation


def as_grid(elevation: Any, dx: Any, crs: Any) -> tuple[Floats | None, Grid, list[str]]:
    """Return values (northern row first, declared nodata as NaN), where they lie, and what is wrong with that."""
    from cim.crs import parse

    crs = crs if isinstance(crs, str | None) else parse(crs).to_string()
    if hasattr(elevation, "dims"):
        return _from_field(elevation, dx, crs)
    try:
        values = np.asarray(elevation, np.float64)
    except (TypeError, ValueError):
        refuse([f"elevation is a {type(elevation).__name__}; expected numbers (ny, nx) or a DataArray over y and x"])
        raise
    faults = []
    size = 1.0
    if not (is_number(dx) and dx > 0):
        faults.append(f"dx={dx!r}; an array needs the size of its cells [m], above 0")
    else:
        size = float(dx)
        faults += cell_faults(size)
    ny, nx = values.shape if values.ndim == 2 else (1, 1)
    return values, Grid(0.0, ny * size, size, size, nx, ny, crs or "local"), faults


def _from_field(given: xarray.DataArray, dx: float | None, crs: str | None) -> tuple[Floats | None, Grid, list[str]]:
    blank = Grid(0.0, 1.0, 1.0, 1.0, 1, 1, "local")
    if set(given.dims) != {"y", "x"}:
        return None, blank, [f"elevation has the dimensions {tuple(map(str, given.dims))}; expected y and x"]
    plane = given.transpose("y", "x")
    values = np.array(plane.values, np.float64)
    faults = [] if dx is None else [f"dx={dx!r} is given although the field has coordinates; leave it out"]
    faults += _declared_faults(given, crs)
    for mark in (given.attrs.get("nodata"), given.attrs.get("_FillValue"), given.encoding.get("_FillValue")):
        if mark is not None and np.isfinite(mark):
            values[(values == float(mark)) | (values == float(np.float32(mark)))] = np.nan
    x, y = (np.asarray(plane[name].values, np.float64) if name in plane.coords else None for name in ("x", "y"))
    if x is None or y is None or not values.size:
        return values, blank, [*faults, "elevation has no coordinates x and y; give them (cell centres), or an array and dx="]
    if len(y) > 1 and y[0] < y[-1]:
        values, y = values[::-1], y[::-1]
    steps = {name: np.diff(axis) for name, axis in (("x", x), ("y", -y))}
    sizes = {name: float(one.mean()) if len(one) else float(given.attrs.get(f"d{name}", np.nan)) for name, one in steps.items()}
    for name, one in steps.items():
        if not np.isfinite(sizes[name]) or sizes[name] <= 0 or (len(one) and not np.allclose(one, sizes[name], rtol=1e-6, atol=0)):
            faults.append(f"coordinate {name} of elevation is not regular (or has one value and no attribute d{name})")
    if not any("not regular" in one for one in faults) and abs(sizes["x"] - sizes["y"]) > 1e-6 * sizes["x"]:
        faults.append(f"cells of elevation are {sizes['x']:g} × {sizes['y']:g} m; the solver needs square ones: resample it first")
    if faults:
        return values, blank, faults
    size, said = sizes["x"], str(given.attrs.get("crs") or crs or "local")
    grid = Grid(float(x[0]) - size / 2, float(y[0]) + size / 2, size, size, len(x), len(y), said)
    return values, grid, [*cell_faults(size), *_far_faults(grid)]


def _far_faults(grid: Grid) -> list[str]:
    """Return why coordinates cannot be those of the system that is stated."""
    from cim.crs import check_plausible, parse
    from cim.errors import CRSError

    system = parse(grid.crs)
    box = (grid.x_min, grid.y_max - grid.ny * grid.dy, grid.x_min + grid.nx * grid.dx, grid.y_max)
    try:
        check_plausible(box, system, path="elevation")
    except CRSError as error:
        return [str(error)]
    return []


def on_grid(given: Any, grid: Grid, name: str, unit: str) -> tuple[Floats, list[str]]:
    """Return a number or the values of a field on the cells of a grid, northern row first, and what is wrong with them.

    An array counts from the northern row; a `DataArray` is laid by its coordinates, whichever way they run.
    """
    try:
        values = np.asarray(getattr(given, "values", given), np.float64)
    except (TypeError, ValueError):
        return np.zeros(()), [f"{name}={given!r}; expected a number or a field over y and x [{unit}]"]
    if values.shape and hasattr(given, "dims"):
        if set(given.dims) != {"y", "x"}:
            return values, [f"{name} has the dimensions {tuple(map(str, given.dims))}; expected y and x"]
        plane = given.transpose("y", "x")
        values = np.asarray(plane.values, np.float64)
        faults = _elsewhere(given, grid, name)
        if faults:
            return values, faults
        if values.shape == (grid.ny, grid.nx) and {"x", "y"} <= set(plane.coords):
            x, y = (np.asarray(plane[axis].values, np.float64) for axis in ("x", "y"))
            values, x = (values[:, ::-1], x[::-1]) if x[0] > x[-1] else (values, x)
            values, y = (values[::-1], y[::-1]) if y[0] < y[-1] else (values, y)
            if max(np.abs(x - grid.x).max(), np.abs(y - grid.y).max()) > 1e-3 * grid.dx:
                return values, [f"{name}: its cells are not those of the elevation; resample it onto them first"]
    if values.shape not in {(), (grid.ny, grid.nx)}:
        return values, [f"{name}: shape {values.shape}, expected one number or {(grid.ny, grid.nx)}"]
    return values, []


def _elsewhere(given: xarray.DataArray, grid: Grid, name: str) -> list[str]:
    """Return why a field lies in another system than the elevation; one that does not say its system lies where its coordinates say."""
    from cim.crs import parse
    from cim.errors import CRSError

    told = given.attrs.get("crs")
    if told is None:
        return []
    try:
        own, system = parse(told), parse(grid.crs)
    except CRSError as error:
        return [f"{name}: {error}"]
    if system.is_local or own.same_horizontal(system):
        return []
    return [f"{name} is in {own.horizontal.name}, the elevation in {system.horizontal.name}; bring both to one system first"]


def _declared_faults(given: xarray.DataArray, crs: str | None) -> list[str]:
    """Return what is wrong with the system and the unit that a field states."""
    from cim.crs import parse
    from cim.errors import CRSError

    said = given.attrs.get("crs") or crs or "local"
    try:
        system = parse(said)
        faults = crs_faults(system, "elevation", given.attrs.get("units", "m"))
        if crs is not None and given.attrs.get("crs") and not system.same_horizontal(parse(crs)):
            faults.append(f"elevation says it is in {given.attrs['crs']}, but crs={crs!r} is given; correct one of them")
    except CRSError as error:
        return [str(error)]
    return faults
