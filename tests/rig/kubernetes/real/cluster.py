"""The whole cluster: a control plane, nodes, a registry that all of them pull from, and names for services."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rig.closing import Started
from rig.containerd_config import plain_http
from rig.go_programs import build, parts
from rig.images import Image
from rig.kubernetes.api import NotYet, is_ready, wait_for
from rig.kubernetes.real import dns, program_images
from rig.kubernetes.real.cluster_node import Node, NodeSettings
from rig.kubernetes.real.control_plane import ControlPlane
from rig.kubernetes.real.daemons import ClusterFailed
from rig.kubernetes.real.enclosure import Enclosure
from rig.registry import Registry

READY_TIMEOUT = 300.0
PARALLEL = {"serializeImagePulls": False, "maxParallelImagePulls": 5}
NODES = (NodeSettings("containerd-2.4"), NodeSettings("containerd-2.3"), NodeSettings("containerd-2.2", PARALLEL))


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Which Kubernetes, and what its nodes are like."""

    kubernetes: str = "1.37"
    nodes: Sequence[NodeSettings] = field(default=NODES)

    @property
    def parts(self) -> list[parts.Part]:
        """What has to be built for it."""
        containerds = {each.containerd.removeprefix("containerd-") for each in self.nodes}
        return [
            parts.KUBERNETES[self.kubernetes],
            *(parts.CONTAINERD[version] for version in sorted(containerds)),
            parts.ETCD, parts.RUNC, parts.CNI, parts.COREDNS,
        ]  # fmt: skip


class Cluster(Started):
    """Up and ready once made; nothing is left of it when it is closed, or when this process ends."""

    def __init__(self, settings: ClusterSettings | None = None) -> None:
        self._settings = settings or ClusterSettings()
        self.programs = build.all_programs(self._settings.parts)
        super().__init__()

    def push(self, pushed: Iterable[Image]) -> None:
        """Let every node have these images from whichever registry they are asked of."""
        for image in pushed:
            self.registry.push(image)

    def send_to(self, host: str, url: str) -> None:
        """Let the nodes ask for a registry's images at a place that may not answer as one."""
        folder = self.enclosure.folder / "certs.d" / host
        folder.mkdir()
        (folder / "hosts.toml").write_text(f'server = "{url}"\n')

    def ready_nodes(self) -> list[str]:
        return [node["metadata"]["name"] for node in self.api.items("/api/v1/nodes") if is_ready(node)]

    def _start(self) -> None:
        # The enclosure ends first: what runs in it would complain about a registry that has gone.
        self.enclosure = Enclosure()
        with self.enclosure.network.inside():
            self.registry = Registry()
        self._closing.callback(self.registry.close)
        self._closing.enter_context(self.enclosure)
        kubernetes = f"kubernetes-{self._settings.kubernetes}"
        self.kubernetes_programs = self.programs[kubernetes]
        self.plane = ControlPlane(self.enclosure, self.programs, kubernetes)
        self.plane.start()
        self.kubeconfig = self.plane.kubeconfig("admin", self.plane.admin, outside=True)
        self.api = self.plane.api
        self._closing.callback(self.api.close)
        pause, coredns = program_images.system_images(self.programs)
        self.push((pause, coredns))
        certs = self._trust()
        self.nodes = [
            Node(number, self.plane, self.programs, kubernetes, certs, each)
            for number, each in enumerate(self._settings.nodes, start=1)
        ]
        for node in self.nodes:
            node.start()
        self._start_dns(coredns)
        self._wait_ready()
        dns_pods = partial(self.api.pods, "kube-system", labelSelector="k8s-app=kube-dns")
        wait_for(lambda: any(map(is_ready, dns_pods())), "CoreDNS ready", READY_TIMEOUT)

    def _wait_ready(self) -> None:
        try:
            wait_for(lambda: len(self.ready_nodes()) == len(self.nodes), "nodes ready", READY_TIMEOUT)
        except NotYet as error:
            unready = [node for node in self.nodes if node.name not in self.ready_nodes()]
            logs = [f"{node.name}: {self.enclosure.tail(f'{node.name}-kubelet')}" for node in unready]
            raise ClusterFailed("\n".join([str(error), *logs])) from error

    def _start_dns(self, coredns: Image) -> None:
        wait_for(lambda: self.api.items("/api/v1/namespaces", fieldSelector="metadata.name=kube-system"), "kube-system")
        self.api.apply(*dns.objects(coredns.reference("registry.k8s.io")))

    def _trust(self) -> Path:
        """Configuration by which containerd finds every registry's images in ours, as in a mirror."""
        folder = self.enclosure.folder / "certs.d"
        (folder / "_default").mkdir(parents=True)
        (folder / "_default/hosts.toml").write_text(plain_http(self.registry.host))
        return folder
