"""Raising a building takes along what stands on it, keeps its parts whole, and names what stays behind."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from cim.errors import UsageError
from cim.model import City, CityBuilder
from cim.model.geometry import extrude
from cim.scenario import Change

BODIES = {  # id: class, parent, footprint, z_ground, z_roof
    "a": ("Building", None, shapely.box(0, 0, 20, 20), 5.0, 15.0),
    "low": ("BuildingPart", "a", shapely.box(20, 0, 30, 20), 5.0, 8.0),
    "tower": ("BuildingPart", "a", shapely.box(0, 0, 5, 5), 15.0, 25.0),
    "chimney": ("BuildingInstallation", "a", shapely.box(10, 10, 11, 11), 15.0, 17.0),
    "room": ("BuildingRoom", "a", shapely.box(1, 1, 4, 4), 5.0, 8.0),
}


def make_city(*ids: str) -> City:
    builder = CityBuilder("EPSG:4549+5737")
    for id in ids:
        type, parent, shape, ground, roof = BODIES[id]
        keys = builder.add_objects(type, [id], footprints=np.array([shape], object), parents=[parent], z_ground=[ground], z_roof=[roof])
        block = extrude([shape], ground, roof)
        builder.add_geometries(
            keys, lod="1", role="solid", type=block.type, vertices=block.vertices, boundaries=block.boundaries, semantics=None
        )
    return builder.build()


def span(city: City, id: str) -> tuple[float, float]:
    """Return z_ground and z_roof, after checking that geometry and box agree."""
    core = city[id].core
    z = np.asarray(city[id].geometry("1")["vertices"][0].as_py(), float)[:, 2]
    assert (core["z_ground"], core["z_roof"]) == (z.min(), z.max()) == (core["bbox"]["zmin"], core["bbox"]["zmax"])
    return core["z_ground"], core["z_roof"]


def test_a_part_that_would_end_below_its_ground_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match=r"part 'low' is 3 m high; changed by -6 m"):
        Change("A").raise_building("a", by=-6.0).apply(make_city("a", "low", "chimney"))
    with pytest.raises(UsageError, match="'low'"):
        Change("A").raise_building("a", by=-3.0).apply(make_city("a", "low"))


@pytest.mark.parametrize("by", [4.0, -2.0])
def test_what_stands_on_the_roof_moves_along_as_a_whole(by: float) -> None:
    option = Change("A").raise_building("a", by=by).apply(make_city("a", "low", "tower", "chimney"))
    assert span(option, "a") == (5.0, 15.0 + by)
    assert span(option, "low") == (5.0, 8.0 + by)
    assert span(option, "tower") == (15.0 + by, 25.0 + by)
    assert span(option, "chimney") == (15.0 + by, 17.0 + by)
    claims = {name: [(one.value, one.chosen) for one in option.why("chimney", name)] for name in ("z_ground", "z_roof")}
    assert claims == {"z_ground": [(15.0 + by, True), (15.0, False)], "z_roof": [(17.0 + by, True), (17.0, False)]}
    assert not len(option.issues)


def test_what_stays_behind_is_named_in_one_issue() -> None:
    option = Change("A").raise_building("a", by=4.0).apply(make_city("a", "room", "chimney"))
    assert span(option, "room") == (5.0, 8.0)
    assert [(one["code"], one["count"]) for one in option["a"].issues] == [("assumed", 1)]
    assert option["a"].issues[0]["message"].endswith("stayed where they were: room")


def test_a_part_raised_above_its_building_leaves_it_and_says_so() -> None:
    option = Change("A").raise_building("low", by=60.0).apply(make_city("a", "low"))
    assert span(option, "a") == (5.0, 15.0)
    assert [one["code"] for one in option["a"].issues] == ["conflict"]
    assert "'low' now reaches 68 m, above its whole 'a' at 15 m" in option["a"].issues[0]["message"]
    assert not len(Change("A").raise_building("low", by=2.0).apply(make_city("a", "low")).issues)
