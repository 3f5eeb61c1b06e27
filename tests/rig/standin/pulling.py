"""Pulls from their request to their end: by the daemon for a kubelet, and by a client process of its own."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rig.node import PullFailed
from rig.standin.control import Cancelled, Killed, Token
from rig.standin.descriptors import PLATFORM, Descriptor, children, gc_labels
from rig.standin.fetching import Fetcher, LayerFetch
from rig.standin.reference import Reference
from rig.standin.runtime import Job, Runtime
from rig.standin.store import Store
from rig.standin.unpacking import Unpacker

MANAGED = {"io.cri-containerd.image": "managed"}


class Work:
    """Something that runs in a thread of its own until it is done, fails, is cancelled or killed."""

    def __init__(self, reference: str, work: Callable[[Token], None]) -> None:
        self.reference = reference
        self.token = Token()
        self._work = work
        self._failure: PullFailed | None = None
        self._thread = threading.Thread(target=self._run, name=f"work {reference}")
        self._thread.start()

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def wait(self, timeout: float = 60) -> None:
        self._thread.join(timeout)
        if not self.done:
            raise TimeoutError(f"{self.reference} is not there after {timeout} s")
        if self._failure:
            raise self._failure

    def cancel(self) -> None:
        self.token.end(Cancelled())
        self.join()

    def kill(self) -> None:
        """End it as the death of its process does."""
        self.token.end(Killed())
        self.join()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        try:
            self._work(self.token)
        except Exception as error:  # noqa: BLE001 - the requester gets it, whatever it is
            text = f'failed to pull and unpack image "{self.reference}": {error}'
            self._failure = PullFailed(text)
            self._failure.__cause__ = error


class ImagePull:
    """One pull's way from its reference to its image record, under its lease."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._fetcher = Fetcher(job)
        self._unpacker = Unpacker(job, self._fetcher)
        self.config: Descriptor | None = None

    def through_cri(self) -> Descriptor:
        """Layers come while they are unpacked; answers the root."""
        root = self._job.runtime.source.resolve(self._job.reference, self._job.token)
        manifest, named = self._descend(root)
        layers = [child for child in named if child.is_layer]
        others = [child for child in named if not child.is_layer]
        self._fetch_all([child for child in others if not child.is_config])
        for config in (child for child in others if child.is_config):
            self._bring(config)
            if layers:
                self._unpacker.unpack(config, layers)
        self.config = named[0] if manifest.is_manifest and named else None
        self._job.store.put_image(self._job.reference.name, root, MANAGED)
        return root

    def by_client(self) -> None:
        """All blobs first, then the record, then the unpacking."""
        root = self._job.runtime.source.resolve(self._job.reference, self._job.token)
        _, named = self._descend(root)
        self._fetch_all(named)
        config = next((child for child in named if child.is_config), None)
        put_unmarked(self._job.store, self._job.reference.name, root, config)
        layers = [child for child in named if child.is_layer]
        for config in (child for child in named if child.is_config):
            self._unpacker.unpack(config, layers)

    @contextmanager
    def running(self) -> Iterator["ImagePull"]:
        """The pull's threads end with the block, whatever ends it."""
        try:
            yield self
        except Exception as error:
            self._job.token.end(error)
            raise
        finally:
            self._job.crew.join()
            self._unpacker.close()

    def _descend(self, root: Descriptor) -> tuple[Descriptor, list[Descriptor]]:
        """Fetch down to the manifest of this platform; answers it and what it names."""
        named = self._bring(root)
        while root.is_index:
            fitting = [child for child in named if child.platform in ("", PLATFORM)]
            # A child that says its platform goes before one that does not.
            root = max(fitting, key=lambda child: child.platform)
            named = self._bring(root)
        return root, named

    def _bring(self, blob: Descriptor) -> list[Descriptor]:
        """Fetch one document and write to it what containerd does, the source last."""
        store = self._job.store
        self._fetcher.fetch(blob)
        named = children(blob, store.read(blob.digest)) if blob.is_index or blob.is_manifest else []
        store.label(blob.digest, gc_labels(named, with_layers=not store.flavour.discards_unpacked_layers))
        self._fetcher.append_source(blob)
        return named

    def _fetch_all(self, blobs: Sequence[Descriptor]) -> None:
        fetch = LayerFetch(self._fetcher, blobs)
        try:
            fetch.start()
            fetch.wait()
        except Exception as error:
            self._job.token.end(error)
            self._job.crew.join()
            fetch.close()
            raise
        for blob in blobs:
            if not blob.is_layer:
                self._fetcher.append_source(blob)


def pull_through_cri(runtime: Runtime, reference: Reference, token: Token) -> None:
    """PullImage: the lease first, its deletion last, then the other names."""
    store = runtime.store
    lease = store.create_lease()
    try:
        with ImagePull(Job.of_daemon(runtime, reference, lease, token)).running() as pull:
            root = pull.through_cri()
            token.wait(runtime.pause)
    finally:
        if not token.killed:
            store.delete_lease(lease)
    token.wait(runtime.pause)
    for name in _further_names(reference, root, pull.config):
        _put_marked(store, name, root)


def put_unmarked(store: Store, name: str, root: Descriptor, config: Descriptor | None = None) -> None:
    """What another client writes in CRI's namespace CRI makes its own: it adds the ID, and its label to the name."""
    store.put_image(name, root, {})
    if config:
        _put_marked(store, config.digest, root)
    store.put_image(name, root, MANAGED)


def _put_marked(store: Store, name: str, root: Descriptor) -> None:
    known = store.image(name)
    if known is None or known.target.digest != root.digest:
        store.put_image(name, root, MANAGED)


def _further_names(reference: Reference, root: Descriptor, config: Descriptor | None) -> Iterator[str]:
    """What CRI calls the image besides, in its order: its ID, its tag, its digest."""
    if config:
        yield config.digest
    if reference.tag:
        yield reference.name
    yield f"{reference.locator}@{root.digest}"


def pull_by_client(runtime: Runtime, reference: Reference, token: Token) -> None:
    """`ctr images pull`: the client deletes its lease, if it lives so long."""
    lease = runtime.store.create_lease()
    try:
        with ImagePull(Job.of_client(runtime, reference, lease, token)).running() as pull:
            pull.by_client()
    finally:
        if not token.killed:
            runtime.store.delete_lease(lease)
