"""Where the threads that watch Kubernetes and read exporters put their news for the loop."""

import queue
from dataclasses import dataclass
from typing import Final, TypeAlias

from pulltrace.clock import Clock, Instant
from pulltrace_aggregator.exporters.values import ExporterGone, ExporterSeen
from pulltrace_aggregator.model.cluster import Observed, PodSeen
from pulltrace_aggregator.pods.store import Recheck

MOST_AT_ONCE: Final = 5000
"""News between two views: more would let the view get old."""


@dataclass(frozen=True, slots=True)
class Rechecked:
    """The answer to a recheck: the pod that bears the name now, None where there is none."""

    recheck: Recheck
    found: PodSeen | None


News: TypeAlias = Observed | ExporterSeen | ExporterGone | Rechecked


class Inbox:
    """Takes news from any thread, with the moment at which they came; emptied by one thread, in order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._items: queue.SimpleQueue[tuple[News | None, Instant]] = queue.SimpleQueue()

    def receive(self, news: News) -> None:
        """Take one piece of news; of each sender they stay in order."""
        self._items.put((news, self._clock.now()))

    def wake(self) -> None:
        """End a wait."""
        self._items.put((None, self._clock.now()))

    def wait(self, seconds: float) -> list[tuple[News, Instant]]:
        """What has come, once there is anything, or after so many seconds."""
        try:
            item = self._items.get(timeout=max(seconds, 0.0)) if seconds > 0 else self._items.get_nowait()
        except queue.Empty:
            return []
        return self._news([item])

    def take(self) -> list[tuple[News, Instant]]:
        """What has come by now, up to a limit."""
        return self._news([])

    def _news(self, items: list[tuple[News | None, Instant]]) -> list[tuple[News, Instant]]:
        try:
            while len(items) < MOST_AT_ONCE:
                items.append(self._items.get_nowait())
        except queue.Empty:
            pass
        return [(news, at) for news, at in items if news is not None]
