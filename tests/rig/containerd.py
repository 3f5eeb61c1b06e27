"""A real containerd of its own, driven through its CRI socket as a kubelet does, beside whatever the machine runs."""

import os
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Self

import grpc
from google.protobuf.empty_pb2 import Empty

from pulltrace_exporter.containerd.api import content_pb2, images_pb2, leases_pb2
from rig import debian, mounts
from rig.caching import Unavailable
from rig.closing import Closing
from rig.containerd_config import Folders, Settings, config, plain_http
from rig.containerd_stubs import content_pb2_grpc, images_pb2_grpc, leases_pb2_grpc, version_pb2_grpc
from rig.cri import runtime_pb2, runtime_pb2_grpc
from rig.go_programs import build, parts
from rig.node import PullFailed
from rig.processes import Process, run

VERSIONS = (*debian.CONTAINERD, *sorted(parts.CONTAINERD))
"""Debian's, and those that are built from their modules."""
SECOND = tuple(f"containerd-{version}" for version in VERSIONS if version.startswith("2."))
"""Names of the nodes that run a containerd 2."""
NAMESPACE = "k8s.io"
METADATA = (("containerd-namespace", NAMESPACE),)
PULL_LEASES = 'labels."containerd.io/gc.expire"'
LONGEST_SOCKET_PATH = 100
START_TIMEOUT = 90.0
PULL_TIMEOUT = 600.0
# containerd takes a moment to listen; gRPC's own pauses between attempts grow to minutes. The authority is given since
# old servers refuse the socket's path as one.
CHANNEL_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.default_authority", "localhost"),
)


class NodeFailed(Exception):
    """The daemon did not do what a test needs of it; the text holds the end of its log."""


class RealPull:
    """A PullImage call that is under way."""

    def __init__(self, reference: str, call: Any, let_go: Callable[[Callable[[], object]], None]) -> None:
        self.reference = reference
        self._call = call
        self._let_go = let_go

    @property
    def done(self) -> bool:
        return bool(self._call.done())

    def wait(self, timeout: float = 60) -> None:
        try:
            self._call.result(timeout)
        except grpc.FutureTimeoutError as error:
            raise TimeoutError(f"{self.reference}: no answer in {timeout} s") from error
        except grpc.FutureCancelledError as error:
            raise PullFailed("cancelled") from error
        except grpc.RpcError as error:
            raise PullFailed(self._call.details()) from error

    def cancel(self) -> None:
        if not self.done:
            self._let_go(self._call.cancel)


class RealContainerd(Closing):
    """Implements `rig.node.Node`. Everything of it lies in one folder, which `close` removes.

    `within` are words before the daemon's command, see `rig.processes`.
    """

    def __init__(self, label: str, folder: Path, settings: Settings | None = None, within: Sequence[str] = ()) -> None:
        self.name = f"containerd-{label}"
        self.folders = Folders(folder)
        self.socket = self.folders.socket
        if len(str(self.socket)) > LONGEST_SOCKET_PATH:
            raise NodeFailed(f"{self.socket}: longer than {LONGEST_SOCKET_PATH} characters, too long for a socket")
        self._within = within
        self._programs = program_folder(label)
        self._clients: list[Process] = []
        self._numbers = count()
        self._process: Process | None = None
        self._channel: grpc.Channel | None = None
        self.snapshotter = mounts.snapshotter(folder)
        self._write_config(label, settings or Settings())
        self.start()
        self.version: str = version_pb2_grpc.VersionStub(self.channel).Version(Empty(), timeout=5).version

    @classmethod
    def fresh(cls, label: str, settings: Settings | None = None) -> Self:
        """A new one in a new folder with a short name."""
        folder = Path(tempfile.mkdtemp(prefix="ptn-", dir="/tmp"))
        try:
            return cls(label, folder, settings)
        except BaseException:
            mounts.remove_tree(folder)
            raise

    @property
    def channel(self) -> grpc.Channel:
        """To the running daemon; another one after each start."""
        if self._channel is None:
            raise NodeFailed(f"{self.name} does not run")
        return self._channel

    @property
    def pid(self) -> int:
        return self._daemon.pid

    @property
    def log(self) -> Path:
        return self.folders.base / "containerd.log"

    def pull(self, reference: str) -> RealPull:
        self.trust(reference.split("/", 1)[0])
        request = runtime_pb2.PullImageRequest(image=runtime_pb2.ImageSpec(image=reference))
        call = self._cri.PullImage.future(request, timeout=PULL_TIMEOUT)
        return RealPull(reference, call, self._let_go)

    def client_pull(self, reference: str) -> Callable[[], None]:
        log = self.folders.base / f"ctr-{next(self._numbers)}.log"
        # From 2.x on the daemon would pull and hold the lease; --local leaves it with the client, as in 1.x.
        local = () if self.name.startswith("containerd-1.") else ("--local",)
        client = Process([*self._ctr, "images", "pull", "--plain-http", *local, reference], log)
        self._clients.append(client)
        return client.kill

    def import_image(self, archive: Path) -> None:
        run([*self._ctr, "images", "import", archive])

    def hold_lease(self, lease_id: str) -> Callable[[], None]:
        run([*self._ctr, "leases", "create", "--id", lease_id])

        def drop() -> None:
            run([*self._ctr, "leases", "delete", lease_id])

        return drop

    def images(self) -> dict[str, str]:
        """Root digest of every image, by name."""
        return {image.name: image.target.digest for image in self._images()}

    def pull_leases(self) -> set[str]:
        """Ids of the leases that a pull may hold, those of orphans included."""
        request = leases_pb2.ListRequest(filters=[PULL_LEASES])
        answer = leases_pb2_grpc.LeasesStub(self.channel).List(request, metadata=METADATA, timeout=5)
        return {lease.id for lease in answer.leases}

    def has_content(self, digest: str) -> bool:
        stub = content_pb2_grpc.ContentStub(self.channel)
        try:
            stub.Info(content_pb2.InfoRequest(digest=digest), metadata=METADATA, timeout=5)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                return False
            raise
        return True

    def forget_image(self, reference: str) -> None:
        """Have CRI remove an image, there or not, as a kubelet does that makes room; its blobs may stay for a while."""
        spec = runtime_pb2.ImageSpec(image=reference)
        self._cri.RemoveImage(runtime_pb2.RemoveImageRequest(image=spec), timeout=30)

    def remove_image(self, reference: str) -> None:
        root = self.images()[reference]
        self.forget_image(reference)
        left = [image.name for image in self._images(f"target.digest=={root}")]
        if left:
            run([*self._ctr, "images", "rm", "--sync", *left])
        self._wait(lambda: not self.has_content(root), f"{reference} is still there")

    def crash(self) -> None:
        """End the daemon, then the channel: pulls under way fail as they do for a kubelet."""
        if self._process:
            self._process.kill()
            self._process = None
        if self._channel:
            self._channel.close()
            self._channel = None

    def start(self) -> None:
        self._process = Process(
            [self._programs / "containerd", "--config", self.folders.config],
            self.log,
            {"PATH": f"{self._programs}:{os.environ['PATH']}"},
            self._within,
        )
        self._channel = grpc.insecure_channel(f"unix://{self.socket}", options=CHANNEL_OPTIONS)
        self._cri = runtime_pb2_grpc.ImageServiceStub(self._channel)
        try:
            self._wait(self._answers, "did not answer", START_TIMEOUT)
        except BaseException:
            self.crash()
            raise

    def close(self) -> None:
        for client in self._clients:
            client.kill()
        self.crash()
        mounts.remove_tree(self.folders.base)

    @property
    def _daemon(self) -> Process:
        if self._process is None:
            raise NodeFailed(f"{self.name} does not run")
        return self._process

    @property
    def _ctr(self) -> tuple[str | Path, ...]:
        return (self._programs / "ctr", "--address", self.socket, "--namespace", NAMESPACE)

    def _write_config(self, label: str, settings: Settings) -> None:
        for name in ("run", "tmp", "opt", "certs.d", "cni/bin", "cni/conf"):
            (self.folders.base / name).mkdir(parents=True, exist_ok=True)
        self.folders.config.write_text(config(label, self.folders, self.snapshotter, settings))

    def trust(self, host: str, at: str = "") -> None:
        """Let the daemon speak plain HTTP to this registry, `at` another place than its name says."""
        folder = self.folders.certs / host
        folder.mkdir(exist_ok=True)
        hosts = folder / "hosts.toml"
        if not hosts.exists():  # another pull may be reading it
            hosts.write_text(plain_http(at or host))

    def _let_go(self, cancel: Callable[[], object]) -> None:
        before = self.pull_leases()
        cancel()
        if before:
            self._wait(lambda: bool(before - self.pull_leases()), "kept the lease of a cancelled pull")

    def _images(self, *filters: str) -> list[images_pb2.Image]:
        request = images_pb2.ListImagesRequest(filters=filters)
        answer = images_pb2_grpc.ImagesStub(self.channel).List(request, metadata=METADATA, timeout=5)
        return list(answer.images)

    def _answers(self) -> bool:
        try:
            self._cri.ListImages(runtime_pb2.ListImagesRequest(), timeout=1)
        except grpc.RpcError:
            return False
        return True

    def _wait(self, condition: Callable[[], bool], complaint: str, timeout: float = 60) -> None:
        self._daemon.wait_for(condition, complaint, timeout, NodeFailed)


def program_folder(label: str) -> Path:
    """Where containerd, its shim and ctr of this version are; raises Unavailable."""
    if package := debian.CONTAINERD.get(label):
        return debian.unpacked(package) / "usr/bin"
    return build.built(parts.CONTAINERD[label])


@cache
def available() -> dict[str, str]:
    """For each version that tests run on, why it cannot be had here; an empty text when it can."""
    return {label: _reason(label) for label in VERSIONS}


def _reason(label: str) -> str:
    if os.geteuid() != 0:
        return "containerd needs root"
    try:
        program_folder(label)
    except Unavailable as error:
        return str(error)
    return ""
