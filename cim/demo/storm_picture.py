"""The pictures of the storm: base above option, and the page with the time slider."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cim.demo.pictures import HIDDEN, without
from cim.demo.storm import RETURN_PERIOD

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cim.model import City
    from cim.results import Fields
    from cim.scenes import Camera, Scene

__all__ = ["draw_storm", "storm_scene", "titles"]

SIZE = (1800, 760)
"""Of each of the two parts [pixel]."""
_INLAND = 400.0
"""How far from the river the picture reaches [m]."""
_INSET = (0.17, 0.1, 0.0, 0.06)
"""Kept free: left for the legend, top for the title, right, bottom."""


def storm_scene(city: City, results: Mapping[str, Fields], title: str) -> Scene:
    """Return a city with the water of a storm, its buildings coloured by the water over their ground floors.

    Parameters
    ----------
    results
        ``flood`` and ``impact``.
    """
    from cim.scenes import Scene

    scene = without(Scene(city, language="both", title=title, underground=False), *HIDDEN)
    return scene.add(results["flood"]).color_by(results["impact"], table="buildings", column="depth_inside")


def draw_storm(scenes: tuple[Scene, Scene], path: Path) -> Path:
    """Write one picture of both, the highest water at every place, from one camera."""
    from io import BytesIO

    from PIL import Image

    camera = _camera(scenes[0])
    parts = []
    for number, scene in enumerate(scenes):
        part = scene.at("maximum").screenshot(path.with_name(f".{path.stem}{number}.png"), size=SIZE, camera=camera)
        parts.append(Image.open(BytesIO(part.read_bytes())).convert("RGB"))
        part.unlink()
    both = Image.new("RGB", (SIZE[0], 2 * SIZE[1] + 6), "white")
    for number, picture in enumerate(parts):
        both.paste(picture, (0, number * (SIZE[1] + 6)))
    both.save(path)
    return path


def _camera(scene: Scene) -> Camera:
    """Return a camera over the quarter by the river, with the underpass."""
    import numpy as np
    import shapely

    from cim.demo.plan import ORIGIN, to_streets

    keys = scene.city.keys("Building")
    middle = shapely.get_coordinates(shapely.centroid(scene.city.footprints(keys))) - ORIGIN
    near = to_streets(middle[:, 0], middle[:, 1])[1] < _INLAND
    return scene.camera(SIZE, around=list(scene.city.ids(keys[np.asarray(near)])), azimuth=-6.0, elevation=38.0, inset=_INSET)


def titles(flood: Fields) -> tuple[str, str]:
    """Return the titles of base and option; the depth of the rain is that of the ledger."""
    import numpy as np

    area = float(np.isfinite(flood["maximum_depth"].values).sum()) * float(flood.run.parameters["resolution"]) ** 2
    fell = f"{flood.run.balance['rain_m3'] / area * 1000:.0f} mm"
    storm = f"{RETURN_PERIOD} 年一遇暴雨 {fell} · {RETURN_PERIOD}-year storm"
    return f"现状 Base · {storm}", f"方案 Option · 泵站与下沉绿地 pumps, sunken park · {storm}"
