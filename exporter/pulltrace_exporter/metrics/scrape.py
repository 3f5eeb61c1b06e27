"""What one scrape reads: the view, its clock, and the rows that the limits leave."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from pulltrace import __version__
from pulltrace.exposition import Exposition, Family, Faults, TextFormat
from pulltrace.model.pull import QueuedImage
from pulltrace_exporter.metrics.rows import LayerRow, PullRow, RowCache
from pulltrace_exporter.metrics.selection import SeriesLimits, select
from pulltrace_exporter.model.view import View


@dataclass(frozen=True, slots=True)
class Process:
    """What the metrics say of this program itself.

    `web_config_loaded` tells whether the last reading of the web configuration succeeded, None without one.
    """

    version: str = __version__
    python_version: str = field(default_factory=platform.python_version)
    web_config_loaded: Callable[[], bool | None] = lambda: None


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
    """Answers scrapes: view and time in, text out. For use by several threads."""

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
        self._rows = RowCache()

    def render(self, view: View, now: float, form: TextFormat) -> bytes:
        """The text of a scrape of `view` at `now`, Unix time."""
        return self._exposition.render(self._scrape(view, now), form)

    def _scrape(self, view: View, now: float) -> Scrape:
        selection = select(view, self._limits, now)
        pulls, layers = self._rows.rows(selection.pulls)
        return Scrape(
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
