"""Damage to buildings by the depth of the water: a share of the greatest damage, and money where a value per square metre is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa

from cim.errors import UsageError
from cim.results import Fields, RunRecord, Stopwatch, city_fingerprint, table_fingerprint
from cim.results.columns import column
from cim.sim.buildings import read_buildings, require_measurable
from cim.sim.impact.assess import plain_dataset, table_of
from cim.sim.impact.curves import DamageCurves, jrc_curves
from cim.sim.impact.places import reasons
from cim.sim.uses import use_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

    Floats = NDArray[np.float64]

__all__ = ["BuildingValues", "building_rows", "damage", "damage_schema"]

_VERSION = "1"
_DEPTHS = {"floor": "ground floor", "ground": "ground outside"}
_INSTEAD = {"public": "commercial"}
"""Uses without a curve of their own, and the curve that is taken instead."""


@dataclass(frozen=True)
class BuildingValues:
    """The greatest damage of a square metre of a building.

    Examples
    --------
    >>> BuildingValues({"residential": 600.0}, "EUR", 2010).unit
    'EUR (2010)'
    """

    per_m2: Mapping[str, float]
    """Money per square metre by use."""
    currency: str
    year: int
    """Year of the prices."""
    area: Literal["footprint", "gross_floor_area"] = "footprint"
    """Which area the values count for; the JRC's are per square metre of footprint."""

    @property
    def unit(self) -> str:
        """Currency and year of the prices."""
        return f"{self.currency} ({self.year})"


def damage_schema(unit: str = "") -> pa.Schema:
    """Return the columns of the table ``damage``."""
    return pa.schema(
        [
            pa.field("object", pa.string()),
            column("status", pa.string(), en="status", zh="状态"),
            column("reason", pa.string(), en="reason", zh="原因"),
            column("use", pa.string(), en="use", zh="用途"),
            column("depth", pa.float64(), unit="m", en="depth the curve is read at", zh="计算水深"),
            column("damage_fraction", pa.float64(), en="share of the greatest damage", zh="损失率"),
            column("area", pa.float64(), unit="m²", en="area", zh="面积"),
            column("damage", pa.float64(), unit=unit, en="damage", zh="损失"),
        ]
    )


def damage(
    city: City, exposed: Fields, *, curves: DamageCurves | str, values: BuildingValues | None = None,
    depth: Literal["floor", "ground"] = "floor", uses: Mapping[str, str] | None = None,
) -> Fields:  # fmt: skip
    """Return the damage to every building.

    Parameters
    ----------
    exposed
        Result of `exposure`.
    curves
        Curves, or the continent of those of the JRC; see `jrc_curves` and `read_curves`.
    values
        What a square metre is worth; without it, only fraction and area are given.
    depth
        ``"floor"``: the water over the ground floor; ``"ground"``: that outside.
    uses
        Further words for uses, and their class (residential, commercial, industrial, public, or what the curves name).

    Returns
    -------
    Fields
        Table ``damage``: status damaged, undamaged or not_assessed with the reason. `run.balance` holds the sums.

    Raises
    ------
    UsageError
        If `exposed` is no result of `exposure`, or a parameter makes no sense.
    """
    watch = Stopwatch()
    require_measurable(city)
    if depth not in {"floor", "ground"}:
        msg = f"depth={depth!r}; expected 'floor' or 'ground'"
        raise UsageError(msg)
    chosen = jrc_curves(curves) if isinstance(curves, str) else curves
    rows, keys, area = building_rows(city, exposed)
    name = "depth_inside" if depth == "floor" else "depth_max"
    water = rows[name].to_numpy(zero_copy_only=False).astype(float)
    use = use_of(city, "Building", keys, uses or {})
    notes = [*chosen.notes, *_use_notes(use, chosen)]
    fraction = _fractions(chosen, use, water)
    counted, notes = _area(city, keys, area, values, notes)
    money = _money(fraction, use, counted, values)
    reason = reasons(np.isnan(fraction), "unknown_use")
    reason[np.array([one is not None and _curve(chosen, one) is None for one in use], bool)] = "no_curve"
    reason[np.isnan(water)] = "unknown_depth"
    held = rows["reason"].to_pylist()
    reason = np.array([said if said is not None else why for said, why in zip(held, reason, strict=True)], object)
    assessed = np.array([one is None for one in reason], bool)
    status = np.where(assessed, np.where(fraction > 0, "damaged", "undamaged"), "not_assessed").astype(object)
    columns = {
        "object": np.asarray(rows["object"].to_pylist(), object), "status": status, "reason": reason, "use": use, "depth": water,
        "damage_fraction": np.where(assessed, fraction, np.nan), "area": counted, "damage": np.where(assessed, money, np.nan),
    }  # fmt: skip
    table = table_of(columns, damage_schema(values.unit if values else ""))
    said = {"curves": chosen.name, "source": chosen.source, "depth": depth, "uses": dict(uses or {}), "values": _said(values)}
    run = RunRecord(
        "damage", _VERSION, {"city": city_fingerprint(city), "exposure": table_fingerprint(exposed.table("buildings"))}, said,
        start=exposed.run.start, balance=_sums(columns, values),
        assumptions=(f"damage curves: {chosen.name}, read at the depth above the {_DEPTHS[depth]}", *notes, *_reason_counts(reason)),
    )  # fmt: skip
    return Fields("damage", plain_dataset(), {"damage": table}, watch.stop(run))


def building_rows(city: City, exposed: Fields) -> tuple[pa.Table, NDArray[np.int64], Floats]:
    """Return the buildings of an exposure in the order of the city's, their keys, and the area of their footprints [m²].

    Raises
    ------
    UsageError
        If it is no exposure, or not one of these buildings.
    """
    if "buildings" not in exposed.tables or "depth_inside" not in exposed.tables["buildings"].column_names:
        msg = f"{exposed.name} has no table of exposed buildings; give the result of impact.exposure"
        raise UsageError(msg)
    table, buildings = exposed.tables["buildings"], read_buildings(city)
    if table["object"].to_pylist() != buildings.ids.tolist():
        msg = f"the exposure has {table.num_rows:,} buildings, the city {len(buildings):,} or others; give the city the exposure is of"
        raise UsageError(msg)
    return table, buildings.keys, buildings.area


def _curve(curves: DamageCurves, use: str) -> str | None:
    """Return the curve for a use, None where there is none."""
    return use if use in curves.points else _INSTEAD.get(use) if _INSTEAD.get(use) in curves.points else None


def _fractions(curves: DamageCurves, use: NDArray[np.object_], depth: Floats) -> Floats:
    found = np.full(len(use), np.nan)
    for one in {one for one in use.tolist() if one is not None}:
        name = _curve(curves, one)
        if name is not None:
            mine = use == one
            found[mine] = curves.fraction(name, depth[mine])
    return np.where(depth <= 0, np.where(np.isnan(found), np.nan, 0.0), found)


def _use_notes(use: NDArray[np.object_], curves: DamageCurves) -> list[str]:
    said = []
    for one in sorted({one for one in use.tolist() if one is not None}):
        taken = _curve(curves, one)
        if taken is not None and taken != one:
            said.append(f"{int((use == one).sum()):,} buildings of use {one} take the curve of {taken}")
    return said


def _area(
    city: City, keys: NDArray[np.int64], footprint: Floats, values: BuildingValues | None, notes: list[str]
) -> tuple[Floats, list[str]]:
    from cim.model.numeric import numbers

    if values is None or values.area == "footprint":
        return footprint, notes
    stated = numbers(city, "gross_floor_area", keys)
    blank = int(np.isnan(stated).sum())
    return stated, [*notes, f"{blank:,} buildings state no gross_floor_area: no damage in money"] if blank else notes


def _money(fraction: Floats, use: NDArray[np.object_], area: Floats, values: BuildingValues | None) -> Floats:
    if values is None:
        return np.full(len(fraction), np.nan)
    worth = np.array([values.per_m2.get(one, values.per_m2.get(_INSTEAD.get(one, ""), np.nan)) for one in use.tolist()], float)
    return np.asarray(fraction * area * worth, float)


def _said(values: BuildingValues | None) -> dict[str, Any] | None:
    if values is None:
        return None
    return {"per_m2": dict(values.per_m2), "currency": values.currency, "year": values.year, "area": values.area}


def _sums(columns: Mapping[str, Any], values: BuildingValues | None) -> dict[str, float]:
    """Return what the table adds up to; what is not assessed is not in it."""
    hit = columns["status"] == "damaged"
    sums = {
        "damaged_buildings": float(hit.sum()),
        "not_assessed_buildings": float((columns["status"] == "not_assessed").sum()),
        "damaged_area_m2": float(np.nansum(columns["area"][hit])),
    }
    if values is not None:
        sums[f"damage_{values.currency}_{values.year}"] = float(np.nansum(columns["damage"]))
        sums["damaged_buildings_without_value"] = float(np.isnan(columns["damage"][hit]).sum())
    return sums


def _reason_counts(reason: NDArray[np.object_]) -> list[str]:
    said = [one for one in reason.tolist() if one is not None]
    return [f"damage: {said.count(one):,} not assessed, {one}" for one in sorted(set(said))]
