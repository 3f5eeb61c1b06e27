"""The stand-in as a node: what a scenario may do to it, and what only it can do."""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from rig.closing import Closing
from rig.node import PullFailed
from rig.standin import garbage
from rig.standin.bus import Bus
from rig.standin.control import Clock, Gate, Killed, Token
from rig.standin.descriptors import Descriptor
from rig.standin.faults import Faults
from rig.standin.files import Files
from rig.standin.flavour import V2_1, Flavour
from rig.standin.importing import import_archive
from rig.standin.listening import Listener
from rig.standin.pulling import Work, pull_by_client, pull_through_cri
from rig.standin.records import Records
from rig.standin.reference import Reference
from rig.standin.registry_source import RegistrySource
from rig.standin.remote import RemoteSnapshotter
from rig.standin.runtime import Runtime, fast_unpack
from rig.standin.services import Services
from rig.standin.sources import Source
from rig.standin.store import EXPIRE, Parts, Store

NAMESPACE = "k8s.io"


class StandIn(Closing):
    """containerd's API over a unix socket in `folder`, a new one by default, with pulls that behave as containerd's do.

    It is listening once made. `faults` and `clock` are for what goes wrong with the daemon, `runtime` holds what
    may be changed about pulling, `records` is the whole state for tests that need an odd one.
    """

    def __init__(
        self,
        folder: Path | None = None,
        source: Source | None = None,
        *,
        flavour: Flavour = V2_1,
        unpack_seconds: Callable[[Descriptor], float] = fast_unpack,
        remote: RemoteSnapshotter | None = None,
    ) -> None:
        # A short path: that of a socket has 108 bytes at most.
        folder = folder or Path(tempfile.mkdtemp(prefix="pts-", dir="/tmp"))
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.name = flavour.name
        self.version = flavour.version
        self.socket = folder / "containerd.sock"
        self.clock = Clock()
        self.faults = Faults()
        self.records = Records()
        self.bus = Bus()
        self._parts = Parts(self.records, Files(folder / "content"), self.clock, self.bus, flavour)
        self.store = Store(self._parts, NAMESPACE)
        self.runtime = Runtime(
            self.store,
            source or RegistrySource(),
            remote.name if remote else "overlayfs",
            unpack_seconds,
            remote,
        )
        self._listener = Listener(self.socket, Services(self._parts, self.runtime.snapshotter), self.faults)
        self._works: list[Work] = []
        self._running = False
        self.start()

    @property
    def unpacking(self) -> Gate:
        """Hold it, and no layer is unpacked."""
        return self.runtime.unpacking

    def pull(self, reference: str) -> Work:
        name = Reference.parse(reference)
        return self._begin(name.name, lambda token: pull_through_cri(self.runtime, name, token))

    def client_pull(self, reference: str) -> Callable[[], None]:
        name = Reference.parse(reference)
        return self._begin(name.name, lambda token: pull_by_client(self.runtime, name, token)).kill

    def import_image(self, archive: Path) -> None:
        self._begin(str(archive), lambda token: import_archive(self.runtime, archive, token)).wait()

    def hold_lease(self, lease_id: str) -> Callable[[], None]:
        self.store.create_lease(lease_id)
        return lambda: self.store.delete_lease(lease_id)

    def add_sandbox(self, lease_id: str) -> None:
        """A lease as each running pod holds it: it has no label of an expiry."""
        self.store.create_lease(lease_id, expires=False)

    def images(self) -> dict[str, str]:
        with self.records.lock:
            images = self.records.namespace(NAMESPACE).images.values()
            return {image.name: image.target.digest for image in images}

    def pull_leases(self) -> set[str]:
        with self.records.lock:
            leases = self.records.namespace(NAMESPACE).leases.values()
            return {lease.id for lease in leases if EXPIRE in lease.labels}

    def has_content(self, digest: str) -> bool:
        return self.store.blob(digest) is not None

    def remove_image(self, reference: str) -> None:
        images = self.images()
        for name, digest in images.items():
            if digest == images[Reference.parse(reference).name]:
                self.store.delete_image(name)
        self.collect_garbage()

    def collect_garbage(self) -> None:
        """Remove what nothing holds. The daemon does this after many changes, and on removals; here it is asked."""
        garbage.collect(self.records, self._parts.files)

    def drop_connections(self) -> None:
        """Cut every connection while the daemon lives on: the socket keeps its times."""
        made = self.socket.stat()
        self._listener.stop()
        self._listener.start()
        os.utime(self.socket, ns=(made.st_atime_ns, made.st_mtime_ns))

    def crash(self) -> None:
        with self.records.lock:
            self.records.alive = False
        for work in self._works:
            work.token.end(Killed())
        self._listener.stop(leave_socket=True)
        self._join()
        self._running = False

    def start(self) -> None:
        if self._running:
            return
        with self.records.lock:
            self.records.alive = True
        self._listener.start()
        os.utime(self.socket, ns=(self.clock.now_ns(), self.clock.now_ns()))
        self._running = True
        self.collect_garbage()

    def close(self) -> None:
        if self._running:
            self.crash()
        if self._folder.exists():
            shutil.rmtree(self._folder)

    def _begin(self, name: str, work: Callable[[Token], None]) -> Work:
        if not self._running:
            raise PullFailed(f"connection error: dial unix {self.socket}: connect: connection refused")
        self._works = [each for each in self._works if not each.done]
        begun = Work(name, work)
        self._works.append(begun)
        return begun

    def _join(self) -> None:
        for work in self._works:
            work.join()
        self._works = []
