"""The pictures of the storm: base above option, water and what it does to streets and reach; and the pages with the time slider."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cim.demo.pictures import HIDDEN, without
from cim.demo.storm import RETURN_PERIOD

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cim.model import City
    from cim.results import Fields
    from cim.scenes import Camera, Scene
    from cim.scenes.layer import Layer

__all__ = ["draw_storm", "draw_streets", "plain_scene", "storm_scene", "streets_scene", "titles"]

SIZE = (1800, 760)
"""Of each of the two parts [pixel]."""
_STREETS_SIZE = (1800, 900)
_AFTER = 50
"""Minutes after the start that the picture of the streets shows: the roads are as full as they get, and so are the streets of water."""
_INLAND = 400.0
"""How far from the river the picture reaches [m]."""
_INSET = (0.17, 0.1, 0.0, 0.06)
"""Kept free: left for the legend, top for the title, right, bottom."""
_STREETS_INSET = (0.26, 0.08, 0.0, 0.05)


def plain_scene(city: City, title: str) -> Scene:
    """Return a city as both kinds of picture show it, without results."""
    from cim.scenes import Scene

    return without(Scene(city, language="both", title=title, underground=False), *HIDDEN)


def storm_scene(plain: Scene, results: Mapping[str, Fields]) -> Scene:
    """Return a scene with the water of a storm, the buildings coloured by the water over their ground floors.

    Parameters
    ----------
    results
        ``flood`` and ``impact``.
    """
    return plain.add(results["flood"]).color_by(results["impact"], table="buildings", column="depth_inside")


def streets_scene(watered: Scene, results: Mapping[str, Fields]) -> Scene:
    """Return a scene with the state of the roads, the traffic on them and the buildings that the fire brigade does not always reach.

    Parameters
    ----------
    watered
        With water, or with water and coloured buildings.
    results
        ``roads``, ``traffic`` and ``reach``.
    """
    scene = watered.add(results["roads"]).add(results["traffic"], by="speed_ratio")
    troubled = _troubled(results["reach"])
    return scene if troubled is None else scene.add(troubled)


def _troubled(reach: Fields) -> Fields | None:
    """Return the reach of the buildings that are not always reached in time, so that the others keep their colours; None without any."""
    import pyarrow.compute as pc

    table = reach.tables["objects"]
    kept = table.filter(pc.not_equal(table["status"], "in_time"))
    return replace(reach, tables={**reach.tables, "objects": kept}) if kept.num_rows else None


def draw_storm(scenes: tuple[Scene, Scene], path: Path) -> Path:
    """Write one picture of both, the highest water at every place, from one camera."""
    return _one_above_the_other([scene.at("maximum") for scene in scenes], path, SIZE, _camera(scenes[0]))


def draw_streets(scenes: tuple[Scene, Scene], path: Path) -> Path:
    """Write one picture of both at one instant: water, closed streets, how fast one drives, and who is cut off."""
    import numpy as np

    at = scenes[0].times[0] + np.timedelta64(_AFTER, "m")
    camera = scenes[0].camera(_STREETS_SIZE, azimuth=-6.0, elevation=50.0, inset=_STREETS_INSET)
    return _one_above_the_other([_held(scene.at(at)) for scene in scenes], path, _STREETS_SIZE, camera)


def _held(scene: Scene) -> Scene:
    """Return a scene that stands still at its instant: its legends have the room that the clock would take, its title says the time."""
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    import numpy as np

    if scene.moment is None:
        return scene
    seconds = int(scene.moment.astype("M8[s]").astype(np.int64))
    local = datetime.fromtimestamp(seconds, UTC).astimezone(ZoneInfo(scene.city.time_zone))
    still = tuple(_brief(replace(layer, motion=None)) for layer in scene.layers)
    return scene._with(layers=still, title=f"{scene.title} · {local:%H:%M}")  # noqa: SLF001 - layers in place of others of their names


def _brief(layer: Layer) -> Layer:
    """Return a layer without what another legend says already: the depth of water on roads is that of the water, stations have names."""
    from cim.scenes.layer import Legend, LegendEntry, Text

    if layer.name == "road state":
        closed = tuple(one for one in layer.legend.entries if one.hatch)
        return replace(layer, legend=Legend(Text("Streets under water", "积水道路"), closed))
    if layer.name == "stations" and layer.legend.entries:
        first = layer.legend.entries[0]
        return replace(layer, legend=Legend(Text("Fire station", "消防站"), (LegendEntry(first.colour, Text("", "")),)))
    return layer


def _one_above_the_other(scenes: list[Scene], path: Path, size: tuple[int, int], camera: Camera) -> Path:
    from io import BytesIO

    from PIL import Image

    parts = []
    for number, scene in enumerate(scenes):
        part = scene.screenshot(path.with_name(f".{path.stem}{number}.png"), size=size, camera=camera)
        parts.append(Image.open(BytesIO(part.read_bytes())).convert("RGB"))
        part.unlink()
    both = Image.new("RGB", (size[0], 2 * size[1] + 6), "white")
    for number, picture in enumerate(parts):
        both.paste(picture, (0, number * (size[1] + 6)))
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
