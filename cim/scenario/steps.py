"""The verbs of a change, told apart by the word after ``do``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cim.scenario.buildings import AddBuilding, RaiseBuilding, RemoveBuilding
from cim.scenario.derived_links import DeriveRoadLinks
from cim.scenario.ground import ChangeLandUse, ChangeTerrain
from cim.scenario.moving import MoveBuilding
from cim.scenario.pipes import ChangePipe, RemovePipe
from cim.scenario.roads import AddRoad, CloseRoad, RemoveRoad
from cim.scenario.step import Step

__all__ = ["VERBS", "AnyStep", "Step"]

VERBS: tuple[type[Step], ...] = (
    RaiseBuilding, MoveBuilding, RemoveBuilding, AddBuilding, CloseRoad, AddRoad, RemoveRoad, ChangeTerrain, ChangeLandUse, ChangePipe,
    RemovePipe, DeriveRoadLinks,
)  # fmt: skip
"""Every verb, as the class of its step."""

AnyStep = Annotated[
    RaiseBuilding
    | MoveBuilding
    | RemoveBuilding
    | AddBuilding
    | CloseRoad
    | AddRoad
    | RemoveRoad
    | ChangeTerrain
    | ChangeLandUse
    | ChangePipe
    | RemovePipe
    | DeriveRoadLinks,
    Field(discriminator="do"),
]
"""Any step."""
