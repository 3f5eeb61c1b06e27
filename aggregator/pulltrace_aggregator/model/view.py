"""What the aggregator publishes: one immutable value, replaced as a whole. Instants are monotonic, on our clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from pulltrace.clock import Monotonic
from pulltrace.model.histogram import Histogram
from pulltrace_aggregator.model.node import NodePull, NodeStatus
from pulltrace_aggregator.model.states import Cause, ContainerType, FailureReason, MatchKind, PodPhase


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
    """An image that a container, image volume or sandbox waits for, or that came a short while ago.

    `registry`, `repository` and `digest` are those of the matched pull, else those of the reference. `behind` is the
    reference at the head of the kubelet's queue, for one that is queued. `cause` is None once the image has come;
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
