"""A containerd on a small disk, a registry, an API server, our two programs, and proxies between them."""

import itertools
import os
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from rig.aggregator import RunningAggregator
from rig.containerd import RealContainerd
from rig.exporter import RunningExporter
from rig.images import Image, build
from rig.kubernetes import objects
from rig.kubernetes.api import READ, Rule, kubeconfig
from rig.kubernetes.kubelet_pod import KubeletPod
from rig.kubernetes.real.api_server import ApiServer
from rig.mounts import remove_tree
from rig.network import own_network
from rig.node import PullFailed, PullRequest
from rig.pki import Authority
from rig.processes import free_port, run
from rig.registry import Registry
from rig.tcp_proxy import Proxy

NODE: Final = "node-1"
NAMESPACE: Final = "faults"
DISK: Final = "96m"
REPOSITORIES: Final = 64
"""More than a round has images: each repository has counters for as long as the programs run."""
LINGER: Final = "3s"
ABANDONED: Final = "10m"
RIGHTS: Final = (Rule(READ, "pods"), Rule(READ, "events"), Rule(("get",), "nodes"))
WEB: Final = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n"
HTTP: Final = "tls_config: {ca_file: ca.crt}\n"


class Asked:
    """An image that the node's kubelet wants for a pod, and the request for it; `since` is its monotonic time."""

    def __init__(self, image: Image, pod: KubeletPod, request: PullRequest, since: float) -> None:
        self.image = image
        self.pod = pod
        self.request = request
        self.since = since
        self.failure: str | None = None

    @property
    def name(self) -> str:
        """The pod's."""
        return str(self.pod.item["metadata"]["name"])

    def wait(self, timeout: float) -> bool:
        """Whether CRI has answered that the image is there."""
        try:
            self.request.wait(timeout)
        except PullFailed as failed:
            self.failure = str(failed)
        return self.failure is None

    def remove(self, node: RealContainerd) -> None:
        """Make room for the next ones."""
        if self.request.reference in node.images():
            node.remove_image(self.request.reference)


class World:
    """Everything runs once this is made, and ends with `ends`. `label` is containerd's version."""

    def __init__(self, label: str, folder: Path, ends: ExitStack) -> None:
        self._folder, self._ends = folder, ends
        self.network = ends.enter_context(own_network(folder))
        self._numbers = itertools.count()
        self.registry = ends.enter_context(Registry())
        self.to_registry = ends.enter_context(Proxy(("127.0.0.1", self.registry.port)))
        self.containerd = ends.enter_context(self._small_containerd(label))
        self.cluster = ends.enter_context(ApiServer())
        self.to_cluster = ends.enter_context(Proxy(("127.0.0.1", int(self.cluster.url.rpartition(":")[2]))))
        self.cluster.api.create(objects.namespace(NAMESPACE))
        self._exporter_port = free_port()
        self.to_exporter = ends.enter_context(Proxy(("127.0.0.1", self._exporter_port)))
        self.rotate_certificates()
        (folder / "web.yml").write_text(WEB)
        (folder / "http.yml").write_text(HTTP)
        server = f"https://127.0.0.1:{self.to_cluster.port}"
        token = self.cluster.user(RIGHTS)
        (folder / "kubeconfig").write_text(kubeconfig(server, self.cluster.ca_file, token=token))
        self.images: list[Image] = []
        self.start_exporter()
        self.start_aggregator()
        ends.callback(lambda: self.aggregator.close())
        ends.callback(lambda: self.exporter.close())

    def rotate_certificates(self) -> None:
        """A new authority with a new certificate of the exporter, as a renewal from the root does it."""
        authority = Authority(f"authority {next(self._numbers)}")
        pair = authority.issue()
        files = {"ca.crt": authority.certificate, "server.key": pair.key, "server.crt": pair.certificate}
        for name, content in files.items():
            fresh = self._folder / f"{name}.new"
            fresh.write_bytes(content)
            fresh.replace(self._folder / name)
        self._tls = ssl.create_default_context(cadata=authority.certificate.decode())

    def trust_certificates(self) -> None:
        """Read the exporter under the new authority from now on."""
        self.exporter.tls = self._tls

    def start_exporter(self) -> None:
        """One more, where the last one was."""
        flags = (
            f"--node.name={NODE}",
            "--poll.interval=200ms",
            "--poll.idle-interval=1s",
            f"--pull.linger={LINGER}",
            f"--pull.abandoned={ABANDONED}",
            f"--web.config.file={self._folder / 'web.yml'}",
        )
        log = self._folder / f"exporter-{next(self._numbers)}.log"
        self.exporter = RunningExporter(self.containerd.socket, log, *flags, port=self._exporter_port)
        self.trust_certificates()

    def start_aggregator(self) -> None:
        """One more; it has all lists."""
        self.aggregator = RunningAggregator(
            self._folder / f"aggregator-{next(self._numbers)}.log",
            f"--kubeconfig={self._folder / 'kubeconfig'}",
            f"--exporter.target={NODE}=https://127.0.0.1:{self.to_exporter.port}",
            f"--exporter.http-config.file={self._folder / 'http.yml'}",
            "--exporter.interval=200ms",
            "--exporter.timeout=2s",
            "--pod.linger=1s",
        )
        self.aggregator.wait_ready(60)

    def push(self, sizes: Sequence[int]) -> Image:
        """A new image with layers of these sizes, which no other has; it may be a later one of a repository."""
        image = self.registry.push(build(f"{NAMESPACE}/app-{next(self._numbers) % REPOSITORIES}", sizes))
        self.images.append(image)
        return image

    def ask(self, image: Image, ahead: float = 0.0) -> Asked:
        """A pod wants it, and its kubelet begins to pull. The kubelet's clock is so many seconds ahead."""
        since = time.monotonic()
        reference = image.reference(f"127.0.0.1:{self.to_registry.port}")
        return Asked(image, self._pod(reference, ahead), self.containerd.pull(reference), since)

    def pass_by(self, patience: float) -> None:
        """A pod wants an image, the aggregator tells so, and the pod goes before anything of the image has come."""
        pod = self._pod("registry.example/passing:1")
        name = pod.item["metadata"]["name"]
        self.aggregator.wait(lambda view: name in {each["pod"] for each in view["pods"]}, patience)
        pod.delete()
        self.aggregator.wait(lambda view: name not in {each["pod"] for each in view["pods"]}, patience)

    def _pod(self, reference: str, ahead: float = 0.0) -> KubeletPod:
        """A new one, for which the kubelet begins to pull."""
        item = objects.pod(NAMESPACE, f"pod-{next(self._numbers)}", objects.container("main", reference), node=NODE)
        pod = KubeletPod(self.cluster.api, self.cluster.api.create(item), ahead)
        pod.waits()
        pod.pulling()
        return pod

    @property
    def pids(self) -> dict[str, int]:
        return {"exporter": self.exporter.process.pid, "aggregator": self.aggregator.process.pid}

    @property
    def sent(self) -> int:
        """Bytes of layers that the registry has sent."""
        layers = {layer.digest for image in self.images for layer in image.layers}
        return sum(self.registry.sent(digest) for digest in layers)

    def fill_disk(self) -> Callable[[], None]:
        """Leave no room under containerd; the answer makes room again."""
        filler = self.containerd.folders.base / "filler"
        with filler.open("wb", buffering=0) as file:
            size = 1 << 20
            while size >= 4096:
                try:
                    file.write(b"\0" * size)
                except OSError:
                    size //= 2
        return filler.unlink

    def _small_containerd(self, label: str) -> RealContainerd:
        folder = Path(f"/tmp/ptf-{os.getpid()}-{next(self._numbers)}")
        folder.mkdir()
        self._ends.callback(remove_tree, folder)
        disk = folder / "disk"
        disk.mkdir()
        run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", disk])
        (disk / "c").mkdir()
        return RealContainerd(label, disk / "c")
