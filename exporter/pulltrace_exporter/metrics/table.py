"""The table of all metrics of the exporter. Those of pulls and layers have a module of their own."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from pulltrace.exposition import Family, Section
from pulltrace.exposition.families import LabelValues, histograms, labelled, single, summaries
from pulltrace.exposition.program import program_families
from pulltrace.model.pull import Phase
from pulltrace_exporter.metrics.pulls import LAYERS, PULLS
from pulltrace_exporter.metrics.scrape import Scrape
from pulltrace_exporter.model.view import View


def _in_progress(scrape: Scrape) -> Iterable[tuple[LabelValues, float]]:
    view = scrape.view
    if not _was_read(view):
        return ()
    phases = Counter(pull.phase for pull in view.pulls)
    return (
        (("resolving",), len(view.resolving)),
        ((Phase.DOWNLOADING,), phases[Phase.DOWNLOADING] + view.unidentified),
        ((Phase.UNPACKING,), phases[Phase.UNPACKING]),
    )


def _was_read(view: View) -> bool:
    """Whether containerd ever answered: before that it is not known whether pulls run."""
    return view.daemon.up or bool(view.daemon.version) or bool(view.pulls) or bool(view.resolving)


def _queued(scrape: Scrape) -> Iterable[tuple[LabelValues, float]]:
    return (((image.registry, image.repository, image.reference), image.since) for image in scrape.queued)


NODE: Final = Section(
    "Node",
    "What runs on the node, and what was counted since the exporter's start. Counters have no limit but"
    " `--limit.label-values`: registries and media types beyond it are counted as `other`.",
    (
        labelled(
            "pulltrace_pulls_in_progress",
            "Running pulls: resolving (the registry has not answered yet), downloading, unpacking.",
            ("phase",),
            _in_progress,
        ),
        single(
            "pulltrace_oldest_resolving_start_time_seconds",
            "Unix time of the start of the oldest pull whose registry has not answered; absent without one.",
            lambda scrape: min(scrape.view.resolving, default=None),
        ),
        labelled(
            "pulltrace_queued_pull_start_time_seconds",
            "Unix time since when an image stands in the kubelet's queue, from its pull intents.",
            ("registry", "repository", "reference"),
            _queued,
        ),
        labelled(
            "pulltrace_pulls_total",
            "Ended pulls by result: succeeded, failed or orphaned.",
            ("registry", "result"),
            lambda scrape: scrape.view.totals.pulls.items(),
        ),
        single(
            "pulltrace_unresolved_pulls_total",
            "Pulls that ended without ever naming an image: the registry did not answer, or refused.",
            lambda scrape: scrape.view.totals.unresolved_pulls,
        ),
        histograms(
            "pulltrace_pull_duration_seconds",
            "Time that succeeded pulls took, from the request to the end.",
            ("registry",),
            lambda scrape: (((name,), histogram) for name, histogram in scrape.view.totals.durations.items()),
        ),
        summaries(
            "pulltrace_pull_stage_seconds",
            "Parts of the time that succeeded pulls took: resolve, download, unpack. They add up to the whole.",
            ("registry", "stage"),
            lambda scrape: scrape.view.totals.stages.items(),
        ),
        labelled(
            "pulltrace_active_seconds_total",
            "Time with at least one pull in download or unpack; bytes rate by this rate is a registry's speed.",
            ("registry", "stage"),
            lambda scrape: scrape.view.totals.active_seconds.items(),
        ),
        labelled(
            "pulltrace_downloaded_bytes_total",
            "Bytes fetched over the network into the content store. Each byte counts once, also when a pull is"
            " resumed.",
            ("registry", "media_type"),
            lambda scrape: scrape.view.totals.downloaded_bytes.items(),
        ),
        labelled(
            "pulltrace_cached_bytes_total",
            "Bytes that pulls found already on the node.",
            ("registry",),
            lambda scrape: (((name,), count) for name, count in scrape.view.totals.cached_bytes.items()),
        ),
        labelled(
            "pulltrace_remote_bytes_total",
            "Compressed size of layers that a remote snapshotter brought or left unfetched: neither downloaded nor"
            " cached.",
            ("registry",),
            lambda scrape: (((name,), count) for name, count in scrape.view.totals.remote_bytes.items()),
        ),
        single(
            "pulltrace_containerd_up",
            "Whether the last poll of containerd succeeded, 1 or 0; absent before the first one is over.",
            lambda scrape: None if scrape.view.polls.last_at is None else scrape.view.daemon.up,
        ),
        labelled(
            "pulltrace_containerd_info",
            "Version of containerd, always 1.",
            ("version",),
            lambda scrape: [((version,), 1)] if (version := scrape.view.daemon.version) else [],
        ),
        single(
            "pulltrace_containerd_start_time_seconds",
            "Unix time of containerd's start on the node's clock.",
            lambda scrape: scrape.view.daemon.started_at,
        ),
    ),
)


EXPORTER: Final[Section[Scrape]] = Section(
    "Exporter",
    "The exporter itself. The usual `process_*` and `python_info` are there too.",
    (
        single(
            "pulltrace_exporter_time_seconds",
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
            "Failed calls to containerd by call and gRPC status code.",
            ("call", "code"),
            lambda scrape: scrape.view.polls.errors.items(),
        ),
        single(
            "pulltrace_exporter_last_poll_timestamp_seconds",
            "Unix time of the last reading of containerd, whether it succeeded or not.",
            lambda scrape: scrape.view.polls.last_at,
        ),
        labelled(
            "pulltrace_exporter_suppressed_series",
            "Pulls, layers, registries and media types without series of their own because of a limit, by kind.",
            ("kind",),
            lambda scrape: (((kind,), count) for kind, count in scrape.suppressed.items()),
        ),
        *program_families("exporter", lambda scrape: scrape.process, lambda scrape: scrape.faults()),
    ),
)

SECTIONS: Final[tuple[Section[Scrape], ...]] = (PULLS, LAYERS, NODE, EXPORTER)
FAMILIES: Final[tuple[Family[Scrape], ...]] = tuple(family for section in SECTIONS for family in section.families)
