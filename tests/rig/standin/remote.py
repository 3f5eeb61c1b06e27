"""Remote snapshotters: what they do when containerd asks them to prepare a layer, in the shapes of their source.

Lazy ones mount a layer unfetched, or refuse it; SOCI in parallel mode fetches all layers of an image at once, into a
folder of its own, while containerd waits.
"""

import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rig.standin.control import Killed, Token
from rig.standin.descriptors import Descriptor
from rig.standin.runtime import Job, PullError

REMOTE_LABEL = "containerd.io/snapshot/remote"
BLOCK = 64 * 1024
"""The size of the pieces in which the bytes of a layer come."""
NYDUS_LABEL = "containerd.io/snapshot/nydus-blob"


class RemoteSnapshotter(Protocol):
    """A snapshotter that is a program of its own."""

    @property
    def name(self) -> str:
        """As containerd knows it."""
        ...

    def prepare(self, job: Job, layers: Sequence[Descriptor]) -> Mapping[str, str] | None:
        """Have the first of the layers, those above it follow; its snapshot's labels, None when it is refused."""
        ...


@dataclass(frozen=True, slots=True)
class Lazy:
    """SOCI with an index, stargz: what it does not refuse is mounted, and nothing is fetched."""

    name: str = "stargz"
    refuses: Callable[[Descriptor], bool] = lambda _: False

    def prepare(self, _: Job, layers: Sequence[Descriptor]) -> Mapping[str, str] | None:
        return None if self.refuses(layers[0]) else {REMOTE_LABEL: "remote snapshot"}


@dataclass(frozen=True, slots=True)
class Nydus:
    """containerd fetches the topmost layer, which holds the file system's tree; the others are left unfetched."""

    name: str = "nydus"

    def prepare(self, _: Job, layers: Sequence[Descriptor]) -> Mapping[str, str] | None:
        return {NYDUS_LABEL: "true"} if len(layers) > 1 else None


@dataclass(slots=True)
class _LayerJob:
    """One layer on its way in a folder of its own."""

    folder: Path
    done: threading.Event = field(default_factory=threading.Event)
    failure: str = ""


class Parallel:
    """SOCI's parallel pull and unpack, with its folder `unpack` below `root`.

    `stores` puts each layer into containerd's content store; else they are discarded. A layer's folder stays when it is
    over, as with SOCI, whose collector comes seldom. It can be killed, and started again, which makes the folder anew.
    """

    name = "soci"

    def __init__(self, root: Path, *, stores: bool = True) -> None:
        self.unpack = root / "unpack"
        self._stores = stores
        self._jobs: dict[tuple[str, str], _LayerJob] = {}
        self._lock = threading.Lock()
        self._life = Token()
        self.unpack.mkdir(parents=True)

    def prepare(self, job: Job, layers: Sequence[Descriptor]) -> Mapping[str, str] | None:
        self._check()
        with self._lock:
            new = [layer for layer in layers if (job.lease, layer.digest) not in self._jobs]
            for layer in new:
                self._jobs[job.lease, layer.digest] = self._begin()
            own = self._jobs[job.lease, layers[0].digest]
        for layer in new:
            self._start(job, layer, self._jobs[job.lease, layer.digest])
        with self._life.closing(own.done.set):
            job.token.wait_for(own.done)
        self._check()
        if own.failure:
            raise PullError(f"failed to prepare extraction snapshot: {own.failure}")
        (own.folder / "fs").rmdir()  # it becomes the snapshot
        return {}

    def kill(self) -> None:
        """End it as SIGKILL does: the folders of its layers stay."""
        self._life.end(Killed())

    def start(self) -> None:
        """Start it again: it forgets its jobs, and makes its folder anew."""
        shutil.rmtree(self.unpack)
        self.unpack.mkdir()
        self._jobs.clear()
        self._life = Token()

    def _check(self) -> None:
        if self._life.killed:
            raise PullError("connection error: dial unix soci-snapshotter-grpc.sock: connect: connection refused")

    def _begin(self) -> _LayerJob:
        folder = self.unpack / secrets.token_hex(5)
        (folder / "fs").mkdir(parents=True)
        return _LayerJob(folder)

    def _start(self, job: Job, layer: Descriptor, layer_job: _LayerJob) -> None:
        # Not of the pull's crew: what fails here ends the layer's own preparation only.
        threading.Thread(target=self._bring, args=(job, layer, layer_job, self._life), name="soci layer").start()

    def _bring(self, job: Job, layer: Descriptor, layer_job: _LayerJob, life: Token) -> None:
        try:
            content = layer_job.folder / layer.digest
            with life.closing(lambda: token.end(Killed())), _of(job) as token:
                self._fetch(job, layer, content, token)
                job.runtime.unpacking.wait(token)
                token.wait(job.runtime.unpack_seconds(layer))
                if self._stores:
                    job.store.put_blob(layer.digest, content.read_bytes())
        except Exception as error:  # noqa: BLE001 - the layer's preparation tells it
            layer_job.failure = str(error)
        finally:
            layer_job.done.set()

    def _fetch(self, job: Job, layer: Descriptor, content: Path, token: Token) -> None:
        with content.open("xb", buffering=0) as file:
            os.truncate(file.fileno(), layer.size)
            for chunk in job.runtime.source.chunks(job.reference, layer, 0, token):
                data = chunk if isinstance(chunk, bytes) else bytes(chunk)
                for start in range(0, len(data), BLOCK):
                    file.write(data[start : start + BLOCK])
        token.check()


@contextmanager
def _of(job: Job) -> Iterator[Token]:
    """A token that ends with the job's, and may end alone."""
    token = Token()
    with job.token.closing(lambda: token.end(job.token.reason or Killed())):
        yield token
