"""IFC building models: objects with property sets, shapes, place, and what they are from outside."""

from __future__ import annotations

from cim.loaders.ifc.read import IFCReader

__all__ = ["READER", "IFCReader"]

READER = IFCReader()
