"""How often an event happened since it was last seen: only what was seen counts, and it counts once. Pure.

The kubelet repeats an event by raising its count, and the API server may show one event any number of times. So the
growth of the count is what counts. The result is a lower bound: the kubelet drops events when there are many.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from pulltrace_aggregator.model.cluster import Change, EventSeen
from pulltrace_aggregator.model.image_message import Kind

LIMIT: Final = 20_000
MOST_UNNAMED: Final = 1000
MOST_OF_ONE_POD: Final = 20
_COUNTED: Final = (Kind.PULLED, Kind.FAILED, Kind.ERROR)


@dataclass(frozen=True, slots=True)
class _Known:
    uid: str
    times: int


class EventCounter:
    """Turns events, listed and watched, into increments. It counts those of pulls that succeeded or may have failed.

    An event that a list or a modification shows first is a baseline: it happened before. One that a watch adds counts
    in full. A known one counts by the growth of its count, also when a later list shows it. An event is known by its
    name: the kubelet goes on counting under it after the API server has dropped the object (by default after an hour).

    The `limit` most recent events are remembered. A forgotten one is a baseline again when it comes back.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._known: OrderedDict[tuple[str, str], _Known] = OrderedDict()

    def __len__(self) -> int:
        """Number of remembered events."""
        return len(self._known)

    def count(self, event: EventSeen) -> int:
        """How often what its message says has happened since it was last seen."""
        message = event.message
        # The message of a combined event changes: the next one may be a failure, and needs a baseline.
        if not message.combined and message.kind not in _COUNTED:
            return 0
        growth = self._growth(event)
        if message.kind not in _COUNTED:
            return 0
        # A combined event counts both events of an attempt, and those of other containers. It shows only the latest
        # message, so one step of its growth at most is known to be what the message says.
        return min(growth, 1) if message.combined else growth

    def _growth(self, event: EventSeen) -> int:
        key = event.namespace, event.name
        known = self._known.pop(key, None)
        if known is not None and known.uid != event.uid and event.count <= known.times:
            known = None  # another event under an old name
        # What an event counted before it was first seen does not count, unless a watch shows the event as new.
        first = 0 if event.change is Change.ADDED else event.count
        before = known.times if known else first
        self._known[key] = _Known(event.uid, max(before, event.count))
        while len(self._known) > self._limit:
            self._known.popitem(last=False)
        return max(0, event.count - before)


class UnnamedFailures:
    """Events that may be failed pulls but name no image. The pod's status tells which image it was, or that none was.

    The watch of pods may be behind that of events. The latest `limit` pods are remembered, each with its latest events.
    """

    def __init__(self, limit: int = MOST_UNNAMED) -> None:
        self._limit = limit
        self._waiting: OrderedDict[tuple[str, str], deque[tuple[EventSeen, int]]] = OrderedDict()

    def add(self, event: EventSeen, times: int) -> None:
        """Keep an event that happened `times` times."""
        key = event.namespace, event.pod
        self._waiting.setdefault(key, deque(maxlen=MOST_OF_ONE_POD)).append((event, times))
        self._waiting.move_to_end(key)
        if len(self._waiting) > self._limit:
            self._waiting.popitem(last=False)

    def named(
        self, namespace: str, pod: str, image_of: Callable[[EventSeen], str]
    ) -> Iterator[tuple[EventSeen, int, str]]:
        """The events of a pod whose image is known by now, with their number and image; each is given once."""
        for event, times in self._waiting.pop((namespace, pod), ()):
            if image := image_of(event):
                yield event, times, image
            else:
                self.add(event, times)
