"""Finding the aggregator's Service and shards, and a node's exporter, by the labels of the chart. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pulltrace_kubectl.errors import ClientError, NotFound

PART_OF: Final = "app.kubernetes.io/part-of=pulltrace"
AGGREGATOR: Final = f"app.kubernetes.io/component=aggregator,{PART_OF}"
EXPORTER: Final = f"app.kubernetes.io/component=exporter,{PART_OF}"
PORT_NAME: Final = "metrics"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a program answers behind the API server's proxy; `secure` means that it serves TLS."""

    namespace: str
    kind: str
    name: str
    port: str
    secure: bool = False
    ready: bool = True

    def path(self, rest: str) -> str:
        """The path of a request to it."""
        scheme = "https:" if self.secure else ""
        return f"/api/v1/namespaces/{self.namespace}/{self.kind}/{scheme}{self.name}:{self.port}/proxy{rest}"

    def __str__(self) -> str:
        return f"{self.kind.removesuffix('s')} {self.namespace}/{self.name}"


def one_service(services: Sequence[Any]) -> Any:
    """The one Service there is; raises ClientError where there is none or more than one."""
    if not services:
        raise NotFound(
            f"no aggregator found: there is no Service with the labels {AGGREGATOR} in any namespace",
            "install the chart, or name it with --service namespace/name or --url",
        )
    if len(services) > 1:
        names = ", ".join(sorted(f"{each['metadata']['namespace']}/{each['metadata']['name']}" for each in services))
        raise ClientError(f"there are several aggregators: {names}", "choose one with --service namespace/name")
    return services[0]


def selector(service: Any) -> str:
    """The labels by which a Service selects its pods; raises ClientError where it has none."""
    labels = service.get("spec", {}).get("selector") or {}
    if not labels:
        meta = service["metadata"]
        raise ClientError(
            f"Service {meta['namespace']}/{meta['name']} selects no pods", "ask the aggregator directly with --url"
        )
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def selects(service: Any, pod: Any) -> bool:
    """Whether a pod belongs to a Service."""
    labels = pod["metadata"].get("labels", {})
    wanted = service.get("spec", {}).get("selector") or {}
    same = pod["metadata"]["namespace"] == service["metadata"]["namespace"]
    return same and bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())


def shards(service: Any, pods: Iterable[Any]) -> tuple[Place, ...]:
    """Where each shard answers: the Service itself where one pod is behind it, else each pod.

    Raises ClientError where there is none.
    """
    meta = service["metadata"]
    namespace, name = meta["namespace"], meta["name"]
    alive = sorted((pod for pod in pods if _alive(pod)), key=lambda pod: str(pod["metadata"]["name"]))
    if not alive:
        raise ClientError(
            f"the aggregator {namespace}/{name} has no pod that runs",
            f"look at 'kubectl --namespace {namespace} get pods --selector {selector(service)}'",
        )
    if len(alive) == 1:
        return (Place(namespace, "services", name, _service_port(service), _secure(alive[0]), _ready(alive[0])),)
    return tuple(pod_place(pod) for pod in alive)


def pod_place(pod: Any) -> Place:
    """Where the program of a pod answers."""
    meta = pod["metadata"]
    return Place(meta["namespace"], "pods", meta["name"], _pod_port(pod), _secure(pod), _ready(pod))


def _alive(pod: Any) -> bool:
    gone = pod["metadata"].get("deletionTimestamp") or pod.get("status", {}).get("phase") in ("Failed", "Succeeded")
    return not gone


def _ready(pod: Any) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(each.get("type") == "Ready" and each.get("status") == "True" for each in conditions)


def _secure(pod: Any) -> bool:
    """Whether its probes ask over TLS. With client certificates they do not tell: then the first try does."""
    probes = [container.get("readinessProbe") or {} for container in pod["spec"].get("containers", ())]
    return any((probe.get("httpGet") or {}).get("scheme") == "HTTPS" for probe in probes)


def _service_port(service: Any) -> str:
    ports = service["spec"].get("ports") or ()
    named = [port for port in ports if port.get("name") == PORT_NAME] or list(ports)
    return str(named[0]["port"]) if named else PORT_NAME


def _pod_port(pod: Any) -> str:
    ports = [port for container in pod["spec"].get("containers", ()) for port in container.get("ports") or ()]
    named = [port for port in ports if port.get("name") == PORT_NAME] or ports
    return str(named[0]["containerPort"]) if named else PORT_NAME
