"""The demo district 三河 Sanhe: a made-up waterfront quarter whose source files, truth and planted defects are written by code."""

from __future__ import annotations

from cim.demo.score import Score, score
from cim.demo.show import Demo, build_demo
from cim.demo.sources import SEED, write_sources
from cim.demo.truth import DEFECTS, Defect, Truth

__all__ = ["DEFECTS", "SEED", "Defect", "Demo", "Score", "Truth", "build_demo", "score", "write_sources"]
