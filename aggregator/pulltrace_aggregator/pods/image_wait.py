"""One wait for one image, and how long each of its stages took. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pulltrace.clock import Monotonic
from pulltrace_aggregator.model.image_message import ImageMessage
from pulltrace_aggregator.model.node import NodePull
from pulltrace_aggregator.model.states import MatchKind, PodPhase


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
"""Stages are counted if no more than this part of the wait is unknown."""
TOLERATED_SECONDS: Final = 2.0
"""This many seconds may always be unknown: the time until the node is first read."""


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
        """The time of each stage, for a wait that ends now; None if the phase was unknown for too long.

        The durations in the event `Pulled` correct the last attempt: reads of a node are seconds apart.
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
        return _scaled(attempt, _ATTEMPT, pulled.pull_seconds)  # up to 1.25 it includes the queue
    return {Stage.QUEUE: pulled.waiting_seconds, **_scaled(attempt, _RUNNING, pulled.pull_seconds)}


def _scaled(seen: Mapping[Stage, float], stages: Iterable[Stage], whole: float) -> dict[Stage, float]:
    """Split the whole time in proportion to the stages seen. A pull that was too short to be seen is a download."""
    parts = {stage: seen.get(stage, 0.0) for stage in stages}
    total = sum(parts.values())
    if not total:
        return {Stage.DOWNLOAD: whole}
    return {stage: whole * seconds / total for stage, seconds in parts.items()}


@dataclass(slots=True, eq=False)
class ImageWait:
    """One wait for one image, from the first evidence to the end of its linger. Instants are monotonic.

    `since` is when it began, as far as is known, and `opened_at` when it was first seen. `pull` is the last pull that
    was matched to it. `ended_at` is when the image came, by the kubelet's event, by the container's status, or because
    the matched pull succeeded. `pulled` is the message of the event `Pulled`. `confirmed` means that the kubelet told
    of the end. While only the pull does, the wait is not over: the kubelet may still refuse the image to this pod.
    `counted` means that the counters have the wait already, or must not have it. `guessed` means that `since` is the
    pod's creation, as nothing better is known.
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
        """A wait that is first seen now and began at `since`, or now if that is in the future."""
        since = min(since, now)
        return cls(since, now, StageTimer(since))

    @property
    def only_listed(self) -> bool:
        """Whether only a list of events tells of it, and its node was not reconciled since."""
        return self.counted and self.stages.phase is PodPhase.UNKNOWN

    def end(self, now: Monotonic, pulled: ImageMessage | None = None, *, confirmed: bool = True) -> None:
        """The image is there."""
        self.ended_at, self.pulled, self.confirmed = now, pulled, confirmed

    def enter(self, phase: PodPhase, now: Monotonic) -> None:
        """The wait is in this phase from now on. A wait that has ended is in it since its end."""
        self.stages.enter(phase, now if self.ended_at is None else self.ended_at)
