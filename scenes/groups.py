"""Which objects of classes without a layer of their own go where: to meshes, to bodies, to pipes and wells, or to what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.scenes.context import BUILDINGS, CONSTRUCTIONS, INTERIOR, OPENINGS, ROADS, SURFACES, VEGETATION, WATER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.scenes.context import Context

    Keys = NDArray[np.int64]

__all__ = ["DRAWN_ELSEWHERE", "PIPE_CODE", "Groups", "groups_of"]

DRAWN_ELSEWHERE = (
    BUILDINGS
    | CONSTRUCTIONS
    | ROADS
    | WATER
    | VEGETATION
    | INTERIOR
    | {
        "LandUse",
        "SolitaryVegetationObject",
        "ReliefFeature",
        "TINRelief",
        "RasterRelief",
        "MassPointRelief",
        "BreaklineRelief",
        "CityObjectGroup",
        "PointCloud",
        "Version",
        "VersionTransition",
    }
)
"""Classes with a layer of their own, and those that have no shape."""
PIPE_CODE = "010407"
"""CIM code of pipelines and utility tunnels."""
_PIPE_SIGNS = ("diameter", "section_height", "upstream_invert_level", "invert_level", "rim_level")
"""Attributes that only pipes and wells have."""
_MAYBE_PIPES = ("GenericOccupiedSpace", "GenericUnoccupiedSpace", "BuildingInstallation", "CityFurniture", "OtherConstruction")


@dataclass(frozen=True)
class Groups:
    """Keys of objects, each in one group only."""

    pipes: Keys
    meshes: Keys
    """Objects whose finest geometry is a photographed or scanned mesh."""
    openings: Keys
    """Windows and doors with a body."""
    bodies: Keys
    """Other objects with a body."""
    rest: tuple[str, ...]
    """Classes that any of them may belong to."""

    @property
    def all(self) -> Keys:
        """Keys of all groups."""
        return np.concatenate([self.pipes, self.meshes, self.openings, self.bodies])


def groups_of(context: Context) -> Groups:
    """Return which objects are pipes, meshes, windows and doors, or other bodies."""
    city = context.city
    rest = tuple(sorted(set(city.types()) - DRAWN_ELSEWHERE))
    objects = city.tables.scan(
        "objects", ["key", "id", "type", "cim_code"], pc.field("type").isin(pa.array([*rest, *_MAYBE_PIPES], pa.string()))
    )
    keys = np.asarray(objects["key"].to_numpy(), np.int64)
    types = np.array(objects["type"].to_pylist(), object)
    pipes = _pipes(context, keys, types, objects)
    mesh, body = _shaped(context, keys)
    free = ~pipes & np.isin(types, rest)
    opening = np.isin(types, sorted(OPENINGS))
    return Groups(keys[pipes], keys[free & mesh], keys[free & body & ~mesh & opening], keys[free & body & ~mesh & ~opening], rest)


def _pipes(context: Context, keys: Keys, types: NDArray[np.object_], objects: pa.Table) -> NDArray[np.bool_]:
    """Say which objects are pipes or wells: by their code, by a network that is none of traffic, or by what only pipes have."""
    city = context.city
    coded = np.asarray(pc.fill_null(pc.starts_with(objects["cim_code"], PIPE_CODE), fill_value=False).to_numpy(zero_copy_only=False), bool)
    links = city.tables.scan("links", ["object", "network", "from_node", "to_node"])
    traffic = pc.is_in(links["network"], pa.array(["road", "roads", "rail", "railway", "path", "waterway", "street", "traffic"]))
    links = links.filter(pc.invert(traffic))
    linked = np.isin(keys, np.asarray(links["object"].to_numpy(), np.int64))
    nodes = pa.chunked_array([*links["from_node"].chunks, *links["to_node"].chunks], pa.string())
    linked |= np.asarray(pc.is_in(objects["id"], nodes.combine_chunks()).to_numpy(), bool) if links.num_rows else False
    signed = np.zeros(len(keys), bool)
    for type in sorted(set(types.tolist()) & set(city.attributes)):
        names = set(city.attributes.schema(type).names) & set(_PIPE_SIGNS)
        mine = np.flatnonzero(types == type)
        for name in sorted(names):
            known = city.column(type, name, keys[mine]).is_valid().to_numpy()
            signed[mine] |= np.asarray(known, bool)
    return np.isin(types, _MAYBE_PIPES) & (coded | linked | (signed & np.isin(types, ("GenericOccupiedSpace", "GenericUnoccupiedSpace"))))


def _shaped(context: Context, keys: Keys) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Say which objects have a mesh, and which have faces beyond a footprint."""
    table = context.city.tables.scan("geometries", ["object", "lod", "role", "type", "template"])
    template = context.city.tables.scan("templates", ["key", "type"])
    at = pc.index_in(table["template"], template["key"].combine_chunks())
    kind = pc.coalesce(template["type"].combine_chunks().take(at.combine_chunks()), table["type"].combine_chunks())
    faces = pc.and_(pc.is_in(kind, pa.array(SURFACES)), pc.invert(pc.starts_with(table["lod"].combine_chunks(), "0")))
    faces = pc.and_(faces, pc.invert(pc.is_in(table["role"].combine_chunks(), pa.array(["footprint", "alternative"]))))
    # a level 1 surface is a plot or a pavement, which lies on the ground
    stands = pc.or_(pc.match_substring(kind, "Solid"), pc.invert(pc.starts_with(table["lod"].combine_chunks(), "1")))
    faces = pc.and_(faces, stands)
    owner = np.asarray(table["object"].to_numpy(), np.int64)
    usable = np.asarray(faces.to_numpy(zero_copy_only=False), bool)
    mesh = np.asarray(pc.equal(table["role"], "mesh").to_numpy(zero_copy_only=False), bool)
    return np.isin(keys, owner[usable & mesh]), np.isin(keys, owner[usable])
