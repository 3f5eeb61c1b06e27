"""The exporter's metrics: their table, and how a scrape of a view is made with it. The contract is docs/metrics.md."""

from pulltrace.exposition.program import Process
from pulltrace_exporter.metrics.scrape import Scrape, Scraper, SeriesLimits
from pulltrace_exporter.metrics.table import FAMILIES, SECTIONS

__all__ = ["FAMILIES", "SECTIONS", "Process", "Scrape", "Scraper", "SeriesLimits"]
