"""The counters: what happened since the aggregator's start, with a bound on the labels that pods can make up."""

from collections import Counter
from collections.abc import Callable
from types import MappingProxyType
from typing import Final

from pulltrace.clock import Monotonic
from pulltrace.model.histogram import Histogram
from pulltrace.model.pull import ENDS, ImageKey
from pulltrace.model.reference import image_name
from pulltrace_aggregator.diagnosis.pull_history import PullChange
from pulltrace_aggregator.kubelet.event_counts import EventCounter, UnnamedFailures
from pulltrace_aggregator.model.cluster import Change, EventSeen
from pulltrace_aggregator.model.image_message import ImageMessage, Kind
from pulltrace_aggregator.model.states import StaleReason
from pulltrace_aggregator.model.view import (
    FailureLabels,
    NamespaceRegistry,
    PullResult,
    Repository,
    StageLabels,
    Totals,
)
from pulltrace_aggregator.pods.image_wait import ImageWait

OTHER: Final = "other"
MOST_REGISTRIES: Final = 200
DURATION_BUCKETS: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0)
"""Seconds, the same as the exporter's."""


class Counters:
    """Mutable inside the reconciler; `totals()` gives an immutable copy."""

    def __init__(self, repositories: int) -> None:
        """At most `repositories` have counters of their own."""
        self._most_repositories = repositories
        self._repositories: set[Repository] = set()
        self._image_bytes: Counter[Repository] = Counter()
        self._image_pulls: Counter[PullResult] = Counter()
        self._waits: dict[str, Histogram] = {}
        self._events = EventCounter()
        self._unnamed = UnnamedFailures()
        self._registries: set[str] = set()
        self._failures: Counter[FailureLabels] = Counter()
        self._stale: Counter[str] = Counter({reason.value: 0 for reason in StaleReason})
        self._durations: dict[NamespaceRegistry, Histogram] = {}
        self._queues: dict[str, Histogram] = {}
        self._stages: dict[StageLabels, Histogram] = {}

    def add_event(self, event: EventSeen, image: str) -> None:
        """Count what a kubelet's event tells of an image: a failure, or how long a pull took. A list adds no duration.

        The `image` is empty where it is not known yet: `add_pod` may tell it.
        """
        times, message = self._events.count(event), event.message
        if not times:
            return
        if message.failure is not None and image:
            self._failed(event, times, image)
        elif message.failure is not None:
            self._unnamed.add(event, times)
        elif message.kind is Kind.PULLED and event.change is not Change.LISTED:
            self._pull_took(event.namespace, message)

    def add_pod(self, namespace: str, pod: str, image_of: Callable[[EventSeen], str]) -> None:
        """Count the failures that a pod has named by what is known of it now."""
        for event, times, image in self._unnamed.named(namespace, pod, image_of):
            self._failed(event, times, image)

    def add_pull_change(self, change: PullChange) -> None:
        """Count what became of a pull on a node."""
        if change.stale is not None:
            self._stale[change.stale.value] += 1
            return
        repository = self._repository(change.key)
        self._image_bytes[repository] += change.fetched
        for result in ENDS:
            self._image_pulls[PullResult(*repository, result.value)] += result is change.result

    def wait_ended(self, namespace: str, wait: ImageWait, ended_at: Monotonic) -> None:
        """Count a wait that ended well, and its stages where they are known."""
        self._waits[namespace] = _observed(self._waits.get(namespace), ended_at - wait.since)
        for stage, seconds in (wait.stages.seconds(ended_at, wait.pulled) or {}).items():
            labels = StageLabels(namespace, stage.value)
            self._stages[labels] = _observed(self._stages.get(labels), seconds)

    def totals(self) -> Totals:
        """An immutable copy."""
        return Totals(
            failures=MappingProxyType(dict(self._failures)),
            stale_pulls=MappingProxyType(dict(self._stale)),
            durations=MappingProxyType(dict(self._durations)),
            queues=MappingProxyType(dict(self._queues)),
            stages=MappingProxyType(dict(self._stages)),
            waits=MappingProxyType(dict(self._waits)),
            image_bytes=MappingProxyType(dict(self._image_bytes)),
            image_pulls=MappingProxyType(dict(self._image_pulls)),
        )

    def _failed(self, event: EventSeen, times: int, image: str) -> None:
        if (reason := event.message.failure) is not None:
            labels = FailureLabels(event.namespace, self._registry(_registry_of(image)), reason.value)
            self._failures[labels] += times

    def _pull_took(self, namespace: str, message: ImageMessage) -> None:
        if message.pull_seconds is not None:
            labels = NamespaceRegistry(namespace, self._registry(_registry_of(message.image)))
            self._durations[labels] = _observed(self._durations.get(labels), message.pull_seconds)
        if message.waiting_seconds is not None:
            self._queues[namespace] = _observed(self._queues.get(namespace), message.waiting_seconds)

    def _repository(self, key: ImageKey) -> Repository:
        """The repository to count under."""
        repository = Repository(self._registry(key.registry), key.repository)
        if repository not in self._repositories:
            if len(self._repositories) >= self._most_repositories or repository.registry == OTHER:
                return Repository(repository.registry, OTHER)
            self._repositories.add(repository)
        return repository

    def _registry(self, registry: str) -> str:
        """The registry to count under. A pod can name any registry, so their number is limited."""
        if registry not in self._registries and len(self._registries) >= MOST_REGISTRIES:
            return OTHER
        self._registries.add(registry)
        return registry


def _observed(histogram: Histogram | None, seconds: float) -> Histogram:
    return (histogram or Histogram.empty(DURATION_BUCKETS)).observe(max(seconds, 0.0))


def _registry_of(image: str) -> str:
    """The registry that a reference names; empty for a text that is none."""
    name = image_name(image)
    return name.registry if name else ""
