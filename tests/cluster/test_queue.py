"""The kubelet's queue: its folder of intents, what the exporter shows of it, and what the aggregator says of pods."""

import json

import pytest

from cluster.world import MIB, REGISTRY, World
from rig.kubernetes.api import wait_equal, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]

SERIAL = 0
"""This node pulls one image at a time."""


def test_the_queue_is_the_kubelets_folder(world: World) -> None:
    node = world.cluster.nodes[SERIAL]
    world.stack.shell(
        "helm upgrade pulltrace deploy/helm/pulltrace --namespace pulltrace --reuse-values --wait"
        " --set exporter.kubeletIntents.enabled=true"
    )
    world.stack.wait_installed()
    namespace, first = world.namespace(), world.image(6 * MIB)
    with world.stalled(first, after=2 * MIB):
        world.pod(namespace, "first", first.reference(REGISTRY), nodeName=node.name)
        wait_for(lambda: world.node_pull(node.name, first).get("phase") == "downloading", "the first pull")
        others = [world.image() for _ in range(3)]
        for number, image in enumerate(others):
            world.pod(namespace, f"behind-{number}", image.reference(REGISTRY), nodeName=node.name)
        behind = {image.reference(REGISTRY) for image in others}

        def queued() -> set[str]:
            return {each["reference"] for each in world.node_pulls(node.name)["queued"]}

        wait_equal(queued, behind, "the queue shown")
        intents = {json.loads(path.read_text())["image"] for path in node.intents.glob("sha256-*")}
        assert intents == {*behind, first.reference(REGISTRY)}

        def told() -> set[tuple[str, str]]:
            pods = world.pod_pulls(namespace)
            return {(pod["phase"], pod.get("behind", "")) for pod in pods if pod["image"] in behind}

        wait_equal(told, {("queued", first.reference(REGISTRY))}, "the pods told as queued")
    world.wait_running(namespace, 4)
    assert not list(node.intents.glob("sha256-*"))
    wait_equal(queued, set(), "the queue empty")


def test_a_parallel_kubelet_lets_nobody_wait(world: World) -> None:
    node = world.cluster.nodes[-1]
    namespace, slow, quick = world.namespace(), world.image(6 * MIB), world.image()
    with world.stalled(slow, after=2 * MIB):
        world.pod(namespace, "slow", slow.reference(REGISTRY), nodeName=node.name)
        wait_for(lambda: world.node_pull(node.name, slow).get("phase") == "downloading", "the slow pull")
        world.pod(namespace, "quick", quick.reference(REGISTRY), nodeName=node.name)
        world.wait_running(namespace)
    world.wait_running(namespace, 2)
    waits = {each.image: each for each in world.pulled(namespace)}
    assert waits[quick.reference(REGISTRY)].including_waiting < waits[slow.reference(REGISTRY)].took
