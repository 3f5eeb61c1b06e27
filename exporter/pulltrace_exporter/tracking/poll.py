"""One poll, as the tracker's parts pass it on, and how containerd's timestamps compare when a clock is stepped."""

from dataclasses import dataclass
from typing import Self

from pulltrace.clock import Instant, NodeTime
from pulltrace_exporter.model.observation import Observation
from pulltrace_exporter.tracking.queue import ImageIntent

CLOCK_STEP_SECONDS = 1.0
"""Smaller differences between the wall clock and the monotonic clock are drift."""


@dataclass(frozen=True, slots=True)
class Poll:
    """What was seen at `now`; `previous` is when the node was last seen, None at the first poll."""

    seen: Observation
    now: Instant
    intents: tuple[ImageIntent, ...] = ()
    previous: Instant | None = None


@dataclass(frozen=True, slots=True)
class Since:
    """A moment: `stamp` as containerd wrote it, `earliest` the lowest timestamp that it can have after clock steps."""

    stamp: NodeTime
    earliest: NodeTime

    def covers(self, stamp: NodeTime, now: Instant) -> bool:
        """Whether content with the timestamp `stamp` may have come at this moment or later."""
        if stamp > now.wall:  # written before the clock was stepped back: comparable only with a moment that also was
            return stamp >= self.stamp > now.wall
        return stamp >= self.earliest

    def shifted(self, seconds: float) -> Self:
        """The same moment after a clock step. Content from before a step forward keeps its old, lower timestamps."""
        return type(self)(self.stamp, NodeTime(self.earliest + min(seconds, 0.0)))


class WallClock:
    """Finds out when the wall clock is stepped, by the monotonic clock."""

    def __init__(self, now: Instant) -> None:
        self._offset = now.wall - now.monotonic

    def step(self, now: Instant) -> float:
        """By how many seconds the wall clock was stepped since the last call; 0.0 for drift."""
        step = now.wall - now.monotonic - self._offset
        self._offset += step
        return step if abs(step) >= CLOCK_STEP_SECONDS else 0.0


def shifted(instant: Instant, seconds: float) -> Instant:
    """The same moment on a wall clock that was stepped by so many seconds. No Unix time is below zero."""
    return Instant(max(instant.wall + seconds, 0.0), instant.monotonic)
