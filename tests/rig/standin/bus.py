"""Events: published once, lost for whoever is not subscribed at that moment."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

Field = str | int | Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Event:
    """`fields` are numbered as in containerd's event messages; a mapping is one of labels."""

    at_ns: int
    namespace: str
    topic: str
    message: str
    fields: Mapping[int, Field]

    @property
    def payload(self) -> bytes:
        """The event's message on the wire."""
        return b"".join(_encode(number, value) for number, value in sorted(self.fields.items()))


class Bus:
    """Hands each event to all who listen."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: set[queue.SimpleQueue[Event | None]] = set()

    def publish(self, event: Event) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener.put(event)

    @contextmanager
    def subscription(self) -> "Iterator[Subscription]":
        listener: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        with self._lock:
            self._listeners.add(listener)
        try:
            yield Subscription(listener)
        finally:
            with self._lock:
                self._listeners.discard(listener)

    @property
    def listeners(self) -> int:
        """How many listen now."""
        with self._lock:
            return len(self._listeners)


class Subscription:
    """Events since its begin, until it is ended."""

    def __init__(self, events: "queue.SimpleQueue[Event | None]") -> None:
        self._events = events

    def end(self) -> None:
        self._events.put(None)

    def __iter__(self) -> Iterator[Event]:
        next_event: Callable[[], Event | None] = self._events.get
        return iter(next_event, None)


def _encode(number: int, value: Field) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    if isinstance(value, str):
        return _delimited(number, value.encode()) if value else b""
    entries = ({1: key, 2: text} for key, text in sorted(value.items()))
    return b"".join(_delimited(number, b"".join(_encode(n, v) for n, v in each.items())) for each in entries)


def _delimited(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
