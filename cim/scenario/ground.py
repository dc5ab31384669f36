"""Verbs for the ground: change terrain and land use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat, model_validator

from cim.model.numeric import number_column
from cim.scenario.edit import Fact, add_claims, set_footprints, set_values
from cim.scenario.step import Area, Step, named, object_of_type, planned, refuse_taken, require_metres, with_added, without
from cim.scenario.terrain_edits import COLUMNS, terrain_edits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.model import City

__all__ = ["ChangeLandUse", "ChangeTerrain"]

_LEAST_AREA = 0.01
"""Land use that shares less than this with the area [m²] only grazes it."""
_ON_THE_GROUND = ("Building", "BuildingPart", "Road", "Railway", "Track", "Square", "CityFurniture", "SolitaryVegetationObject")


class ChangeTerrain(Step):
    """Raise or lower the ground in an area, or bring it to an elevation: embankment 填方, excavation 挖方, basin, dyke."""

    do: Literal["change_terrain"] = "change_terrain"
    id: str = Field(min_length=1, description="id of the edit, an object of its own; new in the city")
    area: Area = Field(description="polygon as WKT or as points [[x, y], …], in the coordinate system of the city")
    by: float | None = Field(default=None, allow_inf_nan=False, description="metres to add to the ground, negative to dig")
    to: float | None = Field(default=None, allow_inf_nan=False, description="elevation of the ground [m], in the height system of the city")
    slope: PositiveFloat | None = Field(
        default=None, allow_inf_nan=False,
        description="rise over run of the sides, which lie outside the area (0.5 is 1 : 2); left out: vertical sides",
    )  # fmt: skip
    only: Literal["fill", "cut"] | None = Field(default=None, description='"fill": ground is only raised; "cut": only lowered')
    name: str | None = Field(default=None, description="name")

    @model_validator(mode="after")
    def _one_of_two(self) -> ChangeTerrain:
        if (self.by is None) == (self.to is None):
            msg = "give either by (metres to add) or to (an elevation in metres)"
            raise ValueError(msg)
        if self.by == 0:
            msg = "by=0 changes nothing"
            raise ValueError(msg)
        return self

    def apply(self, city: City, method: str) -> City:
        """Return the city with the edit; rasters of the terrain stay as they are, `cim.sim.terrain.read_terrain` puts it on.

        Raises
        ------
        UsageError
            If the id is taken.
        CRSError
            If the city does not count in metres.
        """
        import shapely

        require_metres(city, "changing the terrain")
        refuse_taken(city, self.id)
        area = shapely.from_wkt(self.area)
        joined = with_added(city, self._alone(city, area, method))
        return joined.with_issues(_stand_on(joined, area, self.id, method))

    def _alone(self, city: City, area: Any, method: str) -> City:
        """Return a city of this edit only."""
        from cim.model import Column

        builder, source = planned(city, method)
        keys = builder.add_objects("ReliefFeature", [self.id], footprints=[area], names=[self.name], grades=["planned"], source=source)
        kind, value = ("by", self.by) if self.by is not None else ("to", self.to)
        values = dict(zip(COLUMNS, (kind, value, self.slope, self.only, len(terrain_edits(city))), strict=True))
        builder.add_attributes(keys, "ReliefFeature", {
            name: Column([one], unit="m" if name == COLUMNS[1] else "") for name, one in values.items() if one is not None
        })  # fmt: skip
        return self._with_all(builder, keys, values, method, source)

    @staticmethod
    def _with_all(builder: Any, keys: Any, values: dict[str, Any], method: str, source: int) -> City:
        """Return the city with a claim, and with the columns that have no value."""
        import pyarrow as pa

        builder.add_claims(keys, COLUMNS[1], [repr(values[COLUMNS[1]])], unit="m", source=source, method=method)
        city: City = builder.build()
        table = city.attributes["ReliefFeature"]
        for name, kind in ((COLUMNS[2], pa.float64()), (COLUMNS[3], pa.string())):
            if name not in table.column_names:
                table = table.append_column(pa.field(name, kind), pa.nulls(table.num_rows, kind))
        return city.replace_tables(attributes={"ReliefFeature": table})


def _stand_on(city: City, area: Any, id: str, method: str) -> list[dict[str, Any]]:
    """Return an issue that counts what stands on changed ground and was not moved."""
    import shapely

    keys = city.keys(bbox=area.bounds)
    types = np.asarray(city.core_rows(["type"], keys)["type"].to_pylist(), object)
    keys = keys[np.isin(types, _ON_THE_GROUND)]
    ids = city.ids(keys[shapely.intersects(city.footprints(keys), area)])
    if not ids:
        return []
    message = f"{method}: {len(ids)} objects stand where {id!r} changes the ground and keep their elevations: {named(ids)}"
    return [{"code": "assumed", "object": int(city.key_of([id])[0]), "count": len(ids), "message": message}]


class ChangeLandUse(Step):
    """Give a plot another land use, or cut an area with a land use of its own out of the plots there."""

    do: Literal["change_land_use"] = "change_land_use"
    id: str = Field(min_length=1, description="id of the plot; with area: id of the new one")
    to: str = Field(min_length=1, description="land use in words, as the city names it")
    area: Area | None = Field(
        default=None, description="polygon as WKT or as points [[x, y], …]: becomes a plot of its own, cut out of those there"
    )
    code: str | None = Field(default=None, min_length=1, description="land use code by the plan's list; left out: not known any more")

    def apply(self, city: City, method: str) -> City:
        """Return the city with the other land use.

        Raises
        ------
        UsageError
            If it is no LandUse, or, with an area, the id is taken.
        CRSError
            If an area is given and the city does not count in metres.
        """
        return self._plot(city, method) if self.area is None else self._cut(city, method)

    def _plot(self, city: City, method: str) -> City:
        view = object_of_type(city, self.id, ("LandUse",), "a LandUse; give area= to cut out a new one")
        key = np.array([view.key], np.int64)
        fact = Fact("LandUse", "land_use", key, np.array([self.to], object))
        changed = add_claims(set_values(city, fact), city, fact, method)
        old = view.attributes.get("land_use_code")
        if self.code is None and old is None:
            return changed
        fact = Fact("LandUse", "land_use_code", key, np.array([self.code], object))
        changed = add_claims(set_values(changed, fact), city, fact, method)
        if self.code is not None:
            return changed
        message = f"{method}: the land use of {self.id!r} changed, its land_use_code {old!r} holds no more; give code="
        return changed.with_issues([{"code": "lost", "object": view.key, "message": message}])

    def _cut(self, city: City, method: str) -> City:
        """Return the city with the area as a plot of its own."""
        import shapely

        from cim.model import Column

        require_metres(city, "cutting a plot")
        refuse_taken(city, self.id)
        area = shapely.from_wkt(self.area)
        changed, told = _without_area(city, area, self.id, method)
        builder, source = planned(city, method)
        keys = builder.add_objects("LandUse", [self.id], footprints=[area], grades=["planned"], source=source)
        columns = {"land_use": Column([self.to]), **({"land_use_code": Column([self.code])} if self.code is not None else {})}
        builder.add_attributes(keys, "LandUse", columns)
        builder.add_claims(keys, "land_use", [_json(self.to)], source=source, method=method)
        return with_added(changed, builder.build()).with_issues(told)


def _json(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)


def _without_area(city: City, area: Any, id: str, method: str) -> tuple[City, list[dict[str, Any]]]:
    """Return the city with the area cut out of its plots, and what to tell: plots under it go, others keep the rest and a new plot_area."""
    import shapely

    keys = city.keys("LandUse", bbox=area.bounds) if "LandUse" in city.attributes else np.empty(0, np.int64)
    shapes = shapely.make_valid(city.footprints(keys))
    hit = shapely.area(shapely.intersection(shapes, area)) > _LEAST_AREA
    keys, rest = keys[hit], shapely.difference(shapes[hit], area)
    gone = shapely.area(rest) <= _LEAST_AREA
    names = np.array(city.ids(keys), object)
    changed = _smaller(city, keys[~gone], _polygons(rest[~gone]), method)
    told = []
    if (~gone).any():
        whose = ", ".join(names[~gone])
        message = f"{method}: {id!r} was cut out of {whose}: limits stay as they were, drawn surfaces were dropped"
        told.append({"code": "assumed", "record": id, "count": int((~gone).sum()), "message": message})
    if not len(keys):
        told.append({"code": "unmatched", "severity": "info", "record": id, "message": f"{method}: no plot lay where {id!r} is now"})
    for key, name in zip(keys[gone].tolist(), names[gone].tolist(), strict=True):
        changed = without(changed, name, f"{method} (it lay under {id!r})", [key])
    return changed, told


def _polygons(shapes: NDArray[Any]) -> NDArray[Any]:
    """Return shapes without the lines and points that cutting may leave."""
    import shapely

    mixed = np.flatnonzero(shapely.get_type_id(shapes) == 7)
    for row in mixed.tolist():
        parts = shapely.get_parts(shapes[row])
        shapes[row] = shapely.union_all(parts[shapely.area(parts) > 0])
    return shapes


def _smaller(city: City, keys: NDArray[np.int64], shapes: NDArray[Any], method: str) -> City:
    """Return the city with cut plots: footprint and stated area follow, drawn surfaces, which no longer fit, go."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import shapely

    if not len(keys):
        return city
    drawn = city.tables["geometries"]
    kept = drawn.filter(pc.invert(pc.is_in(drawn["object"], pa.array(keys))))
    left = pa.concat_tables([kept.select(["key"]), city.tables["templates"].select(["key"])])["key"].combine_chunks()
    others = {name: city.tables[name].filter(pc.is_in(city.tables[name]["geometry"], left)) for name in ("surfaces", "appearances")}
    changed = set_footprints(city.replace_tables(geometries=kept, **others), keys, shapes)
    fact = Fact("", "footprint", keys, shapely.to_wkt(shapes).astype(object))
    changed = add_claims(changed, city, fact, method, old=shapely.to_wkt(city.footprints(keys)).tolist())
    known = np.isfinite(number_column(city, "LandUse", "plot_area", keys))
    if not known.any():
        return changed
    fact = Fact("LandUse", "plot_area", keys[known], shapely.area(shapes[known]))
    return add_claims(set_values(changed, fact), city, fact, method)
