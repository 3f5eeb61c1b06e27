"""A cluster for the running aggregator: a fake Kubernetes API, exporters, and what a kubelet would write of pods."""

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pulltrace.clock import NodeTime
from pulltrace.model.pull import Pull
from rig.aggregator import RunningAggregator
from rig.fake_exporters import FakeExporter
from rig.kubernetes import objects
from rig.kubernetes.api import READ_EVERYTHING, Api, Object, Rule, kubeconfig
from rig.kubernetes.fake import FakeCluster
from rig.kubernetes.kubelet_pod import KubeletPod
from rig.node_setup import NodeSetup, node_setup
from rig.simulated_cluster import IMAGE, PullingNode
from rig.standin import StandIn

INTERVAL = "100ms"


class ExporterNode(PullingNode, FakeExporter):
    """The exporter of a node whose clock runs, `ahead` of ours. Change its parts at will."""

    SIZE = 10**8

    def __init__(self, name: str, ahead: float = 0.0) -> None:
        PullingNode.__init__(self, name, ahead)
        FakeExporter.__init__(self)

    @property
    def now(self) -> NodeTime:
        return NodeTime(time.time() + self.ahead)

    @property
    def target(self) -> str:
        """The flag with which an aggregator knows it."""
        return f"--exporter.target={self.name}={self.url}"

    def pull(self, image: str = IMAGE, *, known: bool = True, content: str = "", **changes: Any) -> Pull:
        """A tenth of it is there already, unless `changes` say otherwise."""
        begun: dict[str, Any] = {"downloaded": self.SIZE // 10, "bytes_per_second": 10.0**6, **changes}
        return super().pull(image, known=known, content=content, **begun)


class MiniCluster:
    """Made by `mini_cluster`. All that it starts ends with it."""

    def __init__(self, folder: Path, ends: ExitStack) -> None:
        self.folder = folder
        self._ends = ends
        self._numbers = itertools.count()
        self.api_server = ends.enter_context(FakeCluster())
        self.namespace("shop")

    @property
    def api(self) -> Api:
        return self.api_server.api

    def namespace(self, name: str) -> str:
        self.api.create(objects.namespace(name))
        return name

    def kubeconfig(self, *rules: Rule, token: str = "") -> str:
        """The flag for a new user with these rights, all that the aggregator needs by default."""
        path = self.folder / f"kubeconfig-{next(self._numbers)}"
        token = token or self.api_server.user(rules or READ_EVERYTHING)
        path.write_text(kubeconfig(self.api_server.url, self.api_server.ca_file, token=token))
        return f"--kubeconfig={path}"

    def aggregator(
        self, *flags: str, config: str = "", interval: str = INTERVAL, ready: bool = True
    ) -> RunningAggregator:
        log = self.folder / f"aggregator-{next(self._numbers)}.log"
        running = RunningAggregator(log, config or self.kubeconfig(), f"--exporter.interval={interval}", *flags)
        self._ends.enter_context(running)
        if ready:
            running.wait_ready()
        return running

    def exporter(self, config: Path | None = None) -> FakeExporter:
        return self._ends.enter_context(FakeExporter().served(config))

    def node(self, name: str = "node-1", *, ahead: float = 0.0, config: Path | None = None) -> ExporterNode:
        node = ExporterNode(name, ahead)
        self._ends.enter_context(node.served(config))
        return node

    def slice(self, service: str, *nodes: ExporterNode, namespace: str = "shop") -> list[Object]:
        """The EndpointSlices of a Service, one for each node: each has a port of its own here."""
        return [
            self.api.create(
                {
                    **objects.endpoint_slice(
                        namespace, f"{service}-{next(self._numbers)}", service, objects.endpoint(node.name, "127.0.0.1")
                    ),
                    "ports": [{"name": "metrics", "port": node.port, "protocol": "TCP"}],
                }
            )
            for node in nodes
        ]

    def node_setup(self, name: str = "node") -> NodeSetup:
        """A node with a registry, and exporters as they are shipped."""
        node = self._ends.enter_context(StandIn())
        folder = self.folder / f"node-{next(self._numbers)}"
        folder.mkdir()
        return self._ends.enter_context(node_setup(node, name, folder))

    def pod(
        self,
        name: str = "web",
        image: str = IMAGE,
        *,
        node: str = "node-1",
        namespace: str = "shop",
        ahead: float = 0.0,
        containers: tuple[Object, ...] = (),
        **spec: Any,
    ) -> KubeletPod:
        """A pod that the scheduler has given to a node, and of which the kubelet has said that it makes it."""
        containers = containers or (objects.container("main", image),)
        item = self.api.create(objects.pod(namespace, name, *containers, node=node, **spec))
        pod = KubeletPod(self.api, item, ahead)
        pod.status(*(objects.waiting(each["name"]) for each in containers))
        return pod


@contextmanager
def mini_cluster(folder: Path) -> Iterator[MiniCluster]:
    with ExitStack() as ends:
        yield MiniCluster(folder, ends)
