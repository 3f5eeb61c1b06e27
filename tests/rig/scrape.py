"""What the exporter said at one scrape, in the shape in which tests ask for it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from rig.images import Image

LAYER_TYPES = ("layer", "rootfs.diff")
"""What the media types of layers have in their names, those of OCI and those of Docker."""

Value = Any
"""A float, or None for what has no sample. Tests compare it; what it must be is said by the comparison."""


@dataclass(frozen=True, slots=True)
class LayerSeries:
    """One layer of one pull; what has no sample is None."""

    index: int
    digest: str
    media_type: str
    size: Value
    downloaded: Value
    rate: Value
    state: str


@dataclass(frozen=True, slots=True)
class PullSeries:
    """One pull, under the names of its series without their prefix. Without a phase it is none, and false."""

    registry: str
    repository: str
    digest: str
    phase: str
    reference: str
    media_type: str
    snapshotter: str
    requests: Value
    size: Value
    cached: Value
    downloaded: Value
    unpacked: Value
    ratio: Value
    rate: Value
    eta: Value
    start: Value
    end: Value
    last_progress: Value
    counts: Mapping[str, float]
    layers: tuple[LayerSeries, ...]

    def __bool__(self) -> bool:
        return bool(self.phase)

    @property
    def ended(self) -> bool:
        return self.phase in ("succeeded", "failed", "orphaned")

    @property
    def states(self) -> list[str]:
        return [layer.state for layer in self.layers]

    @property
    def remote(self) -> float:
        """Size of the layers whose bytes nobody sees: those that a remote snapshotter handles."""
        unseen: dict[str, float] = {layer.digest: layer.size for layer in self.layers if layer.downloaded is None}
        return sum(unseen.values())


@dataclass(frozen=True, slots=True)
class Scrape:
    """One answer of /metrics."""

    series: Mapping[str, Sequence[Sample]] = field(repr=False)
    pulls: tuple[PullSeries, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        series: defaultdict[str, list[Sample]] = defaultdict(list)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                series[sample.name].append(sample)
        return cls(dict(series), tuple(_pulls(series)))

    def find(self, name: str, **labels: str) -> list[Sample]:
        """The samples of a series' name that have these labels, and perhaps others."""
        return _having(self.series.get(name, ()), labels)

    def value(self, name: str, **labels: str) -> Value:
        """The value of the one sample that has these labels; None without one."""
        return _only(self.find(name, **labels))

    def total(self, name: str, **labels: str) -> float:
        return sum(sample.value for sample in self.find(name, **labels))

    def by(self, label: str, name: str, **labels: str) -> dict[str, float]:
        """The values of the samples with these labels, by one label more."""
        return {sample.labels[label]: sample.value for sample in self.find(name, **labels)}

    def pull(self, image: Image) -> PullSeries:
        """The pull of an image; one without a phase while it has no series."""
        found = [pull for pull in self.pulls if (pull.repository, pull.digest) == (image.repository, image.root.digest)]
        assert len(found) <= 1, f"{len(found)} pulls of {image.repository} at once: {found}"
        return found[0] if found else _pull({}, _NO_LABELS, "")

    def phase(self, image: Image) -> str:
        return self.pull(image).phase

    def downloaded(self, image: Image) -> float:
        """What is shown as downloaded of an image, 0 while nothing is."""
        return self.pull(image).downloaded or 0

    @property
    def layer_bytes(self) -> float:
        """What was counted of layers, over all registries."""
        samples = self.find("pulltrace_downloaded_bytes_total")
        return sum(s.value for s in samples if any(part in s.labels["media_type"] for part in LAYER_TYPES))

    @property
    def ended(self) -> dict[str, float]:
        """Ended pulls by result, over all registries, without those that never happened."""
        counts: dict[str, float] = defaultdict(float)
        for sample in self.find("pulltrace_pulls_total"):
            counts[sample.labels["result"]] += sample.value
        return {result: count for result, count in counts.items() if count}

    @property
    def in_progress(self) -> dict[str, float]:
        return self.by("phase", "pulltrace_pulls_in_progress")

    @property
    def up(self) -> bool:
        return bool(self.value("pulltrace_containerd_up") == 1)

    @property
    def unresolved(self) -> Value:
        return self.value("pulltrace_unresolved_pulls_total")


_NO_LABELS = {"registry": "", "repository": "", "digest": ""}


def _pulls(series: Mapping[str, Sequence[Sample]]) -> Iterator[PullSeries]:
    for sample in series.get("pulltrace_pull_phase", ()):
        labels = {name: sample.labels[name] for name in ("registry", "repository", "digest")}
        own = {
            name.removeprefix("pulltrace_"): found
            for name, samples in series.items()
            if name.startswith(("pulltrace_pull_", "pulltrace_layer_")) and (found := _having(samples, labels))
        }
        yield _pull(own, labels, sample.labels["phase"])


def _pull(own: Mapping[str, Sequence[Sample]], labels: Mapping[str, str], phase: str) -> PullSeries:
    def value(name: str) -> Value:
        return _only(own.get(f"pull_{name}", ()))

    info = own["pull_info"][0].labels if "pull_info" in own else {}
    return PullSeries(
        **labels,
        phase=phase,
        reference=info.get("reference", ""),
        media_type=info.get("media_type", ""),
        snapshotter=info.get("snapshotter", ""),
        requests=value("requests"),
        size=value("size_bytes"),
        cached=value("cached_bytes"),
        downloaded=value("downloaded_bytes"),
        unpacked=value("unpacked_bytes"),
        ratio=value("progress_ratio"),
        rate=value("bytes_per_second"),
        eta=value("eta_seconds"),
        start=value("start_time_seconds"),
        end=value("end_time_seconds"),
        last_progress=value("last_progress_timestamp_seconds"),
        counts={sample.labels["state"]: sample.value for sample in own.get("pull_layers", ())},
        layers=tuple(sorted(_layers(own), key=lambda layer: layer.index)),
    )


def _layers(own: Mapping[str, Sequence[Sample]]) -> Iterator[LayerSeries]:
    for sample in own.get("layer_state", ()):
        labels = {name: sample.labels[name] for name in ("layer", "layer_digest", "media_type")}
        size, downloaded, rate = (
            _only(_having(own.get(f"layer_{name}", ()), labels))
            for name in ("size_bytes", "downloaded_bytes", "bytes_per_second")
        )
        yield LayerSeries(
            index=int(labels["layer"]),
            digest=labels["layer_digest"],
            media_type=labels["media_type"],
            size=size,
            downloaded=downloaded,
            rate=rate,
            state=sample.labels["state"],
        )


def _having(samples: Sequence[Sample], labels: Mapping[str, str]) -> list[Sample]:
    return [sample for sample in samples if labels.items() <= sample.labels.items()]


def _only(samples: Sequence[Sample]) -> Value:
    assert len(samples) <= 1, f"several samples where there can be one: {samples}"
    return samples[0].value if samples else None
