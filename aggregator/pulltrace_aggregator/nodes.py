"""What is known of one node's exporter: the input from whoever reads it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pulltrace.pull import NodeReport

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
    `failing_since` is when the first question after the last answer failed; the core takes note of it itself.
    """

    node: str
    state: NodeState
    report: NodeReport | None = None
    read_at: float = 0.0
    answered_at: float | None = None
    failing_since: float | None = None

    @property
    def ahead(self) -> float:
        """What the node's clock shows more than our monotonic one."""
        return self.report.now - self.read_at if self.report else 0.0

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
