"""Several replicas: each node, and each pod on it, is one replica's."""

import hashlib
from collections.abc import Callable

import pytest

from rig.aggregator import Document
from rig.mini_cluster import MiniCluster

pytestmark = pytest.mark.contract


def has(count: int) -> Callable[[Document], bool]:
    return lambda view: len(view["pods"]) == len(view["pulls"]) == count


def test_each_replica_reads_its_nodes_and_exports_their_pods(cluster: MiniCluster) -> None:
    nodes = [cluster.node(f"worker-{number}") for number in range(6)]
    cluster.slice("exporters", *nodes[:3])
    flags = ["--exporter.service=shop/exporters", *(node.target for node in nodes[3:])]
    replicas = [cluster.aggregator(*flags, f"--shard={index}/2") for index in range(2)]
    for node in nodes:
        node.pull()
        cluster.pod(f"on-{node.name}", node=node.name).pulling()
    for index, replica in enumerate(replicas):
        own = {
            node.name
            for node in nodes
            if int.from_bytes(hashlib.sha256(node.name.encode()).digest()[:8], "big") % 2 == index
        }
        assert own
        view = replica.wait(has(len(own)))
        assert {row["node"] for row in view["pods"]} == own
        assert {pull["node"] for pull in view["pulls"]} == own
        assert {node["node"] for node in view["nodes"]} == own
        assert replica.metrics().count("pulltrace_pod_pull_info{") == len(own)


def test_discovery_follows_the_slices(cluster: MiniCluster) -> None:
    nodes = [cluster.node(f"node-{number}") for number in range(3)]
    aggregator = cluster.aggregator("--exporter.service=shop/exporters")
    slices = cluster.slice("exporters", *nodes)
    aggregator.wait(lambda view: [node["state"] for node in view["nodes"]] == ["ok"] * 3)
    nodes[0].pull()
    cluster.pod(node="node-0").pulling()
    aggregator.wait(lambda view: view["pulls"])
    for each in slices:
        cluster.api.delete(each)
    view = aggregator.wait(lambda view: [node["node"] for node in view["nodes"]] == ["node-0"])
    assert view["nodes"][0]["state"] == "unreachable", "a pull of it is known, so it is not forgotten"
    cluster.slice("exporters", *nodes)
    aggregator.wait(lambda view: [node["state"] for node in view["nodes"]] == ["ok"] * 3)
