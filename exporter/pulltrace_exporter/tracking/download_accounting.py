"""Accounting of bytes: which blobs a pull needs, how much of each is there, and what came over the network."""

from collections.abc import Collection, Iterable, Iterator, Sequence

from pulltrace.clock import Instant
from pulltrace.model.pull import Phase
from pulltrace_exporter.model.image import Descriptor, Manifest, chain_ids
from pulltrace_exporter.model.observation import BlobInfo, FetchedLayer, Lease
from pulltrace_exporter.tracking.blob import Blob, Rate, UnfinishedIngests
from pulltrace_exporter.tracking.counters import Counters
from pulltrace_exporter.tracking.event_log import EventLog
from pulltrace_exporter.tracking.naming import other_platforms
from pulltrace_exporter.tracking.poll import NodeContents, Poll
from pulltrace_exporter.tracking.pull_state import ManifestLayer, PullState, blobs_of
from pulltrace_exporter.tracking.remote_accounting import RemoteAccounting, fetched_layers, is_brought


class DownloadAccounting:
    """All blobs of the node that any pull names. Pulls that need the same blob share one object."""

    def __init__(self, counters: Counters, events: EventLog) -> None:
        self._counters = counters
        self._events = events
        self._blobs: dict[str, Blob] = {}
        self._unfinished = UnfinishedIngests()
        self._remote = RemoteAccounting(counters)
        self._counted = 0

    def add_lease(self, pull: PullState, lease: Lease, poll: Poll) -> None:
        """Add to a pull what one of its leases holds."""
        self._remote.name(pull, lease, poll)
        documents = {digest: poll.seen.documents[digest] for digest in lease.contents if digest in poll.seen.documents}
        manifests = {digest: one for digest, one in documents.items() if isinstance(one, Manifest)}
        others = other_platforms(manifests, lease)
        for digest, document in documents.items():
            if digest in pull.documents:
                continue
            info = lease.contents[digest]
            if info is not None:
                self._add_document_blob(pull, info, document.media_type, poll.now)
            # A client may fetch the manifests of all platforms, but the layers of only one.
            if digest in others:
                continue
            pull.documents.add(digest)
            if isinstance(document, Manifest):
                self._add_manifest(pull, document, lease, poll)
        for config in list(pull.without_chain_ids):
            if config in poll.seen.diff_ids:
                pull.set_chain_ids(config, chain_ids(poll.seen.diff_ids[config]))
        if lease.found_snapshots:
            pull.add_found_snapshots(lease.found_snapshots)

    def advance(self, running: Sequence[PullState], live: Collection[Lease], poll: Poll) -> None:
        """Update running pulls with what the node shows now."""
        leases = {lease.id: lease for lease in (*poll.seen.ended, *live)}
        node = NodeContents.of(live, fetched_layers(running, poll), poll)
        for pull in running:
            own = [leases[lease_id] for lease_id in pull.leases & leases.keys()]
            self._decide(pull, own, node)
            self._remote.decide(pull, own, node, poll)
            pull.downloading = pull.blobs.keys() & node.ingests.union(*(lease.ingests for lease in own))
        moved = {digest for pull in running for digest in self._advance_blobs(pull, node, poll)}
        for pull in running:
            self._advance_pull(pull, node, poll.now, moved=not moved.isdisjoint(pull.blobs))

    def finish(self, pull: PullState, result: Phase, poll: Poll, others: Iterable[PullState]) -> None:
        """The last request of a pull is gone: if it succeeded, complete its blobs, else remember the unfinished ones.

        The download of an unfinished blob starts anew with its next pull, unless one of the `others` continues it.
        """
        shared = blobs_of(others)
        if result is Phase.SUCCEEDED:
            self._remote.finish(pull)
        else:
            # A remote snapshotter resumes no download: it fetches layers again that it has not unpacked.
            for digest in pull.remote.seen - shared:
                if not pull.is_committed(digest):
                    self._blobs.pop(digest, None)
        for blob in pull.blobs.values():
            if blob.complete or blob.digest in pull.cached or blob.digest in pull.remote.digests:
                continue
            if result is Phase.SUCCEEDED:
                self._complete_unseen(pull, blob, poll.now)
                continue
            if blob.digest in poll.seen.ingests:
                self._unfinished.remember(poll.seen.ingests[blob.digest], blob.downloaded)
            if blob.digest not in shared:
                blob.started = None
        if result is Phase.SUCCEEDED and pull.downloaded_at in (None, poll.now.monotonic):
            unseen = bool(pull.remote.digests)
            pull.downloaded_at = poll.now.monotonic if unseen else poll.last_arrival(pull.blobs)

    def forget(self, pulls: Iterable[PullState]) -> None:
        """Drop the blobs that none of the pulls names."""
        named = blobs_of(pulls)
        self._blobs = {digest: blob for digest, blob in self._blobs.items() if digest in named}

    def _add_document_blob(self, pull: PullState, info: BlobInfo, media_type: str, now: Instant) -> None:
        """Count an index or a manifest: it is fetched like any blob, but is no part of the image's size."""
        blob = self._blobs.get(info.digest)
        if blob is None or blob.is_older_than(info, now):
            blob = self._blobs[info.digest] = Blob(info.digest, info.size, media_type, pull.key.registry)
            self._add_present(pull, blob, info, now)
        pull.document_blobs[info.digest] = blob

    def _add_manifest(self, pull: PullState, manifest: Manifest, lease: Lease, poll: Poll) -> None:
        counted = self._counted
        came = []
        for descriptor in manifest.references:
            if descriptor.digest not in pull.blobs:
                before = self._counted
                blob = self._add_blob(pull, descriptor, lease, poll)
                came += [blob] if self._counted > before else []
                pull.blobs[descriptor.digest] = blob
                if blob.digest in pull.cached:
                    self._counters.add_cached(pull.key.registry, blob.size)
        layers = [
            ManifestLayer(len(pull.layers) + position, pull.blobs[one.digest], one.media_type, lowest=not position)
            for position, one in enumerate(manifest.layers)
        ]
        pull.layers.extend(layers)
        for layer in layers:
            pull.positions.setdefault(layer.blob.digest, layer.index)
        if manifest.config is not None:
            pull.without_chain_ids.setdefault(manifest.config.digest, []).append(layers)
        if pull.rate is None:
            pull.rate = Rate(poll.earliest_arrival(pull.observed_from), pull.downloaded - (self._counted - counted))
            self._events.resolved(pull, poll.now)
        pull.progressed = poll.now
        for blob in came:
            self._start(pull, blob, 0, poll.now)
            self._log_completed(pull, blob, poll.now)

    def _add_blob(self, pull: PullState, descriptor: Descriptor, lease: Lease, poll: Poll) -> Blob:
        digest = descriptor.digest
        info = lease.found_blobs.get(digest)
        blob = self._blobs.get(digest)
        if info is not None and is_brought(pull, lease, info, poll):
            # Of one that another pull has completed since, the bytes were seen.
            seen = blob is not None and blob.complete and not blob.is_older_than(info, poll.now)
            info = info if seen else None
        gone = info is None and blob is not None and blob.complete
        if gone and blob is not None:
            # Another pull has completed it. It may have been unpacked and discarded since, removed and fetched again,
            # or may still be added to this lease. The other pull's lease does not tell which.
            pull.undecided[digest] = blob
        if blob is None or gone or (info is not None and blob.is_older_than(info, poll.now)):
            # New, or known but deleted from the node since: then it is fetched again.
            blob = self._blobs[digest] = Blob(digest, descriptor.size, descriptor.media_type, pull.key.registry)
            blob.absent_at = poll.now.monotonic
            ingest = poll.seen.ingests.get(digest)
            if ingest is not None:
                before = self._unfinished.bytes_before(ingest, pull.counted_since, poll.now)
                blob.downloaded = min(before, blob.size)
            elif info is not None:
                blob.downloaded = min(self._unfinished.downloaded(digest), blob.size)
        if info is not None:
            if not blob.complete:  # a manifest may give any size to what is there already: nobody compares it
                blob.size = max(info.size, blob.downloaded)
            if not pull.since.covers(info.created_at, poll.now):
                pull.cached.add(digest)
            self._add_present(pull, blob, info, poll.now)
        return blob

    def _add_present(self, pull: PullState, blob: Blob, info: BlobInfo, now: Instant) -> None:
        """Record a blob that was in the store when it was first looked up."""
        if not blob.complete:
            new = blob.finish(now.monotonic)
            self._unfinished.forget(blob.digest)
            if pull.counted_since.covers(info.created_at, now):
                self._count(blob, new)

    def _advance_blobs(self, pull: PullState, node: NodeContents, poll: Poll) -> Iterator[str]:
        """Update a pull's unfinished blobs; yields those that changed."""
        at = poll.now.monotonic
        left_out = pull.cached.union(pull.undecided, pull.remote.digests)
        for digest, blob in pull.blobs.items():
            if blob.complete or digest in left_out:
                continue
            ingest = poll.seen.ingests.get(digest)
            if digest in node.contents or (digest in pull.remote.seen and pull.is_committed(digest)):
                self._complete(pull, blob, poll.now)
                yield digest
            elif ingest is not None:
                self._start(pull, blob, blob.downloaded, poll.now)
                blob.measure(poll.earliest_arrival(pull.observed_from) if ingest.downloaded > blob.downloaded else at)
                new = blob.advance(at, ingest.downloaded)
                self._count(blob, new)
                if new or ingest.updated_at != blob.ingest_updated_at:
                    blob.ingest_updated_at = ingest.updated_at
                    yield digest
            elif (layer := node.fetched.get(digest)) is not None and self._advance_fetched(pull, blob, layer, poll):
                yield digest

    def _advance_fetched(self, pull: PullState, blob: Blob, layer: FetchedLayer, poll: Poll) -> bool:
        """Update a layer that a remote snapshotter fetches; returns whether it changed."""
        if not layer.downloaded:
            return False
        if not blob.downloaded and not pull.counted_since.covers(layer.started_at, poll.now):
            blob.downloaded = min(layer.downloaded, blob.size)  # it came before the exporter started
        self._start(pull, blob, blob.downloaded, poll.now)
        blob.measure(poll.earliest_arrival(pull.observed_from))
        new = blob.advance(poll.now.monotonic, layer.downloaded)
        self._count(blob, new)
        if layer.complete:
            self._complete(pull, blob, poll.now)
        return bool(new) or layer.complete

    def _decide(self, pull: PullState, leases: Sequence[Lease], node: NodeContents) -> None:
        """Decide whether blobs that came for another pull serve this one, where its own leases show it."""
        for digest in list(pull.undecided):
            there = any(digest in lease.contents for lease in leases)
            if there and pull.undecided[digest].completed_at >= pull.blobs[digest].absent_at:
                self._share(pull, digest)
            elif there or digest in node.fetched or any(digest in lease.ingests for lease in leases):
                del pull.undecided[digest]  # it is fetched again

    def _share(self, pull: PullState, digest: str) -> None:
        """Let a blob serve this pull too, if it can have come while this pull ran. Else it was fetched again since."""
        blob = pull.undecided.pop(digest)
        if blob.completed_at < pull.started.monotonic:
            return
        self._blobs[digest] = pull.blobs[digest] = blob
        for layer in pull.layers:
            if layer.blob.digest == digest:
                layer.blob, layer.published = blob, None

    def _advance_pull(self, pull: PullState, node: NodeContents, now: Instant, *, moved: bool) -> None:
        # A layer that another pull unpacks is unpacked for this one too, although its leases have no snapshot of it.
        moved |= pull.update_snapshots(node.snapshots)
        fetching = {digest for digest, layer in node.fetched.items() if layer.downloaded and not layer.complete}
        pull.downloading |= pull.blobs.keys() & fetching
        for layer in self._remote.commit(pull, now):
            self._mark_cached(pull, layer.blob)
        self._add_unpacked(pull, now)
        moved |= pull.update_states()
        if pull.rate is not None:
            pull.rate.advance(now.monotonic, pull.downloaded)
        if pull.phase is Phase.UNPACKING and pull.downloaded_at is None:
            pull.downloaded_at = now.monotonic
        if moved:
            pull.progressed = now

    def _add_unpacked(self, pull: PullState, now: Instant) -> None:
        """Add layers that are unpacked and were not fetched for this pull.

        A layer that was unpacked before the pull began counts as cached, even if its blob was deleted since.
        """
        for layer in pull.layers:
            blob = layer.blob
            if layer.chain_id not in pull.committed or blob.downloaded or blob.complete:
                continue
            if any(
                blob.digest in each for each in (pull.downloading, pull.cached, pull.remote.digests, pull.remote.seen)
            ):
                continue
            if not pull.since.covers(pull.unpacked_at(blob), now):
                pull.undecided.pop(blob.digest, None)
                self._mark_cached(pull, blob)
            elif blob.digest in pull.undecided:
                self._share(pull, blob.digest)

    def _complete_unseen(self, pull: PullState, blob: Blob, now: Instant) -> None:
        """The pull has succeeded: this blob was fetched since the last poll, or was never needed, or never came.

        A blob that is neither in the store nor unpacked, and was not seen coming, is not on the node: containerd does
        not fetch the layers of an artifact without an image config (containerd #11907).
        """
        came = bool(blob.downloaded) or blob.digest in pull.downloading | pull.remote.seen
        if not came and not pull.is_committed(blob.digest):
            return
        made_at = pull.unpacked_at(blob)
        if came or pull.counted_since.covers(made_at, now):
            self._complete(pull, blob, now)
        elif pull.since.covers(made_at, now):
            blob.finish(now.monotonic)  # it came before the exporter started watching
        else:
            self._mark_cached(pull, blob)

    def _mark_cached(self, pull: PullState, blob: Blob) -> None:
        pull.cached.add(blob.digest)
        self._counters.add_cached(pull.key.registry, blob.size)

    def _start(self, pull: PullState, blob: Blob, had: int, now: Instant) -> None:
        if blob.started is None:
            blob.started = now
            if blob.digest in pull.positions and not (pull.inherited and had):
                self._events.layer_started(pull, blob, now)

    def _complete(self, pull: PullState, blob: Blob, now: Instant) -> None:
        self._start(pull, blob, blob.downloaded, now)
        self._unfinished.forget(blob.digest)
        self._count(blob, blob.finish(now.monotonic))
        self._log_completed(pull, blob, now)

    def _log_completed(self, pull: PullState, blob: Blob, now: Instant) -> None:
        if blob.digest in pull.positions:
            self._events.layer_completed(pull, blob, now)

    def _count(self, blob: Blob, size: int) -> None:
        if size:
            self._counted += size
            self._counters.add_downloaded(blob.registry, blob.media_type, size)
