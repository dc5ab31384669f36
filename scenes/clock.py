"""The one clock of a scene: the instants of everything that moves in it, and what a layer that moves must be able to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from cim.errors import UsageError
from cim.scenes.layer import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cim.scenes.layer import Layer

    Instants = NDArray[np.datetime64]

__all__ = ["HIGHEST", "MAXIMUM", "Clock", "Motion", "clock_of", "instants_of", "latest", "moved"]

MAXIMUM = "maximum"
"""Asks for the highest value at every place over all times, instead of a moment."""
HIGHEST = Text("highest value over all times", "各时刻最大值")


class Motion(Protocol):
    """What makes a layer move: its own times, and the layer at each of them."""

    @property
    def times(self) -> Instants:
        """Rising instants, shape (n,), datetime64[us] in UTC; counted from 1970 where `dated` is False."""

    @property
    def dated(self) -> bool:
        """Whether the times are dates; else they count from the start of the run."""

    @property
    def peak(self) -> int:
        """The time shown first, such as that of the most water."""

    @property
    def notes(self) -> tuple[Text, ...]:
        """What is not shown as it is, counted."""

    def for_page(self) -> Motion:
        """Return the same in a size that a page carries."""

    def frame(self, layer: Layer, place: int | None) -> Layer:
        """Return the layer at one of its times, at None the highest value over all of them; name and look stay."""

    def whole(self, layer: Layer) -> Layer:
        """Return the mesh that all times share."""

    def described(self, add: Callable[[NDArray[Any]], dict[str, Any]]) -> dict[str, Any]:
        """Return all times as plain values for the page; `add` keeps an array and says where it lies."""


@dataclass(frozen=True)
class Clock:
    """Rising instants that a scene can be shown at.

    Examples
    --------
    >>> clock = Clock(np.array(["2026-07-21T06:00", "2026-07-21T06:10"], "M8[us]"), zone="Asia/Shanghai")
    >>> clock.place("2026-07-21T14:09"), clock.labels
    (1, ('2026-07-21 14:00', '2026-07-21 14:10'))
    """

    instants: Instants
    """Shape (n,), UTC."""
    zone: str = "UTC"
    """Time zone that labels are written in."""
    dated: bool = True
    """Whether the instants are dates; else they count from the start of the run."""

    def __len__(self) -> int:
        """Return the number of instants."""
        return len(self.instants)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Each instant as people write it, in the zone of the clock; hours and minutes where it counts from a start."""
        whole = bool((self.instants == self.instants.astype("M8[m]")).all())
        if not self.dated:
            return tuple(_elapsed(int(one), seconds=not whole) for one in self.instants.astype("M8[s]").astype(np.int64))
        from zoneinfo import ZoneInfo

        zone, form = ZoneInfo(self.zone), "%Y-%m-%d %H:%M" if whole else "%Y-%m-%d %H:%M:%S"
        return tuple(one.replace(tzinfo=UTC).astimezone(zone).strftime(form) for one in self.instants.astype("M8[us]").tolist())

    @property
    def suffix(self) -> Text:
        """What stands behind a label: the time zone, or that it counts from the start."""
        return Text(self.zone, self.zone) if self.dated else Text("after the start", "（自模拟开始）")

    def place(self, moment: float | str | datetime | np.datetime64) -> int:
        """Return the number of the instant nearest to a moment; an integer is the number itself, negative from the end.

        Parameters
        ----------
        moment
            Number; instant (without zone in that of the clock, as on its labels; `datetime64` in UTC); or seconds since the start, a
            float, where the clock has no dates.

        Raises
        ------
        UsageError
            If there is no such instant.
        """
        if isinstance(moment, int | np.integer) and not isinstance(moment, bool):
            if not -len(self) <= moment < len(self):
                msg = f"time number {moment}; the scene has {len(self)} times, 0 to {len(self) - 1}"
                raise UsageError(msg)
            return int(moment) % len(self)
        asked = self._instant(moment)
        first, last = self.instants[0], self.instants[-1]
        slack = (last - first) / max(len(self) - 1, 1)
        if not first - slack <= asked <= last + slack:
            msg = f"{moment!r} lies outside the times of the scene, {self.labels[0]} to {self.labels[-1]} ({self.suffix.en})"
            raise UsageError(msg)
        return int(np.abs(self.instants - asked).argmin())

    def _instant(self, moment: object) -> np.datetime64:
        if isinstance(moment, float | np.floating) and not self.dated and np.isfinite(moment):
            return np.datetime64(round(float(moment) * 1e6), "us")
        if isinstance(moment, np.datetime64) and not np.isnat(moment):
            return np.datetime64(int(moment.astype("M8[us]").astype(np.int64)), "us")
        try:
            said = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        except ValueError as error:
            msg = f"{moment!r} is no time; write it as '2026-07-21T14:10' (in {self.zone}), or '2026-07-21T22:10+08:00'"
            raise UsageError(msg) from error
        if self.dated and isinstance(said, datetime):
            from zoneinfo import ZoneInfo

            local = said if said.tzinfo else said.replace(tzinfo=ZoneInfo(self.zone))
            return np.datetime64(local.astimezone(UTC).replace(tzinfo=None), "us")
        kind = "an instant such as '2026-07-21T14:10'" if self.dated else "seconds since the start, such as 600.0"
        msg = f"{moment!r} is no time of this scene; give {kind}, or the number of a time"
        raise UsageError(msg)


def _elapsed(duration: int, *, seconds: bool = False) -> str:
    """Return a duration [s] as hours and minutes.

    Examples
    --------
    >>> _elapsed(3900), _elapsed(75, seconds=True)
    ('1:05', '0:01:15')
    """
    text = f"{duration // 3600}:{duration // 60 % 60:02d}"
    return f"{text}:{duration % 60:02d}" if seconds else text


def instants_of(values: NDArray[Any]) -> tuple[Instants, bool]:
    """Return the times of a field as instants, and whether they are dates; numbers are seconds since the start.

    Raises
    ------
    UsageError
        If they are neither, do not rise, or hold a gap.
    """
    dated = values.dtype.kind == "M"
    if not dated and values.dtype.kind not in "iufm":
        msg = f"times of type {values.dtype}; expected instants (datetime64) or seconds since the start"
        raise UsageError(msg)
    if values.dtype.kind in "iuf":
        known = np.isfinite(values.astype(float))
        instants = np.rint(np.where(known, values, 0).astype(float) * 1e6).astype(np.int64).astype("M8[us]")
    else:
        known = ~np.isnat(values)
        instants = values.astype("M8[us]") if dated else values.astype("m8[us]").astype(np.int64).astype("M8[us]")
    if not known.all() or (np.diff(instants) <= np.timedelta64(0)).any():
        msg = f"the times of a field must be known and rise; {int((~known).sum())} are unknown, of {len(values)}"
        raise UsageError(msg)
    return instants, dated


def clock_of(layers: Sequence[Layer], zone: str) -> Clock | None:
    """Return the clock of all layers that move, None where none does.

    Raises
    ------
    UsageError
        If some have dates and others count from a start.
    """
    motions = {layer.name: layer.motion for layer in layers if layer.motion is not None and len(layer.motion.times)}
    if not motions:
        return None
    if len({motion.dated for motion in motions.values()}) > 1:
        bare = ", ".join(repr(name) for name, motion in motions.items() if not motion.dated)
        msg = f"the times of {bare} count from a start, those of the other layers are dates; give the run a start to see them together"
        raise UsageError(msg)
    dated = all(motion.dated for motion in motions.values())
    return Clock(np.unique(np.concatenate([motion.times for motion in motions.values()])), zone if dated else "UTC", dated)


def latest(motion: Motion, instants: Instants) -> NDArray[np.int64]:
    """Return which of its own times a layer shows at each instant: the last one not after it; -1 before its first and after its end.

    A motion without an attribute `until` (an instant) has no end: it shows its last time for ever.
    """
    shown = np.searchsorted(motion.times, instants, side="right") - 1
    until = getattr(motion, "until", None)
    return shown if until is None else np.where(instants >= until, -1, shown)


def moved(layer: Layer, moment: np.datetime64 | None) -> Layer:
    """Return a layer at an instant of the clock, at None with its highest values; one without times as it is."""
    if layer.motion is None:
        return layer
    if moment is None:
        return layer.motion.frame(layer, None)
    return layer.motion.frame(layer, int(latest(layer.motion, np.array([moment]))[0]))
