"""Matching against registers whose truth is known: moved, split, merged, missing, mislabelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import shapely
from shapely.affinity import translate

from cim.loaders.fusion import Pairs, fuse, match_cities
from cim.model import City, CityBuilder, Column, SourceRecord


def register(
    name: str,
    ids: Sequence[str],
    shapes: Sequence[Any],
    *,
    tags: Sequence[str | None] | None = None,
    heights: Sequence[float | None] | None = None,
    type: str = "Building",
) -> City:
    builder = CityBuilder("EPSG:4549+5737", name=name)
    source = builder.add_source(SourceRecord(name, records_in=len(ids)))
    keys = builder.add_objects(type, list(ids), footprints=np.asarray(shapes, object), source=source)
    if tags is not None:
        have = [number for number, tag in enumerate(tags) if tag]
        builder.add_identifiers(keys[have], "tag", [tag for tag in tags if tag])
    if heights is not None:
        builder.add_attributes(keys, type, {"height": Column(list(heights), unit="m", source_field="H")})
    return builder.build()


def house(number: int, *, width: float = 10.0) -> Any:
    return shapely.box(500000 + 30.0 * number, 3460000, 500000 + 30.0 * number + width, 3460012)


def named(pairs: Pairs, left: City, right: City) -> set[tuple[str, str, str]]:
    return set(zip(left.ids(pairs.left), right.ids(pairs.right), pairs.kind.tolist(), strict=True))


def test_identifiers_win_over_geometry_and_geometry_finds_the_rest() -> None:
    left = register("A", ["a0", "a1", "a2"], [house(n) for n in range(3)], tags=["t0", "t1", None])
    right = register("B", ["b0", "b1", "b2"], [translate(house(n), 0.6, -0.4) for n in (1, 0, 2)], tags=["t1", "t0", "t9"])
    pairs = match_cities(left, right)
    assert named(pairs, left, right) == {("a0", "b1", "same"), ("a1", "b0", "same"), ("a2", "b2", "same")}
    assert sorted(pairs.score.tolist())[1:] == [1.0, 1.0]
    assert any("IoU" in text for text in pairs.evidence.tolist())


def test_hidden_identifiers_leave_the_same_matches() -> None:
    left = register("A", ["a0", "a1"], [house(0), house(1)], tags=["t0", "t1"])
    right = register("B", ["b0", "b1"], [house(0), house(1)], tags=["t1", "t0"])  # tags lie
    assert named(match_cities(left, right, use_identifiers=False), left, right) == {("a0", "b0", "same"), ("a1", "b1", "same")}


def test_one_building_in_two_records_is_one_building_with_two_parts() -> None:
    whole = house(0, width=20)
    west, south, east, north = whole.bounds
    middle = (west + east) / 2
    left = register("A", ["a"], [whole])
    right = register("B", ["w", "e"], [shapely.box(west, south, middle, north), shapely.box(middle, south, east, north)])
    assert named(match_cities(left, right), left, right) == {("a", "w", "part"), ("a", "e", "part")}
    assert named(match_cities(right, left), right, left) == {("w", "a", "whole"), ("e", "a", "whole")}


def test_touching_neighbours_are_not_taken_for_each_other() -> None:
    row = [shapely.box(500000 + 6.0 * n, 3460000, 500006 + 6.0 * n, 3460010) for n in range(20)]
    left = register("A", [f"a{n}" for n in range(20)], row)
    right = register("B", [f"b{n}" for n in range(20)], [translate(shape, 0.8, 0.3) for shape in row])
    pairs = match_cities(left, right)
    assert named(pairs, left, right) == {(f"a{n}", f"b{n}", "same") for n in range(20)}


def test_what_overlaps_too_little_is_no_match() -> None:
    left, right = register("A", ["a"], [house(0)]), register("B", ["b"], [translate(house(0), 6, 0)])
    assert len(match_cities(left, right)) == 0
    assert len(match_cities(left, right, minimum=0.2)) == 1


def test_an_identifier_that_contradicts_geometry_is_a_conflict_and_no_match() -> None:
    left = register("A", ["a"], [house(0)], tags=["t"])
    right = register("B", ["b"], [house(9)], tags=["t"])
    pairs = match_cities(left, right)
    assert len(pairs) == 0
    assert pairs.rejected == ("'a' and 'b' share the identifier 't' but lie 260 m apart; they are kept as two objects",)


def test_an_identifier_shared_by_many_says_nothing() -> None:
    left = register("A", ["a0", "a1"], [house(0), house(1)], tags=["city", "city"])
    right = register("B", ["b0", "b1"], [house(5), house(6)], tags=["city", None])
    assert len(match_cities(left, right)) == 0


def test_different_classes_are_matched_by_identifier_only() -> None:
    left = register("A", ["a"], [house(0)])
    assert len(match_cities(left, register("B", ["b"], [house(0)], type="LandUse"))) == 0
    assert len(match_cities(left, register("B", ["a"], [house(0)], type="LandUse"))) == 1


@pytest.mark.parametrize("seed", range(3))
def test_a_random_register_moved_and_thinned_is_found_again(seed: int) -> None:
    chance = np.random.default_rng(seed)
    corner = np.stack(np.meshgrid(np.arange(25), np.arange(25)), -1).reshape(-1, 2) * 25.0 + chance.uniform(0, 5, (625, 2))
    size = chance.uniform(6, 18, (625, 2))
    shapes = shapely.box(
        500000 + corner[:, 0], 3460000 + corner[:, 1], 500000 + corner[:, 0] + size[:, 0], 3460000 + corner[:, 1] + size[:, 1]
    )
    kept = np.flatnonzero(chance.random(625) < 0.8)
    left = register("A", [f"n{n}" for n in range(625)], shapes)
    right = register("B", [f"m{n}" for n in kept], [translate(shapes[n], 0.6, -0.4) for n in kept])
    assert named(match_cities(left, right), left, right) == {(f"n{n}", f"m{n}", "same") for n in kept}


# --------------------------------------------------------------------------------------------- what becomes of it


def test_one_object_per_thing_and_every_record_accounted_for() -> None:
    left = register("A", ["a0", "a1", "a2"], [house(0), house(1), house(2)], heights=[3.0, None, 9.0])
    west, south, east, north = house(2).bounds
    halves = [shapely.box(west, south, (west + east) / 2, north), shapely.box((west + east) / 2, south, east, north)]
    right = register("B", ["b0", "b1", "h0", "h1", "x"], [house(0), house(1), *halves, house(7)], heights=[3.2, 6.0, 8.8, 9.1, 4.0])
    city = fuse([left, right])
    assert sorted(view.id for view in city) == ["a0", "a1", "a2", "x"]
    balance = city.report.balance.set_index("source")
    assert balance.loc["A", "records"] == 3
    assert balance.loc["B", "records"] == 5
    assert (balance.loc["B", "same"], balance.loc["B", "part"], balance.loc["B", "new"]) == (2, 2, 1)
    assert city["a1"].attributes["height"] == 6.0  # filled from B
    assert city["a0"].attributes["height"] == 3.0  # A leads
    assert {claim.value for claim in city.why("a0", "height")} == {3.0, 3.2}
    assert city.why("a1", "height")[0].source == "B"
    assert city.why("x", "height")[0].method == "read from field H"
    assert city["a0"].identifiers["id"] == ["b0"]


def test_values_that_differ_beyond_tolerance_are_conflicts_with_both_claims() -> None:
    left = register("A", ["a0", "a1"], [house(0), house(1)], heights=[3.0, 12.0])
    right = register("B", ["b0", "b1"], [house(0), house(1)], heights=[3.4, 18.0])  # 0.4 m is within the tolerance of 0.5 m
    city = fuse([left, right])
    conflicts = city.issues[city.issues["code"] == "conflict"]
    assert list(conflicts["object"]) == ["a1"]
    assert "12.00 m is chosen, another source says 18.00 m" in conflicts["message"].iloc[0]
    assert [claim.chosen for claim in city.why("a1", "height")] == [True, False]


def test_units_are_converted_before_values_are_compared() -> None:
    left = register("A", ["a"], [house(0)], heights=[3.0])
    builder = CityBuilder("EPSG:4549+5737", name="B")
    source = builder.add_source(SourceRecord("B"))
    keys = builder.add_objects("Building", ["b"], footprints=[house(0)], source=source)
    builder.add_attributes(keys, "Building", {"height": Column([3000.0], unit="mm")})
    city = fuse([left, builder.build()])
    assert [claim.value for claim in city.why("a", "height")] == pytest.approx([3.0, 3.0])
    assert "conflict" not in set(city.issues["code"])


def test_two_things_with_one_id_are_kept_apart_and_named() -> None:
    city = fuse([register("A", ["n1"], [house(0)]), register("B", ["n1"], [house(9)])])
    assert sorted(view.id for view in city) == ["n1", "n1#2"]
    assert "two different things have the id 'n1'" in " ".join(city.issues["message"])


def test_a_third_register_meets_what_the_first_two_made() -> None:
    cities = [
        register(name, [name], [translate(house(0), shift, 0)], heights=[height])
        for name, shift, height in (("A", 0, 3.0), ("B", 0.3, 3.1), ("C", -0.3, 9.0))
    ]
    city = fuse(cities)
    assert len(city) == 1
    assert sorted(claim.source for claim in city.why("A", "height")) == ["A", "B", "C"]
    assert city.report.balance["records"].tolist() == [1, 1, 1]
    assert sum(claim.chosen for claim in city.why("A", "height")) == 1


def test_rows_half_a_house_apart_say_that_which_is_which_is_not_certain() -> None:
    def row(name: str, shift: float) -> City:
        west = 500000 + 6.0 * np.arange(8) + shift
        return register(name, [f"{name}{n}" for n in range(8)], list(shapely.box(west, 3460000, west + 6, 3460010)))

    def told(shift: float) -> list[str]:
        return [text for text in fuse([row("A", 0.0), row("B", shift)]).issues["message"] if "not certain" in text]

    assert ["8 records" in text for text in told(3.0)] == [True]
    assert told(0.6) == []  # each overlaps its own clearly
