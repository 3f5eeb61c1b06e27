"""The table of metrics: what is declared once and read by the collector, the reference page and the tests.

Below the types are the shapes that most families have, and the text of a sample after its metric's name.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Final, Generic, TypeAlias, TypeVar

from pulltrace.model.histogram import Histogram
from pulltrace.text import presentable

State = TypeVar("State")
LabelValues = tuple[str, ...]

Sample: TypeAlias = tuple[str, float]
"""The text after the metric's name on the sample's line, and the value. The text is `{label="value"}`, for histograms
and summaries with the suffix of the name before it; it is empty without labels."""

_UNITS: Final = ("bytes", "seconds", "ratio")


class MetricType(StrEnum):
    """The types of Prometheus that are in use here."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


@dataclass(frozen=True, slots=True)
class Metric:
    """One entry of the table. A counter's `name` ends in `_total`; `labels` are in the order of their samples."""

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """Its name in OpenMetrics: that of a counter has no `_total`."""
        return self.name.removesuffix("_total") if self.type is MetricType.COUNTER else self.name

    @property
    def unit(self) -> str:
        """The base unit that the name ends in; empty where it ends in none."""
        if self.family.endswith("_per_second"):
            return ""
        return next((unit for unit in _UNITS if self.family.endswith(f"_{unit}")), "")


@dataclass(frozen=True)  # with slots, Python 3.11 cannot call `Family[State](…)`
class Family(Generic[State]):
    """A metric, and the pure function that makes its samples from the state of a program."""

    metric: Metric
    samples: Callable[[State], Iterable[Sample]]


@dataclass(frozen=True)
class Section(Generic[State]):
    """Families that belong together, with the words that introduce them on the reference page."""

    title: str
    text: str
    families: tuple[Family[State], ...]


def single(name: str, help_text: str, value: Callable[[State], float | None]) -> Family[State]:
    """One sample without labels, none while the value is unknown. A name in `_total` is a counter's, else a gauge's."""

    def samples(state: State) -> Iterator[Sample]:
        number = value(state)
        if number is not None:
            yield "", number

    return Family(Metric(name, _counter_or_gauge(name), help_text), samples)


def labelled(
    name: str, help_text: str, labels: LabelValues, values: Callable[[State], Iterable[tuple[LabelValues, float]]]
) -> Family[State]:
    """One sample for each combination of label values, of a counter or a gauge as in `single`."""

    def samples(state: State) -> Iterator[Sample]:
        return ((series(labels, own), number) for own, number in values(state))

    return Family(Metric(name, _counter_or_gauge(name), help_text, labels), samples)


def histograms(
    name: str, help_text: str, labels: LabelValues, values: Callable[[State], Iterable[tuple[LabelValues, Histogram]]]
) -> Family[State]:
    """One histogram for each combination of label values."""

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
    """One summary without quantiles for each combination of label values: the sum of the observations, and how many."""

    def samples(state: State) -> Iterator[Sample]:
        for own, (total, count) in values(state):
            yield f"_sum{series(labels, own)}", total
            yield f"_count{series(labels, own)}", count

    return Family(Metric(name, MetricType.SUMMARY, help_text, labels), samples)


def label_text(names: Iterable[str], values: Iterable[str]) -> str:
    """`name="value",…`, values made presentable and escaped; without braces, so that more labels can be joined on."""
    return ",".join([f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True)])


def series(names: Iterable[str], values: Iterable[str]) -> str:
    """`{name="value",…}`."""
    return f"{{{label_text(names, values)}}}"


def histogram_samples(names: Sequence[str], values: Sequence[str], histogram: Histogram) -> Iterator[Sample]:
    """All samples of a histogram.

    Bounds are written as in OpenMetrics, `1.0`, in both formats. Otherwise Prometheus 2 would see another series when
    it changes the format.
    """
    labels = label_text(names, values)
    before = f"{labels}," if labels else ""
    bounds = (*(repr(float(bound)) for bound in histogram.bounds), "+Inf")
    for bound, count in zip(bounds, accumulate(histogram.counts), strict=True):
        yield f'_bucket{{{before}le="{bound}"}}', count
    after = f"{{{labels}}}" if labels else ""
    yield f"_sum{after}", histogram.total
    yield f"_count{after}", histogram.count


def section_text(section: Section[State]) -> str:
    """A section in Markdown: a heading of the third level, its words, and a table with a row for each metric."""
    rows = "".join(_markdown_row(family.metric) for family in section.families)
    head = "| metric | type | labels | unit | meaning |\n|---|---|---|---|---|\n"
    return f"### {section.title}\n\n{section.text}\n\n{head}{rows}"


def _counter_or_gauge(name: str) -> MetricType:
    return MetricType.COUNTER if name.endswith("_total") else MetricType.GAUGE


def _markdown_row(metric: Metric) -> str:
    labels = " ".join(f"`{label}`" for label in metric.labels)
    help_text = metric.help.replace("|", r"\|")
    return f"| `{metric.name}` | {metric.type} | {labels} | {metric.unit} | {help_text} |\n"


def _escape(value: str) -> str:
    return presentable(value).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
