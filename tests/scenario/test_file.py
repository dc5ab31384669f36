"""The scenario file: every fault with its line, templates that are right, and nothing silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from cim.errors import FormatError, InputError, UsageError
from cim.scenario import kinds, read_scenario, template, validate

GOOD = """\
city = "district.cim"   # a comment with [brackets]
name = "option A"
outputs = ["excel"]

[[change]]
do = "raise_building"
id = "b12"
by = 6.0

[[change]]
do = "add_building"
id = "n"
footprint = [
  [0, 0],
  [10, 0],
  [10, 10]
]
height = 12

[inundation]
levels = [4.0, 5.5]
source = [[10.0, 20.0]]

[checks.far]
limit = { p = 1.2 }
clause = '''§ 4
=== not a key'''

[checks.height_control]
limit = 60
limit_datum = "EPSG:5737"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "district.cim").mkdir()
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "storm.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_right_file_is_read(folder: Path) -> None:
    scenario = read_scenario(write(folder, GOOD))
    assert scenario.name == "option A"
    assert scenario.city == (folder / "district.cim").resolve()
    assert [step.do for step in scenario.change.steps] == ["raise_building", "add_building"]
    assert list(scenario.simulations) == ["inundation"]
    assert list(scenario.checks) == ["far", "height_control"]
    assert scenario.checks["far"].model_dump()["limit"] == {"p": 1.2}
    assert len(scenario.sha256) == 64
    assert validate(folder / "storm.toml") == []


def test_every_fault_is_named_with_its_line_in_one_message(folder: Path) -> None:
    text = GOOD.replace('"district.cim"', '"gone.cim"').replace("by = 6.0", "buy = 6.0").replace("levels = [4.0, 5.5]", 'levels = ["high"]')
    text = (
        text.replace('limit_datum = "EPSG:5737"', "limits_datum = 5")
        .replace("[checks.far]", "[checks.fart]")
        .replace('["excel"]', '["pdf"]')
    )
    path = write(folder, text + "\n[floood]\nx = 1\n")
    faults = {(fault.line, fault.key): fault.message for fault in validate(path)}
    assert set(faults) == {
        (1, "city"),
        (3, "outputs.0"),
        (8, "change.0.buy"),
        (21, "inundation.levels.0"),
        (24, "checks.fart"),
        (31, "checks.height_control.limits_datum"),
        (33, "floood"),
    }
    assert "did you mean far?" in faults[24, "checks.fart"]
    assert "did you mean limit_datum?" in faults[31, "checks.height_control.limits_datum"]
    assert "found 'high'" in faults[21, "inundation.levels.0"]
    with pytest.raises(FormatError, match="7 faults in the scenario") as raised:
        read_scenario(path)
    assert all(f"line {line}: " in str(raised.value) for line, _ in faults)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("city = ", "line 1: not TOML"),
        ("", "city: Field required"),
        ('city = "district.cim"\nchecks = 3\n', "line 2: checks: expected sections"),
        ('city = "district.cim"\ninundation = 3\n', "line 2: inundation"),
        ('city = "district.cim"\n[inundation]\n', "line 2: inundation.levels: Field required"),
        ('city = "district.cim"\n[[change]]\ndo = "fly"\n', "line 2: change.0: there is no 'fly'; known are add_building"),
        ('city = "district.cim"\n[[change]]\ndo = "close_raod"\n', "line 2: change.0: there is no 'close_raod'; did you mean close_road?"),
        ('city = "district.cim"\ncity = "district.cim"\n', "not TOML"),
    ],
)
def test_wrong_files_are_refused_with_the_reason(text: str, words: str, folder: Path) -> None:
    with pytest.raises(FormatError) as raised:
        read_scenario(write(folder, text))
    assert words in str(raised.value)


def test_files_that_are_no_text_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_scenario(folder / "none.toml")
    (folder / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        validate(folder / "binary.toml")


@pytest.mark.parametrize("kind", kinds())
def test_every_template_is_a_right_scenario(kind: str, folder: Path) -> None:
    path = write(folder, template(kind))
    assert [str(fault) for fault in validate(path)] == []
    scenario = read_scenario(path)
    assert scenario.simulations or scenario.checks


def test_commented_parameters_of_a_template_are_real_ones(folder: Path) -> None:
    bare = [
        line[2:] if line.startswith("# ") and " = " in line and line[2:].split(" = ")[0].isidentifier() else line
        for line in template("all").splitlines()
    ]
    keys = {fault.key.rsplit(".", 1)[-1] for fault in validate(write(folder, "\n".join(bare))) if "is not known" in fault.message}
    assert keys <= {"do", "id", "by", "storeys", "footprint", "height", "z_ground"}  # steps, whose [[change]] stays a comment


def test_an_unknown_template_is_refused() -> None:
    with pytest.raises(UsageError, match="'rain'"):
        template("rain")
