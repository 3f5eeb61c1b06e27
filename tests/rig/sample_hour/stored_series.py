"""The series of a scenario with the labels of their targets, as OpenMetrics that Prometheus loads as its history."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from rig import promql
from rig.prometheus import Points
from rig.sample_hour.aggregator_series import aggregator
from rig.sample_hour.alert_series import firing
from rig.sample_hour.exporter_series import Sample, exporter
from rig.sample_hour.timelines import HOUR_END, Scenario

Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(slots=True)
class StoredSeries:
    """What Prometheus would have stored: for each series its points."""

    cluster: str = ""
    series: dict[Key, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))

    def record(self, at: float, target: Mapping[str, str], samples: Iterable[Sample]) -> None:
        """Store a scrape; labels of the series win over those of the target, as with `honorLabels`."""
        count = 0
        for name, own, value in samples:
            _check(name, own)
            self._store(at, name, {**target, **own}, value)
            count += 1
        self._store(at, "scrape_samples_scraped", target, count)

    def evaluate(self, at: float, samples: Iterable[Sample]) -> None:
        """Store what comes from rules: it has no target."""
        for name, own, value in samples:
            self._store(at, name, own, value)

    def _store(self, at: float, name: str, labels: Mapping[str, str], value: float) -> None:
        kept = {label: text for label, text in {**labels, "cluster": self.cluster}.items() if text}
        self.series[name, tuple(sorted(kept.items()))].append((at, value))

    def lines(self) -> Iterator[str]:
        """As OpenMetrics, series by series."""
        for (name, labels), points in self.series.items():
            yield from lines_of(name, labels, points)


def lines_of(name: str, labels: Iterable[tuple[str, str]], points: Points) -> Iterator[str]:
    """A series as OpenMetrics, a line for each point."""
    text = f"{name}{{{','.join(_label(*pair) for pair in labels)}}}"
    yield from (f"{text} {value!r} {at:.3f}\n" for at, value in points)


def stored_hour(
    scenario: Scenario, epoch: float, step: float, *, overlap: float = 0.0, cluster: str = ""
) -> StoredSeries:
    """The whole hour. In the last `overlap` seconds every program has a second, newer target beside the first."""
    stored, began = StoredSeries(cluster), HOUR_END - overlap
    for t in (number * step for number in range(int(HOUR_END / step) + 1)):
        for node in scenario.nodes:
            if scenario.answers(node, t):
                stored.record(epoch + t, _exporter_target(node, "old"), exporter(scenario, node, t, epoch))
        stored.record(epoch + t, _aggregator_target("old"), aggregator(scenario, t))
        stored.evaluate(epoch + t, firing(scenario, t))
        if overlap and t >= began:
            # What is new sees a little later, as a scrape a moment after the other does.
            for node in scenario.nodes:
                if scenario.answers(node, t):
                    new = exporter(scenario, node, max(t - 3, began), epoch, began, version="1.0.1")
                    stored.record(epoch + t, _exporter_target(node, "new"), new)
            stored.record(epoch + t, _aggregator_target("new"), aggregator(scenario, max(t - 3, began), began, "1.0.1"))
    return stored


def _exporter_target(node: str, generation: str) -> dict[str, str]:
    where = {"job": "pulltrace/exporter", "instance": f"{node}.{generation}:10301", "node": node}
    pod = f"pulltrace-exporter-{node}-{generation}"
    return {**where, "namespace": "monitoring", "pod": pod, "container": "exporter"}


def _aggregator_target(generation: str) -> dict[str, str]:
    return {"job": "pulltrace/aggregator", "instance": f"aggregator.{generation}:10302", "namespace": "monitoring"}


def _label(name: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{name}="{escaped}"'


def _check(name: str, own: Mapping[str, str]) -> None:
    assert set(own) == promql.SCRAPED[name], f"{name} has the labels {promql.SCRAPED[name]}, not {set(own)}"
