"""The oldest Kubernetes that is supported: the chart is installed, passes its test, and shows a pull."""

import pytest

from cluster.world import MIB, REGISTRY, World
from rig.go_programs import parts
from rig.kubernetes.real.cluster import ClusterSettings
from rig.kubernetes.real.cluster_node import NodeSettings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]

OLDEST = ClusterSettings(min(parts.KUBERNETES), (NodeSettings("containerd-2.2"),))


@pytest.mark.parametrize("world", [OLDEST], indirect=True, ids=[OLDEST.kubernetes])
def test_the_oldest_supported_kubernetes(world: World) -> None:
    namespace, image = world.namespace(), world.image(2 * MIB)
    world.pod(namespace, "app", image.reference(REGISTRY))
    world.wait_running(namespace)
    world.wait_row(namespace, "app", phase="pulled")
    assert world.node_pull(world.cluster.nodes[0].name, image)["phase"] == "succeeded"
