"""The aggregator's core with a node and what is served of it."""

import json
from typing import Final

from fuzz.served import WALL, check_text
from pulltrace.clock import Instant, Monotonic
from pulltrace.exposition import TextFormat
from pulltrace.model.pull import NodeReport
from pulltrace_aggregator.api import json_v1
from pulltrace_aggregator.api.landing import landing_page
from pulltrace_aggregator.controller.reconciler import Limits, Reconciler
from pulltrace_aggregator.loop import Published
from pulltrace_aggregator.metrics import FAMILIES, Process, Scraper
from pulltrace_aggregator.model.cluster import Observed
from pulltrace_aggregator.model.node import NodeReading, NodeState

NODE: Final = "node-1"
_SCRAPER: Final = Scraper(FAMILIES, Process())


class Core:
    """Takes what was observed, and passes time by itself: two seconds with each check."""

    def __init__(self) -> None:
        self.now = Instant(WALL, Monotonic(1000.0))
        self._reconciler = Reconciler(self.now, Limits(pod_linger=10.0), exporter=("pulltrace", "exporter"))

    def read(self, report: NodeReport) -> None:
        at = self.now.monotonic
        self._reconciler.read(NodeReading(NODE, NodeState.OK, report, at, at))

    def lose_node(self) -> None:
        self._reconciler.read(NodeReading(NODE, NodeState.UNKNOWN).failed(self.now.monotonic))

    def observe(self, seen: Observed) -> None:
        self._reconciler.observe(seen, self.now)

    def check(self) -> None:
        """Scrape, JSON and landing page of the view; each node's part is made without an internal error."""
        result = self._reconciler.tick(self.now)
        for _, fault in result.faults:
            raise fault
        for recheck in result.rechecks[:3]:
            self._reconciler.rechecked(recheck, None, self.now)
        check_text(_SCRAPER.render(result.view, self.now.monotonic, TextFormat.PLAIN), TextFormat.PLAIN)
        json_v1.etag(result.view)
        json.loads(json_v1.encode(result.view, self.now.monotonic))
        landing_page(Published(result.view), self.now.monotonic, "/metrics")
        self.now = Instant(self.now.wall + 2.0, Monotonic(self.now.monotonic + 2.0))
