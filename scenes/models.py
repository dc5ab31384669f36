"""Layers of bodies of any class: photographed meshes, windows and doors, and everything else that has a shape of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cim.scenes.groups import groups_of
from cim.scenes.layer import Layer, Text
from cim.scenes.solids import solid_layer

if TYPE_CHECKING:
    from cim.scenes.context import Context

__all__ = ["mesh_layer", "models_layer", "openings_layer"]


def mesh_layer(context: Context) -> tuple[Layer, ...]:
    """Return photographed and scanned meshes that belong to no class with a layer of its own."""
    groups = groups_of(context)
    return solid_layer(context, "mesh", Text("Mesh", "三维网格模型"), groups.rest, groups.meshes)


def openings_layer(context: Context) -> tuple[Layer, ...]:
    """Return windows and doors that are objects with a body."""
    groups = groups_of(context)
    return solid_layer(context, "openings", Text("Windows and doors", "门窗"), groups.rest, groups.openings)


def models_layer(context: Context) -> tuple[Layer, ...]:
    """Return other objects with a body, such as furniture of streets."""
    groups = groups_of(context)
    return solid_layer(context, "models", Text("3D objects", "三维实体"), groups.rest, groups.bodies)
