"""What the kubelet says of one pod, where the pulls of its node say something else, or nothing."""

import pytest

from cluster.world import AGGREGATOR_PORT, MIB, REGISTRY, World
from rig.images import Image
from rig.kubernetes.api import Object, wait_for
from rig.kubernetes.real.cluster_node import PAUSE_IMAGE, Node
from rig.kubernetes.real.monitored_cluster import NAMESPACE
from rig.runnable import runnable

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]

SERIAL, PARALLEL = 0, -1
"""Places of a node that pulls one image at a time, and of one that pulls several."""
USER, PASSWORD = "team", "right"
FAILURES = "pulltrace_pod_pull_failures_total"


def test_a_pod_without_credentials_is_refused_while_and_after_another_pulls_its_image(world: World) -> None:
    node, namespace, image = world.cluster.nodes[PARALLEL], world.namespace(), world.image(4 * MIB)
    reference = image.reference(REGISTRY)
    secret = world.pull_secret(namespace, "own", {"auths": {REGISTRY: {"username": USER, "password": PASSWORD}}})
    world.cluster.registry.require(image.repository, USER, PASSWORD)
    with world.stalled(image, after=2 * MIB):
        world.pod(namespace, "with", reference, nodeName=node.name, imagePullSecrets=secret)
        world.wait_row(namespace, "with", phase="downloading")
        always = {"name": "main", "image": reference, "imagePullPolicy": "Always"}
        world.pod(namespace, "without", "", containers=[always], nodeName=node.name)
        world.wait_row(namespace, "without", failureReason="unauthorized", blockedBy="credentials")
    world.wait_row(namespace, "with", phase="pulled")
    refused, phases = world.events(namespace, "Failed to pull image"), set()

    def refused_again() -> bool:
        phases.add(world.row(namespace, "without").get("phase"))
        return world.events(namespace, "Failed to pull image") > refused

    wait_for(refused_again, "the next attempt")
    assert not phases & {"pulled", None}
    # The image is on the node by now, but was pulled with a secret that this pod does not have.
    world.pod(namespace, "later", reference, nodeName=node.name)
    world.wait_row(namespace, "later", failureReason="unauthorized", blockedBy="credentials")


def test_a_pull_secret_that_cannot_be_read_is_a_matter_of_credentials(world: World) -> None:
    namespace, image = world.namespace(), world.image()
    secret = world.pull_secret(namespace, "malformed", {"auths": []})
    world.pod(namespace, "app", image.reference(REGISTRY), imagePullSecrets=secret)
    world.wait_row(namespace, "app", failureReason="unauthorized", blockedBy="credentials")
    (pod,) = world.api.pods(namespace)
    (status,) = pod["status"]["containerStatuses"]
    assert "json: cannot unmarshal" in status["state"]["waiting"]["message"]
    wait_for(lambda: world.told(FAILURES, namespace=namespace, reason="unauthorized"), "the failure counted")


def test_an_image_that_cannot_be_inspected_counts_under_its_registry(world: World) -> None:
    node, namespace = world.cluster.nodes[PARALLEL], world.namespace()
    prefix = ambiguous_id(world, node)
    # A name with a tag to the kubelet; to containerd also the beginning of two images' digests.
    world.pod(namespace, "app", prefix, nodeName=node.name)
    wait_for(lambda: world.events(namespace, 'Failed to inspect image ""'), "the kubelet's event")
    world.wait_row(namespace, "app", image=prefix)
    wait_for(lambda: world.told(FAILURES, namespace=namespace, registry="docker.io"), "the failure counted")
    assert world.told(FAILURES, namespace=namespace, registry="") == 0


def ambiguous_id(world: World, node: Node) -> str:
    """What the ids of two images on a node begin with."""
    seen: dict[str, Image] = {}
    while True:
        image = runnable("team/ids", (), tag=f"v{len(seen)}", entrypoint=("/bin/busybox", "sleep", str(len(seen))))
        other = seen.setdefault(image.config.digest[:8], image)
        if other is not image:
            break
    for each in (other, image):
        world.cluster.registry.push(each)
        node.ctr("images", "pull", "--plain-http", f"{world.cluster.registry.host}/{each.repository}:{each.tag}")
    return image.config.digest[:8]


def test_a_static_pod_in_line_is_behind_the_running_pull(world: World) -> None:
    node, namespace, first, static = world.cluster.nodes[SERIAL], world.namespace(), world.image(4 * MIB), world.image()
    with world.stalled(first, after=2 * MIB) as stall:
        world.pod(namespace, "first", first.reference(REGISTRY), nodeName=node.name)
        world.wait_row(namespace, "first", phase="downloading")
        with node.static_pod(namespace, "static", static.reference(REGISTRY)):
            name = f"static-{node.name}"
            world.wait_row(
                namespace, name, phase="queued", blockedBy="queue", behind=first.reference(REGISTRY), node=node.name
            )
            stall.release()
            world.wait_row(namespace, name, phase="pulled")


def test_a_pod_whose_pause_image_is_refused_waits_for_that_image(world: World) -> None:
    node, namespace, image = world.cluster.nodes[1], world.namespace(), world.image()
    remove_image(node, PAUSE_IMAGE)
    world.cluster.registry.deny("pause", 401)
    try:
        world.pod(namespace, "app", image.reference(REGISTRY), nodeName=node.name)
        row = world.wait_row(namespace, "app", container="POD", failureReason="unauthorized", blockedBy="credentials")
        assert (row["containerType"], row["image"]) == ("sandbox", PAUSE_IMAGE)
    finally:
        world.cluster.registry.allow("pause")
    world.wait_running(namespace)
    wait_for(lambda: not world.row(namespace, "app", container="POD", phase="backoff"), "the wait for it over")


def test_a_node_whose_exporter_waits_for_its_own_image_is_in_line_and_not_blind(world: World) -> None:
    node, namespace, big = world.cluster.nodes[SERIAL], world.namespace(), world.image(4 * MIB)
    with world.values("aggregator.flags.stale\\.exporter=1s"), world.stalled(big, after=2 * MIB) as stall:
        exporter = world.exporter(node.name)
        world.pod(namespace, "big", big.reference(REGISTRY), nodeName=node.name)
        world.wait_row(namespace, "big", phase="downloading")
        remove_image(node, exporter["spec"]["containers"][0]["image"])
        world.api.delete(exporter, None)

        def next_one() -> Object:
            rows = (each for each in world.pod_pulls(NAMESPACE) if each["node"] == node.name)
            return next((each for each in rows if each["blockedBy"] == "queue"), {})

        row = wait_for(next_one, "the next exporter in line", 120)
        assert (row["phase"], row["behind"]) == ("queued", big.reference(REGISTRY))
        assert world.row(namespace, "big")["blockedBy"] != "no_exporter"
        (aggregator,) = world.stack.pods("aggregator")
        assert world.metric(aggregator, AGGREGATOR_PORT, "pulltrace_node_exporter_missing", node=node.name) == 0
        stall.release()
        world.stack.wait_installed()


def remove_image(node: Node, reference: str) -> None:
    """Take an image from a node, under all of its names."""
    (digest,) = {line.split()[2] for line in node.ctr("images", "ls", f"name=={reference}").splitlines()[1:]}
    names = node.ctr("images", "ls", "-q", f"target.digest=={digest}").split()
    node.ctr("images", "rm", "--sync", *names)
