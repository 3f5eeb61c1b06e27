"""What comes over containerd's socket: bytes that may be HTTP/2, for one call, several, or a stream."""

import contextlib
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from pulltrace_exporter.containerd.api import leases_pb2
from pulltrace_exporter.containerd.client import LIST_LEASES
from pulltrace_exporter.containerd.grpc_client import channel as channels
from pulltrace_exporter.containerd.grpc_client import http2
from pulltrace_exporter.containerd.grpc_client.channel import CallFailed, Channel
from pulltrace_exporter.containerd.grpc_client.hpack import encode
from pulltrace_exporter.containerd.grpc_client.http2 import DATA, HEADERS

TIMEOUT: Final = 5.0
HEAD: Final = 9
PING, GOAWAY, SETTINGS, WINDOW_UPDATE, RESET, CONTINUATION = 6, 7, 4, 8, 3, 9
END_STREAM, END_HEADERS, PADDED, PRIORITY = 1, 4, 8, 32
REQUEST: Final = leases_pb2.ListRequest(filters=["a"])
LONG_REQUEST: Final = leases_pb2.ListRequest(filters=["a" * 70_000])
"""Longer than a server takes at first: it has to widen its window."""
PIECES: Final = (65_536, 61)
"""What comes at a time, in bytes."""
SMALL_LIMITS: Final = (
    (http2, "_WINDOW", 4096),
    (http2, "_LONGEST_HEADERS", 512),
    (http2, "_LONGEST_FRAME", 4096),
    (channels, "MAX_MESSAGE_BYTES", 1024),
)
"""An input of the fuzzer can pass these. They hold for the whole process, which has no other target."""
for module, limit, value in SMALL_LIMITS:
    setattr(module, limit, value)


def _twice(channel: Channel) -> None:
    with contextlib.suppress(CallFailed):
        channel.call(LIST_LEASES, REQUEST, (), TIMEOUT)
    channel.call(LIST_LEASES, REQUEST, (), TIMEOUT)


ASKING: Final[tuple[Callable[[Channel], object], ...]] = (
    lambda channel: channel.call(LIST_LEASES, REQUEST, (), TIMEOUT),
    lambda channel: channel.calls(LIST_LEASES, [REQUEST] * 3, (), TIMEOUT),
    lambda channel: list(channel.stream(LIST_LEASES, REQUEST, (), TIMEOUT)),
    _twice,
    lambda channel: channel.call(LIST_LEASES, LONG_REQUEST, (), TIMEOUT),
)


class Peer:
    """The socket with a server at its other end that has said all and then closed it.

    A real one costs most of an input's time. It also blocks until the call's timeout when the answers to many small
    frames fill its buffer, because nobody reads them.
    """

    def __init__(self, data: bytes, piece: int) -> None:
        self._data = data
        self._at = 0
        self._piece = piece

    def recv(self, size: int) -> bytes:
        begin, self._at = self._at, self._at + min(size, self._piece)
        return self._data[begin : self._at]

    def sendall(self, data: bytes) -> None:
        """Nobody reads it."""

    def settimeout(self, seconds: float | None) -> None:
        """Nothing is waited for."""

    def shutdown(self, how: int) -> None:
        """All has been said."""

    def close(self) -> None:
        """Nothing is open."""


def run(data: bytes) -> None:
    first = data[0] if data else 0
    channel = Channel(Path("/nowhere"))
    channel._connection._socket = Peer(data[1:], PIECES[first // len(ASKING) % len(PIECES)])  # type: ignore[assignment]
    with contextlib.suppress(CallFailed):
        ASKING[first % len(ASKING)](channel)


def mutate(data: bytes, most: int, seed: int, mutate_bytes: Callable[[bytes, int], bytes]) -> bytes:
    """Change the payload, the kind or the flags of a frame, and keep its length true."""
    random, found, at = Random(seed), list[bytes](), 1
    while at + HEAD <= len(data):
        size = int.from_bytes(data[at : at + 3], "big")
        found.append(data[at + 3 : at + HEAD + size])
        at += HEAD + size
    if not found or random.random() < 0.2:
        return mutate_bytes(data, most)
    at = random.randrange(len(found))
    head, payload = found[at][:6], found[at][6:]
    match random.randrange(6):
        case 0:
            found.insert(random.randrange(len(found) + 1), found[at])
        case 1:
            del found[at]
        case 2:
            found[at] = mutate_bytes(head, 6).ljust(6, b"\0")[:6] + payload
        case _:
            found[at] = head + mutate_bytes(payload or b"\0", most)
    return (data[:1] + b"".join((len(each) - 6).to_bytes(3, "big") + each for each in found))[:most]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + struct.pack(">BBL", kind, flags, stream) + payload


def answer(stream: int, status: str = "0") -> bytes:
    message = leases_pb2.ListResponse(leases=[leases_pb2.Lease(id="1")]).SerializeToString()
    trailers = encode((("grpc-status", status), ("grpc-message", "not%20found")))
    return (
        frame(HEADERS, END_HEADERS, stream, b"\x88" + encode((("content-type", "application/grpc"),)))
        + frame(DATA, 0, stream, struct.pack(">?L", False, len(message)) + message)
        + frame(HEADERS, END_HEADERS | END_STREAM, stream, trailers)
    )


HELLO: Final = frame(SETTINGS, 0, 0, struct.pack(">HL", 3, 100)) + frame(WINDOW_UPDATE, 0, 0, b"\0\0\xff\xff")
HUFFMAN: Final = b"\x00\x88\x9a\xca\xc8\xb2\x124\xda\x8f\x82\x0b\x7f"
"""The field `grpc-status: 15` as Go's server writes it."""
SEEDS: Final = (
    b"\0" + HELLO + answer(1),
    b"\1" + HELLO + answer(3) + answer(1, "5") + frame(PING, 0, 0, bytes(8)) + answer(5, "14"),
    b"\2" + HELLO + answer(1) + frame(RESET, 0, 1, bytes(4)) + frame(GOAWAY, 0, 0, bytes(8)),
    b"\0" + HELLO + frame(HEADERS, 0, 1, b"\x88") + frame(CONTINUATION, END_HEADERS, 1, b"\x40\x82\x94\xe7\x01a"),
    b"\3" + HELLO + answer(1, "5") + answer(3),
    b"\4" + HELLO + frame(WINDOW_UPDATE, 0, 0, b"\0\1\0\0") + answer(1),
    b"\2" + HELLO + frame(DATA, 0, 1, bytes(5) * 200) + frame(DATA, PADDED, 1, b"\2" + bytes(8)) + answer(1),
    b"\0" + HELLO + frame(HEADERS, END_HEADERS | END_STREAM | PRIORITY | PADDED, 1, b"\1" + bytes(5) + HUFFMAN + b"\0"),
)
