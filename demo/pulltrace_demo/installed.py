"""What a cluster has after the chart was installed, as far as the client looks for it."""

from collections.abc import Mapping

from pulltrace_demo.programs import Program
from rig.kubernetes import objects
from rig.kubernetes.api import Object
from rig.kubernetes.fake import FakeCluster

NAMESPACE = "pulltrace"
AGGREGATOR = "pulltrace-aggregator"
PORTS = {"aggregator": 10302, "exporter": 10301}


def install(api: FakeCluster, aggregator: Program, exporters: Mapping[str, Program]) -> None:
    """The aggregator's Service and pod and the exporters' pods, with the programs behind the API server's proxy."""
    api.api.create(objects.namespace(NAMESPACE))
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": NAMESPACE, "name": AGGREGATOR, "labels": labels("aggregator")},
        "spec": {
            "clusterIP": "None",
            "selector": labels("aggregator"),
            "ports": [{"name": "metrics", "port": PORTS["aggregator"]}],
        },
    }
    api.api.create(service)
    node = next(iter(exporters))
    _pod(api, f"{AGGREGATOR}-0", "aggregator", node)
    api.behind["services", NAMESPACE, AGGREGATOR] = aggregator.url
    api.behind["pods", NAMESPACE, f"{AGGREGATOR}-0"] = aggregator.url
    for name, program in exporters.items():
        _pod(api, f"pulltrace-exporter-{name}", "exporter", name)
        api.behind["pods", NAMESPACE, f"pulltrace-exporter-{name}"] = program.url


def labels(component: str) -> dict[str, str]:
    """The labels that the chart gives."""
    return {
        "app.kubernetes.io/name": "pulltrace",
        "app.kubernetes.io/instance": "pulltrace",
        "app.kubernetes.io/part-of": "pulltrace",
        "app.kubernetes.io/component": component,
    }


def _pod(api: FakeCluster, name: str, component: str, node: str) -> Object:
    container = objects.container(component, f"registry.example/pulltrace/{component}:1", ports=[
        {"name": "metrics", "containerPort": PORTS[component]}
    ])  # fmt: skip
    item = objects.pod(NAMESPACE, name, container, node=node)
    item["metadata"]["labels"] = labels(component)
    made = api.api.create(item)
    ready = [{"type": "Ready", "status": "True"}]
    return api.api.set_status(made, phase="Running", conditions=ready, containerStatuses=[objects.running(component)])
