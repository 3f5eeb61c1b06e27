"""Nodes from which no exporter answers: those that cannot have one, and those where it is still to come."""

import pytest

from pulltrace_aggregator.controller.reconciler import NODE_RETRY_SECONDS
from pulltrace_aggregator.model.cluster import NodeSeen
from pulltrace_aggregator.model.states import Cause, PodPhase
from rig.simulated_cluster import IMAGE, Cluster, SimulatedPod

pytestmark = pytest.mark.unit

LINUX = NodeSeen("node-1", "linux", "containerd", virtual=False)
EXPORTER = ("monitoring", "pulltrace-exporter")
EXPORTER_IMAGE = "registry.example/pulltrace-exporter:1"


def dark_cluster() -> Cluster:
    """One that knows no exporter of its node."""
    cluster = Cluster(exporter=EXPORTER)
    cluster.node().answers = False
    return cluster


def wait_long(cluster: Cluster, seconds: float = 70) -> None:
    """Nobody reads the node."""
    for _ in range(int(seconds)):
        cluster.sleep(1)
        cluster.tick(read=[])


def exporters_pod(cluster: Cluster) -> SimulatedPod:
    return cluster.pod("exporter-x", EXPORTER_IMAGE, namespace=EXPORTER[0], daemonset=EXPORTER[1])


# Those that cannot have one


@pytest.mark.parametrize(
    ("found", "missing"),
    [
        (None, True),
        (LINUX, True),
        (NodeSeen("node-1", "windows", "containerd", virtual=False), False),
        (NodeSeen("node-1", "linux", "cri-o", virtual=False), False),
        (NodeSeen("node-1", "linux", "containerd", virtual=True), False),
    ],
)
def test_no_exporter_is_missing_where_none_can_be(found: NodeSeen | None, missing: bool) -> None:
    cluster = dark_cluster()
    cluster.pod().pulling()
    cluster.tick(read=[])
    assert cluster.turn.node_reads == ("node-1",)
    cluster.core.node_read("node-1", found)
    wait_long(cluster)
    assert cluster.status_of().missing is missing
    assert [row.cause for row in cluster.view.pods] == [Cause.NO_EXPORTER]


def test_a_node_is_read_again_only_without_an_answer() -> None:
    cluster = dark_cluster()
    cluster.pod().pulling()
    reads = 0
    for _ in range(int(NODE_RETRY_SECONDS) + 5):
        cluster.tick(read=[])
        reads += len(cluster.turn.node_reads)
        cluster.sleep(1)
    assert reads == 2
    cluster.core.node_read("node-1", LINUX)
    wait_long(cluster, 2 * NODE_RETRY_SECONDS)
    assert not cluster.turn.node_reads


def test_a_node_that_answers_is_not_read(cluster: Cluster) -> None:
    cluster.pod().pulling()
    cluster.pass_time(5)
    assert not cluster.turn.node_reads


# Those where it is still to come


def test_while_the_exporters_own_image_waits_the_queue_is_what_blocks() -> None:
    cluster = dark_cluster()
    large, exporter, third = cluster.pod("large"), exporters_pod(cluster), cluster.pod("third", "c.example/c:1")
    for pod in (large, exporter, third):
        cluster.sleep(2)
        pod.pulling()
    wait_long(cluster, 200)
    rows = {row.labels.pod: row for row in cluster.view.pods}
    assert {name: (row.phase, row.cause, row.behind) for name, row in rows.items()} == {
        "large": (PodPhase.UNKNOWN, Cause.PROGRESSING, ""),
        "exporter-x": (PodPhase.QUEUED, Cause.QUEUE, IMAGE),
        "third": (PodPhase.QUEUED, Cause.QUEUE, IMAGE),
    }
    assert not cluster.status_of().missing
    assert cluster.status_of().queued == 2
    large.pulled()
    cluster.tick(read=[])
    assert {row.labels.pod: row.behind for row in cluster.view.pods}["third"] == EXPORTER_IMAGE


def test_an_exporter_that_does_not_answer_though_its_image_came_is_missing() -> None:
    cluster = dark_cluster()
    exporter, pod = exporters_pod(cluster), cluster.pod()
    exporter.pulling()
    pod.pulling()
    wait_long(cluster)
    exporter.pulled()
    wait_long(cluster, 50)
    assert not cluster.status_of().missing
    wait_long(cluster, 15)
    assert cluster.status_of().missing
    assert pod.row().cause is Cause.NO_EXPORTER


def test_an_exporter_whose_image_cannot_be_pulled_is_missing() -> None:
    cluster = dark_cluster()
    exporter, pod = exporters_pod(cluster), cluster.pod()
    pod.pulling()
    exporter.pulling()
    wait_long(cluster)
    exporter.failed("not found")
    cluster.tick(read=[])
    assert cluster.status_of().missing
    assert (exporter.row().cause, pod.row().cause) == (Cause.NOT_FOUND, Cause.NO_EXPORTER)


def test_another_daemonsets_pod_is_no_exporter() -> None:
    cluster = dark_cluster()
    cluster.pod("log-x", EXPORTER_IMAGE, namespace=EXPORTER[0], daemonset="logs").pulling()
    wait_long(cluster)
    assert cluster.status_of().missing
