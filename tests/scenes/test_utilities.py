"""Pipes are where they lie, in colours that say their size or kind, and are seen and hit through the ground."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from cim.crs import parse
from cim.loaders.pipes import sweep
from cim.model import City, CityBuilder, Column
from cim.model.coverages import Raster, write_raster
from cim.scenes import Picker, Scene, id_buffer
from cim.scenes.still import render
from cim.scenes.utilities import KINDS

CRS = "EPSG:4549"
X0, Y0 = 500_000.0, 3_460_000.0
TYPE = "GenericOccupiedSpace"
SIZE = (400, 400)


def line(x: float, y: float, length: float = 80.0) -> shapely.LineString:
    return shapely.LineString([(X0 + x, Y0 + y), (X0 + x + length, Y0 + y)])


def made(folder: Path, *, networks: tuple[str, ...] = ("drainage",), terrain: bool = True) -> City:
    """Two pipes with bodies 3 m below level ground at 10 m, one without body or depth, a well and a well of unknown depth."""
    builder = CityBuilder(CRS, name="pipes")
    if terrain:
        path = write_raster(Raster(np.full((50, 50), 10.0), X0, Y0 + 100, 2.0, 2.0, parse(CRS)), folder / "dtm.tif")
        (key,) = builder.add_objects("ReliefFeature", ["dtm"], footprints=[shapely.box(X0, Y0, X0 + 100, Y0 + 100)])
        builder.add_coverage(int(key), kind="raster", path=str(path), format="GTiff", unit="m", crs=CRS)
    pipes = builder.add_objects(TYPE, ["p0", "p1", "p2"], footprints=[line(10, 20), line(10, 50), line(10, 80)])
    axis = [[X0 + x, Y0 + y, 7.0] for y in (20, 50) for x in (10, 90)]
    bodies = sweep(axis, [0, 2, 4], [1.0, 2.0], [1.0, 2.0])
    builder.add_geometries(pipes[bodies.row], lod="2", role="solid", type="Solid", vertices=bodies.vertices, boundaries=bodies.boundaries)
    wells = builder.add_objects(TYPE, ["w0", "w1"], footprints=shapely.points([(X0 + 10, Y0 + 50), (X0 + 90, Y0 + 80)]))
    keys = np.concatenate([pipes, wells])
    nothing = float("nan")
    builder.add_attributes(keys, TYPE, {"diameter": Column([1.0, 2.0, 0.5, nothing, nothing], unit="m")})
    builder.add_attributes(wells, TYPE, {"invert_level": Column([6.0, nothing], unit="m"), "rim_level": Column([10.0, nothing], unit="m")})
    names = [networks[at % len(networks)] for at in range(3)]
    for at in range(3):
        builder.add_links(
            pipes[at : at + 1], names[at], [f"a{at}"], ["w1" if at == 2 else f"b{at}"], direction="both", length=[80.0], attributes=["{}"]
        )
    builder.add_relations(pipes[:1], "startsAt", wells[:1])
    builder.add_relations(pipes[2:], "endsAt", wells[1:])
    return builder.build()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(made(tmp_path_factory.mktemp("pipes")))


def part(scene: Scene, id: str) -> Any:
    layer = scene.layer("utilities")
    row = layer.ids.tolist().index(id)
    return layer.points[np.unique(layer.triangles[layer.cell_object == row])] + scene.origin - [X0, Y0, 0]


def test_bodies_wells_and_lines_are_where_they_are_stated(scene: Scene) -> None:
    body, well, bare, mark = (part(scene, id) for id in ("p1", "w0", "p2", "w1"))
    assert body[:, 2].mean() == pytest.approx(7.0, abs=1e-6)
    assert np.ptp(body[:, 1]) == pytest.approx(2.0, rel=0.03)  # twelve corners on the area of the circle
    assert (well[:, 2].min(), well[:, 2].max()) == (6.0, 10.0)
    assert np.ptp(well[:, 0]) == pytest.approx(1.0, abs=1e-9)
    assert np.abs(bare[:, 2] - 10.2).max() < 1e-6
    assert mark[:, 2].min() == pytest.approx(10.0)


def test_what_is_not_known_is_counted(scene: Scene) -> None:
    said = [note.en for note in scene.layer("utilities").notes]
    assert said == [
        "1 pipes have no body and are drawn as lines",
        "1 of them have no known depth and lie on the ground",
        "1 wells have no known depth and are drawn as marks",
    ]


def test_one_network_is_coloured_by_diameter_with_its_unit(scene: Scene) -> None:
    legend = scene.layer("utilities").legend
    assert (legend.title.en, legend.unit, [entry.count for entry in legend.entries]) == ("Pipes: diameter", "m", [2])
    colours = {
        id: tuple(colour) for id, colour in zip(scene.layer("utilities").ids, scene.layer("utilities").colours.tolist(), strict=True)
    }
    assert len({colours["p0"], colours["p1"], colours["p2"]}) == 3
    assert colours["w0"] == colours["w1"]


def test_several_networks_are_coloured_by_kind(tmp_path: Path) -> None:
    layer = Scene(made(tmp_path, networks=("污水管网", "gas"))).layer("utilities")
    colours = dict(zip(layer.ids.tolist(), layer.colours.tolist(), strict=True))
    assert colours["p0"] == colours["p2"] == list(KINDS["drainage"][0])
    assert colours["p1"] == list(KINDS["gas"][0])
    assert [(entry.label.zh, entry.count) for entry in layer.legend.entries] == [("排水", 2), ("燃气", 1), ("井与节点", 2)]


def test_the_ground_is_translucent_where_pipes_lie_below_it_or_when_asked(scene: Scene, tmp_path: Path) -> None:
    terrain = scene.layer("terrain")
    assert terrain.through
    assert terrain.opacity < 0.5
    assert not scene.layer("utilities").through
    city = made(tmp_path)
    assert Scene(city, underground=False).layer("terrain").opacity == 1.0
    pipeless = city.subset(city.keys("ReliefFeature"))
    assert Scene(pipeless).layer("terrain").opacity == 1.0
    assert Scene(pipeless, underground=True).layer("terrain").through


@pytest.mark.usefixtures("can_draw")
def test_pipes_below_the_ground_are_seen_and_hit_through_it(scene: Scene, tmp_path: Path) -> None:
    camera = scene.camera(SIZE, azimuth=13, elevation=60)  # no ray along an edge of the grid
    place = camera.project([np.array([X0 + 50, Y0 + 50, 8.0]) - scene.origin], SIZE)[0]
    column, row = round(place[0]), round(place[1])
    drawn, picker = id_buffer(scene, camera, SIZE), Picker(scene, camera, SIZE)
    pick = picker.pick(column, row)
    assert pick is not None
    assert (pick.layer, pick.id) == ("utilities", "p1")
    beside = picker.pick(column, row + 60)
    assert beside is not None
    assert beside.layer == "terrain"  # where nothing else is, the ground answers
    for x, y in np.random.default_rng(0).integers(0, 400, (150, 2)).tolist():
        hit = picker.hit(x, y)
        assert (None if hit is None else (picker.layers[hit[0]].name, hit[1])) == drawn.object_at(x, y)
    closed = Scene(made(tmp_path), underground=False)
    pictures = [render(one, camera, SIZE, smooth=False).astype(int) for one in (scene, closed)]
    bare = render(closed.show_only("terrain"), camera, SIZE, smooth=False).astype(int)
    assert np.abs(pictures[0][row, column] - pictures[0][row + 60, column]).max() > 20
    assert (pictures[1][row, column] == bare[row, column]).all()


@pytest.mark.usefixtures("can_draw")
def test_a_line_has_the_same_width_on_the_screen_near_and_far(scene: Scene) -> None:
    only = scene.show_only("utilities")
    widths = []
    for reach in (60.0, 600.0):
        from cim.scenes import Camera

        middle = np.array([X0 + 50, Y0 + 80, 10.2]) - scene.origin
        camera = Camera.looking(middle, distance=2000, azimuth=0, elevation=90, orthographic=reach)
        picture = render(only, camera, SIZE, smooth=False).astype(int)
        column = picture[150:250, 200]
        widths.append(int((np.abs(column - column[0]).max(axis=1) > 40).sum()))
    assert widths == [3, 3]
