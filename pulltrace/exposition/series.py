"""The text of a sample after its metric's name: labels and a histogram's suffixes."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from pulltrace.exposition.model import Sample
from pulltrace.model.histogram import Histogram
from pulltrace.text import presentable


def label_text(names: Iterable[str], values: Iterable[str]) -> str:
    """`name="value",…`, values made presentable and escaped; without braces, so that more labels can be joined on."""
    return ",".join([f'{name}="{_escape(value)}"' for name, value in zip(names, values, strict=True)])


def series(names: Iterable[str], values: Iterable[str]) -> str:
    """`{name="value",…}`."""
    return f"{{{label_text(names, values)}}}"


def histogram_samples(names: Sequence[str], values: Sequence[str], histogram: Histogram) -> Iterator[Sample]:
    """All samples of a histogram.

    Bounds are written as OpenMetrics wants them, `1.0`, in both formats: else a bucket would be another series
    for a Prometheus 2 that asks in the other format.
    """
    labels = label_text(names, values)
    before = f"{labels}," if labels else ""
    bounds = (*(repr(float(bound)) for bound in histogram.bounds), "+Inf")
    for bound, count in zip(bounds, accumulate(histogram.counts), strict=True):
        yield f'_bucket{{{before}le="{bound}"}}', count
    after = f"{{{labels}}}" if labels else ""
    yield f"_sum{after}", histogram.total
    yield f"_count{after}", histogram.count


def _escape(value: str) -> str:
    return presentable(value).replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
