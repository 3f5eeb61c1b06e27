"""What one poll reads of the node's containerd, as values: the adapter hands it to the tracker."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pulltrace.clock import NodeTime
from pulltrace.model.pull import Daemon
from pulltrace_exporter.model.image import Document


@dataclass(frozen=True, slots=True)
class BlobInfo:
    """A blob in the content store. Times are Unix times of containerd's clock.

    `sources` are the (registry host without port, repository) pairs of its `distribution.source` labels in
    order; `children` the digests of its `gc.ref.content` labels: only an index or a manifest has any; `snapshotter`
    the one that holds the image's layers unpacked, told by a config alone and empty before that.
    """

    digest: str
    size: int
    created_at: NodeTime
    sources: tuple[tuple[str, str], ...] = ()
    children: frozenset[str] = frozenset()
    snapshotter: str = ""


@dataclass(frozen=True, slots=True)
class Ingest:
    """A blob being written: `downloaded` bytes are there. An ingest outlives the pull that began it."""

    digest: str
    downloaded: int
    started_at: NodeTime
    updated_at: NodeTime


@dataclass(frozen=True, slots=True)
class FetchedLayer:
    """A layer in the folder of a remote snapshotter: `downloaded` bytes are there.

    `started_at` is the Unix time of its start. A layer that is `complete` stays for a while.
    """

    downloaded: int
    started_at: NodeTime
    complete: bool = False


@dataclass(frozen=True, slots=True)
class Snapshots:
    """What a lease holds of one snapshotter, by chain ID."""

    committed: frozenset[str] = frozenset()
    extracting: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class SnapshotStat:
    """Whether a snapshot with a chain ID is committed, and since when (Unix time; None: it is not).

    `local` says that the snapshotter is one of containerd's own, which makes snapshots of fetched layers only; `lazy`
    that it was made without its layer, whose content is fetched when a container reads it.
    """

    snapshotter: str
    created_at: NodeTime | None
    local: bool = True
    lazy: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that may be a pull, with what belongs to it.

    `contents` is everything of it in the store by digest (None: listed, but not described because a manifest
    names it already); `ingests` the digests it is downloading; `found_blobs` what was found, when this lease's
    manifest was read for the first time, of the blobs that the manifest names (None: not in the store);
    `found_snapshots` which of the image's snapshots were committed then, by chain ID. `unpacked` is known when the
    lease is gone: whether all that was to be unpacked was. None: nothing was to be, or it cannot be told.
    `fetched` says that it is a pull whatever its root's labels say: containerd 1.x makes the manifest of an image of
    Docker's schema 1 itself, without a source.
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

    @property
    def nameless(self) -> bool:
        """Whether nothing is known of it but its age."""
        return not self.contents and not self.ingests and not self.snapshots


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image by name in containerd; `updated_at` moves each time a pull of that name succeeds."""

    name: str
    updated_at: NodeTime
    root: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """The node at one moment, read while nothing was locked.

    `ended` holds leases that are gone since the observation before, with what was found of their image when
    they had gone; `inferred` pulls that were over before a poll saw their lease, inferred from the record that their
    success wrote; `images` the records of the roots of both.
    `remote_snapshotters` are those that are loaded and can bring layers themselves, unseen by containerd; `fetched` is
    what the folder of one shows of layers by digest, of one layer several times where it was begun several times.
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
    """An image that the kubelet is pulling or about to pull; `since` is when it was written."""

    reference: str
    since: NodeTime
