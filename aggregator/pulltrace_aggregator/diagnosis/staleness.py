"""Which pulls are stale, by ages alone: no two machines' clocks are compared. A stale pull is never called ended."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from pulltrace.clock import Deadlines, Monotonic
from pulltrace.model.pull import ImageKey, Layer, LayerState, Phase, Pull
from pulltrace_aggregator.model.node import SOON_SECONDS, NodePull, NodeReading, NodeState
from pulltrace_aggregator.model.states import StaleReason

DEFAULT_SILENCE: Final = 60.0
EXPORTERS_LINGER: Final = 120.0
"""How long an ended pull stays if its exporter no longer answers: the default of the exporter's `--pull.linger`."""
SLOW_SECONDS: Final = 4.0
"""How long a download that has just begun must be slow before it counts: its first rates mean nothing."""
FIRST_MOMENTS: Final = 60.0
"""A download that is older than this counts as slow at once."""


@dataclass(frozen=True, slots=True)
class StaleLimits:
    """From how many seconds on each rule holds: ages, and for `slow_eta` the time left. 0 turns a rule off."""

    no_progress: float = 60.0
    unpack: float = 600.0
    slow_eta: float = 3600.0
    resolving: float = 30.0
    exporter: float = 60.0
    remote: float = 900.0

    @property
    def silence(self) -> float:
        """After how many seconds without an answer an exporter counts as silent, also if the reason is turned off."""
        return self.exporter or DEFAULT_SILENCE


def is_silent(reading: NodeReading, since: Monotonic, limits: StaleLimits, deadlines: Deadlines) -> bool:
    """Whether no exporter answers for a node. One that was not found or read yet counts as silent since `since`."""
    if reading.state is NodeState.OK:
        return False
    silent_since = since if reading.state is NodeState.UNKNOWN else reading.silent_since
    return deadlines.reached((since if silent_since is None else silent_since) + limits.silence)


def resolving_stale(reading: NodeReading, limits: StaleLimits, deadlines: Deadlines) -> int:
    """Number of pulls of the node whose registry has not answered for too long."""
    if not limits.resolving:
        return 0
    # What the registries have answered since the exporter's last answer is not known.
    known_until = deadlines.now if reading.state is NodeState.OK else reading.answered_at
    due = [reading.to_monotonic(start) + limits.resolving for start in reading.reported.resolving]
    return sum(deadlines.reached(instant, known_until) for instant in due)


def stale_reason(pull: Pull, reading: NodeReading, limits: StaleLimits, deadlines: Deadlines) -> StaleReason | None:
    """The one reason why a pull is stale now; None when it is not."""
    return next((reason for reason, holds in _RULES if holds(pull, reading, limits, deadlines)), None)


def _is_unreachable(pull: Pull, reading: NodeReading, limits: StaleLimits, deadlines: Deadlines) -> bool:
    since = reading.silent_since
    if pull.phase.ended or since is None or not limits.exporter:
        return False
    return deadlines.reached(since + limits.exporter)


def _stands_still(applies: Callable[[Pull], bool], limit: Callable[[StaleLimits], float]) -> "_Rule":
    def holds(pull: Pull, reading: NodeReading, limits: StaleLimits, deadlines: Deadlines) -> bool:
        progressed = reading.progressed_at(pull)
        if not applies(pull) or progressed is None or not limit(limits):
            return False
        # What has happened since the last answer is not known, so the age at that answer counts.
        return deadlines.reached(progressed + limit(limits), known_until=reading.answered_at)

    return holds


def _downloads(pull: Pull) -> bool:
    return pull.phase is Phase.DOWNLOADING and not pull.remote_pending


def _downloads_unseen(pull: Pull) -> bool:
    """Whether a remote snapshotter fetches unseen: then only a committed layer counts as progress."""
    return pull.phase is Phase.DOWNLOADING and pull.remote_pending > 0


def _is_slow(pull: Pull, _: NodeReading, limits: StaleLimits, __: Deadlines) -> bool:
    eta = None if pull.phase.ended else pull.eta_seconds
    return eta is not None and 0 < limits.slow_eta < eta


_Rule = Callable[[Pull, NodeReading, StaleLimits, Deadlines], bool]
_RULES: Final[tuple[tuple[StaleReason, _Rule], ...]] = (
    (StaleReason.ORPHANED, lambda pull, *_: pull.phase is Phase.ORPHANED),
    (StaleReason.EXPORTER_UNREACHABLE, _is_unreachable),
    (StaleReason.NO_PROGRESS, _stands_still(_downloads, lambda limits: limits.no_progress)),
    (
        StaleReason.UNPACK_NO_PROGRESS,
        _stands_still(lambda pull: pull.phase is Phase.UNPACKING, lambda limits: limits.unpack),
    ),
    (StaleReason.REMOTE_NO_PROGRESS, _stands_still(_downloads_unseen, lambda limits: limits.remote)),
    (StaleReason.SLOW, _is_slow),
)


# The pulls of a node as they are published


def node_pulls(
    reading: NodeReading, limits: StaleLimits, deadlines: Deadlines, *, silent: bool
) -> tuple[NodePull, ...]:
    """The pulls of a node, each key once."""
    shown = {pull.key: pull for pull in reversed(reading.reported.pulls) if not _is_past(pull, reading, deadlines)}
    return tuple(
        NodePull(
            reading.node,
            pull,
            stale_reason(pull, reading, limits, deadlines),
            reading.ahead,
            answering=not silent,
            timed=reading.reported.timed,
        )
        for pull in reversed(shown.values())
    )


def _is_past(pull: Pull, reading: NodeReading, deadlines: Deadlines) -> bool:
    """Whether the linger of an ended pull is over although its node, which has not answered for a while, shows it."""
    if not pull.phase.ended or reading.answered_at is None:
        return False
    return deadlines.reached(max(reading.ended_at(pull) + EXPORTERS_LINGER, reading.answered_at + SOON_SECONDS))


def waits_for_shared_layer(pull: Pull, pulls: Iterable[NodePull]) -> bool:
    """Whether a pull that began before also fetches all the layers that this one fetches."""
    own = _on_their_way(pull.layers)
    if pull.phase is not Phase.DOWNLOADING or not own:
        return False
    earlier = (entry.pull for entry in pulls if entry.running and _began_before(entry.pull, pull))
    return any(own <= _on_their_way(other.layers) for other in earlier)


def needs_layers(pull: Pull, pulls: Iterable[NodePull]) -> bool:
    """Whether `waits_for_shared_layer` may hold, so that the layers of the node's pulls must be read."""
    return pull.phase is Phase.DOWNLOADING and any(
        entry.pull.phase is Phase.DOWNLOADING and _began_before(entry.pull, pull) for entry in pulls
    )


def _began_before(one: Pull, other: Pull) -> bool:
    """Whether one pull is known to have begun before another of its node."""
    return one.started_at is not None and other.started_at is not None and one.started_at < other.started_at


def _on_their_way(layers: Iterable[Layer]) -> set[str]:
    return {layer.digest for layer in layers if layer.state is LayerState.DOWNLOADING}


class SlowDownloads:
    """Remembers since when new downloads are too slow, to leave out those that are so for a moment only."""

    def __init__(self) -> None:
        self._since: dict[str, dict[ImageKey, Monotonic]] = {}

    def forget(self, node: str) -> None:
        """The node is no longer known."""
        self._since.pop(node, None)

    def without_brief(self, node: str, pulls: Iterable[NodePull], deadlines: Deadlines) -> tuple[NodePull, ...]:
        """The pulls of a node, without the reason `slow` where a new download has had it for a moment only."""
        before, since, kept = self._since.pop(node, {}), dict[ImageKey, Monotonic](), []
        for entry in pulls:
            established = entry.began_at is not None and deadlines.now - entry.began_at >= FIRST_MOMENTS
            if entry.stale is StaleReason.SLOW and not established:
                since[entry.key] = before.get(entry.key, deadlines.now)
                if not deadlines.reached(since[entry.key] + SLOW_SECONDS):
                    kept.append(replace(entry, stale=None))
                    continue
            kept.append(entry)
        if since:
            self._since[node] = since
        return tuple(kept)
