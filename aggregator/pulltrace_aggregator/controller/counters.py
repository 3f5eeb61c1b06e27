"""The counters: what happened since the aggregator's start, each time once, with bounded labels. Pure.

An exporter is read again and again, may be restarted during a pull, and may be out of reach when a pull ends. So the
pulls of each node are remembered. All counts of pulls are lower bounds: what happens while no aggregator runs is left
out.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, TypeVar

from pulltrace.clock import Monotonic, NodeTime
from pulltrace.model.histogram import Histogram
from pulltrace.model.pull import ENDS, ImageKey, Phase, Pull
from pulltrace.model.reference import image_name
from pulltrace_aggregator.kubelet.event_counts import EventCounter, UnnamedFailures
from pulltrace_aggregator.model.cluster import Change, EventSeen
from pulltrace_aggregator.model.image_message import ImageMessage, Kind
from pulltrace_aggregator.model.node import NodePull, NodeReading
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

Labels = TypeVar("Labels", bound=Hashable)

OTHER: Final = "other"
MOST_REGISTRIES: Final = 200
DURATION_BUCKETS: Final = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0)
"""Upper bounds in seconds; finer than those of the exporter's histogram."""
SAME_START_SECONDS: Final = 2.0
"""Instants that are at most this far apart are one start, reported twice."""
MOST_UNREPORTED: Final = 20
"""Most pulls of a node that are remembered after its exporter no longer reports them: it may have been restarted."""
MOST_FORGOTTEN: Final = 1000
"""Most nodes whose pulls are remembered after their exporter has gone: it may come back."""


class Counters:
    """Mutable inside the reconciler; `totals()` gives an immutable copy."""

    def __init__(self, repositories: int, started: Monotonic) -> None:
        """At most `repositories` have counters of their own. `started` is when the aggregator started."""
        self._most_repositories = repositories
        self._repositories: set[Repository] = set()
        self._image_bytes: Counter[Repository] = Counter()
        self._image_pulls: Counter[PullResult] = Counter()
        self._waits: dict[str, Histogram] = {}
        self._history = PullHistory(started)
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

        `image` is empty while it is not known: a failure then waits for `add_pod`.
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
        """Count the failures whose image is known now that the pod has been seen."""
        for event, times, image in self._unnamed.named(namespace, pod, image_of):
            self._failed(event, times, image)

    def add_pulls(self, reading: NodeReading, pulls: Iterable[NodePull]) -> None:
        """Count what is new in the `pulls` that are shown of a node."""
        for entry, attempt in self._history.update(reading, pulls):
            fetched, result = attempt.fetch(entry.pull), attempt.end(entry.pull.phase)
            if fetched or result:
                repository = self._repository(entry.key)
                self._image_bytes[repository] += fetched
                for end in ENDS:
                    self._image_pulls[PullResult(*repository, end.value)] += end is result
            if entry.stale is not None and attempt.add_reason(entry.stale):
                self._stale[entry.stale.value] += 1

    def forget_pulls(self, node: str) -> None:
        """The node has no exporter any more."""
        self._history.forget(node)

    def wait_ended(self, namespace: str, wait: ImageWait, ended_at: Monotonic) -> None:
        """Count a wait that ended well, and its stages where they are known."""
        _observe(self._waits, namespace, ended_at - wait.since)
        for stage, seconds in (wait.stages.seconds(ended_at, wait.pulled) or {}).items():
            _observe(self._stages, StageLabels(namespace, stage.value), seconds)

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
            _observe(self._durations, labels, message.pull_seconds)
        if message.waiting_seconds is not None:
            _observe(self._queues, namespace, message.waiting_seconds)

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


def _observe(histograms: dict[Labels, Histogram], labels: Labels, seconds: float) -> None:
    before = histograms.get(labels) or Histogram.empty(DURATION_BUCKETS)
    histograms[labels] = before.observe(max(seconds, 0.0))


def _registry_of(image: str) -> str:
    """The registry that a reference names; empty for a text that is no reference."""
    name = image_name(image)
    return name.registry if name else ""


# What became of each pull


@dataclass(slots=True)
class _Attempt:
    """One pull from its start to its end.

    `started_at` is the start that the node last reported, `began_at` the first one on our clock; both are None while
    the start is not known. `seen_at` is the last answer that shows it. `whole` means that nothing of it can have been
    counted before. `present` is the most bytes that were on the node, None while unknown; `resumed` is how many of them
    an earlier attempt may have left there.
    """

    started_at: NodeTime | None
    began_at: Monotonic | None
    seen_at: Monotonic
    whole: bool
    resumed: int = 0
    present: int | None = None
    result: Phase | None = None
    reasons: set[StaleReason] = field(default_factory=set)

    def fetch(self, pull: Pull) -> int:
        """The bytes that were fetched since the last call."""
        if pull.downloaded is None:
            return 0
        # After a restart an exporter reports as cached what it did not see being fetched.
        present, before = (pull.cached or 0) + pull.downloaded, self.present
        self.present = max(present, before or 0)
        if before is None:
            return max(0, pull.downloaded - self.resumed) if self.whole else 0
        return min(max(0, present - before), pull.downloaded)

    def end(self, phase: Phase) -> Phase | None:
        """The result when it is new, else None."""
        news = phase if phase.ended and self.result is None else None
        self.result = self.result or news
        return news

    def add_reason(self, reason: StaleReason) -> bool:
        """Whether this reason is new."""
        news = reason not in self.reasons
        self.reasons.add(reason)
        return news


class PullHistory:
    """Remembers the pulls of all nodes, so that bytes, result and stale reasons of each are counted once."""

    def __init__(self, started: Monotonic) -> None:
        self._started = started
        self._nodes: dict[str, dict[ImageKey, _Attempt]] = {}
        self._forgotten: OrderedDict[str, dict[ImageKey, _Attempt]] = OrderedDict()

    def forget(self, node: str) -> None:
        """The node has no exporter any more."""
        if (attempts := self._nodes.pop(node, None)) is not None:
            self._forgotten[node] = attempts
            if len(self._forgotten) > MOST_FORGOTTEN:
                self._forgotten.popitem(last=False)

    def update(self, reading: NodeReading, pulls: Iterable[NodePull]) -> list[tuple[NodePull, _Attempt]]:
        """The attempt of each of the `pulls` that are shown of a node."""
        if reading.answered_at is None:
            return []
        before = self._nodes.get(reading.node, self._forgotten.pop(reading.node, None))
        attempts, first, shown = dict(before or {}), before is None, list[tuple[NodePull, _Attempt]]()
        for entry in pulls:
            known = attempts.pop(entry.key, None)
            attempt = attempts[entry.key] = self._attempt(entry, known, reading.answered_at, first=first)
            shown.append((entry, attempt))
        if reading.reported.daemon.up or attempts:
            # While containerd is down an exporter may not know its pulls: that does not count as the first answer.
            self._nodes[reading.node] = _latest(attempts, {pull.key for pull in reading.reported.pulls})
        return shown

    def _attempt(self, entry: NodePull, known: _Attempt | None, answered_at: Monotonic, *, first: bool) -> _Attempt:
        pull, began_at = entry.pull, entry.began_at
        if known is not None and not (known.result and entry.running) and not _is_later(entry, known):
            known.seen_at = answered_at
            known.started_at = known.started_at if pull.started_at is None else pull.started_at
            known.began_at = began_at if known.began_at is None else known.began_at
            return known
        attempt = _Attempt(pull.started_at, began_at, answered_at, whole=not first)
        if first:
            attempt.whole = began_at is not None and began_at >= self._started
            if not attempt.whole:
                # An aggregator before us may have counted it, with its end and its stale reason.
                attempt.result = pull.phase if pull.phase.ended else None
                attempt.reasons.update(() if entry.stale is None else (entry.stale,))
        elif known is not None and known.result is not Phase.SUCCEEDED:
            attempt.resumed = known.present or 0
        return attempt


def _latest(attempts: dict[ImageKey, _Attempt], reported: set[ImageKey]) -> dict[ImageKey, _Attempt]:
    """The attempts that are reported, and the latest of the others."""
    gone = [key for key in attempts if key not in reported]
    for key in gone[:-MOST_UNREPORTED]:
        del attempts[key]
    return attempts


def _is_later(entry: NodePull, known: _Attempt) -> bool:
    """Whether a pull began after a known one of its image.

    Its start must have moved both on the node's clock and on ours: a step of a clock moves only one of them. It must
    also be later than the last answer, which showed the known pull: if the ages in the answers stand still, each answer
    moves the start on. A pull without a start is never later. Two orphans are one: an orphan is reported as long as its
    lease exists, and no pull of its image runs in between.
    """
    if known.result is Phase.ORPHANED and entry.pull.phase is Phase.ORPHANED:
        return False
    started_at, began_at = entry.pull.started_at, entry.began_at
    if started_at is None or began_at is None or known.started_at is None or known.began_at is None:
        return False
    return (
        abs(started_at - known.started_at) > SAME_START_SECONDS
        and began_at > known.began_at + SAME_START_SECONDS
        and began_at > known.seen_at - SAME_START_SECONDS
    )
