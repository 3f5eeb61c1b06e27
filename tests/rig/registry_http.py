"""The HTTP of the tests' registry: requests in, what its keeper says out, byte by byte as the pacer allows."""

import json
import re
import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from rig.images import Blob
from rig.pacing import Transfer, TransferEnded
from rig.threaded_server import PAUSE, ThreadedServer, shut

if TYPE_CHECKING:  # it makes the server
    from rig.registry import Registry

NARROW, WIDE = 4 * 1024, 1024 * 1024
"""Send buffers of the socket: little when bytes are counted under control, much when they may flow."""

ERROR_CODES = {
    401: "UNAUTHORIZED",
    403: "DENIED",
    404: "NAME_UNKNOWN",
    429: "TOOMANYREQUESTS",
    500: "UNKNOWN",
    503: "UNAVAILABLE",
}
PATH = re.compile(r"/v2/(?P<repository>.+)/(?P<kind>manifests|blobs)/(?P<target>[^/]+)")
RANGE = re.compile(r"bytes=(?P<first>\d+)-(?P<last>\d*)")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived; `target` is a tag or digest, `offset` the first byte, `authorization` the header."""

    method: str
    path: str
    repository: str = ""
    kind: str = ""
    target: str = ""
    offset: int = 0
    authorization: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer given instead of the content."""

    status: int
    headers: dict[str, str]

    @property
    def body(self) -> bytes:
        code = ERROR_CODES.get(self.status, "UNKNOWN")
        return json.dumps({"errors": [{"code": code, "message": f"refused with {self.status}"}]}).encode()


class RegistryServer(ThreadedServer):
    """Asks its keeper about each request."""

    def __init__(self, keeper: "Registry", port: int = 0) -> None:
        self.keeper = keeper
        super().__init__(_Handler, port)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server_version = "rig"

    @property
    def keeper(self) -> "Registry":
        return cast(RegistryServer, self.server).keeper

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """The list of requests says it."""

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def _serve(self) -> None:
        request = self._request()
        self.keeper.requests.append(request)
        with self._ending():
            self._wait_while_hung(request.repository)
            if refusal := self.keeper.refusal(request):
                self._answer(refusal.status, refusal.body, refusal.headers)
            elif urlsplit(self.path).path.rstrip("/") == "/v2":
                self._answer(HTTPStatus.OK, b"{}", {"Docker-Distribution-API-Version": "registry/2.0"})
            elif blob := self.keeper.find(request):
                self._content(blob)
            else:
                unknown = Refusal(HTTPStatus.NOT_FOUND, {})
                self._answer(unknown.status, unknown.body, unknown.headers)

    def _request(self) -> Request:
        span = RANGE.fullmatch(self.headers.get("Range", ""))
        offset = int(span["first"]) if span else 0
        match = PATH.fullmatch(urlsplit(self.path).path)
        if not match:
            return Request(self.command, self.path, offset=offset)
        shown = self.headers.get("Authorization", "")
        return Request(self.command, self.path, match["repository"], match["kind"], match["target"], offset, shown)

    @contextmanager
    def _ending(self) -> Iterator[None]:
        try:
            yield
        except (TransferEnded, ConnectionError):
            self.close_connection = True
            shut(self.connection)

    def _wait_while_hung(self, repository: str) -> None:
        while self.keeper.hung(repository):
            if self.keeper.closed or self._gone(wait=PAUSE):
                raise TransferEnded("not answered")

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _content(self, blob: Blob) -> None:
        first, last, status = self._span(blob.size)
        if first > last:
            self._answer(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", {"Content-Range": f"bytes */{blob.size}"})
            return
        self.send_response(status)
        if status == HTTPStatus.PARTIAL_CONTENT:
            self.send_header("Content-Range", f"bytes {first}-{last}/{blob.size}")
        self.send_header("Content-Type", blob.media_type)
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Docker-Content-Digest", blob.digest)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        if self.command != "HEAD":
            self._send(blob, first, last + 1)

    def _span(self, size: int) -> tuple[int, int, HTTPStatus]:
        match = RANGE.fullmatch(self.headers.get("Range", ""))
        if not match:
            return 0, size - 1, HTTPStatus.OK
        last = int(match["last"]) if match["last"] else size - 1
        return int(match["first"]), min(last, size - 1), HTTPStatus.PARTIAL_CONTENT

    def _send(self, blob: Blob, first: int, end: int) -> None:
        keeper, view = self.keeper, memoryview(blob.data)
        transfer = Transfer(blob.digest, first, end, self._gone)
        width = 0

        def send(most: int) -> int:
            part = view[transfer.position : transfer.position + most]
            return int(self.connection.send(part, socket.MSG_DONTWAIT))

        while transfer.position < end:
            if width != (width := NARROW if keeper.paced(blob.digest) else WIDE):
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, width)
            try:
                keeper.transmit(transfer, send)
            except BlockingIOError:
                select.select([], [self.connection], [], PAUSE)

    def _gone(self, wait: float = 0.0) -> bool:
        """Whether the client closed: nothing but the end can come while it waits for an answer."""
        readable, _, _ = select.select([self.connection], [], [], wait)
        try:
            return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)
        except ConnectionError:
            return True
