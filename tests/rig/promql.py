"""Reads off a PromQL expression which metrics and labels it speaks of, to hold them against the tables of metrics.

It knows as much of the language as our own rules and dashboards use.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from pulltrace.exposition import Metric, MetricType
from pulltrace_aggregator.metrics.table import FAMILIES as AGGREGATOR
from pulltrace_exporter.metrics.table import FAMILIES as EXPORTER

Known = dict[str, set[str]]
"""Labels by the metric's name."""

TARGET = frozenset({"cluster", "node", "instance", "pod", "job", "namespace", "container", "service", "endpoint"})
"""Labels that every scraped series may have from its target."""

_STRING = re.compile(r'"(?:\\.|[^"\\])*"')
_SELECTOR = re.compile(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}")
_METRIC = re.compile(r"(?<![\w:$])((?:pulltrace|kube|up|process|ALERTS)\w*|\w+:\w+:\w+)(?![\w:]*\s*\()")
_LISTS = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)")
_MADE_BY_COUNT = re.compile(r'\bcount_values\b[^"]*"(\w+)"')
_MADE_OF_LABELS = re.compile(r'\blabel_join\(.*?, "(\w+)", ')
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


def _series(metrics: Iterable[Metric]) -> Known:
    """The series of these entries of a table, those of histograms and summaries with their suffixes."""
    known: Known = {}
    for metric in metrics:
        labels = set(metric.labels)
        if metric.type is MetricType.HISTOGRAM:
            known[f"{metric.name}_bucket"] = labels | {"le"}
            known[f"{metric.name}_sum"] = known[f"{metric.name}_count"] = labels
        elif metric.type is MetricType.SUMMARY:
            known[f"{metric.name}_sum"] = known[f"{metric.name}_count"] = labels
        else:
            known[metric.name] = labels
    return known


OURS: Final = _series([*(each.metric for each in EXPORTER), *(each.metric for each in AGGREGATOR)])
"""What both programs have in their tables."""
SCRAPED: Final[Known] = {
    **OURS,
    "process_resident_memory_bytes": set(),
    "process_cpu_seconds_total": set(),
    "scrape_samples_scraped": set(),
}
"""The same, and what comes from the client library and from Prometheus."""


def metrics_of(expr: str) -> set[str]:
    bare = re.sub(r"\{[^}]*\}", "", _STRING.sub('""', expr))
    return set(_METRIC.findall(_LISTS.sub("", bare)))


def unknown(expr: str, known: Known) -> list[str]:
    """The metrics and labels of the expression that do not exist, each as a sentence."""
    return sorted(set(_unknown(expr, known)))


def _unknown(expr: str, known: Known) -> Iterator[str]:
    bare = _STRING.sub('""', expr)
    metrics = metrics_of(expr)
    yield from (f"no metric {name}" for name in metrics - known.keys())
    for name, matchers in _SELECTOR.findall(bare):
        labels = known.get(name, set()) | _of_target(name)
        yield from (f"{name} has no label {label}" for label in _MATCHER.findall(matchers) if label not in labels)
    made = set(_MADE_BY_COUNT.findall(expr)) | set(_MADE_OF_LABELS.findall(expr))
    everything = made.union(*(known.get(name, set()) | _of_target(name) for name in metrics))
    for keyword, listed in _LISTS.findall(bare):
        for label in re.findall(r"\w+", listed):
            if label not in everything:
                yield f"{keyword} names {label}, which nothing here has"


def _of_target(name: str) -> frozenset[str]:
    return frozenset() if ":" in name else TARGET
