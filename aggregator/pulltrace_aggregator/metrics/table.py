"""The table of all metrics of the aggregator."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from pulltrace.exposition import Family, Section
from pulltrace.exposition.families import LabelValues, labelled, single
from pulltrace.exposition.program import program_families
from pulltrace_aggregator.metrics.cluster import CLUSTER
from pulltrace_aggregator.metrics.pods import PODS
from pulltrace_aggregator.metrics.scrape import Scrape
from pulltrace_aggregator.model.node import NodeState


def _exporters(scrape: Scrape) -> Iterable[tuple[LabelValues, float]]:
    states = Counter(node.state for node in scrape.view.nodes)
    return (((state,), states[state]) for state in (NodeState.OK, NodeState.UNREACHABLE))


AGGREGATOR: Final = Section(
    "Aggregator",
    "The aggregator itself. The usual `process_*` and `python_info` are there too.",
    (
        single(
            "pulltrace_aggregator_kubernetes_up",
            "Whether all needed Kubernetes resources are listed and watched, 1 or 0.",
            lambda scrape: scrape.process.kubernetes_up(),
        ),
        labelled(
            "pulltrace_aggregator_watch_restarts_total",
            "Lists and watches that failed, and watches that the API server ended early, by resource and reason.",
            ("resource", "reason"),
            lambda scrape: scrape.process.watch_restarts().items(),
        ),
        labelled(
            "pulltrace_aggregator_exporters",
            "Nodes by the result of the last request to their exporter: ok or unreachable.",
            ("state",),
            _exporters,
        ),
        labelled(
            "pulltrace_aggregator_exporter_requests_total",
            "Requests to exporters by result.",
            ("result",),
            lambda scrape: (((result,), count) for result, count in scrape.process.exporter_requests().items()),
        ),
        *program_families("aggregator", lambda scrape: scrape.process, lambda scrape: scrape.faults()),
    ),
)

SECTIONS: Final[tuple[Section[Scrape], ...]] = (PODS, CLUSTER, AGGREGATOR)
FAMILIES: Final[tuple[Family[Scrape], ...]] = tuple(family for section in SECTIONS for family in section.families)
