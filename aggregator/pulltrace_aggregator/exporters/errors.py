"""How a request to an exporter can end, and what can go wrong."""

from enum import StrEnum
from typing import Final

from pulltrace.text import one_line
from pulltrace_aggregator.errors import AggregatorError

LONGEST_DETAIL: Final = 200


class Result(StrEnum):
    """How a request ended, as it is counted."""

    OK = "ok"
    NOT_MODIFIED = "not_modified"
    TIMEOUT = "timeout"
    DNS = "dns"
    CONNECTION = "connection"
    TLS = "tls"
    UNAUTHORIZED = "unauthorized"
    """401 or 403."""
    STATUS = "status"
    """Any other status of HTTP; redirects are not followed."""
    TOO_LARGE = "too_large"
    INVALID = "invalid"
    """Not HTTP, not JSON, or not a report."""
    SCHEMA = "schema"
    """JSON of a version that this aggregator cannot read."""
    INTERNAL = "internal"
    """An internal error."""


class AskError(AggregatorError):
    """A request to an exporter failed. `result` is the label it is counted under; the message is one short line."""

    def __init__(self, result: Result, detail: object) -> None:
        self.result = result
        super().__init__(one_line(detail, LONGEST_DETAIL))


class ConnectionStale(AggregatorError):
    """A kept connection ended before the answer began. The exporter may work: ask again."""
