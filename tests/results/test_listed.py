"""Who is cut off and which roads are closed, as people read it: the worst first, in the zone of the scenario, never 0 for not known."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from cim.model import CityBuilder
from cim.results import Fields, RunRecord, result_text
from cim.results.listed import clock_text, listed
from cim.results.runs import save_run, zone_of
from cim.scenario import Change, Scenario
from cim.sim.coupling.tables import ROAD_LINKS
from cim.sim.impact.reachability import reach
from cim.sim.run import _stated_start
from tests.sim.impact.reach_city import START, both, road_states, street

EAST = timezone(timedelta(hours=8))


def closed(road: str, kind: str, begin: float | None, end: float | None, depth: float, *, at_end: bool = False) -> dict[str, Any]:
    minutes = 0.0 if begin is None else 10.0
    return {"object": road, "link": f"{road}:{depth}", "class": kind, "status": "assessed", "maximum_depth": depth,
            "closed_from": begin, "closed_until": end, "closed_minutes": minutes, "closed_at_end": at_end,
            "cause": None if begin is None else "depth"}  # fmt: skip


def roads(*rows: dict[str, Any], start: datetime | None = START) -> Fields:
    table = pa.Table.from_pylist(list(rows), schema=ROAD_LINKS)
    return Fields("roads", xr.Dataset(), {"links": table}, RunRecord("roads", "1", start=start))


def lines_of(text: str, head: str) -> list[list[str]]:
    """Return the rows of a list, split where columns are two blanks apart."""
    lines = text.splitlines()
    first = next(at for at, line in enumerate(lines) if line.strip().startswith(head))
    rows = []
    for line in lines[first + 2 :]:
        if "whole table" in line or not line.startswith("  ") or line.startswith("  -"):
            break
        rows.append([cell.strip() for cell in line.split("  ") if cell.strip()])
    return rows


def test_who_is_cut_off_is_told_by_id_and_name_since_when_and_until_when_in_local_time() -> None:
    shut, later = [*both("main:b>c", 600.0, 1200.0), *both("loop:b>c", 900.0, 1000.0)], both("main:a>b", 1200.0, 1500.0, 9.0, closed=False)
    found = reach(street(), stations="fire", roads=road_states(*shut, *later))
    text = result_text(found, "runs/reach/result.json", zone=EAST, names={"west": "School"})
    assert "  fire, emergency: cut off on 2026-07-01, the longest first (4):" in text.splitlines()
    assert lines_of(text, "fire, emergency: cut off on") == [
        ["east", "15:10+08:00", "15:20+08:00", "10", "30"],  # 600 s after 07:00 UTC
        ["middle", "15:10+08:00", "15:20+08:00", "10", "20"],
        ["west (School)", "15:10+08:00", "15:20+08:00", "10", "10"],
        ["north", "15:15+08:00", "15:16:40+08:00", "2", "not known"],
    ]
    assert "whole table: runs/reach/tables/objects.parquet" in text
    assert "0:10 h after the start" in result_text(found)


def test_what_is_still_cut_off_at_the_end_has_no_end_and_the_table_says_so() -> None:
    states = road_states(*both("main:b>c", 600.0, 1200.0), *both("loop:b>c", 0.0, 300.0, 5.0, closed=False))
    found = reach(street(), stations="fire", roads=states, times=[0, "10min"])
    rows = {row["object"]: row for row in found.table("objects").to_pylist()}
    assert (rows["west"]["cut_off_until"], rows["west"]["cut_off_until_at"], rows["west"]["cut_off_at_end"]) == (None, None, True)
    assert (rows["north"]["cut_off_until"], rows["north"]["cut_off_at_end"]) == (None, False)
    assert lines_of(result_text(found, zone=EAST), "fire, emergency: cut off on")[0][2] == "still at the end"


def test_for_how_long_a_closure_for_good_cuts_off_is_not_known_and_not_0() -> None:
    shut = Change("works").close_road("main", start="2026-07-01T07:10:00Z").apply(street())
    found = reach(shut, stations="fire", within="4min")
    row = next(row for row in found.table("objects").to_pylist() if row["object"] == "west")
    assert (row["cut_off_from"], row["cut_off_at_end"], row["cut_off_minutes"], row["late_minutes"]) == (0.0, True, None, None)
    (line,) = [line for line in lines_of(result_text(found, zone=EAST), "fire, emergency: cut off on") if line[0] == "west"]
    assert line[1:] == ["15:10+08:00", "still at the end", "not known", "10"]
    names = found.table("objects").column_names
    some = found.table("objects").set_column(names.index("cut_off_minutes"), "cut_off_minutes", pa.array([None, 99.0, None, None, 5.0]))
    (cut,) = listed(replace(found, tables={"objects": some}))
    assert [(row[0], row[3]) for row in cut.rows][-2:] == [("north", "99"), ("east", "5")]  # till nobody knows when is the longest


def test_an_object_that_no_road_leads_to_when_dry_has_no_minutes_at_all() -> None:
    found = reach(street(one_way=True), stations=[(600.0, 5.0)], roads=road_states(*both("main:b>c", 0.0, 600.0)), objects=["post", "west"])
    post = next(row for row in found.table("objects").to_pylist() if row["object"] == "post")
    assert (post["status"], post["cut_off_minutes"], post["late_minutes"], post["cut_off_at_end"]) == ("never", None, None, None)


def test_people_of_whom_nobody_knows_are_not_known_and_not_0() -> None:
    shut = road_states(*both("loop:b>c", 0.0, 600.0))
    text = result_text(reach(street(), stations="fire", roads=shut, objects=["north"]))
    (line,) = [line for line in text.splitlines() if "people cut off" in line]
    assert line.split("  ")[-1].strip() == "none of 1 objects says how many"
    assert " not known " in line
    assert "persons" not in line
    known = result_text(reach(street(), stations="fire", roads=shut, objects=["north", "west"]))
    assert known.count("none of 1 objects") == 1
    found = reach(street(), stations="fire", roads=shut, objects=["north"])
    assert "fire, emergency: people cut off" not in found.run.balance
    assert found.table("steps")["people_reached"].to_pylist()[0] is None  # one is reached, of whom nobody knows how many live there
    nobody = reach(street(), stations="fire", roads=shut, objects=["west"])
    assert nobody.run.balance["fire, emergency: people cut off"] == 0.0  # nobody is cut off: that is known


def test_roads_are_told_once_with_all_their_links_the_first_closed_first() -> None:
    found = roads(
        closed("b", "car", 1200.0, 1800.0, 0.3), closed("a", "car", 600.0, 900.0, 0.2), closed("a", "car", 700.0, None, 0.45, at_end=True),
        closed("c", "car", None, None, 0.05), closed("d", "emergency", 61200.0, 61230.0, 0.61),
    )  # fmt: skip
    text = result_text(found, "out/roads/result.json", zone=EAST)
    assert lines_of(text, "roads closed to car on 2026-07-01, the first closed first (2)") == [
        ["a", "15:10+08:00", "still at the end", "0.45", "depth", "2"],
        ["b", "15:20+08:00", "15:30+08:00", "0.30", "depth", "1"],
    ]
    (row,) = lines_of(text, "roads closed to emergency")
    assert row[1:3] == ["2026-07-02 08:00+08:00", "2026-07-02 08:00:30+08:00"]  # the day after
    assert "out/roads/tables/links.parquet" in text


def test_long_lists_are_cut_and_say_how_many_more_there_are() -> None:
    found = roads(*(closed(f"r{at:02d}", "car", float(at), 900.0, 0.3) for at in range(23)))
    text = result_text(found, zone=EAST)
    assert [row[0] for row in lines_of(text, "roads closed to car")[:10]] == [f"r{at:02d}" for at in range(10)]
    assert "    and 13 more" in text.splitlines()


def test_a_closure_without_times_says_that_they_are_not_known() -> None:
    still = closed("a", "car", 0.0, None, 0.45, at_end=True) | {"closed_minutes": None}
    (one,) = listed(roads(still, start=None))
    assert one.rows[0][1:3] == ("not known", "not known")


@given(st.integers(0, 200_000), st.integers(-12, 14))
def test_a_moment_in_words_is_the_moment(seconds: int, hours: int) -> None:
    zone = timezone(timedelta(hours=hours))
    text = clock_text(START, float(seconds), zone)
    day = START.astimezone(zone).date().isoformat()
    told = datetime.fromisoformat(text if " " in text else f"{day} {text}")
    assert told == START + timedelta(seconds=seconds)
    assert told.utcoffset() == timedelta(hours=hours)


def test_the_start_of_a_run_keeps_the_zone_it_is_stated_in_else_that_of_the_city() -> None:
    city = CityBuilder("EPSG:4549", time_zone="Asia/Shanghai").build()
    plan = Scenario("storm", Path("no.cim"), Change("none"))
    assert _stated_start(plan, city) is None
    for stated, said in (
        (datetime(2026, 7, 1, 16, tzinfo=timezone(timedelta(hours=9))), "2026-07-01T16:00:00+09:00"),
        ("2026-07-01T07:00:00Z", "2026-07-01T07:00:00+00:00"),
        ("2026-07-01T08:00", "2026-07-01T08:00:00+08:00"),
        ("2026年7月1日8时", "2026-07-01T08:00:00+08:00"),
        (date(2026, 7, 1), "2026-07-01T00:00:00+08:00"),
    ):
        assert _stated_start(replace(plan, sections={"impact": {}, "flood": {"start": stated}}), city) == said
        member = replace(plan, sections={"flood": {"start": "2026-12-24T08:00Z"}}, settings={"flood.start": stated})
        assert _stated_start(member, city) == said


def test_the_zone_of_a_run_is_found_from_its_folder_and_from_that_of_a_result(tmp_path: Path) -> None:
    save_run({"roads": roads()}, tmp_path / "run", {"start": "2026-07-01T15:00:00+08:00"})
    assert [zone_of(place) for place in (tmp_path / "run", tmp_path / "run" / "roads")] == [EAST, EAST]
    save_run({"roads": roads()}, tmp_path / "old", {})
    assert zone_of(tmp_path / "old") is None
    (tmp_path / "run.json").write_text("[]", encoding="utf-8")  # of another program
    assert zone_of(tmp_path / "nothing") is None


def test_columns_stand_below_each_other_where_names_are_chinese() -> None:
    text = result_text(roads(closed("r1", "car", 0.0, 60.0, 0.3), closed("r2", "car", 0.0, 60.0, 0.2)), zone=EAST, names={"r1": "人民路"})
    first, second = [line for line in text.splitlines() if line.startswith(("  r1", "  r2"))]
    assert first.startswith("  r1 (人民路)  15:00")
    assert second.startswith("  r2           15:00")  # three characters that are two columns wide each
