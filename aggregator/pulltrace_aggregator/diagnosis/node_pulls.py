"""The pulls of one node as they are published, and the counting of those that got stale."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pulltrace.clock import Monotonic
from pulltrace.model.pull import ImageKey, Layer, LayerState, Phase, Pull
from pulltrace_aggregator.diagnosis.staleness import StaleLimits, stale_reason
from pulltrace_aggregator.model.clocks import Deadlines
from pulltrace_aggregator.model.exporter import SOON_SECONDS, NodeReading
from pulltrace_aggregator.model.states import StaleReason
from pulltrace_aggregator.model.view import NodePull

EXPORTERS_LINGER: Final = 120.0
"""How long an ended pull stays whose exporter has not answered since: the default of the exporter's `--pull.linger`."""
SLOW_SECONDS: Final = 4.0
"""So long a download that began a short while ago has to be slow: the rate of the first moments says nothing."""
FIRST_MOMENTS: Final = 60.0


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
    """Whether the linger of an ended pull is over, and its node has not answered for a while."""
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
    """Whether its layers decide if it waits for another pull."""
    return pull.phase is Phase.DOWNLOADING and any(
        entry.pull.phase is Phase.DOWNLOADING and _began_before(entry.pull, pull) for entry in pulls
    )


def _began_before(one: Pull, other: Pull) -> bool:
    """Whether it is known that one pull began before another of its node."""
    return one.started_at is not None and other.started_at is not None and one.started_at < other.started_at


def _on_their_way(layers: Iterable[Layer]) -> set[str]:
    return {layer.digest for layer in layers if layer.state is LayerState.DOWNLOADING}


class SlowDownloads:
    """Remembers since when downloads are too slow, until they have been for a while."""

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
