"""Whatever can make a node pull an image: each kind of container, each kind of workload, tag and digest."""

import pytest

from cluster.world import MIB, REGISTRY, World
from rig.images import Image
from rig.kubernetes.api import Object, wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]


def seen(world: World, namespace: str, kind: str, image: Image, name: str, phase: str = "pulled") -> Object:
    """What the aggregator says of the image for a container of this kind, once it has matched the pull."""

    def found() -> Object | None:
        rows = (each for each in world.pod_pulls(namespace) if each.get("pull", {}).get("digest") == image.root.digest)
        fields = {"containerType": kind, "container": name, "phase": phase}
        return next((each for each in rows if fields.items() <= each.items()), None)

    result: Object = wait_for(found, f"{kind} {name} seen", 60)
    return result


def test_init_container_and_container(world: World) -> None:
    namespace, first, second = world.namespace(), world.image(2 * MIB), world.image(2 * MIB)
    init = {"name": "prepare", "image": first.reference(REGISTRY), "command": ["/bin/busybox", "true"]}
    world.pod(namespace, "both", second.reference(REGISTRY), initContainers=[init])
    world.wait_running(namespace)
    seen(world, namespace, "init", first, "prepare")
    seen(world, namespace, "container", second, "main")


def test_an_image_by_digest(world: World) -> None:
    namespace, image = world.namespace(), world.image(2 * MIB)
    world.pod(namespace, "by-digest", image.digest_reference(REGISTRY))
    world.wait_running(namespace)
    assert seen(world, namespace, "container", image, "main")["match"] == "exact"


def test_an_image_as_volume(world: World) -> None:
    namespace, image, volume = world.namespace(), world.image(), world.image(4 * MIB)
    mounted = {"name": "model", "image": {"reference": volume.reference(REGISTRY)}}
    container = {
        "name": "main",
        "image": image.reference(REGISTRY),
        "volumeMounts": [{"name": "model", "mountPath": "/model"}],
    }
    world.pod(namespace, "with-volume", "", containers=[container], volumes=[mounted])
    world.wait_running(namespace)
    seen(world, namespace, "volume", volume, "model")


def test_an_ephemeral_container(world: World) -> None:
    namespace, image, debug = world.namespace(), world.image(), world.image(3 * MIB)
    pod = world.pod(namespace, "debugged", image.reference(REGISTRY))
    world.wait_running(namespace)
    added = {"name": "debug", "image": debug.reference(REGISTRY), "targetContainerName": "main"}
    world.api.patch(pod, {"spec": {"ephemeralContainers": [added]}}, "ephemeralcontainers")
    seen(world, namespace, "ephemeral", debug, "debug")


def test_a_static_pod(world: World) -> None:
    namespace, image, node = world.namespace(), world.image(3 * MIB), world.cluster.nodes[0]
    # The kubelet tells the API server of it a moment after it has begun to pull.
    with world.stalled(image, after=MIB) as stall, node.static_pod(namespace, "static", image.reference(REGISTRY)):
        assert seen(world, namespace, "container", image, "main", "downloading")["node"] == node.name
        stall.release()
        world.wait_running(namespace)
        seen(world, namespace, "container", image, "main")


def test_a_cron_job(world: World) -> None:
    namespace, image = world.namespace(), world.image(2 * MIB)
    container = {"name": "main", "image": image.reference(REGISTRY), "command": ["/bin/busybox", "true"]}
    job = {"template": {"spec": {"containers": [container], "restartPolicy": "Never"}}}
    cron = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "nightly", "namespace": namespace},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": job}},
    }
    world.api.apply(cron)
    name = {"namespace": namespace, "name": "manually"}
    world.api.create({"apiVersion": "batch/v1", "kind": "Job", "metadata": name, "spec": job})
    seen(world, namespace, "container", image, "main")
    world.api.delete(cron)
