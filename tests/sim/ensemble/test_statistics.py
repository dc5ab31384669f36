"""Probabilities, statistics and expected annual values, against loops so slow that they are plainly right."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.results import Grid, grid_dataset, save_result
from cim.results.columns import column
from cim.results.fields import Fields
from cim.results.run_record import RunRecord
from cim.sim.ensemble import statistics
from cim.sim.ensemble.annual import annual_table, expected_annual, storm_groups
from cim.sim.ensemble.cells import cell_statistics
from cim.sim.ensemble.reading import describe, read_rows
from cim.sim.ensemble.statistics import Group, Limits, table_statistics, weighted_quantiles

SCHEMA = pa.schema(
    [
        pa.field("object", pa.string()),
        column("status", pa.string()),
        column("depth_max", pa.float64(), unit="m", en="greatest depth", zh="最大水深"),
        column("hazard_class", pa.string()),
        column("cells", pa.int64()),
    ]
)
CLASSES = ["low", "moderate", "significant", "extreme"]
Row = dict[str, Any]
CLOSE = 1e-12  # sums of a dozen numbers near 1 in another order


def member(rng: np.random.Generator, number: int) -> list[Row]:
    """Return rows of one member: some objects are missing, some not assessed, in an order of its own."""
    rows: list[Row] = []
    for name in rng.permutation(list("abcdefgh"))[: rng.integers(5, 9)]:
        depth = float(rng.choice([0.0, 0.15, 0.2, 0.3, 0.7]))
        state = str(rng.choice(["wet", "dry", "not_assessed"], p=[0.5, 0.3, 0.2]))
        kind = str(rng.choice(CLASSES)) if state == "wet" else None
        unknown = state == "not_assessed" or rng.random() < 0.1
        rows.append(
            {"object": str(name), "status": state, "depth_max": None if unknown else depth, "hazard_class": kind, "cells": number + 1}
        )
    return rows


def written(folder: Path, members: list[list[Row]]) -> list[Path | None]:
    paths: list[Path | None] = []
    for number, rows in enumerate(members):
        path = folder / f"{number}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), path)
        paths.append(path)
    return paths


def share(members: list[dict[str, Row]], weights: list[float], name: str, known: Any, event: Any) -> float | None:
    """Return the weighted share of the members that know in which something happens."""
    yes = all_ = 0.0
    for rows, weight in zip(members, weights, strict=True):
        if name in rows and known(rows[name]):
            all_ += weight
            yes += weight if event(rows[name]) else 0.0
    return yes / all_ if all_ else None


def near(found: float | None, expected: float | None) -> bool:
    return found is expected or (found is not None and expected is not None and math.isclose(found, expected, abs_tol=CLOSE))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("held", [10_000_000, 0])
@pytest.mark.parametrize("at_a_time", [20_000_000, 13])
def test_every_column_is_that_of_a_slow_loop(tmp_path: Path, seed: int, held: int, at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cim.sim.ensemble.reading._MOST_HELD", held)  # tables in memory, or read column by column
    monkeypatch.setattr(statistics, "_MOST_VALUES", at_a_time)  # all rows at once, or in parts
    rng = np.random.default_rng(seed)
    lists = [member(rng, number) for number in range(6)]
    members = [{row["object"]: row for row in rows} for rows in lists]
    weights = rng.integers(0, 4, 6).astype(float).tolist()
    weights[0] += 1.0
    rows = read_rows(written(tmp_path, lists))
    assert rows is not None
    group = Group(tuple(range(6)), np.array(weights), (0,) * 6, ((0, 1), (2, 3, 4)))
    made = table_statistics(rows, group, Limits((0.15, 0.3), (0.05, 0.5, 0.95)))
    assert sorted(made["object"].to_pylist()) == sorted({name for one in members for name in one})
    for row in made.to_pylist():
        name = row["object"]
        here = [one[name] for one in members if name in one]
        assert row["members"] == len(here)
        assert row["not_assessed"] == sum(one["status"] == "not_assessed" for one in here)
        assert near(row["p_wet"], share(members, weights, name, assessed, lambda one: one["status"] == "wet"))
        for limit in (0.15, 0.3):
            expected = share(members, weights, name, deep, lambda one, limit=limit: one["depth_max"] >= limit)
            assert near(row[f"p_depth_max_{limit:g}"], expected)
        for place, word in enumerate(CLASSES):
            worse = CLASSES[place:]
            assert near(
                row[f"p_hazard_class_{word}"], share(members, weights, name, assessed, lambda one, w=worse: one["hazard_class"] in w)
            )
        check_numbers(row, name, members, weights)
        check_change(row, name, members, weights)


def assessed(row: Row) -> bool:
    return bool(row["status"] != "not_assessed")


def deep(row: Row) -> bool:
    return assessed(row) and row["depth_max"] is not None


def check_numbers(row: Row, name: str, members: list[dict[str, Row]], weights: list[float]) -> None:
    pairs = [
        (one[name]["depth_max"], weight)
        for one, weight in zip(members, weights, strict=True)
        if name in one and one[name]["depth_max"] is not None
    ]
    values = [value for value, _ in pairs]
    full = sum(weight for _, weight in pairs)
    assert row["depth_max_count"] == len(values)
    assert near(row["depth_max_mean"], sum(value * weight for value, weight in pairs) / full if full else None)
    assert (row["depth_max_min"], row["depth_max_max"]) == ((min(values), max(values)) if values else (None, None))
    for wanted, key in ((0.05, "p05"), (0.5, "p50"), (0.95, "p95")):
        known = sorted(value for value, weight in pairs if weight > 0)
        least = [one for one in known if sum(w for v, w in pairs if v <= one) >= wanted * full - CLOSE]
        assert row[f"depth_max_{key}"] == (least[0] if least else None)
    base = members[0].get(name, {}).get("depth_max")
    assert near(row["depth_max_base"], base if sum(weights) else None)
    assert near(
        row["depth_max_difference"], None if base is None or not full else sum((value - base) * weight for value, weight in pairs) / full
    )
    assert near(row["depth_max_noise"], slow_noise(name, members))


def slow_noise(name: str, members: list[dict[str, Row]]) -> float | None:
    """Return the standard deviation of the difference of two members of one group, pooled."""
    squares = freedom = 0.0
    for same in ((0, 1), (2, 3, 4)):
        values = [members[one][name]["depth_max"] for one in same if name in members[one] and members[one][name]["depth_max"] is not None]
        if len(values) > 1:
            middle = sum(values) / len(values)
            squares += sum((value - middle) ** 2 for value in values)
            freedom += len(values) - 1
    return math.sqrt(2 * squares / freedom) if freedom else None


def check_change(row: Row, name: str, members: list[dict[str, Row]], weights: list[float]) -> None:
    base = members[0].get(name)
    yes = all_ = 0.0
    words: Counter[str] = Counter()
    for one, weight in zip(members, weights, strict=True):
        mine = one.get(name)
        if mine is None and base is None:
            continue
        all_ += weight
        if mine != base:
            yes += weight
            if mine is None:
                words["only in base"] += weight  # type: ignore[assignment]
            elif base is None:
                words["only in option"] += weight  # type: ignore[assignment]
            elif mine["status"] != base["status"]:
                words[f"{base['status']} -> {mine['status']}"] += weight  # type: ignore[assignment]
            else:
                words["changed"] += weight  # type: ignore[assignment]
    assert near(row["p_changed"], yes / all_ if all_ else None)
    most = max(words.values(), default=0)
    assert row["change"] in ({word for word, weight in words.items() if weight == most} if most else {"same"})


@given(
    st.lists(st.tuples(st.one_of(st.just(math.nan), st.floats(-5, 5)), st.integers(0, 3)), min_size=1, max_size=12),
    st.floats(0, 1),
)
def test_a_weighted_quantile_is_the_quantile_of_values_repeated_as_often_as_they_weigh(
    pairs: list[tuple[float, int]], wanted: float
) -> None:
    values = np.array([[value] for value, _ in pairs])
    weights = np.array([float(weight) for _, weight in pairs])
    repeated = sorted(value for value, weight in pairs for _ in range(weight) if not math.isnan(value))
    found = float(weighted_quantiles(values, weights, [wanted])[0, 0])
    if not repeated:
        assert math.isnan(found)
        return
    place = max(0, math.ceil(wanted * len(repeated) * (1 - 1e-12)) - 1)
    assert found == repeated[place]


def test_rows_are_told_apart_by_as_little_as_is_needed(tmp_path: Path) -> None:
    once = pa.table({"object": ["a", "b"], "level": [1.0, 1.0], "value": [1.0, 2.0]})
    twice = pa.table({"object": ["a", "a"], "level": [1.0, 2.0], "value": [1.0, 2.0]})
    same = pa.table({"object": ["a", "a"], "value": [1.0, 2.0]})
    for name, table in (("once", once), ("twice", twice), ("same", same)):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    by_object = read_rows([tmp_path / "once.parquet", None])
    by_level = read_rows([tmp_path / "once.parquet", tmp_path / "twice.parquet"])
    assert by_object is not None
    assert by_level is not None
    assert by_object.keys.column_names == ["object"]
    assert by_level.keys.to_pylist() == [{"object": "a", "level": 1.0}, {"object": "b", "level": 1.0}, {"object": "a", "level": 2.0}]
    assert by_level.numbers(1, "value").tolist()[0::2] == [1.0, 2.0]
    assert math.isnan(by_level.numbers(1, "value")[1])
    assert read_rows([tmp_path / "same.parquet"]) is None
    assert by_object.present(1).tolist() == [False, False]


def depths(folder: Path, values: np.ndarray, dx: float = 1.0) -> Path:
    """Write a result with the greatest depth of each cell."""
    ny, nx = values.shape
    dataset = grid_dataset(Grid(0.0, float(ny), dx, dx, nx, ny, "EPSG:4549"))
    said = {"units": "m", "standard_name": "maximum_depth", "long_name": "depth"}
    dataset["maximum_depth"] = (("y", "x"), values.astype(np.float32), said)
    return save_result(Fields("flood", dataset, {}, RunRecord("flood", "1")), folder)


def test_cells_are_counted_as_a_slow_loop_counts_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    fields = [np.where(rng.random((3, 4)) < 0.2, np.nan, rng.random((3, 4))).astype(np.float32) for _ in range(5)]
    for one in fields:
        one[0, 0] = np.nan
    weights = [0.1, 0.3, 0.2, 0.15, 0.25]
    held = [describe(depths(tmp_path / str(number), one)) for number, one in enumerate(fields)]
    dataset, notes = cell_statistics({"flood": held}, weights, [0.15, 0.5])
    assert notes == []
    for y in range(3):
        for x in range(4):
            known = [(float(one[y, x]), weight) for one, weight in zip(fields, weights, strict=True) if not np.isnan(one[y, x])]
            full = sum(weight for _, weight in known)
            cell = dataset.isel(y=y, x=x)
            assert int(cell["members"]) == len(known)
            for place, limit in enumerate((0.15, 0.5)):
                expected = sum(weight for value, weight in known if value >= limit) / full if known else math.nan
                assert float(cell["exceedance_probability"][place]) == pytest.approx(expected, rel=1e-6, nan_ok=True)  # kept as float32
            mean = sum(value * weight for value, weight in known) / full if known else math.nan
            assert float(cell["maximum_depth_mean"]) == pytest.approx(mean, rel=1e-6, nan_ok=True)
            assert float(cell["maximum_depth_max"]) == pytest.approx(max((value for value, _ in known), default=math.nan), nan_ok=True)


def test_members_on_different_grids_have_no_statistics_by_cell_and_it_is_said(tmp_path: Path) -> None:
    held = [describe(depths(tmp_path / "a", np.zeros((2, 2)))), describe(depths(tmp_path / "b", np.zeros((2, 2)), dx=2.0))]
    dataset, notes = cell_statistics({"flood": held}, [0.5, 0.5], [0.3])
    assert not dataset.data_vars
    assert notes == ["flood: no statistics by cell, its members lie on different grids"]


def test_expected_annual_damage_comes_near_the_integral_it_stands_for() -> None:
    periods = np.geomspace(2.0, 200.0, 400)
    damage = np.log(periods)[:, None]  # D(p) = -ln p; its integral from a to b is p - p ln p
    within, beyond = expected_annual(periods.tolist(), damage)
    a, b = 1 / 200, 1 / 2
    exact = (b - b * math.log(b)) - (a - a * math.log(a))
    assert within[0] == pytest.approx(exact, rel=1e-4)  # trapezoid with 400 points: second order
    assert beyond[0] == pytest.approx(math.log(200) / 200)


def test_storms_are_put_together_by_what_they_share_besides_period_and_seed(tmp_path: Path) -> None:
    settings = [
        {"change": option, "flood.rain.return_period": period, "seed": seed}
        for option in ("none", "dyke") for period in (100, 10) for seed in (1, 2)
    ]  # fmt: skip
    groups = storm_groups(settings)
    assert groups == {"change=none": {10.0: [2, 3], 100.0: [0, 1]}, "change=dyke": {10.0: [6, 7], 100.0: [4, 5]}}
    schema = pa.schema([pa.field("object", pa.string()), column("damage", pa.float64(), unit="EUR (2010)")])
    paths: list[Path | None] = []
    for number, values in enumerate([[110.0, None], [90.0, 5.0], [20.0, 1.0], [0.0, 1.0]]):
        paths.append(tmp_path / f"{number}.parquet")
        pq.write_table(pa.table({"object": ["a", "b"], "damage": values}, schema=schema), tmp_path / f"{number}.parquet")
    rows = read_rows(paths)
    assert rows is not None
    made = annual_table(rows, groups["change=none"], ["damage"])
    assert made["damage_annual"].to_pylist() == [pytest.approx((10 + 100) / 2 * (0.1 - 0.01)), None]  # not assessed in one storm
    assert made["damage_annual_beyond"].to_pylist() == [pytest.approx(1.0), None]
    assert made.schema.field("damage_annual").metadata[b"unit"] == b"EUR (2010)/a"
    assert storm_groups([{"seed": 1}, {"seed": 2}]) == {}
