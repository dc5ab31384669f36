from __future__ import annotations

import numpy as np
import pytest

from cim.demo import Truth
from cim.demo.score_sources import checks, piece_checks
from cim.loaders import pipe_network, read, singulate, storeys
from cim.model import City
from cim.model.coverages import raster_ids, read_raster


def test_everything_about_the_further_sources_comes_out_right(city: City, truth: Truth) -> None:
    found = checks(city, truth)
    assert [one.text() for one in found if not one.passed] == []
    assert len(found) == 11 - 4 * (truth.office is None) - 3 * (truth.extract is None)


def test_the_report_accounts_for_every_record_of_the_build_file(city: City, truth: Truth) -> None:
    assert int(city.report.balance["records"].sum()) == sum(truth.records.values())


def test_a_city_without_its_matches_fails_the_checks_that_rest_on_them(city: City, truth: Truth) -> None:
    bare = city.replace_tables(matches=city.tables["matches"].slice(0, 0))
    failed = {one.what for one in checks(bare, truth) if not one.passed}
    assert any("管网与模型" in one for one in failed)
    if truth.extract is not None:
        assert any("OpenStreetMap buildings" in one for one in failed)


def test_the_office_keeps_the_storeys_of_its_model_and_others_get_theirs_from_the_register(city: City, truth: Truth) -> None:
    assert truth.office is not None, truth.left_out["office.ifc"]
    before = city.types()["BuildingStorey"]
    assert before == len(truth.office.storeys)
    layered = storeys(city)
    told = {truth.office.id: len(truth.office.storeys)}
    for id, count in zip(truth.ids[:20], truth.storeys[:20], strict=True):
        told[str(id)] = int(count)
    objects = layered.tables["objects"].to_pandas()
    for id, count in told.items():
        mine = objects[(objects["parent"] == layered[id].key) & (objects["type"] == "BuildingStorey")]
        assert len(mine) == count, id


def test_the_table_of_pipes_alone_makes_a_network_with_cover(truth: Truth, city: City) -> None:
    mapping = {
        "class": "GenericOccupiedSpace",
        "id": "管线编号",
        "attributes": {
            "diameter": {"field": "管径", "unit": "mm"},
            "upstream_invert_level": {"field": "起点管底高程", "unit": "m"},
            "downstream_invert_level": {"field": "终点管底高程", "unit": "m"},
        },
    }
    pipes = read(truth.folder / "drain_pipes.gpkg", mapping=mapping)
    made = pipe_network(pipes, terrain=read_raster(city, raster_ids(city, "terrain")[0]))
    links = made.tables["links"].to_pandas()
    assert len(links) == len(truth.drains.pipes)
    assert links["length"].sum() == pytest.approx(truth.drains.length.sum(), rel=1e-4)  # corners rounded to a centimetre
    assert made.geometry_table(lod="2").num_rows == len(truth.drains.pipes) - len(truth.drains.without)


def test_the_mesh_is_cut_into_closed_buildings_of_the_true_volume(city: City, truth: Truth) -> None:
    mesh = read(truth.folder / "oblique" / "blocks.obj")
    assert mesh.crs.to_string() == "EPSG:4549+5737"  # from the file beside it
    terrain = read(truth.folder / "dtm_2m.tif", surface="terrain")
    pieces = singulate(mesh, city.subset(city.key_of(list(truth.flown))), terrain)
    found = piece_checks(pieces, truth)
    assert [one.text() for one in found if not one.passed] == []
    assert len(truth.flown) > 30
    assert np.isfinite(list(truth.flown.values())).all()
