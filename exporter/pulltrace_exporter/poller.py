"""The exporter's loop: look at containerd, feed the tracker, publish what it makes of it, wait."""

import logging
import math
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from pulltrace.clock import Clock
from pulltrace.logs import fields
from pulltrace.model.histogram import Histogram
from pulltrace.model.pull import Daemon
from pulltrace_exporter.errors import ContainerdError, UnsafeSocketError
from pulltrace_exporter.model.events import Event
from pulltrace_exporter.model.observation import Intent, Observation
from pulltrace_exporter.model.view import FailedCall, Polls, View
from pulltrace_exporter.tracking.tracker import Tracked, Tracker

log = logging.getLogger(__name__)

POLL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
SETTLING_SECONDS = 0.1
"""How soon to look again while a pull has not shown its image: its labels come a moment after its content."""
SETTLING_LIMIT_SECONDS = 2.0
CLOSEST_SECONDS = 0.05
"""Events come in bursts; after a look, one look serves all that come within this."""


class Source(Protocol):
    """Where observations come from."""

    @property
    def busy(self) -> bool:
        """Whether a pull is under way."""
        ...

    @property
    def settling(self) -> bool:
        """Whether the next look should come soon."""
        ...

    def observe(self, ignored: Iterable[str]) -> Observation:
        """Read the node once; raises ContainerdError or UnsafeSocketError."""
        ...

    def wait(self, seconds: float) -> bool:
        """Sleep for so long or until woken; returns whether it was woken."""
        ...

    def wake(self) -> None:
        """End a wait."""
        ...


@dataclass(frozen=True, slots=True)
class Intervals:
    """Seconds between looks: while there is a pull, and while there is none."""

    busy: float
    idle: float


class Poller:
    """Runs in a thread of its own until stopped; the view is replaced as a whole after each look.

    `intents` gives what the kubelet wants pulled, `write` takes what happened since the last look, if only nothing.
    """

    def __init__(
        self,
        source: Source,
        tracker: Tracker,
        intervals: Intervals,
        clock: Clock,
        *,
        intents: Callable[[], Iterable[Intent]] = tuple,
        write: Callable[[Iterable[Event]], None] = lambda _events: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._source = source
        self._tracker = tracker
        self._intervals = intervals
        self._clock = clock
        self._intents = intents
        self._write = write
        self._jitter = jitter
        self._stopping = threading.Event()
        self._durations = Histogram.empty(POLL_BUCKETS)
        self._errors: Counter[FailedCall] = Counter()
        self._last_at: float | None = None
        self._failures = 0
        self._complaint = ""
        self._settling_since: float | None = None
        self._daemon = Daemon()
        self._stands_until = math.inf
        self._view = self._compose(tracker.elapse(clock.now()))

    @property
    def view(self) -> View:
        """What is known, as of the last look."""
        return self._view

    def run(self) -> None:
        """Look and wait, until `stop`."""
        while not self._stopping.is_set():
            began = self._clock.now().monotonic
            self.poll()
            due = min(began + self._pause(), self._stands_until)
            earliest = self._clock.now().monotonic + CLOSEST_SECONDS
            self._source.wait(max(due - self._clock.now().monotonic, CLOSEST_SECONDS))
            self._stopping.wait(max(earliest - self._clock.now().monotonic, 0.0))

    def stop(self) -> None:
        """Let `run` return soon."""
        self._stopping.set()
        self._source.wake()

    def poll(self) -> None:
        """Look once and publish."""
        began = self._clock.now()
        tracked = self._look()
        ended = self._clock.now()
        self._durations = self._durations.observe(ended.monotonic - began.monotonic)
        self._last_at = ended.wall
        self._stands_until = ended.monotonic + tracked.stands_for
        self._view = self._compose(tracked)
        self._tell(tracked.events)

    def _tell(self, events: Iterable[Event]) -> None:
        try:
            self._write(events)
        except Exception:  # a fault of ours in one odd event is no reason to stop looking
            log.exception("cannot tell what happened")

    def _look(self) -> Tracked:
        try:
            return self._read()
        except ContainerdError as error:
            if not self._stopping.is_set():  # else it was cut short
                self._fail(FailedCall(error.call, error.code), error)
        except UnsafeSocketError as error:
            self._fail(FailedCall("connect", "UNSAFE_SOCKET"), error)
        except Exception as error:
            # A fault of ours in one odd pull: said, counted, and no reason to go blind for all the others.
            if str(error) != self._complaint:
                log.exception("cannot make sense of what containerd shows")
            self._fail(FailedCall("observe", type(error).__name__), error)
        return self._tracker.elapse(self._clock.now(), self._intents())

    def _read(self) -> Tracked:
        observation = self._source.observe(self._tracker.ignored)
        tracked = self._tracker.observe(observation, self._clock.now(), self._intents())
        self._succeed(observation)
        return tracked

    def _succeed(self, observation: Observation) -> None:
        if self._complaint:
            log.info("containerd answers again")
        self._failures, self._complaint = 0, ""
        self._daemon = observation.daemon

    def _fail(self, failed: FailedCall, error: Exception) -> None:
        self._failures += 1
        self._daemon = Daemon()
        self._errors[failed] += 1
        if str(error) != self._complaint:  # once per kind, or a dead containerd fills the log
            self._complaint = str(error)
            log.warning("containerd cannot be read, trying on", extra=fields(error=error))

    def _pause(self) -> float:
        if self._failures:
            pause = min(FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures - 1, 10), LONGEST_PAUSE_SECONDS)
            return pause * (0.5 + self._jitter() / 2)
        if self._source.settling:
            now = self._clock.now().monotonic
            self._settling_since = now if self._settling_since is None else self._settling_since
            if now - self._settling_since < SETTLING_LIMIT_SECONDS:
                return min(SETTLING_SECONDS, self._intervals.busy)
        else:
            self._settling_since = None
        return self._intervals.busy if self._source.busy else self._intervals.idle

    def _compose(self, tracked: Tracked) -> View:
        return View(
            pulls=tracked.pulls,
            resolving=tracked.resolving,
            queued=tracked.queued,
            totals=tracked.totals,
            daemon=self._daemon,
            polls=Polls(self._durations, MappingProxyType(dict(self._errors)), self._last_at),
        )
