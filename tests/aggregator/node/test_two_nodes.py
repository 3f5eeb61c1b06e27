"""A second node beside the real one: the same image on both, and neither is told of the other's pull."""

from collections.abc import Iterator

import pytest

from rig import debian, needs
from rig.aggregator import RunningAggregator
from rig.containerd import RealContainerd
from rig.images import MIB
from rig.kubernetes import objects
from rig.kubernetes.kubelet_pod import KubeletPod
from rig.kubernetes.real.node_setup import RealNodeSetup
from rig.node import PullFailed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

OTHER = "node-2"
DOWN = ("failed", "backoff")


@pytest.fixture
def containerd() -> Iterator[RealContainerd]:
    """What pulls on the other node; of another version."""
    label = max(debian.CONTAINERD)
    needs.containerd(label)
    with RealContainerd.fresh(label) as running:
        yield running


def nodes_of_pulls(aggregator: RunningAggregator, digest: str) -> set[str]:
    return {pull["node"] for pull in aggregator.view()["pulls"] if pull["digest"] == digest}


def test_the_same_image_on_two_nodes(out: RealNodeSetup, containerd: RealContainerd) -> None:
    aggregator = out.aggregator(out.target_of(OTHER, out.watch(containerd.socket, OTHER)))
    image = out.push("app", 3 * MIB)
    stall = out.hold(image, after=2 * MIB)
    out.pod("here", image)
    out.wait(aggregator, "here", phase="downloading")
    item = out.node.api.create(objects.pod(out.namespace, "there", out.container(image), node=OTHER))
    there = KubeletPod(out.node.api, item)
    out.finally_(there.delete)
    there.waits()
    there.pulling()
    alone = out.wait(aggregator, "there", node=OTHER)
    assert "pull" not in alone
    assert nodes_of_pulls(aggregator, image.root.digest) == {out.node.name}
    pull = containerd.pull(out.reference(image))
    out.wait(aggregator, "there", phase="downloading")
    assert nodes_of_pulls(aggregator, image.root.digest) == {out.node.name, OTHER}
    spread = out.metrics(aggregator).by("phase", "pulltrace_image_nodes", digest=image.root.digest)
    assert spread["downloading"] == 2
    pull.cancel()
    with pytest.raises(PullFailed):
        pull.wait()
    there.failed("rpc error: code = Canceled desc = context canceled")
    there.waits("ErrImagePull", "rpc error: code = Canceled desc = context canceled")
    out.wait(aggregator, "there", blockedBy="backoff", met=lambda entry: entry["phase"] in DOWN)
    assert out.shown(aggregator)["here", "main"]["phase"] == "downloading"
    stall.release()
    out.wait(aggregator, "here", phase="pulled")
    assert out.shown(aggregator)["there", "main"]["phase"] in DOWN
    assert {node["node"]: node["state"] for node in aggregator.view()["nodes"]} == {out.node.name: "ok", OTHER: "ok"}
