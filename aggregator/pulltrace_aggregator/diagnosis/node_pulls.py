"""The pulls of one node as they are published, and the counting of those that got stale."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from pulltrace.clock import Monotonic, NodeTime
from pulltrace.model.pull import ImageKey, Layer, LayerState, Phase, Pull
from pulltrace_aggregator.diagnosis.staleness import StaleLimits, stale_reason
from pulltrace_aggregator.model.clocks import Deadlines
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


def node_pulls(
    reading: NodeReading, limits: StaleLimits, deadlines: Deadlines, *, silent: bool
) -> tuple[NodePull, ...]:
    """The pulls of a node, each key once."""
    shown = {pull.key: pull for pull in reversed(reading.pulls) if not _is_past(pull, reading, deadlines)}
    return tuple(
        NodePull(
            reading.node,
            pull,
            stale_reason(pull, reading, limits, deadlines),
            reading.ahead,
            answering=not silent,
            timed=reading.timed,
        )
        for pull in reversed(shown.values())
    )


def _is_past(pull: Pull, reading: NodeReading, deadlines: Deadlines) -> bool:
    """Whether the linger of an ended pull is over, and its node has not been heard of for a while."""
    if not pull.phase.ended or reading.answered_at is None:
        return False
    return deadlines.reached(
        max(reading.ended_at(pull) + EXPORTERS_LINGER, reading.answered_at + SOON_SECONDS),
    )


def waits_for_shared_layer(pull: Pull, pulls: Iterable[NodePull]) -> bool:
    """Whether all of its layers that are on their way are also those of a pull that began before."""
    own = _on_their_way(pull.layers)
    if pull.phase is not Phase.DOWNLOADING or not own:
        return False
    earlier = (entry.pull for entry in pulls if entry.running and _began_before(entry.pull, pull))
    return any(own <= _on_their_way(other.layers) for other in earlier)


def needs_layers(pull: Pull, pulls: Iterable[NodePull]) -> bool:
    """Whether only its layers tell if it waits for another pull's."""
    return pull.phase is Phase.DOWNLOADING and any(
        entry.pull.phase is Phase.DOWNLOADING and _began_before(entry.pull, pull) for entry in pulls
    )


def _began_before(one: Pull, other: Pull) -> bool:
    """Whether it is known that one pull began before another of its node."""
    return one.started_at is not None and other.started_at is not None and one.started_at < other.started_at


def _on_their_way(layers: Iterable[Layer]) -> set[str]:
    return {layer.digest for layer in layers if layer.state is LayerState.DOWNLOADING}


class SlowDownloads:
    """Remembers since when downloads would take too long, until they have for a while."""

    def __init__(self) -> None:
        self._since: dict[str, dict[ImageKey, Monotonic]] = {}

    def forget(self, node: str) -> None:
        """The node is no longer known."""
        self._since.pop(node, None)

    def without_brief(self, node: str, pulls: Iterable[NodePull], deadlines: Deadlines) -> tuple[NodePull, ...]:
        """The pulls of a node, without the reason `slow` where it has held for a moment only."""
        before, since, kept = self._since.pop(node, {}), dict[ImageKey, Monotonic](), []
        for entry in pulls:
            if entry.stale is StaleReason.SLOW and not _is_past_beginning(entry, deadlines.now):
                since[entry.key] = before.get(entry.key, deadlines.now)
                if not deadlines.reached(since[entry.key] + SLOW_SECONDS):
                    kept.append(replace(entry, stale=None))
                    continue
            kept.append(entry)
        if since:
            self._since[node] = since
        return tuple(kept)


def _is_past_beginning(entry: NodePull, now: Monotonic) -> bool:
    return entry.began_at is not None and now - entry.began_at >= FIRST_MOMENTS


@dataclass(slots=True)
class _Attempt:
    """`started_at` is on the node's clock as it was told last; `began_at` and `seen_at` are monotonic on ours.

    Of a beginning that is not known yet both are None.
    """

    started_at: NodeTime | None
    began_at: Monotonic | None
    seen_at: Monotonic
    ended: bool
    reasons: set[StaleReason]


class StaleCounts:
    """Tells which pulls got stale: each once for each reason, from its beginning to its end."""

    def __init__(self, started: Monotonic) -> None:
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
            attempt = now[entry.key] = _attempt(entry, now.get(entry.key), answered_at)
            if entry.stale is not None and entry.stale not in attempt.reasons:
                attempt.reasons.add(entry.stale)
                if before is not None or (attempt.began_at is not None and attempt.began_at >= self._started):
                    fresh.append(entry.stale)
        self._nodes[reading.node] = now
        return fresh


def _attempt(entry: NodePull, known: _Attempt | None, answered_at: Monotonic) -> _Attempt:
    pull, ended = entry.pull, entry.pull.phase.ended
    if known is None or (known.ended and not ended) or (not known.ended and _is_later(entry, known)):
        return _Attempt(pull.started_at, entry.began_at, answered_at, ended, set())
    known.seen_at, known.ended = answered_at, ended
    if pull.started_at is not None:
        known.started_at = pull.started_at
        known.began_at = entry.began_at if known.began_at is None else known.began_at
    return known


def _is_later(entry: NodePull, known: _Attempt) -> bool:
    """Whether a pull began after a known one of its image, whose end nobody saw.

    A clock that is stepped moves one of the two instants and leaves the other; an answer that stands still moves the
    beginning on without end, but not past the answer before, in which the pull was there already. An age that nobody
    tells is no beginning.
    """
    started_at, began_at = entry.pull.started_at, entry.began_at
    if started_at is None or began_at is None or known.started_at is None or known.began_at is None:
        return False
    return (
        abs(started_at - known.started_at) > SAME_BEGIN_SECONDS
        and began_at > known.began_at + SAME_BEGIN_SECONDS
        and began_at > known.seen_at - SAME_BEGIN_SECONDS
    )
