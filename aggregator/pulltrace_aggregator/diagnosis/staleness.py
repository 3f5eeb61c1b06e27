"""Which pulls are stale, by ages alone: no two machines' clocks are compared, and nothing is ever called completed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pulltrace.model.pull import Phase, Pull
from pulltrace_aggregator.model.exporter import NodeReading, NodeState
from pulltrace_aggregator.model.states import StaleReason


@dataclass(frozen=True, slots=True)
class StaleLimits:
    """From which age on, in seconds; 0 turns a reason off."""

    no_progress: float = 60.0
    unpack: float = 600.0
    slow_eta: float = 3600.0
    resolving: float = 30.0
    exporter: float = 60.0

    @property
    def silence(self) -> float:
        """How long an exporter that may be silent for ever, as far as pulls go, counts as one that answers."""
        return self.exporter or DEFAULT_SILENCE


DEFAULT_SILENCE: Final = 60.0


def is_silent(reading: NodeReading, since: float, limits: StaleLimits, now: float) -> bool:
    """Whether a node has no exporter that answers; one that nobody has found yet has had time since `since`."""
    if reading.state is NodeState.OK:
        return False
    silent_since = since if reading.state is NodeState.UNKNOWN else reading.silent_since
    return now - (since if silent_since is None else silent_since) >= limits.silence


def stale_reason(pull: Pull, reading: NodeReading, limits: StaleLimits, now: float) -> StaleReason | None:
    """The one reason why a pull is stale at the monotonic time `now`; None when it is not."""
    for reason, holds in _RULES:
        if holds(pull, reading, limits, now):
            return reason
    return None


def resolving_stale(reading: NodeReading, limits: StaleLimits, now: float) -> int:
    """Number of pulls of the node whose registry has not answered for too long."""
    report, answered = reading.report, reading.answered_at
    if report is None or answered is None or not limits.resolving:
        return 0
    # Of one that does not answer nobody knows what has come since.
    known_at = now if reading.state is NodeState.OK else answered
    return sum(known_at + reading.ahead - start >= limits.resolving for start in report.resolving)


def next_change(reading: NodeReading, limits: StaleLimits, now: float) -> float:
    """The monotonic time of the next look at which something may have got stale by itself; infinity for never.

    It is past while only the node's next answer can tell.
    """
    report, answered = reading.report, reading.answered_at
    if report is None or answered is None:
        return float("inf")
    running = [pull for pull in report.pulls if not pull.phase.ended]
    still = [moved + _patience(pull, limits) for pull in running if (moved := reading.progressed(pull)) is not None]
    later = [start - reading.ahead + limits.resolving for start in report.resolving]
    if report.pulls and reading.silent_since is not None:
        later.append(reading.silent_since + limits.silence)
    return min(
        *(instant for instant in still if instant > answered),
        *(instant for instant in later if instant > now),
        float("inf"),
        float("inf"),
    )


def _patience(pull: Pull, limits: StaleLimits) -> float:
    return limits.unpack if pull.phase is Phase.UNPACKING else limits.no_progress


def _is_orphaned(pull: Pull, _: NodeReading, __: StaleLimits, ___: float) -> bool:
    return pull.phase is Phase.ORPHANED


def _is_unreachable(pull: Pull, reading: NodeReading, limits: StaleLimits, now: float) -> bool:
    since = reading.silent_since
    return not pull.phase.ended and since is not None and 0 < limits.exporter <= now - since


def _stands_still(phase: Phase, limit: Callable[[StaleLimits], float]) -> "_Rule":
    def holds(pull: Pull, reading: NodeReading, limits: StaleLimits, _: float) -> bool:
        progressed = reading.progressed(pull)
        if pull.phase is not phase or reading.answered_at is None or progressed is None:
            return False
        # What happened since the last answer nobody knows: the age is that of then.
        return 0 < limit(limits) <= reading.answered_at - progressed

    return holds


def _is_slow(pull: Pull, _: NodeReading, limits: StaleLimits, __: float) -> bool:
    eta = None if pull.phase.ended else pull.eta_seconds
    return eta is not None and 0 < limits.slow_eta < eta


_Rule = Callable[[Pull, NodeReading, StaleLimits, float], bool]
_RULES: Final[tuple[tuple[StaleReason, _Rule], ...]] = (
    (StaleReason.ORPHANED, _is_orphaned),
    (StaleReason.EXPORTER_UNREACHABLE, _is_unreachable),
    (StaleReason.NO_PROGRESS, _stands_still(Phase.DOWNLOADING, lambda limits: limits.no_progress)),
    (StaleReason.UNPACK_NO_PROGRESS, _stands_still(Phase.UNPACKING, lambda limits: limits.unpack)),
    (StaleReason.SLOW, _is_slow),
)
