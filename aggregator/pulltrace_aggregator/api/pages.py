"""What the aggregator serves: a request, what was published last and the clock in, an answer out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pulltrace.clock import Clock
from pulltrace.exposition import choose_format
from pulltrace.text import presentable
from pulltrace.web import Handler, Request, Response, matches_etag, text_response
from pulltrace_aggregator.api import json_v1
from pulltrace_aggregator.api.filters import UnknownFilter, filtered
from pulltrace_aggregator.api.landing import landing_page
from pulltrace_aggregator.loop import Published
from pulltrace_aggregator.metrics import Scraper

PULLS_PATH: Final = "/v1/pulls"


@dataclass(frozen=True, slots=True)
class Pages:
    """The aggregator's pages. `published` gives what was published last; it is asked for once for each request."""

    published: Callable[[], Published]
    clock: Clock
    scraper: Scraper
    telemetry_path: str = "/metrics"

    def routes(self) -> Mapping[str, Handler]:
        """Every path with its handler."""
        return {
            "/": self.landing,
            PULLS_PATH: self.pulls,
            "/-/healthy": self.healthy,
            "/-/ready": self.ready,
            self.telemetry_path: self.metrics,
        }

    def metrics(self, request: Request) -> Response:
        """A scrape, in the format that the client likes best."""
        form = choose_format(request.headers.get("accept", ""))
        body = self.scraper.render(self.published().view, self._now, form)
        return Response(200, body, form.value, {"Vary": "Accept"})

    def pulls(self, request: Request) -> Response:
        """The view as JSON, filtered; 304 when nothing but time has passed since the client's last."""
        try:
            view = filtered(self.published().view, request.query)
        except UnknownFilter as error:
            return text_response(400, presentable(str(error)))
        tag = json_v1.etag(view)
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if matches_etag(request, tag):
            return Response(304, headers=headers)
        return Response(200, json_v1.encode(view, self._now), "application/json", headers)

    def healthy(self, _: Request) -> Response:
        """The process lives, as this answer shows."""
        return text_response(200, "healthy")

    def ready(self, _: Request) -> Response:
        """Ready once the first lists are in; says which are not, and which right is missing."""
        unready = self.published().unready
        return text_response(503, f"not ready: {unready}") if unready else text_response(200, "ready")

    def landing(self, _: Request) -> Response:
        """What has waited longest and what blocks it, for people."""
        return landing_page(self.published(), self._now, self.telemetry_path, PULLS_PATH)

    @property
    def _now(self) -> float:
        return self.clock.now().monotonic
