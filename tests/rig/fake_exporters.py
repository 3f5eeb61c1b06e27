"""Exporters for tests of whoever reads them: one that serves a report, and one that sends whatever it is told to."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from socketserver import BaseRequestHandler
from typing import Final

from pulltrace.model import wire
from pulltrace.model.pull import NodeReport
from pulltrace.web import Request, Response, matches_etag
from rig.sample_views import a_report
from rig.threaded_server import ThreadedServer
from rig.web import serving

PULLS_PATH: Final = "/v1/pulls"


class FakeExporter:
    """Serves `report`, which a test replaces at will, as the real exporter does, and keeps the requests."""

    def __init__(self, report: NodeReport | None = None) -> None:
        self.report = report or a_report()
        self.asked: list[tuple[float, Request]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def times(self) -> list[float]:
        return [when for when, _ in self.asked]

    @contextlib.contextmanager
    def served(self, config: Path | None = None) -> Iterator["FakeExporter"]:
        with serving({PULLS_PATH: self._answer}, config) as server:
            self.port = server.port
            yield self

    def state(self) -> NodeReport:
        return self.report

    def _answer(self, request: Request) -> Response:
        self.asked.append((time.monotonic(), request))
        layers, report = request.query.get("layers") != ("false",), self.state()
        tag = wire.etag(report, layers=layers)
        if matches_etag(request, tag):
            return Response(304, headers={"ETag": tag})
        return Response(200, wire.encode(report, layers=layers), "application/json", {"ETag": tag})


Talk = Callable[[socket.socket], None]
"""What a raw server does with a connection, which is closed after it."""


class RawServer:
    """Has each connection served by `talk`, in a thread that ends with the test."""

    def __init__(self, talk: Talk) -> None:
        self.talk = talk
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextlib.contextmanager
    def served(self) -> Iterator["RawServer"]:
        raw = self

        class Handler(BaseRequestHandler):
            def handle(self) -> None:
                raw.connections += 1
                raw.talk(self.request)

        with ThreadedServer(Handler) as server:
            self.port = server.port
            yield self


def read_request(sock: socket.socket) -> bytes:
    """The head of one request, empty when the client has gone."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        data = sock.recv(4096)
        if not data:
            return b""
        head += data
    return head


def says(data: bytes) -> Talk:
    """Sends these bytes to each request, and waits for the client to close."""

    def talk(sock: socket.socket) -> None:
        while read_request(sock):
            sock.sendall(data)

    return talk


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def endless(beginning: bytes, part: bytes) -> Talk:

    def talk(sock: socket.socket) -> None:
        read_request(sock)
        sock.sendall(beginning)
        while True:
            sock.sendall(part)

    return talk


def silent(sock: socket.socket) -> None:
    while sock.recv(4096):
        pass


def dripping(data: bytes) -> Talk:
    """Sends one byte after the other, each soon enough for a reader that looks at single reads only."""

    def talk(sock: socket.socket) -> None:
        read_request(sock)
        for byte in data:
            sock.sendall(bytes([byte]))
            time.sleep(0.05)

    return talk
