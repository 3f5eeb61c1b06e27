"""What happens to a release: other values, the way back, Helm 3, the plain manifests, and its end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from cluster.world import REGISTRY, World
from rig.kube.api import wait_for
from rig.kube.stack import NAMESPACE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]

UPGRADE = "helm upgrade pulltrace deploy/helm/pulltrace --namespace pulltrace --reuse-values --wait"
LONGEST_GAP = 60.0
"""Seconds between two scrapes of any aggregator: the shortest wait of an alert, so that none begins anew."""
LEFT_BEHIND = {"kube-root-ca.crt"}
KINDS = (
    "configmaps,secrets,services,serviceaccounts,pods,deployments,daemonsets,statefulsets,roles,rolebindings,"
    "networkpolicies,podmonitors,servicemonitors,prometheusrules,poddisruptionbudgets"
)
CLUSTER_KINDS = "clusterroles,clusterrolebindings"


@contextmanager
def no_gap(world: World) -> Iterator[None]:
    """Whatever is done meanwhile, Prometheus sees an aggregator often enough for the alerts to go on."""
    wait_for(lambda: world.prometheus.value("sum(pulltrace_aggregator_build_info)"), "the aggregator scraped", 180)
    begun = time.time()
    yield
    ended = time.time()
    wait_for(lambda: scrapes(world, ended), "a scrape afterwards")
    times = scrapes(world, begun - LONGEST_GAP)
    assert max(after - before for before, after in pairwise(times)) <= LONGEST_GAP


def scrapes(world: World, since: float) -> list[float]:
    """When any aggregator was scraped, in order."""
    found = world.prometheus.query(f"pulltrace_aggregator_build_info[{int(time.time() - since) + 1}s]")
    return sorted(float(at) for series in found for at, _ in series["values"] if float(at) > since)


def test_shards_come_and_go_without_a_gap(world: World) -> None:
    namespace, image = world.namespace(), world.image()
    with no_gap(world):
        world.stack.shell(f"{UPGRADE} --set aggregator.shards=2")
        world.stack.wait_installed(2)
    for node in world.cluster.nodes:
        world.pod(namespace, f"on-{node.name}", image.reference(REGISTRY), nodeName=node.name)
    world.wait_running(namespace, len(world.cluster.nodes))
    told = wait_for(lambda: world.pod_pulls(namespace), "the shards tell")
    assert len(told) == len({each["pod"] for each in told})
    with no_gap(world):
        world.stack.shell(f"helm rollback pulltrace --namespace {NAMESPACE} --wait")
        world.stack.wait_installed(1)


def test_helm_3_installs_tests_and_removes_a_second_release(world: World) -> None:
    commands = """
        helm install second deploy/helm/pulltrace --namespace second --create-namespace \\
            --set exporter.enabled=false --set aggregator.exporterService=pulltrace/pulltrace-exporter
        helm test second --namespace second
        helm uninstall second --namespace second --wait"""
    output = world.stack.shell(commands, helm=3)
    assert "Phase:          Succeeded" in output
    wait_for(lambda: not left(world, "second"), "nothing left")


def test_uninstall_leaves_nothing_and_the_plain_manifests_run_as_well(world: World) -> None:
    world.stack.shell(f"helm uninstall pulltrace --namespace {NAMESPACE} --wait")
    try:
        wait_for(lambda: not left(world, NAMESPACE), "nothing left")
        assert world.stack.shell(f"kubectl get {CLUSTER_KINDS} -o name | grep pulltrace || true") == ""
        world.stack.shell("kubectl apply -k deploy/manifests")
        world.stack.wait_installed()
        namespace, image = world.namespace(), world.image()
        world.pod(namespace, "plain", image.reference(REGISTRY))
        world.wait_running(namespace)
        wait_for(lambda: [pod["phase"] for pod in world.pod_pulls(namespace)] == ["pulled"], "the pull told")
    finally:
        world.stack.shell("kubectl delete -k deploy/manifests --ignore-not-found")
        world.stack.install()
        world.stack.wait_installed()


def left(world: World, namespace: str) -> set[str]:
    """What is still in a namespace, what Kubernetes puts there itself left out."""
    names = world.stack.shell(f"kubectl get {KINDS} --namespace {namespace} -o name").split()
    return {name for name in names if name.rpartition("/")[2] not in {*LEFT_BEHIND, "default"}}
