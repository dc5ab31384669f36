"""A result in a folder: tables as Parquet, fields as GeoTIFF, everything else as JSON; QGIS and pandas open each file as it is.

======================  ======================================================================================
``result.json``         kind, name, run record and the shape of the fields; the same run writes the same bytes
``timing.json``         wall and CPU time, the only thing that two equal runs do not share
``tables/*.parquet``    one file per table
``fields/*.tif``        one file per field on a grid, one band per level or time
``fields/*.parquet``    fields that lie on no grid, values in C order
======================  ======================================================================================
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cim.errors import CorruptFileError, FormatError, UsageError
from cim.results.fields import Fields, grid_of
from cim.results.geotiff import read_bands, write_bands
from cim.results.run_record import RunRecord
from cim.results.verdicts import Verdicts

if TYPE_CHECKING:
    import xarray

__all__ = ["load_result", "save_result"]

_FORMAT = 1
_SAFE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"


def save_result(result: Verdicts | Fields, folder: str | Path) -> Path:
    """Write a result into a folder and return its path; the folder appears whole or not at all.

    Parameters
    ----------
    folder
        New, or one that holds a result, which is replaced.

    Raises
    ------
    UsageError
        If the folder holds something else.
    """
    target = Path(folder)
    if target.exists() and not (target / "result.json").is_file() and (not target.is_dir() or any(target.iterdir())):
        msg = f"{target} exists and holds no result; name a new folder"
        raise UsageError(msg)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        _write(result, part)
        if target.exists():
            shutil.rmtree(target)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def _write(result: Verdicts | Fields, folder: Path) -> None:
    (folder / "tables").mkdir(parents=True)
    tables = {"verdicts": result.table} if isinstance(result, Verdicts) else result.tables
    names = {name: f"tables/{_file_name(name)}.parquet" for name in tables}
    for name, path in names.items():
        pq.write_table(tables[name], folder / path, compression="zstd")
    content: dict[str, Any] = {
        "format": _FORMAT, "kind": "verdicts" if isinstance(result, Verdicts) else "fields", "name": result.name,
        "run": result.run.to_dict(measured=False), "tables": names,
    }  # fmt: skip
    if isinstance(result, Fields):
        (folder / "fields").mkdir()
        content["dataset"] = _write_dataset(result.dataset, folder)
    _json(folder / "result.json", content)
    _json(folder / "timing.json", {"wall_seconds": result.run.wall_seconds, "cpu_seconds": result.run.cpu_seconds})


def _json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1, sort_keys=True, default=str) + "\n", encoding="utf-8")


def _file_name(name: str) -> str:
    """Return a name that is safe as a file name on every system."""
    kept = "".join(letter if letter in _SAFE else f"%{ord(letter):x}" for letter in name)
    return kept or "_"


def _write_dataset(dataset: xarray.Dataset, folder: Path) -> dict[str, Any]:
    """Write every field and return what is needed to put the dataset together again."""
    variables = {}
    for name, field in dataset.data_vars.items():
        gridded = field.dims[-2:] == ("y", "x")
        path = f"fields/{_file_name(str(name))}.{'tif' if gridded else 'parquet'}"
        if gridded:
            write_bands(field, grid_of(dataset), folder / path)
        else:
            pq.write_table(pa.table({str(name): np.asarray(field.values).reshape(-1)}), folder / path, compression="zstd")
        variables[str(name)] = {"path": path, "dims": list(map(str, field.dims)), "dtype": field.dtype.str, "attrs": _plain(field.attrs)}
    coords = {
        str(name): {"dims": list(map(str, one.dims)), "dtype": one.dtype.str, "values": _coordinate(one), "attrs": _plain(one.attrs)}
        for name, one in dataset.coords.items()
    }
    return {"attrs": _plain(dataset.attrs), "coords": coords, "variables": variables}


def _plain(attributes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(
        json.dumps(dict(attributes), default=lambda value: value.tolist() if hasattr(value, "tolist") else str(value))
    )
    return plain


def _coordinate(coordinate: xarray.DataArray) -> list[Any]:
    values = coordinate.values
    listed: list[Any] = np.datetime_as_string(values).tolist() if values.dtype.kind == "M" else values.tolist()
    return listed


def load_result(folder: str | Path) -> Verdicts | Fields:
    """Return the result that `save_result` wrote.

    Raises
    ------
    FormatError
        If the folder holds no result, or one of a newer format.
    CorruptFileError
        If a file of it is missing or damaged.
    """
    base = Path(folder)
    try:
        content = json.loads((base / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(base, "holds no result (result.json cannot be read)", "give the folder that save_result wrote") from error
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise FormatError(
            base,
            f"result.json has format {content.get('format') if isinstance(content, dict) else content!r}, expected {_FORMAT}",
            "update the toolkit",
        )
    try:
        return _read(base, content)
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException) as error:
        raise CorruptFileError(base, f"a part of the result cannot be read ({error})", "run it again") from error


def _read(base: Path, content: dict[str, Any]) -> Verdicts | Fields:
    timing = json.loads((base / "timing.json").read_text(encoding="utf-8")) if (base / "timing.json").is_file() else {}
    run = RunRecord.from_dict({**content["run"], **timing})
    tables = {name: pq.read_table(_inside(base, path)) for name, path in content["tables"].items()}
    if content["kind"] == "verdicts":
        return Verdicts(content["name"], tables["verdicts"], run)
    return Fields(content["name"], _read_dataset(base, content["dataset"]), tables, run)


def _inside(base: Path, path: str) -> Path:
    """Return a path of the folder; one that leads out of it is refused."""
    full = (base / path).resolve()
    if base.resolve() not in full.parents:
        msg = f"{path!r} leads out of the folder"
        raise ValueError(msg)
    return full


def _read_dataset(base: Path, content: dict[str, Any]) -> xarray.Dataset:
    import xarray as xr

    coords = {
        name: xr.Variable(one["dims"], np.asarray(one["values"], dtype=np.dtype(one["dtype"])), one["attrs"])
        for name, one in content["coords"].items()
    }
    dataset = xr.Dataset(coords=coords, attrs=content["attrs"])
    for name, one in content["variables"].items():
        shape = tuple(dataset.sizes[dim] for dim in one["dims"])
        path = _inside(base, one["path"])
        flat = read_bands(path) if path.suffix == ".tif" else pq.read_table(path)[name].to_numpy()
        dataset[name] = (one["dims"], np.asarray(flat).astype(np.dtype(one["dtype"]), copy=False).reshape(shape), one["attrs"])
    return dataset
