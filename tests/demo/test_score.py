from __future__ import annotations

import math

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from cim.demo import DEFECTS, Truth, score
from cim.loaders import fuse, read
from cim.loaders.build import read_build
from cim.model import City
from cim.sim import planning


def test_fusion_makes_nearly_all_true_matches_and_hardly_a_wrong_one(city: City, truth: Truth) -> None:
    result = score(city, truth)
    assert result.recall >= 0.97  # a survey with other faults than these may lose a few; with these none is lost
    assert result.precision >= 0.995  # one pair in two hundred: a wall shared by a merged record
    assert result.found == result.right + len(result.wrong)
    assert result.pairs == result.right + len(result.missed)


@pytest.mark.parametrize("kind", list(DEFECTS))
def test_every_planted_defect_is_named_and_none_is_invented(city: City, truth: Truth, kind: str) -> None:
    finding = next(one for one in score(city, truth).findings if one.kind == kind)
    assert finding.planted == truth.planted()[kind] > 0
    assert finding.missed == ()
    assert finding.false == ()


def test_heights_from_the_air_are_those_of_the_truth(city: City, truth: Truth) -> None:
    result = score(city, truth)
    assert result.height_within >= 0.98  # half a metre is what a percentile of a gable roof and a sloping foot leave open
    assert result.height_error < 0.3  # m


def test_geometry_alone_finds_the_matches_too(truth: Truth) -> None:
    entries = read_build(truth.build_file).source[:2]
    registers = [read(truth.folder / one.path, mapping=one.mapping()) for one in entries]
    result = fuse(registers, use_identifiers=False)
    matches = result.tables["matches"]
    seen = pc.is_in(matches["kind"], pa.array(["same", "part", "whole"]))
    assert pc.sum(seen).as_py() >= 0.97 * len(truth.pairs)  # the shift of 0.72 m costs the smallest houses a tenth of their overlap


def test_a_city_that_lost_its_matches_scores_nothing(city: City, truth: Truth) -> None:
    blank = city.replace_tables(matches=city.tables["matches"].slice(0, 0), issues=city.tables["issues"].slice(0, 0))
    result = score(blank, truth)
    assert result.recall == 0.0
    found = {one.kind: one.found for one in result.findings}
    assert found["split"] == found["height_disagrees"] == found["bow_tie"] == found["missing_id"] == found["no_encoding"] == 0


def test_a_wrong_match_is_counted_as_wrong(city: City, truth: Truth) -> None:
    matches = city.tables["matches"]
    rows = matches.to_pylist()
    place = next(n for n, row in enumerate(rows) if row["kind"] == "same")
    other = next(row["object"] for row in rows if row["kind"] == "same" and row["object"] != rows[place]["object"])
    rows[place]["object"] = other
    result = score(city.replace_tables(matches=pa.Table.from_pylist(rows, schema=matches.schema)), truth)
    assert len(result.wrong) == 1
    assert len(result.missed) == 1


def test_the_text_names_every_kind_of_defect_in_both_languages(city: City, truth: Truth) -> None:
    result = score(city, truth)
    text = result.text()
    for english, chinese in DEFECTS.values():
        assert english in text
        assert chinese in text
    assert len(result.to_pandas()) == len(DEFECTS)


def test_floor_area_ratios_measured_in_the_city_are_the_true_ones(city: City, truth: Truth) -> None:
    verdicts = planning.far(city).table
    measured = dict(zip(verdicts["object"].to_pylist(), verdicts["value"].to_pylist(), strict=True))
    spoilt = {str(truth.plot[truth.ids == id][0]) for kind in ("extra", "bow_tie", "open_ring") for id in truth.where(kind)}
    assert set(measured) - _sites(city) == set(truth.floor_area_ratio)
    for plot, value in truth.floor_area_ratio.items():
        if plot not in spoilt:  # sheds add to the ratio, and half of a bow tie is lost
            assert measured[plot] == pytest.approx(value, rel=1e-4), plot  # corners rounded to a millimetre


def _sites(city: City) -> set[str]:
    """Return the site of the office, which is land use without an outline."""
    return {id for id, shape in zip(city.ids(city.keys("LandUse")), city.footprints(city.keys("LandUse")), strict=True) if shape is None}


def test_verdicts_are_those_that_follow_from_the_truth(city: City, truth: Truth) -> None:
    far = planning.far(city).table
    verdicts = dict(zip(far["object"].to_pylist(), far["verdict"].to_pylist(), strict=True))
    for plot, limits in truth.limits.items():
        limit, value = limits["far"], truth.floor_area_ratio[plot]
        expected = "not_assessed" if math.isnan(limit) else "fail" if value > limit else "pass"
        assert verdicts[plot] == expected, plot
    height = planning.height_control(city, limit_datum="ground").table
    over = {str(id) for id, plot, top in zip(truth.ids, truth.plot, truth.height, strict=True) if top > truth.limits[plot]["height"]}
    assert set(height.filter(pc.field("verdict") == "fail")["object"].to_pylist()) == over
