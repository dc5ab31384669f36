"""The layer of still water: wet cells of one field of depth, at the height of the water surface, coloured by depth.

Water that changes with time is drawn by `cim.scenes.water`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CRSMismatchError, UsageError
from cim.scenes.ground import decimate
from cim.scenes.layer import Layer, Text
from cim.scenes.style import DEPTH, Ramp

if TYPE_CHECKING:
    import xarray
    from numpy.typing import NDArray

    from cim.results import Fields
    from cim.scenes.context import Context

    Reals = NDArray[np.float64]

__all__ = ["DEPTH_CELLS", "WET", "depth_layer", "same_crs"]

WET = 0.01
"""Depth [m] from which a cell is drawn as wet."""
DEPTH_CELLS = 160_000
"""Cells drawn at most; finer fields are averaged over blocks."""
_LIFT = 0.42  # m above the terrain where the field brings no height of the surface: above roads, so that shallow water shows


def depth_layer(context: Context, result: Fields, *, at: Mapping[str, Any] | None = None) -> Layer:
    """Return the wet cells of ``water_depth``.

    Parameters
    ----------
    at
        Value of each dimension beside y and x (time, water level…); of a dimension not named the deepest water is shown.

    Raises
    ------
    CRSMismatchError
        If the field lies in another coordinate system than the city.
    UsageError
        If there is no such field, or `at` names a dimension it does not have.
    """
    depth, said = _select(result, at or {})
    same_crs(context, result)
    x, y = np.asarray(depth["x"].values, float), np.asarray(depth["y"].values, float)
    values = np.asarray(depth.values, float)
    if len(y) > 1 and y[0] > y[-1]:
        values, y = values[::-1], y[::-1]  # row 0 the southern one from here on
    coarse, factor = decimate(np.where(np.isfinite(values), values, 0.0), DEPTH_CELLS)
    dx, dy = _step(x) * factor, _step(y) * factor
    west, south = x[0] - _step(x) / 2 - context.origin[0], y[0] - _step(y) / 2 - context.origin[1]
    points, triangles, cell = _surface(coarse, west, south, dx, dy, context)
    wet = coarse[coarse > WET]
    title = Text("Water depth", "水深")
    encoded = Ramp(DEPTH, 0.0, _round_up(float(np.percentile(wet, 98)) if len(wet) else 1.0)).encode(wet, title, "m")
    return Layer(
        name="water depth",
        label=title,
        points=points,
        triangles=triangles,
        cell_object=cell,
        ids=np.empty(0, object),
        colours=encoded.colours,
        legend=replace(encoded.legend, note=said),
        lit=False,
        opacity=0.85,
        values=encoded.values,
        unit="m",
        notes=(Text(f"drawn as means of {factor} by {factor} cells", f"按 {factor}×{factor} 单元平均值绘制"),) if factor > 1 else (),
    )


def _select(result: Fields, at: Mapping[str, Any]) -> tuple[xarray.DataArray, Text]:
    """Return depth over y and x, and what was chosen, in words."""
    dataset = result.dataset
    if "water_depth" not in dataset or not {"y", "x"} <= set(dataset["water_depth"].dims):
        msg = f"{result.name!r} has no field water_depth over y and x; it has {', '.join(map(str, dataset.data_vars)) or 'none'}"
        raise UsageError(msg)
    depth = dataset["water_depth"]
    others = [str(name) for name in depth.dims if name not in {"y", "x"}]
    strange = set(at) - set(others)
    if strange:
        msg = f"water_depth has no dimension {', '.join(sorted(strange))}; beside y and x it has {', '.join(others) or 'none'}"
        raise UsageError(msg)
    said: list[Text] = []
    for name, value in at.items():
        depth = depth.sel({name: value}, method=None if isinstance(value, str) and depth[name].dtype.kind in "OU" else "nearest")
        unit = str(depth[name].attrs.get("units", ""))
        shown = f"{depth[name].values.item():.6g} {unit}".rstrip() if depth[name].dtype.kind in "iuf" else str(depth[name].values)
        said.append(Text(f"{_name(name).en.lower()} {shown}", f"{_name(name).zh} {shown}"))
    left = [name for name in others if name not in at]
    many = [_name(name) for name in left if depth.sizes[name] > 1]
    if left:
        depth = depth.max(left)
    said += [Text(f"highest over {name.en.lower()}", f"{name.zh}最大值") for name in many]
    note = Text(", ".join(text.en for text in said), "，".join(text.zh for text in said))
    return depth.transpose("y", "x"), note


def _name(dimension: str) -> Text:
    """Return what people call a dimension."""
    from cim.standard_names import STANDARD_NAMES

    if dimension == "time":
        return Text("Time", "时间")
    standard = STANDARD_NAMES.get(dimension)
    return Text(standard.label_en, standard.label_zh) if standard else Text(dimension.replace("_", " "), dimension)


def same_crs(context: Context, result: Fields) -> None:
    """Refuse fields in another coordinate system than the city.

    Raises
    ------
    CRSMismatchError
        If they are.
    """
    crs = result.crs
    if crs is not None and not crs.horizontal.equals(context.city.crs.horizontal, ignore_axis_order=True):
        reason = f"the fields are in {crs.to_string()} but the city in {context.city.crs.to_string()}"
        raise CRSMismatchError(result.name, reason, "run the simulation on this city")


def _step(axis: Reals) -> float:
    return float((axis[-1] - axis[0]) / (len(axis) - 1)) if len(axis) > 1 else 1.0


def _round_up(value: float) -> float:
    """Return a round number not below a value, for the end of a legend.

    Examples
    --------
    >>> _round_up(1.37), _round_up(0.071)
    (1.5, 0.08)
    """
    if value <= 0:
        return 1.0
    unit = 10.0 ** np.floor(np.log10(value))
    return float(next(step * unit for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * unit >= value * (1 - 1e-9)))


def _surface(
    depth: Reals, west: float, south: float, dx: float, dy: float, context: Context
) -> tuple[Reals, NDArray[np.int32], NDArray[np.int32]]:
    """Return the water surface: two triangles per wet cell, corners at the mean height of the wet cells that touch them.

    Each cell has corners of its own, so that a colour belongs to one cell.
    """
    ny, nx = depth.shape
    wet = depth > WET
    east, north = np.meshgrid(west + (np.arange(nx) + 0.5) * dx, south + (np.arange(ny) + 0.5) * dy)
    level = np.where(wet, context.ground.at(east, north) + np.where(wet, depth, 0.0), 0.0)
    total, count = np.zeros((ny + 1, nx + 1)), np.zeros((ny + 1, nx + 1))
    for down in (0, 1):
        for right in (0, 1):
            total[down : ny + down, right : nx + right] += level
            count[down : ny + down, right : nx + right] += wet
    corner = total / np.maximum(count, 1) + _LIFT
    j, i = np.nonzero(wet)
    offsets = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])
    rows, columns = j[:, None] + offsets[:, 0], i[:, None] + offsets[:, 1]
    points = np.stack([west + columns * dx, south + rows * dy, corner[rows, columns]], axis=2).reshape(-1, 3)
    first = (4 * np.arange(len(j)))[:, None]
    triangles = np.concatenate([first + np.array([0, 1, 2]), first + np.array([0, 2, 3])]).astype(np.int32)
    cell = np.arange(len(j), dtype=np.int32)
    return points, triangles, np.concatenate([cell, cell])
