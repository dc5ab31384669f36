"""The demo district 三河 Sanhe: a made-up waterfront quarter whose source files, truth and planted defects are written by code."""

from __future__ import annotations

from cim.demo.sources import SEED, write_sources
from cim.demo.truth import DEFECTS, Defect, Truth

__all__ = ["DEFECTS", "SEED", "Defect", "Truth", "write_sources"]
