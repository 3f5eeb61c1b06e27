"""Which pulls are stale, by ages alone: no two machines' clocks are compared, and nothing is ever called completed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pulltrace.clock import Monotonic
from pulltrace.model.pull import Phase, Pull
from pulltrace_aggregator.model.clocks import Deadlines
from pulltrace_aggregator.model.exporter import NodeReading, NodeState
from pulltrace_aggregator.model.states import StaleReason

DEFAULT_SILENCE: Final = 60.0


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
        """How long an exporter that does not answer counts as one that does, also where the reason is turned off."""
        return self.exporter or DEFAULT_SILENCE


def is_silent(reading: NodeReading, since: Monotonic, limits: StaleLimits, deadlines: Deadlines) -> bool:
    """Whether a node has no exporter that answers; one that nobody has found yet has had time since `since`."""
    if reading.state is NodeState.OK:
        return False
    silent_since = since if reading.state is NodeState.UNKNOWN else reading.silent_since
    return deadlines.reached((since if silent_since is None else silent_since) + limits.silence)


def resolving_stale(reading: NodeReading, limits: StaleLimits, deadlines: Deadlines) -> int:
    """Number of pulls of the node whose registry has not answered for too long."""
    if not limits.resolving:
        return 0
    # Of one that does not answer nobody knows what has come since.
    known_until = deadlines.now if reading.state is NodeState.OK else reading.answered_at
    due = [reading.to_monotonic(start) + limits.resolving for start in reading.resolving]
    return sum(deadlines.reached(instant, known_until) for instant in due)


def stale_reason(pull: Pull, reading: NodeReading, limits: StaleLimits, deadlines: Deadlines) -> StaleReason | None:
    """The one reason why a pull is stale now; None when it is not."""
    for reason, holds in _RULES:
        if holds(pull, reading, limits, deadlines):
            return reason
    return None


def _is_orphaned(pull: Pull, _: NodeReading, __: StaleLimits, ___: Deadlines) -> bool:
    return pull.phase is Phase.ORPHANED


def _is_unreachable(pull: Pull, reading: NodeReading, limits: StaleLimits, deadlines: Deadlines) -> bool:
    since = reading.silent_since
    if pull.phase.ended or since is None or not limits.exporter:
        return False
    return deadlines.reached(since + limits.exporter)


def _stands_still(phase: Phase, limit: Callable[[StaleLimits], float]) -> "_Rule":
    def holds(pull: Pull, reading: NodeReading, limits: StaleLimits, deadlines: Deadlines) -> bool:
        progressed = reading.progressed_at(pull)
        if pull.phase is not phase or progressed is None or not limit(limits):
            return False
        # What happened since the last answer nobody knows: the age is that of then.
        return deadlines.reached(progressed + limit(limits), known_until=reading.answered_at)

    return holds


def _is_slow(pull: Pull, _: NodeReading, limits: StaleLimits, __: Deadlines) -> bool:
    eta = None if pull.phase.ended else pull.eta_seconds
    return eta is not None and 0 < limits.slow_eta < eta


_Rule = Callable[[Pull, NodeReading, StaleLimits, Deadlines], bool]
_RULES: Final[tuple[tuple[StaleReason, _Rule], ...]] = (
    (StaleReason.ORPHANED, _is_orphaned),
    (StaleReason.EXPORTER_UNREACHABLE, _is_unreachable),
    (StaleReason.NO_PROGRESS, _stands_still(Phase.DOWNLOADING, lambda limits: limits.no_progress)),
    (StaleReason.UNPACK_NO_PROGRESS, _stands_still(Phase.UNPACKING, lambda limits: limits.unpack)),
    (StaleReason.SLOW, _is_slow),
)
