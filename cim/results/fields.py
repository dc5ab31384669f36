"""What a simulation returns: fields that say what, where and when they are, and tables by object id."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import ObjectNotFoundError, UsageError
from cim.results.run_record import RunRecord

if TYPE_CHECKING:
    import pandas
    import pyarrow as pa
    import xarray
    from numpy.typing import NDArray

    from cim.crs import CityCRS

__all__ = ["Fields", "Grid", "grid_dataset", "grid_of"]


@dataclass(frozen=True)
class Grid:
    """Where the cells of a raster lie; row 0 is the northern one."""

    x_min: float
    """Western edge [m]."""
    y_max: float
    """Northern edge [m]."""
    dx: float
    """Width of a cell [m]."""
    dy: float
    """Height of a cell [m], positive."""
    nx: int
    ny: int
    crs: str
    """Text that `cim.crs.parse` reads."""

    @property
    def x(self) -> NDArray[np.float64]:
        """East of the middle of each column, shape (nx,)."""
        return np.asarray(self.x_min + (np.arange(self.nx) + 0.5) * self.dx, np.float64)

    @property
    def y(self) -> NDArray[np.float64]:
        """North of the middle of each row, falling, shape (ny,)."""
        return np.asarray(self.y_max - (np.arange(self.ny) + 0.5) * self.dy, np.float64)


def grid_dataset(grid: Grid, *, vertical: str | None = None) -> xarray.Dataset:
    """Return an empty dataset on a grid; variables with the dimensions y and x fit it.

    Examples
    --------
    >>> dataset = grid_dataset(Grid(0.0, 20.0, 10.0, 10.0, nx=3, ny=2, crs="EPSG:28992"))
    >>> dataset["y"].values.tolist()
    [15.0, 5.0]
    """
    import xarray as xr

    dataset = xr.Dataset(coords={"y": ("y", grid.y), "x": ("x", grid.x)})
    dataset["x"].attrs = {"units": "m", "standard_name": "projection_x_coordinate", "axis": "X"}
    dataset["y"].attrs = {"units": "m", "standard_name": "projection_y_coordinate", "axis": "Y"}
    dataset.attrs = {
        "crs": grid.crs,
        "x_min": grid.x_min,
        "y_max": grid.y_max,
        "dx": grid.dx,
        "dy": grid.dy,
        "vertical": vertical or "unknown",
    }
    return dataset


def grid_of(dataset: xarray.Dataset) -> Grid:
    """Return where the cells of a dataset made by `grid_dataset` lie."""
    said = dataset.attrs
    return Grid(said["x_min"], said["y_max"], said["dx"], said["dy"], int(dataset.sizes["x"]), int(dataset.sizes["y"]), said["crs"])


@dataclass(frozen=True)
class Fields:
    """The result of a simulation."""

    name: str
    """Name of the simulator."""
    dataset: xarray.Dataset
    """Every variable has `units`, `standard_name` and `long_name`; the attribute `crs` says where x and y count."""
    tables: Mapping[str, pa.Table]
    """Tables by name; one with a column ``object`` holds ids of the city's objects."""
    run: RunRecord

    def __post_init__(self) -> None:
        """Refuse fields that do not say what they are."""
        object.__setattr__(self, "tables", MappingProxyType(dict(self.tables)))
        faults = [
            f"{name} has no {attribute}"
            for name, variable in self.dataset.data_vars.items()
            for attribute in ("units", "standard_name", "long_name")
            if attribute not in variable.attrs
        ]
        missing = [
            name
            for name in ("crs", "x_min", "y_max", "dx", "dy")
            if {"y", "x"} <= set(self.dataset.dims) and name not in self.dataset.attrs
        ]
        faults += [f"the dataset has no attribute {name}" for name in missing]
        if faults:
            msg = f"fields of {self.name!r} do not say what they are: {'; '.join(faults)}"
            raise UsageError(msg)

    def __getitem__(self, name: str) -> xarray.DataArray:
        """Return one field.

        Raises
        ------
        ObjectNotFoundError
            If there is none of this name.
        """
        if name not in self.dataset.data_vars:
            msg = f"{self.name} has no field {name!r}; it has {', '.join(map(str, self.dataset.data_vars)) or 'none'}"
            raise ObjectNotFoundError(msg)
        return self.dataset[name]

    @property
    def crs(self) -> CityCRS | None:
        """Coordinate system of x and y; None where nothing has a place."""
        from cim.crs import parse

        said = self.dataset.attrs.get("crs")
        return None if said is None else parse(said)

    def table(self, name: str | None = None) -> pa.Table:
        """Return one table; the first when no name is given.

        Raises
        ------
        ObjectNotFoundError
            If there is none of this name.
        """
        wanted = next(iter(self.tables), None) if name is None else name
        if wanted is None or wanted not in self.tables:
            msg = f"{self.name} has no table {name!r}; it has {', '.join(self.tables) or 'none'}"
            raise ObjectNotFoundError(msg)
        return self.tables[wanted]

    def to_pandas(self, name: str | None = None) -> pandas.DataFrame:
        """Return one table (the first when no name is given) as a DataFrame, indexed by object id where it has one."""
        from cim.results.columns import unit

        table = self.table(name)
        frame: pandas.DataFrame = table.to_pandas()
        frame = frame.set_index("object") if "object" in table.column_names else frame
        frame.attrs["units"] = {field.name: unit(field) for field in table.schema}
        return frame

    def __repr__(self) -> str:
        """Return fields and tables in one line."""
        sizes = " × ".join(f"{size} {name}" for name, size in self.dataset.sizes.items())
        tables = ", ".join(f"{name} ({table.num_rows:,} rows)" for name, table in self.tables.items())
        held = [f"{', '.join(map(str, self.dataset.data_vars))} on {sizes or 'no axis'}"] if self.dataset.data_vars else []
        held += [f"tables {tables}"] if tables else []
        return f"<Fields {self.name}: {'; '.join(held) or 'empty'}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{html.escape(str(name))}</td><td>{html.escape(str(one.attrs['long_name']))}</td><td>{html.escape(str(one.attrs['units']))}</td>"
            f"<td>{_range(one)}</td></tr>"
            for name, one in self.dataset.data_vars.items()
        )
        shown = self.to_pandas().head(20).to_html(na_rep="", escape=True) if self.tables else ""
        taken = "".join(f"<li>{html.escape(text)}</li>" for text in self.run.assumptions)
        head = "<tr><th>field 场</th><th></th><th>unit 单位</th><th>range 范围</th></tr>"
        return (
            f"<div><b>{html.escape(repr(self)[1:-1])}</b><table>{head}{rows}</table>{shown}"
            + (f"<p>assumptions 假定</p><ul>{taken}</ul>" if taken else "")
            + "</div>"
        )


def _range(field: xarray.DataArray) -> str:
    values: NDArray[Any] = np.asarray(field.values)
    if values.dtype.kind not in "iufb" or not values.size:
        return ""
    known = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    return f"{known.min():g} – {known.max():g}" if known.size else "unknown everywhere"
