"""Where an IFC model stands: every piece of evidence weighed, one verdict with its reason, and the rejected evidence named.

Each statement of the file is read in every way that makes sense (`geo_hypotheses`). A reading outside the area of use of its
coordinate system, or at a place that tools write by default, is out. The others get points: 2 for the unit that the file states,
1 when it states one, 1 when its scale fits its units, 3 for every independent statement that agrees within 100 m, -1 for every one
beyond 1 km. Statements that contradict each other are never chosen between: the model stays in local coordinates.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cim.crs import CityCRS, parse, transform_points
from cim.errors import CRSError, UsageError
from cim.loaders.ifc.geo_control import fit_control_points
from cim.loaders.ifc.geo_hypotheses import centre_of, file_system, readings
from cim.loaders.ifc.geo_reading import Reading, apart, north_of, place_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.ifc.evidence import GeoFacts
    from cim.loaders.protocol import ReadOptions

    Said = tuple[str, str, str]

__all__ = ["Evidence", "Placement", "locate"]

_CRS = "crs="
_AGREE = 100.0  # m
_CONTRADICT = 1000.0  # m
_COARSE = 5.0  # m: a place less certain than this is worth a comparison with known footprints
_SAME_NORTH = math.radians(1.0)
_REMEDY = "give read(..., control_points=[[x, y, z, east, north, height], ...]) or fuse it with known footprints"
_NO_PLACE = "crs= alone does not say where the model stands"


@dataclass(frozen=True)
class Evidence:
    """One reading of one source, and what became of it."""

    source: str
    """Such as "IfcMapConversion x1", "IfcSite latitude/longitude", "Pset CPset_GEO-Nulpunt x1", "absolute coordinates"."""
    crs: str
    """Coordinate system of easting and northing; "local" when it could not be read."""
    easting: float
    """East of the point that the source is about, in units of `crs`; NaN when it could not be read."""
    northing: float
    height: float | None
    """Height of that point [m]; None when not stated."""
    rotation: float | None
    """Angle from the project's x axis to east, counter-clockwise [degrees]; None when the source does not say."""
    scale: float
    """Map metres per project metre."""
    uncertainty: float | None
    """How far the point may be off [m]."""
    score: float
    accepted: bool
    """Whether the place of the model rests on it."""
    reason: str


@dataclass(frozen=True)
class Placement:
    """Where the model stands, and why."""

    crs: CityCRS
    """Coordinate system of the placed model; local when the place is not known."""
    matrix: NDArray[np.float64]
    """Project coordinates in metres -> east, north, up in `crs`; shape (4, 4)."""
    verdict: str
    """One of "given", "agreed", "stated once", "coarse", "contradicting", "unknown"."""
    reason: str
    uncertainty: float | None
    """How far the model may be off [m]; None when it is not known."""
    evidence: tuple[Evidence, ...]
    unit_factor: float
    """Metres per length unit of the file."""
    said: tuple[tuple[str, str, str], ...] = ()
    """Issues to raise: code, severity, message."""
    rotation_known: bool = False
    """Whether the direction of north is stated, or follows from the source."""


def locate(facts: GeoFacts, path: Path, options: ReadOptions) -> Placement:
    """Return where the model stands.

    Parameters
    ----------
    facts
        What the file says, from `cim.loaders.ifc.evidence.gather`.
    path
        The file, for messages.
    options
        ``crs`` names the system wanted; ``extra["control_points"]`` (rows of x, y, z, east, north, height) places the model whatever
        the file says; ``extra["georeference"]`` names the source to believe, such as "IfcMapConversion".

    Raises
    ------
    UsageError
        If an option makes no sense.
    CRSError
        If ``crs`` is none.
    """
    wanted = _wanted(options)
    said = _about_facts(facts)
    if options.extra.get("control_points") is not None:
        return _from_control_points(facts, wanted, options, said)
    if wanted is not None and wanted.is_local:
        found = readings(facts, None)
        kept = "local coordinates were asked for with crs=; the statements of the file are listed, not used"
        return _local("unknown", kept, found, facts, (*said, ("crs", "info", kept)))
    found = _scored(readings(facts, wanted), centre_of(facts))
    choice = options.extra.get("georeference")
    if choice is not None:
        found = _chosen_by_user(found, str(choice))
    live = [reading for reading in found if not reading.out]
    if not live:
        return _unknown(found, facts, wanted, said)
    return _judged(found, live, facts, wanted, said, path=path, forced=choice is not None)


def _wanted(options: ReadOptions) -> CityCRS | None:
    if options.crs is None:
        return None
    wanted = parse(options.crs, path=_CRS)
    if not wanted.is_local and not wanted.is_projected:
        reason = f"{wanted} counts in degrees; a model needs metres"
        raise CRSError(_CRS, reason, "name a projected system of the place")
    return wanted


def _about_facts(facts: GeoFacts) -> tuple[Said, ...]:
    said: list[Said] = [("assumed", "warning", note) for note in facts.notes]
    if not facts.unit_declared:
        said.append(("assumed", "warning", "the file states no length unit; metres are assumed"))
    return tuple(said)


# --- scores -------------------------------------------------------------------------------------------------------------


def _scored(found: list[Reading], centre: tuple[float, float, float]) -> list[Reading]:
    """Return the readings with the support of the other families in their score, the best first."""
    live = [reading for reading in found if not reading.out]
    better = []
    for reading in found:
        if reading.out:
            better.append(reading)
            continue
        votes = [_vote(reading, family, live, centre) for family in {r.family for r in live} - {reading.family}]
        better.append(replace(reading, score=reading.score + sum(votes)))
    return sorted(better, key=lambda r: (bool(r.out), -r.score))  # stable: earlier kinds of evidence first


def _vote(reading: Reading, family: str, live: list[Reading], centre: tuple[float, float, float]) -> float:
    others = [one for one in live if one.family == family]
    distance = min(apart(reading, one, centre) for one in others)
    spread = min(one.uncertainty for one in others) + reading.uncertainty
    return 3.0 if distance <= _AGREE else -1.0 if distance > _CONTRADICT + spread else 0.0


def _chosen_by_user(found: list[Reading], choice: str) -> list[Reading]:
    kept = [replace(r, out=r.out or f"another source was chosen: georeference={choice!r}") for r in found]
    if not any(choice.casefold() in r.source.casefold() for r in found):
        names = ", ".join(sorted({r.source for r in found})) or "none"
        msg = f"georeference={choice!r} names no source of this file; it has: {names}"
        raise UsageError(msg)
    pairs = zip(found, kept, strict=True)
    return sorted((r if choice.casefold() in r.source.casefold() else k for r, k in pairs), key=lambda r: (bool(r.out), -r.score))


# --- verdicts -----------------------------------------------------------------------------------------------------------


def _judged(
    found: list[Reading], live: list[Reading], facts: GeoFacts, wanted: CityCRS | None, said: tuple[Said, ...], *, path: Path, forced: bool
) -> Placement:
    best, centre = live[0], centre_of(facts)
    ties = [r for r in live if r.family == best.family and r is not best and r.score >= best.score and apart(best, r, centre) > _AGREE]
    if ties:
        why = f"{best.source} and {ties[0].source} are equally good readings of one statement; {_REMEDY}"
        return _local("unknown", why, found, facts, (*said, ("crs", "warning", why)))
    others = {family: [r for r in live if r.family == family] for family in dict.fromkeys(r.family for r in live) if family != best.family}
    distance = {family: min(apart(best, r, centre) for r in rows) for family, rows in others.items()}
    against = [f for f, away in distance.items() if away > _CONTRADICT + others[f][0].uncertainty + best.uncertainty]
    agreeing = [f for f, away in distance.items() if away <= _AGREE and others[f][0].uncertainty <= _AGREE]
    if against and not agreeing and not forced:
        return _contradicting(best, [others[f][0] for f in against], found, facts, said, centre)
    more = [_conflict(best, others[f][0], distance[f]) for f in others if f not in agreeing and _notable(distance[f], others[f][0])]
    said = (*said, *best.said, *more, *_north_said(best, facts))
    return _placed(best, [(others[f][0], distance[f]) for f in agreeing], found, facts, wanted, said, path=path, forced=forced)


def _notable(distance: float, other: Reading) -> bool:
    return distance > max(_AGREE, other.uncertainty)


def _conflict(best: Reading, other: Reading, distance: float) -> Said:
    return ("conflict", "warning", f"{other.source} lies {_metres(distance)} from {best.source}, which is used")


def _contradicting(
    best: Reading, others: list[Reading], found: list[Reading], facts: GeoFacts, said: tuple[Said, ...], centre: tuple[float, float, float]
) -> Placement:
    parts = [f"{one.source} lies {_metres(apart(best, one, centre))} from {best.source}" for one in others]
    why = f"{'; '.join(parts)}; neither is chosen, the model stays in local coordinates"
    remedy = f'name the one to believe: read(..., georeference="{best.source}"), or {_REMEDY}'
    return _local("contradicting", why, found, facts, (*said, ("conflict", "error", f"{why}; {remedy}")))


def _placed(
    best: Reading, agreeing: list[tuple[Reading, float]], found: list[Reading], facts: GeoFacts, wanted: CityCRS | None,
    said: tuple[Said, ...], *, path: Path, forced: bool,
) -> Placement:  # fmt: skip
    crs, matrix, more = _into(best, wanted, facts, path)
    uncertainty = max([best.uncertainty, *(away for _, away in agreeing)]) if agreeing else best.uncertainty
    parts = [f"{best.source} (score {best.score:g})", *best.notes]
    if agreeing:
        verdict = "agreed"
        parts += [f"{one.source} agrees within {_metres(away)}" for one, away in agreeing]
    elif best.uncertainty > _COARSE:
        verdict = "coarse"
        parts.append(f"good to {_metres(best.uncertainty)}")
    else:
        verdict = "stated once"
    if forced:
        verdict = "given" if verdict != "coarse" else verdict
        parts.append("chosen by the caller")
    accepted = {best.source, *(one.source for one, _ in agreeing)}
    evidence = tuple(_evidence(r, accepted=not r.out and r.source in accepted) for r in found)
    if facts.true_north is None and not best.rotation_known and best.family.startswith("site"):
        more = (*more, ("assumed", "warning", "the file does not say where north is; the y axis is taken as north"))
    reason = "; ".join(part for part in parts if part)
    return Placement(crs, matrix, verdict, reason, uncertainty, evidence, facts.unit, (*said, *more), best.rotation_known)


def _unknown(found: list[Reading], facts: GeoFacts, wanted: CityCRS | None, said: tuple[Said, ...]) -> Placement:
    rejected = "; ".join(f"{r.source}: {r.out}" for r in found)
    why = f"no usable statement about the place ({rejected})" if found else "the file says nothing about its place"
    if wanted is not None:
        why += f"; {_NO_PLACE}"
    return _local("unknown", why, found, facts, (*said, ("crs", "warning", f"{why}; {_REMEDY}")))


def _local(verdict: str, why: str, found: list[Reading], facts: GeoFacts, said: tuple[Said, ...]) -> Placement:
    evidence = tuple(_evidence(r, accepted=False) for r in found)
    return Placement(parse("local"), np.eye(4), verdict, why, None, evidence, facts.unit, said)


def _from_control_points(facts: GeoFacts, wanted: CityCRS | None, options: ReadOptions, said: tuple[Said, ...]) -> Placement:
    crs = wanted or file_system(facts)
    if crs is None or crs.is_local:
        msg = 'control_points= need crs= too, the projected system of their east and north, such as crs="EPSG:7415"'
        raise UsageError(msg)
    fit = fit_control_points(options.extra["control_points"], facts.unit, crs)
    found = _scored(readings(facts, wanted), centre_of(facts))
    own = Evidence(
        "control points", crs.to_string(), float(fit.matrix[0, 3]), float(fit.matrix[1, 3]), float(fit.matrix[2, 3]),
        math.degrees(fit.rotation), fit.scale, fit.residual, math.inf, accepted=True, reason=fit.reason,
    )  # fmt: skip
    given = Reading("control points", "control", crs, fit.matrix, fit.anchor, max(fit.residual, 0.01), True, fit.anchor[2])
    more = [
        _conflict(given, r, away)
        for r in found
        if not r.out and (away := apart(given, r, centre_of(facts))) > max(_AGREE, r.uncertainty) and r.score > 0
    ]
    evidence = (own, *(_evidence(r, accepted=False) for r in found))
    return Placement(
        crs, fit.matrix, "given", fit.reason, fit.residual, evidence, facts.unit, (*said, *fit.said, *more), rotation_known=True
    )


def _evidence(reading: Reading, *, accepted: bool) -> Evidence:
    if reading.crs.is_local:
        uncertainty = reading.uncertainty if math.isfinite(reading.uncertainty) else None
        return Evidence(
            reading.source, "local", math.nan, math.nan, None, None, 1.0, uncertainty, reading.score, accepted=False, reason=reading.out
        )
    east, north, _, _ = (reading.matrix @ np.array([*reading.anchor, 1.0])).tolist()
    rotation = math.degrees(reading.rotation) if reading.rotation_known else None
    reason = reading.out or "; ".join(reading.notes)
    return Evidence(
        reading.source, reading.crs.to_string(), east, north, reading.height, rotation, reading.scale, reading.uncertainty, reading.score,
        accepted=accepted, reason=reason,
    )  # fmt: skip


# --- the system of the result -------------------------------------------------------------------------------------------


def _into(best: Reading, wanted: CityCRS | None, facts: GeoFacts, path: Path) -> tuple[CityCRS, NDArray[np.float64], tuple[Said, ...]]:
    """Return the reading in the system that the caller wants."""
    if wanted is None:
        return best.crs, best.matrix, _vertical_said(best.crs)
    matrix, horizontal = best.matrix, best.crs
    said: tuple[Said, ...] = ()
    if not wanted.same_horizontal(best.crs):
        try:
            matrix, said = _carried(best, wanted, facts)
            horizontal = wanted
        except CRSError as error:
            told: Said = ("crs", "warning", f"{path.name} cannot be brought into {wanted}: {error.reason}; it stays in {best.crs}")
            return best.crs, best.matrix, (told,)
    else:
        horizontal = wanted
    return _with_heights(best, horizontal, wanted, matrix, said)


def _with_heights(
    best: Reading, horizontal: CityCRS, wanted: CityCRS, matrix: NDArray[np.float64], said: tuple[Said, ...]
) -> tuple[CityCRS, NDArray[np.float64], tuple[Said, ...]]:
    own, asked = best.crs.vertical, wanted.vertical
    if asked is None or (own is not None and best.crs.same_vertical(wanted)):
        crs = horizontal if own is None or horizontal.vertical is not None else CityCRS(horizontal.horizontal, own)
        return crs, matrix, (*said, *_vertical_said(crs))
    if own is None and best.height is not None:
        note = f"the file does not name its height system; {asked.name} is taken, as given"
        return horizontal, matrix, (*said, ("crs", "info", note))
    if own is None:
        note = f"the file states no height, so that heights cannot be in {asked.name}; they stay as modelled: vertical unknown"
        return horizontal.without_vertical(), matrix, (*said, ("crs", "warning", note))
    note = f"heights stay in {own.name}, which the file names, not in {asked.name}"
    return CityCRS(horizontal.horizontal, own), matrix, (*said, ("crs", "warning", note))


def _vertical_said(crs: CityCRS) -> tuple[Said, ...]:
    if crs.vertical is not None:
        return ()
    return (("crs", "info", "its height system (vertical datum) is unknown; heights stay as they are"),)


def _carried(best: Reading, wanted: CityCRS, facts: GeoFacts) -> tuple[NDArray[np.float64], tuple[Said, ...]]:
    """Return the motion into another system: the similarity that fits the transformed corners around the model."""
    centre = np.array(centre_of(facts))
    corners = centre + np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * 100.0
    placed = np.column_stack([corners, np.ones(4)]) @ best.matrix.T
    done = transform_points(placed[:, 0], placed[:, 1], None, best.crs.without_vertical(), wanted.without_vertical())
    source = (corners[:, 0] - centre[0]) + 1j * (corners[:, 1] - centre[1])
    target = done.x + 1j * done.y
    middle = target.mean()
    turn = np.vdot(source, target - middle) / np.vdot(source, source).real
    matrix = best.matrix.copy()
    matrix[:2, :2] = [[turn.real, -turn.imag], [turn.imag, turn.real]]
    matrix[:2, 3] = np.array([middle.real, middle.imag]) - matrix[:2, :2] @ centre[:2]
    accuracy = "unknown accuracy" if done.accuracy is None else f"accuracy {done.accuracy:g} m"
    note = f"brought from {best.crs.label} into {wanted.label} ({accuracy})"
    return matrix, (("crs", "info", note), *(("crs", "info", text) for text in done.notes))


def _north_said(best: Reading, facts: GeoFacts) -> tuple[Said, ...]:
    """Compare the rotation of a map conversion with TrueNorth, in both of its meanings; its default says nothing."""
    if not best.family.startswith("conversion") or facts.true_north is None or abs(math.atan2(*facts.true_north)) < 1e-6:
        return ()
    place = place_of(best, best.anchor)
    convergence = north_of(best.crs, *place) if place is not None else 0.0
    turn = math.atan2(*facts.true_north)
    off = min(abs(math.remainder(best.rotation - one, math.tau)) for one in (turn, turn + convergence))
    if off < _SAME_NORTH:
        return ()
    text = f"TrueNorth turns the model by {math.degrees(turn):.2f}°, {best.source} by {math.degrees(best.rotation):.2f}°, which is used"
    return (("conflict", "warning", text),)


def _metres(distance: float) -> str:
    if not math.isfinite(distance):
        return "an unknown distance"
    return f"{distance / 1000:.3g} km" if distance >= 1000.0 else f"{distance:.3g} m"
