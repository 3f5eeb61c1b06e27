"""Reading one lease: what it holds, and once for each image what the node already had of it."""

from collections import Counter
from collections.abc import Iterable, Iterator

from pulltrace.clock import NodeTime
from pulltrace_exporter.containerd.client import Client, blobs_of_other_namespaces
from pulltrace_exporter.containerd.found_snapshots import FoundSnapshots, UnpackedImage
from pulltrace_exporter.containerd.lease_changes import HeldLayer, LeaseChanges
from pulltrace_exporter.containerd.manifest_cache import ManifestCache
from pulltrace_exporter.containerd.messages import Resources
from pulltrace_exporter.containerd.quirks import converts_schema_1, is_converted, refuses_to_unpack
from pulltrace_exporter.containerd.reading import Reading
from pulltrace_exporter.model.image import Descriptor, Document, Index, Manifest, chain_ids
from pulltrace_exporter.model.observation import BlobInfo, ImageRecord, Ingest, Lease, Snapshots

MAX_UNKNOWN = 32
"""How many contents of one lease are described in one poll while no manifest names them. An import holds many."""

MAX_LEFT = 1024
"""How many of the others are described when the lease is gone: the root may be among them."""

LONGEST_GAP_SECONDS = 60.0
"""Longest time between two polls of a pull. So a step of the clock that a poll notices is not longer ago."""


class LeaseReader:
    """Keeps what was read of one lease, so that each poll asks only for what can have changed."""

    def __init__(self, lease_id: str, created_at: float, documents: ManifestCache) -> None:
        self.id = lease_id
        self.created_at = created_at
        self.settled = False
        self.seen_at = created_at
        self.since = created_at
        """Its start on the present clock, which may have been stepped back since `created_at` was written."""
        self.vanished = False
        self.unpacked: bool | None = None
        self.removed: frozenset[str] = frozenset()
        """Contents that were deleted once the lease was gone. One may be there again, for a later pull."""
        self.documents: dict[str, Document] = {}
        self.diff_ids: dict[str, tuple[str, ...]] = {}
        self._library = documents
        self._contents: dict[str, BlobInfo | None] = {}
        self._times = Counter[str]()
        self._unread = frozenset[str]()
        self._ingests: frozenset[str] = frozenset()
        self._snapshots: dict[str, Snapshots] = {}
        self._found_blobs: dict[str, BlobInfo | None] = {}
        self._found_snapshots = FoundSnapshots()
        self._parts: set[str] = set()
        self._chains: dict[str, tuple[str, ...]] = {}
        self._changes = LeaseChanges()
        self._extracted = False
        self._fetched = False
        self._configs: dict[str, BlobInfo | None] = {}

    @property
    def empty(self) -> bool:
        """Whether the lease holds nothing yet."""
        return not self._contents and not self._snapshots

    @property
    def rootless(self) -> bool:
        """Whether it holds layers of a schema 1 image. containerd 1.x makes the manifest of such an image last."""
        return self._fetched and bool(self._contents) and not self.roots

    @property
    def roots(self) -> list[str]:
        """Indexes and manifests that no other of this lease names: the root is one of them."""
        named = {reference.digest for document in self.documents.values() for reference in document.references}
        return [
            digest
            for digest, content in self._contents.items()
            if content is not None and content.children and digest not in named
        ]

    @property
    def unnamed_roots(self) -> list[str]:
        """Roots without a source label, so that only an image record tells which image they are."""
        roots = ((root, self._contents[root]) for root in self.roots) if self._fetched else ()
        return [root for root, info in roots if info is not None and not info.sources]

    def see(self, now: float) -> None:
        """Record that it was there at `now`, Unix time."""
        self.seen_at = now
        if now < self.since:
            self.since = now - LONGEST_GAP_SECONDS

    def has_written(self, record: ImageRecord, now: float) -> bool:
        """Whether a record was written since the lease began, by the clock at `now`, Unix time."""
        if record.updated_at > now:  # written before the clock was stepped back, as `created_at` was
            return record.updated_at >= self.created_at
        return self.since > now or record.updated_at >= self.since

    def lease(self) -> Lease:
        """The lease as it was last read."""
        return Lease(
            self.id,
            NodeTime(self.created_at),
            dict(self._contents),
            self._ingests,
            self._snapshots,
            self._found_blobs,
            self._found_snapshots.by_chain_id,
            self.unpacked,
            self._fetched,
            self._unread,
        )

    def expect_change(self) -> None:
        """The connection was lost: have the lease read anew at the next poll, as changes meanwhile were not seen."""
        self._changes.expect()

    def may_have_changed(self, ingests: dict[str, Ingest]) -> bool:
        """Whether to ask what the lease holds. `ingests` are all blobs that are being written now."""
        known = self.settled and not self.vanished and bool(self._chains) and not self._unread
        return not known or self._changes.are_possible(self._own(ingests), self._layers())

    def read(self, reading: Reading, resources: Resources) -> None:
        """Record what belongs to the lease now."""
        client = reading.client
        self._fetched |= bool(resources.ingests) and converts_schema_1(reading.version)
        self._ingests = resources.ingests
        self._snapshots = resources.snapshots
        self._extracted |= bool(resources.snapshots)
        for digest in [digest for digest in self._contents if digest not in resources.contents]:
            del self._contents[digest]
        for digest in resources.contents & self._parts:
            self._contents[digest] = None
        described = self._next(sorted(resources.contents - self._parts))
        self._take(client.contents(described))
        self._times.update(described)
        self._look_for_labels(client)
        self._read_documents(reading)
        self._fetched |= self._is_converted(reading.version)
        if self._found_snapshots.stat(client, self._unpacked_images(reading.snapshotter)):
            # Otherwise a layer that was fetched since the lease was read would look cached.
            self._look_for_parts(client)
            self._found_snapshots.date(client, self._discarded())
        self._found_snapshots.stat_remote(client, self._snapshots)
        self._unread = resources.contents.difference(self._contents, self._times)
        self.settled = self._is_settled()
        self._changes.was_read(self._own(reading.ingests))

    def look_back(self, client: Client) -> None:
        """When the lease is gone, look once more at contents that may have got their labels since the last poll.

        And look at those that polls have not come to.
        """
        self.settled = False
        found = client.contents([each for each in self._contents.keys() - self._parts if not self._is_final(each)])
        self.removed = frozenset(digest for digest, content in found.items() if self._is_removed(digest, content))
        self._take({digest: content for digest, content in found.items() if digest not in self.removed})
        self._take(client.contents(sorted(self._unread - self._parts)[:MAX_LEFT]))
        self._look_for_labels(client)

    def close(self, reading: Reading, written_at: float | None) -> None:
        """Read once more when the lease is gone: content that came since the last poll has to be looked up.

        `written_at` is when the pull wrote its image's record, None when it wrote none.
        """
        client = reading.client
        self._read_documents(reading)
        if written_at is not None and not any(isinstance(document, Manifest) for document in self.documents.values()):
            self._descend(client)
            self._read_documents(reading)
        self._fetched |= self._is_converted(reading.version)
        self._look_for_parts(client)
        self._read_configs(client)
        # Only now do the configs name the snapshotter, if the image was unpacked.
        self._configs = client.contents(list(self.diff_ids))
        self._found_snapshots.stat(client, self._unpacked_images(reading.snapshotter), again=True)
        self._found_snapshots.date(client, self._discarded())
        if written_at is not None:
            self.unpacked = self._is_unpacked(reading.version, written_at)

    def adopt(self, root: BlobInfo) -> None:
        """Record a root as content of the lease, though no poll saw it there."""
        self._contents[root.digest] = root
        self._fetched |= not root.sources

    def recall(self, reading: Reading, root: BlobInfo, before: float) -> None:
        """Read what an unseen pull of `root` held. `created_at` is its end before this call, its likely start after.

        `before` is a moment (Unix time) at which the pull had not begun: older content did not come with it.
        """
        end, self.created_at = self.created_at, before
        self.adopt(root)
        self.close(reading, end)
        if root.sources and before < root.created_at <= end:
            # The root comes first. Older content was there already, even if another pull brought it after `before`.
            self.created_at = root.created_at
            return
        described = (*self._contents.values(), *self._found_blobs.values())
        times = [content.created_at for content in described if content is not None]
        # Content that is younger than the record came for another pull.
        self.created_at = min((time for time in times if before < time <= end), default=end)

    def _own(self, ingests: dict[str, Ingest]) -> frozenset[str]:
        return frozenset(ingests.keys() & (self._parts | self._ingests))

    def _images(self) -> Iterator[tuple[Manifest, Descriptor]]:
        """The manifests that have a config, each with its config."""
        for manifest in self.documents.values():
            if isinstance(manifest, Manifest) and manifest.config is not None:
                yield manifest, manifest.config

    def _chained(self) -> Iterator[tuple[Descriptor, str]]:
        """The layers whose chain IDs are known, with these."""
        for manifest, config in self._images():
            yield from zip(manifest.layers, self._chains.get(config.digest, ()), strict=False)

    def _is_stored(self, digest: str) -> bool:
        return digest in self._contents or self._found_blobs.get(digest) is not None

    def _layers(self) -> Iterator[HeldLayer]:
        committed = {
            chain_id for chain_id, stat in self._found_snapshots.by_chain_id.items() if stat.created_at is not None
        }
        committed.update(*(held.committed for held in self._snapshots.values()))
        extracting = frozenset[str]().union(*(held.extracting for held in self._snapshots.values()))
        for layer, chain_id in self._chained():
            yield HeldLayer(self._is_stored(layer.digest), chain_id in committed, chain_id in extracting)

    def _next(self, digests: Iterable[str]) -> list[str]:
        """The contents to describe in this poll: those whose labels can still change, and then new ones.

        A root may have been described before it had its labels, and a thousand layers may have come since. So neither
        waits for all of the others.
        """
        changing = [each for each in digests if not self._is_final(each)]
        new = [each for each in changing if each not in self._contents]
        known = sorted((each for each in changing if self._lacks_labels(each)), key=self._times.__getitem__)
        return [*known[: MAX_UNKNOWN - min(len(new), MAX_UNKNOWN // 2)], *new][:MAX_UNKNOWN]

    def _lacks_labels(self, digest: str) -> bool:
        """Whether it was described and may get labels: containerd writes the source last, and a root may get more."""
        content = self._contents.get(digest)
        return content is not None and (bool(content.children) or not content.sources)

    def _is_removed(self, digest: str, content: BlobInfo | None) -> bool:
        known = self._contents[digest]
        return content is None or (known is not None and known.created_at != content.created_at)

    def _take(self, found: dict[str, BlobInfo | None]) -> None:
        self._contents.update({digest: content for digest, content in found.items() if content is not None})

    def _is_final(self, digest: str) -> bool:
        """Whether a document's labels are final: a root's labels can change until the lease is settled."""
        return digest in self.documents and (self.settled or digest not in self.roots)

    def _is_settled(self) -> bool:
        """Whether the root's labels are final: containerd fetches what the root names only after that."""
        roots = [self._contents[digest] for digest in self.roots]
        passed = len(self._contents) > 1 or bool(self._ingests) or bool(self._snapshots)
        return passed and any(root is not None and root.sources and root.children for root in roots)

    def _is_converted(self, version: str) -> bool:
        roots = (self.documents.get(root) for root in self.roots)
        return converts_schema_1(version) and any(root is not None and is_converted(root) for root in roots)

    def _read_documents(self, reading: Reading) -> None:
        for digest, content in list(self._contents.items()):
            if content is None or not content.children or digest in self.documents:
                continue
            document = self._library.document(reading.client, digest, content.size)
            if document is None:
                continue
            if isinstance(document, Manifest):
                self._stat_blobs(reading, document)
            self.documents[digest] = document  # only now: when a call fails, all is done again
        self._read_configs(reading.client)

    def _stat_blobs(self, reading: Reading, manifest: Manifest) -> None:
        """Look once for each blob that a manifest names: one that is found was there before, or came just now."""
        parts = dict.fromkeys(reference.digest for reference in manifest.references)
        self._parts.update(parts)
        new = [digest for digest in parts if digest not in self._found_blobs]
        found = reading.client.contents([digest for digest in new if digest not in reading.ingests])
        elsewhere = blobs_of_other_namespaces(reading.client, found, self.created_at)
        self._found_blobs |= dict.fromkeys(new) | found | elsewhere

    def _read_configs(self, client: Client) -> None:
        for _, config in self._images():
            if config.digest not in self.diff_ids and self._is_stored(config.digest):
                diff_ids = self._library.diff_ids(client, config.digest)
                if diff_ids is not None:
                    self.diff_ids[config.digest] = diff_ids
                    self._chains[config.digest] = chain_ids(diff_ids)

    def _look_for_labels(self, client: Client) -> None:
        """Look again at blobs that were found without a source: containerd writes it a moment after it has fetched."""
        found = client.contents([digest for digest, blob in self._found_blobs.items() if blob and not blob.sources])
        self._found_blobs |= {digest: blob for digest, blob in found.items() if blob is not None}

    def _look_for_parts(self, client: Client) -> None:
        """Look again for blobs that were not there when the manifest was first read."""
        absent = (digest for digest in self._parts if self._found_blobs.get(digest) is None)
        self._take(client.contents([digest for digest in absent if digest not in self._contents]))

    def _is_unpacked(self, version: str, written_at: float) -> bool | None:
        """Whether the image is unpacked: its config then names the snapshotter. None if it cannot be told.

        A client writes the record before it unpacks. A client that only fetches makes no snapshot. A config that is
        younger than the record came with a later pull, after the image was removed, so it tells nothing.
        """
        found = []
        for manifest, config in self._images():
            blob = self._configs.get(config.digest)
            if blob is None or blob.created_at > written_at:
                continue
            media_types = [layer.media_type for layer in manifest.layers]
            refused = refuses_to_unpack(version, media_types, len(self.diff_ids[blob.digest]))
            found.append(True if blob.snapshotter else False if refused or self._extracted else None)
        return True if True in found else False if False in found else None

    def _descend(self, client: Client) -> None:
        """Find the manifest of this platform below an index: of all that it names, the one that is on the node."""
        indexes = [document for document in self.documents.values() if isinstance(document, Index)]
        for index in indexes:
            self._take(client.contents([descriptor.digest for descriptor in index.references]))

    def _unpacked_images(self, snapshotter: str) -> Iterator[UnpackedImage]:
        for config, diff_ids in self.diff_ids.items():
            content = self._configs.get(config) or self._found_blobs.get(config)
            name = next(iter(self._snapshots), (content and content.snapshotter) or snapshotter)
            if diff_ids:
                yield UnpackedImage(config, name, self._chains[config])

    def _discarded(self) -> Iterator[str]:
        """The chain IDs of layers whose blobs are not in the store."""
        return (chain_id for layer, chain_id in self._chained() if not self._is_stored(layer.digest))
