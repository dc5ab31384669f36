"""Arrays taken out of the text as they are: the quick and the careful way must give the same city, and doubt lead to the latter."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.loaders.cityjson import READER, document
from cim.loaders.cityjson.hollow import filled, hollow
from cim.loaders.cityjson.nested import convert, from_text
from cim.loaders.protocol import ReadOptions

numbers = st.integers(-(2**62), 2**62)
FILES = ["cityjson/rotterdam_subset.json", "cityjson/multi_lod.json", "cityjson/DH_01_subs.city.json", "cityjson/DenHaag_01.city.json"]


@given(st.lists(st.lists(st.lists(numbers, max_size=4), max_size=3), min_size=1, max_size=5), st.sampled_from([None, 1]))
def test_lists_as_text_become_the_columns_that_parsed_lists_become(values: list[Any], indent: int | None) -> None:
    texts = [json.dumps(value, indent=indent).encode() for value in values]
    assert convert(texts, 2, "number")[0].to_pylist() == values


@pytest.mark.parametrize("text", [b"[1,[2]]", b"[[1],2]", b"[[[1]]]", b"[[1.5]]", b"[[18446744073709551615]]", b"[[null]]"])
def test_text_that_does_not_nest_as_expected_or_holds_other_numbers_is_left_to_the_parser(text: bytes) -> None:
    assert from_text([text], 2) is None


@pytest.mark.parametrize(
    "text", [b'{"boundaries":[1,]}', b'{"boundaries":[01]}', b'{"vertices":[[1 2]]}', b'{"bound\\u0061ries":[0],"boundaries":[1]}']
)
def test_text_that_is_no_json_or_hides_a_key_is_not_touched(text: bytes) -> None:
    assert hollow(text) is None


def test_an_array_of_an_attribute_that_has_the_name_of_a_member_is_noticed() -> None:
    text = b'{"CityObjects":{"a":{"attributes":{"values":[3]}}},"vertices":[]}'
    found = hollow(text)
    assert found is not None
    small, arrays = found
    assert not filled(json.loads(small), arrays)


@pytest.mark.parametrize("name", FILES)
def test_both_ways_of_parsing_give_the_same_tables(name: str, shared_data: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = shared_data("city", *name.split("/"))
    quick = READER.read(path, ReadOptions(crs="EPSG:28992"))
    monkeypatch.setattr(document, "_quick", lambda *_: None)
    careful = READER.read(path, ReadOptions(crs="EPSG:28992"))
    for table in quick.tables:
        if table != "sources":  # holds the time of reading
            same = quick.tables[table].equals(careful.tables[table])
            assert same or repr(quick.tables[table].to_pylist()) == repr(careful.tables[table].to_pylist()), table  # NaN is like NaN
    assert all(quick.attributes[kind].equals(careful.attributes[kind]) for kind in quick.attributes)
