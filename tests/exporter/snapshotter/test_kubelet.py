"""A pod on a real node whose kubelet pulls through SOCI."""

from pathlib import Path

import pytest

from rig import needs
from rig.go_programs import parts
from rig.images import MIB
from rig.kubernetes.real import single_node
from rig.kubernetes.real.node_setup import real_node_setup
from rig.kubernetes.real.single_node import RealNode

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180), pytest.mark.xdist_group("soci")]


def test_a_pod_waits_for_layers_that_its_snapshotter_fetches(tmp_path: Path) -> None:
    needs.built(parts.SOCI)
    if reason := single_node.reason_missing():
        needs.miss(reason)
    with RealNode(soci=True) as real, real_node_setup(real, "soci", tmp_path) as out:
        aggregator = out.aggregator()
        image = out.push("large", 4 * MIB)
        stall = out.hold(image)
        pod = out.pod("large", image)
        stall.wait_held()
        seen = out.wait(aggregator, "large", met=lambda entry: "remotePendingBytes" in entry.get("pull", {}))
        assert (seen["phase"], seen["blockedBy"], seen["pull"]["snapshotter"]) == ("downloading", "progressing", "soci")
        assert seen["pull"]["remotePendingBytes"] == image.layers[-1].size
        assert not {"bytesPerSecond", "etaSeconds"} & seen["pull"].keys()
        stall.release()
        out.wait_running(pod)
        out.wait(aggregator, "large", phase="pulled")
        shown = out.exporter.wait_until(lambda scrape: scrape.phase(image) == "succeeded").pull(image)
        assert shown.states == ["cached", "unpacked"], "the layer below came with another image"
