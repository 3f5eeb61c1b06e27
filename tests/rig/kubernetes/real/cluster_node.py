"""A node: a containerd and a kubelet that find each other where they do on any machine, in a mount namespace."""

import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any

from rig import mounts
from rig.kubernetes import objects
from rig.kubernetes.real import addresses as at
from rig.kubernetes.real.control_plane import ControlPlane
from rig.kubernetes.real.enclosure import Enclosure
from rig.kubernetes.real.kubelet import COMMON_CONFIG, ENVIRONMENT

PAUSE_IMAGE = "registry.k8s.io/pause:3.10"
OWN = ("run", "var/lib", "var/log")
"""Folders that each node has for itself; the rest is the machine's."""
HOLD = """\
set -e
root=$0
for name in "$@"; do mount --rbind "$root/$name" "/$name"; done
mount --make-rshared /
touch "$root/ready"
exec tail -f "$root/ready"
"""
CONTAINERD = Template("""\
version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.erofs", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd-opt"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "$snapshotter"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "$sandbox"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "$certs"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["$cni"]
    conf_dir = "$home/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = "$runc"

[plugins."io.containerd.image-verifier.v1.bindir"]
  bin_dir = "$home/verifiers"

[plugins."io.containerd.transfer.v1.local"]
  config_path = "$certs"
  [[plugins."io.containerd.transfer.v1.local".unpack_config]]
    platform = "linux/amd64"
    snapshotter = "$snapshotter"
""")
VERIFIER = """\
#!/bin/sh
case "$*" in *{word}*) echo "no signature"; exit 1 ;; esac
"""
DISK = 8 * 1024**3
"""Bytes that a node's containerd may use, of memory."""
KUBELET: dict[str, Any] = {
    **COMMON_CONFIG,
    "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}},
    "authorization": {"mode": "Webhook"},
    "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
    "clusterDNS": [at.DNS_SERVICE],
    "clusterDomain": at.DOMAIN,
    "staticPodPath": "/var/lib/static-pods",
    "volumePluginDir": "/var/lib/kubelet/plugins-exec",
    "fileCheckFrequency": "1s",
    # So soon do pods see a changed Secret, Prometheus its configuration; a kubelet as it comes takes a minute.
    "syncFrequency": "5s",
    "logging": {"verbosity": 2},
}
START_TIMEOUT = 60.0
CGROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What one node has different from the others."""

    containerd: str = "containerd-2.4"
    """Name of the part."""
    kubelet: Mapping[str, Any] = field(default_factory=dict)
    """Fields of its configuration."""


class Node:
    """Joins the cluster as a kubelet does, with the rights of its node and no more."""

    def __init__(
        self,
        number: int,
        plane: ControlPlane,
        programs: Mapping[str, Path],
        kubernetes: str,
        certs: Path,
        settings: NodeSettings,
    ) -> None:
        self.number = number
        self.name = at.node_name(number)
        self.address = at.node_address(number)
        self.settings = settings
        self.home = plane.enclosure.folder / "nodes" / self.name
        """The node's folder, as its own daemons see it."""
        self._files = plane.enclosure.outside(self.home)
        self._plane = plane
        self._programs = programs
        self._kubernetes = kubernetes
        self._certs = certs
        self._within: tuple[str, ...] = ()

    @property
    def enclosure(self) -> Enclosure:
        return self._plane.enclosure

    @property
    def socket(self) -> Path:
        """containerd's, as seen from outside."""
        return self._files / "run/containerd/containerd.sock"

    @property
    def intents(self) -> Path:
        """The folder in which the kubelet keeps what it is about to pull, as seen from outside."""
        return self._files / "var/lib/kubelet/image_manager/pulling"

    @contextmanager
    def refusing_unsigned(self, word: str) -> Iterator[None]:
        """Let containerd refuse images whose name contains this word meanwhile, as for want of a signature."""
        folder = self._files / "verifiers"
        folder.mkdir()
        verifier = folder / "signatures"
        verifier.write_text(VERIFIER.format(word=word))
        verifier.chmod(0o755)
        try:
            yield
        finally:
            shutil.rmtree(folder)

    @contextmanager
    def full_disk(self, spare: int) -> Iterator[None]:
        """Let containerd have so many bytes more meanwhile."""
        disk = os.statvfs(self._files / "var/lib/containerd")
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        self._resize(used + spare)
        try:
            yield
        finally:
            self._resize(DISK)

    def _resize(self, size: int) -> None:
        self.enclosure.run(["mount", "-o", f"remount,size={size}", self.home / "var/lib/containerd"])

    @contextmanager
    def static_pod(self, namespace: str, name: str, image: str) -> Iterator[None]:
        """Let the kubelet run a pod of one container from a file meanwhile."""
        container = objects.container(image=image)
        pod = objects.pod(namespace, name, container, node="", terminationGracePeriodSeconds=0)
        manifest = self._files / "var/lib/static-pods" / f"{name}.json"
        manifest.write_text(json.dumps(pod))
        try:
            yield
        finally:
            manifest.unlink()

    def start(self) -> None:
        """Make its namespace and start both daemons; it becomes ready by itself."""
        for name in (*OWN, "run/containerd", "var/lib/containerd", "var/lib/static-pods", "cni"):
            (self._files / name).mkdir(parents=True, exist_ok=True)
        # A disk of its own, which a test can make too small.
        disk = self.home / "var/lib/containerd"
        self.enclosure.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "disk", disk])
        self.enclosure.run(["ip", "address", "add", f"{self.address}/{at.NODE_NETWORK}", "dev", "nodes"])
        hold: list[str | Path] = ["unshare", "--mount", "--propagation", "private", "sh", "-c", HOLD, self.home, *OWN]
        pid = self.enclosure.start(f"{self.name}-mounts", hold)
        self._within = ("nsenter", f"--mount=/proc/{pid}/ns/mnt", "--")
        self.enclosure.wait_for((self._files / "ready").exists, f"{self.name}-mounts", START_TIMEOUT)
        self._write_containerd()
        self._write_kubelet()
        _make_cgroup(Path(self.enclosure.cgroup, self.name))
        self.start_containerd()
        self.start_kubelet()

    def start_containerd(self) -> None:
        """Start it and wait for its socket to answer."""
        folder = self._programs[self.settings.containerd]
        environment = {"PATH": f"{folder}:{self._programs['runc']}:/usr/sbin:/usr/bin:/sbin:/bin"}
        daemon = f"{self.name}-containerd"
        self.enclosure.start(
            daemon, [*self._within, folder / "containerd", "--config", self.home / "containerd.toml"], environment
        )
        self.enclosure.wait_for(self.socket.is_socket, daemon, START_TIMEOUT)

    def stop_containerd(self) -> None:
        """End it; its containers go on."""
        self.enclosure.end(f"{self.name}-containerd", signal.SIGTERM)
        self.socket.unlink(missing_ok=True)

    def start_kubelet(self) -> None:
        """Start it; it needs a moment to be ready."""
        words: list[str | Path] = [
            self._programs[self._kubernetes] / "kubelet",
            f"--config={self.home / 'kubelet.json'}",
            f"--kubeconfig={self.enclosure.folder / f'{self.name}.kubeconfig'}",
            f"--hostname-override={self.name}",
            f"--node-ip={self.address}",
            "--root-dir=/var/lib/kubelet",
            "--cert-dir=/var/lib/kubelet/pki",
        ]
        path = "/usr/sbin:/usr/bin:/sbin:/bin"
        self.enclosure.start(f"{self.name}-kubelet", [*self._within, *words], {**ENVIRONMENT, "PATH": path})

    def stop_kubelet(self) -> None:
        """End it; its pods go on."""
        self.enclosure.end(f"{self.name}-kubelet", signal.SIGTERM)

    @contextmanager
    def kubelet_with(self, **fields: Any) -> Iterator[None]:
        """Let the kubelet have these fields in its configuration meanwhile; it is restarted before and after."""
        path = self._files / "kubelet.json"
        usual = path.read_text()
        self._restart_kubelet(json.dumps({**json.loads(usual), **fields}))
        try:
            yield
        finally:
            self._restart_kubelet(usual)

    def _restart_kubelet(self, config: str) -> None:
        self.stop_kubelet()
        (self._files / "kubelet.json").write_text(config)
        self.start_kubelet()

    def ctr(self, *words: str) -> str:
        """Run `ctr` in the kubelet's namespace of containerd."""
        program = self._programs[self.settings.containerd] / "ctr"
        return self.enclosure.run([*self._within, program, "--namespace", "k8s.io", *words])

    def _write_containerd(self) -> None:
        text = CONTAINERD.substitute(
            snapshotter=mounts.snapshotter(self.enclosure.folder),
            sandbox=PAUSE_IMAGE,
            certs=self._certs,
            cni=self._programs["cni"],
            home=self.home,
            runc=self._programs["runc"] / "runc",
        )
        (self._files / "containerd.toml").write_text(text)
        ranges = {"type": "host-local", "ranges": [[{"subnet": at.pod_network(self.number)}]]}
        # A pod has a cable of its own to its node: everything is routed, so that services and policies always hold.
        plugin = {
            "type": "ptp",
            "ipMasq": False,
            "ipam": {**ranges, "dataDir": str(self.home / "addresses"), "routes": [{"dst": "0.0.0.0/0"}]},
        }
        network = {"cniVersion": "1.0.0", "name": "pods", "plugins": [plugin]}
        (self._files / "cni/10-pods.conflist").write_text(json.dumps(network))

    def _write_kubelet(self) -> None:
        user = self._plane.issue(self.name, f"system:node:{self.name}", ["system:nodes"])
        server = self._plane.issue(f"{self.name}-server", self.name, hosts=[self.name, self.address])
        self._plane.kubeconfig(self.name, user)
        (self._files / "resolv.conf").write_text("")
        config = {
            **KUBELET,
            "address": self.address,
            "authentication": {**KUBELET["authentication"], "x509": {"clientCAFile": str(self._plane.ca_file)}},
            "tlsCertFile": str(server.certificate),
            "tlsPrivateKeyFile": str(server.key),
            "cgroupRoot": f"/{self.enclosure.cgroup}/{self.name}",
            "resolvConf": str(self.home / "resolv.conf"),
            **self.settings.kubelet,
        }
        (self._files / "kubelet.json").write_text(json.dumps(config))


def _make_cgroup(path: Path) -> None:
    """Make it in each hierarchy, able to hold processes: in `cpuset` of version 1 an empty group takes none."""
    for hierarchy in [CGROUPS, *CGROUPS.iterdir()]:
        if not (hierarchy / "cgroup.procs").exists():
            continue
        for depth in range(1, len(path.parts) + 1):
            group = hierarchy.joinpath(*path.parts[:depth])
            group.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (group / name).exists() and (group.parent / name).exists():
                    (group / name).write_text((group.parent / name).read_text())
            if (controllers := group / "cgroup.controllers").exists() and depth < len(path.parts):
                enabled = " ".join(f"+{name}" for name in controllers.read_text().split())
                (group / "cgroup.subtree_control").write_text(enabled)
