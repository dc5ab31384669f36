"""What a template writes behind a parameter: its true default, or an example that says that it is one."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from pydantic import BaseModel, Field

from cim import plugins
from cim.scenario import template
from cim.scenario.template import _assignment


def tables() -> dict[str, Any]:
    return tomllib.loads(template("impact"))


def test_what_the_section_impact_states_are_the_defaults() -> None:
    parameters = plugins.load("cim.simulators", "impact").parameters
    stated = parameters.model_validate(tables()["impact"])
    assert stated == parameters()
    assert set(tables()["impact"]["vehicles"]) == set(parameters().vehicles)


def test_commented_values_of_the_impact_are_the_defaults_or_allowed_examples() -> None:
    section = template("impact").split("\n[impact]\n", 1)[1]
    commented = tomllib.loads("\n".join(line[2:] for line in section.splitlines() if re.match(r"# \w+ = ", line)))
    assert commented["wet_depth"] == 0.05
    parameters = plugins.load("cim.simulators", "impact").parameters
    assert parameters.model_validate(commented).price_year == commented["price_year"]


def test_a_storm_shows_the_peak_that_is_taken_where_none_is_stated() -> None:
    from cim.sim.flood.storms import _PEAK

    assert f"# peak = {_PEAK:g}" in template("flood").splitlines()


class Held(BaseModel):
    told: float | None = Field(default=None, description="share; left out: 0.4, assumed")
    date: str | None = Field(default=None, description="left out: 2000-01-01")
    blank: float | None = Field(default=None, gt=5, description="edge [m]; left out: none")
    shown: float | None = Field(default=None, description="size [m]; left out: 3", examples=[2.0])


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("told", "# told = 0.4"),
        ("date", '# date = "…"'),
        ("blank", "# blank = 10.0  # an example, no default"),
        ("shown", "# shown = 2.0"),
    ],
)
def test_a_number_behind_a_comment_is_the_default_or_says_that_it_is_none(name: str, line: str) -> None:
    assert _assignment(name, Held.model_fields[name]) == line
