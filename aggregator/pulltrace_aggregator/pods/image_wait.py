"""One user of an image in one pod: what status and events together tell of its wait. No I/O, no clock."""

from dataclasses import dataclass, field

from pulltrace.model.pull import Pull
from pulltrace_aggregator.kubelet.container_status import ImageStatus, image_status
from pulltrace_aggregator.kubelet.messages import parse_waiting
from pulltrace_aggregator.model.cluster import ImageUse, RunState
from pulltrace_aggregator.model.containers import ContainerType, ImageUser
from pulltrace_aggregator.model.image_message import UNKNOWN, ImageMessage, Kind
from pulltrace_aggregator.model.states import FailureReason, MatchKind, PodPhase
from pulltrace_aggregator.pods.pull_events import NEVER, Signals
from pulltrace_aggregator.pods.stage_timer import Anatomy

SeekerKey = tuple[ContainerType, str, str]
"""Type and name of a container or volume; the image instead of a name that is not known."""


@dataclass(slots=True, eq=False)
class Wait:
    """One wait for one image, from the first evidence to the linger's end. Instants are monotonic.

    `since` is when it began, as far as one can tell, and `opened` when it was first seen. `pull` is the last one that
    was matched to it. `over` is when the image came: by the kubelet's word, which is `said`, by the container's status,
    or with its pull. `counted` means that its anatomy was, or never will be. `guessed` means that `since` is the pod's
    creation, for want of anything better.
    """

    since: float
    opened: float
    anatomy: Anatomy
    match: MatchKind = MatchKind.NONE
    pull: Pull | None = None
    over: float | None = None
    said: ImageMessage | None = None
    counted: bool = False
    guessed: bool = False

    @classmethod
    def begin(cls, since: float, now: float) -> "Wait":
        """A wait that is first seen now, and began at `since`."""
        since = min(since, now)
        return cls(since, now, Anatomy(since))

    @property
    def old_news(self) -> bool:
        """Whether a list told of it, and nobody has looked at its node since."""
        return self.counted and self.anatomy.phase is PodPhase.UNKNOWN

    def end(self, now: float, said: ImageMessage | None = None) -> None:
        """The image is there."""
        self.over, self.said = now, said


@dataclass(slots=True, eq=False)
class Seeker:
    """One container or image volume of a pod, and its image as written there.

    `waiting` is what the status says while it waits. `status_at` is when its words changed before our eyes, `there_at`
    when they last said that the image is there, `settled_at` when its pull succeeded: what came before that is no
    evidence any more. `told` is the last reason that the status has given for the image's absence, at `told_at`:
    before 1.32 back-off is silent about that.
    """

    user: ImageUser
    image: str
    use: ImageUse | None = None
    signals: Signals = field(default_factory=Signals)
    status: ImageStatus = ImageStatus.UNKNOWN
    waiting: ImageMessage = UNKNOWN
    told: FailureReason | None = None
    told_at: float = NEVER
    status_at: float = NEVER
    there_at: float = NEVER
    settled_at: float = NEVER
    wait: Wait | None = None

    @property
    def key(self) -> SeekerKey:
        """What tells it from the other users in its pod."""
        return self.user.type, self.user.name, "" if self.user.name else self.image

    def take_status(self, use: ImageUse, now: float) -> bool:
        """Take in the present status; returns whether it says anything new."""
        before, self.use = self.use, use
        if before is not None and _words(before) == _words(use):
            return False
        self.waiting = parse_waiting(use.reason, use.message)
        self.status = image_status(use, self.waiting)
        self.status_at = NEVER if before is None else now
        if self.waiting.failure is not None:
            self.told, self.told_at = self.waiting.failure, self.status_at
        if self.status is ImageStatus.PRESENT:
            self.there_at, self.told = now, None
        return True

    def waits(self, *, watched: bool) -> bool:
        """Whether events or status are evidence that it waits for the image now.

        `watched` tells that the status is as it is now, and not as it was at the last look.
        """
        if watched and self.use is not None and self.use.state is RunState.RUNNING:
            return False
        return self._asked or self._missing

    @property
    def _asked(self) -> bool:
        past = max(self.there_at, self.settled_at)
        return self.signals.open and (past == NEVER or self.signals.asked.arrived > past)

    @property
    def _missing(self) -> bool:
        """Whether the status says so, and nothing newer says otherwise."""
        if self.status is not ImageStatus.MISSING:
            return False
        signals = self.signals
        if self.user.type is ContainerType.VOLUME and signals.pulled.node > NEVER:
            # The container that cannot be started does not say which of its volumes it is.
            return signals.open or signals.failing
        return self.status_at >= max(signals.pulled.arrived, self.settled_at)

    @property
    def trying(self) -> bool:
        """Whether an attempt may be running: on a retry the status goes on to tell of the last failure."""
        if self.status is ImageStatus.MISSING:
            return self.signals.trying and self.signals.asked.arrived >= self.status_at
        return not self.signals.failing

    @property
    def failing_phase(self) -> PodPhase:
        """How a failure shows: still fresh, or already a pause before the next attempt."""
        if self.status is ImageStatus.MISSING:
            return PodPhase.BACKOFF if self.waiting.kind is Kind.BACK_OFF else PodPhase.FAILED
        return PodPhase.BACKOFF if self.signals.backing_off else PodPhase.FAILED

    @property
    def failure(self) -> FailureReason | None:
        """Why the last attempt failed; None when none did, or nobody says why."""
        if self.waiting.failure is not None:
            return self.waiting.failure
        signals = self.signals
        heard = signals.failure if signals.failed.node > signals.pulled.node else None
        # Of what the status has told before and what an event tells, the one that came last.
        return heard if heard is not None and signals.failed.arrived >= self.told_at else self.told or heard

    @property
    def asked_at(self) -> float | None:
        """When the kubelet asked for the image in the present attempt, on the node's clock."""
        return self.signals.asked.node if self.signals.open and self.trying else None

    def since(self, created: float, now: float) -> float:
        """When the wait that events or status show began, monotonic. `created` is the pod's creation."""
        if self.signals.open:
            return self.signals.since
        # A status that was there when the pod was first seen may be as old as the pod.
        return now if self.status_at > NEVER else created


def _words(use: ImageUse) -> tuple[str, str, str]:
    return use.state, use.reason, use.message
