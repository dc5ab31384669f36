"""The figures of trip_rates.json follow from the rates and shares that their sources state."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import pytest

SETS = json.loads(files("cim.sim.traffic").joinpath("trip_rates.json").read_text(encoding="utf-8"))["sets"]
AREA = {"1000 sq ft": 0.9290304, "dwelling": 1.0}  # in 100 m²; a dwelling is assumed to have 100 m²
FIGURES = [(which, hour, use) for which in SETS for hour in ("am", "pm") for use in SETS[which][hour]]


@pytest.mark.parametrize(("which", "hour", "use"), [one for one in FIGURES if "entering" in SETS[one[0]][one[1]][one[2]]["source"]])
def test_a_figure_is_the_rate_of_its_source_by_area_and_direction(which: str, hour: str, use: str) -> None:
    row = SETS[which][hour][use]
    rate, per = re.search(r"([\d.]+) per (1000 sq ft|dwelling)", row["source"]).groups()  # type: ignore[union-attr]
    entering = float(re.search(r"(\d+) % entering", row["source"])[1]) / 100  # type: ignore[index]
    whole = float(rate) / AREA[per]
    assert row["attraction"] == pytest.approx(whole * entering, abs=5.1e-5)  # four digits are written
    assert row["production"] == pytest.approx(whole * (1 - entering), abs=5.1e-5)


@pytest.mark.parametrize(("which", "hour"), [(which, hour) for which in SETS for hour in ("am", "pm")])
def test_uses_that_no_source_has_are_as_the_file_says(which: str, hour: str) -> None:
    rows = SETS[which][hour]
    for end in ("production", "attraction"):
        assert rows["commercial"][end] == pytest.approx((rows["office"][end] + rows["retail"][end]) / 2, abs=1.01e-4)
        assert rows["public"][end] == rows["office"][end]


@pytest.mark.parametrize(("which", "hour", "use"), FIGURES)
def test_every_figure_says_whether_it_was_read(which: str, hour: str, use: str) -> None:
    source = SETS[which][hour][use]["source"]
    derived = source.startswith(("mean of office and retail", "as office"))
    assert derived or "read" in source or "from memory, not verified" in source
    assert which != "centre" or "memory" not in source
