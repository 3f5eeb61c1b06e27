"""Reading one lease: what it holds, and once per image what the node had of it before."""

from collections.abc import Iterable, Iterator

from pulltrace.clock import NodeTime
from pulltrace_exporter.containerd.client import Client, Resources
from pulltrace_exporter.containerd.lease_changes import HeldLayer, LeaseChanges
from pulltrace_exporter.containerd.manifest_cache import ManifestCache
from pulltrace_exporter.containerd.quirks import (
    LOCAL_SNAPSHOTTERS,
    converts_schema_1,
    is_converted,
    refuses_to_unpack,
)
from pulltrace_exporter.model.image import Document, Index, Manifest, chain_ids
from pulltrace_exporter.model.observation import BlobInfo, ImageRecord, Ingest, Lease, Snapshots, SnapshotStat

MAX_UNKNOWN = 32
"""Contents of one lease that nothing explains yet, looked at again in one poll. An import holds many."""

LONGEST_BLINK_SECONDS = 60.0
"""Two looks at a running pull are no further apart: so long ago, at most, a clock that was found set back was."""


class LeaseReader:
    """Keeps what was read of one lease, so that each poll asks only for what can have changed."""

    def __init__(self, lease_id: str, created_at: float, documents: ManifestCache) -> None:
        self.id = lease_id
        self.created_at = created_at
        self.settled = False
        self.seen_at = created_at
        self.since = created_at
        """Its beginning by the clock as it is now, which may have been set back since `created_at` was written."""
        self.vanished = False
        self.unpacked: bool | None = None
        self.documents: dict[str, Document] = {}
        self.diff_ids: dict[str, tuple[str, ...]] = {}
        self._library = documents
        self._contents: dict[str, BlobInfo | None] = {}
        self._ingests: frozenset[str] = frozenset()
        self._snapshots: dict[str, Snapshots] = {}
        self._found_blobs: dict[str, BlobInfo | None] = {}
        self._found_snapshots: dict[str, SnapshotStat] = {}
        self._stat_done: set[tuple[str, str]] = set()
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
        """Roots of a pull that only its image record names."""
        roots = ((root, self._contents[root]) for root in self.roots) if self._fetched else ()
        return [root for root, info in roots if info is not None and not info.sources]

    def see(self, now: float) -> None:
        """It was there at `now`, Unix time."""
        self.seen_at = now
        if now < self.since:
            self.since = now - LONGEST_BLINK_SECONDS

    def has_written(self, record: ImageRecord, now: float) -> bool:
        """Whether a record was written since it began, as the clock tells at `now`, Unix time."""
        if record.updated_at > now:  # before the clock was set back, and so was what it is compared with
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
            self._found_snapshots,
            self.unpacked,
            self._fetched,
        )

    def may_have_changed(self, ingests: dict[str, Ingest]) -> bool:
        """Whether to ask what the lease holds, by the blobs that are being written at all now."""
        known = self.settled and not self.vanished and bool(self._chains)
        return not known or self._changes.are_possible(self._own(ingests), self._layers())

    def read(
        self, client: Client, resources: Resources, ingests: dict[str, Ingest], snapshotter: str, version: str
    ) -> None:
        """Take in what belongs to the lease now. `snapshotter` is the one to ask while the lease names none."""
        self._fetched |= bool(resources.ingests) and converts_schema_1(version)
        self._ingests = resources.ingests
        self._snapshots = resources.snapshots
        self._extracted |= bool(resources.snapshots)
        for digest in [digest for digest in self._contents if digest not in resources.contents]:
            del self._contents[digest]
        for digest in resources.contents & self._parts:
            self._contents[digest] = None
        self._describe(client, sorted(resources.contents - self._parts), MAX_UNKNOWN)
        self._read_documents(client, ingests)
        self._fetched |= self._is_converted(version)
        if self._stat_snapshots(client, snapshotter):
            # Else a layer that came and was unpacked since its lease was read would seem to have been here before.
            self._look_for_parts(client)
            self._date_discarded(client)
        self._stat_remote_snapshots(client)
        self.settled = self._is_settled()
        self._changes.was_read(self._own(ingests))

    def look_back(self, client: Client) -> None:
        """Look once more, when the lease is gone, at what can have got its labels since the last poll."""
        self.settled = False
        self._describe(client, list(self._contents.keys() - self._parts), len(self._contents))

    def close(
        self, client: Client, ingests: dict[str, Ingest], snapshotter: str, version: str, *, written: bool
    ) -> None:
        """Read once more when the lease is gone: what came since the last poll is only known by looking for it.

        `version` is containerd's, `written` whether the pull has written its image's record.
        """
        self._read_documents(client, ingests)
        if written and not any(isinstance(document, Manifest) for document in self.documents.values()):
            self._descend(client)
            self._read_documents(client, ingests)
        self._fetched |= self._is_converted(version)
        self._look_for_parts(client)
        self._stat_done.clear()
        self._read_configs(client)
        # Only now do they name the snapshotter, if the image was unpacked.
        self._configs = client.contents(list(self.diff_ids))
        self._stat_snapshots(client, snapshotter)
        self._date_discarded(client)
        if written:
            self.unpacked = self._is_unpacked(version)

    def adopt(self, root: BlobInfo) -> None:
        """Take a root for what the lease held, though nobody saw it there."""
        self._contents[root.digest] = root
        self._fetched |= not root.sources

    def recall(
        self,
        client: Client,
        root: BlobInfo,
        ingests: dict[str, Ingest],
        snapshotter: str,
        version: str,
        before: float,
    ) -> None:
        """Read what a pull of `root` held that ended at the lease's supposed start, unseen.

        `before` is a moment (Unix time) at which it had not begun: what is older did not come with it.
        """
        end, self.created_at = self.created_at, before
        self.adopt(root)
        self.close(client, ingests, snapshotter, version, written=True)
        if root.sources and before < root.created_at <= end:
            # The root comes first: what is older was there, though another pull brought it since `before`.
            self.created_at = root.created_at
            return
        described = (*self._contents.values(), *self._found_blobs.values())
        times = [content.created_at for content in described if content is not None]
        # What is younger than the record came for another pull.
        self.created_at = min((time for time in times if before < time <= end), default=end)

    def _own(self, ingests: dict[str, Ingest]) -> frozenset[str]:
        return frozenset(digest for digest in ingests if digest in self._parts or digest in self._ingests)

    def _layers(self) -> Iterator[HeldLayer]:
        committed = {chain_id for chain_id, stat in self._found_snapshots.items() if stat.created_at is not None}
        committed.update(*(held.committed for held in self._snapshots.values()))
        extracting = frozenset[str]().union(*(held.extracting for held in self._snapshots.values()))
        for manifest in self.documents.values():
            if not isinstance(manifest, Manifest) or manifest.config is None:
                continue
            for layer, chain_id in zip(manifest.layers, self._chains.get(manifest.config.digest, ()), strict=False):
                complete = layer.digest in self._contents or self._found_blobs.get(layer.digest) is not None
                yield HeldLayer(complete, chain_id in committed, chain_id in extracting)

    def _describe(self, client: Client, digests: Iterable[str], most: int) -> None:
        """Look at contents whose labels can still change, at `most` so many of them."""
        changing = [digest for digest in digests if not self._is_final(digest)]
        changing.sort(key=self._contents.__contains__)  # those never described first, so that none waits for ever
        self._take(client.contents(changing[:most]))

    def _take(self, found: dict[str, BlobInfo | None]) -> None:
        self._contents.update({digest: content for digest, content in found.items() if content is not None})

    def _is_final(self, digest: str) -> bool:
        """Whether all is known of an index or a manifest: a root's labels can change until the lease is settled."""
        return digest in self.documents and (self.settled or digest not in self.roots)

    def _is_settled(self) -> bool:
        """Whether the root's labels are final: containerd goes on to what the root names only after that."""
        roots = [self._contents[digest] for digest in self.roots]
        passed = len(self._contents) > 1 or bool(self._ingests) or bool(self._snapshots)
        return passed and any(root is not None and root.sources and root.children for root in roots)

    def _is_converted(self, version: str) -> bool:
        roots = (self.documents.get(root) for root in self.roots)
        return converts_schema_1(version) and any(root is not None and is_converted(root) for root in roots)

    def _read_documents(self, client: Client, ingests: dict[str, Ingest]) -> None:
        for digest, content in list(self._contents.items()):
            if content is None or not content.children or digest in self.documents:
                continue
            document = self._library.document(client, digest, content.size)
            if document is None:
                continue
            self.documents[digest] = document
            if isinstance(document, Manifest):
                self._stat_blobs(client, document, ingests)
        self._read_configs(client)

    def _stat_blobs(self, client: Client, manifest: Manifest, ingests: dict[str, Ingest]) -> None:
        """Look once for each blob that a manifest names: what is there was there before, or came just now."""
        parts = dict.fromkeys(reference.digest for reference in manifest.references)
        self._parts.update(parts)
        new = [digest for digest in parts if digest not in self._found_blobs]
        found = client.contents([digest for digest in new if digest not in ingests])
        self._found_blobs |= dict.fromkeys(new) | found | self._shared(client, found)

    def _shared(self, client: Client, found: dict[str, BlobInfo | None]) -> dict[str, BlobInfo]:
        """Blobs that another namespace had before: containerd commits them here, as of now, and fetches nothing."""
        unexplained = [
            digest for digest, content in found.items() if content is None or content.created_at >= self.created_at
        ]
        elsewhere = (
            client.contents(unexplained, namespace) for namespace in (client.other_namespaces() if unexplained else ())
        )
        return {
            digest: content
            for contents in elsewhere
            for digest, content in contents.items()
            if content is not None and content.created_at < self.created_at
        }

    def _read_configs(self, client: Client) -> None:
        for manifest in self.documents.values():
            config = manifest.config if isinstance(manifest, Manifest) else None
            if config is None or config.digest in self.diff_ids:
                continue
            if config.digest in self._contents or self._found_blobs.get(config.digest) is not None:
                diff_ids = self._library.diff_ids(client, config.digest, config.size)
                if diff_ids is not None:
                    self.diff_ids[config.digest] = diff_ids
                    self._chains[config.digest] = chain_ids(diff_ids)

    def _look_for_parts(self, client: Client) -> None:
        """Look again for what was not there when the manifest was first read."""
        absent = (digest for digest in self._parts if self._found_blobs.get(digest) is None)
        self._take(client.contents([digest for digest in absent if digest not in self._contents]))

    def _date_discarded(self, client: Client) -> None:
        """Ask for each snapshot whose layer is not in the store: one made just now had its layer fetched first."""
        for manifest in self.documents.values():
            if not isinstance(manifest, Manifest) or manifest.config is None:
                continue
            chain = self._chains.get(manifest.config.digest, ())
            for layer, chain_id in zip(manifest.layers, chain, strict=False):
                known = self._found_snapshots.get(chain_id)
                if known is None or not known.local:
                    continue
                if layer.digest not in self._contents and not self._found_blobs.get(layer.digest):
                    self._found_snapshots[chain_id] = client.snapshot(known.snapshotter, chain_id)

    def _is_unpacked(self, version: str) -> bool | None:
        """Whether the image is unpacked: its config names the snapshotter from then on.

        A client writes the record first. Whoever only fetches, unpacks nothing and makes no snapshot either.
        """
        found = []
        for manifest in self.documents.values():
            if not isinstance(manifest, Manifest) or manifest.config is None:
                continue
            blob = self._configs.get(manifest.config.digest)
            if blob is None:
                continue
            media_types = [layer.media_type for layer in manifest.layers]
            refused = refuses_to_unpack(version, media_types, len(self.diff_ids[blob.digest]))
            found.append(True if blob.snapshotter else False if refused or self._extracted else None)
        return True if True in found else False if False in found else None

    def _descend(self, client: Client) -> None:
        """Find the manifest of this platform below an index: of all that it names, the one that is on the node."""
        for index in list(self.documents.values()):
            if not isinstance(index, Index):
                continue
            self._take(client.contents([descriptor.digest for descriptor in index.manifests]))

    def _stat_snapshots(self, client: Client, snapshotter: str) -> bool:
        """Ask once which of an image's snapshots are committed: the top one, else from the lowest up to a gap.

        Returns whether any was found.
        """
        before = len(self._found_snapshots)
        for config, diff_ids in self.diff_ids.items():
            content = self._configs.get(config) or self._found_blobs.get(config)
            name = next(iter(self._snapshots), (content and content.snapshotter) or snapshotter)
            if (config, name) in self._stat_done or not diff_ids:
                continue
            self._stat_done.add((config, name))
            chain = self._chains[config]
            top = client.snapshot(name, chain[-1])
            if top.created_at is not None and top.local:
                self._found_snapshots.update(dict.fromkeys(chain, top))
                continue
            for chain_id in chain[:-1] if top.created_at is None else chain:
                found = self._found_snapshots.get(chain_id) or client.snapshot(name, chain_id)
                if found.created_at is None:
                    break
                self._found_snapshots[chain_id] = found
        return len(self._found_snapshots) > before

    def _stat_remote_snapshots(self, client: Client) -> None:
        """Ask once of each snapshot that the lease holds of a remote snapshotter whether its layer was fetched."""
        for name, held in self._snapshots.items():
            if name not in LOCAL_SNAPSHOTTERS:
                new = sorted(held.committed - self._found_snapshots.keys())
                found = ((chain_id, client.snapshot(name, chain_id)) for chain_id in new)
                self._found_snapshots |= {chain_id: stat for chain_id, stat in found if stat.created_at is not None}
