"""PLY, ASCII and binary: vertices, polygons, labels and texture coordinates of faces or corners.

The header says what each record holds and how many there are; both are held against the size of the file before anything is allocated.
Binary records of one size are read as one array; records with lists of differing lengths are walked by a compiled loop.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, FormatError
from cim.loaders.mesh.files import Companions
from cim.loaders.mesh.mesh import Material, Mesh, Remark, starts
from cim.loaders.mesh.text import lines_of, normalised, numbers, picked, token_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cim.loaders.limits import Limits

    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]

__all__ = ["Element", "Header", "Property", "read_header", "read_ply"]

_REMEDY = "export or copy it again"
_HEADER = 1 << 20
"""Longest header [bytes]."""
_KINDS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2", "uint16": "u2",
    "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4", "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDER = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
_INDEX = ("vertex_indices", "vertex_index")
_CORNER_UV = ("texcoord", "texture_coordinates")
_VERTEX_UV = (("s", "t"), ("u", "v"), ("texture_u", "texture_v"))
_LABELS = ("label", "class", "classification", "semantic", "category")
_TEXTURE = re.compile(r"texture_?file\s+(.+)", re.IGNORECASE)
_LABEL = re.compile(r"label\s+(-?\d{1,9})\s*[:=]?\s*(\S.*)", re.IGNORECASE)
_COARSE = 0.005
"""Spacing of 32 bit numbers [m] above which coordinates are told to be coarse."""


@dataclass(frozen=True)
class Property:
    """One column of an element."""

    name: str
    kind: str
    """numpy type of the values, in the byte order of the file."""
    count_kind: str = ""
    """numpy type of the number of values of a list; empty for a scalar."""


@dataclass(frozen=True)
class Element:
    """One table of the file."""

    name: str
    count: int
    properties: tuple[Property, ...]

    @property
    def least_bytes(self) -> int:
        """Bytes that a binary record takes at least."""
        return sum(np.dtype(one.count_kind or one.kind).itemsize for one in self.properties)


@dataclass(frozen=True)
class Header:
    """What stands before the records."""

    order: str
    """"<" or ">" for binary records, "" for text."""
    elements: tuple[Element, ...]
    comments: tuple[str, ...]
    size: int
    """Bytes of the header."""


@dataclass
class _Column:
    """A scalar column, or the values of a list column and how many each record has."""

    values: NDArray[Any]
    size: Ints | None = None


@dataclass
class _Table:
    columns: dict[str, _Column] = field(default_factory=dict)


def read_header(data: bytes, path: Path) -> Header:
    """Return the header of a PLY file.

    Raises
    ------
    CorruptFileError
        If it has no end, or a line that cannot be read.
    FormatError
        If the format is not one of ASCII, little and big endian 1.0.
    """
    end = re.search(rb"(?:^|[\r\n])end_header[ \t]*(\r\n|\r|\n)", data[:_HEADER])
    if not data.startswith(b"ply") or end is None:
        raise CorruptFileError(path, "is no PLY file with a whole header (no end_header line)", _REMEDY)
    lines = data[: end.start()].decode("utf-8", "replace").splitlines()
    words = [line.split() for line in lines]
    order = next((_ORDER.get(line[1]) for line in words if len(line) >= 2 and line[0] == "format"), None)
    if order is None:
        raise FormatError(path, "its PLY header names no known format (ascii, binary_little_endian, binary_big_endian)", _REMEDY)
    comments = tuple(
        line.split(None, 1)[1].strip() for line in lines if line.startswith(("comment ", "obj_info ")) and len(line.split()) > 1
    )
    return Header(order, _elements(words, order, path), comments, end.end())


def _elements(words: list[list[str]], order: str, path: Path) -> tuple[Element, ...]:
    found: list[tuple[str, int, list[Property]]] = []
    for line in words:
        if line[:1] == ["element"]:
            if len(line) != 3 or not line[2].isdigit() or len(line[2]) > 18:
                raise CorruptFileError(path, f"its PLY header has an element line without a count: {' '.join(line)[:60]!r}", _REMEDY)
            found.append((line[1], int(line[2]), []))
        elif line[:1] == ["property"]:
            one = _property(line, order)
            if one is None or not found:
                raise CorruptFileError(path, f"its PLY header has a property line that cannot be read: {' '.join(line)[:60]!r}", _REMEDY)
            found[-1][2].append(one)
    return tuple(Element(name, count, tuple(properties)) for name, count, properties in found)


def _property(line: list[str], order: str) -> Property | None:
    if len(line) == 3 and line[1] in _KINDS:
        return Property(line[2], order + _KINDS[line[1]])
    if len(line) == 5 and line[1] == "list" and line[2] in _KINDS and line[3] in _KINDS:
        return Property(line[4], order + _KINDS[line[3]], order + _KINDS[line[2]])
    return None


def read_ply(path: Path, limits: Limits) -> Mesh:
    """Return the mesh in a PLY file; texture coordinates run up, as the tools that write them (MeshLab, CGAL) have it.

    Raises
    ------
    CorruptFileError
        If it declares more records than it can hold, is cut, or its lists have impossible lengths.
    """
    data = path.read_bytes()
    header = read_header(data, path)
    for element in header.elements:
        least = element.least_bytes if header.order else 2 * len(element.properties)
        if element.count * least > len(data) - header.size:
            reason = (
                f"declares {element.count:,} records of element {element.name!r}, more than its {len(data):,} bytes can hold (truncated?)"
            )
            raise CorruptFileError(path, reason, _REMEDY)
        limits.check("records", element.count, path)
    tables = _binary(data, header, path) if header.order else _ascii(data, header, path)
    return _mesh(tables, header, Companions(path, path.parent), path)


# ---------------------------------------------------------------- records


def _ascii(data: bytes, header: Header, path: Path) -> dict[str, _Table]:
    lines = lines_of(normalised(data[header.size :]))
    count = token_counts(lines)
    if (count == 0).any():
        lines, count = picked(lines, count > 0), count[count > 0]
    tables, line = {}, 0
    for element in header.elements:
        last = line + element.count
        if last > len(count):
            reason = (
                f"declares {element.count:,} records of element {element.name!r}, but {len(count) - line:,} lines are left (truncated?)"
            )
            raise CorruptFileError(path, reason, _REMEDY)
        text = lines.text[lines.start[line] : lines.start[last]].tobytes()
        flat = numbers(text)
        if len(flat) != count[line:last].sum():
            raise CorruptFileError(path, f"has text that cannot be read as numbers in element {element.name!r} (parse error)", _REMEDY)
        tables[element.name] = _split(flat, count[line:last], element, path)
        line = last
    return tables


def _split(flat: Reals, count: Ints, element: Element, path: Path) -> _Table:
    """Take the records apart: the place of each property follows from the lists before it."""
    first = starts(count)
    place, end = first[:-1].copy(), first[1:]
    table = _Table()
    for one in element.properties:
        if (place >= end).any():
            raise _bad_record(path, element, "has fewer values than it declares")
        values = flat[place]
        place += 1
        if one.count_kind:
            size = _sizes(values, end - place, path, element)
            table.columns[one.name] = _Column(flat[_spread(place, size)], size)
            place += size
        else:
            table.columns[one.name] = _Column(values)
    if (place != end).any():
        raise _bad_record(path, element, "has more values than it declares")
    return table


def _sizes(values: Reals, left: Ints, path: Path, element: Element) -> Ints:
    with np.errstate(invalid="ignore"):
        wrong = ~((values >= 0) & (values <= left) & (values == np.floor(values)))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise _bad_record(path, element, f"has a list of {values[row]:g} values in record {row} (a negative or impossible length)")
    return values.astype(np.int64)


def _spread(place: Ints, size: Ints) -> Ints:
    """Return every place of some runs."""
    first = starts(size)
    return np.repeat(place - first[:-1], size) + np.arange(first[-1])


def _bad_record(path: Path, element: Element, what: str) -> CorruptFileError:
    return CorruptFileError(path, f"its PLY element {element.name!r} {what}; its data cannot be parsed", _REMEDY)


def _binary(data: bytes, header: Header, path: Path) -> dict[str, _Table]:
    tables, place = {}, header.size
    for element in header.elements:
        table, place = _element(data, place, element, path)
        tables[element.name] = table
    return tables


def _element(data: bytes, place: int, element: Element, path: Path) -> tuple[_Table, int]:
    if not element.count or not element.properties:
        return _Table({one.name: _Column(np.zeros(0, one.kind), np.zeros(0, np.int64) if one.count_kind else None)
                       for one in element.properties}), place  # fmt: skip
    uniform = _uniform(data, place, element)
    return uniform if uniform is not None else _walked(data, place, element, path)


def _uniform(data: bytes, place: int, element: Element) -> tuple[_Table, int] | None:
    """Read records whose lists are all as long as those of the first; None when they are not."""
    fields: list[tuple[str, Any] | tuple[str, Any, int]] = []
    at = place
    for one in element.properties:
        if one.count_kind:
            width = np.dtype(one.count_kind).itemsize
            if at + width > len(data):
                return None
            many = int(np.frombuffer(data, one.count_kind, 1, at)[0])
            if many < 0 or many > len(data):
                return None
            fields += [(f"#{one.name}", one.count_kind), (one.name, one.kind, (many,))]  # type: ignore[list-item]
            at += width + many * np.dtype(one.kind).itemsize
        else:
            fields.append((one.name, one.kind))
            at += np.dtype(one.kind).itemsize
    record = np.dtype(fields)
    if record.itemsize * element.count > len(data) - place:
        return None
    rows = np.frombuffer(data, record, element.count, place)
    table = _Table()
    for one in element.properties:
        values = rows[one.name]
        if one.count_kind:
            if (rows[f"#{one.name}"] != values.shape[1]).any():
                return None
            table.columns[one.name] = _Column(values.reshape(-1), np.full(element.count, values.shape[1], np.int64))
        else:
            table.columns[one.name] = _Column(values)
    return table, place + record.itemsize * element.count


def _walked(data: bytes, place: int, element: Element, path: Path) -> tuple[_Table, int]:
    """Read records of differing sizes: a compiled walk finds where each list lies."""
    from cim.loaders.mesh._kernels import walk_records

    raw = np.frombuffer(data, np.uint8)
    widths = np.array([np.dtype(one.kind).itemsize for one in element.properties], np.int64)
    counters = np.array([np.dtype(one.count_kind).itemsize if one.count_kind else 0 for one in element.properties], np.int64)
    signed = np.array([one.count_kind[1:2] == "i" for one in element.properties])
    if any(one.count_kind[1:2] == "f" for one in element.properties):
        raise _bad_record(path, element, "counts the values of a list in floating point")
    where = np.zeros((element.count, len(widths)), np.int64)
    many = np.zeros((element.count, len(widths)), np.int64)
    big = any(one.kind.startswith(">") for one in element.properties)
    end = int(walk_records(raw, place, widths, counters, signed, int(big), where, many))
    if end < 0:
        raise _bad_record(path, element, f"ends in record {-end - 1}: a list has a negative or impossible length, or the file is truncated")
    table = _Table()
    for column, one in enumerate(element.properties):
        width = int(widths[column])
        size = many[:, column]
        at = _spread(np.zeros(len(size), np.int64), size) * width + np.repeat(where[:, column], size)
        values = raw[(at[:, None] + np.arange(width)).reshape(-1)].view(one.kind)
        table.columns[one.name] = _Column(values, size if one.count_kind else None)
    return table, end


# ---------------------------------------------------------------- mesh


def _mesh(tables: dict[str, _Table], header: Header, companions: Companions, path: Path) -> Mesh:
    vertex = tables.get("vertex", _Table()).columns
    if not all(axis in vertex for axis in "xyz"):
        raise CorruptFileError(path, "has no PLY element 'vertex' with x, y and z", _REMEDY)
    points = np.stack([np.asarray(vertex[axis].values, np.float64) for axis in "xyz"], axis=1)
    face = tables.get("face", _Table()).columns
    index = next((face[name] for name in _INDEX if name in face), None)
    said = list(_about(vertex, face, header, points))
    if index is None or index.size is None or not len(index.size):
        nothing = np.zeros(0, np.int64)
        return Mesh(points, nothing, nothing, nothing, said=tuple(said))
    corner, size = _whole(index.values), index.size
    keep, refused = _sound(corner, size, points)
    corner_kept = np.repeat(keep, size)
    uv = _uv(vertex, face, corner, size, said)
    label = next((face[name].values for name in _LABELS if name in face and face[name].size is None), None)
    material, materials = _textures(header, face, uv, len(size), companions)
    return Mesh(
        np.where(np.isfinite(points), points, 0.0), size[keep], corner[corner_kept], np.zeros(int(keep.sum()), np.int64), (None,),
        None if uv is None else uv[corner_kept], None if material is None else material[keep], materials,
        None if label is None else _whole(label)[keep], _label_names(header),
        said=(*said, *refused, *companions.said),
    )  # fmt: skip


def _whole(values: NDArray[Any]) -> Ints:
    """Return values as integers; what is no number, or far beyond any index, becomes -1."""
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    real = np.asarray(values, np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(real) < 2.0**53, real, -1.0).astype(np.int64)


def _sound(corner: Ints, size: Ints, points: Reals) -> tuple[NDArray[np.bool_], list[Remark]]:
    """Return which faces have three corners or more, all in range and finite, and what has to be reported about the others."""
    first = starts(size)[:-1]
    out = (corner < 0) | (corner >= len(points))
    broken = np.asarray(~np.isfinite(points).all(axis=1))
    infinite = ~out & broken[np.where(out, 0, corner)] if len(points) else out
    face = np.repeat(np.arange(len(first)), size)
    bad_index, bad_point = (np.bincount(face, one, len(first)) > 0 for one in (out, infinite))
    few = size < 3
    said = (
        (few, "faces have fewer than three corners; they are left out"),
        (bad_index & ~few, "faces name a vertex whose index is out of range; they are left out"),
        (bad_point & ~bad_index & ~few, "faces have a vertex that is not finite (NaN or infinity); they are left out"),
    )
    remarks = [Remark("rejected", "warning", f"{int(mask.sum()):,} {text}", int(mask.sum())) for mask, text in said if mask.any()]
    return ~(few | bad_index | bad_point), remarks


def _uv(vertex: dict[str, _Column], face: dict[str, _Column], corner: Ints, size: Ints, said: list[Remark]) -> Reals | None:
    """Return texture coordinates of the corners, from lists of the faces or columns of the vertices."""
    column = next((face[name] for name in _CORNER_UV if name in face and face[name].size is not None), None)
    if column is not None and column.size is not None:
        whole = column.size == 2 * size
        if not whole.all():
            odd = int((~whole & (column.size > 0)).sum())
            if odd:
                said.append(Remark("rejected", "warning", f"{odd} faces have texture coordinates that do not meet their corners", odd))
        uv = np.full((len(corner), 2), np.nan)
        uv[np.repeat(whole, size)] = np.asarray(column.values, np.float64)[np.repeat(whole, column.size)].reshape(-1, 2)
        return uv
    names = next((pair for pair in _VERTEX_UV if all(name in vertex for name in pair)), None)
    if names is None:
        return None
    each = np.stack([np.asarray(vertex[name].values, np.float64) for name in names], axis=1)
    out = (corner < 0) | (corner >= len(each))
    return np.where(out[:, None], np.nan, each[np.where(out, 0, corner)])


def _textures(
    header: Header, face: dict[str, _Column], uv: Reals | None, faces: int, companions: Companions
) -> tuple[Ints | None, tuple[Material, ...]]:
    names = [found[1].strip() for found in map(_TEXTURE.match, header.comments) if found]
    if not names or uv is None:
        return None, ()
    materials = tuple(Material(name, image=companions.image(name)) for name in names)
    number = face.get("texnumber")
    if number is None or number.size is not None:
        return np.zeros(faces, np.int64), materials
    which = _whole(number.values)
    return np.where((which >= 0) & (which < len(materials)), which, -1), materials


def _label_names(header: Header) -> dict[int, str]:
    return {int(found[1]): found[2].strip() for found in map(_LABEL.fullmatch, header.comments) if found}


def _about(vertex: dict[str, _Column], face: dict[str, _Column], header: Header, points: Reals) -> list[Remark]:
    said = []
    for columns, what in ((vertex, "vertices"), (face, "faces")):
        if {"red", "green", "blue"} <= set(columns):
            many = len(columns["red"].values)
            said.append(Remark("lost", "info", f"colours of {many:,} {what} are not held", many))
    kinds = {one.kind[-2:] for element in header.elements if element.name == "vertex" for one in element.properties if one.name in "xyz"}
    largest = np.abs(points[np.isfinite(points)]).max(initial=0.0)
    spacing = float(np.spacing(np.float32(min(largest, 3e38))))
    if "f4" in kinds and header.order and spacing > _COARSE:
        text = f"coordinates up to {largest:.0f} are stored in 32 bit, which tells them apart by no less than {spacing:g} m"
        said.append(Remark("assumed", "warning", text, len(points)))
    other = [element.name for element in header.elements if element.name not in {"vertex", "face"} and element.count]
    if other:
        said.append(Remark("unsupported", "info", f"PLY elements {', '.join(other)[:80]} are not held", len(other)))
    return said
