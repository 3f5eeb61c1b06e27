"""What `helm install` brings, as Prometheus finds it."""

import pytest

from cluster.world import World
from rig.kubernetes.api import wait_for
from rig.kubernetes.real.monitored_cluster import NAMESPACE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]

RULES = "/apis/monitoring.coreos.com/v1/namespaces/pulltrace/prometheusrules"
REFUSED = (
    "prometheus_target_scrapes_exceeded_sample_limit_total",
    "prometheus_target_scrapes_sample_duplicate_timestamp_total",
    "prometheus_target_scrapes_sample_out_of_bounds_total",
    "prometheus_target_scrapes_sample_out_of_order_total",
    "prometheus_target_scrape_pool_exceeded_label_limits_total",
)
SETTLING = 180
"""Seconds within which the kubelet has refreshed the Secret that holds Prometheus' configuration."""


def test_prometheus_scrapes_both_programs_with_the_labels_that_rules_expect(world: World) -> None:
    wait_for(lambda: world.prometheus.value('sum(up{job=~"pulltrace-.*"})') == 4, "four targets up", SETTLING)
    exporters = world.prometheus.query('up{job="pulltrace-exporter"}')
    assert {each["metric"]["node"] for each in exporters} == {node.name for node in world.cluster.nodes}
    (aggregator,) = world.prometheus.query('up{job="pulltrace-aggregator"}')
    assert aggregator["metric"]["namespace"] == NAMESPACE
    assert "node" not in aggregator["metric"]
    foreign = world.prometheus.query('count by (exported_node) ({job=~"pulltrace-.*",exported_node!=""})')
    assert foreign == []


def test_prometheus_refuses_no_sample(world: World) -> None:
    wait_for(lambda: world.prometheus.value('sum(up{job=~"pulltrace-.*"})') == 4, "four targets up", SETTLING)
    text = world.stack.page(world.prometheus.pod, 9090, "/metrics").text
    found = {line.split()[0]: line.split()[1] for line in text.splitlines() if line.startswith(REFUSED)}
    assert sorted(found) == sorted(REFUSED)
    assert set(found.values()) == {"0"}


def test_all_rules_are_taken_and_healthy(world: World) -> None:
    (ours,) = world.api.items(RULES)
    expected = {group["name"]: len(group["rules"]) for group in ours["spec"]["groups"]}

    def evaluated() -> bool:
        groups = world.prometheus.get("/api/v1/rules")["data"]["groups"]
        loaded = {group["name"]: [rule["health"] for rule in group["rules"]] for group in groups}
        assert "err" not in {health for healths in loaded.values() for health in healths}, loaded
        return {name: len(healths) for name, healths in loaded.items() if set(healths) == {"ok"}} == expected

    wait_for(evaluated, "all groups evaluated", SETTLING)
