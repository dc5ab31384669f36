"""Which layers a city gives and which builder makes each; other packages add theirs by entry point ``cim.layers``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cim.errors import UsageError
from cim.plugins import available, load
from cim.scenes.imagery import imagery_layer, over_imagery
from cim.scenes.layer import Layer
from cim.scenes.models import mesh_layer, models_layer, openings_layer
from cim.scenes.solids import buildings_layer, constructions_layer
from cim.scenes.surfaces import landuse_layer, other_layer, roads_layer, vegetation_layer, water_layer
from cim.scenes.terrain import terrain_layer
from cim.scenes.trees import trees_layer
from cim.scenes.utilities import seen_below, utilities_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cim.results import Comparison, Fields
    from cim.scenes.context import Context
    from cim.scenes.scene import Scene

    Builder = Callable[[Context], Layer | tuple[Layer, ...] | None]

__all__ = ["BUILDERS", "base_layers", "can_draw", "layers_of_result"]

BUILDERS: dict[str, Builder] = {
    "terrain": lambda context: terrain_layer(context.ground),
    "imagery": imagery_layer,
    "landuse": landuse_layer,
    "vegetation": vegetation_layer,
    "roads": roads_layer,
    "other": other_layer,
    "constructions": constructions_layer,
    "utilities": utilities_layer,
    "models": models_layer,
    "mesh": mesh_layer,
    "buildings": buildings_layer,
    "openings": openings_layer,
    "trees": trees_layer,
    "water": water_layer,
}
"""Builder by name of layer, in the order they are drawn: what one sees through comes last."""


def base_layers(context: Context, *, underground: bool | None = None) -> tuple[Layer, ...]:
    """Return the layers of a city, in the order they are drawn; a layer without objects is left out.

    Builders of other packages (entry-point group ``cim.layers``: a function from `Context` to `Layer` or None) come after ours.

    Parameters
    ----------
    underground
        Whether the ground is translucent; None for where most pipes lie below it.

    Raises
    ------
    UsageError
        If a foreign builder returns something that is no layer.
    """
    foreign = [(name, load("cim.layers", name)) for name in available("cim.layers")]
    found: list[Layer] = []
    for name, build in [*BUILDERS.items(), *foreign]:
        made = build(context)
        layers = made if isinstance(made, tuple) else () if made is None else (made,)
        for layer in layers:
            if not isinstance(layer, Layer):
                msg = f"the layer plug-in {name!r} returned {type(layer).__name__}, expected cim.scenes.layer.Layer or None"
                raise UsageError(msg)
        found += layers
    return seen_below(over_imagery(found), context, underground=underground)


def can_draw(result: Any) -> bool:
    """Say whether `Scene.add` has a way to draw a result without being told more."""
    return isinstance(result, Layer) or _way_of(result) is not None


def layers_of_result(scene: Scene, result: Any, options: Mapping[str, Any]) -> tuple[Layer, ...]:
    """Return the layers that show the result of a check or simulation, or what an option changes.

    Raises
    ------
    UsageError
        If nothing here can draw it.
    """
    from cim.results import Fields
    from cim.scenes.depth import depth_layer

    way = _way_of(result)
    if isinstance(result, Fields) and (way is None or (way is _flood and options)):
        return (depth_layer(scene.context, result, **options),)
    if way is None:
        msg = f"a {type(result).__name__} cannot be added to a scene; add the verdicts of a check, the fields of a simulation, or a Layer"
        raise UsageError(msg)
    made = way(scene, result, **options)
    return made if isinstance(made, tuple) else (made,)


def _way_of(result: Any) -> Callable[..., Layer | tuple[Layer, ...]] | None:
    """Return what draws a result, None where nothing does."""
    from cim.results import Comparison, Fields, Verdicts
    from cim.scenes import reach, traffic, traffic_roads
    from cim.scenes.verdicts import verdict_layer
    from cim.scenes.water import changes_with_time

    if isinstance(result, Verdicts):
        return verdict_layer
    if isinstance(result, Comparison):
        return traffic.difference_layer if "link" in _columns(result, "links") else None
    if not isinstance(result, Fields):
        return None
    ways: tuple[tuple[Callable[[Fields], bool], Callable[..., Layer | tuple[Layer, ...]]], ...] = (
        (changes_with_time, _flood),
        (traffic_roads.is_road_state, traffic_roads.road_state_layer),
        (reach.is_reach, reach.reach_layers),
        (traffic.is_traffic, traffic.traffic_layer),
        (lambda one: "water_depth" in one.dataset, _depth),
    )
    return next((draw for knows, draw in ways if knows(result)), None)


def _columns(result: Comparison, table: str) -> list[str]:
    return result.tables[table].column_names if table in result.tables else []


def _flood(scene: Scene, result: Fields) -> Layer:
    from cim.scenes.water import flood_layer

    return flood_layer(scene.context, result)


def _depth(scene: Scene, result: Fields, **options: Any) -> Layer:
    from cim.scenes.depth import depth_layer

    return depth_layer(scene.context, result, **options)
