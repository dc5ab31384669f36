"""单体化: an oblique mesh cut at the wall planes of footprints into one model per building, closed, textured, nothing lost.

`singulate` takes cities; `cut` underneath takes plain arrays.
"""

from __future__ import annotations

from cim.loaders.cutting.call import singulate
from cim.loaders.cutting.cut import Cut, cut
from cim.loaders.cutting.report import SingulationReport, singulation_report

__all__ = ["Cut", "SingulationReport", "cut", "singulate", "singulation_report"]
