"""Which pod waits for what, as the running program tells it over HTTP."""

import time
from collections.abc import Callable

import pytest

from pulltrace.clock import NodeTime
from pulltrace.model.pull import Phase, QueuedImage
from rig.aggregator import Document, RunningAggregator
from rig.images import digest
from rig.kubernetes import objects
from rig.mini_cluster import IMAGE, ExporterNode, MiniCluster
from rig.sample_views import a_layer

pytestmark = pytest.mark.contract

OTHER = "registry.example/team/other:1"
THIRD = "registry.example/team/third:1"


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


def test_several_pods_wait_for_one_pull(
    cluster: MiniCluster, node: ExporterNode, aggregator: RunningAggregator
) -> None:
    node.pull()
    for name in ("web-1", "web-2", "web-3"):
        cluster.pod(name).pulling()
    cluster.pod("elsewhere", node="node-2").pulling()
    view = aggregator.wait(lambda view: len(view["pods"]) == 4)
    view = aggregator.wait(lambda view: list(phases(view).values()).count("downloading") == 3)
    assert rows(view)["elsewhere/main"]["match"] == "none"
    assert {row["pull"]["digest"] for row in view["pods"] if "pull" in row} == {digest(IMAGE)}
    assert len(view["pulls"]) == 1
    assert [row["pod"] for row in aggregator.view("pod=web-1&pod=web-3")["pods"]] == ["web-1", "web-3"]


def test_a_queue_and_its_head(cluster: MiniCluster, node: ExporterNode, aggregator: RunningAggregator) -> None:
    node.pull()
    for name, image, ago in (("first", IMAGE, 30), ("second", OTHER, 20), ("third", THIRD, 10)):
        cluster.pod(name, image).pulling(ago=ago)
    view = aggregator.wait(lambda view: sorted(phases(view).values()) == ["downloading", "queued", "queued"])
    for name in ("second/main", "third/main"):
        assert (rows(view)[name]["behind"], rows(view)[name]["blockedBy"]) == (IMAGE, "queue")
    assert view["nodes"][0]["queuedImages"] == 2
    assert 'pulltrace_node_queued_images{node="node-1"} 2' in aggregator.metrics()
    node.end()
    node.resolving = [node.now]
    view = aggregator.wait(lambda view: phases(view)["second/main"] == "resolving")
    assert rows(view)["third/main"]["behind"] == OTHER
    assert phases(view)["first/main"] == "pulled"


def test_intents_tell_what_is_queued_without_any_event(
    cluster: MiniCluster, node: ExporterNode, aggregator: RunningAggregator
) -> None:
    cluster.pod("quiet", OTHER)
    node.pull()
    node.queued = [QueuedImage("", "", OTHER, NodeTime(node.now - 5))]
    view = aggregator.wait(lambda view: view["pods"])
    assert (phases(view), rows(view)["quiet/main"]["behind"]) == ({"quiet/main": "queued"}, IMAGE)


def test_init_containers_come_first(cluster: MiniCluster, node: ExporterNode, aggregator: RunningAggregator) -> None:
    pod = cluster.pod("web", OTHER, initContainers=[objects.container("setup", IMAGE)])
    waiting = objects.waiting("main", "PodInitializing")
    pod.status(waiting, initContainerStatuses=[objects.waiting("setup", "PodInitializing")])
    node.pull()
    pod.pulling(IMAGE, "spec.initContainers{setup}")
    view = aggregator.wait(lambda view: phases(view).get("web/setup") == "downloading")
    assert [row["containerType"] for row in view["pods"]] == ["init"]
    node.end()
    pod.status(waiting, initContainerStatuses=[objects.running("setup")])
    node.pull(OTHER)
    pod.pulling(OTHER)
    aggregator.wait(lambda view: phases(view) == {"web/setup": "pulled", "web/main": "downloading"})


def test_image_volumes_and_ephemeral_containers(
    cluster: MiniCluster, node: ExporterNode, aggregator: RunningAggregator
) -> None:
    volume = {"name": "model", "image": {"reference": OTHER, "pullPolicy": "IfNotPresent"}}
    pod = cluster.pod("web", volumes=[volume], ephemeralContainers=[objects.container("debug", THIRD)])
    pod.pulling(OTHER, "")
    pod.pulling(THIRD, "spec.ephemeralContainers{debug}")
    node.pull(OTHER)
    node.pull(THIRD)
    view = aggregator.wait(lambda view: list(phases(view).values()) == ["downloading"] * 2)
    assert {row["container"]: row["containerType"] for row in view["pods"]} == {"model": "volume", "debug": "ephemeral"}
    pod.pulled(OTHER, path="")
    aggregator.wait(lambda view: phases(view)["web/model"] == "pulled")
    assert 'container="model",container_type="volume"' in aggregator.metrics()


def test_a_deleted_pod_leaves_and_another_of_its_name_replaces_it(
    cluster: MiniCluster, node: ExporterNode, aggregator: RunningAggregator
) -> None:
    node.pull()
    first = cluster.pod("web-0")
    first.pulling()
    aggregator.wait(lambda view: phases(view) == {"web-0/main": "downloading"})
    first.delete()
    aggregator.wait(lambda view: view["pods"] == [])
    second = cluster.pod("web-0", OTHER)
    second.pulling()
    view = aggregator.wait(lambda view: view["pods"])
    assert (view["pods"][0]["uid"], view["pods"][0]["image"]) == (second.uid, OTHER)
    first.event("BackOff", f'Back-off pulling image "{IMAGE}"')
    view = aggregator.wait(lambda view: view["pods"])
    assert [row["uid"] for row in view["pods"]] == [second.uid]
    assert f'uid="{first.uid}"' not in aggregator.metrics()


def test_a_pod_that_runs_by_now_leaves_when_it_is_deleted(
    cluster: MiniCluster, node: ExporterNode, aggregator: RunningAggregator
) -> None:
    node.pull()
    pod = cluster.pod()
    pod.pulling()
    aggregator.wait(lambda view: phases(view) == {"web/main": "downloading"})
    node.end()
    pod.pulled()
    pod.runs()
    aggregator.wait(lambda view: phases(view) == {"web/main": "pulled"})
    pod.delete()
    aggregator.wait(lambda view: view["pods"] == [])


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


def test_the_times_that_the_kubelet_tells_are_counted(
    cluster: MiniCluster, node: ExporterNode, aggregator: RunningAggregator
) -> None:
    pod = cluster.pod()
    pod.pulling()
    node.pull()
    aggregator.wait(lambda view: phases(view) == {"web/main": "downloading"})
    node.end()
    pod.pulled(took="1m2.5s", total="1m10s")
    pod.runs()
    aggregator.wait(lambda view: phases(view) == {"web/main": "pulled"})
    wanted = {
        'pulltrace_pod_pull_duration_seconds_sum{namespace="shop",registry="registry.example"} 62.5',
        'pulltrace_pod_pull_queue_seconds_sum{namespace="shop"} 7.5',
        'pulltrace_pod_pull_stage_seconds_count{namespace="shop",stage="download"} 1',
        'pulltrace_pod_pull_stage_seconds_sum{namespace="shop",stage="queue"} 7.5',
    }
    aggregator.wait(lambda _: wanted <= set(aggregator.metrics().splitlines()))


def test_a_stall_and_a_registry_that_does_not_answer(cluster: MiniCluster, node: ExporterNode) -> None:
    aggregator = cluster.aggregator(node.target, "--stale.no-progress=2s", "--stale.resolving=1s", "--stale.unpack=2s")
    cluster.pod("still").pulling()
    node.pull(last_progress_at=node.now)
    stalled = aggregator.wait(lambda view: view["pods"] and view["pods"][0]["blockedBy"] == "stalled")
    assert stalled["pulls"][0]["stale"] == "no_progress"
    assert stalled["pulls"][0]["lastProgressAgeSeconds"] < 2 + 5
    assert 'reason="no_progress"} 1' in aggregator.metrics()
    node.change(downloaded=2 * 10**7, last_progress_at=node.now)
    aggregator.wait(lambda view: view["pods"][0]["blockedBy"] == "progressing")
    node.change(phase=Phase.UNPACKING, downloaded=10**8, bytes_per_second=None)
    aggregator.wait(lambda view: view["pods"][0]["blockedBy"] == "slow_unpack")
    node.end()
    cluster.pod("asking", OTHER).pulling()
    node.resolving = [node.now]
    aggregator.wait(lambda view: rows(view).get("asking/main", {}).get("blockedBy") == "registry")
    assert 'pulltrace_node_resolving_stale{node="node-1"} 1' in aggregator.metrics()


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
