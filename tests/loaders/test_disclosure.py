"""Grades and small counts: what leaves is judged by an attacker who solves all the sums at once."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from cim.errors import UsageError
from cim.loaders.disclosure import graded, is_person_count, suppressed
from cim.loaders.fusion import fuse
from cim.model import City, CityBuilder, Column, SourceRecord
from cim.model.loss import Losses


def _tree(parents: list[int], **columns: list[float | None]) -> City:
    builder = CityBuilder("EPSG:4549")
    names = [f"n{number}" for number in range(len(parents))]
    keys = builder.add_objects("Building", names, parents=[None if up < 0 else names[up] for up in parents])
    builder.add_attributes(keys, "Building", {name: Column(values) for name, values in columns.items()})
    return builder.build()


def _counts(city: City, name: str = "population") -> dict[str, float | None]:
    return {id_: city[id_].attributes[name] for id_ in city.tables["objects"]["id"].to_pylist()}


def test_a_small_count_goes_and_so_does_the_total_that_gives_it_away() -> None:
    losses = Losses()
    shown = _counts(suppressed(_tree([-1, 0, 0, 0], population=[63.0, 4.0, 39.0, 20.0]), 10, losses))
    assert shown == {"n0": None, "n1": None, "n2": 39.0, "n3": 20.0}
    assert [(row["what"], row["count"]) for row in losses.report().rows()] == [
        ("counts of persons below 10", 1), ("totals and other counts that would reveal one of them", 1)]  # fmt: skip


def test_two_small_counts_hide_each_other_when_together_they_are_many_enough() -> None:
    assert _counts(suppressed(_tree([-1, 0, 0, 0], population=[54.0, 8.0, 7.0, 39.0]), 10, Losses()))["n0"] == 54.0
    assert _counts(suppressed(_tree([-1, 0, 0, 0], population=[44.0, 3.0, 2.0, 39.0]), 10, Losses()))["n0"] is None


def test_attributes_that_add_up_do_not_give_a_small_one_away() -> None:
    city = suppressed(_tree([-1, -1], male_persons=[4.0, 30.0], female_persons=[30.0, 21.0], population=[34.0, 51.0]), 10, Losses())
    assert city["n0"].attributes == {"male_persons": None, "female_persons": 30.0, "population": None}
    assert city["n1"].attributes["population"] == 51.0


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.integers(-1, 20), st.integers(0, 40), st.integers(0, 40)), min_size=2, max_size=10))
def test_an_attacker_who_solves_all_sums_finds_no_small_count(nodes: list[tuple[int, int, int]]) -> None:
    parents = [min(up, number - 1) for number, (up, _, _) in enumerate(nodes)]
    cells = np.array([[men, women] for _, men, women in nodes], float)
    for node in range(len(nodes) - 1, -1, -1):  # a whole is the sum of its parts
        below = [child for child, up in enumerate(parents) if up == node]
        if below:
            cells[node] = cells[below].sum(axis=0)
    full = np.column_stack([cells, cells.sum(axis=1)])
    names = ("male_persons", "female_persons", "population")
    city = suppressed(_tree(parents, **{name: full[:, at].tolist() for at, name in enumerate(names)}), 10, Losses())
    shown = np.array([[city[f"n{node}"].attributes[name] for name in names] for node in range(len(nodes))], float)
    assert not (np.nan_to_num(shown, nan=99.0) < 10).any()
    rows = []
    for node in range(len(nodes)):
        row = np.zeros(full.shape)
        row[node] = (1, 1, -1)
        rows.append(row)
        below = [child for child, up in enumerate(parents) if up == node]
        for column in range(3):
            row = np.zeros(full.shape)
            row[below, column], row[node, column] = 1, -1
            rows += [row] if below else []
    hidden = np.isnan(shown)
    system = np.array([row[hidden] for row in rows]).reshape(len(rows), -1)
    _, size, right = np.linalg.svd(system, full_matrices=True)
    free = right[int((size > 1e-9).sum()) :]  # directions in which the hidden cells may move without any sum telling
    small = (full < 10)[hidden]
    assert (np.abs(free).max(axis=0, initial=0.0)[small] > 1e-9).all()


def test_only_what_the_grade_allows_leaves_and_no_grade_is_the_highest() -> None:
    builder = CityBuilder("EPSG:4549")
    source = builder.add_source(SourceRecord(name="s", grade="公开"))
    builder.add_objects("Building", ["open", "secret", "strange"], grades=["public", "机密", "blue"])
    builder.add_objects("Building", ["by source"], source=source)
    builder.add_objects("Building", ["none"])
    builder.add_objects("BuildingRoom", ["room"], parents=["secret"], grades=["public"])
    losses = Losses()
    left = graded(builder.build(), "internal", losses)
    assert sorted(left.tables["objects"]["id"].to_pylist()) == ["by source", "open"]
    assert {row["what"]: row["count"] for row in losses.report().rows()} == {
        "objects above the grade internal": 2, "objects without a known grade, which count as the highest": 2}  # fmt: skip


def test_claims_and_properties_do_not_tell_what_the_table_hides() -> None:
    builder = CityBuilder("EPSG:4549")
    keys = builder.add_objects("Building", ["a", "b"])
    builder.add_attributes(keys, "Building", {"population": Column([3.0, 30.0])})
    builder.add_claims(keys, "population", ["3", "30"])
    builder.add_properties(keys, "Pset", "OccupancyPersons", ["3", "30"])
    city = suppressed(builder.build(), 10, Losses())
    assert city.tables["claims"]["value"].to_pylist() == ["30"]
    assert city.tables["properties"]["value"].to_pylist() == ["30"]


def test_grades_and_limits_that_nobody_knows_are_refused() -> None:
    with pytest.raises(UsageError, match="blue"):
        graded(_tree([-1]), "blue", Losses())
    with pytest.raises(UsageError, match="k is -1"):
        suppressed(_tree([-1], population=[3.0]), -1, Losses())


def test_words_that_only_hold_a_ratio_or_a_share_are_counts_all_the_same() -> None:
    for name in ("administration_employees", "registration_population", "shared_residents"):
        assert is_person_count(name, pa.int64())
    assert is_person_count("population", pa.decimal128(10, 2))
    for name in ("population_ratio", "population-share", "cars_per_person", "resident_percentage"):
        assert not is_person_count(name, pa.float64())


def test_a_small_count_hides_in_no_text_property_claim_or_conflict() -> None:
    def register(name: str, population: list[int]) -> City:
        builder = CityBuilder("EPSG:28992", name=name)
        source = builder.add_source(SourceRecord(name=name, path=f"{name}.gpkg", reader="r", format="f"))
        shapes = [shapely.box(0, 0, 9, 9), shapely.box(50, 0, 59, 9)]
        keys = builder.add_objects("Building", [f"{name}1", f"{name}2"], footprints=shapes, source=source)
        builder.add_attributes(keys, "Building", {"population": Column(population), "residents_text": Column(["3", "40"])})
        builder.add_properties(keys, "register", ["population", "storeys"], ["4", "5"], None)
        return builder.build()

    losses = Losses()
    shown = suppressed(fuse([register("a", [25, 100]), register("b", [4, 100])]), 10, losses)
    assert shown.column("Building", "population").to_pylist() == [25, 100]
    assert shown.column("Building", "residents_text").to_pylist() == [None, "40"]
    values = {row["value"] for row in shown.tables["claims"].to_pylist() if row["attribute"] in {"population", "residents_text"}}
    assert values == {"25", "100", '"40"'}  # b said 4, of an object whose count is shown
    assert {(row["name"], row["value"]) for row in shown.tables["properties"].to_pylist()} == {("storeys", "5")}
    assert not any("population" in row["message"] for row in shown.tables["issues"].to_pylist())
    told = {row["what"]: row["count"] for row in losses.report().rows()}
    assert told["conflicts about counts of persons, which quote them"] >= 1
