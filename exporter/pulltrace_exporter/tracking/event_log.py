"""Collects the events of pulls and layers, each once, until the poller writes them to the journal."""

from pulltrace.clock import Instant, NodeTime
from pulltrace.model.pull import Phase
from pulltrace_exporter.model.events import Event, EventKind, LayerLabels
from pulltrace_exporter.tracking.blob import Blob
from pulltrace_exporter.tracking.pull_state import PullState

MAX_EVENTS = 10_000
"""Most events of one poll: an image may name tens of thousands of layers, and each would have a line."""

_ENDS = {
    Phase.SUCCEEDED: EventKind.PULL_SUCCEEDED,
    Phase.FAILED: EventKind.PULL_FAILED,
    Phase.ORPHANED: EventKind.PULL_ORPHANED,
}


class EventLog:
    """The events since the last poll. A pull that was running when the exporter started has no start event."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def drain(self) -> tuple[Event, ...]:
        """The events since the last call."""
        events, self._events = tuple(self._events), []
        return events

    def started(self, pull: PullState, now: Instant) -> None:
        """A pull's image is known."""
        if not pull.inherited:
            self._add(pull, EventKind.PULL_STARTED, now)

    def resolved(self, pull: PullState, now: Instant) -> None:
        """A pull's manifest was read."""
        if not pull.inherited:
            self._add(pull, EventKind.PULL_RESOLVED, now, size=pull.size)

    def ended(self, pull: PullState, reason: str, now: Instant) -> None:
        """The last request of a pull ended."""
        size = pull.size if pull.has_manifest else None
        seconds = now.monotonic - pull.started.monotonic
        self._add(pull, _ENDS[pull.phase], now, size=size, seconds=seconds, reason=reason)

    def layer_started(self, pull: PullState, blob: Blob, now: Instant) -> None:
        """A layer's download is under way."""
        self._add(pull, EventKind.LAYER_STARTED, now, size=blob.size, layer=_labels(pull, blob))

    def layer_completed(self, pull: PullState, blob: Blob, now: Instant) -> None:
        """A layer is on the node."""
        seconds = now.monotonic - (blob.started or now).monotonic
        layer = _labels(pull, blob)
        self._add(pull, EventKind.LAYER_COMPLETED, now, size=blob.size, seconds=seconds, layer=layer)

    def _add(
        self,
        pull: PullState,
        kind: EventKind,
        now: Instant,
        *,
        size: int | None = None,
        seconds: float | None = None,
        reason: str = "",
        layer: LayerLabels | None = None,
    ) -> None:
        if len(self._events) < MAX_EVENTS:
            reference = next(iter(pull.references), "")
            self._events.append(Event(kind, NodeTime(now.wall), pull.key, reference, size, seconds, reason, layer))


def _labels(pull: PullState, blob: Blob) -> LayerLabels:
    position = pull.positions[blob.digest]
    return LayerLabels(position, blob.digest, pull.layers[position].media_type)
