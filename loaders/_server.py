"""The worker side of `cim.loaders.worker`: a small server that has the libraries loaded and forks a child per task.

The server is one process with one thread. Per task it gets two sockets over its control channel: the child that it
forks reads the request from the first, limits itself, works, replies and exits, and the server then adds how the child
ended. The second is a leash: when the caller goes away it closes, and the child is killed. When the control channel
closes, everything ends. Nothing is ever unpickled: requests and replies are JSON, tables are Arrow files.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cim.loaders._sandbox import restrict_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["answer", "inside", "serve", "serve_once"]

PRELOAD = (
    "numpy",
    "pyarrow",
    "pyarrow.parquet",
    "orjson",
    "shapely",
    "pyproj",
    "pyogrio",
    "pyogrio.raw",
    "sqlite3",
    "cim.crs",
    "cim.units",
    "cim.standard_names",
    "cim.model",
    "cim.loaders.door",
    "cim.loaders.gate",
    "cim.loaders.vector",
)
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38

_state = {"inside": False}


def inside() -> bool:
    """Return whether this process is a worker: limited, cut off, and about to vanish."""
    return _state["inside"]


# ---------------------------------------------------------------- the server


def serve(control_fd: int) -> None:
    """Fork one child per socket that arrives over the control channel, until that channel closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.closing(socket.socket(fileno=control_fd)) as control, selectors.DefaultSelector() as selector:
        wake_read, wake_write = socket.socketpair()
        for end in (wake_read, wake_write):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        _preload()
        selector.register(control, selectors.EVENT_READ, "control")
        selector.register(wake_read, selectors.EVENT_READ, "wake")
        _loop(selector, control, wake_read)


def _preload() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in PRELOAD:
            with contextlib.suppress(ImportError):
                importlib.import_module(module)


def _loop(selector: selectors.BaseSelector, control: socket.socket, wake: socket.socket) -> None:
    children: dict[int, tuple[socket.socket, socket.socket]] = {}
    while True:
        for key, _ in selector.select():
            if key.data == "wake":
                with contextlib.suppress(BlockingIOError):
                    wake.recv(4096)
            elif key.data == "control":
                task = _next_task(control)
                if task is None:
                    _kill(children)
                    return
                process = _fork(task[0], control)
                children[process] = task
                selector.register(task[1], selectors.EVENT_READ, process)
            else:  # the caller closed its end: nobody waits for this child any more
                selector.unregister(key.fileobj)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(key.data, signal.SIGKILL)
        _reap(selector, children)


def _next_task(control: socket.socket) -> tuple[socket.socket, socket.socket] | None:
    try:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 2)
    except OSError:
        return None
    if not message or len(descriptors) != 2:
        return None
    return socket.socket(fileno=descriptors[0]), socket.socket(fileno=descriptors[1])


def _fork(task: socket.socket, control: socket.socket) -> int:
    process = os.fork()
    if process:
        return process
    try:  # the child never returns from here
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        control.close()
        _child(task)
    except BaseException:  # noqa: BLE001  # the child must end here whatever happens
        sys.excepthook(*sys.exc_info())  # to the discarded or requested standard error of the server
    finally:
        os._exit(0)


def _child(task: socket.socket) -> None:
    with task.makefile("rwb") as stream:
        request = json.loads(stream.readline())
        stream.write(json.dumps(answer(request)).encode() + b"\n")
        stream.flush()


def _reap(selector: selectors.BaseSelector, children: dict[int, tuple[socket.socket, socket.socket]]) -> None:
    while children:
        try:
            process, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if process == 0:
            return
        task, leash = children.pop(process)
        with contextlib.suppress(KeyError):
            selector.unregister(leash)
        with contextlib.suppress(OSError):
            task.sendall(b"\n" + json.dumps({"exit": os.waitstatus_to_exitcode(status)}).encode() + b"\n")
        task.close()
        leash.close()


def _kill(children: Iterable[int]) -> None:
    for process in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def serve_once() -> None:
    """Answer one request from standard input on standard output (systems that cannot fork)."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    request = json.loads(sys.stdin.buffer.readline())
    out.write(json.dumps(answer(request)).encode() + b"\n")
    out.flush()


# ---------------------------------------------------------------- the child


def answer(request: Mapping[str, Any]) -> dict[str, Any]:
    """Limit this process, run the function that the request names, write its tables, and return the reply."""
    folder = Path(request["folder"])
    _state["inside"] = True
    try:
        module, _, name = request["function"].partition(":")
        function = getattr(importlib.import_module(module), name)
        for other in request["imports"]:
            importlib.import_module(other)
        for other in request["helpers"]:
            with contextlib.suppress(ImportError, RuntimeError, OSError):  # compiled loops need a place to be kept, or are done without
                importlib.import_module(other)
        _confine(request, folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value, tables = function(**request["arguments"])
        return {"value": value, "tables": _write(tables, folder / "out")}
    except BaseException as error:  # noqa: BLE001  # every way to fail becomes one reply; the process ends right after
        return {"error": _told(error)}


def _write(tables: Mapping[str, Any], folder: Path) -> dict[str, str]:
    import pyarrow as pa

    names = {}
    for number, (name, table) in enumerate(tables.items()):
        names[name] = f"{number}.arrow"
        with pa.OSFile(str(folder / names[name]), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table)
    return names


def _told(error: BaseException) -> dict[str, Any]:
    from cim.errors import CimError, InputError

    kind = type(error).__name__
    if isinstance(error, InputError):
        return {"type": kind, "path": error.path, "reason": error.reason, "remedy": error.remedy}
    if isinstance(error, CimError):
        return {"type": kind, "message": str(error)}
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f"{Path(where.tb_frame.f_code.co_filename).name}:{where.tb_lineno}" if where else ""
    if isinstance(error, MemoryError):
        return {"type": "MemoryError", "message": "", "place": place}
    text = "".join(c if c.isprintable() else " " for c in str(error))[:300]
    return {"type": "unexpected", "message": f"{kind}: {text}", "place": place, "kind": kind}


def _confine(request: Mapping[str, Any], folder: Path) -> None:
    work = folder / "work"
    os.chdir(work)
    for name in ("TMPDIR", "TEMP", "TMP", "CPL_TMPDIR"):
        os.environ[name] = str(work)
    import tempfile

    tempfile.tempdir = str(work)
    if not request["stderr"]:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (1, 2):
            os.dup2(null, descriptor)
    if sys.platform != "win32":
        _limit(request)
    if sys.platform == "linux":
        _cut_off(network=request["network"])
        restrict_files(request["readable"], [folder], network=request["network"])


def _limit(request: Mapping[str, Any]) -> None:
    import resource

    started_with = _virtual_memory()
    for kind, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, request["file_bytes"]),
        (resource.RLIMIT_CPU, request["cpu_seconds"]),
        (resource.RLIMIT_AS, started_with + request["memory_bytes"]),
    ):
        hard = resource.getrlimit(kind)[1]
        soft = value if hard == resource.RLIM_INFINITY else min(value, hard)
        if kind == resource.RLIMIT_AS and not started_with:
            continue  # a system that does not tell its size (macOS) does not honour this limit either
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (soft, hard if kind == resource.RLIMIT_AS else soft))


def _virtual_memory() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _cut_off(*, network: bool) -> None:
    """Die with the server, gain no rights, and have no network but where the caller allowed hosts."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if not network and libc.unshare(CLONE_NEWNET) != 0:
        libc.unshare(CLONE_NEWUSER | CLONE_NEWNET)  # refused on some systems; the driver guards still hold
