"""A pod's container in a real containerd, run by runc: the part of a kubelet that reads its specification."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from rig import debian
from rig.containerd import RealContainerd
from rig.containerd_config import Settings, runs_pods
from rig.cri import runtime_pb2 as cri
from rig.cri.runtime_pb2_grpc import RuntimeServiceStub

TIMEOUT = 120.0
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
"""Where a pod finds its token and whom to trust (Kubernetes, "Accessing the Kubernetes API from a Pod")."""
Object = dict[str, Any]


def settings(sandbox: str, folder: Path) -> Settings:
    """Settings of a containerd 2.x that runs pods. `sandbox` is a reference, `folder` holds runc's state."""
    return Settings(extra=runs_pods(sandbox, debian.unpacked(debian.RUNC) / debian.RUNC.program, folder))


class Unsupported(Exception):
    """The specification asks for what this stand-in for a kubelet does not do."""


class Pod:
    """The one container of a pod's specification, started with the image given; it ends with the block.

    What the specification says of users, rights, mounts, arguments and memory is asked of containerd as a kubelet asks
    it. `folders` are what its mounts lead to, by path in the container, the account's token at `ACCOUNT` among them
    where the specification asks for it. The network is the machine's, since there is no CNI, and the environment is
    `environment` alone.
    """

    def __init__(
        self,
        node: RealContainerd,
        spec: Object,
        image: str,
        logs: Path,
        folders: Mapping[str, Path],
        *arguments: str,
        environment: Mapping[str, str] | None = None,
    ) -> None:
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
            (container,) = spec["containers"]
            config = cri.ContainerConfig(
                metadata=cri.ContainerMetadata(name="container"),
                image=cri.ImageSpec(image=image),
                args=[*container["args"], *arguments],
                envs=[cri.KeyValue(key=key, value=value) for key, value in (environment or {}).items()],
                mounts=[_mount(each, folders) for each in (*container.get("volumeMounts", ()), *_account(spec))],
                log_path=self.log.name,
                linux=cri.LinuxContainerConfig(
                    resources=cri.LinuxContainerResources(memory_limit_in_bytes=_limit(container)),
                    security_context=_security({**spec["securityContext"], **container["securityContext"]}),
                ),
            )
            self._container = self._create(config)
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

    def _create(self, config: cri.ContainerConfig) -> str:
        request = cri.CreateContainerRequest(
            pod_sandbox_id=self._sandbox, config=config, sandbox_config=self._sandbox_config
        )
        return str(self._runtime.CreateContainer(request, timeout=TIMEOUT).container_id)

    def _remove(self) -> None:
        """The sandbox, its shim and what is left in it."""
        self._runtime.StopPodSandbox(cri.StopPodSandboxRequest(pod_sandbox_id=self._sandbox), timeout=TIMEOUT)
        self._runtime.RemovePodSandbox(cri.RemovePodSandboxRequest(pod_sandbox_id=self._sandbox), timeout=TIMEOUT)


def _account(spec: Object) -> list[Object]:
    return [{"mountPath": ACCOUNT, "readOnly": True}] if spec["automountServiceAccountToken"] else []


def _mount(mount: Object, folders: Mapping[str, Path]) -> cri.Mount:
    path = mount["mountPath"]
    return cri.Mount(container_path=path, host_path=str(folders[path]), readonly=mount["readOnly"])


def _limit(container: Object) -> int:
    text: str = container["resources"]["limits"]["memory"]
    return int(text.removesuffix("Mi")) * 1024 * 1024


def _security(context: Object) -> cri.LinuxContainerSecurityContext:
    """The CRI security context that a kubelet makes of those of pod and container."""
    if context["seccompProfile"] != {"type": "RuntimeDefault"} or context["privileged"]:
        raise Unsupported(str(context))
    return cri.LinuxContainerSecurityContext(
        capabilities=cri.Capability(drop_capabilities=context["capabilities"]["drop"]),
        namespace_options=cri.NamespaceOption(network=cri.NODE),
        run_as_user=cri.Int64Value(value=context["runAsUser"]),
        run_as_group=cri.Int64Value(value=context["runAsGroup"]),
        readonly_rootfs=context["readOnlyRootFilesystem"],
        no_new_privs=not context["allowPrivilegeEscalation"],
        seccomp=cri.SecurityProfile(profile_type=cri.SecurityProfile.RuntimeDefault),
    )
