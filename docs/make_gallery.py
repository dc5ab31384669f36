"""Make the pictures of the gallery and the scene to click on, from a run of the demo.

Call it as python docs/make_gallery.py [FOLDER of a demo [NAME of a picture...]]. Without a folder the demo is built first.
Writes docs/images/*.png, storm.jpg, streets.jpg and docs/demo/index.html; with the NAME delft, and the FOLDER of a run of
examples/delft_storm.toml, delft_coupled.jpg.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

import cim
from cim.demo.pictures import only, without
from cim.loaders import read
from cim.loaders.imagery import green_ratio
from cim.model.reproject import to_crs
from cim.results import Fields, Verdicts, load_result
from cim.scenes import Scene
from cim.scenes.depth import depth_layer
from cim.scenes.layer import Legend, Text
from cim.scenes.style import DEPTH, Ramp
from cim.scenes.verdicts import verdict_layer

HERE = Path(__file__).resolve().parent
SIZE = (1200, 750)
LEVEL = 4.7  # m above the 1985 datum: over the sill of the quay
TINTS = ((76, 120, 168), (245, 133, 24), (84, 162, 75), (178, 121, 162), (228, 87, 86), (114, 183, 178), (238, 202, 59), (157, 117, 93))
GREENS = ((244, 241, 226), (199, 217, 170), (132, 180, 110), (64, 133, 73), (18, 84, 45))
INSIDE = (
    "BuildingConstructiveElement", "BuildingInstallation", "BuildingRoom", "BuildingStorey", "Door", "Window", "CityFurniture",
    "GenericLogicalSpace", "GenericOccupiedSpace",
)  # fmt: skip
TREES_KEPT = 6  # every sixth tree goes into the page, so that it stays small; the pictures show all


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
    plain = Scene(blocks(city), language="both")
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


def of_sources(city: cim.City, pieces: cim.City, folder: Path) -> Iterator[tuple[str, Scene, dict[str, object]]]:
    """Yield name, scene and camera of the pictures of single kinds of source, and of what is made of them."""
    whole = Scene(city, language="both", underground=False)
    yield "photo", without(whole, "terrain", "utilities", "water"), {"azimuth": 0.0, "elevation": 38.0, "inset": (0.02, 0.03, 0.02, 0.05)}
    office = next(id for id in city.ids(city.keys("Building")) if city[id].children("BuildingStorey"))
    apart = only(whole.explode(office), "imagery", "storeys", "storeys, see-through", "rooms")
    yield "office", apart, {"around": list(map(str, apart.layer("storeys").ids)), "azimuth": 28.0, "elevation": 33.0}
    floor = only(whole.storey(office, "F2"), "imagery", "storeys", "storeys, see-through", "rooms", "openings")
    yield "storey", floor, {"around": list(map(str, floor.layer("rooms").ids)), "azimuth": 20.0, "elevation": 62.0}
    drains = only(Scene(city, language="both", underground=True), "imagery", "utilities")
    yield "drains", drains, {"around": near_the_quay(city), "azimuth": -24.0, "elevation": 20.0}
    skin = Scene(read(folder / "oblique" / "blocks.obj", "EPSG:4549+5737"), language="both", title="One skin over everything 倾斜模型")
    above = {"azimuth": -28.0, "elevation": 36.0, "inset": (0.02, 0.1, 0.04, 0.06)}
    yield "mesh", skin, above
    yield "pieces", tinted(pieces), above
    top = {"elevation": 89.9, "azimuth": 0.0, "orthographic": True, "inset": (0.36, 0.09, 0.02, 0.05)}
    osm = Scene(to_crs(read(folder / "sanhe.osm"), city.crs.without_vertical()), language="both", title="OpenStreetMap")
    yield "osm", osm.color_by("road_class", layer="roads"), top
    green = Scene(green_ratio(city, "orthophoto"), language="both", title="Green ratio of plots, from an image 绿地率（影像估算）")
    green = green.color_by("green_ratio", layer="landuse", style=Ramp(GREENS, 0.0, 0.8))
    solid = green._with(layers=tuple(replace(one, opacity=1.0) if one.name == "landuse" else one for one in green.layers))  # noqa: SLF001
    yield "green", solid.show_only("landuse", "roads", "water"), {**top, "inset": (0.02, 0.09, 0.02, 0.2)}


def near_the_quay(city: cim.City) -> list[str]:
    """Return the drains in the middle of the district, so that their depth can be seen."""
    return city.ids(np.intersect1d(city.keys("GenericOccupiedSpace"), city.keys(bbox=(557_540, 3_464_280, 557_740, 3_464_410))))


def tinted(pieces: cim.City) -> Scene:
    """Return the pieces of the mesh, neighbours in different colours; what is left of the mesh has its texture."""
    scene = Scene(pieces, language="both", title=f"Cut into {pieces.types()['Building']} buildings 单体化")
    layer = scene.layer("buildings")
    colours = np.array(TINTS, np.uint8)[np.arange(len(layer)) % len(TINTS)]
    made = replace(layer.recoloured(colours, Legend(Text("One tint per building", "每栋一色"))), opacity=1.0)
    return scene._with(layers=tuple(made if one.name == "buildings" else one for one in scene.layers))  # noqa: SLF001  # a layer replaced


def blocks(city: cim.City) -> cim.City:
    """Return the city as its registers know it; the inside of the office, the photo, pipes and poles have pictures of their own."""
    fine = [type_ for type_ in INSIDE if type_ in city.types()]
    photo = city.key_of(["orthophoto"])
    return city.subset(np.setdiff1d(city.keys(), np.concatenate([photo, *(city.keys(type_) for type_ in fine)])))


def thinned(city: cim.City) -> cim.City:
    """Return the city with a part of its trees."""
    trees = city.keys("SolitaryVegetationObject")
    return city.subset(np.setdiff1d(city.keys(), np.delete(trees, np.s_[::TREES_KEPT])))


def page(city: cim.City, found: dict[str, Verdicts | Fields]) -> Path:
    """Write the scene to click on."""
    scene = Scene(thinned(blocks(city)), title=f"三河 Sanhe: a still flood at {LEVEL:g} m, and height control 控高", language="en")
    scene = failing(water(scene, found["inundation"]), found["height_control"])
    shown = [layer.name for layer in scene.layers]
    for name in ("height_control", "far"):
        scene = scene.add(found[name])
    return scene.show_only(*shown).html(HERE / "demo" / "index.html")


def narrowed(drawn: Path, name: str) -> Path:
    """Write a picture that a run drew in the width of a page; a palette would lose the colours of its legend."""
    from PIL import Image

    picture = Image.open(drawn).convert("RGB")
    path = HERE / "images" / f"{name}.jpg"
    small = picture.resize((1400, round(picture.height * 1400 / picture.width)), Image.Resampling.LANCZOS)
    small.save(path, quality=80, optimize=True, progressive=True)
    return path


def delft(folder: Path) -> Path:
    """Write the picture of the coupled run on Delft: FOLDER holds delft.cim, delft_storm.toml and delft_results."""
    from cim.results import load_run
    from cim.scenario import read_scenario

    found = load_run(folder / "delft_results")
    city = read_scenario(folder / "delft_storm.toml").change.apply(cim.open(folder / "delft.cim"))
    scene = Scene(
        city, language="both", title="Delft · 70 mm in an hour: water, closed quay, traffic, whom a car reaches", underground=False
    )
    scene = scene.add(found["flood"]).add(found["roads"]).add(found["traffic"], by="speed_ratio").add(found["reach"], place="help, car")
    block = list(map(str, city.ids(city.keys("Building"))))
    view = scene.camera((1800, 1000), azimuth=25.0, elevation=48.0, around=block, inset=(0.2, 0.05, 0.02, 0.03))
    drawn = scene.at("2026-07-20T15:50:00Z").screenshot(folder / "delft.png", size=(1800, 1000), camera=view)
    return narrowed(drawn, "delft_coupled")


def main() -> None:
    """Build the demo where there is none, then draw."""
    from cim.demo import build_demo

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(temporary)
        if sys.argv[2:] == ["delft"]:
            print(delft(folder))
            return
        if not (folder / "demo.cim").is_dir():
            build_demo(folder, say=print)
        city, found = cim.open(folder / "demo.cim"), results(folder)
        drawn = chain(pictures(city, found), of_sources(city, cim.open(folder / "pieces.cim"), folder / "sources"))
        for name, scene, view in drawn:
            if len(sys.argv) > 2 and name not in sys.argv[2:]:
                continue
            path = scene.screenshot(HERE / "images" / f"{name}.png", size=SIZE, camera=scene.camera(SIZE, **view))
            print(f"{path}  {path.stat().st_size / 1e3:,.0f} kB")
        for name in ("storm", "streets"):
            if len(sys.argv) <= 2 or name in sys.argv[2:]:
                print(narrowed(folder / f"{name}.png", name))
        if len(sys.argv) > 2 and "page" not in sys.argv[2:]:
            return
        made = page(city, found)
        print(f"{made}  {made.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
