"""One object, many spellings of its number: all come to one form."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cim.model.identifiers import normalise_identifier, scheme_of


def test_the_three_spellings_of_a_building_register_number_are_one() -> None:
    spellings = ["503100000018603", "0503100000018603", "NL.IMBAG.Pand.0503100000018603", " 0503100000018603 ", "503100000018603.0"]
    assert normalise_identifier("bag", spellings).unique().to_pylist() == ["503100000018603"]
    assert normalise_identifier("bag", np.array([503100000018603])).to_pylist() == ["503100000018603"]


def test_other_registers_keep_their_text() -> None:
    assert normalise_identifier("编号", ["宗-0012", "A0", "0", ""]).to_pylist() == ["宗-0012", "A0", "0", ""]
    assert normalise_identifier("gml:id", ["b31bc4dc2-00ba-11e6"]).to_pylist() == ["b31bc4dc2-00ba-11e6"]


def test_guids_lose_case_braces_and_hyphens_and_ifc_ids_do_not() -> None:
    spellings = [
        "{B31BC81C-0000-4000-8000-00000000000A}",
        "b31bc81c-0000-4000-8000-00000000000a",
        "uuid_b31bc81c-0000-4000-8000-00000000000A",
    ]
    assert len(normalise_identifier("guid", spellings).unique()) == 1
    assert normalise_identifier("guid", ["2O2Fr$t4X7Zf8NOew3FLOH"]).to_pylist() == ["2O2Fr$t4X7Zf8NOew3FLOH"]


def test_what_is_missing_stays_missing() -> None:
    assert normalise_identifier("bag", pa.array(["1", None])).to_pylist() == ["1", None]


@pytest.mark.parametrize(
    ("field", "scheme"), [("identificatieBAGPND", "bag"), ("GML_ID", "gml:id"), ("UUID", "guid"), ("osm_id", "osm"), ("FID_1", "FID_1")]
)
def test_the_scheme_follows_from_the_field(field: str, scheme: str) -> None:
    assert scheme_of(field) == scheme


def test_the_scheme_follows_from_the_values_where_the_field_says_little() -> None:
    assert scheme_of("identificatie", pa.array(["NL.IMBAG.Pand.0503100000030264", None])) == "bag"
    assert scheme_of("identificatie", pa.array(["x"])) == "identificatie"


@given(st.integers(0, 10**16), st.integers(0, 6))
def test_leading_zeros_never_matter(number: int, zeros: int) -> None:
    assert normalise_identifier("any", ["0" * zeros + str(number)]).to_pylist() == [str(number)]
