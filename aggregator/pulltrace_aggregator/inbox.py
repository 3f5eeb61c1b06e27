"""Where the threads that watch Kubernetes and read exporters put what they observe for the loop."""

import queue
from dataclasses import dataclass
from typing import Final, TypeAlias

from pulltrace.clock import Clock, Instant
from pulltrace_aggregator.exporters.state import ExporterGone, ExporterSeen
from pulltrace_aggregator.model.cluster import NodeSeen, Observed, PodSeen
from pulltrace_aggregator.pods.store import Recheck

MOST_AT_ONCE: Final = 5000
"""Items between two views: more would let the view get old."""


@dataclass(frozen=True, slots=True)
class Rechecked:
    """The answer to a recheck: the pod that bears the name now, None where there is none."""

    recheck: Recheck
    found: PodSeen | None


@dataclass(frozen=True, slots=True)
class NodeRead:
    """What Kubernetes knows of a node, None where there is none."""

    name: str
    found: NodeSeen | None


Item: TypeAlias = Observed | ExporterSeen | ExporterGone | Rechecked | NodeRead


class Inbox:
    """Takes items from any thread, with the moment at which they came; emptied by one thread, in order."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._items: queue.SimpleQueue[tuple[Item | None, Instant]] = queue.SimpleQueue()

    def receive(self, item: Item) -> None:
        """Put one item in; those of one sender stay in order."""
        self._items.put((item, self._clock.now()))

    def wake(self) -> None:
        """End a wait."""
        self._items.put((None, self._clock.now()))

    def wait(self, seconds: float) -> list[tuple[Item, Instant]]:
        """All items up to a limit, once there is any, or after so many seconds."""
        try:
            first = self._items.get(timeout=seconds) if seconds > 0 else self._items.get_nowait()
        except queue.Empty:
            return []
        return self._with_rest([first])

    def pop_all(self) -> list[tuple[Item, Instant]]:
        """All items up to a limit."""
        return self._with_rest([])

    def _with_rest(self, items: list[tuple[Item | None, Instant]]) -> list[tuple[Item, Instant]]:
        try:
            while len(items) < MOST_AT_ONCE:
                items.append(self._items.get_nowait())
        except queue.Empty:
            pass
        return [(item, at) for item, at in items if item is not None]
