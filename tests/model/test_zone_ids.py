"""Trips between zones find the nodes of the zones by their ids, or say which are not there."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from cim.errors import ObjectNotFoundError, UsageError
from cim.model.road_network import ODMatrix, RoadNetwork


def network(zones: list[str | None] | None = None, through: list[bool] | None = None) -> RoadNetwork:
    made = RoadNetwork.of(["a", "b", "7"], [0, 1, 2], [1, 2, 0], free_flow_time=60.0, capacity=900.0, through=through or [True] * 3)
    return made if zones is None else replace(made, nodes=made.nodes.append_column("zone", pa.array(zones, pa.string())))


def test_ids_are_nodes_where_no_zones_are_named() -> None:
    made = ODMatrix.of(network(), ["a", 7], ["7", "b"], [3.0, 4.0], notes=["one hour"])
    assert made.origin.tolist() == [0, 2]
    assert made.destination.tolist() == [2, 1]
    assert made.total == 7.0
    assert made.notes == ("one hour",)


def test_zones_win_over_the_names_of_nodes() -> None:
    made = ODMatrix.of(network(["x", None, "a"]), ["a"], ["x"], [1.0])
    assert (made.origin.tolist(), made.destination.tolist()) == ([2], [0])
    with pytest.raises(ObjectNotFoundError, match="no zones 'b'"):
        ODMatrix.of(network(["x", None, "a"]), ["b"], ["x"], [1.0])


def test_all_unknown_ids_stand_in_one_message() -> None:
    with pytest.raises(ObjectNotFoundError, match=r"no zones '1', '2', 'c'$"):
        ODMatrix.of(network(), ["c", 1], ["2", "a"], [1.0, 1.0])


def test_a_zone_of_several_nodes_is_its_one_centroid() -> None:
    zones: list[str | None] = ["x", "x", "y"]
    assert ODMatrix.of(network(zones, [True, False, True]), ["x"], ["y"], [1.0]).origin.tolist() == [1]
    for through in ([True, True, True], [False, False, True]):
        with pytest.raises(UsageError, match=r"1 zones have several nodes and no single centroid \(x\)"):
            ODMatrix.of(network(zones, through), ["x"], ["y"], [1.0])


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_trips_that_cannot_be_are_refused(bad: float) -> None:
    with pytest.raises(UsageError, match=r"1 trips are negative or no number .* from b to a"):
        ODMatrix.of(network(), ["a", "b"], ["b", "a"], [1.0, bad])


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(UsageError, match="2 origins, 1 destinations and 1 numbers"):
        ODMatrix.of(network(), ["a", "b"], ["b"], [1.0])
