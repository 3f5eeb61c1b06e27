"""Errors between the aggregator and the Kubernetes API, and which answer means which error. Pure."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final

from pulltrace.text import one_line
from pulltrace_aggregator.errors import AggregatorError
from pulltrace_aggregator.kube.decode import Object
from pulltrace_aggregator.kube.resources import Right


class KubernetesError(AggregatorError):
    """Root of this adapter's errors.

    `reason` is the label under which failures of a list or watch are counted. `relist` means that a watch cannot
    continue from its resource version: a new list is needed.
    """

    reason: ClassVar[str] = "error"
    relist: ClassVar[bool] = False


class AccessError(KubernetesError):
    """Configuration or credentials cannot be used; the message says where and why."""

    reason = "credentials"


class Stopped(KubernetesError):
    """The request was ended because the program ends."""

    reason = "stopped"


class Unreachable(KubernetesError):
    """No connection, no TLS, or no answer in time."""

    reason = "network"


class Cut(KubernetesError):
    """The connection ended in the middle of an answer, or the server ended a watch at once."""

    reason = "closed"


class Silent(KubernetesError):
    """A watch sent nothing for longer than its requested length: its connection is dead."""

    reason = "silent"


class InvalidAnswer(KubernetesError):
    """The answer is not what the API specifies."""

    reason = "invalid_answer"
    relist = True


class InternalError(KubernetesError):
    """An internal error while an object was handled. The change is lost, so everything is listed again."""

    reason = "internal"
    relist = True


class Refused(KubernetesError):
    """The server answered with an error: `status` is HTTP's, the message holds the server's words."""

    reason = "server_error"

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Unauthorized(Refused):
    """401: the server does not accept the credentials, even fresh ones."""

    reason = "unauthorized"


class Forbidden(Refused):
    """403: a right is missing; the message says which. If only `watch` is missing, lists go on."""

    reason = "forbidden"
    relist = True


class NotFound(Refused):
    """404: there is no such object, or the server does not have this API."""

    reason = "not_found"


class Expired(Refused):
    """410: the resource version is older than what the server remembers.

    Normal after a quiet watch: other objects of the resource change, but not those that it selects.
    """

    reason = "expired"
    relist = True


class Throttled(Refused):
    """429: the server asks for a pause of `retry_after` seconds."""

    reason = "throttled"

    def __init__(self, status: int, message: str, retry_after: float) -> None:
        super().__init__(status, message)
        self.retry_after = retry_after


class WatchFailed(Refused):
    """An ERROR event other than those above. What the server lost is unknown, so everything is listed again."""

    reason = "error_event"
    relist = True


USUAL_RETRY_SECONDS: Final = 1.0
_REFUSALS: Final[Mapping[int, tuple[type[Refused], str]]] = {
    401: (Unauthorized, "the API server does not accept the credentials"),
    403: (Forbidden, "the right to {right} is missing"),
    404: (NotFound, "the API server answers 'not found' to {right}"),
    410: (Expired, "{right}: the resource version is too old"),
}


def parsed(text: bytes, right: Right) -> Object:
    """A JSON object; raises InvalidAnswer."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidAnswer(f"{right}: the answer is not JSON: {one_line(error)}") from error
    if not isinstance(value, dict):
        raise InvalidAnswer(f"{right}: the answer is not a JSON object")
    return value


def refusal(right: Right, status: int, headers: Mapping[str, str], body: bytes) -> Refused:
    """The error that an HTTP answer other than 200 means."""
    try:
        said = parsed(body, right).get("message", "")
    except InvalidAnswer:
        said = body.decode("utf-8", "replace")
    return _refused(right, status, said, headers.get("Retry-After", ""))


def error_event(right: Right, status: Object) -> Refused:
    """The error that an ERROR event means; its object is a meta/v1 Status."""
    code, said, details = status.get("code"), status.get("message", ""), status.get("details")
    number = code if isinstance(code, int) else 0
    asked = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    if number in _REFUSALS or number == HTTPStatus.TOO_MANY_REQUESTS:
        return _refused(right, number, said, asked)
    return WatchFailed(number, _message(f"{right}: error event {number}", said))


def _refused(right: Right, status: int, said: Any, retry_after: Any) -> Refused:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        message = _message(f"{right}: too many requests", said)
        return Throttled(status, message, _seconds(retry_after))
    kind, meaning = _REFUSALS.get(status, (Refused, "{right}: status {status}"))
    return kind(status, _message(meaning.format(right=right, status=status), said))


def _message(meaning: str, said: object) -> str:
    return f"{meaning}: {one_line(said)}" if said else meaning


def _seconds(retry_after: Any) -> float:
    """Retry-After as seconds. The API server does not use its other form, a date (RFC 9110, section 10.2.3)."""
    try:
        return max(float(int(retry_after)), 0.0)
    except (TypeError, ValueError, OverflowError):
        return USUAL_RETRY_SECONDS
