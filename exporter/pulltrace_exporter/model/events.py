"""What happens to pulls and layers, as single events."""

from dataclasses import dataclass
from enum import StrEnum

from pulltrace.clock import NodeTime
from pulltrace.model.pull import ImageKey


class EventKind(StrEnum):
    """The kinds of events; each comes once in the life of a pull or of a layer."""

    PULL_STARTED = "pull.started"
    PULL_RESOLVED = "pull.resolved"
    PULL_SUCCEEDED = "pull.succeeded"
    PULL_FAILED = "pull.failed"
    PULL_ORPHANED = "pull.orphaned"
    LAYER_STARTED = "layer.started"
    LAYER_COMPLETED = "layer.completed"


@dataclass(frozen=True, slots=True)
class LayerLabels:
    """Which layer an event is about: its position in the manifest, its digest and media type."""

    index: int
    digest: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened at `at`.

    `size` is in bytes: that of the layer for a layer's events, else that of the image once its manifest is read.
    `seconds` is how long the pull or the layer's download took; only events of an end have it.
    """

    kind: EventKind
    at: NodeTime
    key: ImageKey
    reference: str = ""
    size: int | None = None
    seconds: float | None = None
    reason: str = ""
    layer: LayerLabels | None = None
