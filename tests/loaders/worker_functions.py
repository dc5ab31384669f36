"""Functions that the tests of the worker run inside one; a file of its own, so that a worker need not import pytest."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa

from cim.errors import CRSError, UsageError
from cim.loaders import worker


def give_table(rows: int) -> tuple[Any, dict[str, pa.Table]]:
    return {"rows": rows, "inside": worker.inside()}, {"t": pa.table({"x": list(range(rows))})}


def crash() -> None:
    import ctypes

    ctypes.string_at(0)


def spin() -> None:
    while True:
        pass


def swell() -> None:
    bytearray(8 << 30)


def refuse() -> None:
    raise CRSError("a.gpkg", "no system", "give crs=")  # noqa: EM101  # three parts, not one text


def misuse() -> None:
    msg = "mapping: there is no field 'h'"
    raise UsageError(msg)


def fail() -> None:
    msg = "what a surprise"
    raise ValueError(msg)


def leave(code: int) -> None:
    os._exit(code)


def write_here_and_there(place: str) -> tuple[Any, dict[str, pa.Table]]:
    Path("scratch").write_text("x", encoding="utf-8")
    return [str(Path.cwd()), tempfile.gettempdir(), place], {}


def environment() -> tuple[Any, dict[str, pa.Table]]:
    return {name: os.environ.get(name) for name in ("GDAL_SKIP", "PROJ_NETWORK", "GDAL_DATA", "http_proxy")}, {}


def look_around(secret: str, beside: str) -> tuple[Any, dict[str, pa.Table]]:
    found = {}
    for name, place in (("secret", secret), ("beside", beside), ("library", pa.__file__)):
        try:
            found[name] = bool(Path(place).read_bytes())
        except PermissionError:
            found[name] = False
    try:
        Path(beside).with_name("new").write_text("x", encoding="utf-8")
        found["written"] = True
    except PermissionError:
        found["written"] = False
    Path("own").write_text("x", encoding="utf-8")
    return found, {}


def connect(port: int) -> tuple[Any, dict[str, pa.Table]]:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False, {}
    return True, {}
