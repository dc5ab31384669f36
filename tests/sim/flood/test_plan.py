"""What a run is told, and what it must not take for something else: orientation, identity, strangers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import xarray as xr

from cim.errors import UsageError
from cim.results import Fields
from cim.sim.flood import Boundary, Breach, FlowDomain, Inflow, Pump, simulate

SINGLE = 1e-6  # share: a float32 depth


def lake(**more: Any) -> Fields:
    """Run a dam break over 10 × 40 cells of 2 m for four minutes."""
    depth = np.zeros((10, 40))
    depth[:, :20] = 1.0
    given: dict[str, Any] = {"initial_depth": depth, "until": "4min", "output_every": "1min", "threads": 1, **more}
    return simulate(np.zeros((10, 40)), dx=2.0, **given)


def southern(values: np.ndarray[Any, Any]) -> xr.DataArray:
    """Return a field whose first row is the southern one."""
    middle = np.arange(len(values)) * 2.0 + 1.0
    return xr.DataArray(values, dims=("y", "x"), coords={"y": middle, "x": middle})


def test_water_at_the_start_lies_where_its_coordinates_say() -> None:
    values = np.zeros((10, 10))
    values[0] = 1.0
    for name in ("initial_depth", "initial_level"):
        at_first: dict[str, Any] = {name: southern(values)}
        water = simulate(southern(np.zeros((10, 10))), until=1.0, threads=1, **at_first)
        first = water["water_depth"].isel(time=0)
        assert float(first.sel(y=1.0).min()) == 1.0
        assert float(first.sel(y=19.0).max()) == 0.0


def test_a_field_of_roughness_lies_where_its_coordinates_say() -> None:
    values = np.full((10, 10), 0.03)
    values[0] = 0.2
    domain = FlowDomain.from_elevation(southern(np.zeros((10, 10))), roughness=southern(values))
    assert np.array_equal(np.asarray(domain.roughness), values[::-1])


@pytest.mark.parametrize("name", ["initial_depth", "initial_level"])
def test_a_field_beside_the_ground_is_refused(name: str) -> None:
    aside = southern(np.zeros((10, 10))).assign_coords(x=np.arange(10) * 2.0 + 3.0)
    water: dict[str, Any] = {name: aside}
    with pytest.raises(UsageError, match="its cells are not those of the elevation"):
        simulate(southern(np.zeros((10, 10))), until=1.0, **water)
    with pytest.raises(UsageError, match="roughness: its cells are not those"):
        simulate(southern(np.zeros((10, 10))), until=1.0, roughness=aside)


def wide(x: float) -> Pump:
    """Return a pump whose intake differs only beyond what `repr` shows of it."""
    corners = [(1.123456, 1.123456), (5.123456, 1.123456), (5.212345, 2.123456), (5.312345, 3.123456), (5.412345, 4.123456), (x, 19.0)]
    return Pump(shapely.Polygon(corners), 0.5)


def failing(rate: float) -> Pump:
    """Return a pump whose capacity differs only in the middle of a long series."""
    import pandas as pd

    values = np.full(121, 0.1)
    values[40:80] = rate
    return Pump((3.0, 3.0), pd.Series(values, index=np.arange(121) * 2.0))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"gauges": {"a": (3.0, 10.0)}}, {"gauges": {"a": (77.0, 10.0)}}),
        ({"sections": {"a": [[41.0, 0.0], [41.0, 20.0]]}}, {"sections": {"a": [[41.0, 20.0], [41.0, 0.0]]}}),
        ({"structures": [wide(2.0)]}, {"structures": [wide(70.0)]}),
        ({"structures": [failing(0.1)]}, {"structures": [failing(0.9)]}),
        ({"inflows": [Inflow((3.0, 3.0), 1.0)]}, {"inflows": [Inflow((3.0, 3.0), 1.0 + 1e-9)]}),
    ],
    ids=["gauge moved", "section turned", "long polygon", "long series", "last digit"],
)
def test_another_run_is_not_taken_up_for_this_one(first: dict[str, Any], second: dict[str, Any], tmp_path: Path) -> None:
    lake(checkpoint=tmp_path / "run", **first)
    with pytest.raises(UsageError, match="checkpoints of another run"):
        lake(checkpoint=tmp_path / "run", **second)


def test_a_branch_is_known_by_where_it_leaves_and_says_so(tmp_path: Path) -> None:
    lake(checkpoint=tmp_path / "base", keep_checkpoints=True)
    poured: dict[str, Any] = {"inflows": [Inflow((3.0, 3.0), 1.0)], "branch_from": tmp_path / "base", "checkpoint": tmp_path / "branch"}
    first = lake(branch_at="1min", **poured)
    assert first.run.balance["inflow_m3"] == pytest.approx(180.0, rel=SINGLE)
    assert first.run.parameters["branch_at"] == 60.0
    assert first.run.parameters["branch_from"]
    with pytest.raises(UsageError, match="checkpoints of another run"):
        lake(branch_at="3min", **poured)
    with pytest.raises(UsageError, match="checkpoints of another run"):
        lake(inflows=poured["inflows"], checkpoint=poured["checkpoint"])


def test_what_is_no_boundary_inflow_structure_or_place_is_named_with_the_rest() -> None:
    with pytest.raises(UsageError) as caught:
        lake(
            boundaries=["west"], inflows=[Boundary("west")], structures=Pump((1.0, 1.0), 1.0), gauges=[(1.0, 1.0)], wet_depth=5e-4,
            checkpoint_every="soon",
        )  # fmt: skip
    said = str(caught.value)
    assert "flood: 6 faults" in said
    for part in ("boundaries[0] is a str", "inflows[0] is a Boundary", "structures is a Pump", "gauges is a list", "wet_depth=0.0005",
                 "checkpoint_every: "):  # fmt: skip
        assert part in said


def test_numbers_that_cannot_be_meant_are_refused() -> None:
    with pytest.raises(UsageError) as caught:
        simulate(
            np.zeros((10, 10)), dx=2.0, until="2024-06-01T12:00", output_every="1d", initial_depth=50_000.0,
            gauges={"area": shapely.box(1, 1, 9, 9)}, boundaries=[Boundary(42)],
            structures=[
                Pump((5.0, 5.0), 0.5, outlet=(5.0, 5.0)),
                Pump((5.0, 5.0), 0.5, on_depth="deep"),  # type: ignore[arg-type]
                Breach([[1.0, 1.0], [3.0, 3.0]], level="low"),  # type: ignore[arg-type]
            ],
        )  # fmt: skip
    said = str(caught.value)
    for part in ("is an instant, but the run has no start", "given in mm?", "it covers 25 cells", "where=42", "pump in a circle",
                 "on_depth='deep'", "level='low'"):  # fmt: skip
        assert part in said


def test_the_record_tells_the_first_water_and_how_much_of_a_section_is_off_the_ground() -> None:
    water = lake(sections={"long": [[41.0, -20.0], [41.0, 60.0]], "short": [[41.0, 1.0], [41.0, 19.0]]})
    assert "water at the start: 800.0 m³ on 200 cells" in water.run.assumptions
    assert "section 'long': 75% of its length lies beyond the ground" in water.run.assumptions
    assert not any("'short'" in one for one in water.run.assumptions)


def test_a_pump_that_may_start_on_dry_ground_takes_nothing_from_it() -> None:
    water = simulate(np.zeros((5, 5)), dx=2.0, until="1min", structures=[Pump((5.0, 5.0), 0.5, on_depth=0.0, off_depth=0.0)])
    assert water.run.balance["pumped_out_m3"] == 0.0


def test_a_later_breach_does_not_raise_ground_that_is_gone() -> None:
    ground = np.zeros((10, 40))
    ground[:, 20] = 3.0
    depth = np.zeros(ground.shape)
    depth[:, :20] = 2.0
    line = [[41.0, 0.0], [41.0, 20.0]]
    low, late = Breach(line, level=0.0), Breach(line, level=2.5, begin="1min")
    alone, both = (
        simulate(ground, dx=2.0, until="3min", output_every="1min", initial_depth=depth, structures=one, threads=1)
        for one in ([low], [low, late])
    )
    assert np.array_equal(alone["water_depth"].values, both["water_depth"].values)
