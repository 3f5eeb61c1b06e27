"""What dies, hangs or comes back while pulls are under way: the view keeps what is known and invents nothing."""

import re

import pytest

from rig.aggregator import Document
from rig.images import MIB
from rig.mini_cluster import MiniCluster
from rig.simulated_cluster import IMAGE

pytestmark = pytest.mark.contract

OTHER = "registry.example/team/other:1"
COUNTER = re.compile(r"^(pulltrace_\w+_(?:total|count|sum|bucket)\S*) (\S+)$", re.MULTILINE)


def counters(text: str) -> dict[str, float]:
    """Counters of pulls and of failures, without those of this program's own requests."""
    found = {name: float(value) for name, value in COUNTER.findall(text)}
    return {name: value for name, value in found.items() if "pulltrace_aggregator_" not in name and value}


def waited(view: Document) -> float:
    return float(next(row["waitingSeconds"] for row in view["pods"] if row["pod"] == "first"))


def shape(view: Document) -> object:
    """What must be the same for another aggregator: all but ages and what moves."""
    pods = [
        (row["pod"], row["uid"], row["phase"], row["match"], row.get("blockedBy"), row.get("behind"))
        for row in view["pods"]
    ]
    pulls = [(pull["node"], pull["digest"], pull["phase"], pull.get("stale")) for pull in view["pulls"]]
    return sorted(pods), sorted(pulls), [(node["node"], node["state"]) for node in view["nodes"]]


def test_another_aggregator_shows_the_same_within_five_seconds_and_counts_nothing(cluster: MiniCluster) -> None:
    node = cluster.node()
    flags = (node.target, "--stale.no-progress=3s")
    first = cluster.aggregator(*flags)
    node.pull(last_progress_at=node.now - 10)
    cluster.pod("first").pulling(ago=10)
    cluster.pod("second", OTHER).pulling(ago=5)
    failing = cluster.pod("failing", "registry.example/none:1")
    failing.pulling(ago=4)
    failing.failed("not found")
    failing.failed("not found")
    failing.waits("ErrImagePull", "not found")
    done = cluster.pod("done", "registry.example/done:1")
    done.pulling(ago=4)
    done.pulled()
    done.runs()
    before = first.wait(lambda view: len(view["pods"]) == 4)
    before = first.wait(
        lambda view: {row["phase"] for row in view["pods"]} == {"downloading", "queued", "failed", "pulled"}
    )
    before["pods"] = [row for row in before["pods"] if row["phase"] != "pulled"]
    assert counters(first.metrics())
    first.kill()
    second = cluster.aggregator(*flags)
    second.wait(lambda view: shape(view) == shape(before), timeout=5)
    text = second.metrics()
    assert counters(text) == {}
    assert "succeeded" not in text
    # Stamps have whole seconds.
    assert waited(second.view()) > waited(before) - 1.5
    failing.failed("not found")
    series = 'pulltrace_pod_pull_failures_total{namespace="shop",registry="registry.example",reason="not_found"}'
    second.wait(lambda _: counters(second.metrics()).get(series) == 1)


def test_an_exporter_that_is_cut_off(cluster: MiniCluster) -> None:
    setup = cluster.node_setup()
    exporter = setup.exporter("--node.name=node-1")
    flags = ("--stale.exporter=3s", "--exporter.timeout=500ms")
    aggregator = cluster.aggregator(f"--exporter.target=node-1=http://127.0.0.1:{exporter.port}", *flags)
    image = setup.push(layers=[4 * MIB])
    setup.registry.throttle(4 * MIB)
    stall = setup.registry.stall(image.layers[0].digest, after=2 * MIB)
    cluster.pod("web", setup.reference(image)).pulling()
    pull = setup.pull(image)
    stall.wait_held()
    known = aggregator.wait(
        lambda view: view["pods"] and view["pods"][0].get("pull", {}).get("downloadedBytes", 0) > MIB
    )
    exporter.kill()
    silent = aggregator.wait(lambda view: view["pods"][0]["blockedBy"] == "no_exporter")
    assert silent["nodes"][0]["state"] == "unreachable"
    assert 3 <= silent["nodes"][0]["lastAnswerAgeSeconds"] < 3 + 30
    assert [pull["stale"] for pull in silent["pulls"]] == ["exporter_unreachable"]
    assert silent["pods"][0]["phase"] == "downloading"
    assert silent["pods"][0]["pull"]["downloadedBytes"] >= known["pods"][0]["pull"]["downloadedBytes"]
    assert "bytesPerSecond" not in silent["pods"][0]["pull"]
    text = aggregator.metrics()
    assert 'pulltrace_node_exporter_missing{node="node-1"} 1' in text
    assert 'pulltrace_aggregator_exporters{state="unreachable"} 1' in text
    assert 'pulltrace_stale_pulls_total{reason="exporter_unreachable"} 1' in text
    assert 'succeeded"} 1' not in text
    setup.exporter("--node.name=node-1", port=exporter.port)
    aggregator.wait(lambda view: view["nodes"][0]["state"] == "ok")
    stall.release()
    pull.wait()
    done = aggregator.wait(lambda view: view["pods"][0]["phase"] == "pulled")
    assert done["nodes"][0]["state"] == "ok"
    assert "exporter_unreachable" not in aggregator.metrics().replace('{reason="exporter_unreachable"} 1', "")


def test_an_api_server_that_is_gone_for_a_while(cluster: MiniCluster) -> None:
    node = cluster.node()
    aggregator = cluster.aggregator(node.target)
    node.pull()
    cluster.pod().pulling()
    aggregator.wait(lambda view: view["pods"] and view["pods"][0]["phase"] == "downloading")
    cluster.api_server.stop()
    aggregator.wait(lambda _: "pulltrace_aggregator_kubernetes_up 0" in aggregator.metrics())
    assert aggregator.get("/-/ready").status == 200, "what is known is still of use"
    node.change(downloaded=5 * 10**7)
    view = aggregator.wait(lambda view: view["pods"][0]["pull"]["downloadedBytes"] == 5 * 10**7)
    assert view["pods"][0]["phase"] == "downloading"
    cluster.api_server.start()
    aggregator.wait(lambda _: "pulltrace_aggregator_kubernetes_up 1" in aggregator.metrics())
    cluster.pod("later", OTHER).pulling()
    aggregator.wait(lambda view: {row["pod"] for row in view["pods"]} == {"web", "later"})
    assert "pulltrace_aggregator_watch_restarts_total{" in aggregator.metrics()
    assert IMAGE in aggregator.metrics()
