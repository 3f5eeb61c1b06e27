"""What comes over the connection to an exporter: bytes that may be HTTP, in parts of a size that the first one says."""

import asyncio
from contextlib import suppress
from typing import Final, cast

from pulltrace.errors import PulltraceError
from pulltrace_aggregator.exporters.answer import read_report
from pulltrace_aggregator.exporters.connection import Connection

HEADERS: Final = [("Host", "node-1")]
_LOOP: Final = asyncio.new_event_loop()


class Wire:
    """A transport that swallows what is sent."""

    def __init__(self) -> None:
        self.closed = False

    def write(self, _data: bytes) -> None:
        """Nobody reads it."""

    def abort(self) -> None:
        self.closed = True

    def get_extra_info(self, _name: str) -> None:
        """Nothing is known."""


def run(data: bytes) -> None:
    _LOOP.run_until_complete(_ask(data[1:], 1 + (data[0] if data else 0) * 8))


async def _ask(data: bytes, size: int) -> None:
    connection, wire = Connection(), Wire()
    connection.connection_made(cast(asyncio.Transport, wire))
    asking = asyncio.create_task(connection.ask(HEADERS))
    await asyncio.sleep(0)
    for start in range(0, len(data), size):
        if not wire.closed:
            connection.data_received(data[start : start + size])
    if not wire.closed:
        connection.eof_received()
    connection.connection_lost(None)
    with suppress(PulltraceError):
        read_report(await asking)


SEEDS: Final = tuple(
    bytes((first,)) + head + b"\r\n\r\n" + body
    for first in (3, 200)
    for head, body in (
        (b'HTTP/1.1 200 OK\r\nContent-Length: 25\r\nETag: "a"', b'{"schema":"pulltrace/v1"}'),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", b'19\r\n{"schema":"pulltrace/v1"}\r\n0\r\n\r\n'),
        (b"HTTP/1.0 200 OK\r\nContent-Encoding: gzip", b"\x1f\x8b"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 No\r\nConnection: close", b""),
        (b"HTTP/1.1 304 Not Modified", b""),
    )
)
