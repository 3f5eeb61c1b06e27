"""From pods that cannot start to the receiver of alerts, through operator, Prometheus and Alertmanager."""

from contextlib import suppress

import pytest

from cluster.world import AGGREGATOR_PORT, MIB, REGISTRY, World
from rig.kubernetes.api import NotYet, wait_for
from rig.kubernetes.real import addresses as at

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]

DELIVERY = 240
"""Seconds for Prometheus' new configuration, two scrapes, an evaluation and a notification."""
UNTRUSTED, UNKNOWN = "tls.example", "dns.example"
OF_WORKLOADS, OF_NODES = "PulltraceImagePullFailing", "PulltraceNodeCannotPull"
EXPECTED = {
    ("missing", "not_found", OF_WORKLOADS),
    ("refused", "unauthorized", OF_WORKLOADS),
    ("unsigned", "signature", OF_WORKLOADS),
    ("limited", "rate_limited", OF_NODES),
    ("full", "disk_full", OF_NODES),
    ("untrusted", "tls", OF_NODES),
    ("unknown", "dns", OF_NODES),
}
"""Pod, reason, and the one alert that names it."""


def test_each_of_seven_failures_at_once_is_told_to_the_receiver_by_its_own_pod_and_reason(world: World) -> None:
    _, small, node = world.cluster.nodes
    registry, namespace = world.cluster.registry, world.namespace()
    refused, limited, unsigned, large = world.image(), world.image(), world.image(tag="unsigned"), world.image(8 * MIB)
    registry.deny(refused.repository, 401)
    registry.deny(limited.repository, 429)
    world.cluster.send_to(UNTRUSTED, f"https://{at.GATEWAY}:{at.API_PORT}")
    world.cluster.send_to(UNKNOWN, "http://no-such-host.invalid")
    images = {
        "missing": f"{REGISTRY}/team/nothing:v1",
        "refused": refused.reference(REGISTRY),
        "limited": limited.reference(REGISTRY),
        "unsigned": unsigned.reference(REGISTRY),
        "untrusted": f"{UNTRUSTED}/team/app:v1",
        "unknown": f"{UNKNOWN}/team/app:v1",
    }
    with (
        world.values("rules.settings.failingFor=1s"),
        node.refusing_unsigned("unsigned"),
        small.full_disk(spare=4 * MIB),
    ):
        for name, image in images.items():
            world.pod(namespace, name, image, nodeName=node.name)
        world.pod(namespace, "full", large.reference(REGISTRY), nodeName=small.name)
        # While the kubelet tries again, a pod has no reason: what is looked for is what was told at any time.
        reasons: set[tuple[str, str]] = set()

        def all_told() -> bool:
            reasons.update(failures(world, namespace))
            return alerts(world, namespace) >= EXPECTED

        with suppress(NotYet):  # the assertions tell more
            wait_for(all_told, "the receiver told", DELIVERY)
    assert reasons == {(pod, reason) for pod, reason, _ in EXPECTED}
    assert alerts(world, namespace) == EXPECTED


def failures(world: World, namespace: str) -> set[tuple[str, str]]:
    """Pod and reason of each `pulltrace_pod_pull_failure` now."""
    (aggregator,) = world.stack.pods("aggregator")
    found = world.scrape(aggregator, AGGREGATOR_PORT).find("pulltrace_pod_pull_failure", namespace=namespace)
    return {(sample.labels["pod"], sample.labels["reason"]) for sample in found if sample.value == 1}


def alerts(world: World, namespace: str) -> set[tuple[str, str, str]]:
    """Pod, reason and name of what the receiver was told of the namespace."""
    labels = [told.labels for told in world.stack.receiver.notifications if told.status == "firing"]
    return {
        (each.get("pod", ""), each.get("reason", ""), each["alertname"])
        for each in labels
        if each.get("namespace") == namespace
    }
