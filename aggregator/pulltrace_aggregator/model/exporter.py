"""What is known of one node's exporter: the input from whoever reads it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from pulltrace.model.pull import ImageKey, NodeReport, Phase, Pull

SOON_SECONDS: Final = 10.0
"""A failure so soon after an answer means that the node fell silent with that answer, and one so old is an old one."""


class NodeState(StrEnum):
    """How the last question to a node's exporter went."""

    OK = "ok"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"
    """No exporter of it is known, or it was not asked yet."""


@dataclass(frozen=True, slots=True)
class NodeReading:
    """One node as last read. Its name is the one under which it was asked, whatever the report says.

    `report` is the last that came, at `read_at`; `answered_at` is the last answer, one that nothing has changed
    included. Both are monotonic on our clock; without an answer so far there is no report and `answered_at` is None.
    `failing_since` is when the first question after the last answer failed, and `moved` since when the bytes of a pull
    are as they are, where the node does not tell when they moved last; the core takes note of both itself.
    """

    node: str
    state: NodeState
    report: NodeReport | None = None
    read_at: float = 0.0
    answered_at: float | None = None
    failing_since: float | None = None
    moved: Mapping[ImageKey, float] = field(default_factory=dict)

    @property
    def ahead(self) -> float:
        """What the node's clock shows more than our monotonic one."""
        return self.report.now - self.read_at if self.report else 0.0

    @property
    def timed(self) -> bool:
        """Whether the node tells its time."""
        return self.report is None or self.report.timed

    def begun(self, pull: Pull) -> float | None:
        """When a pull of the report began, monotonic on our clock; None where nobody knows."""
        return None if pull.started_at is None else pull.started_at - self.ahead

    def progressed(self, pull: Pull) -> float | None:
        """When a pull of the report moved last, monotonic on our clock; None where nobody knows."""
        if pull.last_progress_at is not None:
            return pull.last_progress_at - self.ahead
        return self.moved.get(pull.key)

    def after(self, before: "NodeReading | None") -> "NodeReading":
        """This reading, with what the one before tells of the pulls whose last progress the node does not tell."""
        if self.report is None:
            return self
        if before is not None and before.report is self.report:
            return replace(self, moved=before.moved) if before.moved else self
        known = {pull.key: _bytes_done(pull) for pull in before.report.pulls} if before and before.report else {}
        moved = {
            pull.key: before.moved.get(pull.key, self.read_at)
            if before is not None and known.get(pull.key) == done
            else self.read_at
            for pull in self.report.pulls
            if pull.last_progress_at is None and (done := _bytes_done(pull)) is not None
        }
        return replace(self, moved=moved) if moved else self

    def is_fresh(self, now: float) -> bool:
        """Whether it has answered a short while ago."""
        return self.answered_at is not None and now - self.answered_at <= SOON_SECONDS

    @property
    def silent_since(self) -> float | None:
        """When it stopped answering, None while it answers: one that is seldom asked is not silent for that."""
        if self.state is NodeState.OK:
            return None
        answered, failing = self.answered_at, self.failing_since
        if answered is not None and (failing is None or failing - answered <= SOON_SECONDS):
            return answered
        return failing


def _bytes_done(pull: Pull) -> tuple[Phase, int] | None:
    """What has to grow for a running pull to make progress; None where the node does not tell it."""
    done = {Phase.DOWNLOADING: pull.downloaded, Phase.UNPACKING: pull.unpacked}.get(pull.phase)
    return None if done is None else (pull.phase, done)
