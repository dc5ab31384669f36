"""A city of footprints alone, without terrain and heights, is drawn whole and as its legend says."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from cim.model import City, CityBuilder
from cim.model.geometry import boundaries_from, extrude, vertices_from
from cim.scenes import Scene, display
from cim.scenes.ground import ground_of
from cim.scenes.shading import shell
from cim.scenes.solids import CLASS_COLOURS, FLAT, FLAT_LABEL

X, Y = 500_000.0, 3_460_000.0


def plain(heights: list[float]) -> City:
    builder = CityBuilder("EPSG:4549", name="plain")
    west = X + 40.0 * np.arange(len(heights))
    builder.add_objects(
        "Building", [f"b{i}" for i in range(len(heights))], footprints=shapely.box(west, Y, west + 20, Y + 20),
        z_ground=np.zeros(len(heights)), z_roof=heights,
    )  # fmt: skip
    far = [shapely.box(X - 400, Y - 300, X - 200, Y - 200), shapely.box(X + 500, Y + 250, X + 700, Y + 400)]
    builder.add_objects("LandUse", ["p0", "p1"], footprints=far)
    return builder.build()


def test_a_building_without_height_has_the_colour_of_its_swatch() -> None:
    layer = Scene(plain([np.nan, np.nan])).layer("buildings")
    _, _, drawn = shell(layer)
    (entry,) = layer.legend.entries
    assert entry.colour == FLAT
    assert np.abs(drawn.astype(int) - entry.colour).max() <= 8  # a level face has 98 % of full light
    assert layer.legend.title.en == "Buildings: height unknown, drawn flat"
    assert entry.count == 2


def test_the_legend_tells_flat_buildings_from_tall_ones_also_after_other_colours() -> None:
    scene = Scene(plain([np.nan, 12.0, 9.0]))
    for one in (scene, scene.color_by("z_roof").color_by(None)):
        entries = {entry.label.en: (entry.colour, entry.count) for entry in one.layer("buildings").legend.entries}
        assert entries == {"building": (CLASS_COLOURS["Building"], 2), FLAT_LABEL.en: (FLAT, 1)}


def test_the_colour_of_flat_buildings_is_no_other_colour_beside_them() -> None:
    plots = Scene(plain([np.nan])).layer("landuse").legend.entries[0].colour
    for other in (plots, CLASS_COLOURS["Building"]):
        assert np.linalg.norm(np.subtract(FLAT, other)) > 80  # of 441: far beyond what shading does


@pytest.mark.parametrize("size", [(1600, 1000), (500, 900)])
def test_without_terrain_every_corner_is_inside_the_picture(size: tuple[int, int]) -> None:
    scene = Scene(plain([10.0, 20.0]))
    camera = scene.camera(size)
    seen = np.concatenate([camera.project(layer.points, size) for layer in scene.layers])
    assert (seen[:, :2] > 0).all()
    assert (seen[:, :2] < size).all()
    assert np.ptp(seen[:, 0]) > 0.8 * size[0] or np.ptp(seen[:, 1]) > 0.7 * size[1]  # and not small


def two_blocks() -> City:
    """Return a building whose solid of 30 m lost to one of 10 m, and one that has a losing solid only."""
    builder = CityBuilder("EPSG:4549")
    shapes = shapely.box([X, X + 50], [Y, Y], [X + 20, X + 70], [Y + 20, Y + 20])
    keys = builder.add_objects("Building", ["two", "lost"], footprints=shapes, z_ground=[0.0, 0.0], z_roof=[10.0, 7.0])
    for key, shape, roof, lod, role in (
        (keys[0], shapes[0], 10.0, "1", "solid"),
        (keys[0], shapes[0], 30.0, "2", "alternative"),
        (keys[1], shapes[1], 30.0, "2", "alternative"),
    ):
        block = extrude([shape], 0.0, roof)
        builder.add_geometries([key], lod=lod, role=role, type=block.type, vertices=block.vertices, boundaries=block.boundaries)
    return builder.build()


def test_geometry_that_lost_to_another_source_is_not_drawn() -> None:
    layer = Scene(two_blocks()).layer("buildings")
    corners = layer.points[layer.triangles]
    top = [float(corners[layer.cell_object == row][..., 2].max()) for row in range(2)]
    assert top == [10.0, 7.0]


def test_terrain_that_lost_to_another_source_does_not_raise_the_ground() -> None:
    builder = CityBuilder("EPSG:4549")
    (key,) = builder.add_objects("TINRelief", ["tin"])
    for role, z in (("multi_surface", 5.0), ("alternative", 90.0)):
        corner = np.array([(X, Y, z), (X + 100, Y, z), (X, Y + 100, z), (X + 100, Y + 100, z)])
        builder.add_geometries(
            [key], lod="1", role=role, type="CompositeSurface", vertices=vertices_from(corner, [4]),
            boundaries=boundaries_from([0, 1, 2, 1, 3, 2], [3, 3], [1, 1], [2], [1], [1]),
        )  # fmt: skip
    ground = ground_of(builder.build(), np.array([X, Y, 0.0]))
    assert ground.at([50.0, 20.0], [50.0, 70.0]) == pytest.approx([5.0, 5.0])


def test_a_notebook_cell_keeps_a_small_page_and_a_summary_of_a_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(plain([10.0]), title="<b>Plain</b>")
    assert "srcdoc" in scene._repr_html_()
    monkeypatch.setattr(display, "LARGEST_INLINE", 20_000)
    measured = scene._repr_html_()
    monkeypatch.setattr(display, "LARGEST_INLINE", 10)
    estimated = scene._repr_html_()
    for told in (measured, estimated):
        assert len(told) < 1000
        assert "srcdoc" not in told
        assert ".show()" in told
        assert "<li>Buildings: 1</li>" in told
        assert "<b>&lt;b&gt;Plain&lt;/b&gt;</b>" in told
