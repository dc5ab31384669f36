"""Points arrive where they should, and nothing is moved, or left unmoved, in silence."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from cim.crs import parse, transform_geometries, transform_points
from cim.errors import CRSError, UsageError

DELFT = ([84000.0, 85000.0], [447000.0, 446000.0])
SUZHOU = ([557122.865], [3464391.326])


def test_a_compound_system_does_not_become_ellipsoidal_heights_without_its_grid() -> None:
    with pytest.raises(CRSError) as caught:
        transform_points(*DELFT, [1.0, 2.0], parse("EPSG:7415"), parse("EPSG:4979"), path="delft.city.json")
    told = str(caught.value)
    assert told.startswith("delft.city.json: ")
    assert "ballpark vertical transformation" in told
    assert "nl_nsgi_nlgeo2018.tif" in told
    assert "keep the heights in NAP height" in told


def test_a_ballpark_height_is_noted_when_allowed_and_the_plane_is_still_exact() -> None:
    crs = parse("EPSG:7415"), parse("EPSG:4979")
    there = transform_points(*DELFT, [1.0, 2.0], *crs, allow_ballpark=True)
    assert there.accuracy is None
    assert any("ballpark vertical" in note for note in there.notes)
    assert not any("ballpark horizontal" in note for note in there.notes)
    assert there.z is not None
    np.testing.assert_array_equal(there.z, [1.0, 2.0])
    # The plane must be as good as without heights: PROJ lists first an operation that guesses the plane as well (about 100 m).
    plane = transform_points(*DELFT, None, parse("EPSG:28992"), parse("EPSG:4326"))
    np.testing.assert_allclose(there.x, plane.x, rtol=0, atol=1e-7)  # 1 cm: a 3D shift of the datum sees the height
    np.testing.assert_allclose(there.y, plane.y, rtol=0, atol=1e-7)


def test_heights_pass_with_a_note_when_one_side_does_not_know_its_height_system() -> None:
    there = transform_points(*DELFT, [1.0, 2.0], parse("EPSG:28992"), parse("EPSG:4979"))
    assert there.z is not None
    np.testing.assert_array_equal(there.z, [1.0, 2.0])
    assert there.notes[0] == "vertical unknown on the source: heights passed through unchanged"
    back = transform_points(there.x, there.y, there.z, parse("EPSG:4979"), parse("EPSG:28992"))
    assert back.notes[0] == "vertical unknown on the target: heights passed through unchanged"


def test_yellow_sea_heights_are_not_passed_off_as_each_other() -> None:
    old, new = parse("EPSG:4549+5736"), parse("EPSG:4549+5737")
    with pytest.raises(CRSError, match="ballpark vertical") as caught:
        transform_points(*SUZHOU, [60.32], old, new)
    assert "grid" not in caught.value.remedy  # there is none that could be installed
    there = transform_points(*SUZHOU, [60.32], old, new, allow_ballpark=True)
    assert there.z is not None
    assert there.z[0] == 60.32
    assert any("ballpark vertical" in note for note in there.notes)


def test_equal_height_systems_leave_heights_alone_to_the_last_bit() -> None:
    there = transform_points(*SUZHOU, [60.32], parse("EPSG:4549+5737"), parse("EPSG:4490+5737"))
    assert there.z is not None
    assert there.z[0] == 60.32
    assert there.notes == ()
    assert there.accuracy == 0.0


def test_feet_become_metres_when_only_the_unit_of_height_differs() -> None:
    there = transform_points([500000.0], [5200000.0], [100.0], parse("EPSG:32612+6360"), parse("EPSG:32612+5703"))
    assert there.z is not None
    assert there.z[0] == pytest.approx(100.0 * 1200 / 3937, rel=1e-12)
    assert there.x[0] == pytest.approx(500000.0, abs=1e-6)  # 1 µm: through degrees and back


def test_the_same_system_is_the_identity() -> None:
    x = np.array([557122.86541902, np.nan, 1e-300])
    there = transform_points(x, x, x, parse("EPSG:4549"), parse(pyproj.CRS("EPSG:4549").to_wkt("WKT1_ESRI")))
    np.testing.assert_array_equal(there.x, x)
    assert there.accuracy == 0.0
    assert there.x is not x


def test_cgcs2000_and_wgs84_are_taken_as_equal_and_it_is_said() -> None:
    there = transform_points([120.6], [31.3], None, parse("EPSG:4490"), parse("EPSG:4326"))
    assert (there.x[0], there.y[0]) == (120.6, 31.3)
    assert there.accuracy == 1.0
    assert "CGCS2000 and WGS 84 are taken as equal" in there.notes[0]


def test_an_operation_keeps_its_accuracy_and_a_chain_that_proj_does_not_know_is_refused() -> None:
    there = transform_points([120.6], [31.3], None, parse("EPSG:4214"), parse("EPSG:4326"))
    assert there.accuracy == 15.0
    with pytest.raises(CRSError, match="ballpark horizontal"):  # PROJ knows no way through WGS 84
        transform_points([120.6], [31.3], None, parse("EPSG:4214"), parse("EPSG:4490"))


def test_a_better_operation_that_lacks_its_grid_is_named() -> None:
    there = transform_points(*DELFT, None, parse("EPSG:28992"), parse("EPSG:25831"))
    assert there.accuracy == 0.25
    assert any("nl_nsgi_rdtrans2018.tif" in note for note in there.notes)


def test_points_outside_every_area_of_use_are_refused_with_the_place() -> None:
    with pytest.raises(CRSError, match="ballpark horizontal"):
        transform_points([117.2], [28.9], None, parse("EPSG:4214"), parse("EPSG:4326"))


@given(
    st.lists(
        st.tuples(st.floats(118.6, 121.4), st.floats(20.0, 50.0), st.floats(-100.0, 5000.0)),
        min_size=1,
        max_size=5,
    )
)
def test_there_and_back_is_where_it_began(points: list[tuple[float, float, float]]) -> None:
    lon, lat, z = (np.array(column) for column in zip(*points, strict=True))
    degrees, metres = parse("EPSG:4490+5737"), parse("EPSG:4549+5737")
    there = transform_points(lon, lat, z, degrees, metres)
    back = transform_points(there.x, there.y, there.z, metres, degrees)
    # 1e-11 degrees is a micrometre; the transverse Mercator series of PROJ is good to less
    np.testing.assert_allclose(back.x, lon, rtol=0, atol=1e-11)
    np.testing.assert_allclose(back.y, lat, rtol=0, atol=1e-11)
    assert back.z is not None
    np.testing.assert_array_equal(back.z, z)


def test_missing_points_and_heights_stay_missing_and_take_nothing_with_them() -> None:
    crs = parse("EPSG:4979"), parse("EPSG:32631+ellipsoidal")
    there = transform_points([4.0, np.nan, 4.0], [52.0, 52.0, 52.0], [3.0, 3.0, np.nan], *crs)
    assert there.z is not None
    assert np.isnan(there.x).tolist() == [False, True, False]
    assert np.isnan(there.z).tolist() == [False, True, True]
    assert there.x[2] == there.x[0]


def test_nothing_to_transform_is_no_error() -> None:
    there = transform_points([], [], None, parse("EPSG:4214"), parse("EPSG:4326"))
    assert there.x.shape == (0,)
    assert there.notes == ("there are no points",)


def test_a_point_without_image_is_named() -> None:
    with pytest.raises(CRSError, match=r"1 of 2 points have no image in .* first \(120.6, 95.0\)"):
        transform_points([120.6, 120.6], [31.3, 95.0], None, parse("EPSG:4490"), parse("EPSG:4549"), allow_ballpark=True)


def test_a_system_with_an_unknown_datum_goes_nowhere_silently() -> None:
    local = parse("+proj=tmerc +lon_0=121 +ellps=GRS80")
    with pytest.raises(CRSError, match="ballpark horizontal") as caught:
        transform_points([500.0], [500.0], None, local, parse("EPSG:4490"))
    assert len(str(caught.value)) < 400  # the name of the system, not its whole WKT


def test_arrays_of_different_length_are_refused() -> None:
    with pytest.raises(UsageError, match=r"x \(2,\), y \(1,\)"):
        transform_points([1.0, 2.0], [1.0], None, parse("EPSG:4490"), parse("EPSG:4549"))


def test_every_point_uses_one_operation_whatever_its_neighbours() -> None:
    """The kept operation must give what PROJ gives when it is asked afresh."""
    x, y = np.linspace(80000, 90000, 50), np.linspace(440000, 450000, 50)
    ours = transform_points(x, y, None, parse("EPSG:28992"), parse("EPSG:25831"))
    theirs = pyproj.Transformer.from_crs(28992, 25831, always_xy=True).transform(x, y)
    np.testing.assert_allclose([ours.x, ours.y], theirs, rtol=0, atol=1e-6)  # 1 µm: the same operation


def test_threads_get_the_same_numbers() -> None:
    x, y = np.linspace(80000, 90000, 1000), np.linspace(440000, 450000, 1000)

    def run(_: int) -> float:
        return float(transform_points(x, y, None, parse("EPSG:28992"), parse("EPSG:25831")).x.sum())

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(run, range(32)))) == 1


def test_geometries_move_in_the_plane_and_keep_their_heights() -> None:
    shapes = [shapely.Point(120.6, 31.3), None, shapely.Polygon([(120, 31, 5), (120.1, 31, 6), (120.1, 31.1, 7)])]
    moved, done = transform_geometries(shapes, parse("EPSG:4490"), parse("EPSG:4549"))
    assert shapely.get_x(moved[0]) == pytest.approx(557122.865, abs=1e-3)  # printed to the millimetre
    assert moved[1] is None
    assert not shapely.has_z(moved[0])
    assert shapely.has_z(moved[2])
    assert shapely.get_coordinates(moved[2], include_z=True)[:, 2].tolist() == [5, 6, 7, 5]
    assert done.accuracy == 0.0
    assert shapely.get_x(shapes[0]) == 120.6  # the input stays


def test_a_system_across_the_antimeridian_holds_points_on_both_sides() -> None:
    there = transform_points([179.0, -179.0], [-17.0, -17.0], None, parse("EPSG:4720"), parse("EPSG:3460"))
    middle = 2.0e6  # false easting of Fiji's map grid at 178.75 E
    assert there.x[0] - middle == pytest.approx(26.6e3, rel=0.01)  # 0.25 degrees at 17 S
    assert there.x[1] - middle == pytest.approx(239e3, rel=0.01)  # 2.25 degrees


@pytest.mark.parametrize("source", ["OGC:CRS84", "EPSG:4326", "EPSG:4490"])
def test_longitude_and_latitude_of_any_name_reach_a_chinese_zone(source: str) -> None:
    there = transform_points([120.6], [31.3], None, parse(source), parse("EPSG:4549"))
    assert float(there.x[0]) == pytest.approx(557122.865, abs=0.001)  # value printed in the documentation of transform_points
    assert any("taken as equal" in note for note in there.notes) == (source != "EPSG:4490")
