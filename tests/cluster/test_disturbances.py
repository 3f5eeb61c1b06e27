"""A pull under way while something else ends: what is shown before, meanwhile and after."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from cluster.world import AGGREGATOR_PORT, EXPORTER_PORT, MIB, PATIENCE, REGISTRY, World
from rig.images import Image
from rig.kubernetes.api import Object, wait_for
from rig.kubernetes.real.cluster_node import Node
from rig.pacing import Stall

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]

SIZE = 6 * MIB
HALF = 3 * MIB


@dataclass(frozen=True, slots=True)
class Halfway:
    """A pod whose image is half on its node; the registry sends no more until it is released."""

    world: World
    node: Node
    namespace: str
    image: Image
    pod: Object
    stall: Stall

    @property
    def layer(self) -> str:
        return self.image.layers[-1].digest

    @property
    def digest(self) -> str:
        return self.image.root.digest

    def pull(self) -> Object:
        """What the exporter says."""
        return self.world.node_pull(self.node.name, self.image)

    def wait_told(self, phase: str) -> None:
        """What the aggregator says of the pod, once it is in this phase and has the pull."""

        def told() -> bool:
            pods = self.world.pod_pulls(self.namespace)
            return (phase, self.digest) in [(each["phase"], each.get("pull", {}).get("digest")) for each in pods]

        wait_for(told, f"{self.namespace} {phase}", PATIENCE)

    def finish(self) -> None:
        """Let the rest come, and wait until the pod runs."""
        self.stall.release()
        self.world.wait_running(self.namespace)


@contextmanager
def halfway(world: World, number: int) -> Iterator[Halfway]:
    node, namespace, image = world.cluster.nodes[number], world.namespace(), world.image(SIZE)
    with world.stalled(image, after=HALF) as stall:
        pod = world.pod(namespace, "waiting", image.reference(REGISTRY), nodeName=node.name)
        half = Halfway(world, node, namespace, image, pod, stall)
        wait_for(lambda: half.pull().get("downloadedBytes", 0) >= HALF - MIB, "half of it")
        half.wait_told("downloading")
        yield half


def test_a_pod_that_is_deleted_no_longer_waits_and_its_pull_goes_on(world: World) -> None:
    with halfway(world, 0) as half:
        world.api.delete(half.pod, None)
        wait_for(lambda: not world.pod_pulls(half.namespace), "no pod waits")
        half.stall.release()
        wait_for(lambda: half.pull()["phase"] == "succeeded", "the end of the pull")


def test_an_exporter_that_is_replaced_goes_on_where_the_pull_is(world: World) -> None:
    with halfway(world, 1) as half:
        old = world.exporter(half.node.name)
        world.api.delete(old, None)
        wait_for(lambda: world.exporter(half.node.name)["metadata"]["uid"] != old["metadata"]["uid"], "a new exporter")
        wait_for(lambda: half.pull().get("downloadedBytes", 0) >= HALF - MIB, "the bytes that were there")
        half.finish()
        wait_for(lambda: half.pull()["phase"] == "succeeded", "the end of the pull")
        # What came before it looked is not counted as fetched. Pods of other tests may go on on the node.
        others = [each for each in world.node_pulls(half.node.name)["pulls"] if each["digest"] != half.digest]
        own = world.downloaded(half.node.name) - sum(each.get("downloadedBytes", 0) for each in others)
        assert own < world.cluster.registry.sent(half.layer)


def test_an_aggregator_that_is_replaced_knows_the_wait_at_once(world: World) -> None:
    with halfway(world, 1) as half:
        (old,) = world.stack.pods("aggregator")
        world.api.delete(old, None)
        wait_for(
            lambda: [pod for pod in world.stack.pods("aggregator") if pod["metadata"]["uid"] != old["metadata"]["uid"]],
            "a new aggregator",
        )
        half.wait_told("downloading")
        half.finish()
        half.wait_told("pulled")


def test_a_containerd_that_is_restarted(world: World) -> None:
    before = world.downloaded(world.cluster.nodes[1].name)
    with halfway(world, 1) as half:
        half.node.stop_containerd()
        half.node.start_containerd()
        half.finish()
        half.wait_told("pulled")
        assert half.pull()["phase"] == "succeeded"
        assert half.image.layers[-1].size <= world.downloaded(half.node.name) - before <= world.sent(half.image)


def test_a_kubelet_that_is_restarted(world: World) -> None:
    with halfway(world, 0) as half:
        half.node.stop_kubelet()
        half.node.start_kubelet()
        half.finish()
        half.wait_told("pulled")


def test_a_node_that_is_drained_and_leaves_is_forgotten_and_missed_by_no_alert(world: World) -> None:
    # What is asked stays, Prometheus with its memory as well; all else may move.
    taken = {pod["spec"]["nodeName"] for pod in (world.prometheus.pod, *world.stack.pods("aggregator"))}
    number = next(number for number, node in enumerate(world.cluster.nodes) if node.name not in taken)
    with halfway(world, number) as half:
        node = half.node
        world.stack.shell(f"kubectl drain {node.name} --force --ignore-daemonsets --delete-emptydir-data --timeout 2m")
        wait_for(lambda: not world.pod_pulls(half.namespace), "no pod waits")
        (aggregator,) = world.stack.pods("aggregator")

        def known(what: str) -> list[Object]:
            told = world.stack.page(aggregator, AGGREGATOR_PORT, "/v1/pulls").json()[what]
            return [each for each in told if each["node"] == node.name and each.get("phase") != "succeeded"]

        # A node that leaves in mid-pull is remembered for ten minutes: that may be what went wrong.
        half.stall.release()
        wait_for(lambda: not known("pulls"), "the end of the pull told")
        node.stop_kubelet()
        world.stack.shell(f"kubectl delete node {node.name}")
    try:
        wait_for(lambda: not known("nodes"), "the node forgotten")
        assert world.metric(aggregator, AGGREGATOR_PORT, "pulltrace_node_exporter_missing", node=node.name) == 0
    finally:
        node.start_kubelet()
    world.stack.wait_installed()
    namespace, image = world.namespace(), world.image()
    world.pod(namespace, "back", image.reference(REGISTRY), nodeName=node.name)
    world.wait_row(namespace, "back", phase="pulled")


def test_an_api_server_that_is_restarted(world: World) -> None:
    with halfway(world, 0) as half:
        exporter = world.exporter(half.node.name)
        world.cluster.plane.stop_api_server()
        try:
            pulls = world.stack.page(exporter, EXPORTER_PORT, "/v1/pulls").json()["pulls"]
            assert "downloading" in [pull["phase"] for pull in pulls if pull["digest"] == half.digest]
        finally:
            world.cluster.plane.start_api_server()
        half.finish()
        half.wait_told("pulled")
