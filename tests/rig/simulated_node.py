"""A node's containerd simulated in values: what it holds and does when images are pulled."""

from dataclasses import dataclass, field, replace

from pulltrace.clock import Instant, Monotonic, NodeTime
from pulltrace.model.pull import Daemon
from pulltrace_exporter.model.image import Descriptor, Document
from pulltrace_exporter.model.observation import BlobInfo, FetchedLayer, Ingest, Snapshots, SnapshotStat
from rig.manifests import Image

START = 1_700_000_000.0
OVERLAY = "overlayfs"


@dataclass(slots=True)
class Held:
    """What a lease on the node holds."""

    created_at: float
    contents: set[str] = field(default_factory=set)
    ingests: set[str] = field(default_factory=set)
    committed: set[str] = field(default_factory=set)
    extracting: set[str] = field(default_factory=set)
    snapshotter: str = OVERLAY
    unpacked: bool | None = None

    @property
    def snapshots(self) -> dict[str, Snapshots]:
        if not self.committed and not self.extracting:
            return {}
        return {self.snapshotter: Snapshots(frozenset(self.committed), frozenset(self.extracting))}


class Node:
    """A containerd that has been up for so many seconds, and the clocks of its machine."""

    def __init__(self, up_for: float = 86_400.0) -> None:
        self.now = Instant(START, Monotonic(5000.0))
        self.daemon = Daemon(True, "2.1.9", NodeTime(START - up_for))
        self.leases: dict[str, Held] = {}
        self.contents: dict[str, BlobInfo] = {}
        self.ingests: dict[str, Ingest] = {}
        self.chains: dict[str, NodeTime] = {}
        self.remote_snapshotters: frozenset[str] = frozenset()
        self.fetched: dict[str, tuple[FetchedLayer, ...]] = {}
        self.snapshots: dict[str, SnapshotStat] = {}
        self.records: dict[str, dict[str, float]] = {}
        self.documents: dict[str, Document] = {}
        self.diff_ids: dict[str, tuple[str, ...]] = {}
        self.succeeded: list[Puller] = []

    def sleep(self, seconds: float) -> None:
        self.now = Instant(self.now.wall + seconds, Monotonic(self.now.monotonic + seconds))

    def step_clock(self, seconds: float) -> None:
        """Somebody sets the wall clock."""
        self.now = Instant(self.now.wall + seconds, self.now.monotonic)

    def crash(self, down: float = 1.0) -> None:
        """The daemon dies and is started again: leases and ingests stay as they were."""
        self.sleep(down)
        self.daemon = replace(self.daemon, started_at=NodeTime(self.now.wall))

    def lease(self) -> str:
        """Somebody makes a lease, for whatever it is."""
        name = f"lease-{len(self.leases)}-{self.now.monotonic}"
        self.leases[name] = Held(self.now.wall)
        return name

    def pull(self, image: Image) -> "Puller":
        """Somebody asks for an image: a lease, with nothing in it yet."""
        return Puller(self, image, self.lease())

    def begin(self, image: Image, offset: int | None = None) -> "Puller":
        """Somebody pulls an image. All but its layers is there at once, or also `offset` bytes of the first one."""
        pull = self.pull(image)
        pull.resolve()
        if offset is not None:
            pull.fetch(0, offset)
        return pull

    def begin_remotely(self, image: Image, *snapshotters: str) -> "Puller":
        """The same by the first of these, the remote snapshotters that are loaded."""
        self.remote_snapshotters = frozenset(snapshotters)
        pull = self.begin(image)
        pull.held.snapshotter = snapshotters[0]
        return pull

    def pulled(self, image: Image, *, unpacked: bool = True) -> None:
        """An image was pulled, and this long ago that it is history."""
        pull = self.pull(image)
        pull.complete(unpack=unpacked)
        pull.succeed()
        self.succeeded.clear()
        self.sleep(3600)

    def delete(self, image: Image) -> None:
        """Somebody deletes an image that shares nothing."""
        for blob in (*(descriptor for descriptor, _ in image.documents), *image.configs, *image.layers):
            self.contents.pop(blob.digest, None)
        for chain in image.chain:
            self.chains.pop(chain, None)
        self.records.pop(image.root, None)

    def store(self, blob: Descriptor, image: Image, *, labelled: bool = True) -> None:
        """A blob is committed, unless it is there; then it bears the image's repository."""
        document = self.documents.get(blob.digest)
        known = self.contents.get(blob.digest)
        content = known or BlobInfo(blob.digest, blob.size, NodeTime(self.now.wall))
        if labelled:
            sources = {*content.sources, (image.registry, image.repository)}
            children = frozenset(child.digest for child in document.references) if document else frozenset()
            content = replace(content, sources=tuple(sorted(sources)), children=children)
        self.contents[blob.digest] = content
        self.ingests.pop(blob.digest, None)


class Puller:
    """One request for an image, played step by step. Positions are those of the manifest's layers."""

    def __init__(self, node: Node, image: Image, lease: str) -> None:
        self.node = node
        self.image = image
        self.id = lease
        self.held = node.leases[lease]
        node.documents.update((descriptor.digest, document) for descriptor, document in image.documents)

    def find_root(self, *, labelled: bool = True) -> None:
        """The registry answers: the root comes, its labels at once or not yet."""
        self._commit(self.image.documents[0][0], labelled=labelled)

    def resolve(self) -> None:
        """Index, manifest and config come."""
        for descriptor, _ in self.image.documents:
            self._commit(descriptor)
        for config, diff_ids in zip(self.image.configs, self.image.diff_ids, strict=True):
            self.node.diff_ids[config.digest] = diff_ids
            self._commit(config)

    def find_manifest(self) -> None:
        """Index and manifest come, and the config not yet."""
        for descriptor, _ in self.image.documents:
            self._commit(descriptor)

    def fetch(self, position: int, offset: int) -> None:
        """Let `offset` bytes of a layer be there; a resumed or restarted ingest stays the same one."""
        self.ingest(self.image.layers[position], offset)

    def ingest(self, blob: Descriptor, offset: int) -> None:
        """Let `offset` bytes of any blob be there."""
        now = NodeTime(self.node.now.wall)
        known = self.node.ingests.get(blob.digest)
        self.node.ingests[blob.digest] = Ingest(blob.digest, offset, known.started_at if known else now, now)
        self.held.ingests.add(blob.digest)

    def finish(self, *positions: int) -> None:
        """Layers come, or the last of them, or are there already."""
        for position in positions:
            self._commit(self.image.layers[position])

    def wait_for(self, *positions: int) -> None:
        """Layers that another pull has fetched are found."""
        self.finish(*positions)

    def prepare(self, *positions: int) -> None:
        """A layer's snapshot is made ready to be unpacked into; that is before its bytes are there."""
        self.held.extracting |= {self.image.chain[position] for position in positions}

    def unpack(self, *positions: int) -> None:
        for position in positions:
            chain = self.image.chain[position]
            self.held.extracting.discard(chain)
            self.held.committed.add(chain)
            self.node.chains.setdefault(chain, NodeTime(self.node.now.wall))

    def fetch_remotely(self, position: int, downloaded: int, *, complete: bool = False) -> None:
        """The remote snapshotter's folder shows so much of a layer that it has just begun, or goes on with."""
        digest = self.image.layers[position].digest
        known = [each for each in self.node.fetched.get(digest, ()) if each.started_at >= self.held.created_at]
        started_at = known[-1].started_at if known else NodeTime(self.node.now.wall)
        kept = tuple(each for each in self.node.fetched.get(digest, ()) if each not in known)
        self.node.fetched[digest] = (*kept, FetchedLayer(downloaded, started_at, complete))

    def bring(self, *positions: int, lazy: bool = False, stored: bool = True) -> None:
        """The remote snapshotter commits layers: mounts them lazily, or has fetched and perhaps stored them itself."""
        for position in positions:
            chain, now = self.image.chain[position], NodeTime(self.node.now.wall)
            self.held.committed.add(chain)
            self.node.chains.setdefault(chain, now)
            self.node.snapshots.setdefault(chain, SnapshotStat(self.held.snapshotter, now, local=False, lazy=lazy))
            if stored and not lazy:
                self.store(position)

    def store(self, position: int) -> None:
        """The remote snapshotter stores a layer that it has fetched: without a source, and not for the lease."""
        blob = self.image.layers[position]
        info = BlobInfo(blob.digest, blob.size, NodeTime(self.node.now.wall))
        self.node.contents.setdefault(blob.digest, info)

    def complete(self, *, unpack: bool = True) -> None:
        self.resolve()
        self.finish(*range(len(self.image.layers)))
        if unpack:
            self.unpack(*range(len(self.image.layers)))

    def succeed(self, *, record: str | None = None) -> None:
        """The record is written, and the lease goes."""
        names = self.node.records.setdefault(self.image.root, {})
        names[record or self.image.reference] = self.node.now.wall
        self.node.succeeded.append(self)
        self.fail()

    def fail(self) -> None:
        """The lease goes, after an error or a cancellation: ingests are left as they are."""
        del self.node.leases[self.id]

    def run(self) -> None:
        """The whole pull between two looks."""
        self.complete()
        self.succeed()

    def _commit(self, blob: Descriptor, *, labelled: bool = True) -> None:
        self.node.store(blob, self.image, labelled=labelled)
        self.held.ingests.discard(blob.digest)
        self.held.contents.add(blob.digest)
