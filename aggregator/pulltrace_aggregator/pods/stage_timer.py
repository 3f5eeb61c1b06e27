"""Where the time of one image wait went: queue, resolve, download, unpack, back-off."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pulltrace.clock import Monotonic
from pulltrace_aggregator.model.image_message import ImageMessage
from pulltrace_aggregator.model.states import PodPhase


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
"""Part of a wait whose stage may be unknown in a wait whose stages are counted."""
TOLERATED_SECONDS: Final = 2.0
"""And so many seconds always: the time until the node is asked for the first time."""


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
