"""`kubectl pulltrace` as a plug-in: through the API server's proxy, with the rights of a viewer and without."""

import json
from collections.abc import Iterator

import pytest

from cluster.world import MIB, REGISTRY, World
from rig.images import Image
from rig.kubernetes.api import wait_for
from rig.kubernetes.real.monitored_cluster import NAMESPACE
from rig.processes import CommandFailed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]

SERIAL = 0
VIEWER, STRANGER = "ann", "bob"


@pytest.fixture(scope="module")
def viewed(world: World) -> Iterator[World]:
    """The cluster with the chart's role for viewers, bound to one."""
    with world.values("rbac.viewer.create=true", "rbac.viewer.exporters=true"):
        world.bind_viewer(VIEWER)
        yield world


def client(world: World, words: str, user: str = VIEWER) -> str:
    """What it prints where no terminal is; raises CommandFailed."""
    return world.stack.shell(f"kubectl pulltrace {words} --as {user}")


def test_waits_layers_and_the_line_of_a_node_are_shown_until_all_is_there(viewed: World) -> None:
    world, node = viewed, viewed.cluster.nodes[SERIAL]
    namespace, first, second = world.namespace(), world.image(6 * MIB), world.image()
    with world.stalled(first, after=3 * MIB):
        world.pod(namespace, "first", first.reference(REGISTRY), nodeName=node.name)
        world.wait_row(namespace, "first", phase="downloading")
        world.pod(namespace, "second", second.reference(REGISTRY), nodeName=node.name)
        world.wait_row(namespace, "second", phase="queued")
        lines = {line.split()[0]: line for line in client(world, f"-n {namespace} -o wide").splitlines() if line}
        assert "downloading" in lines["first"]
        assert "queued" in lines["second"]
        assert first.reference(REGISTRY) in lines["second"]
        assert layer_states(client(world, f"first -n {namespace} -o json"), first) == "downloading"
        assert f"{first.repository}" in client(world, f"node {node.name}")
        with pytest.raises(CommandFailed, match=r"status 1: .*second"):
            client(world, f"second -n {namespace} --wait --timeout 1s")
    client(world, f"first second -n {namespace} --wait --timeout 2m")
    assert len(world.wait_running(namespace, 2)) == 2


def layer_states(text: str, image: Image) -> str:
    """The state of the image's last layer, as the exporter told it."""
    (pod,) = json.loads(text)["pods"]
    states: dict[str, str] = {layer["digest"]: layer["state"] for layer in pod["pull"]["layers"]}
    return states[image.layers[-1].digest]


def test_a_user_without_the_role_is_told_which_right_is_missing(viewed: World) -> None:
    with pytest.raises(CommandFailed, match=r"you may not list (pods|services) in all(.|\n)*rbac\.viewer"):
        client(viewed, "-A", STRANGER)


def test_both_shards_are_asked_over_tls(viewed: World) -> None:
    namespace = viewed.namespace()
    names = {f"pod/on-{node.name}": node.name for node in viewed.cluster.nodes}
    with (
        viewed.certificate() as secret,
        viewed.values("tls.enabled=true", f"tls.existingSecret={secret}", "aggregator.shards=2"),
    ):
        for name, node in names.items():
            viewed.pod(namespace, name.removeprefix("pod/"), f"{REGISTRY}/team/nothing:v1", nodeName=node)
        wait_for(
            lambda: set(client(viewed, f"-n {namespace} -o name").split()) == set(names), "the pods of both shards"
        )
        for pod in viewed.stack.pods("aggregator"):
            plain = f"/api/v1/namespaces/{NAMESPACE}/pods/http:{pod['metadata']['name']}:10302/proxy/v1/pulls"
            with pytest.raises(CommandFailed):
                viewed.stack.shell(f"kubectl get --raw {plain}")
