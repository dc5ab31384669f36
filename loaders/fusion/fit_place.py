"""A whole model put on the footprint that its building fits, with the verdict rewritten; or left where it is, with the reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.crs import CityCRS, parse, transform_points
from cim.errors import CRSError, UsageError
from cim.loaders.fusion.fit_outline import Fit, fit_outline
from cim.model.place import placed
from cim.model.reproject import to_crs
from cim.model.schema import make_table

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cim.model import City

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["place_by_footprints"]

_SET = "georeference"
_MARGIN = 5.0  # m: added to a stated uncertainty, which is that of one point and not of the middle of the building
_GOOD = 0.2  # m: what a footprint of a register is good to
_AROUND = 100.0  # m: buildings whose ground is taken where the matched one has none
_NAMED = 5
_STEP = 50.0  # m: half the length over which a projection is taken for straight; it bends by less than 0.1 mm there


@dataclass(frozen=True)
class _Stated:
    """What the model's own georeference says."""

    owner: int | None
    verdict: str
    uncertainty: float | None
    north_known: bool
    crs: CityCRS | None
    matrix: Reals | None
    """Coordinates of the file -> coordinates in `crs`."""


def place_by_footprints(city: City, known: City, *, may_be_absent: bool = True) -> City:
    """Return a model of unknown or coarse place moved onto the footprint it fits.

    The footprint of its largest Building is compared with those of class Building in `known`. A coarse place narrows the search, a
    known north the turn. The ground of the matched building, or of those around it, gives the height where the model has none.

    Parameters
    ----------
    city
        A model in local coordinates, or one whose place is coarse.
    known
        City with footprints, projected.
    may_be_absent
        Whether the building may be missing in `known`.

    Returns
    -------
    City
        In the system of `known`, its properties "georeference" rewritten; or `city` unmoved. An issue tells the score, the margin and
        the candidates in both cases.

    Raises
    ------
    UsageError
        If `known` is in local coordinates itself.
    """
    if known.crs.is_local:
        msg = "the footprints to compare with are in local coordinates themselves; name a projected system for them: read(…, crs=…)"
        raise UsageError(msg)
    stated = _stated(city)
    if not city.crs.is_local and not city.crs.same_horizontal(known.crs):
        city = to_crs(city, known.crs)
    key, outline = _outline(city)
    targets = _buildings(known)
    shapes = known.footprints(targets)
    if outline is None or not len(targets):
        lacking = "no Building with a footprint in the model" if outline is None else "no Building to compare with"
        return _told(city, f"cannot be placed by footprints: {lacking}", "warning", key)
    try:
        fit = _fitted(city, key, outline, known, targets, shapes, stated, may_be_absent=may_be_absent)
    except UsageError as error:
        return _told(city, f"cannot be placed by footprints: {error}", "warning", key)
    names = _candidates(fit, known, targets)
    if fit.verdict != "found" or fit.matrix is None or fit.candidate is None:
        return _told(city, f"not placed by footprints ({fit.verdict}): {fit.reason}; {names}", "warning", key)
    return _placed(city, key, known, int(targets[fit.candidate]), fit, stated, names)


def _stated(city: City) -> _Stated:
    table = city.tables["properties"]
    rows = table.filter(pc.field("set") == _SET)
    values = dict(zip(rows["name"].to_pylist(), rows["value"].to_pylist(), strict=True))
    owner = rows["object"][0].as_py() if rows.num_rows else None
    uncertainty = float(values["uncertainty"]) if values.get("uncertainty") else None
    north_known = values.get("rotation_known") == "true"
    matrix = _matrix(values.get("matrix"))
    if matrix is None and city.crs.is_local:
        matrix = np.eye(4)
    return _Stated(owner, values.get("verdict") or "unknown", uncertainty, north_known, _system(values.get("crs")), matrix)


def _system(text: str | None) -> CityCRS | None:
    try:
        return parse(text) if text else None
    except CRSError:
        return None


def _matrix(text: str | None) -> Reals | None:
    import orjson

    try:
        matrix = np.array(orjson.loads(text or ""), float)
    except (orjson.JSONDecodeError, ValueError, TypeError):
        return None
    return matrix if matrix.shape == (4, 4) else None


def _matrix_in(city: City, key: int | None, stated: _Stated) -> Reals | None:
    """Return the stated matrix with the system of the city for its target; None where it cannot be told."""
    own, matrix = stated.crs, stated.matrix
    if city.crs.is_local or matrix is None:
        return matrix
    if own is None or own.is_local or not own.is_projected or key is None:
        return None
    if own.same_horizontal(city.crs) and (own.vertical is None or own.same_vertical(city.crs)):
        return matrix
    try:
        return _tangent(city, key, own, float(matrix[2, 3])) @ matrix
    except CRSError:
        return None


def _tangent(city: City, key: int, own: CityCRS, height: float) -> Reals:
    """Return what the way from a projected system to that of the city is at the model: shape (4, 4)."""
    import shapely

    middle = shapely.get_coordinates(shapely.centroid(city.footprints(np.array([key]))))
    there = transform_points(middle[:, 0], middle[:, 1], None, city.crs.without_vertical(), own.without_vertical(), path=city.name)
    x = float(there.x[0]) + _STEP * np.array([0.0, 1.0, -1.0, 0.0, 0.0, 0.0])
    y = float(there.y[0]) + _STEP * np.array([0.0, 0.0, 0.0, 1.0, -1.0, 0.0])
    z = height + np.array([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    here = transform_points(x, y, z, own, city.crs, path=city.name)
    plane, up = np.stack([here.x, here.y]), z if here.z is None else here.z
    matrix = np.eye(4)
    matrix[:2, 0], matrix[:2, 1] = (plane[:, 1] - plane[:, 2]) / (2 * _STEP), (plane[:, 3] - plane[:, 4]) / (2 * _STEP)
    matrix[:2, 3] = plane[:, 0] - matrix[:2, :2] @ [x[0], y[0]]
    matrix[2, 2] = up[5] - up[0]
    matrix[2, 3] = up[0] - matrix[2, 2] * height
    return matrix


def _buildings(city: City) -> Ints:
    return city.keys(type="Building") if "Building" in city.types() else np.empty(0, np.int64)


def _outline(city: City) -> tuple[int | None, Any]:
    """Return the largest building with a polygon for a footprint; key and footprint."""
    import shapely

    keys = _buildings(city)
    shapes = city.footprints(keys)
    areas = np.where(shapely.is_missing(shapes), 0.0, shapely.area(shapes))
    if not areas.any():
        return (int(keys[0]) if len(keys) else None), None
    best = int(areas.argmax())
    return int(keys[best]), shapes[best]


def _fitted(
    city: City, key: int | None, outline: Any, known: City, targets: Ints, shapes: Any, stated: _Stated, *, may_be_absent: bool
) -> Fit:
    import shapely

    near = None
    rotation = None
    if not city.crs.is_local:
        middle = shapely.get_coordinates(shapely.centroid(outline))[0]
        if stated.uncertainty is not None:
            near = (float(middle[0]), float(middle[1]), stated.uncertainty + _MARGIN)
        rotation = 0.0 if stated.north_known else None
    height = _heights(city, np.array([key]))[0]
    return fit_outline(
        outline, shapes, height=None if math.isnan(height) else float(height), candidate_heights=_heights(known, targets).tolist(),
        rotation=rotation, near=near, may_be_absent=may_be_absent,
    )  # fmt: skip


def _column(city: City, keys: Ints, name: str) -> Reals:
    rows = city.tables["objects"][name].take(pa.array(city.row_of_key(keys)))
    return np.asarray(rows.to_numpy(), float)


def _heights(city: City, keys: Ints) -> Reals:
    return _column(city, keys, "z_roof") - _column(city, keys, "z_ground")


def _candidates(fit: Fit, known: City, targets: Ints) -> str:
    ranked = ([] if fit.candidate is None else [(fit.candidate, fit.score)]) + list(fit.alternatives)
    if not ranked:
        return "no candidates"
    ids = known.ids(targets[[index for index, _ in ranked[:_NAMED]]])
    parts = [f"{id} ({score:.3f})" for id, (_, score) in zip(ids, ranked[:_NAMED], strict=True)]
    return f"candidates by score: {', '.join(parts)}"


def _placed(city: City, key: int | None, known: City, target: int, fit: Fit, stated: _Stated, names: str) -> City:
    motion = np.eye(4)
    flat = fit.matrix if fit.matrix is not None else np.eye(3)
    motion[:2, :2], motion[:2, 3] = flat[:2, :2], flat[:2, 2]
    rise, ground = _rise(city, key, known, target)
    motion[2, 3] = rise
    crs = known.crs if ground or city.crs == known.crs else CityCRS(known.crs.horizontal, city.crs.vertical)
    name = known.ids(np.array([target]))[0]
    turn = math.degrees(math.atan2(motion[1, 0], motion[0, 0]))
    height = ground or "heights stay as they are"
    reason = f"the footprint fits {name}: {fit.reason}; {height}"
    moved = placed(city, motion, crs)
    own = _matrix_in(city, key, stated)
    rows: dict[str, tuple[str, str | None] | None] = {
        "verdict": ("matched", None),
        "reason": (reason, None),
        "crs": (crs.to_string(), None),
        "matrix": None if own is None else (_json((motion @ own).tolist()), None),
        "uncertainty": (f"{max(_GOOD, fit.gap):.3g}", "m"),
        "matched_object": (name, None),
        "score": (f"{fit.score:.4f}", None),
        "margin": (f"{fit.margin:.4f}", None),
        "stated_verdict": (stated.verdict, None),
    }
    owner = stated.owner if stated.owner is not None else key
    moved = _rewritten(moved, owner, rows)
    away = float(np.hypot(*motion[:2, 3])) if city.crs.is_local else _moved_by(motion, city, key)
    shift = "" if city.crs.is_local else f", {away:.2f} m from where it was stated"
    return _told(moved, f"placed by footprints: {reason}; turned by {turn:.2f}°{shift}; {names}", "info", owner)


def _moved_by(motion: Reals, city: City, key: int | None) -> float:
    import shapely

    if key is None:
        return math.nan
    middle = shapely.get_coordinates(shapely.centroid(city.footprints(np.array([key]))))[0]
    there = motion[:2, :2] @ middle + motion[:2, 3]
    return float(np.hypot(*(there - middle)))


def _rise(city: City, key: int | None, known: City, target: int) -> tuple[float, str]:
    """Return how far the model is lifted [m], and what its ground was put on; nothing when no ground is known or its own height is."""
    import shapely

    own = float(_column(city, np.array([key]), "z_ground")[0]) if key is not None else math.nan
    if not math.isfinite(own) or city.crs.vertical is not None or known.crs.vertical is None:
        return 0.0, ""
    ground = float(_column(known, np.array([target]), "z_ground")[0])
    if math.isfinite(ground):
        return ground - own, f"its ground is put on that of the footprint ({ground:.2f} m)"
    middle = shapely.get_coordinates(shapely.centroid(known.footprints(np.array([target]))))[0]
    box = (*(middle - _AROUND), *(middle + _AROUND))
    around = _column(known, known.keys(type="Building", bbox=box), "z_ground")
    if not np.isfinite(around).any():
        return 0.0, ""
    ground = float(np.nanmedian(around))
    return ground - own, f"its ground is put on the median ground of the buildings within {_AROUND:g} m ({ground:.2f} m)"


def _rewritten(city: City, owner: int | None, rows: Mapping[str, tuple[str, str | None] | None]) -> City:
    """Return the city with rows of the set written anew; what became None is taken away."""
    if owner is None:
        return city
    table = city.tables["properties"]
    old = (pc.field("set") == _SET) & pc.field("name").isin(list(rows))
    new = [(name, *row) for name, row in rows.items() if row is not None]
    names, values, units = ([row[i] for row in new] for i in range(3))
    columns = {"object": [owner] * len(new), "set": _SET, "name": names, "value": values, "unit": units}
    return city.replace_tables(properties=pa.concat_tables([table.filter(~old), make_table("properties", columns)]))


def _told(city: City, message: str, severity: str, key: int | None) -> City:
    code = "crs" if severity == "info" else "unmatched"
    return city.with_issues([{"code": code, "severity": severity, "object": key, "message": message}])


def _json(value: Any) -> str:
    import orjson

    return orjson.dumps(value).decode()
