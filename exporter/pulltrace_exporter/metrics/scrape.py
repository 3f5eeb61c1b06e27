"""What one scrape reads: the view, the time, and rows for the pulls and layers within the limits."""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeVar

from prometheus_client import CollectorRegistry

from pulltrace.exposition import Exposition, Family, Faults, TextFormat, label_text
from pulltrace.exposition.program import Process
from pulltrace.model.pull import Layer, Pull, QueuedImage
from pulltrace_exporter.model.view import View

_T = TypeVar("_T")

PULL_LABELS: Final = ("registry", "repository", "digest")
LAYER_LABELS: Final = (*PULL_LABELS, "layer", "layer_digest", "media_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesLimits:
    """Which pulls and layers may have series, from the flags. Sizes in bytes, ages in seconds. Sums have no limit."""

    pulls: int = 200
    layers: int = 5000
    collect_layers: bool = True
    layer_min_size: int = 0
    layer_min_age: float = 0.0


class PullLayers(NamedTuple):
    """A pull and those of its layers that have series."""

    pull: Pull
    layers: tuple[Layer, ...]


class PullRow(NamedTuple):
    """A pull and the text of its labels: `labels` to append others to, `series` with braces."""

    pull: Pull
    labels: str
    series: str


class LayerRow(NamedTuple):
    """A layer of a pull, and the text of both their labels."""

    pull: Pull
    layer: Layer
    labels: str
    series: str


@dataclass(frozen=True, slots=True)
class Scrape:
    """All that the families of metrics make their samples from, for one scrape. `now` is Unix time."""

    view: View
    now: float
    pulls: Sequence[PullRow]
    layers: Sequence[LayerRow]
    queued: Sequence[QueuedImage]
    suppressed: Mapping[str, int]
    process: Process
    faults: Callable[[], Mapping[str, int]]


class Scraper:
    """Answers scrapes: view and time in, text out. For use by several threads.

    It keeps the label texts of the last scrape only. They are replaced as a whole, so at worst two threads make the
    same text twice.
    """

    def __init__(
        self,
        families: Sequence[Family[Scrape]],
        limits: SeriesLimits,
        process: Process,
        collectors: CollectorRegistry | None = None,
    ) -> None:
        self._faults = Faults()
        self._exposition = Exposition(families, self._faults, collectors)
        self._limits = limits
        self._process = process
        self._labels: dict[Hashable, tuple[str, str]] = {}

    def render(self, view: View, now: float, form: TextFormat) -> bytes:
        """The text of a scrape of `view` at `now`, Unix time on the node's clock, within the limits.

        Beyond the limit, ended pulls are left out first, those that ended longest ago before others. Then the running
        ones that began last are left out, so that present series stay. As many images of the queue may have series.
        """
        limits = self._limits
        queue = _distinct(view.queued)
        queued = _first(limits.pulls, queue, lambda image: image.since)
        kept = {id(pull) for pull in _first(limits.pulls, view.pulls, _importance)}
        wanted = [PullLayers(pull, _wanted_layers(pull, limits, now)) for pull in view.pulls]
        shown = _within(limits.layers, [entry for entry in wanted if id(entry.pull) in kept])
        pulls, layers = self._rows(shown)
        scrape = Scrape(
            view=view,
            now=now,
            pulls=pulls,
            layers=layers,
            queued=queued,
            suppressed={
                "pull": len(view.pulls) - len(kept) + len(queue) - len(queued),
                "layer": _count(wanted) - len(layers),
                "registry": view.totals.suppressed_registries,
                "media_type": view.totals.suppressed_media_types,
            },
            process=self._process,
            faults=self._faults.counts,
        )
        return self._exposition.render(scrape, form)

    def _rows(self, pulls: Iterable[PullLayers]) -> tuple[list[PullRow], list[LayerRow]]:
        known, labels = self._labels, dict[Hashable, tuple[str, str]]()
        pull_rows: list[PullRow] = []
        layer_rows: list[LayerRow] = []
        for pull, layers in pulls:
            own = labels[pull.key] = known.get(pull.key) or _braced(label_text(PULL_LABELS, pull.key))
            pull_rows.append(PullRow(pull, *own))
            for layer in layers:
                key = (own[0], layer.index, layer.digest, layer.media_type)
                text = labels[key] = known.get(key) or _layer_labels(own[0], layer)
                layer_rows.append(LayerRow(pull, layer, *text))
        self._labels = labels
        return pull_rows, layer_rows


def _layer_labels(pull_labels: str, layer: Layer) -> tuple[str, str]:
    values = (str(layer.index), layer.digest, layer.media_type)
    return _braced(f"{pull_labels},{label_text(LAYER_LABELS[len(PULL_LABELS) :], values)}")


def _braced(labels: str) -> tuple[str, str]:
    return labels, f"{{{labels}}}"


def _importance(pull: Pull) -> tuple[bool, float]:
    if pull.ended_at is None:
        return False, pull.started_at or 0.0
    return True, -pull.ended_at


def _first(limit: int, items: Sequence[_T], key: Callable[[_T], Any]) -> Sequence[_T]:
    return items if len(items) <= limit else sorted(items, key=key)[:limit]


def _distinct(queued: Iterable[QueuedImage]) -> list[QueuedImage]:
    """Each image once, with the time it was first asked for: a reference that came twice would be a series twice."""
    newest_first = sorted(queued, key=lambda image: -image.since)
    return list({(image.registry, image.repository, image.reference): image for image in newest_first}.values())


def _wanted_layers(pull: Pull, limits: SeriesLimits, now: float) -> tuple[Layer, ...]:
    # The age of an ended pull stays the same: else the layers of a short pull would appear after its end.
    age = (now if pull.ended_at is None else pull.ended_at) - (pull.started_at or 0.0)
    if not limits.collect_layers or age < limits.layer_min_age:
        return ()
    if not limits.layer_min_size:
        return pull.layers
    return tuple(layer for layer in pull.layers if layer.size >= limits.layer_min_size)


def _within(limit: int, pulls: Sequence[PullLayers]) -> tuple[PullLayers, ...]:
    """Leave out layers beyond the limit: those of ended pulls first, then those of the images with the most layers."""
    if _count(pulls) <= limit:
        return tuple(pulls)
    shown = []
    for pull, layers in sorted(pulls, key=lambda entry: (entry.pull.ended_at is not None, len(entry.layers))):
        shown.append(PullLayers(pull, layers[:limit]))
        limit -= len(shown[-1].layers)
    return tuple(shown)


def _count(pulls: Iterable[PullLayers]) -> int:
    return sum(len(entry.layers) for entry in pulls)
