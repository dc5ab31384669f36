"""Matrices in text come in whatever their form and encoding, and what is no number of trips is refused with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import CorruptFileError, FormatError, InputError, LimitError, ObjectNotFoundError, UsageError
from cim.loaders import tntp
from cim.loaders.limits import Limits
from cim.loaders.matrices import read_csv, write_csv
from cim.model.road_network import ODMatrix, RoadNetwork

LONG = "origin,destination,trips\n1,2,10\n2,3,2.5\n3,1,0\n"
SQUARE = "zone,1,2,3\n1,0,10,0\n2,,0,2.5\n3,0,0,0\n"


def network(names: str = "123") -> RoadNetwork:
    count = len(names)
    return RoadNetwork.of(list(names), range(count), [*range(1, count), 0], free_flow_time=60.0, capacity=900.0)


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "trips.csv"
    path.write_bytes(text.encode(encoding))
    return path


def cells(made: ODMatrix) -> dict[tuple[int, int], float]:
    return dict(zip(zip(made.origin.tolist(), made.destination.tolist(), strict=True), made.trips.tolist(), strict=True))


@pytest.mark.parametrize(
    "text",
    [
        LONG, SQUARE, LONG.replace(",", ";"), SQUARE.replace(",", "\t"), LONG.replace("\n", "\r\n"), "\ufeff" + LONG,
        LONG.replace("origin,destination,trips", "o_zone_id,d_zone_id,volume"), LONG.replace("origin,destination,trips", "From,To,AM"),
        "id,origin,destination,trips\n1,1,2,10\n2,2,3,2.5\n", "zone,2,3,1\n2,0,2.5,\n1,10,0,\n3,,,\n",
    ],
)  # fmt: skip
def test_every_form_holds_the_same_trips(text: str, tmp_path: Path) -> None:
    assert cells(read_csv(written(tmp_path, text), network())) == {(0, 1): 10.0, (1, 2): 2.5}


def test_chinese_files_are_read_and_the_guess_is_told(tmp_path: Path) -> None:
    made = read_csv(written(tmp_path, LONG.replace("origin,destination,trips", "起点,终点,出行量"), "gbk"), network())
    assert cells(made) == {(0, 1): 10.0, (1, 2): 2.5}
    assert "trips.csv: no UTF-8; read as gb18030, a guess from its bytes" in made.notes
    named = read_csv(written(tmp_path, "起点,终点,出行量\n东,西,7\n", "gb18030"), network("东西"), encoding="gb18030")
    assert cells(named) == {(0, 1): 7.0}


def test_trips_of_a_day_become_hourly_and_of_an_hour_it_is_told(tmp_path: Path) -> None:
    assert cells(read_csv(written(tmp_path, LONG), network(), hours=24.0))[0, 1] == 10.0 / 24.0
    notes = read_csv(written(tmp_path, LONG), network()).notes
    assert any(one.startswith("trips are read as those of 1 h: the file does not say; if they are not, give hours=") for one in notes)
    for hours in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="hours is"):
            read_csv(written(tmp_path, LONG), network(), hours=hours)


def test_rows_for_the_same_pair_are_added_and_told(tmp_path: Path) -> None:
    made = read_csv(written(tmp_path, LONG + "1,2,5\n"), network())
    assert cells(made)[0, 1] == 15.0
    assert any(one.startswith("1 rows are for a pair of zones that another row is for") for one in made.notes)


def test_blank_cells_of_a_square_are_no_trips_and_told(tmp_path: Path) -> None:
    assert "1 blank cells are no trips" in read_csv(written(tmp_path, SQUARE), network()).notes


def test_columns_beside_the_three_are_told(tmp_path: Path) -> None:
    made = read_csv(written(tmp_path, "origin,destination,trips,purpose\n1,2,10,work\n2,3,5,shop\n"), network())
    assert "trips.csv: 1 column is not used: purpose" in made.notes


def test_columns_may_be_named(tmp_path: Path) -> None:
    text = "id,a,b,car,bus\n1,1,2,10,3\n"
    assert cells(read_csv(written(tmp_path, text), network(), columns=("A", "b", "bus"))) == {(0, 1): 3.0}
    with pytest.raises(FormatError, match=r"has no columns lorry \(it has id, a, b, car, bus\)"):
        read_csv(written(tmp_path, text), network(), columns=("a", "b", "lorry"))
    with pytest.raises(FormatError, match="several columns that may be origin, destination or trips"):
        read_csv(written(tmp_path, "from,to,origin,trips\n1,2,3,4\n"), network())


def test_zones_that_are_not_in_the_network_are_all_named_but_those_without_trips_do_not_matter(tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFoundError, match="no zones '8', '9'"):
        read_csv(written(tmp_path, LONG + "9,8,1\n"), network())
    assert cells(read_csv(written(tmp_path, LONG + "9,8,0\n"), network()))[0, 1] == 10.0


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (LONG.replace("2.5", "-2.5"), CorruptFileError, r"1 values of trips are below 0 or infinite \(first: -2.5; lines 3\)"),
        (LONG.replace("2.5", "nan"), CorruptFileError, "1 values of trips are no number"),
        (LONG.replace("2.5", "NaN"), CorruptFileError, r"1 rows have no trips \(lines 3\)"),
        (LONG.replace("2.5", ""), CorruptFileError, r"1 rows have no trips \(lines 3\)"),
        (LONG.replace("2.5", "inf"), CorruptFileError, "1 values of trips are no number"),
        (LONG.replace("2.5", "1e999"), CorruptFileError, "below 0 or infinite"),
        (LONG.replace("2,3,2.5", ",3,2.5"), CorruptFileError, r"1 rows have no origin \(lines 3\)"),
        (LONG.replace("2,3,2.5", "2,3"), CorruptFileError, "no table of 3 columns"),
        (SQUARE.replace("2.5", "-2.5"), CorruptFileError, r"negative or no number in line 3 \(first: -2.5, column 3\)"),
        (SQUARE.replace("2.5", "nan"), CorruptFileError, "in line 3"),
        (SQUARE.replace("2.5", "two"), CorruptFileError, "has 'two' in line 3, column 3, expected a number"),
        (SQUARE.replace("2.5", "2.5,1"), CorruptFileError, "has 5 cells in line 3, its header 4"),
        (SQUARE.replace("zone,1,2,3", "zone,1,2,4"), FormatError, "no square matrix: 3 rows, 3 columns, zones of only one side: 3, 4"),
        (SQUARE + "4,0,0,0\n", FormatError, "more rows than its 3 columns"),
        (SQUARE.replace("2,,0,2.5\n", ""), FormatError, "no square matrix: 2 rows, 3 columns"),
        ("zone,1,1\n1,0,1\n1,2,0\n", CorruptFileError, r"names 1 zones more than once \(1\)"),
        ("zone," + "1," * 30_000 + "\n", LimitError, "declares 30,002 columns, more than 20,001"),
        ("", FormatError, "is empty"),
        (LONG.replace("2.5", "2\0.5"), CorruptFileError, "NUL"),
        ('origin,destination,trips\n"1,2,3\n', CorruptFileError, "no table of 3 columns"),
    ],
)
def test_what_is_no_matrix_is_refused_with_its_place(text: str, error: type[InputError], said: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=said) as caught:
        read_csv(written(tmp_path, text), network())
    assert "trips.csv" in str(caught.value)


def test_bytes_that_no_encoding_fits_are_refused(tmp_path: Path) -> None:
    (tmp_path / "trips.csv").write_bytes(b"origin,destination,trips\n\xff\xfe\x81,2,3\n")
    with pytest.raises(CorruptFileError, match="encoding that its bytes do not tell"):
        read_csv(tmp_path / "trips.csv", network())
    with pytest.raises(CorruptFileError):
        read_csv(tmp_path / "trips.csv", network(), encoding="ascii")
    with pytest.raises(UsageError, match="there is no encoding 'klingon'"):
        read_csv(tmp_path / "trips.csv", network(), encoding="klingon")


def test_limits_hold(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="4 records, above the limit of 3"):
        read_csv(written(tmp_path, LONG), network(), limits=Limits(records=3))
    with pytest.raises(LimitError, match="9 cells, above the limit of 8"):
        read_csv(written(tmp_path, SQUARE), network(), limits=Limits(cells=8))


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.floats(1e-300, 1e300)), max_size=20, unique_by=lambda one: one[:2]))
def test_what_is_written_comes_back_to_the_last_bit(rows: list[tuple[int, int, float]], tmp_path_factory: pytest.TempPathFactory) -> None:
    roads = network("abcde")
    ends = [np.array([one[k] for one in rows], np.int64) for k in (0, 1)]
    demand = ODMatrix(ends[0], ends[1], np.array([one[2] for one in rows], float))
    path = tmp_path_factory.mktemp("csv") / "out.csv"
    write_csv(demand, roads, path)
    assert cells(read_csv(path, roads)) == {(a, z): trips for a, z, trips in rows}


@pytest.mark.data
def test_the_trips_of_chicago_come_back(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    path = shared_data("traffic", "chicago_sketch")
    roads, demand = tntp.read_network(path / "ChicagoSketch_net.tntp"), tntp.read_trips(path / "ChicagoSketch_trips.tntp")
    write_csv(demand, roads, tmp_path / "out.csv")
    assert cells(read_csv(tmp_path / "out.csv", roads)) == {pair: trips for pair, trips in cells(demand).items() if trips}


def test_trips_that_were_read_know_their_zones(tmp_path: Path) -> None:
    """Rows of one network are other zones in the next."""
    made = read_csv(written(tmp_path, "origin,destination,trips\n3,1,4\n2,3,0\n"), network())
    assert made.faults_on(network()) == []
    assert made.on(network("2310")).origin.tolist() == [1]
    assert "2 of 2 zones are other nodes here" in made.faults_on(network("2310"))[0]
