"""The pages that both programs serve; each program adds what it shows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from pulltrace.exposition import TextFormat, choose_format
from pulltrace.web.http import (
    HEALTHY_PATH,
    LANDING_PATH,
    PULLS_PATH,
    READY_PATH,
    Handler,
    Request,
    Response,
    matches_etag,
    text_response,
)


class Pages(ABC):
    """Answers to requests. A subclass has `telemetry_path`, the path of its metrics."""

    telemetry_path: str

    def routes(self) -> Mapping[str, Handler]:
        """Every path with its handler."""
        return {
            LANDING_PATH: self.landing,
            PULLS_PATH: self.pulls,
            HEALTHY_PATH: self.healthy,
            READY_PATH: self.ready,
            self.telemetry_path: self.metrics,
        }

    def metrics(self, request: Request) -> Response:
        """A scrape, in the format that the client prefers."""
        form = choose_format(request.headers.get("accept", ""))
        return Response(200, self.scrape(form), form.value, {"Vary": "Accept"})

    def healthy(self, _: Request) -> Response:
        """The process lives, as this answer shows."""
        return text_response(200, "healthy")

    def ready(self, _: Request) -> Response:
        """200 once the program has something to show; until then 503 with the reason."""
        unready = self.unready()
        return text_response(503, f"not ready: {unready}") if unready else text_response(200, "ready")

    @abstractmethod
    def landing(self, request: Request) -> Response:
        """What happens now, for people."""

    @abstractmethod
    def pulls(self, request: Request) -> Response:
        """What happens now, as JSON; 304 when nothing but time has passed since the client's last request."""

    @abstractmethod
    def scrape(self, form: TextFormat) -> bytes:
        """All metrics as text."""

    @abstractmethod
    def unready(self) -> str:
        """What is missing before the program is ready; empty when it is."""


def tagged_json(request: Request, tag: str, encode: Callable[[], bytes]) -> Response:
    """304 where the client has the state with this entity tag already, else the JSON that `encode` makes."""
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if matches_etag(request, tag):
        return Response(304, headers=headers)
    return Response(200, encode(), "application/json", headers)
