"""Sources that lie far from all others are told, with the distance and the remedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import shapely

from cim.loaders import fuse
from cim.model import City, CityBuilder, SourceRecord, to_crs

X, Y = 500000.0, 3460000.0


def source(name: str, shapes: Sequence[Any], crs: str = "EPSG:4549") -> City:
    builder = CityBuilder(crs, name=name)
    key = builder.add_source(SourceRecord(name, declared_crs=crs, used_crs=crs))
    builder.add_objects("Building", [f"{name}.{n}" for n in range(len(shapes))], footprints=list(shapes), source=key)
    return builder.build()


def box(dx: float, dy: float = 0.0) -> Any:
    return shapely.box(X + dx, Y + dy, X + dx + 10.0, Y + dy + 10.0)


def far(*cities: City) -> list[str]:
    return [text for text in fuse(cities).issues["message"] if "from the rest of the city" in text]


def test_a_source_in_the_system_of_the_next_zone_is_told_with_its_distance() -> None:
    """The same numbers in the zone of 117° E lie three degrees of longitude further west: 285 km at 31.3° N."""
    plots, houses, roads = source("plots", [box(0)]), source("houses", [box(50)]), source("roads", [box(0, 50), box(60)], "EPSG:4548")
    (text,) = far(plots, houses, roads)
    (place,) = [to_crs(roads, "EPSG:4549").bounds]
    apart = (X - place[2]) / 1000.0
    assert 284 < apart < 287
    assert text.startswith(f"roads (EPSG:4548) lies {apart:.0f} km from the rest of the city, plots (EPSG:4549), houses (EPSG:4549); ")
    assert text.endswith("give crs= for it")


@pytest.mark.parametrize(("gap", "told"), [(900.0, 0), (1100.0, 1)])
def test_a_kilometre_between_sources_is_still_one_city(gap: float, told: int) -> None:
    found = far(source("a", [box(0)]), source("b", [box(10.0 + gap)]))
    assert len(found) == told
    assert all("b (EPSG:4549) lies 1.1 km from the rest of the city, a (EPSG:4549)" in text for text in found)


def test_sources_in_a_row_belong_together_however_long_the_row_is() -> None:
    assert far(*(source(f"s{n}", [box(800.0 * n)]) for n in range(5))) == []


def test_the_first_source_is_the_one_that_is_told_when_it_is_alone() -> None:
    (text,) = far(source("wrong", [box(90_000)]), source("a", [box(0)]), source("b", [box(20)]))
    assert text.startswith("wrong (EPSG:4549) lies 90 km from the rest of the city, a (EPSG:4549), b (EPSG:4549)")
