"""What one scrape reads: the view, the clock, and what the adapters say of themselves."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from pulltrace import __version__
from pulltrace.exposition import Exposition, Family, Faults, TextFormat
from pulltrace_aggregator.metrics.rows import PodRow, Rows
from pulltrace_aggregator.model.view import View


@dataclass(frozen=True, slots=True)
class Process:
    """What the metrics say of this program itself.

    `kubernetes_up` tells whether list and watch work, None before they were tried. `watch_restarts` counts by resource
    and reason, `exporter_requests` by result. `web_config_loaded` tells whether the last reading of the web
    configuration succeeded, None without one.
    """

    version: str = __version__
    python_version: str = field(default_factory=platform.python_version)
    kubernetes_up: Callable[[], bool | None] = lambda: None
    watch_restarts: Callable[[], Mapping[tuple[str, str], int]] = dict
    exporter_requests: Callable[[], Mapping[str, int]] = dict
    web_config_loaded: Callable[[], bool | None] = lambda: None


@dataclass(frozen=True, slots=True)
class Scrape:
    """One scrape's state: what every family's producer is a pure function of. `now` is monotonic."""

    view: View
    now: float
    pods: Sequence[PodRow]
    process: Process
    faults: Callable[[], Mapping[str, int]]


class Scraper:
    """Answers scrapes: view and time in, text out. For use by several threads."""

    def __init__(
        self, families: Sequence[Family[Scrape]], process: Process, collectors: CollectorRegistry | None = None
    ) -> None:
        self._faults = Faults()
        self._exposition = Exposition(families, self._faults, collectors)
        self._process = process
        self._rows = Rows()

    def render(self, view: View, now: float, form: TextFormat) -> bytes:
        """The text of a scrape of `view` at the monotonic time `now`."""
        state = Scrape(view, now, self._rows.pods(view.pods), self._process, self._faults.counts)
        return self._exposition.render(state, form)
