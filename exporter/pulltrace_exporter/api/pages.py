"""The pages that the exporter serves: they make an answer from a request, the present view and the clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pulltrace import __version__
from pulltrace.clock import Clock
from pulltrace.exposition import TextFormat
from pulltrace.model import wire
from pulltrace.model.pull import NodeReport
from pulltrace.text import presentable
from pulltrace.web import Request, Response, text_response
from pulltrace.web.pages import Pages, tagged_json
from pulltrace_exporter.api.landing import landing_page
from pulltrace_exporter.metrics import Scraper
from pulltrace_exporter.model.view import View

_LAYERS: Final = "layers"
_SWITCH: Final[Mapping[tuple[str, ...], bool]] = {("true",): True, ("false",): False}


@dataclass(frozen=True, slots=True)
class ExporterPages(Pages):
    """The exporter's pages. `view` gives the last view published; it is asked for once for each request."""

    node: str
    view: Callable[[], View]
    clock: Clock
    scraper: Scraper
    telemetry_path: str = "/metrics"

    def scrape(self, form: TextFormat) -> bytes:
        """All metrics as text."""
        view = self.view()
        return self.scraper.render(view, view.node_time(self.clock.now()), form)

    def pulls(self, request: Request) -> Response:
        """The node's report as JSON; 304 when only time has passed since the client's last one."""
        problem = _query_problem(request.query)
        if problem:
            return text_response(400, problem)
        layers = _SWITCH[request.query.get(_LAYERS, ("true",))]
        report = self._report()
        return tagged_json(request, wire.etag(report, layers=layers), lambda: wire.encode(report, layers=layers))

    def unready(self) -> str:
        """The exporter is ready once it has tried to read containerd. Metrics tell whether that succeeded."""
        return "containerd has not been read yet" if self.view().polls.last_at is None else ""

    def landing(self, _: Request) -> Response:
        """The node's pulls as a page for people."""
        view = self.view()
        read = view.polls.last_at is not None
        return landing_page(self._report(view), self.telemetry_path, read=read)

    def _report(self, view: View | None = None) -> NodeReport:
        view = view or self.view()
        return NodeReport(
            node=self.node,
            version=__version__,
            now=view.node_time(self.clock.now()),
            daemon=view.daemon,
            resolving=view.resolving,
            queued=view.queued,
            pulls=view.pulls,
            unidentified=view.unidentified,
        )


def _query_problem(query: Mapping[str, tuple[str, ...]]) -> str | None:
    unknown = sorted(query.keys() - {_LAYERS})
    if unknown:
        return f"unknown query parameter {presentable(unknown[0])!r}; there is only {_LAYERS}"
    if query.get(_LAYERS, ("true",)) not in _SWITCH:
        return f"query parameter {_LAYERS} must be true or false, once"
    return None
