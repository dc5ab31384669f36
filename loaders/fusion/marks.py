"""Marks of records: what a record said when it was read, in a few letters, by which `cim update` tells whether it changed.

A mark stands at the end of the evidence of a match: ``record FORM-PLACE-VALUES``. FORM changes with the shape, PLACE with where it lies,
VALUES with class, name, period, attributes, identifiers and properties. Coordinates count to a tenth of a millimetre, as the source states
them: before they are brought to another system.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cim.model.history import _hash as hash_stretches
from cim.model.history import _mix as scatter
from cim.model.history import _text_hash as hash_texts
from cim.model.schema import one_array

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cim.loaders.fusion.pairs import Pairs
    from cim.model import City

    Ints = NDArray[np.int64]
    Hashes = NDArray[np.uint64]
    Flags = NDArray[np.bool_]

__all__ = ["Marks", "marked", "marks_of", "read_marks", "without_mark"]

STEPS = 1e4
"""Coordinates are counted in steps of 0.1 mm: 1e4 to a metre."""
FOOTPRINT = "its footprint is used"
"""Evidence that a follower gave the object its footprint."""
_CORE = ("type", "name", "valid_from", "valid_to", "grade", "z_ground", "z_roof")
_MARK = re.compile(r"(?:^| · )record ([0-9a-f]{10})-([0-9a-f]{10})-([0-9a-f]{10})$")


@dataclass(frozen=True)
class Marks:
    """One mark per record."""

    form: NDArray[Any]
    """Shape (n,): ten hexadecimal digits; empty where there is no mark."""
    place: NDArray[Any]
    values: NDArray[Any]

    def texts(self) -> NDArray[Any]:
        """Return the marks as they are written."""
        made = [f"record {a}-{b}-{c}" for a, b, c in zip(self.form.tolist(), self.place.tolist(), self.values.tolist(), strict=True)]
        return _objects(made)

    def take(self, rows: Any) -> Marks:
        """Return the marks of some rows."""
        return Marks(self.form[rows], self.place[rows], self.values[rows])

    @property
    def known(self) -> Flags:
        """Shape (n,): whether there is a mark."""
        return np.asarray(self.form != "", bool)


def marks_of(city: City) -> Marks:
    """Return the mark of every object as it was read, in the order of the objects."""
    form, place = _footprint_hashes(city)
    more_form, more_place = _geometry_hashes(city)
    values = _value_hashes(city)
    return Marks(_hex(form + more_form), _hex(scatter(place) + more_place), _hex(values))


def marked(pairs: Pairs, marks: Mapping[int, str], filling: Ints) -> Pairs:
    """Return the pairs with the mark of each right record at the end of its evidence.

    Parameters
    ----------
    pairs
        From `match_cities`.
    marks
        Text by key of the right city.
    filling
        Right keys whose footprint becomes that of their object.
    """
    fills = np.isin(pairs.right, filling) & (pairs.kind == "same")
    texts = [
        " · ".join(filter(None, [text, FOOTPRINT if fill else "", marks.get(key, "")]))
        for text, key, fill in zip(pairs.evidence.tolist(), pairs.right.tolist(), fills.tolist(), strict=True)
    ]
    return replace(pairs, evidence=_objects(texts))


def read_marks(evidence: pa.ChunkedArray) -> Marks:
    """Return the marks that stand in the evidence of matches, empty texts where there is none."""
    found = [_MARK.search(text) if text else None for text in evidence.to_pylist()]
    form, place, values = (_objects(["" if one is None else one.group(number) for one in found]) for number in (1, 2, 3))
    return Marks(form, place, values)


def without_mark(text: str | None) -> str:
    """Return evidence without the mark and what `marked` put before it.

    Examples
    --------
    >>> without_mark("IoU 0.93 · record 0123456789-0123456789-0123456789")
    'IoU 0.93'
    """
    return _MARK.sub("", text or "").removesuffix(f" · {FOOTPRINT}")


def _objects(texts: list[str]) -> NDArray[Any]:
    made = np.empty(len(texts), object)
    made[:] = texts
    return made


def _hex(values: Hashes) -> NDArray[Any]:
    return _objects([f"{value:016x}"[:10] for value in scatter(values).tolist()])


def _footprint_hashes(city: City) -> tuple[Hashes, Hashes]:
    """Return hashes of shape and place of the footprints."""
    import shapely

    shapes = city.footprints()
    xy, row = shapely.get_coordinates(shapes, return_index=True)
    start = np.searchsorted(row, np.arange(len(shapes) + 1))
    kind = scatter((shapely.get_type_id(shapes) + 2).astype(np.uint64))
    form, place = _split(xy, start)
    return form + kind, place


def _geometry_hashes(city: City) -> tuple[Hashes, Hashes]:
    """Return hashes of shape and place of all geometries of each object; their order does not count."""
    from cim.model.geometry import flatten

    table = city.geometry_table()
    rows = len(city)
    whole_form, whole_place = np.zeros(rows, np.uint64), np.zeros(rows, np.uint64)
    if not table.num_rows:
        return whole_form, whole_place
    flat = flatten(table)
    form, place = _split(flat.vertices + city.origin, flat.vertex_start)
    rings = flat.surface_start[flat.shell_start[flat.solid_start[flat.geometry_start]]]
    local = flat.index - np.repeat(flat.vertex_start[flat.geometry_of_ring], np.diff(flat.ring_start))
    form = form + hash_stretches(local, flat.ring_start[rings]) + scatter(hash_stretches(np.diff(flat.ring_start), rings))
    for number, name in enumerate(("lod", "role", "type")):
        form = form + scatter(hash_texts(one_array(table[name])) + np.uint64(number))
    owner = city.row_of_key(np.asarray(table["object"].to_numpy(), np.int64))
    np.add.at(whole_form, owner, scatter(form))
    np.add.at(whole_place, owner, scatter(place))
    return whole_form, whole_place


def _split(points: NDArray[np.float64], start: Ints) -> tuple[Hashes, Hashes]:
    """Return hashes of each stretch of points: relative to its first one, and of the first one."""
    there = np.diff(start) > 0
    first = np.zeros((len(there), points.shape[1] if points.ndim == 2 else 2))
    first[there] = points[start[:-1][there]]
    local = np.round((points - np.repeat(first, np.diff(start), axis=0)) * STEPS).astype(np.int64)
    width = first.shape[1]
    form = hash_stretches(local.reshape(-1), start * width)
    place = hash_stretches(np.round(first * STEPS).astype(np.int64).reshape(-1), np.arange(len(first) + 1) * width)
    return form, place


def _value_hashes(city: City) -> Hashes:
    """Return hashes of what records say; the order of columns and rows does not count, missing values neither."""
    total = np.zeros(len(city), np.uint64)
    objects = city.tables["objects"]
    for name in _CORE:
        _add_column(total, np.arange(len(city)), name, one_array(objects[name]))
    for type in city.attributes:
        table = city.attributes[type]
        rows = city.row_of_key(np.asarray(table["object"].to_numpy(), np.int64))
        for name in table.column_names:
            if name != "object":
                _add_column(total, rows, name, one_array(table[name]))
    for name, columns in (("identifiers", ("scheme", "value")), ("properties", ("set", "name", "value"))):
        table = city.tables[name]
        if table.num_rows:
            text = pc.binary_join_element_wise(*(pc.fill_null(one_array(table[column]), "") for column in columns), "\x1f")
            _add_column(total, city.row_of_key(np.asarray(table["object"].to_numpy(), np.int64)), name, text)
    return total


def _add_column(total: Hashes, rows: Ints, name: str, column: pa.Array) -> None:
    """Add the hashes of the values that are there to the sums of their objects; a whole number counts like the fraction it equals."""
    there = np.asarray(column.is_valid().to_numpy(zero_copy_only=False))
    if not there.any():
        return
    column = column.filter(pa.array(there))
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        hashes = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), float).view(np.uint64)
    elif pa.types.is_nested(column.type):
        hashes = hash_texts(pa.array([repr(value) for value in column.to_pylist()], pa.string()))
    else:
        hashes = hash_texts(column.cast(pa.string()))
    salt = hash_texts(pa.array([name]))[0]
    np.add.at(total, rows[there], scatter(hashes ^ salt))
