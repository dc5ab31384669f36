"""Numbers out of text, by the million: lines are picked and counted as bytes, and parsed in one go.

Nothing here knows a format. A token is a run of bytes above the blank (32); a line ends at a newline.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Ints = NDArray[np.int64]
    Reals = NDArray[np.float64]
    Flags = NDArray[np.bool_]

__all__ = ["Lines", "columns", "integers", "lines_of", "normalised", "numbers", "picked", "token_counts"]

NEWLINE, BLANK = 10, 32
_LONGEST_INTEGER = 18
"""Digits that surely fit 64 bit."""


@dataclass(frozen=True)
class Lines:
    """Text cut into lines."""

    text: Bytes
    """All of it; the last byte is a newline."""
    start: Ints
    """First byte of each line, and the end of the last, shape (n + 1,)."""


def normalised(data: bytes) -> bytes:
    r"""Return text with plain newlines, no lines that go on in the next, and a newline at its end.

    Examples
    --------
    >>> normalised(b"f 1 2" + bytes([92, 10]) + b" 3")
    b'f 1 2  3\n'
    """
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\\\n" in data:
        data = data.replace(b"\\\n", b" ")
    return data if data.endswith(b"\n") else data + b"\n"


def lines_of(data: bytes) -> Lines:
    """Return the lines of text that ends with a newline."""
    text = np.frombuffer(data, np.uint8)
    return Lines(text, np.concatenate([[0], np.flatnonzero(text == NEWLINE) + 1]).astype(np.int64))


def picked(lines: Lines, chosen: Flags) -> Lines:
    """Return only the chosen lines."""
    length = np.diff(lines.start)
    return Lines(lines.text[np.repeat(chosen, length)], np.concatenate([[0], np.cumsum(length[chosen])]).astype(np.int64))


def token_counts(lines: Lines) -> Ints:
    r"""Return the number of tokens on each line, shape (n,).

    Examples
    --------
    >>> token_counts(lines_of(b"a b\n\n c\n"))
    array([2, 0, 1])
    """
    if len(lines.start) < 2:
        return np.zeros(0, np.int64)
    blank = lines.text <= BLANK
    begins = ~blank
    begins[1:] &= blank[:-1]
    return np.add.reduceat(begins, lines.start[:-1], dtype=np.int64)


def numbers(text: bytes) -> Reals:
    r"""Return every token of `text` as a number; what is no number is NaN.

    Examples
    --------
    >>> numbers(b"1 -2.5e3\n x")
    array([ 1.0e+00, -2.5e+03,      nan])
    """
    with _strictly():
        try:
            return np.fromstring(text, np.float64, sep=" ") if text.strip() else np.zeros(0)
        except (ValueError, DeprecationWarning, OverflowError):
            return np.array([_real(token) for token in text.split()], np.float64)  # odd text only: one token after the other


def integers(text: bytes) -> Ints:
    r"""Return every token of `text` as an integer; what is none, or does not fit 64 bit, is the smallest integer.

    Examples
    --------
    >>> integers(b"1 -2\n 3").tolist()
    [1, -2, 3]
    """
    with _strictly():
        try:
            return np.fromstring(text, np.int64, sep=" ") if text.strip() else np.zeros(0, np.int64)
        except (ValueError, DeprecationWarning, OverflowError):
            return np.array([_whole(token) for token in text.split()], np.int64)


@contextmanager
def _strictly() -> Iterator[None]:
    """Make numpy's "could not be read to its end" an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        yield


def _real(token: bytes) -> float:
    try:
        return float(token)
    except ValueError:
        return float("nan")


def _whole(token: bytes) -> int:
    try:
        value = int(token) if len(token) <= _LONGEST_INTEGER else None
    except ValueError:
        value = None
    return int(np.iinfo(np.int64).min) if value is None else value


def columns(lines: Lines, most: int, *, keyword: int = 0) -> tuple[Reals, Ints]:
    """Return the first numbers of each line, shape (n, most), NaN where the line has fewer, and how many numbers it has.

    Parameters
    ----------
    most
        How many columns to return.
    keyword
        Bytes at the start of each line that are no number.
    """
    if len(lines.start) < 2:
        return np.zeros((0, most)), np.zeros(0, np.int64)
    text = lines.text
    if keyword:
        text = text.copy()
        for place in range(keyword):
            text[lines.start[:-1] + place] = BLANK
    count = token_counts(Lines(text, lines.start))
    flat = numbers(text.tobytes())
    if len(flat) != count.sum():  # two numbers in one token, such as "1-2"
        flat = np.array([_real(token) for token in text.tobytes().split()], np.float64)
    out = np.full((len(count), most), np.nan)
    first = np.concatenate([[0], np.cumsum(count)])[:-1]
    if len(count) and count.min() == count.max():
        wide = flat.reshape(len(count), -1)[:, :most]
        out[:, : wide.shape[1]] = wide
        return out, count
    for place in range(most):
        there = count > place
        out[there, place] = flat[first[there] + place]
    return out, count
