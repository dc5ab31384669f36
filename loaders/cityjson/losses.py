"""The loss report: what a city holds and a CityJSON file cannot, with counts, so that nothing is lost without a word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cim.model import City
    from cim.model.footprints import Places
    from cim.model.loss import Losses

__all__ = ["lost_places", "lost_tables", "lost_values"]


def lost_tables(city: City, losses: Losses) -> None:
    """Count the rows of tables that CityJSON has no place for."""
    tables = city.tables
    names = {"coverages": "coverages (rasters and point clouds of objects)", "links": "network links", "claims": "claims (who says what)"}
    names["matches"] = "matches of source records"
    for name, what in names.items():
        losses.add(what, tables.rows(name))
    if tables.rows("sources") > 1:
        losses.add("entries of the source catalogue", tables.rows("sources"), tables["sources"]["name"][0].as_py())
    relations = tables["relations"].group_by("predicate").aggregate([([], "count_all")]).to_pylist()
    for row in relations:
        if row["predicate"] not in ("contains", "partOf"):
            losses.add(f"relations {row['predicate']}", row["count_all"])
    objects = tables["objects"]
    for column, what in (("valid_from", "begin of validity"), ("valid_to", "end of validity"), ("grade", "data grade")):
        losses.add(what, len(objects) - objects[column].null_count)
    given = objects.filter(pc.fill_null(pc.equal(objects["level_scheme"], "source"), fill_value=False))
    losses.add("CIM level given by the source", given.num_rows)
    for row in tables["issues"].filter(pc.field("code") == "lost").to_pylist():
        losses.add(f"in reading: {row['message']}", row["count"])
    if city.time_zone != "UTC":
        losses.add("time zone", 1, city.time_zone)


def lost_values(city: City, attributes: Mapping[int, Mapping[str, Any]], losses: Losses) -> None:
    """Count identifiers that stand neither in the id nor in an attribute, and properties of other formats."""
    rows = city.tables["identifiers"].to_pylist()
    ids = dict(zip(city.tables["objects"]["key"].to_pylist(), city.tables["objects"]["id"].to_pylist(), strict=True)) if rows else {}
    for row in rows:
        written = map(str, attributes.get(row["object"], {}).values())
        if row["value"] != ids.get(row["object"]) and row["value"] not in written:
            losses.add(f"identifiers of scheme {row['scheme']}", 1, row["value"])
    sets = city.tables["properties"].group_by("set").aggregate([([], "count_all")]).to_pylist()
    for row in sets:
        if not str(row["set"]).startswith("cityjson."):
            losses.add(f"properties of the set {row['set']}", row["count_all"])


def lost_places(city: City, places: Places, losses: Losses) -> None:
    """Count footprints and heights that reading would not derive again from the geometry that is written."""
    import shapely

    objects = city.tables["objects"]
    ids = objects["id"]
    for name, again in (("z_ground", places.z_ground), ("z_roof", places.z_roof)):
        held = np.asarray(objects[name].to_numpy(), float)
        gone = np.flatnonzero(np.isfinite(held) & ~(np.abs(held - again) < _HEIGHT))
        if len(gone):
            losses.add(f"{name} that does not follow from the geometry", len(gone), ids[int(gone[0])].as_py())
    held = city.footprints()
    there = ~shapely.is_missing(held)
    again = places.footprint
    apart = np.abs(shapely.bounds(held) - shapely.bounds(again)).max(axis=1, initial=0.0)
    area = np.abs(shapely.area(held) - shapely.area(again))
    gone = np.flatnonzero(there & (shapely.is_missing(again) | ~(apart < _HEIGHT) | (area > _AREA * np.maximum(shapely.area(held), 1.0))))
    if len(gone):
        losses.add("2D footprint that does not follow from the geometry", len(gone), ids[int(gone[0])].as_py())


_HEIGHT = 0.002  # m: twice the millimetre that coordinates are written in
_AREA = 1e-4  # of the area: corners that move by a millimetre
