"""What every layer is built from: the city, the origin of the scene, the ground, and which classes belong to which layer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.scenes.ground import Ground

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from cim.model import City

    Keys = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = [
    "BUILDINGS",
    "CONSTRUCTIONS",
    "ELEMENTS",
    "INTERIOR",
    "OPENINGS",
    "ROADS",
    "SURFACES",
    "VEGETATION",
    "WATER",
    "Context",
    "Members",
    "context_of",
    "in_metres",
    "members",
    "texts",
]

SURFACES = ("MultiSurface", "CompositeSurface", "Solid", "MultiSolid", "CompositeSolid")
"""Types of geometry that have faces."""
ELEMENTS = ("BuildingConstructiveElement", "BridgeConstructiveElement", "TunnelConstructiveElement")
OPENINGS = frozenset({"Window", "Door", "WindowSurface", "DoorSurface"})
BUILDINGS = frozenset({"Building", "BuildingPart", "BuildingInstallation", "BuildingConstructiveElement"})
INTERIOR = frozenset(
    {
        "BuildingStorey",
        "BuildingUnit",
        "BuildingRoom",
        "BuildingFurniture",
        "BridgeRoom",
        "BridgeFurniture",
        "TunnelHollowSpace",
        "TunnelFurniture",
    }
)
"""Not drawn: the walls of the building hide them."""
CONSTRUCTIONS = frozenset(
    {"OtherConstruction", "Bridge", "BridgePart", "BridgeInstallation", "BridgeConstructiveElement",
     "Tunnel", "TunnelPart", "TunnelInstallation", "TunnelConstructiveElement"}
)  # fmt: skip
ROADS = frozenset(
    {"Road", "Railway", "Square", "Track", "Section", "Intersection", "TrafficSpace", "AuxiliaryTrafficSpace", "TrafficArea",
     "AuxiliaryTrafficArea", "TransportationMarking"}
)  # fmt: skip
WATER = frozenset({"WaterBody", "WaterSurface", "Waterway"})
VEGETATION = frozenset({"PlantCover"})


@dataclass(frozen=True)
class Context:
    """What the builders of layers share."""

    city: City
    origin: Reals
    """Shape (3,): absolute position of the point (0, 0, 0) of the scene [m]."""
    ground: Ground
    language: str = "en"


@dataclass(frozen=True)
class Members:
    """The objects of one layer, row by row."""

    keys: Keys
    """Shape (n,), ascending."""
    ids: NDArray[np.object_]
    """Shape (n,)."""
    types: NDArray[np.object_]
    """Shape (n,)."""
    shapes: NDArray[np.object_]
    """Shape (n,): footprints relative to the origin of the scene, None where there is none."""
    z_ground: Reals
    """Shape (n,), NaN where unknown [m]."""
    z_roof: Reals
    """Shape (n,), NaN where unknown [m]."""

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.keys)


def in_metres(city: City) -> City:
    """Return a city in degrees in the UTM zone of its middle, for drawing; a city in a plane as it is."""
    if city.crs.is_projected:
        return city
    from cim.crs import parse
    from cim.model.reproject import to_crs

    west, south, east, north = city.bounds
    if not np.isfinite([west, south, east, north]).all():
        return city
    zone = int(np.clip((west + east) / 2 // 6 + 31, 1, 60))
    plane = parse(f"EPSG:{(32600 if south + north >= 0 else 32700) + zone}")
    return to_crs(city, replace(plane, vertical=city.crs.vertical))


def context_of(city: City, language: str = "en") -> Context:
    """Return what the layers of a city are built from; the origin is the middle of its extent."""
    from cim.scenes.ground import ground_of

    west, south, east, north = city.bounds
    middle = [(west + east) / 2, (south + north) / 2] if np.isfinite([west, south, east, north]).all() else city.origin[:2]
    origin = np.array([*np.floor(middle), 0.0])
    return Context(city, origin, ground_of(city, origin, level=_street_level(city)), language)


def _street_level(city: City) -> float:
    """Return the height most things stand on: the median of known ground heights, else of the lowest points, else 0."""
    objects = city.tables.scan("objects", ["z_ground", "bbox"])
    for column in (objects["z_ground"], pc.struct_field(objects["bbox"], "zmin")):
        known = np.asarray(pc.drop_null(column).to_numpy(), float)
        known = known[np.isfinite(known)]
        if len(known):
            return float(np.median(known))
    return 0.0


def members(context: Context, types: Iterable[str], keys: Keys | None = None) -> Members:
    """Return the objects of some classes, only these `keys` if given; footprints are moved to the origin of the scene."""
    import shapely

    table = context.city.tables.scan(
        "objects", ["key", "id", "type", "footprint", "z_ground", "z_roof"], pc.field("type").isin(pa.array(sorted(types), pa.string()))
    )
    if keys is not None:
        table = table.filter(pc.is_in(table["key"], pa.array(keys, pa.int64())))
    shapes = shapely.from_wkb(np.asarray(table["footprint"].to_pylist(), object)) if table.num_rows else np.empty(0, object)
    moved = shapely.transform(_single_kind(shapes), lambda xy: xy - context.origin[:2])
    return Members(
        np.asarray(table["key"].to_numpy(), np.int64), texts(table["id"]), texts(table["type"]), np.asarray(moved, object),
        _reals(table["z_ground"]), _reals(table["z_roof"]),
    )  # fmt: skip


def _single_kind(shapes: NDArray[np.object_]) -> NDArray[np.object_]:
    """Return shapes with each mixed collection reduced to its areas; to its lines or points where it has no area."""
    import shapely

    mixed = np.flatnonzero(shapely.get_type_id(shapes) == 7)
    if not len(mixed):
        return shapes
    parts, owner = shapely.get_parts(shapes[mixed], return_index=True)
    parts, inner = shapely.get_parts(parts, return_index=True)
    owner = owner[inner]
    dimension = shapely.get_dimensions(parts)
    most = np.full(len(mixed), -1)
    np.maximum.at(most, owner, dimension)
    kept = dimension == most[owner]
    found = shapes.copy()
    for kind, build in ((2, shapely.multipolygons), (1, shapely.multilinestrings), (0, shapely.multipoints)):
        mine = kept & (most[owner] == kind)
        if mine.any():
            rows, place = np.unique(owner[mine], return_inverse=True)
            found[mixed[rows]] = build(parts[mine], indices=place)
    return found


def texts(column: pa.ChunkedArray) -> NDArray[np.object_]:
    """Return a text column as an array of str."""
    return np.asarray(column.to_pylist(), object)


def _reals(column: pa.ChunkedArray) -> Reals:
    return np.asarray(column.to_numpy(), float).copy()


def values_of(city: City, keys: Keys, types: NDArray[np.object_], name: str) -> tuple[list[Any], str]:
    """Return a core column or attribute of objects of several classes, None where there is none, and its unit.

    Raises
    ------
    ObjectNotFoundError
        If no class of the objects has it.
    """
    from cim.errors import ObjectNotFoundError
    from cim.model.schema import SCHEMAS

    found: list[Any] = [None] * len(keys)
    unit, known = "", set[str]()
    hit = False
    for type in sorted(set(types.tolist())):
        names = set(city.attributes.schema(type).names) - {"object"}
        known |= names
        if name not in names and name not in SCHEMAS["objects"].names:
            continue
        hit = True
        mine = np.flatnonzero(types == type)
        for place, value in zip(mine.tolist(), city.column(type, name, keys[mine]).to_pylist(), strict=True):
            found[place] = value
        unit = unit or city.unit(type, name)
    if not hit:
        msg = f"no object of the layer has {name!r}; there are {', '.join(sorted(known | {'z_ground', 'z_roof', 'cim_level'}))}"
        raise ObjectNotFoundError(msg)
    return found, unit
