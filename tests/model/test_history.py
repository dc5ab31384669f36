"""A generated history of 1,000 objects against a plain dictionary that is replayed day by day."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
import shapely

from cim.errors import CRSMismatchError, UsageError
from cim.model import City, CityBuilder, Column, diff
from cim.model.history import instant

START = datetime(2020, 1, 1, tzinfo=UTC)
DAYS = 60


@dataclass
class Period:
    """One stretch of validity of one object."""

    id: str
    begin: datetime
    end: datetime | None
    height: float


def history(objects: int = 1000, seed: int = 7) -> list[Period]:
    """Make, change, remove and restore objects at random days."""
    chance = random.Random(seed)
    periods: list[Period] = []
    for number in range(objects):
        days = sorted(chance.sample(range(DAYS), chance.randint(1, 5)))
        alive: Period | None = None
        for day in days:
            at = START + timedelta(days=day)
            if alive is None:  # made or restored
                alive = Period(f"b{number}", at, None, float(chance.randint(3, 90)))
                periods.append(alive)
            elif chance.random() < 0.5:  # changed
                alive.end = at
                alive = Period(f"b{number}", at, None, alive.height + 1)
                periods.append(alive)
            else:  # removed
                alive.end = at
                alive = None
    return periods


def replay(periods: list[Period], at: datetime) -> dict[str, float]:
    return {p.id: p.height for p in periods if p.begin <= at and (p.end is None or at < p.end)}


@pytest.fixture(scope="module")
def periods() -> list[Period]:
    return history()


@pytest.fixture(scope="module")
def city(periods: list[Period]) -> City:
    builder = CityBuilder("EPSG:4549")
    shapes = [shapely.box(500000 + i, 3460000, 500001 + i, 3460001 + p.height) for i, p in enumerate(periods)]
    keys = builder.add_objects(
        "Building", [p.id for p in periods], footprints=shapes, valid_from=[p.begin for p in periods], valid_to=[p.end for p in periods]
    )
    builder.add_attributes(keys, "Building", {"height": Column([p.height for p in periods], unit="m")})
    return builder.build()


def heights(city: City) -> dict[str, float]:
    if not len(city):
        return {}
    table = city.table("Building", ["height"])
    return dict(zip(table.index, table["height"], strict=True))


def test_the_history_holds_every_kind_of_event(periods: list[Period]) -> None:
    by_id: dict[str, list[Period]] = {}
    for period in periods:
        by_id.setdefault(period.id, []).append(period)
    gaps = [a.end != b.begin for each in by_id.values() for a, b in pairwise(each)]
    assert len(by_id) == 1000
    assert True in gaps  # restored
    assert False in gaps  # changed
    assert any(each[-1].end for each in by_id.values())  # removed


def test_no_period_of_an_object_is_taken_for_a_duplicate(city: City) -> None:
    assert city.tables["issues"].num_rows == 0


@pytest.mark.parametrize("day", range(-1, DAYS + 1))
def test_the_city_as_of_any_day_is_the_replayed_one(city: City, periods: list[Period], day: int) -> None:
    for hour in (0, 13):
        at = START + timedelta(days=day, hours=hour)
        assert heights(city.asof(at)) == replay(periods, at)


@pytest.mark.parametrize(("first", "second"), [(0, 1), (3, 30), (30, 3), (59, 10), (20, 21)])
def test_the_difference_between_two_days_is_exact(city: City, periods: list[Period], first: int, second: int) -> None:
    a, b = START + timedelta(days=first), START + timedelta(days=second)
    old, new = replay(periods, a), replay(periods, b)
    found = diff(city.asof(a), city.asof(b))
    assert set(found.added) == new.keys() - old.keys()
    assert set(found.removed) == old.keys() - new.keys()
    changed = {(row["id"], float(row["old"]), float(row["new"])) for row in found.changed.to_pylist() if row["attribute"] == "height"}
    assert changed == {(id, old[id], new[id]) for id in old.keys() & new.keys() if old[id] != new[id]}


def test_a_time_without_zone_is_local_to_the_city() -> None:
    builder = CityBuilder("EPSG:4549", time_zone="Asia/Shanghai")
    builder.add_objects("Building", ["a"], valid_from=[datetime(2026, 7, 1, tzinfo=UTC)])
    city = builder.build()
    assert len(city.asof("2026-07-01T08:00")) == 1
    assert len(city.asof("2026-07-01T07:59")) == 0
    with pytest.raises(UsageError, match="'yesterday' cannot be read; write it as"):
        instant("yesterday")


def test_a_restored_id_leads_to_its_latest_period(city: City, periods: list[Period]) -> None:
    latest = {p.id: p for p in sorted(periods, key=lambda p: p.begin)}
    for id in list(latest)[:50]:
        assert city[id].attributes["height"] == latest[id].height


def test_cities_in_different_systems_or_with_several_periods_are_not_compared(city: City) -> None:
    with pytest.raises(UsageError, match=r"several periods of validity; compare city\.asof"):
        diff(city, city)
    with pytest.raises(CRSMismatchError, match="EPSG:4547"):
        diff(CityBuilder("EPSG:4549").build(), CityBuilder("EPSG:4547").build())


def test_a_moved_vertex_is_a_changed_geometry() -> None:
    from cim.model.geometry import extrude

    def block(height: float) -> City:
        builder = CityBuilder("EPSG:4549")
        shape = [shapely.box(500000, 3460000, 500010, 3460010)]
        keys = builder.add_objects("Building", ["a"], footprints=shape)
        made = extrude(shape, 0.0, height)
        builder.add_geometries(keys, lod="1", role="solid", type=made.type, vertices=made.vertices, boundaries=made.boundaries)
        return builder.build()

    assert diff(block(3.0), block(3.0)).changed.num_rows == 0
    assert diff(block(3.0), block(3.001)).changed["attribute"].to_pylist() == ["geometry"]
