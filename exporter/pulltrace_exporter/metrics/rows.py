"""The label text of pulls and layers, written once while they live."""

from collections.abc import Hashable, Iterable
from typing import Final, NamedTuple

from pulltrace.exposition import label_text
from pulltrace.model.pull import Layer, Pull
from pulltrace_exporter.metrics.selection import PullLayers

PULL_LABELS: Final = ("registry", "repository", "digest")
LAYER_LABELS: Final = (*PULL_LABELS, "layer", "layer_digest", "media_type")


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


class RowCache:
    """Makes rows, remembering the label text of what was in the last scrape and of nothing else.

    Safe for use by several threads: the memory is replaced as a whole, at worst a text is written twice.
    """

    def __init__(self) -> None:
        self._texts: dict[Hashable, tuple[str, str]] = {}

    def rows(self, pulls: Iterable[PullLayers]) -> tuple[list[PullRow], list[LayerRow]]:
        """One row for each pull and one for each layer."""
        known, texts = self._texts, dict[Hashable, tuple[str, str]]()
        pull_rows: list[PullRow] = []
        layer_rows: list[LayerRow] = []
        for pull, layers in pulls:
            own = texts[pull.key] = known.get(pull.key) or _braced(label_text(PULL_LABELS, pull.key))
            pull_rows.append(PullRow(pull, *own))
            for layer in layers:
                key = (own[0], layer.index, layer.digest, layer.media_type)
                text = texts[key] = known.get(key) or _layer_text(own[0], layer)
                layer_rows.append(LayerRow(pull, layer, *text))
        self._texts = texts
        return pull_rows, layer_rows


def _layer_text(pull_labels: str, layer: Layer) -> tuple[str, str]:
    values = (str(layer.index), layer.digest, layer.media_type)
    return _braced(f"{pull_labels},{label_text(LAYER_LABELS[len(PULL_LABELS) :], values)}")


def _braced(labels: str) -> tuple[str, str]:
    return labels, f"{{{labels}}}"
