"""Notes what happens, once each, until it is taken out to be written down."""

from pulltrace.clock import Instant
from pulltrace.model.pull import Phase
from pulltrace_exporter.model.events import Event, Happening, LayerLabels
from pulltrace_exporter.tracking.blob import Blob
from pulltrace_exporter.tracking.pull_state import Attempt

MAX_EVENTS = 10_000
"""Of one observation: an image may name tens of thousands of layers, and each would have a line."""

_ENDS = {
    Phase.SUCCEEDED: Happening.PULL_SUCCEEDED,
    Phase.FAILED: Happening.PULL_FAILED,
    Phase.ORPHANED: Happening.PULL_ORPHANED,
}


class Chronicle:
    """What began before the exporter did has no beginning here: it was told by the exporter before, if at all."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def take(self) -> tuple[Event, ...]:
        """What was noted since this was last asked."""
        events, self._events = tuple(self._events), []
        return events

    def started(self, attempt: Attempt, now: Instant) -> None:
        """A pull's image is known."""
        if not attempt.inherited:
            self._note(attempt, Happening.PULL_STARTED, now)

    def resolved(self, attempt: Attempt, now: Instant) -> None:
        """A pull's manifest was read."""
        if not attempt.inherited:
            self._note(attempt, Happening.PULL_RESOLVED, now, size=attempt.size)

    def ended(self, attempt: Attempt, reason: str, now: Instant) -> None:
        """The last request of a pull ended."""
        self._note(
            attempt,
            _ENDS[attempt.phase],
            now,
            size=attempt.size if attempt.described else None,
            seconds=now.monotonic - attempt.started.monotonic,
            reason=reason,
        )

    def layer_started(self, attempt: Attempt, blob: Blob, now: Instant) -> None:
        """A layer's download is under way."""
        self._note(attempt, Happening.LAYER_STARTED, now, size=blob.size, layer=_labels(attempt, blob))

    def layer_completed(self, attempt: Attempt, blob: Blob, now: Instant) -> None:
        """A layer is on the node."""
        seconds = now.monotonic - (blob.begun or now).monotonic
        labels = _labels(attempt, blob)
        self._note(attempt, Happening.LAYER_COMPLETED, now, size=blob.size, seconds=seconds, layer=labels)

    def _note(
        self,
        attempt: Attempt,
        happening: Happening,
        now: Instant,
        *,
        size: int | None = None,
        seconds: float | None = None,
        reason: str = "",
        layer: LayerLabels | None = None,
    ) -> None:
        if len(self._events) < MAX_EVENTS:
            reference = next(iter(attempt.references), "")
            self._events.append(Event(happening, now.wall, attempt.key, reference, size, seconds, reason, layer))


def _labels(attempt: Attempt, blob: Blob) -> LayerLabels:
    position = attempt.positions[blob.digest]
    return LayerLabels(position, blob.digest, attempt.slots[position].media_type)
