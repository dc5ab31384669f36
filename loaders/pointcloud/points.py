"""Points of a cloud as plain arrays: all of them, or in pieces of bounded size; decoded in a worker process."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, UsageError
from cim.loaders import worker
from cim.loaders.limits import Limits
from cim.loaders.pointcloud.chunks import pieces, plan_of
from cim.loaders.pointcloud.header import read_header
from cim.loaders.pointcloud.scan import classes as classes_of
from cim.loaders.pointcloud.scan import coordinates, withheld
from cim.model import City
from cim.model.coverages import coverage_path, coverage_rows

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Box = tuple[float, float, float, float]

__all__ = ["CHUNK", "PointArrays", "iter_points", "read_points"]

CHUNK = 1_000_000
"""Points that `iter_points` holds at a time unless told otherwise."""


@dataclass(frozen=True)
class PointArrays:
    """Points, one array per quantity."""

    x: Floats
    """East, shape (n,), in the CRS of the cloud."""
    y: Floats
    """North, shape (n,)."""
    z: Floats
    """Height [m], shape (n,)."""
    classification: NDArray[np.uint8]
    """ASPRS class, shape (n,): 2 ground, 6 building, 9 water."""

    def __len__(self) -> int:
        """Return the number of points."""
        return len(self.x)


def read_points(
    source: City | Mapping[str, Any],
    bbox: Box | None = None,
    classes: Sequence[int] | None = None,
    *,
    id: str | None = None,
    limits: Limits | None = None,
) -> PointArrays:
    """Return the points of a cloud, in the order of the file; withheld (deleted) ones are left out.

    Parameters
    ----------
    source
        A city, or one row of its table ``coverages`` as a dict.
    bbox
        (xmin, ymin, xmax, ymax) in the CRS of the cloud; border points are inside.
    classes
        ASPRS classes to return; all when left out.
    id
        Object that owns the cloud, for a city; all its clouds without it.
    limits
        How much memory and time the worker may take.

    Raises
    ------
    InputError
        If a file cannot be read.
    """
    parts = list(iter_points(source, bbox, classes, id=id, limits=limits, chunk=50 * CHUNK))
    if len(parts) == 1:
        return parts[0]
    names = ("x", "y", "z", "classification")
    kinds = (float, float, float, np.uint8)
    joined = ([getattr(part, name) for part in parts] or [np.empty(0, kind)] for name, kind in zip(names, kinds, strict=True))
    return PointArrays(*(np.concatenate(column) for column in joined))


def iter_points(
    source: City | Mapping[str, Any],
    bbox: Box | None = None,
    classes: Sequence[int] | None = None,
    *,
    id: str | None = None,
    chunk: int = CHUNK,
    limits: Limits | None = None,
) -> Iterator[PointArrays]:
    """Yield the points of a cloud in pieces of at most `chunk` points, in the order of the file.

    Parameters
    ----------
    chunk
        Most points of a piece, before the selection; rounded to whole compressed chunks of the file.
    source, bbox, classes, id, limits
        As `read_points`.
    """
    for row in _rows(source, id):
        told = row["meta"] if isinstance(row.get("meta"), Mapping) else json.loads(row.get("meta") or "{}")
        path = coverage_path(source, row) if isinstance(source, City) else Path(row["path"])
        if bbox is not None and not _touches(row.get("bbox"), bbox):
            continue
        compressed = int(told.get("chunk") or 1)
        step = max(1, chunk // compressed) * compressed
        total = int(told.get("stored", row.get("count") or 0))
        for first in range(0, total, step):
            yield _fetch(path, (first, min(first + step, total), total), bbox, classes, float(told.get("z_factor", 1.0)), limits)


def _rows(source: City | Mapping[str, Any], id: str | None) -> list[Mapping[str, Any]]:
    if isinstance(source, City):
        return list(coverage_rows(source, "points", id))
    if source.get("kind") != "points":
        msg = f"this coverage is of the kind {source.get('kind')!r}, expected 'points'"
        raise UsageError(msg)
    return [source]


def _touches(box: Mapping[str, float] | None, bbox: Box) -> bool:
    if box is None or box["xmin"] is None:
        return True
    return box["xmin"] <= bbox[2] and box["xmax"] >= bbox[0] and box["ymin"] <= bbox[3] and box["ymax"] >= bbox[1]


def _fetch(
    path: Path, span: tuple[int, int, int], bbox: Box | None, classes: Sequence[int] | None, z_factor: float, limits: Limits | None
) -> PointArrays:
    arguments: dict[str, Any] = {
        "path": str(path),
        "span": list(span),
        "bbox": None if bbox is None else [float(v) for v in bbox],
        "classes": None if classes is None else [int(v) for v in classes],
        "z_factor": z_factor,
    }
    if worker.inside():
        table = points_in_worker(**arguments)[1]["points"]
    else:
        size = path.stat().st_size if path.is_file() else 0
        table = worker.run("cim.loaders.pointcloud.points:points_in_worker", arguments, path=path, limits=limits, size=size).tables[
            "points"
        ]
    return PointArrays(*(_plain(column) for column in table.columns))


def _plain(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return a column as numpy, without a copy where it is one piece."""
    return np.asarray(column.chunk(0).to_numpy() if column.num_chunks == 1 else column.to_numpy())


def points_in_worker(
    path: str, span: Sequence[int], bbox: Sequence[float] | None, classes: Sequence[int] | None, z_factor: float
) -> tuple[None, dict[str, pa.Table]]:
    """Return the selected points of a span (first, stop, expected total) as a table; runs in the worker."""
    import pyarrow as pa

    header = read_header(Path(path))
    plan = plan_of(header)
    if plan.total != span[2]:
        raise CorruptFileError(path, f"holds {plan.total:,} points now, {span[2]:,} when it was read: it has changed", "read it again")
    parts: list[pa.Table] = []
    for piece in pieces(header, plan, span[0], span[1]):
        if piece.fault:
            reason = f"points {piece.first} to {piece.first + piece.size - 1} cannot be read: {piece.fault}"
            raise CorruptFileError(path, reason, "read it again")
        place, kind = coordinates(piece.raw, header), classes_of(piece.raw, header)
        keep = ~withheld(piece.raw, header)
        if classes is not None:
            keep &= np.isin(kind, np.array(classes))
        if bbox is not None:
            keep &= (place[:, 0] >= bbox[0]) & (place[:, 0] <= bbox[2]) & (place[:, 1] >= bbox[1]) & (place[:, 1] <= bbox[3])
        kept = place[keep]
        parts.append(pa.table({"x": kept[:, 0], "y": kept[:, 1], "z": kept[:, 2] * z_factor, "classification": kind[keep]}))
    empty = pa.table({"x": pa.array([], "f8"), "y": pa.array([], "f8"), "z": pa.array([], "f8"), "classification": pa.array([], "u1")})
    return None, {"points": pa.concat_tables(parts).combine_chunks() if parts else empty}
