"""Reading of OMX files: HDF5 with square matrices in ``/data`` and the ids of their zones in ``/lookup``.

Source of the format: Open Matrix specification 0.2 (github.com/osPlanning/omx). The HDF5 library runs in a short-lived worker, sees this
file, follows no link out of it, loads no filter from elsewhere, and reads no more than the file declares and the limits allow.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from cim.errors import CimError, CorruptFileError, FormatError, LimitError, MissingExtraError, UnsafeInputError, UsageError
from cim.loaders import worker
from cim.loaders.gmns.tables import checked_file, shown
from cim.loaders.limits import MIB, Limits
from cim.loaders.matrices.zones import hourly, matrix_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cim.model.road_network import ODMatrix, RoadNetwork

__all__ = ["SIGNATURE", "library", "list_omx", "read_omx"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""First bytes of HDF5."""
_BLOCK = 32 * MIB
"""Bytes of a matrix that are read at once."""
_CHUNK = 256 * MIB
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32"}
_MOST_ENTRIES = 10_000


def library() -> Any:
    """Return h5py, which loads no filter from outside its own library in a worker.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    if worker.inside():
        os.environ["HDF5_PLUGIN_PRELOAD"] = "::"  # what HDF5 takes for "no plug-ins"
    try:
        import h5py
    except ImportError as error:
        msg = "OMX matrices need h5py, which is not installed; run: pip install 'cim-toolkit[traffic]'"
        raise MissingExtraError(msg) from error
    return h5py


def read_omx(
    path: str | Path, network: RoadNetwork | None = None, *, matrix: str | Sequence[str] | None = None, lookup: str | None = None,
    zones: Sequence[str | int] | None = None, hours: float = 1.0, limits: Limits | None = None,
) -> ODMatrix:  # fmt: skip
    """Return the trips of an OMX file between zones of a network, or its own ones.

    Parameters
    ----------
    matrix
        Which matrix; several are added together. Needed where the file has more than one.
    lookup
        Which lookup holds the ids of the zones. Needed where the file has more than one.
    zones
        Ids of the zones in the order of the rows, instead of a lookup.
    hours
        How many hours the trips are of; they become vehicles per hour.

    Raises
    ------
    InputError
        If it is no OMX file, too large, damaged, leads out of itself, or its trips are negative or no numbers.
    UsageError
        If matrix, lookup or zones have to be given; the names in the file are told.
    ObjectNotFoundError
        If the network does not have zones; all of them are named.
    MissingExtraError
        If h5py is not installed.
    """
    hourly(hours)
    place = checked_file(path, limits or Limits())
    wanted = None if matrix is None else [matrix] if isinstance(matrix, str) else list(matrix)
    given = {"bounds": (limits or Limits()).to_json(), "matrices": wanted, "lookup": lookup, "need_zones": zones is None}
    value, tables = _ask("read_here", place, limits, **given)
    if zones is not None and len(zones) != value["zones"]:
        msg = f"{place.name} has {value['zones']} zones, {len(zones)} ids were given; give one for each row"
        raise UsageError(msg)
    names = tables["zones"]["id"].to_pylist() if zones is None else [str(one) for one in zones]
    cells = tables["cells"]
    origin, destination = (cells[name].to_numpy().astype(np.int64) for name in ("origin", "destination"))
    told = [f"matrices {', '.join(value['matrices'])} are added together"] if len(value["matrices"]) > 1 else []
    return matrix_of(network, names, origin, destination, cells["trips"].to_numpy(), hours, told, place)


def list_omx(path: str | Path, *, limits: Limits | None = None) -> dict[str, Any]:
    """Return the names of ``matrices`` and ``lookups`` of an OMX file, and the shape of each matrix."""
    found: dict[str, Any] = _ask("list_here", checked_file(path, limits or Limits()), limits)[0]
    return found


def _ask(function: str, path: Path, limits: Limits | None, **more: Any) -> worker.Answer:
    from importlib.util import find_spec

    if find_spec("h5py") is None:
        library()
    with path.open("rb") as file:
        head = file.read(2048 + len(SIGNATURE))
    if not any(head[k : k + len(SIGNATURE)] == SIGNATURE for k in (0, 512, 1024, 2048)):
        raise FormatError(path, "is no HDF5 file, which an OMX matrix is", "give the .omx file itself")
    given = {"path": str(path), **more}
    return worker.run(f"cim.loaders.matrices.omx:{function}", given, path=path, limits=limits, size=path.stat().st_size)


# ---------------------------------------------------------------- in the worker


def list_here(path: str) -> tuple[dict[str, Any], dict[str, pa.Table]]:
    """Look into a file, in a worker."""
    with _opened(path) as file, _told(path):
        matrices = _members(file, "data", path)
        lookups = sorted(_members(file, "lookup", path)) if _own(file, "lookup", path) is not None else []
        shapes = {name: [int(one) for one in found.shape] for name, found in matrices.items()}
        return {"matrices": sorted(matrices), "lookups": lookups, "shapes": shapes}, {}


def read_here(
    path: str, bounds: dict[str, Any], matrices: list[str] | None, lookup: str | None, *, need_zones: bool
) -> tuple[dict[str, Any], dict[str, pa.Table]]:  # fmt: skip
    """Read matrices as the cells that are not zero, in a worker."""
    limits = Limits.from_json(bounds)
    with _opened(path) as file, _told(path):
        found = _members(file, "data", path)
        names = _chosen(list(found), matrices, "matrix", path)
        sides = {name: _checked(found[name], limits, name, path) for name in names}
        if len(set(sides.values())) > 1:
            raise CorruptFileError(path, f"has matrices of different size ({sides})", "add them one by one")
        side = sides[names[0]]
        zones = _zones(file, lookup, side, limits, path) if need_zones else []
        cells = _sum([_cells(found[name], name, path) for name in names], side)
    ids = pa.table({"id": pa.array(zones, pa.string())})
    return {"zones": side, "matrices": names}, {"zones": ids, "cells": cells}


@contextmanager
def _told(path: str, where: str = "") -> Iterator[None]:
    """Say of whatever the library stumbles over that the file is damaged."""
    try:
        yield
    except CimError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError, UnicodeError) as error:
        said = "".join(c if c.isprintable() else " " for c in str(error))[:120]
        raise CorruptFileError(path, f"is damaged{where} ({said})", "check that the file is whole") from error


def _opened(path: str) -> Any:
    h5py = library()
    with _told(path):
        return h5py.File(path, "r", locking=False)


def _members(file: Any, group: str, path: str) -> dict[str, Any]:
    """Return the datasets that lie in a group of the file itself; links to elsewhere are refused."""
    h5py = library()
    place = _own(file, group, path)
    if not isinstance(place, h5py.Group):
        raise FormatError(path, f"has no group /{group}: no OMX file", "give an OMX file, or write it with an OMX tool")
    if len(place) > _MOST_ENTRIES:
        raise LimitError(path, f"holds {len(place):,} entries in /{group}, more than {_MOST_ENTRIES:,}", "check where the file comes from")
    found = {name: _own(place, name, path) for name in list(place)}
    return {name: one for name, one in found.items() if isinstance(one, h5py.Dataset)}


def _own(group: Any, name: str, path: str) -> Any:
    """Return a member of a group, None where there is none; a link to elsewhere is refused and not followed."""
    h5py = library()
    link = group.get(name, getlink=True)
    if link is not None and not isinstance(link, h5py.HardLink):
        kind = "another file" if isinstance(link, h5py.ExternalLink) else "another place"
        raise UnsafeInputError(path, f"links {name[:40]!r} to {kind}: links are not followed", "copy the data into the file")
    return group.get(name)


def _chosen(have: list[str], wanted: list[str] | None, word: str, path: str) -> list[str]:
    if not have:
        raise FormatError(path, f"holds no {word}", "give a file that has one")
    lacking = [one for one in wanted or [] if one not in have]
    if lacking or (wanted is None and len(have) > 1) or wanted == []:
        said = f"has no {word} {shown(lacking)}" if lacking else f"has {len(have)} of them"
        msg = f"{Path(path).name} {said}; give {word}= as one of: {shown(sorted(have), 30)}"
        raise UsageError(msg)
    return list(dict.fromkeys(wanted)) if wanted else have


def _checked(found: Any, limits: Limits, name: str, path: str) -> int:
    """Return the number of zones of a matrix that is safe to read."""
    shape = found.shape
    if shape is None or len(shape) != 2 or shape[0] != shape[1]:
        raise FormatError(path, f"has a matrix {name[:40]!r} of shape {shape}, expected a square", "give a matrix of zones by zones")
    _safe(found, limits, name, path)
    if found.dtype.kind not in "fiu":
        raise FormatError(path, f"has a matrix {name[:40]!r} of type {found.dtype}, expected numbers", "give a matrix of trips")
    return int(shape[0])


def _safe(found: Any, limits: Limits, name: str, path: str) -> None:
    """Refuse data that lies elsewhere, is larger than allowed, or needs filters that are not ours; nothing is read yet."""
    if found.external or found.is_virtual:
        raise UnsafeInputError(path, f"keeps {name[:40]!r} in other files", "copy the data into the file")
    limits.check("cells", float(np.prod([float(one) for one in found.shape])), path)
    limits.check("records", float(max(found.shape, default=0)), path)
    chunk = float(np.prod([float(one) for one in found.chunks])) * found.dtype.itemsize if found.chunks else 0.0
    row = float(found.shape[-1]) * found.dtype.itemsize if len(found.shape) else 0.0
    if max(chunk, row) > _CHUNK:
        reason = f"keeps {name[:40]!r} in pieces of {max(chunk, row) / MIB:,.0f} MiB, more than {_CHUNK / MIB:g}"
        raise LimitError(path, reason, "write it in smaller chunks")
    plist = found.id.get_create_plist()
    strange = [plist.get_filter(k)[0] for k in range(plist.get_nfilters()) if plist.get_filter(k)[0] not in _FILTERS]
    if strange:
        reason = f"packs {name[:40]!r} by filters {strange}; known are {', '.join(_FILTERS.values())}"
        raise FormatError(path, reason, "write it with zlib")


def _zones(file: Any, lookup: str | None, side: int, limits: Limits, path: str) -> list[str]:
    """Return the ids of the zones in the order of the rows."""
    found = _members(file, "lookup", path) if _own(file, "lookup", path) is not None else {}
    if not found:
        msg = f"{Path(path).name} does not name its {side} zones (no /lookup); give zones= with their ids in the order of the rows"
        raise UsageError(msg)
    name = _chosen(list(found), None if lookup is None else [lookup], "lookup", path)[0]
    data = found[name]
    if data.shape != (side,):
        raise CorruptFileError(path, f"has a lookup {name[:40]!r} of shape {data.shape}, expected ({side},)", "give another lookup=")
    _safe(data, limits, name, path)
    if data.dtype.kind in "iu":
        return [str(one) for one in _read(data, slice(None), name, path).tolist()]
    if data.dtype.kind not in "SO":
        raise FormatError(path, f"has a lookup {name[:40]!r} of type {data.dtype}, expected whole numbers or text", "give another lookup=")
    raw = _read(data, slice(None), name, path).tolist()
    try:
        return [one.decode("utf-8").rstrip("\0").strip() if isinstance(one, bytes) else str(one).strip() for one in raw]
    except UnicodeDecodeError as error:
        raise CorruptFileError(path, f"has a lookup {name[:40]!r} that is no UTF-8 text", "give zones= instead") from error


def _cells(data: Any, name: str, path: str) -> tuple[Any, Any, Any]:
    """Return the cells of a matrix that are not zero, block by block of rows."""
    side = int(data.shape[0])
    step = max(1, _BLOCK // max(side * 8, 1))
    if data.chunks:
        step = max(step // data.chunks[0], 1) * int(data.chunks[0])  # every piece is unpacked once
    step = min(step, max(1, _CHUNK // max(side * 8, 1)))
    found: list[tuple[Any, Any, Any]] = [(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0))]
    for first in range(0, side, step):
        block = _read(data, slice(first, first + step), name, path).astype(float)
        bad = ~(block >= 0) | np.isinf(block)
        if bad.any():
            at, column = divmod(int(np.argmax(bad)), side)
            reason = (f"has trips in {name[:40]!r} that are negative or no number ({int(bad.sum())} in rows {first} to "
                      f"{first + len(block) - 1}, first {block[at, column]:g} in row {first + at}, column {column})")  # fmt: skip
            raise CorruptFileError(path, reason, "correct them, 0 for no trips")
        rows, columns = np.nonzero(block)
        found.append(((rows + first).astype(np.int32), columns.astype(np.int32), block[rows, columns]))
    origin, destination, trips = (np.concatenate(one) for one in zip(*found, strict=True))
    return origin, destination, trips


def _sum(parts: list[tuple[Any, Any, Any]], side: int) -> pa.Table:
    """Return the cells of all matrices together."""
    if len(parts) == 1:
        origin, destination, trips = parts[0]
    else:
        key = np.concatenate([one[0].astype(np.int64) * side + one[1] for one in parts])
        pair, inverse = np.unique(key, return_inverse=True)
        trips = np.bincount(inverse, weights=np.concatenate([one[2] for one in parts]), minlength=len(pair))
        origin, destination = (pair // max(side, 1)).astype(np.int32), (pair % max(side, 1)).astype(np.int32)
    return pa.table({"origin": origin, "destination": destination, "trips": trips})


def _read(data: Any, where: slice, name: str, path: str) -> Any:
    with _told(path, f" in {name[:40]!r}"):
        return data[where]
