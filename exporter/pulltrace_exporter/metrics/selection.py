"""Which pulls and layers have series: the guard against images and nodes that would have too many."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from pulltrace.model.pull import Layer, Pull, QueuedImage
from pulltrace_exporter.model.view import View

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesLimits:
    """What the flags allow to have series. Sizes in bytes, ages in seconds. No sum is ever limited."""

    pulls: int = 200
    layers: int = 5000
    collect_layers: bool = True
    layer_min_size: int = 0
    layer_min_age: float = 0.0


class PullLayers(NamedTuple):
    """A pull and those of its layers that have series."""

    pull: Pull
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What has series, and how much was left out because a limit was reached."""

    pulls: tuple[PullLayers, ...]
    queued: tuple[QueuedImage, ...]
    suppressed_pulls: int
    suppressed_layers: int


def select(view: View, limits: SeriesLimits, now: float) -> Selection:
    """Apply the limits at `now`, Unix time on the node's clock.

    Beyond the limit ended pulls go first, those that ended longest ago before others; then the running ones that
    began last, so that a series that is there stays. Images in the queue have the same limit of their own.
    """
    queue = _distinct(view.queued)
    pulls = _first(limits.pulls, view.pulls, _importance)
    queued = _first(limits.pulls, queue, lambda image: image.since)
    wanted = [PullLayers(pull, _wanted_layers(pull, limits, now)) for pull in view.pulls]
    kept = {id(pull) for pull in pulls}
    shown = _within(limits.layers, [entry for entry in wanted if id(entry.pull) in kept])
    return Selection(
        pulls=shown,
        queued=tuple(queued),
        suppressed_pulls=len(view.pulls) - len(pulls) + len(queue) - len(queued),
        suppressed_layers=_count(wanted) - _count(shown),
    )


def _importance(pull: Pull) -> tuple[bool, float]:
    if pull.ended_at is None:
        return False, pull.started_at or 0.0
    return True, -pull.ended_at


def _first(limit: int, items: Sequence[_T], key: Callable[[_T], Any]) -> Sequence[_T]:
    return items if len(items) <= limit else sorted(items, key=key)[:limit]


def _distinct(queued: Iterable[QueuedImage]) -> list[QueuedImage]:
    """Each image once, since it was first asked for: the same reference twice would be the same series twice."""
    newest_first = sorted(queued, key=lambda image: -image.since)
    return list({(image.registry, image.repository, image.reference): image for image in newest_first}.values())


def _wanted_layers(pull: Pull, limits: SeriesLimits, now: float) -> tuple[Layer, ...]:
    # An ended pull ages no more: else the layers of a short one would appear when it is over.
    age = (now if pull.ended_at is None else pull.ended_at) - (pull.started_at or 0.0)
    if not limits.collect_layers or age < limits.layer_min_age:
        return ()
    if not limits.layer_min_size:
        return pull.layers
    return tuple(layer for layer in pull.layers if layer.size >= limits.layer_min_size)


def _within(limit: int, pulls: Sequence[PullLayers]) -> tuple[PullLayers, ...]:
    """Share out the layers: those of ended pulls go first, and one image with thousands cannot hide the others'."""
    if _count(pulls) <= limit:
        return tuple(pulls)
    shown = []
    for pull, layers in sorted(pulls, key=lambda entry: (entry.pull.ended_at is not None, len(entry.layers))):
        shown.append(PullLayers(pull, layers[:limit]))
        limit -= len(shown[-1].layers)
    return tuple(shown)


def _count(pulls: Iterable[PullLayers]) -> int:
    return sum(len(entry.layers) for entry in pulls)
