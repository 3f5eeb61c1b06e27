"""What is known of every node. Pure: targets and answers in, values for others out."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from pulltrace.clock import Monotonic
from pulltrace.model.pull import NodeReport
from pulltrace_aggregator.exporters.discovery import Target
from pulltrace_aggregator.exporters.errors import AskError, Result
from pulltrace_aggregator.model.node import NodeReading, NodeState

KEPT_SECONDS: Final = 600.0
"""How long a node that left discovery during a pull is remembered: the node itself may have failed."""
LEFT: Final = "the node is no longer among the exporters' endpoints"


@dataclass(frozen=True, slots=True)
class ExporterSeen:
    """The exporter of one node as it is now.

    `error` and `detail` tell why the last request failed, None and empty if it did not. `left` means that discovery no
    longer knows the node, which is kept because it was pulling; `detail` says so too. `claims` is the name that the
    exporter gives its node if that is another one; the node keeps the name under which it is asked.
    """

    reading: NodeReading
    base_url: str
    error: Result | None = None
    detail: str = ""
    left: bool = False
    claims: str = ""

    @property
    def node(self) -> str:
        """The name under which the node is asked."""
        return self.reading.node

    @property
    def pulling(self) -> bool:
        """Whether a pull of the node is known that runs, waits for its registry, or is queued."""
        return self.reading.reported.active


@dataclass(frozen=True, slots=True)
class ExporterGone:
    """The node has left discovery and is no longer remembered."""

    node: str


@dataclass(frozen=True, slots=True)
class Changes:
    """What a new set of targets changes. `asked` are nodes with a new target, `left` those without one now."""

    asked: tuple[str, ...]
    left: tuple[str, ...]
    news: tuple[ExporterSeen | ExporterGone, ...]


@dataclass(frozen=True, slots=True)
class _Entry:
    """A node. `etag` is that of the last report, and `layers` says whether that has layers.

    `left_at` is when the node left discovery, None while it is there.
    """

    seen: ExporterSeen
    target: Target
    etag: str = ""
    layers: bool = False
    left_at: Monotonic | None = None


class ExporterStates:
    """The nodes by name. Methods that change a node return its new state."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}

    @property
    def exporters(self) -> Mapping[str, ExporterSeen]:
        """All nodes, also those that have left. Other threads may read this."""
        return {node: entry.seen for node, entry in self._entries.copy().items()}

    def target(self, node: str) -> Target:
        """Where a node is asked."""
        return self._entries[node].target

    def etag(self, node: str, *, layers: bool = False) -> str:
        """The entity tag of a node's last report, if that has layers as requested; else empty."""
        entry = self._entries[node]
        return entry.etag if entry.layers is layers else ""

    def seen(self, node: str) -> ExporterSeen:
        """A node as it is now."""
        return self._entries[node].seen

    def set_targets(self, targets: Mapping[str, Target], now: Monotonic) -> Changes:
        """Take these as the targets of all nodes that can be asked."""
        here = {node: entry.target for node, entry in self._entries.items() if entry.left_at is None}
        asked = [node for node, target in targets.items() if here.get(node) != target]
        gone = [node for node in here if node not in targets]
        news = [self._place(targets[node]) for node in asked]
        return Changes(tuple(asked), tuple(gone), (*news, *[self._leave(node, now) for node in gone]))

    def forget(self, now: Monotonic) -> Iterator[ExporterGone]:
        """Drop nodes that left long ago."""
        for node, entry in self._entries.copy().items():
            if entry.left_at is not None and now >= entry.left_at + KEPT_SECONDS:
                del self._entries[node]
                yield ExporterGone(node)

    def reported(
        self, node: str, report: NodeReport, etag: str, now: Monotonic, *, layers: bool = False
    ) -> ExporterSeen:
        """Take in a report. It is that of the node that was asked, whatever name it has."""
        reading = NodeReading(node, NodeState.OK, replace(report, node=node), now, now)
        claims = "" if report.node == node else report.node
        return self._answered(replace(self._entries[node], etag=etag, layers=layers), reading, claims)

    def unchanged(self, node: str, now: Monotonic) -> ExporterSeen:
        """Take in an answer that says that nothing but time has passed since the last report."""
        entry = self._entries[node]
        reading = replace(entry.seen.reading, state=NodeState.OK, answered_at=now, failing_since=None)
        return self._answered(entry, reading, entry.seen.claims)

    def failed(self, node: str, error: AskError, now: Monotonic) -> ExporterSeen:
        """Take in that a request failed. The last report stays."""
        entry = self._entries[node]
        reading = entry.seen.reading.failed(now)
        return self._put(entry, replace(entry.seen, reading=reading, error=error.result, detail=str(error)))

    def _place(self, target: Target) -> ExporterSeen:
        """Take in a node that is new, has come back, or has moved. Its entity tag is dropped: it is another process."""
        known = self._entries.get(target.node)
        reading = known.seen.reading if known else NodeReading(target.node, NodeState.UNKNOWN)
        seen = ExporterSeen(reading, target.base_url)
        return self._put(_Entry(seen, target), seen)

    def _leave(self, node: str, now: Monotonic) -> ExporterSeen | ExporterGone:
        entry = self._entries[node]
        if not entry.seen.pulling:
            del self._entries[node]
            return ExporterGone(node)
        seen = replace(entry.seen, reading=entry.seen.reading.failed(now), detail=LEFT, left=True)
        return self._put(replace(entry, left_at=now), seen)

    def _answered(self, entry: _Entry, reading: NodeReading, claims: str) -> ExporterSeen:
        return self._put(entry, ExporterSeen(reading, entry.seen.base_url, claims=claims))

    def _put(self, entry: _Entry, seen: ExporterSeen) -> ExporterSeen:
        self._entries[seen.node] = replace(entry, seen=seen)
        return seen
