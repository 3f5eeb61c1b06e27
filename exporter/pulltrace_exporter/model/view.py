"""What the exporter publishes: one immutable value, replaced as a whole after each poll."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pulltrace.clock import Instant, NodeTime
from pulltrace.model.histogram import Histogram
from pulltrace.model.pull import Daemon, Pull, QueuedImage

POLL_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Bucket bounds for the duration of a poll, in seconds."""


class RegistryMediaType(NamedTuple):
    """Labels of the counter of downloaded bytes."""

    registry: str
    media_type: str


class RegistryResult(NamedTuple):
    """Labels of the counter of ended pulls; `result` is the value of an ended `Phase`."""

    registry: str
    result: str


class RegistryStage(NamedTuple):
    """Labels of the counters by stage of a pull: `resolve`, `download` or `unpack`."""

    registry: str
    stage: str


class Spent(NamedTuple):
    """Seconds spent on something, and how many times."""

    seconds: float = 0.0
    times: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """Counters since the exporter's start, in bytes and seconds.

    `durations` are those of succeeded pulls by registry, `stages` those of their stages.
    """

    pulls: Mapping[RegistryResult, int] = field(default_factory=dict)
    unresolved_pulls: int = 0
    durations: Mapping[str, Histogram] = field(default_factory=dict)
    stages: Mapping[RegistryStage, Spent] = field(default_factory=dict)
    active_seconds: Mapping[RegistryStage, float] = field(default_factory=dict)
    downloaded_bytes: Mapping[RegistryMediaType, int] = field(default_factory=dict)
    cached_bytes: Mapping[str, int] = field(default_factory=dict)
    remote_bytes: Mapping[str, int] = field(default_factory=dict)
    suppressed_registries: int = 0
    suppressed_media_types: int = 0


class FailedCall(NamedTuple):
    """Labels of the counter of failed calls: `Service/Method` and the gRPC status code's name."""

    call: str
    code: str


@dataclass(frozen=True, slots=True)
class Polls:
    """How reading containerd went, since the exporter's start; `last_at` is when the last poll ended."""

    durations: Histogram = field(default_factory=lambda: Histogram.empty(POLL_BUCKETS))
    errors: Mapping[FailedCall, int] = field(default_factory=dict)
    last_at: NodeTime | None = None


@dataclass(frozen=True, slots=True)
class View:
    """Everything a scrape needs.

    Its fields of the same name are those of `NodeReport`. `at` is when the view was made; its other times are on the
    wall clock as it stood then.
    """

    pulls: tuple[Pull, ...]
    resolving: tuple[NodeTime, ...]
    queued: tuple[QueuedImage, ...]
    totals: Totals
    daemon: Daemon = field(default_factory=Daemon)
    polls: Polls = field(default_factory=Polls)
    unidentified: int = 0
    at: Instant | None = None

    def node_time(self, now: Instant) -> NodeTime:
        """The present time on the wall clock as it stood at `at`: a later step of that clock must change no age."""
        return NodeTime(now.wall if self.at is None else self.at.wall + now.monotonic - self.at.monotonic)
