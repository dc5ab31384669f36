"""Progress of long work: done, rate and time left, in a terminal and in a notebook; silent everywhere else.

The library itself prints nothing. A bar goes to standard error while the work lasts; ``CIM_PROGRESS=0`` silences it, `set_sink` sends
the numbers to a program that embeds the toolkit instead.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Report", "Tracker", "set_sink", "silent", "track"]

Item = TypeVar("Item")

# A bar that is redrawn more often costs more than the work it shows.
_SECONDS_BETWEEN = 0.1


@dataclass(frozen=True)
class Report:
    """How far one piece of work is."""

    label: str
    """What is being done."""
    done: float
    """Units done."""
    total: float | None
    """Units in all, None when not known."""
    unit: str
    """What is counted: "objects", "cells", "s"."""
    elapsed: float
    """Time since the start [s]."""
    finished: bool
    """Whether this is the last report."""
    failed: bool = False
    """Whether the work ended by an error or was cancelled."""

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.done / self.elapsed if self.elapsed > 0 else 0.0

    @property
    def remaining(self) -> float | None:
        """Time left [s], None when it cannot be told."""
        if self.total is None or self.done <= 0 or self.elapsed <= 0:
            return None
        return max(0.0, self.total - self.done) / self.rate


Sink = Callable[[Report], None]
_sink: list[Sink | None] = [None]


def set_sink(sink: Sink | None) -> Sink | None:
    """Send every report to `sink` instead of a bar; None goes back to the bar.

    Returns
    -------
    sink
        The one that was set before, so that it can be put back.

    Examples
    --------
    >>> seen = []
    >>> before = set_sink(seen.append)
    >>> list(track("abc", label="read", unit="letters"))
    ['a', 'b', 'c']
    >>> seen[-1].done, seen[-1].total, seen[-1].finished
    (3.0, 3, True)
    >>> _ = set_sink(before)
    """
    before = _sink[0]
    _sink[0] = sink
    return before


def silent() -> bool:
    """Whether no bar is drawn: ``CIM_PROGRESS=0``, or neither a terminal nor a notebook shows standard error."""
    if os.environ.get("CIM_PROGRESS", "") == "0":
        return True
    return not (_in_notebook() or (sys.stderr is not None and sys.stderr.isatty()))


class Tracker(Generic[Item]):
    """One piece of work under way: a context manager with `advance`, or an iterable that advances by itself.

    Leaving it, also by an error or by Ctrl-C, ends the bar and gives the terminal back as it was; the error goes on.
    """

    def __init__(self, items: Iterable[Item] | None, total: float | None, label: str, unit: str) -> None:
        self._items = items
        self._total = total
        self._label = label
        self._unit = unit
        self._done = 0.0
        self._start = time.monotonic()
        self._told = float("-inf")
        self._bar: _TerminalBar | _NotebookBar | None = None
        self._sink: Sink | None = None

    @property
    def done(self) -> float:
        """Units done."""
        return self._done

    def advance(self, amount: float = 1) -> None:
        """Count `amount` more units as done."""
        self._done += amount
        now = time.monotonic()
        if now - self._told >= _SECONDS_BETWEEN:
            self._told = now
            self._tell(finished=False)

    def update(self, done: float, *, total: float | None = None) -> None:
        """Set how many units are done, and in all if that is known only now."""
        if total is not None:
            self._total = total
        self.advance(done - self._done)

    def __enter__(self) -> Self:
        """Start the clock and the bar."""
        self._start = time.monotonic()
        self._sink = _sink[0]
        if self._sink is None and not silent():
            self._bar = (_NotebookBar if _in_notebook() else _TerminalBar)(self._report(finished=False))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End the bar, whatever happened."""
        try:
            self._tell(finished=True, failed=kind is not None)
        finally:
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def __iter__(self) -> Iterator[Item]:
        """Yield the items, counting each when the next is asked for."""
        if self._items is None:
            msg = "this progress counts no items; use it as `with track(total=…) as work: work.advance()`"
            raise TypeError(msg)
        with self:
            for item in self._items:
                yield item
                self.advance()

    def _report(self, *, finished: bool, failed: bool = False) -> Report:
        return Report(self._label, self._done, self._total, self._unit, time.monotonic() - self._start, finished, failed)

    def _tell(self, *, finished: bool, failed: bool = False) -> None:
        if self._sink is not None:
            self._sink(self._report(finished=finished, failed=failed))
        if self._bar is not None:
            self._bar.show(self._report(finished=finished, failed=failed))


@overload
def track(iterable: Iterable[Item], *, total: float | None = None, label: str = "", unit: str = "") -> Tracker[Item]: ...
@overload
def track(iterable: None = None, *, total: float | None = None, label: str = "", unit: str = "") -> Tracker[None]: ...
def track(
    iterable: Iterable[Item] | None = None, *, total: float | None = None, label: str = "", unit: str = ""
) -> Tracker[Item] | Tracker[None]:
    """Show the progress of long work.

    Parameters
    ----------
    iterable
        What is worked through; its length is the total where it has one.
    total
        Units in all, if known.
    label, unit
        What is being done, and what is counted.

    Examples
    --------
    >>> with track(total=100, label="route", unit="trips") as work:
    ...     work.advance(60)
    ...     work.advance(40)
    >>> work.done
    100.0
    """
    source: object = iterable
    if total is None and isinstance(source, Sized):
        total = len(source)
    return Tracker(iterable, total, label, unit)


class _TerminalBar:
    """A rich progress bar on standard error; the only place that knows rich."""

    def __init__(self, report: Report) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(),
        )
        self._progress: Progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(report.label, total=report.total, words=report.unit)
        self._progress.start()

    def show(self, report: Report) -> None:
        """Redraw."""
        self._progress.update(self._task, completed=report.done, total=report.total, words=_words(report))

    def close(self) -> None:
        """Stop drawing and give the cursor back."""
        self._progress.stop()


class _NotebookBar:
    """A line with a bar in the output of the cell; rich would need ipywidgets for it, and an extension in the browser."""

    def __init__(self, report: Report) -> None:
        show: Any = import_module("IPython.display")
        self._html = show.HTML
        self._handle = show.display(show.HTML(_line(report)), display_id=True)

    def show(self, report: Report) -> None:
        """Redraw."""
        if self._handle is not None:
            self._handle.update(self._html(_line(report)))

    def close(self) -> None:
        """Leave the last line in the cell."""


def _words(report: Report) -> str:
    """Return unit, rate and time left, as far as they are known."""
    words = [report.unit] if report.unit else []
    if report.done > 0 and report.elapsed > 0:
        words.append(f"{report.rate:,.3g} {report.unit}/s".replace(" /s", "/s"))
    if report.remaining is not None and not report.finished:
        seconds = round(report.remaining)
        words.append(f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left")
    return "  ".join(words)


def _line(report: Report) -> str:
    from html import escape

    most = f' max="{report.total}" value="{report.done}"' if report.total else f' max="1" value="{int(report.finished)}"'
    count = f"{report.done:,.10g}" + (f"/{report.total:,.10g}" if report.total is not None else "")
    state = " (stopped)" if report.failed else ""
    return f"{escape(report.label)} <progress{most}></progress> {count} {escape(_words(report))}{state}"


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this; asks only what is loaded already."""
    ipython = sys.modules.get("IPython")
    if ipython is None or "ipykernel" not in sys.modules:
        return False
    shell = ipython.get_ipython()
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"
