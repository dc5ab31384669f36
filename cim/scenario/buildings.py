"""Verbs for buildings: raise, remove and add one. Every step returns a new city."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field, PositiveFloat, model_validator

from cim.errors import UsageError
from cim.scenario.edit import Fact, add_claims, set_values
from cim.scenario.raising import raise_whole
from cim.scenario.step import Area, Step, object_of_type, planned, refuse_taken, with_added, with_parts, without

if TYPE_CHECKING:
    from cim.model import City, CityObject

__all__ = ["BUILDINGS", "AddBuilding", "RaiseBuilding", "RemoveBuilding", "building_of"]

BUILDINGS = ("Building", "BuildingPart", "BuildingConstructiveElement")


def building_of(city: City, id: str) -> CityObject:
    """Return a building, as `object_of_type`."""
    return object_of_type(city, id, BUILDINGS, "a Building")


class RaiseBuilding(Step):
    """Make a building higher or lower: roof, height and geometry move, the storeys stay unless they are given."""

    do: Literal["raise_building"] = "raise_building"
    by: float | None = Field(default=None, description="metres to add to the height, negative to lower")
    to: PositiveFloat | None = Field(default=None, description="new height above ground [m]")
    storeys: float | None = Field(default=None, ge=1, description="storeys above ground afterwards; left out: unchanged, and marked")

    @model_validator(mode="after")
    def _one_of_two(self) -> RaiseBuilding:
        if (self.by is None) == (self.to is None):
            msg = "give either by (metres to add) or to (new height in metres)"
            raise ValueError(msg)
        if self.by is not None and not np.isfinite(self.by):
            msg = f"by={self.by!r} is not a finite number of metres"
            raise ValueError(msg)
        return self

    def apply(self, city: City, method: str) -> City:
        """Return the city with the building at its new height.

        Raises
        ------
        UsageError
            If it is no building, its height is unknown, or it or a part of it would end below its ground or its eaves.
        """
        building = _building(city, self.id)
        delta = self._delta(building)
        changed = raise_whole(city, building.key, self.id, delta, method)
        return self._storeys(changed, building, delta, method)

    def _delta(self, building: _Building) -> float:
        if building.height is None:
            msg = f"{self.id!r} has neither z_ground and z_roof nor height, so it cannot be raised; add its height first"
            raise UsageError(msg)
        delta = float(self.by) if self.by is not None else float(self.to or 0.0) - building.height
        if building.height + delta <= 0:
            msg = f"{self.id!r} is {building.height:g} m high; changed by {delta:g} m nothing of it is left; use remove_building"
            raise UsageError(msg)
        return delta

    def _storeys(self, city: City, building: _Building, delta: float, method: str) -> City:
        """Set the storeys, or mark that they were left as they are."""
        if self.storeys is not None:
            fact = Fact(building.type, "storeys_above_ground", np.array([building.key]), np.array([self.storeys]))
            return add_claims(set_values(city, fact), city, fact, method)
        if building.storeys is None or delta == 0:
            return city
        message = f"{method}: the height of {self.id!r} changed by {delta:g} m, its {building.storeys:g} storeys did not; give storeys="
        return city.with_issues([{"code": "assumed", "object": building.key, "message": message}])


class RemoveBuilding(Step):
    """Take a building away, with its parts, storeys and rooms."""

    do: Literal["remove_building"] = "remove_building"

    def apply(self, city: City, method: str) -> City:
        """Return the city without the building and all that is part of it."""
        building_of(city, self.id)
        return without(city, self.id, method, with_parts(city, self.id))


class AddBuilding(Step):
    """Put up a new building as a block."""

    do: Literal["add_building"] = "add_building"
    footprint: Area = Field(description="polygon as WKT or as points [[x, y], …], in the coordinate system of the city")
    height: PositiveFloat = Field(description="height above ground [m]")
    storeys: float | None = Field(default=None, ge=1, description="storeys above ground")
    z_ground: float | None = Field(default=None, description="elevation of its ground [m]; left out: unknown, and no block is drawn")
    name: str | None = Field(default=None, description="name")
    type: Literal["Building"] = "Building"

    def apply(self, city: City, method: str) -> City:
        """Return the city with the building.

        Raises
        ------
        UsageError
            If the id is taken, or the city keeps heights or storeys in another unit.
        """
        refuse_taken(city, self.id)
        return with_added(city, self._alone(city, method))

    def _alone(self, city: City, method: str) -> City:
        """Return a city of this building only."""
        import shapely

        from cim.model import Column
        from cim.model.geometry import extrude

        shape = shapely.from_wkt(self.footprint)
        builder, source = planned(city, method)
        ground = None if self.z_ground is None else [self.z_ground]
        roof = None if self.z_ground is None else [self.z_ground + self.height]
        keys = builder.add_objects(
            "Building", [self.id], footprints=[shape], names=[self.name], z_ground=ground, z_roof=roof, grades=["planned"], source=source
        )
        columns = {"height": Column([self.height], unit="m")}
        if self.storeys is not None:
            columns["storeys_above_ground"] = Column([self.storeys], unit=_unit(city, "storeys_above_ground"))
        builder.add_attributes(keys, "Building", columns)
        builder.add_claims(keys, "height", [repr(self.height)], unit="m", source=source, method=method)
        if self.z_ground is None:
            message = f"{method}: {self.id!r} has no z_ground, so no block of it is drawn and its top is unknown"
            builder.add_issue("empty", message, object=int(keys[0]), source=source)
            return builder.build()
        block = extrude([shape], self.z_ground, self.z_ground + self.height)
        gkeys = builder.add_geometries(
            keys,
            lod="1",
            role="solid",
            type=block.type,
            vertices=block.vertices,
            boundaries=block.boundaries,
            semantics=block.semantics,
            source=source,
        )
        builder.add_surfaces(np.repeat(gkeys, 3), np.arange(3), list(block.SURFACES))
        return builder.build()


def _unit(city: City, name: str) -> str:
    known = "Building" in city.attributes and name in city.attributes.schema("Building").names
    return city.unit("Building", name) if known else ""


@dataclass(frozen=True)
class _Building:
    """What a step needs to know of a building."""

    key: int
    type: str
    height: float | None
    """z_roof - z_ground, else the attribute height [m]."""
    storeys: float | None


def _building(city: City, id: str) -> _Building:
    view = building_of(city, id)
    core, attributes = view.core, view.attributes
    rise = None if core["z_roof"] is None or core["z_ground"] is None else core["z_roof"] - core["z_ground"]
    stated = attributes.get("height")
    height = rise if rise is not None else float(stated) if isinstance(stated, int | float) and np.isfinite(stated) else None
    storeys = attributes.get("storeys_above_ground")
    return _Building(view.key, view.type, height, float(storeys) if isinstance(storeys, int | float) else None)
