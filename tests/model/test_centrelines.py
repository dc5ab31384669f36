"""The centreline of road areas is where the middle of the street is, and belongs to the area that it is in."""

from __future__ import annotations

from typing import Any

import networkx
import numpy as np
import pytest
import shapely
from shapely import affinity

from cim.model import skeleton as skeleton_file
from cim.model.centrelines import Centrelines, centrelines

NEAR = 0.05
"""[m] The outline is sampled each 0.75 m and shaken by a millimetre; the middle of straight streets is exact but for that."""


def make(*areas: Any, storey: Any = None, island: float = 30.0) -> Centrelines:
    return centrelines(np.array(areas, object), np.zeros(len(areas)) if storey is None else np.asarray(storey, float), island=island)


def graph(found: Centrelines) -> networkx.MultiGraph:
    made = networkx.MultiGraph()
    made.add_edges_from(zip(found.start.tolist(), found.end.tolist(), strict=True))
    return made


def street(x0: float, y0: float, x1: float, y1: float, width: float = 7.0) -> Any:
    return shapely.LineString([(x0, y0), (x1, y1)]).buffer(width / 2, cap_style="flat")


def test_a_straight_street_has_its_axis_from_end_to_end() -> None:
    found = make(affinity.rotate(street(0, 0, 120, 0), 23, origin=(0, 0)))
    (line,) = found.lines
    truth = affinity.rotate(shapely.LineString([(0, 0), (120, 0)]), 23, origin=(0, 0))
    assert line.hausdorff_distance(truth) < 0.2  # ends are sought in steps of 0.25 m
    assert line.intersection(truth.buffer(NEAR)).length > 0.999 * line.length
    assert found.width[0] == pytest.approx(7.0, abs=0.05)


@pytest.mark.parametrize(("arms", "angle"), [(3, 0), (3, 31), (4, 0), (4, 17)])
def test_streets_meet_in_one_node_without_twigs_into_corners(arms: int, angle: float) -> None:
    whole = shapely.union_all([street(0, 0, *end) for end in [(80, 0), (-80, 0), (0, 80), (0, -80)][:arms]])
    found = make(affinity.rotate(whole, angle, origin=(0, 0)))
    degree = np.bincount(np.concatenate([found.start, found.end]))
    assert sorted(degree.tolist()) == [1] * arms + [arms]
    middle = found.places[degree == arms][0]
    assert np.hypot(*middle) < 1.0  # the middle of the largest circle in a T lies w/8 from the axis, 0.9 m here


def test_a_grid_of_streets_gives_its_crossings(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [(x, -20.0, x, 220.0) for x in (0.0, 100.0, 200.0)] + [(-20.0, y, 220.0, y) for y in (0.0, 100.0, 200.0)]
    areas = [affinity.rotate(street(*line), 11, origin=(0, 0)) for line in lines]
    truth = shapely.get_coordinates(
        affinity.rotate(shapely.MultiPoint([(x, y) for x in (0, 100, 200) for y in (0, 100, 200)]), 11, origin=(0, 0))
    )
    whole = make(*areas)
    monkeypatch.setattr(skeleton_file, "_POINTS", 500)
    tiled = make(*areas)
    for found in (whole, tiled):
        degree = np.bincount(np.concatenate([found.start, found.end]))
        nodes = found.places[degree == 4]
        assert len(nodes) == 9
        assert max(np.hypot(*(nodes - one).T).min() for one in truth) < NEAR
        assert networkx.number_connected_components(graph(found)) == 1
        assert shapely.length(found.lines).sum() == pytest.approx(6 * 240, abs=2.5)  # 12 ends, each within 0.2 m
    assert len(tiled.lines) == len(whole.lines)


def test_a_link_belongs_to_the_area_that_it_is_in_and_humps_make_none() -> None:
    found = make(street(0, 0, 60, 0), street(60, 0, 63, 0), street(63, 0, 130, 0))
    assert found.area.tolist() == [0, 2]
    cut = found.places[np.bincount(np.concatenate([found.start, found.end])) == 2][0]
    assert 60 - 0.6 <= cut[0] <= 63 + 0.6  # asked in steps of a metre
    assert found.failed == 0


def test_a_small_island_is_driven_over_and_a_large_one_around() -> None:
    plain = street(0, 0, 100, 0, 20.0)
    small, large = shapely.box(48, -2, 52, 2), shapely.box(40, -4, 60, 4)
    assert len(make(plain - small).lines) == 1
    assert make(plain - small).islands == 1
    around = make(plain - large)
    assert len(around.lines) == 4  # in, out, and both sides
    assert networkx.cycle_basis(networkx.Graph(graph(around))) or len(graph(around).edges) > len(networkx.Graph(graph(around)).edges)


def test_a_bridge_over_a_street_does_not_join_it_and_one_over_water_carries_on() -> None:
    below = street(0, -80, 0, 80)
    ramps = street(-90, 0, -20, 0), street(20, 0, 90, 0)
    deck = street(-20, 0, 20, 0)
    found = make(below, *ramps, deck, storey=[0, 0, 0, 1])
    made = graph(found)
    parts = sorted(
        len({int(area) for area, a in zip(found.area, found.start, strict=True) if a in nodes})
        for nodes in networkx.connected_components(made)
    )
    assert networkx.number_connected_components(made) == 2
    assert max(dict(made.degree()).values()) == 2
    assert parts == [1, 3]
    assert found.portals == 2
    water = make(*ramps, deck, storey=[0, 0, 1])
    assert networkx.number_connected_components(graph(water)) == 1
    assert water.portals == 0
    assert set(water.area.tolist()) == {0, 1, 2}


def test_lines_stay_in_their_area_and_near_its_middle() -> None:
    rng = np.random.default_rng(4)
    bend = shapely.LineString(np.cumsum(np.column_stack([np.full(12, 25.0), rng.normal(0, 12, 12)]), axis=0))
    area = bend.buffer(4.0, join_style="mitre", cap_style="flat").difference(shapely.box(118, -500, 119, 500).intersection(bend.buffer(-1)))
    found = make(area)
    assert shapely.length(shapely.difference(found.lines, area.buffer(1.0))).sum() == 0
    near = shapely.union_all(shapely.buffer(found.lines, found.width / 2))
    assert shapely.intersection(near, area).area > 0.9 * area.area


def test_what_is_too_small_has_no_centreline_and_is_counted() -> None:
    found = make(shapely.box(0, 0, 1, 1), street(100, 0, 160, 0))
    assert found.failed == 1
    assert found.area.tolist() == [1]
    assert len(make(shapely.box(0, 0, 1, 1)).lines) == 0


def test_areas_that_are_far_away_do_not_move_the_lines_of_others() -> None:
    one, other = street(0, 0, 120, 4), street(3000, 0, 3000, 90)
    alone, both = make(one), make(one, other)
    assert alone.lines[0].equals_exact(both.lines[both.area == 0][0], 1e-3)
