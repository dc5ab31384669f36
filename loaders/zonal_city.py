"""Statistics of a raster as attributes of the objects of a city: each value with its unit, source and method, each gap counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.loaders.fusion.claims import conflicts, json_column
from cim.loaders.zonal_statistics import STATISTICS, zonal_statistics
from cim.model.coverages import Raster, coverage_path, coverage_rows
from cim.model.schema import SCHEMAS, make_table
from cim.model.spatial import polygons_only

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.crs import CityCRS
    from cim.model import City

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Texts = NDArray[np.object_]
    Issue = dict[str, Any]

__all__ = ["Ground", "Measured", "add_zonal", "attach", "gaps", "places", "resolve"]


@dataclass(frozen=True)
class Ground:
    """A raster or image that is asked, wherever it lies."""

    data: Raster | Path
    crs: CityCRS
    name: str
    unit: str
    source: int | None
    """Key of its source in the city that is given values."""
    meta: Mapping[str, Any]
    """What its reader noted."""


@dataclass(frozen=True)
class Measured:
    """One new attribute of all objects of a class."""

    values: Any
    """Shape (n,): numbers (NaN unknown) or texts (None unknown)."""
    unit: str
    method: Texts | str
    """How each was found, in words; shape (n,) or one for all."""
    confidence: float | None = None
    label_en: str = ""
    label_zh: str = ""


def add_zonal(
    city: City, raster: City | Raster | str, *, type: str = "Building", name: str = "elevation", statistics: Sequence[str] = ("mean", "max")
) -> City:
    """Return the city with statistics of a raster as attributes ``<name>_<statistic>`` of the objects of a class.

    Parameters
    ----------
    raster
        A city that holds one raster (what reading it gave), the id of an object of this city that has one, or a raster in memory. In
        another coordinate system the footprints are transformed, never the raster.
    type
        Class of the objects.
    name
        First part of the attribute names.
    statistics
        Out of `cim.loaders.zonal.STATISTICS`.

    Raises
    ------
    UsageError
        If there is no such class, raster or statistic.
    InputError
        If the raster cannot be read.

    Notes
    -----
    A cell counts whole when its centre lies in the footprint. What holds no centre takes the cell under a point inside. Footprints
    that were sampled so, reach beyond the raster, or meet unknown cells only are counted in ``city.issues``. A value that an object has
    already stays, and the measured one is a claim beside it.
    """
    unknown = [one for one in statistics if one not in STATISTICS]
    if unknown or not statistics:
        msg = f"statistics={tuple(statistics)!r}; give one or more of {', '.join(STATISTICS)}"
        raise UsageError(msg)
    city, ground = resolve(city, raster, "raster")
    keys, shapes, issues = places(city, type, ground)
    found = zonal_statistics(ground.data, shapes, statistics)
    basis = _basis(found.cells, found.covered, found.sampled, ground.name)
    columns = {}
    for one in statistics:
        method = np.asarray([f"{one} of {text}" for text in basis[0].tolist()], object)[basis[1]]
        unit = "" if one == "count" else ground.unit
        columns[f"{name}_{one}"] = Measured(found[one], unit, method)
    known = np.isfinite(found[statistics[0]])
    issues += gaps(f"{type} and {ground.name}", shapes, found.covered, found.sampled, known, found.unknown)
    return attach(city, type, keys, columns, ground.source).with_issues(issues)


def _basis(cells: Ints, covered: Floats, sampled: NDArray[np.bool_], name: str) -> tuple[Texts, Ints]:
    """Return the different texts on what values rest on, and which of them is each polygon's."""
    share = np.nan_to_num(np.round(100 * covered), nan=0.0).astype(np.int64)
    rows, place = np.unique(np.stack([np.where(sampled, -1, cells), share], axis=1), axis=0, return_inverse=True)
    texts = [
        ("the cell under a point inside (no cell centre inside)" if count < 0 else f"{count} cells whose centre lies inside")
        + f" of {name}"
        + ("" if percent >= 100 else f", which holds {percent} % of the footprint")
        for count, percent in rows.tolist()
    ]
    return np.asarray(texts, object), place.ravel()


# ---------------------------------------------------------------- where the raster is


def resolve(city: City, raster: City | Raster | str, kind: str) -> tuple[City, Ground]:
    """Return the raster or image (`kind` of coverage) that is meant, and the city with its source among the sources.

    Raises
    ------
    UsageError
        If there is none, or more than one.
    """
    from cim.crs import parse

    if isinstance(raster, Raster):
        return city, Ground(raster, raster.crs, raster.name or "a raster in memory", raster.unit, None, {})
    owner = city if isinstance(raster, str) else raster
    rows = coverage_rows(owner, kind, raster if isinstance(raster, str) else None)
    if len(rows) != 1:
        names = ", ".join(row["id"] for row in coverage_rows(owner, kind)[:10]) or "none"
        where = f"the object {raster!r}" if isinstance(raster, str) else f"the city {raster.name!r}"
        msg = f"{where} has {len(rows)} coverages of kind {kind}, expected one; there are: {names}"
        raise UsageError(msg)
    row = rows[0]
    city, source = (city, row["source"]) if owner is city else _adopted(city, owner, row["source"])
    crs = owner.crs if row["crs"] is None else parse(row["crs"])
    return city, Ground(coverage_path(owner, row), crs, row["id"], row["unit"] or "", source, row["meta"])


def _adopted(city: City, other: City, key: int | None) -> tuple[City, int | None]:
    """Return the city with a source of another city, and its key here; one with the same fingerprint is not added twice."""
    if key is None:
        return city, None
    mine, theirs = city.tables["sources"], other.tables["sources"].to_pylist()
    row = next(one for one in theirs if one["key"] == key)
    same = [one for one in mine.to_pylist() if one["sha256"] == row["sha256"] is not None and one["path"] == row["path"]]
    if same:
        return city, int(same[0]["key"])
    fresh = int(pc.max(mine["key"]).as_py() or 0) + 1 if mine.num_rows else 0
    added = type(mine).from_pylist([{**row, "key": fresh}], schema=SCHEMAS["sources"])
    return city.replace_tables(sources=pa.concat_tables([mine, added])), fresh


def places(city: City, type: str, ground: Ground) -> tuple[Ints, NDArray[np.object_], list[Issue]]:
    """Return the objects of a class, their footprints in the system of the raster, and what has to be said about that.

    Raises
    ------
    UsageError
        If there is no object of the class.
    CRSError
        If the footprints cannot be brought to the system of the raster.
    """
    import shapely

    from cim.crs import transform_geometries

    if type not in city.types():
        msg = f"the city has no {type}; it has {', '.join(city.types()) or 'no objects'}"
        raise UsageError(msg)
    keys = np.sort(city.keys(type))
    shapes = polygons_only(city.footprints(keys))
    issues: list[Issue] = []
    broken = int((~shapely.is_valid(shapes) & ~shapely.is_missing(shapes)).sum())
    if broken:
        text = f"{broken} footprints of {type} are invalid (they cross themselves); their inside is taken by the even-odd rule"
        issues.append({"code": "invalid", "count": broken, "message": text})
    if not ground.crs.same_horizontal(city.crs):
        shapes, done = transform_geometries(shapes, city.crs.without_vertical(), ground.crs.without_vertical(), path=ground.name)
        text = f"the footprints of {type} were transformed to {ground.crs.to_string()} to meet {ground.name}"
        issues += [{"code": "crs", "severity": "info", "message": note} for note in (text, *done.notes)]
    return keys, shapes, issues


def gaps(
    what: str,
    shapes: NDArray[np.object_],
    covered: Floats,
    sampled: NDArray[np.bool_],
    known: NDArray[np.bool_],
    unknown: Ints | None = None,
) -> list[Issue]:
    """Return issues that count what a raster could not tell, or told by less than the whole footprint.

    Parameters
    ----------
    what
        The class and the raster, in words.
    known : shape (n,)
        Objects that got a value.
    unknown : shape (n,)
        Cells without a value inside each.
    """
    import shapely

    there = ~shapely.is_missing(shapes)
    partly = (covered > 0) & (covered < 1)
    holes = np.zeros(len(there), bool) if unknown is None else known & (unknown > 0)
    said = [
        (~there, "unmatched", "info", "objects have no footprint with an area and get no value"),
        (there & (covered == 0), "unmatched", "warning", "footprints lie outside the raster and get no value"),
        (partly & known, "assumed", "warning", "footprints reach beyond the raster; the value speaks for the part inside"),
        (there & (covered > 0) & ~known, "empty", "warning", "footprints meet unknown cells only and get no value"),
        (holes, "assumed", "info", "footprints hold some unknown cells; the value speaks for the others"),
        (sampled & known, "assumed", "info", "footprints hold no cell centre; the cell under a point inside was taken"),
    ]
    rows = [(int(mask.sum()), code, severity, text) for mask, code, severity, text in said]
    return [{"code": code, "severity": severity, "count": n, "message": f"{what}: {n} {text}"} for n, code, severity, text in rows if n]


# ---------------------------------------------------------------- writing


def attach(city: City, type: str, keys: Ints, columns: Mapping[str, Measured], source: int | None) -> City:
    """Return the city with attributes of all objects of a class, and a claim behind each value.

    A value that is there already stays; the measured one is then a claim that was not chosen, and a conflict where both differ beyond
    the tolerance of the fusion.

    Parameters
    ----------
    keys : shape (n,)
        All objects of the class, ascending.
    source
        Key of the source in this city.

    Raises
    ------
    UsageError
        If an attribute of that name holds another quantity.
    """
    table = city.attributes[type] if type in city.attributes else pa.table({"object": pa.array(keys)})
    for name, column in ((name, _in_si(column)) for name, column in columns.items()):
        values = pa.array(column.values, from_pandas=True)
        stated = _stated(table, type, name, column, values.type)
        city = _claimed(city, keys, name, column, (values, stated), source)
        metadata = {"unit": column.unit, "label_en": column.label_en, "label_zh": column.label_zh}
        field = pa.field(name, values.type, metadata={key: text for key, text in metadata.items() if text})
        if stated is None:
            table = table.append_column(field, values)
        else:
            at = table.column_names.index(name)
            table = table.set_column(at, field.with_metadata(table.schema.field(at).metadata), pc.coalesce(stated, values))
    return city.replace_tables(attributes={type: table})


def _in_si(column: Measured) -> Measured:
    """Return a measured attribute in the SI unit of its quantity, as readers store it; a scale with a zero of its own (°C) stays."""
    from cim.units import parse_unit

    unit = parse_unit(column.unit)
    values = pa.array(column.values, from_pandas=True)
    if unit.factor == 1.0 or unit.offset != 0.0 or not pa.types.is_floating(values.type):
        return column
    return replace(column, values=np.asarray(column.values, float) * unit.factor, unit=unit.si)


def _stated(table: pa.Table, type: str, name: str, column: Measured, kind: pa.DataType) -> pa.Array | None:
    """Return what the objects have under this name already."""
    from cim.model.columns import is_number
    from cim.model.schema import one_array
    from cim.units import parse_unit

    if name in SCHEMAS["objects"].names:
        msg = f"{name!r} is a column that every object has; give the attribute another name"
        raise UsageError(msg)
    if name not in table.column_names:
        return None
    field = table.schema.field(name)
    unit = (field.metadata or {}).get(b"unit", b"").decode()
    mine, other = parse_unit(unit), parse_unit(column.unit)
    same = (mine.si, mine.factor, mine.offset) == (other.si, other.factor, other.offset)
    if is_number(field.type) != is_number(kind) or not same:
        msg = f"{type} has an attribute {name!r} of {field.type} [{unit or '1'}], not {kind} [{column.unit or '1'}]; give another name"
        raise UsageError(msg)
    return one_array(table[name]).cast(kind)


def _claimed(city: City, keys: Ints, name: str, column: Measured, values: tuple[pa.Array, pa.Array | None], source: int | None) -> City:
    """Return the city with a claim for every measured value, and one for what was read where nobody has said so yet."""
    measured, stated = values
    claims = city.tables["claims"]
    there = np.asarray(measured.is_valid())
    before = np.zeros(len(keys), bool) if stated is None else np.asarray(stated.is_valid())
    method = np.broadcast_to(np.asarray(column.method, object), len(keys))
    parts = [claims]
    if stated is not None:
        mine = np.asarray(claims.filter(pc.field("attribute") == name)["object"].to_numpy(), np.int64)
        silent = np.flatnonzero(there & before & ~np.isin(keys, mine))
        origin = city.tables["objects"]["source"].take(pa.array(city.row_of_key(keys[silent])))
        read = {"source": origin, "method": "read", "chosen": True}
        parts.append(_rows(keys[silent], name, column.unit, stated.take(pa.array(silent)), read))
    said = np.flatnonzero(there)
    ours = {"source": source, "method": method[said].tolist(), "confidence": column.confidence, "chosen": ~before[said]}
    parts.append(_rows(keys[said], name, column.unit, measured.take(pa.array(said)), ours))
    done = city.replace_tables(claims=pa.concat_tables(parts))
    if stated is None:
        return done
    told = done.tables["claims"]
    return done.with_issues(conflicts(told.filter(pc.equal(told["attribute"], name)), done.tables["issues"]))


def _rows(keys: Ints, name: str, unit: str, values: pa.Array, more: Mapping[str, Any]) -> pa.Table:
    columns = {"object": keys, "attribute": name, "value": json_column(values), "unit": unit or None, **more}
    return make_table("claims", columns, len(keys))
