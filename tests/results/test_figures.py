"""The main figures of a result and the ledger of a flood."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from cim.results import Fields, Grid, RunRecord, figures_side_by_side, grid_dataset, main_figures, mass_ledger
from cim.results.columns import column

BALANCE = {"rain_m3": 10.0, "inflow_m3": 0.0, "initial_m3": 0.0, "boundary_in_m3": 0.0, "boundary_out_m3": 3.0, "infiltration_m3": 1.0,
           "pumped_in_m3": 0.0, "pumped_out_m3": 2.0, "stored_m3": 4.0, "volume_error_m3": 0.0, "volume_error_relative": 1e-9}  # fmt: skip


def flood(depth: list[float], *, pumped: float | None = None, balance: dict[str, float] | None = None) -> Fields:
    """Return a flood on four cells of 2 m by 2 m."""
    dataset = grid_dataset(Grid(0.0, 4.0, 2.0, 2.0, nx=2, ny=2, crs="EPSG:4549"))
    says = {"units": "m", "standard_name": "maximum_depth", "long_name": "depth"}
    dataset["maximum_depth"] = (("y", "x"), np.array(depth).reshape(2, 2), says)
    tables = {}
    if pumped is not None:
        schema = pa.schema(
            [pa.field("structure", pa.string()), pa.field("kind", pa.string()), pa.field("time", pa.timestamp("us", "UTC")),
             column("volume", pa.float64(), unit="m³"), column("fallen", pa.float64(), unit="m")]
        )  # fmt: skip
        rows = [{"structure": "P1", "kind": "pump", "time": time, "volume": volume} for time, volume in ((0, 0.0), (60, pumped))]
        tables["structures"] = pa.Table.from_pylist(rows, schema=schema)
    return Fields("flood", dataset, tables, RunRecord("flood", "1", balance=BALANCE if balance is None else balance))


def people(affected: list[float | None], status: list[str]) -> Fields:
    names = [f"b{index}" for index in range(len(affected))]
    table = pa.table({"object": names, "status": status, "people_affected": pa.array(affected, pa.float64())})
    wet = pa.table({"object": names * 2, "status": status * 2, "water_inside": ["yes"] * (2 * len(names))})  # two levels each
    return Fields(
        "impact", flood([0.0] * 4).dataset.drop_vars("maximum_depth"), {"people": table, "buildings": wet}, RunRecord("impact", "1")
    )


def test_a_flood_says_its_greatest_depth_wet_area_and_what_was_pumped() -> None:
    found = {one.name: one for one in main_figures(flood([0.04, 0.06, 2.5, np.nan], pumped=166.0))}
    assert (found["greatest depth"].value, found["greatest depth"].unit) == (2.5, "m")
    assert found["greatest depth"].note == "1 of 4 cells unknown"
    assert found["wet area, deeper than 0.05 m at some time"].value == 8.0  # two cells of 4 m²
    assert (found["volume through pump P1"].value, found["volume through pump P1"].unit) == (166.0, "m³")
    assert "crest fallen of pump P1" not in found


def test_a_depth_that_nobody_knows_is_no_zero() -> None:
    assert [one.value for one in main_figures(flood([np.nan] * 4))] == [None, None]


def test_people_that_nobody_counted_are_no_zero_and_objects_count_once() -> None:
    found = {one.name: one for one in main_figures(people([None, None], ["wet", "dry"]))}
    assert found["people affected"].value is None
    assert found["people affected"].note == "none of 2 buildings says how many"
    assert found["buildings: wet"].value == 1.0
    assert found["buildings: water inside: yes"].value == 2.0
    assert main_figures(people([3.0, None], ["wet", "not_assessed"]))[-1].value == 3.0


def test_the_ledger_adds_up_and_leaves_out_what_was_not_there() -> None:
    found = {one.name: one.value for one in mass_ledger(flood([0.0] * 4))}
    assert found == {"in by rain": 10.0, "in by inflow": 0.0, "out through the edge": 3.0, "pumped out": 2.0, "infiltrated": 1.0,
                     "stored at the end": 4.0, "error": 0.0, "error, greatest, as a share of the water": 1e-9}  # fmt: skip
    assert mass_ledger(flood([0.0] * 4, balance={})) == ()


def test_figures_of_two_results_stand_side_by_side_and_a_missing_pump_has_pumped_nothing() -> None:
    base = flood([0.0, 0.1, 0.2, 1.0], balance=BALANCE | {"pumped_out_m3": 0.0, "stored_m3": 6.0})
    rows = {row["figure"]: row for row in figures_side_by_side(base, flood([0.0, 0.0, 0.2, 0.9], pumped=2.0)).to_pylist()}
    assert rows["greatest depth"]["difference"] == pytest.approx(-0.1, abs=1e-12)
    assert rows["wet area, deeper than 0.05 m at some time"]["difference"] == -4.0
    assert (rows["pumped out"]["base"], rows["pumped out"]["option"]) == (0.0, 2.0)
    assert (rows["volume through pump P1"]["base"], rows["volume through pump P1"]["option"]) == (None, 2.0)
    assert list(rows)[-1] == "error, greatest, as a share of the water"


def test_a_status_that_only_one_result_has_is_zero_in_the_other() -> None:
    rows = figures_side_by_side(people([0.0, 0.0], ["wet", "wet"]), people([0.0, 0.0], ["dry", "not_assessed"])).to_pylist()
    found = {row["figure"]: (row["base"], row["option"]) for row in rows}
    assert found["buildings: wet"] == (2.0, 0.0)
    assert found["buildings: not assessed"] == (0.0, 1.0)


def test_zeros_that_are_known_of_some_are_no_sum_of_all() -> None:
    found = {one.name: one for one in main_figures(people([0.0, None, 0.0], ["unaffected", "not_assessed", "unaffected"]))}
    assert found["people affected"].value is None
    assert found["people affected"].note == "0 in 2 of 3 buildings, none of the rest says how many"
    assert main_figures(people([0.0, 0.0], ["unaffected"] * 2))[-1].value == 0.0
