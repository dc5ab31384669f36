"""Make the pictures of the gallery and the scene to click on, from a run of the demo: python docs/make_gallery.py [FOLDER of a demo].

Without a folder the demo is built first. Writes docs/images/*.png and docs/demo/index.html.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

import cim
from cim.results import Fields, Verdicts, load_result
from cim.scenes import Scene
from cim.scenes.depth import depth_layer
from cim.scenes.layer import Text
from cim.scenes.style import DEPTH, Ramp
from cim.scenes.verdicts import verdict_layer

HERE = Path(__file__).resolve().parent
SIZE = (1200, 750)
LEVEL = 4.7  # m above the 1985 datum: over the sill of the quay
TREES_KEPT = 4  # every fourth tree goes into the page, so that it stays small; the pictures show all


def results(folder: Path) -> dict[str, Verdicts | Fields]:
    """Return the results of the base case."""
    return {place.name: load_result(place) for place in (folder / "results" / "base").iterdir() if place.is_dir()}


def water(scene: Scene, result: Fields) -> Scene:
    """Return the scene with the water at one level, in colours that tell a wet shoe from a drowned car."""
    layer = depth_layer(scene.context, result, at={"water_level": LEVEL})
    title = Text(f"Water depth at level {LEVEL:g} m", f"水位 {LEVEL:g} m 时水深")
    encoded = Ramp(DEPTH, 0.0, 1.5).encode(layer.values, title, "m")
    return scene.add(layer.recoloured(encoded.colours, encoded.legend, encoded.values, "m"))


def failing(scene: Scene, result: Verdicts) -> Scene:
    """Return the scene with only what fails on top."""
    layer = verdict_layer(scene, replace(result, table=result.only("fail")))
    return scene.add(replace(layer, name="over the limit", label=Text("Over the height limit", "超出限高")))


def pictures(city: cim.City, found: dict[str, Verdicts | Fields]) -> Iterator[tuple[str, Scene, dict[str, object]]]:
    """Yield name, scene and camera of every picture."""
    plain = Scene(city, language="both")
    river = water(plain, found["inundation"])
    top = {"elevation": 89.9, "azimuth": 0.0, "orthographic": True, "inset": (0.02, 0.02, 0.26, 0.07)}  # the legend at the right
    yield "district", plain, {"inset": (0.02, 0.03, 0.12, 0.05)}
    yield "demo", failing(river, found["height_control"]), {"azimuth": 16.0, "elevation": 37.0, "inset": (0.02, 0.03, 0.16, 0.05)}
    yield "height", plain.color_by("height"), {}
    yield "height_control", plain.add(found["height_control"]), {}
    yield "far", plain.add(found["far"], name="far").show_only("terrain", "roads", "water", "far"), top
    yield "use", plain.color_by("usage").show_only("terrain", "roads", "water", "vegetation", "buildings"), top
    yield (
        "flood",
        river,
        {"azimuth": -25.0, "elevation": 24.0, "around": city.find(bbox=(557_380, 3_464_150, 557_680, 3_464_420), type="Building")},
    )


def thinned(city: cim.City) -> cim.City:
    """Return the city with a part of its trees."""
    trees = city.keys("SolitaryVegetationObject")
    return city.subset(np.setdiff1d(city.keys(), np.delete(trees, np.s_[::TREES_KEPT])))


def page(city: cim.City, found: dict[str, Verdicts | Fields]) -> Path:
    """Write the scene to click on."""
    scene = Scene(thinned(city), title=f"三河 Sanhe: a still flood at {LEVEL:g} m, and height control 控高", language="en")
    scene = failing(water(scene, found["inundation"]), found["height_control"])
    shown = [layer.name for layer in scene.layers]
    for name in ("height_control", "far"):
        scene = scene.add(found[name])
    return scene.show_only(*shown).html(HERE / "demo" / "index.html")


def main() -> None:
    """Build the demo where there is none, then draw."""
    from cim.demo import build_demo

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        if not (folder / "demo.cim").is_dir():
            build_demo(folder, say=print)
        city, found = cim.open(folder / "demo.cim"), results(folder)
        for name, scene, view in pictures(city, found):
            path = scene.screenshot(HERE / "images" / f"{name}.png", size=SIZE, camera=scene.camera(SIZE, **view))
            print(f"{path}  {path.stat().st_size / 1e3:,.0f} kB")
        made = page(city, found)
        print(f"{made}  {made.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
