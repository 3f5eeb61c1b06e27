"""Takes what the adapter observes, and waits for it."""

import threading
from collections.abc import Callable
from typing import TypeVar

from pulltrace_aggregator.model.cluster import (
    Change,
    EventGone,
    EventSeen,
    Listed,
    Observed,
    PodGone,
    PodSeen,
    Receiver,
    SliceGone,
    SliceSeen,
)

T = TypeVar("T")


class Recorder:
    """A receiver. `log` is all that came; the tables are what one would know from it. `then` is told first."""

    def __init__(self, then: Receiver[Observed] | None = None) -> None:
        self._then = then
        self._changed = threading.Condition()
        self.log: list[Observed] = []
        self.pods: dict[str, PodSeen] = {}
        self.events: dict[str, EventSeen] = {}
        self.slices: dict[str, SliceSeen] = {}

    def receive(self, observed: Observed) -> None:
        if self._then:
            self._then.receive(observed)
        with self._changed:
            self.log.append(observed)
            self._apply(observed)
            self._changed.notify_all()

    def wait(self, condition: Callable[[], T | None], timeout: float = 20) -> T:
        """Return what `condition` gives as soon as that is true; looked at after each observation."""
        with self._changed:
            found = self._changed.wait_for(condition, timeout)
            if not found:
                raise AssertionError(f"not within {timeout} s; the last that came: {self.log[-10:]}")
            return found

    def of(self, kind: type[T]) -> list[T]:
        """All observations of one kind, in order."""
        with self._changed:
            return [each for each in self.log if isinstance(each, kind)]

    def pod(self, name: str) -> PodSeen | None:
        """The pod of this name, as it is now."""
        return next((each for each in self.pods.values() if each.name == name), None)

    def lists(self, resource: str, detail: str = "") -> int:
        """How often a list of this resource was complete."""
        return sum(isinstance(each, Listed) and (each.resource, each.detail) == (resource, detail) for each in self.log)

    def events_of(self, pod: str, *changes: Change) -> list[EventSeen]:
        """All that came about a pod, in order; only changes of these kinds if any are given."""
        return [each for each in self.of(EventSeen) if each.pod == pod and (not changes or each.change in changes)]

    def _apply(self, observed: Observed) -> None:
        if isinstance(observed, PodSeen):
            self.pods[observed.uid] = observed
        elif isinstance(observed, EventSeen):
            self.events[observed.uid] = observed
        elif isinstance(observed, SliceSeen):
            self.slices[observed.uid] = observed
        elif isinstance(observed, PodGone | EventGone | SliceGone):
            for table in (self.pods, self.events, self.slices):
                table.pop(observed.uid, None)
