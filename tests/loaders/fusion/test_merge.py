"""What a merge may not get wrong: numbers that only count rows, lost footprints and parents, claims of three sources, doubled geometry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import shapely

from cim.loaders.fusion import fuse, match_cities
from cim.model import City, CityBuilder, Column, SourceRecord
from cim.model.geometry import extrude

CRS = "EPSG:4549+5737"


def box(x: float, width: float = 10.0) -> Any:
    return shapely.box(500000 + x, 3460000, 500000 + x + width, 3460010)


def made(
    name: str,
    rows: Sequence[tuple[str, Any]],
    *,
    type: str = "Building",
    attributes: Mapping[str, Column] | None = None,
    crs: str = CRS,
    **core: Any,
) -> CityBuilder:
    builder = CityBuilder(crs, name=name)
    source = builder.add_source(SourceRecord(name))
    keys = builder.add_objects(type, [id for id, _ in rows], footprints=[shape for _, shape in rows], source=source, **core)
    if attributes:
        builder.add_attributes(keys, type, attributes)
    return builder


def city(*arguments: Any, **options: Any) -> City:
    return made(*arguments, **options).build()


def test_numbers_that_count_the_rows_of_two_files_prove_nothing() -> None:
    left = city("L", [("1", box(0)), ("2", box(30))])
    right = city("R", [("1", box(30)), ("2", box(0))])
    pairs = match_cities(left, right)
    found = set(zip(left.ids(pairs.left), right.ids(pairs.right), strict=True))
    assert found == {("1", "2"), ("2", "1")}
    assert "2 ids stand in both sources but at other places" in pairs.rejected[0]


def test_a_road_never_becomes_a_building_nor_a_storey_its_house() -> None:
    roads = city(
        "roads",
        [
            ("1", shapely.LineString([(500000, 3460040), (500050, 3460040)])),
            ("2", shapely.LineString([(500000, 3460050), (500050, 3460050)])),
        ],
        type="Road",
    )
    fused = fuse([city("L", [("1", box(0)), ("2", box(30))]), roads])
    assert fused.types() == {"Building": 2, "Road": 2}
    storey = city("S", [("1", box(0))], type="BuildingStorey")
    assert fuse([city("L", [("1", box(0))]), storey]).types() == {"Building": 1, "BuildingStorey": 1}


def test_the_same_number_in_two_schemes_is_no_match() -> None:
    left, right = made("L", [("a", box(0))]), made("R", [("b", box(20))])
    left.add_identifiers([0], "house_number", ["12"])
    right.add_identifiers([0], "osm", ["12"])
    assert len(match_cities(left.build(), right.build())) == 0


def test_a_register_without_shapes_gets_them_from_the_one_that_has_them() -> None:
    fused = fuse([city("L", [("x", None)]), city("R", [("x", box(0))], z_ground=[2.0], z_roof=[9.0])])
    assert len(fused) == 1
    assert fused["x"].footprint.area == pytest.approx(100.0)
    assert fused.find(500005, 3460005) == ["x"]
    assert fused["x"].core["bbox"]["zmax"] == 9.0


def test_boxes_hold_the_geometry_that_a_merge_brings() -> None:
    right = made("R", [("b", box(0))])
    block = extrude([box(0)], 0.0, 14.0)
    right.add_geometries([0], lod="2.2", role="solid", type=block.type, vertices=block.vertices, boundaries=block.boundaries)
    fused = fuse([city("L", [("a", box(0))], z_ground=[0.0], z_roof=[10.0]), right.build()])
    assert fused["a"].core["bbox"]["zmax"] == 14.0


def test_parts_follow_the_building_their_own_one_became() -> None:
    right = made("R", [("x", box(0.2))])
    right.add_objects("BuildingPart", ["p"], footprints=[box(0, 4)], parents=["x"], source=0)
    fused = fuse([city("L", [("a", box(0))]), right.build()])
    assert [part.id for part in fused.children("a")] == ["p"]


def test_a_part_inherits_the_parent_that_only_the_other_source_knows() -> None:
    left = made("L", [("b", box(0))])
    left.add_objects("BuildingPart", ["p1"], footprints=[box(0, 4)], source=0)
    right = made("R", [("b", box(0))])
    right.add_objects("BuildingPart", ["p2"], footprints=[box(0, 4)], parents=["b"], source=0)
    fused = fuse([left.build(), right.build()])
    assert fused["p1"].parent is not None
    assert fused["p1"].parent.id == "b"


def test_two_records_of_one_thing_are_not_related_to_each_other() -> None:
    right = made("R", [("w", box(0, 5)), ("e", box(5, 5))])
    right.add_relations([0], "adjacentTo", [1])
    fused = fuse([city("L", [("a", box(0))]), right.build()])
    assert len(fused) == 1
    assert fused.tables["relations"].num_rows == 0


def storeys(name: str, count: int | None) -> City:
    return city(name, [(name, box(0))], attributes={"storeys_above_ground": Column([count])})


def test_a_third_source_that_disagrees_is_a_conflict_even_when_the_first_two_agree() -> None:
    fused = fuse([storeys("A", 5), storeys("B", 5), storeys("C", 50)])
    disputed = fused.issues[(fused.issues["code"] == "conflict") & (fused.issues["record"] == "storeys_above_ground")]
    assert disputed["object"].tolist() == ["A"]
    filled = fuse([storeys("A", None), storeys("B", 9), storeys("C", 2)])
    assert "storeys_above_ground" in set(filled.issues[filled.issues["code"] == "conflict"]["record"])
    assert filled["A"].attributes["storeys_above_ground"] == 9


@pytest.mark.parametrize("order", ["flat", "nested"])
def test_there_is_one_chosen_claim_and_it_is_what_the_model_holds(order: str) -> None:
    a, b, c = storeys("A", 3), storeys("B", 4), storeys("C", 9)
    fused = fuse([a, b, c]) if order == "flat" else fuse([a, fuse([b, c])])
    claims = fused.why("A", "storeys_above_ground")
    assert [claim.chosen for claim in claims].count(True) == 1
    assert claims[0].value == fused["A"].attributes["storeys_above_ground"] == 3
    assert sorted(claim.value for claim in claims) == [3, 4, 9]


def test_a_claim_the_other_source_had_chosen_does_not_stay_chosen() -> None:
    right = made("R", [("x", box(0))], attributes={"storeys_above_ground": Column([9])})
    right.add_claims([0], "storeys_above_ground", ["9"], source=0, method="estimated from height")
    fused = fuse([storeys("L", 3), right.build()])
    assert [(claim.value, claim.chosen) for claim in fused.why("L", "storeys_above_ground")] == [(3, True), (9, False)]


def test_two_solids_of_one_level_do_not_stand_as_equals() -> None:
    def solid(name: str, top: float) -> City:
        builder = made(name, [(name, box(0))])
        block = extrude([box(0)], 0.0, top)
        builder.add_geometries(
            [0], lod="2.2", role="solid", type=block.type, vertices=block.vertices, boundaries=block.boundaries, source=0
        )
        return builder.build()

    fused = fuse([solid("a", 10.0), solid("b", 14.0)])
    assert sorted(fused.geometry_table(lod="2.2")["role"].to_pylist()) == ["alternative", "solid"]
    assert any("role alternative" in text for text in fused.issues["message"])


def test_heights_of_an_unknown_system_stay_unknown_in_the_catalogue() -> None:
    right = city("R", [("b", box(100)), ("c", box(200))], crs="EPSG:4549", z_ground=[1.0, 2.0], z_roof=[51.0, 52.0])
    fused = fuse([city("L", [("a", box(0))], z_ground=[0.0], z_roof=[9.0]), right])
    used = fused.sources.set_index("name")["used_vertical"]
    assert used["R"] == "unknown"
    assert any("vertical unknown" in text for text in fused.issues[fused.issues["severity"] == "warning"]["message"])


def test_records_without_a_source_are_still_accounted_for() -> None:
    builder = CityBuilder(CRS, name="R")
    builder.add_objects("Building", ["b"], footprints=[box(0)])
    balance = fuse([city("L", [("a", box(0))]), builder.build()]).report.balance
    assert balance["records"].sum() == 2


def test_text_heights_do_not_stop_a_fusion() -> None:
    left = city("L", [("a", box(0))], attributes={"height": Column(["12 m"])}, z_ground=[1.0], z_roof=[9.0])
    assert fuse([left])["a"].attributes["height"] == "12 m"


@pytest.mark.parametrize("seed", range(4))
def test_random_registers_add_up_with_one_chosen_claim_each(seed: int) -> None:
    chance = np.random.default_rng(seed)

    def register(name: str) -> City:
        count = int(chance.integers(3, 9))
        shapes = [
            shapely.box(x := 500000 + float(chance.uniform(0, 60)), 3460000, x + float(chance.uniform(4, 20)), 3460010)
            for _ in range(count)
        ]
        rows = [(f"{name}{n}", shape) for n, shape in enumerate(shapes)]
        return city(name, rows, attributes={"height": Column(chance.integers(3, 30, count).astype(float), unit="m")})

    sources = [register(name) for name in "ABC"]
    fused = fuse(sources)
    assert fused.report.balance["records"].sum() == sum(len(source) for source in sources)
    chosen = fused.tables["claims"].to_pandas().groupby(["object", "attribute"])["chosen"].sum()
    assert (chosen <= 1).all()
