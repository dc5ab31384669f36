"""Run a function on a foreign file in a short-lived process that may die, hang or swell without harm to the caller.

The first call starts a server that has the libraries loaded (some seconds, once per session); every later call costs
a fork, about a tenth of a second. The function is named, not sent; its arguments and its value are JSON and its
tables Arrow files: nothing that comes from a process which handled a hostile file is ever unpickled.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cim import errors
from cim.errors import CimError, CorruptFileError, InputError, LimitError
from cim.loaders._server import inside
from cim.loaders.guards import guarded_environment
from cim.loaders.limits import GIB, Limits

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Answer", "inside", "run", "stop"]

REPLY_BYTES = 256 << 20
START_SECONDS = 60.0
"""Wall time granted on top for the start of the server on a busy machine."""
_START = "import sys, json; sys.path[:] = json.loads({path!r}); from cim.loaders._server import {name}; {name}({argument})"
_CRASHES = {
    getattr(signal, name).value
    for name in ("SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "SIGSYS", "SIGTRAP")
    if hasattr(signal, name)
}

_lock = threading.Lock()
_server: dict[str, Any] = {}
_log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """What a function in a worker returned."""

    value: Any
    """Its value: whatever JSON holds."""
    tables: dict[str, pa.Table]
    """Its tables by name, mapped into memory, checked."""


def run(
    function: str,
    arguments: Mapping[str, Any],
    *,
    path: str | Path,
    limits: Limits | None = None,
    size: int | None = None,
    allow_remote: tuple[str, ...] = (),
    readable: Sequence[str | Path] = (),
    imports: Sequence[str] = (),
    helpers: Sequence[str] = (),
) -> Answer:
    """Call a function in a worker process and return what it returns.

    Parameters
    ----------
    function
        ``"module:name"`` of a function that returns ``(value, {name: pyarrow.Table})``, its value being JSON.
    arguments
        Keyword arguments, JSON values only.
    path
        The file that is read: it gives the messages their name, and the limits their size.
    limits
        How much memory and time the worker may take; `Limits()` without it.
    size
        Size [bytes] that memory and time grow with; the size of `path` without it.
    allow_remote
        Hosts the function may connect to; without any the worker has no network, where the system allows that.
    readable
        Further files and folders that the function may read; it may always read the folder of `path`, and write only to its
        current folder, where the system allows to restrict that.
    imports
        Modules to import before that restriction begins.
    helpers
        Likewise, but the work can do without them.

    Raises
    ------
    InputError
        Whatever the function raised of that tree; a `LimitError` when memory or time ran out, a `CorruptFileError`
        when the process died or the function failed in a way it did not foresee.
    CimError
        Any other error of the toolkit that the function raised.
    """
    limits = limits or Limits()
    size = _size(Path(path)) if size is None else size
    folder = Path(tempfile.mkdtemp(prefix="cim-"))
    request = {
        "function": function,
        "arguments": dict(arguments),
        "folder": str(folder),
        "cpu_seconds": int(limits.seconds_for(size)) + 1,
        "memory_bytes": limits.memory_for(size),
        "file_bytes": max(2 * GIB, limits.memory_for(size)),
        "network": bool(allow_remote),
        "readable": [*_folders(Path(path)), *map(str, readable)],
        "imports": list(imports),
        "helpers": list(helpers),
        "stderr": bool(os.environ.get("CIM_WORKER_STDERR")),
    }
    try:
        (folder / "out").mkdir()
        (folder / "work").mkdir()
        reply, code = _exchange(request, wall=START_SECONDS + limits.wall_factor * limits.seconds_for(size))
        if reply is None or "error" in reply:
            raise _failure(path, reply, code, request)
        return Answer(reply["value"], _tables(folder / "out", reply["tables"], path))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def stop() -> None:
    """End the server of this process, if one runs; the next call starts a new one."""
    with _lock:
        _stop()


def _size(path: Path) -> int:
    with suppress(OSError):
        if path.is_dir():
            return sum(p.stat().st_size for p in path.rglob("*") if p.is_file() and not p.is_symlink())
        return sum(p.stat().st_size for p in path.parent.glob(f"{_literal(path.stem)}.*") if p.is_file()) or path.stat().st_size
    return 0


def _folders(path: Path) -> list[str]:
    """Return the folders that hold a file and its companions: where its name stands, and where a link leads."""
    places = {path.absolute(), path.resolve()}
    return sorted(str(one if one.is_dir() else one.parent) for one in places)


def _literal(stem: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in stem)


# ---------------------------------------------------------------- talking to the server


def _exchange(request: dict[str, Any], *, wall: float) -> tuple[dict[str, Any] | None, int | str]:
    """Return the reply, if there is one, and the exit code of the worker, or "wall" when it took too long."""
    line = json.dumps(request).encode() + b"\n"
    if not hasattr(os, "fork") or not hasattr(socket, "send_fds"):
        return _exchange_once(line, wall=wall)
    ours, leash = _submit()
    with ours, leash:
        ours.settimeout(wall)
        try:
            ours.sendall(line)
            return _parse(_receive(ours))
        except TimeoutError:
            return None, "wall"
        except ConnectionError:
            return None, "server gone"


def _submit() -> tuple[socket.socket, socket.socket]:
    """Hand one end of a new socket and of a leash to the server, started when there is none; return the other ends."""
    ours, theirs = socket.socketpair()
    leash, held = socket.socketpair()
    with _lock, theirs, held:
        try:
            socket.send_fds(_control(), [b"t"], [theirs.fileno(), held.fileno()])
        except OSError:  # the server died since the last call
            _stop()
            socket.send_fds(_control(), [b"t"], [theirs.fileno(), held.fileno()])
    return ours, leash


def _control() -> socket.socket:
    process = _server.get("process")
    if process is not None and (_server["owner"] != os.getpid() or process.poll() is not None):
        _stop()
    if "control" not in _server:
        ours, theirs = socket.socketpair()
        with theirs:
            start = _START.format(path=json.dumps(sys.path), name="serve", argument=theirs.fileno())
            _server["process"] = subprocess.Popen(  # noqa: S603  # our own interpreter and text
                [sys.executable, "-c", start],
                env=guarded_environment(os.environ),
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get("CIM_WORKER_STDERR") else subprocess.DEVNULL,
            )
        _server.update(control=ours, owner=os.getpid())
        atexit.register(stop)
    control: socket.socket = _server["control"]
    return control


def _stop() -> None:
    control, process = _server.pop("control", None), _server.pop("process", None)
    if control is not None:
        control.close()
    if process is not None and _server.get("owner") == os.getpid():
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=2)


def _receive(connection: socket.socket) -> bytes:
    parts, total = [], 0
    while total < REPLY_BYTES:
        part = connection.recv(1 << 20)
        if not part:
            break
        parts.append(part)
        total += len(part)
    return b"".join(parts)


def _parse(data: bytes) -> tuple[dict[str, Any] | None, int | str]:
    reply: dict[str, Any] | None = None
    code: int | str = 0
    for line in data.splitlines():
        with suppress(ValueError, RecursionError):
            message = json.loads(line)
            if isinstance(message, dict) and "exit" in message:
                code = int(message["exit"])
            elif isinstance(message, dict):
                reply = message
    return reply, code


def _exchange_once(line: bytes, *, wall: float) -> tuple[dict[str, Any] | None, int | str]:
    start = _START.format(path=json.dumps(sys.path), name="serve_once", argument="")
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter and text
            [sys.executable, "-c", start], input=line, capture_output=True, timeout=wall, check=False, env=guarded_environment(os.environ)
        )
    except subprocess.TimeoutExpired:
        return None, "wall"
    return _parse(done.stdout)[0], done.returncode


# ---------------------------------------------------------------- what came back


def _tables(folder: Path, names: Mapping[str, str], path: str | Path) -> dict[str, pa.Table]:
    import pyarrow as pa

    tables = {}
    for name, file in names.items():
        if os.sep in file or file.startswith("."):
            raise CorruptFileError(path, "the reader process named a result outside its folder", "do not use this file")
        try:
            with pa.memory_map(str(folder / file)) as source:
                table = pa.ipc.open_file(source).read_all()
            table.validate(full=True)
        except pa.ArrowException as error:
            reason = f"the reader process returned a damaged table {name!r} ({error})"
            raise CorruptFileError(path, reason, "do not use this file") from error
        tables[name] = table
    return tables


def _failure(path: str | Path, reply: dict[str, Any] | None, code: int | str, request: Mapping[str, Any]) -> CimError:
    """Return the one typed error that says why the worker gave no result."""
    if reply is None:
        return _death(path, code, request)
    told = reply["error"]
    kind = getattr(errors, str(told.get("type")), None)
    if isinstance(kind, type) and issubclass(kind, InputError):
        return kind(told["path"], told["reason"], told["remedy"])
    if isinstance(kind, type) and issubclass(kind, CimError):
        return kind(told["message"])
    if told.get("type") == "MemoryError":
        return _too_much_memory(path, request)
    _log.debug("%s: %s at %s", path, told.get("message"), told.get("place"))
    if told.get("kind") == "RecursionError":
        return LimitError(path, "is nested deeper than the reader can follow", "check how the file was written")
    reason = f"cannot be read: {told.get('message')} (at {told.get('place')})"
    return CorruptFileError(path, reason, "check that the file is whole; if it opens elsewhere, please report this")


def _death(path: str | Path, code: int | str, request: Mapping[str, Any]) -> InputError:
    number = -code if isinstance(code, int) else 0
    if code == "wall" or number in (getattr(signal, "SIGXCPU", 24), signal.SIGTERM) or number == 9:
        reason = f"takes longer to read than the limit of {request['cpu_seconds']} s of processor time"
        return LimitError(path, reason, "give limits=Limits(cpu_seconds=...) if the file is trusted")
    if number in _CRASHES:
        name = signal.Signals(number).name
        reason = f"crashed the library that reads it ({name}): the file is corrupt, hostile, or needs more memory than the limit"
        return CorruptFileError(path, reason, "the caller is unharmed; check where the file comes from")
    return CorruptFileError(path, f"the reader process ended without a result (exit {code})", "check that the file is whole")


def _too_much_memory(path: str | Path, request: Mapping[str, Any]) -> LimitError:
    limit = int(request["memory_bytes"]) / GIB
    reason = f"needs more memory to read than the limit of {limit:.1f} GiB (size limit memory_bytes)"
    return LimitError(path, reason, "give limits=Limits(memory_bytes=...) if the file is trusted and the machine large enough")
