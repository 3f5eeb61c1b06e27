"""Wakes the poller when containerd sends an event. Events get lost, so polls read what has happened."""

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

from google.protobuf.message import DecodeError

from pulltrace_exporter.containerd.api import events_pb2, payloads_pb2
from pulltrace_exporter.containerd.client import Client
from pulltrace_exporter.containerd.inferred.cri_image_writes import ImageWrite
from pulltrace_exporter.containerd.messages import seconds
from pulltrace_exporter.containerd.quirks import MANAGED_LABEL
from pulltrace_exporter.errors import ContainerdError

log = logging.getLogger(__name__)

IMAGE_CREATED, IMAGE_UPDATED = IMAGE_TOPICS = ("/images/create", "/images/update")
WRITTEN_IMAGES = tuple(f'topic=="{topic}"' for topic in IMAGE_TOPICS)
"""What a pull's success writes: the only sign of a re-pull of what is there."""
FIRST_SIGNS = ('topic=="/content/create"', 'topic=="/snapshot/prepare"')
"""A pull's content with containerd 2, an extract snapshot before; then the same of each layer."""
LOWEST_LAYERS = ('topic=="/snapshot/prepare",event.parent~=/^$/',)
"""One sign of each pull that shares no layers with what is there."""

LATE_SECONDS = 0.2
"""How long an event may be on its way when what it tells of can be read already."""
RETRY_SECONDS = 5.0
"""A stream that ended is begun again, but not sooner after its own beginning: each end causes a poll."""
MAX_WRITES = 4000
"""Of one poll that took long. Each pull makes three."""
MAX_TOLD = 500
"""The last writes are remembered: while the subscription changes, two listeners hear the same event."""


class EventWatch:
    """Listens on one connection and calls `ring` for each event that may mean a new pull."""

    def __init__(self, client: Client, ring: Callable[[], None]) -> None:
        self._client = client
        self._ring = ring
        self._writes: deque[ImageWrite] = deque(maxlen=MAX_WRITES)
        self._told: OrderedDict[ImageWrite, None] = OrderedDict()
        self._arrived = threading.Event()
        self._busy = False
        self._listener = _Listener(client, (*WRITTEN_IMAGES, *FIRST_SIGNS), self._hear)
        self._former: _Listener | None = None

    def late_writes(self) -> tuple[ImageWrite, ...]:
        """As `writes`, but waits a moment for the first one."""
        self._arrived.wait(LATE_SECONDS)
        return self.writes()

    def writes(self) -> tuple[ImageWrite, ...]:
        """The image records that were written since this was last asked; each is told once, whoever heard of it."""
        self._arrived.clear()
        heard = dict.fromkeys(self._writes.popleft() for _ in range(len(self._writes)))
        new = tuple(write for write in heard if write not in self._told)
        self._told.update(dict.fromkeys(new))
        while len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)
        return new

    def adapt(self, *, busy: bool) -> None:
        """Listen for less while a pull runs, because polls come often then, and anew when the stream has ended.

        A pull of sixty layers makes some two hundred events. To hear them costs more than the polls do.
        """
        self._close_former()
        if busy == self._busy and not self._listener.lost:
            return
        # Both listen until the next poll. Otherwise neither would hear what is written in between.
        self._former, signs = self._listener, LOWEST_LAYERS if busy else FIRST_SIGNS
        self._listener = _Listener(self._client, (*WRITTEN_IMAGES, *signs), self._hear)
        self._busy = busy
        if not busy:
            self._ring()  # for a pull that began after the last poll and before containerd knew of the listener

    def close(self) -> None:
        """Stop listening; returns when the threads have ended."""
        self._close_former()
        self._listener.close()

    def _close_former(self) -> None:
        if self._former is not None:
            self._former.close()
            self._former = None

    def _hear(self, envelope: events_pb2.Envelope | None) -> None:
        write = image_write(envelope) if envelope is not None and envelope.topic in IMAGE_TOPICS else None
        if write is not None:
            self._writes.append(write)
            self._arrived.set()
        self._ring()


class _Listener:
    """One subscription, and the thread that reads it."""

    def __init__(
        self, client: Client, filters: Iterable[str], hear: Callable[[events_pb2.Envelope | None], None]
    ) -> None:
        self._stream = client.subscribe(filters)
        self._hear = hear
        self._closing = False
        self._began = time.monotonic()
        self._thread = threading.Thread(target=self._listen, name="containerd-events")
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether its stream has ended, and it is time for another one. The connection of the polls may still work."""
        return not self._thread.is_alive() and time.monotonic() - self._began >= RETRY_SECONDS

    def close(self) -> None:
        self._closing = True
        self._stream.cancel()
        self._thread.join()

    def _listen(self) -> None:
        try:
            for envelope in self._stream:
                self._hear(envelope)
        except ContainerdError as error:
            log.debug("containerd's event stream ended: %s", error.code)
            if not self._closing:
                self._hear(None)  # the next poll finds out why


def image_write(envelope: events_pb2.Envelope) -> ImageWrite | None:
    """What an event says of an image's record; None when it cannot be read."""
    try:
        change = payloads_pb2.ImageChange.FromString(envelope.event.value)
    except DecodeError:
        log.debug("unreadable event of an image")
        return None
    created = envelope.topic == IMAGE_CREATED
    return ImageWrite(change.name, seconds(envelope.timestamp), created, MANAGED_LABEL in change.labels)
