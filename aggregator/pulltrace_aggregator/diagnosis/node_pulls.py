"""The pulls of one node as they are published, and the counting of those that got stale."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from pulltrace.model.pull import ImageKey, Layer, LayerState, Phase, Pull
from pulltrace_aggregator.diagnosis.staleness import StaleLimits, stale_reason
from pulltrace_aggregator.model.exporter import SOON_SECONDS, NodeReading
from pulltrace_aggregator.model.states import StaleReason
from pulltrace_aggregator.model.view import NodePull

EXPORTERS_LINGER: Final = 120.0
"""How long an ended pull stays whose exporter has not been heard since, as with the exporter's own `--pull.linger`."""
SLOW_SECONDS: Final = 4.0
"""So long a download that began a short while ago has to be slow: the rate of the first moments says nothing."""
FIRST_MOMENTS: Final = 60.0
SAME_BEGIN_SECONDS: Final = 2.0
"""Instants of one pull's beginning that are no further apart are the same one, told twice."""


def node_pulls(reading: NodeReading, limits: StaleLimits, now: float, *, silent: bool) -> tuple[NodePull, ...]:
    """The pulls of a node at the monotonic time `now`, each key once."""
    report = reading.report
    if report is None:
        return ()
    fresh = reading.is_fresh(now)
    shown = {pull.key: pull for pull in reversed(report.pulls) if fresh or now < _past_at(pull, reading)}
    return tuple(
        NodePull(
            reading.node,
            pull,
            stale_reason(pull, reading, limits, now),
            reading.ahead,
            answering=not silent,
            timed=reading.timed,
        )
        for pull in reversed(shown.values())
    )


def next_past(reading: NodeReading, pulls: Iterable[NodePull], now: float) -> float:
    """When an ended pull may have to go, if nothing is heard of its node until then."""
    return max(min((_past_at(entry.pull, reading) for entry in pulls), default=float("inf")), now + SOON_SECONDS)


def _past_at(pull: Pull, reading: NodeReading) -> float:
    """When the linger of an ended pull is over, monotonic. Where nobody tells its end, it was before the report."""
    if not pull.phase.ended:
        return float("inf")
    ended = reading.read_at if pull.ended_at is None else pull.ended_at - reading.ahead
    return ended + EXPORTERS_LINGER


def waits_for_shared(pull: Pull, pulls: Iterable[Pull]) -> bool:
    """Whether all of its layers that are on their way are also those of a pull that began before."""
    own = _on_their_way(pull.layers)
    if pull.phase is not Phase.DOWNLOADING or not own:
        return False
    earlier = (other for other in pulls if _began_before(other, pull) and not other.phase.ended)
    return any(own <= _on_their_way(other.layers) for other in earlier)


def layers_matter(pull: Pull, pulls: Iterable[Pull]) -> bool:
    """Whether only its layers tell if it waits for another pull's."""
    return pull.phase is Phase.DOWNLOADING and any(
        other.phase is Phase.DOWNLOADING and _began_before(other, pull) for other in pulls
    )


def _began_before(one: Pull, other: Pull) -> bool:
    """Whether it is known that one pull began before another of its node."""
    return one.started_at is not None and other.started_at is not None and one.started_at < other.started_at


def _on_their_way(layers: Iterable[Layer]) -> set[str]:
    return {layer.digest for layer in layers if layer.state is LayerState.DOWNLOADING}


class SlowDownloads:
    """Remembers since when downloads would take too long, until they have for a while."""

    def __init__(self) -> None:
        self._since: dict[str, dict[ImageKey, float]] = {}

    def forget(self, node: str) -> None:
        """The node is no longer known."""
        self._since.pop(node, None)

    def settle(self, node: str, pulls: Iterable[NodePull], now: float) -> tuple[tuple[NodePull, ...], float]:
        """The pulls of a node, without the reason `slow` where it is fresh; and when that will be otherwise."""
        before, since, settled, next_at = self._since.pop(node, {}), dict[ImageKey, float](), [], float("inf")
        for entry in pulls:
            key = entry.pull.key
            if entry.stale is StaleReason.SLOW and (entry.begun is None or now - entry.begun < FIRST_MOMENTS):
                since[key] = before.get(key, now)
                if now - since[key] < SLOW_SECONDS:
                    next_at = min(next_at, since[key] + SLOW_SECONDS)
                    settled.append(replace(entry, stale=None))
                    continue
            settled.append(entry)
        if since:
            self._since[node] = since
        return tuple(settled), next_at


@dataclass(slots=True)
class _Attempt:
    """`started_at` is on the node's clock as it was told last; `begun` and `seen_at` are monotonic on ours.

    Of a beginning that is not known yet both are None.
    """

    started_at: float | None
    begun: float | None
    seen_at: float
    ended: bool
    reasons: set[StaleReason]


class StaleCounts:
    """Tells which pulls got stale: each once for each reason, from its beginning to its end."""

    def __init__(self, started: float) -> None:
        self._started = started
        self._nodes: dict[str, dict[ImageKey, _Attempt]] = {}

    def forget(self, node: str) -> None:
        """The node is no longer known."""
        self._nodes.pop(node, None)

    def newly_stale(self, reading: NodeReading, pulls: Iterable[NodePull]) -> list[StaleReason]:
        """The reasons that came up since the last time, of the `pulls` that are shown of a node.

        What was stale when a node was first read may have been counted by an aggregator before this one.
        """
        report, answered_at = reading.report, reading.answered_at
        if report is None or answered_at is None:
            return []
        before = self._nodes.get(reading.node)
        # One that is no longer shown may be again, with the node's next answer.
        told = {pull.key for pull in report.pulls}
        now = {key: attempt for key, attempt in (before or {}).items() if key in told}
        fresh: list[StaleReason] = []
        for entry in pulls:
            attempt = now[entry.pull.key] = _attempt(entry, now.get(entry.pull.key), answered_at)
            if entry.stale is not None and entry.stale not in attempt.reasons:
                attempt.reasons.add(entry.stale)
                if before is not None or (attempt.begun is not None and attempt.begun >= self._started):
                    fresh.append(entry.stale)
        self._nodes[reading.node] = now
        return fresh


def _attempt(entry: NodePull, known: _Attempt | None, answered_at: float) -> _Attempt:
    pull, ended = entry.pull, entry.pull.phase.ended
    if known is None or (known.ended and not ended) or (not known.ended and _is_later(entry, known)):
        return _Attempt(pull.started_at, entry.begun, answered_at, ended, set())
    known.seen_at, known.ended = answered_at, ended
    if pull.started_at is not None:
        known.started_at = pull.started_at
        known.begun = entry.begun if known.begun is None else known.begun
    return known


def _is_later(entry: NodePull, known: _Attempt) -> bool:
    """Whether a pull began after a known one of its image, whose end nobody saw.

    A clock that is stepped moves one of the two instants and leaves the other; an answer that stands still moves the
    beginning on without end, but not past the answer before, in which the pull was there already. An age that nobody
    tells is no beginning.
    """
    started_at, begun = entry.pull.started_at, entry.begun
    if started_at is None or begun is None or known.started_at is None or known.begun is None:
        return False
    return (
        abs(started_at - known.started_at) > SAME_BEGIN_SECONDS
        and begun > known.begun + SAME_BEGIN_SECONDS
        and begun > known.seen_at - SAME_BEGIN_SECONDS
    )
