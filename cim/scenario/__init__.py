"""What may change and what shall be run: `Change` as a value, and the scenario file.

======================  =========================================================================
``change``              `Change`: named steps that applied to a city give a new one
``steps``               the verbs: raise, remove and add a building
``raising``             a building raised with its parts and what stands on its roof
``edit``                values with claims, boxes and geometry, as the steps need them
``file``                `read_scenario`, `validate`: TOML with every fault named
``template``            `template`: a commented file to start from
======================  =========================================================================
"""

from __future__ import annotations

from cim.scenario.change import Change
from cim.scenario.file import Fault, Scenario, read_scenario, validate
from cim.scenario.template import kinds, template

__all__ = ["Change", "Fault", "Scenario", "kinds", "read_scenario", "template", "validate"]
