"""A real kubelet that joins a real cluster, and runs pods on a real containerd."""

import json
from pathlib import Path
from typing import Any

from rig.closing import Closing
from rig.go_programs import build
from rig.kubernetes.api import kubeconfig
from rig.kubernetes.real.api_server import KUBERNETES, ApiServer
from rig.kubernetes.real.daemons import ClusterFailed
from rig.kubernetes.real.mount_namespace import MountNamespace
from rig.processes import Process

START_TIMEOUT = 60.0
# Its own search for the clouds' key stores goes nowhere, and would leave the machine.
ENVIRONMENT = {"AWS_EC2_METADATA_DISABLED": "true"}
COMMON_CONFIG: dict[str, Any] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "healthzPort": 0,
    "failSwapOn": False,
    "failCgroupV1": False,
    "cgroupDriver": "cgroupfs",
    "enforceNodeAllocatable": ["none"],
    "makeIPTablesUtilChains": False,
    "evictionHard": {
        "imagefs.available": "0%",
        "memory.available": "0%",
        "nodefs.available": "0%",
        "nodefs.inodesFree": "0%",
    },
    "imageGCHighThresholdPercent": 100,
    "nodeStatusUpdateFrequency": "5s",
}
"""What any kubelet of the rig needs on a machine of tests."""
CONFIG: dict[str, Any] = {
    **COMMON_CONFIG,
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "enableServer": False,
}


class Kubelet(Closing):
    """Has joined once made, as an administrator. Without a network plugin its node never becomes ready."""

    def __init__(self, name: str, cluster: ApiServer, socket: Path, namespace: MountNamespace, **config: Any) -> None:
        self.name = name
        folder = namespace.folder / "kubelet"
        folder.mkdir()
        joined, configuration = folder / "kubeconfig", folder / "config.json"
        joined.write_text(kubeconfig(cluster.url, cluster.ca_file, token=cluster.admin_token))
        places = {
            "cgroupRoot": namespace.cgroup,
            "containerRuntimeEndpoint": f"unix://{socket}",
            "volumePluginDir": str(folder / "plugins"),
        }
        configuration.write_text(json.dumps({**CONFIG, **places, **config}))
        command: list[str | Path] = [
            build.built(KUBERNETES) / "kubelet",
            f"--config={configuration}",
            f"--kubeconfig={joined}",
            f"--hostname-override={name}",
            f"--root-dir={folder / 'root'}",
            f"--cert-dir={folder / 'pki'}",
        ]
        self._process = Process(command, namespace.folder / "kubelet.log", ENVIRONMENT, namespace.within)
        try:
            self._process.wait_for(
                lambda: cluster.api.get("/api/v1/nodes", fieldSelector=f"metadata.name={name}")["items"],
                "does not join",
                START_TIMEOUT,
                ClusterFailed,
            )
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def tail(self) -> str:
        return self._process.tail()

    def close(self) -> None:
        """End it at once, as a crash does. Its pods go on. May be called twice."""
        self._process.kill()
