"""One pull, from containerd's stand-in through the exporter as shipped to the aggregator as shipped."""

import json

import pytest

from rig.aggregator import Document
from rig.images import MIB
from rig.mini_cluster import MiniCluster

pytestmark = pytest.mark.contract


def only_pod(view: Document) -> Document:
    (pod,) = view["pods"]
    return dict(pod)


def test_a_pull_is_shown_under_its_pod_until_the_image_has_come(cluster: MiniCluster) -> None:
    setup = cluster.node_setup()
    exporter = setup.exporter("--node.name=node-1")
    aggregator = cluster.aggregator(f"--exporter.target=node-1=http://127.0.0.1:{exporter.port}")
    image = setup.push(layers=[4 * MIB])
    stall = setup.registry.stall(image.layers[0].digest, after=2 * MIB)
    pod = cluster.pod("web", setup.reference(image))
    pod.pulling()
    waiting = aggregator.wait(lambda view: view["pods"])
    assert only_pod(waiting)["phase"] in ("queued", "unknown")
    pull = setup.pull(image)
    busy = only_pod(
        aggregator.wait(lambda view: 0 < view["pods"][0].get("pull", {}).get("downloadedBytes", 0) < image.size)
    )
    assert {key: busy[key] for key in ("namespace", "pod", "uid", "container", "containerType", "node", "image")} == {
        "namespace": "shop",
        "pod": "web",
        "uid": pod.uid,
        "container": "main",
        "containerType": "container",
        "node": "node-1",
        "image": setup.reference(image),
    }
    assert (busy["phase"], busy["blockedBy"]) == ("downloading", "progressing")
    assert busy["match"] in ("repository", "exact")
    assert busy["pull"]["sizeBytes"] == image.size
    text = aggregator.metrics()
    labels = f'namespace="shop",pod="web",container="main",container_type="container",node="node-1",image="{pod.image}"'
    assert f'pulltrace_pod_pull_phase{{{labels},phase="downloading"}} 1' in text
    assert f'pulltrace_pod_pull_blocked_by{{{labels},cause="progressing"}} 1' in text
    assert f"pulltrace_pod_pull_size_bytes{{{labels}}} {image.size}" in text
    page = aggregator.get("/").body.decode()
    assert "shop/web" in page
    assert "progressing" in page
    stall.release()
    pull.wait()
    pod.pulled()
    pod.runs()
    done = only_pod(aggregator.wait(lambda view: view["pods"][0]["phase"] == "pulled"))
    assert "blockedBy" not in done
    pod.delete()
    aggregator.wait(lambda view: not view["pods"])


def test_pages_answer_as_agreed(cluster: MiniCluster) -> None:
    exporter = cluster.exporter()
    aggregator = cluster.aggregator(f"--exporter.target=node-1={exporter.url}")
    aggregator.wait(lambda view: view["nodes"] and view["nodes"][0]["state"] == "ok")
    assert aggregator.get("/-/healthy").status == 200
    assert aggregator.get("/-/ready").status == 200
    first = aggregator.get("/v1/pulls")
    assert first.headers["content-type"] == "application/json"
    again = aggregator.get("/v1/pulls", If_None_Match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert json.loads(aggregator.get("/v1/pulls?node=node-2").body)["pulls"] == []
    assert len(json.loads(aggregator.get("/v1/pulls?node=node-2&node=node-1").body)["nodes"]) == 1
    refused = aggregator.get("/v1/pulls?nodes=node-1")
    assert refused.status == 400
    assert b"'nodes'" in refused.body
    assert "openmetrics" in aggregator.get("/metrics", Accept="application/openmetrics-text").headers["content-type"]
