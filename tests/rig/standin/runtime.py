"""What all pulls of one daemon share, and what the parts of one pull share."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rig.standin.control import Cancelled, Crew, Gate, KeyedLocks, Slots, Token
from rig.standin.descriptors import Descriptor
from rig.standin.reference import Reference
from rig.standin.sources import Source
from rig.standin.store import Store

if TYPE_CHECKING:  # its job is one of those here
    from rig.standin.remote import RemoteSnapshotter

CLIENT_DOWNLOADS = 16
WITHOUT_LIMIT = 1 << 20


class PullError(Exception):
    """A pull cannot go on; the text is the daemon's."""


def fast_unpack(layer: Descriptor) -> float:
    """Seconds to unpack a layer on a good disk."""
    return layer.size / 400e6


@dataclass(slots=True)
class Runtime:
    """The daemon's side of pulling.

    `unpack_seconds` says how long a layer takes, `unpacking` holds that stage when closed, `remote` is the snapshotter
    where that is a program of its own, `pause` is the moment between steps that containerd writes one after the other.
    """

    store: Store
    source: Source
    snapshotter: str = "overlayfs"
    unpack_seconds: Callable[[Descriptor], float] = fast_unpack
    remote: "RemoteSnapshotter | None" = None
    pause: float = 0.004
    locks: KeyedLocks = field(default_factory=KeyedLocks)
    unpacking: Gate = field(default_factory=Gate)
    slots: Slots = field(init=False)

    def __post_init__(self) -> None:
        self.slots = Slots(self.store.flavour.downloads)


class Pulse:
    """Ends a pull of which nothing has arrived for too long while it had requests under way."""

    def __init__(self, token: Token, timeout: float | None) -> None:
        self._token = token
        self._timeout = timeout
        self._active = 0
        self._last = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pulse")

    @contextmanager
    def watching(self) -> Iterator[None]:
        if self._timeout is None:
            yield
            return
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request is under way during the block."""
        self._active += 1
        self.beat()
        try:
            yield
        finally:
            self._active -= 1

    def beat(self) -> None:
        """Something arrived."""
        self._last = time.monotonic()

    def _watch(self) -> None:
        timeout = self._timeout or 0.0
        while not self._over.wait(min(10.0, timeout / 4)):
            if self._active and time.monotonic() - self._last > timeout:
                self._token.end(Cancelled())


@dataclass(frozen=True, slots=True)
class Job:
    """One pull at work under its lease."""

    runtime: Runtime
    reference: Reference
    lease: str
    token: Token
    crew: Crew
    pulse: Pulse
    locks: KeyedLocks
    slots: Slots
    workers: int

    @classmethod
    def of_daemon(cls, runtime: Runtime, reference: Reference, lease: str, token: Token) -> "Job":
        """A pull through CRI."""
        flavour = runtime.store.flavour
        return cls(
            runtime,
            reference,
            lease,
            token,
            Crew(token, "pull"),
            Pulse(token, flavour.progress_timeout),
            runtime.locks,
            runtime.slots,
            flavour.downloads,
        )

    @classmethod
    def of_client(cls, runtime: Runtime, reference: Reference, lease: str, token: Token) -> "Job":
        """A pull by a client process: it shares no locks with anybody and downloads all layers at once."""
        return cls(
            runtime,
            reference,
            lease,
            token,
            Crew(token, "client"),
            Pulse(token, None),
            KeyedLocks(),
            Slots(WITHOUT_LIMIT),
            workers=CLIENT_DOWNLOADS,
        )

    @property
    def store(self) -> Store:
        return self.runtime.store

    def moment(self) -> None:
        """The time between two writes of the daemon."""
        self.token.wait(self.runtime.pause)
