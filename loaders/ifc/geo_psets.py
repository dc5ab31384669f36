"""Places that are told in property sets: a zero point, or the map conversion that IFC2X3 has no entity for."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.loaders.ifc.geo_units import unit_of_text

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["PropertyConversion", "ZeroPoint", "conversions_in_sets", "number", "zero_points"]

_MOST_OWNERS = 16  # a pair that more elements carry, each its own, is the place of those objects and not of an origin
_RD = "EPSG:28992"
# What a property is, by its name without blanks, dashes and case; Dutch, English, German and Chinese.
_ROLES = {
    "easting": r"(rd)?(easting|eastings|oost|ost|rechtswert|东坐标|東坐標|东向坐标|东)|rdx|xrd|xcoordinaatrd|rdxcoordinaat",
    "northing": r"(rd)?(northing|northings|noord|nord|hochwert|北坐标|北坐標|北向坐标|北)|rdy|yrd|ycoordinaatrd|rdycoordinaat",
    "x": r"x|xcoord|xcoordinaat|xcoordinate|coordinatex|x坐标|坐标x",
    "y": r"y|ycoord|ycoordinaat|ycoordinate|coordinatey|y坐标|坐标y",
    "height": r"z|zcoord|zcoordinaat|zcoordinate|nap|napz|znap|height|hoogte|elevation|orthogonalheight|höhe|高程|标高|z坐标",
    "latitude": r"(wgs84)?(latitude|lat|breedtegraad|breite|breitengrad|纬度|緯度)",
    "longitude": r"(wgs84)?(longitude|long|lon|lng|lengtegraad|länge|längengrad|经度|經度)",
    "crs": r"crs|epsg|epsgcode|srs|coordinatesystem|coordinatereferencesystem|coordinaatstelsel|坐标系|坐标系统",
}
_PATTERNS = {role: re.compile(f"(?:{pattern})", re.IGNORECASE) for role, pattern in _ROLES.items()}
_PLAIN = re.compile(r"[\s_\-./:()\[\]]+")
# A bare X and Y is a place only in a set, or on an element, that says it is an origin.
_ORIGIN = re.compile(
    r"nulpunt|zero.?point|null.?punkt|origin|oorsprong|survey.?point|base.?point|basis.?punt|geo.?ref|georef|reference.?point|"
    r"原点|零点|基点|基准点|坐标",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ZeroPoint:
    """A pair of coordinates in a property set, which hold at the placement of its element."""

    set: str
    element: str
    point: tuple[float, float, float]
    """Origin of the element's placement [m]."""
    crs: str | None = None
    """Coordinate system of easting and northing, as far as the names tell."""
    easting: float | None = None
    northing: float | None = None
    height: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    resolution: float = 1.0
    """Last digit of latitude and longitude [m]."""


@dataclass(frozen=True)
class PropertyConversion:
    """A map conversion in the property sets that buildingSMART named for IFC2X3."""

    source: str
    crs: str | None
    easting: float
    northing: float
    height: float | None
    vertical: str | None
    map_unit: float | None
    axis: tuple[float, float] | None
    scale: float | None


def number(value: Any) -> float | None:
    """Return a finite number out of a measure, a number or a text; None when it holds none.

    Examples
    --------
    >>> number("384230.208"), number("159860,987"), number("n/a"), number(float("inf"))
    (384230.208, 159860.987, None, None)
    """
    value = getattr(value, "wrappedValue", value)
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        text = value.strip().removesuffix("m").removesuffix("°").strip()
        value = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text.replace(",", "")
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def zero_points(model: Any, unit: float, notes: list[str]) -> tuple[ZeroPoint, ...]:
    """Return the places that property sets state, one per element.

    Parameters
    ----------
    unit
        Metres per length unit of the file, for the placements.
    notes
        Takes up what was left aside.
    """
    found: dict[tuple[Any, ...], ZeroPoint] = {}
    crowd: dict[str, set[ZeroPoint]] = defaultdict(set)
    for one in _candidate_sets(model):
        texts = {prop.Name: prop.NominalValue for prop in one.HasProperties if prop.is_a("IfcPropertySingleValue")}
        for owner in _owners(one):
            made = _zero_point(one.Name or "", owner, texts, unit)
            if made is not None:
                crowd[made.set].add(made)
    for name, points in crowd.items():
        if len(points) > _MOST_OWNERS:
            notes.append(f"property set {name!r} gives coordinates of {len(points)} elements: places of objects, not of an origin")
            continue
        for made in sorted(points, key=lambda one: one.element):
            found.setdefault((made.easting, made.northing, made.latitude, made.longitude, made.point), made)
    return tuple(found.values())


def conversions_in_sets(model: Any) -> list[PropertyConversion]:
    """Return the map conversions of ePSet_MapConversion and ePSet_ProjectedCRS."""
    sets: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in model.by_type("IfcPropertySet"):
        name = _plain(one.Name or "").lower()
        if name in {"epsetmapconversion", "epsetprojectedcrs"}:
            values = {
                p.Name.lower(): getattr(p.NominalValue, "wrappedValue", None) for p in one.HasProperties if hasattr(p, "NominalValue")
            }
            sets[name].append(values)
    system = next(iter(sets["epsetprojectedcrs"]), {})
    made = []
    for values in sets["epsetmapconversion"]:
        easting, northing = number(values.get("eastings")), number(values.get("northings"))
        if easting is None or northing is None:
            continue
        abscissa, ordinate = number(values.get("xaxisabscissa")), number(values.get("xaxisordinate"))
        axis = None if abscissa is None and ordinate is None else (abscissa or 0.0, ordinate or 0.0)
        label = system.get("name") or values.get("targetcrs")
        crs, vertical, unit = None if label is None else str(label), system.get("verticaldatum"), unit_of_text(system.get("mapunit"))
        height, scale = number(values.get("orthogonalheight")), number(values.get("scale"))
        made.append(PropertyConversion("ePSet_MapConversion", crs, easting, northing, height, vertical, unit, axis, scale))
    return list(dict.fromkeys(made))


def _plain(name: str) -> str:
    return _PLAIN.sub("", name)


def _role(name: str) -> str | None:
    plain = _plain(name)
    return next((role for role, pattern in _PATTERNS.items() if pattern.fullmatch(plain)), None)


def _candidate_sets(model: Any) -> list[Any]:
    """Return the property sets that hold a property whose name is a coordinate's."""
    known: dict[str, str | None] = {}
    sets: dict[int, Any] = {}
    for prop in model.by_type("IfcPropertySingleValue"):
        name = prop[0]
        if name not in known:
            known[name] = _role(name)
        if known[name] in {"easting", "x", "latitude"}:
            for one in model.get_inverse(prop):
                if one.is_a("IfcPropertySet") and not _plain(one.Name or "").lower().startswith("epset"):
                    sets[one.id()] = one
        if len(sets) > _MOST_OWNERS * 64:
            break
    return list(sets.values())


def _owners(property_set: Any) -> Iterable[Any]:
    relations = getattr(property_set, "DefinesOccurrence", None) or getattr(property_set, "PropertyDefinitionOf", None) or ()
    for relation in relations:
        yield from relation.RelatedObjects


def _zero_point(set_name: str, owner: Any, texts: dict[str, Any], unit: float) -> ZeroPoint | None:
    from ifcopenshell.util.placement import get_local_placement

    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    for name, value in texts.items():
        role = _role(name)
        if role is not None:
            values.setdefault(role, getattr(value, "wrappedValue", value))
            names.setdefault(role, name)
    element = str(owner.Name or owner.GlobalId)
    if "easting" not in values and _ORIGIN.search(f"{set_name} {element}"):
        values.update(easting=values.get("x"), northing=values.get("y"))
    easting, northing = number(values.get("easting")), number(values.get("northing"))
    latitude, longitude = number(values.get("latitude")), number(values.get("longitude"))
    has_map, has_angles = easting is not None and northing is not None, latitude is not None and longitude is not None
    if not has_map and not has_angles:
        return None
    try:
        point = np.array(get_local_placement(getattr(owner, "ObjectPlacement", None)), float)[:3, 3] * unit
    except (AttributeError, TypeError, ValueError, IndexError, RecursionError):
        point = np.zeros(3)
    return ZeroPoint(
        set_name, element, tuple(point.tolist()), _system(values.get("crs"), names), easting if has_map else None,
        northing if has_map else None, number(values.get("height")), latitude if has_angles else None,
        longitude if has_angles else None, _digits(values.get("latitude")),
    )  # fmt: skip


def _system(stated: Any, names: dict[str, str]) -> str | None:
    if stated:
        text = str(stated).strip()
        return f"EPSG:{text}" if text.isdigit() else text
    return _RD if "rd" in re.split(r"[^a-z]+", names.get("easting", "").lower()) else None


def _digits(value: Any) -> float:
    """Return the metres of the last digit of an angle in degrees.

    Examples
    --------
    >>> _digits("51.44"), _digits("51.447140")
    (1113.2, 0.11132)
    """
    if value is None:
        return 1.0
    decimals = len(str(value).partition(".")[2])
    return round(111_320.0 * 10.0**-decimals, 9)
