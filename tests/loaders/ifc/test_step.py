"""The text of an IFC file is looked at before the native library sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cim.errors import CorruptFileError, FormatError, LimitError
from cim.loaders.ifc.graph import check
from cim.loaders.ifc.notes import Notes
from cim.loaders.ifc.step import Step, scan
from cim.loaders.limits import Limits
from tests.loaders.ifc import ifc_files as models


def _scan(path: Path) -> tuple[Step, Notes]:
    notes = Notes()
    return scan(path, Limits(), notes), notes


def test_records_and_references_are_found(tmp_path: Path) -> None:
    step, notes = _scan(models.write(tmp_path, "#2=IFCWALL(#1,'it''s #9; (',$);\n/* #7=IFCWALL(); ' */#1 = IFCSITE();\n"))
    assert step.ids.tolist() == [1, 2]
    assert step.source.tolist() == [1]
    assert step.target.tolist() == [0]
    assert not notes.rows


@pytest.mark.parametrize("tail", ["", "ENDSEC;\n", "ENDSEC;\nEND-ISO-10303-2"])
def test_a_cut_file_is_refused(tmp_path: Path, tail: str) -> None:
    with pytest.raises(CorruptFileError, match="truncated"):
        _scan(models.write(tmp_path, models.TREE, tail=tail))


@pytest.mark.parametrize(
    ("records", "match"),
    [
        ("#1=IFCWALL('open);\n#2=IFCSITE('x');\n", "not closed"),
        ("#1=IFCWALL((1.,2.);\n", "parentheses do not close"),
        ("#1=IFCWALL();\n#1=IFCSITE();\n", "duplicated"),
        ("#99999999999999999999=IFCWALL();\n", "overflows"),
        ("#4294967296=IFCWALL();\n", "overflows"),
    ],
)
def test_a_text_that_does_not_add_up_is_refused(tmp_path: Path, records: str, match: str) -> None:
    with pytest.raises(CorruptFileError, match=match):
        _scan(models.write(tmp_path, records))


def test_a_bomb_of_parentheses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="nested 5,000 deep"):
        _scan(models.write(tmp_path, f"#1=IFCWALL{'(' * 5000}{')' * 5000};\n"))


def test_a_file_without_schema_is_refused(tmp_path: Path) -> None:
    path = models.write(tmp_path, "")
    path.write_text(path.read_text(encoding="utf-8").replace("FILE_SCHEMA", "FILE_THING"), encoding="utf-8")
    with pytest.raises(FormatError, match="names no schema"):
        _scan(path)


@pytest.mark.parametrize("number", ["1.E400", "-1.E400", "NAN", "1.#QNAN", "-inf"])
def test_a_record_with_a_number_that_is_not_finite_is_left_out_and_named(tmp_path: Path, number: str) -> None:
    step, notes = _scan(models.write(tmp_path, f"#1=IFCPOINT(0.,{number});\n#2=IFCWALL(#1);\n#3=IFCWALL('NAN',1.E+100,.INF.);\n"))
    assert step.dropped.keys() == {1}
    assert step.ids.tolist() == [2, 3]
    assert step.missing.tolist() == [[2, 1]]
    assert [note.code for note in notes.rows] == ["rejected"]
    assert "not finite" in check(step).fault(2)
    assert check(step).fault(3) == ""


@pytest.mark.parametrize(("encoding", "severity"), [("gb18030", "warning"), ("utf-8", "info")])
def test_raw_bytes_become_escapes_and_the_encoding_is_told(tmp_path: Path, encoding: str, severity: str) -> None:
    path = models.write(tmp_path, "")
    path.write_bytes(path.read_bytes().replace(b"DATA;\n", "DATA;\n#1=IFCWALL('天府广场');\n".encode(encoding)))
    step, notes = _scan(path)
    assert b"'\\X2\\5929\\X0\\\\X2\\5E9C\\X0\\" in step.text
    assert [(note.code, note.severity) for note in notes.rows] == [("encoding", severity)]
    assert encoding in notes.rows[0].message


def test_a_broken_wide_escape_is_closed_and_the_rest_of_the_file_kept(tmp_path: Path) -> None:
    step, notes = _scan(models.write(tmp_path, "#1=IFCWALL('\\X2\\5929\\X0');\n#2=IFCWALL('\\X2\\5929\\X0\\');\n"))
    assert step.text.count(b"'\\X2\\5929\\X0\\'") == 2
    assert [note.count for note in notes.rows] == [1]


def test_cycles_and_what_builds_on_them_are_found(tmp_path: Path) -> None:
    graph = check(_scan(models.write(tmp_path, "#1=A(#2);\n#2=B(#1);\n#3=C(#1);\n#4=D(#5);\n#5=E();\n"))[0])
    assert [bool(graph.fault(one)) for one in (1, 2, 3, 4, 5)] == [True, True, True, False, False]
    assert "cycle" in graph.fault(3)


def test_shared_booleans_are_counted_as_if_written_out(tmp_path: Path) -> None:
    doubling = "#1=IFCBLOCK();\n" + "".join(f"#{k + 1}=IFCBOOLEANRESULT(.UNION.,#{k},#{k});\n" for k in range(1, 31))
    graph = check(_scan(models.write(tmp_path, doubling))[0])
    assert graph.size[-1] == 2.0**30 - 1.0  # one for each node of the binary tree
    assert graph.depth[-1] == 30
    assert "expands to" in graph.fault(31)


def test_a_deep_boolean_tree_is_measured(tmp_path: Path) -> None:
    deep = "#1=IFCBLOCK();\n" + "".join(f"#{k + 1}=IFCBOOLEANCLIPPINGRESULT(.DIFFERENCE.,#{k},#1);\n" for k in range(1, 2001))
    graph = check(_scan(models.write(tmp_path, deep))[0])
    np.testing.assert_array_equal(graph.depth, np.arange(2001))
    assert "2,000 operations deep" in graph.fault(2001)
