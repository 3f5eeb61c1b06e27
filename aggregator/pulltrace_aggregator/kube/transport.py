"""urllib3 connections that can be ended from another thread at any stage: connecting, shaking hands, reading.

A watch is a read that lasts minutes, and a hanging server completes neither a connect nor a handshake. A program that
ends cannot wait for these.
"""

import socket
import threading
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import NewConnectionError

KEEPALIVE: Final = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
)
"""A peer that vanished is noticed within 40 s, long before a silent watch is."""


class Sockets:
    """The sockets in use. Once `closed`, those that come later are ended at once as well."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.closed = False

    def add(self, connection: socket.socket) -> None:
        """Remember a socket for as long as it lives."""
        with self._lock:
            self._live.add(connection)
            closed = self.closed
        if closed:
            _shut(connection)

    def cut(self) -> None:
        """Wake every thread that waits for a socket, with an error or the end of the data."""
        with self._lock:
            live = tuple(self._live)
        for connection in live:
            _shut(connection)

    def close(self) -> None:
        """Cut what there is and what comes later."""
        with self._lock:
            self.closed = True
        self.cut()

    def pools(self) -> dict[str, Callable[..., HTTPConnectionPool]]:
        """The classes with which a PoolManager makes pools whose sockets are remembered here."""
        return {
            "http": partial(self._pool, HTTPConnectionPool, _TrackedConnection),
            "https": partial(self._pool, HTTPSConnectionPool, _TrackedTlsConnection),
        }

    def _pool(self, kind: type[HTTPConnectionPool], connection: Any, *args: Any, **options: Any) -> HTTPConnectionPool:
        pool = kind(*args, **options)
        pool.ConnectionCls = partial(connection, self)  # type: ignore[assignment]
        return pool


class _TrackedConnection(HTTPConnection):
    """Shows its socket to `Sockets` from before it connects."""

    def __init__(self, sockets: Sockets, *args: Any, **options: Any) -> None:
        # In every case: with a proxy urllib3 passes an empty list.
        super().__init__(*args, **{**options, "socket_options": KEEPALIVE})
        self._sockets = sockets
        self._handle: socket.socket | None = None

    def connect(self) -> None:
        try:
            super().connect()
            if self.sock:
                self._sockets.add(self.sock)
        finally:
            self._drop_handle()

    def _new_conn(self) -> socket.socket:
        """As in urllib3, except that `Sockets` knows the socket while it connects."""
        try:
            return self._connected()
        except OSError as error:
            # urllib3 takes a bare ECONNRESET for an error of the request, and then reads from a socket that is None.
            raise NewConnectionError(self, str(error)) from error

    def _connected(self) -> socket.socket:
        addresses = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        for number, (family, kind, protocol, _, address) in enumerate(addresses, start=1):
            connection = socket.socket(family, kind, protocol)
            try:
                self._connect(connection, address)
            except OSError:
                connection.close()
                if number == len(addresses):
                    raise
            else:
                return connection
        raise OSError(f"{self.host} has no address")

    def _connect(self, connection: socket.socket, address: Any) -> None:
        """Connect, with a second descriptor as the handle: the TLS handshake detaches the socket's own."""
        self._drop_handle()
        self._handle = connection.dup()
        self._sockets.add(self._handle)
        for option in self.socket_options or ():
            connection.setsockopt(*option)
        connection.settimeout(self.timeout)
        connection.connect(address)

    def _drop_handle(self) -> None:
        if self._handle:
            self._handle.close()
            self._handle = None


class _TrackedTlsConnection(_TrackedConnection, HTTPSConnection):
    """The same over TLS."""


def _shut(connection: socket.socket) -> None:
    """End both directions, below TLS: `SSLSocket.shutdown` would drop the session that another thread reads from."""
    try:
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        return  # not connected, or closed already
