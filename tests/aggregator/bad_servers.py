"""Servers that are no registries: they reset, hang up, stop in mid-answer or want TLS."""

import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

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


def answer(connection: socket.socket, status: int, body: bytes) -> None:
    """Take the request and answer it so."""
    read_request(connection)
    connection.sendall(_head(status, len(body), "application/json") + body)


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


def https_not_found(certificate: Path, key: Path, connection: socket.socket) -> None:
    """Take the request over TLS and have nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with context.wrap_socket(connection, server_side=True) as secured:
        answer(secured, 404, b"{}")
