"""What a CityJSON file claims, looked at before it is believed: transform, vertices, addresses it points to, heights it states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError
from cim.loaders.cityjson.columns import kernel
from cim.loaders.cityjson.document import Document, Note
from cim.loaders.cityjson.geometry import FARTHEST, Found
from cim.loaders.cityjson.points import stored_points

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Reals = NDArray[np.float64]
    Ints = NDArray[np.int64]

__all__ = ["Transform", "check_heights", "lost_parts", "points_of", "template_points", "transform_of", "welded", "within"]

_UNITS = ((1000.0, "millimetres"), (100.0, "centimetres"), (1 / 0.3048, "feet"))
_MANY = 100_000
"""Points from which compiled loops are worth loading."""
_CLOSE = 0.1
"""A ratio this near to that of a unit is taken for it."""
_FACTOR, _APART = 2.0, 3.0
"""A stated height contradicts the geometry when it differs by this factor and this many metres."""


@dataclass(frozen=True)
class Transform:
    """How stored integers become coordinates: value * scale + translate."""

    scale: tuple[float, float, float]
    translate: tuple[float, float, float]


def transform_of(document: Document, path: Path) -> Transform | None:
    """Return the transform of a file, None for one of version 1.0 that stores real coordinates.

    Raises
    ------
    CorruptFileError
        If it is missing where it must be, or holds what is no finite number, or a scale of zero.
    """
    given = document.header.get("transform")
    if given is None:
        if document.version == "1.0":
            return None
        raise CorruptFileError(path, f"has no transform, which CityJSON {document.version} requires", "export it again")
    if not isinstance(given, dict):
        raise CorruptFileError(path, f"has a transform that is a {type(given).__name__}, expected scale and translate", "export it again")
    scale, translate = (_three(given.get(name), name, path) for name in ("scale", "translate"))
    if 0.0 in scale:
        reason = f"has a transform with scale {list(scale)}: a scale of zero makes every coordinate the same"
        raise CorruptFileError(path, reason, "export it again")
    return Transform(scale, translate)


def _three(value: Any, name: str, path: Path) -> tuple[float, float, float]:
    fine = isinstance(value, list) and len(value) == 3 and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    numbers = [float(v) if abs(v) < 1e300 else np.inf for v in value] if fine else []
    if not fine or not np.isfinite(numbers).all():
        reason = f"has a transform whose {name} is {str(value)[:60]}, expected three finite numbers"
        raise CorruptFileError(path, reason, "export it again")
    return numbers[0], numbers[1], numbers[2]


def points_of(document: Document, transform: Transform | None, notes: list[Note]) -> Reals:
    """Return the vertices of a file as coordinates, shape (v, 3); what overflows becomes NaN."""
    stored = document.vertices
    if transform is None:
        return stored
    broken = 0 if document.columns is not None else _broken(stored)  # columns are of whole numbers only
    if broken:
        message = f"{broken} vertices are not integers although the file has a transform; they are scaled as they are"
        notes.append(Note("repaired", message, count=broken))
    return np.asarray(stored * np.asarray(transform.scale) + np.asarray(transform.translate))


def _broken(stored: Reals) -> int:
    """Return how many vertices are not whole numbers."""
    whole = np.isfinite(stored) & (stored == np.round(stored))
    return int(np.sum(~whole.all(axis=1) & np.isfinite(stored).all(axis=1)))


def template_points(document: Document, path: Path) -> Reals:
    """Return the vertices of the templates, shape (v, 3); they are not transformed."""
    library = document.header.get("geometry-templates")
    listed = library.get("vertices-templates") if isinstance(library, dict) else None
    return stored_points(listed if isinstance(listed, list | bytes) else [], path, "template vertex")


def welded(points: Reals, used: Ints, notes: list[Note]) -> None:
    """Report vertices that stand at the place of another, those that overflow, and those that nothing uses."""
    same = _repeated(points)
    if same:
        notes.append(Note("repaired", f"{same} duplicate vertices stand at the place of another; they count as one point", count=same))
    wild = 0 if within(points) else int(np.sum(~np.isfinite(points).all(axis=1) | (np.abs(np.nan_to_num(points)) > FARTHEST).any(axis=1)))
    if wild:
        message = f"{wild} vertices are out of range: they overflow 53 bit or lie over {FARTHEST:g} m; geometry that uses them is left out"
        notes.append(Note("rejected", message, "error", count=wild))
    idle = len(points) - len(used)
    if idle:
        notes.append(Note("lost", f"{idle} of {len(points)} vertices are used by no geometry; they are not kept", "info", count=idle))


def within(points: Reals) -> bool:
    """Return whether all points are finite and no farther out than any city."""
    return not points.size or bool(points.min() >= -FARTHEST and points.max() <= FARTHEST)  # neither holds where one is no number


def _repeated(points: Reals) -> int:
    """Return how many points stand where another does; two that are no numbers are not alike."""
    compiled = kernel() if len(points) > _MANY else None
    if compiled is not None and not np.isnan(points).any():
        return int(compiled.repeated(np.ascontiguousarray(points + 0.0).view(np.int64)))  # no negative zero
    order = np.lexsort(points.T[::-1])
    return int(np.sum((np.diff(points[order], axis=0) == 0).all(axis=1))) if len(points) > 1 else 0


# --------------------------------------------------------------------------------------------- what is not held


def lost_parts(document: Document, found: Found) -> list[Note]:
    """Return what the model does not hold, with counts, and schemas that are never opened."""
    notes = []
    for name, count in found.beyond.items():
        notes.append(Note("lost", f"member {name[:40]!r} of {count} geometries is not held and not written again", count=count))
    extensions = document.header.get("extensions")
    for name, one in extensions.items() if isinstance(extensions, dict) else ():
        url = one.get("url") if isinstance(one, dict) else None
        message = f"extension {name[:40]!r}: its schema at {str(url)[:120]!r} is not opened; its data are kept as they are, unchecked"
        notes.append(Note("unsupported", message))
    return notes


# --------------------------------------------------------------------------------------------- heights


def check_heights(stated: Sequence[Any], low: Reals, high: Reals, ids: Sequence[str]) -> list[Note]:
    """Return a conflict for every height that the geometry contradicts, with the unit it seems to be in.

    Parameters
    ----------
    stated : shape (n,)
        ``measuredHeight`` of each object [m]; None where there is none.
    low, high : shape (n,)
        Lowest and highest vertex [m]; NaN where there is no geometry.
    """
    if set(map(type, stated)) <= {type(None)}:
        return []
    height = np.array([value if isinstance(value, int | float) and not isinstance(value, bool) else np.nan for value in stated], float)
    tall = high - low
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = height / tall
        off = np.isfinite(ratio) & (tall > 0) & (np.abs(height - tall) > _APART) & ((ratio > _FACTOR) | (ratio < 1 / _FACTOR))
    notes = []
    for row in np.flatnonzero(off).tolist():
        unit = next((word for factor, word in _UNITS if abs(ratio[row] / factor - 1) < _CLOSE), "")
        guess = f"; it seems to be in {unit}" if unit else ""
        message = f"measuredHeight {height[row]:g} of {ids[row]!r} does not match its geometry, which is {tall[row]:.2f} m high{guess}"
        notes.append(Note("conflict", message, row=row))
    return notes
