"""One writer at a time: a lock that the system lets go when its process ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from typing import TYPE_CHECKING

from cim.errors import StoreError, StoreLockedError
from cim.storage.layout import LOCK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["writing"]

WAIT = 3.0
"""Longest wait for another writer [s]; the promise is an answer within 5 s."""
_STEP = 0.05  # s


@contextlib.contextmanager
def writing(root: Path) -> Iterator[None]:
    """Hold the only right to write to a store.

    Raises
    ------
    StoreLockedError
        If another process, or another thread of this one, has been writing for longer than `WAIT`; the message names it.
    """
    try:
        handle = os.open(root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        msg = f"{root} cannot be locked for writing: {error.strerror}; check that the folder may be written to"
        raise StoreError(msg) from error
    try:
        _acquire(handle, root)
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def _acquire(handle: int, root: Path) -> None:
    until = time.monotonic() + WAIT
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= until:
                msg = f"{root} is being written by {_holder(handle)}; try again when it has finished (reading is possible meanwhile)"
                raise StoreLockedError(msg) from error
            time.sleep(_STEP)
        else:
            return


def _holder(handle: int) -> str:
    """Return who holds the lock, as it wrote itself; the text may be cut where it is just being written."""
    try:
        stated = json.loads(os.pread(handle, 1000, 0))
        return f"process {int(stated['pid'])} on {str(stated['host'])[:100]}"
    except (ValueError, KeyError, TypeError):
        return "another process"
