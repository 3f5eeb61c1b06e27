"""Exporters of a whole cluster in one process: `python -m rig.many_exporters PORT [--tls FOLDER] [--still]`.

Every address of 127.0.0.0/8 is a node of its own, so that a thousand nodes have a thousand addresses and one port. The
answers are those of real exporters, of a node with one pull that advances all the time, or stands still. It leaves
the machine to the reader that is measured, so it has no whole HTTP server.
"""

import argparse
import asyncio
import json
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pulltrace.model import wire
from pulltrace.model.pull import NodeReport
from rig.processes import Process, free_port
from rig.sample_views import NOW, a_pull, a_report

NODE: Final = b"a-node-of-the-many"
_SIZE: Final = 10**9
_PER_ADDRESS_BLOCK: Final = 250


def addresses(count: int) -> Iterator[str]:
    for number in range(count):
        yield f"127.1.{number // _PER_ADDRESS_BLOCK}.{1 + number % _PER_ADDRESS_BLOCK}"


@contextmanager
def many_exporters(folder: Path, *options: str) -> Iterator[tuple[Process, int]]:
    """Exporters in a process of their own, with the port at which each address of 127.0.0.0/8 is one.

    The folder is for its log.
    """
    log, port = folder / "exporters.log", free_port()
    tests = str(Path(__file__).parents[1])
    process = Process([sys.executable, "-m", "rig.many_exporters", str(port), *options], log, {"PYTHONPATH": tests})
    try:
        process.wait_for(lambda: "port" in process.tail(), "does not serve", 30)
        yield process, port
    finally:
        process.kill()


class ManyExporters:
    """The answer of this moment, made once a tenth of a second for all nodes."""

    def __init__(self, *, still: bool) -> None:
        self.requests = 0
        self.connections = 0
        self._still = still
        self._tick = -1
        self._tag = self._body = b""

    def answer(self, request: bytes, node: bytes) -> bytes:
        self.requests += 1
        tick = 0 if self._still else int(time.monotonic() * 10)
        if tick != self._tick:
            report = self._report(tick)
            self._tick, self._tag = tick, wire.etag(report, layers=False).encode()
            self._body = wire.encode(report, layers=False)
        if self._tag in request:
            return b"HTTP/1.1 304 Not Modified\r\nETag: %b\r\n\r\n" % self._tag
        body = self._body.replace(NODE, node)
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nETag: %b\r\n\r\n"
        return head % (len(body), self._tag) + body

    def statistics(self) -> bytes:
        text = json.dumps({"requests": self.requests, "connections": self.connections}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(text), text)

    @staticmethod
    def _report(tick: int) -> NodeReport:
        pull = a_pull("team/app", size=_SIZE, cached=0, downloaded=tick * 1000 % _SIZE, unpacked=0, layers=())
        return a_report(pull, node=NODE.decode(), now=NOW + tick / 10)


class _Client(asyncio.Protocol):
    def __init__(self, exporters: ManyExporters) -> None:
        self._exporters = exporters
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._exporters.connections += 1
        self._transport = transport
        self._node = transport.get_extra_info("sockname")[0].encode()

    def connection_lost(self, _: Exception | None) -> None:
        self._exporters.connections -= 1

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            request, _, self._received = self._received.partition(b"\r\n\r\n")
            if request.startswith(b"GET /statistics"):
                self._transport.write(self._exporters.statistics())
                self._transport.close()
            else:
                self._transport.write(self._exporters.answer(request, self._node))


async def _serve(port: int, tls: ssl.SSLContext | None, exporters: ManyExporters) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: _Client(exporters), "0.0.0.0", port, ssl=tls, backlog=1024
    )
    sys.stdout.write(f"port {server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--tls", type=Path)
    parser.add_argument("--still", action="store_true")
    arguments = parser.parse_args()
    tls = None
    if arguments.tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(arguments.tls / "server.crt", arguments.tls / "server.key")
    asyncio.run(_serve(arguments.port, tls, ManyExporters(still=arguments.still)))


if __name__ == "__main__":
    main()
