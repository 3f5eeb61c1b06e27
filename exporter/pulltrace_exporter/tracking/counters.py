"""The counters since the exporter's start, with a limit on label values, because images can invent them."""

from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from pulltrace.model.histogram import Histogram
from pulltrace.model.pull import ENDS, Phase
from pulltrace_exporter.model.view import RegistryMediaType, RegistryResult, RegistryStage, Spent, Totals

OTHER = "other"
MAX_REFUSED = 10_000
DURATION_BUCKETS = (1.0, 5.0, 30.0, 120.0, 600.0, 3600.0)
"""Seconds, from an image that is there already to the largest. Few, as each costs a series per node and registry."""


class LabelLimit:
    """Keeps the first `limit` values of a label as they are; every later one becomes `other`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._values: set[str] = set()
        self._refused: set[int] = set()

    def admit(self, value: str) -> str:
        """The value to count under."""
        if value in self._values:
            return value
        if len(self._values) < self._limit:
            self._values.add(value)
            return value
        # Only hashes, and a limited number of them: an image can have values of any length and number.
        if len(self._refused) < MAX_REFUSED:
            self._refused.add(hash(value))
        return OTHER

    @property
    def refused(self) -> int:
        """How many different values were counted as `other`; it stops at `MAX_REFUSED`."""
        return len(self._refused)


class Counters:
    """Mutable inside the tracker; `totals()` gives an immutable copy."""

    def __init__(self, label_values: int) -> None:
        self._registries = LabelLimit(label_values)
        self._media_types = LabelLimit(label_values)
        self._pulls: Counter[RegistryResult] = Counter()
        self._unresolved = 0
        self._durations: dict[str, Histogram] = {}
        self._stages: dict[RegistryStage, Spent] = {}
        self._active: dict[RegistryStage, float] = {}
        self._downloaded: Counter[RegistryMediaType] = Counter()
        self._cached: Counter[str] = Counter()
        self._remote: Counter[str] = Counter()

    def add_registry(self, registry: str) -> None:
        """Begin the counters of a registry at 0: Prometheus misses the increment with which a counter appears."""
        registry = self._registries.admit(registry)
        for result in ENDS:
            self._pulls[RegistryResult(registry, result.value)] += 0
        for stage in ("download", "unpack"):
            self._active.setdefault(RegistryStage(registry, stage), 0.0)
        self._cached[registry] += 0
        self._remote[registry] += 0

    def add_ended(self, registry: str, result: Phase) -> None:
        """Count an attempt that has ended."""
        self.add_registry(registry)
        self._pulls[RegistryResult(self._registries.admit(registry), result.value)] += 1

    def add_unresolved(self) -> None:
        """Count a lease that ended without naming an image."""
        self._unresolved += 1

    def add_durations(self, registry: str, stages: Mapping[str, float]) -> None:
        """Count a succeeded pull: the seconds of each of its stages, and their sum."""
        registry = self._registries.admit(registry)
        histogram = self._durations.get(registry) or Histogram.empty(DURATION_BUCKETS)
        self._durations[registry] = histogram.observe(sum(stages.values()))
        for stage, seconds in stages.items():
            spent = self._stages.get(key := RegistryStage(registry, stage), Spent())
            self._stages[key] = Spent(spent.seconds + seconds, spent.times + 1)

    def add_active(self, pulls: Iterable[tuple[str, str, float]]) -> None:
        """Add one interval: for each pull a registry, a stage, and the seconds that it spent in that stage.

        Pulls of the same registry and stage are active at the same time, so the longest time counts, not the sum.
        """
        longest: dict[RegistryStage, float] = {}
        for registry, stage, seconds in pulls:
            key = RegistryStage(self._registries.admit(registry), stage)
            longest[key] = max(longest.get(key, 0.0), seconds)
        for key, seconds in longest.items():
            self._active[key] = self._active.get(key, 0.0) + seconds

    def add_downloaded(self, registry: str, media_type: str, size: int) -> None:
        """Add bytes that came over the network."""
        key = RegistryMediaType(self._registries.admit(registry), self._media_types.admit(media_type))
        self._downloaded[key] += size

    def add_cached(self, registry: str, size: int) -> None:
        """Add bytes that were on the node before a pull."""
        self._cached[self._registries.admit(registry)] += size

    def add_remote(self, registry: str, size: int) -> None:
        """Add the size of a layer that a remote snapshotter brought or left unfetched."""
        self._remote[self._registries.admit(registry)] += size

    def totals(self) -> Totals:
        """An immutable copy."""
        return Totals(
            pulls=MappingProxyType(dict(self._pulls)),
            unresolved_pulls=self._unresolved,
            durations=MappingProxyType(dict(self._durations)),
            stages=MappingProxyType(dict(self._stages)),
            active_seconds=MappingProxyType(dict(self._active)),
            downloaded_bytes=MappingProxyType(dict(self._downloaded)),
            cached_bytes=MappingProxyType(dict(self._cached)),
            remote_bytes=MappingProxyType(dict(self._remote)),
            suppressed_registries=self._registries.refused,
            suppressed_media_types=self._media_types.refused,
        )
