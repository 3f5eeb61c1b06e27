import json
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pulltrace.clock import NodeTime
from pulltrace.model import wire
from pulltrace.model.pull import QueuedImage
from pulltrace.web import Request, Response
from pulltrace_exporter.api.pages import ExporterPages
from pulltrace_exporter.metrics import FAMILIES, Process, Scraper, SeriesLimits
from pulltrace_exporter.model.view import View
from rig.sample_views import NOW, FixedClock, a_layer, a_pull, a_view, an_ended_pull, busy_view, unread_view

pytestmark = pytest.mark.unit

NO_HEADERS: Mapping[str, str] = {}
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


class Node:
    """Pages over a view and a clock that tests change."""

    def __init__(self, view: View, telemetry_path: str = "/metrics") -> None:
        self.view = view
        self.clock = FixedClock()
        scraper = Scraper(FAMILIES, SeriesLimits(), Process())
        self.routes = ExporterPages("node-1", lambda: self.view, self.clock, scraper, telemetry_path).routes()

    def get(self, target: str, headers: Mapping[str, str] = NO_HEADERS, *, layers: str | None = None) -> Response:
        query = {} if layers is None else {"layers": (layers,)}
        return self.routes[target](Request("GET", target, query, headers))


@pytest.fixture
def node() -> Node:
    return Node(busy_view())


def test_metrics_are_plain_text_at_the_time_of_the_scrape(node: Node) -> None:
    node.clock.wall = NOW + 7
    response = node.get("/metrics")
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert f"\npulltrace_exporter_time_seconds {NOW + 7}\n" in response.body.decode()


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_step_of_the_clock_shows_in_no_age_before_the_next_poll(node: Node, step: float) -> None:
    """What the view says of instants is of the clock before the step, so the present time is as well."""
    node.view = replace(node.view, at=node.clock.now())
    node.clock.wall += step + 2
    node.clock.monotonic += 2
    assert f"\npulltrace_exporter_time_seconds {NOW + 2}\n" in node.get("/metrics").body.decode()
    assert pulls(node)["nodeNow"] == NOW + 2
    node.view = replace(node.view, at=node.clock.now())
    assert pulls(node)["nodeNow"] == NOW + step + 2


def test_metrics_are_openmetrics_when_asked_for(node: Node) -> None:
    response = node.get("/metrics", {"accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})
    assert response.content_type == OPENMETRICS
    assert response.body.endswith(b"# EOF\n")


def test_metrics_are_where_the_flag_says() -> None:
    node = Node(busy_view(), "/prometheus")
    assert b"pulltrace_pull_phase" in node.get("/prometheus").body
    assert b'href="/prometheus"' in node.get("/").body
    assert "/metrics" not in node.routes


def test_a_scrape_sees_the_view_of_that_moment(node: Node) -> None:
    node.view = a_view()
    assert b"pulltrace_pull_phase" not in node.get("/metrics").body


def pulls(node: Node, layers: str | None = None) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(node.get("/v1/pulls", layers=layers).body)
    return document


def test_pulls_are_the_report_of_the_node(node: Node) -> None:
    response = node.get("/v1/pulls")
    assert (response.status, response.content_type) == (200, "application/json")
    document = json.loads(response.body)
    Draft202012Validator(wire.schema()).validate(document)
    assert (document["node"], document["nodeNow"]) == ("node-1", NOW)
    assert len(document["pulls"]) == 6
    assert len(document["resolving"]) == 2
    assert len(document["queued"]) == 1


def test_layers_are_there_unless_left_out(node: Node) -> None:
    assert pulls(node) == pulls(node, layers="true")
    assert len(pulls(node)["pulls"][0]["layers"]) == 4
    assert "layers" not in pulls(node, layers="false")["pulls"][0]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"layer": ("true",)}, "unknown query parameter 'layer'; there is only layers"),
        ({"layers": ("true",), "node": ("x",)}, "unknown query parameter 'node'; there is only layers"),
        ({"a\x00\n": ("",)}, "unknown query parameter 'a\ufffd"),
        ({"layers": ("yes",)}, "query parameter layers must be true or false, once"),
        ({"layers": ("",)}, "query parameter layers must be true or false, once"),
        ({"layers": ("true", "true")}, "query parameter layers must be true or false, once"),
    ],
)
def test_a_query_that_is_not_understood_is_refused(
    node: Node, query: Mapping[str, tuple[str, ...]], message: str
) -> None:
    response = node.routes["/v1/pulls"](Request("GET", "/v1/pulls", query))
    assert response.status == 400
    assert response.body.decode().startswith(message)


def test_nothing_but_time_has_passed(node: Node) -> None:
    tag = node.get("/v1/pulls").headers["ETag"]
    node.clock.wall += 60
    response = node.get("/v1/pulls", {"if-none-match": tag})
    assert (response.status, response.body, response.headers["ETag"]) == (304, b"", tag)


def test_news_are_sent(node: Node) -> None:
    tag = node.get("/v1/pulls").headers["ETag"]
    node.view = replace(node.view, pulls=node.view.pulls[1:])
    assert node.get("/v1/pulls", {"if-none-match": tag}).status == 200


def test_the_tag_of_an_answer_without_layers_is_another(node: Node) -> None:
    tag = node.get("/v1/pulls").headers["ETag"]
    assert node.get("/v1/pulls", {"if-none-match": tag}, layers="false").status == 200


def test_health_is_for_the_process_alone() -> None:
    assert Node(unread_view()).get("/-/healthy").status == 200


def test_ready_once_containerd_was_tried() -> None:
    node = Node(unread_view())
    response = node.get("/-/ready")
    assert response.status == 503
    assert response.body == b"not ready: containerd has not been read yet\n"
    node.view = replace(node.view, polls=replace(node.view.polls, last_at=NodeTime(NOW)))
    assert node.get("/-/ready").status == 200


class Page(HTMLParser):
    """What a browser would find."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.style = ""
        self._in_style = False
        self.feed(response.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.style += data
        else:
            self.text += f"{data}\n"

    def all(self, tag: str, attribute: str) -> list[str | None]:
        return [attributes.get(attribute) for name, attributes in self.tags if name == tag]


def test_the_landing_page_links_every_page(node: Node) -> None:
    page = Page(node.get("/"))
    assert set(page.all("a", "href")) == node.routes.keys() - {"/"}


def test_the_landing_page_tells_what_goes_on(node: Node) -> None:
    page = Page(node.get("/"))
    for told in (
        "Image pulls of node-1",
        "containerd 2.1.9 answers.",
        "Waiting for a registry's answer: 2, the oldest for 32s.",
        "registry.example:5000/team/mixed:1.2",
        "registry.example/team/early",
        "downloading",
        "unpacking",
        "41 %",
        "1.2 KiB of 2.9 KiB",
        "1.1 KiB were here before",
        "81 B/s",
        "22s",
        "2 of 4",
        "50s, ended 10s ago",
        "Queue of the kubelet: 1",
        "registry.example:5000/team/next:1, for 20s",
    ):
        assert told in page.text, told


def test_the_landing_page_of_an_idle_and_of_a_blind_node() -> None:
    assert "No image is being pulled." in Page(Node(a_view()).get("/")).text
    assert "containerd has not been read yet." in Page(Node(unread_view()).get("/")).text
    tried = replace(unread_view(), polls=replace(unread_view().polls, last_at=NodeTime(NOW)))
    assert "containerd cannot be read: the exporter's log says why." in Page(Node(tried).get("/")).text


def test_the_landing_page_is_escaped() -> None:
    odd = "<script>alert(1)</script>\"'&"
    pull = a_pull(odd, references=(odd,), layers=(a_layer(media_type=odd),))
    node = Node(a_view(pull, queued=(QueuedImage(odd, odd, odd, NodeTime(NOW)),)))
    page = Page(node.get("/"))
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.text.count(odd) == 2


def test_the_landing_page_may_load_nothing_and_its_style_is_allowed(node: Node) -> None:
    response = node.get("/")
    page = Page(response)
    policy = response.headers["Content-Security-Policy"]
    digest = b64encode(sha256(page.style.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    assert not [attributes for _, attributes in page.tags if attributes.keys() & {"style", "src", "onclick"}]
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.all("meta", "http-equiv").count("refresh") == 1
    assert response.content_type == "text/html; charset=utf-8"


def test_the_landing_page_has_a_bounded_number_of_rows() -> None:
    view = a_view(*(a_pull(f"a{number}") for number in range(300)))
    page = Page(Node(view).get("/"))
    assert len(page.all("tr", "class")) == 201
    assert "And 100 more." in page.text


def test_running_pulls_stand_before_ended_ones() -> None:
    page = Page(Node(a_view(an_ended_pull("z-ended"), a_pull("a-running"))).get("/"))
    assert page.text.index("a-running") < page.text.index("z-ended")


@pytest.mark.parametrize(("rate", "left"), [(1e-300, "over a year"), (50.0, "15s"), (0.5, "25m"), (0.001, "8d16h20m")])
def test_any_rate_can_be_shown(rate: float, left: str) -> None:
    assert left in Page(Node(a_view(a_pull(bytes_per_second=rate))).get("/")).text
