"""Calls of gRPC on one connection: messages out, messages or a status back.

Protocol: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
"""

import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final, Generic, Protocol, Self, TypeVar
from urllib.parse import unquote

from google.protobuf.message import DecodeError

from pulltrace_exporter.containerd.grpc_client.hpack import HpackError, decode, encode
from pulltrace_exporter.containerd.grpc_client.http2 import DATA, HEADERS, Connection, ConnectionEnded, Frame

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
MAX_CALLS: Final = 100
"""Calls under way at once: the server works at all of them at the same time."""

OK, NOT_FOUND = "OK", "NOT_FOUND"
_CODES: Final = (
    *(OK, "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", NOT_FOUND, "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
"""In the order of their numbers."""
_CODE_OF: Final = {str(number): code for number, code in enumerate(_CODES)}
"""Names by the value of the header `grpc-status`."""
_RESETS: Final = {7: "UNAVAILABLE", 8: "CANCELLED", 11: "RESOURCE_EXHAUSTED", 12: "PERMISSION_DENIED"}
"""The status of a call whose stream was ended by RST_STREAM, by its error code; every other code is INTERNAL."""
_PREFIX: Final = struct.Struct(">?L")

Metadata = tuple[tuple[str, str], ...]


class Message(Protocol):
    """A message of protocol buffers."""

    def SerializeToString(self) -> bytes:  # noqa: N802 - the name is protobuf's
        """The message as bytes."""

    @classmethod
    def FromString(cls, s: bytes) -> Self:  # noqa: N802
        """Raises google.protobuf.message.DecodeError."""


Answer = TypeVar("Answer", bound=Message)


class CallFailed(Exception):
    """A call ended with a status other than OK; `code` is the status code's name in gRPC."""

    def __init__(self, code: str, details: str = "") -> None:
        super().__init__(f"{code}: {details}")
        self.code = code
        self.details = details


@dataclass(frozen=True, slots=True)
class Method(Generic[Answer]):
    """`name` is `package.Service/Method`; `answer` is the type of its answers."""

    name: str
    answer: type[Answer]


@dataclass(slots=True)
class _Call:
    """The part of the answer to one call that has come."""

    data: bytearray = field(default_factory=bytearray)
    headers: list[bytes] = field(default_factory=list)
    ended: bool = False

    def take(self, frame: Frame) -> None:
        """Raises CallFailed when the stream was reset."""
        self.ended = frame.ends_stream
        if frame.kind == DATA:
            self.data += frame.payload
            if len(self.data) > MAX_MESSAGE_BYTES:
                raise CallFailed("RESOURCE_EXHAUSTED", f"the answer is longer than {MAX_MESSAGE_BYTES} bytes")
        elif frame.kind == HEADERS:
            self.headers.append(frame.payload)
        else:
            code = int.from_bytes(frame.payload, "big")
            raise CallFailed(_RESETS.get(code, "INTERNAL"), f"the stream was reset with error {code}")

    def messages(self) -> Iterator[bytes]:
        """The messages that have come as a whole and were not given before; raises CallFailed."""
        while len(self.data) >= _PREFIX.size:
            compressed, length = _PREFIX.unpack_from(self.data)
            end = _PREFIX.size + length
            if compressed:
                raise CallFailed("INTERNAL", "the answer is compressed, and that was not asked for")
            if len(self.data) < end:
                return
            message = bytes(self.data[_PREFIX.size : end])
            del self.data[:end]
            yield message

    def check(self) -> None:
        """Raises CallFailed unless the status is OK, and HpackError when the headers cannot be read."""
        number = self._header("grpc-status")
        code = _CODE_OF.get(number)
        if code is None:
            raise CallFailed("UNKNOWN", f"status {number!r} of gRPC, {self._header(':status')!r} of HTTP")
        if code == NOT_FOUND:  # an ordinary answer, whose text nobody reads
            raise CallFailed(code)
        if code != OK:
            raise CallFailed(code, unquote(self._header("grpc-message")))

    def _header(self, name: str) -> str:
        """The value from the last header block that has this name; empty without one."""
        fields = (field for block in reversed(self.headers) for field in decode(block, frozenset((name,))))
        return next((value for _, value in fields), "")


class Channel:
    """One connection to a server, made with the first call and used by one thread; only `interrupt` is for others.

    It can no longer be used when the connection fails, sends what cannot be read, or a call gets no answer in time.
    A status other than OK is an answer like another.
    """

    def __init__(self, socket: Path) -> None:
        self._connection = Connection(socket)
        self._unread = False

    @property
    def usable(self) -> bool:
        """Whether to make further calls. Not when the rest of an answer that cannot be read is still coming."""
        return not (self._unread or self._connection.interrupted)

    def interrupt(self) -> None:
        """Make the call under way fail at once, and every later call."""
        self._connection.interrupt()

    def close(self) -> None:
        """End the connection. Must not be called while another thread uses it."""
        self._connection.close()

    def call(self, method: Method[Answer], request: Message, metadata: Metadata, timeout: float) -> Answer:
        """The answer to one request; raises CallFailed. `timeout` is in seconds."""
        (answer,) = self.calls(method, [request], metadata, timeout)
        if isinstance(answer, CallFailed):
            raise answer
        return answer

    def calls(
        self, method: Method[Answer], requests: Sequence[Message], metadata: Metadata, timeout: float
    ) -> list[Answer | CallFailed]:
        """The answers to several requests that are sent together, in their order; each may fail by itself.

        Raises CallFailed when the connection fails.
        """
        answers: list[Answer | CallFailed] = []
        for start in range(0, len(requests), MAX_CALLS):
            answers += self._calls(method, requests[start : start + MAX_CALLS], metadata, timeout)
        return answers

    def stream(
        self, method: Method[Answer], request: Message, metadata: Metadata, timeout: float | None
    ) -> Iterator[Answer]:
        """The answers to one request, until the server ends them; raises CallFailed. `timeout` None: no limit."""
        deadline = None if timeout is None else time.monotonic() + timeout
        call = _Call()
        try:
            (stream,) = self._connection.send(_headers(method.name, metadata), [_framed(request)], deadline)
            while not call.ended:
                frame = self._connection.receive(deadline)
                if frame.stream == stream:
                    call.take(frame)
                    for message in call.messages():
                        yield _parsed(method, message)
            call.check()
        except CallFailed:
            self._unread |= not call.ended
            raise
        except (ConnectionEnded, HpackError, TimeoutError) as error:
            raise self._failure(error) from error

    def _calls(
        self, method: Method[Answer], requests: Sequence[Message], metadata: Metadata, timeout: float
    ) -> list[Answer | CallFailed]:
        deadline = time.monotonic() + timeout
        try:
            sent = self._connection.send(_headers(method.name, metadata), list(map(_framed, requests)), deadline)
            calls = {stream: _Call() for stream in sent}
            answers = dict[int, Answer | CallFailed]()
            while len(answers) < len(calls):
                frame = self._connection.receive(deadline)
                if frame.stream in calls and frame.stream not in answers:
                    self._take(calls[frame.stream], frame, method, answers)
        except (ConnectionEnded, HpackError, TimeoutError) as error:
            raise self._failure(error) from error
        return [answers[stream] for stream in sent]

    def _take(self, call: _Call, frame: Frame, method: Method[Answer], answers: dict[int, Answer | CallFailed]) -> None:
        """Take a frame of a call; when the call has ended, add its answer to `answers`."""
        try:
            call.take(frame)
            if call.ended:
                call.check()
                answers[frame.stream] = _parsed(method, next(call.messages(), b""))
        except CallFailed as failed:
            self._unread |= not call.ended
            answers[frame.stream] = failed

    def _failure(self, error: Exception) -> CallFailed:
        if self._connection.interrupted:
            return CallFailed("CANCELLED", "the connection was closed")
        self._connection.interrupt()
        if isinstance(error, TimeoutError):
            return CallFailed("DEADLINE_EXCEEDED", "no answer in time")
        return CallFailed("UNAVAILABLE", str(error))


def _parsed(method: Method[Answer], message: bytes) -> Answer:
    try:
        return method.answer.FromString(message)
    except DecodeError as error:
        raise CallFailed("INTERNAL", f"the answer is no {method.answer.__name__}") from error


def _framed(request: Message) -> bytes:
    data = request.SerializeToString()
    return _PREFIX.pack(False, len(data)) + data


@lru_cache(maxsize=64)
def _headers(method: str, metadata: Metadata) -> bytes:
    # containerd 1.x refuses the path of its socket as an authority.
    start = ((":method", "POST"), (":scheme", "http"), (":path", f"/{method}"), (":authority", "localhost"))
    return encode((*start, ("te", "trailers"), ("content-type", "application/grpc"), *metadata))
