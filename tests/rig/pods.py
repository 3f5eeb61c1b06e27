"""A locked-down container of an image in a real containerd, started as a kubelet starts it, by runc."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, Self

from rig import debian
from rig.containerd import RealContainerd
from rig.containerd_config import Settings
from rig.cri import runtime_pb2 as cri
from rig.cri.runtime_pb2_grpc import RuntimeServiceStub

TIMEOUT = 60.0
RUNTIME = Template("""
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "$sandbox"

[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = "$runc"
        Root = "$state"
""")


def settings(sandbox: str, folder: Path) -> Settings:
    """Of a containerd 2.x that runs pods, with this reference as sandbox image and this folder for runc's state."""
    return Settings(
        extra=RUNTIME.substitute(sandbox=sandbox, runc=debian.unpacked(debian.RUNC) / debian.RUNC.program, state=folder)
    )


@dataclass(frozen=True, slots=True)
class Mounted:
    """A folder of the machine in the container, read-only."""

    source: Path
    target: str


class Pod:
    """One container in a sandbox with the machine's network; it ends with the block.

    The container is what our chart asks of the kubelet: a read-only root, no capability, no way to a privilege, the
    runtime's own seccomp profile.
    """

    def __init__(
        self, node: RealContainerd, image: str, logs: Path, mounts: Sequence[Mounted], args: Sequence[str]
    ) -> None:
        self._node = node
        self._runtime = RuntimeServiceStub(node.channel)
        self.log = logs / "container.log"
        self._sandbox_config = cri.PodSandboxConfig(
            metadata=cri.PodSandboxMetadata(name="pod", uid=image, namespace="default"),
            log_directory=str(logs),
            linux=cri.LinuxPodSandboxConfig(
                security_context=cri.LinuxSandboxSecurityContext(
                    namespace_options=cri.NamespaceOption(network=cri.NODE),
                    seccomp=cri.SecurityProfile(profile_type=cri.SecurityProfile.RuntimeDefault),
                )
            ),
        )
        request = cri.RunPodSandboxRequest(config=self._sandbox_config)
        self._sandbox = self._runtime.RunPodSandbox(request, timeout=TIMEOUT).pod_sandbox_id
        try:
            self._container = self._create(image, mounts, args)
            self._runtime.StartContainer(cri.StartContainerRequest(container_id=self._container), timeout=TIMEOUT)
        except BaseException:
            self._remove()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._remove()

    @property
    def info(self) -> dict[str, Any]:
        """What containerd tells of the container, its process id and its runtime specification included."""
        request = cri.ContainerStatusRequest(container_id=self._container, verbose=True)
        told: dict[str, Any] = json.loads(self._runtime.ContainerStatus(request, timeout=TIMEOUT).info["info"])
        return told

    @property
    def pid(self) -> int:
        return int(self.info["pid"])

    def stop(self) -> int:
        """Ask it to end, and return its exit status; may be called twice."""
        self._runtime.StopContainer(cri.StopContainerRequest(container_id=self._container, timeout=10), timeout=TIMEOUT)
        request = cri.ContainerStatusRequest(container_id=self._container)
        return int(self._runtime.ContainerStatus(request, timeout=TIMEOUT).status.exit_code)

    def _create(self, image: str, mounts: Sequence[Mounted], args: Sequence[str]) -> str:
        config = cri.ContainerConfig(
            metadata=cri.ContainerMetadata(name="container"),
            image=cri.ImageSpec(image=image),
            args=args,
            mounts=[
                cri.Mount(container_path=each.target, host_path=str(each.source), readonly=True) for each in mounts
            ],
            log_path=self.log.name,
            linux=cri.LinuxContainerConfig(
                security_context=cri.LinuxContainerSecurityContext(
                    capabilities=cri.Capability(drop_capabilities=["ALL"]),
                    namespace_options=cri.NamespaceOption(network=cri.NODE),
                    readonly_rootfs=True,
                    no_new_privs=True,
                    seccomp=cri.SecurityProfile(profile_type=cri.SecurityProfile.RuntimeDefault),
                )
            ),
        )
        request = cri.CreateContainerRequest(
            pod_sandbox_id=self._sandbox, config=config, sandbox_config=self._sandbox_config
        )
        return str(self._runtime.CreateContainer(request, timeout=TIMEOUT).container_id)

    def _remove(self) -> None:
        """The sandbox, its shim and what is left in it."""
        self._runtime.StopPodSandbox(cri.StopPodSandboxRequest(pod_sandbox_id=self._sandbox), timeout=TIMEOUT)
        self._runtime.RemovePodSandbox(cri.RemovePodSandboxRequest(pod_sandbox_id=self._sandbox), timeout=TIMEOUT)
