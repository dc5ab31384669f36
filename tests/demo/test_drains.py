from __future__ import annotations

from pathlib import Path

import networkx
import numpy as np
import pytest
import shapely

from cim.demo.district import make_district
from cim.demo.drains import WRONG, make_drains, pipe_records, write_swmm
from cim.demo.features import make_features
from cim.demo.poles import make_poles
from cim.loaders import read
from cim.model.geometry import volume

DRAINS = make_drains(2026)


def test_water_runs_down_from_every_well_to_an_outfall() -> None:
    graph = networkx.DiGraph(zip(DRAINS.start.tolist(), DRAINS.end.tolist(), strict=True))
    out = set(np.flatnonzero(DRAINS.outfall).tolist())
    assert networkx.is_directed_acyclic_graph(graph)
    assert all(graph.out_degree(well) == (0 if well in out else 1) for well in graph)
    assert (DRAINS.invert[:, 0] - DRAINS.invert[:, 1] > 0.002 * DRAINS.length).all()


def test_pipes_lie_under_the_ground_and_never_narrow_downstream() -> None:
    cover = DRAINS.rim[DRAINS.start] - DRAINS.invert[:, 0] - DRAINS.diameter
    assert cover.min() > 1.1  # m
    into = {int(well): DRAINS.diameter[DRAINS.end == well].max(initial=0.0) for well in np.unique(DRAINS.start)}
    assert all(size >= into[int(well)] for well, size in zip(DRAINS.start, DRAINS.diameter, strict=True))


def test_faults_hit_different_pipes_and_the_table_counts_in_millimetres() -> None:
    table = pipe_records(DRAINS).columns["管径"]
    assert not set(DRAINS.without.tolist()) & set(DRAINS.otherwise.tolist())
    assert np.isnan(table).sum() == len(DRAINS.without) == len(DRAINS.defects()[0].records)
    assert np.nanmin(table) == 400.0


def test_the_model_reads_as_bodies_of_the_true_volume(tmp_path: Path) -> None:
    city = read(write_swmm(DRAINS, tmp_path / "drainage.inp"), crs="EPSG:4549+5737")
    size = DRAINS.diameter.copy()
    size[DRAINS.otherwise] = WRONG
    table = city.geometry_table(lod="2", keys=city.key_of(list(DRAINS.pipes)))
    sized = dict(zip(city.ids(table["object"].to_numpy()), volume(table).tolist(), strict=True))
    found = np.array([sized[pipe] for pipe in DRAINS.pipes])
    true = np.pi / 4 * size**2 * np.hypot(DRAINS.length, DRAINS.invert[:, 0] - DRAINS.invert[:, 1])
    assert found == pytest.approx(true, rel=2e-3)  # a millimetre of the coordinates on pipes of 20 m, sections upright


def test_poles_stand_beside_the_lanes_and_outside_houses() -> None:
    district = make_district(2026)
    features = make_features(district, 2026)
    poles = make_poles(district, features, 2026)
    solid = shapely.union_all([*features.roads.geometry, *district.buildings.shapes, *features.water.geometry])
    shapely.prepare(solid)
    assert 400 < len(poles) < 900
    assert not shapely.intersects(solid, poles.geometry).any()
    assert set(poles.columns["类型"].tolist()) == {"路灯", "信号灯", "监控"}
