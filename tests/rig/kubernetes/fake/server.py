"""The fake's HTTP server: a thread for each connection, all of them ended when it closes."""

import contextlib
import select
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

PAUSE = 0.05
"""Longest wait before a held answer looks whether anybody still waits for it, in seconds."""
HANDSHAKE_TIMEOUT = 5.0


class Gone(Exception):
    """The answer cannot be finished: the client went away, or the server closes, or a test wants it so."""


class Server(ThreadingHTTPServer):
    """Listens on 127.0.0.1."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, port: int, tls: ssl.SSLContext, respond: Callable[["Handler"], None]) -> None:
        self.respond = respond
        self.closing = False
        self._tls = tls
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(PAUSE,), name="fake API server")
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def close(self) -> None:
        self.closing = True
        self.shutdown()
        self._thread.join()
        for connection in tuple(self._connections):
            _shut(connection)
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        plain, address = super().get_request()
        # The handshake comes with the first byte that is read, in the connection's own thread.
        connection = self._tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        connection.settimeout(HANDSHAKE_TIMEOUT)
        self._connections.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError | Gone):  # a client that went away is no fault
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """One request; what answers it calls the methods below `body`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server_version = "rig"

    @property
    def owner(self) -> Server:
        return cast(Server, self.server)

    def setup(self) -> None:
        self.request.do_handshake()
        self.request.settimeout(None)
        super().setup()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The list of requests says it."""

    def _respond(self) -> None:
        try:
            self.owner.respond(self)
        except (Gone, OSError):
            self.cut()

    do_GET = do_POST = do_PATCH = do_DELETE = _respond  # noqa: N815 - looked for by these names

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        usual = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in {**usual, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def begin(self) -> None:
        """The head of an answer of unknown length."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def send(self, part: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(part), part))
        self.wfile.flush()

    def end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def cut(self) -> None:
        """End the connection, whatever was sent."""
        self.close_connection = True
        _shut(self.connection)

    def hold(self, done: Callable[[], bool]) -> None:
        """Say nothing until `done`, the client has gone or the server closes."""
        while not done():
            self.check(PAUSE)

    def check(self, wait: float = 0.0) -> None:
        """Raise Gone when the client has closed, or the server closes: a client that waits sends nothing."""
        if self.owner.closing or select.select([self.connection], [], [], wait)[0]:
            raise Gone


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # closed already by the other side
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
