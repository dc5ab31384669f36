"""What every verb of a change shares: the step, shapes and instants as a file may state them, and taking objects away."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow.compute as pc
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from cim.errors import CRSError, ObjectNotFoundError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cim.model import City, CityBuilder, CityObject

    Keys = NDArray[np.int64]

__all__ = [
    "Area",
    "Instant",
    "Path",
    "Step",
    "instant_utc",
    "named",
    "object_of_type",
    "planned",
    "refuse_taken",
    "require_metres",
    "with_added",
    "with_parts",
    "without",
]


class Step(BaseModel):
    """One step of a change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1, description="id of the object")

    @abstractmethod
    def apply(self, city: City, method: str) -> City:
        """Return the city after this step; `method` stands in the claims that it makes.

        Raises
        ------
        ObjectNotFoundError
            If the step is for an object that is not there; the message names near ids.
        UsageError
            If the object is of another type, or the step makes no sense for it.
        """


def _wkt(value: Any, least: int, make: str) -> Any:
    """Return shapes and lists of points as WKT; anything else is left to the next validator."""
    import shapely

    if isinstance(value, shapely.Geometry):
        return shapely.to_wkt(value, rounding_precision=-1)
    if isinstance(value, list | tuple | np.ndarray) and len(value) >= least:
        try:
            points = np.asarray(value, float)
        except (TypeError, ValueError):
            points = np.empty(0)
        if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
            msg = "points are no list of pairs [[x, y], …] of finite numbers"
            raise ValueError(msg)
        return shapely.to_wkt(getattr(shapely, make)(points), rounding_precision=-1)
    return value


def _shape(value: str) -> Any:
    import shapely

    try:
        return shapely.from_wkt(value)
    except shapely.errors.GEOSException as error:
        msg = f"is no WKT: {error}"
        raise ValueError(msg) from error


def _polygon(value: str) -> str:
    shape = _shape(value)
    if shape.geom_type not in {"Polygon", "MultiPolygon"} or not shape.is_valid or not shape.area > 0:
        kind = f"{'valid' if shape.is_valid else 'self-crossing'} {shape.geom_type}"
        msg = f"is a {kind} of {shape.area:g} m²; expected a polygon with an area"
        raise ValueError(msg)
    return value


def _line(value: str) -> str:
    shape = _shape(value)
    if shape.geom_type != "LineString" or not shape.length > 0:
        msg = f"is a {shape.geom_type} of {shape.length:g} m; expected a line with a length"
        raise ValueError(msg)
    return value


def _instant(value: Any) -> str:
    """Return an instant as ISO text; one without zone stays without, and is taken in the zone of the city."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError as error:
            msg = f"{value!r} is no instant such as 2026-07-01T07:30:00Z"
            raise ValueError(msg) from error
    if not isinstance(value, datetime):
        msg = f"{value!r} is no instant such as 2026-07-01T07:30:00Z"
        raise ValueError(msg)
    text = value.astimezone(UTC).isoformat() if value.tzinfo is not None else value.isoformat()
    return text.replace("+00:00", "Z")


Area = Annotated[str, BeforeValidator(lambda value: _wkt(value, 3, "Polygon")), AfterValidator(_polygon)]
"""A polygon as shapely geometry, WKT or points [[x, y], …], kept as WKT."""
Path = Annotated[str, BeforeValidator(lambda value: _wkt(value, 2, "LineString")), AfterValidator(_line)]
"""A line as shapely geometry, WKT or points [[x, y], …], kept as WKT."""
Instant = Annotated[str, BeforeValidator(_instant)]
"""An instant as datetime or ISO text, kept as text: in UTC, or without zone for the zone of the city."""


def instant_utc(text: str, city: City) -> str:
    """Return an `Instant` in UTC; one without zone is taken in the zone of the city."""
    from zoneinfo import ZoneInfo

    at = datetime.fromisoformat(text)
    at = at if at.tzinfo is not None else at.replace(tzinfo=ZoneInfo(city.time_zone))
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def require_metres(city: City, what: str) -> None:
    """Refuse a city whose east and north are no metres, in which `what` cannot be done.

    Raises
    ------
    CRSError
        If its system is geographic or counts in feet.
    """
    if not city.crs.is_projected or (not city.crs.is_local and city.crs.linear_unit_factor != 1.0):
        reason = f"{what} needs metres, the city is in {city.crs.to_string()}"
        raise CRSError(city.name or "city", reason, "bring it to a projected system first")


def refuse_taken(city: City, id: str) -> None:
    """Refuse the id of a new object that another has.

    Raises
    ------
    UsageError
        If it is taken.
    """
    if id in city:
        msg = f"the id {id!r} is taken by a {city[id].type}; choose another"
        raise UsageError(msg)


def object_of_type(city: City, id: str, types: Sequence[str], expected: str) -> CityObject:
    """Return an object that must be of one of some types.

    Raises
    ------
    ObjectNotFoundError
        If it is not there; the message names near ids, and the ids of those whose name it is.
    UsageError
        If it is of another type: `expected` says in words what it should be.
    """
    try:
        view = city[id]
    except ObjectNotFoundError as error:
        mine = (pc.field("name") == id) & pc.field("type").isin(list(types))
        ids = city.tables.scan("objects", ["id"], mine)["id"].to_pylist()
        have = "1 object has" if len(ids) == 1 else f"{len(ids)} objects have"
        raise ObjectNotFoundError(f"{error}; {have} that name: {named(ids)}" if ids else str(error)) from None
    if view.type not in types:
        msg = f"{id!r} is a {view.type}, expected {expected}"
        raise UsageError(msg)
    return view


def with_parts(city: City, id: str) -> Keys:
    """Return the keys of an object, which comes first, and of all that is part of it."""
    return np.array([city[id].key, *(part.key for part in city.children(id))], np.int64)


def named(ids: Sequence[str], most: int = 5) -> str:
    """Return the first ids and how many more there are.

    Examples
    --------
    >>> named(["b1", "b2", "b3"], 2)
    'b1, b2 and 1 more'
    """
    return ", ".join(ids[:most]) + (f" and {len(ids) - most} more" if len(ids) > most else "")


def planned(city: City, method: str) -> tuple[CityBuilder, int]:
    """Return a builder of what a change adds to a city, and the source that it states: the change."""
    from cim.model import CityBuilder, SourceRecord

    builder = CityBuilder(city.crs, time_zone=city.time_zone, origin=city.origin)
    record = SourceRecord(method, reader="change", format="change", used_crs=city.crs.to_string(), records_in=1)
    return builder, builder.add_source(record)


def with_added(city: City, added: City) -> City:
    """Return the city with the objects of another, its name and what else is known of it as they were."""
    from cim.model import concat

    return replace(concat([city, added], name=city.name), extra=city.extra)


def without(city: City, id: str, method: str, gone: Sequence[int] | Keys) -> City:
    """Return the city without some objects (the first is `id`, the rest its parts), said in an issue."""
    kept = city.subset(np.setdiff1d(np.asarray(city.tables["objects"]["key"].to_numpy(), np.int64), np.asarray(gone, np.int64)))
    message = f"{method}: {id!r} was removed with {len(gone) - 1} parts"
    return replace(kept, extra=city.extra).with_issues([{"code": "assumed", "severity": "info", "record": id, "message": message}])
