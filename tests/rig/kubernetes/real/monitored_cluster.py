"""The cluster as users have it: beside the Prometheus operator, with Pulltrace installed as README says."""

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import requests
import yaml

from rig.alertmanager import Webhook
from rig.closing import Started
from rig.go_programs import build, parts
from rig.image_parts import CHECKOUT
from rig.images import Image
from rig.kubernetes.api import Object, http_session, is_ready, wait_for
from rig.kubernetes.real import addresses as at
from rig.kubernetes.real import program_images, prometheus_operator
from rig.kubernetes.real.cluster import Cluster, ClusterSettings
from rig.processes import CommandFailed

NAMESPACE = "pulltrace"
SHELL_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)
OURS = "ghcr.io"
"""The registry from which the chart takes our images, and here all others, too."""
COMMAND_TIMEOUT = 300.0


class MonitoredCluster(Started):
    """A cluster with operator, Prometheus and Alertmanager, into which Pulltrace can be installed."""

    def __init__(self, settings: ClusterSettings | None = None) -> None:
        self._settings = settings
        super().__init__()

    def _start(self) -> None:
        programs = {parts.OPERATOR.name: build.programs(parts.OPERATOR)}
        pushed = [*program_images.monitoring_images(programs), *program_images.own_images()]
        self.cluster = self._closing.enter_context(Cluster(self._settings))
        self.cluster.push(pushed)
        self._folder = self._working_folder(pushed)
        references = {image.repository.rpartition("/")[2]: image.reference(OURS) for image in pushed}
        with self.cluster.enclosure.network.inside():
            self.receiver = self._closing.enter_context(Webhook(at.GATEWAY))
        prometheus_operator.install(self.cluster.api, programs, references, self.receiver.url)

    def shell(self, script: str, helm: int = 4) -> str:
        """Run a script that uses kubectl, its plug-in and helm as if in the checkout; its output, or CommandFailed."""
        plugin = Path(sys.executable).parent
        folders = [build.programs(parts.HELM[helm]), self.cluster.kubernetes_programs, plugin]
        environment = {
            **os.environ,
            "KUBECONFIG": str(self.cluster.kubeconfig),
            "PATH": ":".join([*map(str, folders), os.environ["PATH"]]),
            "HOME": str(self._folder),
        }
        result = subprocess.run(
            ["sh", "-e", "-c", script],
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            cwd=self._folder,
            env=environment,
            check=False,
        )
        if result.returncode:
            raise CommandFailed(f"{script}: status {result.returncode}: {result.stderr}{result.stdout}")
        return result.stdout

    def _working_folder(self, pushed: Iterable[Image]) -> Path:
        """A folder with the chart and the values that `make images` prints. So nothing is written into the checkout."""
        folder = self.cluster.enclosure.folder / "home"
        folder.mkdir()
        (folder / "deploy").symlink_to(CHECKOUT / "deploy")
        values = {
            image.repository.rpartition("-")[2]: {
                "image": {"registry": OURS, "repository": image.repository, "digest": image.root.digest}
            }
            for image in pushed
            if image.repository.startswith("pulltrace/")
        }
        (folder / "images.yaml").write_text(yaml.safe_dump(values))
        return folder

    def install(self) -> str:
        """Do what README says; the output."""
        return self.shell(readme_commands())

    def pods(self, component: str) -> list[Object]:
        """The pods of a program that are ready."""
        selector = f"app.kubernetes.io/name=pulltrace,app.kubernetes.io/component={component}"
        found = self.cluster.api.pods(NAMESPACE, labelSelector=selector)
        return [pod for pod in found if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]

    def wait_installed(self, shards: int = 1) -> None:
        """Return when every node has its exporter, and there are so many aggregators."""
        wait_for(lambda: len(self.pods("exporter")) == len(self.cluster.nodes), "exporters ready")
        wait_for(lambda: len(self.pods("aggregator")) == shards, "aggregators ready")

    def page(self, pod: Object, port: int, path: str, **options: Any) -> requests.Response:
        with self.cluster.enclosure.network.inside(), http_session() as session:
            return session.get(f"http://{pod['status']['podIP']}:{port}{path}", timeout=10, **options)


def readme_commands() -> str:
    blocks: list[str] = SHELL_BLOCK.findall((CHECKOUT / "README.md").read_text())
    (install,) = (block for block in blocks if "helm install" in block)
    return install


def reason_missing(settings: ClusterSettings | None = None) -> str:
    """Why there can be none here; empty where there can. Builds nothing."""
    if os.geteuid() != 0:
        return "a cluster needs root"
    if not Path("/dev/kmsg").exists():
        return "a kubelet needs /dev/kmsg"
    return build.reason_missing(*(settings or ClusterSettings()).parts, parts.OPERATOR, *parts.HELM.values())
