"""The one door for road networks and matrices of trips: the format is told from the content; and networks kept as Parquet, bit by bit.

==========  ===========================================================================  =============================
format      recognised by                                                                options of
==========  ===========================================================================  =============================
parquet     a folder with ``network.json``, which `write_network` makes                  none
gmns        a folder with ``link.csv``, or a CSV with from_node_id and to_node_id        `cim.loaders.gmns.read_network`
tntp        ``<END OF METADATA>``                                                        `cim.loaders.tntp.read_network`
sumo        XML that begins with ``<net``, plain or packed by gzip                       `cim.loaders.sumo.read_network`
omx, csv    matrices: HDF5; a table of text                                              `cim.loaders.matrices`
==========  ===========================================================================  =============================
"""

from __future__ import annotations

import inspect
import json
import shutil
import tempfile
import zlib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pyarrow as pa

from cim.errors import CorruptFileError, FormatError, InputError, UnsafeInputError, UsageError
from cim.loaders import worker
from cim.loaders.limits import Limits
from cim.model.road_network import BANNED, LINKS, NODES, SIGNALS, YIELDS, ODMatrix, RoadNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MATRICES", "NETWORKS", "read_matrix", "read_network", "write_network"]

NETWORKS = {
    "parquet": "cim.loaders.networks:_read_kept", "gmns": "cim.loaders.gmns:read_network", "tntp": "cim.loaders.tntp:read_network",
    "sumo": "cim.loaders.sumo:read_network",
}  # fmt: skip
"""Readers of networks by format."""
MATRICES = {"omx": "cim.loaders.matrices:read_omx", "csv": "cim.loaders.matrices:read_csv", "tntp": "cim.loaders.networks:_read_tntp_trips"}
"""Readers of matrices by format."""

T = TypeVar("T", RoadNetwork, ODMatrix)
_TABLES = {"nodes": NODES, "links": LINKS, "banned": BANNED, "signals": SIGNALS, "yields": YIELDS}
_ABOUT = "network.json"
_FORMAT = "cim road network"
_VERSION = 1
_HEAD = 1 << 16
_OPTIONS = ("path", "network")


def read_network(path: str | Path, format: str | None = None, **options: Any) -> RoadNetwork:
    """Return the road network of a file or folder.

    Parameters
    ----------
    path
        A file or folder of one of `NETWORKS`.
    format
        Name of the format, where the content should not decide.
    **options
        Of the reader of that format, such as ``length_unit`` of GMNS and TNTP.

    Raises
    ------
    InputError
        If it cannot be used, or no format is recognised.
    UsageError
        If there is no such format, or the reader has no such option.

    Examples
    --------
    >>> read_network("SiouxFalls_net.tntp", length_unit="mile")  # doctest: +SKIP
    """
    place = _place(path)
    return _call(NETWORKS, format or _network_format(place), place, (), options, RoadNetwork)


def read_matrix(path: str | Path, network: RoadNetwork | None = None, format: str | None = None, **options: Any) -> ODMatrix:
    """Return the trips of a file between the zones of a network.

    Parameters
    ----------
    network
        Whose zones are named; without, rows are those of `ODMatrix.places`, for zones that are objects of a city
        (``simulate(city, demand=matrix, zones="LandUse")``).
    format
        Name of one of `MATRICES`, where the content should not decide.
    **options
        Of the reader of that format: ``hours`` of all but TNTP; ``matrix``, ``lookup`` and ``zones`` of OMX; ``columns`` of CSV.

    Raises
    ------
    InputError
        If it cannot be used, or no format is recognised.
    ObjectNotFoundError
        If the network does not have zones; all of them are named.
    UsageError
        If there is no such format, or the reader has no such option.
    """
    place = _place(path)
    return _call(MATRICES, format or _matrix_format(place), place, (network,), options, ODMatrix)


def write_network(network: RoadNetwork, folder: str | Path, *, replace: bool = False) -> None:
    """Keep a network in a folder of Parquet files, which `read_network` gives back as it was.

    Parameters
    ----------
    replace
        Whether a network that the folder holds may be replaced.

    Raises
    ------
    UsageError
        If the folder is not empty, or holds a network that may not be replaced.
    """
    import pyarrow.parquet as pq

    place = Path(folder).absolute()
    kept = (place / _ABOUT).is_file()
    if place.exists() and (not place.is_dir() or (any(place.iterdir()) and not (replace and kept))):
        msg = f"{place} {'holds a network; give replace=True' if kept else 'is not an empty folder; give another one'}"
        raise UsageError(msg)
    place.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        for name in _TABLES:
            pq.write_table(getattr(network, name), new / f"{name}.parquet", compression="zstd", use_compliant_nested_type=False)
        about = {"format": _FORMAT, "version": _VERSION, "crs": network.crs, "notes": list(network.notes)}
        (new / _ABOUT).write_text(json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8")
        new.chmod(0o755)
        if place.exists():
            old = Path(tempfile.mkdtemp(prefix=f".{place.name}-old-", dir=place.parent))
            place.replace(old)
            shutil.rmtree(old)
        new.replace(place)
    finally:
        shutil.rmtree(new, ignore_errors=True)


# ---------------------------------------------------------------- which format


def _place(path: str | Path) -> Path:
    text = str(path)
    if "://" in text or text.startswith("/vsi") or "\0" in text:
        raise UnsafeInputError(text.replace("\0", "\\0"), "is no local file", "download it first, then read the local copy")
    place = Path(path).absolute()
    if not place.exists():
        raise InputError(place, "cannot be opened (no such file or folder)", "check the path")
    if not (place.is_file() or place.is_dir()):
        raise UnsafeInputError(place, "is neither a file nor a folder (a device, pipe or socket)", "give a file")
    return place


def _network_format(path: Path) -> str:
    if path.is_dir():
        names = (("parquet", _ABOUT), ("gmns", "link.csv"), ("gmns", "road_link.csv"))
        found = next((format for format, name in names if (path / name).is_file()), None)
        if found is None:
            raise FormatError(path, "holds no network: neither network.json nor link.csv", f"give one of: {', '.join(NETWORKS)}")
        return found
    if path.name == _ABOUT:
        return "parquet"
    head = _head(path)
    first = head.split(b"\n", 1)[0].lower()
    if _is_tntp(head):
        return "tntp"
    if b"<net " in head or b"<net>" in head:
        return "sumo"
    if b"from_node_id" in first and b"to_node_id" in first:
        return "gmns"
    raise FormatError(path, "is no network of a known format", f"give format= as one of {', '.join(NETWORKS)}, or a file of one of them")


def _matrix_format(path: Path) -> str:
    if path.is_dir():
        raise FormatError(path, "is a folder", "give the file that holds the matrix")
    head = _head(path)
    if any(head[k : k + 8] == b"\x89HDF\r\n\x1a\n" for k in (0, 512, 1024, 2048)):
        return "omx"
    if _is_tntp(head):
        return "tntp"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"<", b"{", b"["):
        raise FormatError(path, "is XML or JSON, no matrix of a known format", f"give a file of one of: {', '.join(MATRICES)}")
    return "csv"


def _is_tntp(head: bytes) -> bool:
    from cim.loaders.tntp.read import ENDS

    return ENDS.search(head.decode("latin-1")) is not None


def _head(path: Path) -> bytes:
    """Return the first bytes of a file, unpacked where it is packed by gzip."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror or error})", "check the rights") from error
    if not head:
        raise FormatError(path, "is empty (0 bytes)", "export or copy it again")
    if head.startswith(b"\x1f\x8b"):
        try:
            return zlib.decompressobj(wbits=31).decompress(head, _HEAD)
        except zlib.error as error:
            raise CorruptFileError(path, "is damaged gzip", "download it again") from error
    return head


def _call(readers: dict[str, str], format: str, path: Path, more: tuple[Any, ...], options: dict[str, Any], kind: type[T]) -> T:
    if format not in readers:
        msg = f"there is no format {format!r}; give one of: {', '.join(readers)}"
        raise UsageError(msg)
    module, _, name = readers[format].partition(":")
    reader: Callable[..., Any] = getattr(import_module(module), name)
    known = [one for one in inspect.signature(reader).parameters if one not in _OPTIONS]
    strange = sorted(set(options) - set(known))
    if strange:
        msg = f"{path.name} is {format}, whose reader has no option {', '.join(strange)}; it has {', '.join(known) or 'none'}"
        raise UsageError(msg)
    made = reader(path, *more, **options)
    if not isinstance(made, kind):
        msg = f"the reader of {format} returned {type(made).__name__}, expected {kind.__name__}"
        raise TypeError(msg)
    return made


def _read_tntp_trips(path: Path, network: RoadNetwork | None, *, hours: float = 1.0) -> ODMatrix:
    """Return the trips of a TNTP file; its zone k is the zone that the network calls k."""
    from cim.loaders.matrices.zones import hourly, matrix_of
    from cim.loaders.tntp import read_trips

    found = read_trips(path)
    if network is None:
        zones = [str(k + 1) for k in range(int(max(found.origin.max(initial=-1), found.destination.max(initial=-1))) + 1)]
        return matrix_of(None, zones, found.origin, found.destination, found.trips, hours, found.notes, path)
    names = [[str(k + 1) for k in rows.tolist()] for rows in (found.origin, found.destination)]
    return ODMatrix.of(network, names[0], names[1], found.trips / hours, notes=(*found.notes, *([] if hours == 1 else [hourly(hours)])))


# ---------------------------------------------------------------- networks as Parquet


def _read_kept(path: Path, *, limits: Limits | None = None) -> RoadNetwork:
    """Return a network that `write_network` kept."""
    folder = path if path.is_dir() else path.parent
    about = _about(folder / _ABOUT)
    for name in _TABLES:
        if not (folder / f"{name}.parquet").is_file():
            raise CorruptFileError(folder, f"has no {name}.parquet", "copy the whole folder")
    answer = worker.run("cim.loaders.networks:_tables_here", {"folder": str(folder)}, path=folder, limits=limits)
    tables = {name: pa.Table.from_batches(table.to_batches(), table.schema) for name, table in answer.tables.items()}
    made = RoadNetwork(crs=about["crs"], notes=tuple(about["notes"]), **tables)
    _check_rows(made, folder)
    return made


def _about(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > 64 << 20:
            raise CorruptFileError(path, "is larger than 64 MiB: no description of a network", "check where it comes from")
        found = json.loads(path.read_text(encoding="utf-8"))
        crs, notes = found.get("crs"), found.get("notes", [])
        good = found["format"] == _FORMAT and isinstance(crs, str | None) and all(isinstance(one, str) for one in notes)
        version = found["version"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise FormatError(path, "does not describe a road network", "give a folder that write_network made") from error
    if not good or version != _VERSION:
        raise FormatError(path, f"says format {found['format']!r}, version {version!r}, expected {_FORMAT!r}, {_VERSION}", "write it again")
    return {"crs": crs, "notes": notes}


def _tables_here(folder: str) -> tuple[None, dict[str, pa.Table]]:
    """Read the Parquet files, in a worker."""
    import pyarrow.parquet as pq

    tables = {}
    for name, schema in _TABLES.items():
        path = Path(folder) / f"{name}.parquet"
        try:
            table = pq.read_table(path, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise CorruptFileError(path, f"is damaged ({str(error)[:120]})", "copy the folder again") from error
        if table.schema.names[: len(schema)] != schema.names or any(table.schema.field(one.name).type != one.type for one in schema):
            raise CorruptFileError(path, f"has other columns than {', '.join(schema.names)}", "write the network again")
        nulls = [one.name for one in schema if not one.nullable and table[one.name].null_count]
        if nulls:
            raise CorruptFileError(path, f"lacks values in {', '.join(nulls)}", "write the network again")
        tables[name] = table
    return None, tables


def _check_rows(network: RoadNetwork, folder: Path) -> None:
    """Refuse links and turns that point outside the tables: kernels would read there."""
    for name, table, most in (
        ("links", network.links.select(["from_node", "to_node"]), network.nodes.num_rows),
        *((name, getattr(network, name), network.links.num_rows) for name in ("banned", "signals", "yields")),
    ):
        for column in (one for one in table.column_names if table.schema.field(one).type == pa.int64()):
            rows = table[column].to_numpy()
            if len(rows) and (rows.min() < 0 or rows.max() >= most):
                reason = f"has {name} whose {column} is {rows.min() if rows.min() < 0 else rows.max()}, outside 0 to {most - 1}"
                raise CorruptFileError(folder, reason, "write the network again")
