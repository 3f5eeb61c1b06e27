"""What the kubelet's events tell of one image that one container wants. Pure, and in whatever order they come.

Each reason is watched by itself, so that events of one container overtake each other. They are put in order by the
kubelet's own stamps, on the node's clock and in whole seconds; whether they are newer than what a pod's status shows is
told by when they came to us.
"""

from dataclasses import dataclass, replace
from typing import Final

from pulltrace_aggregator.model.image_message import ImageMessage, Kind
from pulltrace_aggregator.model.states import FailureReason

NEVER: Final = float("-inf")
"""Before everything: an instant that is not known to be after anything."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """When an event happened last.

    `node` is Unix time on the node's clock. `arrived` is monotonic on ours, NEVER for what a list showed, which may
    have happened at any time before.
    """

    node: float = NEVER
    arrived: float = NEVER

    def supersedes(self, other: "Stamp") -> bool:
        """Whether this is news. A list repeats what a watch has told."""
        return (self.node, self.arrived) > (other.node, other.arrived)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One sight of an event.

    `first_node` is its first time on the node's clock; `began` and `again` are its first and its last time on our
    monotonic clock, from the API server's stamp.
    """

    message: ImageMessage
    stamp: Stamp
    first_node: float
    began: float
    again: float


_UNSTAMPED: Final = Stamp()


@dataclass(frozen=True, slots=True)
class Signals:
    """The latest event of each kind; `asked` is the kubelet's request for the image (`Pulling`).

    `began` and `again` are when it was asked for first and last, on our monotonic clock.
    """

    asked: Stamp = _UNSTAMPED
    asked_first: float = NEVER
    began: float = NEVER
    again: float = NEVER
    pulled: Stamp = _UNSTAMPED
    failed: Stamp = _UNSTAMPED
    backed_off: Stamp = _UNSTAMPED
    failure: FailureReason | None = None

    def after(self, seen: Occurrence) -> "Signals":
        """These signals and one more; what is older than its like changes nothing."""
        match seen.message.kind:
            case Kind.PULLING:
                return self._asked(seen)
            case Kind.PULLED | Kind.PRESENT:
                return replace(self, pulled=seen.stamp) if seen.stamp.supersedes(self.pulled) else self
            case Kind.BACK_OFF:
                return self._backed_off(seen.stamp)
            case Kind.FAILED:
                return self._failed(seen.stamp, seen.message.failure)
            case Kind.NOT_STARTED:
                # The second event of a failed attempt: the first one, unless it was dropped, has told why.
                return self._failed(seen.stamp, self.failure if self.failed.node >= self.asked.node else None)
            case _:
                return self

    def _asked(self, seen: Occurrence) -> "Signals":
        if not seen.stamp.supersedes(self.asked):
            return self
        return replace(self, asked=seen.stamp, asked_first=seen.first_node, began=seen.began, again=seen.again)

    def _backed_off(self, stamp: Stamp) -> "Signals":
        return replace(self, backed_off=stamp) if stamp.supersedes(self.backed_off) else self

    def _failed(self, stamp: Stamp, failure: FailureReason | None) -> "Signals":
        # Of two events of one second the one that tells why is heard, whichever comes first.
        news = stamp.supersedes(self.failed) or (failure is not None and stamp.node == self.failed.node)
        return replace(self, failed=stamp, failure=failure) if news else self

    @property
    def open(self) -> bool:
        """Whether the image was asked for and has not come since. Within one second it has."""
        return self.asked.node > self.pulled.node

    @property
    def since(self) -> float:
        """When the image was asked for first without having come since, on our monotonic clock."""
        return self.again if self.pulled.node >= self.asked_first else self.began

    @property
    def trying(self) -> bool:
        """Whether the image was asked for, and nothing has gone wrong since."""
        return self.asked.node > self.failed.node and self.asked.node >= self.backed_off.node

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed, and the image has not come since."""
        return max(self.failed.node, self.backed_off.node) > self.pulled.node and not self.trying

    @property
    def backing_off(self) -> bool:
        """Whether a pause after a failure is the last that was heard."""
        return self.backed_off.node > self.failed.node
