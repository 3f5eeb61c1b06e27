"""Families of the cluster: what is stale or missing, where images are pulled, and what was counted."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from pulltrace.exposition import Family, Metric, MetricType, Sample, Section
from pulltrace.exposition.families import LabelValues, histograms, labelled
from pulltrace_aggregator.metrics.scrape import NODE_PULL_LABELS, PULL_LABELS, Scrape, node_pull_labels


def _stale(scrape: Scrape) -> Iterator[Sample]:
    for entry in scrape.view.pulls:
        if entry.stale is not None:
            yield f'{{{node_pull_labels(entry)},reason="{entry.stale}"}}', 1


def _resolving_stale(scrape: Scrape) -> Iterable[tuple[LabelValues, float]]:
    return (((node.node,), node.resolving_stale) for node in scrape.view.nodes if node.resolving)


def _missing(scrape: Scrape) -> Iterable[tuple[LabelValues, float]]:
    return (((node.node,), 1) for node in scrape.view.nodes if node.missing)


def _queued(scrape: Scrape) -> Iterable[tuple[LabelValues, float]]:
    return (((node.node,), node.queued) for node in scrape.view.nodes if node.active)


def _image_nodes(scrape: Scrape) -> Iterable[tuple[LabelValues, float]]:
    counts = Counter((entry.key, entry.pull.phase) for entry in scrape.view.pulls)
    return (((*key, phase), count) for (key, phase), count in counts.items())


CLUSTER: Final = Section(
    "Cluster",
    "What all nodes show together, and what was counted since the aggregator's start. A restart adds nothing: what"
    " events and pulls had shown before is not counted again.",
    (
        Family(
            Metric(
                "pulltrace_pull_stale",
                MetricType.GAUGE,
                "A pull that is stale now, always 1; the first reason that holds of orphaned, exporter_unreachable,"
                " no_progress, unpack_no_progress, remote_no_progress and slow.",
                (*NODE_PULL_LABELS, "reason"),
            ),
            _stale,
        ),
        labelled(
            "pulltrace_node_resolving_stale",
            "Pulls of the node whose registry has not answered for too long; absent while none waits for an answer.",
            ("node",),
            _resolving_stale,
        ),
        labelled(
            "pulltrace_node_exporter_missing",
            "A pod waits for an image on the node and no exporter answers for it, always 1; not where none can run, and"
            " not while its own image is awaited.",
            ("node",),
            _missing,
        ),
        labelled(
            "pulltrace_stale_pulls_total",
            "Pulls that became stale by reason, each pull once for each reason.",
            ("reason",),
            lambda scrape: (((reason,), count) for reason, count in scrape.view.totals.stale_pulls.items()),
        ),
        labelled(
            "pulltrace_image_nodes",
            "Nodes by image and phase of its pull there, as long as their exporters show it.",
            (*PULL_LABELS, "phase"),
            _image_nodes,
        ),
        labelled(
            "pulltrace_node_queued_images",
            "Images in the kubelet's queue whose pull has not begun; absent for a node without pulls and waits.",
            ("node",),
            _queued,
        ),
        labelled(
            "pulltrace_pod_pull_failures_total",
            "Failed image pulls by reason, from the kubelet's events: a lower bound.",
            ("namespace", "registry", "reason"),
            lambda scrape: scrape.view.totals.failures.items(),
        ),
        histograms(
            "pulltrace_pod_pull_duration_seconds",
            "Time of a pull that the kubelet reports; up to Kubernetes 1.25 with the time in its queue.",
            ("namespace", "registry"),
            lambda scrape: scrape.view.totals.durations.items(),
        ),
        histograms(
            "pulltrace_pod_pull_queue_seconds",
            "Time in the kubelet's queue, as reported by Kubernetes 1.26 and later.",
            ("namespace",),
            lambda scrape: (((namespace,), queue) for namespace, queue in scrape.view.totals.queues.items()),
        ),
        histograms(
            "pulltrace_pod_pull_stage_seconds",
            "Time of image waits that ended with the image on the node, by stage: queue, resolve, download, unpack,"
            " backoff.",
            ("namespace", "stage"),
            lambda scrape: scrape.view.totals.stages.items(),
        ),
        histograms(
            "pulltrace_pod_pull_wait_seconds",
            "Time of image waits that ended with the image on the node, from the first sign of the wait.",
            ("namespace",),
            lambda scrape: (((namespace,), wait) for namespace, wait in scrape.view.totals.waits.items()),
        ),
        labelled(
            "pulltrace_image_downloaded_bytes_total",
            "Bytes that all nodes have fetched for images of the repository; those of a layer that two running pulls"
            " share count for both. Repositories beyond --limit.repositories are other.",
            ("registry", "repository"),
            lambda scrape: scrape.view.totals.image_bytes.items(),
        ),
        labelled(
            "pulltrace_image_pulls_total",
            "Ended pulls of images of the repository on all nodes, each once: succeeded, failed or orphaned.",
            ("registry", "repository", "result"),
            lambda scrape: scrape.view.totals.image_pulls.items(),
        ),
    ),
)
