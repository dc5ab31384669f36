"""3D Tiles: tilesets with b3dm and glTF contents become objects on the map, one per feature.

==============  =================================================
``tileset``     the tree of tiles, and which contents are taken
``b3dm``        the binary containers
``volume``      bounding volumes
``reader``      the reader behind the door
==============  =================================================
"""

from __future__ import annotations

from cim.loaders.tiles3d.reader import READER, Tiles3DReader

__all__ = ["READER", "Tiles3DReader"]
