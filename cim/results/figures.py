"""The main figures of a result: the few numbers that somebody asks for first, the ledger of a flood, and two results side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.results.columns import column, unit
from cim.results.fields import Fields, grid_of
from cim.results.verdicts import Verdicts

if TYPE_CHECKING:
    import xarray

__all__ = ["FIGURES", "WET", "Figure", "figure_table", "figures_side_by_side", "main_figures", "mass_ledger", "sum_of_known"]

WET = 0.05
"""Depth from which a cell counts as wet in the main figures [m]."""
FIGURES = "figures"
"""Name of the table in which a result states its main figures itself."""
_DRY = {"dry", "undamaged", "unaffected"}
"""Statuses that are the rest: not counted."""
_OBJECTS = "objects"


@dataclass(frozen=True)
class Figure:
    """One number of a result."""

    name: str
    value: float | None
    """None when nobody knows."""
    unit: str
    note: str = ""
    """What a reader must know, such as of how many it is known."""


def figure_table(rows: Iterable[tuple[str, float | None, str, str]]) -> pa.Table:
    """Return main figures, each with its name, value, unit and what a reader must know, as the table that a result carries."""
    schema = pa.schema([
        column("figure", pa.string(), en="main figure", zh="主要指标"), column("value", pa.float64(), en="value", zh="数值"),
        column("unit", pa.string(), en="unit", zh="单位"), column("note", pa.string(), en="note", zh="说明"),
    ])  # fmt: skip
    given = list(rows)
    arrays = [pa.array([row[at] for row in given], kind.type) for at, kind in enumerate(schema)]
    return pa.Table.from_arrays(arrays, schema=schema)


def sum_of_known(values: pa.ChunkedArray, what: str) -> tuple[float | None, str]:
    """Return the sum of what is known and of how many it is known; None where no more than zeros are known of some; that of nothing is 0.

    Parameters
    ----------
    what
        Whose values they are, and what one says that states its own.

    Examples
    --------
    >>> two = pa.chunked_array([[None, None]], pa.float64())
    >>> sum_of_known(two, "buildings says how many")
    (None, 'none of 2 buildings says how many')
    >>> sum_of_known(pa.chunked_array([[3.0, None]]), "buildings says how many")
    (3.0, 'known of 1 of 2 buildings')
    """
    known = np.asarray(values.drop_null(), float)
    known = known[np.isfinite(known)]
    if len(values) and not len(known):
        return None, f"none of {len(values):,} {what}"
    if len(known) < len(values) and not known.any():
        return None, f"0 in {len(known):,} of {len(values):,} {what.partition(' ')[0]}, none of the rest {what.partition(' ')[2]}"
    return float(known.sum()), f"known of {len(known):,} of {len(values):,} {what.partition(' ')[0]}" if len(values) else ""


def main_figures(result: Verdicts | Fields) -> tuple[Figure, ...]:
    """Return the main figures of a result.

    Verdicts: how many pass, fail, are not assessed. Fields of water: greatest depth, wet area, greatest velocity, volumes that structures
    moved. A table ``figures`` (figure, value, unit, note): what it says. Else tables by object: how many are wet, damaged or not assessed,
    people affected, damage.
    """
    if isinstance(result, Verdicts):
        return tuple(Figure(name.replace("_", " "), float(count), _OBJECTS) for name, count in result.counts().items())
    if FIGURES in result.tables:
        return tuple(Figure(one["figure"], one["value"], one["unit"], one["note"]) for one in result.tables[FIGURES].to_pylist())
    found = [*_water(result.dataset), *_structures(result.tables.get("structures"))]
    for name, table in result.tables.items():
        found += _statuses(name, table)
    return (*found, *_sums(result.tables))


def _water(dataset: xarray.Dataset) -> Iterable[Figure]:
    """Return what the fields of water on a grid say."""
    name = next((one for one in ("maximum_depth", "water_depth") if one in dataset.data_vars), None)
    if name is None or not {"y", "x"} <= set(dataset[name].dims):
        return
    depth = _greatest(dataset[name])
    known = np.isfinite(depth)
    grid = grid_of(dataset)
    note = f"{int((~known).sum()):,} of {depth.size:,} cells unknown" if not known.all() else ""
    yield Figure("greatest depth", float(depth[known].max()) if known.any() else None, "m", note)
    area = float((depth[known] > WET).sum()) * grid.dx * grid.dy if known.any() else None
    yield Figure(f"wet area, deeper than {WET:g} m at some time", area, "m²", note)
    if "maximum_velocity" in dataset.data_vars:
        speed = _greatest(dataset["maximum_velocity"])
        yield Figure("greatest velocity", float(speed[np.isfinite(speed)].max()) if np.isfinite(speed).any() else None, "m/s")


def _greatest(field: xarray.DataArray) -> np.ndarray:
    """Return the greatest value of each cell over levels or times; NaN where none is known."""
    others = tuple(index for index, name in enumerate(field.dims) if name not in {"y", "x"})
    values = np.asarray(field.values, float)
    greatest = np.fmax.reduce(values, axis=others) if others else values
    return np.asarray(greatest, float)


def _structures(table: pa.Table | None) -> Iterable[Figure]:
    """Return what each structure has moved, and how far it has fallen, at the end."""
    if table is None or not {"structure", "time"} <= set(table.column_names):
        return
    last = table.to_pandas().sort_values("time", kind="stable").groupby("structure", sort=False).last()
    for name, words in (("volume", "volume through"), ("fallen", "crest fallen of")):
        if name in last:
            known = last[name].dropna()
            for structure, value in known.items():
                kind = str(last["kind"].get(structure, "structure")) if "kind" in last else "structure"
                yield Figure(f"{words} {kind} {structure}", float(value), unit(table.schema.field(name)))


def _statuses(name: str, table: pa.Table) -> Iterable[Figure]:
    """Return how many objects of a table have each status; objects with several rows (levels, links) count once."""
    if "object" not in table.column_names or not table.num_rows:
        return
    for key, words in (("status", "{}"), ("water_inside", "water inside: {}")):
        if key not in table.column_names or not pa.types.is_string(table.schema.field(key).type):
            continue
        said = set(table[key].unique().to_pylist()) - {None, ""}
        shown = sorted((said | {"wet"} if "dry" in said else said) - _DRY - ({"no"} if key == "water_inside" else set()), reverse=True)
        for word in shown:
            rows = table.filter(pc.equal(table[key], word))
            count = float(pc.count_distinct(rows["object"]).as_py())
            yield Figure(f"{name}: {words.format(word.replace('_', ' '))}", count, _OBJECTS)


def _sums(tables: Any) -> Iterable[Figure]:
    """Return people and damage, and of how many objects they are known."""
    for name, key, words in (("people", "people_affected", "people affected"), ("damage", "damage", "damage")):
        table = tables.get(name)
        if table is None or key not in table.column_names or not table.num_rows:
            continue
        value, note = sum_of_known(table[key], f"buildings says how {'many' if name == 'people' else 'much'}")
        yield Figure(words, value, unit(table.schema.field(key)) or ("persons" if name == "people" else ""), note)


_LEDGER = (
    ("there at the start", ("initial",), False),
    ("in by rain", ("rain",), True),
    ("in by inflow", ("inflow",), True),
    ("in through the edge", ("boundary_in",), False),
    ("pumped in", ("pumped_in",), False),
    ("out through the edge", ("boundary_out",), True),
    ("pumped out", ("pumped_out",), False),
    ("infiltrated", ("infiltration",), True),
    ("stored at the end", ("stored",), True),
)
"""Words, terms of the balance, and whether it is shown when zero."""


def mass_ledger(result: Verdicts | Fields) -> tuple[Figure, ...]:
    """Return where the water of a flood came from and went [m³], with the error; empty for a result without such a balance.

    Terms that are zero in every way, such as pumps where there are none, are left out.
    """
    balance = result.run.balance
    if not {"rain_m3", "stored_m3", "volume_error_m3"} <= set(balance):
        return ()
    rows = []
    for words, terms, always in _LEDGER:
        value = sum(float(balance.get(f"{term}_m3", 0.0)) for term in terms)
        if always or value != 0.0:
            rows.append(Figure(words, value, "m³"))
    rows.append(Figure("error", float(balance["volume_error_m3"]), "m³", "stored beyond what came and did not leave"))
    if "volume_error_relative" in balance:
        rows.append(Figure("error, greatest, as a share of the water", float(balance["volume_error_relative"]), "1"))
    return tuple(rows)


def figures_side_by_side(base: Verdicts | Fields, option: Verdicts | Fields) -> pa.Table:
    """Return the main figures and the ledger of two results: figure, unit, base, option, difference (option minus base), note."""
    one, other = ({figure.name: figure for figure in (*main_figures(side), *mass_ledger(side))} for side in (base, option))
    place = {words: index for index, (words, _, _) in enumerate(_LEDGER, 1)}
    last = len(place) + 1
    every = dict.fromkeys([*(figure.name for side in (base, option) for figure in main_figures(side)), *one, *other])
    names = sorted(every, key=lambda name: place.get(name, last if name.startswith("error") else 0))
    before, after = (pa.array([_value(name, *sides) for name in names], pa.float64()) for sides in ((one, other), (other, one)))
    columns = {
        "figure": names,
        "unit": [(one.get(name) or other[name]).unit for name in names],
        "base": before,
        "option": after,
        "difference": pc.if_else(pa.array([_one_unit(name, one, other) for name in names]), pc.subtract(after, before), None),
        "note": [_note(one.get(name), other.get(name)) for name in names],
    }
    kinds = {"figure": pa.string(), "unit": pa.string(), "note": pa.string()}
    schema = pa.schema([column(name, kinds.get(name, pa.float64())) for name in columns])
    return pa.table(columns, schema=schema)


def _one_unit(name: str, one: dict[str, Figure], other: dict[str, Figure]) -> bool:
    return name not in one or name not in other or one[name].unit == other[name].unit


def _value(name: str, own: dict[str, Figure], other: dict[str, Figure]) -> float | None:
    """Return a figure; a count or a term of the ledger that one result has and the other leaves out is zero there."""
    if name in own:
        return own[name].value
    left_out = {words for words, _, always in _LEDGER if not always}
    table = name.partition(":")[0]
    counted = other[name].unit == _OBJECTS and any(one.startswith(f"{table}:") for one in own)
    return 0.0 if counted or (name in left_out and "stored at the end" in own) else None


def _note(base: Figure | None, option: Figure | None) -> str:
    said = [one.note if one is not None else "" for one in (base, option)]
    return said[0] if said[0] == said[1] else "; ".join(f"{word}: {one}" for word, one in zip(("base", "option"), said, strict=True) if one)
