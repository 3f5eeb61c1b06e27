"""Roll-outs on three nodes: what exporters, aggregator, kubelets and the registry say of the same pulls."""

from functools import partial

import pytest

from cluster.world import MIB, REGISTRY, World
from rig.images import Image
from rig.kubernetes import objects
from rig.kubernetes.api import Object, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]


def daemon_set(namespace: str, image: str) -> Object:
    container = objects.container(image=image)
    spec = {"containers": [container], "terminationGracePeriodSeconds": 0, "tolerations": [{"operator": "Exists"}]}
    return objects.workload("DaemonSet", namespace, "rollout", {"app": "rollout"}, spec)


def test_every_node_pulls_every_byte_once_and_all_sides_agree(world: World) -> None:
    namespace, image = world.namespace(), world.image(3 * MIB, 2 * MIB)
    names = [node.name for node in world.cluster.nodes]
    pulls = {name: world.kubelet_pulls(name) for name in names}
    counted = {name: world.downloaded(name) for name in names}
    already = world.sent(image)
    world.api.apply(daemon_set(namespace, image.reference(REGISTRY)))
    world.wait_running(namespace, len(names))
    for name in names:
        wait_for(partial(succeeded, world, name, image), f"the end on {name}")
        pull = world.node_pull(name, image)
        assert pull["downloadedBytes"] + pull["cachedBytes"] == image.size
        assert world.kubelet_pulls(name) == pulls[name] + 1
    fetched = sum(world.downloaded(name) - counted[name] for name in names)
    assert fetched == world.sent(image) - already
    assert len(world.pulled(namespace)) == len(names)


def succeeded(world: World, node: str, image: Image) -> bool:
    return bool(world.node_pull(node, image).get("phase") == "succeeded")
