"""The shapes that most of the node's families have."""

from collections.abc import Callable, Iterable, Iterator

from pulltrace.exposition import Family, Metric, MetricType, Sample, histogram_samples, series
from pulltrace.histogram import Histogram
from pulltrace_exporter.metrics.scrape import Scrape

LabelValues = tuple[str, ...]


def single(name: str, kind: MetricType, help_text: str, value: Callable[[Scrape], float | None]) -> Family[Scrape]:
    """One sample without labels, none while the value is not known."""

    def samples(scrape: Scrape) -> Iterator[Sample]:
        number = value(scrape)
        if number is not None:
            yield "", number

    return Family(Metric(name, kind, help_text), samples)


def labelled(
    name: str,
    kind: MetricType,
    help_text: str,
    labels: LabelValues,
    values: Callable[[Scrape], Iterable[tuple[LabelValues, float]]],
) -> Family[Scrape]:
    """One sample for each of the label values."""

    def samples(scrape: Scrape) -> Iterator[Sample]:
        return ((series(labels, own), number) for own, number in values(scrape))

    return Family(Metric(name, kind, help_text, labels), samples)


def histograms(
    name: str,
    help_text: str,
    labels: LabelValues,
    values: Callable[[Scrape], Iterable[tuple[LabelValues, Histogram]]],
) -> Family[Scrape]:
    """One histogram for each of the label values."""

    def samples(scrape: Scrape) -> Iterator[Sample]:
        for own, histogram in values(scrape):
            yield from histogram_samples(labels, own, histogram)

    return Family(Metric(name, MetricType.HISTOGRAM, help_text, labels), samples)
