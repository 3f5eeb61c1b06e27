"""One container of one pod and its image: its wait, from status and events together. No I/O, no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pulltrace.clock import NEVER, Monotonic, NodeTime
from pulltrace_aggregator.kubelet.container_status import ImageStatus, image_status
from pulltrace_aggregator.kubelet.messages import parse_waiting
from pulltrace_aggregator.model.cluster import SANDBOX, ImageUse, ImageUser, RunState
from pulltrace_aggregator.model.image_message import UNKNOWN, ImageMessage, Kind
from pulltrace_aggregator.model.states import ContainerType, FailureReason, MatchKind, PodPhase
from pulltrace_aggregator.model.view import NodePull
from pulltrace_aggregator.pods.pull_events import PullEvents

ContainerKey = tuple[ContainerType, str, str]
"""Type and name of a container or volume; the image instead of a name that is not known."""


class Stage(StrEnum):
    """The values of the label `stage`."""

    QUEUE = "queue"
    RESOLVE = "resolve"
    DOWNLOAD = "download"
    UNPACK = "unpack"
    BACKOFF = "backoff"


_STAGES: Final = {
    PodPhase.QUEUED: Stage.QUEUE,
    PodPhase.RESOLVING: Stage.RESOLVE,
    PodPhase.DOWNLOADING: Stage.DOWNLOAD,
    PodPhase.UNPACKING: Stage.UNPACK,
    PodPhase.BACKOFF: Stage.BACKOFF,
    PodPhase.FAILED: Stage.BACKOFF,
}
_RUNNING: Final = (Stage.RESOLVE, Stage.DOWNLOAD, Stage.UNPACK)
_ATTEMPT: Final = (Stage.QUEUE, *_RUNNING)

TOLERATED_UNKNOWN: Final = 0.1
"""The part of a wait that may be unknown if its stages are to be counted."""
TOLERATED_SECONDS: Final = 2.0
"""This many seconds may always be unknown: the time until the node is polled for the first time."""


@dataclass(slots=True)
class StageTimer:
    """Times the stages of a wait as its phases come and go. Instants are monotonic, sums are seconds."""

    since: Monotonic
    phase: PodPhase = PodPhase.UNKNOWN
    earlier: dict[Stage, float] = field(default_factory=dict)
    attempt: dict[Stage, float] = field(default_factory=dict)
    unknown: float = 0.0

    def enter(self, phase: PodPhase, now: Monotonic) -> None:
        """The wait is in this phase from now on."""
        if phase is self.phase:
            return
        self._add(now - self.since)
        if _STAGES.get(phase) is Stage.BACKOFF:
            self._close_attempt()
        self.phase, self.since = phase, now

    def seconds(self, now: Monotonic, pulled: ImageMessage | None = None) -> Mapping[Stage, float] | None:
        """Each stage's time, for a wait that ends now; None where too much of it is not known.

        The event `Pulled` corrects the last attempt: our questions to a node are seconds apart.
        """
        self.enter(PodPhase.PULLED, now)
        last = _corrected(self.attempt, pulled)
        known = sum(self.earlier.values()) + sum(last.values())
        if self.unknown > max(TOLERATED_SECONDS, TOLERATED_UNKNOWN * (self.unknown + known)):
            return None
        return {stage: self.earlier.get(stage, 0.0) + last.get(stage, 0.0) for stage in Stage}

    def _add(self, seconds: float) -> None:
        stage = _STAGES.get(self.phase)
        if stage is None:
            self.unknown += seconds if self.phase is PodPhase.UNKNOWN else 0.0
        else:
            into = self.earlier if stage is Stage.BACKOFF else self.attempt
            into[stage] = into.get(stage, 0.0) + seconds

    def _close_attempt(self) -> None:
        for stage, seconds in self.attempt.items():
            self.earlier[stage] = self.earlier.get(stage, 0.0) + seconds
        self.attempt.clear()


def _corrected(attempt: Mapping[Stage, float], pulled: ImageMessage | None) -> Mapping[Stage, float]:
    if pulled is None or pulled.pull_seconds is None:
        return attempt
    if pulled.waiting_seconds is None:
        return _scaled(attempt, _ATTEMPT, pulled.pull_seconds)  # up to 1.25 the queue is in it
    return {Stage.QUEUE: pulled.waiting_seconds, **_scaled(attempt, _RUNNING, pulled.pull_seconds)}


def _scaled(seen: Mapping[Stage, float], stages: Iterable[Stage], whole: float) -> dict[Stage, float]:
    """The whole, shared out as was seen; a pull that was too short to be seen has downloaded."""
    parts = {stage: seen.get(stage, 0.0) for stage in stages}
    total = sum(parts.values())
    if not total:
        return {Stage.DOWNLOAD: whole}
    return {stage: whole * seconds / total for stage, seconds in parts.items()}


@dataclass(slots=True, eq=False)
class ImageWait:
    """One wait for one image, from the first evidence to the linger's end. Instants are monotonic.

    `since` is when it began, as far as one can tell, and `opened_at` when it was first seen. `pull` is the last one
    that was matched to it. `ended_at` is when the image came: by an event `Pulled`, which is `pulled`, by the
    container's status, or with its pull, which is not `confirmed`: the kubelet may still refuse it to this pod.
    `counted` means that its stages were, or never will be. `guessed` means that `since` is the pod's creation, for want
    of anything better.
    """

    since: Monotonic
    opened_at: Monotonic
    stages: StageTimer
    match: MatchKind = MatchKind.NONE
    pull: NodePull | None = None
    ended_at: Monotonic | None = None
    pulled: ImageMessage | None = None
    confirmed: bool = False
    counted: bool = False
    guessed: bool = False

    @classmethod
    def begin(cls, since: Monotonic, now: Monotonic) -> "ImageWait":
        """A wait that is first seen now, and began at `since`."""
        since = min(since, now)
        return cls(since, now, StageTimer(since))

    @property
    def only_listed(self) -> bool:
        """Whether it is known from a list of events alone, and its node was not reconciled since."""
        return self.counted and self.stages.phase is PodPhase.UNKNOWN

    def end(self, now: Monotonic, pulled: ImageMessage | None = None, *, confirmed: bool = True) -> None:
        """The image is there."""
        self.ended_at, self.pulled, self.confirmed = now, pulled, confirmed

    def enter(self, phase: PodPhase, now: Monotonic) -> None:
        """The wait is in this phase from now on; in its last one since it ended."""
        self.stages.enter(phase, now if self.ended_at is None else self.ended_at)


@dataclass(slots=True, eq=False)
class ContainerImage:
    """One container or image volume of a pod, and its image as written there.

    `waiting` is what the status says while it waits. `status_at` is when its words changed while we watched,
    `present_at` when they last said that the image is there, `pulled_at` when its pull succeeded: what came before is
    no evidence any more. `last_failure` is the last reason that the status has given for the image's absence, at
    `last_failure_at`: before 1.32 back-off does not repeat it.
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
        """Take in the present status; returns whether it says anything new."""
        before, self.use = self.use, use
        if before is not None and _words(before) == _words(use):
            return False
        failed_before = self.status is ImageStatus.MISSING and self.waiting.kind is not Kind.BACK_OFF
        self.waiting = parse_waiting(use.reason, use.message)
        self.status = image_status(use, self.waiting)
        if before is None:
            self.status_at = NEVER
        elif not (failed_before and self.waiting.kind is Kind.BACK_OFF):
            # A pause is the end of the attempt whose failure was told before. The kubelet often writes it at its next
            # look at the pod, when the next attempt has begun.
            self.status_at = now
        if self.waiting.failure is not None:
            self.last_failure, self.last_failure_at = self.waiting.failure, self.status_at
        if self.status is ImageStatus.PRESENT:
            self.present_at, self.last_failure = now, None
        return True

    def waits(self, *, watched: bool) -> bool:
        """Whether events or status are evidence that it waits for the image now.

        `watched` means that the status is that of now, and not that of the last recheck.
        """
        if watched and self.use is not None and self.use.state is RunState.RUNNING:
            return False
        return self._is_requested or self._is_missing

    @property
    def _is_requested(self) -> bool:
        past, events = max(self.present_at, self.pulled_at), self.events
        latest = max(events.pulling.arrived, events.failed.arrived, events.backed_off.arrived)
        # No event says that a pause image is asked for, or that it came.
        asked = events.failing if self.user == SANDBOX else events.requested
        return asked and (past == NEVER or latest > past)

    @property
    def _is_missing(self) -> bool:
        """Whether the status says that it waits, and nothing newer contradicts."""
        if self.status is not ImageStatus.MISSING:
            return False
        events = self.events
        if self.user.type is ContainerType.VOLUME and events.pulled.node > NEVER:
            # The container that cannot be started does not say which of its volumes it is.
            return events.requested or events.failing
        return self.status_at >= max(events.pulled.arrived, self.pulled_at)

    @property
    def trying(self) -> bool:
        """Whether an attempt may be running: on a retry the status still shows the last failure."""
        if self.status is ImageStatus.MISSING:
            return self.events.trying and self.events.pulling.arrived >= self.status_at
        return not self.events.failing

    def is_refused(self, pull: NodePull) -> bool:
        """Whether the kubelet said that this container's attempt failed while that pull went on, or after it.

        Then the pull is another pod's: it tells how far the image is on the node, not whether this pod may have it.
        """
        events, started_at, began_at = self.events, pull.pull.started_at, pull.began_at
        if self.trying or started_at is None or began_at is None:
            return False
        if self.status is ImageStatus.MISSING and self.status_at >= began_at:
            return True
        last = max(events.failed, events.backed_off)
        if last.arrived < began_at and (last.arrived > NEVER or not pull.timed):
            return False  # it had arrived before the pull began
        # Events have whole seconds. In case of doubt the failure came later.
        return events.failing and (not pull.timed or last.node + 1.0 > started_at)

    @property
    def failing_phase(self) -> PodPhase:
        """How a failure shows: still fresh, or already a pause before the next attempt."""
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
        # Of the last reason in the status and that of an event, the later one counts.
        return (
            reason
            if reason is not None and events.failed.arrived >= self.last_failure_at
            else self.last_failure or reason
        )

    @property
    def requested_at(self) -> NodeTime | None:
        """When the kubelet asked for the image in the present attempt."""
        return self.events.pulling.node if self.events.requested and self.trying else None

    def since(self, created: Monotonic, now: Monotonic) -> Monotonic:
        """When the wait that events or status show began. `created` is the pod's creation."""
        if self.events.requested:
            return self.events.requested_at
        if self.user == SANDBOX:
            return self.events.failing_since
        # A status that was there when the pod was first seen may be as old as the pod.
        return now if self.status_at > NEVER else created


def _words(use: ImageUse) -> tuple[str, str, str]:
    return use.state, use.reason, use.message
