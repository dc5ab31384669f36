"""OSGB: tiles of oblique-photography meshes, read through OpenSceneGraph's ``osgconv`` where it is installed.

==============  =====================================================
``convert``     one file through the converter, in bounds
``levels``      tiles, and the finest files of each that are there
``reader``      the reader behind the door
==============  =====================================================
"""

from __future__ import annotations

from cim.loaders.osgb.reader import READER, OsgbReader

__all__ = ["READER", "OsgbReader"]
