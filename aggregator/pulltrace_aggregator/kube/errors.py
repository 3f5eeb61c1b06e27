"""What can go wrong between the aggregator and the Kubernetes API."""

from typing import ClassVar

from pulltrace_aggregator.errors import AggregatorError


class KubernetesError(AggregatorError):
    """Root of this adapter's errors.

    `reason` is the label under which restarts of a watch are counted. `relist` tells that what is known can no longer
    be carried on from: only a new list helps.
    """

    reason: ClassVar[str] = "error"
    relist: ClassVar[bool] = False


class AccessError(KubernetesError):
    """Configuration or credentials cannot be used; the message names the place and what is wrong with it."""

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
    """A watch said nothing for longer than it was to last: its connection leads nowhere."""

    reason = "silent"


class InvalidAnswer(KubernetesError):
    """The answer is not what the API promises."""

    reason = "invalid_answer"
    relist = True


class Fault(KubernetesError):
    """A fault of ours while a change was handled. The change is lost, so all is listed anew."""

    reason = "internal"
    relist = True


class Refused(KubernetesError):
    """The server answered with an error: `status` is HTTP's, the message holds the server's words."""

    reason = "server_error"

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class Unauthorized(Refused):
    """401: the server does not know us, with fresh credentials either."""

    reason = "unauthorized"


class Forbidden(Refused):
    """403: a right is missing; the message says which. Where listing alone is allowed, listing goes on."""

    reason = "forbidden"
    relist = True


class NotFound(Refused):
    """404: there is no such object, or the server does not have this API."""

    reason = "not_found"


class Expired(Refused):
    """410: the resource version is older than what the server remembers.

    Normal after a quiet time: a watch that sees few changes falls behind all the others of its resource.
    """

    reason = "expired"
    relist = True


class Throttled(Refused):
    """429: asked to come back after `retry_after` seconds."""

    reason = "throttled"

    def __init__(self, status: int, message: str, retry_after: float) -> None:
        super().__init__(status, message)
        self.retry_after = retry_after


class WatchFailed(Refused):
    """An ERROR event other than those above. What the server lost is unknown, so all is listed anew."""

    reason = "error_event"
    relist = True
