"""One container of one pod and its image: what the kubelet's events and the container's status say of it. Pure.

Each reason of events has a watch of its own, so the events of one container may arrive out of order. The kubelet's own
stamps, on the node's clock and in whole seconds, put them in order. Their arrival decides whether they are newer than a
pod's status.
"""

from dataclasses import dataclass, field, replace
from typing import Final

from pulltrace.clock import NEVER, Moment, Monotonic, NodeTime
from pulltrace_aggregator.kubelet.container_status import ImageStatus, image_status
from pulltrace_aggregator.kubelet.messages import CRASHED, parse_waiting
from pulltrace_aggregator.model.cluster import SANDBOX, Change, EventSeen, ImageUse, ImageUser, RunState
from pulltrace_aggregator.model.image_message import UNKNOWN, ImageMessage, Kind
from pulltrace_aggregator.model.node import NodePull
from pulltrace_aggregator.model.states import ContainerType, FailureReason, PodPhase
from pulltrace_aggregator.pods.image_wait import ImageWait

ContainerKey = tuple[ContainerType, str, str]
"""Type and name of a container or volume, and the image if the name is not known; the unused one is empty."""
NEVER_ON_NODE: Final = NodeTime(NEVER)


@dataclass(frozen=True, slots=True, order=True)
class Stamp:
    """When an event last happened, and when it arrived: NEVER for a listed one, which may have happened long ago."""

    node: NodeTime = NEVER_ON_NODE
    arrived: Monotonic = NEVER


@dataclass(frozen=True, slots=True)
class PullEvent:
    """One observation of an event.

    `first_on_node` is its first time on the node's clock. `first_at` and `last_at` are its first and its last time on
    our monotonic clock, found with the API server's stamp of its creation. A modified event has one time only.
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
        now = moment.monotonic
        if event.change is Change.MODIFIED:
            # It has just happened, and was told before. If that is forgotten, what it told of then has ended.
            return cls(event.message, Stamp(last, now), last, now, now)
        first = last if event.first_at is None else min(event.first_at, last)
        first_at = moment.of(event.created_at)
        arrived = NEVER if event.change is Change.LISTED else now
        # The time from first to last is the same on every clock.
        last_at = min(now, Monotonic(first_at + last - first))
        return cls(event.message, Stamp(last, arrived), first, first_at, last_at)


_NO_EVENT: Final = Stamp()


@dataclass(frozen=True, slots=True)
class PullEvents:
    """The latest event of each kind.

    `first_pulling_on_node`, `first_pulling_at` and `last_pulling_at` are the times of the event `Pulling`, see
    `PullEvent`. `failing_since` is when the first of the present row of failures happened.
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
        """These events and one more. One that is not newer than the last of its kind changes nothing."""
        match event.message.kind:
            case Kind.PULLING:
                return self._after_pulling(event)
            case Kind.PULLED | Kind.PRESENT:
                return replace(self, pulled=event.stamp) if event.stamp > self.pulled else self
            case Kind.BACK_OFF:
                return replace(self, backed_off=event.stamp) if event.stamp > self.backed_off else self
            case Kind.FAILED:
                return self._after_failure(event.stamp, event.message.failure, event.first_at)
            case Kind.NOT_STARTED:
                # The second event of a failed attempt. The first one has the reason, unless it was dropped.
                failure = self.failure if self.failed.node >= self.pulling.node else None
                return self._after_failure(event.stamp, failure, event.first_at)
            case _:
                return self

    def _after_pulling(self, event: PullEvent) -> "PullEvents":
        if event.stamp <= self.pulling:
            return self
        later = replace(self, pulling=event.stamp, last_pulling_at=event.last_at)
        if self.pulling != _NO_EVENT:
            return later
        return replace(later, first_pulling_on_node=event.first_on_node, first_pulling_at=event.first_at)

    def _after_failure(self, stamp: Stamp, failure: FailureReason | None, first_at: Monotonic) -> "PullEvents":
        # Of two events of one second the one with a reason counts, in whatever order they arrive.
        newer = stamp > self.failed or (failure is not None and stamp.node == self.failed.node)
        since = self.failing_since if self.failing else first_at
        failed = max(stamp, self.failed)  # a list shows an event again, as one that arrived before all others
        return replace(self, failed=failed, failure=failure, failing_since=since) if newer else self

    @property
    def requested(self) -> bool:
        """Whether the image was asked for and has not come since. If both are in one second, it has come."""
        return self.pulling.node > self.pulled.node

    @property
    def requested_at(self) -> Monotonic:
        """When the image was first asked for, after it last came."""
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
        """When the last of all these events happened."""
        return max(self.pulling.node, self.pulled.node, self.failed.node, self.backed_off.node)

    @property
    def backing_off(self) -> bool:
        """Whether a pause after a failure is later than the failure."""
        return self.backed_off.node > self.failed.node


@dataclass(slots=True, eq=False)
class ContainerImage:
    """One container, image volume or sandbox of a pod, and its image as written there.

    `waiting` is what the status says while it waits. `status_at` is when that last changed, NEVER if it has not changed
    since the pod was first seen. `present_at` is when the status last said that the image is there, `pulled_at` when a
    matched pull succeeded or the wait was given up: what came before is no evidence any more. `last_failure` is the
    last reason in the status, at `last_failure_at`: before Kubernetes 1.32 a back-off does not repeat it.
    """

    user: ImageUser
    image: str
    use: ImageUse | None = None
    events: PullEvents = field(default_factory=PullEvents)
    status: ImageStatus = ImageStatus.UNKNOWN
    waiting: ImageMessage = UNKNOWN
    last_failure: FailureReason | None = None
    last_failure_at: Monotonic = NEVER
    status_at: Monotonic = NEVER
    present_at: Monotonic = NEVER
    pulled_at: Monotonic = NEVER
    wait: ImageWait | None = None

    @property
    def key(self) -> ContainerKey:
        """Its identity in its pod."""
        return self.user.type, self.user.name, "" if self.user.name else self.image

    def update(self, use: ImageUse, now: Monotonic) -> bool:
        """Take in the present status; returns whether it has changed."""
        before, self.use = self.use, use
        if before is not None and _words(before) == _words(use):
            return False
        failed_before = self.status is ImageStatus.MISSING and self.waiting.kind is not Kind.BACK_OFF
        self.waiting = parse_waiting(use.reason, use.message)
        self.status = image_status(use, self.waiting)
        if before is None:
            self.status_at = NEVER
        elif not (failed_before and self.waiting.kind is Kind.BACK_OFF):
            # A pause after a failure tells of the same attempt, so it is not new. The kubelet often writes it only when
            # the next attempt has begun.
            self.status_at = now
        if self.waiting.failure is not None:
            self.last_failure, self.last_failure_at = self.waiting.failure, self.status_at
        if self.status is ImageStatus.PRESENT:
            self.last_failure = None
            if not self._is_about_last_run(use):
                self.present_at = now
        return True

    def _is_about_last_run(self, use: ImageUse) -> bool:
        """Whether the status tells of a run that had ended when the kubelet asked for the image again.

        While the image for the next run is pulled, the status stays so.
        """
        between_runs = use.state is RunState.TERMINATED or use.reason == CRASHED
        return between_runs and use.ended_at is not None and use.ended_at <= self.events.pulling.node

    def waits(self, *, watched: bool) -> bool:
        """Whether events or status are evidence that it waits for the image now.

        `watched` means that the status is the present one, and not that of the last recheck.
        """
        if watched and self.use is not None and self.use.state is RunState.RUNNING:
            return False
        return self._is_requested or self._is_missing

    @property
    def _is_requested(self) -> bool:
        past, events = max(self.present_at, self.pulled_at), self.events
        latest = max(events.pulling.arrived, events.failed.arrived, events.backed_off.arrived)
        # No event says that a pause image was asked for or has come.
        asked = events.failing if self.user == SANDBOX else events.requested
        return asked and (past == NEVER or latest > past)

    @property
    def _is_missing(self) -> bool:
        """Whether the status says that the image is missing, and nothing newer contradicts it."""
        if self.status is not ImageStatus.MISSING:
            return False
        events = self.events
        if self.user.type is ContainerType.VOLUME and events.pulled.node > NEVER:
            # The container that cannot start does not say which of its volumes is missing.
            return events.requested or events.failing
        failed = max(events.failed.node, events.backed_off.node)
        if self.status_at == NEVER and NEVER < failed <= events.pulled.node:
            return events.requested  # it was there from the first, and tells of a failure before the image came
        return self.status_at >= max(events.pulled.arrived, self.pulled_at)

    @property
    def trying(self) -> bool:
        """Whether an attempt may be running: on a retry the status still shows the last failure."""
        if self.status is ImageStatus.MISSING:
            return self.events.trying and self.events.pulling.arrived >= self.status_at
        return not self.events.failing

    def is_refused(self, pull: NodePull) -> bool:
        """Whether the kubelet said, after that pull began, that this container's attempt failed.

        Then the pull is another pod's. It shows how far the image is on the node, not whether this pod may use it.
        """
        events, started_at, began_at = self.events, pull.pull.started_at, pull.began_at
        if self.trying or started_at is None or began_at is None:
            return False
        if self.status is ImageStatus.MISSING and self.status_at >= began_at:
            return True
        last = max(events.failed, events.backed_off)
        if last.arrived < began_at and (last.arrived > NEVER or not pull.timed):
            return False  # the failure arrived before the pull began
        # The stamps are whole seconds. In doubt the failure came later.
        return events.failing and (not pull.timed or last.node + 1.0 > started_at)

    @property
    def failing_phase(self) -> PodPhase:
        """Failed, or already in back-off before the next attempt."""
        if self.status is ImageStatus.MISSING:
            return PodPhase.BACKOFF if self.waiting.kind is Kind.BACK_OFF else PodPhase.FAILED
        return PodPhase.BACKOFF if self.events.backing_off else PodPhase.FAILED

    @property
    def failure(self) -> FailureReason | None:
        """Why the last attempt failed; None when none failed, or the reason is not known."""
        if self.waiting.failure is not None:
            return self.waiting.failure
        events = self.events
        reason = events.failure if events.failed.node > events.pulled.node else None
        # The later one counts: the last reason in the status, or that of the last event.
        return (
            reason
            if reason is not None and events.failed.arrived >= self.last_failure_at
            else self.last_failure or reason
        )

    @property
    def requested_at(self) -> NodeTime | None:
        """When the kubelet asked for the image in the present attempt; None without one, or while it is not known."""
        return self.events.pulling.node if self.events.requested and self.trying else None

    def since(self, created: Monotonic, now: Monotonic) -> Monotonic:
        """When the wait that events or status show began. `created` is the pod's creation."""
        if self.events.requested:
            return self.events.requested_at
        if self.user == SANDBOX:
            return self.events.failing_since
        if self.status_at > NEVER:
            return now
        # A status that was there when the pod was first seen may be as old as the pod, unless an event tells more.
        return self.events.failing_since if self.events.failing else created


def _words(use: ImageUse) -> tuple[str, str, str, NodeTime | None]:
    return use.state, use.reason, use.message, use.ended_at
