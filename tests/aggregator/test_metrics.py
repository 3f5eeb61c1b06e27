"""The aggregator's metrics against their contract."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pulltrace.exposition import Family, TextFormat
from pulltrace.model.pull import Phase
from pulltrace_aggregator.metrics import FAMILIES, Process, Scrape, Scraper
from pulltrace_aggregator.metrics.__main__ import page
from pulltrace_aggregator.model.states import StaleReason
from pulltrace_aggregator.model.view import View
from rig.images import digest
from rig.metric_tables import (
    broken_family,
    check_golden,
    check_golden_formats,
    check_labels,
    check_page,
    samples,
    values,
)
from rig.sample_cluster import NOW, busy_cluster
from rig.simulated_cluster import IMAGE, MIB, Cluster

pytestmark = pytest.mark.unit

GOLDEN = Path(__file__).parent / "golden"
PROCESS = Process(
    "1.2.3",
    "3.11.2",
    kubernetes_up=lambda: True,
    watch_restarts=lambda: {("pods", "expired"): 2},
    exporter_requests=lambda: {"ok": 7, "timeout": 1},
    web_config_loaded=lambda: True,
)


def scrape(view: View, now: float = NOW, process: Process = PROCESS) -> str:
    return Scraper(FAMILIES, process).render(view, now, TextFormat.PLAIN).decode()


def test_the_page_is_the_table() -> None:
    check_page(FAMILIES, page())


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.metric.name)
def test_every_sample_has_exactly_the_labels_of_the_table(family: Family[Scrape]) -> None:
    check_labels(family.metric, Scraper([family], PROCESS).render(busy_cluster().view, NOW, TextFormat.PLAIN).decode())


@pytest.mark.parametrize(("form", "name"), [(TextFormat.PLAIN, "plain"), (TextFormat.OPENMETRICS, "openmetrics")])
def test_golden_scrape(form: TextFormat, name: str) -> None:
    check_golden(GOLDEN / f"{name}.prom", Scraper(FAMILIES, PROCESS).render(busy_cluster().view, NOW, form))


def test_both_golden_scrapes_have_the_same_samples_and_no_series_twice() -> None:
    check_golden_formats(GOLDEN)


def test_an_empty_cluster_has_no_made_up_samples() -> None:
    process = Process("1.2.3", "3.11.2")
    lines = [line for line in scrape(Cluster().tick(), process=process).splitlines() if not line.startswith("#")]
    assert sorted(lines) == [
        'pulltrace_aggregator_build_info{version="1.2.3",python_version="3.11.2"} 1',
        'pulltrace_aggregator_exporters{state="ok"} 0',
        'pulltrace_aggregator_exporters{state="unreachable"} 0',
        *(f'pulltrace_stale_pulls_total{{reason="{reason}"}} 0' for reason in sorted(StaleReason)),
    ]


def test_an_idle_node_has_no_series_of_its_own(cluster: Cluster) -> None:
    cluster.node()
    cluster.node("gone").answers = False
    text = scrape(cluster.tick())
    assert values(text, "pulltrace_aggregator_exporters") == ["1", "1"]
    assert "node-1" not in text


def test_the_series_of_a_waiting_image(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.node().pull()
    cluster.tick()
    cluster.sleep(10)
    cluster.node().advance(ratio=0.25, rate=2.5 * MIB)
    cluster.tick()
    cluster.sleep(2.5)
    labels = (
        'namespace="shop",pod="web",container="app",container_type="container",node="node-1",'
        'image="registry.example/team/app:1"'
    )
    join = (
        f'uid="{pod.uid}",registry="registry.example",repository="team/app",digest="{digest(IMAGE)}",match="repository"'
    )
    text = scrape(cluster.view, cluster.now.monotonic)
    found = [line.removeprefix("pulltrace_pod_pull_") for line in text.splitlines() if "pulltrace_pod_pull" in line]
    assert [line for line in found if not line.startswith("#")] == [
        f"info{{{labels},{join}}} 1",
        f'phase{{{labels},phase="downloading"}} 1',
        f"progress_ratio{{{labels}}} 0.25",
        f"size_bytes{{{labels}}} {100 * MIB}",
        f"downloaded_bytes{{{labels}}} {25 * MIB}",
        f"bytes_per_second{{{labels}}} {int(2.5 * MIB)}",
        f"eta_seconds{{{labels}}} 30",
        f"waiting_seconds{{{labels}}} 12.5",
        f'blocked_by{{{labels},cause="progressing"}} 1',
    ]


def test_an_image_that_has_come_waits_for_nothing(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    cluster.node().pull()
    cluster.tick()
    cluster.sleep(3)
    cluster.node().end()
    pod.pulled()
    text = scrape(cluster.tick(), cluster.now.monotonic)
    for name in ("waiting_seconds", "blocked_by", "bytes_per_second", "eta_seconds"):
        assert samples(text, f"pulltrace_pod_pull_{name}") == []
    assert values(text, "pulltrace_pod_pull_progress_ratio") == ["1"]


def test_why_the_last_attempt_failed_while_it_pauses(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.pulling()
    pod.failed("429 Too Many Requests")
    for tell in (pod.back_off, None):
        (sample,) = samples(scrape(cluster.tick()), "pulltrace_pod_pull_failure")
        assert sample.endswith(',reason="rate_limited"} 1')
        if tell:
            tell()
    cluster.sleep(10)
    pod.pulling()
    assert samples(scrape(cluster.tick()), "pulltrace_pod_pull_failure") == []


def test_a_silent_node_has_no_present_rate() -> None:
    cluster = busy_cluster()
    text = scrape(cluster.view)
    assert [sample for sample in samples(text, "pulltrace_pod_pull_downloaded_bytes") if "node-3" in sample]
    assert not [sample for sample in samples(text, "pulltrace_pod_pull_bytes_per_second") if "node-3" in sample]
    assert samples(text, "pulltrace_node_exporter_missing") == ['{node="node-3"} 1']


def test_a_rollout_at_a_glance(cluster: Cluster) -> None:
    for number in range(6):
        cluster.node(f"node-{number}").pull()
    cluster.node("node-0").end()
    cluster.node("node-1").end()
    cluster.node("node-2").end(phase=Phase.FAILED)
    cluster.node("node-3").change(phase=Phase.UNPACKING)
    cluster.node("node-4").pull("registry.example/team/other:1")
    text = scrape(cluster.tick())
    found = {
        (match[1], match[2]): int(match[3])
        for match in re.finditer(r'image_nodes{.*repository="(.+?)".*phase="(\w+)"} (\d+)', text)
    }
    assert found == {
        ("team/app", "succeeded"): 2,
        ("team/app", "failed"): 1,
        ("team/app", "unpacking"): 1,
        ("team/app", "downloading"): 2,
        ("team/other", "downloading"): 1,
    }


def test_no_label_holds_a_part_of_a_message(cluster: Cluster) -> None:
    pod = cluster.pod()
    pod.failed("secret-of-the-message 401 Unauthorized")
    pod.status("secret-of-the-reason", "secret-of-the-message")
    pod.status("ErrImagePull", "secret-of-the-message")
    assert "secret" not in scrape(cluster.tick())


def test_the_text_of_labels_is_remembered_for_what_lives_only(cluster: Cluster) -> None:
    scraper = Scraper(FAMILIES, PROCESS)
    pods = [cluster.pod(f"pod-{number}") for number in range(3)]
    for pod in pods:
        pod.pulling()
    for _ in range(2):
        scraper.render(cluster.tick(), NOW, TextFormat.PLAIN)
    assert len(scraper._rows) == 3
    pods[0].delete()
    scraper.render(cluster.tick(), NOW, TextFormat.PLAIN)
    assert len(scraper._rows) == 2


def test_a_broken_family_is_told_in_the_same_scrape() -> None:
    text = Scraper([broken_family(), *FAMILIES], PROCESS).render(View(), NOW, TextFormat.PLAIN).decode()
    assert samples(text, "pulltrace_aggregator_scrape_errors_total") == ['{family="pulltrace_broken"} 1']
    assert samples(text, "pulltrace_aggregator_kubernetes_up") == [" 1"]


def test_a_value_not_tried_yet_has_no_sample() -> None:
    text = scrape(View(), process=replace(PROCESS, kubernetes_up=lambda: None, web_config_loaded=lambda: None))
    assert not samples(text, "pulltrace_aggregator_kubernetes_up")
    assert not samples(text, "pulltrace_web_config_last_reload_successful")
