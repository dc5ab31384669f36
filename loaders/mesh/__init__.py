"""Meshes: Wavefront OBJ, PLY, STL and glTF 2.0 become objects with their geometry, labels, materials and textures.

==================  =====================================================================
``mesh``            `Mesh`, plain arrays: what every format is read into
``text``            numbers out of text by the million
``obj``, ``mtl``    Wavefront OBJ and its materials
``ply``, ``stl``    PLY and STL, text and binary
``gltf``            glTF documents, buffers and accessors
``gltf_scene``      nodes, primitives, materials and features of a glTF document
``files``           files named by a mesh, opened only inside its folder
``place``           coordinate system and offset, from the caller or a file beside the mesh
``earth``           from the globe to a map
``topology``        closed or open, area, volume
``assemble``        from arrays to objects of a city
``reader``          the reader behind the door
==================  =====================================================================
"""

from __future__ import annotations

from cim.loaders.mesh.mesh import Image, Material, Mesh, Remark
from cim.loaders.mesh.reader import READER, MeshReader, read_mesh

__all__ = ["READER", "Image", "Material", "Mesh", "MeshReader", "Remark", "read_mesh"]
