"""What the aggregator publishes: one immutable value, replaced as a whole. Instants are monotonic, on our clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pulltrace.clock import Monotonic
from pulltrace.model.histogram import Histogram
from pulltrace.model.pull import ImageKey, Pull
from pulltrace_aggregator.model.exporter import NodeState
from pulltrace_aggregator.model.states import Cause, ContainerType, FailureReason, MatchKind, PodPhase, StaleReason


@dataclass(frozen=True, slots=True)
class NodePull:
    """A pull of a node. `ahead` is what its clock shows more than our monotonic one.

    `answering` is False when the node has been silent for too long, so that no present rate is known; `timed` is False
    when the node does not report its time, so that its instants are good for ages only.
    """

    node: str
    pull: Pull
    stale: StaleReason | None
    ahead: float
    answering: bool = True
    timed: bool = True

    @property
    def key(self) -> ImageKey:
        """What tells it from all other pulls of the node."""
        return self.pull.key

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self.pull.phase.ended

    @property
    def began_at(self) -> Monotonic | None:
        """When it began, None while that is not known."""
        return None if self.pull.started_at is None else Monotonic(self.pull.started_at - self.ahead)

    @property
    def bytes_per_second(self) -> float | None:
        """The present rate of the download; None once the pull has ended and while it is not known."""
        return self.pull.bytes_per_second if self.answering and self.running else None

    @property
    def eta_seconds(self) -> float | None:
        """Time until all bytes are there at the present rate; None without one."""
        return None if self.bytes_per_second is None else self.pull.eta_seconds


class PodImage(NamedTuple):
    """The labels of an image that a pod waits for."""

    namespace: str
    pod: str
    container: str
    container_type: ContainerType
    node: str
    image: str


@dataclass(frozen=True, slots=True)
class PodPull:
    """An image that a container or image volume waits for, or that came a short while ago.

    `registry`, `repository` and `digest` are those of the matched pull, else those of the reference. `behind` is the
    reference at the head of the node's line, for one that is queued. `cause` is None once the image has come;
    `failure` is why the last attempt failed, while the wait is failed or in back-off.
    """

    labels: PodImage
    uid: str
    phase: PodPhase
    since: Monotonic
    match: MatchKind
    registry: str
    repository: str
    digest: str
    cause: Cause | None = None
    failure: FailureReason | None = None
    behind: str = ""
    pull: NodePull | None = None


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node. `queued` counts the images in line, `resolving` those without an answer from their registry.

    `missing` means that a pod waits for an image there and no exporter answers.
    """

    node: str
    state: NodeState
    answered_at: Monotonic | None = None
    queued: int = 0
    resolving: int = 0
    resolving_stale: int = 0
    running: int = 0
    waiting: int = 0
    missing: bool = False

    @property
    def active(self) -> bool:
        """Whether anything is pulled or waited for there."""
        return bool(self.running or self.resolving or self.waiting or self.queued)


class NamespaceRegistry(NamedTuple):
    """Labels of what is counted by registry."""

    namespace: str
    registry: str


class FailureLabels(NamedTuple):
    """Labels of the counter of failures."""

    namespace: str
    registry: str
    reason: str


class Repository(NamedTuple):
    """Labels of what is counted by repository."""

    registry: str
    repository: str


class PullResult(NamedTuple):
    """Labels of the counter of ended pulls."""

    registry: str
    repository: str
    result: str


class StageLabels(NamedTuple):
    """Labels of the histogram of stages."""

    namespace: str
    stage: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Counters since the aggregator's start; histograms are of seconds."""

    failures: Mapping[FailureLabels, int] = field(default_factory=dict)
    stale_pulls: Mapping[str, int] = field(default_factory=dict)
    durations: Mapping[NamespaceRegistry, Histogram] = field(default_factory=dict)
    queues: Mapping[str, Histogram] = field(default_factory=dict)
    stages: Mapping[StageLabels, Histogram] = field(default_factory=dict)
    waits: Mapping[str, Histogram] = field(default_factory=dict)
    image_bytes: Mapping[Repository, int] = field(default_factory=dict)
    image_pulls: Mapping[PullResult, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class View:
    """All that is known. No two pods' images have the same labels, no two pulls of a node the same key."""

    pods: tuple[PodPull, ...] = ()
    pulls: tuple[NodePull, ...] = ()
    nodes: tuple[NodeStatus, ...] = ()
    totals: Totals = field(default_factory=Totals)
