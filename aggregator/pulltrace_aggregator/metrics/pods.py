"""Families of what pods wait for."""

from collections.abc import Callable, Iterator
from typing import Final

from pulltrace.exposition import Family, Metric, MetricType, Sample, Section
from pulltrace_aggregator.metrics.scrape import INFO_LABELS, POD_LABELS, Scrape
from pulltrace_aggregator.model.node import NodePull
from pulltrace_aggregator.model.states import Cause, PodPhase

_PHASES: Final = {phase: f',phase="{phase}"}}' for phase in PodPhase}
_CAUSES: Final = {cause: f',cause="{cause}"}}' for cause in Cause}


def _of_pull(name: str, help_text: str, value: Callable[[NodePull], float | None]) -> Family[Scrape]:
    """A gauge of the matched pull, without a sample where there is no pull or its value is not known."""

    def samples(scrape: Scrape) -> Iterator[Sample]:
        for row in scrape.pods:
            number = None if row.pull.pull is None else value(row.pull.pull)
            if number is not None:
                yield row.series, number

    return _of_wait(name, help_text, samples)


def _of_wait(name: str, help_text: str, samples: Callable[[Scrape], Iterator[Sample]], *labels: str) -> Family[Scrape]:
    """A gauge of waits, with these labels after those of all rows."""
    return Family(Metric(name, MetricType.GAUGE, help_text, (*POD_LABELS, *labels)), samples)


def _info(scrape: Scrape) -> Iterator[Sample]:
    return ((f"{{{row.labels},{row.info}}}", 1) for row in scrape.pods)


def _phase(scrape: Scrape) -> Iterator[Sample]:
    return ((f"{{{row.labels}{_PHASES[row.pull.phase]}", 1) for row in scrape.pods)


def _waiting(scrape: Scrape) -> Iterator[Sample]:
    return (
        (row.series, max(0.0, scrape.now - row.pull.since))
        for row in scrape.pods
        if row.pull.phase is not PodPhase.PULLED
    )


def _blocked_by(scrape: Scrape) -> Iterator[Sample]:
    for row in scrape.pods:
        if row.pull.cause is not None:
            yield f"{{{row.labels}{_CAUSES[row.pull.cause]}", 1


def _failure(scrape: Scrape) -> Iterator[Sample]:
    for row in scrape.pods:
        if row.pull.failure is not None:
            yield f'{{{row.labels},reason="{row.pull.failure}"}}', 1


PODS: Final = Section(
    "Pods",
    "One row of series for each image that a container or image volume waits for, and for `--pod.linger` after it has"
    " come: `container` is the name of either, `container_type` is `container`, `init`, `ephemeral`, `volume` or"
    " `sandbox` (the pause image; `container` is `POD` then), `image` is the reference as written in the pod. The rows"
    " of a deleted pod leave at once, and so do those of a pod that another one of the same name has replaced.",
    (
        _of_wait(
            "pulltrace_pod_pull_info",
            "The pull found for an image of a pod, always 1; match is exact, repository, ambiguous or none.",
            _info,
            *INFO_LABELS,
        ),
        _of_wait(
            "pulltrace_pod_pull_phase",
            "The phase, always 1: queued, resolving, downloading, unpacking, backoff, failed, pulled or unknown.",
            _phase,
            "phase",
        ),
        _of_pull(
            "pulltrace_pod_pull_progress_ratio",
            "Downloaded part of what the node did not have before, from 0 to 1, of the matched pull.",
            lambda entry: entry.pull.progress_ratio,
        ),
        _of_pull(
            "pulltrace_pod_pull_size_bytes",
            "Compressed size of the image's config and layers, of the matched pull.",
            lambda entry: entry.pull.size,
        ),
        _of_pull(
            "pulltrace_pod_pull_downloaded_bytes",
            "Part of the size, without what was there before, that is on the node now, of the matched pull.",
            lambda entry: entry.pull.downloaded,
        ),
        _of_pull(
            "pulltrace_pod_pull_bytes_per_second",
            "Current download rate of the matched pull; absent while unknown and after the pull's end.",
            lambda entry: entry.bytes_per_second,
        ),
        _of_pull(
            "pulltrace_pod_pull_eta_seconds",
            "Time until all bytes of the matched pull are there at the present rate; absent without a rate.",
            lambda entry: entry.eta_seconds,
        ),
        _of_wait(
            "pulltrace_pod_pull_waiting_seconds",
            "How long the image has been waited for; absent once it has come.",
            _waiting,
        ),
        _of_wait(
            "pulltrace_pod_pull_blocked_by",
            "The one cause that blocks a waiting image, always 1; docs/causes.md says what to do.",
            _blocked_by,
            "cause",
        ),
        _of_wait(
            "pulltrace_pod_pull_failure",
            "Why the last attempt failed, always 1; only while the phase is failed or backoff. The reasons are"
            " those of pulltrace_pod_pull_failures_total.",
            _failure,
            "reason",
        ),
    ),
)
