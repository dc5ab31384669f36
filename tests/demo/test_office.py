from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely

from cim.demo.district import make_district
from cim.demo.office import PARAPET, choose_office

DISTRICT = make_district(2026)
OFFICE = choose_office(DISTRICT)


def test_the_office_is_a_building_of_the_plan_with_its_storeys_and_height() -> None:
    assert OFFICE is not None
    buildings = DISTRICT.buildings
    assert buildings.use[OFFICE.row] == "办公"
    assert len(OFFICE.storeys) == buildings.storeys[OFFICE.row] >= 5
    assert OFFICE.each * len(OFFICE.storeys) + PARAPET == pytest.approx(
        OFFICE.height, abs=0.01
    )  # m: each storey is rounded to a millimetre
    cos, sin = np.cos(OFFICE.turn), np.sin(OFFICE.turn)
    placed = shapely.transform(OFFICE.ring(), lambda xy: xy @ np.array([[cos, sin], [-sin, cos]]) + OFFICE.corner)
    shape = buildings.shapes[OFFICE.row]
    assert placed.symmetric_difference(shape).area < 0.5  # m²: sides rounded to a millimetre


def test_rooms_and_walls_fill_every_storey_without_a_gap() -> None:
    assert OFFICE is not None
    for storey in OFFICE.storeys:
        parts = [*(room.shape for room in storey.rooms), *(shapely.box(*wall.box) for wall in storey.walls)]
        whole = sum(part.area for part in parts)
        assert shapely.union_all(parts).area == pytest.approx(whole, abs=1e-6)  # nothing overlaps
        assert whole == pytest.approx(OFFICE.ring().area, abs=1e-6)  # nothing is left open


def test_every_room_has_a_door_to_the_corridor_and_numbers_are_unique() -> None:
    assert OFFICE is not None
    numbers = [room.number for storey in OFFICE.storeys for room in storey.rooms]
    assert len(set(numbers)) == len(numbers) > 100
    for storey in OFFICE.storeys:
        doors = {hole.room for wall in storey.walls for hole in wall.holes if hole.kind == "door"}
        assert doors == {room.number for room in storey.rooms if room.kind != "corridor"}
        for wall in storey.walls:
            length = max(wall.box[2] - wall.box[0], wall.box[3] - wall.box[1])
            for hole in wall.holes:
                assert hole.width / 2 < hole.at < length - hole.width / 2
                assert hole.sill + hole.height < OFFICE.each - 0.3  # m: under the next floor


def test_a_building_with_faulty_records_is_not_the_office() -> None:
    assert OFFICE is not None
    other = choose_office(DISTRICT, frozenset([OFFICE.id]))
    assert other is None or other.id != OFFICE.id
    assert choose_office(DISTRICT, frozenset(DISTRICT.buildings.ids.tolist())) is None


def test_the_file_states_millimetres_a_map_conversion_and_a_rounded_site(tmp_path: Path) -> None:
    model_of = pytest.importorskip("ifcopenshell", reason="extra ifc").open
    from cim.demo.office_ifc import write_office

    assert OFFICE is not None
    model = model_of(str(write_office(OFFICE, 4.977, tmp_path / "office.ifc")))
    conversion = model.by_type("IfcMapConversion")[0]
    assert conversion.Scale == 0.001
    assert conversion.OrthogonalHeight == 4.977
    site = model.by_type("IfcSite")[0]
    assert tuple(site.RefLatitude)[2:] == (0, 0)
    assert tuple(site.RefLongitude)[2:] == (0, 0)
    assert len(model.by_type("IfcSpace")) == sum(len(storey.rooms) for storey in OFFICE.storeys)
    assert len(model.by_type("IfcBuildingStorey")) == len(OFFICE.storeys)
    ids = [one.GlobalId for one in model.by_type("IfcRoot")]
    assert len(set(ids)) == len(ids)
    assert {"IfcStair", "IfcDuctSegment", "IfcPipeSegment", "IfcDoor", "IfcWindow"} <= {one.is_a() for one in model.by_type("IfcElement")}
