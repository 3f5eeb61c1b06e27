"""Time as a parameter."""

import time
from typing import NamedTuple, Protocol


class Instant(NamedTuple):
    """One moment on both clocks of this machine, in seconds.

    `wall` is Unix time and may be stepped either way; `monotonic` has no meaning but in differences.
    """

    wall: float
    monotonic: float


class Clock(Protocol):
    """Whoever needs the time takes one of these."""

    def now(self) -> Instant:
        """The present moment."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> Instant:
        """The present moment."""
        return Instant(time.time(), time.monotonic())
