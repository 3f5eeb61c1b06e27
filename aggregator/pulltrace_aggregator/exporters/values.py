"""What the adapter tells: immutable values. Instants are in seconds on this machine's monotonic clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from pulltrace_aggregator.model.exporter import NodeReading


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
    """Not HTTP, not JSON, or not what was agreed."""
    SCHEMA = "schema"
    """JSON of a version that this aggregator cannot read."""
    INTERNAL = "internal"
    """A fault of this program."""


@dataclass(frozen=True, slots=True)
class ExporterSeen:
    """The exporter of one node as it is now.

    `error` and `detail` tell of the last request, None and empty when it went well; `failing_since` is when the first
    one after the last good one failed. `left` means that discovery no longer knows the node, which is kept since a pull
    of it is known. `claims` is what the exporter calls its node where that is another name: of no consequence.
    """

    reading: NodeReading
    base_url: str
    error: Result | None = None
    detail: str = ""
    failing_since: float | None = None
    left: bool = False
    claims: str = ""

    @property
    def node(self) -> str:
        """The name under which the node is asked."""
        return self.reading.node

    @property
    def pulling(self) -> bool:
        """Whether a pull is known of the node that has not ended."""
        report = self.reading.report
        return report is not None and bool(
            report.resolving or report.queued or any(not pull.phase.ended for pull in report.pulls)
        )


@dataclass(frozen=True, slots=True)
class ExporterGone:
    """Discovery no longer knows the node, and nothing of it has to be kept."""

    node: str


class Sink(Protocol):
    """Takes what is learnt. Called from the fleet's thread, which waits for it: it only hands on."""

    def receive(self, observed: ExporterSeen | ExporterGone) -> None:
        """Take the news of one node; those of one node come in order."""
        ...


@dataclass(frozen=True, slots=True)
class FleetView:
    """Everything at one moment: exporters by node, and how many requests ended how since the start, zeros included."""

    exporters: Mapping[str, ExporterSeen]
    requests: Mapping[Result, int]
