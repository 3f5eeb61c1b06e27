"""The aggregator's metrics: one table, and what makes text of a view with it. The contract is docs/metrics.md."""

from pulltrace_aggregator.metrics.scrape import Process, Scrape, Scraper
from pulltrace_aggregator.metrics.table import FAMILIES, SECTIONS

__all__ = ["FAMILIES", "SECTIONS", "Process", "Scrape", "Scraper"]
