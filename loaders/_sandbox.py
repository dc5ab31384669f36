"""What a worker may still touch, enforced by the kernel where it can (Linux 5.13 and later): see landlock(7).

Reading: the folder of the input, the interpreter, its libraries. Writing: the worker's own folder. TCP: nothing, unless allowed.
Where the kernel has no Landlock the worker runs without this; the driver guards and resource limits hold everywhere.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["restrict_files", "restriction_level"]

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | (1 << 1) | _READ_FILE | (1 << 14) | (1 << 15)  # rights that a single file can have
# Rights that each version of the interface knows: 13 at first, then refer, truncate and ioctl.
_KNOWN = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_BIND_AND_CONNECT = 0b11
_SYSTEM = (
    *("/usr", "/lib", "/lib64", "/bin", "/opt", "/nix", "/dev/urandom", "/dev/random"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system", "/sys/fs/cgroup"),
    *("/etc/localtime", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d"),
)
_WRITABLE = ("/dev/null", "/dev/shm")  # noqa: S108  # the second is where shared memory lives, not a place for files


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def restriction_level() -> int:
    """Return the version of Landlock that the kernel offers, 0 without."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_library().syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))))


def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def restrict_files(readable: Iterable[str | Path], writable: Iterable[str | Path], *, network: bool) -> bool:
    """Give up, for good, every file but these and the interpreter's own; return whether the kernel did it.

    Parameters
    ----------
    readable, writable
        Files, and folders with all below them.
    network
        Whether TCP stays possible.
    """
    level = restriction_level()
    if not level:
        return False
    libc = _library()
    known = _KNOWN[min(level, 5)]
    rules = _Ruleset(known, 0 if network or level < 4 else _BIND_AND_CONNECT)
    size = ctypes.sizeof(rules) if level >= 4 else 8
    ruleset = int(libc.syscall(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0)))
    if ruleset < 0:
        return False
    try:
        for place in {str(one) for one in (*readable, *_SYSTEM, *_interpreter())}:
            _allow(libc, ruleset, place, _READ & known)
        for place in {str(one) for one in (*writable, *_WRITABLE)}:
            _allow(libc, ruleset, place, known)
        return int(libc.syscall(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))) == 0
    finally:
        os.close(ruleset)


def _interpreter() -> set[str]:
    """Return the folders that Python imports from."""
    import cim

    package = Path(cim.__file__).resolve().parent.parent if cim.__file__ else Path(sys.prefix)
    return {sys.prefix, sys.base_prefix, sys.exec_prefix, str(package), *(one for one in sys.path if one)}


def _allow(libc: ctypes.CDLL, ruleset: int, place: str, rights: int) -> None:
    try:
        descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # not on this system
    try:
        wanted = rights if os.path.isdir(place) else rights & _OF_FILES  # noqa: PTH112  # a name, and there are many
        rule = _Beneath(wanted, descriptor)
        libc.syscall(_ADD, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(descriptor)
