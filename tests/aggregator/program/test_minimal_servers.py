"""The program against servers that know as little as may be: minimal JSON, no paging, no selectors, plain HTTP/1.0."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rig.aggregator import RunningAggregator
from rig.minimal_servers import MinimalApi, MinimalExporter

pytestmark = pytest.mark.contract

DIGEST = "sha256:" + "a" * 64


@pytest.fixture
def api() -> Iterator[MinimalApi]:
    with MinimalApi().served() as running:
        yield running


def pod(phase: str = "Pending", **state: Any) -> dict[str, Any]:
    status = {"phase": phase, "containerStatuses": [{"name": "main", "state": state}]} if state else {"phase": phase}
    return {
        "metadata": {"namespace": "shop", "name": "web", "uid": "u-1"},
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "registry.example/team/app:1"}]},
        "status": status,
    }


def event(reason: str, message: str, **more: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "shop", "name": f"web.{reason}"},
        "involvedObject": {"kind": "Pod", "name": "web", "uid": "u-1", "fieldPath": "spec.containers{main}"},
        "reason": reason,
        "message": message,
        "source": {"component": "kubelet", "host": "n1"},
        **more,
    }


def pull(**more: Any) -> dict[str, Any]:
    identity = {"registry": "registry.example", "repository": "team/app", "digest": DIGEST}
    return {**identity, "phase": "downloading", **more}


def test_the_least_that_servers_can_say_is_enough(api: MinimalApi, tmp_path: Path) -> None:
    api.put("pods", pod())
    with (
        MinimalExporter({"schema": "pulltrace/v1", "pulls": [pull()]}).served() as exporter,
        RunningAggregator(
            tmp_path / "log",
            api.kubeconfig(tmp_path),
            f"--exporter.target=n1={exporter.url}",
            "--exporter.interval=100ms",
            "--stale.no-progress=1s",
        ) as aggregator,
    ):
        aggregator.wait_ready()
        aggregator.wait(lambda view: view["pods"] and view["pods"][0]["phase"] == "downloading")
        assert api.tokens == {"Bearer secret"}
        api.put("events", event("Pulling", 'Pulling image "registry.example/team/app:1"', unknown={"field": 1}))
        half = {"sizeBytes": 1000, "cachedBytes": 0, "downloadedBytes": 500, "bytesPerSecond": 100}
        exporter.document = {
            "schema": "pulltrace/v1",
            "containerd": {"up": True},
            "pulls": [pull(**half, ageSeconds=5)],
            "somethingNew": [],
        }
        view = aggregator.wait(lambda view: view["pods"][0]["pull"].get("downloadedBytes") == 500)
        assert view["pods"][0]["pull"]["etaSeconds"] == 5
        aggregator.wait(lambda view: view["pulls"][0].get("stale") == "no_progress")
        exporter.document["pulls"] = [pull(**{**half, "downloadedBytes": 600}, ageSeconds=30, lastProgressAgeSeconds=0)]
        aggregator.wait(lambda view: "stale" not in view["pulls"][0])
        exporter.document["pulls"] = [pull(**half, ageSeconds=90, lastProgressAgeSeconds=75)]
        stalled = aggregator.wait(lambda view: view["pods"][0]["blockedBy"] == "stalled")
        assert stalled["pulls"][0]["stale"] == "no_progress"
        api.put("pods", pod("Running", running={}))
        aggregator.wait(lambda view: view["pods"][0]["phase"] == "pulled")
        assert 'phase="pulled"} 1' in aggregator.metrics()
        api.delete("pods", pod())
        aggregator.wait(lambda view: not view["pods"])


def test_failures_are_counted_once_though_every_watch_shows_every_event(api: MinimalApi, tmp_path: Path) -> None:
    api.put("pods", pod(waiting={"reason": "ErrImagePull"}))
    with RunningAggregator(tmp_path / "log", api.kubeconfig(tmp_path)) as aggregator:
        aggregator.wait_ready()
        said = 'Failed to pull image "registry.example/team/app:1": failed to authorize: 401 Unauthorized'
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        api.put("events", event("Failed", said, count=1, firstTimestamp=now, lastTimestamp=now))
        api.put("events", event("Failed", said, count=4, firstTimestamp=now, lastTimestamp=now))
        aggregator.wait(lambda view: view["pods"] and view["pods"][0]["blockedBy"] == "credentials")
        series = 'pulltrace_pod_pull_failures_total{namespace="shop",registry="registry.example",reason="unauthorized"}'
        aggregator.wait(lambda _: f"{series} 4" in aggregator.metrics())


@pytest.mark.parametrize(
    "slice_",
    [
        {"ports": [{"port": 0}], "endpoints": [{"addresses": ["127.0.0.1"], "nodeName": "n1"}]},
        {
            "metadata": {"labels": {"kubernetes.io/service-name": "exporters", "app": "x"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 1}, {"name": "metrics", "port": 0, "protocol": "TCP"}],
            "endpoints": [
                {"addresses": ["127.0.0.1"], "nodeName": "n1", "conditions": {"ready": False, "serving": False}},
                {"addresses": ["127.0.0.1"]},
                {"addresses": []},
            ],
        },
    ],
    ids=["bare", "unready"],
)
def test_exporters_are_found_whatever_else_their_slices_say(
    api: MinimalApi, tmp_path: Path, slice_: dict[str, Any]
) -> None:
    with MinimalExporter({"schema": "pulltrace/v1", "pulls": [pull()]}).served() as exporter:
        port = int(exporter.url.rpartition(":")[2])
        ports = [{**each, "port": each["port"] or port} for each in slice_["ports"]]
        meta = {**slice_.get("metadata", {}), "namespace": "monitoring", "name": "s"}
        api.put("endpointslices", {**slice_, "ports": ports, "metadata": meta})
        other = {"name": "o", "labels": {"kubernetes.io/service-name": "other"}}
        api.put("endpointslices", {**slice_, "ports": [{"port": 9}], "metadata": other})
        flags = (api.kubeconfig(tmp_path), "--exporter.service=monitoring/exporters", "--exporter.interval=100ms")
        with RunningAggregator(tmp_path / "log", *flags) as aggregator:
            aggregator.wait(lambda view: [node["state"] for node in view["nodes"]] == ["ok"])
            assert aggregator.view()["pulls"][0]["node"] == "n1"
