"""Axes make members: every combination once, named for good, each fault at its line; nested sections behave like flat ones."""

from __future__ import annotations

import pickle
import re
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, model_validator

from cim import plugins
from cim.errors import FormatError, UsageError
from cim.scenario import Scenario, members, read_scenario, template, validate
from cim.scenario.axes import member_name

FORBID = ConfigDict(extra="forbid", frozen=True)


class Chicago(BaseModel):
    """Design storm."""

    model_config = FORBID
    kind: Literal["chicago"] = "chicago"
    return_period: float = Field(gt=1, description="years")
    duration: str = Field(default="2h", description="how long it rains")


class Constant(BaseModel):
    """Rain of one rate."""

    model_config = FORBID
    kind: Literal["constant"] = "constant"
    rate: float = Field(default=60.0, gt=0, description="mm/h")


class Inflow(BaseModel):
    model_config = FORBID
    where: list[float] = Field(description="point [x, y]")
    flow: float = Field(default=1.0, description="m³/s")


class Limits(BaseModel):
    model_config = FORBID
    wet: float = Field(default=0.05, description="depth that counts as wet [m]")


class Numerics(BaseModel):
    model_config = FORBID
    limits: Limits = Field(default_factory=Limits, description="limits")
    courant: float = Field(default=0.7, gt=0, le=1, description="Courant number")


class Parameters(BaseModel):
    model_config = FORBID
    rain: Annotated[Chicago | Constant, Field(discriminator="kind")] = Field(description="what falls")
    numerics: Numerics = Field(default=Numerics(), description="how it is computed")
    storage: Limits | None = Field(default=None, description="left out: none")
    inflow: list[Inflow] = Field(default=[], description="water that enters")
    until: str = Field(default="6h", description="end")
    start: datetime | None = Field(default=None, description="begin")
    seed: int = Field(default=0, description="seed")

    @model_validator(mode="after")
    def _long_enough(self) -> Parameters:
        if isinstance(self.rain, Chicago) and self.rain.duration == self.until:
            msg = f"rain ends as late as the run, at {self.until}"
            raise ValueError(msg)
        return self


class Dummy:
    name, version, title_en, title_zh = "dummy", "1", "Dummy", "样例"
    parameters = Parameters


@pytest.fixture(autouse=True)
def dummy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register a simulator with nested parameters for one test."""
    load, available = plugins.load, plugins.available
    monkeypatch.setattr(plugins, "load", lambda group, name: Dummy() if name == "dummy" else load(group, name))
    monkeypatch.setattr(plugins, "available", lambda group: (*available(group), *(["dummy"] if group == "cim.simulators" else [])))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "district.cim").mkdir()
    return tmp_path


GOOD = """\
city = "district.cim"
name = "storms"
seed = 7
outputs = ["zarr"]

[[change]]
do = "raise_building"
id = "b1"
by = 1.0

[[option]]
name = "wall"
[[option.change]]
do = "change_terrain"
id = "w"
area = [[0, 0], [9, 0], [9, 9]]
to = 4.0

[[option]]
name = "墙 / 2"
[[option.change]]
do = "remove_building"
id = "b1"
[[option.change]]
do = "close_road"
id = "r1"

[dummy]
until = "8h"
[dummy.rain]
kind = "chicago"
duration = "2h"
[dummy.numerics.limits]
wet = 0.1

[axes]
rain.return_period = [10, 50, 100]
change = ["none", "wall", "墙 / 2"]
dummy.seed = [1, 2]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "storm.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(folder: Path, text: str) -> dict[tuple[int | None, str], str]:
    return {(fault.line, fault.key): fault.message for fault in validate(write(folder, text))}


def test_every_combination_is_a_member_once(folder: Path) -> None:
    scenario = read_scenario(write(folder, GOOD))
    assert dict(scenario.axes) == {"dummy.rain.return_period": (10, 50, 100), "change": ("none", "wall", "墙 / 2"), "dummy.seed": (1, 2)}
    found = members(scenario)
    assert len({one.member for one in found}) == len(found) == 18
    assert found[0].member == "change=none,dummy.rain.return_period=10,dummy.seed=1"
    last = found[-1]
    parameters: Any = last.simulations["dummy"]
    assert (parameters.rain.return_period, parameters.rain.duration, parameters.seed, parameters.until) == (100, "2h", 2, "8h")
    assert parameters.numerics == Numerics(limits=Limits(wet=0.1))
    assert [step.do for step in last.change.steps] == ["raise_building", "remove_building", "close_road"]
    assert (last.change.name, found[0].change.name, len(found[0].change)) == ("墙 / 2", "storms", 1)
    assert dict(last.settings) == {"dummy.rain.return_period": 100, "change": "墙 / 2", "dummy.seed": 2}
    assert not last.axes
    assert last.outputs == ("zarr",)
    assert members(last)[0].simulations == last.simulations


def test_names_can_be_folders_and_stay_when_axes_grow(folder: Path) -> None:
    found = {one.member for one in members(read_scenario(write(folder, GOOD)))}
    for name in found:
        (folder / name).mkdir()
    more = (
        GOOD.replace("[10, 50, 100]", "[5, 100, 50, 10]")
        .replace("dummy.seed = [1, 2]\n", "")
        .replace("[axes]\n", "[axes]\ndummy.seed = [2, 1]\n")
    )
    assert found < {one.member for one in members(read_scenario(write(folder, more)))}


def test_members_travel_to_other_processes(folder: Path) -> None:
    for one in members(read_scenario(write(folder, GOOD)))[:2]:
        again: Scenario = pickle.loads(pickle.dumps(one))
        assert again == one
        assert again.simulations["dummy"] == one.simulations["dummy"]


def test_the_seed_reaches_sections_that_state_none(folder: Path) -> None:
    text = GOOD.replace("dummy.seed = [1, 2]\n", "")
    found: list[Any] = [one.simulations["dummy"] for one in members(read_scenario(write(folder, text)))]
    assert {one.seed for one in found} == {7}
    varied = members(read_scenario(write(folder, text + "seed = [3, 4]\n")))
    assert [(one.seed, dict(one.simulations)["dummy"].model_dump()["seed"]) for one in varied[:2]] == [(3, 3), (4, 4)]
    own = members(read_scenario(write(folder, text.replace("[dummy]\n", "[dummy]\nseed = 9\n") + "seed = [3, 4]\n")))
    assert {one.simulations["dummy"].model_dump()["seed"] for one in own} == {9}


def test_a_scenario_without_axes_is_its_only_member(folder: Path) -> None:
    (only,) = members(read_scenario(write(folder, 'city = "district.cim"\n[inundation]\nlevels = [1.0]\n')))
    assert only.member == "base"


def test_a_whole_table_may_vary(folder: Path) -> None:
    text = GOOD.replace("rain.return_period = [10, 50, 100]", 'dummy.rain = [{ kind = "constant", rate = 5.0 }, { kind = "constant" }]')
    assert faults_of(folder, text) == {(30, "dummy.rain.return_period"): "Field required"}
    text = text.replace('[dummy.rain]\nkind = "chicago"\nduration = "2h"\n', "")
    simulations: list[Any] = [one.simulations["dummy"] for one in members(read_scenario(write(folder, text)))]
    assert {one.rain.rate for one in simulations} == {5.0, 60.0}


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "words"),
    [
        ("[10, 50, 100]", "[10, -50, 100]", 37, "axes.rain.return_period.1", "greater than 1 (found -50)"),
        ("[10, 50, 100]", '[10, "high"]', 37, "axes.rain.return_period.1", "found 'high'"),
        ("[10, 50, 100]", "10", 37, "axes.rain.return_period", "expected a list of values"),
        ("[10, 50, 100]", "[]", 37, "axes.rain.return_period", "expected a list of values"),
        ("[10, 50, 100]", "[10, 50, 10]", 37, "axes.rain.return_period", "10 stands twice"),
        ("rain.return_period", "rain.return_perod", 37, "axes.rain.return_perod.0", "did you mean return_period?"),
        ("rain.return_period", "wind.speed", 37, "axes.wind.speed", "no key of this file"),
        ('"wall", "墙 / 2"]', '"wal", "墙 / 2"]', 38, "axes.change", "did you mean wall?"),
        ('"wall", "墙 / 2"]', '"墙 / 2"]', 11, "option.0", "no member has the option 'wall'"),
        ("dummy.seed = [1, 2]", "seed = [1, -2]", 39, "axes.seed", "0 or more (found -2)"),
        ("dummy.seed = [1, 2]", "dummy.rain.return_period = [1]", 39, "axes.dummy.rain.return_period", "is an axis already"),
        ("dummy.seed = [1, 2]", 'dummy.until = ["2h", "3h"]', 39, "axes.dummy.until.0", "rain ends as late as the run"),
        ('name = "墙 / 2"', 'name = "wall"', 20, "option.1.name", "stands twice"),
        ('name = "墙 / 2"', 'name = "none"', 20, "option.1.name", "means no option"),
        ('do = "close_road"\nid = "r1"', 'do = "close_road"\nidd = "r1"', 26, "option.1.change.1.idd", "did you mean id?"),
        ('duration = "2h"', 'durations = "2h"', 32, "dummy.rain.durations", "did you mean duration?"),
        ('kind = "chicago"', 'kind = "chicago2"', 30, "dummy.rain", "chicago2"),
        ("wet = 0.1", 'wet = "x"', 34, "dummy.numerics.limits.wet", "found 'x'"),
        ("seed = 7", "seed = -7", 3, "seed", "found -7"),
    ],
)
def test_every_fault_is_named_at_its_line(old: str, new: str, line: int, key: str, words: str, folder: Path) -> None:
    found = faults_of(folder, GOOD.replace(old, new, 1))
    assert (line, key) in found, found
    assert words in found[line, key]


def test_a_required_key_that_nobody_gives_is_missing_at_its_table(folder: Path) -> None:
    found = faults_of(folder, GOOD.replace("rain.return_period = [10, 50, 100]\n", ""))
    assert found == {(30, "dummy.rain.return_period"): "Field required"}


def test_a_wrong_value_is_a_fault_even_where_every_member_has_another(folder: Path) -> None:
    found = faults_of(folder, GOOD.replace('duration = "2h"', "return_period = -1"))
    assert found == {(32, "dummy.rain.return_period"): "Input should be greater than 1 (found -1)"}


def test_too_many_members_are_refused_before_any_is_made(folder: Path) -> None:
    many = f"[axes]\nseed = {list(range(400))}\ndummy.seed = {list(range(300))}\ndummy.rain.return_period = [2]\n"
    found = faults_of(folder, GOOD.split("[[option]]", maxsplit=1)[0] + "[dummy.rain]\nkind = 'chicago'\n" + many)
    assert list(found.values()) == ["make 120,000 members, at most 100,000 are allowed; give fewer values"]
    scenario = Scenario("x", folder, read_scenario(write(folder, GOOD)).change, axes={"seed": tuple(range(100_001))})
    with pytest.raises(UsageError, match="100,001 members"):
        members(scenario)


def test_values_that_are_right_alone_and_wrong_together_are_named_by_their_member(folder: Path) -> None:
    text = GOOD.replace("dummy.seed = [1, 2]", 'dummy.until = ["3h", "5h"]\ndummy.rain.duration = ["1h", "5h"]')
    with pytest.raises(UsageError, match=r"member change=none,dummy\.rain\.duration=5h,.*until=5h: .*as late as the run"):
        members(read_scenario(write(folder, text)))


@given(
    st.dictionaries(
        st.sampled_from(["seed", "change", "a.b"]),
        st.one_of(st.integers(), st.floats(allow_nan=False), st.text(), st.lists(st.integers())),
        min_size=1,
    )
)
def test_a_name_is_a_file_name_and_tells_members_apart(settings: dict[str, Any]) -> None:
    name = member_name(settings)
    assert len(name.encode()) < 255 * 3
    assert len(name) <= 180
    assert re.fullmatch(r"[\w.+,=~-]+", name)
    other = {**settings, next(iter(settings)): "other value"}
    assert (member_name(other) == name) == (other == settings)


def test_a_template_prints_nested_tables_that_are_right(folder: Path) -> None:
    text = template("dummy")
    assert [str(fault) for fault in validate(write(folder, text))] == []
    parameters: Any = read_scenario(folder / "storm.toml").simulations["dummy"]
    assert parameters.numerics == Numerics()
    assert isinstance(parameters.rain, Chicago)
    assert parameters.inflow == []
    for line in (
        "[dummy.rain]",
        "# or: Rain of one rate.",
        "# [dummy.rain]",
        "[dummy.numerics.limits]",
        "# [[dummy.inflow]]",
        "# [dummy.storage]",
    ):
        assert line in text.splitlines()


def test_comments_of_a_template_can_be_used(folder: Path) -> None:
    head, tail = template("dummy").split("# What differs from the city")
    code = re.compile(r"# (\[|[\w.]+ = )")
    bare = [line[2:] if code.match(line) else line for line in tail.splitlines()]
    text = "\n".join(bare)
    first, rest = text.split("[dummy.rain]", 1)
    chicago, others = rest.split("# or: Rain of one rate.", 1)
    without_other = others.split("kind = ", 1)[1].split("rate = 60.0\n", 1)[1]
    whole = head + "# " + first + "[dummy.rain]" + chicago + without_other
    found = [str(fault) for fault in validate(write(folder, whole))]
    assert found == []
    assert len(tomllib.loads(whole)["change"]) == 11
    assert len(members(read_scenario(folder / "storm.toml"))) == 6


def test_an_axis_that_is_no_table_is_refused(folder: Path) -> None:
    with pytest.raises(FormatError, match="axes: expected keys with lists"):
        read_scenario(write(folder, 'city = "district.cim"\naxes = 3\n'))
