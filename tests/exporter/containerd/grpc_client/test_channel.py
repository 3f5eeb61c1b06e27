"""Calls on a server of our own that says, frame by frame, what no containerd says on demand."""

import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pulltrace_exporter.containerd.api import version_pb2
from pulltrace_exporter.containerd.grpc_client import channel as channel_module
from pulltrace_exporter.containerd.grpc_client.channel import CallFailed, Channel, Method
from pulltrace_exporter.containerd.grpc_client.hpack import encode
from pulltrace_exporter.containerd.grpc_client.http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
)

pytestmark = pytest.mark.contract

VERSION = Method("containerd.services.version.v1.Version/Version", version_pb2.VersionResponse)
REQUEST = version_pb2.VersionResponse(version="asked")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
BEGIN = encode(((":status", "200"), ("content-type", "application/grpc")))


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def message(version: str) -> bytes:
    data = version_pb2.VersionResponse(version=version).SerializeToString()
    return b"\0" + len(data).to_bytes(4, "big") + data


def end(stream: int, status: str, text: str = "") -> bytes:
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, encode((("grpc-status", status), ("grpc-message", text))))


def answer(stream: int, version: str) -> bytes:
    begin = frame(HEADERS, END_HEADERS, stream, BEGIN)
    return begin + frame(DATA, 0, stream, message(version)) + end(stream, "0")


class Server:
    """Takes one connection. `say` gets each frame that comes and gives what to send."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.say: Callable[[int, int, int, bytes], bytes] = lambda *_: b""
        self.heard: list[tuple[int, int, int, bytes]] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        # The other side may go away at any moment.
        with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError):
            assert stream.read(len(PREFACE)) == PREFACE
            while len(head := stream.read(9)) == 9:
                heard = (
                    head[3],
                    head[4],
                    int.from_bytes(head[5:9], "big"),
                    stream.read(int.from_bytes(head[:3], "big")),
                )
                self.heard.append(heard)
                connection.sendall(self.say(*heard))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "s")
    yield server
    server.close()


@pytest.fixture
def channel(server: Server) -> Iterator[Channel]:
    channel = Channel(server.path)
    yield channel
    channel.close()


def on_request(reply: Callable[[int], bytes]) -> Callable[[int, int, int, bytes], bytes]:
    """Say something of a stream once its request is there."""
    return lambda kind, flags, stream, _: reply(stream) if kind == DATA and flags & END_STREAM else b""


def call(channel: Channel, timeout: float = 20) -> str:
    return channel.call(VERSION, REQUEST, (("namespace", "k8s.io"),), timeout).version


def test_an_answer_in_pieces_and_among_other_frames(server: Server, channel: Channel) -> None:
    begin, body = BEGIN, message("2.1")

    def reply(stream: int) -> bytes:
        return b"".join(
            (
                frame(SETTINGS, 0, 0, bytes.fromhex("0004000fffff")),
                frame(PING, 0, 0, b"12345678"),
                frame(200, 0, 0, b"of a kind that nobody knows"),
                frame(HEADERS, 0, stream, begin[:5]),
                frame(CONTINUATION, END_HEADERS, stream, begin[5:]),
                frame(DATA, PADDED, stream, b"\2" + body[:3] + b"\0\0"),
                frame(WINDOW_UPDATE, 0, 0, bytes(4)),
                frame(DATA, 0, stream, body[3:]),
                end(stream, "0"),
            )
        )

    server.say = on_request(reply)
    assert call(channel) == "2.1"
    assert call(channel) == "2.1"
    assert (PING, ACK, 0, b"12345678") in server.heard
    assert (SETTINGS, ACK, 0, b"") in server.heard
    assert [heard for heard in server.heard if heard[0] == DATA and message("asked") == heard[3]]


def test_calls_that_are_sent_together_have_each_its_own_answer(server: Server, channel: Channel) -> None:
    """They come in another order, and some fail."""
    asked: list[int] = []

    def reply(stream: int) -> bytes:
        asked.append(stream)
        if len(asked) < 3:
            return b""
        return answer(asked[2], "third") + end(asked[1], "5", "not found") + answer(asked[0], "first")

    server.say = on_request(reply)
    first, second, third = channel.calls(VERSION, [REQUEST] * 3, (), 20)
    assert isinstance(second, CallFailed)
    assert second.code == "NOT_FOUND"
    assert [each.version for each in (first, third) if not isinstance(each, CallFailed)] == ["first", "third"]


@pytest.mark.parametrize(
    ("reply", "code", "words"),
    [
        (lambda stream: end(stream, "8", "too many%20of%3A it"), "RESOURCE_EXHAUSTED", "too many of: it"),
        (lambda stream: end(stream, "x"), "UNKNOWN", "status 'x'"),
        (lambda stream: end(stream, "\u00b2"), "UNKNOWN", "status '\u00b2'"),
        (
            lambda stream: frame(HEADERS, END_HEADERS | END_STREAM, stream, encode(((":status", "502"),))),
            "UNKNOWN",
            "502",
        ),
        (lambda stream: frame(RST_STREAM, 0, stream, bytes((0, 0, 0, 8))), "CANCELLED", "reset"),
        (lambda stream: frame(RST_STREAM, 0, stream, bytes(5000)), "UNAVAILABLE", "5000 bytes"),
        (lambda stream: frame(GOAWAY, 0, 0, bytes(8)), "UNAVAILABLE", "ends the connection"),
        (lambda stream: frame(DATA, 0, stream, b"\1" + message("x")[1:]) + end(stream, "0"), "INTERNAL", "compressed"),
        (
            lambda stream: frame(DATA, 0, stream, b"\0\0\0\0\2\xff\xff") + end(stream, "0"),
            "INTERNAL",
            "VersionResponse",
        ),
        (lambda _: b"\xff" * 9, "UNAVAILABLE", "longer than allowed"),
        (lambda stream: frame(HEADERS, END_HEADERS | END_STREAM, stream, b"\xff"), "UNAVAILABLE", "too early"),
        (lambda stream: frame(DATA, PADDED, stream, b"\x09x"), "UNAVAILABLE", "padding"),
    ],
)
def test_what_a_call_fails_with(
    server: Server, channel: Channel, reply: Callable[[int], bytes], code: str, words: str
) -> None:
    server.say = on_request(reply)
    with pytest.raises(CallFailed, match=words) as failed:
        call(channel)
    assert failed.value.code == code
    assert channel.usable == (code != "UNAVAILABLE")


def test_a_server_that_does_not_answer(server: Server, channel: Channel) -> None:
    with pytest.raises(CallFailed) as failed:
        call(channel, timeout=0.05)
    assert failed.value.code == "DEADLINE_EXCEEDED"


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(CallFailed, match="No such file") as failed:
        call(Channel(tmp_path / "none"))
    assert failed.value.code == "UNAVAILABLE"


def test_no_descriptor_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(CallFailed, match="Too many open files"):
        call(Channel(tmp_path / "none"))


def test_another_thread_ends_a_call_and_all_later_ones(server: Server, channel: Channel) -> None:
    def reply(_: int) -> bytes:
        channel.interrupt()
        return b""

    server.say = on_request(reply)
    for _ in range(2):
        with pytest.raises(CallFailed) as failed:
            call(channel)
        assert failed.value.code == "CANCELLED"


def test_an_answer_that_is_longer_than_allowed_leaves_its_rest_on_the_connection(
    server: Server, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "MAX_MESSAGE_BYTES", 3)
    server.say = on_request(lambda stream: answer(stream, "2.1"))
    with pytest.raises(CallFailed, match="longer than 3 bytes"):
        call(channel)
    assert not channel.usable


def test_a_stream_lets_the_server_send_as_many_bytes_again_as_were_read(server: Server, channel: Channel) -> None:
    large, times = "x" * 1_000_000, 6
    asked: list[int] = []

    def say(kind: int, flags: int, stream: int, _: bytes) -> bytes:
        if kind == DATA and flags & END_STREAM:
            asked.append(stream)
            return frame(HEADERS, END_HEADERS, stream, BEGIN) + frame(DATA, 0, stream, message(large)) * times
        return end(stream, "0") if kind == WINDOW_UPDATE and stream in asked else b""

    server.say = say
    assert [len(each.version) for each in channel.stream(VERSION, REQUEST, (), 20)] == [len(large)] * times
