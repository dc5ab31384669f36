"""Every error the toolkit raises, in one tree; each class is also a builtin, so that plain Python code can catch it.

::

    CimError
    ├── UsageError              (ValueError)    the caller asked for something that makes no sense     exit 2
    ├── InputError              (ValueError)    a file or folder cannot be used                        exit 3
    │   ├── FormatError                         not the format it claims, or a version not known
    │   ├── CorruptFileError                    cut, damaged or contradicting itself
    │   ├── LimitError                          larger, deeper or slower than allowed
    │   ├── UnsafeInputError                    reaches for other files or hosts
    │   └── CRSError                            coordinate system missing, unknown or implausible
    │       └── CRSMismatchError                two coordinate systems that do not agree
    ├── ObjectNotFoundError     (KeyError)      no object, attribute or table of this name
    ├── StoreError              (OSError)       the store on disk cannot be used                        exit 3
    │   ├── StoreLockedError                    another process is writing
    │   └── StoreCorruptError                   a part is missing or its checksum is wrong
    ├── MissingExtraError       (ImportError)   an optional library is not installed                    exit 2
    ├── DisplayError            (RuntimeError)  this machine cannot draw                                exit 3
    └── RunError                (RuntimeError)  a simulation or check stopped, and says where           exit 1
"""

from __future__ import annotations

import re
from pathlib import Path

__all__ = [
    "CRSError",
    "CRSMismatchError",
    "CimError",
    "CorruptFileError",
    "DisplayError",
    "FormatError",
    "InputError",
    "LimitError",
    "MissingExtraError",
    "ObjectNotFoundError",
    "RunError",
    "StoreCorruptError",
    "StoreError",
    "StoreLockedError",
    "UnsafeInputError",
    "UsageError",
    "faults_in",
]


class CimError(Exception):
    """Base of every error raised on purpose; `exit_code` is what the command line returns for it."""

    exit_code = 1


class UsageError(CimError, ValueError):
    """The caller asked for something that makes no sense."""

    exit_code = 2


class InputError(CimError, ValueError):
    """An input file or folder cannot be used.

    The message always reads ``<path>: <reason>; <remedy>``.

    Parameters
    ----------
    path
        The input; its full text stands at the head of the message.
    reason
        What is wrong, with the value found and the value expected.
    remedy
        What the user can do about it.
    """

    exit_code = 3

    def __init__(self, path: str | Path, reason: str, remedy: str = "") -> None:
        self.path = str(path)
        self.reason = reason
        self.remedy = remedy
        super().__init__(f"{self.path}: {reason}" + (f"; {remedy}" if remedy else ""))

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str]]:
        """Keep the three parts when the error crosses a process border."""
        return type(self), (self.path, self.reason, self.remedy)


class FormatError(InputError):
    """The file is not of the format it claims, or of a version that is not known."""


class CorruptFileError(InputError):
    """The file is cut, damaged or contradicts itself."""


class LimitError(InputError):
    """The file is larger, deeper or slower to read than the limits allow."""


class UnsafeInputError(InputError):
    """The file reaches for other files, hosts or code."""


class CRSError(InputError):
    """The coordinate reference system is missing, unknown or does not fit the coordinates."""


class CRSMismatchError(CRSError):
    """Two coordinate systems that had to agree do not."""


class ObjectNotFoundError(CimError, KeyError):
    """There is no object, attribute or table of this name."""

    def __str__(self) -> str:
        """Return the plain message; `KeyError` would quote it."""
        return str(self.args[0]) if self.args else ""


class StoreError(CimError, OSError):
    """The store on disk cannot be used."""

    exit_code = 3


class StoreLockedError(StoreError):
    """Another process is writing to the store."""


class StoreCorruptError(StoreError):
    """A part of the store is missing or does not have the checksum that its manifest states."""


class MissingExtraError(CimError, ImportError):
    """An optional library is not installed; the message names the command that installs it."""

    exit_code = 2


class DisplayError(CimError, RuntimeError):
    """This machine has neither a display nor a software renderer."""

    exit_code = 3


class RunError(CimError, RuntimeError):
    """A simulation or check stopped; the message says where and why."""


def faults_in(error: Exception) -> list[str]:
    r"""Return the faults that an error lists below its first line, or else its message.

    Examples
    --------
    >>> faults_in(UsageError("traffic: 2 faults:\n  a is 1\n  b is 2")), faults_in(UsageError("no such file"))
    (['a is 1', 'b is 2'], ['no such file'])
    """
    lines = [one.strip() for one in str(error).splitlines() if one.strip()]
    if len(lines) < 2 or not lines[0].endswith(":"):
        return [str(error)]
    return [one for one in lines[1:] if not re.fullmatch(r"(\w+: )?\d+ faults?:", one)]
