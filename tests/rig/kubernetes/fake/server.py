"""The fake's HTTP server, over TLS."""

import select
import socket
import ssl
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from typing import Any, cast

from rig.threaded_server import PAUSE, ThreadedServer, shut

HANDSHAKE_TIMEOUT = 5.0


class Gone(Exception):
    """The answer cannot be finished: the client went away, or the server closes, or a test wants it so."""


class Server(ThreadedServer):
    def __init__(self, port: int, tls: ssl.SSLContext, respond: Callable[["Handler"], None]) -> None:
        self.respond = respond
        self.closing = False
        self._tls = tls
        super().__init__(Handler, port)

    def close(self) -> None:
        self.closing = True
        super().close()

    def opened(self, connection: socket.socket) -> socket.socket:
        # The handshake comes with the first byte that is read, in the connection's own thread.
        over_tls = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        over_tls.settimeout(HANDSHAKE_TIMEOUT)
        return over_tls


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
        shut(self.connection)

    def hold(self, done: Callable[[], bool]) -> None:
        """Say nothing until `done`, the client has gone or the server closes."""
        while not done():
            self.check(PAUSE)

    def check(self, wait: float = 0.0) -> None:
        """Raise Gone when the client has closed, or the server closes: a client that waits sends nothing."""
        if self.owner.closing or select.select([self.connection], [], [], wait)[0]:
            raise Gone
