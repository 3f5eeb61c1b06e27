"""What tests ask of the cluster: images, pods, and what each side says of a pull."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import requests

from rig.images import Image
from rig.kubernetes import objects
from rig.kubernetes.api import NotYet, Object, wait_for
from rig.kubernetes.real import prometheus_operator
from rig.kubernetes.real.monitored_cluster import NAMESPACE, MonitoredCluster
from rig.pacing import Stall
from rig.runnable import runnable
from rig.scrape import Scrape

REGISTRY = "registry.example"
EXPORTER_PORT, AGGREGATOR_PORT = 10301, 10302
PULLED = re.compile(
    r'Successfully pulled image "(?P<image>[^"]+)" in (?P<took>\S+) \((?P<waited>\S+) including waiting'
)
DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|µs)")
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "µs": 0.000001}
MIB = 1024 * 1024
AT_ONCE = {"terminationGracePeriodSeconds": 0}
PATIENCE = 90.0


@dataclass(frozen=True, slots=True)
class Pulled:
    """What the kubelet says of a pull that succeeded; in seconds."""

    image: str
    took: float
    including_waiting: float


class World:
    """The cluster, and the tests' own namespaces in it."""

    def __init__(self, stack: MonitoredCluster) -> None:
        self.stack = stack
        self.cluster = stack.cluster
        self.api = stack.cluster.api
        self._numbers = count(1)
        self.prometheus = Prometheus(stack)
        stack.wait_installed()

    def namespace(self) -> str:
        """A new one, with nothing in it but its service account."""
        name = f"test-{next(self._numbers)}"
        self.api.apply(objects.namespace(name))
        metadata = {"name": "default", "namespace": name}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        wait_for(lambda: self.api.find(account), f"service account of {name}")
        return name

    def image(self, *sizes: int, tag: str = "v1") -> Image:
        """A new image that runs, with layers of these sizes on top of a common one."""
        made = runnable(f"team/app-{next(self._numbers)}", sizes or (MIB,), tag=tag)
        return self.cluster.registry.push(made)

    def sent(self, image: Image) -> int:
        """Bytes of the image, its manifests included, that the registry has sent so far to whomever."""
        return sum(self.cluster.registry.sent(blob.digest) for blob in image.blobs)

    @contextmanager
    def stalled(self, image: Image, after: int) -> Iterator[Stall]:
        """Let the registry hold the last layer at this byte, until it is released, at the end of the block at last."""
        stall = self.cluster.registry.stall(image.layers[-1].digest, after=after)
        try:
            yield stall
        finally:
            stall.release()

    def pod(
        self, namespace: str, name: str, image: str, labels: Mapping[str, str] | None = None, **spec: Any
    ) -> Object:
        """Create a pod of one container."""
        made = objects.pod(namespace, name, objects.container(image=image), node="", **{**AT_ONCE, **spec})
        made["metadata"]["labels"] = dict(labels or {})
        return self.api.create(made)

    def wait_running(self, namespace: str, number: int = 1) -> list[Object]:
        """The pods of the namespace once so many of them run."""

        def running() -> list[Object]:
            pods = [pod for pod in self.api.pods(namespace) if pod["status"].get("phase") == "Running"]
            return pods if len(pods) >= number else []

        found: list[Object] = wait_for(running, f"{number} pods running in {namespace}", PATIENCE)
        return found

    def wait_scraped(self, number: int, scheme: str = "http") -> None:
        """Return when Prometheus scrapes so many of our programs; the error says why it does not."""

        def ours() -> list[Object]:
            targets = self.prometheus.get("/api/v1/targets", state="active")["data"]["activeTargets"]
            return [each for each in targets if each["labels"]["job"].startswith("pulltrace-")]

        def good() -> bool:
            found = [each for each in ours() if each["scrapeUrl"].startswith(f"{scheme}://") and each["health"] == "up"]
            return len(found) == len(ours()) == number

        try:
            wait_for(good, f"{number} targets up", 180)
        except NotYet as error:
            told = [f"{each['scrapeUrl']} {each['health']} {each['lastError']}" for each in ours()]
            raise NotYet("\n".join([str(error), *told])) from error

    def exporter(self, node: str) -> Object:
        """The exporter's pod on a node."""
        found: Object = wait_for(
            lambda: next((pod for pod in self.stack.pods("exporter") if pod["spec"]["nodeName"] == node), None),
            f"exporter of {node}",
        )
        return found

    def node_pulls(self, node: str) -> Object:
        """What the exporter of a node says of its pulls."""
        answer: Object = self.stack.page(self.exporter(node), EXPORTER_PORT, "/v1/pulls").json()
        return answer

    def node_pull(self, node: str, image: Image) -> Object:
        """What it says of this image; empty where nothing."""
        digest = image.root.digest
        return next((pull for pull in self.node_pulls(node)["pulls"] if pull["digest"] == digest), {})

    def pod_pulls(self, namespace: str) -> list[Object]:
        """What the aggregator says of the pods of a namespace."""
        pages = [
            self.stack.page(pod, AGGREGATOR_PORT, f"/v1/pulls?namespace={namespace}").json()
            for pod in self.stack.pods("aggregator")
        ]
        return [each for page in pages for each in page["pods"]]

    def row(self, namespace: str, pod: str, **fields: Any) -> Object:
        """What the aggregator says of an image of a pod, where it has these values; empty where it says nothing."""
        rows = (each for each in self.pod_pulls(namespace) if each["pod"] == pod)
        return next((each for each in rows if fields.items() <= each.items()), {})

    def wait_row(self, namespace: str, pod: str, **fields: Any) -> Object:
        """The same once it says so; the error has what it says instead, and the kubelets' events."""
        try:
            found: Object = wait_for(lambda: self.row(namespace, pod, **fields), f"{pod} told with {fields}", PATIENCE)
        except NotYet as error:
            events = self.api.items(f"/api/v1/namespaces/{namespace}/events")
            said = [f"{event['reason']}: {event['message']}" for event in events]
            raise NotYet("\n".join([str(error), *map(str, self.pod_pulls(namespace)), *said])) from error
        return found

    @contextmanager
    def values(self, *settings: str) -> Iterator[None]:
        """Let the release have other values meanwhile; each is what follows `--set` or `--set-string`."""
        words = " ".join(f"--set '{setting}'" for setting in settings)
        history = json.loads(self.stack.shell(f"helm history pulltrace --namespace {NAMESPACE} --max 1 --output json"))
        self.stack.shell(
            f"helm upgrade pulltrace deploy/helm/pulltrace --namespace {NAMESPACE} --reuse-values --wait {words}"
        )
        try:
            yield
        finally:
            before = history[-1]["revision"]
            self.stack.shell(f"helm rollback pulltrace {before} --namespace {NAMESPACE} --wait")
            self.stack.wait_installed()

    @contextmanager
    def certificate(self) -> Iterator[str]:
        """The name of a Secret that is there meanwhile, with a certificate that is good for both programs."""
        plane = self.cluster.plane
        hosts = [f"pulltrace-{program}.{NAMESPACE}.svc" for program in ("exporter", "aggregator")]
        pair = plane.issue("served", "pulltrace", hosts=hosts)
        files = {"tls.crt": pair.certificate, "tls.key": pair.key, "ca.crt": plane.ca_file}
        data = {name: path.read_text() for name, path in files.items()}
        metadata = {"name": "served", "namespace": NAMESPACE}
        made = self.api.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data})
        try:
            yield "served"
        finally:
            self.api.delete(made)

    def bind_viewer(self, user: str) -> None:
        """Give a user the chart's role for `kubectl pulltrace`."""
        group = "rbac.authorization.k8s.io"
        role = {"apiGroup": group, "kind": "ClusterRole", "name": f"{NAMESPACE}.pulltrace-viewer"}
        binding = {"apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": f"viewer-{user}"}}
        self.api.apply({**binding, "roleRef": role, "subjects": [{"apiGroup": group, "kind": "User", "name": user}]})

    def pull_secret(self, namespace: str, name: str, config: Object) -> list[Object]:
        """A Secret with this configuration of docker; what a pod has to name."""
        data = {".dockerconfigjson": base64.b64encode(json.dumps(config).encode()).decode()}
        metadata = {"name": name, "namespace": namespace}
        kind = "kubernetes.io/dockerconfigjson"
        self.api.create({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": data})
        return [{"name": name}]

    def events(self, namespace: str, text: str) -> int:
        """How often the kubelets have told what contains this text."""
        found = self.api.items(f"/api/v1/namespaces/{namespace}/events")
        return sum(event.get("count") or 1 for event in found if text in event["message"])

    def pulled(self, namespace: str) -> list[Pulled]:
        """What the kubelets' events say of succeeded pulls for pods of a namespace."""
        events = self.api.items(f"/api/v1/namespaces/{namespace}/events", fieldSelector="reason=Pulled")
        found = (PULLED.search(event["message"]) for event in events)
        return [Pulled(each["image"], seconds(each["took"]), seconds(each["waited"])) for each in found if each]

    def kubelet_pulls(self, node: str) -> float:
        """How many pulls the kubelet's own metrics have counted."""
        told = Scrape.parse(self.api.text(f"/api/v1/nodes/{node}/proxy/metrics"))
        return told.total("kubelet_image_pull_duration_seconds_count")

    def downloaded(self, node: str) -> float:
        """Bytes that the exporter of a node has counted so far, manifests included."""
        exporter = self.exporter(node)
        return self.metric(exporter, EXPORTER_PORT, "pulltrace_downloaded_bytes_total", registry=REGISTRY)

    def metric(self, pod: Object, port: int, name: str, **labels: str) -> float:
        """The sum of the samples of a program's metric that bear these labels."""
        return self.scrape(pod, port).total(name, **labels)

    def told(self, name: str, **labels: str) -> float:
        """The same of all aggregators."""
        return sum(self.metric(pod, AGGREGATOR_PORT, name, **labels) for pod in self.stack.pods("aggregator"))

    def scrape(self, pod: Object, port: int) -> Scrape:
        """What a program says at a scrape."""
        return Scrape.parse(self.stack.page(pod, port, "/metrics").text)


class Prometheus:
    """The operator's, asked over HTTP; the pod may be another one each time."""

    def __init__(self, stack: MonitoredCluster) -> None:
        self._stack = stack

    @property
    def pod(self) -> Object:
        """Its pod."""
        metadata = {
            "name": f"prometheus-{prometheus_operator.PROMETHEUS}-0",
            "namespace": prometheus_operator.NAMESPACE,
        }
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}
        found: Object = wait_for(lambda: self._stack.cluster.api.find(pod), metadata["name"])
        return found

    def get(self, path: str, **params: str) -> Any:
        """The answer's JSON."""
        answer = self._stack.page(self.pod, 9090, path, params=params)
        answer.raise_for_status()
        return answer.json()

    def query(self, expression: str) -> list[Object]:
        """What Prometheus answers now."""
        result: list[Object] = self.get("/api/v1/query", query=expression)["data"]["result"]
        return result

    def value(self, expression: str) -> float | None:
        """The value of the only series; None where there is none."""
        try:
            found = self.query(expression)
        except requests.RequestException:
            return None
        return float(found[0]["value"][1]) if found else None


def seconds(text: str) -> float:
    """A Go duration."""
    return sum(float(number) * UNITS[unit] for number, unit in DURATION.findall(text))


__all__ = ["AGGREGATOR_PORT", "EXPORTER_PORT", "MIB", "NAMESPACE", "REGISTRY", "Pulled", "World", "seconds"]
