from __future__ import annotations

from pathlib import Path

import pytest

import cim
from cim.demo import Demo, build_demo
from cim.results import compare_runs

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, said: list[str]) -> Demo:
    return build_demo(Path(tmp_path_factory.mktemp("demo")) / "out", say=said.append)


def test_the_demo_writes_city_picture_page_and_results(demo: Demo) -> None:
    assert demo.picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    page = demo.page.read_text(encoding="utf-8")
    assert "三河" in page
    assert "<script src=" not in page
    city = cim.open(demo.city)
    assert city.name == "三河 Sanhe"
    assert len(city.keys("Building")) > 380


def test_the_last_line_says_where_everything_is(demo: Demo, said: list[str]) -> None:
    for path in (demo.city, demo.picture, demo.page, demo.results, demo.sources):
        assert str(path) in said[-1]
        assert path.exists()


def test_the_lines_tell_matches_defects_verdicts_and_water(demo: Demo, said: list[str]) -> None:
    text = "\n".join(said)
    for word in ("made-up", "recall", "one building drawn as two", "height_control", "pass -> fail", "inundation at 4.7 m", "not_assessed"):
        assert word in text, word
    assert demo.score.recall >= 0.97  # as in test_score


def test_every_source_has_its_picture_and_the_mesh_is_cut(demo: Demo) -> None:
    assert {path.stem for path in demo.pictures} >= {"district", "drains", "pieces"}
    for path in demo.pictures:
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert all(one.passed for one in demo.cut)
    assert len(cim.open(demo.pieces).keys("Building")) > 30


def test_base_and_option_can_be_compared_from_their_folders(demo: Demo) -> None:
    found = compare_runs(demo.results / "base", demo.results / "option")
    assert set(found) == {"inundation", "far", "density", "height_control"}
    changed = set(found["height_control"].changed()["change"].to_pylist())
    assert {"pass -> fail", "fail -> pass", "only in option"} <= changed


def test_water_under_the_sill_wets_no_building_and_over_it_many(demo: Demo) -> None:
    from cim.results import Fields, load_run

    water = load_run(demo.results / "base")["inundation"]
    assert isinstance(water, Fields)
    table = water.tables["buildings"].to_pandas()
    wet = table[table["status"] == "wet"].groupby("level").size()
    assert wet.get(4.4, 0) == 0
    assert 100 < wet[4.7] < wet[5.2]
    levels = water.tables["levels"].to_pandas().set_index("level")
    assert levels.loc[4.4, "unconnected_cells"] > 5000  # a plain threshold would have drowned them


def test_the_storm_goes_on_to_streets_traffic_and_reach(demo: Demo, said: list[str]) -> None:
    for path in (demo.storm, demo.streets):
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    found = compare_runs(demo.results / "storm_base", demo.results / "storm_option")
    assert {"flood", "impact", "roads", "traffic", "reach"} <= set(found)
    text = "\n".join(said)
    for word in ("streets closed to cars", "stranded", "cut off from the fire brigade", "on dry roads one takes"):
        assert word in text, word
    for page in demo.storm_pages:
        assert all(word in page.read_text(encoding="utf-8") for word in ("Reach: fire, emergency", "Speed / free speed", "Water depth"))
