"""Events: published once, lost for whoever is not subscribed at that moment."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from google.protobuf.message import Message


@dataclass(frozen=True, slots=True)
class Event:
    """`type_url` is the payload's type as containerd names it."""

    at_ns: int
    namespace: str
    topic: str
    type_url: str
    payload: Message


Subscription = queue.SimpleQueue[Event | None]
"""Events since its begin; None ends it."""


class Bus:
    """Hands each event to all who listen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: set[Subscription] = set()

    def publish(self, event: Event) -> None:
        with self._lock:
            for each in self._subscriptions:
                each.put(event)

    @contextmanager
    def subscription(self) -> Iterator[Subscription]:
        subscription = Subscription()
        with self._lock:
            self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            with self._lock:
                self._subscriptions.discard(subscription)

    @property
    def listeners(self) -> int:
        with self._lock:
            return len(self._subscriptions)
