"""One step of a scenario file makes the network of a city that has none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely

import cim
from cim.errors import UsageError
from cim.model import City, CityBuilder
from cim.scenario import Change, members, read_scenario, validate


def areas() -> City:
    """Return a street of two areas, and a footpath beside it."""
    builder = CityBuilder("EPSG:28992", name="areas")
    keys = builder.add_objects("Road", ["west", "east", "path"], footprints=[shapely.box(0, 0, 60, 7), shapely.box(60, 0, 140, 7),
                                                                              shapely.box(0, 7, 140, 9)])  # fmt: skip
    builder.add_attributes(keys, "Road", {"function": cim.model.Column(["rijbaan lokale weg", "rijbaan lokale weg", "voetpad"])})
    return builder.build()


def test_a_step_makes_links_and_tells_what_it_assumes_in_the_name_of_the_change() -> None:
    made = Change("network").derive_road_links().apply(areas())
    assert {made.ids([row["object"]])[0] for row in made.tables["links"].to_pylist()} == {"west", "east"}
    told = made.issues["message"].tolist()
    assert all(text.startswith("change: network: ") for text in told)
    assert any("lanes of 2 links are assumed from the width" in text for text in told)


def test_roads_that_are_named_are_driven_on_whatever_their_function() -> None:
    made = Change("network").derive_road_links(also=["path"], lane_width=3.0).apply(areas())
    widths = [json.loads(row["attributes"])["width"] for row in made.tables["links"].to_pylist()]
    assert widths == pytest.approx([9.0] * len(widths), abs=0.2)  # points on the outline lie 0.75 m apart


def test_the_step_goes_through_a_scenario_file_without_an_id(tmp_path: Path) -> None:
    cim.save(areas(), tmp_path / "areas.cim")
    text = 'city = "areas.cim"\nname = "net"\n[[change]]\ndo = "derive_road_links"\nsnap = 0.5\n[inundation]\nlevels = [1.0]\n'
    file = tmp_path / "net.toml"
    file.write_text(text, encoding="utf-8")
    assert not validate(file)
    (member,) = members(read_scenario(file))
    assert member.change.to_dict()["change"] == [{"do": "derive_road_links", "snap": 0.5}]
    assert member.change.apply(cim.open(tmp_path / "areas.cim")).tables["links"].num_rows == 2


def test_a_change_with_the_step_is_read_back_as_it_was() -> None:
    change = Change("network").derive_road_links(cross="pass", also=["path"])
    assert Change.from_dict(json.loads(json.dumps(change.to_dict()))) == change


def test_a_network_is_made_twice_only_when_that_is_asked_for() -> None:
    once = Change("network").derive_road_links()
    with pytest.raises(UsageError, match=r"has 2 road links already, derived by an earlier run; .* again=True"):
        once.derive_road_links().apply(areas())
    again = once.derive_road_links(lane_width=2.5, again=True)
    assert Change.from_dict(json.loads(json.dumps(again.to_dict()))) == again
    lanes = [json.loads(row["attributes"])["lanes"] for row in again.apply(areas()).tables["links"].to_pylist()]
    assert lanes == [3, 3]


def test_a_road_may_be_added_to_a_derived_network() -> None:
    made = Change("network").derive_road_links().add_road("new", [[30, 3.5], [30, 80]], lanes=2, speed_limit=8.3).apply(areas())
    links = made.tables["links"].to_pylist()
    assert sorted(made.ids([row["object"]])[0] for row in links) == ["east", "new", "west", "west"]
    (new,) = [row for row in links if made.ids([row["object"]]) == ["new"]]
    assert sum(new["from_node"] in (row["from_node"], row["to_node"]) for row in links) == 3
    assert np.isclose(sum(row["length"] for row in links if row is not new), 140.0, atol=0.5)
