"""Steps that make a city richer once its sources are one, by name, for build files and commands: 分层建模, 单体化, 语义化 and more."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.errors import UsageError
from cim.model.coverages import coverage_rows, raster_ids, read_raster

if TYPE_CHECKING:
    from cim.model import City
    from cim.model.coverages import Raster

__all__ = ["STEPS", "check_step", "run_steps", "step_report"]


def _ground(city: City, id: str | None) -> Raster | None:
    """Return the terrain that is named, else the only one; None where there is none, or ``"none"`` is asked for."""
    if id == "none":
        return None
    ids = [id] if id is not None else raster_ids(city, "terrain")
    if len(ids) > 1:
        msg = f"the city has {len(ids)} terrains ({', '.join(ids[:5])}); name the one to use, or none"
        raise UsageError(msg)
    return read_raster(city, ids[0]) if ids else None


def classify_step(city: City, *, terrain: str | None = None, least_confidence: float = 0.7) -> City:
    """Label the faces of meshes, and give objects the class that they show 语义化."""
    from cim.loaders.semantics import classify

    return classify(city, terrain=_ground(city, terrain), least_confidence=least_confidence)


def storeys_step(city: City, *, storey_height: float | None = None) -> City:
    """Make an object of every storey 分层建模."""
    from cim.loaders.floors import storeys

    return storeys(city, storey_height=storey_height)


def pipes_step(
    city: City, *, type: str = "GenericOccupiedSpace", network: str = "pipes", terrain: str | None = None, snap: float = 0.1
) -> City:
    """Make bodies and a network of pipes 管线."""
    from cim.loaders.pipe_tables import pipe_network

    return pipe_network(city, type, network=network, terrain=_ground(city, terrain), snap=snap)


def roads_step(
    city: City, *, snap: float = 1.0, cross: Literal["split", "pass"] = "split", road_class: str = "unclassified",
    lane_width: float = 3.25, also: Sequence[str] = (), again: bool = False,
) -> City:  # fmt: skip
    """Make a road network of roads that have none: lines are joined where they meet, areas get centrelines 道路网络."""
    from cim.model.road_links import derive_road_links

    return derive_road_links(city, snap=snap, cross=cross, road_class=road_class, lane_width=lane_width, also=also, again=again)


def singulate_step(
    city: City, *, mesh: str | None = None, terrain: str | None = None, type: str = "Building", wall_tolerance: float = 0.1,
    lid: Literal["terrain", "lowest"] = "terrain",
) -> City:  # fmt: skip
    """Cut the meshes of the city at the footprints of its buildings 单体化."""
    from cim.loaders.cutting import singulate
    from cim.loaders.cutting.attributes import refuse_cut_twice
    from cim.loaders.semantics import UNCLASSED
    from cim.model.combine import without_repeats

    refuse_cut_twice(city, type)
    if mesh is not None:
        wanted = city.key_of([mesh])
    else:
        table = city.tables["geometries"]
        owners = table["object"].filter(pc.equal(table["role"], "mesh"))
        objects = city.tables.scan("objects", ["key", "type"])
        free = pc.and_(pc.is_in(objects["key"], owners.combine_chunks()), pc.is_in(objects["type"], pa.array(UNCLASSED)))
        wanted = objects["key"].filter(free).to_numpy()
    if not len(wanted):
        msg = "the city has no mesh of no particular class to cut; read an OBJ, PLY, glTF, 3D Tiles or OSGB file with it, or give mesh="
        raise UsageError(msg)
    rest = city.subset(np.setdiff1d(city.tables.scan("objects", ["key"])["key"].to_numpy(), wanted))
    ground = None if terrain == "none" or not raster_ids(rest, "terrain") else rest
    if terrain not in {None, "none"}:
        ground = rest.subset(rest.key_of([str(terrain)]))
    return without_repeats(singulate(city.subset(wanted), rest, ground, type=type, wall_tolerance=wall_tolerance, lid=lid))


def green_step(city: City, *, image: str | None = None, type: str = "LandUse") -> City:
    """Measure the share of green of plots in an image 绿地率."""
    from cim.loaders.imagery import green_ratio

    return green_ratio(city, image if image is not None else _only(city, "image"), type=type)


def zonal_step(city: City, *, raster: str, name: str, type: str = "Building", statistics: Sequence[str] = ("mean",)) -> City:
    """Measure a raster inside footprints."""
    from cim.loaders.zonal_city import add_zonal

    return add_zonal(city, raster, type=type, name=name, statistics=tuple(statistics))


def group_step(city: City, *, areas: str, members: str = "Building", least_share: float = 0.5) -> City:
    """Make objects parts of the areas they lie in."""
    from cim.model import group_by_place

    return group_by_place(city, areas, members, least_share=least_share)


def _only(city: City, kind: str) -> str:
    ids = [row["id"] for row in coverage_rows(city, kind)]
    if len(ids) != 1:
        msg = f"the city has {len(ids)} coverages of kind {kind}, expected one; name it: {', '.join(ids[:5]) or 'there is none'}"
        raise UsageError(msg)
    return str(ids[0])


STEPS: Mapping[str, Callable[..., City]] = {
    "classify": classify_step, "green_ratio": green_step, "group": group_step, "pipes": pipes_step, "roads": roads_step,
    "singulate": singulate_step, "storeys": storeys_step, "zonal": zonal_step,
}  # fmt: skip


def check_step(name: str, options: Mapping[str, Any]) -> list[str]:
    """Return every fault of a step, one sentence each.

    Examples
    --------
    >>> check_step("storeys", {"storey_height": 3.0})
    []
    >>> check_step("storeys", {"height": 3.0})
    ["step storeys has no option 'height'; it has storey_height"]
    """
    if name not in STEPS:
        return [f"there is no step {name!r}; give one of {', '.join(STEPS)}"]
    known = {each.name: each for each in inspect.signature(STEPS[name]).parameters.values() if each.kind is each.KEYWORD_ONLY}
    faults = [f"step {name} has no option {option!r}; it has {', '.join(known)}" for option in options if option not in known]
    return faults + [f"step {name} needs {each.name}" for each in known.values() if each.default is each.empty and each.name not in options]


def run_steps(city: City, steps: Sequence[tuple[str, Mapping[str, Any]]]) -> City:
    """Return the city after some steps, one after the other.

    Raises
    ------
    UsageError
        If a step or an option is not known, or a step cannot be taken.
    """
    from cim.progress import track

    faults = [fault for name, options in steps for fault in check_step(name, options)]
    if faults:
        raise UsageError("; ".join(faults))
    for name, options in track(list(steps), label="steps", unit="step"):
        city = STEPS[name](city, **options)
    return city


def step_report(name: str, before: City, after: City) -> dict[str, Any]:
    """Return the quality of what a step did, in plain numbers; empty for steps that have none.

    Returns
    -------
    dict
        For singulate the totals of `cim.loaders.cutting.singulation_report` (areas in m², volume in m³). For classify, per label, the
        ``area`` [m²] of the faces that got it now and their mean ``confidence`` [0 to 1].
    """
    if name == "singulate":
        from cim.loaders.cutting import singulation_report

        return dict(singulation_report(after).totals)
    return _labels(before, after) if name == "classify" else {}


def _labels(before: City, after: City) -> dict[str, Any]:
    """Return area and confidence of each label on the geometries that had no surface before."""
    surfaces = after.tables["surfaces"]
    old = before.tables["surfaces"]["geometry"].combine_chunks()
    sums: dict[str, list[float]] = {}
    for text in surfaces["attributes"].filter(pc.invert(pc.is_in(surfaces["geometry"], old))).to_pylist():  # a few per mesh
        told = json.loads(text) if text else {}
        if {"label_name", "area_m2", "confidence"} <= told.keys():
            total = sums.setdefault(told["label_name"], [0.0, 0.0])
            total[0] += told["area_m2"]
            total[1] += told["area_m2"] * told["confidence"]
    return {label: {"area": area, "confidence": weighed / area if area else 0.0} for label, (area, weighed) in sums.items()}
