"""The command line: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import geopandas
import pytest
import shapely

from cim.cli import run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a register of buildings and one of plots."""
    place = tmp_path / "quarter"
    place.mkdir()
    boxes = shapely.box([500000, 500030], 3460000, [500010, 500040], 3460012)
    frame = geopandas.GeoDataFrame({"楼栋编号": ["b1", "b2"], "名称": ["图书馆", None], "高度": [12.0, 30.0]}, geometry=boxes, crs=4549)
    frame.to_file(place / "buildings.gpkg", layer="buildings", engine="pyogrio")
    plots = geopandas.GeoDataFrame({"id": ["p1"]}, geometry=[shapely.box(499990, 3459990, 500060, 3460030)], crs=4549)
    plots.to_file(place / "plots.gpkg", layer="plots", engine="pyogrio")
    return place


@pytest.fixture
def store(folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return the city that the drafted build file makes."""
    draft = folder / "district.toml"
    assert run(["new", "build", str(folder), "-o", str(draft)]) == 0
    assert run(["build", str(draft), "-o", str(folder / "city.cim")]) == 0
    capsys.readouterr()
    return folder / "city.cim"


def test_a_drafted_build_file_is_toml_and_marks_its_guesses(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    assert run(["new", "build", str(folder)]) == 0
    said = capsys.readouterr()
    file = tomllib.loads(said.out)
    assert [source["path"] for source in file["source"]] == ["buildings.gpkg", "plots.gpkg"]
    assert file["source"][0]["class"] == "Building"
    assert file["city"]["crs"] == "EPSG:4549"
    assert "# guess" in said.out
    assert "buildings.gpkg" in said.err  # the table for people


def test_info_shows_networks_and_a_length_that_nobody_states_as_unknown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import cim
    from cim.model import CityBuilder

    builder = CityBuilder("EPSG:28992")
    keys = builder.add_objects("Road", ["r1", "r2"])
    builder.add_links(keys, "road", ["a", "b"], ["b", "c"], length=[120.0, 80.0])
    builder.add_links(keys[:1], "路 path", ["a"], ["c"])
    cim.save(builder.build(), tmp_path / "net.cim")
    assert run(["info", str(tmp_path / "net.cim"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["networks"] == [
        {"network": "road", "links": 2, "objects": 2, "length": 200.0}, {"network": "路 path", "links": 1, "objects": 1, "length": None},
    ]  # fmt: skip
    assert run(["info", str(tmp_path / "net.cim")]) == 0
    assert "0.200 km" in (shown := capsys.readouterr().out)
    assert "unknown" in shown


def test_info_counts_what_the_city_holds(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", str(store), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["objects"] == 3
    assert facts["classes"]["Building"] == 2
    assert facts["crs"] == "EPSG:4549"
    assert facts["vertical"] == "unknown"
    assert facts["extent"] == [499990, 3459990, 500060, 3460030]
    assert run(["info", str(store)]) == 0
    assert "Building" in capsys.readouterr().out


def test_the_catalogue_holds_what_the_build_file_says_about_a_source(store: Path) -> None:
    import cim

    draft = store.parent / "district.toml"
    text = draft.read_text(encoding="utf-8").replace(
        'path = "plots.gpkg"', 'licence = "CC0-1.0"\nowner = "规划局"\ngrade = "公开"\npath = "plots.gpkg"'
    )
    draft.write_text(text, encoding="utf-8")
    assert run(["build", str(draft), "-o", str(store)]) == 0
    sources = cim.open(store).sources.set_index("name")
    assert [sources[column]["plots"] for column in ("licence", "owner", "grade")] == ["CC0-1.0", "规划局", "公开"]
    assert sources["licence"].count() == 1


def test_check_reads_every_byte_and_finds_one_that_changed(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", str(store), "--bytes"]) == 0
    part = max(store.rglob("*.parquet"), key=lambda path: path.stat().st_size)
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.chmod(0o644)
    part.write_bytes(data)
    assert run(["check", str(store), "--bytes"]) == 1
    assert part.name in capsys.readouterr().out


def test_a_build_file_with_faults_lists_all_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text('[city]\ncolour = "red"\n[[source]]\npath = "gone.gpkg"\nlayer = 3\n[fusion]\nminimum_iou = 7\n')
    assert run(["check", str(bad)]) == 1
    said = capsys.readouterr().out
    assert "city.colour" in said
    assert "source[0].layer" in said
    assert "fusion.minimum_iou" in said
    assert run(["build", str(bad), "-o", str(tmp_path / "x.cim")]) == 3
    assert not (tmp_path / "x.cim").exists()


@pytest.mark.parametrize(
    ("format", "name"),
    [
        ("geopackage", "a.gpkg"),
        ("geoparquet", "parts"),
        ("xlsx", "a.xlsx"),
        ("cityjson", "a.city.json"),
        ("cityjsonseq", "a.city.jsonl"),
        ("gltf", "a.glb"),
    ],
)
def test_export_writes_a_file_and_names_what_it_cannot_hold(
    store: Path, tmp_path: Path, format: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(store), "--to", format, "-o", str(tmp_path / name), "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out)["lost"], list)
    assert (tmp_path / name).exists()


def test_compact_drops_old_versions(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["build", str(store.parent / "district.toml"), "-o", str(store)]) == 0
    assert run(["compact", str(store)]) == 0
    assert run(["info", str(store), "--json"]) == 0
    capsys.readouterr()
    assert run(["check", str(store), "--bytes"]) == 0


def test_two_versions_of_a_city_are_compared_object_by_object(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import cim

    city = cim.open(store)
    cim.save(city.subset(city.keys("Building", where="height > 20")), tmp_path / "fewer.cim")
    assert run(["compare", str(store), str(tmp_path / "fewer.cim"), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {(row["id"], row["what"]) for row in rows} >= {("b1", "removed")}


def test_a_draft_printed_to_a_file_of_the_current_folder_can_be_built_there(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert run(["new", "build", "quarter"]) == 0
    text = capsys.readouterr().out
    assert "Paths are relative to the folder of this file" in text
    Path("city.toml").write_text(text, encoding="utf-8")
    assert run(["build", "city.toml", "-o", "city.cim"]) == 0


def test_a_draft_written_elsewhere_finds_its_sources_and_is_not_overwritten(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = folder.parent / "new" / "place" / "city.toml"
    assert run(["new", "build", str(folder), "-o", str(place)]) == 0
    assert run(["check", str(place)]) == 0
    before = place.read_bytes()
    capsys.readouterr()
    assert run(["new", "build", str(folder), "-o", str(place)]) == 2
    assert "exists" in capsys.readouterr().err
    assert place.read_bytes() == before


PLANS = """city = "two.cim"
[[change]]
do = "raise_building"
id = "b1"
by = {by}
[checks.height_control]
plots = "city"
limit = 20.0
limit_datum = "ground"
"""


@pytest.fixture
def runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return a folder with the runs ``base`` and ``option``: one of two buildings is raised above the limit."""
    import cim
    from cim.model import CityBuilder, Column

    builder = CityBuilder("EPSG:4549+5737")
    shapes = shapely.box([500000, 500030], 3460000, [500010, 500040], 3460012)
    keys = builder.add_objects("Building", ["b1", "b2"], footprints=list(shapes), z_ground=[4.0, 4.0], z_roof=[16.0, 16.0])
    builder.add_attributes(keys, "Building", {"height": Column([12.0, 12.0], unit="m"), "storeys_above_ground": Column([4.0, 4.0])})
    cim.save(builder.build(), tmp_path / "two.cim")
    for name, by in (("base", 0.0), ("option", 15.0)):
        (tmp_path / f"{name}.toml").write_text(PLANS.replace("{by}", str(by)), encoding="utf-8")
        assert run(["run", str(tmp_path / f"{name}.toml"), "-o", str(tmp_path / name)]) == 0
    capsys.readouterr()
    return tmp_path


def test_a_run_prints_and_keeps_what_its_changes_had_to_assume(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", str(runs / "option.toml"), "-o", str(runs / "again")]) == 0
    assert "4 storeys did not" in capsys.readouterr().out
    assert run(["run", str(runs / "option.toml"), "-o", str(runs / "again"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["issues"]
    assert [(issue["code"], issue["object"]) for issue in told] == [("assumed", "b1")]
    assert json.loads((runs / "again" / "run.json").read_text(encoding="utf-8"))["issues"] == told
    assert json.loads((runs / "base" / "run.json").read_text(encoding="utf-8"))["issues"] == []


def test_compared_runs_keep_the_ids_in_json(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(runs / "base"), str(runs / "option"), "--json"]) == 0
    (compared,) = json.loads(capsys.readouterr().out)
    assert {row["object"]: row["change"] for row in compared["rows"]} == {"b1": "pass -> fail", "b2": "same"}


def test_compared_runs_show_people_what_changed_and_name_the_workbook(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["compare", str(runs / "base"), str(runs / "option"), "-o", str(runs / "new" / "a.xlsx")]) == 0
    said = capsys.readouterr().out
    assert "b1" in said
    assert "b2" not in said
    assert "1 of 2 rows unchanged" in said
    assert str(runs / "new" / "a.xlsx") in said
    assert (runs / "new" / "a.xlsx").is_file()


def test_compared_runs_give_all_tables_figures_and_the_tolerance_in_json_and_csv(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", str(runs / "base"), str(runs / "option")]
    assert run([*words, "--json", "--csv", str(runs / "csv")]) == 0
    (compared,) = json.loads(capsys.readouterr().out)
    assert compared["tables"]["verdicts"] == compared["rows"]
    assert [(row["figure"], row["base"], row["option"]) for row in compared["figures"]] == [
        ("pass", 2.0, 1.0), ("fail", 0.0, 1.0), ("not assessed", 0.0, 0.0),
    ]  # fmt: skip
    assert compared["tolerance"] == {"relative": 1e-6, "absolute": 1e-3}
    assert (runs / "csv" / "height_control-verdicts.csv").is_file()
    assert run([*words, "--relative", "10"]) == 0  # 15 m more on 12 m are within ten times; what turned to fail is still told
    said = capsys.readouterr().out
    assert "changed: differs by more than 10 of the value" in said
    assert "value 12 -> 27" not in said
    assert "pass -> fail" in said


def test_a_run_prints_main_figures_and_what_was_assumed_and_gives_them_in_json(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cim.results import load_result

    words = ["run", str(runs / "option.toml"), "-o", str(runs / "again")]
    assert run(words) == 0
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["pass", "1", "objects"] in said
    assert ["fail", "1", "objects"] in said
    assert run([*words, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["results"]
    assert {one["name"]: one["value"] for one in told["figures"]} == {"pass": 1.0, "fail": 1.0, "not assessed": 0.0}
    assert told["ledger"] == []
    assert told["notes"] == list(load_result(runs / "again" / "height_control").run.assumptions)


def test_a_run_prints_who_is_cut_off_and_where_all_of_them_stand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import cim
    from tests.sim.impact.reach_city import street

    cim.save(street(), tmp_path / "street.cim")
    closing = 'do = "close_road"\nid = "main"\nstart = 2026-07-01T07:10:00Z\nuntil = 2026-07-01T07:20:00Z'
    text = f'city = "street.cim"\n[[change]]\n{closing}\n[reach]\nstations = "fire"\n'
    (tmp_path / "works.toml").write_text(text, encoding="utf-8")
    assert run(["run", str(tmp_path / "works.toml"), "-o", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert "fire, emergency: cut off, the longest first (4):" in said
    rows = [line.split("  ") for line in said.splitlines() if line.startswith("  east ")]
    assert [[cell.strip() for cell in row if cell] for row in rows] == [
        ["east", "0:00 h after the start", "0:10 h after the start", "10", "30"],
    ]
    assert str(tmp_path / "out" / "reach" / "tables" / "objects.parquet") in said


def test_a_run_that_holds_tables_only_is_not_drawn(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    import xarray as xr

    from cim.results import Fields, RunRecord, save_run

    table = pa.table({"object": ["b1"], "flow": [3.0]})
    save_run({"traffic": Fields("traffic", xr.Dataset(), {"links": table}, RunRecord("traffic", "1"))}, runs / "tables", {})
    for folder in (runs / "tables", runs / "tables" / "traffic"):
        for more in ([], ["--color-by", "height"]):
            assert run(["render", str(runs / "two.cim"), "--run", str(folder), "-o", str(runs / "empty.html"), *more]) == 2
            said = capsys.readouterr().err
            assert "traffic" in said
            assert "no picture was written" in said
    assert not (runs / "empty.html").exists()
    save_run({}, runs / "nothing", {})
    assert run(["render", str(runs / "two.cim"), "--run", str(runs / "nothing"), "-o", str(runs / "empty.html")]) == 2
    assert "holds no result" in capsys.readouterr().err


def test_a_city_is_drawn_as_its_run_changed_it_and_render_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc
    import xarray as xr

    import cim
    from cim.results import Fields, RunRecord, city_fingerprint, save_run
    from cim.sim.traffic import road_network
    from tests.sim.impact.reach_city import street

    base = street()
    change = cim.Change("new road").add_road("N-1", [[0.0, 0.0], [0.0, 300.0]], lanes=2, speed_limit=10.0)
    option = change.apply(base)
    links = road_network(option).links
    new = links.filter(pc.equal(links["object"], "N-1"))["id"].to_pylist()
    table = pa.table({"object": ["N-1"] * len(new), "link": new, "flow": [3.0] * len(new)})  # a city without the road is refused
    result = Fields("traffic", xr.Dataset(), {"links": table}, RunRecord("traffic", "1"))
    facts = {"base": city_fingerprint(base), "city": city_fingerprint(option), **change.to_dict()}
    save_run({"traffic": result}, tmp_path / "out", facts)
    other = cim.Change("other").remove_building("north")
    cases = [
        (base, 0, "drawn with the changes of the run: add_road N-1\n"),
        (option, 0, ""),
        (other.apply(base), 0, "add_road N-1; it is not the city that the run was made on"),
        (other.apply(option), 2, "the changes of the run cannot be made on this city; it is not the city that the run was made on"),
    ]
    for number, (city, code, said) in enumerate(cases):
        cim.save(city, tmp_path / f"{number}.cim")
        for folder in ("out", "out/traffic"):
            capsys.readouterr()
            asked = ["render", str(tmp_path / f"{number}.cim"), "--run", str(tmp_path / folder), "-o", str(tmp_path / "page.html")]
            assert run(asked) == code
            heard = capsys.readouterr().err
            assert said in heard
            assert ("changes of the run" in heard) == bool(said)


def test_checking_a_scenario_names_ids_that_its_city_lacks_and_plots_that_nobody_gives(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", str(runs / "option.toml")]) == 0
    capsys.readouterr()
    text = PLANS.replace("{by}", "3.0").replace('plots = "city"\n', "").replace('"b1"', '"b7"')
    text = text.replace("[checks", '[[change]]\ndo = "remove_building"\nid = "b8"\n[checks.far]\nplots = ["P9"]\n[checks')
    (runs / "bad.toml").write_text(text, encoding="utf-8")
    assert run(["check", str(runs / "bad.toml"), "--json"]) == 1
    faults = json.loads(capsys.readouterr().out)["faults"]
    assert len(faults) == 4
    for words in ("b7", "b8", "P9", "a planning check needs plots"):
        assert sum(words in fault for fault in faults) == 1


def test_a_stopped_command_says_so_and_leaves_130(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cim.loaders.build.draft", stop)
    assert run(["new", "build", str(folder)]) == 130
    assert capsys.readouterr().err == "cim: stopped\n"


def test_an_error_that_names_a_parameter_says_where_it_stands_in_a_build_file(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cim.errors import CRSError

    def refuse(*_: object) -> None:
        raise CRSError("fusion", "only a guess", "pass allow_ballpark=True")  # noqa: EM101

    monkeypatch.setattr("cim.loaders.build.draft", refuse)
    assert run(["new", "build", str(folder)]) == 3
    assert capsys.readouterr().err.endswith("allow_ballpark=True (in a build file: [fusion] allow_ballpark = true)\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["info", "nowhere.cim"], 3, "nowhere.cim: there is no such file or folder"),
        (["foo"], 2, "No such command 'foo'"),
        (["export", ".", "--to", "dwg", "-o", "x"], 2, "dwg"),
        (["new", "build", "nowhere"], 2, "nowhere is no folder"),
        (["check", "nowhere.toml"], 3, "nowhere.toml"),
        (["render", "nowhere.cim", "-o", "x.png"], 3, "nowhere.cim"),
    ],
)
def test_errors_are_one_line_with_the_right_exit_code(words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == code
    shown = capsys.readouterr()
    assert said in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_help_and_version_answer() -> None:
    for words in (["--help"], ["--version"], ["build", "--help"]):
        done = subprocess.run([sys.executable, "-m", "cim.cli", *words], capture_output=True, text=True, check=True, timeout=60)
        assert done.stdout


def test_doctor_names_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    run(["doctor", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert {"numpy", "PROJ", "cim-toolkit"} <= {row["part"] for row in rows}


def test_a_file_that_states_no_system_takes_one_from_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mesh = tmp_path / "box.obj"
    mesh.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", encoding="utf-8")
    assert run(["info", str(mesh)]) == 3
    assert "crs=" in capsys.readouterr().err
    assert run(["info", str(mesh), "--crs", "local", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["crs"] == "local"
