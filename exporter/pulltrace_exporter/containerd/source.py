"""The way to containerd: the socket checked, a connection made and made again, the node observed."""

import logging
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

from pulltrace.clock import Clock, SystemClock
from pulltrace.logs import fields
from pulltrace.model.pull import Daemon
from pulltrace_exporter.containerd.client import Client
from pulltrace_exporter.containerd.event_watch import EventWatch
from pulltrace_exporter.containerd.observer import Observer
from pulltrace_exporter.containerd.socket import SocketFile, check_socket
from pulltrace_exporter.errors import ContainerdError, UnsafeSocketError
from pulltrace_exporter.model.observation import Observation

log = logging.getLogger(__name__)

DEAF_SECONDS = 5.0
"""So long after a connection was made, polls do not rely on events: a busy node takes a while to subscribe."""

BUSY_LOOKS = 3
"""A lease that so many polls in a row have shown is a pull. The start of a container has one for a moment only."""


class ContainerdSource:
    """Observations of the containerd behind a socket, across its restarts.

    `address` is the socket, `allowed` further directories that it may lie in.
    """

    def __init__(self, address: Path, allowed: Sequence[Path], namespace: str, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._address = address
        self._allowed = allowed
        self._namespace = namespace
        self._observer = Observer(lambda: self._clock.now().wall)
        self._bell = threading.Event()
        self._socket: SocketFile | None = None
        self._client: Client | None = None
        self._event_watch: EventWatch | None = None
        self._version = ""
        self._fresh = False
        self._busy_looks = 0
        self._connected_at = -DEAF_SECONDS
        self._cancelled = False

    @property
    def busy(self) -> bool:
        """Whether polls must not wait for events: a pull is running, or containerd may not send events yet."""
        return self._observer.busy or self._clock.now().monotonic - self._connected_at < DEAF_SECONDS

    @property
    def urgent(self) -> bool:
        """Whether the next poll should come soon, because a pull has not shown its image yet."""
        return self._observer.urgent

    def observe(self, ignored: Iterable[str]) -> Observation:
        """Read the node once; `ignored` are leases known to be nobody's.

        Raises ContainerdError when containerd is absent or a call fails, UnsafeSocketError when what is at the
        address must not be opened. The connection is kept when containerd answers on it: so no event is lost.
        """
        client = None
        try:
            client = self._connect()
            daemon = Daemon(True, self._version, self._socket.made_at if self._socket else None)
            watch = self._event_watch
            written, late = (watch.writes(), watch.late_writes) if watch else ((), tuple)
            observation = self._observer.observe(client, daemon, ignored, written, reconnected=self._fresh, late=late)
            self._adapt()
        except (ContainerdError, UnsafeSocketError):
            if client is None or not client.usable:
                self.close()
            raise
        self._fresh = False
        return observation

    def wait(self, seconds: float) -> bool:
        """Sleep for so long, or until an event of containerd or `wake` ends it; returns whether one did."""
        rung = self._bell.wait(seconds)
        self._bell.clear()
        return rung

    def wake(self) -> None:
        """End a `wait`, the present or the next one."""
        self._bell.set()

    def cancel(self) -> None:
        """Let an `observe` under way in another thread fail at once, and every later one."""
        self._cancelled = True
        client = self._client
        if client is not None:
            client.cancel()

    def close(self) -> None:
        """End the connection."""
        client, event_watch = self._client, self._event_watch
        self._client = self._event_watch = self._socket = None
        if event_watch is not None:
            event_watch.close()
        if client is not None:
            client.close()

    def _connect(self) -> Client:
        if self._cancelled:
            raise ContainerdError("connect", "CANCELLED", "the exporter is ending")
        socket = self._check()
        # Without a watch, an error of another kind than containerd's has ended the last attempt half-way.
        if self._client is not None and self._event_watch is not None and socket == self._socket:
            return self._client
        self.close()
        # The real path, so that what was checked is what is opened.
        client = Client(socket.path, self._namespace)
        self._client, self._socket, self._fresh = client, socket, True
        self._connected_at = self._clock.now().monotonic
        self._version = client.version()
        if not socket.is_still_at(self._address):
            # A containerd that started since the check is connected to, and its start would be the former one's.
            raise ContainerdError("connect", "UNAVAILABLE", f"{self._address} was made anew meanwhile")
        self._observer.remote_snapshotters = client.remote_snapshotters()
        self._event_watch = EventWatch(client, self.wake)
        log.info("connected to containerd", extra=fields(version=self._version, socket=self._address))
        return client

    def _adapt(self) -> None:
        """Listen for fewer events while a pull runs."""
        self._busy_looks = self._busy_looks + 1 if self._observer.busy else 0
        if self._event_watch is not None:
            self._event_watch.adapt(busy=self._busy_looks >= BUSY_LOOKS)

    def _check(self) -> SocketFile:
        if self._socket is not None and self._socket.is_still_at(self._address):
            return self._socket
        try:
            socket = check_socket(self._address, self._allowed)
        except PermissionError as error:
            raise ContainerdError("connect", "PERMISSION_DENIED", error) from error
        except OSError as error:
            raise ContainerdError("connect", "UNAVAILABLE", error) from error
        if socket is None:
            raise ContainerdError("connect", "UNAVAILABLE", f"{self._address} does not exist")
        return socket
