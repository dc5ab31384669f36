"""Foreign JSON: depth before parsing, encodings, and numbers that would change silently."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.errors import CorruptFileError, FormatError, LimitError
from cim.loaders.json_guard import nesting_depth, parse
from cim.loaders.limits import Limits

LIMITS = Limits()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def slow_depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(slow_depth, value.values()), default=0)
    return 1 + max(map(slow_depth, value), default=0) if isinstance(value, list) else 0


def given_file(tmp_path: Path, data: bytes) -> Path:
    (tmp_path / "a.json").write_bytes(data)
    return tmp_path / "a.json"


@given(VALUES, st.booleans())
def test_depth_is_what_parsing_would_find(value: Any, plain: bool) -> None:  # noqa: FBT001  # hypothesis fills by position
    assert nesting_depth(json.dumps(value, ensure_ascii=plain).encode()) == slow_depth(value)


@given(VALUES)
def test_parsing_changes_no_value(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        text.decode()
    except UnicodeDecodeError:
        return  # a lone surrogate is no text
    if text.strip():
        assert parse(Path("a.json"), LIMITS, data=text).value == value


def test_a_depth_bomb_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="nests 100,000 levels deep, above the depth limit of 100"):
        parse(given_file(tmp_path, b"[" * 100_000), LIMITS)


def test_brackets_in_strings_are_not_depth() -> None:
    assert nesting_depth(b'["[[[[", "\\"[[", {"[": 1}]') == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_text_is_read_in_its_encoding_and_a_guess_is_said(encoding: str, tmp_path: Path) -> None:
    parsed = parse(given_file(tmp_path, '{"名称": "天府广场"}'.encode(encoding)), LIMITS)
    assert parsed.value == {"名称": "天府广场"}
    assert parsed.guessed == (encoding == "gb18030")


def test_a_stated_encoding_wins(tmp_path: Path) -> None:
    assert parse(given_file(tmp_path, '["é"]'.encode("cp1252")), LIMITS, encoding="cp1252").value == ["é"]


def test_text_in_no_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match="not in UTF-8, which JSON requires"):
        parse(given_file(tmp_path, b'["\xff\xff\x80"]'), LIMITS)


def test_long_integers_keep_every_digit_and_odd_numbers_their_name() -> None:
    values = parse(
        Path("a"), LIMITS, data=b"[1180591620717411303424, 18446744073709551616, NaN, -Infinity, 1e999, 0.12345678901234567890123]"
    ).value
    assert values[:2] == [2**70, 2**64]
    assert math.isnan(values[2])
    assert values[3:5] == [-math.inf, math.inf]
    assert values[5] == 0.12345678901234568


def test_a_cut_text_says_where_it_ends(tmp_path: Path) -> None:
    with pytest.raises(CorruptFileError, match=r"a\.json: is not valid JSON: .* \(it looks truncated"):
        parse(given_file(tmp_path, b'{"type": "Feature", "a": [1, 2'), LIMITS)


def test_an_empty_text_is_empty(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="is empty"):
        parse(given_file(tmp_path, b" \n"), LIMITS)
