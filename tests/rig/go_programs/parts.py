"""What the cluster is made of: Go modules at pinned versions, and which programs come out of each."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

GO = Path(__file__).with_name("go")
KUBERNETES_PROGRAMS = (
    "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet", "kubectl",
)  # fmt: skip
CONTAINERD_MODULE = "github.com/containerd/containerd/v2"
CNI_MODULE = "github.com/containernetworking/plugins"
OPERATOR_MODULE = "github.com/prometheus-operator/prometheus-operator"
STATIC_CGO = ("-linkmode=external", "-extldflags=-static")


@dataclass(frozen=True, slots=True)
class Part:
    """Programs that one module gives. `go/<name>` holds its go.mod and go.sum."""

    name: str
    module: str
    packages: tuple[str, ...]
    """Go packages, each a program; `.` is the main.go in `go/<source>`."""
    source: str = ""
    tags: str = ""
    ldflags: tuple[str, ...] = ()
    """`{version}` and `{minor}` are filled in."""
    names: tuple[str, ...] = ()
    """Further names of the first program, for those that act by the name they are called with."""
    rename: str = ""
    """Name of the first program where its package's last word says nothing."""
    cgo: bool = False
    """Compiled with C, for which libseccomp is there."""
    zlib: bool = False
    """zlib is there instead of it."""
    data: str = ""
    """A folder of the module that is kept beside the programs, as `data`."""
    estimate: str = "1 min"
    """How long two cores need when nothing of it was compiled before."""

    @property
    def folder(self) -> Path:
        return GO / self.name

    @property
    def version(self) -> str:
        """The version of the module, without the `v`."""
        found = re.search(rf"^(?:require|\t)\s*{re.escape(self.module)} v(\S+)", self._mod, re.MULTILINE)
        if not found:
            raise ValueError(f"{self.folder}/go.mod does not require {self.module}")
        return found[1]

    @property
    def needed_go(self) -> tuple[int, ...]:
        """The oldest Go that builds it."""
        found = re.search(r"^go (\S+)", self._mod, re.MULTILINE)
        if not found:
            raise ValueError(f"{self.folder}/go.mod has no go line")
        return tuple(int(number) for number in found[1].split("."))

    @property
    def filled_ldflags(self) -> str:
        version = self.version
        minor = version.split(".")[1]
        return " ".join(("-s", "-w", *self.ldflags)).format(version=version, minor=minor)

    @property
    def files(self) -> tuple[Path, ...]:
        """What the build reads beside the modules."""
        main = (GO / self.source / "main.go",) if self.source else ()
        return (self.folder / "go.mod", self.folder / "go.sum", *main)

    def key(self, go_version: str) -> str:
        """Twelve hexadecimal digits that change when the programs may."""
        options = (self.tags, self.filled_ldflags, self.names, self.rename, self.cgo, self.data)
        digest = hashlib.sha256(repr((self.packages, options, go_version)).encode())
        for path in self.files:
            digest.update(path.read_bytes())
        return digest.hexdigest()[:12]

    @property
    def _mod(self) -> str:
        return (self.folder / "go.mod").read_text()


def _kubernetes(minor: str) -> Part:
    stamp = "-X=k8s.io/component-base/version."
    return Part(
        f"kubernetes-{minor}",
        "k8s.io/kubernetes",
        (".",),
        source="kubernetes",
        ldflags=(f"{stamp}gitVersion=v{{version}}", f"{stamp}gitMajor=1", f"{stamp}gitMinor={{minor}}"),
        names=KUBERNETES_PROGRAMS,
        rename="kubernetes",
        estimate="8 min",
    )


def _containerd(minor: str) -> Part:
    commands = ("containerd", "containerd-shim-runc-v2", "ctr")
    return Part(
        f"containerd-{minor}",
        CONTAINERD_MODULE,
        tuple(f"{CONTAINERD_MODULE}/cmd/{command}" for command in commands),
        ldflags=(f"-X={CONTAINERD_MODULE}/version.Version={{version}}",),
    )


def _helm(major: int) -> Part:
    module = f"helm.sh/helm/v{major}"
    stamp = f"-X={module}/internal/version.version=v{{version}}"
    return Part(f"helm-{major}", module, (f"{module}/cmd/helm",), ldflags=(stamp,), estimate="2 min")


KUBERNETES = {minor: _kubernetes(minor) for minor in ("1.37", "1.34")}
"""The newest and the oldest version that is supported."""
CONTAINERD = {minor: _containerd(minor) for minor in ("2.4", "2.3", "2.2")}
HELM = {major: _helm(major) for major in (4, 3)}
ETCD = Part("etcd", "go.etcd.io/etcd/server/v3", ("go.etcd.io/etcd/server/v3",), rename="etcd")
RUNC = Part(
    "runc",
    "github.com/opencontainers/runc",
    ("github.com/opencontainers/runc",),
    tags="seccomp,netgo,osusergo",
    ldflags=STATIC_CGO,
    cgo=True,
)
CNI = Part(
    "cni",
    CNI_MODULE,
    tuple(f"{CNI_MODULE}/plugins/{each}" for each in ("main/ptp", "main/loopback", "ipam/host-local")),
)
SOCI = Part(
    "soci",
    "github.com/awslabs/soci-snapshotter",
    tuple(f"github.com/awslabs/soci-snapshotter/cmd/{each}" for each in ("soci-snapshotter-grpc", "soci")),
    tags="netgo,osusergo",
    ldflags=("-X=github.com/awslabs/soci-snapshotter/version.Version=v{version}",),
    cgo=True,
    zlib=True,
    estimate="2 min",
)
"""The snapshotter and the program that makes its indexes. Its commands are a module of their own."""
COREDNS = Part("coredns", "github.com/coredns/coredns", ("github.com/coredns/coredns",), estimate="2 min")
OPERATOR = Part(
    "prometheus-operator",
    OPERATOR_MODULE,
    (f"{OPERATOR_MODULE}/cmd/operator", f"{OPERATOR_MODULE}/cmd/prometheus-config-reloader"),
    ldflags=("-X=github.com/prometheus/common/version.Version={version}",),
    data="example/prometheus-operator-crd",
    estimate="2 min",
)
EVERYTHING = (
    *KUBERNETES.values(), *CONTAINERD.values(), RUNC, ETCD, CNI, COREDNS, *HELM.values(), OPERATOR, SOCI,
)  # fmt: skip
