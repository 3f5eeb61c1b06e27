"""Metrics as a table, and their rendering as text.

prometheus_client makes objects of every sample, which takes far longer than joining text. So it serves only the metrics
of the process here.
"""

from pulltrace.exposition.families import (
    Family,
    Metric,
    MetricType,
    Sample,
    Section,
    histogram_samples,
    label_text,
    series,
)
from pulltrace.exposition.render import Exposition, Faults, TextFormat, choose_format, process_collectors

__all__ = [
    "Exposition",
    "Family",
    "Faults",
    "Metric",
    "MetricType",
    "Sample",
    "Section",
    "TextFormat",
    "choose_format",
    "histogram_samples",
    "label_text",
    "process_collectors",
    "series",
]
