"""One building model set up in two places brings the same ids twice: two buildings, and so are all their parts."""

from __future__ import annotations

from pathlib import Path

import pytest

from cim.loaders.fusion import fuse
from cim.loaders.ifc import READER
from cim.loaders.protocol import ReadOptions
from cim.model import City
from tests.loaders.ifc import ifc_files as models

pytest.importorskip("ifcopenshell")

_PLACE = """\
#700=IFCMAPCONVERSION(#6,#701,{east},480000.,12.5,1.,0.,0.001);
#701=IFCPROJECTEDCRS('EPSG:28992',$,$,'NAP',$,$,#702);
#702=IFCSIUNIT(*,.LENGTHUNIT.,$,.METRE.);
"""


def _at(folder: Path, east: str) -> City:
    path = models.write(folder, models.house(extra=_PLACE.format(east=east)), name=f"{east}ifc")
    return READER.read(path, ReadOptions())


def test_a_model_in_two_places_is_two_buildings_with_their_own_parts(tmp_path: Path) -> None:
    first, second = _at(tmp_path, "120000."), _at(tmp_path, "120500.")
    city = fuse([first, second])
    assert len(city) == len(first) + len(second)
    slabs = city.keys("BuildingConstructiveElement")
    assert len(slabs) == 4  # the floors and roofs have no footprint: their boxes tell them apart
    wests = sorted(row["xmin"] for row in city.core_rows(["bbox"], slabs)["bbox"].to_pylist())
    assert wests == pytest.approx([119995.0, 119995.0, 120495.0, 120495.0])


def test_a_model_read_twice_in_one_place_is_one(tmp_path: Path) -> None:
    first = _at(tmp_path, "120000.")
    assert len(fuse([first, first])) == len(first)
