"""What one poll reads from the node's containerd, as values that the adapter gives to the tracker."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pulltrace.clock import NodeTime
from pulltrace.model.pull import Daemon
from pulltrace_exporter.model.image import Document


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A blob in the content store. Times are Unix times of containerd's clock.

    `sources` are the pairs (registry host without port, repository) of its `distribution.source` labels in order.
    `children` are the digests of its `gc.ref.content` labels; only an index or a manifest has any. `snapshotter` is
    the one that holds the unpacked image; only a config names it, and only once the image is unpacked.
    """

    digest: str
    size: int
    created_at: NodeTime
    sources: tuple[tuple[str, str], ...] = ()
    children: frozenset[str] = frozenset()
    snapshotter: str = ""


@dataclass(frozen=True, slots=True)
class Ingest:
    """A blob that is being written: `downloaded` bytes are there. An ingest can outlive the pull that began it."""

    digest: str
    downloaded: int
    started_at: NodeTime
    updated_at: NodeTime


@dataclass(frozen=True, slots=True)
class FetchedLayer:
    """A layer in the folder of a remote snapshotter: `downloaded` bytes are there.

    `started_at` is the Unix time at which its download began. A layer that is `complete` stays for a while.
    """

    downloaded: int
    started_at: NodeTime
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Snapshots:
    """The snapshots of one snapshotter that a lease holds, by chain ID; a layer is unpacked into `extracting` ones."""

    committed: frozenset[str] = frozenset()
    extracting: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SnapshotStat:
    """Whether a snapshot with a chain ID is committed, and since when (Unix time; None: it is not).

    `local`: the snapshotter makes snapshots only from layers that containerd has fetched. `lazy`: the snapshot was
    made without its layer, and the content is fetched when a container reads it.
    """

    snapshotter: str
    created_at: NodeTime | None
    local: bool = True
    lazy: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that may be a pull, with what belongs to it.

    `contents` is what it holds in the store, by digest (None: not described, because a manifest names it already).
    `unread` is what else it holds and nobody has looked at yet, because it holds much.
    `ingests` are the digests that it is downloading. `found_blobs` has the blobs that the manifest names, as they
    were when this lease's manifest was first read (None: not in the store), with sources that they got since.
    `found_snapshots` is what the snapshotters said of the image's snapshots, by chain ID. `unpacked` is known when the
    lease is gone: whether the image was unpacked. None: it was not to be unpacked, or it cannot be told. `fetched`: it
    is a pull even if its root has no source label. containerd 1.x itself makes the manifest of a Docker schema 1 image,
    without a source.
    """

    id: str
    created_at: NodeTime
    contents: Mapping[str, BlobInfo | None] = field(default_factory=dict)
    ingests: frozenset[str] = frozenset()
    snapshots: Mapping[str, Snapshots] = field(default_factory=dict)
    found_blobs: Mapping[str, BlobInfo | None] = field(default_factory=dict)
    found_snapshots: Mapping[str, SnapshotStat] = field(default_factory=dict)
    unpacked: bool | None = None
    fetched: bool = False
    unread: frozenset[str] = frozenset()

    @property
    def nameless(self) -> bool:
        """Whether it holds nothing, so that only its age is known."""
        return not self.contents and not self.ingests and not self.snapshots


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image by its name in containerd. Each pull of that name that succeeds sets `updated_at`."""

    name: str
    updated_at: NodeTime
    root: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """The node at one poll. Nothing is locked while it is read, so its parts may differ by a moment.

    `ended` are leases that have gone since the last observation, with what was found of their image afterwards.
    `inferred` are pulls that ended before a poll saw their lease: the image record that their success wrote tells of
    them. `images` has image records by root: of the roots of both, and of running pulls that only a record can name.
    `remote_snapshotters` are those that are loaded and can bring layers themselves, unseen by containerd. `fetched` is
    what the folder of one shows of layers, by digest; a layer that was begun several times is there several times.
    `reconnected` marks the first observation after a connection was made: what it shows may be left over from
    a daemon that crashed.
    """

    daemon: Daemon
    leases: tuple[Lease, ...] = ()
    ended: tuple[Lease, ...] = ()
    inferred: tuple[Lease, ...] = ()
    ingests: Mapping[str, Ingest] = field(default_factory=dict)
    documents: Mapping[str, Document] = field(default_factory=dict)
    diff_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    images: Mapping[str, tuple[ImageRecord, ...]] = field(default_factory=dict)
    remote_snapshotters: frozenset[str] = frozenset()
    fetched: Mapping[str, tuple[FetchedLayer, ...]] = field(default_factory=dict)
    reconnected: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    """An image that the kubelet is pulling or about to pull; `since` is when the intent was written."""

    reference: str
    since: NodeTime
