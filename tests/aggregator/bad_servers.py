"""Servers that are no registries: they reset, hang up, stop in mid-answer or want TLS."""

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rig.fake_exporters import RawServer, Talk, read_request
from rig.images import OCI


@contextmanager
def listening(talk: Talk | None) -> Iterator[str]:
    """Connections are taken and left alone where `talk` is None."""
    if talk is None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            yield f"127.0.0.1:{server.getsockname()[1]}"
    else:
        with RawServer(talk).served() as raw:
            yield f"127.0.0.1:{raw.port}"


def hang_up(connection: socket.socket) -> None:
    """Take the request and close."""
    read_request(connection)


def reset(connection: socket.socket) -> None:
    """Take the request and answer with a TCP reset."""
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def answer(connection: socket.socket, status: int, body: bytes, media_type: str = "application/json") -> None:
    """Take the request and answer it so."""
    read_request(connection)
    connection.sendall(_head(status, len(body), media_type) + body)


def half_an_answer(connection: socket.socket) -> None:
    """The beginning of a manifest that promises more."""
    request = read_request(connection)
    body = b'{"schemaVersion":2'
    digest = f"Docker-Content-Digest: sha256:{'1' * 64}\r\n".encode()
    head = _head(200, 1000, OCI.manifest).replace(b"\r\n\r\n", b"\r\n" + digest + b"\r\n")
    connection.sendall(head if request.startswith(b"HEAD") else head + body)


def _head(status: int, length: int, media_type: str) -> bytes:
    lines = (
        f"HTTP/1.1 {status} {BaseHTTPRequestHandler.responses[status][0]}",
        f"Content-Type: {media_type}",
        f"Content-Length: {length}",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode()


class _NotFound(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nobody reads it."""

    def do_HEAD(self) -> None:
        self.send_error(404)

    def do_GET(self) -> None:
        self.send_error(404)


@contextmanager
def https(host: str, certificate: Path, key: Path) -> Iterator[str]:
    """A server over TLS on this address of loopback that has nothing; gives its host and port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    class Server(ThreadingHTTPServer):
        daemon_threads = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that does not like the certificate."""

        def finish_request(self, request: Any, client_address: Any) -> None:
            with context.wrap_socket(request, server_side=True) as secured:
                super().finish_request(secured, client_address)

    with Server((host, 0), _NotFound) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="https")
        thread.start()
        try:
            yield f"{host}:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
