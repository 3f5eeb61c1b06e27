"""One connection of a client, on asyncio's transports and h11's HTTP/1.1."""

import asyncio
import asyncio.sslproto
import contextlib
import http
import logging
import socket
import ssl
import struct
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final, Protocol

import h11

from pulltrace.web.http import ALLOW, METHODS, Request, Response, parse_target

logger = logging.getLogger(__name__)

_CHUNK_BYTES: Final = 64 * 1024
_GOODBYE_SECONDS: Final = 1.0
_WITHOUT_BODY: Final = (204, 304)

# Every TLS connection holds this buffer, and the allocator keeps it afterwards. The default is 256 KiB; here only short
# requests come in.
asyncio.sslproto.SSLProtocol.max_size = 16 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of all clients together and of each.

    Attributes:
        connections: Open at once. Beyond it, the connection longest in its present state is closed for a new one.
            A TLS connection takes 0.1 MB.
        unsent_bytes: Of answers under way to all clients. Beyond it, the oldest of them are cut off.
        header_bytes: Of one request.
        receive_seconds: From the accept, the TLS handshake included, or from the first byte of a further
            request, to the end of its headers.
        answer_seconds: From there until the client has taken the whole answer.
        idle_seconds: Between two requests.
        page_threads: Handlers running at once, probes apart.
    """

    connections: int = 64
    unsent_bytes: int = 32 * 1024 * 1024
    header_bytes: int = 16 * 1024
    receive_seconds: float = 10.0
    answer_seconds: float = 30.0
    idle_seconds: float = 75.0
    page_threads: int = 2


class Host(Protocol):
    """What a connection needs from its server."""

    def tls(self) -> ssl.SSLContext | None:
        """The context in force; connections made with another are closed."""

    async def answer(self, request: Request) -> Response:
        """Answer a request."""

    def changed(self, connection: "Connection") -> None:
        """The connection has changed its state."""


class _RefusedError(Exception):
    """The request is refused with this status, and the connection ends."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Connection:
    """Serves one request after the other, each within its time limits, then closes.

    `unsent` is the size of the answer being sent, `idle` tells whether the connection is between two requests.
    """

    def __init__(self, sock: socket.socket, host: Host, limits: Limits) -> None:
        self.idle = False
        self.unsent = 0
        self._sock = sock
        self._host = host
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header_bytes)

    async def run(self) -> None:
        """Serve the client until either side is done; cancelling drops the client at once."""
        try:
            async with asyncio.timeout(self._limits.receive_seconds) as self._deadline:
                await self._open()
                await self._serve()
        except (OSError, asyncio.CancelledError) as error:  # TimeoutError and ssl.SSLError are OSErrors
            logger.debug("a client is gone: %s", error)
            _break_cycles(error)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        self._tls = self._host.tls()
        self._reader = asyncio.StreamReader(self._limits.header_bytes)
        protocol = asyncio.StreamReaderProtocol(self._reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            self._sock,
            ssl=self._tls,
            ssl_shutdown_timeout=_GOODBYE_SECONDS if self._tls else None,
        )
        self._writer = asyncio.StreamWriter(transport, protocol, self._reader, loop)

    async def _serve(self) -> None:
        try:
            while await self._exchange():
                pass
            self._writer.close()
            await self._writer.wait_closed()
        except (OSError, asyncio.CancelledError):
            if not self.idle:
                self._forget_unsent()
            raise
        finally:
            await self._abort()

    async def _abort(self) -> None:
        self._writer.transport.abort()
        try:
            await self._writer.wait_closed()
        except OSError as error:  # the stream also holds the error of a write
            _break_cycles(error)

    def _forget_unsent(self) -> None:
        """Make closing reset the connection. Otherwise the kernel keeps its buffer for a client that does not read."""
        with contextlib.suppress(OSError):  # closed already
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def _exchange(self) -> bool:
        """Answer one request; returns whether another may follow."""
        try:
            request = await self._receive()
        except _RefusedError as refused:
            await self._refuse(refused.status)
            return False
        # The configuration has changed: the client has to connect again under the present one.
        if request is None or self._host.tls() is not self._tls:
            return False
        self._enter(self._limits.answer_seconds)
        await self._send(request.method, await self._host.answer(request))
        return self._recycle()

    async def _receive(self) -> Request | None:
        try:
            event = await self._next_event()
            if not isinstance(event, h11.Request):
                return None
            if not isinstance(self._http.next_event(), h11.EndOfMessage):
                known = event.method.decode("ascii") in METHODS
                status = http.HTTPStatus.REQUEST_ENTITY_TOO_LARGE if known else http.HTTPStatus.METHOD_NOT_ALLOWED
                raise _RefusedError(status)
        except h11.RemoteProtocolError as error:
            _break_cycles(error)
            raise _RefusedError(error.error_status_hint) from error
        return _request(event)

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(_CHUNK_BYTES))
            if self.idle:
                self._enter(self._limits.receive_seconds)
        return event

    async def _send(self, method: str, response: Response) -> None:
        body = response.body
        self._writer.write(self._http.send(_head(response)))
        if method != "HEAD" and response.status not in _WITHOUT_BODY:
            self.unsent = len(body)
            self._host.changed(self)
            for start in range(0, len(body), _CHUNK_BYTES):
                chunk = body[start : start + _CHUNK_BYTES]
                self._writer.write(self._http.send(h11.Data(chunk)) or b"")
                await self._writer.drain()
        self._writer.write(self._http.send(h11.EndOfMessage()) or b"")
        await self._writer.drain()
        self.unsent = 0

    async def _refuse(self, status: int) -> None:
        allow = {"Allow": ALLOW} if status == http.HTTPStatus.METHOD_NOT_ALLOWED else {}
        await self._send("GET", Response(status, headers={"Connection": "close", **allow}))
        # Unread data would make the kernel reset the connection, and the client would lose the answer.
        self._enter(_GOODBYE_SECONDS)
        if self._writer.can_write_eof():
            self._writer.write_eof()
        while await self._reader.read(_CHUNK_BYTES):
            pass

    def _recycle(self) -> bool:
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        begun = bool(self._http.trailing_data[0])
        self._enter(self._limits.receive_seconds if begun else self._limits.idle_seconds, idle=not begun)
        return True

    def _enter(self, seconds: float, *, idle: bool = False) -> None:
        self._deadline.reschedule(asyncio.get_running_loop().time() + seconds)
        self.idle = idle
        self._host.changed(self)


def _request(event: h11.Request) -> Request:
    if not event.http_version.startswith(b"1."):
        raise _RefusedError(http.HTTPStatus.HTTP_VERSION_NOT_SUPPORTED)
    try:
        path, query = parse_target(event.target.decode("ascii"))
    except ValueError as error:
        raise _RefusedError(http.HTTPStatus.BAD_REQUEST) from error
    headers: dict[str, str] = {}
    for name, value in event.headers:
        key, text = name.decode("ascii"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return Request(event.method.decode("ascii"), path, query, headers)


def _head(response: Response) -> h11.Response:
    headers = [("Date", formatdate(usegmt=True)), ("X-Content-Type-Options", "nosniff")]
    if response.status not in _WITHOUT_BODY:
        headers += [("Content-Type", response.content_type), ("Content-Length", str(len(response.body)))]
    headers += response.headers.items()
    reason = http.HTTPStatus(response.status).phrase
    return h11.Response(status_code=response.status, headers=headers, reason=reason)


def _break_cycles(error: BaseException | None) -> None:
    """Break the reference cycles between exceptions and the frames in their tracebacks, which asyncio and h11 make.

    Otherwise the connection's memory, including OpenSSL's, stays until a full garbage collection, which is rare.
    """
    while error:
        error.__traceback__ = None
        error = error.__context__
