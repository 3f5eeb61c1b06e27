"""Time as a parameter, and the three clocks that are told apart.

Ages on different machines may be compared, their instants may not. Each clock has a type of its own, so that mypy
finds an instant of one clock where one of another is expected. Arithmetic gives a plain `float`, which is right for a
difference; a new instant is wrapped in its type again.
"""

import time
from typing import NamedTuple, NewType, Protocol

Monotonic = NewType("Monotonic", float)
"""Seconds on this machine's monotonic clock; good for differences only."""
NodeTime = NewType("NodeTime", float)
"""Unix time on a node's clock: that of its containerd, kubelet and exporter."""
ServerTime = NewType("ServerTime", float)
"""Unix time on the clock of the Kubernetes API server."""


class Instant(NamedTuple):
    """One moment on both clocks of this machine, in seconds.

    `wall` is Unix time and may be stepped either way; `monotonic` has no meaning but in differences.
    """

    wall: float
    monotonic: Monotonic


class Clock(Protocol):
    """Whoever needs the time takes one of these."""

    def now(self) -> Instant:
        """The present moment."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> Instant:
        """The present moment."""
        return Instant(time.time(), Monotonic(time.monotonic()))
