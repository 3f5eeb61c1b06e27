"""One connection to an exporter, on asyncio's transports and h11's HTTP/1.1.

Measured with 1,000 nodes: h11 on asyncio and http.client in threads cost the same per request. The library requests
costs twice that, and with TLS a megabyte per node. Only asyncio bounds the time of a whole answer, needs no thread for
each dead node whose timeout runs, and can be stopped at once.
"""

import asyncio
import asyncio.sslproto
import ssl
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, cast

import h11

from pulltrace_aggregator.exporters.answer import LARGEST_BODY, Answer, usable_etag
from pulltrace_aggregator.exporters.errors import AskError, ConnectionStale, Result

Headers = Sequence[tuple[str, str]]

PATH: Final = "/v1/pulls?layers=false"
PATH_WITH_LAYERS: Final = "/v1/pulls"
_HEADER_BYTES: Final = 16 * 1024
_MOST_PARTS: Final = 4096
"""Most parts of an answer. Each costs memory and time, even if it is a single byte."""
_REFUSED: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)

# Every TLS connection holds such a buffer, by default of 256 KiB, and most answers have a few kilobytes. The web server
# sets it too.
asyncio.sslproto.SSLProtocol.max_size = 16 * 1024


class _Exchange:
    """One request, and the part of its answer that has come."""

    def __init__(self, done: asyncio.Future[Answer]) -> None:
        self.done = done
        self.begun = False
        self._head: h11.Response | None = None
        self._body = bytearray()
        self._parts = 0

    def add(self, event: object) -> bool:
        """Take one part; returns whether more may follow. Raises AskError for an answer that cannot be used."""
        if isinstance(event, h11.Response):
            self._head = event
            _check(event)
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > LARGEST_BODY:
                raise _too_large()
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise AskError(Result.INVALID, f"the answer comes in more than {_MOST_PARTS} parts")
        return isinstance(event, h11.InformationalResponse | h11.Response | h11.Data)

    def finish(self) -> None:
        """Nothing more comes."""
        if self._head and not self.done.done():
            coding, etag = _header(self._head, b"content-encoding"), _header(self._head, b"etag")
            self.done.set_result(Answer(self._head.status_code, bytes(self._body), coding.lower(), usable_etag(etag)))

    def fail(self, error: Exception) -> None:
        """There will be no answer."""
        if not self.done.done():
            self.done.set_exception(error)


class Connection(asyncio.Protocol):
    """Sends one request after the other, each after the answer to the one before.

    `open` means that neither side has closed it, `reusable` that another request may follow. `idle_since` is set and
    used by its owner only.
    """

    def __init__(self) -> None:
        self.open = True
        self.reusable = False
        self.idle_since = 0.0
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEADER_BYTES)
        self._used = False
        self._exchange: _Exchange | None = None

    async def ask(self, headers: Headers, *, layers: bool = False) -> Answer:
        """Ask for the report, with or without layers; `headers` are all that are sent.

        Raises:
            AskError: There was no answer that can be used; the connection cannot be used any more.
            ConnectionStale: The connection, which had been kept, ended before the answer began.
        """
        if not self.open:
            raise ConnectionStale if self._used else AskError(Result.CONNECTION, self._closed_early())
        self.reusable = False
        self._exchange = _Exchange(asyncio.get_running_loop().create_future())
        request = h11.Request(method="GET", target=PATH_WITH_LAYERS if layers else PATH, headers=list(headers))
        self._transport.write((self._http.send(request) or b"") + (self._http.send(h11.EndOfMessage()) or b""))
        try:
            return await self._exchange.done
        finally:
            # An exception refers back to this frame. Such a cycle of references would be collected late.
            self._exchange = None
            self._used = True

    def close(self) -> None:
        """End it at once."""
        self.open = self.reusable = False
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio)."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer (asyncio)."""
        if self._exchange is None:
            self.close()  # no request is under way
            return
        self._exchange.begun = True
        self._receive(self._exchange, data)

    def eof_received(self) -> None:
        """Take the end of the stream, which may be that of the answer (asyncio)."""
        self.open = False
        if self._exchange and self._exchange.begun:
            self._receive(self._exchange, b"")

    def connection_lost(self, exc: Exception | None) -> None:
        """End (asyncio)."""
        self.open = False
        if self._exchange is None:
            return
        if self._used and not self._exchange.begun:
            self._exchange.fail(ConnectionStale())
        elif isinstance(exc, ssl.SSLError):
            self._exchange.fail(AskError(Result.TLS, exc.reason or exc))
        else:
            self._exchange.fail(AskError(Result.CONNECTION, exc or self._closed_early()))

    def _receive(self, exchange: _Exchange, data: bytes) -> None:
        try:
            self._http.receive_data(data)
            while exchange.add(event := self._http.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            cut_off = AskError(Result.CONNECTION, "the answer was cut off")
            exchange.fail(AskError(Result.INVALID, f"the answer is not HTTP: {error}") if data else cut_off)
            self.close()
        except AskError as error:
            exchange.fail(error)
            self.close()
        else:
            if isinstance(event, h11.EndOfMessage):
                self._recycle()
                exchange.finish()

    def _closed_early(self) -> str:
        # With TLS 1.3 a server refuses a client only after the client's handshake, and not every server says why.
        secure = self._transport.get_extra_info("ssl_object") is not None
        hint = ": it may require a client certificate" if secure else ""
        return f"the exporter closed the connection before it answered{hint}"

    def _recycle(self) -> None:
        """Prepare for another request if the exporter allows one."""
        if self.open and self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self.reusable = not self._http.trailing_data[0]


def _check(head: h11.Response) -> None:
    """Raise AskError for an answer that cannot be used, by its head."""
    status = head.status_code
    if status in _REFUSED:
        raise AskError(Result.UNAUTHORIZED, f"the exporter answers {status}: credentials are missing or wrong")
    if status not in (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED):
        raise AskError(Result.STATUS, f"the exporter answers {status}")
    length = _header(head, b"content-length")
    if status == HTTPStatus.OK and length and int(length) > LARGEST_BODY:  # h11 lets only digits through
        raise _too_large()


def _too_large() -> AskError:
    return AskError(Result.TOO_LARGE, f"the answer has more than {LARGEST_BODY} bytes")


def _header(head: h11.Response, name: bytes) -> str:
    return next((value.decode("latin-1").strip() for key, value in head.headers if key == name), "")
