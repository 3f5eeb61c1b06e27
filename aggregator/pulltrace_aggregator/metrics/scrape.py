"""What one scrape reads: the view, the clock, and the state of the program itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry

from pulltrace.exposition import Exposition, Family, Faults, TextFormat, label_text, program
from pulltrace_aggregator.model.node import NodePull
from pulltrace_aggregator.model.view import PodImage, PodPull, View

POD_LABELS: Final = PodImage._fields
PULL_LABELS: Final = ("registry", "repository", "digest")
NODE_PULL_LABELS: Final = ("node", *PULL_LABELS)
INFO_LABELS: Final = ("uid", *PULL_LABELS, "match")


class PodRow(NamedTuple):
    """An image that a pod waits for, and the text of its labels.

    Other labels are appended to `labels`; `series` has the same in braces; `info` has the labels of the match alone.
    """

    pull: PodPull
    labels: str
    series: str
    info: str


def _row(pull: PodPull, known: PodRow | None) -> PodRow:
    """The row of a pull; it takes the texts that still hold from the `known` row with these labels."""
    if known is None:
        labels = label_text(POD_LABELS, pull.labels)
        return PodRow(pull, labels, f"{{{labels}}}", _info(pull))
    if known.pull is pull:
        return known
    info = known.info if _join(known.pull) == _join(pull) else _info(pull)
    return PodRow(pull, known.labels, known.series, info)


def _join(pull: PodPull) -> tuple[str, ...]:
    return pull.uid, pull.registry, pull.repository, pull.digest, pull.match


def _info(pull: PodPull) -> str:
    return label_text(INFO_LABELS, _join(pull))


def node_pull_labels(entry: NodePull) -> str:
    """The text of the labels of a pull on its node."""
    return label_text(NODE_PULL_LABELS, (entry.node, *entry.key))


@dataclass(frozen=True, slots=True)
class Process(program.Process):
    """What the metrics say of this program itself.

    `kubernetes_up` tells whether everything is listed and watched; None gives no sample. `watch_restarts` counts by
    resource and reason, `exporter_requests` by result.
    """

    kubernetes_up: Callable[[], bool | None] = lambda: None
    watch_restarts: Callable[[], Mapping[tuple[str, str], int]] = dict
    exporter_requests: Callable[[], Mapping[str, int]] = dict


@dataclass(frozen=True, slots=True)
class Scrape:
    """All that the families of one scrape read. `now` is monotonic."""

    view: View
    now: float
    pods: Sequence[PodRow]
    process: Process
    faults: Callable[[], Mapping[str, int]]


class Scraper:
    """Answers scrapes: view and time in, text out. Safe for use by several threads.

    It keeps the rows of the last scrape, so that texts are not made again. They are replaced as a whole: at worst two
    threads make the same text.
    """

    def __init__(
        self, families: Sequence[Family[Scrape]], process: Process, collectors: CollectorRegistry | None = None
    ) -> None:
        self._faults = Faults()
        self._exposition = Exposition(families, self._faults, collectors)
        self._process = process
        self._rows: dict[PodImage, PodRow] = {}

    def render(self, view: View, now: float, form: TextFormat) -> bytes:
        """The text of a scrape of `view` at the monotonic time `now`."""
        known = self._rows
        rows = self._rows = {pull.labels: _row(pull, known.get(pull.labels)) for pull in view.pods}
        state = Scrape(view, now, list(rows.values()), self._process, self._faults.counts)
        return self._exposition.render(state, form)
