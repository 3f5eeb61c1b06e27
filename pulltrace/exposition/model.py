"""The table of metrics: what is declared once and read by collector, reference page and tests."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeAlias, TypeVar

State = TypeVar("State")

Sample: TypeAlias = tuple[str, float]
"""What follows the metric's name on the sample's line, `{label="value"}` with a histogram's suffix before it, and
the value. `pulltrace.exposition.series` writes the text."""

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
        """The name that OpenMetrics knows it by: a counter's has no `_total`."""
        return self.name.removesuffix("_total") if self.type is MetricType.COUNTER else self.name

    @property
    def unit(self) -> str:
        """The base unit that the name ends in; empty where it ends in none."""
        if self.family.endswith("_per_second"):
            return ""
        return next((unit for unit in _UNITS if self.family.endswith(f"_{unit}")), "")


@dataclass(frozen=True)  # with slots, Python 3.11 cannot call `Family[State](…)`
class Family(Generic[State]):
    """A metric and the pure function that reads its samples off the state of a program."""

    metric: Metric
    samples: Callable[[State], Iterable[Sample]]


@dataclass(frozen=True)
class Section(Generic[State]):
    """Families that belong together, with the words that introduce them on the reference page."""

    title: str
    text: str
    families: tuple[Family[State], ...]
