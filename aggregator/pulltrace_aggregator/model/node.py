"""One node: how its exporter was read, its pulls as they are published, and what is counted of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from pulltrace.clock import Monotonic, NodeTime
from pulltrace.model.pull import Daemon, ImageKey, NodeReport, Phase, Pull
from pulltrace_aggregator.model.states import StaleReason

SOON_SECONDS: Final = 10.0
"""If a read fails within this time after the last answer, the node has been silent since that answer."""

_START: Final = Monotonic(0.0)
_NO_REPORT: Final = NodeReport(node="", version="", now=NodeTime(0.0), daemon=Daemon(up=True))


class NodeState(StrEnum):
    """How the last read of a node's exporter went."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    """No exporter of it is known, or it was not read yet."""


@dataclass(frozen=True, slots=True)
class NodeReading:
    """One node as last read. Its name is the one under which it was read, whatever the report says.

    `report` is the last report, which came at `read_at`. `answered_at` is the time of the last answer, also of one that
    says that nothing has changed. Before the first answer both are None. `failing_since` is when the first read after
    the last answer failed, None if the last read succeeded. `moved` is when the bytes of a pull last changed, for pulls
    whose progress the node reports without its time. `idle_since` is the first of the present row of reports that have
    containerd up and nothing under way, None if the last one has not. The reconciler sets these two.
    """

    node: str
    state: NodeState
    report: NodeReport | None = None
    read_at: Monotonic = _START
    answered_at: Monotonic | None = None
    failing_since: Monotonic | None = None
    moved: Mapping[ImageKey, Monotonic] = field(default_factory=dict)
    idle_since: Monotonic | None = None

    @property
    def reported(self) -> NodeReport:
        """The last report; before the first one, a report of a node that does nothing."""
        return _NO_REPORT if self.report is None else self.report

    @property
    def ahead(self) -> float:
        """Seconds by which the node's clock is ahead of our monotonic one."""
        return self.reported.now - self.read_at

    def to_monotonic(self, instant: NodeTime) -> Monotonic:
        """The same instant on our clock."""
        return Monotonic(instant - self.ahead)

    def to_node_time(self, instant: Monotonic) -> NodeTime:
        """The same instant on the node's clock."""
        return NodeTime(instant + self.ahead)

    def progressed_at(self, pull: Pull) -> Monotonic | None:
        """When a pull of the report last made progress; None where that is not known."""
        if pull.last_progress_at is not None:
            return self.to_monotonic(pull.last_progress_at)
        return self.moved.get(pull.key)

    def ended_at(self, pull: Pull) -> Monotonic:
        """When an ended pull of the report ended. If that is not reported, the time of the report."""
        return self.read_at if pull.ended_at is None else self.to_monotonic(pull.ended_at)

    def failed(self, now: Monotonic) -> "NodeReading":
        """This reading after a read that failed."""
        since = now if self.failing_since is None else self.failing_since
        return replace(self, state=NodeState.UNREACHABLE, failing_since=since)

    def after(self, before: "NodeReading | None") -> "NodeReading":
        """This reading, with `moved` and `idle_since` continued from the one before."""
        moved, idle_since = self._moved_after(before), self._idle_after(before)
        return replace(self, moved=moved, idle_since=idle_since) if moved or idle_since is not None else self

    def _moved_after(self, before: "NodeReading | None") -> Mapping[ImageKey, Monotonic]:
        if before is not None and before.report is self.report:
            return before.moved
        known = {pull.key: _bytes_done(pull) for pull in before.reported.pulls} if before else {}
        return {
            pull.key: before.moved.get(pull.key, self.read_at)
            if before is not None and known.get(pull.key) == done
            else self.read_at
            for pull in self.reported.pulls
            if pull.last_progress_at is None and (done := _bytes_done(pull)) is not None
        }

    def _idle_after(self, before: "NodeReading | None") -> Monotonic | None:
        if self.report is None or not self.report.daemon.up or self.report.active:
            return None
        return self.read_at if before is None or before.idle_since is None else before.idle_since

    @property
    def silent_since(self) -> Monotonic | None:
        """When it stopped answering, None while it answers. If it is read rarely, that is the first failed read."""
        if self.state is NodeState.OK:
            return None
        answered, failing = self.answered_at, self.failing_since
        if answered is not None and (failing is None or failing - answered <= SOON_SECONDS):
            return answered
        return failing


def _bytes_done(pull: Pull) -> tuple[Phase, int] | None:
    """The phase of a running pull and the bytes that grow in it; None where the node does not report them."""
    done = {Phase.DOWNLOADING: pull.downloaded, Phase.UNPACKING: pull.unpacked}.get(pull.phase)
    return None if done is None else (pull.phase, done)


@dataclass(frozen=True, slots=True)
class NodePull:
    """A pull of a node. `ahead` is the number of seconds by which the node's clock is ahead of our monotonic one.

    `answering` is False when the node has been silent for too long, so that no present rate is known; `timed` is False
    when the node does not report its time, so that its instants are good for ages only.
    """

    node: str
    pull: Pull
    stale: StaleReason | None
    ahead: float
    answering: bool = True
    timed: bool = True

    @property
    def key(self) -> ImageKey:
        """Its identity on the node."""
        return self.pull.key

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self.pull.phase.ended

    @property
    def began_at(self) -> Monotonic | None:
        """When it began, None while that is not known."""
        return None if self.pull.started_at is None else Monotonic(self.pull.started_at - self.ahead)

    @property
    def bytes_per_second(self) -> float | None:
        """The present rate of the download; None once the pull has ended and while it is not known."""
        return self.pull.bytes_per_second if self.answering and self.running else None

    @property
    def eta_seconds(self) -> float | None:
        """Time until all bytes are there at the present rate; None without one."""
        return None if self.bytes_per_second is None else self.pull.eta_seconds


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node. `queued` counts the images in the kubelet's queue, `resolving` those whose registry has not answered.

    `missing` means that a pod waits for an image there, and that the exporter that should be there does not answer.
    """

    node: str
    state: NodeState
    answered_at: Monotonic | None = None
    queued: int = 0
    resolving: int = 0
    resolving_stale: int = 0
    running: int = 0
    waiting: int = 0
    missing: bool = False

    @property
    def active(self) -> bool:
        """Whether anything is pulled or waited for there."""
        return bool(self.running or self.resolving or self.waiting or self.queued)
