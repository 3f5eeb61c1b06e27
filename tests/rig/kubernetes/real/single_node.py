"""A real Kubernetes node: etcd, kube-apiserver and kubelet, containerd, and a registry under a test's control.

Pods that are created through the API run here, with real pulls, real events and real states. What is left of them is
ended with the node. Up in ten seconds; several may run beside each other, and beside the machine's own.
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rig import debian, mounts, runnable
from rig.caching import Unavailable
from rig.closing import Closing
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


class RealNode(Closing):
    """One node in a cluster of its own. `kubelet` are fields of its configuration that are to be different.

    With `soci` a SOCI snapshotter fetches the layers of its images.
    """

    name = "node-1"

    def __init__(self, *, soci: bool = False, **kubelet: Any) -> None:
        self._closing = ExitStack()
        try:
            self._start(soci, kubelet)
        except BaseException:
            self.close()
            raise

    @property
    def api(self) -> Api:
        """The API, used as an administrator."""
        return self.cluster.api

    def pod(self, namespace: str, name: str, *containers: Object, **spec: Any) -> Object:
        """Create a pod that runs here; it ends at once when it is deleted."""
        return self.api.create(objects.pod(namespace, name, *containers, **{**self._spec, **spec}))

    def refreshed(self, pod: Object) -> Object:
        """The pod as it is now."""
        return self.api.get(object_path(pod))

    def close(self) -> None:
        """End everything, whatever still runs. May be called twice."""
        self._closing.close()

    @property
    def _spec(self) -> Object:
        return {
            "node": self.name,
            "hostNetwork": True,
            "tolerations": [{"operator": "Exists"}],
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
        }

    def _start(self, soci: bool, kubelet: dict[str, Any]) -> None:
        enter = self._closing.enter_context
        self.registry = enter(Registry())
        self.cluster = enter(ApiServer())
        folder = Path(tempfile.mkdtemp(prefix="ptn-", dir="/tmp"))
        self._closing.callback(mounts.remove_tree, folder)
        self.mounts = enter(MountNamespace(folder))
        sandbox = self.registry.push(runnable.sandbox()).reference(self.registry.host)
        runtime = runs_pods(sandbox, build.built(parts.RUNC) / "runc", folder / "runc")
        (folder / "containerd").mkdir()
        self.containerd = enter(_containerd(folder / "containerd", runtime, self.mounts.within, soci=soci))
        self.containerd.pull(sandbox).wait()
        self.kubelet = enter(Kubelet(self.name, self.cluster, self.containerd.socket, self.mounts, **kubelet))
        # First at the end: what the daemons have started goes with them, before their files do.
        self._closing.callback(self.mounts.close)


def _containerd(folder: Path, runtime: str, within: Sequence[str], *, soci: bool) -> RealContainerd:
    if soci:
        return SociNode(folder, extra=runtime, within=within)
    return RealContainerd(CONTAINERD, folder, Settings(extra=runtime), within)


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
