"""What the API server's answers mean, those with HTTP's status and those inside a watch. Pure."""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from pulltrace.text import one_line
from pulltrace_aggregator.kube.decode import Object
from pulltrace_aggregator.kube.errors import (
    Expired,
    Forbidden,
    InvalidAnswer,
    NotFound,
    Refused,
    Throttled,
    Unauthorized,
    WatchFailed,
)
from pulltrace_aggregator.kube.resources import Right

TOO_MANY_REQUESTS: Final = 429
USUAL_RETRY_SECONDS: Final = 1.0
_KINDS: Final[Mapping[int, type[Refused]]] = {401: Unauthorized, 403: Forbidden, 404: NotFound, 410: Expired}
_MEANINGS: Final[Mapping[int, Callable[[Right], str]]] = {
    401: lambda _: "the API server does not accept the credentials",
    403: lambda right: f"the right to {right} is missing",
    404: lambda right: f"the API server knows nothing to {right}",
    410: lambda right: f"{right}: the resource version is too old",
}


def parsed(text: bytes, right: Right) -> Object:
    """A JSON object; raises InvalidAnswer."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidAnswer(f"{right}: the answer is no JSON: {one_line(error)}") from error
    if not isinstance(value, dict):
        raise InvalidAnswer(f"{right}: the answer is no JSON object")
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
    if number in _KINDS or number == TOO_MANY_REQUESTS:
        return _refused(right, number, said, asked)
    return WatchFailed(number, _message(f"{right}: error event {number}", said))


def _refused(right: Right, status: int, said: Any, retry_after: Any) -> Refused:
    if status == TOO_MANY_REQUESTS:
        message = _message(f"{right}: too many requests", said)
        return Throttled(status, message, _seconds(retry_after))
    meaning = _MEANINGS.get(status)
    message = _message(meaning(right) if meaning else f"{right}: status {status}", said)
    return _KINDS.get(status, Refused)(status, message)


def _message(meaning: str, said: object) -> str:
    return f"{meaning}: {one_line(said)}" if said else meaning


def _seconds(retry_after: Any) -> float:
    """Retry-After in its form of seconds; the API server never uses the other one, a date."""
    try:
        return max(float(int(retry_after)), 0.0)
    except (TypeError, ValueError, OverflowError):
        return USUAL_RETRY_SECONDS
