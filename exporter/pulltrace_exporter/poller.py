"""The exporter's loop: read containerd, update the tracker, publish its view, wait."""

import logging
import math
import random
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from pulltrace.clock import Clock, NodeTime
from pulltrace.logs import fields
from pulltrace.model.pull import Daemon
from pulltrace_exporter.errors import ContainerdError, UnsafeSocketError
from pulltrace_exporter.model.events import Event
from pulltrace_exporter.model.observation import FetchedLayer, Intent, Observation
from pulltrace_exporter.model.view import FailedCall, Polls
from pulltrace_exporter.tracking.tracker import Tracked, Tracker

log = logging.getLogger(__name__)

FIRST_RETRY_SECONDS = 0.25
LONGEST_RETRY_SECONDS = 5.0
URGENT_SECONDS = 0.1
"""How soon to poll again while a pull has not shown its image: its labels come a moment after its content."""
URGENT_LIMIT_SECONDS = 2.0
MIN_PAUSE_SECONDS = 0.05
"""Shortest pause between two polls: events come in bursts, and one poll serves a whole burst."""


class Source(Protocol):
    """Where observations come from."""

    @property
    def busy(self) -> bool:
        """Whether a pull is under way."""

    @property
    def urgent(self) -> bool:
        """Whether the next poll should come soon."""

    def observe(self, ignored: Iterable[str]) -> Observation:
        """Read the node once; raises ContainerdError or UnsafeSocketError."""

    def wait(self, seconds: float) -> bool:
        """Sleep for so many seconds, or until woken; returns whether it was woken."""

    def wake(self) -> None:
        """End a wait."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Seconds between polls: while there is a pull, and while there is none."""

    busy: float
    idle: float


class Poller:
    """Runs in a thread of its own until stopped; `view` is replaced as a whole after each poll.

    `intents` gives the kubelet's intents, `fetched` what the folder of a remote snapshotter shows of layers, by digest.
    `write` gets the events of each poll, even if there are none.
    """

    def __init__(
        self,
        source: Source,
        tracker: Tracker,
        intervals: Intervals,
        clock: Clock,
        *,
        intents: Callable[[], Iterable[Intent]] = tuple,
        fetched: Callable[[], Mapping[str, tuple[FetchedLayer, ...]]] = dict,
        write: Callable[[Iterable[Event]], None] = lambda _events: None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._source = source
        self._tracker = tracker
        self._intervals = intervals
        self._clock = clock
        self._intents = intents
        self._fetched = fetched
        self._write = write
        self._jitter = jitter
        self._stopping = threading.Event()
        self._failures = 0
        self._last_error = ""
        self._urgent_since: float | None = None
        self._valid_until = math.inf
        self._daemon = Daemon()
        self._polls = Polls()
        self.view = tracker.elapse(clock.now()).view

    def run(self) -> None:
        """Poll and wait, until `stop`."""
        while not self._stopping.is_set():
            began = self._clock.now().monotonic
            self.poll()
            due = min(began + self._pause(), self._valid_until)
            earliest = self._clock.now().monotonic + MIN_PAUSE_SECONDS
            self._source.wait(max(due - self._clock.now().monotonic, MIN_PAUSE_SECONDS))
            self._stopping.wait(max(earliest - self._clock.now().monotonic, 0.0))

    def stop(self) -> None:
        """Make `run` return soon."""
        self._stopping.set()
        self._source.wake()

    def poll(self) -> None:
        """Poll once and publish."""
        began = self._clock.now()
        tracked = self._track()
        ended = self._clock.now()
        durations = self._polls.durations.observe(ended.monotonic - began.monotonic)
        self._polls = replace(self._polls, durations=durations, last_at=NodeTime(ended.wall))
        self._valid_until = ended.monotonic + tracked.valid_seconds
        self.view = replace(tracked.view, daemon=self._daemon, polls=self._polls)
        try:
            self._write(tracked.events)
        except Exception:  # an internal error in one odd event must not end the loop
            log.exception("internal error: events were not written to the journal")

    def _track(self) -> Tracked:
        try:
            observation = self._source.observe(self._tracker.ignored)
            if observation.remote_snapshotters:
                observation = replace(observation, fetched=self._fetched())
            tracked = self._tracker.observe(observation, self._clock.now(), self._intents())
        except ContainerdError as error:
            if not self._stopping.is_set():  # else the call was cancelled
                self._fail(FailedCall(error.call, error.code), error)
        except UnsafeSocketError as error:
            self._fail(FailedCall("connect", "UNSAFE_SOCKET"), error)
        except Exception as error:
            # An internal error in one odd pull is logged and counted; the other pulls go on.
            if repr(error) != self._last_error:
                log.exception("internal error: the last poll was dropped")
            self._fail(FailedCall("observe", type(error).__name__), error)
        else:
            if self._last_error:
                log.info("containerd answers again")
            self._failures, self._last_error, self._daemon = 0, "", observation.daemon
            return tracked
        return self._tracker.elapse(self._clock.now(), self._intents())

    def _fail(self, failed: FailedCall, error: Exception) -> None:
        self._failures += 1
        self._daemon = Daemon()
        errors = self._polls.errors
        self._polls = replace(self._polls, errors={**errors, failed: errors.get(failed, 0) + 1})
        if repr(error) != self._last_error:  # once for each error, else an absent containerd fills the log
            self._last_error = repr(error)
            log.warning("containerd cannot be read, retrying", extra=fields(error=error))

    def _pause(self) -> float:
        if self._failures:
            pause = min(FIRST_RETRY_SECONDS * 2.0 ** min(self._failures - 1, 10), LONGEST_RETRY_SECONDS)
            return pause * (0.5 + self._jitter() / 2)
        if not self._source.urgent:
            self._urgent_since = None
        else:
            now = self._clock.now().monotonic
            self._urgent_since = now if self._urgent_since is None else self._urgent_since
            if now - self._urgent_since < URGENT_LIMIT_SECONDS:
                return min(URGENT_SECONDS, self._intervals.busy)
        return self._intervals.busy if self._source.busy else self._intervals.idle
