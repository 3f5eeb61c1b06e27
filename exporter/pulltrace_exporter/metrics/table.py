"""The table of all metrics of the exporter."""

from typing import Final

from pulltrace.exposition import Family, MetricType, Section
from pulltrace.exposition.families import histograms, labelled, single
from pulltrace_exporter.metrics.node import NODE
from pulltrace_exporter.metrics.pulls import LAYERS, PULLS
from pulltrace_exporter.metrics.scrape import Scrape


def _web_config_loaded(scrape: Scrape) -> int | None:
    loaded = scrape.process.web_config_loaded()
    return None if loaded is None else int(loaded)


EXPORTER: Final = Section(
    "Exporter",
    "The exporter itself. The usual `process_*` and `python_info` are there too.",
    (
        single(
            "pulltrace_exporter_time_seconds",
            MetricType.GAUGE,
            "Unix time on the node's clock at the scrape: ages are differences to it, not to time().",
            lambda scrape: scrape.now,
        ),
        histograms(
            "pulltrace_exporter_poll_duration_seconds",
            "Time that reading containerd took.",
            (),
            lambda scrape: [((), scrape.view.polls.durations)],
        ),
        labelled(
            "pulltrace_exporter_poll_errors_total",
            MetricType.COUNTER,
            "Failed calls to containerd by call and gRPC status code.",
            ("call", "code"),
            lambda scrape: scrape.view.polls.errors.items(),
        ),
        single(
            "pulltrace_exporter_last_poll_timestamp_seconds",
            MetricType.GAUGE,
            "Unix time of the last reading of containerd, whether it succeeded or not.",
            lambda scrape: scrape.view.polls.last_at,
        ),
        labelled(
            "pulltrace_exporter_suppressed_series",
            MetricType.GAUGE,
            "What has no series of its own for the limits: number of pulls, layers, registries and media types.",
            ("kind",),
            lambda scrape: (((kind,), count) for kind, count in scrape.suppressed.items()),
        ),
        labelled(
            "pulltrace_exporter_build_info",
            MetricType.GAUGE,
            "Version of the exporter and of Python, always 1.",
            ("version", "python_version"),
            lambda scrape: [((scrape.process.version, scrape.process.python_version), 1)],
        ),
        single(
            "pulltrace_web_config_last_reload_successful",
            MetricType.GAUGE,
            "Whether the last reading of --web.config.file succeeded, 1 or 0; absent without such a file.",
            _web_config_loaded,
        ),
        # Last, so that it counts this scrape's own faults.
        labelled(
            "pulltrace_exporter_scrape_errors_total",
            MetricType.COUNTER,
            "Metric families left out of a scrape because of a fault in the exporter; absent while there is none.",
            ("family",),
            lambda scrape: (((family,), count) for family, count in scrape.faults().items()),
        ),
    ),
)

SECTIONS: Final[tuple[Section[Scrape], ...]] = (PULLS, LAYERS, NODE, EXPORTER)
FAMILIES: Final[tuple[Family[Scrape], ...]] = tuple(family for section in SECTIONS for family in section.families)
