"""How the waits of one node go on: begun and ended by what its pulls show, and the phase that each is in."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from pulltrace.model.pull import NodeReport, Phase, Pull
from pulltrace_aggregator.join.correlate import UNMATCHED, Claim, Match, Teacher, correlate
from pulltrace_aggregator.join.pull_queue import Line, line_up, wanted
from pulltrace_aggregator.kubelet.container_status import ImageStatus
from pulltrace_aggregator.model.exporter import NodeReading
from pulltrace_aggregator.model.states import MatchKind, PodPhase
from pulltrace_aggregator.pods.image_wait import Seeker, Wait
from pulltrace_aggregator.pods.pod import PodRecord

ANSWER_SECONDS: Final = 5.0
"""A node that is asked so long after the kubelet's request, and shows nothing at all, does not work on it."""
WORD_SECONDS: Final = 5.0
"""So long after a pull came to nothing the kubelet has said whose it was."""

_OF_PULL: Final = {Phase.DOWNLOADING: PodPhase.DOWNLOADING, Phase.UNPACKING: PodPhase.UNPACKING}
_IN_VAIN: Final = (Phase.FAILED, Phase.ORPHANED)
_NO_INTENTS: Final[Mapping[str, float]] = {}


@dataclass(slots=True)
class Followed:
    """One user of an image with its wait, the pull that was found for it, and its phase."""

    record: PodRecord
    seeker: Seeker
    wait: Wait
    claim: Claim
    match: Match
    phase: PodPhase = PodPhase.UNKNOWN


@dataclass(frozen=True, slots=True)
class _Look:
    """One node at one moment. `intents` is since when the kubelet queues an image, by `wanted` text."""

    reading: NodeReading
    report: NodeReport | None
    intents: Mapping[str, float]
    now: float
    linger: float
    silent: bool


def follow(
    records: Iterable[PodRecord],
    reading: NodeReading,
    pulls: Iterable[Pull],
    taught: Teacher,
    now: float,
    linger: float,
    *,
    silent: bool,
) -> tuple[list[Followed], Line]:
    """Bring the waits of a node's pods up to the monotonic time `now`, and put what has no pull in line."""
    report = reading.report
    intents = {wanted(image.reference): image.since for image in report.queued} if report else _NO_INTENTS
    look = _Look(reading, report, intents, now, linger, silent)
    seekers = {
        (record.uid, seeker.key): (record, seeker, claim)
        for record in records
        for seeker in record.seekers.values()
        if (claim := _claim(record, seeker, look)) is not None
    }
    if not seekers:
        return [], line_up((), report, {}) if report else Line()
    matches = correlate([claim for _, _, claim in seekers.values()], pulls, taught)
    followed = [
        Followed(record, seeker, wait, claim, matches[key])
        for key, (record, seeker, claim) in seekers.items()
        if (wait := _goes_on(record, seeker, matches[key], look)) is not None
    ]
    return followed, _place(followed, look)


def _claim(record: PodRecord, seeker: Seeker, look: _Look) -> Claim | None:
    wait = seeker.wait
    if wait is None and not record.is_possible(seeker) and not seeker.waits(watched=record.watched):
        return None
    intent = look.intents.get(wanted(seeker.image))
    # The kubelet's stamps say nothing on a clock that is not the node's.
    asked_at = seeker.asked_at if look.reading.timed else None
    return Claim(
        key=(record.uid, seeker.key),
        image=seeker.image,
        asked_at=intent if asked_at is None else asked_at,
        since=(look.now if wait is None else wait.since) + look.reading.ahead,
        sure=wait is not None or intent is not None,
        trying=seeker.trying,
        done=wait is not None and wait.over is not None,
    )


# The wait


def _goes_on(record: PodRecord, seeker: Seeker, match: Match, look: _Look) -> Wait | None:
    """The wait as it is now; None when there is none (any more)."""
    wait = seeker.wait
    if wait is None:
        since = _evident_since(record, seeker, match, look)
        if since is None:
            return None
        wait = seeker.wait = Wait.begin(since, look.now)
    elif _is_past(wait, look) if wait.over is not None else not _is_evident(record, seeker, match, look):
        wait = seeker.wait = None
    if wait is not None and match.pull is not None:
        wait.match, wait.pull = match.kind, match.pull
        if wait.over is None and match.pull.phase is Phase.SUCCEEDED:
            wait.end(look.now)
            seeker.settled_at = look.now
    return wait


def _is_past(wait: Wait, look: _Look) -> bool:
    return wait.over is not None and look.now - wait.over >= look.linger


def _evident_since(record: PodRecord, seeker: Seeker, match: Match, look: _Look) -> float | None:
    """Since when there is evidence that it waits, monotonic; None when there is none."""
    if seeker.waits(watched=record.watched):
        return seeker.since(record.created, look.now)
    intent = look.intents.get(wanted(seeker.image))
    if intent is not None:
        return max(record.created, intent - look.reading.ahead)
    if match.pull is not None and not match.pull.phase.ended:
        begun = look.reading.begun(match.pull)
        return look.now if begun is None else max(record.created, begun)
    return None


def _is_evident(record: PodRecord, seeker: Seeker, match: Match, look: _Look) -> bool:
    """Whether an open wait goes on. A pod whose last sight is to be verified stays as it was."""
    return (
        record.left_at is not None
        or seeker.waits(watched=record.watched)
        or (match.pull is not None and look.now < _word_due(match.pull, look.reading))
        or wanted(seeker.image) in look.intents
    )


def _word_due(pull: Pull, reading: NodeReading) -> float:
    """Until when a pull alone is evidence, monotonic: one that failed says nothing of who has not asked for it."""
    if pull.phase not in _IN_VAIN:
        return float("inf")
    return (reading.read_at if pull.ended_at is None else pull.ended_at - reading.ahead) + WORD_SECONDS


def next_word(followed: Iterable[Followed], reading: NodeReading, now: float) -> float:
    """When a wait that a failed pull alone tells of may be over."""
    due = (_word_due(entry.match.pull, reading) for entry in followed if entry.match.pull is not None)
    return min((at for at in due if at > now), default=float("inf"))


# The phase


def _place(followed: list[Followed], look: _Look) -> Line:
    in_line: list[Followed] = []
    for entry in followed:
        phase = _known_phase(entry, look)
        if phase is None:
            in_line.append(entry)
        else:
            entry.phase = phase
    if look.report is None:
        return Line()
    line = line_up((entry.claim for entry in in_line), look.report, _serving(followed))
    for entry in in_line:
        resolving = wanted(entry.claim.image) in line.resolving
        entry.phase = PodPhase.RESOLVING if resolving else PodPhase.QUEUED
    return line


def _known_phase(entry: Followed, look: _Look) -> PodPhase | None:
    """The phase, None when the place in the kubelet's line tells it."""
    pull = entry.match.pull
    if entry.wait.over is not None:
        return PodPhase.PULLED
    if pull is not None and not pull.phase.ended:
        return _OF_PULL[pull.phase]
    if not entry.seeker.trying or _is_idle(entry, look):
        return entry.seeker.failing_phase
    if entry.match.kind is MatchKind.AMBIGUOUS:
        return _common_phase(entry.match.candidates)
    if pull is not None:
        return PodPhase.FAILED
    return PodPhase.UNKNOWN if _is_dark(entry, look) else None


def _common_phase(pulls: Iterable[Pull]) -> PodPhase:
    phases = {pull.phase for pull in pulls}
    return _OF_PULL[phases.pop()] if len(phases) == 1 else PodPhase.UNKNOWN


def _is_idle(entry: Followed, look: _Look) -> bool:
    """Whether the status tells of a failure and the node does nothing: the attempt that an event told of is over."""
    report, answered = look.report, look.reading.answered_at
    if entry.seeker.status is not ImageStatus.MISSING or report is None or answered is None or not report.daemon.up:
        return False
    if report.resolving or report.queued or any(not pull.phase.ended for pull in report.pulls):
        return False
    return answered >= entry.seeker.signals.asked.arrived + ANSWER_SECONDS


def _is_dark(entry: Followed, look: _Look) -> bool:
    """Whether nobody knows what the node does for this one."""
    answered = look.reading.answered_at
    if look.report is None or answered is None or not look.report.daemon.up:
        return True
    return look.silent and entry.wait.since > answered


def _serving(followed: Iterable[Followed]) -> dict[int, str]:
    """The image that a running pull is for, in a pod's words."""
    return {
        id(entry.match.pull): entry.seeker.image
        for entry in followed
        if entry.match.pull is not None and entry.match is not UNMATCHED
    }
