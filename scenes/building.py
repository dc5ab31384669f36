"""Which layers a city gives and which builder makes each; other packages add theirs by entry point ``cim.layers``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cim.errors import UsageError
from cim.scenes.solids import buildings_layer, constructions_layer
from cim.scenes.terrain import terrain_layer

if TYPE_CHECKING:
    from collections.abc import Callable

    from cim.scenes.context import Context
    from cim.scenes.layer import Layer
    from cim.scenes.scene import Scene

    Builder = Callable[[Context], Layer | None]

__all__ = ["BUILDERS", "base_layers", "layers_of_result"]

BUILDERS: dict[str, Builder] = {
    "terrain": lambda context: terrain_layer(context.ground),
    "buildings": buildings_layer,
    "constructions": constructions_layer,
}


def base_layers(context: Context) -> tuple[Layer, ...]:
    """Return the layers of a city, in the order they are drawn; a layer without objects is left out."""
    found = [build(context) for build in BUILDERS.values()]
    return tuple(layer for layer in found if layer is not None)


def layers_of_result(scene: Scene, result: Any) -> tuple[Layer, ...]:
    raise UsageError("x")
