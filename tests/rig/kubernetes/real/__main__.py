"""`make cluster`: a cluster with operator, Prometheus, Alertmanager, Pulltrace, and pulls to look at, until Ctrl-C."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from rig.caching import Unavailable
from rig.go_programs import build, parts
from rig.images import Image
from rig.kubernetes import objects
from rig.kubernetes.api import Object, wait_for
from rig.kubernetes.real import prometheus_operator
from rig.kubernetes.real.daemons import ClusterFailed
from rig.kubernetes.real.monitored_cluster import MonitoredCluster
from rig.processes import CommandFailed
from rig.runnable import runnable

MIB = 1024 * 1024
SHOP = "shop"
REGISTRY = "registry.example"
BYTES_PER_SECOND = 4 * MIB
ROUND = 90.0
"""Seconds between two versions of the shop."""
GUIDE = """
Kubernetes {version}, nodes {nodes}, up after {took:.0f} s.

    export KUBECONFIG={kubeconfig}
    export PATH={path}:$PATH

Prometheus    {prometheus}/targets
Alertmanager  {alertmanager}
aggregator    {aggregator}
exporters     {exporters}

Try: kubectl get pods -A -o wide
     kubectl -n {shop} get events --watch
     kubectl pulltrace -A -w
     curl -s {aggregator}/v1/pulls | python3 -m json.tool
     kubectl -n {shop} run mine --image={registry}/shop/web:v1

A new version of the shop is rolled out every {round:.0f} s. One pod asks for an image that does not exist.
Ctrl-C ends everything.
"""


def main() -> int:
    """Run it; status 1 when something cannot be had or does not come up."""
    begun = time.monotonic()
    try:
        with MonitoredCluster() as stack:
            _say("cluster up; installing Pulltrace as README says")
            stack.install()
            stack.wait_installed()
            prometheus_operator.wait_ready(stack.cluster.api)
            print(_guide(stack, time.monotonic() - begun), flush=True)  # noqa: T201
            _play(stack)
    except KeyboardInterrupt:
        _say("ending everything")
    except (Unavailable, ClusterFailed, CommandFailed) as error:
        _say(str(error))
        return 1
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def _guide(stack: MonitoredCluster, took: float) -> str:
    cluster = stack.cluster

    def address(pod: Object, port: int) -> str:
        return f"http://127.0.0.1:{cluster.enclosure.network.forward(pod['status']['podIP'], port)}"

    monitors = {pod["metadata"]["name"].split("-")[0]: pod for pod in cluster.api.pods(prometheus_operator.NAMESPACE)}
    (aggregator,) = stack.pods("aggregator")
    return GUIDE.format(
        version=cluster.api.get("/version")["gitVersion"],
        nodes=", ".join(node.name for node in cluster.nodes),
        took=took,
        kubeconfig=cluster.kubeconfig,
        path=f"{cluster.kubernetes_programs}:{build.programs(parts.HELM[4])}:{Path(sys.executable).parent}",
        prometheus=address(monitors["prometheus"], 9090),
        alertmanager=address(monitors["alertmanager"], 9093),
        aggregator=address(aggregator, 10302),
        exporters=", ".join(address(pod, 10301) for pod in stack.pods("exporter")),
        shop=SHOP,
        registry=REGISTRY,
        round=ROUND,
    )


def _play(stack: MonitoredCluster) -> NoReturn:
    """Roll out versions of the shop without end."""
    registry, api = stack.cluster.registry, stack.cluster.api
    registry.throttle(BYTES_PER_SECOND)
    api.apply(objects.namespace(SHOP))
    wait_for(lambda: api.find(objects.item("ServiceAccount", "default", SHOP)), "the shop's service account")
    missing = objects.container(image=f"{REGISTRY}/shop/nothing:v1")
    api.apply(objects.pod(SHOP, "missing", missing, node=""))
    number = 0
    while True:
        number += 1
        for image in _version(number):
            registry.push(image)
            name = image.repository.rpartition("/")[2]
            spec = {
                "containers": [objects.container(name, image.reference(REGISTRY))],
                "terminationGracePeriodSeconds": 1,
            }
            kind, more = ("DaemonSet", {}) if name == "agent" else ("Deployment", {"replicas": 2})
            api.apply(objects.workload(kind, SHOP, name, {"app": name}, spec, **more))
        time.sleep(ROUND)


def _version(number: int) -> Iterator[Image]:
    yield runnable("shop/web", (24 * MIB, 6 * MIB), tag=f"v{number}")
    yield runnable("shop/model", (60 * MIB,), tag=f"v{number}")
    yield runnable("shop/agent", (8 * MIB,), tag=f"v{number}")


if __name__ == "__main__":
    sys.exit(main())
