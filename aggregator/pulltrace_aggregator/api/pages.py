"""The pages that the aggregator serves. An answer depends on the request, what was last published, and the clock."""

from collections.abc import Callable
from dataclasses import dataclass

from pulltrace.clock import Clock
from pulltrace.exposition import TextFormat
from pulltrace.text import presentable
from pulltrace.web import Request, Response, text_response
from pulltrace.web.pages import Pages, tagged_json
from pulltrace_aggregator.api import json_v1
from pulltrace_aggregator.api.filters import UnknownFilter, filtered
from pulltrace_aggregator.api.landing import landing_page
from pulltrace_aggregator.loop import Published
from pulltrace_aggregator.metrics import Scraper


@dataclass(frozen=True, slots=True)
class AggregatorPages(Pages):
    """The aggregator's pages. `published` gives what was last published; each request calls it once."""

    published: Callable[[], Published]
    clock: Clock
    scraper: Scraper
    telemetry_path: str = "/metrics"

    def scrape(self, form: TextFormat) -> bytes:
        """All metrics as text."""
        return self.scraper.render(self.published().view, self._now, form)

    def pulls(self, request: Request) -> Response:
        """The view as JSON, filtered; 304 when nothing but time has passed since the client's last answer."""
        try:
            view = filtered(self.published().view, request.query)
        except UnknownFilter as error:
            return text_response(400, presentable(str(error)))
        return tagged_json(request, json_v1.etag(view), lambda: json_v1.encode(view, self._now))

    def unready(self) -> str:
        """Which first lists are missing, and why."""
        return self.published().unready

    def landing(self, _: Request) -> Response:
        """What has waited longest and what blocks it, for people."""
        return landing_page(self.published(), self._now, self.telemetry_path)

    @property
    def _now(self) -> float:
        return self.clock.now().monotonic
