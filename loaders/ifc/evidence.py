"""What an IFC file says about its place, as plain values.

`gather` reads an opened model, `gather_header` the text of a file whose schema the library refuses. Judging what was found is
the work of `cim.loaders.ifc.georeference`; `record` writes its verdict into a city.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.ifc.geo_header import reduced_text
from cim.loaders.ifc.geo_psets import PropertyConversion, ZeroPoint, conversions_in_sets, number, zero_points
from cim.loaders.ifc.geo_record import record
from cim.loaders.ifc.geo_units import angle_unit, length_unit, named_unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["GeoFacts", "MapConversion", "RigidOperation", "SitePosition", "gather", "gather_header", "record"]

_SAMPLE = 256  # products whose placement is looked at: the extent has to be right to kilometres only
_POINTS = 4096
_NO_EXTENT = (math.nan,) * 6


@dataclass(frozen=True)
class MapConversion:
    """IfcMapConversion with its IfcProjectedCRS, or the property sets that stand for them in IFC2X3."""

    source: str
    """Such as "IfcMapConversion" or "ePSet_MapConversion"."""
    crs: str | None
    """Name of the coordinate system, as written."""
    easting: float
    northing: float
    height: float | None = None
    wkt: str | None = None
    vertical: str | None = None
    """Vertical datum, as written."""
    map_unit: float | None = None
    """Metres per unit of the map; None when the file does not say."""
    axis: tuple[float, float] | None = None
    """XAxisAbscissa, XAxisOrdinate: the local x axis in map coordinates."""
    scale: float | None = None
    factors: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """FactorX, FactorY, FactorZ of IfcMapConversionScaled."""


@dataclass(frozen=True)
class RigidOperation:
    """IfcRigidOperation: a shift into a coordinate system that may count in angles."""

    crs: str | None
    first: float
    second: float
    height: float | None
    is_angle: bool
    wkt: str | None = None
    unit: float | None = None
    """Radians or metres per unit; None when the file does not say."""
    height_unit: float | None = None
    vertical: str | None = None


@dataclass(frozen=True)
class SitePosition:
    """Latitude and longitude of an IfcSite, which hold at its placement."""

    name: str
    latitude: float
    """Degrees north."""
    longitude: float
    """Degrees east."""
    resolution: float
    """How far [m] the place may lie from the one meant, by the last digit that is written."""
    elevation: float | None
    """RefElevation, in length units of the file."""
    point: tuple[float, float, float]
    """Origin of the placement [m]."""
    address: str = ""
    """Postal address, as far as it is a placeholder."""


@dataclass(frozen=True)
class GeoFacts:
    """Everything in a file that bears on its place."""

    schema: str = ""
    """Schema as the file names it, such as "IFC4"."""
    unit: float = 1.0
    """Metres per length unit of the file."""
    unit_declared: bool = True
    """Whether the file states its length unit."""
    unit_name: str = "metre"
    conversions: tuple[MapConversion, ...] = ()
    rigid: tuple[RigidOperation, ...] = ()
    sites: tuple[SitePosition, ...] = ()
    zero_points: tuple[ZeroPoint, ...] = ()
    true_north: tuple[float, float] | None = None
    """Direction of north in the project's plane; None when the file does not say."""
    wcs: NDArray[np.float64] = field(default_factory=lambda: np.eye(4))
    """WorldCoordinateSystem of the model context [m], shape (4, 4)."""
    extent: tuple[float, ...] = _NO_EXTENT
    """xmin, ymin, zmin, xmax, ymax, zmax of the placements [m]; NaN without any."""
    raw_extent: tuple[float, ...] = _NO_EXTENT
    """The same of the points in the file, wherever they are placed [m]."""
    notes: tuple[str, ...] = ()
    """What cannot be used, one sentence each."""


def gather(model: Any) -> GeoFacts:
    """Return what an opened `ifcopenshell.file` says about its place.

    Reads a bounded number of placements and points and every property name; a thing that is broken becomes a note.
    """
    unit, declared, unit_name = length_unit(model)
    notes: list[str] = []
    context = _model_context(model)
    return GeoFacts(
        schema=str(getattr(model, "schema_identifier", "") or model.schema),
        unit=unit,
        unit_declared=declared,
        unit_name=unit_name,
        conversions=(*_conversions(model, notes), *_from_sets(conversions_in_sets(model))),
        rigid=tuple(_rigid(model, notes)),
        sites=tuple(_sites(model, unit, notes)),
        zero_points=zero_points(model, unit, notes),
        true_north=_true_north(context, notes),
        wcs=_axes(getattr(context, "WorldCoordinateSystem", None), unit),
        extent=_extent(model, unit),
        raw_extent=_raw_extent(model, unit),
        notes=tuple(notes),
    )


def gather_header(path: Path) -> GeoFacts | None:
    """Return what the text of a file says about its place, without its schema; None when nothing can be told.

    For a schema that the library refuses (IFC4X2): the few entities that bear on the place are the same in all schemas since
    IFC4, so their lines are read as if they were IFC4. Property sets and the extent are not looked at.
    """
    import ifcopenshell

    found = reduced_text(path)
    if found is None:
        return None
    schema, text = found
    try:
        facts = gather(ifcopenshell.file.from_string(text))
    except (RuntimeError, ValueError, AttributeError, TypeError, IndexError, ifcopenshell.Error):
        return None
    return GeoFacts(**{**vars(facts), "schema": schema})


def _all(model: Any, entity: str) -> list[Any]:
    """Return all instances of an entity, none when the schema does not know it."""
    try:
        return list(model.by_type(entity))
    except RuntimeError:
        return []


def _model_context(model: Any) -> Any:
    contexts = [one for one in _all(model, "IfcGeometricRepresentationContext") if one.is_a() == "IfcGeometricRepresentationContext"]
    main = [one for one in contexts if (one.ContextType or "").lower() == "model"]
    return next(iter([*main, *contexts]), None)


def _true_north(context: Any, notes: list[str]) -> tuple[float, float] | None:
    direction = getattr(context, "TrueNorth", None)
    if direction is None:
        return None
    x, y = (float(value) for value in tuple(direction.DirectionRatios)[:2])
    if not math.hypot(x, y) > 0.0 or not math.isfinite(x + y):
        notes.append(f"TrueNorth ({x:g}, {y:g}) is no direction; it is left aside")
        return None
    return x, y


def _axes(placement: Any, unit: float) -> NDArray[np.float64]:
    """Return an IfcAxis2Placement as a matrix in metres."""
    from ifcopenshell.util.placement import get_axis2placement

    if placement is None:
        return np.eye(4)
    try:
        matrix = np.array(get_axis2placement(placement), float)
    except (AttributeError, TypeError, ValueError, IndexError):
        return np.eye(4)
    matrix[:3, 3] *= unit
    return matrix if np.isfinite(matrix).all() else np.eye(4)


def _conversions(model: Any, notes: list[str]) -> list[MapConversion]:
    found: dict[MapConversion, None] = {}
    for one in _all(model, "IfcMapConversion"):
        target = one.TargetCRS
        easting, northing = number(one.Eastings), number(one.Northings)
        if easting is None or northing is None:
            notes.append(f"{one.is_a()} #{one.id()} has no finite Eastings and Northings; it is left aside")
            continue
        abscissa, ordinate = number(one.XAxisAbscissa), number(one.XAxisOrdinate)
        made = MapConversion(
            source="IfcMapConversion",
            crs=getattr(target, "Name", None),
            easting=easting,
            northing=northing,
            height=number(one.OrthogonalHeight),
            wkt=_wkt(target),
            vertical=getattr(target, "VerticalDatum", None),
            map_unit=named_unit(getattr(target, "MapUnit", None)),
            axis=None if abscissa is None and ordinate is None else (abscissa or 0.0, ordinate or 0.0),
            scale=number(one.Scale),
            factors=tuple(number(getattr(one, f"Factor{axis}", None)) or 1.0 for axis in "XYZ"),  # type: ignore[arg-type]
        )
        found[made] = None  # several contexts often share one conversion
    return list(found)


def _from_sets(found: list[PropertyConversion]) -> list[MapConversion]:
    return [MapConversion(**vars(one)) for one in found]


def _wkt(target: Any) -> str | None:
    for one in getattr(target, "WellKnownText", None) or ():
        return getattr(one, "WellKnownText", None)
    return None


def _rigid(model: Any, notes: list[str]) -> list[RigidOperation]:
    found = []
    for one in _all(model, "IfcRigidOperation"):
        target = one.TargetCRS
        measures = [one.FirstCoordinate, one.SecondCoordinate]
        first, second = (number(value) for value in measures)
        if first is None or second is None:
            notes.append(f"IfcRigidOperation #{one.id()} has no two finite coordinates; it is left aside")
            continue
        is_angle = any(hasattr(value, "is_a") and "Angle" in value.is_a() for value in measures)
        unit = angle_unit(getattr(target, "AngleUnit", None)) if is_angle else named_unit(getattr(target, "MapUnit", None))
        height_unit = named_unit(getattr(target, "HeightUnit", None))
        found.append(
            RigidOperation(
                getattr(target, "Name", None),
                first,
                second,
                number(one.Height),
                is_angle,
                _wkt(target),
                unit,
                height_unit,
                getattr(target, "VerticalDatum", None),
            )
        )
    return found


def _sites(model: Any, unit: float, notes: list[str]) -> list[SitePosition]:
    found = []
    for one in _all(model, "IfcSite"):
        if one.RefLatitude is None and one.RefLongitude is None:
            continue
        latitude, longitude = _degrees(one.RefLatitude, 90.0), _degrees(one.RefLongitude, 180.0)
        name = one.Name or one.GlobalId or f"#{one.id()}"
        if latitude is None or longitude is None:
            notes.append(f"IfcSite {name!r}: latitude {one.RefLatitude} and longitude {one.RefLongitude} are no place on earth")
            continue
        matrix = _local_placement(one.ObjectPlacement, unit)
        found.append(
            SitePosition(
                str(name),
                latitude,
                longitude,
                _resolution(one.RefLatitude, one.RefLongitude),
                number(one.RefElevation),
                tuple(matrix[:3, 3].tolist()),
                _placeholder(model),
            )
        )
    return found


def _degrees(parts: Any, limit: float) -> float | None:
    """Return degrees of an IfcCompoundPlaneAngleMeasure: degrees, minutes, seconds, millionths of a second, one sign for all."""
    if not isinstance(parts, tuple | list) or not 3 <= len(parts) <= 4:
        return None
    values = [float(value) for value in parts]
    if any(value < 0 for value in values) and any(value > 0 for value in values):
        return None
    if max(abs(value) for value in values[1:3]) >= 60.0 or (len(values) == 4 and abs(values[3]) >= 1e6):
        return None
    total = sum(value * weight for value, weight in zip(values, (1.0, 1 / 60, 1 / 3600, 1 / 3.6e9), strict=False))
    return total if abs(total) <= limit else None


def _resolution(latitude: Any, longitude: Any) -> float:
    """Return how coarse a position is, by the last part that is not zero in either angle [m]."""
    last = max(max((i for i, value in enumerate(parts) if value), default=0) for parts in (latitude, longitude))
    return (60_000.0, 1000.0, 20.0, 0.01)[last]


def _placeholder(model: Any) -> str:
    """Return the address lines that no user has filled in."""
    for one in _all(model, "IfcPostalAddress"):
        for line in one.AddressLines or ():
            if "enter address" in line.lower() or line.startswith("##"):
                return " ".join(line.split())
    return ""


def _local_placement(placement: Any, unit: float) -> NDArray[np.float64]:
    from ifcopenshell.util.placement import get_local_placement

    try:
        matrix = np.array(get_local_placement(placement), float)
    except (AttributeError, TypeError, ValueError, IndexError, RecursionError):
        return np.eye(4)
    matrix[:3, 3] *= unit
    return matrix if np.isfinite(matrix).all() else np.eye(4)


def _extent(model: Any, unit: float) -> tuple[float, ...]:
    products = _all(model, "IfcElement") or _all(model, "IfcProduct")
    chosen = products[:: max(1, len(products) // _SAMPLE)]
    points = [_local_placement(one.ObjectPlacement, unit)[:3, 3] for one in chosen if one.ObjectPlacement is not None]
    return _box(np.array(points, float).reshape(-1, 3))


def _raw_extent(model: Any, unit: float) -> tuple[float, ...]:
    """Return the box of a sample of the points of the file, however they are placed, without the outermost twentieth."""
    chosen = _all(model, "IfcCartesianPoint")
    rows = [(*one.Coordinates, 0.0)[:3] for one in chosen[:: max(1, len(chosen) // _POINTS)]]
    for one in _all(model, "IfcCartesianPointList3D")[:_SAMPLE]:
        rows += list(one.CoordList[:: max(1, len(one.CoordList) // 64)])
    points = np.array([row for row in rows if len(row) == 3], float).reshape(-1, 3) * unit
    points = points[np.isfinite(points).all(axis=1) & points[:, :2].any(axis=1)]
    if not len(points):
        return _NO_EXTENT
    low, high = np.quantile(points, [0.05, 0.95], axis=0)
    return (*low.tolist(), *high.tolist())


def _box(points: NDArray[np.float64]) -> tuple[float, ...]:
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return _NO_EXTENT
    return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
