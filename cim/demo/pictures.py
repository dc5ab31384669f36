"""The pictures of the demo: the district on its orthophoto, the office pulled apart, the drains below ground, the mesh cut."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from cim.demo.truth import Truth
    from cim.model import City
    from cim.scenes import Scene

__all__ = ["HIDDEN", "SIZE", "draw_district", "draw_drains", "draw_office", "draw_pieces"]

SIZE = (1800, 1000)
HIDDEN = ("imagery", "utilities", "other")
"""Layers that the picture of water and limits leaves out: they are there to switch on in its page."""
_INSET = (0.02, 0.03, 0.12, 0.05)
"""Kept free for the legend: left, top, right, bottom."""
_TINTS = ((76, 120, 168), (245, 133, 24), (84, 162, 75), (178, 121, 162), (228, 87, 86), (114, 183, 178), (238, 202, 59), (157, 117, 93))
"""Colours of neighbouring buildings, 0 to 255."""


def only(scene: Scene, *names: str) -> Scene:
    """Return the scene with those of the named layers that it has."""
    return scene.show_only(*(layer.name for layer in scene.layers if layer.name in names))


def without(scene: Scene, *names: str) -> Scene:
    """Return the scene with all layers that are shown now or painted on the ground, but for the named ones."""
    ground = {"landuse", "vegetation", "roads"} if "imagery" in names else set()
    return scene.show_only(*(one.name for one in scene.layers if (one.visible or one.name in ground) and one.name not in names))


def draw_district(city: City, path: Path) -> Path:
    """Write the fused district: everything that stands there, on the orthophoto."""
    from cim.scenes import Scene

    scene = Scene(
        city, language="both", title="三河 Sanhe · 正射影像上的融合城市 · The fused district on its orthophoto", underground=False
    )
    scene = without(scene, "terrain", "utilities", "water") if any(one.name == "imagery" for one in scene.layers) else scene
    return scene.screenshot(path, size=SIZE, camera=scene.camera(SIZE, azimuth=-24.0, elevation=33.0, inset=_INSET))


def draw_office(city: City, office: str, path: Path) -> Path:
    """Write the office with its storeys pulled apart and its rooms coloured by what they are for."""
    from cim.scenes import Scene

    name = city[office].name or office
    scene = Scene(city, language="both", title=f"{name} · 分层与房间 · Storeys and rooms of the IFC office", underground=False).explode(
        office
    )
    scene = only(scene, "imagery", "storeys", "storeys, see-through", "rooms")
    ids = [str(one) for one in scene.layer("storeys").ids]
    return scene.screenshot(path, size=SIZE, camera=scene.camera(SIZE, around=ids, azimuth=28.0, elevation=33.0))


def draw_drains(city: City, path: Path) -> Path:
    """Write the drains under a translucent ground."""
    from cim.scenes import Scene

    scene = Scene(city, language="both", title="三河 Sanhe · 地下雨水管网 · Storm drains under the ground", underground=True)
    scene = only(scene, "imagery", "utilities")
    return scene.screenshot(path, size=SIZE, camera=scene.camera(SIZE, around=_inner(city), azimuth=-24.0, elevation=22.0))


def _inner(city: City) -> list[str]:
    """Return the drains in the middle of the district, so that a picture of them is near enough to see their depth."""
    import shapely

    from cim.demo.plan import HEIGHT, ORIGIN, WIDTH

    keys = city.keys("GenericOccupiedSpace")
    middle = shapely.get_coordinates(shapely.centroid(city.footprints(keys))) - ORIGIN
    near = (np.abs(middle[:, 0] / WIDTH - 0.55) < 0.17) & (np.abs(middle[:, 1] / HEIGHT - 0.38) < 0.14)
    return list(city.ids(keys[near]))


def draw_pieces(pieces: City, truth: Truth, path: Path) -> Path:
    """Write the mesh cut into buildings, each in a tint of its own, what is left over with its texture."""
    from cim.scenes import Scene
    from cim.scenes.layer import Legend, Text

    title = f"倾斜模型单体化 · {len(truth.flown)} 栋 · An oblique mesh cut into {len(truth.flown)} buildings"
    scene = Scene(pieces, language="both", title=title)
    layer = scene.layer("buildings")
    tints = np.array(_TINTS, np.uint8)[np.arange(len(layer)) % len(_TINTS)]
    tinted = layer.recoloured(tints, Legend(Text("One tint per building", "每栋一色")))
    layers = tuple(replace(tinted, opacity=1.0) if one.name == "buildings" else one for one in scene.layers)
    scene = scene._with(layers=layers)  # noqa: SLF001 - a layer in place of another of its name, as color_by does
    return scene.screenshot(path, size=SIZE, camera=scene.camera(SIZE, azimuth=-28.0, elevation=36.0, inset=(0.02, 0.1, 0.04, 0.06)))
