"""Templates and their uses: the same city, whether a shape is stored once or put out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import cim
from cim.model import City, CityBuilder, SourceRecord, concat
from cim.model.combine import without_repeats
from cim.model.geometry import mesh_columns
from cim.model.instances import matrices, put_out
from cim.model.reproject import to_crs

TURN = np.array([[0.0, -1.0, 0.0, 500_150.0], [1.0, 0.0, 0.0, 3_400_220.0], [0.0, 0.0, 1.0, 5.0], [0.0, 0.0, 0.0, 1.0]])
STEP = np.array([[1.0, 0.0, 0.0, 500_100.0], [0.0, 1.0, 0.0, 3_400_200.0], [0.0, 0.0, 1.0, 3.0], [0.0, 0.0, 0.0, 1.0]])
SHAPE = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.5]])


def _poles(order: tuple[str, ...] = ("b", "a"), crs: str = "EPSG:4549") -> City:
    builder = CityBuilder(crs, name="poles")
    keys = builder.add_objects("CityFurniture", list(order))
    vertices, boundaries = mesh_columns(SHAPE, [[0, 1, 2]])
    plain = builder.add_geometries(keys[:1], lod="1", role="mesh", type="MultiSurface", boundaries=boundaries,
                                   vertices=mesh_columns(SHAPE + STEP[:3, 3], [[0, 1, 2]])[0])  # fmt: skip
    template = builder.add_templates(lod="3", type="MultiSurface", vertices=vertices, boundaries=boundaries, role="mesh", semantics=[[0]])
    builder.add_instances(keys, templates=template[[0, 0]], matrices=[TURN, STEP], lod="3", role="mesh", type="MultiSurface")
    builder.add_surfaces(template, [0], ["WallSurface"])
    red = builder.add_materials(["red"], diffuse=[(1.0, 0.0, 0.0)])
    builder.add_appearances(template, theme="day", materials=pa.array([red.tolist()]))
    builder.add_appearances(plain, theme="day", materials=pa.array([[-1]]))
    return builder.build()


def _points(city: City, id: str, lod: str) -> np.ndarray:
    table = city.geometry_table(keys=city.key_of([id]), lod=lod)
    return np.array(table["vertices"][0].as_py()) + city.origin


def test_an_instance_put_out_is_its_template_moved_by_its_matrix() -> None:
    city = _poles()
    for id_, matrix in (("b", TURN), ("a", STEP)):
        assert _points(city, id_, "3") == pytest.approx(SHAPE @ matrix[:3, :3].T + matrix[:3, 3], abs=1e-9)  # rounding of 3.4e6 m
    stored = city.geometry_table(explicit=False)
    assert stored["template"].null_count == 1
    assert city.tables["templates"].num_rows == 1


def test_the_box_of_an_object_holds_its_instances() -> None:
    city = _poles()
    box = city.tables["objects"]["bbox"][int(city.key_of(["b"])[0])].as_py()
    sides = [box[side] for side in ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax")]
    assert sides == pytest.approx([500_100.0, 3_400_200.0, 3.0, 500_150.0, 3_400_221.0, 5.5], abs=1e-9)


def test_surfaces_and_appearance_of_a_template_belong_to_each_use() -> None:
    city = _poles()
    instances = city.geometry_table(lod="3")
    assert city.surface_table(instances)["geometry"].to_pylist() == instances["key"].to_pylist()
    seen = city.appearance_table()
    assert sorted(seen["materials"].to_pylist()) == [[-1], [0], [0]]


def test_saving_keeps_the_template_once_and_the_same_shapes(tmp_path: Path) -> None:
    city = _poles()
    cim.save(city, tmp_path / "a.cim")
    again = cim.open(tmp_path / "a.cim")
    assert again.tables["templates"].num_rows == 1
    assert again.geometry_table().equals(city.geometry_table())
    assert again.appearance_table().equals(city.appearance_table())


def test_cities_laid_together_keep_their_templates_and_materials_apart() -> None:
    first, second = _poles(), _poles(("d", "c"))
    both = concat([first, second])
    keys = [*both.tables["geometries"]["key"].to_pylist(), *both.tables["templates"]["key"].to_pylist()]
    assert len(set(keys)) == len(keys) == 8
    assert _points(both, "d", "3") == pytest.approx(_points(second, "d", "3"), abs=1e-9)
    used = both.appearance_table(both.geometry_table(keys=both.key_of(["c"]), lod="3"))
    assert used["materials"].to_pylist() == [[1]]


def test_a_subset_keeps_only_the_templates_it_uses() -> None:
    city = concat([_poles(), _poles(("d", "c"))])
    part = city.subset(city.key_of(["c"]))
    assert part.tables["templates"].num_rows == 1
    assert part.surface_table().num_rows == 1
    assert part.subset([]).tables["templates"].num_rows == 0


def test_another_coordinate_system_puts_instances_out() -> None:
    city = _poles()
    moved = to_crs(city, "EPSG:4548")
    assert moved.tables["geometries"]["template"].null_count == 3
    back = to_crs(moved, "EPSG:4549")
    assert _points(back, "b", "3") == pytest.approx(_points(city, "b", "3"), abs=1e-4)  # PROJ's own round trip
    assert back.surface_table().num_rows == city.surface_table().num_rows


def test_putting_out_some_objects_leaves_the_others_stored_once() -> None:
    city = _poles()
    part = put_out(city, city.key_of(["b"]))
    assert part.tables["geometries"]["template"].null_count == 2
    assert part.geometry_table()["vertices"].equals(city.geometry_table()["vertices"])
    left = part.tables["geometries"].filter(part.tables["geometries"]["template"].is_valid())
    assert matrices(left["matrix"]).shape == (1, 4, 4)


def test_local_coordinates_cannot_be_transformed() -> None:
    from cim.errors import CRSError

    city = _poles(crs="local")
    assert city.crs.is_local
    assert city.crs.to_string() == "local"
    with pytest.raises(CRSError, match="local"):
        to_crs(city, "EPSG:4549")


def test_two_parts_of_one_city_that_meet_again_have_their_sources_and_looks_once() -> None:
    builder = CityBuilder("EPSG:4549")
    source = builder.add_source(SourceRecord(name="a", path="a.gml"))
    keys = builder.add_objects("CityFurniture", ["a", "b"], source=source)
    vertices, boundaries = mesh_columns(SHAPE, [[0, 1, 2]])
    shapes = [builder.add_geometries(keys[at : at + 1], lod="1", role="mesh", type="MultiSurface", vertices=vertices, boundaries=boundaries)
              for at in (0, 1)]  # fmt: skip
    colours = builder.add_materials(["red", "blue"])
    for shape, colour in zip(shapes, colours.tolist(), strict=True):
        builder.add_appearances(shape, theme="day", materials=pa.array([[colour]]))
    builder.add_issue("assumed", "once", source=source)
    whole = builder.build()
    again = without_repeats(concat([whole.subset(whole.key_of(["a"])), whole.subset(whole.key_of(["b"]))]))
    for name in ("sources", "materials", "issues"):
        assert again.tables[name].num_rows == whole.tables[name].num_rows
    assert again.tables["objects"]["source"].to_pylist() == [0, 0]
    names = again.tables["materials"]["name"].to_pylist()
    seen = again.appearance_table(again.geometry_table(keys=again.key_of(["b"])))["materials"].to_pylist()[0]
    assert names[again.tables["materials"]["key"].to_pylist().index(seen[0])] == "blue"
