"""A scene is a value made of layers; what shows it is found by name."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cim.errors import DisplayError, ObjectNotFoundError, UsageError
from cim.model import City, CityBuilder
from cim.scenes import Layer, Legend, Scene, Text, building, display, register, renderer


def simple_layer(name: str = "mine") -> Layer:
    points = np.array([[0, 0, 0], [10, 0, 0], [0, 10, 0]], float)
    return Layer(
        name=name,
        label=Text("Mine", "我的"),
        points=points,
        triangles=np.array([[0, 1, 2]], np.int32),
        cell_object=np.array([0], np.int32),
        ids=np.array(["x"], object),
        colours=np.array([[10, 20, 30]], np.uint8),
        legend=Legend(Text("Mine", "我的")),
    )


def test_layers_come_in_the_order_they_are_drawn(scene: Scene) -> None:
    assert [layer.name for layer in scene.layers] == ["terrain", "landuse", "vegetation", "roads", "other", "buildings", "trees", "water"]


def test_every_object_with_a_place_is_in_a_layer(scene: Scene, city: City) -> None:
    shown = {id for layer in scene.layers for id in layer.ids.tolist()}
    assert {one.id for one in city} == shown


def test_an_empty_city_gives_an_empty_scene() -> None:
    scene = Scene(CityBuilder("EPSG:4549", name="empty").build())
    assert scene.layers == ()
    assert np.isfinite(scene.bounds).all()
    assert "empty" in scene.to_json()
    assert "<canvas" in scene._repr_html_().replace("&lt;", "<")


def test_a_layer_of_ones_own_can_be_added(scene: Scene) -> None:
    assert scene.add(simple_layer()).layer("mine").ids.tolist() == ["x"]
    assert scene.add(simple_layer("roads")).layers[-1].name == "roads 2"
    assert scene.add(simple_layer(), name="yours").layers[-1].name == "yours"


def test_layers_of_other_packages_are_found_by_entry_point(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "available", lambda group: ("mine", "none") if group == "cim.layers" else ())
    monkeypatch.setattr(building, "load", lambda _, name: (lambda _: simple_layer()) if name == "mine" else (lambda _: None))
    assert Scene(city).layers[-1].name == "mine"
    monkeypatch.setattr(building, "load", lambda *_: lambda _: 5)
    with pytest.raises(UsageError, match="'mine' returned int"):
        Scene(city)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"triangles": np.array([[0, 1, 7]], np.int32)}, "points beyond 3 points"),
        ({"cell_object": np.array([4], np.int32)}, "points beyond 1 objects"),
        ({"points": np.full((3, 3), np.nan)}, "not finite"),
        ({"ids": np.array(["a", "b"], object)}, "2 ids for 1 colours"),
    ],
)
def test_a_layer_whose_arrays_do_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        replace(simple_layer(), **change)


def test_a_language_nobody_wrote_is_refused(city: City) -> None:
    with pytest.raises(UsageError, match="language='fr'"):
        Scene(city, language="fr")


def test_a_layer_that_is_not_there_is_refused_with_those_that_are(scene: Scene) -> None:
    with pytest.raises(UsageError, match="it has terrain, landuse"):
        scene.show_only("pipes")


def test_a_camera_frames_chosen_objects(scene: Scene) -> None:
    camera = scene.camera((400, 300), around=["b0"])
    layer = scene.layer("buildings")
    (row,) = np.flatnonzero(layer.ids == "b0")
    seen = camera.project(layer.points[np.isin(layer.point_object, row)], (400, 300))
    assert np.ptp(seen[:, 0]) > 60  # of 400 pixels, with 10 m around it
    assert (seen[:, :2] > 0).all()
    with pytest.raises(ObjectNotFoundError, match="nobody"):
        scene.camera(around=["nobody"])


def test_a_script_without_display_is_told_what_to_do(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    if sys.platform != "linux":
        pytest.skip("other systems always have a window")
    with pytest.raises(DisplayError, match=r"scene\.html\('scene\.html'\)"):
        scene.show()


def test_a_notebook_gets_the_page_in_a_frame(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "in_notebook", lambda: True)
    frame = scene.show(height=300)
    assert frame is not None
    shown = frame._repr_html_()
    assert 'srcdoc="&lt;!doctype html&gt;' in shown
    assert 'height="300"' in shown
    assert shown.count("<iframe") == 1


def test_renderers_are_found_by_name_and_can_be_added(scene: Scene) -> None:
    register("names", lambda scene: [layer.name for layer in scene.layers])
    assert renderer("names")(scene)[0] == "terrain"
    with pytest.raises(UsageError, match="'tiles'; there are html, names, png, show"):
        renderer("tiles")
