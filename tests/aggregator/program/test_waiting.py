"""Which pod waits for what, as the running program tells it over HTTP."""

import time
from collections.abc import Callable

import pytest

from rig.aggregator import Document, RunningAggregator
from rig.images import digest
from rig.mini_cluster import ExporterNode, MiniCluster
from rig.sample_views import a_layer
from rig.simulated_cluster import IMAGE

pytestmark = pytest.mark.contract

OTHER = "registry.example/team/other:1"


@pytest.fixture
def node(cluster: MiniCluster) -> ExporterNode:
    return cluster.node()


@pytest.fixture
def aggregator(cluster: MiniCluster, node: ExporterNode) -> RunningAggregator:
    return cluster.aggregator(node.target)


def rows(view: Document) -> dict[str, Document]:
    """By pod and container."""
    return {f"{row['pod']}/{row['container']}": row for row in view["pods"]}


def phases(view: Document) -> dict[str, str]:
    return {name: row["phase"] for name, row in rows(view).items()}


def has_failed(name: str) -> Callable[[Document], bool]:
    return lambda view: phases(view).get(name) == "failed"


def test_back_off_and_the_cause_of_it(cluster: MiniCluster, node: ExporterNode, aggregator: RunningAggregator) -> None:
    why = "failed to resolve reference: pull access denied, repository does not exist or may require authorization"
    for name, message, cause in (
        ("denied", why, "credentials"),
        ("missing", f'rpc error: code = NotFound desc = failed to resolve reference "{IMAGE}": not found', "not_found"),
        ("limited", "unexpected status code 429 Too Many Requests: toomanyrequests: slow down", "rate_limited"),
        ("dark", 'failed to do request: Head "https://r/v2/": dial tcp: lookup r: no such host', "registry"),
        ("odd", "the cat sat on the keyboard", "backoff"),
    ):
        pod = cluster.pod(name)
        pod.pulling()
        pod.failed(message)
        pod.event("Failed", "Error: ErrImagePull")
        pod.waits("ErrImagePull", message)
        view = aggregator.wait(has_failed(f"{name}/main"))
        assert rows(view)[f"{name}/main"]["blockedBy"] == cause
    pod.waits("ImagePullBackOff", f'Back-off pulling image "{IMAGE}"')
    pod.event("BackOff", f'Back-off pulling image "{IMAGE}"')
    aggregator.wait(lambda view: phases(view)["odd/main"] == "backoff")
    text = aggregator.metrics()
    for reason in ("unauthorized", "not_found", "rate_limited", "dns", "other"):
        series = f'failures_total{{namespace="shop",registry="registry.example",reason="{reason}"}} 1'
        assert series in text, series
    pod.pulling()
    node.pull()
    aggregator.wait(lambda view: phases(view)["odd/main"] == "downloading")


@pytest.mark.parametrize("hours", [-1, 1])
def test_clocks_an_hour_apart(cluster: MiniCluster, hours: int) -> None:
    ahead = hours * 3600.0
    node = cluster.node(ahead=ahead)
    aggregator = cluster.aggregator(node.target, "--stale.no-progress=30s")
    one, two = f"{IMAGE}-a", f"{IMAGE}-b"
    node.pull(two, known=False, started_at=node.now - 40)
    cluster.pod("web", one, ahead=ahead).pulling()
    node.pull(one, known=False, started_at=node.now + 1)
    view = aggregator.wait(lambda view: view["pods"] and view["pods"][0]["match"] == "repository")
    assert view["pods"][0]["pull"]["digest"] == digest(one)
    assert view["pods"][0]["waitingSeconds"] < 20
    assert [pull.get("stale") for pull in view["pulls"]] == [None, None]
    ages = sorted(pull["ageSeconds"] for pull in view["pulls"])
    assert ages[0] < 20
    assert 40 <= ages[1] < 60


def test_only_layers_tell_who_waits_for_whom(
    cluster: MiniCluster, node: ExporterNode, aggregator: RunningAggregator
) -> None:
    shared = a_layer(3)
    node.pull(OTHER, layers=(shared,), started_at=node.now - 10)
    node.pull(layers=(shared,), started_at=node.now)
    cluster.pod("web").pulling()
    aggregator.wait(lambda view: view["pods"] and view["pods"][0]["blockedBy"] == "shared_layer")
    asked = time.monotonic()
    node.end(OTHER)
    aggregator.wait(lambda view: view["pods"][0]["blockedBy"] == "progressing")
    # From now on they tell nothing.
    aggregator.wait(lambda _: {"layers": ("false",)} in [one.query for when, one in node.asked if when > asked])
