"""A cluster in which there is something of everything, for what reads views."""

from functools import cache

from pulltrace.model.pull import Phase
from pulltrace_aggregator.controller.reconciler import Limits
from pulltrace_aggregator.diagnosis.staleness import StaleLimits
from rig.images import OCI
from rig.simulated_cluster import START, Cluster

ODD = 'we"ird\\\n\x00'


@cache
def busy_cluster() -> Cluster:
    """Not to be changed: tests share it."""
    cluster = Cluster(Limits(StaleLimits(resolving=10)))
    cluster.tick()
    cluster.sleep(10)
    _downloading(cluster)
    _failing(cluster)
    _dark(cluster)
    _odd(cluster)
    cluster.pass_time(8)
    done = cluster.pod("done", "registry.example/team/done:1", namespace="jobs", node="node-1")
    done.pulled(took="1.5s", total="2s")
    cluster.node("node-1").advance(ratio=0.25, rate=2.0 * 2**20)
    cluster.pass_time(60)
    cluster.node("node-1").advance(ratio=0.5, rate=2.0 * 2**20)
    cluster.tick()
    return cluster


NOW = START.monotonic + 78.0
"""When the busy cluster is looked at, monotonic."""


def _downloading(cluster: Cluster) -> None:
    node = cluster.node("node-1")
    cluster.pod("web-1").pulling()
    cluster.pod("web-2", volumes={"model": "registry.example/team/model:1"}).pulling("model")
    cluster.pod("web-3", "registry.example/team/model:1", init={"setup": "alpine"}).pulling("setup")
    node.pull(known=True, media_type=OCI.index)


def _failing(cluster: Cluster) -> None:
    node = cluster.node("node-2")
    pod = cluster.pod("denied", "private.example:5000/team/app:1", namespace="jobs", node="node-2")
    pod.pulling()
    pod.failed("unexpected status: 401 Unauthorized")
    pod.status("ImagePullBackOff", "401 Unauthorized")
    cluster.pod("silence", "slow.example/team/app:1", node="node-2").pulling()
    node.resolving = [node.now]
    node.pull("registry.example/team/ghost:1")
    node.end("registry.example/team/ghost:1", Phase.ORPHANED)


def _dark(cluster: Cluster) -> None:
    node = cluster.node("node-3")
    cluster.pod("lost", node="node-3").pulling()
    node.pull()
    node.advance(ratio=0.1)
    cluster.tick()
    node.answers = False


def _odd(cluster: Cluster) -> None:
    cluster.pod(ODD, ODD, namespace=ODD, node="node-1").status("InvalidImageName")
