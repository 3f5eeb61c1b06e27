"""Images that are there already or were removed, and what the kubelet says of how long a pull took."""

import pytest

from cluster.world import EXPORTER_PORT, MIB, REGISTRY, World
from rig.kubernetes.api import wait_for

COLLECTING = {"imageMinimumGCAge": "1ns", "imageMaximumGCAge": "2ns"}
"""So the kubelet removes each image that no container uses, when it starts and every five minutes."""

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]


def test_a_present_image_is_pulled_again_without_a_byte(world: World) -> None:
    node, namespace, image = world.cluster.nodes[0], world.namespace(), world.image(3 * MIB)
    world.pod(namespace, "first", image.reference(REGISTRY), nodeName=node.name)
    world.wait_running(namespace)
    wait_for(lambda: world.node_pull(node.name, image)["phase"] == "succeeded", "the first pull")
    sent, kubelet = world.sent(image), world.kubelet_pulls(node.name)
    always = {"name": "main", "image": image.reference(REGISTRY), "imagePullPolicy": "Always"}
    world.pod(namespace, "again", "", containers=[always], nodeName=node.name)
    world.wait_running(namespace, 2)
    assert world.sent(image) == sent
    assert world.kubelet_pulls(node.name) == kubelet + 1


def test_an_image_that_the_kubelet_collected_is_fetched_again(world: World) -> None:
    node, namespace, image = world.cluster.nodes[1], world.namespace(), world.image(3 * MIB)
    pod = world.pod(namespace, "first", image.reference(REGISTRY), nodeName=node.name)
    world.wait_running(namespace)
    wait_for(lambda: world.node_pull(node.name, image)["phase"] == "succeeded", "the first pull")
    world.api.delete(pod, None)
    wait_for(lambda: image.repository not in node.ctr("containers", "ls"), "the container and its layers gone")
    others = running(world, node.name)
    with node.kubelet_with(**COLLECTING):
        wait_for(lambda: image.repository not in node.ctr("images", "ls"), "the image collected")
    sent, counted, pulls = world.sent(image), world.downloaded(node.name), succeeded(world, node.name)
    with world.stalled(image, after=MIB):
        world.pod(namespace, "second", image.reference(REGISTRY), nodeName=node.name)
        wait_for(lambda: world.node_pull(node.name, image)["phase"] == "downloading", "the second pull")
    world.wait_running(namespace)
    fetched = world.sent(image) - sent
    assert fetched > 3 * MIB
    wait_for(lambda: world.downloaded(node.name) - counted == fetched, "the bytes counted")
    wait_for(lambda: succeeded(world, node.name) == pulls + 1, "the pull counted")
    scraped = f'sum(pulltrace_downloaded_bytes_total{{node="{node.name}",registry="{REGISTRY}"}})'
    wait_for(lambda: world.prometheus.value(scraped) == counted + fetched, "the same in Prometheus")
    assert others <= running(world, node.name)


def test_the_duration_is_the_kubelets_own(world: World) -> None:
    namespace, image = world.namespace(), world.image(2 * MIB)
    world.pod(namespace, "timed", image.reference(REGISTRY))
    world.wait_running(namespace)
    (pulled,) = wait_for(lambda: world.pulled(namespace), "the kubelet's event")
    name = "pulltrace_pod_pull_duration_seconds_sum"
    assert wait_for(lambda: world.told(name, namespace=namespace), "the duration") == pytest.approx(pulled.took)


def running(world: World, node: str) -> set[str]:
    """Containers that run on a node; what the kubelet evicts or starts anew has another name."""
    pods = world.api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={node},status.phase=Running")
    return {
        each["containerID"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
        for each in pod["status"]["containerStatuses"]
    }


def succeeded(world: World, node: str) -> float:
    return world.metric(
        world.exporter(node), EXPORTER_PORT, "pulltrace_pulls_total", registry=REGISTRY, result="succeeded"
    )
