"""The kubelet's events about one image that one container wants, in whatever order they come. Pure.

Each reason is watched by itself, so that events of one container overtake each other. They are put in order by the
kubelet's own stamps, on the node's clock and in whole seconds. When they arrived decides whether they are newer than a
pod's status.
"""

from dataclasses import dataclass, replace
from typing import Final

from pulltrace.clock import NEVER, Moment, Monotonic, NodeTime
from pulltrace_aggregator.model.cluster import Change, EventSeen
from pulltrace_aggregator.model.image_message import ImageMessage, Kind
from pulltrace_aggregator.model.states import FailureReason

NEVER_ON_NODE: Final = NodeTime(NEVER)


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """When an event happened last, and when it arrived: NEVER for a listed one, which may have happened long before."""

    node: NodeTime = NEVER_ON_NODE
    arrived: Monotonic = NEVER


@dataclass(frozen=True, slots=True)
class PullEvent:
    """One sight of an event.

    `first_on_node` is its first time on the node's clock; `first_at` and `last_at` are its first and its last time on
    our monotonic clock, from the API server's stamp.
    """

    message: ImageMessage
    stamp: Stamp
    first_on_node: NodeTime
    first_at: Monotonic
    last_at: Monotonic

    @classmethod
    def of(cls, event: EventSeen, moment: Moment) -> "PullEvent":
        """An event with its stamps on our clock; one without a stamp counts as happening now."""
        last = NodeTime(moment.now.wall + moment.server_ahead) if event.last_at is None else event.last_at
        first = last if event.first_at is None else min(event.first_at, last)
        now, first_at = moment.monotonic, moment.of(event.created_at)
        # From its first to its last time passed as much on the node's clock as on any other.
        last_at = now if event.change is Change.MODIFIED else min(now, Monotonic(first_at + last - first))
        arrived = NEVER if event.change is Change.LISTED else now
        return cls(event.message, Stamp(last, arrived), first, first_at, last_at)


_NO_EVENT: Final = Stamp()


@dataclass(frozen=True, slots=True)
class PullEvents:
    """The latest event of each kind.

    `first_pulling_on_node`, `first_pulling_at` and `last_pulling_at` are those of the event `Pulling`, see `PullEvent`.
    `failing_since` is when the first of the failures in a row happened.
    """

    pulling: Stamp = _NO_EVENT
    first_pulling_on_node: NodeTime = NEVER_ON_NODE
    first_pulling_at: Monotonic = NEVER
    last_pulling_at: Monotonic = NEVER
    pulled: Stamp = _NO_EVENT
    failed: Stamp = _NO_EVENT
    backed_off: Stamp = _NO_EVENT
    failing_since: Monotonic = NEVER
    failure: FailureReason | None = None

    def after(self, event: PullEvent) -> "PullEvents":
        """These events and one more; what is older than its like changes nothing."""
        match event.message.kind:
            case Kind.PULLING:
                return self._after_pulling(event)
            case Kind.PULLED | Kind.PRESENT:
                return replace(self, pulled=event.stamp) if event.stamp > self.pulled else self
            case Kind.BACK_OFF:
                return self._after_back_off(event.stamp)
            case Kind.FAILED:
                return self._after_failure(event.stamp, event.message.failure, event.first_at)
            case Kind.NOT_STARTED:
                # The second event of a failed attempt: the first one, unless it was dropped, had the reason.
                failure = self.failure if self.failed.node >= self.pulling.node else None
                return self._after_failure(event.stamp, failure, event.first_at)
            case _:
                return self

    def _after_pulling(self, event: PullEvent) -> "PullEvents":
        if event.stamp <= self.pulling:
            return self
        return replace(
            self,
            pulling=event.stamp,
            first_pulling_on_node=event.first_on_node,
            first_pulling_at=event.first_at,
            last_pulling_at=event.last_at,
        )

    def _after_back_off(self, stamp: Stamp) -> "PullEvents":
        return replace(self, backed_off=stamp) if stamp > self.backed_off else self

    def _after_failure(self, stamp: Stamp, failure: FailureReason | None, first_at: Monotonic) -> "PullEvents":
        # Of two events of one second the one with a reason counts, whichever comes first.
        newer = stamp > self.failed or (failure is not None and stamp.node == self.failed.node)
        since = self.failing_since if self.failing else first_at
        return replace(self, failed=stamp, failure=failure, failing_since=since) if newer else self

    @property
    def requested(self) -> bool:
        """Whether the image was asked for and has not come since. Within one second it has."""
        return self.pulling.node > self.pulled.node

    @property
    def requested_at(self) -> Monotonic:
        """When the image was asked for first without having come since."""
        return self.last_pulling_at if self.pulled.node >= self.first_pulling_on_node else self.first_pulling_at

    @property
    def trying(self) -> bool:
        """Whether the image was asked for, and nothing has gone wrong since."""
        return self.pulling.node > self.failed.node and self.pulling.node >= self.backed_off.node

    @property
    def failing(self) -> bool:
        """Whether the last attempt failed, and the image has not come since."""
        return max(self.failed.node, self.backed_off.node) > self.pulled.node and not self.trying

    @property
    def latest(self) -> NodeTime:
        """When anything happened last."""
        return max(self.pulling.node, self.pulled.node, self.failed.node, self.backed_off.node)

    @property
    def backing_off(self) -> bool:
        """Whether a pause after a failure is the latest news."""
        return self.backed_off.node > self.failed.node
