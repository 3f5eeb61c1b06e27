"""Time as a parameter, the three clocks that are kept apart, and the deadlines at which time alone changes something.

Ages on different machines may be compared, their instants may not. Each clock has a type of its own, so that mypy
finds an instant of one clock where one of another is expected. Arithmetic gives a plain `float`, which is right for a
difference; a new instant is wrapped in its type again.
"""

import time
from typing import Final, NamedTuple, NewType, Protocol

Monotonic = NewType("Monotonic", float)
"""Seconds on this machine's monotonic clock; good for differences only."""
NodeTime = NewType("NodeTime", float)
"""Unix time on a node's clock: that of its containerd, kubelet and exporter."""
ServerTime = NewType("ServerTime", float)
"""Unix time on the clock of the Kubernetes API server."""


class Instant(NamedTuple):
    """One moment on both clocks of this machine, in seconds.

    `wall` is Unix time and may be stepped either way; only differences of `monotonic` mean anything.
    """

    wall: float
    monotonic: Monotonic


class Clock(Protocol):
    """Source of the time. Code that needs the time takes one as a parameter."""

    def now(self) -> Instant:
        """The present moment."""


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> Instant:
        """The present moment."""
        return Instant(time.time(), Monotonic(time.monotonic()))


NEVER: Final = Monotonic(float("-inf"))
"""Before every other instant."""
FOREVER: Final = Monotonic(float("inf"))
"""An instant that never comes."""


class Moment(NamedTuple):
    """Now, and by how many seconds the API server's clock is ahead of ours."""

    now: Instant
    server_ahead: float = 0.0

    @property
    def monotonic(self) -> Monotonic:
        """Now, on our monotonic clock."""
        return self.now.monotonic

    def of(self, stamp: ServerTime | None) -> Monotonic:
        """The monotonic time of a stamp of the API server; now for none and for one in the future."""
        if stamp is None:
            return self.monotonic
        return Monotonic(self.monotonic - max(0.0, self.now.wall + self.server_ahead - stamp))


class Deadlines:
    """Now, and when a rule will next give another answer although nothing new is observed.

    A rule that compares an instant with the present asks `reached`: so each deadline stands beside its rule.
    """

    def __init__(self, now: Monotonic) -> None:
        self.now = now
        self.next_at = FOREVER

    def reached(self, instant: float, known_until: Monotonic | None = None) -> bool:
        """Whether `instant` (monotonic) has come; one that has not is a deadline.

        `known_until` stands for now in rules about a node of which nothing is known since then. Their deadline may be
        past: then the node's next answer decides.
        """
        if instant <= (self.now if known_until is None else known_until):
            return True
        self.next_at = min(self.next_at, Monotonic(instant))
        return False
