"""What comes over containerd's socket: bytes that may be HTTP/2, for one call, several, or a stream."""

import contextlib
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from pulltrace_exporter.containerd.api import leases_pb2
from pulltrace_exporter.containerd.client import LIST_LEASES
from pulltrace_exporter.containerd.grpc_client.channel import CallFailed, Channel
from pulltrace_exporter.containerd.grpc_client.hpack import encode
from pulltrace_exporter.containerd.grpc_client.http2 import DATA, HEADERS

__all__ = ["SEEDS", "mutate", "run"]

TIMEOUT: Final = 5.0
HEAD: Final = 9
PING, GOAWAY, SETTINGS, WINDOW_UPDATE, RESET, CONTINUATION = 6, 7, 4, 8, 3, 9
END_STREAM, END_HEADERS = 1, 4
REQUEST: Final = leases_pb2.ListRequest(filters=["a"])
ASKING: Final = (
    lambda channel: channel.call(LIST_LEASES, REQUEST, (), TIMEOUT),
    lambda channel: channel.calls(LIST_LEASES, [REQUEST] * 3, (), TIMEOUT),
    lambda channel: list(channel.stream(LIST_LEASES, REQUEST, (), TIMEOUT)),
)


def run(data: bytes) -> None:
    ask = ASKING[data[0] % len(ASKING) if data else 0]
    ours, theirs = socket.socketpair()
    with theirs, contextlib.closing(Channel(Path("/nowhere"))) as channel:
        theirs.sendall(data[1:])
        theirs.shutdown(socket.SHUT_WR)
        channel._connection._socket = ours
        with contextlib.suppress(CallFailed):
            ask(channel)


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
SEEDS: Final = (
    b"\0" + HELLO + answer(1),
    b"\1" + HELLO + answer(3) + answer(1, "5") + frame(PING, 0, 0, bytes(8)) + answer(5, "14"),
    b"\2" + HELLO + answer(1) + frame(RESET, 0, 1, bytes(4)) + frame(GOAWAY, 0, 0, bytes(8)),
    b"\0" + HELLO + frame(HEADERS, 0, 1, b"\x88") + frame(CONTINUATION, END_HEADERS, 1, b"\x40\x82\x94\xe7\x01a"),
)
