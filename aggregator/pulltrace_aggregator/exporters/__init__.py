"""The adapter to the exporters: finds them, asks each as often as it is worth within the budget, keeps what they said.

Pure are `discovery` (where is each node's exporter), `schedule` (whom to ask when), `answer` (from bytes to a report)
and `roster` (what is known of each node). `connection`, `client` and `access` do the asking, `reader` joins them all in
one event loop, and `fleet` gives that loop its thread.
"""

from pulltrace_aggregator.exporters.access import Access
from pulltrace_aggregator.exporters.discovery import Discovery
from pulltrace_aggregator.exporters.fleet import Fleet
from pulltrace_aggregator.exporters.schedule import Pace
from pulltrace_aggregator.exporters.target import Target
from pulltrace_aggregator.exporters.values import ExporterGone, ExporterSeen, FleetView, Result, Sink

__all__ = [
    "Access",
    "Discovery",
    "ExporterGone",
    "ExporterSeen",
    "Fleet",
    "FleetView",
    "Pace",
    "Result",
    "Sink",
    "Target",
]
