"""OMX files come in as h5py itself reads them, go out as OMX tools expect, and a hostile one does no harm."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cim.errors import (
    CorruptFileError,
    FormatError,
    InputError,
    LimitError,
    MissingExtraError,
    ObjectNotFoundError,
    UnsafeInputError,
    UsageError,
)
from cim.loaders import tntp
from cim.loaders.limits import Limits
from cim.loaders.matrices import list_omx, read_omx, write_omx
from cim.model.road_network import ODMatrix, RoadNetwork

h5py = pytest.importorskip("h5py", reason="OMX needs h5py: pip install 'cim-toolkit[traffic]'")

TRIPS = np.array([[0.0, 10.0, 2.5], [1.0, 0.0, 0.0], [0.0, 7.0, 3.0]])


def network(names: str = "123", through: list[bool] | None = None) -> RoadNetwork:
    count = len(names)
    return RoadNetwork.of(list(names), range(count), [*range(1, count), 0], free_flow_time=60.0, capacity=900.0, through=through or True)


def omx(folder: Path, **more: Any) -> Path:
    """Write what an OMX tool writes, and whatever else `more` puts there."""
    path = folder / "trips.omx"
    with h5py.File(path, "w") as file:
        file.attrs["OMX_VERSION"] = np.bytes_(b"0.2")
        file.attrs["SHAPE"] = np.array([3, 3], np.int32)
        for name, data in ({"data/am": TRIPS, "lookup/taz": np.array([1, 2, 3], np.uint32)} | more).items():
            if callable(data):
                data(file)
            elif data is not None:
                file[name] = data
    return path


def dense(made: ODMatrix, side: int = 3) -> Any:
    square = np.zeros((side, side))
    np.add.at(square, (made.origin, made.destination), made.trips)
    return square


def test_cells_find_the_nodes_of_their_zones(tmp_path: Path) -> None:
    made = read_omx(omx(tmp_path, **{"lookup/taz": np.array([3, 1, 2])}), network())
    order = [2, 0, 1]
    expected = np.zeros((3, 3))
    expected[np.ix_(order, order)] = TRIPS
    assert np.array_equal(dense(made), expected)
    assert [one.split(";")[0] for one in made.notes] == ["trips are read as those of 1 h: the file does not say"]


@pytest.mark.parametrize("kind", ["<f4", ">f8", "<i4", ">i2", "u1"])
@pytest.mark.parametrize("more", [{}, {"chunks": (2, 3), "compression": "gzip", "shuffle": True, "fletcher32": True}])
def test_every_type_of_number_is_read_as_h5py_reads_it(kind: str, more: dict[str, Any], tmp_path: Path) -> None:
    path = omx(tmp_path, **{"data/am": lambda file: file.create_dataset("data/am", data=TRIPS.astype(kind), **more)})
    with h5py.File(path) as file:
        oracle = file["data/am"][:].astype(float)
    assert np.array_equal(dense(read_omx(path, network())), oracle)


@pytest.mark.parametrize("names", [np.array([b"a", b"b", b"c"]), np.array(["a", "b", "c"], object)])
def test_zones_may_be_named_by_text(names: Any, tmp_path: Path) -> None:
    assert np.array_equal(dense(read_omx(omx(tmp_path, **{"lookup/taz": names}), network("abc"))), TRIPS)


def test_matrix_and_lookup_are_asked_for_where_there_are_several(tmp_path: Path) -> None:
    path = omx(tmp_path, **{"data/pm": 2 * TRIPS, "lookup/old": np.array([7, 8, 9])})
    assert list_omx(path) == {"matrices": ["am", "pm"], "lookups": ["old", "taz"], "shapes": {"am": [3, 3], "pm": [3, 3]}}
    with pytest.raises(UsageError, match="has 2 of them; give matrix= as one of: am, pm"):
        read_omx(path, network())
    with pytest.raises(UsageError, match="has 2 of them; give lookup= as one of: old, taz"):
        read_omx(path, network(), matrix="am")
    with pytest.raises(UsageError, match="has no matrix noon; give matrix= as one of: am, pm"):
        read_omx(path, network(), matrix="noon")
    assert np.array_equal(dense(read_omx(path, network(), matrix="pm", lookup="taz", hours=2.0)), TRIPS)
    both = read_omx(path, network(), matrix=["am", "pm"], lookup="taz")
    assert np.array_equal(dense(both), 3 * TRIPS)
    assert "matrices am, pm are added together" in both.notes


def test_zones_are_given_where_the_file_does_not_name_them(tmp_path: Path) -> None:
    path = omx(tmp_path, **{"lookup/taz": None})
    with pytest.raises(UsageError, match="does not name its 3 zones"):
        read_omx(path, network())
    assert np.array_equal(dense(read_omx(path, network(), zones=[1, 2, 3])), TRIPS)
    with pytest.raises(UsageError, match="has 3 zones, 2 ids were given"):
        read_omx(path, network(), zones=[1, 2])


def test_zones_that_are_not_in_the_network_are_named(tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFoundError, match="no zones '8', '9'"):
        read_omx(omx(tmp_path, **{"lookup/taz": np.array([1, 9, 8])}), network())


# ---------------------------------------------------------------- hostile


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(3, 3), dtype="f8")
    layout[:] = h5py.VirtualSource("secret.h5", "x", shape=(3, 3))
    file.create_virtual_dataset("data/am", layout)


def _late(file: Any) -> None:
    """A chunk that is 8 GiB large once unpacked."""
    file.create_dataset("data/am", shape=(40_000, 40_000), dtype="f8", chunks=(30_000, 40_000), compression="gzip")


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"data/am": h5py.ExternalLink("secret.h5", "x")}, UnsafeInputError, "links 'am' to another file"),
        ({"data/am": h5py.SoftLink("/lookup/taz")}, UnsafeInputError, "links 'am' to another place"),
        ({"data/am": None, "data": h5py.ExternalLink("secret.h5", "/")}, UnsafeInputError, "links 'data' to another file"),
        ({"lookup/taz": h5py.ExternalLink("secret.h5", "x")}, UnsafeInputError, "links 'taz' to another file"),
        ({"lookup/taz": None, "lookup": h5py.SoftLink("/data")}, UnsafeInputError, "links 'lookup' to another place"),
        ({"data/am": _virtual}, UnsafeInputError, "keeps 'am' in other files"),
        ({"data/am": lambda file: file.create_dataset("data/am", shape=(3, 3), dtype="f8", external=[("secret.h5", 0, 72)])},
         UnsafeInputError, "keeps 'am' in other files"),
        ({"data/am": lambda file: file.create_dataset("data/am", shape=(10**9, 10**9), dtype="f8", chunks=(100, 100))},
         LimitError, "1,000,000,000,000,000,000 cells, above the limit"),
        ({"data/am": lambda file: file.create_dataset("data/am", shape=(30_000, 30_000), dtype="f8", chunks=(64, 64)), "lookup/taz": None},
         UsageError, "does not name its 30000 zones"),
        ({"data/am": _late}, LimitError, "in pieces of 9,155 MiB"),
        ({"data/am": TRIPS[:2]}, FormatError, r"shape \(2, 3\), expected a square"),
        ({"data/am": TRIPS[0]}, FormatError, r"shape \(3,\), expected a square"),
        ({"data/am": np.array([[b"x"] * 3] * 3)}, FormatError, "expected numbers"),
        ({"data/am": np.full((3, 3), 1j)}, FormatError, "expected numbers"),
        ({"data/am": np.where(TRIPS == 7, -7, TRIPS)}, CorruptFileError, "1 in rows 0 to 2, first -7 in row 2, column 1"),
        ({"data/am": np.where(TRIPS == 7, np.nan, TRIPS)}, CorruptFileError, "first nan in row 2, column 1"),
        ({"data/am": np.where(TRIPS == 7, np.inf, TRIPS)}, CorruptFileError, "first inf in row 2"),
        ({"lookup/taz": np.array([1, 2])}, CorruptFileError, r"lookup 'taz' of shape \(2,\), expected \(3,\)"),
        ({"lookup/taz": np.array([1.5, 2, 3])}, FormatError, "expected whole numbers or text"),
        ({"lookup/taz": np.array([1, 1, 3])}, CorruptFileError, r"names 1 zones more than once \(1\)"),
        ({"lookup/taz": np.array([b"\xff", b"b", b"c"])}, CorruptFileError, "no UTF-8 text"),
        ({"data/am": None}, FormatError, "has no group /data"),
        ({"data/am": None, "data": TRIPS}, FormatError, "has no group /data"),
        ({"data/am": None, "data/nested/am": TRIPS}, FormatError, "holds no matrix"),
        ({"data/am": lambda file: file.create_dataset("data/am", data=TRIPS, chunks=(3, 3), compression="lzf")}, FormatError,
         r"packs 'am' by filters \[32000\]"),
    ],
)  # fmt: skip
def test_a_hostile_file_is_refused_with_its_reason(more: dict[str, Any], error: type[Exception], said: str, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = TRIPS
    with pytest.raises(error, match=said) as caught:
        read_omx(omx(tmp_path, **more), network())
    assert "trips.omx" in str(caught.value)
    assert "please report" not in str(caught.value), "an error that the reader did not foresee"


def test_ones_that_unpack_to_gigabytes_end_at_the_memory_or_time_allowed(tmp_path: Path) -> None:
    """A matrix of 20,000 zones whose cells are all one and packed to nothing: its cells that are not zero take 6 GB."""
    path = omx(tmp_path, **{"lookup/taz": np.arange(20_000), "data/am": lambda file: file.create_dataset(
        "data/am", shape=(20_000, 20_000), dtype="u1", chunks=(1000, 1000), fillvalue=1)})  # fmt: skip
    assert path.stat().st_size < 1_000_000
    with pytest.raises(LimitError, match=r"memory|longer to read"):
        read_omx(path, network())


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bytes_are_read_or_refused_and_nothing_else(seed: int, tmp_path: Path) -> None:
    path = omx(tmp_path, **{"data/am": lambda file: file.create_dataset("data/am", data=TRIPS, chunks=(2, 2), compression="gzip")})
    raw, chance = bytearray(path.read_bytes()), np.random.default_rng(seed)
    for place in chance.integers(8, len(raw), 60):
        raw[place] = int(chance.integers(256))
    path.write_bytes(raw)
    told = ""
    try:
        made = read_omx(path, network())
    except (InputError, UsageError, ObjectNotFoundError) as error:
        told = str(error)
    else:
        assert np.isfinite(made.trips).all()
    assert "please report" not in told, "an error that the reader did not foresee"


@pytest.mark.parametrize("share", [0.05, 0.5, 0.99])
def test_a_cut_file_is_refused(share: float, tmp_path: Path) -> None:
    path = omx(tmp_path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match=r"damaged|no HDF5"):
        read_omx(path, network())


def test_what_is_no_hdf5_is_refused_before_the_library_sees_it(tmp_path: Path) -> None:
    (tmp_path / "trips.omx").write_bytes(b"PK\x03\x04" + b"\0" * 3000)
    with pytest.raises(FormatError, match="is no HDF5 file"):
        read_omx(tmp_path / "trips.omx", network())


def test_limits_hold(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match="9 cells, above the limit of 8"):
        read_omx(omx(tmp_path), network(), limits=Limits(cells=8))
    with pytest.raises(LimitError, match="file bytes"):
        read_omx(omx(tmp_path), network(), limits=Limits(file_bytes=100))


def test_without_h5py_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = omx(tmp_path), builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "h5py":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "h5py")
    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    for call in (lambda: read_omx(path, network()), lambda: write_omx(ODMatrix(*np.zeros((3, 0), np.int64)), network(), path)):
        with pytest.raises(MissingExtraError, match=r"pip install 'cim-toolkit\[traffic\]'"):
            call()


# ---------------------------------------------------------------- out and in


def test_what_is_written_is_what_omx_tools_expect(tmp_path: Path) -> None:
    demand = ODMatrix(np.array([0, 2, 0]), np.array([2, 0, 2]), np.array([1.5, 2.0, 0.25]))
    write_omx(demand, network("1a3", [True, False, True]), tmp_path / "out.omx", matrix="car", lookup="zone")
    with h5py.File(tmp_path / "out.omx") as file:
        assert file.attrs["OMX_VERSION"] == b"0.2"
        assert file.attrs["SHAPE"].tolist() == [3, 3]
        assert file["data/car"][:].tolist() == [[0, 0, 1.75], [0, 0, 0], [2.0, 0, 0]]
        assert file["lookup/zone"][:].tolist() == [b"1", b"a", b"3"]
    write_omx(demand, network(), tmp_path / "whole.omx", zones=[3, 1])
    with h5py.File(tmp_path / "whole.omx") as file:
        assert file["data/trips"][:].tolist() == [[0, 2.0], [1.75, 0]]
        assert (file["lookup/zones"].dtype, file["lookup/zones"][:].tolist()) == (np.uint32, [3, 1])


def test_trips_that_would_be_lost_are_refused(tmp_path: Path) -> None:
    demand = ODMatrix(np.array([0]), np.array([2]), np.array([1.0]))
    with pytest.raises(UsageError, match=r"1 zones that are not among the given ones \(3\)"):
        write_omx(demand, network(), tmp_path / "out.omx", zones=[1, 2])
    with pytest.raises(UsageError, match="without / and dots"):
        write_omx(demand, network(), tmp_path / "out.omx", matrix="../x")
    with pytest.raises(LimitError, match="4 cells"):
        write_omx(demand, network(), tmp_path / "out.omx", limits=Limits(cells=3))


@pytest.mark.data
def test_the_trips_of_chicago_come_back(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    path = shared_data("traffic", "chicago_sketch")
    roads, demand = tntp.read_network(path / "ChicagoSketch_net.tntp"), tntp.read_trips(path / "ChicagoSketch_trips.tntp")
    write_omx(demand, roads, tmp_path / "out.omx")
    side = roads.nodes.num_rows
    assert np.array_equal(dense(read_omx(tmp_path / "out.omx", roads), side), dense(demand, side))
