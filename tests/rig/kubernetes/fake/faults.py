"""Ways in which a test lets the fake misbehave."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol


class Exchange(Protocol):
    """One request, as a fault may answer it."""

    def answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """A whole answer."""
        ...

    def begin(self) -> None:
        """The head of an answer of unknown length."""
        ...

    def send(self, part: bytes) -> None:
        """A part of it."""
        ...

    def end(self) -> None:
        """The end of it, in order."""
        ...

    def cut(self) -> None:
        """The end of the connection, whatever was sent."""
        ...

    def check(self) -> None:
        """Raise an exception that ends the answer when nobody waits for it any more."""
        ...

    def hold(self, done: Callable[[], bool]) -> None:
        """Say nothing until `done`, the client has gone or the server closes."""
        ...


Action = Callable[[Exchange, "Fault"], None]


@dataclass(eq=False)
class Fault:
    """Applies to requests of one verb and resource until it is lifted, or so many times."""

    verb: str
    resource: str
    action: Action
    left: int | None = None
    hits: int = 0
    lifted: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def lift(self) -> None:
        """Let requests pass again, those too that are held."""
        with self._changed:
            self.lifted = True

    def applies(self, verb: str, resource: str) -> bool:
        """Whether a request is to be answered by this fault; counts it then."""
        with self._changed:
            if self.lifted or self.left == 0 or (verb, resource) != (self.verb, self.resource):
                return False
            self.left = None if self.left is None else self.left - 1
            self.hits += 1
            self._changed.notify_all()
            return True

    def wait_hit(self, times: int = 1, timeout: float = 30) -> None:
        """Return when it has answered so many requests; raises TimeoutError."""
        deadline = time.monotonic() + timeout
        with self._changed:
            if not self._changed.wait_for(lambda: self.hits >= times, deadline - time.monotonic()):
                raise TimeoutError(f"{self.hits} requests to {self.verb} {self.resource} in {timeout} s, not {times}")


def refuse(status: int, message: str = "", headers: Mapping[str, str] | None = None) -> Action:
    """An error in the API's own form."""

    def act(exchange: Exchange, _: Fault) -> None:
        exchange.answer(status, status_body(status, message), headers)

    return act


def say(*parts: bytes, cut: bool = False) -> Action:
    """These bytes as the answer, ended in order or cut off."""

    def act(exchange: Exchange, _: Fault) -> None:
        exchange.begin()
        for part in parts:
            exchange.send(part)
        if cut:
            exchange.cut()
        else:
            exchange.end()

    return act


def silent(exchange: Exchange, fault: Fault) -> None:
    """A watch that is accepted and then shows nothing."""
    exchange.begin()
    exchange.hold(lambda: fault.lifted)
    exchange.cut()


def hang(exchange: Exchange, fault: Fault) -> None:
    """No answer at all."""
    exchange.hold(lambda: fault.lifted)
    exchange.cut()


REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "AlreadyExists",
    410: "Expired",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
}


def status_object(code: int, message: str = "") -> dict[str, object]:
    """A meta/v1 Status that tells of a failure."""
    said = message or HTTPStatus(code).phrase
    head = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return {**head, "message": said, "reason": REASONS.get(code, "Unknown"), "code": code}


def status_body(code: int, message: str = "") -> bytes:
    return json.dumps(status_object(code, message)).encode()
