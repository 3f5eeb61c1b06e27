"""Accounting of bytes: which blobs a pull needs, how much of each is there, and what came over the network."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from pulltrace.clock import Instant, Monotonic, NodeTime
from pulltrace.model.pull import Phase
from pulltrace_exporter.model.image import Descriptor, Manifest, chain_ids
from pulltrace_exporter.model.observation import BlobInfo, FetchedLayer, Ingest, Lease
from pulltrace_exporter.tracking.blob import Blob, Rate, UnfinishedIngests
from pulltrace_exporter.tracking.counters import Counters
from pulltrace_exporter.tracking.event_log import EventLog
from pulltrace_exporter.tracking.node_contents import NodeContents, node_contents
from pulltrace_exporter.tracking.poll import Poll
from pulltrace_exporter.tracking.pull_state import ManifestLayer, PullState, blobs_of
from pulltrace_exporter.tracking.remote_accounting import RemoteAccounting, fetched_layers, is_brought


class DownloadAccounting:
    """All blobs of the node that any pull names. A blob is one object however many pulls need it."""

    def __init__(self, counters: Counters, events: EventLog) -> None:
        self._counters = counters
        self._events = events
        self._blobs: dict[str, Blob] = {}
        self._unfinished = UnfinishedIngests()
        self._remote = RemoteAccounting(counters)
        self._counted = 0

    def add_lease(self, pull: PullState, lease: Lease, poll: Poll) -> None:
        """Add what a lease holds for the image that it is pulling."""
        self._remote.name(pull, lease, poll)
        documents = {digest: poll.seen.documents[digest] for digest in lease.contents if digest in poll.seen.documents}
        manifests = {digest: one for digest, one in documents.items() if isinstance(one, Manifest)}
        others = _other_platforms(manifests, lease)
        for digest, document in documents.items():
            if digest in pull.documents:
                continue
            info = lease.contents[digest]
            if info is not None:
                self._add_document_blob(pull, info, document.media_type, poll.now)
            # A client may fetch the manifests of all platforms and the layers of one.
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

    def advance(self, running: Sequence[PullState], live: Iterable[Lease], poll: Poll) -> None:
        """Bring running pulls up to what the node shows now."""
        leases = {lease.id: lease for lease in (*poll.seen.ended, *live)}
        node = node_contents(leases.values(), fetched_layers(running, poll), poll)
        for pull in running:
            own = [leases[lease_id] for lease_id in pull.leases & leases.keys()]
            self._decide(pull, own, node)
            self._remote.decide(pull, own, node, poll)
        moved = {digest for pull in running for digest in self._advance_blobs(pull, node, poll)}
        for pull in running:
            self._advance_pull(pull, node, poll.now, moved=not moved.isdisjoint(pull.blobs))

    def finish(self, pull: PullState, result: Phase, poll: Poll, others: Iterable[PullState]) -> None:
        """The last request of a pull is gone: complete what its success says is there, remember what is unfinished.

        That begins anew with the next pull of it, unless one of the `others` goes on with it.
        """
        shared = blobs_of(others)
        if result is Phase.SUCCEEDED:
            self._remote.finish(pull)
        else:
            self._drop_fetched(pull, shared)
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
            pull.downloaded_at = poll.now.monotonic if unseen else _last_arrival(pull, poll)

    def _drop_fetched(self, pull: PullState, shared: set[str]) -> None:
        """A remote snapshotter resumes nothing: what it fetched for a pull that failed is fetched anew."""
        for digest in pull.remote.seen - shared:
            if not pull.is_committed(digest):
                self._blobs.pop(digest, None)

    def forget(self, pulls: Iterable[PullState]) -> None:
        """Drop the blobs that none of the pulls names."""
        named = blobs_of(pulls)
        self._blobs = {digest: blob for digest, blob in self._blobs.items() if digest in named}

    # Adding a manifest

    def _add_document_blob(self, pull: PullState, info: BlobInfo, media_type: str, now: Instant) -> None:
        """Count an index or a manifest: it is fetched like any blob, but no part of the image's size."""
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
            pull.rate = Rate(_earliest_arrival(pull, poll), pull.downloaded - (self._counted - counted))
            self._events.resolved(pull, poll.now)
        pull.progressed = poll.now
        for blob in came:
            self._start(pull, blob, 0, poll.now)
            self._log_completed(pull, blob, poll.now)

    def _add_blob(self, pull: PullState, descriptor: Descriptor, lease: Lease, poll: Poll) -> Blob:
        digest = descriptor.digest
        info = lease.found_blobs.get(digest)
        if info is not None and is_brought(pull, info, poll.now):
            info = None
        blob = self._blobs.get(digest)
        gone = info is None and digest not in lease.contents and blob is not None and blob.complete
        if gone and blob is not None:
            # It came for another pull, and was unpacked and discarded, or is about to come here too. What the other's
            # lease held says nothing of this one.
            pull.undecided[digest] = blob
        if blob is None or gone or (info is not None and blob.is_older_than(info, poll.now)):
            # New, or known but deleted from the node since: then it is fetched again.
            blob = self._blobs[digest] = Blob(digest, descriptor.size, descriptor.media_type, pull.key.registry)
            blob.absent_at = poll.now.monotonic
            if digest in poll.seen.ingests:
                blob.downloaded = min(self._bytes_before(poll.seen.ingests[digest], pull, poll.now), blob.size)
            elif info is not None:
                blob.downloaded = min(self._unfinished.downloaded(digest), blob.size)
        if info is not None:
            if not pull.since.covers(info.created_at, poll.now):
                pull.cached.add(digest)
            self._add_present(pull, blob, info, poll.now)
        return blob

    def _bytes_before(self, ingest: Ingest, pull: PullState, now: Instant) -> int:
        """How many bytes of an ingest had come before this pull began, or before the exporter did."""
        known = self._unfinished.resumed(ingest)
        if known is None:
            return 0 if pull.counted_since.covers(ingest.started_at, now) else ingest.downloaded
        return known

    def _add_present(self, pull: PullState, blob: Blob, info: BlobInfo, now: Instant) -> None:
        """Add a blob that was in the store when it was first asked for."""
        if not blob.complete:
            new = blob.finish(now.monotonic)
            self._unfinished.forget(blob.digest)
            if pull.counted_since.covers(info.created_at, now):
                self._count(blob, new)

    # Advancing

    def _advance_blobs(self, pull: PullState, node: NodeContents, poll: Poll) -> Iterator[str]:
        """Bring a pull's unfinished blobs up to date; yields those that moved."""
        at = poll.now.monotonic
        for digest, blob in pull.blobs.items():
            if blob.complete or any(digest in known for known in (pull.cached, pull.undecided, pull.remote.digests)):
                continue
            ingest = poll.seen.ingests.get(digest)
            if digest in node.contents or (digest in pull.remote.seen and pull.is_committed(digest)):
                self._complete(pull, blob, poll.now)
                yield digest
            elif ingest is not None:
                self._start(pull, blob, blob.downloaded, poll.now)
                blob.measure(_earliest_arrival(pull, poll) if ingest.downloaded > blob.downloaded else at)
                new = blob.advance(at, ingest.downloaded)
                self._count(blob, new)
                if new or ingest.updated_at != blob.ingest_updated_at:
                    blob.ingest_updated_at = ingest.updated_at
                    yield digest
            elif (layer := node.fetched.get(digest)) is not None and self._advance_fetched(pull, blob, layer, poll):
                yield digest

    def _advance_fetched(self, pull: PullState, blob: Blob, layer: FetchedLayer, poll: Poll) -> bool:
        """Bring a layer up to date that a remote snapshotter fetches; returns whether it moved."""
        if not layer.downloaded:
            return False
        if not blob.downloaded and not pull.counted_since.covers(layer.started_at, poll.now):
            blob.downloaded = min(layer.downloaded, blob.size)  # it came before the exporter started
        self._start(pull, blob, blob.downloaded, poll.now)
        blob.measure(_earliest_arrival(pull, poll))
        new = blob.advance(poll.now.monotonic, layer.downloaded)
        self._count(blob, new)
        if layer.complete:
            self._complete(pull, blob, poll.now)
        return bool(new) or layer.complete

    def _decide(self, pull: PullState, leases: Sequence[Lease], node: NodeContents) -> None:
        """Decide for blobs that came for another pull whether they serve this one, if its own leases show it."""
        for digest in list(pull.undecided):
            there = any(digest in lease.contents for lease in leases)
            if there and pull.undecided[digest].completed_at >= pull.blobs[digest].absent_at:
                self._share(pull, digest)
            elif there or digest in node.fetched or any(digest in lease.ingests for lease in leases):
                del pull.undecided[digest]  # it is fetched again

    def _share(self, pull: PullState, digest: str) -> None:
        """Let a blob serve this pull, too, if it can have come while it ran. Else it has come again since."""
        blob = pull.undecided.pop(digest)
        if blob.completed_at < pull.started.monotonic:
            return
        self._blobs[digest] = pull.blobs[digest] = blob
        for layer in pull.layers:
            if layer.blob.digest == digest:
                layer.blob, layer.published = blob, None

    def _advance_pull(self, pull: PullState, node: NodeContents, now: Instant, *, moved: bool) -> None:
        # A layer that another pull unpacks is unpacked for this one too, which holds no snapshot of it.
        moved |= pull.update_snapshots(node.snapshots)
        fetching = {digest for digest, layer in node.fetched.items() if layer.downloaded and not layer.complete}
        pull.downloading = pull.blobs.keys() & (node.ingests | fetching)
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

        What was unpacked before it began was there, whatever became of the blob since.
        """
        for layer in pull.layers:
            blob = layer.blob
            untouched = not blob.downloaded and not blob.complete and blob.digest not in pull.downloading
            known = any(blob.digest in each for each in (pull.cached, pull.remote.digests, pull.remote.seen))
            if layer.chain_id not in pull.committed or not untouched or known:
                continue
            if not pull.since.covers(_unpacked_at(pull, blob), now):
                pull.undecided.pop(blob.digest, None)
                self._mark_cached(pull, blob)
            elif blob.digest in pull.undecided:
                self._share(pull, blob.digest)

    def _complete_unseen(self, pull: PullState, blob: Blob, now: Instant) -> None:
        """The pull has succeeded: this blob was fetched since the last poll, or was never needed, or never came.

        What is neither in the store nor unpacked, and was not seen coming, is not on the node: containerd leaves
        alone what it does not know to be a layer.
        """
        came = bool(blob.downloaded) or blob.digest in pull.downloading | pull.remote.seen
        if not came and not pull.is_committed(blob.digest):
            return
        unpacked_at = _unpacked_at(pull, blob)
        if came or pull.counted_since.covers(unpacked_at, now):
            self._complete(pull, blob, now)
        elif pull.since.covers(unpacked_at, now):
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


def _unpacked_at(pull: PullState, blob: Blob) -> NodeTime:
    """When a layer's snapshot was made out of it, 0 if nobody knows: it may have been discarded after that."""
    position = pull.positions.get(blob.digest)
    stat = None if position is None else pull.found_snapshots.get(pull.layers[position].chain_id or "")
    return NodeTime(0.0) if stat is None or not stat.local else stat.created_at or NodeTime(0.0)


def _earliest_arrival(pull: PullState, poll: Poll) -> Monotonic:
    """The time since which what is new in this poll may have come."""
    observed_from = pull.observed_from.monotonic
    return observed_from if poll.previous is None else max(poll.previous.monotonic, observed_from)


def _other_platforms(manifests: Mapping[str, Manifest], lease: Lease) -> set[str]:
    """Which of several manifests are not pulled: those without their config here; if several are left, without a layer.

    SOCI stores a manifest of its own beside the image's. Its layers come, its config does not.
    """

    def is_here(part: Descriptor) -> bool:
        held = part.digest in lease.contents or part.digest in lease.ingests
        return held or lease.found_blobs.get(part.digest) is not None

    if len(manifests) < 2:
        return set()
    pulled = {digest for digest, one in manifests.items() if one.config is None or is_here(one.config)}
    if len(pulled) > 1:
        pulled = {digest for digest in pulled if any(map(is_here, manifests[digest].layers))}
    return manifests.keys() - pulled


def _last_arrival(pull: PullState, poll: Poll) -> Monotonic:
    """When the last blob came, by the stamps of what was described after the pull's end."""
    found = (info for lease in poll.seen.ended for info in (*lease.contents.values(), *lease.found_blobs.values()))
    arrivals = [info.created_at for info in found if info and info.digest in pull.blobs]
    return Monotonic(poll.now.monotonic - max(poll.now.wall - max(arrivals, default=poll.now.wall), 0.0))
