"""Results for other programs: GeoPackage for QGIS, Parquet for pandas and DuckDB, Zarr for xarray, Excel for people."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cim import plugins
from cim.errors import LimitError, UsageError
from cim.results.columns import title
from cim.results.comparison import Comparison
from cim.results.styles import style_rows
from cim.results.verdicts import Verdicts

if TYPE_CHECKING:
    import geopandas

    from cim.model import City
    from cim.results.fields import Fields

    Result = Verdicts | Fields | Comparison

__all__ = ["to_csv", "to_excel", "to_geopackage", "to_parquet", "to_zarr", "write_workbook"]

_MAX_ROWS = 1_048_575  # rows of an Excel sheet below the titles
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_FORBIDDEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MAX_TEXT = 32_767  # characters of an Excel cell


def _tables(result: Result) -> Mapping[str, pa.Table]:
    return {result.name: result.table} if isinstance(result, Verdicts) else result.tables


def _shapes(table: pa.Table, city: City | None) -> Any:
    """Return the shape of each row: its own (a grid cell), else the footprint of the city's object; None where there is none."""
    import shapely

    shapes = np.full(table.num_rows, None, object)
    if "footprint" in table.column_names:
        shapes = np.asarray(shapely.from_wkb(np.asarray(table["footprint"].to_pylist(), object)))
    if city is None:
        return shapes
    known = city.tables.scan("objects", ["id", "footprint"])
    place = pc.index_in(table["object"].cast(pa.string()), known["id"].combine_chunks())
    theirs = np.asarray(shapely.from_wkb(np.asarray(known["footprint"].take(place).to_pylist() or [], object)))
    return np.where(shapely.is_missing(shapes), theirs, shapes) if len(theirs) else shapes


def _crs(table: pa.Table, city: City | None) -> Any:
    from cim.crs import parse

    if city is not None:
        return city.crs.horizontal
    said = (table.schema.metadata or {}).get(b"crs")
    return None if said is None else parse(said.decode()).horizontal


def _frame(table: pa.Table, city: City | None) -> geopandas.GeoDataFrame:
    """Return a table with the shapes of its objects."""
    import geopandas

    plain = table.drop_columns(["footprint"]) if "footprint" in table.column_names else table
    return geopandas.GeoDataFrame(plain.to_pandas(), geometry=_shapes(table, city), crs=_crs(table, city))


def to_geopackage(result: Result, city: City, path: str | Path) -> Path:
    """Write every table of a result as a layer of a GeoPackage, with the footprints of the objects, and return the path.

    Verdicts come with a style (green, red, grey) that QGIS applies by itself. The file appears whole or not at all.

    Parameters
    ----------
    result
        Verdicts, fields (their tables; the fields themselves go to GeoTIFF) or a comparison.
    city
        Where the footprints come from.

    Raises
    ------
    UsageError
        If the result has no table.
    """
    import pyogrio

    tables = _tables(result)
    if not tables:
        msg = f"{result.name} has no table to write; write its fields with to_geotiff"
        raise UsageError(msg)
    target = Path(path)
    part = target.with_name(f".{target.stem}.{os.getpid()}.part.gpkg")
    part.unlink(missing_ok=True)
    try:
        for name, table in tables.items():
            if "object" in table.column_names:
                pyogrio.write_dataframe(
                    _frame(table, city), part, layer=name, driver="GPKG", geometry_type="Unknown", promote_to_multi=False
                )
            else:
                pyogrio.write_dataframe(table.to_pandas(), part, layer=name, driver="GPKG")
        styles = style_rows(tables)
        if len(styles):
            pyogrio.write_dataframe(styles, part, layer="layer_styles", driver="GPKG")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def to_parquet(result: Result, path: str | Path, *, city: City | None = None, table: str | None = None) -> Path:
    """Write one table of a result as Parquet, as GeoParquet when a city gives the footprints, and return the path.

    Parameters
    ----------
    city
        Adds the column ``geometry``.
    table
        Name of the table; the first one when left out.
    """
    chosen = result.table if isinstance(result, Verdicts) else result.table(table)
    if city is not None and "object" in chosen.column_names:
        _frame(chosen, city).to_parquet(path, index=False)
    else:
        pq.write_table(chosen, path, compression="zstd")
    return Path(path)


def to_csv(comparison: Comparison, folder: str | Path) -> list[Path]:
    """Write a comparison as CSV files (UTF-8) into a folder and return their paths.

    ``<name>-figures.csv`` holds the main figures, ``<name>-<table>.csv`` all rows of a table, ``<name>-<table>-series.csv`` the summary of
    a table of series.
    """
    from pyarrow import csv

    place = Path(folder)
    if place.exists() and not place.is_dir():
        msg = f"{place} is a file; give a folder for the CSV files"
        raise UsageError(msg)
    place.mkdir(parents=True, exist_ok=True)
    tables = {"figures": comparison.figures, **comparison.tables}
    tables |= {f"{name}-series": table for name, table in comparison.series.items()}
    made = []
    for name, table in tables.items():
        path = place / f"{comparison.name}-{name}.csv"
        csv.write_csv(table, path)
        made.append(path)
    return made


def to_zarr(result: Fields, path: str | Path) -> Path:
    """Write the fields of a simulation as a Zarr store (format 2), which `xarray.open_zarr` opens, and return its path.

    Units and standard names are attributes of each field, the coordinate system is one of the store. It appears whole or not at all.

    Raises
    ------
    UsageError
        If there is a folder of this name that is no Zarr store.
    MissingExtraError
        If zarr is not installed.
    """
    plugins.load_extra("zarr", "flood")
    target = Path(path)
    if target.exists() and not (target / ".zgroup").is_file():
        msg = f"{target} exists and is no Zarr store; name a new folder"
        raise UsageError(msg)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        dataset = result.dataset.assign_attrs(run=json.dumps(result.run.to_dict(measured=False), ensure_ascii=False, sort_keys=True))
        dataset.to_zarr(part, mode="w-", zarr_format=2, consolidated=True)
        if target.exists():
            shutil.rmtree(target)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def to_excel(result: Result, path: str | Path) -> Path:
    """Write every table of a result as a sheet, titles in English and Chinese with units, and return the path.

    The last sheet says how the result came about. Text that a spreadsheet could take for a formula stays text.

    Raises
    ------
    LimitError
        If a table has more rows than a sheet can hold.
    """
    shown = {name: _titled(table) for name, table in _tables(result).items()}
    return write_workbook(shown, path, last=("run 运行记录", lambda sheet: _run_sheet(sheet, result)))


def _titled(table: pa.Table) -> pa.Table:
    """Return a table without footprints, its columns named as people read them."""
    plain = table.drop_columns(["footprint"]) if "footprint" in table.column_names else table
    return pa.Table.from_arrays(plain.columns, names=[title(field) for field in plain.schema])


def write_workbook(sheets: Mapping[str, pa.Table], path: str | Path, *, last: tuple[str, Callable[[Any], None]] | None = None) -> Path:
    """Write tables as sheets of an Excel file, which appears whole or not at all, and return the path.

    Parameters
    ----------
    sheets
        Tables by sheet name; column names become titles. Text that a spreadsheet could take for a formula stays text.
    last
        Name of a last sheet and the function that fills it.

    Raises
    ------
    LimitError
        If a table has more rows than a sheet can hold.
    """
    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    used: set[str] = set()
    for name, table in sheets.items():
        if table.num_rows > _MAX_ROWS:
            raise LimitError(
                path,
                f"table {name!r} has {table.num_rows:,} rows, a sheet holds {_MAX_ROWS:,}",
                "write it as Parquet or GeoPackage instead",
            )
        sheet = book.create_sheet(_sheet_name(name, used))
        sheet.freeze_panes = "B2"
        sheet.append([_cell(sheet, column) for column in table.column_names])
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            sheet.append([_cell(sheet, value) for value in row])
    if last is not None:
        last[1](book.create_sheet(_sheet_name(last[0], used)))
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        book.save(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


def _sheet_name(name: str, used: set[str]) -> str:
    """Return a name that Excel takes: 31 characters, some forbidden, none twice."""
    plain = re.sub(r"[\[\]:*?/\\']", "_", name)[:31] or "table"
    number, made = 2, plain
    while made.casefold() in used:
        made, number = f"{plain[:27]}_{number}", number + 1
    used.add(made.casefold())
    return made


def _cell(sheet: Any, value: Any) -> Any:
    """Return what a cell holds; text stays text, whatever it begins with, and NaN is an empty cell."""
    from openpyxl.cell import WriteOnlyCell

    if isinstance(value, float) and not np.isfinite(value):
        return None
    if not isinstance(value, str):
        return value if value is None or isinstance(value, bool | int | float) else str(value)
    clean = _FORBIDDEN.sub("\ufffd", value)[:_MAX_TEXT]
    if not clean.startswith(_FORMULA):
        return clean
    cell = WriteOnlyCell(sheet, value=clean)
    cell.data_type = "s"  # openpyxl takes a leading = for a formula
    cell.quotePrefix = True
    return cell


def _run_sheet(sheet: Any, result: Result) -> None:
    records = {"base": result.base, "option": result.option} if isinstance(result, Comparison) else {"": result.run}
    sheet.append(["", "item 项目", "value 值"])
    if isinstance(result, Comparison):
        sheet.append(["", "noise 噪声", _cell(sheet, str(result.noise))])
    for which, record in records.items():
        for name, value in record.to_dict().items():
            items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else [("", value)]
            for key, one in items:
                sheet.append(
                    [
                        which,
                        _cell(sheet, f"{name} {key}".strip()),
                        _cell(sheet, one if isinstance(one, str | int | float | None) else str(one)),
                    ]
                )
