"""What docs/prometheus.md says to do about overridden labels is what helps, asked of a real Prometheus."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from pulltrace.web import Response
from rig.pages import CHECKOUT, Page
from rig.prometheus import Labels, prometheus
from rig.web import serving, wait_until

pytestmark = pytest.mark.integration

SAID = {"namespace": "shop", "pod": "web", "container": "app", "node": "node-1"}
TARGET = {"namespace": "pulltrace", "pod": "pulltrace-aggregator-0", "container": "aggregator", "node": "node-9"}
PATIENCE = 60.0


@pytest.fixture
def port() -> Iterator[int]:
    sample = "pulltrace_pod_pull_info{" + ",".join(f'{name}="{value}"' for name, value in SAID.items()) + "} 1\n"
    with serving(
        {"/metrics": lambda _: Response(body=sample.encode(), content_type="text/plain; version=0.0.4")}
    ) as server:
        yield server.port


def relabelings() -> list[Any]:
    documents = map(yaml.safe_load, Page.at(CHECKOUT / "docs/prometheus.md").texts("yaml"))
    (found,) = [document["monitors"]["aggregator"] for document in documents if "monitors" in document]
    return list(found["metricRelabelings"])


def job(name: str, port: int, relabel: list[Any]) -> dict[str, Any]:
    return {
        "job_name": name,
        "scrape_interval": "1s",
        "honor_labels": False,
        "static_configs": [{"targets": [f"127.0.0.1:{port}"], "labels": TARGET}],
        "metric_relabel_configs": relabel,
    }


def test_overridden_labels_come_back(port: int) -> None:
    jobs = [job("as it is", port, []), job("mended", port, relabelings())]
    with prometheus(config=yaml.safe_dump({"scrape_configs": jobs})) as server:
        wait_until(lambda: len(server.query("pulltrace_pod_pull_info")) == len(jobs), PATIENCE)
        found = {series.labels["job"]: series.labels for series in server.query("pulltrace_pod_pull_info")}
    exported = {f"exported_{name}": value for name, value in SAID.items()}
    assert kept(found["as it is"]) == {**TARGET, **exported}
    assert kept(found["mended"]) == SAID


def kept(labels: Labels) -> Labels:
    return {name: value for name, value in labels.items() if name.removeprefix("exported_") in TARGET}
