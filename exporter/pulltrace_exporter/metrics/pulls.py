"""Families of pulls and of their layers."""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pulltrace.exposition import Family, Metric, MetricType, Sample, Section, label_text
from pulltrace.exposition.families import LabelValues
from pulltrace.model.pull import Layer, LayerState, Pull
from pulltrace_exporter.metrics.scrape import LAYER_LABELS, PULL_LABELS, Scrape

_INFO_LABELS: Final = ("reference", "media_type", "snapshotter")
_STATE_LABELS: Final = {state: f',state="{state}"}}' for state in LayerState}
_FETCHING: Final = (LayerState.WAITING, LayerState.DOWNLOADING)


def _gauge(
    name: str, help_text: str, labels: LabelValues, samples: Callable[[Scrape], Iterable[Sample]]
) -> Family[Scrape]:
    return Family(Metric(name, MetricType.GAUGE, help_text, labels), samples)


def _pull_gauge(name: str, help_text: str, value: Callable[[Pull], float | None]) -> Family[Scrape]:
    """A gauge with one sample for each pull, none while the value is not known."""
    return _gauge(
        name, help_text, PULL_LABELS, lambda scrape: _known((row.series, value(row.pull)) for row in scrape.pulls)
    )


def _layer_gauge(name: str, help_text: str, value: Callable[[Layer], float | None]) -> Family[Scrape]:
    """A gauge with one sample for each layer, none while the value is not known."""
    return _gauge(
        name, help_text, LAYER_LABELS, lambda scrape: _known((row.series, value(row.layer)) for row in scrape.layers)
    )


def _known(values: Iterable[tuple[str, float | None]]) -> list[Sample]:
    return [(series, number) for series, number in values if number is not None]


def _info(scrape: Scrape) -> Iterator[Sample]:
    for pull, labels, _ in scrape.pulls:
        reference = pull.references[0] if pull.references else ""
        more = label_text(_INFO_LABELS, (reference, pull.media_type, pull.snapshotter))
        yield f"{{{labels},{more}}}", 1


def _phase(scrape: Scrape) -> Iterator[Sample]:
    for pull, labels, _ in scrape.pulls:
        yield f'{{{labels},phase="{pull.phase}"}}', 1


def _layer_counts(scrape: Scrape) -> Iterator[Sample]:
    for pull, labels, _ in scrape.pulls:
        # Without a manifest the number of layers is not known, and no 0 is made up for it.
        if pull.size is not None:
            for state, count in pull.layer_counts.items():
                yield f"{{{labels}{_STATE_LABELS[state]}", count


def _while_running(value: Callable[[Pull], float | None]) -> Callable[[Pull], float | None]:
    return lambda pull: None if pull.phase.ended else value(pull)


def _layer_rates(scrape: Scrape) -> Iterator[Sample]:
    for pull, layer, _, series in scrape.layers:
        if layer.bytes_per_second is not None and layer.state in _FETCHING and not pull.phase.ended:
            yield series, layer.bytes_per_second


def _layer_states(scrape: Scrape) -> list[Sample]:
    return [(f"{{{labels}{_STATE_LABELS[layer.state]}", 1) for _, layer, labels, _ in scrape.layers]


PULLS: Final = Section(
    "Pulls",
    "One pull is one image on its way to this node, however many have asked for it: `registry` is the host without"
    " its port, `digest` is that of the index, or of the manifest where there is no index. The series are there while"
    " the pull runs and for `--pull.linger` after its end. Beyond `--limit.pulls` ended pulls go first.",
    (
        _gauge(
            "pulltrace_pull_info",
            "Attributes of a pull, always 1; the reference has its tag once that is known, and is empty before.",
            (*PULL_LABELS, *_INFO_LABELS),
            _info,
        ),
        _gauge(
            "pulltrace_pull_phase",
            "The pull's current phase, always 1: downloading, unpacking, succeeded, failed or orphaned.",
            (*PULL_LABELS, "phase"),
            _phase,
        ),
        _pull_gauge(
            "pulltrace_pull_size_bytes",
            "Compressed size of the image's config and layers for this platform.",
            lambda pull: pull.size,
        ),
        _pull_gauge(
            "pulltrace_pull_cached_bytes",
            "Part of the size that was on the node before the pull.",
            lambda pull: pull.cached,
        ),
        _pull_gauge(
            "pulltrace_pull_downloaded_bytes",
            "Part of the size that has come to the node since the pull's start. What a remote snapshotter brought"
            " unseen is left out.",
            lambda pull: pull.downloaded,
        ),
        _pull_gauge(
            "pulltrace_pull_unpacked_bytes",
            "Compressed size of the layers that are unpacked, cached ones included.",
            lambda pull: pull.unpacked,
        ),
        _pull_gauge(
            "pulltrace_pull_progress_ratio",
            "Downloaded part of what was not there before, from 0 to 1; 1 when nothing had to be fetched. Absent while"
            " a remote snapshotter fetches layers unseen.",
            lambda pull: pull.progress_ratio,
        ),
        _pull_gauge(
            "pulltrace_pull_bytes_per_second",
            "Current download rate; absent while unknown and after the pull's end.",
            _while_running(lambda pull: pull.bytes_per_second),
        ),
        _pull_gauge(
            "pulltrace_pull_eta_seconds",
            "Time until all bytes are there at the present rate; absent without a rate and once they are there.",
            _while_running(lambda pull: pull.eta_seconds),
        ),
        _pull_gauge(
            "pulltrace_pull_start_time_seconds",
            "Unix time of the pull's start on the node's clock.",
            lambda pull: pull.started_at,
        ),
        _pull_gauge(
            "pulltrace_pull_end_time_seconds",
            "Unix time of the pull's end on the node's clock; absent before.",
            lambda pull: pull.ended_at if pull.phase.ended else None,
        ),
        _pull_gauge(
            "pulltrace_pull_last_progress_timestamp_seconds",
            "Unix time on the node's clock of the last byte or layer.",
            lambda pull: pull.last_progress_at,
        ),
        _gauge(
            "pulltrace_pull_layers",
            "Layers of a pull in each state: waiting, downloading, downloaded, unpacking, unpacked, cached, or remote:"
            " a remote snapshotter fetches it, or has it unfetched, and its bytes are not known.",
            (*PULL_LABELS, "state"),
            _layer_counts,
        ),
        _pull_gauge(
            "pulltrace_pull_requests",
            "Concurrent requests for this image, which are one download.",
            lambda pull: pull.requests,
        ),
    ),
)

LAYERS: Final = Section(
    "Layers",
    "The labels of the pull, and `layer`, the position in the manifest from 0. The series live as long as the pull's."
    " `--no-collector.layers` turns them off, `--layer.min-size` and `--layer.min-age` leave out small layers and short"
    " pulls; sums stay whole. Beyond `--limit.layers` layers of ended pulls go first, then those of the images with"
    " the most.",
    (
        _layer_gauge("pulltrace_layer_size_bytes", "Compressed size of a layer of a pull.", lambda layer: layer.size),
        _layer_gauge(
            "pulltrace_layer_downloaded_bytes",
            "Bytes of the layer that are on the node and were not there before: 0 for a cached one. Absent for one that"
            " a remote snapshotter handles unseen.",
            lambda layer: layer.downloaded,
        ),
        _gauge(
            "pulltrace_layer_bytes_per_second",
            "Current download rate of the layer; absent while unknown and once the layer is complete.",
            LAYER_LABELS,
            _layer_rates,
        ),
        _gauge(
            "pulltrace_layer_state",
            "The layer's current state, always 1: waiting, downloading, downloaded, unpacking, unpacked, cached"
            " or remote.",
            (*LAYER_LABELS, "state"),
            _layer_states,
        ),
    ),
)
