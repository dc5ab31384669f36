"""What writing an IFC file takes: objects with GlobalIds that never change, placements, extruded shapes and their colours."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

__all__ = ["MM", "Author", "box_of", "can_write", "global_id", "outline", "painted", "shape_of", "swept"]

MM = 1000.0
"""Units of the file in a metre."""
_COLOURS = {
    "outer wall": (0.90, 0.87, 0.81), "inner wall": (0.95, 0.94, 0.92), "floor": (0.78, 0.77, 0.74), "roof": (0.72, 0.71, 0.69),
    "duct": (0.55, 0.62, 0.68), "stair": (0.70, 0.66, 0.60),
}  # fmt: skip


def can_write() -> bool:
    """Return whether ifcopenshell is installed."""
    from importlib.util import find_spec

    return find_spec("ifcopenshell") is not None


def global_id(what: str) -> str:
    """Return the GlobalId of a thing, the same every time."""
    import ifcopenshell.guid

    return str(ifcopenshell.guid.compress(hashlib.md5(f"sanhe office/{what}".encode(), usedforsecurity=False).hexdigest()))


@dataclass
class Author:
    """The file being written and what every product of it needs."""

    file: Any
    history: Any
    body: Any
    origin: Any
    """Axes at the origin."""
    maps: dict[tuple[str, float, float], Any]
    """Shapes of doors and windows that are used many times."""
    elements: dict[str, list[Any]]
    """Name of a property set -> products that have it."""
    styles: dict[str, Any]
    """Name of a colour -> style."""

    def make(self, entity: str, what: str, *values: Any, **named: Any) -> Any:
        """Return a new object with a GlobalId that follows from `what`."""
        return self.file.create_entity(entity, global_id(f"{entity}/{what}"), self.history, *values, **named)

    def point(self, *values: float) -> Any:
        """Return a point given in metres."""
        return self.file.createIfcCartesianPoint([round(value * MM, 3) for value in values])

    def place(self, above: Any, x: float, y: float, z: float = 0.0, *, turned: bool = False) -> Any:
        """Return a placement inside another, turned by a quarter where `turned`."""
        ahead = self.file.createIfcDirection((0.0, 1.0, 0.0)) if turned else None
        axis = self.file.createIfcDirection((0.0, 0.0, 1.0)) if turned else None
        return self.file.createIfcLocalPlacement(above, self.file.createIfcAxis2Placement3D(self.point(x, y, z), axis, ahead))


def shape_of(model: Author, items: Sequence[Any], kind: str = "SweptSolid") -> Any:
    """Return the body of a product."""
    file = model.file
    return file.createIfcProductDefinitionShape(None, None, [file.createIfcShapeRepresentation(model.body, "Body", kind, list(items))])


def outline(model: Author, ring: Iterable[tuple[float, float]]) -> Any:
    """Return a closed line through the corners of a ring [m]."""
    points = [model.point(x, y) for x, y in ring]
    return model.file.createIfcPolyline([*points[:-1], points[0]] if len(points) > 3 else points)


def swept(model: Author, polygon: Any, height: float, base: float = 0.0) -> Any:
    """Return a polygon with holes, raised."""
    file = model.file
    outer = outline(model, polygon.exterior.coords)
    holes = [outline(model, ring.coords) for ring in polygon.interiors]
    profile = (
        file.createIfcArbitraryProfileDefWithVoids("AREA", None, outer, holes) if holes
        else file.createIfcArbitraryClosedProfileDef("AREA", None, outer)
    )  # fmt: skip
    up = file.createIfcDirection((0.0, 0.0, 1.0))
    at = model.origin if base == 0.0 else file.createIfcAxis2Placement3D(model.point(0.0, 0.0, base))
    return file.createIfcExtrudedAreaSolid(profile, at, up, round(height * MM, 3))


def painted(model: Author, item: Any, colour: str) -> Any:
    """Return an item with a colour of its own."""
    file = model.file
    if colour not in model.styles:
        rgb = file.createIfcColourRgb(None, *_COLOURS[colour])
        model.styles[colour] = file.createIfcSurfaceStyle(
            colour, "BOTH", [file.createIfcSurfaceStyleRendering(rgb, 0.0, None, None, None, None, None, None, "FLAT")]
        )
    file.createIfcStyledItem(item, [model.styles[colour]], None)
    return item


def box_of(model: Author, x: float, y: float, z: float, size: tuple[float, float, float]) -> Any:
    """Return a box from its lower corner."""
    import shapely

    return swept(model, shapely.box(x, y, x + size[0], y + size[1]), size[2], z)
