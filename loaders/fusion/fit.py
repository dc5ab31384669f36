"""A building without a place among known footprints: found by its shape, or honestly not found.

``fit_outline`` compares one outline with many footprints, ``place_by_footprints`` moves a whole model onto the one its building fits.
"""

from __future__ import annotations

from cim.loaders.fusion.fit_outline import Fit, fit_outline
from cim.loaders.fusion.fit_place import place_by_footprints

__all__ = ["Fit", "fit_outline", "place_by_footprints"]
