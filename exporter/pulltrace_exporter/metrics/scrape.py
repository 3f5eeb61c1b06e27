"""What one scrape reads: the view, its clock, and rows for the pulls and layers that the limits leave."""

import platform
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry

from pulltrace import __version__
from pulltrace.exposition import Exposition, Family, Faults, TextFormat, label_text
from pulltrace.model.pull import Layer, Pull, QueuedImage
from pulltrace_exporter.metrics.selection import PullLayers, SeriesLimits, select
from pulltrace_exporter.model.view import View

PULL_LABELS: Final = ("registry", "repository", "digest")
LAYER_LABELS: Final = (*PULL_LABELS, "layer", "layer_digest", "media_type")


@dataclass(frozen=True, slots=True)
class Process:
    """What the metrics say of this program itself.

    `web_config_loaded` tells whether the last reading of the web configuration succeeded, None without one.
    """

    version: str = __version__
    python_version: str = field(default_factory=platform.python_version)
    web_config_loaded: Callable[[], bool | None] = lambda: None


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
    """One scrape's state: what every family's producer is a pure function of. `now` is Unix time."""

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

    It remembers the label text of what was in the last scrape and of nothing else. That memory is replaced as a
    whole, so that at worst two threads write a text twice.
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
        """The text of a scrape of `view` at `now`, Unix time."""
        selection = select(view, self._limits, now)
        pulls, layers = self._rows(selection.pulls)
        scrape = Scrape(
            view=view,
            now=now,
            pulls=pulls,
            layers=layers,
            queued=selection.queued,
            suppressed={
                "pull": selection.suppressed_pulls,
                "layer": selection.suppressed_layers,
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
