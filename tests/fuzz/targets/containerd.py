"""What containerd answers: frames of protobuf in, through client, observer and tracker to all that is served."""

import atexit
import socket
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final
from unittest.mock import patch

from fuzz.served import SteppedClock, check_exporter
from fuzz.targets.containerd_seeds import FAILED, METHODS, POLL, READ, SEEDS, framed, frames
from pulltrace.errors import PulltraceError
from pulltrace_exporter.containerd import client, event_watch
from pulltrace_exporter.containerd.grpc_client.channel import (
    _CODES,
    Answer,
    CallFailed,
    Message,
    Method,
    _parsed,
)
from pulltrace_exporter.containerd.source import ContainerdSource
from pulltrace_exporter.tracking.tracker import Tracker

__all__ = ["SEEDS", "mutate", "run"]

MOST_POLLS: Final = 12
LOST: Final = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
"""What a call fails with when its connection does."""


class Answers:
    """For each method those of the last frames that had any; calls take one after the other, and begin again."""

    def __init__(self) -> None:
        self._given: dict[str, list[bytes | CallFailed]] = {}
        self._taken: dict[str, int] = {}

    def give(self, method: str, answers: list[bytes | CallFailed]) -> None:
        self._given[method], self._taken[method] = answers, 0

    def take(self, method: str, request: bytes) -> bytes:
        """The answer that names what was asked for, and the sooner the better; else the next one."""
        given = self._given.get(method) or [b""]
        name = request[2:]  # the first field of a request is what it asks for
        named = [each for each in given if name and isinstance(each, bytes) and name in each]
        number = self._taken[method] = self._taken.get(method, 0) + 1
        answer = min(named, key=lambda each: each.index(name)) if named else given[(number - 1) % len(given)]
        if isinstance(answer, CallFailed):
            raise answer
        return answer


class AnsweredChannel:
    """A connection to a containerd that gives these answers."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.usable = True

    def call(self, method: Method[Answer], request: Message, *_: object) -> Answer:
        return _parsed(method, self._take(method, request))

    def calls(self, method: Method[Answer], requests: Sequence[Message], *_: object) -> list[Answer | CallFailed]:
        return [self._outcome(method, request) for request in requests]

    def stream(self, method: Method[Answer], request: Message, *_: object) -> Iterator[Answer]:
        for _kind, part in frames(self._take(method, request)):
            yield _parsed(method, part)

    def interrupt(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing is open."""

    def _take(self, method: Method[Answer], request: Message) -> bytes:
        try:
            return self._answers.take(method.name, request.SerializeToString())
        except CallFailed as failed:
            self.usable &= failed.code not in LOST
            raise

    def _outcome(self, method: Method[Answer], request: Message) -> Answer | CallFailed:
        try:
            return self.call(method, request)
        except CallFailed as failed:
            return failed


def run(data: bytes) -> None:
    answers, clock = Answers(), SteppedClock()
    with (
        patch.object(client, "Channel", lambda _: AnsweredChannel(answers)),
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
    given: dict[str, list[bytes | CallFailed]] = {}
    for kind, payload in frames(data):
        if kind % KINDS < len(METHODS):
            given.setdefault(METHODS[kind % KINDS], []).append(payload)
        elif kind % KINDS == FAILED and len(payload) > 1:
            code = _CODES[payload[1] % len(_CODES)]
            details = payload[2:].decode("utf-8", "replace")
            given.setdefault(METHODS[payload[0] % len(METHODS)], []).append(CallFailed(code, details))
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
            parts.insert(at, (FAILED, bytes((random.randrange(len(METHODS)), random.randrange(len(_CODES))))))
        case 4 if kind == READ:
            inner = [(part, mutate_bytes(content, most)) for part, content in frames(payload)]
            parts[at] = (kind, b"".join(framed(*each) for each in inner))
        case _:
            parts[at] = (kind, mutate_bytes(payload, most) if payload else mutate_bytes(b"\0", most))
    return b"".join(framed(*part) for part in parts)[:most]


def _socket() -> Path:
    """A file that passes for containerd's socket: the channel behind it is ours."""
    folder = tempfile.TemporaryDirectory(prefix="ptf-")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "containerd.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    path.chmod(0o600)
    return path


SOCKET: Final = _socket()
KINDS: Final = POLL + 1
