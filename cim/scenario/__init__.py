"""What may change and what shall be run: `Change` as a value, and the scenario file.

======================  =========================================================================
``change``              `Change`: named steps that applied to a city give a new one
``steps``               every verb; ``buildings``, ``moving``, ``roads``, ``ground``, ``pipes`` hold them, ``step`` what they share
``raising``             a building raised with its parts and what stands on its roof
``network``             where nodes lie, links cut in two, `closures`
``terrain_edits``       what changes have done to the terrain, put on a raster when it is read
``edit``                values with claims, boxes, footprints and geometry, as the steps need them
``file``                `read_scenario`, `validate`: TOML with every fault named
``axes``                `members`: the scenarios that the axes of an ensemble make
``faults``              faults with line and key
``template``            `template`: a commented file to start from
======================  =========================================================================
"""

from __future__ import annotations

from cim.scenario.axes import members
from cim.scenario.change import Change
from cim.scenario.file import Fault, Scenario, draft, read_scenario, validate
from cim.scenario.network import Closure, closures
from cim.scenario.template import kinds, template
from cim.scenario.terrain_edits import terrain_edits

__all__ = [
    "Change",
    "Closure",
    "Fault",
    "Scenario",
    "closures",
    "draft",
    "kinds",
    "members",
    "read_scenario",
    "template",
    "terrain_edits",
    "validate",
]
