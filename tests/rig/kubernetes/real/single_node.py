"""A real Kubernetes node: etcd, kube-apiserver and kubelet, containerd, and a registry under a test's control.

Pods that are created through the API run here, with real pulls, real events and real states. What is left of them is
ended with the node. Up in ten seconds; several may run beside each other, and beside the machine's own.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from rig import debian, mounts, runnable
from rig.caching import Unavailable
from rig.closing import Started
from rig.containerd import RealContainerd
from rig.containerd_config import Settings, runs_pods
from rig.go_programs import build, parts
from rig.kubernetes import objects
from rig.kubernetes.api import Api, Object, object_path
from rig.kubernetes.real import api_server
from rig.kubernetes.real.api_server import ApiServer
from rig.kubernetes.real.kubelet import Kubelet
from rig.kubernetes.real.mount_namespace import MountNamespace
from rig.registry import Registry
from rig.soci import SociNode

CONTAINERD = "2.4"
NEEDED = ("mount", "nsenter", "unshare")
NODE = "node-1"
SPEC: Object = {
    "node": NODE,
    "hostNetwork": True,
    "tolerations": [{"operator": "Exists"}],
    "automountServiceAccountToken": False,
    "enableServiceLinks": False,
    "terminationGracePeriodSeconds": 1,
}
"""Of each pod, unless it says otherwise; one without a token, and without a network of its own."""


class RealNode(Started):
    """One node in a cluster of its own. `kubelet` are fields of its configuration that are to be different.

    With `soci` a SOCI snapshotter fetches the layers of its images.
    """

    name = NODE

    def __init__(self, *, soci: bool = False, **kubelet: Any) -> None:
        self._soci = soci
        self._config = kubelet
        super().__init__()

    @property
    def api(self) -> Api:
        """The API, used as an administrator."""
        return self.cluster.api

    def pod(self, namespace: str, name: str, *containers: Object, **spec: Any) -> Object:
        """Create a pod that runs here; it ends at once when it is deleted."""
        return self.api.create(objects.pod(namespace, name, *containers, **{**SPEC, **spec}))

    def refreshed(self, pod: Object) -> Object:
        return self.api.get(object_path(pod))

    def _start(self) -> None:
        enter = self._closing.enter_context
        self.registry = enter(Registry())
        self.cluster = enter(ApiServer())
        folder = Path(tempfile.mkdtemp(prefix="ptn-", dir="/tmp"))
        self._closing.callback(mounts.remove_tree, folder)
        self.mounts = enter(MountNamespace(folder))
        sandbox = self.registry.push(runnable.sandbox()).reference(self.registry.host)
        runtime = runs_pods(sandbox, build.built(parts.RUNC) / "runc", folder / "runc")
        base, within = folder / "containerd", self.mounts.within
        base.mkdir()
        self.containerd: RealContainerd = enter(
            SociNode(base, extra=runtime, within=within)
            if self._soci
            else RealContainerd(CONTAINERD, base, Settings(extra=runtime), within)
        )
        self.containerd.pull(sandbox).wait()
        self.kubelet = enter(Kubelet(self.name, self.cluster, self.containerd.socket, self.mounts, **self._config))
        # First at the end: what the daemons have started goes with them, before their files do.
        self._closing.callback(self.mounts.close)


def reason_missing() -> str:
    """Why there can be none here; empty where there can. Builds nothing."""
    if os.geteuid() != 0:
        return "a node needs root"
    if missing := [name for name in NEEDED if not shutil.which(name)]:
        return f"a node needs {', '.join(missing)}"
    if not Path("/dev/kmsg").exists():
        return "a kubelet needs /dev/kmsg"
    try:
        debian.unpacked(debian.BUSYBOX)
    except Unavailable as error:
        return str(error)
    return build.reason_missing(parts.CONTAINERD[CONTAINERD], parts.RUNC) or api_server.reason_missing()
