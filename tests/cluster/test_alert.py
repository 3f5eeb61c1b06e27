"""From a pod that cannot start to the receiver of an alert, through operator, Prometheus and Alertmanager."""

import pytest

from cluster.world import REGISTRY, World
from rig.kube.api import wait_for

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]

DELIVERY = 240
"""Seconds for the kubelet to refresh Prometheus' configuration, two scrapes, an evaluation and a notification."""


def test_a_missing_image_is_told_to_the_receiver_by_the_pods_name(world: World) -> None:
    world.stack.shell(
        "helm upgrade pulltrace deploy/helm/pulltrace --namespace pulltrace --reuse-values"
        " --set rules.alerts.PulltraceImagePullFailing.for=1s --wait"
    )
    try:
        namespace = world.namespace()
        world.pod(namespace, "missing", f"{REGISTRY}/team/nothing:v1")
        wait_for(
            lambda: [pod.get("failureReason") for pod in world.pod_pulls(namespace)] == ["not_found"], "the failure"
        )

        def told() -> list[dict[str, str]]:
            alerts = [alert["labels"] for alert in world.stack.receiver.alerts if alert["status"] == "firing"]
            return [labels for labels in alerts if labels.get("namespace") == namespace]

        labels = wait_for(told, "the receiver told", DELIVERY)[0]
        assert (labels["alertname"], labels["pod"]) == ("PulltraceImagePullFailing", "missing")
    finally:
        world.stack.shell("helm rollback pulltrace 1 --namespace pulltrace --wait")
