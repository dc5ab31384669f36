"""The flow domain of a city and of a plain elevation model: what it holds, where it ends, and what is refused before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import xarray as xr

from cim.errors import UsageError
from cim.model import City
from cim.results import Grid
from cim.sim.flood.city_domain import domain_from_city
from cim.sim.flood.domain import FlowDomain
from tests.sim.flood.places import CRS, make_city, raster

PLAIN: dict[str, Any] = {"roughness": 0.03, "infiltration": None}


def field(values: Any, *, size: float = 2.0, **attributes: Any) -> xr.DataArray:
    z = np.asarray(values, float)
    y, x = 100.0 + size * (len(z) - 0.5 - np.arange(len(z))), 50.0 + size * (np.arange(z.shape[1]) + 0.5)
    return xr.DataArray(z, coords={"y": y, "x": x}, dims=("y", "x"), attrs={"crs": "EPSG:27700", "units": "m", **attributes})


def hill() -> np.ndarray:
    y, x = np.mgrid[0:20, 0:30]
    return np.asarray(50 + 0.3 * x - 0.1 * y)


def town(crs: str = CRS) -> City:
    return make_city(("Building", {"A": shapely.box(4, 4, 10, 9)}, {"height": [8.0]}), crs=crs)


# ---------------------------------------------------------------- plain elevation


def test_a_field_keeps_its_values_and_its_place_whichever_way_it_lies() -> None:
    for given in (field(hill()), field(hill()).isel(y=slice(None, None, -1)), field(hill()).transpose("x", "y")):
        domain = FlowDomain.from_elevation(given)
        np.testing.assert_array_equal(domain.elevation, hill())
        assert domain.grid == Grid(50.0, 140.0, 2.0, 2.0, 30, 20, "EPSG:27700")
        assert domain.elevation.dtype == np.float64
        assert domain.notes == ("the outer edge is closed",)


def test_an_array_needs_the_size_of_its_cells() -> None:
    assert FlowDomain.from_elevation(hill(), 3.0).grid == Grid(0.0, 60.0, 3.0, 3.0, 30, 20, "local")
    with pytest.raises(UsageError, match="dx=None; an array needs the size"):
        FlowDomain.from_elevation(hill())


def test_the_given_array_is_not_changed() -> None:
    values = hill()
    values[3, 3] = np.nan
    kept = values.copy()
    FlowDomain.from_elevation(values, 1.0, gaps="fill")
    np.testing.assert_array_equal(values, kept)


def test_nan_is_refused_until_somebody_says_what_it_means() -> None:
    values = hill()
    values[4:6, 4:6], values[0:19, 20:28] = np.nan, np.nan
    with pytest.raises(UsageError, match=r"NaN in 156 of 600 cells \(2 gaps, the largest 152 cells\)") as caught:
        FlowDomain.from_elevation(values, 1.0)
    assert 'gaps="wall"' in str(caught.value)
    walls = FlowDomain.from_elevation(values, 1.0, gaps="wall")
    np.testing.assert_array_equal(np.isnan(walls.elevation), np.isnan(values))
    assert "156 cells without elevation are walls" in walls.notes
    filled = FlowDomain.from_elevation(values, 1.0, gaps="fill", largest_gap=100.0)
    assert int(np.isnan(filled.elevation).sum()) == 152
    np.testing.assert_allclose(filled.elevation[4:6, 4:6], hill()[4:6, 4:6], atol=1e-6)


@pytest.mark.parametrize("mark", [-9999.0, 9999.0, 1e30, -3.4028234663852886e38, np.inf, -np.inf, -32768.0, -999.0])
def test_a_mark_that_looks_like_a_height_is_refused_and_works_once_declared(mark: float) -> None:
    values = hill()
    values[2:5, 2:5] = mark
    with pytest.raises(UsageError, match="undeclared mark for 'unknown'"):
        FlowDomain.from_elevation(values, 1.0)
    if np.isfinite(mark):
        domain = FlowDomain.from_elevation(field(values, nodata=mark), gaps="fill")
        np.testing.assert_allclose(domain.elevation, hill(), atol=1e-6)


def test_honest_low_ground_is_no_mark() -> None:
    y, x = np.mgrid[0:20, 0:30]
    pit = -1040.0 + 2.0 * x + 0.0 * y  # an open mine passes through -1000 and -999 m and has ground near them
    FlowDomain.from_elevation(pit, 1.0)


def test_all_faults_of_an_elevation_come_in_one_message() -> None:
    values = hill()
    values[0, 0], values[5, 5] = np.nan, 1e20
    given = field(values, crs="EPSG:2263", units="ft")  # New York, US survey feet
    with pytest.raises(UsageError) as caught:
        FlowDomain.from_elevation(given, 2.0, gaps="maybe", edge="ajar")  # type: ignore[arg-type]
    said = str(caught.value)
    assert said.startswith("flood: 6 faults:")
    for part in ("dx=2.0 is given", "units of 0.3048", "elevations in 'ft'", "gaps='maybe'", "edge='ajar'", "1e+20"):
        assert part in said, part


@pytest.mark.parametrize(("given", "reason"), [
    (field(hill(), crs="EPSG:4326"), "counts in degrees"),
    (field(hill(), crs="EPSG:3857"), "makes areas too large"),
    (field(hill(), crs="nonsense"), "nonsense"),
    (field(hill(), units="feet"), "counts elevations in 'feet'"),
    (field(hill()).assign_coords(x=np.geomspace(1, 100, 30)), "coordinate x of elevation is not regular"),
    (field(hill()).rename(x="lon"), "expected y and x"),
    (field(hill()).drop_vars("x"), "has no coordinates"),
    (field(np.full((4, 4), np.nan)), "no cell with an elevation"),
])  # fmt: skip
def test_a_field_that_cannot_be_flowed_over_is_refused(given: xr.DataArray, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        FlowDomain.from_elevation(given)


def test_a_free_edge_lays_a_ring_of_open_cells_around() -> None:
    values = hill()
    values[0:3, 0] = np.nan
    domain = FlowDomain.from_elevation(values, 2.0, gaps="wall", edge="free", roughness=np.full(values.shape, 0.05))
    assert domain.shape == (22, 32)
    assert domain.grid == Grid(-2.0, 42.0, 2.0, 2.0, 32, 22, "local")
    np.testing.assert_array_equal(domain.elevation[1:-1, 1:-1], values)
    assert domain.open_edge is not None
    assert int(domain.open_edge.sum()) == 2 * 20 + 2 * 30 - 4  # none beside a wall
    assert not (domain.open_edge & domain.active).any()
    assert np.shape(domain.roughness) == domain.shape


# ---------------------------------------------------------------- the domain itself


def test_a_domain_that_contradicts_itself_says_all_of_it() -> None:
    good = FlowDomain.from_elevation(hill(), 1.0)
    pairs = (np.array([5, 5, 6]), np.array([7, 8, 5]))
    with pytest.raises(UsageError) as caught:
        replace(good, roughness=np.full((20, 30), -1.0), rain_to=pairs, open_edge=np.ones((20, 30), bool))
    said = str(caught.value)
    for part in ("roughness is -1 in 600 places", "a roof cell twice", "a roof that is drained itself", "holds 600 cells of the domain"):
        assert part in said
    with pytest.raises(UsageError, match=r"elevation has shape \(3, 3\)"):
        replace(good, elevation=np.zeros((3, 3)))
    with pytest.raises(UsageError, match="float32, expected float64"):
        replace(good, elevation=hill().astype(np.float32))


# ---------------------------------------------------------------- a city


def test_a_part_of_a_city_is_cut_out_of_the_common_cells() -> None:
    z = np.random.default_rng(5).normal(10, 1, (40, 60))
    whole = domain_from_city(town(), terrain=raster(z), **PLAIN)
    part = domain_from_city(town(), terrain=raster(z), area=(10.0, 10.0, 30.0, 25.0), **PLAIN)
    assert part.grid == Grid(9.0, 26.0, 1.0, 1.0, 22, 17, CRS)
    np.testing.assert_array_equal(part.elevation[1:-1, 1:-1], whole.elevation[15:30, 10:30])
    assert part.open_edge is not None
    assert int(part.open_edge.sum()) == 2 * (20 + 15)
    assert whole.open_edge is None
    assert "the outer edge is free (the default of a part)" in part.notes
    assert "the outer edge is closed (the default of a whole terrain)" in whole.notes
    closed = domain_from_city(town(), terrain=raster(z), area=(10.0, 10.0, 30.0, 25.0), edge="closed", **PLAIN)
    assert closed.open_edge is None
    assert closed.shape == (15, 20)


def test_a_polygon_keeps_the_cells_whose_middle_it_holds() -> None:
    z = np.random.default_rng(5).normal(10, 1, (40, 60))
    circle = shapely.Point(30, 20).buffer(12)
    domain = domain_from_city(town(), terrain=raster(z), area=circle, **PLAIN)
    rows, columns = np.nonzero(domain.active)
    active = set(zip(domain.grid.x[columns].tolist(), domain.grid.y[rows].tolist(), strict=True))
    assert active == {(i + 0.5, j + 0.5) for i in range(60) for j in range(40) if circle.contains(shapely.Point(i + 0.5, j + 0.5))}
    assert domain.open_edge is not None
    for row, column in np.argwhere(domain.open_edge):
        beside = [(row + i, column + j) for i, j in ((0, 1), (0, -1), (1, 0), (-1, 0))]
        assert any(0 <= i < domain.shape[0] and 0 <= j < domain.shape[1] and domain.active[i, j] for i, j in beside)


def test_the_footprint_of_an_object_can_be_the_area() -> None:
    city = make_city(("LandUse", {"plot": shapely.box(10, 10, 20, 20)}, {"class": ["x"]}))
    domain = domain_from_city(city, terrain=raster(np.zeros((40, 60))), area="plot", **PLAIN)
    assert int(domain.active.sum()) == 100


def test_ground_beyond_the_terrain_is_wall_and_counted() -> None:
    domain = domain_from_city(town(), terrain=raster(np.zeros((40, 60))), area=(50.0, 30.0, 70.0, 50.0), **PLAIN)
    assert int(domain.active.sum()) == 100
    assert "300 cells of the area lie beyond the terrain: walls" in domain.notes


def test_whole_terrain_with_a_free_edge_has_a_ring() -> None:
    domain = domain_from_city(town(), terrain=raster(np.zeros((40, 60))), edge="free", **PLAIN)
    assert domain.shape == (42, 62)
    assert domain.open_edge is not None
    assert int(domain.open_edge.sum()) == 2 * (40 + 60)
    assert not any("beyond" in note for note in domain.notes)


def test_roughness_may_be_a_number_or_a_field() -> None:
    terrain = raster(np.zeros((20, 30)))
    assert domain_from_city(town(), terrain=terrain, roughness=0.05, infiltration=None).roughness == 0.05
    n = np.full((20, 30), 0.1)
    n[:, :15] = 0.02
    n[0, 0] = np.nan
    coords = {"y": 20 - 0.5 - np.arange(20), "x": np.arange(30) + 0.5}
    given = xr.DataArray(n, coords=coords, dims=("y", "x"), attrs={"crs": CRS, "units": "s/m^(1/3)"})
    domain = domain_from_city(town(), terrain=terrain, roughness=given, infiltration=None)
    assert np.unique(domain.roughness).tolist() == [0.02, 0.035, 0.1]
    assert "1 cells have no roughness in the field given: n = 0.035 assumed" in domain.notes


def test_all_faults_of_a_city_come_in_one_message() -> None:
    terrain = raster(np.full((20, 30), -9999.0), crs="EPSG:28992")
    wrong: dict[str, Any] = {"resolution": -2, "buildings": "fly", "area": (5, 5, 1, 1), "roughness": "smooth", "soil": "mud"}
    with pytest.raises(UsageError) as caught:
        domain_from_city(town(), terrain=terrain, **wrong)
    said = str(caught.value)
    assert said.startswith("flood: 6 faults:")
    for part in ("resolution=-2", "buildings='fly'", "area=(5, 5, 1, 1)", "roughness='smooth'", "soil='mud'", "one coordinate system"):
        assert part in said, part


@pytest.mark.parametrize(
    ("crs", "reason"), [("EPSG:4326", "counts in degrees"), ("EPSG:2263", "units of 0.3048"), ("EPSG:3857", "makes areas too large")]
)
def test_a_city_that_does_not_count_in_metres_is_refused(crs: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        domain_from_city(town(crs), terrain=raster(np.zeros((20, 30)), crs=crs))


@pytest.mark.parametrize("mark", [-9999.0, 9999.0, 1e30])
def test_a_terrain_with_a_hidden_mark_is_refused(mark: float) -> None:
    z = hill()
    z[3:6, 3:6] = mark
    with pytest.raises(UsageError, match="9 cells"):
        domain_from_city(town(), terrain=raster(z))


def test_a_city_without_a_terrain_and_an_area_without_a_cell_are_refused() -> None:
    with pytest.raises(UsageError, match="the city holds no terrain"):
        domain_from_city(town())
    with pytest.raises(UsageError, match="the area, 500 500 600 600, lies beside the terrain, which covers"):
        domain_from_city(town(), terrain=raster(hill()), area=(500, 500, 600, 600))
    with pytest.raises(UsageError, match=r"the area, 5\.1 5\.1 to 5\.2 5\.2, holds no middle of a cell of 1 m"):
        domain_from_city(town(), terrain=raster(hill()), area=(5.1, 5.1, 5.2, 5.2))


def test_a_local_city_in_metres_is_welcome() -> None:
    domain = domain_from_city(town("local"), terrain=raster(hill(), crs="local"), **PLAIN)
    assert domain.grid.crs == "local"
    assert domain.vertical is None


def test_the_domain_is_the_same_every_time() -> None:
    one, two = (domain_from_city(town(), terrain=raster(hill()), resolution=0.7) for _ in range(2))
    assert one.elevation.tobytes() == two.elevation.tobytes()
    assert np.asarray(one.roughness).tobytes() == np.asarray(two.roughness).tobytes()
    assert one.notes == two.notes


# ---------------------------------------------------------------- real places


@pytest.fixture(scope="module")
def district(tmp_path_factory: pytest.TempPathFactory) -> City:
    from cim.demo import write_sources
    from cim.loaders.build import build

    return build(write_sources(Path(tmp_path_factory.mktemp("demo")) / "sources").build_file)


@pytest.mark.heavy
def test_the_demo_district_is_made_fit_for_flow(district: City) -> None:
    from cim.demo.ground import elevation
    from cim.sim.terrain import read_terrain

    ground = read_terrain(district, "dtm_2m")
    domain = domain_from_city(district, terrain="dtm_2m")
    assert domain.shape == ground.shape
    assert domain.active.all()
    assert len(domain.building_ids) == 397  # type: ignore[arg-type]
    for said in ("224 cells without elevation in 3 gaps filled", "1 underpasses lie open in the terrain already (way/9000000012)",
                 "2 bridges stand over terrain that holds no deck", "397 buildings raised"):  # fmt: skip
        assert any(note.startswith(said) for note in domain.notes), said
    hole = np.isnan(ground.values)
    x, y = np.meshgrid(domain.grid.x - 557000.0, domain.grid.y - 3464000.0)
    roof = np.zeros(domain.shape, bool)
    assert domain.rain_to is not None
    roof.ravel()[domain.rain_to[0]] = True
    error = np.abs(domain.elevation - elevation(x, y))[hole & ~roof]
    assert np.median(error) < 0.1  # the survey's noise is 0.015 m; the widest hole spans 32 m of curved river bed


@pytest.mark.heavy
def test_the_deck_and_the_lid_come_off_when_the_terrain_of_the_demo_district_holds_them(district: City) -> None:
    from cim.sim.cells import cells_inside
    from cim.sim.terrain import read_terrain

    ground = read_terrain(district, "dtm_2m")
    z = ground.values.copy()
    deck = cells_inside(district.footprints(district.key_of(["QL-01"])), ground).cell
    z.ravel()[deck] = 6.5
    way = district.footprints(district.key_of(["way/9000000012"]))[0]
    middle = way.interpolate(0.5, normalized=True)
    x, y = np.meshgrid(ground.x, ground.y)
    lid = (np.abs(y - middle.y) < 12) & (np.abs(x - middle.x) < 12)
    z[lid] = 5.3
    domain = domain_from_city(district, terrain=replace(ground, values=z), **PLAIN)
    error = np.abs(domain.elevation - ground.values).ravel()[deck]
    assert np.nanmean(error) < 0.1
    assert np.nanmax(error) <= 0.6  # at its ends a deck less than half a metre above the ground counts as ground
    along = [way.interpolate(share, normalized=True) for share in np.linspace(0.02, 0.98, 40)]
    rows, columns = ([int((ground.y_max - p.y) // 2) for p in along], [int((p.x - ground.x_min) // 2) for p in along])
    assert np.abs(domain.elevation[rows, columns] - ground.values[rows, columns]).max() < 0.15  # straight under the lid


def test_a_real_elevation_model_with_buildings_needs_nothing(shared_data: Callable[..., Path]) -> None:
    import rasterio

    with rasterio.open(shared_data("flood", "newcastle2012", "DEM.tif")) as file:
        z, box = file.read(1), file.bounds
        y, x = box.top - 2 * (np.arange(file.height) + 0.5), box.left + 2 * (np.arange(file.width) + 0.5)
    given = xr.DataArray(z, coords={"y": y, "x": x}, dims=("y", "x"), attrs={"crs": "EPSG:27700", "units": "m"})
    unknown = int((z == -9999).sum())
    assert unknown
    with pytest.raises(UsageError, match=f"{unknown:,} cells .*-9999"):
        FlowDomain.from_elevation(given)
    domain = FlowDomain.from_elevation(given.assign_attrs(nodata=-9999.0), gaps="wall")
    assert int((~domain.active).sum()) == unknown
    np.testing.assert_array_equal(domain.elevation[domain.active], z[z != -9999])
    assert domain.grid == Grid(424154.0, 565708.0, 2.0, 2.0, 612, 519, "EPSG:27700")


def test_delft_is_made_fit_for_flow(shared_data: Callable[..., Path]) -> None:
    from cim.loaders import fuse, read

    folder = shared_data("city", "delft")
    city = fuse([read(folder / "delft_v2.0.city.json"), read(folder / "dtm_05m_gaps.tif")])
    domain = domain_from_city(city, resolution=1.0)
    assert domain.vertical == "NAP height"
    assert domain.rain_to is not None
    assert len(np.unique(domain.rain_to[0])) == len(domain.rain_to[0]) > 8000
    assert any("cells of waters without elevation take the water level of the model" in note for note in domain.notes)
    assert any("cells without elevation under buildings filled" in note for note in domain.notes)
    roof = np.zeros(domain.elevation.size, bool)
    roof[domain.rain_to[0]] = True
    ground = domain.elevation.ravel()[~roof & domain.active.ravel()]
    assert ground.min() > -1.5
    assert ground.max() < 3.0  # the survey says -0.61 to 2.28 m; nothing outside was made up
