"""Ways in which a test lets the fake misbehave."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from rig.kubernetes.fake.server import Handler
from rig.web import wait_until

Action = Callable[[Handler, "Fault"], None]


@dataclass(eq=False)
class Fault:
    """Applies to requests of one verb and resource until it is lifted, or so many times."""

    verb: str
    resource: str
    action: Action
    left: int | None = None
    hits: int = 0
    lifted: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def lift(self) -> None:
        """Let requests pass again, those too that are held."""
        self.lifted = True

    def applies(self, verb: str, resource: str) -> bool:
        """Whether a request is to be answered by this fault; counts it then."""
        with self._lock:
            if self.lifted or self.left == 0 or (verb, resource) != (self.verb, self.resource):
                return False
            self.left = None if self.left is None else self.left - 1
            self.hits += 1
            return True

    def wait_hit(self, times: int = 1) -> None:
        """Return when it has answered so many requests."""
        wait_until(lambda: self.hits >= times, 30, lambda: f"{self.hits} requests to {self.verb} {self.resource}")


def refuse(status: int, message: str = "", headers: Mapping[str, str] | None = None) -> Action:
    """An error in the API's own form."""

    def act(handler: Handler, _: Fault) -> None:
        handler.answer(status, status_body(status, message), headers)

    return act


def say(*parts: bytes, cut: bool = False) -> Action:
    """These bytes as the answer, ended in order or cut off."""

    def act(handler: Handler, _: Fault) -> None:
        handler.begin()
        for part in parts:
            handler.send(part)
        if cut:
            handler.cut()
        else:
            handler.end()

    return act


def silent(handler: Handler, fault: Fault) -> None:
    """A watch that is accepted and then shows nothing."""
    handler.begin()
    handler.hold(lambda: fault.lifted)
    handler.cut()


def hang(handler: Handler, fault: Fault) -> None:
    """No answer at all."""
    handler.hold(lambda: fault.lifted)
    handler.cut()


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
