"""Every way in which the statements of a file about its place can be read: source times unit times axis order."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cim.crs import CityCRS, check_model_crs, parse, transform_points
from cim.errors import CRSError
from cim.loaders.ifc.geo_places import default_place
from cim.loaders.ifc.geo_reading import Reading, in_area, north_of, place_of, similarity, to_degrees, utm, vertical_of
from cim.loaders.ifc.geo_units import FEET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cim.loaders.ifc.evidence import GeoFacts, MapConversion, RigidOperation, SitePosition
    from cim.loaders.ifc.geo_psets import ZeroPoint

    Point = tuple[float, float, float]

__all__ = ["centre_of", "file_system", "readings"]

_FACTORS = (1.0, 1000.0, 0.001, FEET)
_LOWEST, _HIGHEST = -500.0, 9000.0  # m: heights that buildings have
_SAME_SCALE = 0.01  # the scale of a projection differs from 1 by less (0.9996 in UTM, 0.97 nowhere)
_FAR = 10_000.0  # m: no project is so large, so coordinates beyond are those of a map
_MARKER = 10.0  # m: a site's latitude and longitude mark an address or a plot, whatever digits they have
_MILLI = 0.01  # m: units in which nobody thinks of heights above the sea
_TRANSFORMED = 1.0  # m: PROJ's own figure for national systems without their grids
_WRITTEN = 0.01  # m: coordinates written to centimetres


def readings(facts: GeoFacts, wanted: CityCRS | None) -> list[Reading]:
    """Return all readings; those that cannot be are marked as out, with the reason.

    Parameters
    ----------
    wanted
        Coordinate system that the caller named, projected.
    """
    system = file_system(facts)
    found: list[Reading] = []
    for i, conversion in enumerate(facts.conversions):
        found += _of_conversion(facts, conversion, wanted, f"conversion {i}")
    for i, operation in enumerate(facts.rigid):
        found += _of_rigid(facts, operation, wanted, f"rigid {i}")
    for i, point in enumerate(facts.zero_points):
        found += _of_zero_point(facts, point, wanted or system, f"zero point {i}")
    found += _absolute(facts, wanted, system)
    for i, site in enumerate(facts.sites):
        found += _of_site(facts, site, wanted or system, f"site {i}")
    return found


def file_system(facts: GeoFacts) -> CityCRS | None:
    """Return the first projected system that the file names in a way PROJ understands."""
    stated = [(one.crs, one.wkt, one.vertical) for one in facts.conversions] + [(one.crs, one.wkt, one.vertical) for one in facts.rigid]
    for name, wkt, vertical in stated:
        crs, _ = _named(name, wkt)
        if crs is not None and crs.is_projected and _carries(crs):
            return vertical_of(crs, vertical)[0]
    return None


def centre_of(facts: GeoFacts) -> Point:
    """Return the middle of what is placed [m]; the origin when nothing is."""
    box = np.array(facts.extent)
    if not np.isfinite(box).all():
        return (0.0, 0.0, 0.0)
    middle = (box[:3] + box[3:]) / 2
    raw = np.array(facts.raw_extent)
    if np.isfinite(raw).all() and math.hypot(*middle[:2]) < _FAR < math.hypot(*(raw[:2] + raw[3:5]) / 2):
        middle = (raw[:3] + raw[3:]) / 2  # placed at the origin, modelled far away
    return tuple(middle.tolist())


def _carries(crs: CityCRS) -> bool:
    try:
        check_model_crs(crs)
    except CRSError:
        return False
    return True


def _named(name: str | None, wkt: str | None) -> tuple[CityCRS | None, str]:
    """Return the system that a file names, or why there is none."""
    problem = "it names no coordinate system"
    for text in (wkt, name):
        if text and text.strip():
            try:
                crs = parse(text.strip())
            except CRSError as error:
                problem = error.reason
                continue
            if not crs.is_local:
                return crs, ""
            problem = f"{text!r} is a local system"
    return None, problem


def _impossible(source: str, family: str, why: str) -> Reading:
    return Reading(source, family, parse("local"), np.eye(4), (0.0, 0.0, 0.0), math.inf, False, None, out=why)


def _height(value: float | None, *factors: float) -> tuple[float | None, str]:
    """Return a height in metres by the first factor that gives one a building may have."""
    if value is None:
        return None, ""
    for i, factor in enumerate((*factors, 1.0, 0.001, FEET)):
        if _LOWEST <= value * factor <= _HIGHEST:
            return value * factor, f"height {value:g} read with factor {factor:g}, not {factors[0]:g}" if i and factor != factors[0] else ""
    return None, f"height {value:g} is none in any unit; left out"


def _reach(facts: GeoFacts, anchor: Point) -> float:
    """Return how far [m] the model reaches from a point, at most 5 km."""
    corners = [np.array(box).reshape(2, 3)[:, :2] for box in (facts.extent, facts.raw_extent) if np.isfinite(box).all()]
    if not corners:
        return 0.0
    away = np.abs(np.concatenate(corners) - np.array(anchor[:2])).max(axis=0)
    return min(float(np.hypot(*away)), 5000.0)


# --- map conversion -----------------------------------------------------------------------------------------------------


def _of_conversion(facts: GeoFacts, one: MapConversion, wanted: CityCRS | None, family: str) -> list[Reading]:
    crs, problem = _named(one.crs, one.wkt)
    notes: tuple[str, ...] = ()
    said: tuple[tuple[str, str, str], ...] = ()
    found: list[Reading] = []
    if crs is None:
        found.append(_impossible(one.source, family, problem))
        if wanted is None:
            return found
        crs = wanted
        notes = (f"read in {wanted.label}, as given, since {problem}",)
        said = (("crs", "warning", f"{one.source}: {problem}; its coordinates are read in {wanted}, as given"),)
    if not crs.is_projected or not _carries(crs):
        return found + _geographic(facts, one, crs, wanted, family)
    crs, unknown = vertical_of(crs, one.vertical)
    if unknown:
        said += (("crs", "warning", f"{one.source}: {unknown}"),)
    made = [replace(r, notes=notes + r.notes, said=said + r.said) for r in _conversion_readings(facts, one, crs, family)]
    if wanted is not None and not wanted.same_horizontal(crs) and all(r.out for r in made):
        note = f"read in {wanted.label}, as given: in {crs.label}, as the file names it, it lies outside the area of use"
        more = _conversion_readings(facts, one, wanted, family)
        made += [replace(r, notes=(note, *r.notes), said=(("crs", "warning", f"{one.source}: {note}"), *r.said)) for r in more]
    return found + made


def _conversion_readings(facts: GeoFacts, one: MapConversion, crs: CityCRS, family: str) -> list[Reading]:
    """Return a reading per unit and axis order; swapped axes are looked at only when no other reading can be."""
    stated = one.map_unit if one.map_unit is not None else crs.linear_unit_factor
    factors = sorted({*_FACTORS, stated}, key=lambda f: (f != stated, _FACTORS.index(f) if f in _FACTORS else 9))
    made = [_conversion_reading(facts, one, crs, family, factor, stated) for factor in factors]
    if not all(r.out for r in made):
        return made
    turned = replace(one, easting=one.northing, northing=one.easting)
    for factor in factors:
        reading = _conversion_reading(facts, turned, crs, family, factor, stated)
        if not reading.out:
            text = f"{one.source}: Eastings and Northings are swapped; they are read the other way round"
            notes = ("eastings and northings swapped", *reading.notes)
            source = reading.source + " swapped"
            swapped = replace(
                reading, source=source, score=reading.score - 1.0, notes=notes, said=(("assumed", "warning", text), *reading.said)
            )
            made.append(swapped)
    return made


def _conversion_reading(facts: GeoFacts, one: MapConversion, crs: CityCRS, family: str, factor: float, stated: float) -> Reading:
    unit = crs.linear_unit_factor
    rotation, axis_said = _axis(one)
    scale, scale_score, scale_note, scale_said = _scale(facts, one, factor)
    height, height_note = _height(one.height, factor, facts.unit)
    place = np.array([one.easting * factor, one.northing * factor, height or 0.0])
    matrix = similarity(np.zeros(3), place, rotation, scale) @ np.linalg.inv(facts.wcs)
    matrix = np.diag([1 / unit, 1 / unit, 1.0 / crs.vertical_unit_factor, 1.0]) @ matrix
    score = (2.0 + (one.map_unit is not None) if factor == stated else 0.0) + scale_score
    unit_note = "the unit the file states" if one.map_unit is not None else f"the unit of {crs.label}, since MapUnit is missing"
    notes = [
        unit_note if factor == stated else f"read with {factor:g} m per unit, though {stated:g} is {unit_note}",
        scale_note,
        height_note,
    ]
    said = axis_said + scale_said
    if factor != stated:
        said += (("assumed", "warning", f"{one.source}: eastings and northings are read as units of {factor:g} m, not of {stated:g} m"),)
    if height_note:
        said += (("assumed", "warning", f"{one.source}: {height_note}"),)
    anchor = tuple(facts.wcs[:3, 3].tolist())
    source = f"{one.source} x{factor:g}"
    reading = Reading(
        source, family, crs, matrix, anchor, _WRITTEN, True, height, scale, score, notes=tuple(n for n in notes if n), said=said
    )
    return _in_area(facts, reading)


def _in_area(facts: GeoFacts, reading: Reading) -> Reading:
    """Rule out a reading that puts the model where its system is not used."""
    place = place_of(reading, centre_of(facts))
    if in_area(reading.crs, place):
        return reading
    where = "nowhere on earth" if place is None else f"at {place[0]:.4f} E {place[1]:.4f} N"
    return replace(reading, out=f"{where}, outside the area of use of {reading.crs.label}")


def _axis(one: MapConversion) -> tuple[float, tuple[tuple[str, str, str], ...]]:
    if one.axis is None:
        return 0.0, ()
    if not math.hypot(*one.axis) > 0.0:
        return 0.0, (("assumed", "warning", f"{one.source}: the x axis (0, 0) is no direction; no rotation is assumed"),)
    return math.atan2(one.axis[1], one.axis[0]), ()


def _scale(facts: GeoFacts, one: MapConversion, factor: float) -> tuple[float, float, str, tuple[tuple[str, str, str], ...]]:
    """Return scale in metres per metre, its score, its note, its issues."""
    expected = facts.unit / factor
    if one.scale is None:
        return 1.0, 0.0, "", ()
    combined = one.scale * one.factors[0]
    for value in (combined, one.scale):
        if abs(value / expected - 1.0) < _SAME_SCALE:
            return value / expected, 1.0, f"Scale {one.scale:g} is the ratio of file unit and map unit", ()
    if one.scale > 0 and abs(one.scale * expected - 1.0) < _SAME_SCALE:
        why = f"Scale={one.scale:g} is the inverse of the ratio of file unit and map unit ({expected:g}); {expected:g} is used"
    elif one.scale == 1.0:
        why = f"Scale=1 although file unit and map unit differ ({expected:g}); {expected:g} is used"
    else:
        why = f"Scale={one.scale:g} is not the ratio of file unit and map unit ({expected:g}); {expected:g} is used"
    return 1.0, 0.0, why, (("assumed", "warning", f"{one.source}: {why}"),)


def _geographic(facts: GeoFacts, one: MapConversion, crs: CityCRS, wanted: CityCRS | None, family: str) -> list[Reading]:
    """Read a conversion into a system that no model may be in (degrees, Web Mercator) as the place of its origin."""
    place = to_degrees(crs, one.easting, one.northing)
    source = f"{one.source} in {crs.label}"
    if place is None or not in_area(crs, place):
        return [_impossible(source, family, f"({one.easting:g}, {one.northing:g}) is no place in {crs.label}")]
    height, _ = _height(one.height, one.map_unit or 1.0, facts.unit)
    anchor = tuple(facts.wcs[:3, 3].tolist())
    rotation = _axis(one)[0] if one.axis is not None else None
    note = f"{crs.label} cannot carry a model"
    return [_geodetic(facts, source, family, place, anchor, height, wanted, (_TRANSFORMED, 2.0, (note,)), rotation=rotation)]


# --- latitude and longitude ---------------------------------------------------------------------------------------------


def _geodetic(
    facts: GeoFacts, source: str, family: str, place: tuple[float, float], anchor: Point, height: float | None, target: CityCRS | None,
    weight: tuple[float, float, tuple[str, ...]], *, rotation: float | None = None,
) -> Reading:  # fmt: skip
    """Return the reading of a longitude and latitude of one point; weight is uncertainty [m], score, notes."""
    uncertainty, score, notes = weight
    said: tuple[tuple[str, str, str], ...] = ()
    crs = target.without_vertical() if target is not None else None
    if crs is None:
        crs = utm(*place)
        said = (("assumed", "info", f"{source}: no projected system is stated; {crs} of the place is used (crs= names another)"),)
    elif not in_area(crs, place):
        where = f"at {place[0]:.4f} E {place[1]:.4f} N, outside the area of use of {crs.label}"
        return replace(_impossible(source, family, where), uncertainty=uncertainty)
    try:
        there = transform_points([place[0]], [place[1]], None, parse("EPSG:4326"), crs)
    except CRSError as error:
        return _impossible(source, family, error.reason)
    unit = crs.linear_unit_factor
    convergence = north_of(crs, *place)
    turn = (math.atan2(*facts.true_north) if facts.true_north else 0.0) if rotation is None else rotation
    position = np.array([float(there.x[0]) * unit, float(there.y[0]) * unit, anchor[2] if height is None else height])
    matrix = np.diag([1 / unit, 1 / unit, 1.0, 1.0]) @ similarity(np.array(anchor), position, turn + convergence)
    more = uncertainty + abs(convergence) * _reach(facts, anchor)  # north may be meant as that of the grid
    known = rotation is not None or _turned(facts)
    north = () if known else ("the project's y axis is taken as true north, since no other TrueNorth is stated",)
    return Reading(source, family, crs, matrix, anchor, more, known, height, 1.0, score, notes=(*notes, *north), said=said)


def _turned(facts: GeoFacts) -> bool:
    """Whether TrueNorth is stated and not the default that every tool writes."""
    return facts.true_north is not None and abs(math.atan2(*facts.true_north)) > 1e-6


def _of_site(facts: GeoFacts, site: SitePosition, target: CityCRS | None, family: str) -> Iterator[Reading]:
    source = "IfcSite latitude/longitude"
    if (default := default_place(site.latitude, site.longitude)) is not None:
        filled = f"; the address is a placeholder too ({site.address!r})" if site.address else ""
        where = f"{site.latitude:.4f} N {site.longitude:.4f} E is {default}{filled}"
        yield _impossible(source, family, where)
        return
    height, height_note = _height(site.elevation, facts.unit)
    coarse = site.resolution > 2 * _MARKER
    digits = {1000.0: "whole minutes", 60_000.0: "whole degrees"}.get(site.resolution)
    notes = [f"{digits}: good to {site.resolution / 1000:g} km only" if digits else "marks the site, not a surveyed point", height_note]
    weight = max(_MARKER, site.resolution), 0.0 if coarse else 1.0, tuple(note for note in notes if note)
    reading = _geodetic(facts, source, family, (site.longitude, site.latitude), site.point, height, target, weight)
    if height is not None and facts.unit < _MILLI and 0.0 < abs(height) < 1.0:
        height_note = f"{site.elevation:g} is {height:g} m in the unit of the file, as the standard says; metres may have been meant"
    if height_note:
        reading = replace(reading, said=(*reading.said, ("assumed", "warning", f"RefElevation: {height_note}")))
    yield reading


def _of_rigid(facts: GeoFacts, one: RigidOperation, wanted: CityCRS | None, family: str) -> list[Reading]:
    source = "IfcRigidOperation"
    crs, problem = _named(one.crs, one.wkt)
    if crs is None:
        return [_impossible(source, family, problem)]
    height, _ = _height(one.height, one.height_unit or facts.unit, facts.unit)
    if crs.is_projected:
        from cim.loaders.ifc.evidence import MapConversion

        like = MapConversion(source, one.crs, one.first, one.second, one.height, one.wkt, one.vertical, one.unit)
        return _of_conversion(facts, like, wanted, family)
    anchor = tuple(facts.wcs[:3, 3].tolist())
    stated = one.unit if one.unit is not None else math.radians(1.0)
    made: list[Reading] = []
    for unit, name in {stated: "as stated", math.radians(1.0): "degrees", 1.0: "radians"}.items():
        first, second = math.degrees(one.first * unit), math.degrees(one.second * unit)
        for east, north, order in ((first, second, "longitude first"), (second, first, "latitude first")):
            label = f"{source} {name}, {order}"
            place = to_degrees(crs, east, north) if abs(north) <= 90.0 and abs(east) <= 360.0 else None
            if place is None or not in_area(crs, place):
                why = f"{east:g} E {north:g} N, outside the area of use of {crs.label}"
                made.append(_impossible(label, family, why))
                continue
            score = (2.0 if unit == stated else 0.0) + (1.0 if order == "longitude first" else 0.0)
            notes = (f"angles of {crs.label} read {order}, the order of IFC whatever the authority lists",)
            made.append(_geodetic(facts, label, family, place, anchor, height, wanted, (_TRANSFORMED, score, notes)))
    return made


# --- property sets and absolute coordinates -----------------------------------------------------------------------------


def _of_zero_point(facts: GeoFacts, one: ZeroPoint, target: CityCRS | None, family: str) -> list[Reading]:
    source = f"Pset {one.set}"
    found: list[Reading] = []
    crs, problem = _named(one.crs, None) if one.crs else (target, "no coordinate system is named; give it with crs=")
    if one.easting is not None and one.northing is not None:
        if crs is None or not crs.is_projected:
            found.append(_impossible(source, family, problem or f"{crs} is not projected"))
        else:
            found += _zero_readings(facts, one, crs, source, family)
    if one.latitude is not None and one.longitude is not None:
        angles = f"{source} latitude/longitude"
        default = default_place(one.latitude, one.longitude)
        if default is not None or abs(one.latitude) > 90.0 or abs(one.longitude) > 180.0:
            found.append(_impossible(angles, f"{family} angles", default or "no place on earth"))
        else:
            height, _ = _height(one.height, 1.0)
            into = target or (crs if crs is not None and crs.is_projected else None)
            weight = max(_TRANSFORMED, one.resolution), 1.0, (f"holds at element {one.element!r}",)
            place = (one.longitude, one.latitude)
            found.append(_geodetic(facts, angles, f"{family} angles", place, one.point, height, into, weight))
    return found


def _zero_readings(facts: GeoFacts, one: ZeroPoint, crs: CityCRS, source: str, family: str) -> list[Reading]:
    made = []
    unit = crs.linear_unit_factor
    height, height_note = _height(one.height, 1.0)
    turned = _turned(facts)
    for factor in dict.fromkeys((1.0, facts.unit, 0.001)):
        for east, north, order in ((one.easting, one.northing, ""), (one.northing, one.easting, " swapped")):
            place = np.array([(east or 0.0) * factor, (north or 0.0) * factor, one.point[2] if height is None else height])
            at = to_degrees(crs, place[0] / unit, place[1] / unit)
            rotation = (
                math.atan2(*facts.true_north) + north_of(crs, *at) if turned and facts.true_north and in_area(crs, at) and at else 0.0
            )
            matrix = np.diag([1 / unit, 1 / unit, 1.0, 1.0]) @ similarity(np.array(one.point), place, rotation)
            score = (2.0 if one.crs else 1.0) * (factor == 1.0) - (1.0 if order else 0.0)
            axes = "" if turned else "the project's axes are taken as those of the map, since no TrueNorth is stated"
            notes = tuple(note for note in (f"holds at element {one.element!r}", axes, height_note) if note)
            label = f"{source} x{factor:g}{order}"
            reading = Reading(label, family, crs, matrix, one.point, _WRITTEN, turned, height, 1.0, score, notes=notes)
            said = () if factor == 1.0 and not order else (("assumed", "warning", f"{source}: coordinates are read as {label}"),)
            made.append(_in_area(facts, replace(reading, said=said)))
    best = [r for r in made if not r.out]
    return made if not best else [*best, *(r for r in made if r.out)][:4]


def _absolute(facts: GeoFacts, wanted: CityCRS | None, system: CityCRS | None) -> list[Reading]:
    centre = centre_of(facts)
    away = math.hypot(*centre[:2])
    if away < _FAR:
        return []
    source, family = "absolute coordinates", "absolute"
    systems = [crs for crs in (wanted, system) if crs is not None and crs.is_projected]
    if not systems:
        why = f"coordinates around ({centre[0]:.0f}, {centre[1]:.0f}) m look like those of a map, but no system is named; give it with crs="
        return [_impossible(source, family, why)]
    made = []
    for crs in systems[:1] if len(systems) > 1 and systems[0].same_horizontal(systems[1]) else systems:
        unit = crs.linear_unit_factor
        matrix: NDArray[np.float64] = np.diag([1 / unit, 1 / unit, 1.0 / crs.vertical_unit_factor, 1.0])
        score = 2.0 if crs is wanted else 1.0
        notes = (f"the model itself lies around ({centre[0]:.0f}, {centre[1]:.0f}) m",)
        reading = Reading(source, family, crs, matrix, centre, _WRITTEN, True, centre[2], 1.0, score, notes=notes)
        made.append(_in_area(facts, reading))
    return made
