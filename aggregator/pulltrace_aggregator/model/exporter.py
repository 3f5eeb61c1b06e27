"""What is known of one node's exporter: the input from whoever reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from pulltrace.clock import Monotonic, NodeTime
from pulltrace.model.pull import ImageKey, NodeReport, Phase, Pull, QueuedImage

SOON_SECONDS: Final = 10.0
"""A node whose polls fail within this time after an answer has been silent since that answer."""


_START: Final = Monotonic(0.0)


class NodeState(StrEnum):
    """How the last question to a node's exporter went."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    """No exporter of it is known, or it was not polled yet."""


@dataclass(frozen=True, slots=True)
class NodeReading:
    """One node as last read. Its name is the one under which it was asked, whatever the report says.

    `report` is the last that came, at `read_at`; `answered_at` is the last answer, one that nothing has changed
    included. Without an answer so far there is no report and `answered_at` is None. `failing_since` is when the first
    question after the last answer failed, and `moved` since when the bytes of a pull are as they are, where the node
    does not report when they moved last; the reconciler sets both.
    """

    node: str
    state: NodeState
    report: NodeReport | None = None
    read_at: Monotonic = _START
    answered_at: Monotonic | None = None
    failing_since: Monotonic | None = None
    moved: Mapping[ImageKey, Monotonic] = field(default_factory=dict)

    @property
    def pulls(self) -> tuple[Pull, ...]:
        """The pulls of the last report."""
        return self.report.pulls if self.report else ()

    @property
    def queued(self) -> tuple[QueuedImage, ...]:
        """The images that the kubelet has written it will pull."""
        return self.report.queued if self.report else ()

    @property
    def resolving(self) -> tuple[NodeTime, ...]:
        """When each pull began whose registry has not answered."""
        return self.report.resolving if self.report else ()

    @property
    def unidentified(self) -> int:
        """How many pulls download for an image that is not known yet."""
        return self.report.unidentified if self.report else 0

    @property
    def runtime_up(self) -> bool:
        """Whether containerd answers its exporter, as far as is known."""
        return self.report is None or self.report.daemon.up

    @property
    def timed(self) -> bool:
        """Whether the node reports its time."""
        return self.report is None or self.report.timed

    @property
    def ahead(self) -> float:
        """How far the node's clock is ahead of our monotonic one, in seconds."""
        return self.report.now - self.read_at if self.report else 0.0

    def to_monotonic(self, instant: NodeTime) -> Monotonic:
        """The same instant on our clock."""
        return Monotonic(instant - self.ahead)

    def to_node_time(self, instant: Monotonic) -> NodeTime:
        """The same instant on the node's clock."""
        return NodeTime(instant + self.ahead)

    def progressed_at(self, pull: Pull) -> Monotonic | None:
        """When a pull of the report moved last; None where that is not known."""
        if pull.last_progress_at is not None:
            return self.to_monotonic(pull.last_progress_at)
        return self.moved.get(pull.key)

    def ended_at(self, pull: Pull) -> Monotonic:
        """When an ended pull of the report ended. Where that is not reported, it was before the report."""
        return self.read_at if pull.ended_at is None else self.to_monotonic(pull.ended_at)

    def after(self, before: "NodeReading | None", now: Monotonic) -> "NodeReading":
        """This reading, with what the one before adds: since when questions fail, and since when pulls stand still."""
        moved = self._moved_after(before)
        if self.state is NodeState.OK:
            return replace(self, moved=moved) if moved else self
        failing = before.failing_since if before else None
        return replace(self, moved=moved, failing_since=now if failing is None else failing)

    def _moved_after(self, before: "NodeReading | None") -> Mapping[ImageKey, Monotonic]:
        if before is not None and before.report is self.report:
            return before.moved
        known = {pull.key: _bytes_done(pull) for pull in before.pulls} if before else {}
        return {
            pull.key: before.moved.get(pull.key, self.read_at)
            if before is not None and known.get(pull.key) == done
            else self.read_at
            for pull in self.pulls
            if pull.last_progress_at is None and (done := _bytes_done(pull)) is not None
        }

    @property
    def silent_since(self) -> Monotonic | None:
        """When it stopped answering, None while it answers. A node that is polled rarely is not silent for that."""
        if self.state is NodeState.OK:
            return None
        answered, failing = self.answered_at, self.failing_since
        if answered is not None and (failing is None or failing - answered <= SOON_SECONDS):
            return answered
        return failing


def _bytes_done(pull: Pull) -> tuple[Phase, int] | None:
    """What has to grow for a running pull to make progress; None where the node does not report it."""
    done = {Phase.DOWNLOADING: pull.downloaded, Phase.UNPACKING: pull.unpacked}.get(pull.phase)
    return None if done is None else (pull.phase, done)
