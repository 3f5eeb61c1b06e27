"""What a client sends to our server: bytes that may be HTTP, on a socket that it closes for writing after them."""

import asyncio
import contextlib
import socket
from typing import Final

from fuzz.served import SteppedClock
from pulltrace.exposition import process_collectors
from pulltrace.web.connection import Connection, Limits
from pulltrace.web.dispatch import Dispatcher
from pulltrace.web.http import Request, Response
from pulltrace.web.passwords import Passwords
from pulltrace_exporter.api.pages import ExporterPages
from pulltrace_exporter.metrics import FAMILIES, Process, Scraper, SeriesLimits
from pulltrace_exporter.tracking.tracker import Tracker

_LOOP: Final = asyncio.new_event_loop()
_CLOCK: Final = SteppedClock()
_VIEW: Final = Tracker(_CLOCK.now(), linger=1.0, abandoned=1.0, label_values=5).elapse(_CLOCK.now()).view
_SCRAPER: Final = Scraper(FAMILIES, SeriesLimits(), Process(), process_collectors())
_PAGES: Final = Dispatcher(ExporterPages("node-1", lambda: _VIEW, _CLOCK, _SCRAPER).routes(), 1)
_HASH: Final = b"$2b$04$E3t7wbEUVUGTyv9EBUvC0.cTQL2H/4eRtrg7aaldvBcPCJcoNRLqO"
_OPEN, _LOCKED = Passwords({}), Passwords({"user": _HASH})


class Host:
    """A server with one connection; for an odd first byte it wants a password."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords
        self.statuses: list[int] = []

    def tls(self) -> None:
        """There is none."""

    async def answer(self, request: Request) -> Response:
        response = await _PAGES.answer(request, self._passwords)
        self.statuses.append(response.status)
        return response

    def changed(self, connection: Connection) -> None:
        """Nobody else is connected."""


def run(data: bytes) -> None:
    _LOOP.run_until_complete(_serve(data[1:], Host(_LOCKED if data[:1] and data[0] % 2 else _OPEN)))


async def _serve(data: bytes, host: Host) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        ours.setblocking(False)
        serving = asyncio.create_task(Connection(ours, host, Limits(header_bytes=2048)).run())
        answered = asyncio.create_task(_read(theirs))
        with contextlib.suppress(OSError):
            await _LOOP.sock_sendall(theirs, data)
            theirs.shutdown(socket.SHUT_WR)
        await serving
        answer = await answered
    assert 500 not in host.statuses, f"a page could not be rendered: {answer!r}"
    assert not answer or answer.startswith(b"HTTP/1.1 "), answer


async def _read(sock: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(OSError):
        while part := await _LOOP.sock_recv(sock, 65536):
            parts.append(part)
    return b"".join(parts)


ACCEPT: Final = (
    b"Accept: application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.1\r\nAccept-Encoding: gzip;q=1.0, *\r\n"
)
BASIC: Final = b"Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
HEAD: Final = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
REQUESTS: Final = (
    b"GET /metrics HTTP/1.1\r\nHost: a\r\n" + ACCEPT + BASIC,
    b'GET /v1/pulls?layers=false HTTP/1.1\r\nHost: a\r\nIf-None-Match: W/"a", "b"\r\n\r\n' + HEAD,
    b"POST http://a/%2d/ready?a=%00&b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET /-/healthy HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
)
SEEDS: Final = tuple(first + request for first in (b"\0", b"\1") for request in REQUESTS)
