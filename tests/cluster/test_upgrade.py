"""What happens to a release: other values, the way back, Helm 3, the plain manifests, and its end."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import pytest
import requests
import yaml

from cluster.world import AGGREGATOR_PORT, EXPORTER_PORT, REGISTRY, World
from rig.kubernetes.api import wait_for
from rig.kubernetes.real.monitored_cluster import NAMESPACE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900), pytest.mark.xdist_group("cluster")]

UPGRADE = "helm upgrade pulltrace deploy/helm/pulltrace --namespace pulltrace --reuse-values --wait"
LONGEST_GAP = 60.0
"""Seconds between two scrapes of a node's exporter or of any aggregator: the shortest wait of an alert, so that none
begins anew."""
LEFT_BEHIND = {"kube-root-ca.crt"}
KINDS = (
    "configmaps,secrets,services,serviceaccounts,pods,deployments,daemonsets,statefulsets,roles,rolebindings,"
    "networkpolicies,podmonitors,servicemonitors,prometheusrules,poddisruptionbudgets"
)
CLUSTER_KINDS = "clusterroles,clusterrolebindings"


@contextmanager
def no_gap(world: World) -> Iterator[None]:
    """Whatever is done meanwhile, Prometheus sees each target often enough for the alerts to go on."""
    targets = {"pulltrace-aggregator", *(node.name for node in world.cluster.nodes)}
    begun = time.time()
    wait_for(lambda: scrapes(world, begun).keys() == targets, "all targets scraped", 180)
    yield
    ended = time.time()
    wait_for(lambda: scrapes(world, ended).keys() == targets, "a scrape of each afterwards")
    times = scrapes(world, begun)
    gaps = {target: max(after - before for before, after in pairwise(each)) for target, each in times.items()}
    print("longest gaps", {target: round(gap, 1) for target, gap in gaps.items()})  # noqa: T201
    assert max(gaps.values()) <= LONGEST_GAP, gaps


def scrapes(world: World, since: float) -> Mapping[str, list[float]]:
    """When the exporter of each node, and any aggregator, was scraped with success, in order."""
    found = world.prometheus.query(f'up{{job=~"pulltrace-.+"}}[{int(time.time() - since) + 1}s]')
    times: dict[str, list[float]] = defaultdict(list)
    for labels, samples in ((series["metric"], series["values"]) for series in found):
        good = [float(at) for at, up in samples if up == "1" and float(at) > since]
        times[labels.get("node", labels["job"])] += good
    return {target: sorted(each) for target, each in times.items() if each}


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


def test_serving_over_tls_begins_and_ends_without_a_gap(world: World) -> None:
    programs = len(world.cluster.nodes) + 1
    with world.certificate() as secret, ExitStack() as known, no_gap(world):
        known.enter_context(world.values("tls.enabled=true", "tls.serve=false", f"tls.existingSecret={secret}"))
        wait_for(lambda: trusts(world) == [True, True], "Prometheus knows the authority", 180)
        with world.values("tls.serve=true"):
            world.wait_scraped(programs, "https")
            for component, port in (("exporter", EXPORTER_PORT), ("aggregator", AGGREGATOR_PORT)):
                for pod in world.stack.pods(component):
                    with pytest.raises(requests.ConnectionError):
                        world.stack.page(pod, port, "/metrics")
        world.wait_scraped(programs)
    # The authority's file goes before Prometheus has read that it is no longer wanted.
    wait_for(lambda: trusts(world) == [False, False], "Prometheus has forgotten it", 180)
    world.wait_scraped(programs)


def trusts(world: World) -> list[bool]:
    """Whether Prometheus at this moment knows an authority for each of our programs."""
    loaded = yaml.safe_load(world.prometheus.get("/api/v1/status/config")["data"]["yaml"])
    return ["tls_config" in job for job in loaded["scrape_configs"] if "/pulltrace-" in job["job_name"]]


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
        world.wait_row(namespace, "plain", phase="pulled")
    finally:
        world.stack.shell("kubectl delete -k deploy/manifests --ignore-not-found")
        world.stack.install()
        world.stack.wait_installed()


def left(world: World, namespace: str) -> set[str]:
    """What is still in a namespace, what Kubernetes puts there itself left out."""
    names = world.stack.shell(f"kubectl get {KINDS} --namespace {namespace} -o name").split()
    return {name for name in names if name.rpartition("/")[2] not in {*LEFT_BEHIND, "default"}}
