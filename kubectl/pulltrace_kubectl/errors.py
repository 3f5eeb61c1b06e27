"""What ends the client: each error says in one line what is wrong, and in another what to do."""

from typing import ClassVar

from pulltrace.errors import PulltraceError


class ClientError(PulltraceError):
    """Something that was asked for cannot be told. `remedy` is what the user can do, empty where there is nothing."""

    status: ClassVar[int] = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = problem
        self.remedy = remedy
        super().__init__(problem)


class UsageError(ClientError):
    """The command line makes no sense."""

    status = 2


class NotFound(ClientError):
    """An object that was named is not there."""


class Forbidden(ClientError):
    """The API server refuses a request, because a right is missing."""


class Unanswered(ClientError):
    """The aggregator, an exporter or the API server gives no usable answer."""
