"""What containerd answers: frames of protobuf in, through client, observer and tracker to all that is served."""

import atexit
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final
from unittest.mock import patch

import grpc
from google.protobuf.message import DecodeError

from fuzz.frames import framed, frames
from fuzz.served import SteppedClock, check_exporter
from fuzz.targets.containerd_seeds import FAILED, METHODS, POLL, READ, SEEDS
from pulltrace.errors import PulltraceError
from pulltrace_exporter.containerd import event_watch
from pulltrace_exporter.containerd.source import ContainerdSource
from pulltrace_exporter.tracking.tracker import Tracker

__all__ = ["SEEDS", "mutate", "run"]

MOST_POLLS: Final = 12
CODES: Final = tuple(grpc.StatusCode)


class Refused(grpc.RpcError):
    """What a stub raises."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


class Answers:
    """For each method those of the last frames that had any; calls take one after the other, and begin again."""

    def __init__(self) -> None:
        self._given: dict[str, list[bytes | Refused]] = {}
        self._taken: dict[str, int] = {}

    def give(self, method: str, answers: list[bytes | Refused]) -> None:
        self._given[method], self._taken[method] = answers, 0

    def take(self, method: str, request: bytes) -> bytes:
        """The answer that names what was asked for, and the sooner the better; else the next one."""
        given = self._given.get(method) or [b""]
        name = request[2:]  # the first field of a request is what it asks for
        named = [each for each in given if name and isinstance(each, bytes) and name in each]
        number = self._taken[method] = self._taken.get(method, 0) + 1
        answer = min(named, key=lambda each: each.index(name)) if named else given[(number - 1) % len(given)]
        if isinstance(answer, Refused):
            raise answer
        return answer


class Call:
    """A call of the stub, as grpc's own treats an answer that cannot be read."""

    def __init__(self, answers: Answers, method: str, encode: Callable[..., bytes], decode: Callable[..., Any]) -> None:
        self._answers, self._method, self._encode, self._decode = answers, method, encode, decode

    def __call__(self, request: Any, **_: Any) -> Any:
        return self._decoded(self._answers.take(self._method, self._encode(request)))

    def future(self, request: Any, **_: Any) -> "Future":
        return Future(lambda: self(request))

    def _decoded(self, answer: bytes) -> Any:
        try:
            return self._decode(answer)
        except DecodeError:
            raise Refused(grpc.StatusCode.INTERNAL, "Exception deserializing response!") from None


class Stream(Call):
    """The same for an answer in parts: the whole one, cut in two where it is long."""

    def __call__(self, request: Any, **_: Any) -> "Parts":
        return Parts(self, self._encode(request))

    def parts(self, request: bytes) -> Iterator[Any]:
        answer = self._answers.take(self._method, request)
        yield from (self._decoded(payload) for _, payload in frames(answer))


class Parts:
    """A stream that is read."""

    def __init__(self, stream: Stream, request: bytes) -> None:
        self._parts = stream.parts(request)

    def __iter__(self) -> Iterator[Any]:
        return self._parts

    def cancel(self) -> None:
        """Nothing waits here."""


class Future:
    """An answer to come."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call

    def result(self) -> Any:
        return self._call()


class Channel:
    """A connection to a containerd that gives these answers."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def unary_unary(
        self, method: str, request_serializer: Callable[..., bytes], response_deserializer: Callable[..., Any], **_: Any
    ) -> Call:
        return Call(self._answers, method, request_serializer, response_deserializer)

    def unary_stream(
        self, method: str, request_serializer: Callable[..., bytes], response_deserializer: Callable[..., Any], **_: Any
    ) -> Call:
        return Stream(self._answers, method, request_serializer, response_deserializer)

    def close(self) -> None:
        """Nothing is open."""


def run(data: bytes) -> None:
    answers, clock = Answers(), SteppedClock()
    with (
        patch.object(grpc, "insecure_channel", lambda *_, **__: Channel(answers)),
        patch.object(event_watch, "LATE_SECONDS", 0.0),
    ):
        source = ContainerdSource(SOCKET, [SOCKET.parent], "k8s.io", clock)
        tracker = Tracker(clock.now(), linger=30.0, abandoned=60.0, label_values=5)
        try:
            _converse(data, answers, clock, source, tracker)
        finally:
            source.close()


def _converse(data: bytes, answers: Answers, clock: SteppedClock, source: ContainerdSource, tracker: Tracker) -> None:
    polls = 0
    given: dict[str, list[bytes | Refused]] = {}
    for kind, payload in frames(data):
        if kind % KINDS < len(METHODS):
            given.setdefault(METHODS[kind % KINDS], []).append(payload)
        elif kind % KINDS == FAILED and len(payload) > 1:
            code = CODES[payload[1] % len(CODES)]
            details = payload[2:].decode("utf-8", "replace")
            given.setdefault(METHODS[payload[0] % len(METHODS)], []).append(Refused(code, details))
        else:
            for method, found in given.items():
                answers.give(method, found)
            given.clear()
            clock.pass_by(payload)
            _poll(source, tracker, clock)
            polls += 1
            if polls == MOST_POLLS:
                return


def _poll(source: ContainerdSource, tracker: Tracker, clock: SteppedClock) -> None:
    try:
        observation = source.observe(tracker.ignored)
        tracked = tracker.observe(observation, clock.now())
    except PulltraceError:
        tracked = tracker.elapse(clock.now())
    check_exporter(tracked, clock)


def mutate(data: bytes, most: int, seed: int, mutate_bytes: Callable[[bytes, int], bytes]) -> bytes:
    """Change one frame, so that the others keep their bounds."""
    random = Random(seed)
    parts = list(frames(data))
    if not parts or random.random() < 0.1:
        return mutate_bytes(data, most)
    at = random.randrange(len(parts))
    kind, payload = parts[at]
    match random.randrange(8):
        case 0:
            parts.insert(random.randrange(len(parts) + 1), parts[at])
        case 1:
            del parts[at]
        case 2:
            other = random.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
        case 3:
            parts.insert(at, (FAILED, bytes((random.randrange(len(METHODS)), random.randrange(len(CODES))))))
        case 4 if kind == READ:
            inner = [(part, mutate_bytes(content, most)) for part, content in frames(payload)]
            parts[at] = (kind, b"".join(framed(*each) for each in inner))
        case _:
            parts[at] = (kind, mutate_bytes(payload, most) if payload else mutate_bytes(b"\0", most))
    return b"".join(framed(*part) for part in parts)[:most]


def _socket() -> Path:
    """A file that passes for containerd's socket: the channel behind it is ours."""
    folder = tempfile.TemporaryDirectory(prefix="ptf-", dir="/tmp")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "containerd.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    path.chmod(0o600)
    return path


SOCKET: Final = _socket()
KINDS: Final = POLL + 1
