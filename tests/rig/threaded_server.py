"""A server of a test's own on loopback: a thread for each connection, all of them ended when it closes."""

import socket
import sys
import threading
from http.server import ThreadingHTTPServer
from socketserver import BaseRequestHandler
from typing import Any

from rig.closing import Closing

PAUSE = 0.05
"""Longest wait before whoever is held up looks whether all is to end, in seconds."""


class ThreadedServer(Closing, ThreadingHTTPServer):
    """Listens once made, on a free port unless told."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, handler: type[BaseRequestHandler], port: int = 0, address: str = "127.0.0.1") -> None:
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        super().__init__((address, port), handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(PAUSE,), name=type(self).__name__)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def get_request(self) -> tuple[socket.socket, Any]:
        plain, address = super().get_request()
        connection = self.opened(plain)
        with self._lock:
            self._connections.add(connection)
        return connection, address

    def opened(self, connection: socket.socket) -> socket.socket:
        """What is read and written instead of a connection that was made."""
        return connection

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that went away is no fault
            super().handle_error(request, client_address)

    def close(self) -> None:
        """End every connection, and wait for the threads. May be called twice."""
        self.shutdown()
        self._thread.join()
        with self._lock:
            for connection in self._connections:
                shut(connection)
        self.server_close()


def shut(connection: socket.socket) -> None:
    """Wake whoever reads from a connection, or waits for room in its buffer."""
    try:
        socket.socket.shutdown(connection, socket.SHUT_RDWR)  # without a word more from TLS
    except OSError:
        return  # closed already by the other side
