"""A city for other programs: GeoPackage, GeoParquet, Excel, CityJSON and glTF, each with a report of what the format cannot hold."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import CimError, UsageError
from cim.loaders.export_losses import TITLES, lost_tables
from cim.model.loss import Losses
from cim.progress import track

if TYPE_CHECKING:
    from collections.abc import Iterable

    import geopandas
    import pandas

    from cim.model import City
    from cim.model.loss import LossReport

__all__ = ["FORMATS", "export_city", "to_geopackage", "to_geoparquet", "to_xlsx"]

FORMATS = ("cityjson", "cityjsonseq", "geopackage", "geoparquet", "gltf", "xlsx")
_LEVELLED = ("cityjson", "cityjsonseq", "gltf")  # formats that hold levels of detail


def export_city(
    city: City, format: str, path: str | Path, *, language: Literal["zh", "en"] = "zh", grade: str | None = None, k: int = 10,
    lod: str | None = None,
) -> LossReport:  # fmt: skip
    """Write a city in one of `FORMATS` and return what was left out and what the format cannot hold.

    Parameters
    ----------
    format
        ``cityjson``, ``cityjsonseq`` (one line per feature), ``geopackage`` (one layer per class), ``geoparquet`` (a folder, one file per
        class), ``gltf`` (one binary ``.glb``) or ``xlsx`` (one sheet per class).
    path
        File, or folder for GeoParquet; it appears whole or not at all. Folders above it are made where they are missing.
    language
        Language of the titles in ``xlsx``; the other formats keep the names of the model.
    grade
        Highest data grade 数据分级 that may be in the file, see `cim.loaders.disclosure.GRADES`; an object without a grade counts as the
        highest. Everything when left out.
    k
        Counts of persons below this are left empty, and the totals that would reveal one; 0 keeps them all.
    lod
        Level of detail to write to CityJSON or glTF, such as ``"2.2"``; without it all, or for glTF the finest of each object.

    Raises
    ------
    UsageError
        If the format or the language is not one of these, `lod` is given for a format without levels, nothing may leave at the grade, or
        the file cannot be written.
    """
    if format not in FORMATS or language not in {"zh", "en"}:
        what, found, known = ("language", language, "zh, en") if format in FORMATS else ("format", format, ", ".join(FORMATS))
        msg = f"{what} {found!r} is not known; give one of {known}"
        raise UsageError(msg)
    if lod is not None and format not in _LEVELLED:
        msg = f"lod={lod!r} given, but {format} holds no levels of detail; give it for {', '.join(_LEVELLED)} only"
        raise UsageError(msg)
    from cim.loaders.disclosure import graded, suppressed
    from cim.loaders.export_traces import without_traces

    target, losses = Path(path), Losses()
    if grade is not None:
        shown = graded(city, grade, losses)
        _something(city, shown, grade, losses)
        city = without_traces(city, shown, losses)
    city = suppressed(city, k, losses)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return losses.report() + _write(city, format, target, language, lod)
    except OSError as error:
        if isinstance(error, CimError):
            raise
        msg = f"{target} cannot be written ({error.strerror or error}); check the folder and the rights"
        raise UsageError(msg) from error


def _something(city: City, shown: City, grade: str, losses: Losses) -> None:
    """Refuse to write a file when nothing of a city may leave."""
    from cim.loaders.disclosure import UNGRADED

    if len(shown) or not len(city):
        return
    unknown = losses.rows.get(UNGRADED, (0, ""))[0]
    others = len(city) - unknown
    why = ([f"{unknown} objects have no grade"] if unknown else []) + ([f"{others} objects are above it"] if others else [])
    remedy = "set grade= for their source in the build file" if unknown else "ask for a higher grade"
    msg = f"nothing may leave at grade {grade}: {', '.join(why)}; {remedy}"
    raise UsageError(msg)


def _write(city: City, format: str, target: Path, language: Literal["zh", "en"], lod: str | None) -> LossReport:
    if format == "gltf":
        from cim.loaders.gltf_write import write_gltf

        return write_gltf(city, target, lod=lod)
    if format in {"cityjson", "cityjsonseq"}:
        return _to_cityjson(city, target, lod, lines=format == "cityjsonseq")
    if format == "xlsx":
        return to_xlsx(city, target, language=language)
    return to_geopackage(city, target) if format == "geopackage" else to_geoparquet(city, target)


def _to_cityjson(city: City, target: Path, lod: str | None, *, lines: bool) -> LossReport:
    from cim.loaders.cityjson import write_cityjson, write_cityjsonseq

    losses, lods = Losses(), None if lod is None else [lod]
    report = (write_cityjsonseq if lines else write_cityjson)(city, target, lods=lods)
    told = any("source catalogue" in row["what"] for row in report.rows())  # its writer counts a catalogue of several entries only
    lost_tables(city, {"objects", "geometries", *TITLES} - ({"issues"} if told else {"issues", "sources"}), losses)
    return report + losses.report()


def to_geopackage(city: City, path: Path) -> LossReport:
    """Write one layer per class, attributes and footprints, and return what is not in it.

    A GeoPackage tells no upper from lower case in the names of columns: the later of two equal ones gets a number, and the report says so.
    Lists, dates and mixed values become text, which the report counts too.
    """
    import pyogrio

    part = path.with_name(f".{path.stem}.{os.getpid()}.part.gpkg")
    part.unlink(missing_ok=True)
    losses = Losses()
    try:
        for name in track(city.types(), label="export GeoPackage", unit="classes"):
            frame = _flat(_plain(city, name), name, losses)
            taken = {str(column).casefold() for column in frame if column != "geometry"}
            layer = {"FID": _free("fid", taken), "GEOMETRY_NAME": _free("geom", taken)}
            pyogrio.write_dataframe(
                frame, part, layer=name, driver="GPKG", geometry_type="Unknown", promote_to_multi=False, layer_options=layer
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return _lost(city, losses=losses)


def _flat(frame: geopandas.GeoDataFrame, layer: str, losses: Losses) -> geopandas.GeoDataFrame:
    """Return a frame that a GeoPackage can hold: names that differ beyond their case, plain values."""
    taken: set[str] = set()
    names: dict[str, str] = {}
    for column in (column for column in frame if column != "geometry"):
        names[column] = _free(column, taken)
        taken.add(names[column].casefold())
        if names[column] != column:
            losses.add("columns renamed: their names differ by case only", 1, f"{layer}: {column} -> {names[column]}")
    changed = {column: _plain_column(frame[column]) for column in names if frame[column].dtype == object}
    for column, (_, lost) in changed.items():
        losses.add("lists, dates and mixed values written as text", lost, f"{layer}: {column}")
    return frame.assign(**{column: values for column, (values, _) in changed.items()}).rename(columns=names)


def _free(name: str, taken: Iterable[str]) -> str:
    """Return the name, with the first free number behind it where it is taken in any case."""
    number, found = 1, name
    while found.casefold() in taken:
        number += 1
        found = f"{name}_{number}"
    return found


def _plain_column(column: pandas.Series[Any]) -> tuple[pandas.Series[Any], int]:
    """Return a column of objects as text or as truth values, and how many values became text."""
    from pandas.api.types import infer_dtype

    kind = infer_dtype(column, skipna=True)
    if kind in {"string", "empty"}:
        return column, 0
    if kind == "boolean":
        return column.astype("boolean"), 0
    made = column.map(_words)
    return made, int((made.notna() & ~column.map(lambda value: isinstance(value, str))).sum())


def _words(value: Any) -> str | None:
    """Return one value as text: ISO 8601 for dates, JSON for lists."""
    if value is None or isinstance(value, str):
        return value
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return None if value != value else value.isoformat() if hasattr(value, "isoformat") else str(value)  # noqa: PLR0124


def to_geoparquet(city: City, path: Path) -> LossReport:
    """Write one GeoParquet file per class into a folder and return what is not in it."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        msg = f"{path} exists and is not an empty folder; name a new one"
        raise UsageError(msg)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        for name in track(city.types(), label="export GeoParquet", unit="classes"):
            _plain(city, name).to_parquet(part / f"{name.lstrip('+')}.parquet", index=False, write_covering_bbox=True)
        if path.exists():
            path.rmdir()
        part.replace(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return _lost(city)


def to_xlsx(city: City, path: Path, *, language: Literal["zh", "en"] = "zh") -> LossReport:
    """Write one sheet per class, titles in one language with units, and return what is not in it."""
    from cim.results.export import write_workbook

    sheets = {}
    for name in track(city.types(), label="export xlsx", unit="classes"):
        frame = city.table(name, labels=language).drop(columns=["geometry"]).reset_index()
        sheets[name] = pa.Table.from_pandas(frame, preserve_index=False)
    write_workbook(sheets, path)
    return _lost(city, footprints=True)


def _plain(city: City, name: str) -> geopandas.GeoDataFrame:
    """Return the table of a class with the id as a column, and no column that is empty throughout."""
    frame = city.table(name).reset_index()
    full: geopandas.GeoDataFrame = frame[[column for column in frame if column in {"id", "geometry"} or frame[column].notna().any()]]
    return full


def _lost(city: City, *, footprints: bool = False, losses: Losses | None = None) -> LossReport:
    """Return what flat tables cannot hold, counted."""
    tables = city.tables
    solid = tables.scan("geometries", ["lod"], pc.field("lod") != "0").num_rows
    losses = Losses() if losses is None else losses
    losses.add("geometries beyond the footprint", solid, "levels of detail 1 and up, surfaces and their semantics")
    losses.add("footprints", len(city) if footprints else 0, "a sheet holds no geometry")
    levels = tables["objects"]["level_scheme"]
    losses.add("objects: the scheme of their CIM level", len(levels) - levels.null_count)
    lost_tables(city, {"objects", "geometries"}, losses)
    return losses.report()
