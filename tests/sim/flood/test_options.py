"""Options of the wrong type, fields of the wrong place: each is named in a message of its own, before anything is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import xarray as xr

from cim.crs import parse
from cim.errors import CimError, CRSMismatchError, UsageError
from cim.model import CityBuilder
from cim.model.coverages import Raster, read_raster, write_raster
from cim.sim.flood import (
    Boundary,
    Breach,
    Constant,
    CurveNumber,
    FlowDomain,
    GreenAmpt,
    Horton,
    Inflow,
    Pump,
    domain_from_city,
    simulate,
)
from tests.sim.flood.places import CRS, make_city, raster

WRONG: tuple[Any, ...] = ("a", b"x", ["x"], {"a": 1}, object(), np.zeros(3), np.zeros((2, 2)), 1 + 2j, float("nan"), float("inf"), set())
ALSO_RIGHT = {"checkpoint": (str,), "branch_from": (str,)}
OPTIONS = [
    "scheme", "precision", "output_every", "velocity", "wet_depth", "threads", "checkpoint", "checkpoint_every", "keep_checkpoints",
    "branch_from", "start", "until", "rain", "boundaries", "inflows", "structures", "initial_level", "initial_depth", "gauge", "section",
    "dx", "roughness", "gaps", "largest_gap", "edge", "crs", "infiltration",
]  # fmt: skip
PARTS = [(Boundary, "stage", "where kind level depth"), (Boundary, "inflow", "discharge unit_discharge"), (Inflow, None, "where discharge"),
         (Pump, None, "intake capacity outlet on_depth off_depth"), (Breach, None, "where level begin duration")]  # fmt: skip


def run(**more: Any) -> Any:
    return simulate(more.pop("place", np.zeros((4, 4))), **{"dx": 2.0, "until": 0.5, "threads": 1, **more})


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_of_the_wrong_type_is_named(name: str) -> None:
    option = {"gauge": "gauges", "section": "sections"}.get(name, name)
    said = {"crs": "coordinate reference system|cannot be read"}.get(name, name)
    for value in WRONG:
        if not isinstance(value, ALSO_RIGHT.get(name, ())):
            with pytest.raises(CimError, match=said):
                run(**{option: value})


@pytest.mark.parametrize(("kind", "word", "names"), PARTS)
def test_a_part_of_the_wrong_type_is_refused(kind: Any, word: str | None, names: str) -> None:
    right: dict[Any, dict[str, Any]] = {
        Boundary: {"where": "west"}, Inflow: {"where": (3.0, 3.0), "discharge": 1.0}, Pump: {"intake": (3.0, 3.0), "capacity": 1.0},
        Breach: {"where": [[3.0, 3.0], [5.0, 3.0]], "level": -1.0},
    }  # fmt: skip
    place = {Boundary: "boundaries", Inflow: "inflows"}.get(kind, "structures")
    more = {} if word is None else {"kind": word} | ({"level": 1.0} if word == "stage" and "level" not in names else {})
    for name in names.split():
        for value in WRONG:
            with pytest.raises(UsageError, match="fault"):
                run(**{place: [kind(**{**right[kind], **more, name: value})]})


@pytest.mark.parametrize(("law", "names"), [(GreenAmpt, "conductivity suction deficit"), (Constant, "rate"), (CurveNumber, "cn"),
                                            (Horton, "f0 fc k")])  # fmt: skip
def test_a_parameter_of_a_law_of_the_wrong_type_is_named(law: Any, names: str) -> None:
    for name in names.split():
        for value in WRONG:
            with pytest.raises(UsageError, match="infiltration: "):
                run(infiltration=law(**{**dict.fromkeys(names.split(), 1.0), name: value}))


def test_faults_of_several_types_are_told_together() -> None:
    with pytest.raises(UsageError) as caught:
        run(wet_depth="a", threads="two", velocity="yes", scheme=["standard"], checkpoint=5, keep_checkpoints=0, checkpoint_every=[])
    assert "flood: 7 faults" in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["resolution", "area", "terrain", "buildings", "roofs", "roughness", "infiltration", "gaps", "culverts", "underpasses", "decks", "edge",
     "largest_gap", "clearance", "covers", "soil"],
)  # fmt: skip
def test_an_option_of_a_city_of_the_wrong_type_is_refused(name: str) -> None:
    city, ground = make_city(("Building", {"h": shapely.box(4, 4, 8, 8)}, {"height": [9.0]})), raster(np.zeros((12, 12)))
    for value in WRONG:
        with pytest.raises(CimError):
            domain_from_city(city, **{"terrain": ground, name: value})


# ---------------------------------------------------------------- fields


def field(values: Any, crs: str | None = None) -> xr.DataArray:
    """Return a field of 2 m cells whose first row is the southern one."""
    middle = np.arange(len(values)) * 2.0 + 1.0
    return xr.DataArray(values, dims=("y", "x"), coords={"y": middle, "x": middle}, attrs={} if crs is None else {"crs": crs})


@pytest.mark.parametrize("edge", ["free", "closed"])
def test_infiltration_like_the_elevation_is_taken_whatever_the_edge(edge: Any) -> None:
    rate = np.zeros((6, 6))
    rate[0] = 40.0  # the northern row
    given: dict[str, Any] = {"initial_depth": 0.01, "until": "3min", "edge": edge, "roughness": 1.0}
    water = [run(place=np.zeros((6, 6)), infiltration=Constant(rate), **given)]
    north = field(rate[::-1])
    ground = field(np.zeros((6, 6)))
    water += [run(place=ground, dx=None, infiltration=Constant(north), **given)]
    taken = [one.run.balance["infiltration_m3"] for one in water]
    assert taken[0] == taken[1]
    assert taken[0] == pytest.approx(40.0 / 1000 / 20 * 6 * 4.0, rel=0.03)  # 3 min on 6 cells of 4 m²; beside a free edge some run dry
    level = water[1]["water_depth"].isel(time=-1)
    assert float(level.sel(y=11.0).mean()) < float(level.sel(y=1.0).mean())  # what the north loses


def test_infiltration_that_has_the_ring_already_stays_as_it_is() -> None:
    law = Constant(np.full((8, 8), 7.0))
    assert FlowDomain.from_elevation(np.zeros((6, 6)), 2.0, edge="free", infiltration=law).infiltration is law
    with pytest.raises(UsageError, match=r"infiltration: rate: shape \(5, 5\), expected one number or \(6, 6\)"):
        FlowDomain.from_elevation(np.zeros((6, 6)), 2.0, edge="free", infiltration=Constant(np.full((5, 5), 7.0)))


@pytest.mark.parametrize("name", ["initial_level", "initial_depth", "roughness", "infiltration"])
def test_a_field_in_another_system_than_the_ground_is_refused(name: str) -> None:
    there, here = (field(np.full((4, 4), 0.05), crs) for crs in ("EPSG:4548", "EPSG:4549+5737"))
    for values, refused in ((there, True), (here, False)):
        more: dict[str, Any] = {name: Constant(values) if name == "infiltration" else values}
        if refused:
            with pytest.raises(UsageError, match="bring both to one system first"):
                run(place=here, dx=None, **more)
        else:
            run(place=here, dx=None, **more)


def test_infiltration_of_a_part_of_a_city_lies_on_the_cells_of_the_part() -> None:
    city, ground = make_city(("Building", {"h": shapely.box(4, 4, 8, 8)}, {"height": [9.0]})), raster(np.zeros((12, 12)))
    rate = np.arange(80.0).reshape(8, 10)
    for edge, law in (("free", Constant(rate)), ("closed", Constant(rate))):
        domain = domain_from_city(city, terrain=ground, area=(1.0, 2.0, 11.0, 10.0), edge=edge, infiltration=law, roughness=0.03)  # type: ignore[arg-type]
        assert np.array_equal(domain.infiltration.rate[domain.active], rate.ravel())
    with pytest.raises(UsageError, match="infiltration: rate: shape"):
        domain_from_city(city, terrain=ground, infiltration=Constant(rate), roughness=0.03)


# ---------------------------------------------------------------- the system of a terrain


@pytest.mark.parametrize("stated", [None, CRS])
@pytest.mark.parametrize("other", ["EPSG:4548+5737", "EPSG:2436", "EPSG:4490", "EPSG:28992"])
def test_a_terrain_whose_file_lies_elsewhere_than_the_city_says_is_refused(tmp_path: Path, stated: str | None, other: str) -> None:
    city = with_terrain(tmp_path, other, stated)
    with pytest.raises(CRSMismatchError, match="the city holds it as CGCS2000"):
        read_raster(city, "dtm")
    with pytest.raises(CimError, match="the city holds it as CGCS2000"):
        domain_from_city(city, infiltration=None, roughness=0.03)


@pytest.mark.parametrize("stated", [None, CRS])
def test_a_terrain_in_the_system_of_the_city_is_read(tmp_path: Path, stated: str | None) -> None:
    for own in (CRS, "EPSG:4549"):
        assert read_raster(with_terrain(tmp_path, own, stated), "dtm").shape == (12, 12)


def with_terrain(folder: Path, own: str, stated: str | None) -> Any:
    """Return a city with a terrain whose file says `own`, the table of coverages `stated`."""
    path = write_raster(Raster(np.zeros((12, 12)), 0.0, 24.0, 2.0, 2.0, parse(own)), folder / "dem.tif")
    builder = CityBuilder(CRS)
    (relief,) = builder.add_objects("ReliefFeature", ["dtm"])
    told: dict[str, Any] = {} if stated is None else {"crs": stated}
    builder.add_coverage(int(relief), kind="raster", path=str(path), format="GeoTIFF", unit="m", meta='{"surface": "terrain"}', **told)
    return builder.build()
