"""The OSGB reader: oblique-photography meshes of OpenSceneGraph, one object per tile, placed by ``metadata.xml``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.errors import CorruptFileError, InputError, UnsafeInputError
from cim.loaders.mesh.assemble import TYPE, Looks, add_georeference, add_mesh
from cim.loaders.mesh.mesh import Mesh, Remark, join
from cim.loaders.mesh.place import Placed, Reference, place, reference_beside
from cim.loaders.mesh.reader import local_doubts
from cim.loaders.osgb.convert import MAGIC, converter, mesh_of
from cim.loaders.osgb.levels import Tile, root_files, tile_of
from cim.loaders.protocol import Description, LayerInfo, ReadOptions

if TYPE_CHECKING:
    from cim.model import City

__all__ = ["READER", "OsgbReader"]


class OsgbReader:
    """Reads a ``.osgb`` file, or a folder with ``metadata.xml`` and ``Data/Tile_*``, through the program ``osgconv``."""

    name = "osgb"
    priority = 40
    imports = ("cim.loaders.mesh.assemble", "lxml.etree", "cim.model")

    def recognises(self, head: bytes, path: Path) -> bool:
        """Return whether this is an OSGB file, or a folder of tiles."""
        if path.is_file():
            return head.startswith(MAGIC)
        try:
            return bool(root_files(path)) and not (path / "tileset.json").exists()
        except InputError:
            return False

    def read(self, path: Path, options: ReadOptions) -> City:
        """Return a city of one object per tile; see `cim.loaders.protocol.Reader`."""
        return _read(path, options)

    def describe(self, path: Path, options: ReadOptions) -> Description:
        """Return the tiles, and what metadata.xml says."""
        reference = _reference(path, options)
        layers = tuple(LayerInfo(one.stem, None, "mesh", reference.crs, guess=TYPE) for one in root_files(path)[:1000])
        suspicions = () if reference.crs or reference.enu else ("no metadata.xml names a coordinate reference system",)
        return Description("OSGB", layers, suspicions=suspicions, whole=True)


READER = OsgbReader()


def _reference(path: Path, options: ReadOptions) -> Reference:
    return reference_beside(path, options)


def _read(path: Path, options: ReadOptions) -> City:
    converter()
    tiles, meshes, said = [], [], []
    for root in root_files(path):
        try:
            tile = tile_of(root, options.limits)
            mesh = _tile_mesh(tile, options)
        except UnsafeInputError:
            raise
        except InputError as error:
            if root == path:
                raise
            said.append(Remark("rejected", "warning", f"tile {root.stem} cannot be read: it {error.reason}"))
            continue
        if len(mesh.size):
            tiles.append(tile)
            meshes.append(mesh)
    if not meshes:
        why = "; ".join(one.message for one in said)
        raise CorruptFileError(path, "holds no faces that can be read" + (f" ({why})" if why else ""), "export it again")
    mesh = _of_tiles(meshes, tiles)
    placed = place(mesh.points, _reference(path, options), options, path)
    said += [*placed.said, *local_doubts(placed, options, path)]
    mesh = replace(mesh.moved(placed.points), said=tuple(_headed([*said, *mesh.said], path.name)))
    return _city(mesh, tiles, placed, path, options)


def _tile_mesh(tile: Tile, options: ReadOptions) -> Mesh:
    """Return the finest files of a tile as one part."""
    mesh = join([mesh_of(path, names, options.limits) for path, names in tile.files])
    said = [replace(one, message=f"{tile.name}: {one.message}", part=None) for one in (*tile.said, *mesh.said)]
    if tile.missing:
        text = f"{tile.name}: {len(tile.missing)} finer levels are not there ({', '.join(tile.missing[:3])}); a coarser one is used"
        said.append(Remark("lost", "warning", text, len(tile.missing)))
    return replace(mesh, part=np.zeros(len(mesh.size), np.int64), names=(tile.name,), attributes={}, said=tuple(said))


def _of_tiles(meshes: list[Mesh], tiles: list[Tile]) -> Mesh:
    columns: dict[str, list[int | None]] = {
        "level": [tile.level for tile in tiles],
        "files": [len(tile.files) for tile in tiles],
        "missing_levels": [len(tile.missing) for tile in tiles],
    }
    mesh = join(meshes)
    coarser = sum(tile.coarser for tile in tiles)
    said = [Remark("assumed", "info", "coordinates are taken in metres, the third axis up, as the tools that write OSGB have it")]
    if coarser:
        said.append(Remark("assumed", "info", f"{coarser} coarser files are replaced by finer ones", coarser))
    return replace(mesh, attributes=columns).noting(*said)


def _headed(said: list[Remark], name: str) -> list[Remark]:
    return [replace(one, message=f"{name}: {one.message}") for one in said]


def _city(mesh: Mesh, tiles: list[Tile], placed: Placed, path: Path, options: ReadOptions) -> City:
    from cim.loaders.source import source_record
    from cim.model import CityBuilder

    name = options.name or path.stem
    builder = CityBuilder(placed.crs, name=name)
    vertical = placed.crs.vertical
    record = source_record(
        path, reader="osgb", format="OSGB", declared_crs=placed.declared, used_crs=placed.crs.to_string(),
        used_vertical=None if vertical is None else str(vertical.name), pipeline=placed.pipeline, accuracy=placed.accuracy,
        shown=options.extra.get("_shown"), records_in=len(tiles), rejected=0,
    )  # fmt: skip
    source = builder.add_source(record)
    keys = add_mesh(builder, mesh, [tile.name for tile in tiles], source=source, looks=Looks.none())
    add_georeference(builder, int(keys[0]), placed.evidence)
    return builder.build()
