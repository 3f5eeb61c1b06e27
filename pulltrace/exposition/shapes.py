"""The shapes that most families have, whatever the program's state is."""

from collections.abc import Callable, Iterable, Iterator

from pulltrace.exposition.model import Family, Metric, MetricType, Sample, State
from pulltrace.exposition.series import histogram_samples, series
from pulltrace.model.histogram import Histogram

LabelValues = tuple[str, ...]


def single(name: str, kind: MetricType, help_text: str, value: Callable[[State], float | None]) -> Family[State]:
    """One sample without labels, none while the value is not known."""

    def samples(state: State) -> Iterator[Sample]:
        number = value(state)
        if number is not None:
            yield "", number

    return Family(Metric(name, kind, help_text), samples)


def labelled(
    name: str,
    kind: MetricType,
    help_text: str,
    labels: LabelValues,
    values: Callable[[State], Iterable[tuple[LabelValues, float]]],
) -> Family[State]:
    """One sample for each of the label values."""

    def samples(state: State) -> Iterator[Sample]:
        return ((series(labels, own), number) for own, number in values(state))

    return Family(Metric(name, kind, help_text, labels), samples)


def histograms(
    name: str,
    help_text: str,
    labels: LabelValues,
    values: Callable[[State], Iterable[tuple[LabelValues, Histogram]]],
) -> Family[State]:
    """One histogram for each of the label values."""

    def samples(state: State) -> Iterator[Sample]:
        for own, histogram in values(state):
            yield from histogram_samples(labels, own, histogram)

    return Family(Metric(name, MetricType.HISTOGRAM, help_text, labels), samples)


def summaries(
    name: str,
    help_text: str,
    labels: LabelValues,
    values: Callable[[State], Iterable[tuple[LabelValues, tuple[float, int]]]],
) -> Family[State]:
    """One summary without quantiles for each of the label values: the sum of what was observed, and how often."""

    def samples(state: State) -> Iterator[Sample]:
        for own, (total, count) in values(state):
            yield f"_sum{series(labels, own)}", total
            yield f"_count{series(labels, own)}", count

    return Family(Metric(name, MetricType.SUMMARY, help_text, labels), samples)
