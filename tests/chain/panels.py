"""A look at the chain through the dashboards: each query of each panel and variable, as Grafana would ask.

The dashboards are those that the chart brings.
"""

import time
from collections.abc import Mapping
from typing import Final

from rig import rendered
from rig.chain import Chain
from rig.dashboards import Look, Query, all_choices, all_queries
from rig.monitoring import Monitoring

RANGE: Final = 600
STEP: Final = 5
RATE_INTERVAL: Final = 5

CHOSEN: Final[Mapping[str, tuple[Mapping[str, str], ...]]] = {
    "node": tuple({"node": name} for name in ("queue", "unpack", "silent", "crash", "stall")),
    "pod": tuple(
        {"namespace": "shop", "pod": name} for name in ("first", "queued", "stalled", "refused", "everywhere-unpack")
    ),
}
"""What a person would choose; each of these has something of its own to show. Elsewhere it is All."""

WHOLE: Final = ("trouble", "generations", "calm")
"""Scenes in which everything is asked, elsewhere only what was never shown before."""

NEVER: Final[Mapping[str, str]] = {
    "registry/8C": "a remote snapshotter that brings a layer",
    "itself/7B": "an exporter that has not looked at containerd for half a minute",
    "itself/13A": "a fault of the exporter's poller",
    "itself/13B": "a fault of the aggregator in writing a metric",
    "itself/13C": "a configuration of serving that could not be read",
}
"""Queries that show nothing in the whole scenario, and what would fill them."""


class Panels:
    """Asks a Prometheus; any fault or many-to-many match raises. Keeps which queries have shown something."""

    def __init__(self, chosen: Mapping[str, tuple[Mapping[str, str], ...]] = CHOSEN) -> None:
        self._chosen = chosen
        self._queries = all_queries(rendered.dashboards())
        self._choices = all_choices(rendered.dashboards())
        self.shown: set[str] = set()
        self.offered: set[str] = set()

    def __call__(self, running: Chain, step: str) -> None:
        if step != "ready":
            self.ask(running.monitoring, again=step in WHOLE)

    def ask(self, monitoring: Monitoring, *, again: bool) -> None:
        """All variables, and the queries that have shown nothing yet, or, `again`, each."""
        for query in self._queries:
            if again or query.key not in self.shown:
                self._ask(monitoring, query)
        for choice in self._choices:
            if _look(monitoring).offered(choice, self._chosen.get(choice.dashboard, ({},))[0]):
                self.offered.add(str(choice))

    def _ask(self, monitoring: Monitoring, query: Query) -> None:
        """For each choice until it shows something, and for the first in any case: a fault may be one of the step."""
        for chosen in self._chosen.get(query.dashboard, ({},)):
            if _look(monitoring).answer(query, chosen):
                self.shown.add(query.key)
            if query.key in self.shown:
                return

    def empty(self) -> dict[str, str]:
        """Queries that never showed anything, with their panels."""
        return {query.key: str(query) for query in self._queries if query.key not in self.shown}

    def empty_choices(self) -> set[str]:
        """Variables that never offered anything; there is but one cluster here, without a name."""
        return {str(choice) for choice in self._choices if choice.name != "cluster"} - self.offered


def _look(monitoring: Monitoring) -> Look:
    return Look(monitoring.prometheus, time.time(), RANGE, STEP, RATE_INTERVAL)
